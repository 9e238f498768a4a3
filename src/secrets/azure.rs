//! Azure Key Vault (<https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret>).

use super::ask::{self, Failure, ask};
use super::document::Document;
use crate::config;
use crate::credentials::entra::{Application, Tokens};
use crate::types::secret::Secret;
use crate::wire::path::percent_encoded;
use http::header::AUTHORIZATION;
use std::time::Duration;

const VERSION: &str = "7.4";
const MAY_NOT: &str = "what it is signed in with may not read the secret; it needs the role `Key Vault Secrets User`";

/// Azure Key Vault.
pub(super) struct Azure {
    client: reqwest::Client,
    tokens: Tokens,
    domain: String,
    endpoint: Option<String>,
}

impl Azure {
    pub(super) fn new(settings: &config::AzureSecrets, timeout: Duration) -> Result<Azure, String> {
        let cloud = &settings.cloud;
        let (Some(tenant), Some(client_id), Some(client_secret)) =
            (&cloud.tenant_id, &cloud.client_id, &cloud.client_secret)
        else {
            return Err("nothing says how it is signed in to; see `secrets.azure`".to_owned());
        };
        // Azure's own clouds have addresses of their own.
        let entra = match settings.domain.rsplit('.').next() {
            Some("cn") => "login.chinacloudapi.cn",
            _ if settings.domain.contains("usgovcloudapi") => "login.microsoftonline.us",
            _ => "login.microsoftonline.com",
        };
        let own = || format!("https://{entra}/{}/oauth2/v2.0/token", percent_encoded(tenant));
        let application = Application {
            token_url: cloud.token_url.clone().unwrap_or_else(own),
            client_id: client_id.clone(),
            client_secret: client_secret.clone(),
            scope: format!("https://{}/.default", settings.domain),
        };
        let sign_in = ask::client(&application.token_url, None, timeout)?;
        let client = ask::client(settings.endpoint.as_deref().unwrap_or("https://"), None, timeout)?;
        let tokens = Tokens::new(application, sign_in, "the store `azure-kv`");
        Ok(Azure { client, tokens, domain: settings.domain.clone(), endpoint: settings.endpoint.clone() })
    }

    pub(super) async fn read(&self, place: &str) -> Result<Document, Failure> {
        let (vault, secret) = place.split_once('/').unwrap_or((place, ""));
        let address = self.endpoint.clone().unwrap_or_else(|| format!("https://{vault}.{}", self.domain));
        let url = format!("{address}/secrets/{secret}?api-version={VERSION}");
        let mut again = true;
        loop {
            let token = self.tokens.token().await.map_err(|error| Failure::passing(error.message))?;
            let bearer = ask::bearer(&token)?;
            let (status, body) = ask(self.client.get(&url).header(AUTHORIZATION, bearer)).await?;
            match status {
                200 => {
                    let answer = ask::json(&body)?;
                    let text =
                        answer["value"].as_str().ok_or_else(|| Failure::lasting("its answer holds no secret"))?;
                    return Ok(Document::Text(Secret::new(text)));
                }
                // A token may be taken back before its time.
                401 if std::mem::take(&mut again) => self.tokens.forget(&token).await,
                _ => return Err(Failure::refused(status, ask::word(&body, "/error/code").as_deref(), MAY_NOT)),
            }
        }
    }
}
