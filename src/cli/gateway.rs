//! A gateway that runs, and its admin API, for commands that speak to it.

use crate::config::{self, Overrides};
use reqwest::Url;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// Which gateway, and the key to its administration.
#[derive(clap::Args)]
pub(super) struct Gateway {
    /// The gateway.
    #[arg(long, env = "ASKONCE_URL", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    url: String,
    /// The admin key [default: that in the file admin.key of the data directory].
    #[arg(long, env = "ASKONCE_ADMIN_KEY", hide_env_values = true, value_name = "KEY")]
    admin_key: Option<String>,
    /// The data directory of the gateway, for its admin key [default: as for serve].
    #[arg(long, env = "ASKONCE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Text of others, for a terminal: no control characters, and not long.
pub(super) fn one_line(text: &str) -> String {
    text.chars().take(100).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A gateway's admin API.
pub(super) struct Admin {
    base: Url,
    pub(super) key: String,
    pub(super) client: reqwest::Client,
}

impl Gateway {
    /// It, as these arguments name it.
    pub(super) fn admin(&self) -> Result<Admin, String> {
        let base = Url::parse(&self.url).map_err(|error| format!("--url {}: {error}", self.url))?;
        let client = reqwest::Client::builder()
            // The key goes where it was meant to go, and nowhere else.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(600))
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Admin { base, key: self.key()?, client })
    }

    fn key(&self) -> Result<String, String> {
        if let Some(key) = self.admin_key.as_deref().map(str::trim).filter(|key| !key.is_empty()) {
            return Ok(key.to_owned());
        }
        let overrides = Overrides { data_dir: self.data_dir.clone(), ..Overrides::default() };
        let settings = config::defaults(&overrides).map_err(|error| error.to_string())?;
        let file = settings.data_dir.join("admin.key");
        std::fs::read_to_string(&file).map(|key| key.trim().to_owned()).map_err(|error| {
            format!("{}: {error}; give the admin key with --admin-key or ASKONCE_ADMIN_KEY", file.display())
        })
    }
}

impl Admin {
    /// The URL of a path, with a query.
    pub(super) fn at(&self, path: &str, query: &[(&str, &str)]) -> Result<Url, String> {
        let mut url = self.base.join(path).map_err(|error| error.to_string())?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    /// What the gateway says to a request, JSON; its error in words.
    pub(super) async fn told(request: reqwest::RequestBuilder) -> Result<Value, String> {
        let (_, text) = Admin::said(request).await?;
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        match value.is_object() || text.is_empty() {
            true => Ok(value),
            false => Err(format!("the gateway said: {}", one_line(&text))),
        }
    }

    /// What the gateway says to a request, with its headers; its error in words.
    pub(super) async fn said(request: reqwest::RequestBuilder) -> Result<(reqwest::header::HeaderMap, String), String> {
        let reply =
            request.send().await.map_err(|error| format!("the gateway cannot be reached: {error}; see --url"))?;
        let (status, headers) = (reply.status(), reply.headers().clone());
        let text = reply.text().await.map_err(|error| format!("the gateway's reply broke off: {error}"))?;
        if status.is_success() {
            return Ok((headers, text));
        }
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        let said = value["error"]["message"].as_str().map_or_else(|| one_line(&text), str::to_owned);
        Err(format!("the gateway said {status}: {said}"))
    }
}
