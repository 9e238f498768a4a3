//! `Session`: how Vault is signed in to, and the token that it gives: renewed when two thirds of its lease are over, and fetched anew
//! where it cannot be renewed (<https://developer.hashicorp.com/vault/docs/concepts/lease>).

use super::Api;
use crate::config::VaultAuth;
use crate::secrets::ask::{self, Failure};
use crate::types::secret::Secret;
use http::Method;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// A lease that a renewal leaves shorter than this share of the first one is near the longest that its role may have.
const WORN: u32 = 3;
/// A pod's token is no larger than this.
const JWT_BYTES: usize = 64 << 10;
const REFUSED: &str = "its sign-in was refused: check `secrets.vault.auth`";

/// The token that is in use.
#[derive(Clone)]
struct Token {
    secret: Secret,
    /// `None`: for ever.
    lease: Option<Lease>,
    renewable: bool,
}

#[derive(Clone, Copy)]
struct Lease {
    /// What was given at the sign-in.
    first: Duration,
    renew_from: Instant,
    until: Instant,
}

impl Lease {
    /// One that was asked for at `asked`. A lease of nothing is one for ever.
    fn of(seconds: u64, first: Option<Duration>, asked: Instant) -> Option<Lease> {
        let life = Duration::from_secs(seconds.min(u64::from(u32::MAX)));
        let lease = Lease { first: first.unwrap_or(life), renew_from: asked + life * 2 / 3, until: asked + life };
        (seconds > 0).then_some(lease)
    }
}

/// How Vault is signed in to, and the token.
pub(super) struct Session {
    auth: VaultAuth,
    /// Held while somebody signs in, so that nobody else does.
    token: Mutex<Option<Token>>,
}

impl Session {
    pub(super) fn new(auth: VaultAuth) -> Session {
        Session { auth, token: Mutex::default() }
    }

    /// A token that holds.
    pub(super) async fn token(&self, api: &Api) -> Result<Secret, Failure> {
        let mut held = self.token.lock().await;
        let now = Instant::now();
        let fresh = match held.clone() {
            None => self.sign_in(api).await?,
            Some(token) => match token.lease {
                None => return Ok(token.secret),
                Some(lease) if now < lease.renew_from => return Ok(token.secret),
                Some(lease) => match self.renewed(api, &token, lease).await {
                    Ok(token) => token,
                    // It holds for a while yet; another try comes later.
                    Err(failure) if now < lease.until => {
                        tracing::warn!(why = failure.why, "the token of Vault could not be renewed; it still holds");
                        let rest = lease.until.saturating_duration_since(now);
                        let later = Lease { renew_from: now + (rest / 3).max(Duration::from_secs(1)), ..lease };
                        Token { lease: Some(later), ..token }
                    }
                    Err(failure) => {
                        *held = None;
                        return Err(failure);
                    }
                },
            },
        };
        let secret = fresh.secret.clone();
        *held = Some(fresh);
        Ok(secret)
    }

    /// Renews the token where it is time to, and nothing else.
    pub(super) async fn tend(&self, api: &Api) -> Result<(), Failure> {
        let is_due = |token: &Token| token.lease.is_some_and(|lease| Instant::now() >= lease.renew_from);
        // Somebody else is at it.
        let due = self.token.try_lock().is_ok_and(|held| held.as_ref().is_some_and(is_due));
        if due { self.token(api).await.map(drop) } else { Ok(()) }
    }

    /// Forgets `token`, which was refused; false where another cannot be had.
    pub(super) async fn forget(&self, token: &Secret) -> bool {
        self.token.lock().await.take_if(|held| held.secret == *token);
        !matches!(self.auth, VaultAuth::Token(_))
    }

    /// By a renewal, or by signing in again where that is refused or leaves a lease that is nearly over.
    async fn renewed(&self, api: &Api, token: &Token, lease: Lease) -> Result<Token, Failure> {
        if token.renewable {
            let asked = Instant::now();
            let body = Some(serde_json::json!({}));
            match api.ask(Method::POST, "auth/token/renew-self", Some(&token.secret), body).await {
                Ok((200, body)) => {
                    let renewed = granted(&ask::json(&body)?["auth"], Some(lease.first), asked);
                    let worn = |lease: Lease| lease.until.saturating_duration_since(asked) < lease.first / WORN;
                    match renewed {
                        Some(renewed) if !renewed.lease.is_some_and(worn) => return Ok(renewed),
                        // A token that was given is used to its end.
                        Some(renewed) if matches!(self.auth, VaultAuth::Token(_)) => return Ok(renewed),
                        _ => {}
                    }
                }
                Ok((400..=403, _)) => {}
                Ok((status, _)) => return Err(Failure::refused(status, None, REFUSED)),
                Err(failure) => return Err(failure),
            }
        }
        match &self.auth {
            VaultAuth::Token(_) => Err(Failure::lasting("its token ends and cannot be renewed: give it another")),
            _ => self.sign_in(api).await,
        }
    }

    async fn sign_in(&self, api: &Api) -> Result<Token, Failure> {
        let (mount, body) = match &self.auth {
            VaultAuth::Token(secret) => return told(api, secret).await,
            VaultAuth::AppRole { mount, role_id, secret_id } => {
                let mut body = serde_json::json!({"role_id": role_id.expose()});
                if let Some(secret_id) = secret_id {
                    body["secret_id"] = secret_id.expose().into();
                }
                (mount, body)
            }
            VaultAuth::Kubernetes { mount, role, jwt_file } => {
                let jwt = tokio::fs::read_to_string(jwt_file).await.map_err(|error| {
                    Failure::passing(format!(
                        "the pod's token in {} cannot be read: {}",
                        jwt_file.display(),
                        error.kind()
                    ))
                })?;
                if jwt.len() > JWT_BYTES {
                    return Err(Failure::lasting(format!(
                        "{} holds no pod's token: it is too large",
                        jwt_file.display()
                    )));
                }
                (mount, serde_json::json!({"role": role, "jwt": jwt.trim()}))
            }
        };
        let asked = Instant::now();
        let path = format!("auth/{}/login", super::encoded(mount));
        let (status, body) = api.ask(Method::POST, &path, None, Some(body)).await?;
        match status {
            200 => granted(&ask::json(&body)?["auth"], None, asked)
                .ok_or_else(|| Failure::lasting("it let askonce sign in, and gave no token")),
            // Vault answers a role that it does not know by the status of a wrong request.
            400 => Err(Failure::refused(403, None, REFUSED)),
            404 => Err(Failure::lasting(format!("nothing to sign in at is mounted at `{mount}` (status 404)"))),
            status => Err(Failure::refused(status, None, REFUSED)),
        }
    }
}

/// The token of the settings, and how long it holds, where its policies let it be asked.
async fn told(api: &Api, secret: &Secret) -> Result<Token, Failure> {
    let asked = Instant::now();
    let (status, body) = api.ask(Method::GET, "auth/token/lookup-self", Some(secret), None).await?;
    let (seconds, renewable) = match status {
        200 => {
            let data = &ask::json(&body)?["data"];
            (data["ttl"].as_u64().unwrap_or(0), data["renewable"].as_bool().unwrap_or(false))
        }
        429 | 500.. => return Err(Failure::refused(status, None, REFUSED)),
        // Whether it is good is told by what it reads.
        _ => (0, false),
    };
    Ok(Token { secret: secret.clone(), lease: Lease::of(seconds, None, asked), renewable })
}

/// The token of an answer.
fn granted(auth: &serde_json::Value, first: Option<Duration>, asked: Instant) -> Option<Token> {
    Some(Token {
        secret: Secret::new(auth["client_token"].as_str().filter(|token| !token.is_empty())?),
        lease: Lease::of(auth["lease_duration"].as_u64().unwrap_or(0), first, asked),
        renewable: auth["renewable"].as_bool().unwrap_or(false),
    })
}
