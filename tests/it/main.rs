//! Stories against the real gateway over HTTP: one binary, a file per behaviour.

mod support;

mod admin;
mod admission;
mod bad_input;
mod binary;
mod cache;
mod canary;
mod conditions;
mod counts;
mod doors;
mod embeddings;
mod fallback;
mod flight;
mod follow_ups;
mod judgement;
mod keeping;
mod ollama;
mod orders;
mod passthrough;
mod persistence;
mod providers;
mod queue;
mod recording;
mod relay;
mod replay;
mod routes;
mod routing;
mod shadow;
mod streaming;
mod surfaces;
mod tenants;
mod topics;
mod trailers;
mod vectors;
mod warm_up;
