//! Google Cloud's Secret Manager
//! (<https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access>).

use super::ask::{self, Failure, ask};
use super::document::Document;
use crate::config;
use crate::credentials::google_token::{Env, Tokens};
use crate::types::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use std::time::Duration;

const ADDRESS: &str = "https://secretmanager.googleapis.com";
const MAY_NOT: &str =
    "what it is signed in with may not read the secret; it needs the role `roles/secretmanager.secretAccessor`";

/// Google Cloud's Secret Manager.
pub(super) struct Gcp {
    client: reqwest::Client,
    tokens: Tokens,
    endpoint: Option<String>,
}

impl Gcp {
    pub(super) fn new(settings: &config::GcpSecrets, timeout: Duration, env: &Env<'_>) -> Result<Gcp, String> {
        let (tokens, _) = Tokens::new("the store `gcp-sm`", &settings.cloud, timeout, env)?;
        let client = ask::client(settings.endpoint.as_deref().unwrap_or(ADDRESS), None, timeout)?;
        Ok(Gcp { client, tokens, endpoint: settings.endpoint.clone() })
    }

    pub(super) async fn read(&self, place: &str) -> Result<Document, Failure> {
        // A regional secret lies at an address of its region.
        let region = place.split_once("/locations/").and_then(|(_, rest)| rest.split('/').next());
        let own = region.map(|region| format!("https://secretmanager.{region}.rep.googleapis.com"));
        let address = self.endpoint.clone().or(own).unwrap_or_else(|| ADDRESS.to_owned());
        let url = format!("{address}/v1/{place}:access");
        let mut again = true;
        loop {
            let token = self.tokens.token().await.map_err(|error| Failure::passing(error.message))?;
            let bearer = ask::bearer(&token)?;
            let (status, body) = ask(self.client.get(&url).header(AUTHORIZATION, bearer)).await?;
            match status {
                200 => return document(&body),
                // A token may be taken back before its time.
                401 if std::mem::take(&mut again) => self.tokens.forget(&token).await,
                _ => return Err(Failure::refused(status, ask::word(&body, "/error/status").as_deref(), MAY_NOT)),
            }
        }
    }
}

fn document(body: &[u8]) -> Result<Document, Failure> {
    let answer = ask::json(body)?;
    let payload = &answer["payload"];
    let bytes = payload["data"].as_str().and_then(|text| STANDARD.decode(text).ok());
    let bytes = bytes.ok_or_else(|| Failure::lasting("its answer holds no secret"))?;
    // Google writes 64-bit numbers as text.
    let told = payload["dataCrc32c"].as_str().and_then(|text| text.parse::<u32>().ok());
    if told.is_some_and(|told| told != crc32c(&bytes)) {
        return Err(Failure::passing("what it sent was damaged on the way"));
    }
    let text = String::from_utf8(bytes).map_err(|_| Failure::lasting("it holds no text"))?;
    Ok(Document::Text(Secret::new(text)))
}

/// CRC-32C (Castagnoli), bit by bit: a secret is short.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_castagnoli() {
        // RFC 3720, appendix B.4, and the usual check of nine digits.
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
    }
}
