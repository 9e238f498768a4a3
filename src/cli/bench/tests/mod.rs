//! The load generator against the mock upstream, each of them against hyper, which we did not write, and the options.
//!
//! Here: what both share.

mod load;
mod mock;
mod options;

use super::client::Endpoint;
use super::load::{Expected, Load, Request};
use super::mock::{MODEL, MockSettings, mark, serve};
use super::questions::{chat_body, numbered};
use super::stop::Stop;
use std::net::TcpListener;
use std::time::Duration;

const PROMPT: MockSettings = MockSettings { latency: Duration::ZERO, chunk_latency: Duration::ZERO, chunks: 6 };

fn start_mock(settings: MockSettings) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || serve(&listener, settings));
    Endpoint::local(port)
}

fn requests(endpoint: &Endpoint, count: usize, stream: bool) -> Vec<Request> {
    let request = |question: String| Request {
        wire: endpoint.post_chat("", &chat_body(MODEL, &question, stream)),
        mark: Some(mark(&question)),
    };
    (0..count).map(|index| request(numbered(index))).collect()
}

fn load<'a>(endpoint: &'a Endpoint, requests: &'a [Request], stop: &'a Stop) -> Load<'a> {
    Load { endpoint, requests, expected: Expected::default(), connections: 4, timeout: Duration::from_secs(10), stop }
}
