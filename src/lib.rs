//! askonce: an AI gateway that pays for each answer once.
//!
//! Modules stand on floors and import from lower floors only (`tests/floors.rs` holds them to it):
//!
//! | floor | modules |
//! |---|---|
//! | 7 | `cli` |
//! | 6 | `app` |
//! | 5b | `api` `admin` `replay` |
//! | 5a | `edge` |
//! | 4 | `pipeline` |
//! | 3 | `cache` `routing` `providers` `governance` `guardrails` `secrets` |
//! | 2 | `store` `credentials` |
//! | 1b | `telemetry` |
//! | 1a | `config` `wire` |
//! | 0 | `types` |

pub mod admin;
pub mod api;
pub mod app;
pub mod cache;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod edge;
pub mod governance;
pub mod guardrails;
pub mod pipeline;
pub mod providers;
pub mod replay;
pub mod routing;
pub mod secrets;
pub mod store;
pub mod telemetry;
pub mod types;
pub mod wire;

/// Makes `ring` the process's cryptography for TLS. To be called before the first TLS connection; again does nothing.
pub fn install_tls() {
    // An error means that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
