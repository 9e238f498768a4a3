//! Gateways on a PostgreSQL that others use too, and that goes away. With `ASKONCE_TEST_STORE=postgres` only.

use crate::support::gateway::{ADMIN_KEY, client};
use crate::support::{Gateway, Given, Reply, Upstream, ask, store, until, with};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

fn given(upstream: &Upstream, url: &str) -> Given {
    let yaml = format!(
        "providers:\n  - {{name: up, kind: openai_compatible, base_url: \"${{UP}}\", api_key: sk-up-0123456789, models: [m]}}\n\
         models:\n  - {{name: m, targets: [{{provider: up}}], price: {{input_usd_per_million_tokens: 1, output_usd_per_million_tokens: 1}}}}\n\
         accounts: [{{name: house, kind: organisation, budgets: [{{usd: 0.02, per: ever}}]}}]\n\
         auth: {{keys: [{{name: k, key: sk-one-0123456789, account: house}}]}}\n\
         admin: {{key: {ADMIN_KEY}}}\n\
         store: {{url: \"{url}\", hashing_key: {}}}\n",
        "ab".repeat(32)
    );
    Given::yaml(&yaml).variable("UP", &upstream.url)
}

async fn admin(gateway: &Gateway, method: &str, path: &str, body: Value) -> Reply {
    let request = client().request(method.parse().unwrap(), gateway.url(path)).bearer_auth(ADMIN_KEY).json(&body);
    Reply::of(request).await
}

async fn send(gateway: &Gateway, key: &str, question: &str) -> Reply {
    let body = with(ask(question), json!({"max_tokens": 20}));
    gateway.chat_with(&body, &[("authorization", &format!("Bearer {key}"))]).await
}

/// A way to the server that can be cut.
struct Wire {
    url: String,
    whole: watch::Sender<bool>,
}

impl Wire {
    async fn to(url: &str) -> Wire {
        let (head, rest) = url.split_once('@').unwrap();
        let (address, name) = rest.split_once('/').unwrap();
        let (address, listener) = (Arc::new(address.to_owned()), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let through = format!("{head}@{}/{name}", listener.local_addr().unwrap());
        let (whole, seen) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((mut one, _)) = listener.accept().await {
                let (address, mut seen) = (address.clone(), seen.clone());
                tokio::spawn(async move {
                    if !*seen.borrow() {
                        return;
                    }
                    let Ok(mut other) = TcpStream::connect(address.as_str()).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut one, &mut other) => {}
                        _ = seen.wait_for(|whole| !whole) => {}
                    }
                });
            }
        });
        Wire { url: through, whole }
    }
}

#[tokio::test]
async fn a_database_that_goes_away_stops_nobody_whom_the_cover_reaches() {
    if store::is_not_postgres() {
        return;
    }
    let (upstream, wire) = (Upstream::counting().await, Wire::to(&store::made()).await);
    let gateway = given(&upstream, &wire.url).start().await;
    let mut answered = 0;
    let mut asked = 0;
    let mut next = async || {
        asked += 1;
        let reply = send(&gateway, "sk-one-0123456789", &format!("question {asked}")).await;
        if reply.status == 200 {
            answered += 1;
        }
        (reply.status, reply, answered)
    };
    for _ in 0..3 {
        assert_eq!(next().await.0, 200);
    }
    wire.whole.send(false).unwrap();
    let (refused, before) = loop {
        let (status, reply, answered) = next().await;
        if status != 200 {
            break (reply, answered);
        }
        assert!(answered < 1_000, "nothing was to be covered for so long");
    };
    assert_eq!(refused.error(), (503, "store_unavailable".to_owned()));
    assert!(before > 5, "what is covered may be spent: {before}");
    assert_eq!(gateway.get("/healthz").await.status, 200);
    wire.whole.send(true).unwrap();
    let begun = Instant::now();
    while next().await.0 != 200 {
        assert!(begun.elapsed() < Duration::from_secs(30), "it goes on");
    }
    let told = admin(&gateway, "GET", "/admin/accounts/house", json!({})).await.json();
    let (_, _, answered) = next().await;
    // Each answer costs 15 micro-dollars; the last one came after the question.
    assert_eq!(
        told["standing"][0]["used"],
        json!(f64::from(15 * (answered - 1)) / 1e6),
        "nothing is lost, nothing counts twice"
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_key_that_one_gateway_takes_away_is_no_good_at_the_other() {
    if store::is_not_postgres() {
        return;
    }
    let (upstream, url) = (Upstream::counting().await, store::made());
    let (one, other) = (given(&upstream, &url).start().await, given(&upstream, &url).start().await);
    let made = admin(&one, "POST", "/admin/keys", json!({"name": "ci", "account": "house"})).await.json();
    let key = made["key"].as_str().unwrap().to_owned();
    until("the other knows it", async || send(&other, &key, "x").await.status == 200).await;
    assert_eq!(send(&other, &key, "x").await.cache(), "hit/exact");
    let begun = Instant::now();
    assert_eq!(admin(&one, "DELETE", "/admin/keys/ci", json!({})).await.status, 204);
    let here = begun.elapsed();
    assert_eq!(send(&one, &key, "x").await.status, 401, "at once, where it was taken away");
    until("the other has heard", async || send(&other, &key, "x").await.status == 401).await;
    let there = begun.elapsed();
    println!("taken away after {here:?}, and at the other gateway after {there:?}");
    assert!(there < Duration::from_secs(5), "{there:?}");
}

/// Two gateways, 64 callers, one budget: what both spend together is never more than it, and nearly all of it is spent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_budget_is_one_however_many_gateways_spend_it() {
    if store::is_not_postgres() {
        return;
    }
    let (upstream, url) = (Upstream::counting().await, store::made());
    let given = given(&upstream, &url).with("usd: 0.02", "usd: 0.01");
    let gateways = [Arc::new(given.start().await), Arc::new(given.start().await)];
    let callers = (0..64usize).map(|caller| {
        let gateway = gateways[caller % 2].clone();
        tokio::spawn(async move {
            let mut answered = 0u64;
            for turn in 0..40 {
                let reply = send(&gateway, "sk-one-0123456789", &format!("caller {caller} asks {turn}")).await;
                match reply.status {
                    200 => answered += 1,
                    402 => {}
                    status => panic!("{status}: {}", reply.text()),
                }
            }
            answered
        })
    });
    let mut answered = 0;
    for caller in callers.collect::<Vec<_>>() {
        answered += caller.await.unwrap();
    }
    // An answer costs 15 micro-dollars, and more is reserved for it: so much stays out of reach.
    let (spent, most) = (answered * 15, 10_000);
    println!("{answered} answers of two gateways cost {spent} of {most} micro-dollars");
    assert!(spent <= most, "{spent}");
    assert!(spent > most * 9 / 10, "{spent}: the rest is with nobody");
    for gateway in &gateways {
        until("each gateway knows what both have spent", async || {
            let _ = send(gateway, "sk-one-0123456789", "one more").await;
            let told = admin(gateway, "GET", "/admin/accounts/house", json!({})).await.json();
            let used = told["standing"][0]["used"].as_f64().unwrap();
            used * 1e6 + 0.5 >= spent as f64
        })
        .await;
    }
}

/// A gateway that ends gives back what it was granted; what another has and does not need, the next one gets.
#[tokio::test]
async fn what_one_gateway_does_not_need_the_other_spends() {
    if store::is_not_postgres() {
        return;
    }
    let (upstream, url) = (Upstream::counting().await, store::made());
    let given = given(&upstream, &url).with("usd: 0.02", "usd: 0.001");
    let (one, other) = (given.start().await, given.start().await);
    for turn in 0..5 {
        assert_eq!(send(&one, "sk-one-0123456789", &format!("one asks {turn}")).await.status, 200);
    }
    let mut answered = 5;
    while send(&other, "sk-one-0123456789", &format!("the other asks {answered}")).await.status == 200 {
        answered += 1;
        assert!(answered < 100, "the budget never ends");
    }
    assert!((60..=66).contains(&answered), "{answered} answers of 15 micro-dollars out of 1,000");
    assert_eq!(send(&one, "sk-one-0123456789", "the first asks again").await.status, 402);
    one.stop().await;
    other.stop().await;
}
