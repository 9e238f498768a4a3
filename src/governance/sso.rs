//! How people sign in: the code flow of OpenID Connect with PKCE, by the crate `openidconnect`
//! (<https://openid.net/specs/openid-connect-core-1_0.html>, <https://openid.net/specs/openid-connect-rpinitiated-1_0.html>).
//!
//! What has to be remembered between leaving and coming back goes along in a cookie that only this gateway can read, so that any process
//! with the same key can end what another began.

mod asker;
mod claims;

use self::asker::Asker;
use self::claims::{Extra, Provider, Said, TokenSet};
use super::access::identity;
use super::fetch;
use super::sessions::{Kept, Session, SignedIn};
use crate::config::{self, Resolved};
use crate::types::error::{Error, ErrorKind};
use crate::types::secret::Secret;
use arc_swap::ArcSwapOption;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{CoreGenderClaim, CoreJwsSigningAlgorithm};
use openidconnect::{
    AccessToken, AuthorizationCode, CsrfToken, LogoutRequest, Nonce, OAuth2TokenResponse, PkceCodeChallenge,
    PkceCodeVerifier, PostLogoutRedirectUrl, RefreshToken, RequestTokenError, Scope, SubjectIdentifier, TokenResponse,
    UserInfoClaims,
};
use ring::aead;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Somebody may take so long to sign in.
const PATIENCE_MS: u64 = 600_000;
/// What the provider says of itself is looked at again after so long.
const FRESH: Duration = Duration::from_secs(600);
/// A provider is asked for somebody's groups no oftener than this; where it does not say how long its tokens hold, so often.
const LEAST_MS: u64 = 30_000;
const USUAL_MS: u64 = 300_000;
/// More groups than anybody is in.
const MOST_GROUPS: usize = 5_000;

/// What may sign: nothing with a shared secret, and never nothing.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Where people sign in.
pub struct Sso {
    /// What the configuration says.
    pub settings: config::Sso,
    asker: Asker,
    found: ArcSwapOption<(Provider, Instant)>,
    seal: aead::LessSafeKey,
}

impl std::fmt::Debug for Sso {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Sso").field(&self.settings.issuer).finish()
    }
}

/// What is remembered while somebody signs in.
#[derive(Serialize, Deserialize)]
struct Leaving {
    state: String,
    nonce: String,
    verifier: String,
    until_ms: u64,
    return_to: String,
}

/// How somebody came back.
#[derive(Debug, Default, Deserialize)]
pub struct ComingBack {
    /// What was said when they left.
    pub state: Option<String>,
    /// What gets their tokens.
    pub code: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
    /// Who sent them (RFC 9207).
    pub iss: Option<String>,
}

/// Why asking the provider again came to nothing.
#[derive(Debug)]
pub enum WrongSignIn {
    /// It does not know them any more.
    Over,
    /// There is nothing to ask it with.
    Unasked,
    /// It could not be asked.
    Unreachable(String),
}

impl Sso {
    /// The one of the configuration; the one `before`, where that is the same.
    pub(super) fn of(
        settings: &Resolved,
        key: &[u8; 32],
        before: Option<Arc<Sso>>,
    ) -> Result<Option<Arc<Sso>>, String> {
        let Some(settings) = &settings.admin.sso else { return Ok(None) };
        if let Some(same) = before.filter(|before| before.settings == *settings) {
            return Ok(Some(same));
        }
        let key = blake3::derive_key("askonce 2026 sign-in cookie v1", key);
        let key = aead::UnboundKey::new(&aead::CHACHA20_POLY1305, &key).map_err(|_| "no key for cookies".to_owned())?;
        Ok(Some(Arc::new(Sso {
            settings: settings.clone(),
            asker: Asker { http: fetch::client(&settings.issuer)?, issuer: settings.issuer.clone() },
            found: ArcSwapOption::empty(),
            seal: aead::LessSafeKey::new(key),
        })))
    }

    /// Are cookies to go under TLS alone? Not where people reach the gateway on their own machine.
    pub fn is_secure(&self) -> bool {
        !(self.settings.redirect_url.starts_with("http:") && fetch::is_here(&self.settings.redirect_url))
    }

    /// Scheme, host and port under which browsers reach this gateway.
    pub fn origin(&self) -> String {
        reqwest::Url::parse(&self.settings.redirect_url)
            .map_or_else(|_| String::new(), |url| url.origin().ascii_serialization())
    }

    /// Where the browser is to go, and the cookie that it is to bring back.
    pub async fn begin(&self, return_to: Option<&str>, now_ms: u64) -> Result<(String, String), Error> {
        let provider = self.provider(false).await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let mut request = provider.client.authorize_url(
            openidconnect::core::CoreAuthenticationFlow::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        );
        for scope in self.settings.scopes.iter().filter(|scope| *scope != "openid") {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let (url, state, nonce) = request.set_pkce_challenge(challenge).url();
        let leaving = Leaving {
            state: state.secret().clone(),
            nonce: nonce.secret().clone(),
            verifier: verifier.secret().clone(),
            until_ms: now_ms + PATIENCE_MS,
            return_to: return_to.filter(|path| is_own_path(path)).unwrap_or("/admin/auth/session").to_owned(),
        };
        Ok((url.to_string(), self.sealed(&leaving)?))
    }

    /// Who came back with `cookie`, and where they are to go.
    pub async fn finish(
        &self,
        cookie: Option<&str>,
        back: ComingBack,
        now_ms: u64,
    ) -> Result<(SignedIn, String), Error> {
        let leaving = cookie.and_then(|cookie| self.opened(cookie)).filter(|leaving| leaving.until_ms > now_ms);
        let leaving = leaving.ok_or_else(|| wrong("it did not begin in this browser, or took too long"))?;
        let state = back.state.unwrap_or_default();
        if !bool::from(subtle::ConstantTimeEq::ct_eq(state.as_bytes(), leaving.state.as_bytes())) {
            return Err(wrong("it is the answer to another sign-in (`state`)"));
        }
        if back.iss.is_some_and(|iss| iss != self.settings.issuer) {
            return Err(wrong("it is the answer of another provider (`iss`)"));
        }
        if let Some(error) = back.error {
            let error: String = error.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect();
            return Err(wrong(&format!("the identity provider says `{error}`")));
        }
        let code = back.code.ok_or_else(|| wrong("it brings no `code`"))?;
        let provider = self.provider(false).await?;
        let request = provider.client.exchange_code(AuthorizationCode::new(code)).map_err(|_| no_token_url())?;
        let request = request.set_pkce_verifier(PkceCodeVerifier::new(leaving.verifier));
        let tokens = request.request_async(&self.asker).await.map_err(|error| self.not_given(&error))?;
        let who = self.who(&tokens, &Nonce::new(leaving.nonce), now_ms).await?;
        Ok((who, leaving.return_to))
    }

    /// Who the tokens are of.
    async fn who(&self, tokens: &TokenSet, nonce: &Nonce, now_ms: u64) -> Result<SignedIn, Error> {
        let id_token = tokens.id_token().ok_or_else(|| wrong("the identity provider gave no id token"))?;
        let mut provider = self.provider(false).await?;
        let mut checked = id_token.claims(&provider.verifier(&ALGORITHMS), nonce).cloned();
        if checked.is_err() {
            // It may sign with a new key.
            provider = self.provider(true).await?;
            checked = id_token.claims(&provider.verifier(&ALGORITHMS), nonce).cloned();
        }
        let claims = checked.map_err(|error| wrong(&format!("its id token is not good: {error}")))?;
        if let Some(expected) = claims.access_token_hash() {
            let verifier = provider.verifier(&ALGORITHMS);
            let (alg, key) = (id_token.signing_alg(), id_token.signing_key(&verifier));
            let (Ok(alg), Ok(key)) = (alg, key) else { return Err(wrong("its id token is not good")) };
            let actual = openidconnect::AccessTokenHash::from_token(tokens.access_token(), alg, key);
            if !actual.is_ok_and(|actual| actual == *expected) {
                return Err(wrong("its access token is not the one of its id token"));
            }
        }
        let told = self.user_info(&provider, tokens.access_token(), claims.subject()).await?;
        let subject = claims.subject().as_str().to_owned();
        let own = Said::by(&claims);
        let groups = told.as_ref().and_then(|told| told.groups(&self.settings.groups_claim));
        let groups = groups.or_else(|| own.groups(&self.settings.groups_claim)).unwrap_or_default();
        let mut identities = vec![format!("id:{subject}")];
        let mail = claims.email().filter(|_| claims.email_verified() == Some(true));
        identities.extend(mail.map(|mail| format!("name:{}", identity(mail.as_str()))));
        if let Some(name) = self
            .settings
            .user_claim
            .as_deref()
            .and_then(|claim| own.vouched(claim).or_else(|| told.as_ref().and_then(|told| told.vouched(claim))))
        {
            identities.extend([format!("name:{}", identity(&name)), format!("id:{name}")]);
        }
        let name = claims.preferred_username().map(|name| name.as_str().to_owned());
        let name = name.or_else(|| claims.email().map(|mail| mail.as_str().to_owned())).unwrap_or(subject);
        let kept = self.kept(tokens, None, now_ms).ok_or_else(|| wrong("it gave no id token"))?;
        Ok(SignedIn { name: shown(&name), identities, groups: few(groups), kept })
    }

    /// What the provider tells of somebody beside the id token; `None`, where it tells nothing.
    async fn user_info(
        &self,
        provider: &Provider,
        token: &AccessToken,
        subject: &SubjectIdentifier,
    ) -> Result<Option<Said>, Error> {
        let Ok(request) = provider.client.user_info(token.clone(), Some(subject.clone())) else { return Ok(None) };
        let told: Result<UserInfoClaims<Extra, CoreGenderClaim>, _> = request.request_async(&self.asker).await;
        told.map(|told| Some(Said::by(&told)))
            .map_err(|error| wrong(&format!("the identity provider does not tell who it is: {}", fetch::last(&error))))
    }

    /// Asks the provider again who somebody is: their groups now.
    pub(super) async fn renew(&self, session: &Session, now_ms: u64) -> Result<(BTreeSet<String>, Kept), WrongSignIn> {
        let unreachable = |error: Error| WrongSignIn::Unreachable(error.message);
        let before = session.kept.as_ref().ok_or(WrongSignIn::Unasked)?;
        let token = before.refresh_token.as_ref().ok_or(WrongSignIn::Unasked)?;
        let provider = self.provider(false).await.map_err(unreachable)?;
        let refresh = RefreshToken::new(token.expose().to_owned());
        let request = provider.client.exchange_refresh_token(&refresh).map_err(|_| unreachable(no_token_url()))?;
        let tokens = request.request_async(&self.asker).await.map_err(|error| match error {
            RequestTokenError::ServerResponse(_) => WrongSignIn::Over,
            other => WrongSignIn::Unreachable(fetch::last(&other)),
        })?;
        let subject = session.identities.iter().find_map(|one| one.strip_prefix("id:")).unwrap_or_default();
        let subject = SubjectIdentifier::new(subject.to_owned());
        let told = self.user_info(&provider, tokens.access_token(), &subject).await.map_err(unreachable)?;
        let fresh = self.said_anew(provider, &tokens, &subject).await?;
        let claim = &self.settings.groups_claim;
        let groups = match (&told, &fresh) {
            // It renews them, and says nothing at all of who they are.
            (None, None) => session.groups.clone(),
            // Whoever is in no group any more may have no claim of groups at all.
            _ => few([told, fresh].into_iter().flatten().find_map(|said| said.groups(claim)).unwrap_or_default()),
        };
        let kept = self.kept(&tokens, Some(before), now_ms).ok_or(WrongSignIn::Over)?;
        Ok((groups, kept))
    }

    /// What a new id token says, where there is one. One that is not good, or of somebody else, ends the session
    /// (OpenID Connect Core, section 12.2).
    async fn said_anew(
        &self,
        mut provider: Provider,
        tokens: &TokenSet,
        subject: &SubjectIdentifier,
    ) -> Result<Option<Said>, WrongSignIn> {
        let Some(id_token) = tokens.id_token() else { return Ok(None) };
        let anything = |_: Option<&Nonce>| Ok::<(), String>(());
        let mut checked = id_token.claims(&provider.verifier(&ALGORITHMS), anything).cloned();
        if checked.is_err() {
            // It may sign with a new key.
            provider = self.provider(true).await.map_err(|error| WrongSignIn::Unreachable(error.message))?;
            checked = id_token.claims(&provider.verifier(&ALGORITHMS), anything).cloned();
        }
        match checked {
            Ok(claims) if claims.subject() == subject => Ok(Some(Said::by(&claims))),
            _ => Err(WrongSignIn::Over),
        }
    }

    fn kept(&self, tokens: &TokenSet, before: Option<&Kept>, now_ms: u64) -> Option<Kept> {
        let id_token = tokens.id_token().map(|one| Secret::new(one.to_string()));
        let refresh = tokens.refresh_token().map(|one| Secret::new(one.secret().clone()));
        let refresh_token = refresh.or_else(|| before?.refresh_token.clone());
        let lasts = tokens.expires_in().map_or(USUAL_MS, |time| u64::try_from(time.as_millis()).unwrap_or(USUAL_MS));
        let again_ms = if refresh_token.is_some() { now_ms + lasts.max(LEAST_MS) } else { u64::MAX };
        Some(Kept { refresh_token, id_token: id_token.or_else(|| Some(before?.id_token.clone()))?, again_ms })
    }

    /// Where the browser is to go to sign out at the provider as well; `None`, where it has no such place.
    pub async fn logout_url(&self, kept: Option<&Kept>) -> Option<String> {
        let provider = self.provider(false).await.ok()?;
        let mut request = LogoutRequest::from(provider.logout.clone()?);
        request = request.set_client_id(openidconnect::ClientId::new(self.settings.client_id.clone()));
        if let Ok(back) = PostLogoutRedirectUrl::new(format!("{}/", self.origin())) {
            request = request.set_post_logout_redirect_uri(back);
        }
        let mut url = request.http_get_url();
        if let Some(kept) = kept {
            url.query_pairs_mut().append_pair("id_token_hint", kept.id_token.expose());
        }
        Some(url.to_string())
    }

    /// What the provider says of itself; asked anew where that is old, or `anew` is wanted.
    async fn provider(&self, anew: bool) -> Result<Provider, Error> {
        if let Some(found) = self.found.load().as_ref().filter(|found| !anew && found.1.elapsed() < FRESH) {
            return Ok(found.0.clone());
        }
        let found = Provider::discovered(&self.settings, &self.asker).await;
        match (found, self.found.load().as_ref()) {
            (Ok(found), _) => {
                self.found.store(Some(Arc::new((found.clone(), Instant::now()))));
                Ok(found)
            }
            // What was known is better than nothing.
            (Err(_), Some(before)) if !anew => Ok(before.0.clone()),
            (Err(why), _) => {
                tracing::warn!(issuer = self.settings.issuer, why, "the identity provider cannot be asked");
                let message = "The identity provider cannot be asked just now. Try again later.";
                Err(Error::new(ErrorKind::Overloaded, message).with_code("provider_unavailable"))
            }
        }
    }

    fn not_given<E, T>(&self, error: &RequestTokenError<E, T>) -> Error
    where
        E: std::error::Error + 'static,
        T: openidconnect::ErrorResponse + 'static,
    {
        tracing::warn!(
            issuer = self.settings.issuer,
            why = fetch::last(error),
            "the identity provider gives no tokens"
        );
        wrong("the identity provider gives no tokens for it; the log says more")
    }

    fn sealed(&self, leaving: &Leaving) -> Result<String, Error> {
        let failed = || Error::new(ErrorKind::Internal, "The sign-in cannot be begun.");
        let nonce: [u8; aead::NONCE_LEN] = rand::random();
        let mut text = serde_json::to_vec(leaving).map_err(|_| failed())?;
        let unique = aead::Nonce::assume_unique_for_key(nonce);
        self.seal.seal_in_place_append_tag(unique, aead::Aad::empty(), &mut text).map_err(|_| failed())?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &text].concat()))
    }

    fn opened(&self, cookie: &str) -> Option<Leaving> {
        let mut bytes = URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let (nonce, text) = bytes.split_at_mut_checked(aead::NONCE_LEN)?;
        let nonce = aead::Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = self.seal.open_in_place(nonce, aead::Aad::empty(), text).ok()?;
        serde_json::from_slice(text).ok()
    }
}

fn wrong(why: &str) -> Error {
    Error::new(ErrorKind::Forbidden, format!("The sign-in failed: {why}.")).with_code("sign_in_failed")
}

fn no_token_url() -> Error {
    wrong("the identity provider has no place that gives tokens")
}

/// A path of this gateway, and nothing that a browser takes for another host.
fn is_own_path(path: &str) -> bool {
    path.len() <= 1000
        && path.starts_with('/')
        && !path[1..].starts_with(['/', '\\'])
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

/// A name as it may stand in a log.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(128).collect()
}

fn few(groups: Vec<String>) -> BTreeSet<String> {
    groups.into_iter().filter(|group| group.len() <= 512).take(MOST_GROUPS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sso(key: u8) -> Sso {
        let yaml = "admin: {sso: {issuer: 'http://127.0.0.1:1', client_id: c, redirect_url: 'http://127.0.0.1:2/admin/auth/callback'}}";
        let settings = config::parse(yaml, "a", &config::Overrides::default(), &|_| Some("/tmp".to_owned())).unwrap();
        crate::install_tls();
        Arc::into_inner(Sso::of(&settings, &[key; 32], None).unwrap().unwrap()).unwrap()
    }

    #[test]
    fn what_is_remembered_is_read_by_who_has_the_key_alone() {
        let leaving =
            Leaving { state: "s".into(), nonce: "n".into(), verifier: "v".into(), until_ms: 7, return_to: "/x".into() };
        let one = sso(1);
        let cookie = one.sealed(&leaving).unwrap();
        assert_eq!(sso(1).opened(&cookie).unwrap().return_to, "/x");
        assert!(sso(2).opened(&cookie).is_none() && one.opened("").is_none() && one.opened("AAAA").is_none());
        for at in 0..cookie.len() {
            let mut other: Vec<u8> = cookie.bytes().collect();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            assert!(one.opened(std::str::from_utf8(&other).unwrap()).is_none(), "{at}");
        }
        assert_ne!(one.sealed(&leaving).unwrap(), cookie);
    }

    #[test]
    fn nobody_is_sent_elsewhere() {
        for good in ["/", "/admin/routes?x=1", "/a//b"] {
            assert!(is_own_path(good), "{good}");
        }
        for bad in ["", "//evil.example", "/\\evil.example", "https://evil.example", "/a\nb", "/a b", "/a\\b", "x"] {
            assert!(!is_own_path(bad), "{bad}");
        }
    }

    #[tokio::test]
    async fn who_did_not_leave_does_not_come_back() {
        let one = sso(1);
        let leaving = |until_ms| Leaving {
            state: "s".into(),
            nonce: "n".into(),
            verifier: "v".into(),
            until_ms,
            return_to: "/x".into(),
        };
        let cookie = one.sealed(&leaving(100)).unwrap();
        let back = |state: &str, iss: Option<&str>, error: Option<&str>| ComingBack {
            state: Some(state.into()),
            code: None,
            error: error.map(str::to_owned),
            iss: iss.map(str::to_owned),
        };
        let table = [
            (None, 1, back("s", None, None), "did not begin in this browser"),
            (Some(cookie.as_str()), 100, back("s", None, None), "took too long"),
            (Some(cookie.as_str()), 1, back("t", None, None), "`state`"),
            (Some(cookie.as_str()), 1, back("s", Some("https://other.example"), None), "`iss`"),
            (Some(cookie.as_str()), 1, back("s", None, Some("access_denied<b>")), "says `access_deniedb`"),
            (Some(cookie.as_str()), 1, back("s", None, None), "no `code`"),
        ];
        for (cookie, now_ms, back, expected) in table {
            let error = one.finish(cookie, back, now_ms).await.unwrap_err();
            assert_eq!((error.status(), error.code), (403, Some("sign_in_failed")));
            assert!(error.message.contains(expected), "{error}");
        }
    }
}
