//! One provider as YAML.

use super::super::resolved::{Cloud, KeyLimits, Provider, ProviderKey, ProviderKind, Proxy, Tls};
use super::{Yaml, path, quoted, secret, text, texts};
use crate::types::secret::Secret;

pub(super) fn provider(yaml: &mut Yaml, provider: &Provider) {
    yaml.line("name", &text(&provider.name));
    yaml.line("kind", &text(provider.catalogue.as_deref().unwrap_or(provider.kind.as_str())));
    if !provider.base_url.is_empty() {
        yaml.line("base_url", &text(&provider.base_url));
    }
    yaml.maybe("api_key", provider.api_key.as_ref().map(secret));
    if !provider.headers.is_empty() {
        yaml.map("headers", |yaml| {
            for (name, value) in &provider.headers {
                yaml.line(&quoted(name), &secret(value));
            }
        });
    }
    yaml.millis("connect_timeout_ms", provider.connect_timeout);
    yaml.millis("first_byte_timeout_ms", provider.first_byte_timeout);
    yaml.millis("idle_timeout_ms", provider.idle_timeout);
    yaml.line("models", &texts(&provider.models));
    yaml.line("stream_usage", &provider.stream_usage.to_string());
    if !provider.surfaces.is_empty() {
        let surfaces: Vec<String> = provider.surfaces.iter().map(|surface| surface.as_str().to_owned()).collect();
        yaml.line("surfaces", &texts(&surfaces));
    }
    if !provider.keys.is_empty() {
        yaml.list("keys", &provider.keys, provider_key);
    }
    match &provider.proxy {
        Proxy::Environment => {}
        Proxy::None => yaml.line("proxy", "none"),
        // User name and password stand in it.
        Proxy::At(address) if address.expose().contains('@') || address.reference().is_some() => {
            yaml.line("proxy", &secret(address));
        }
        Proxy::At(address) => yaml.line("proxy", &text(address.expose())),
    }
    if provider.tls != Tls::default() {
        yaml.map("tls", |yaml| {
            yaml.maybe("ca_file", provider.tls.ca_file.as_deref().map(path));
            yaml.maybe("client_cert_file", provider.tls.client_cert_file.as_deref().map(path));
            yaml.maybe("client_key_file", provider.tls.client_key_file.as_deref().map(path));
        });
    }
    cloud(yaml, provider);
}

fn provider_key(yaml: &mut Yaml, key: &ProviderKey) {
    yaml.line("name", &text(&key.name));
    yaml.line("key", &secret(&key.key));
    yaml.line("weight", &key.weight.to_string());
    yaml.line("models", &texts(&key.models));
    if key.limits != KeyLimits::default() {
        yaml.map("limits", |yaml| {
            yaml.maybe("requests_per_minute", key.limits.requests_per_minute.map(|count| count.to_string()));
            yaml.maybe("concurrent", key.limits.concurrent.map(|count| count.to_string()));
        });
    }
}

/// How a provider is signed in to, in the section of its kind.
fn cloud(yaml: &mut Yaml, provider: &Provider) {
    let cloud = &provider.cloud;
    if *cloud == Cloud::default() {
        return;
    }
    let plain = |value: &Option<String>| value.as_deref().map(text);
    let masked = |value: &Option<Secret>| value.as_ref().map(secret);
    match provider.kind {
        ProviderKind::Bedrock => yaml.map("aws", |yaml| {
            yaml.maybe("region", plain(&cloud.region));
            yaml.maybe("access_key_id", masked(&cloud.access_key_id));
            yaml.maybe("secret_access_key", masked(&cloud.secret_access_key));
            yaml.maybe("session_token", masked(&cloud.session_token));
            yaml.maybe("role_arn", plain(&cloud.role_arn));
            yaml.maybe("external_id", masked(&cloud.external_id));
            yaml.maybe("sts_url", plain(&cloud.token_url));
        }),
        ProviderKind::Vertex => yaml.map("google", |yaml| {
            yaml.maybe("project", plain(&cloud.project));
            yaml.maybe("region", plain(&cloud.region));
            yaml.maybe("credentials_file", cloud.credentials_file.as_deref().map(path));
            yaml.maybe("token_url", plain(&cloud.token_url));
        }),
        ProviderKind::Azure => yaml.map("azure", |yaml| {
            yaml.maybe("api_version", plain(&cloud.api_version));
            yaml.maybe("tenant_id", plain(&cloud.tenant_id));
            yaml.maybe("client_id", plain(&cloud.client_id));
            yaml.maybe("client_secret", masked(&cloud.client_secret));
            yaml.maybe("token_url", plain(&cloud.token_url));
        }),
        _ => yaml.maybe("api_version", plain(&cloud.api_version)),
    }
}
