//! Where access keys are found: the settings, the environment, the files of profiles, the container, the machine; and the
//! role that is taken on with what was found
//! (<https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>).

use super::credentials::{AccessKey, Fetched};
use super::profile::Profiles;
use super::sigv4::{self, Unsigned};
use super::{Environment, dates, domain};
use crate::config;
use crate::types::secret::Secret;
use crate::wire::path::percent_encoded;
use futures_util::future::BoxFuture;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// A key of a file is read again after so long: other programs renew it there.
const FILE_KEPT: Duration = Duration::from_secs(600);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(10);
/// A reply with a key may be this large.
const REPLY_BYTES: usize = 256 << 10;
/// Where containers ask.
const CONTAINER: &str = "http://169.254.170.2";
/// Where machines ask.
const INSTANCE: &str = "http://169.254.169.254";
/// What there is to do where nothing is found.
const NOTHING: &str = "no AWS credentials were found: set `api_key`, `access_key_id` and `secret_access_key`, or AWS_ACCESS_KEY_ID \
                       and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or AWS_BEARER_TOKEN_BEDROCK";

/// Where an access key is found.
pub(super) enum Source {
    /// It was told.
    Told(AccessKey),
    /// In the files of profiles, under the name of this one.
    Profile(Environment, String),
    /// At the container's endpoint, with what it is to be shown.
    Container { url: String, token: Option<Secret>, token_file: Option<PathBuf> },
    /// At the machine's endpoint; `None` where it is not to be asked.
    Instance(Option<String>),
    /// A role that is taken on with another key.
    Role(Box<Source>, Role),
    /// A role that is taken on with the token in a file.
    WebIdentity(PathBuf, Role),
}

/// A role, and who grants it.
pub(super) struct Role {
    arn: String,
    external_id: Option<Secret>,
    /// STS.
    url: String,
    region: String,
}

impl Source {
    /// The first place that somebody told of.
    pub(super) fn find(cloud: &config::Cloud, region: &str, environment: &Environment) -> Source {
        let url = cloud.token_url.clone().unwrap_or_else(|| format!("https://sts.{region}.{}", domain(region)));
        let role = |arn: &str, external_id: Option<Secret>| Role {
            arn: arn.to_owned(),
            external_id,
            url: url.clone(),
            region: region.to_owned(),
        };
        let own = cloud.role_arn.as_deref();
        let base = match Source::base(cloud, environment) {
            // The token is for the role that the environment names, or else for the one of the settings.
            Ok(file) => match (environment.get("AWS_ROLE_ARN"), own) {
                (Some(arn), Some(own)) if arn != own => Source::WebIdentity(file, role(arn, None)),
                (Some(arn), _) | (None, Some(arn)) => return Source::WebIdentity(file, role(arn, None)),
                (None, None) => Source::Instance(None),
            },
            Err(Source::Profile(environment, name)) => profile(environment, name, &role),
            Err(base) => base,
        };
        match own {
            Some(arn) => Source::Role(Box::new(base), role(arn, cloud.external_id.clone())),
            None => base,
        }
    }

    /// What everything begins with: `Ok` is the file of a web identity's token.
    fn base(cloud: &config::Cloud, environment: &Environment) -> Result<PathBuf, Source> {
        if let (Some(id), Some(secret)) = (&cloud.access_key_id, &cloud.secret_access_key) {
            let token = cloud.session_token.clone();
            return Err(Source::Told(AccessKey { id: id.clone(), secret: secret.clone(), token }));
        }
        let secret = |name| environment.get(name).map(Secret::new);
        if let (Some(id), Some(key)) = (secret("AWS_ACCESS_KEY_ID"), secret("AWS_SECRET_ACCESS_KEY")) {
            return Err(Source::Told(AccessKey { id, secret: key, token: secret("AWS_SESSION_TOKEN") }));
        }
        if let Some(file) = environment.get("AWS_WEB_IDENTITY_TOKEN_FILE")
            && (environment.get("AWS_ROLE_ARN").is_some() || cloud.role_arn.is_some())
        {
            return Ok(file.into());
        }
        let (profiles, name) = (Profiles::read(environment), Profiles::chosen(environment));
        if profiles.key(name).is_some() || profiles.get(name, "role_arn").is_some() {
            return Err(Source::Profile(environment.clone(), name.to_owned()));
        }
        Err(Source::of_machine(environment))
    }

    /// The endpoint of the container, or else that of the machine.
    fn of_machine(environment: &Environment) -> Source {
        let relative = environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        let full = environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI").filter(|url| is_near(url));
        if let Some(url) = relative.map(|path| format!("{CONTAINER}{path}")).or_else(|| full.map(str::to_owned)) {
            let token = environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(Secret::new);
            let token_file = environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(PathBuf::from);
            return Source::Container { url, token, token_file };
        }
        let off = environment.get("AWS_EC2_METADATA_DISABLED").is_some_and(|word| word.eq_ignore_ascii_case("true"));
        let place = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or(INSTANCE).trim_end_matches('/');
        Source::Instance((!off).then(|| place.to_owned()))
    }

    /// The word for logs.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Source::Told(_) => "settings",
            Source::Profile(..) => "profile",
            Source::Container { .. } => "container",
            Source::Instance(_) => "instance",
            Source::Role(..) => "role",
            Source::WebIdentity(..) => "web identity",
        }
    }

    /// Fetches the key. The error says in words, without secrets, why there is none.
    pub(super) fn fetch(&self) -> BoxFuture<'_, Result<Fetched, String>> {
        Box::pin(async move {
            match self {
                Source::Told(key) => Ok(Fetched { key: key.clone(), until: None }),
                Source::Profile(environment, name) => {
                    let key = Profiles::read(environment).key(name);
                    let key = key.ok_or_else(|| format!("the profile `{name}` of ~/.aws holds no access key"))?;
                    Ok(Fetched { key, until: Some(SystemTime::now() + FILE_KEPT) })
                }
                Source::Container { url, token, token_file } => {
                    let from_file = match token_file {
                        Some(path) => Some(read_token(path).await?),
                        None => None,
                    };
                    of_json(&get(url, ("authorization", from_file.as_ref().or(token.as_ref()))).await?)
                }
                Source::Instance(None) => Err(NOTHING.to_owned()),
                Source::Instance(Some(place)) => {
                    of_instance(place).await.map_err(|why| format!("{NOTHING}. The machine has none, either: {why}"))
                }
                Source::Role(base, role) => {
                    let base = base.fetch().await?;
                    role.assume(&base.key).await
                }
                Source::WebIdentity(file, role) => role.assume_with(&read_token(file).await?).await,
            }
        })
    }
}

/// A profile with a key of its own, or with a role that is taken on with the key of another.
fn profile(environment: Environment, name: String, role: &dyn Fn(&str, Option<Secret>) -> Role) -> Source {
    let profiles = Profiles::read(&environment);
    match profiles.get(&name, "role_arn") {
        None => Source::Profile(environment, name),
        Some(arn) => {
            let external_id = profiles.get(&name, "external_id").map(Secret::new);
            let base = match profiles.get(&name, "source_profile") {
                Some(source) => Source::Profile(environment, source.to_owned()),
                None => Source::of_machine(&environment),
            };
            Source::Role(Box::new(base), role(arn, external_id))
        }
    }
}

/// May a key be fetched there? Only over TLS, or from this machine and the addresses that AWS has for it.
fn is_near(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let near = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23", "localhost"].contains(&host);
    url.scheme() == "https" || near || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Role {
    /// Takes the role on with `key`.
    async fn assume(&self, key: &AccessKey) -> Result<Fetched, String> {
        let mut fields = self.fields("AssumeRole");
        fields.extend(self.external_id.as_ref().map(|id| ("ExternalId", id.expose().to_owned())));
        self.ask(fields, Some(key)).await
    }

    /// Takes the role on with the token of a web identity.
    async fn assume_with(&self, token: &Secret) -> Result<Fetched, String> {
        let mut fields = self.fields("AssumeRoleWithWebIdentity");
        fields.push(("WebIdentityToken", token.expose().to_owned()));
        self.ask(fields, None).await
    }

    fn fields(&self, action: &str) -> Vec<(&'static str, String)> {
        vec![
            ("Action", action.to_owned()),
            ("Version", "2011-06-15".to_owned()),
            ("RoleArn", self.arn.clone()),
            ("RoleSessionName", "askonce".to_owned()),
            ("DurationSeconds", "3600".to_owned()),
        ]
    }

    async fn ask(&self, fields: Vec<(&'static str, String)>, key: Option<&AccessKey>) -> Result<Fetched, String> {
        let pairs: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
        let body = pairs.join("&");
        let url = reqwest::Url::parse(&self.url).map_err(|_| "the address of STS (`token_url`) is none".to_owned())?;
        let mut headers = HeaderMap::new();
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(form));
        if let Some(key) = key {
            let method = http::Method::POST;
            let (region, body) = (self.region.as_str(), body.as_bytes());
            let unsigned = Unsigned { method: &method, url: &url, headers: &headers, body, region, service: "sts" };
            headers.extend(sigv4::sign(&unsigned, key, SystemTime::now())?);
        }
        let request = client(!is_remote(&url))?.post(url).headers(headers).body(body);
        let reply = send(request, "STS").await?;
        of_xml(&reply).ok_or_else(|| "STS gave no credentials".to_owned())
    }
}

/// The key of a machine's role, by IMDSv2.
async fn of_instance(place: &str) -> Result<Fetched, String> {
    let put = client(true)?.put(format!("{place}/latest/api/token"));
    let token = send(put.header("x-aws-ec2-metadata-token-ttl-seconds", "300"), "the machine").await?;
    let token = Secret::new(token.trim());
    let shown = ("x-aws-ec2-metadata-token", Some(&token));
    let list = format!("{place}/latest/meta-data/iam/security-credentials/");
    let roles = get(&list, shown).await?;
    let role = roles.lines().next().map(str::trim).filter(|role| !role.is_empty()).ok_or("it has no role")?;
    of_json(&get(&format!("{list}{}", percent_encoded(role)), shown).await?)
}

async fn read_token(path: &PathBuf) -> Result<Secret, String> {
    let text = tokio::fs::read_to_string(path).await;
    let text = text.map_err(|error| format!("the token file {} cannot be read: {}", path.display(), error.kind()))?;
    Ok(Secret::new(text.trim()))
}

async fn get(url: &str, (name, value): (&str, Option<&Secret>)) -> Result<String, String> {
    let mut request = client(true)?.get(url);
    if let Some(value) = value {
        let mut value =
            HeaderValue::from_str(value.expose()).map_err(|_| "a token holds what HTTP forbids".to_owned())?;
        value.set_sensitive(true);
        request = request.header(name, value);
    }
    send(request, "the endpoint of credentials").await
}

/// Keys are fetched rarely: a client of its own each time costs nothing that counts. `direct` goes by no proxy.
fn client(direct: bool) -> Result<reqwest::Client, String> {
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none());
    let builder = if direct { builder.no_proxy() } else { builder };
    builder.build().map_err(|_| "the HTTP client for credentials cannot be built".to_owned())
}

fn is_remote(url: &reqwest::Url) -> bool {
    !matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

/// Sends a request for a key. What a refusal says is for the log: it names accounts.
async fn send(request: reqwest::RequestBuilder, who: &str) -> Result<String, String> {
    let reason = |error: reqwest::Error| {
        let what = if error.is_timeout() { "did not answer in time" } else { "cannot be reached" };
        format!("{who} {what}")
    };
    let mut response = request.send().await.map_err(reason)?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(reason)? {
        body.extend_from_slice(&piece);
        if body.len() > REPLY_BYTES {
            return Err(format!("{who} sent too much"));
        }
    }
    let text = String::from_utf8(body).map_err(|_| format!("{who} sent no text"))?;
    if !status.is_success() {
        let code = tag(&text, "Code").unwrap_or_default();
        let message: String = tag(&text, "Message").unwrap_or_default().chars().take(300).collect();
        tracing::warn!(status = status.as_u16(), code, message, "AWS credentials were refused");
        return Err(format!("{who} answered with status {}", status.as_u16()));
    }
    Ok(text)
}

/// A reply of the container's or the machine's endpoint.
fn of_json(text: &str) -> Result<Fetched, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply {
        access_key_id: String,
        secret_access_key: String,
        token: Option<String>,
        expiration: Option<String>,
    }
    // What it holds must not stand in an error.
    let reply: Reply = serde_json::from_str(text).map_err(|_| "the endpoint of credentials sent none".to_owned())?;
    Ok(Fetched {
        key: AccessKey {
            id: Secret::new(reply.access_key_id),
            secret: Secret::new(reply.secret_access_key),
            token: reply.token.map(Secret::new),
        },
        until: reply.expiration.as_deref().and_then(dates::parsed),
    })
}

/// A reply of STS.
fn of_xml(text: &str) -> Option<Fetched> {
    let secret = |name: &str| tag(text, name).map(Secret::new);
    Some(Fetched {
        key: AccessKey {
            id: secret("AccessKeyId")?,
            secret: secret("SecretAccessKey")?,
            token: Some(secret("SessionToken")?),
        },
        until: Some(dates::parsed(tag(text, "Expiration")?)?),
    })
}

/// What stands in the first element of that name. None of those that are read here holds marks that are escaped.
fn tag<'x>(text: &'x str, name: &str) -> Option<&'x str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(inside, _)| inside.trim())
}

#[cfg(test)]
mod tests;
