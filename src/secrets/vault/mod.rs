//! HashiCorp Vault and OpenBao, key-value engine of version 1 and 2
//! (<https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2>, <https://openbao.org/api-docs/secret/kv/kv-v2/>).
//!
//! - `session`: signing in, and the token that it gives, renewed before its lease ends

mod session;

use super::ask::{self, Failure, ask};
use super::document::Document;
use crate::config;
use crate::types::secret::Secret;
use http::Method;
use parking_lot::Mutex;
use session::Session;
use std::collections::HashMap;
use std::time::Duration;

const MAY_NOT: &str = "its policies do not let it be read by what askonce is signed in as";

/// Where a secret lies among the mounts.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Place {
    mount: String,
    path: String,
    version: u8,
    /// The version was told, by Vault or by the settings.
    sure: bool,
}

/// Vault, signed in to.
pub(super) struct Vault {
    api: Api,
    session: Session,
    kv_version: Option<u8>,
    /// Where each secret lies, once that was asked.
    places: Mutex<HashMap<String, Place>>,
}

/// Vault's HTTP API.
struct Api {
    client: reqwest::Client,
    address: String,
    namespace: Option<String>,
}

impl Api {
    /// Asks Vault: `token` is left out where it is signed in.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        token: Option<&Secret>,
        body: Option<serde_json::Value>,
    ) -> Result<(u16, Vec<u8>), Failure> {
        let url = format!("{}/v1/{path}", self.address);
        // Agents that stand before Vault may want this header against forged requests.
        let mut request = self.client.request(method, url).header("x-vault-request", "true");
        if let Some(namespace) = &self.namespace {
            request = request.header("x-vault-namespace", namespace);
        }
        if let Some(token) = token {
            request = request.header("x-vault-token", ask::header(token.expose())?);
        }
        ask(match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        })
        .await
    }
}

impl Vault {
    pub(super) fn new(settings: &config::Vault, timeout: Duration) -> Result<Vault, String> {
        let client = ask::client(&settings.address, settings.ca_file.as_deref(), timeout)?;
        Ok(Vault {
            api: Api { client, address: settings.address.clone(), namespace: settings.namespace.clone() },
            session: Session::new(settings.auth.clone()),
            kv_version: settings.kv_version,
            places: Mutex::default(),
        })
    }

    /// Renews the token where it is time to.
    pub(super) async fn tend(&self) -> Result<(), Failure> {
        self.session.tend(&self.api).await
    }

    pub(super) async fn read(&self, place: &str) -> Result<Document, Failure> {
        let mut again = true;
        loop {
            let token = self.session.token(&self.api).await?;
            let found = self.find(place, &token).await?;
            let data = if found.version == 2 { "data/" } else { "" };
            let path = format!("{}/{data}{}", encoded(&found.mount), encoded(&found.path));
            let (status, body) = self.api.ask(Method::GET, &path, Some(&token), None).await?;
            match status {
                200 => return document(&body, found.version),
                // The token may have been taken back before its time.
                401 | 403 if std::mem::take(&mut again) && self.session.forget(&token).await => {}
                404 => {
                    self.places.lock().remove(place);
                    return Err(not_there(&found, &body));
                }
                _ => return Err(Failure::refused(status, None, MAY_NOT)),
            }
        }
    }

    /// Under which mount a secret lies, and of which version that is: as Vault's own command line asks for it. Where that may not be
    /// asked, the mount is the first word and the version 2.
    async fn find(&self, place: &str, token: &Secret) -> Result<Place, Failure> {
        if let Some(found) = self.places.lock().get(place) {
            return Ok(found.clone());
        }
        let asked = match self.kv_version {
            Some(_) => None,
            None => {
                let path = format!("sys/internal/ui/mounts/{}", encoded(place));
                match self.api.ask(Method::GET, &path, Some(token), None).await? {
                    (200, body) => mounted(&ask::json(&body)?, place),
                    (status @ (429 | 500..), _) => return Err(Failure::refused(status, None, MAY_NOT)),
                    _ => None,
                }
            }
        };
        let guess = || {
            let (mount, path) = place.split_once('/').unwrap_or((place, ""));
            let (version, sure) = (self.kv_version.unwrap_or(2), self.kv_version.is_some());
            Place { mount: mount.to_owned(), path: path.to_owned(), version, sure }
        };
        let found = asked.unwrap_or_else(guess);
        if found.sure {
            self.places.lock().insert(place.to_owned(), found.clone());
        }
        Ok(found)
    }
}

/// What Vault says of the mount that `place` lies under.
fn mounted(answer: &serde_json::Value, place: &str) -> Option<Place> {
    let data = &answer["data"];
    let mount = data["path"].as_str()?.trim_matches('/');
    let path = place.strip_prefix(mount)?.strip_prefix('/')?;
    let version = if data["options"]["version"].as_str() == Some("2") { 2 } else { 1 };
    Some(Place { mount: mount.to_owned(), path: path.to_owned(), version, sure: true })
}

fn document(body: &[u8], version: u8) -> Result<Document, Failure> {
    let answer = ask::json(body)?;
    let data = if version == 2 { &answer["data"]["data"] } else { &answer["data"] };
    let fields = data.as_object().ok_or_else(|| {
        Failure::lasting(format!("its answer holds no secret of version {version} of the key-value engine"))
    })?;
    Ok(Document::of(fields))
}

/// A path that is not there, and one whose latest version was deleted.
fn not_there(found: &Place, body: &[u8]) -> Failure {
    let deleted = ask::json(body).is_ok_and(|answer| answer["data"]["metadata"]["deletion_time"].is_string());
    let why = match (deleted, found.sure) {
        (true, _) => "the latest version of it was deleted",
        (false, true) => "there is no such secret",
        (false, false) => {
            "there is no such secret, if the first word is the mount and its version is 2, which could not be asked; see \
             `secrets.vault.kv_version`"
        }
    };
    Failure { why: format!("{why} (status 404)"), passing: false, status: Some(404) }
}

/// A path, each of its segments encoded.
fn encoded(path: &str) -> String {
    let segments: Vec<String> = path.split('/').map(crate::wire::path::percent_encoded).collect();
    segments.join("/")
}
