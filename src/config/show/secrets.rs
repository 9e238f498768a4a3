//! The stores of secrets, and the keys of the database, as YAML.

use super::super::resolved::{Secrets, Store, Vault, VaultAuth};
use super::{Yaml, path, secret, text};

pub(super) fn secrets(yaml: &mut Yaml, secrets: &Secrets) {
    yaml.line("refresh_s", &secrets.refresh.as_secs().to_string());
    yaml.millis("timeout_ms", secrets.timeout);
    if let Some(one) = &secrets.vault {
        yaml.map("vault", |yaml| vault(yaml, one));
    }
    let plain = |value: &Option<String>| value.as_deref().map(text);
    let aws = &secrets.aws;
    if *aws != Default::default() {
        yaml.map("aws", |yaml| {
            yaml.maybe("endpoint", plain(&aws.endpoint));
            yaml.maybe("region", plain(&aws.cloud.region));
            yaml.maybe("access_key_id", aws.cloud.access_key_id.as_ref().map(secret));
            yaml.maybe("secret_access_key", aws.cloud.secret_access_key.as_ref().map(secret));
            yaml.maybe("session_token", aws.cloud.session_token.as_ref().map(secret));
            yaml.maybe("role_arn", plain(&aws.cloud.role_arn));
            yaml.maybe("external_id", aws.cloud.external_id.as_ref().map(secret));
            yaml.maybe("sts_url", plain(&aws.cloud.token_url));
        });
    }
    let gcp = &secrets.gcp;
    if *gcp != Default::default() {
        yaml.map("gcp", |yaml| {
            yaml.maybe("endpoint", plain(&gcp.endpoint));
            yaml.maybe("credentials_file", gcp.cloud.credentials_file.as_deref().map(path));
            yaml.maybe("token_url", plain(&gcp.cloud.token_url));
        });
    }
    let azure = &secrets.azure;
    if azure.cloud.client_id.is_some() || azure.endpoint.is_some() {
        yaml.map("azure", |yaml| {
            yaml.line("domain", &text(&azure.domain));
            yaml.maybe("endpoint", plain(&azure.endpoint));
            yaml.maybe("tenant_id", plain(&azure.cloud.tenant_id));
            yaml.maybe("client_id", plain(&azure.cloud.client_id));
            yaml.maybe("client_secret", azure.cloud.client_secret.as_ref().map(secret));
            yaml.maybe("token_url", plain(&azure.cloud.token_url));
        });
    }
}

fn vault(yaml: &mut Yaml, vault: &Vault) {
    yaml.line("address", &text(&vault.address));
    yaml.maybe("namespace", vault.namespace.as_deref().map(text));
    yaml.maybe("ca_file", vault.ca_file.as_deref().map(path));
    yaml.maybe("kv_version", vault.kv_version.map(|version| version.to_string()));
    yaml.map("auth", |yaml| match &vault.auth {
        VaultAuth::Token(token) => yaml.line("token", &secret(token)),
        VaultAuth::AppRole { mount, role_id, secret_id } => yaml.map("approle", |yaml| {
            yaml.line("mount", &text(mount));
            yaml.line("role_id", &secret(role_id));
            yaml.maybe("secret_id", secret_id.as_ref().map(secret));
        }),
        VaultAuth::Kubernetes { mount, role, jwt_file } => yaml.map("kubernetes", |yaml| {
            yaml.line("mount", &text(mount));
            yaml.line("role", &text(role));
            yaml.line("jwt_file", &path(jwt_file));
        }),
    });
}

pub(super) fn store(yaml: &mut Yaml, store: &Store) {
    yaml.map("store", |yaml| {
        yaml.maybe("url", store.url.as_ref().map(secret));
        yaml.maybe("hashing_key", store.hashing_key.as_ref().map(secret));
        yaml.maybe("encryption_key", store.encryption_key.as_ref().map(secret));
        if !store.former_encryption_keys.is_empty() {
            let former: Vec<String> = store.former_encryption_keys.iter().map(secret).collect();
            yaml.line("former_encryption_keys", &format!("[{}]", former.join(", ")));
        }
        yaml.line("connections", &store.connections.to_string());
        yaml.millis("timeout_ms", store.timeout);
    });
}
