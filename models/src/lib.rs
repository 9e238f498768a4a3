//! Sentence embedding on the host: text in, unit vectors out.
//!
//! This package knows nothing of caches or HTTP serving. Its files:
//!
//! - `manifest`: which models there are, pinned by revision and checksum; `lock`: pinned by their first pull
//! - `store`: the folder they are kept in; `fetch`: how they get there
//! - `embedder`: the front door; `asker`: who asks; `memo`: what was asked before; `stats`: what was done
//! - `queue`: texts that wait, in `lines` by asker; `batch`: how many go together; `worker` and `affinity`: the threads;
//!   `bulk`: many texts at once
//! - `tokenize`: text → token ids; `reading`: long texts in windows; `backend`: token ids → unit vectors
//! - `cpu`: our own encoder for the processor
//! - `bert`, `weights`, `pooling`: what every engine for BERT reads and does; `candle`, `device`, `cores`: the engine on
//!   candle; `static_table`: models that are a table; `fake`: a backend without weights
//! - `precision`: in which arithmetic, on which kernels; `engine`: a model folder → tokenizer and backend
//! - `bench`: how long embedding takes, beside what the memory allows; `error`: everything that can go wrong

mod affinity;
mod asker;
mod backend;
mod batch;
pub mod bench;
mod bert;
mod bulk;
mod candle;
mod cores;
mod cpu;
mod device;
mod embedder;
mod engine;
mod error;
mod fake;
mod fetch;
mod lines;
mod lock;
mod manifest;
mod memo;
mod pooling;
mod precision;
mod queue;
mod reading;
mod static_table;
mod stats;
mod store;
mod tokenize;
mod weights;
mod worker;

pub use affinity::Affinity;
pub use asker::Asker;
pub use backend::{Backend, TokenBatch};
pub use cores::stop_candle_counting_cores;
pub use device::Device;
pub use embedder::{Embedder, EmbedderSettings, EmbedderSpec, Embedding};
pub use error::{EmbedError, ModelError};
pub use fetch::{PullProgress, PullSources, Pulled, Quiet};
pub use lock::LOCK_FILE;
pub use manifest::{
    Architecture, FileEntry, ModelManifest, Pin, Pooling, PrecisionReport, PrecisionReports, Precisions, Prefix,
    PythonPackage, Role, Source, Table, manifest, manifests,
};
pub use precision::{Kernels, Precision};
pub use reading::LongText;
pub use stats::{BATCH_ROWS, EmbedderStats, MemoStats};
pub use store::{InstalledModel, ModelStore, Verified};
pub use tokenize::{TextTokenizer, Tokens};
