//! `Issuer`: an identity provider on a real socket. It signs with a fresh key, and signs in whoever its test says.

use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Who this gateway is to it.
pub const CLIENT: (&str, &str) = ("gate", "gate-secret-0123456789");

/// A key that signs.
pub struct Signer {
    kid: String,
    pair: EcdsaKeyPair,
}

impl Signer {
    /// A fresh one.
    pub fn fresh(kid: &str) -> Signer {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        Signer { kid: kid.to_owned(), pair }
    }

    /// As a list of keys has it.
    pub fn listed(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
            "x": part(&point[1..33]), "y": part(&point[33..65]),
        })
    }

    /// A token with that head and those claims.
    pub fn with_head(&self, head: &Value, claims: &Value) -> String {
        let text = unsigned(head, claims);
        let signature = self.pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A token with those claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.with_head(&json!({"alg": "ES256", "typ": "JWT", "kid": self.kid}), claims)
    }
}

/// Head and claims of a token, without a signature.
pub fn unsigned(head: &Value, claims: &Value) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(head.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

/// An RSA key as a list has it, and a token that it signed.
pub fn by_rsa(kid: &str, claims: &Value) -> (Value, String) {
    let text: String = include_str!("../../../src/credentials/google_token/test_key.b64").split_whitespace().collect();
    let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(text).unwrap()).unwrap();
    let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
    let (n, e) = (URL_SAFE_NO_PAD.encode(public.n), URL_SAFE_NO_PAD.encode(public.e));
    let text = unsigned(&json!({"alg": "RS256", "kid": kid}), claims);
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
    (json!({"kty": "RSA", "kid": kid, "n": n, "e": e}), format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

struct Shared {
    url: String,
    signer: Mutex<Arc<Signer>>,
    /// What the list of keys says.
    keys: Mutex<Vec<Value>>,
    /// How often it was asked for.
    asked: AtomicUsize,
    /// Claims of whoever signs in next.
    user: Mutex<Value>,
    /// What goes into the id token alone.
    extra: Mutex<Value>,
    /// Nobody's tokens are renewed.
    forgets: std::sync::atomic::AtomicBool,
    /// Each refresh token is good once.
    rotates: std::sync::atomic::AtomicBool,
    /// How often tokens were renewed.
    renewed: AtomicUsize,
    /// What was said when somebody came to sign in, by code.
    codes: Mutex<HashMap<String, HashMap<String, String>>>,
}

impl Shared {
    /// The refresh token that is good just now.
    fn refresh_token(&self) -> String {
        let rotates = self.rotates.load(Ordering::SeqCst);
        format!("refresh-0123456789{}", if rotates { self.renewed.load(Ordering::SeqCst) } else { 0 })
    }
}

/// An identity provider. It ends when dropped.
pub struct Issuer {
    /// Its URL.
    pub url: String,
    shared: Arc<Shared>,
    served: JoinHandle<()>,
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.served.abort();
    }
}

impl Issuer {
    /// Starts one.
    pub async fn start() -> Issuer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let signer = Arc::new(Signer::fresh("k1"));
        let shared = Arc::new(Shared {
            url: url.clone(),
            keys: Mutex::new(vec![signer.listed()]),
            signer: Mutex::new(signer),
            asked: AtomicUsize::new(0),
            user: Mutex::new(
                json!({"sub": "u1", "preferred_username": "ada", "email": "ada@example.com", "email_verified": true, "groups": ["ops"]}),
            ),
            extra: Mutex::new(json!({})),
            forgets: Default::default(),
            rotates: Default::default(),
            renewed: AtomicUsize::new(0),
            codes: Mutex::default(),
        });
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(jwks))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .with_state(shared.clone());
        let served = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Issuer { url, shared, served }
    }

    /// The claims of a good token for `sub`, with more.
    pub fn claims(&self, sub: &str, more: Value) -> Value {
        let base = json!({"iss": self.url, "aud": "gate", "sub": sub, "iat": now(), "exp": now() + 300});
        super::with(base, more)
    }

    /// A good token.
    pub fn token(&self, sub: &str, more: Value) -> String {
        self.shared.signer.lock().clone().sign(&self.claims(sub, more))
    }

    /// The key that it signs with.
    pub fn signer(&self) -> Arc<Signer> {
        self.shared.signer.lock().clone()
    }

    /// Signs with another key from now on.
    pub fn sign_with(&self, signer: Signer) {
        *self.shared.signer.lock() = Arc::new(signer);
    }

    /// Lists those keys from now on.
    pub fn list(&self, keys: Vec<Value>) {
        *self.shared.keys.lock() = keys;
    }

    /// How often its keys were asked for.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// Who signs in from now on.
    pub fn user(&self, claims: Value) {
        *self.shared.user.lock() = claims;
    }

    /// What id tokens say, whatever is true.
    pub fn lie(&self, claims: Value) {
        *self.shared.extra.lock() = claims;
    }

    /// Takes each refresh token once from now on, and takes its time.
    pub fn rotate(&self) {
        self.shared.rotates.store(true, Ordering::SeqCst);
    }

    /// How often tokens were renewed.
    pub fn renewed(&self) -> usize {
        self.shared.renewed.load(Ordering::SeqCst)
    }

    /// Renews nobody's tokens any more.
    pub fn forget(&self) {
        self.shared.forgets.store(true, Ordering::SeqCst);
    }
}

/// A body of JSON.
fn json_of(value: &Value) -> Response {
    ([("content-type", "application/json")], value.to_string()).into_response()
}

async fn discovery(State(own): State<Arc<Shared>>) -> Response {
    let at = |path: &str| format!("{}{path}", own.url);
    json_of(&json!({
        "issuer": own.url,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "userinfo_endpoint": at("/userinfo"),
        "jwks_uri": at("/jwks"),
        "end_session_endpoint": at("/end"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256", "none"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
    }))
}

async fn jwks(State(own): State<Arc<Shared>>) -> Response {
    own.asked.fetch_add(1, Ordering::SeqCst);
    json_of(&json!({"keys": own.keys.lock().clone()}))
}

async fn authorize(State(own): State<Arc<Shared>>, Query(asked): Query<HashMap<String, String>>) -> Response {
    assert_eq!(asked["code_challenge_method"], "S256");
    assert!(asked["scope"].split(' ').any(|scope| scope == "openid") && asked["client_id"] == CLIENT.0);
    let code = format!("code-{}", own.codes.lock().len());
    let back = format!("{}?code={code}&state={}&iss={}", asked["redirect_uri"], asked["state"], own.url);
    own.codes.lock().insert(code, asked);
    Redirect::to(&back).into_response()
}

async fn token(State(own): State<Arc<Shared>>, headers: HeaderMap, body: String) -> Response {
    let url = reqwest::Url::parse(&format!("http://form/?{body}")).unwrap();
    let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
    let expected = format!("Basic {}", STANDARD.encode(format!("{}:{}", CLIENT.0, CLIENT.1)));
    let refused = |why: &str| {
        (StatusCode::BAD_REQUEST, [("content-type", "application/json")], json!({"error": why}).to_string())
            .into_response()
    };
    if headers.get("authorization").is_none_or(|value| value != expected.as_str()) {
        return refused("invalid_client");
    }
    let nonce = if asked["grant_type"] == "refresh_token" {
        if own.forgets.load(Ordering::SeqCst) || asked["refresh_token"] != own.refresh_token() {
            return refused("invalid_grant");
        }
        own.renewed.fetch_add(1, Ordering::SeqCst);
        if own.rotates.load(Ordering::SeqCst) {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        None
    } else {
        // A code is good once.
        let Some(begun) = own.codes.lock().remove(&asked["code"]) else { return refused("invalid_grant") };
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, asked["code_verifier"].as_bytes()));
        if challenge != begun["code_challenge"] || asked["redirect_uri"] != begun["redirect_uri"] {
            return refused("invalid_grant");
        }
        Some(begun["nonce"].clone())
    };
    let user = own.user.lock().clone();
    let mut claims = json!({"iss": own.url, "aud": CLIENT.0, "iat": now(), "exp": now() + 300, "nonce": nonce});
    for name in ["sub", "preferred_username", "email", "email_verified"] {
        if !user[name].is_null() {
            claims[name] = user[name].clone();
        }
    }
    let claims = super::with(claims, own.extra.lock().clone());
    let signer = own.signer.lock().clone();
    json_of(&json!({
        "access_token": "access-0123456789", "token_type": "Bearer", "expires_in": 300,
        "refresh_token": own.refresh_token(), "id_token": signer.sign(&claims),
    }))
}

async fn userinfo(State(own): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if headers.get("authorization").is_none_or(|value| value != "Bearer access-0123456789") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    json_of(&own.user.lock())
}
