//! Tests of the stores over real sockets: what they are asked, what is made of their answers, and what becomes of it when they fail.

mod clouds;
mod keeping;
mod leaks;
mod vault;

use super::{Secrets, SecretsError};
use crate::config::{Draft, Overrides};
use crate::credentials::stub::{Asked, Said};
use std::collections::HashMap;
use std::sync::Arc;

/// What every value of these tests has in it.
const HUSH: &str = "hush-0123456789-hush";

/// A draft of `secrets`, and providers whose keys are `references`.
fn draft(secrets: &str, references: &[&str], variables: &[(&str, &str)]) -> Draft {
    let provider = |(at, reference): (usize, &&str)| {
        format!(
            "  - {{name: p{at}, kind: openai_compatible, base_url: \"http://127.0.0.1:1/v1\", api_key: \"{reference}\"}}\n"
        )
    };
    let providers: String = references.iter().enumerate().map(provider).collect();
    let secrets = if secrets.is_empty() { String::new() } else { format!("secrets:\n{secrets}\n") };
    let mut variables: HashMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    variables.insert("HOME".to_owned(), "/nowhere".to_owned());
    let env = Arc::new(move |name: &str| variables.get(name).cloned());
    let text = format!("{secrets}providers:\n{providers}");
    Draft::parse(text, "a.yaml", &Overrides::default(), env).unwrap_or_else(|error| panic!("{error}"))
}

/// The keys of the providers, as they are resolved.
async fn keys(secrets: &Secrets, draft: &Draft) -> Result<Vec<String>, SecretsError> {
    let settings = secrets.resolve(draft).await?;
    assert!(settings.secrets.references.iter().all(|one| one.read));
    let shown = settings.show();
    assert!(!shown.contains(HUSH), "{shown}");
    Ok(exposed(&settings))
}

fn exposed(settings: &crate::config::Resolved) -> Vec<String> {
    let key = |provider: &crate::config::Provider| provider.api_key.as_ref().map(|key| key.expose().to_owned());
    settings.providers.iter().filter_map(key).collect()
}

/// Why they cannot be resolved. It holds no value.
async fn refusal(secrets: &Secrets, draft: &Draft) -> String {
    let error = secrets.resolve(draft).await.unwrap_err();
    let text = format!("{error} {error:?} {:?} {secrets:?}", secrets.kept());
    assert!(!text.contains(HUSH), "{text}");
    error.to_string()
}

fn said(status: u16, body: impl Into<String>) -> Said {
    (status, Vec::new(), body.into().into_bytes())
}

fn header<'a>(asked: &'a Asked, name: &str) -> &'a str {
    asked.headers.get(name).map_or("", String::as_str)
}
