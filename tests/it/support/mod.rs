//! What the stories are told with.
//!
//! - `gateway`: the real app on a free port of loopback
//! - `issuer`: an identity provider on a real socket
//! - `upstream`: a provider on a real socket that does as a script says
//! - `script`: what such a provider can say and do
//! - `reply`: what a caller gets
//! - `process`: the real binary
//! - `raw`: bytes on a socket

// Each story uses its part of this.
#![allow(dead_code)]

pub mod document;
pub mod gateway;
pub mod issuer;
pub mod process;
pub mod raw;
pub mod reply;
pub mod script;
pub mod store;
pub mod upstream;

pub use gateway::{Gateway, Given};
pub use reply::Reply;
pub use script::{Gate, Step};
pub use upstream::Upstream;

use serde_json::{Value, json};
use std::future::Future;
use std::time::Duration;

/// Nothing in these stories may take longer, unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `holds`, looking again and again; panics when it never does.
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain until {what}");
}

/// A chat request for model `m` with one user turn.
pub fn ask(question: &str) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": question}]})
}

/// `request` with `fields` put in.
pub fn with(mut request: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else { panic!("fields must be an object") };
    for (key, value) in fields {
        request[key.as_str()] = value;
    }
    request
}

/// `request`, streamed.
pub fn streamed(request: Value) -> Value {
    with(request, json!({"stream": true}))
}

/// The middle one.
pub fn median(mut values: Vec<Duration>) -> Duration {
    values.sort_unstable();
    values[values.len() / 2]
}
