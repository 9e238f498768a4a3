//! Files of credentials: a service account's key, and what `gcloud auth application-default login` writes.

use super::jwt;
use serde::Deserialize;
use std::io::Read;
use std::path::Path;

/// Google's token endpoint.
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";

/// A file of credentials may be this large.
const FILE_BYTES: u64 = 64 * 1024;

/// Credentials that a token is given for. They have no `Debug`, so that nothing can print them.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Credentials {
    /// The key of a service account.
    ServiceAccount(ServiceAccount),
    /// A user's own, by a refresh token.
    AuthorizedUser(User),
}

#[derive(Deserialize)]
pub(super) struct ServiceAccount {
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
    project_id: Option<String>,
    token_uri: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct User {
    client_id: String,
    client_secret: String,
    refresh_token: String,
    quota_project_id: Option<String>,
}

impl Credentials {
    /// Reads a file, and sees whether its key can be used. The error quotes nothing of it.
    pub(super) fn read(path: &Path) -> Result<Credentials, String> {
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(|error| format!("cannot be opened: {error}"))?;
        file.take(FILE_BYTES).read_to_string(&mut text).map_err(|error| format!("cannot be read: {error}"))?;
        #[derive(Deserialize)]
        struct Kind {
            r#type: String,
        }
        let kind = serde_json::from_str::<Kind>(&text).map_err(|_| "is no file of Google's credentials")?.r#type;
        if !matches!(kind.as_str(), "service_account" | "authorized_user") {
            let kind: String = kind.chars().take(40).collect();
            return Err(format!(
                "holds credentials of the type `{kind}`; `service_account` and `authorized_user` are known"
            ));
        }
        let credentials: Credentials =
            serde_json::from_str(&text).map_err(|_| format!("lacks a field that a `{kind}` has"))?;
        if let Credentials::ServiceAccount(account) = &credentials {
            jwt::key(&account.private_key)?;
        }
        Ok(credentials)
    }

    /// What they are, for messages.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Credentials::ServiceAccount(_) => "service account",
            Credentials::AuthorizedUser(_) => "user credentials",
        }
    }

    /// The project that they are of.
    pub(super) fn project(&self) -> Option<&str> {
        match self {
            Credentials::ServiceAccount(account) => account.project_id.as_deref(),
            Credentials::AuthorizedUser(user) => user.quota_project_id.as_deref(),
        }
    }

    /// Where they are exchanged for tokens.
    pub(super) fn token_url(&self) -> &str {
        match self {
            Credentials::ServiceAccount(account) => account.token_uri.as_deref().unwrap_or(TOKEN_URL),
            Credentials::AuthorizedUser(_) => TOKEN_URL,
        }
    }

    /// The form that asks for a token: a signed assertion (RFC 7523), or a refresh token (RFC 6749).
    pub(super) fn form(&self, url: &str, scope: &str) -> Result<String, String> {
        let fields = match self {
            Credentials::ServiceAccount(account) => {
                let claims = jwt::Claims { issuer: &account.client_email, audience: url, scope, now: jwt::now() };
                let assertion = jwt::signed(&account.private_key, account.private_key_id.as_deref(), &claims)?;
                vec![("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned()), ("assertion", assertion)]
            }
            Credentials::AuthorizedUser(user) => vec![
                ("grant_type", "refresh_token".to_owned()),
                ("client_id", user.client_id.clone()),
                ("client_secret", user.client_secret.clone()),
                ("refresh_token", user.refresh_token.clone()),
            ],
        };
        let pair = |(name, value): (&str, String)| format!("{name}={}", crate::wire::path::percent_encoded(&value));
        Ok(fields.into_iter().map(pair).collect::<Vec<_>>().join("&"))
    }
}
