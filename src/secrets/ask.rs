//! One request to a store over HTTP, and what its refusals mean.

use crate::types::secret::Secret;
use http::header::HeaderValue;
use reqwest::{Certificate, RequestBuilder};
use std::path::Path;
use std::time::Duration;

/// An answer may be this large; the largest secret of any store has a quarter of it.
const ANSWER_BYTES: usize = 256 << 10;
/// A file of certificates may be this large.
const CA_BYTES: u64 = 1 << 20;
const CONNECT: Duration = Duration::from_secs(5);
/// A store's word for a refusal is no longer than this.
const WORD_CHARS: usize = 60;

/// Why a secret could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Failure {
    /// In words, without any value.
    pub(super) why: String,
    /// It may go better at once.
    pub(super) passing: bool,
    /// The status that was answered, if one was.
    pub(super) status: Option<u16>,
}

impl Failure {
    /// Another try will not help.
    pub(super) fn lasting(why: impl Into<String>) -> Failure {
        Failure { why: why.into(), passing: false, status: None }
    }

    /// Another try may help.
    pub(super) fn passing(why: impl Into<String>) -> Failure {
        Failure { why: why.into(), passing: true, status: None }
    }

    /// A refusal by `status`, with the store's word for it. `may` is what 401 and 403 mean there.
    pub(super) fn refused(status: u16, word: Option<&str>, may: &str) -> Failure {
        let told = word.map(|word| format!(", `{word}`")).unwrap_or_default();
        let what = match status {
            401 | 403 => may,
            404 => "there is no such secret",
            429 => "it is asked too often",
            300..=399 => "it points to another address, which is not followed",
            500..=599 => "it is not well",
            _ => "it refused to tell",
        };
        let passing = matches!(status, 408 | 429 | 500..=599);
        Failure { why: format!("{what} (status {status}{told})"), passing, status: Some(status) }
    }
}

/// A client for a store at `url`. Redirects are not followed: one would carry the token to wherever it points.
pub(super) fn client(url: &str, ca_file: Option<&Path>, timeout: Duration) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT.min(timeout))
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("askonce/", env!("CARGO_PKG_VERSION")));
    if url.starts_with("http://") {
        builder = builder.no_proxy();
    }
    if let Some(path) = ca_file {
        let wrong = |why: &str| format!("the certificates in {}: {why}", path.display());
        let large = std::fs::metadata(path).map_err(|error| wrong(&error.kind().to_string()))?.len() > CA_BYTES;
        let pem =
            if large { Vec::new() } else { std::fs::read(path).map_err(|error| wrong(&error.kind().to_string()))? };
        let all = Certificate::from_pem_bundle(&pem).unwrap_or_default();
        if all.is_empty() {
            return Err(wrong("the file holds none in PEM form"));
        }
        builder = builder.tls_certs_merge(all);
    }
    builder.build().map_err(|_| "no HTTP client can be built for it".to_owned())
}

/// Sends and reads. What goes wrong is told without the address or the request.
pub(super) async fn ask(request: RequestBuilder) -> Result<(u16, Vec<u8>), Failure> {
    let reason = |error: reqwest::Error| {
        Failure::passing(if error.is_timeout() { "it did not answer in time" } else { "it cannot be reached" })
    };
    let mut answer = request.send().await.map_err(reason)?;
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|_| Failure::passing("it broke off"))? {
        if body.len() + piece.len() > ANSWER_BYTES {
            return Err(Failure::lasting("its answer is too large"));
        }
        body.extend_from_slice(&piece);
    }
    Ok((answer.status().as_u16(), body))
}

/// The JSON of an answer. What is wrong with it is told without any of it.
pub(super) fn json(body: &[u8]) -> Result<serde_json::Value, Failure> {
    serde_json::from_slice(body).map_err(|_| Failure::lasting("its answer is no JSON"))
}

/// The word at `path` of an error in JSON, such as `PERMISSION_DENIED`: letters and the like, so that it quotes nothing.
pub(super) fn word(body: &[u8], path: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let text = value.pointer(path)?.as_str()?;
    // AWS writes a namespace before its words.
    let word = text.rsplit_once('#').map_or(text, |(_, word)| word);
    let plain = word.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
    (plain && !word.is_empty() && word.len() <= WORD_CHARS).then(|| word.to_owned())
}

/// A token as the value of `authorization`.
pub(super) fn bearer(token: &Secret) -> Result<HeaderValue, Failure> {
    header(&format!("Bearer {}", token.expose()))
}

/// A secret as the value of a header.
pub(super) fn header(text: &str) -> Result<HeaderValue, Failure> {
    let mut value =
        HeaderValue::from_str(text).map_err(|_| Failure::lasting("a token holds characters that HTTP forbids"))?;
    value.set_sensitive(true);
    Ok(value)
}
