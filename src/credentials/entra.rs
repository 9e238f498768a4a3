//! Access tokens of an application at Microsoft Entra
//! (<https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>). One is kept until shortly before
//! it expires, and fetched by one request while others wait for it.

use super::sentence;
use crate::types::error::{Error, ErrorKind};
use crate::types::secret::Secret;
use crate::wire::path::percent_encoded;
use bytes::Bytes;
use futures_util::StreamExt;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// A token is renewed so long before it expires, or after half its life where that is later.
const MARGIN: Duration = Duration::from_secs(300);
/// A fetch may take so long.
const TIMEOUT: Duration = Duration::from_secs(10);
/// After a failure the next fetch waits so long; until then the failure is the answer.
const PAUSE: Duration = Duration::from_secs(1);
/// A token's reply may be this large.
const REPLY_BYTES: usize = 64 * 1024;
/// A token holds at most so long, whatever its reply says.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// An application that signs in with its secret.
#[derive(Clone, Debug)]
pub struct Application {
    /// Where tokens are fetched.
    pub token_url: String,
    /// Its id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// What the tokens are for.
    pub scope: String,
}

/// The tokens of one application.
#[derive(Debug)]
pub struct Tokens {
    application: Application,
    client: reqwest::Client,
    /// Whose tokens they are, as an error begins: ``Provider `az` ``.
    who: String,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    token: Option<Token>,
    failed: Option<(Instant, Error)>,
}

#[derive(Clone, Debug)]
struct Token {
    secret: Secret,
    renewed_from: Instant,
    expires: Instant,
}

/// What Entra answers.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

impl Tokens {
    /// The tokens of `application`, fetched by `client` for `who`: ``provider `az` ``.
    pub fn new(application: Application, client: reqwest::Client, who: &str) -> Tokens {
        Tokens { application, client, who: sentence(who), kept: Mutex::default() }
    }

    /// A token that holds for a while yet.
    pub async fn token(&self) -> Result<Secret, Error> {
        // Held while a token is fetched, so that nobody else fetches one. Whoever is dropped while waiting leaves no trace.
        let mut kept = self.kept.lock().await;
        let now = Instant::now();
        if let Some(token) = kept.token.as_ref().filter(|token| now < token.renewed_from) {
            return Ok(token.secret.clone());
        }
        let fetched = match &kept.failed {
            Some((when, error)) if now < *when + PAUSE => Err(error.clone()),
            _ => self.fetch().await,
        };
        match (fetched, &kept.token) {
            (Ok(token), _) => {
                let secret = token.secret.clone();
                *kept = Kept { token: Some(token), failed: None };
                Ok(secret)
            }
            (Err(error), token) => {
                // One that cannot be renewed may hold still.
                let held = token.as_ref().filter(|token| Instant::now() < token.expires);
                let answer = held.map(|token| token.secret.clone()).ok_or_else(|| error.clone());
                kept.failed =
                    kept.failed.take().filter(|(when, _)| now < *when + PAUSE).or(Some((Instant::now(), error)));
                answer
            }
        }
    }

    /// Forgets `token`, which was refused.
    pub async fn forget(&self, token: &Secret) {
        let mut kept = self.kept.lock().await;
        kept.token.take_if(|known| known.secret == *token);
    }

    async fn fetch(&self) -> Result<Token, Error> {
        let Application { token_url, client_id, client_secret, scope } = &self.application;
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}&scope={}",
            percent_encoded(client_id),
            percent_encoded(client_secret.expose()),
            percent_encoded(scope)
        );
        let request = self.client.post(token_url).timeout(TIMEOUT).body(form);
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let asked = Instant::now();
        let reply = request.send().await.map_err(|error| {
            let kind = if error.is_timeout() { ErrorKind::UpstreamTimeout } else { ErrorKind::UpstreamUnreachable };
            self.failed(kind, "its token endpoint cannot be reached")
        })?;
        let status = reply.status();
        let body = self.whole(reply).await?;
        if !status.is_success() {
            return Err(self.refused(status.as_u16(), &body));
        }
        let granted: Granted = serde_json::from_slice(&body)
            .map_err(|_| self.failed(ErrorKind::UpstreamBroken, "its token endpoint sent no token"))?;
        let life = Duration::from_secs(granted.expires_in).min(LONGEST);
        let renewed_from = asked + life.saturating_sub(MARGIN).max(life / 2);
        Ok(Token { secret: Secret::new(granted.access_token), renewed_from, expires: asked + life })
    }

    async fn whole(&self, reply: reqwest::Response) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        let mut pieces = reply.bytes_stream();
        while let Some(piece) = pieces.next().await {
            let broken = |_| self.failed(ErrorKind::UpstreamBroken, "its token endpoint broke off");
            let piece: Bytes = piece.map_err(broken)?;
            if body.len() + piece.len() > REPLY_BYTES {
                return Err(self.failed(ErrorKind::UpstreamBroken, "its token endpoint sent too much"));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// Entra's word for a refusal, such as `invalid_client`. Its sentences may quote what was sent.
    fn refused(&self, status: u16, body: &[u8]) -> Error {
        #[derive(Deserialize)]
        struct Refusal {
            error: String,
        }
        let is_word =
            |word: &String| word.len() <= 60 && word.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase());
        let word = serde_json::from_slice::<Refusal>(body).ok().map(|one| one.error).filter(is_word);
        let kind = if matches!(status, 429 | 500..) {
            ErrorKind::UpstreamStatus(status)
        } else {
            ErrorKind::UpstreamStatus(401)
        };
        let what = format!(
            "its token endpoint answered with status {status} ({})",
            word.as_deref().unwrap_or("no reason told")
        );
        self.failed(kind, &what)
    }

    fn failed(&self, kind: ErrorKind, what: &str) -> Error {
        let message = format!(
            "{} cannot be signed in to: {what}. The operator has to check its `tenant_id`, `client_id` and \
             `client_secret`.",
            self.who
        );
        Error::new(kind, message).with_code("upstream_unauthorized")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::stub::Stub;

    fn tokens(url: &str) -> Tokens {
        let application = Application {
            token_url: format!("{url}/t/oauth2/v2.0/token"),
            client_id: "app 1".into(),
            client_secret: Secret::new("s&cret"),
            scope: "https://cognitiveservices.azure.com/.default".into(),
        };
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Tokens::new(application, client, "provider `az`")
    }

    #[tokio::test]
    async fn a_token_is_fetched_once_for_many() {
        let long = r#"{"token_type":"Bearer","expires_in":3599,"access_token":"tok-1"}"#;
        let stub = Stub::start(vec![(200, long)]).await;
        let tokens = tokens(&stub.url);
        let asked = futures_util::future::join_all((0..20).map(|_| tokens.token())).await;
        assert!(asked.iter().all(|token| token.as_ref().is_ok_and(|token| token.expose() == "tok-1")));
        let seen = stub.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].line, "POST /t/oauth2/v2.0/token HTTP/1.1");
        assert_eq!(
            seen[0].body,
            "grant_type=client_credentials&client_id=app%201&client_secret=s%26cret\
             &scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default"
        );
        let shown = format!("{tokens:?}");
        assert!(!shown.contains("s&cret") && !shown.contains("tok-1"), "{shown}");
    }

    #[tokio::test]
    async fn a_token_that_expires_or_was_refused_is_fetched_anew() {
        let short = r#"{"expires_in":0,"access_token":"tok-1"}"#;
        let long = r#"{"expires_in":3600,"access_token":"tok-2"}"#;
        let stub = Stub::start(vec![(200, short), (200, long), (200, long)]).await;
        let tokens = tokens(&stub.url);
        assert_eq!(tokens.token().await.unwrap().expose(), "tok-1");
        let second = tokens.token().await.unwrap();
        assert_eq!((second.expose(), stub.seen().len()), ("tok-2", 2));
        tokens.forget(&Secret::new("another")).await;
        tokens.token().await.unwrap();
        assert_eq!(stub.seen().len(), 2);
        tokens.forget(&second).await;
        tokens.token().await.unwrap();
        assert_eq!(stub.seen().len(), 3);
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_a_word_and_not_asked_for_again_at_once() {
        let refusal = r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret s&cret"}"#;
        let stub = Stub::start(vec![(401, refusal), (401, refusal)]).await;
        let tokens = tokens(&stub.url);
        for _ in 0..3 {
            let error = tokens.token().await.unwrap_err();
            assert!(error.message.contains("status 401 (invalid_client)"), "{error}");
            assert!(!format!("{error:?}").contains("s&cret"));
            assert_eq!(error.kind, ErrorKind::UpstreamStatus(401));
        }
        assert_eq!(stub.seen().len(), 1);
    }

    #[tokio::test]
    async fn a_token_that_cannot_be_renewed_is_used_while_it_holds() {
        let stub = Stub::start(vec![(200, r#"{"expires_in":2,"access_token":"tok-1"}"#), (503, "busy")]).await;
        let tokens = tokens(&stub.url);
        tokens.token().await.unwrap();
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert_eq!(tokens.token().await.unwrap().expose(), "tok-1");
        assert_eq!(stub.seen().len(), 2);
    }
}
