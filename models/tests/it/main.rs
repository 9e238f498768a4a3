//! The package from outside: embedding with a small random model, loading of broken files, pulling from every source,
//! and, where real weights are at hand, the default model.

mod accuracy_figures;
mod bench;
mod embedding;
mod loading;
mod pulling;
mod real_weights;
mod support;
