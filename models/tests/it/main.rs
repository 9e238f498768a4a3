//! The package from outside: embedding with a small random model, networks of real shapes, loading of broken files,
//! pulling from every source, and, where real weights are at hand, real models.

mod accuracy_figures;
mod bench;
mod embedding;
mod first_pull;
mod loading;
mod pulling;
mod real_weights;
mod shapes;
mod static_model;
mod support;
mod tokenizers;
