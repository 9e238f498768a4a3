//! What is asked: bodies of several sizes, streams of several lengths, stored answers.

use super::answers::Kind;
use super::ends::Request;
use super::peer::{Ask, Asked};
use std::time::Duration;

/// One kind of request.
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// For what.
    pub ask: Ask,
    /// How the upstream answers.
    pub kind: Kind,
    /// Bytes of the body of a request, about.
    pub bytes: usize,
    /// Between two pieces of a stream.
    pub cadence: Duration,
    /// Requests a second at which all that can keep up are compared.
    pub rates: &'static [f64],
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let plain = |name, bytes, rates| Scenario {
        name,
        ask: Ask::Fresh,
        kind: Kind::Whole,
        bytes,
        cadence: Duration::ZERO,
        rates,
    };
    let stream = |name, pieces, cadence, rates| Scenario {
        name,
        ask: Ask::Fresh,
        kind: Kind::Stream(pieces),
        bytes: 300,
        cadence: Duration::from_micros(cadence),
        rates,
    };
    vec![
        plain("pass_0.2kB", 200, &[100.0, 1000.0, 10000.0]),
        plain("pass_2kB", 2000, &[100.0, 1000.0]),
        plain("pass_50kB", 50_000, &[100.0, 1000.0]),
        plain("pass_1MB", 1_000_000, &[50.0]),
        stream("stream_20", 20, 1000, &[50.0, 500.0]),
        stream("stream_200", 200, 1000, &[10.0, 50.0]),
        stream("stream_2000", 2000, 500, &[2.0, 5.0]),
        Scenario { ask: Ask::Stored, ..plain("exact_hit", 200, &[1000.0, 10000.0]) },
    ]
}

impl Scenario {
    /// The requests of this kind to a peer that is asked like this.
    pub fn requests(&self, asked: &Asked, port: u16) -> Vec<Request> {
        let Asked { method, path, headers, model, .. } = asked;
        let head = |rest: &str| format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n{headers}{rest}\r\n");
        if *method == "GET" {
            return vec![Request { bytes: head("").into_bytes(), stamp: None }];
        }
        let (stream, pieces) = match self.kind {
            Kind::Stream(pieces) => (",\"stream\":true,\"stream_options\":{\"include_usage\":true}", pieces),
            _ => ("", 0),
        };
        // Fresh questions differ from one another; stored ones are a hundred.
        let count = if self.ask == Ask::Stored { 100 } else { 1 };
        let request = |index: usize| {
            let mut body = format!(
                "{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"pieces={pieces} Question {index:010} of the bench: "
            );
            let stamp = body.find(&format!("{index:010}"));
            let words = "why do we ask for what nobody needs to know? ";
            while body.len() + stream.len() + 40 < self.bytes {
                body.push_str(words);
            }
            body.push_str(&format!("\"}}],\"temperature\":0{stream}}}"));
            let head = head(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
            let stamp = stamp.map(|at| at + head.len()).filter(|_| self.ask == Ask::Fresh);
            Request { bytes: [head, body].concat().into_bytes(), stamp }
        };
        (0..count).map(request).collect()
    }
}
