//! What the operator sees of routes and lanes: the admin door, metrics, and active probes.

use crate::support::gateway::ADMIN_KEY;
use crate::support::script::reply;
use crate::support::{Gateway, Given, Reply, Step, Upstream, ask, script, until};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A metric's value by its name and one label after the other; 0 where it is not there.
async fn metric(gateway: &Gateway, name: &str, labels: &[&str]) -> f64 {
    let text = String::from_utf8(gateway.get("/metrics").await.body.to_vec()).unwrap();
    let is_it = |line: &&str| {
        line.split_once('{').is_some_and(|(before, _)| before == name)
            && labels.iter().all(|label| line.contains(label))
    };
    text.lines().find(is_it).map_or(0.0, |line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
}

#[tokio::test]
async fn the_admin_door_shows_routes_and_lanes() {
    let (one, two) = (Upstream::counting().await, Upstream::counting().await);
    let yaml = format!(
        "providers:\n\
         \x20 - name: one\n    kind: openai_compatible\n    base_url: \"${{ONE}}\"\n    models: [m1]\n    keys:\n\
         \x20     - {{name: first, key: sk-first-0123456789, weight: 3}}\n      - {{name: second, key: sk-second-0123456789}}\n\
         \x20 - {{name: two, kind: openai_compatible, base_url: \"${{TWO}}\", models: [m2]}}\n\
         models:\n\
         \x20 - name: m\n    aliases: [also]\n    strategy: least_latency\n    hedge: {{percentile: 97.5, at_least_ms: 30, budget_percent: 7}}\n\
         \x20   price: {{input_usd_per_million_tokens: 1, output_usd_per_million_tokens: 2}}\n\
         \x20   targets:\n      - {{provider: one, model: m1, weight: 8}}\n      - {{provider: two, model: m2, tier: 1, first_token_timeout_ms: 900}}\n\
         \x20 - {{name: \"any-*\", targets: [{{provider: two, model: \"x-*\"}}]}}\n\
         admin: {{key: {ADMIN_KEY}}}\ncache: {{enabled: false}}\n"
    );
    let gateway = Given::yaml(&yaml).variable("ONE", &one.url).variable("TWO", &two.url).start().await;
    assert_eq!(gateway.get("/admin/routes").await.error(), (401, "admin_key_required".to_owned()));
    for number in 0..4 {
        assert_eq!(gateway.chat(&ask(&format!("question {number}"))).await.status, 200);
    }
    let request = gateway.client.get(gateway.url("/admin/routes")).bearer_auth(ADMIN_KEY);
    let told = Reply::of(request).await;
    assert!(!String::from_utf8_lossy(&told.body).contains("sk-"), "names of keys only");
    let told = told.json();
    let routes = told["routes"].as_array().unwrap();
    assert_eq!(routes.len(), 2);
    let route = &routes[0];
    assert_eq!(route["names"], json!(["also", "m"]));
    assert_eq!((&route["strategy"], &routes[1]["strategy"]), (&json!("least_latency"), &json!("ordered")));
    assert_eq!(route["hedge"], json!({"percentile": 97.5, "at_least_ms": 30, "budget_percent": 7}));
    assert_eq!(route["targets"], json!([{"provider": "one", "model": "m1"}, {"provider": "two", "model": "m2"}]));
    let lanes = route["lanes"].as_array().unwrap();
    let seen = |lane: &Value| {
        json!([
            lane["provider"],
            lane["model"],
            lane["key"],
            lane["tier"],
            lane["weight"],
            lane["target"],
            lane["state"]
        ])
    };
    assert_eq!(seen(&lanes[0]), json!(["one", "m1", "first", 0, 6.0, 0, "ready"]));
    assert_eq!(seen(&lanes[1]), json!(["one", "m1", "second", 0, 2.0, 0, "ready"]));
    assert_eq!(seen(&lanes[2]), json!(["two", "m2", null, 1, 1.0, 1, "ready"]));
    assert_eq!((&lanes[2]["first_token_timeout_ms"], &lanes[2]["sent"]), (&json!(900), &json!(0)));
    let sent: u64 = lanes.iter().map(|lane| lane["sent"].as_u64().unwrap()).sum();
    assert_eq!((sent, lanes.len()), (4, 3));
    let asked = lanes.iter().find(|lane| lane["sent"] != 0).unwrap();
    assert!(asked["answer_ms"].as_f64().unwrap() > 0.0 && asked["answer_p95_ms"].is_null(), "{asked}");
    assert!(asked["first_token_ms"].is_null(), "of streams nothing is known: {asked}");
    assert_eq!((&asked["in_flight"], &asked["failed"], &asked["breaker"]), (&json!(0), &json!(0), &json!("closed")));
    assert_eq!(asked["cost_micro_usd_per_million_tokens"], 3_000_000);
    // Whatever a star stands for, it leads to one lane.
    assert_eq!((&routes[1]["names"], &routes[1]["targets"][0]["model"]), (&json!(["any-*"]), &json!("x-*")));
    assert_eq!(seen(&routes[1]["lanes"][0]), json!(["two", "x-*", null, 0, 1.0, 0, "ready"]));
    let others: Vec<Value> = told["other_lanes"].as_array().unwrap().iter().map(seen).collect();
    assert_eq!(
        others,
        [
            json!(["one", null, "first", null, null, null, "ready"]),
            json!(["one", null, "second", null, null, null, "ready"]),
            json!(["two", null, null, null, null, null, "ready"])
        ]
    );
}

#[tokio::test]
async fn retries_fallbacks_and_breakers_are_counted() {
    let broken = Upstream::start(|_| reply(503, &[], "{}")).await;
    let sound = Upstream::counting().await;
    let yaml = format!(
        "providers:\n\
         \x20 - {{name: counted_broken, kind: openai_compatible, base_url: \"${{ONE}}\", models: [m1]}}\n\
         \x20 - {{name: counted_sound, kind: openai_compatible, base_url: \"${{TWO}}\", models: [m2]}}\n\
         models:\n  - {{name: m, targets: [{{provider: counted_broken, model: m1}}, {{provider: counted_sound, model: m2}}]}}\n\
         retry: {{attempts: 2, backoff_ms: 1}}\nbreaker: {{failures: 3, open_ms: 60000}}\n\
         admin: {{key: {ADMIN_KEY}}}\ncache: {{enabled: false}}\n"
    );
    let gateway = Given::yaml(&yaml).variable("ONE", &broken.url).variable("TWO", &sound.url).start().await;
    let provider = |name: &str| format!("gen_ai_provider_name=\"counted_{name}\"");
    let (of_broken, of_sound) = (provider("broken"), provider("sound"));
    for number in 0..3 {
        assert_eq!(gateway.chat(&ask(&format!("question {number}"))).await.status, 200);
    }
    // Two tries, then one that opens the breaker, then none.
    assert_eq!((broken.calls(), sound.calls()), (3, 3));
    assert_eq!(metric(&gateway, "askonce_upstream_retries_total", &[&of_broken]).await, 1.0);
    assert_eq!(metric(&gateway, "askonce_upstream_fallbacks_total", &[&of_sound]).await, 2.0);
    assert_eq!(metric(&gateway, "askonce_upstream_fallbacks_total", &[&of_broken]).await, 0.0);
    let turned = [&of_broken, "model=\"m1\"", "key=\"\"", "turn=\"opened\""];
    assert_eq!(metric(&gateway, "askonce_breaker_turns_total", &turned).await, 1.0);
    assert_eq!(metric(&gateway, "askonce_breaker_state", &[&of_broken, "model=\"m1\""]).await, 2.0);
    assert_eq!(metric(&gateway, "askonce_breaker_state", &[&of_sound, "model=\"m2\""]).await, 0.0);
    // A lane that is no more is not told as left alone for ever.
    let without = yaml.replace("counted_broken", "counted_gone");
    let (settings, _own) = Given::yaml(&without).variable("ONE", &broken.url).variable("TWO", &sound.url).settings();
    gateway.app.reconfigure(&settings).await.unwrap();
    assert_eq!(metric(&gateway, "askonce_breaker_state", &[&of_broken, "model=\"m1\""]).await, 0.0);
}

#[tokio::test]
async fn hedges_are_counted() {
    let first = Upstream::start(|seen| match seen.number {
        1..=20 => script::answer("of the first"),
        _ => vec![Step::Hang],
    })
    .await;
    let second = Upstream::start(|_| script::answer("of the second")).await;
    let yaml = format!(
        "providers:\n\
         \x20 - {{name: hedged_first, kind: openai_compatible, base_url: \"${{ONE}}\", models: [m]}}\n\
         \x20 - {{name: hedged_second, kind: openai_compatible, base_url: \"${{TWO}}\", models: [m]}}\n\
         models:\n  - {{name: m, hedge: {{at_least_ms: 50, budget_percent: 100}}, targets: [{{provider: hedged_first, model: m}}, {{provider: hedged_second, model: m}}]}}\n\
         admin: {{key: {ADMIN_KEY}}}\ncache: {{enabled: false}}\n"
    );
    let gateway = Given::yaml(&yaml).variable("ONE", &first.url).variable("TWO", &second.url).start().await;
    for number in 0..21 {
        assert_eq!(gateway.chat(&ask(&format!("question {number}"))).await.status, 200);
    }
    for outcome in ["outcome=\"begun\"", "outcome=\"won\""] {
        let labels = ["gen_ai_provider_name=\"hedged_second\"", outcome];
        assert_eq!(metric(&gateway, "askonce_upstream_hedges_total", &labels).await, 1.0, "{outcome}");
    }
}

#[tokio::test]
async fn a_lane_is_taken_back_when_its_provider_lists_models_again() {
    let well = Arc::new(AtomicBool::new(false));
    let is_well = well.clone();
    let upstream =
        Upstream::start(move |seen| match (is_well.load(Ordering::Relaxed), seen.target.starts_with("GET")) {
            (false, _) => reply(503, &[], "{}"),
            (true, true) => reply(200, &[], r#"{"object":"list","data":[{"id":"m"}]}"#),
            (true, false) => script::answer("well done"),
        })
        .await;
    let other = Upstream::counting().await;
    let yaml = format!(
        "providers:\n\
         \x20 - {{name: one, kind: openai_compatible, base_url: \"${{ONE}}\", models: [m]}}\n\
         \x20 - {{name: two, kind: openai_compatible, base_url: \"${{TWO}}\", models: [m]}}\n\
         models:\n  - {{name: m, targets: [{{provider: one, model: m}}, {{provider: two, model: m}}]}}\n\
         retry: {{attempts: 1}}\nbreaker: {{PROBE open_ms: 3600000, open_max_ms: 3600000, slow_start_ms: 0, failures: 2}}\n\
         admin: {{key: {ADMIN_KEY}}}\ncache: {{enabled: false}}\n"
    );
    let given = |probe: &str| {
        let yaml = yaml.replace("PROBE", probe);
        Given::yaml(&yaml).variable("ONE", &upstream.url).variable("TWO", &other.url)
    };
    let gateway = given("probe_interval_ms: 100,").start().await;
    let lists = || upstream.seen().iter().filter(|seen| seen.target == "GET /v1/models").count();
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!((upstream.calls(), other.calls()), (0, 0), "who is well is not asked");
    let fail = |from: usize| {
        let gateway = &gateway;
        async move {
            for number in from..from + 3 {
                assert!(gateway.chat(&ask(&format!("question {number}"))).await.words().starts_with("answer "));
            }
            assert_eq!(gateway.lane("one", None).await["state"], "resting");
        }
    };
    fail(0).await;
    until("it is asked again and again", || async { lists() >= 3 }).await;
    assert_eq!(gateway.lane("one", None).await["state"], "resting", "it does not answer");
    let sent = gateway.lane("one", None).await["sent"].clone();
    well.store(true, Ordering::Relaxed);
    until("it is taken back", || async { gateway.lane("one", None).await["state"] == "ready" }).await;
    assert_eq!(gateway.lane("one", None).await["sent"], sent, "probes are no requests");
    assert_eq!(gateway.chat(&ask("and now?")).await.words(), "well done");
    assert!(other.seen().iter().all(|seen| seen.target.starts_with("POST")), "the other one was never asked");
    // With new settings that want none, and after the end, nobody is asked any more.
    well.store(false, Ordering::Relaxed);
    gateway.app.reconfigure(&given("").settings().0).await.unwrap_or_else(|error| panic!("{error}"));
    fail(10).await;
    let known = lists();
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(lists(), known);
    gateway.app.reconfigure(&given("probe_interval_ms: 100,").settings().0).await.unwrap();
    fail(20).await;
    until("it is asked again", || async { lists() > known }).await;
    gateway.app.close();
    let known = lists();
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert!(lists() <= known + 1, "one may have been under way");
}
