//! How a provider that belongs to a cloud is signed in to: the sections `aws`, `google` and `azure` of a provider, and
//! `api_version`. Each is for its own kind only.

use super::base_url;
use super::env::Env;
use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::kinds::ProviderKind;
use super::paths;
use super::resolved::Cloud;

pub(super) const AWS: &[&str] =
    &["region", "access_key_id", "secret_access_key", "session_token", "role_arn", "external_id", "sts_url"];
const GOOGLE: &[&str] = &["project", "region", "credentials_file", "token_url"];
const AZURE: &[&str] = &["api_version", "tenant_id", "client_id", "client_secret", "token_url"];

/// Each section, and the kind it is for.
const SECTIONS: [(&str, ProviderKind); 4] = [
    ("aws", ProviderKind::Bedrock),
    ("google", ProviderKind::Vertex),
    ("azure", ProviderKind::Azure),
    ("api_version", ProviderKind::Anthropic),
];

/// Reads the sections of a provider of `kind`. `with_key`: it has keys of its own beside them.
pub(super) fn cloud(
    fields: &Fields<'_>,
    kind: ProviderKind,
    with_key: bool,
    env: &Env<'_>,
) -> Result<Cloud, ConfigError> {
    for (section, owner) in SECTIONS {
        if let (Some(item), true) = (fields.get(section), kind != owner) {
            let error = item.error(format!("`{section}` is for kind `{owner}`, and this provider is of another kind"));
            return Err(error.with_suggestion("remove it"));
        }
    }
    match kind {
        ProviderKind::Bedrock => aws(fields, with_key, env),
        ProviderKind::Vertex => google(fields, env),
        ProviderKind::Azure => azure(fields, with_key),
        ProviderKind::Anthropic => Ok(Cloud { api_version: version(fields, "api_version")?, ..Cloud::default() }),
        _ => Ok(Cloud::default()),
    }
}

fn aws(provider: &Fields<'_>, with_key: bool, env: &Env<'_>) -> Result<Cloud, ConfigError> {
    let fields = provider.child("aws", AWS)?;
    let cloud = Cloud {
        region: region(&fields)?.or_else(|| env("AWS_REGION")).or_else(|| env("AWS_DEFAULT_REGION")),
        access_key_id: fields.secret("access_key_id")?,
        secret_access_key: fields.secret("secret_access_key")?,
        session_token: fields.secret("session_token")?,
        role_arn: role(&fields)?,
        external_id: fields.secret("external_id")?,
        token_url: url(&fields, "sts_url")?,
        ..Cloud::default()
    };
    together(&fields, &["access_key_id", "secret_access_key"])?;
    needs(&fields, "session_token", "access_key_id")?;
    needs(&fields, "external_id", "role_arn")?;
    needs(&fields, "sts_url", "role_arn")?;
    let region = cloud.region.as_deref().is_some_and(|region| !region.is_empty());
    // A bearer key at an address of its own is all that a request needs; anything else is signed for a region.
    let signed = cloud.role_arn.is_some() || !with_key;
    if !region && (signed || provider.get("base_url").is_none()) {
        let what = if cloud.role_arn.is_some() { "taking on a role" } else { "a provider of kind `bedrock`" };
        let error = provider.error(format!("{what} needs a region, and there is no `aws.region`"));
        return Err(error.with_suggestion("write `aws: {region: us-east-1}`, or set AWS_REGION"));
    }
    Ok(cloud)
}

/// Region and credentials of AWS for a store of secrets, in `fields`. Where no region is told, that of the environment is taken, or
/// that of a secret's ARN.
pub(super) fn aws_opening(fields: &Fields<'_>, env: &Env<'_>) -> Result<Cloud, ConfigError> {
    let cloud = Cloud {
        region: region(fields)?.or_else(|| env("AWS_REGION")).or_else(|| env("AWS_DEFAULT_REGION")),
        access_key_id: fields.opening_secret("access_key_id")?,
        secret_access_key: fields.opening_secret("secret_access_key")?,
        session_token: fields.opening_secret("session_token")?,
        role_arn: role(fields)?,
        external_id: fields.opening_secret("external_id")?,
        token_url: url(fields, "sts_url")?,
        ..Cloud::default()
    };
    together(fields, &["access_key_id", "secret_access_key"])?;
    needs(fields, "session_token", "access_key_id")?;
    needs(fields, "external_id", "role_arn")?;
    needs(fields, "sts_url", "role_arn")?;
    Ok(cloud)
}

fn google(provider: &Fields<'_>, env: &Env<'_>) -> Result<Cloud, ConfigError> {
    let fields = provider.child("google", GOOGLE)?;
    let file = match (fields.text("credentials_file")?, fields.get("credentials_file")) {
        (Some(text), Some(item)) => Some(paths::folder(&text, env).map_err(|message| item.error(message))?),
        _ => None,
    };
    let in_env = |names: [&str; 2]| names.into_iter().find_map(env).filter(|value| !value.is_empty());
    Ok(Cloud {
        project: fields.text("project")?.or_else(|| in_env(["GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"])),
        region: region(&fields)?.or_else(|| in_env(["GOOGLE_CLOUD_LOCATION", "GOOGLE_CLOUD_REGION"])),
        credentials_file: file,
        token_url: url(&fields, "token_url")?,
        ..Cloud::default()
    })
}

fn azure(provider: &Fields<'_>, with_key: bool) -> Result<Cloud, ConfigError> {
    let fields = provider.child("azure", AZURE)?;
    let entra = ["tenant_id", "client_id", "client_secret"];
    together(&fields, &entra)?;
    if let (Some(item), true) = (fields.get("client_secret"), with_key) {
        let error = item.error("an application of Entra and a key are two ways to sign in");
        return Err(error.with_suggestion("remove `api_key` and `keys`, or the application"));
    }
    needs(&fields, "token_url", "client_id")?;
    Ok(Cloud {
        api_version: version(&fields, "api_version")?,
        tenant_id: fields.text("tenant_id")?,
        client_id: fields.text("client_id")?,
        client_secret: fields.secret("client_secret")?,
        token_url: url(&fields, "token_url")?,
        ..Cloud::default()
    })
}

/// All of `keys` are there, or none is.
pub(super) fn together(fields: &Fields<'_>, keys: &[&str]) -> Result<(), ConfigError> {
    let missing = keys.iter().find(|key| fields.get(key).is_none());
    let there = keys.iter().find(|key| fields.get(key).is_some());
    match (missing, there) {
        (Some(missing), Some(there)) => {
            let error = fields.error(format!("`{there}` is there and `{missing}` is not"));
            Err(error.with_suggestion(format!("add `{missing}`, or remove `{there}`")))
        }
        _ => Ok(()),
    }
}

/// `key` is of use beside `other` only.
fn needs(fields: &Fields<'_>, key: &str, other: &str) -> Result<(), ConfigError> {
    match (fields.get(key), fields.get(other)) {
        (Some(item), None) => {
            let error = item.error(format!("`{key}` is of use beside `{other}` only, which is not there"));
            Err(error.with_suggestion(format!("add `{other}`, or remove it")))
        }
        _ => Ok(()),
    }
}

/// A region: it becomes a part of host names.
fn region(fields: &Fields<'_>) -> Result<Option<String>, ConfigError> {
    let Some(text) = fields.text("region")? else { return Ok(None) };
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match fields.get("region") {
        Some(item) if !text.chars().all(fits) => {
            Err(item.error("expected a region such as `us-east-1`: lower-case letters, digits and `-`"))
        }
        _ => Ok(Some(text)),
    }
}

fn role(fields: &Fields<'_>) -> Result<Option<String>, ConfigError> {
    let Some(text) = fields.text("role_arn")? else { return Ok(None) };
    match fields.get("role_arn") {
        Some(item) if !(text.starts_with("arn:") && text.contains(":role/")) => {
            let error = item.error("expected the ARN of a role");
            Err(error.with_suggestion("it looks like `arn:aws:iam::123456789012:role/NAME`"))
        }
        _ => Ok(Some(text)),
    }
}

/// A version of an API: it becomes a part of addresses or a header.
fn version(fields: &Fields<'_>, key: &str) -> Result<Option<String>, ConfigError> {
    let Some(text) = fields.text(key)? else { return Ok(None) };
    match fields.get(key) {
        Some(item) if !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') => {
            Err(item.error("expected a version such as `2024-10-21`: letters, digits and `-`"))
        }
        _ => Ok(Some(text)),
    }
}

pub(super) fn url(fields: &Fields<'_>, key: &str) -> Result<Option<String>, ConfigError> {
    let check = |item: Item<'_>| match item.text_if_any()? {
        Some(text) => base_url::check(&text).map(Some).map_err(|message| item.error(message)),
        None => Ok(None),
    };
    fields.get(key).map_or(Ok(None), check)
}
