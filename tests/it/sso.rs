//! People sign in at an identity provider, do what their groups may, and are signed out.

use crate::support::gateway::{ADMIN_KEY, client};
use crate::support::issuer::{CLIENT, Issuer, now};
use crate::support::{Gateway, Given, Reply, Upstream, until};
use askonce::types::clock::Clock;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use serde_json::{Value, json};
use std::time::Duration;

/// Where the gateway's address does not matter, but its end does.
const BACK: &str = "http://127.0.0.1:9/admin/auth/callback";

fn given(upstream: &Upstream, issuer: &Issuer) -> Given {
    let admin = format!(
        "admin:\n  key: {ADMIN_KEY}\n  sso:\n    issuer: {}\n    client_id: {}\n    client_secret: {}\n    redirect_url: {BACK}\n    \
         idle_timeout_s: 600\n    session_timeout_s: 3600\n    roles: {{ops: editor, lords: owner, leads: admin, all: viewer}}\n    accounts: {{leads: team}}\n    scim: scim\n",
        issuer.url, CLIENT.0, CLIENT.1
    );
    let admin = admin
        + "  roles: [{name: directory, allow: ['people:*']}]\n  tokens: [{name: scim, key: tok-scim-0123456789abcdef, roles: [directory]}]\n";
    let accounts = "accounts: [{name: team, kind: team}, {name: far, kind: team}]\n";
    Given::one(upstream, accounts).with(&format!("admin: {{key: {ADMIN_KEY}}}"), &admin)
}

/// A browser: keeps cookies, and follows where it is sent.
struct Browser<'g> {
    gateway: &'g Gateway,
    client: reqwest::Client,
    cookies: Vec<(String, String)>,
}

impl<'g> Browser<'g> {
    fn new(gateway: &'g Gateway) -> Browser<'g> {
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Browser { gateway, client, cookies: Vec::new() }
    }

    async fn send(&mut self, request: reqwest::RequestBuilder) -> Reply {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let reply = Reply::of(request.header(COOKIE, cookies.join("; "))).await;
        for set in reply.headers.get_all(SET_COOKIE) {
            let text = set.to_str().unwrap();
            assert!(text.contains("HttpOnly") && text.contains("SameSite=Lax") && text.contains("Path=/"), "{text}");
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(other, _)| other != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        reply
    }

    async fn get(&mut self, path: &str) -> Reply {
        self.send(self.client.get(self.gateway.url(path))).await
    }

    async fn post(&mut self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let request = self.client.post(self.gateway.url(path)).json(&json!({}));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.send(request).await
    }

    /// Goes to the identity provider; where that sends it back to.
    async fn leave(&mut self, path: &str) -> String {
        let left = self.get(path).await;
        assert_eq!(left.status, 303, "{}", String::from_utf8_lossy(&left.body));
        let there = Reply::of(self.client.get(left.header(LOCATION.as_str()))).await;
        there.header(LOCATION.as_str()).strip_prefix("http://127.0.0.1:9").unwrap().to_owned()
    }

    async fn sign_in(&mut self) -> Reply {
        let back = self.leave("/admin/auth/login").await;
        self.get(&back).await
    }
}

/// Of the sign-in that the audit log keeps: the actor, its id, and from where.
async fn of_sign_in(gateway: &Gateway) -> (Value, Value, Value) {
    let rows = async || {
        let request = client().get(gateway.url("/admin/audit?action=session.begin")).bearer_auth(ADMIN_KEY);
        Reply::of(request).await.json()["data"].as_array().unwrap().clone()
    };
    until("the sign-in is written", || async { !rows().await.is_empty() }).await;
    let row = rows().await[0].clone();
    (row["actor"].clone(), row["actor_id"].clone(), row["address"].clone())
}

#[tokio::test]
async fn somebody_signs_in_and_out() {
    let upstream = Upstream::counting().await;
    let issuer = Issuer::start().await;
    let gateway = given(&upstream, &issuer).start().await;
    let mut browser = Browser::new(&gateway);
    assert_eq!(browser.get("/admin/auth/session").await.status, 401);
    let back = browser.leave("/admin/auth/login?return_to=/admin/routes").await;
    let done = browser.get(&back).await;
    assert_eq!(
        (done.status, done.header("location")),
        (303, "/admin/routes"),
        "{}",
        String::from_utf8_lossy(&done.body)
    );
    let said = browser.get("/admin/auth/session").await.json();
    assert_eq!(
        (&said["name"], &said["roles"], &said["scope"]),
        (&json!("user `ada`"), &json!(["editor"]), &Value::Null)
    );
    assert_eq!(browser.get("/admin/routes").await.status, 200);
    assert_eq!(browser.get("/scim/v2/Users").await.status, 403);

    // Names may change hands; who it was, the log keeps.
    let id = of_sign_in(&gateway).await;
    assert_eq!(id, (json!("user `ada`"), json!("u1"), json!("127.0.0.1")));

    // A page of another site changes nothing.
    let purge = "/admin/cache/purge";
    assert_eq!(browser.post(purge, &[]).await.error(), (403, "csrf".to_owned()));
    assert_eq!(browser.post(purge, &[("origin", "http://evil.example")]).await.error(), (403, "csrf".to_owned()));
    assert_eq!(browser.post(purge, &[("origin", "http://127.0.0.1:9")]).await.status, 400, "it is let in");
    assert_eq!(browser.post(purge, &[("x-askonce-csrf", "1")]).await.status, 400);

    let stolen = browser.cookies.clone();
    let out = browser.post("/admin/auth/logout", &[("x-askonce-csrf", "1")]).await.json();
    let url = out["provider_logout_url"].as_str().unwrap();
    assert!(url.starts_with(&format!("{}/end?", issuer.url)) && url.contains("id_token_hint=eyJ"), "{url}");
    assert!(browser.cookies.is_empty());
    browser.cookies = stolen;
    assert_eq!(browser.get("/admin/auth/session").await.status, 401, "the session itself has ended");
    assert_eq!(browser.get(&back).await.status, 403, "and the way back is gone");
}

#[tokio::test]
async fn groups_say_what_somebody_may() {
    let upstream = Upstream::counting().await;
    let issuer = Issuer::start().await;
    let gateway = given(&upstream, &issuer).start().await;
    let person = |groups: Value| json!({"sub": "u1", "preferred_username": "ada", "groups": groups});
    issuer.user(person(json!(["nobody"])));
    assert_eq!(Browser::new(&gateway).sign_in().await.error(), (403, "no_role".to_owned()));
    issuer.user(person(json!(["leads", "all"])));
    let mut browser = Browser::new(&gateway);
    assert_eq!(browser.sign_in().await.status, 303);
    let said = browser.get("/admin/auth/session").await.json();
    assert_eq!(said["grants"].as_array().unwrap().len(), 2, "{said}");
    assert_eq!((&said["grants"][0]["roles"], &said["grants"][0]["scope"]), (&json!(["admin"]), &json!(["team"])));
    assert_eq!((&said["grants"][1]["roles"], &said["grants"][1]["scope"]), (&json!(["viewer"]), &Value::Null));
    // The admin of one team sees all, and is no admin of all.
    assert_eq!(browser.get("/admin/routes").await.status, 200);
    let csrf = [("x-askonce-csrf", "1")];
    let purge = browser.post("/admin/cache/purge", &csrf).await;
    assert_eq!(purge.error(), (403, "forbidden".to_owned()), "{}", purge.text());
    let mut key = async |account: &str| {
        let request = browser.client.post(gateway.url("/admin/keys")).header("x-askonce-csrf", "1");
        browser.send(request.json(&json!({"name": format!("of-{account}"), "account": account}))).await.status
    };
    assert_eq!((key("team").await, key("far").await), (201, 403));
    // Whoever loses the group with the account has nothing that they had not before.
    issuer.user(person(json!(["all"])));
    assert_eq!(browser.post("/admin/auth/refresh", &csrf).await.status, 200);
    assert_eq!(browser.get("/admin/auth/session").await.json()["roles"], json!(["viewer"]));
    assert_eq!(browser.post("/admin/cache/purge", &csrf).await.error().0, 403);

    // The provider knows better by now.
    issuer.user(person(json!(["lords"])));
    assert_eq!(browser.post("/admin/auth/refresh", &[("x-askonce-csrf", "1")]).await.status, 200);
    assert_eq!(browser.get("/admin/auth/session").await.json()["roles"], json!(["owner"]));
    issuer.forget();
    assert_eq!(
        browser.post("/admin/auth/refresh", &[("x-askonce-csrf", "1")]).await.error(),
        (401, "session_over".to_owned())
    );
    assert_eq!(browser.get("/admin/auth/session").await.status, 401);
}

#[tokio::test]
async fn a_sign_in_that_is_not_its_own_is_refused() {
    let upstream = Upstream::counting().await;
    let issuer = Issuer::start().await;
    let gateway = given(&upstream, &issuer).start().await;
    let mut victim = Browser::new(&gateway);
    let attackers = Browser::new(&gateway).leave("/admin/auth/login").await;
    assert_eq!(victim.get(&attackers).await.error(), (403, "sign_in_failed".to_owned()), "another browser's answer");
    victim.leave("/admin/auth/login").await;
    assert_eq!(victim.get(&attackers).await.error().0, 403, "another browser's answer in the middle of one's own");
    for lie in [
        json!({"nonce": "another"}),
        json!({"aud": "another"}),
        json!({"iss": "https://other.example"}),
        json!({"exp": now() - 1000, "iat": now() - 2000}),
        json!({"sub": "u2"}),
    ] {
        issuer.lie(lie.clone());
        let refused = Browser::new(&gateway).sign_in().await;
        assert_eq!(refused.error(), (403, "sign_in_failed".to_owned()), "{lie}");
    }
}

#[tokio::test]
async fn sessions_outlive_a_restart_and_end_in_time() {
    let upstream = Upstream::counting().await;
    let issuer = Issuer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(now() * 1000);
    let given = given(&upstream, &issuer).dir(dir.path()).clock(&clock);
    let gateway = given.start().await;
    let mut browser = Browser::new(&gateway);
    browser.sign_in().await;
    let cookies = browser.cookies.clone();
    gateway.stop().await;
    let gateway = given.start_again().await;
    let mut browser = Browser { cookies, ..Browser::new(&gateway) };
    assert_eq!(browser.get("/admin/auth/session").await.json()["name"], "user `ada`");
    clock.advance(Duration::from_secs(599));
    assert_eq!(browser.get("/admin/auth/session").await.status, 200);
    clock.advance(Duration::from_secs(600));
    assert_eq!(browser.get("/admin/auth/session").await.status, 401, "idle");
}

#[tokio::test]
async fn who_is_made_inactive_loses_everything_at_once() {
    let upstream = Upstream::counting().await;
    let issuer = Issuer::start().await;
    let gateway = given(&upstream, &issuer).start().await;
    // The provider of identities tells no group; SCIM does.
    issuer.user(json!({"sub": "u1", "preferred_username": "ada"}));
    let scim = |method: reqwest::Method, path: String, body: Value| {
        let request = gateway.client.request(method, gateway.url(&format!("/scim/v2{path}")));
        Reply::of(request.bearer_auth("tok-scim-0123456789abcdef").json(&body))
    };
    let post = reqwest::Method::POST;
    let ada = scim(post.clone(), "/Users".into(), json!({"userName": "ada", "externalId": "u1"})).await.json();
    let id = ada["id"].as_str().unwrap().to_owned();
    assert_eq!(Browser::new(&gateway).sign_in().await.error(), (403, "no_role".to_owned()));
    let lords = json!({"displayName": "lords", "members": [{"value": id}]});
    assert_eq!(scim(post, "/Groups".into(), lords).await.status, 201);
    let mut browser = Browser::new(&gateway);
    assert_eq!(browser.sign_in().await.status, 303);
    let request = browser.client.post(gateway.url("/admin/tokens")).header("x-askonce-csrf", "1");
    let made = browser.send(request.json(&json!({"name": "hers", "roles": ["viewer"]}))).await;
    assert_eq!(made.status, 201, "{}", String::from_utf8_lossy(&made.body));
    let token = made.json()["token"].as_str().unwrap().to_owned();
    let by_token = || Reply::of(gateway.client.get(gateway.url("/admin/self")).bearer_auth(&token));
    assert_eq!((by_token().await.status, browser.get("/admin/self").await.status), (200, 200));

    let leave = json!({"Operations": [{"op": "Replace", "path": "active", "value": "False"}]});
    assert_eq!(scim(reqwest::Method::PATCH, format!("/Users/{id}"), leave).await.json()["active"], false);
    assert_eq!((by_token().await.status, browser.get("/admin/self").await.status), (401, 401));
    assert_eq!(Browser::new(&gateway).sign_in().await.error(), (403, "forbidden".to_owned()));
    // Who comes back signs in anew; what was taken away stays away.
    let back = json!({"Operations": [{"op": "Replace", "value": {"active": true}}]});
    assert_eq!(scim(reqwest::Method::PATCH, format!("/Users/{id}"), back).await.status, 200);
    assert_eq!((by_token().await.status, browser.get("/admin/self").await.status), (401, 401));
    assert_eq!(Browser::new(&gateway).sign_in().await.status, 303);
}

#[tokio::test]
async fn who_is_out_of_all_groups_is_out() {
    let upstream = Upstream::counting().await;
    let issuer = Issuer::start().await;
    let gateway = given(&upstream, &issuer).start().await;
    // Some providers say an empty list then, and others nothing at all.
    for left in [json!([]), json!(["nobody"]), Value::Null] {
        issuer.user(json!({"sub": "u1", "preferred_username": "ada", "groups": ["lords"]}));
        let mut browser = Browser::new(&gateway);
        assert_eq!(browser.sign_in().await.status, 303);
        let mut user = json!({"sub": "u1", "preferred_username": "ada"});
        if !left.is_null() {
            user["groups"] = left.clone();
        }
        issuer.user(user);
        let refused = browser.post("/admin/auth/refresh", &[("x-askonce-csrf", "1")]).await;
        assert_eq!(refused.error(), (401, "session_over".to_owned()), "{left}");
        assert_eq!(browser.get("/admin/self").await.status, 401, "{left}");
    }
    // A new id token of somebody else renews nothing.
    issuer.user(json!({"sub": "u1", "groups": ["lords"]}));
    let mut browser = Browser::new(&gateway);
    browser.sign_in().await;
    issuer.lie(json!({"sub": "u2"}));
    assert_eq!(browser.post("/admin/auth/refresh", &[("x-askonce-csrf", "1")]).await.error().1, "session_over");
}

#[tokio::test]
async fn a_claim_that_every_provider_has_may_say_who_somebody_is() {
    let upstream = Upstream::counting().await;
    let issuer = Issuer::start().await;
    let user_claim = "scim: scim\n    user_claim: preferred_username\n";
    let gateway = given(&upstream, &issuer).with("scim: scim\n", user_claim).start().await;
    issuer.user(json!({"sub": "u1", "preferred_username": "Ada"}));
    assert_eq!(Browser::new(&gateway).sign_in().await.error(), (403, "no_role".to_owned()));
    let scim = |path: &str, body: Value| {
        let request = gateway.client.post(gateway.url(&format!("/scim/v2{path}")));
        Reply::of(request.bearer_auth("tok-scim-0123456789abcdef").json(&body))
    };
    let ada = scim("/Users", json!({"userName": "ada"})).await.json();
    let lords = json!({"displayName": "lords", "members": [{"value": ada["id"]}]});
    assert_eq!(scim("/Groups", lords).await.status, 201);
    let mut browser = Browser::new(&gateway);
    assert_eq!(browser.sign_in().await.status, 303);
    assert_eq!(browser.get("/admin/self").await.json()["roles"], json!(["owner"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_renew_a_session_at_once_ask_once() {
    let upstream = Upstream::counting().await;
    let issuer = Issuer::start().await;
    issuer.rotate();
    let gateway = given(&upstream, &issuer).start().await;
    let mut browser = Browser::new(&gateway);
    assert_eq!(browser.sign_in().await.status, 303);
    let mut tabs: Vec<Browser<'_>> = Vec::new();
    for _ in 0..4 {
        tabs.push(Browser { cookies: browser.cookies.clone(), ..Browser::new(&gateway) });
    }
    let all = tabs.iter_mut().map(|tab| tab.post("/admin/auth/refresh", &[("x-askonce-csrf", "1")]));
    for reply in futures_util::future::join_all(all).await {
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    assert!(issuer.renewed() < 4, "who came meanwhile used what was said: {}", issuer.renewed());
    assert_eq!(browser.get("/admin/self").await.status, 200);
    assert_eq!(browser.post("/admin/auth/refresh", &[("x-askonce-csrf", "1")]).await.status, 200, "and once more");
}

#[tokio::test]
async fn sessions_are_renewed_after_a_restart_where_that_can_be_kept() {
    let upstream = Upstream::counting().await;
    let issuer = Issuer::start().await;
    for (store, expected) in [("", (409, "not_renewable")), ("store: {encryption_key: KEY}\n", (200, ""))] {
        let dir = tempfile::tempdir().unwrap();
        let store = format!("{}accounts: [", store.replace("KEY", &"ab".repeat(32)));
        let given = given(&upstream, &issuer).with("accounts: [", &store).dir(dir.path());
        let gateway = given.start().await;
        let mut browser = Browser::new(&gateway);
        issuer.user(json!({"sub": "u1", "groups": ["ops"]}));
        assert_eq!(browser.sign_in().await.status, 303);
        let cookies = browser.cookies.clone();
        gateway.stop().await;
        let gateway = given.start_again().await;
        let mut browser = Browser { cookies, ..Browser::new(&gateway) };
        issuer.user(json!({"sub": "u1", "groups": ["lords"]}));
        let reply = browser.post("/admin/auth/refresh", &[("x-askonce-csrf", "1")]).await;
        if expected.0 == 200 {
            assert_eq!(reply.status, 200, "{}", reply.text());
            assert_eq!(browser.get("/admin/self").await.json()["roles"], json!(["owner"]));
            assert!(
                browser.post("/admin/auth/logout", &[("x-askonce-csrf", "1")]).await.text().contains("id_token_hint=")
            );
        } else {
            assert_eq!(reply.error(), (expected.0, expected.1.to_owned()));
            assert_eq!(browser.get("/admin/self").await.json()["roles"], json!(["editor"]), "it goes on as it was");
        }
    }
}

#[tokio::test]
async fn a_token_gives_no_more_than_whoever_made_it_has_now() {
    let upstream = Upstream::counting().await;
    let issuer = Issuer::start().await;
    let clock = Clock::manual(now() * 1000);
    let gateway = given(&upstream, &issuer).clock(&clock).start().await;
    issuer.user(json!({"sub": "u1", "groups": ["lords"]}));
    let mut browser = Browser::new(&gateway);
    assert_eq!(browser.sign_in().await.status, 303);
    let request = browser.client.post(gateway.url("/admin/tokens")).header("x-askonce-csrf", "1");
    let made = browser.send(request.json(&json!({"name": "hers", "roles": ["owner"]}))).await.json();
    let token = made["token"].as_str().unwrap().to_owned();
    let by = |token: &str, path: &str| Reply::of(gateway.client.get(gateway.url(path)).bearer_auth(token));
    let made = gateway.client.post(gateway.url("/admin/tokens")).bearer_auth(&token);
    let made = Reply::of(made.json(&json!({"name": "its", "roles": ["admin"]}))).await.json();
    let second = made["token"].as_str().unwrap().to_owned();
    assert_eq!((by(&token, "/admin/audit").await.status, by(&second, "/admin/audit").await.status), (200, 200));
    // She is demoted, and that is known from her next sign-in or renewal on.
    issuer.user(json!({"sub": "u1", "groups": ["leads", "all"]}));
    assert_eq!(browser.post("/admin/auth/refresh", &[("x-askonce-csrf", "1")]).await.status, 200);
    for token in [&token, &second] {
        assert_eq!(by(token, "/admin/audit").await.error(), (403, "forbidden".to_owned()));
        assert_eq!((by(token, "/admin/routes").await.status, by(token, "/admin/tokens").await.status), (200, 200));
    }
    // Signing out takes nothing away; after a month without a word of her the token rests until there is one.
    assert_eq!(browser.post("/admin/auth/logout", &[("x-askonce-csrf", "1")]).await.status, 200);
    assert_eq!(by(&token, "/admin/routes").await.status, 200);
    clock.advance(Duration::from_secs(31 * 86_400));
    assert_eq!(by(&token, "/admin/routes").await.error(), (401, "maker_gone".to_owned()));
    assert_eq!(by(&second, "/admin/routes").await.error(), (401, "maker_gone".to_owned()));
    assert_eq!(browser.sign_in().await.status, 303);
    assert_eq!(by(&second, "/admin/routes").await.status, 200);
    // She is out of all groups.
    issuer.user(json!({"sub": "u1"}));
    assert_eq!(browser.post("/admin/auth/refresh", &[("x-askonce-csrf", "1")]).await.error().1, "session_over");
    assert_eq!(by(&token, "/admin/routes").await.error(), (401, "maker_gone".to_owned()));
}
