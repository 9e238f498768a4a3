//! `Reply`: what a caller got, whole.

use super::PATIENCE;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;
use std::time::Instant;

/// A reply, read to its end.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// When its last byte was read.
    pub ended: Instant,
}

impl Reply {
    /// Sends `request` and reads the reply.
    pub async fn of(request: reqwest::RequestBuilder) -> Reply {
        let (client, request) = request.build_split();
        let request = request.expect("a request");
        let (method, url) = (request.method().clone(), request.url().clone());
        let read = tokio::time::timeout(PATIENCE, async {
            let response = client.execute(request).await?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            Ok::<_, reqwest::Error>((status, headers, response.bytes().await?))
        });
        let (status, headers, body) = read.await.expect("the reply took too long").expect("a whole reply");
        let reply = Reply { status, headers, body, ended: Instant::now() };
        super::document::hold(&method, &url, &reply);
        reply
    }

    /// A header's value; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// `x-askonce-cache`, and behind a slash the tier or the reason.
    pub fn cache(&self) -> String {
        let detail = match self.header("x-askonce-tier") {
            "" => self.header("x-askonce-reason"),
            tier => tier,
        };
        format!("{}/{detail}", self.header("x-askonce-cache"))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The data of each event of a streamed body.
    pub fn events(&self) -> Vec<String> {
        let body = std::str::from_utf8(&self.body).unwrap();
        let data = body.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
        data.map(str::to_owned).collect()
    }

    /// The chunks of a streamed body, without `[DONE]`.
    pub fn chunks(&self) -> Vec<Value> {
        let events = self.events();
        let chunks = events.iter().filter(|data| *data != "[DONE]");
        chunks.map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    /// The words of the answer's first choice, streamed or not.
    pub fn words(&self) -> String {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        if self.header("content-type").starts_with("text/event-stream") {
            let chunks = self.chunks();
            let words = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str());
            return words.collect();
        }
        self.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
    }

    /// The answer's id, streamed or not.
    pub fn id(&self) -> String {
        let first = if self.header("content-type").starts_with("text/event-stream") {
            self.chunks().swap_remove(0)
        } else {
            self.json()
        };
        first["id"].as_str().unwrap().to_owned()
    }

    /// The code of an error, after a check that it has OpenAI's shape and no other.
    pub fn error(&self) -> (u16, String) {
        let json = self.json();
        let keys = |value: &Value| -> Vec<String> {
            let object = value.as_object().unwrap_or_else(|| panic!("no error: {json}"));
            object.keys().cloned().collect()
        };
        assert_eq!(keys(&json), ["error"], "{json}");
        let mut fields = keys(&json["error"]);
        fields.sort();
        assert_eq!(fields, ["code", "message", "param", "type"], "{json}");
        let error = &json["error"];
        assert!(error["message"].as_str().is_some_and(|text| text.len() > 5), "{json}");
        assert!(error["type"].as_str().is_some_and(|text| text.len() > 5), "{json}");
        assert!(self.header("content-type").starts_with("application/json"));
        (self.status, error["code"].as_str().unwrap_or_default().to_owned())
    }
}
