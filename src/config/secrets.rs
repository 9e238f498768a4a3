//! `secrets`: the stores that references lead to, and how they are opened. What opens a store is written here, or lies in the
//! environment or a file.

use super::base_url;
use super::cloud::{together, url};
use super::env::Env;
use super::error::ConfigError;
use super::fields::Fields;
use super::paths;
pub use super::references::Referred;
use super::resolved::Cloud;
use crate::types::reference::Store;
use crate::types::secret::Secret;
use std::path::PathBuf;
use std::time::Duration;

const KEYS: &[&str] = &["refresh_s", "timeout_ms", "vault", "aws", "gcp", "azure"];
const VAULT: &[&str] = &["address", "namespace", "ca_file", "kv_version", "auth"];
const AUTH: &[&str] = &["token", "approle", "kubernetes"];
const GCP: &[&str] = &["endpoint", "credentials_file", "token_url"];
const AZURE: &[&str] = &["domain", "endpoint", "tenant_id", "client_id", "client_secret", "token_url"];

/// How often secrets are read again, where the file does not say.
const REFRESH_S: u64 = 300;
const MAX_REFRESH_S: u64 = 7 * 24 * 3600;
/// How long reading all of them may take.
const TIMEOUT_MS: u64 = 10_000;
/// The file that Kubernetes puts a pod's token into.
const JWT_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// Key Vault in Azure's public cloud.
const AZURE_DOMAIN: &str = "vault.azure.net";

/// The stores that references lead to.
#[derive(Debug, Clone, PartialEq)]
pub struct Secrets {
    /// How often all secrets are read again.
    pub refresh: Duration,
    /// How long reading all of them may take, signing in included.
    pub timeout: Duration,
    /// Vault or OpenBao.
    pub vault: Option<Vault>,
    /// AWS Secrets Manager.
    pub aws: AwsSecrets,
    /// Google Cloud's Secret Manager.
    pub gcp: GcpSecrets,
    /// Azure Key Vault.
    pub azure: AzureSecrets,
    /// The references of the settings, in the order written.
    pub references: Vec<Referred>,
}

impl Secrets {
    /// The stores are the same, whatever is referred to.
    pub fn has_stores_of(&self, other: &Secrets) -> bool {
        (&self.vault, &self.aws, &self.gcp, &self.azure, self.timeout)
            == (&other.vault, &other.aws, &other.gcp, &other.azure, other.timeout)
    }
}

/// Vault or OpenBao.
#[derive(Debug, Clone, PartialEq)]
pub struct Vault {
    /// Scheme, host and port.
    pub address: String,
    /// The namespace, where it has such.
    pub namespace: Option<String>,
    /// The certificates that its own is checked by. `None`: those of the system.
    pub ca_file: Option<PathBuf>,
    /// The version of the key-value engine. `None`: it is asked.
    pub kv_version: Option<u8>,
    /// How it is signed in to.
    pub auth: VaultAuth,
}

/// How Vault is signed in to.
#[derive(Debug, Clone, PartialEq)]
pub enum VaultAuth {
    /// By a token.
    Token(Secret),
    /// As an application.
    AppRole {
        /// Where the method is mounted.
        mount: String,
        /// The role's id.
        role_id: Secret,
        /// The role's secret; a role may do without.
        secret_id: Option<Secret>,
    },
    /// As a pod.
    Kubernetes {
        /// Where the method is mounted.
        mount: String,
        /// The role.
        role: String,
        /// The file with the pod's token.
        jwt_file: PathBuf,
    },
}

/// AWS Secrets Manager.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AwsSecrets {
    /// Region and credentials.
    pub cloud: Cloud,
    /// In place of AWS's own address.
    pub endpoint: Option<String>,
}

/// Google Cloud's Secret Manager.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GcpSecrets {
    /// Credentials.
    pub cloud: Cloud,
    /// In place of Google's own address.
    pub endpoint: Option<String>,
}

/// Azure Key Vault.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AzureSecrets {
    /// Credentials.
    pub cloud: Cloud,
    /// What stands behind a vault's name in its host name.
    pub domain: String,
    /// In place of the vaults' own addresses.
    pub endpoint: Option<String>,
}

/// Reads `secrets`. `refers` says whether the rest of the settings refer to a store.
pub(super) fn secrets(
    root: &Fields<'_>,
    refers: &dyn Fn(Store) -> bool,
    env: &Env<'_>,
) -> Result<Secrets, ConfigError> {
    let fields = root.child("secrets", KEYS)?;
    Ok(Secrets {
        refresh: fields.seconds("refresh_s", REFRESH_S, 1..=MAX_REFRESH_S)?,
        timeout: fields.millis("timeout_ms", TIMEOUT_MS, 1..=600_000)?,
        vault: match fields.get("vault") {
            Some(item) => Some(vault(&item.fields(VAULT)?, env)?),
            None if refers(Store::Vault) => Some(vault(&Fields::none("secrets.vault"), env)?),
            None => None,
        },
        aws: aws(&fields, env)?,
        gcp: gcp(&fields, env)?,
        azure: azure(&fields, refers(Store::Azure))?,
        references: Vec::new(),
    })
}

/// What is not written is where Vault's own tools look for it.
fn vault(fields: &Fields<'_>, env: &Env<'_>) -> Result<Vault, ConfigError> {
    let variable = |name: &str| env(name).filter(|value| !value.is_empty());
    let told = variable("VAULT_ADDR").or_else(|| variable("BAO_ADDR"));
    let address = match (url(fields, "address")?, told) {
        (Some(address), _) => address,
        (None, Some(told)) => base_url::check(&told).map_err(|why| fields.error(format!("VAULT_ADDR: {why}")))?,
        (None, None) => {
            let error = fields.error("the settings refer to Vault, and its address is not known");
            return Err(error.with_suggestion("write `secrets: {vault: {address: \"https://…\"}}`, or set VAULT_ADDR"));
        }
    };
    let namespace = fields.text("namespace")?.or_else(|| variable("VAULT_NAMESPACE"));
    if namespace.as_deref().is_some_and(|name| !name.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Err(fields.error("expected a namespace that an HTTP header can carry: visible ASCII without spaces"));
    }
    Ok(Vault {
        address,
        namespace,
        ca_file: file(fields, "ca_file", env)?.or_else(|| variable("VAULT_CACERT").map(PathBuf::from)),
        kv_version: match fields.get("kv_version") {
            Some(item) => u8::try_from(item.integer(1..=2)?).ok(),
            None => None,
        },
        auth: vault_auth(fields, env)?,
    })
}

fn vault_auth(vault: &Fields<'_>, env: &Env<'_>) -> Result<VaultAuth, ConfigError> {
    let fields = vault.child("auth", AUTH)?;
    let named: Vec<&&str> = AUTH.iter().filter(|key| fields.get(key).is_some()).collect();
    match named.as_slice() {
        [] => {
            let told = ["VAULT_TOKEN", "BAO_TOKEN"].iter().find_map(|name| env(name)).filter(|token| !token.is_empty());
            told.map(|token| VaultAuth::Token(Secret::new(token))).ok_or_else(|| {
                let error = fields.error("how Vault is signed in to is not known");
                error.with_suggestion("write one of `token`, `approle` and `kubernetes`, or set VAULT_TOKEN")
            })
        }
        [one] => method(&fields, one, env),
        [one, other, ..] => {
            let error = fields.error(format!("`{one}` and `{other}` are two ways to sign in"));
            Err(error.with_suggestion("keep one of them"))
        }
    }
}

fn method(auth: &Fields<'_>, key: &str, env: &Env<'_>) -> Result<VaultAuth, ConfigError> {
    match key {
        "token" => {
            let item = auth.require("token")?;
            let token = item.opening_secret()?.ok_or_else(|| item.error("expected a token, found none"))?;
            Ok(VaultAuth::Token(token))
        }
        "approle" => {
            let fields = auth.child("approle", &["role_id", "secret_id", "mount"])?;
            let item = fields.require("role_id")?;
            let role_id = item.opening_secret()?.ok_or_else(|| item.error("expected the id of a role, found none"))?;
            let secret_id = fields.opening_secret("secret_id")?;
            Ok(VaultAuth::AppRole { mount: mount(&fields, "approle")?, role_id, secret_id })
        }
        _ => {
            let fields = auth.child("kubernetes", &["role", "jwt_file", "mount"])?;
            let role = fields.require("role")?.text()?;
            let jwt_file = file(&fields, "jwt_file", env)?.unwrap_or_else(|| PathBuf::from(JWT_FILE));
            Ok(VaultAuth::Kubernetes { mount: mount(&fields, "kubernetes")?, role, jwt_file })
        }
    }
}

/// A path of Vault's own: it becomes a part of addresses.
fn mount(fields: &Fields<'_>, default: &str) -> Result<String, ConfigError> {
    let Some(item) = fields.get("mount") else { return Ok(default.to_owned()) };
    let text = item.text()?;
    let text = text.trim_matches('/');
    match text.split('/').all(|segment| !matches!(segment, "" | "." | "..")) {
        true => Ok(text.to_owned()),
        false => Err(item.error("expected the path of a mount, such as `approle`")),
    }
}

fn aws(secrets: &Fields<'_>, env: &Env<'_>) -> Result<AwsSecrets, ConfigError> {
    let keys: Vec<&str> = super::cloud::AWS.iter().copied().chain(["endpoint"]).collect();
    let fields = secrets.child("aws", &keys)?;
    Ok(AwsSecrets { cloud: super::cloud::aws_opening(&fields, env)?, endpoint: url(&fields, "endpoint")? })
}

fn gcp(secrets: &Fields<'_>, env: &Env<'_>) -> Result<GcpSecrets, ConfigError> {
    let fields = secrets.child("gcp", GCP)?;
    let cloud = Cloud {
        credentials_file: file(&fields, "credentials_file", env)?,
        token_url: url(&fields, "token_url")?,
        ..Cloud::default()
    };
    Ok(GcpSecrets { cloud, endpoint: url(&fields, "endpoint")? })
}

fn azure(secrets: &Fields<'_>, needed: bool) -> Result<AzureSecrets, ConfigError> {
    let fields = secrets.child("azure", AZURE)?;
    let entra = ["tenant_id", "client_id", "client_secret"];
    together(&fields, &entra)?;
    if needed && fields.get("client_id").is_none() {
        let error = fields.error("the settings refer to Azure Key Vault, and nothing says how it is signed in to");
        return Err(error.with_suggestion("write `tenant_id`, `client_id` and `client_secret` into `secrets.azure`"));
    }
    let domain = fields.text("domain")?.unwrap_or_else(|| AZURE_DOMAIN.to_owned());
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    if let (false, Some(item)) = (domain.chars().all(fits), fields.get("domain")) {
        return Err(item.error("expected a domain such as `vault.azure.net`"));
    }
    let cloud = Cloud {
        tenant_id: fields.text("tenant_id")?,
        client_id: fields.text("client_id")?,
        client_secret: fields.opening_secret("client_secret")?,
        token_url: url(&fields, "token_url")?,
        ..Cloud::default()
    };
    Ok(AzureSecrets { cloud, domain, endpoint: url(&fields, "endpoint")? })
}

fn file(fields: &Fields<'_>, key: &str, env: &Env<'_>) -> Result<Option<PathBuf>, ConfigError> {
    let (Some(text), Some(item)) = (fields.text(key)?, fields.get(key)) else { return Ok(None) };
    paths::folder(&text, env).map(Some).map_err(|message| item.error(message))
}
