//! Tokens of an identity provider in place of keys: which are taken, whose they are, and what is done when keys change.

use crate::support::issuer::{Issuer, Signer, by_rsa, now, unsigned};
use crate::support::{Gateway, Given, Reply, Upstream, ask, with};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

async fn gateway(upstream: &Upstream, issuer: &Issuer, more: &str) -> Gateway {
    let auth = format!(
        "accounts: [{{name: house, kind: organisation, rate_limits: [{{requests: 4, per: day}}]}}, {{name: team, kind: team, in: house}}]\n\
         auth:\n  keys: [{{name: a, key: key-a-0123456789ab}}]\n  issuers:\n    - {{name: idp, issuer: '{}', audience: [gate, other], clock_skew_s: 5{more}}}\n",
        issuer.url
    );
    Given::one(upstream, &auth).start().await
}

async fn send(gateway: &Gateway, token: &str, question: &str) -> Reply {
    gateway.chat_with(&ask(question), &[("authorization", &format!("Bearer {token}"))]).await
}

#[tokio::test]
async fn a_good_token_is_a_caller_and_no_other_is() {
    let upstream = Upstream::counting().await;
    let issuer = Issuer::start().await;
    let gateway = gateway(&upstream, &issuer, "").await;
    for good in [
        json!({}),
        json!({"aud": ["x", "gate"]}),
        json!({"aud": "other"}),
        json!({"exp": now() - 3}),
        json!({"nbf": now() + 3}),
        json!({"exp": now() as f64 + 60.5}),
    ] {
        let reply = send(&gateway, &issuer.token("u1", good.clone()), "one").await;
        assert_eq!(reply.status, 200, "{good}: {}", String::from_utf8_lossy(&reply.body));
    }
    assert_eq!(upstream.calls(), 1, "one subject, one tenant");
    assert_eq!(send(&gateway, "key-a-0123456789ab", "one").await.status, 200);

    let signer = issuer.signer();
    let claims = issuer.claims("u1", json!({}));
    let public = issuer.signer().listed().to_string();
    let hmac = |head: Value| {
        let text = unsigned(&head, &claims);
        let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, public.as_bytes()), text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    let head = |more: Value| with(json!({"alg": "ES256", "kid": "k1"}), more);
    let mut damaged = issuer.token("u1", json!({}));
    let last = damaged.len() - 20;
    damaged.replace_range(last..=last, if damaged.as_bytes()[last] == b'A' { "B" } else { "A" });
    let table = [
        ("expired", issuer.token("u1", json!({"exp": now() - 60})), "expired_token"),
        ("never ends", issuer.token("u1", json!({"exp": null})), "invalid_token"),
        ("not yet", issuer.token("u1", json!({"nbf": now() + 60})), "invalid_token"),
        ("from the future", issuer.token("u1", json!({"iat": now() + 60})), "invalid_token"),
        ("for others", issuer.token("u1", json!({"aud": "someone"})), "invalid_token"),
        ("for nobody", issuer.token("u1", json!({"aud": null})), "invalid_token"),
        ("from others", issuer.token("u1", json!({"iss": "https://other.example"})), "invalid_token"),
        ("of nobody", issuer.token("", json!({})), "invalid_token"),
        ("no algorithm", format!("{}.", unsigned(&json!({"alg": "none"}), &claims)), "invalid_token"),
        ("no algorithm, in capitals", format!("{}.AAAA", unsigned(&json!({"alg": "NONE"}), &claims)), "invalid_token"),
        ("a public key as a secret", hmac(json!({"alg": "HS256", "kid": "k1"})), "invalid_token"),
        ("the same without its id", hmac(json!({"alg": "HS256"})), "invalid_token"),
        ("another algorithm", signer.with_head(&head(json!({"alg": "ES384"})), &claims), "invalid_token"),
        ("another key", Signer::fresh("k1").sign(&claims), "invalid_token"),
        (
            "a key in the head",
            signer.with_head(&json!({"alg": "ES256", "kid": "kx", "jwk": signer.listed()}), &claims),
            "invalid_token",
        ),
        ("critical", signer.with_head(&head(json!({"crit": ["b64"], "b64": false})), &claims), "invalid_token"),
        ("another type", signer.with_head(&head(json!({"typ": "logout+jwt"})), &claims), "invalid_token"),
        ("damaged", damaged, "invalid_token"),
        ("too long", issuer.token("u1", json!({"x": "y".repeat(20_000)})), "invalid_token"),
        ("no JSON", format!("eyJ.{}.x", URL_SAFE_NO_PAD.encode("x")), "invalid_token"),
    ];
    for (what, token, code) in table {
        let reply = send(&gateway, &token, "two").await;
        assert_eq!(reply.error(), (401, code.to_owned()), "{what}");
    }
    assert_eq!(upstream.calls(), 2, "what is refused is not sent");
}

#[tokio::test]
async fn claims_say_whose_a_request_is() {
    let upstream = Upstream::counting().await;
    let issuer = Issuer::start().await;
    let more = ", claims: {name: email, account: org.account, tenant: org.id, models: models}";
    let gateway = gateway(&upstream, &issuer, more).await;
    let token = |sub: &str, org: Value, models: Value| {
        issuer.token(sub, json!({"email": format!("{sub}@example.com"), "org": org, "models": models}))
    };
    let red = json!({"id": "red", "account": "team"});
    assert_eq!(send(&gateway, &token("u1", red.clone(), json!(["m"])), "one").await.status, 200);
    let shared = send(&gateway, &token("u2", red.clone(), json!("x m")), "one").await;
    assert_eq!(shared.cache(), "hit/exact", "one tenant");
    let apart = send(&gateway, &token("u1", json!({"id": "blue", "account": "team"}), json!(["*"])), "one").await;
    assert_eq!((apart.status, upstream.calls()), (200, 2), "another tenant");
    let refused = send(&gateway, &token("u1", red.clone(), json!(["other"])), "one").await;
    assert_eq!(refused.error(), (403, "model_not_allowed".to_owned()));
    for (org, models) in [
        (json!({"id": "red"}), json!(["m"])),
        (json!({"id": "red", "account": "nobody"}), json!(["m"])),
        (red.clone(), Value::Null),
        (red.clone(), json!([])),
    ] {
        let refused = send(&gateway, &token("u3", org.clone(), models.clone()), "one").await;
        assert_eq!(refused.error(), (403, "forbidden".to_owned()), "{org} {models}");
    }
    assert_eq!(send(&gateway, &token("u1", json!({"account": "team"}), json!(["m"])), "one").await.error().0, 401);
    // The limit of the house, above the account that the token names.
    assert_eq!(send(&gateway, &token("u1", red.clone(), json!(["m"])), "one").await.status, 200);
    let over = send(&gateway, &token("u9", red, json!(["m"])), "one").await;
    assert_eq!(over.error(), (429, "rate_limit_exceeded".to_owned()));
}

#[tokio::test]
async fn nobody_makes_the_tenant_of_another() {
    let upstream = Upstream::counting().await;
    let issuer = Issuer::start().await;
    let gateway = gateway(&upstream, &issuer, "").await;
    for (at, sub) in ["u1", "a", "key:a", "anonymous", "u1/x"].into_iter().enumerate() {
        assert_eq!(send(&gateway, &issuer.token(sub, json!({})), "same question").await.status, 200);
        assert_eq!(upstream.calls(), at + 1, "{sub}");
    }
    let key = send(&gateway, "key-a-0123456789ab", "same question").await;
    assert!(key.cache().starts_with("miss/"), "{}", key.cache());
}

#[tokio::test]
async fn keys_come_and_go() {
    let upstream = Upstream::counting().await;
    let issuer = Issuer::start().await;
    let gateway = gateway(&upstream, &issuer, "").await;
    let old = issuer.token("u1", json!({}));
    assert_eq!(send(&gateway, &old, "one").await.status, 200);
    for _ in 0..5 {
        assert_eq!(send(&gateway, &issuer.token("u1", json!({"n": 1})), "one").await.status, 200);
    }
    assert_eq!(issuer.asked(), 1, "keys that are known are not asked for");

    // A new key beside the old one.
    let new = Signer::fresh("k2");
    issuer.list(vec![issuer.signer().listed(), new.listed()]);
    issuer.sign_with(new);
    assert_eq!(send(&gateway, &issuer.token("u1", json!({})), "one").await.status, 200);
    assert_eq!((issuer.asked(), send(&gateway, &old, "one").await.status), (2, 200));

    // RSA beside it, of which a key without an id is found as well; then the first one is taken back, with what it signed.
    let (listed, by_rsa) = by_rsa("k3", &issuer.claims("u1", json!({})));
    issuer.list(vec![issuer.signer().listed(), listed]);
    assert_eq!(send(&gateway, &by_rsa, "one").await.status, 200);
    assert_eq!(issuer.asked(), 3);
    assert_eq!(
        send(&gateway, &old, "one").await.error(),
        (401, "invalid_token".to_owned()),
        "verified before, and taken back"
    );

    // Made-up keys do not make the gateway ask without end.
    for n in 0..20 {
        let made_up = Signer::fresh(&format!("x{n}")).sign(&issuer.claims("u1", json!({})));
        assert_eq!(send(&gateway, &made_up, "one").await.status, 401);
    }
    assert!(issuer.asked() <= 4, "{}", issuer.asked());
}

#[tokio::test]
async fn a_token_may_be_shown_once_where_that_is_said() {
    let upstream = Upstream::counting().await;
    let issuer = Issuer::start().await;
    let gateway = gateway(&upstream, &issuer, ", replay: refuse").await;
    let token = issuer.token("u1", json!({"jti": "1"}));
    assert_eq!(send(&gateway, &token, "one").await.status, 200);
    assert_eq!(send(&gateway, &token, "one").await.error(), (401, "invalid_token".to_owned()));
    assert_eq!(send(&gateway, &issuer.token("u1", json!({"jti": "1", "n": 2})), "one").await.status, 401);
    assert_eq!(send(&gateway, &issuer.token("u1", json!({})), "one").await.status, 401, "without an id");
    assert_eq!(send(&gateway, &issuer.token("u1", json!({"jti": "2"})), "one").await.status, 200);
}

#[tokio::test]
async fn accounts_of_the_admin_surface_are_accounts() {
    let upstream = Upstream::counting().await;
    let issuer = Issuer::start().await;
    let gateway = gateway(&upstream, &issuer, ", claims: {account: team}").await;
    let admin = |method: &str, path: &str, body: Value| {
        let request = gateway.client.request(method.parse().unwrap(), gateway.url(path));
        Reply::of(request.bearer_auth(crate::support::gateway::ADMIN_KEY).json(&body))
    };
    let token = issuer.token("u1", json!({"team": "lab"}));
    assert_eq!(send(&gateway, &token, "one").await.error(), (403, "forbidden".to_owned()));
    let lab = json!({"name": "lab", "kind": "team", "in": "house"});
    assert_eq!(admin("POST", "/admin/accounts", lab).await.status, 200 + 1);
    assert_eq!(send(&gateway, &token, "one").await.status, 200);
    // A token of the admin surface may be for it as well.
    let made = admin("POST", "/admin/tokens", json!({"name": "t", "roles": ["editor"], "scope": "lab"})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    // It is verified once, and the account is looked at each time.
    assert_eq!(admin("DELETE", "/admin/accounts/lab", Value::Null).await.status, 204);
    assert_eq!(send(&gateway, &token, "one").await.error(), (403, "forbidden".to_owned()));
}
