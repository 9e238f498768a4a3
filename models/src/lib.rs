//! Sentence embedding on the host: text in, unit vectors out.
//!
//! This package knows nothing of caches or HTTP serving. Its files:
//!
//! - `manifest`: which models there are, pinned by revision and checksum
//! - `store`: the folder they are kept in; `fetch`: how they get there
//! - `embedder`: the front door; `asker`: who asks; `memo`: what was asked before; `stats`: what was done
//! - `queue`: texts that wait, in `lines` by asker; `batch`: how many go together; `worker` and `pin`: the threads;
//!   `bulk`: many texts at once
//! - `tokenize`: text → token ids; `reading`: long texts in windows; `backend`: token ids → unit vectors
//! - `bert`, `weights`, `pooling`, `device`, `cores`: the candle backend; `fake`: one without weights
//! - `precision`: in which arithmetic, on which kernels; `engine`: a model folder → tokenizer and backend
//! - `bench`: latency by length; `error`: everything that can go wrong

mod asker;
mod backend;
mod batch;
mod bench;
mod bert;
mod bulk;
mod cores;
mod device;
mod embedder;
mod engine;
mod error;
mod fake;
mod fetch;
mod lines;
mod manifest;
mod memo;
mod pin;
mod pooling;
mod precision;
mod queue;
mod reading;
mod stats;
mod store;
mod tokenize;
mod weights;
mod worker;

pub use asker::Asker;
pub use backend::{Backend, TokenBatch};
pub use bench::{BenchOptions, BenchRow, bench};
pub use cores::stop_candle_counting_cores;
pub use device::Device;
pub use embedder::{Embedder, EmbedderSettings, EmbedderSpec, Embedding};
pub use error::{EmbedError, ModelError};
pub use fetch::{PullProgress, PullSources, Pulled, Quiet};
pub use manifest::{Architecture, FileEntry, ModelManifest, Pooling, PythonPackage, Source, manifest, manifests};
pub use pin::Pin;
pub use precision::{Kernels, Precision};
pub use reading::LongText;
pub use stats::{BATCH_ROWS, EmbedderStats, MemoStats};
pub use store::{InstalledModel, ModelStore, Verified};
pub use tokenize::{TextTokenizer, Tokens};
