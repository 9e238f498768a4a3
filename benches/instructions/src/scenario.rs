//! What is counted: whole requests at a gateway in this process, from its routes to its last byte, and searches in its index.
//!
//! A whole request is what goes through the edge, the pipeline, the cache and, where one is asked, a provider over a real socket; only
//! the HTTP of the caller's connection is not in it. It runs on one thread, with all tasks that it begins.

use super::counted::collected;
use super::upstream::{self, Answer};
use askonce::app::{App, Parts};
use askonce::config::{Draft, Overrides};
use askonce::types::clock::Clock;
use askonce_index::{Index, IndexConfig, ScopeKey};
use axum::body::Body;
use axum::extract::Request;
use http_body_util::BodyExt;
use std::sync::Arc;
use tower::ServiceExt;

/// All of them.
pub const NAMES: [&str; 6] =
    ["exact_hit", "exact_hit_50kB", "passthrough", "passthrough_50kB", "stream_200", "index_search"];

/// How often each is done: what is done now and then is shared, and so are differences of chance.
const TIMES: usize = 200;
/// What a process does once is done before.
const WARM_UP: usize = 50;

/// Does the scenario `name` inside [`collected`].
pub fn run(name: &str) -> Result<(), String> {
    match name {
        "exact_hit" => requests(Answer::Whole, body(200, false), "", "hit"),
        "exact_hit_50kB" => requests(Answer::Whole, body(50_000, false), "", "hit"),
        "passthrough" => requests(Answer::Whole, body(200, false), "no-store", "miss"),
        "passthrough_50kB" => requests(Answer::Whole, body(50_000, false), "no-store", "miss"),
        "stream_200" => requests(Answer::Stream(200), body(200, true), "no-store", "miss"),
        "index_search" => index_search(),
        _ => Err(format!("there is no scenario `{name}`; there are {}", NAMES.join(", "))),
    }
}

/// A request of about `bytes`, in several turns, the last of which is short.
fn body(bytes: usize, stream: bool) -> String {
    let earlier = "Tell me about one of the rivers of Europe, please, and about its towns. ".repeat(bytes / 72);
    format!(
        r#"{{"model":"m","stream":{stream},"messages":[{{"role":"system","content":"You are of help. {earlier}"}},{{"role":"user","content":"Which river is the longest?"}}]}}"#
    )
}

fn requests(answer: Answer, body: String, directive: &'static str, expected: &'static str) -> Result<(), String> {
    askonce::install_tls();
    let upstream = upstream::start(answer)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let app = runtime.block_on(app(&format!("http://{upstream}/v1")))?;
    let router = app.router(false);
    let ask = || -> Result<(), String> {
        let request = Request::post("/v1/chat/completions")
            .header("content-type", "application/json")
            .header("authorization", "Bearer sk-instructions-0123456789")
            .header("cache-control", directive)
            .body(Body::from(body.clone()))
            .map_err(|error| error.to_string())?;
        runtime.block_on(async {
            let Ok(response) = router.clone().oneshot(request).await;
            let cache =
                response.headers().get("x-askonce-cache").and_then(|value| value.to_str().ok()).map(str::to_owned);
            let status = response.status();
            let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
            match cache.as_deref() == Some(expected) {
                true => Ok(()),
                false => {
                    Err(format!("expected a {expected}, got {status}, {cache:?}: {}", String::from_utf8_lossy(&body)))
                }
            }
        })
    };
    if expected == "hit" {
        // The first is none.
        let _ = ask();
    }
    (0..WARM_UP).try_for_each(|_| ask())?;
    collected(|| (0..TIMES).try_for_each(|_| ask()))
}

/// A gateway with on what production has: a key below two accounts with budgets and rate limits, prices, the cache.
async fn app(base_url: &str) -> Result<App, String> {
    let yaml = format!(
        "
listen: 127.0.0.1:0
data_dir: /nonexistent
log: {{level: error}}
providers:
  - {{name: mock, kind: openai_compatible, base_url: '{base_url}', models: [m]}}
prices:
  - {{name: bench, provider: mock, model: m, price: {{input_usd_per_million_tokens: 2.5, output_usd_per_million_tokens: 10}}}}
cache: {{enabled: true, semantic: {{enabled: false}}}}
accounts:
  - {{name: org, kind: organisation, budgets: [{{usd: 1000000, per: month}}]}}
  - {{name: team, kind: team, in: org, budgets: [{{usd: 1000000, per: day}}]}}
auth:
  keys:
    - name: bench
      key: sk-instructions-0123456789
      account: team
      budgets: [{{usd: 100000, per: day}}]
      rate_limits: [{{requests: 100000000, per: minute}}, {{tokens: 100000000000, per: minute}}]
"
    );
    let draft = Draft::parse(yaml, "instructions.yaml", &Overrides::default(), Arc::new(|_: &str| None));
    let draft = draft.map_err(|error| error.to_string())?;
    let parts = Parts { embedder: None, clock: Clock::default(), persist: false };
    App::build(draft.settings(), parts).await.map_err(|error| error.to_string())
}

/// Searches in one scope, of which a graph is made.
fn index_search() -> Result<(), String> {
    const DIMENSIONS: usize = 384;
    const ENTRIES: u64 = 5_000;
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut number = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    let mut vector = || {
        let raw: Vec<f32> = (0..DIMENSIONS).map(|_| number()).collect();
        let length = raw.iter().map(|one| one * one).sum::<f32>().sqrt();
        raw.into_iter().map(|one| one / length).collect::<Vec<f32>>()
    };
    // Built by one thread, so that it is the same graph each time.
    let config = IndexConfig { graph_from: 1_000, threads: 1, ..IndexConfig::new(DIMENSIONS, "instructions") };
    let index = Index::in_memory(config).map_err(|error| error.to_string())?;
    let scope = ScopeKey([7; 16]);
    for id in 0..ENTRIES {
        index.insert(scope, id, &vector()).map_err(|error| error.to_string())?;
    }
    index.settle();
    let questions: Vec<Vec<f32>> = (0..TIMES).map(|_| vector()).collect();
    let found = collected(|| {
        let all = questions.iter().map(|question| index.nearest(scope, question, 8, 0.0));
        all.map(|near| near.map(|near| near.len())).sum::<Result<usize, _>>()
    });
    match found.map_err(|error| error.to_string())? {
        0 => Err("nothing was found".to_owned()),
        _ => Ok(()),
    }
}
