//! Access tokens of Google Cloud: from a service account's key, from application default credentials, from the metadata
//! server (<https://google.aip.dev/auth/4110>). One is kept until shortly before it expires, and fetched by one request
//! while others wait for it.

mod file;
mod jwt;

use super::sentence;
use crate::config;
use crate::types::error::{Error, ErrorKind};
use crate::types::secret::Secret;
use file::Credentials;
use serde::Deserialize;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// What a token allows.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The metadata server of Google's machines.
const METADATA_HOST: &str = "metadata.google.internal";
const METADATA_PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
/// A token is renewed so long before it expires, or after half its life where that is later.
const MARGIN: Duration = Duration::from_secs(240);
/// A fetch may take so long.
const TIMEOUT: Duration = Duration::from_secs(10);
/// After a failure the next fetch waits so long; until then the failure is the answer.
const PAUSE: Duration = Duration::from_secs(1);
/// A token's reply may be this large.
const REPLY_BYTES: usize = 64 * 1024;

/// Where tokens come from, and the one that is there.
pub struct Tokens {
    source: Source,
    client: reqwest::Client,
    /// Whose tokens they are, as an error begins: ``Provider `v` ``.
    who: String,
    kept: Mutex<Kept>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("source", &self.source.word()).finish_non_exhaustive()
    }
}

enum Source {
    /// The credentials of a file, and where they are exchanged.
    File { credentials: Box<Credentials>, url: String },
    /// The metadata server.
    Metadata { url: String },
}

impl Source {
    fn word(&self) -> &'static str {
        match self {
            Source::File { credentials, .. } => credentials.word(),
            Source::Metadata { .. } => "metadata server",
        }
    }
}

#[derive(Default)]
struct Kept {
    token: Option<Token>,
    failed: Option<(Instant, Error)>,
}

struct Token {
    secret: Secret,
    renewed_from: Instant,
    expires: Instant,
}

/// Looks up one environment variable.
pub type Env<'e> = dyn Fn(&str) -> Option<OsString> + 'e;

impl Tokens {
    /// Finds the credentials of `who`, ``provider `v` `` say: those that the settings name, `GOOGLE_APPLICATION_CREDENTIALS`,
    /// gcloud's own file, and else the metadata server. With them the project that they are of. `connect` is how long connecting
    /// may take.
    pub fn new(
        who: &str,
        cloud: &config::Cloud,
        connect: Duration,
        env: &Env<'_>,
    ) -> Result<(Tokens, Option<String>), String> {
        let of_them = |message: String| format!("{who}: {message}");
        let credentials = credentials_file(cloud, env)
            .map(|path| Credentials::read(&path).map_err(|error| of_them(format!("{}: {error}", path.display()))))
            .transpose()?;
        let own_url = cloud.token_url.clone();
        let project = credentials.as_ref().and_then(|one| one.project().map(str::to_owned));
        let source = match credentials {
            Some(credentials) => {
                let url = own_url.unwrap_or_else(|| credentials.token_url().to_owned());
                Source::File { credentials: Box::new(credentials), url }
            }
            None => Source::Metadata {
                url: own_url.unwrap_or_else(|| {
                    let host = env("GCE_METADATA_HOST").and_then(|host| host.into_string().ok());
                    format!("http://{}{METADATA_PATH}", host.as_deref().unwrap_or(METADATA_HOST))
                }),
            },
        };
        let url = match &source {
            Source::File { url, .. } | Source::Metadata { url } => url,
        };
        let client = client(connect, url).map_err(|error| of_them(format!("no HTTP client for tokens: {error}")))?;
        let tokens = Tokens { source, client, who: sentence(who), kept: Mutex::default() };
        Ok((tokens, project))
    }

    /// A token that holds for a while yet.
    pub async fn token(&self) -> Result<Secret, Error> {
        let mut kept = self.kept.lock().await;
        let now = Instant::now();
        if let Some(token) = kept.token.as_ref().filter(|token| now < token.renewed_from) {
            return Ok(token.secret.clone());
        }
        let fetched = match kept.failed.take_if(|(when, _)| now < *when + PAUSE) {
            Some((when, error)) => {
                kept.failed = Some((when, error.clone()));
                Err(error)
            }
            None => self.fetch().await.inspect_err(|error| kept.failed = Some((Instant::now(), error.clone()))),
        };
        match (fetched, &kept.token) {
            (Ok(token), _) => {
                let secret = token.secret.clone();
                *kept = Kept { token: Some(token), failed: None };
                Ok(secret)
            }
            // It cannot be renewed, and still holds.
            (Err(_), Some(token)) if Instant::now() < token.expires => Ok(token.secret.clone()),
            (Err(error), _) => Err(error),
        }
    }

    /// Forgets `token`, which was refused.
    pub async fn forget(&self, token: &Secret) {
        let mut kept = self.kept.lock().await;
        kept.token.take_if(|known| known.secret == *token);
    }

    async fn fetch(&self) -> Result<Token, Error> {
        let request = match &self.source {
            Source::Metadata { url } => self.client.get(url).header("metadata-flavor", "Google"),
            Source::File { credentials, url } => {
                let form = credentials.form(url, SCOPE).map_err(|why| self.failed(ErrorKind::Internal, &why))?;
                self.client.post(url).header("content-type", "application/x-www-form-urlencoded").body(form)
            }
        };
        let asked = Instant::now();
        let (status, body) = tokio::time::timeout(TIMEOUT, read(request))
            .await
            .map_err(|_| self.failed(ErrorKind::UpstreamTimeout, "it did not answer in time"))?
            .map_err(|why| self.failed(ErrorKind::UpstreamUnreachable, why))?;
        if !(200..300).contains(&status) {
            let why = format!("status {status}{}", told(&body));
            return Err(match status {
                408 | 429 | 500..=599 => self.failed(ErrorKind::UpstreamStatus(503), &why),
                _ => self.failed(ErrorKind::UpstreamStatus(401), &why).with_code("upstream_unauthorized"),
            });
        }
        let reply: TokenReply = serde_json::from_slice(&body)
            .map_err(|_| self.failed(ErrorKind::UpstreamBroken, "its reply holds no `access_token`"))?;
        let life = Duration::from_secs(reply.expires_in.unwrap_or(3600).min(86_400));
        let usable = life.saturating_sub(MARGIN).max(life / 2);
        Ok(Token { secret: Secret::new(reply.access_token), renewed_from: asked + usable, expires: asked + life })
    }

    fn failed(&self, kind: ErrorKind, why: &str) -> Error {
        let from = self.source.word();
        let message = format!("{} gets no access token from its {from}: {why}.", self.who);
        Error::new(kind, message)
    }
}

/// The file that holds credentials, if one is named or gcloud has written one.
fn credentials_file(cloud: &config::Cloud, env: &Env<'_>) -> Option<PathBuf> {
    if let Some(path) = &cloud.credentials_file {
        return Some(path.clone());
    }
    if let Some(path) = env("GOOGLE_APPLICATION_CREDENTIALS").filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    let folder = match env("CLOUDSDK_CONFIG").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env("HOME")?).join(".config/gcloud"),
    };
    Some(folder.join("application_default_credentials.json")).filter(|path| path.is_file())
}

/// No proxy stands before the metadata server, nor before this machine.
fn client(connect: Duration, url: &str) -> Result<reqwest::Client, reqwest::Error> {
    let builder =
        if url.starts_with("http://") { reqwest::Client::builder().no_proxy() } else { reqwest::Client::builder() };
    builder
        .connect_timeout(connect)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("askonce/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Sends and reads, at most so much. What is wrong is told without the URL or the request.
async fn read(request: reqwest::RequestBuilder) -> Result<(u16, Vec<u8>), &'static str> {
    let mut response = request.send().await.map_err(|_| "it cannot be reached")?;
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|_| "it broke off")? {
        if body.len() + piece.len() > REPLY_BYTES {
            return Err("its reply is too large");
        }
        body.extend_from_slice(&piece);
    }
    Ok((response.status().as_u16(), body))
}

/// The word of an error reply, such as `invalid_grant`, and nothing that could quote what was sent.
fn told(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refused {
        error: String,
    }
    let word = serde_json::from_slice::<Refused>(body).map(|refused| refused.error).unwrap_or_default();
    let plain = !word.is_empty() && word.len() < 40 && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if plain { format!(", `{word}`") } else { String::new() }
}

#[derive(Deserialize)]
struct TokenReply {
    access_token: String,
    expires_in: Option<u64>,
}

#[cfg(test)]
mod tests;
