//! The learned judgement at work: labels, checks, feedback, what is shown of it, and what survives.

use crate::support::gateway::ADMIN_KEY;
use crate::support::script::answer;
use crate::support::{Gateway, Given, Reply, Upstream, ask, until};
use askonce::cache::judgement::Weights;
use serde_json::{Value, json};
use std::path::Path;

const QUESTION: &str = "How do I reset my password?";
const REWORDED: &str = "How can I reset my password?";

const VERBS: [&str; 8] = ["cancel", "export", "rename", "archive", "print", "share", "renew", "download"];
const NOUNS: [&str; 8] = ["invoice", "subscription", "parcel", "calendar", "password", "address", "warranty", "ticket"];

/// A question, in one of its wordings.
fn question(at: usize, reworded: bool) -> String {
    let (verb, noun) = (VERBS[at % 8], NOUNS[at / 8 % 8]);
    format!("How {} I {verb} the {noun} of my account?", if reworded { "can" } else { "do" })
}

/// A provider that answers such questions shortly and truly, and `other` questions by what it is told.
async fn desk(other: impl Fn(&str, usize) -> String + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |seen| {
        let body = seen.json();
        let last = body["messages"].as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
        let asked = last["content"].as_str().unwrap_or_default().to_owned();
        let of = |words: &[&str]| words.iter().find(|word| asked.contains(**word)).map(|word| (*word).to_owned());
        match (of(&VERBS), of(&NOUNS)) {
            (Some(verb), Some(noun)) if body["model"] == "m" => answer(&format!("Open {noun}, choose {verb}.")),
            _ => answer(&other(&asked, seen.number)),
        }
    })
    .await
}

/// The weights that ship, as if they were for another sentence model.
fn weights_for(model: &str) -> Vec<u8> {
    let mut weights = (*Weights::shipped()).clone();
    weights.set_model(model);
    weights.to_bytes()
}

/// A gateway's configuration with the learned judgement, whose weights are taken for those of the test's own model.
fn learned(dir: &Path, upstream: &Upstream, settings: &str) -> Given {
    let weights = dir.join("weights.bin");
    std::fs::write(&weights, weights_for("fake")).unwrap();
    let yaml = format!("cache: {{semantic: {{weights: \"{}\", {settings}", weights.display());
    Given::one(upstream, &yaml).semantic()
}

async fn admin(gateway: &Gateway, path: &str) -> Value {
    Reply::of(gateway.client.get(gateway.url(path)).bearer_auth(ADMIN_KEY)).await.json()
}

async fn explain(gateway: &Gateway, body: &Value) -> Reply {
    Reply::of(gateway.post("/admin/cache/explain", body).bearer_auth(ADMIN_KEY)).await
}

async fn feedback(gateway: &Gateway, body: Value) -> Reply {
    Reply::of(gateway.post("/v1/feedback", &body)).await
}

/// Asks every question twice, in two wordings, and waits until what can be learned is learned. Gives the hits by meaning
/// and those of them that were wrong.
async fn traffic(gateway: &Gateway, rounds: std::ops::Range<usize>) -> (usize, usize) {
    let (mut hits, mut wrong) = (0, 0);
    for at in rounds {
        // Another system prompt is another scope: each round of 64 begins with an empty one.
        let system = format!("You are desk {}.", at / 64);
        for reworded in [false, true] {
            let asked = question(at, reworded);
            let request = json!({"model": "m", "messages": [
                {"role": "system", "content": system}, {"role": "user", "content": asked}]});
            let reply = gateway.chat(&request).await;
            if reply.cache() == "hit/semantic" {
                let right = format!("Open {}, choose {}.", NOUNS[at / 8 % 8], VERBS[at % 8]);
                hits += 1;
                wrong += usize::from(reply.words() != right);
                assert!(reply.header("x-askonce-probability").parse::<f32>().is_ok_and(|p| (0.0..1.0).contains(&p)));
            }
        }
    }
    (hits, wrong)
}

#[tokio::test]
async fn what_is_learned_is_shown_and_survives() {
    let (dir, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let upstream = desk(|_, _| "Nothing.".to_owned()).await;
    let given = learned(dir.path(), &upstream, "shadow_calls: 0.2}, error_budget: 0.05}").dir(data.path());
    let gateway = given.start().await;
    let (hits, wrong) = traffic(&gateway, 0..256).await;
    let labels = |held: &Value| held["judgement"]["labels"].as_u64().unwrap_or(0);
    until("labels have come", || async { labels(&gateway.held().await) > 50 }).await;
    let held = gateway.held().await;
    assert_eq!(held["judgement"]["requests"], 512, "{held}");
    assert!(hits > 0 && wrong * 20 <= 512 + 512 / 4, "{hits} hits, {wrong} of them wrong");
    let told = admin(&gateway, "/admin/cache/scopes?order=requests&limit=2").await;
    assert_eq!((told["known"].as_u64(), told["scopes"].as_array().map(Vec::len)), (Some(4), Some(2)), "{told}");
    let scope = &told["scopes"][0];
    assert_eq!(
        (&scope["model"], &scope["tenant"], &scope["requests"]),
        (&json!("m"), &json!("anonymous"), &json!(128))
    );
    assert!(scope["error"].as_f64() <= scope["error_upper"].as_f64(), "{scope}");
    let metrics = gateway.get("/metrics").await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    for name in ["askonce_judgement_labels_total", "askonce_judgement_lambda{error_budget=\"0.05\"}"] {
        assert!(metrics.contains(name), "{name} is not among the metrics");
    }
    gateway.stop().await;
    let again = given.start_again().await;
    let known = again.held().await["judgement"].clone();
    assert_eq!(known["requests"], held["judgement"]["requests"]);
    assert!(known["labels"].as_u64() >= held["judgement"]["labels"].as_u64(), "{known} after {held}");
    again.stop().await;
    // A damaged state is set aside, and learning begins anew.
    let state = data.path().join("cache/judgement.state");
    let mut bytes = std::fs::read(&state).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    std::fs::write(&state, bytes).unwrap();
    let anew = given.start_again().await;
    assert_eq!(anew.held().await["judgement"]["requests"], 0);
    assert!(data.path().join("cache/judgement.state.damaged").exists());
    assert!(anew.app.opened.notes.iter().any(|note| note.contains("begins anew")), "{:?}", anew.app.opened.notes);
}

#[tokio::test]
async fn hits_are_checked_and_proven_wordings_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let upstream = desk(|_, _| "Nothing.".to_owned()).await;
    let gateway = learned(dir.path(), &upstream, "shadow_calls: 0.5}, error_budget: 0.2}").start().await;
    let (hits, _) = traffic(&gateway, 0..192).await;
    let asked = 2 * 192;
    until("some hits were checked", || async { upstream.calls() > asked - hits }).await;
    // A question whose hit was checked has an entry of its own, which its own words find.
    let mut kept = 0;
    for at in 0..64 {
        let system = "You are desk 2.";
        let request = json!({"model": "m", "messages": [
            {"role": "system", "content": system}, {"role": "user", "content": question(128 + at, true)}]});
        let reply =
            gateway.chat_with(&request, &[("x-askonce-cache", "exact"), ("cache-control", "only-if-cached")]).await;
        kept += usize::from(reply.status == 200);
        assert!(
            reply.status == 504 || reply.words() == format!("Open {}, choose {}.", NOUNS[at / 8 % 8], VERBS[at % 8])
        );
    }
    assert!(kept > 0, "no wording was kept");
}

#[tokio::test]
async fn without_shadow_calls_the_provider_is_asked_for_misses_only() {
    let dir = tempfile::tempdir().unwrap();
    let upstream = desk(|_, _| "Nothing.".to_owned()).await;
    let gateway = learned(dir.path(), &upstream, "shadow_calls: 0}, error_budget: 0.2}").start().await;
    let mut misses = 0;
    for at in 0..64 {
        for reworded in [false, true] {
            let reply = gateway.chat(&ask(&question(at, reworded))).await;
            misses += usize::from(reply.cache().starts_with("miss"));
        }
    }
    assert_eq!(upstream.calls(), misses);
    assert!(misses < 128, "nothing was served by meaning");
}

#[tokio::test]
async fn a_judge_that_is_a_model_is_asked_within_its_rate() {
    let dir = tempfile::tempdir().unwrap();
    // Long answers to all questions, alike in a part of their words: the cheap judges cannot tell.
    let upstream = desk(|asked, number| match asked.contains("answer_1") {
        true => "Yes.".to_owned(),
        false => {
            let colour = ["crimson", "ivory", "turquoise", "black", "saffron"][number % 5];
            format!("As far as anybody knows today, walls of that old house were {colour}, with {colour} doors.")
        }
    })
    .await;
    let more = "shadow_calls: 0}, error_budget: 0.0001, judge: {model: j, calls_per_minute: 2}}";
    let gateway = learned(dir.path(), &upstream, more).start().await;
    for at in 0..12 {
        let asked =
            format!("What about the colour of house number {}, is it blue?", ["a", "b", "c"][at % 3].repeat(at + 1));
        gateway.chat(&ask(&asked)).await;
    }
    let judged = || upstream.seen().iter().filter(|seen| seen.json()["model"] == "j").count();
    until("the judge is asked", || async { judged() == 2 }).await;
    let seen = upstream.seen().into_iter().find(|seen| seen.json()["model"] == "j").unwrap();
    let case = seen.json()["messages"][1]["content"].as_str().map(str::to_owned).unwrap();
    let case: Value = serde_json::from_str(&case).unwrap();
    assert!(case["question_1"].as_str().is_some_and(|text| text.contains("house")), "{case}");
    assert!(case["answer_1"].as_str().is_some_and(|text| text.starts_with("As far")), "{case}");
    assert_eq!(judged(), 2, "and not more often than it may be");
}

#[tokio::test]
async fn other_weights_than_the_models_are_refused_and_without_any_it_is_static() {
    let dir = tempfile::tempdir().unwrap();
    let upstream = Upstream::counting().await;
    let other = dir.path().join("other.bin");
    std::fs::write(&other, weights_for("another")).unwrap();
    let wrong = |path: &Path| {
        let yaml = format!("cache: {{semantic: {{weights: \"{}\"}}}}", path.display());
        Given::one(&upstream, &yaml).semantic()
    };
    let error = wrong(&other).build().await.err().unwrap().to_string();
    assert!(error.contains("for another") && error.contains("fake"), "{error}");
    let error = wrong(&dir.path().join("none.bin")).build().await.err().unwrap().to_string();
    assert!(error.contains("none.bin"), "{error}");
    let gateway = Given::one(&upstream, "").semantic().start().await;
    assert_eq!(gateway.held().await["judgement"], Value::Null);
    let why = gateway.app.opened.static_because.as_deref();
    assert!(why.is_some_and(|why| why.contains("static threshold")), "{why:?}");
}

#[tokio::test]
async fn wrong_answers_leave_at_once_and_only_at_the_word_of_their_tenant() {
    let upstream = Upstream::counting().await;
    let yaml = "cache: {semantic: {judgement: static, threshold: 0.6}}\nauth: {keys: [\
                {name: a, key: key-a-0123456789abcdef, tenant: one}, {name: b, key: key-b-0123456789abcdef}]}";
    let gateway = Given::one(&upstream, yaml).semantic().start().await;
    let [one, other] = ["Bearer key-a-0123456789abcdef", "Bearer key-b-0123456789abcdef"];
    let say = async |key: &str, id: &str, right: bool| {
        let body = json!({"id": id, "right": right});
        Reply::of(gateway.post("/v1/feedback", &body).header("authorization", key)).await
    };
    let chat = async |text: &str| gateway.chat_with(&ask(text), &[("authorization", one)]).await;
    let first = chat(QUESTION).await;
    let hit = chat(REWORDED).await;
    assert_eq!(hit.cache(), "hit/semantic");
    assert_eq!(say(other, &hit.id(), false).await.error(), (404, "answer_not_found".to_owned()));
    assert_eq!(gateway.entries().await, 1);
    let told = say(one, hit.header("x-request-id"), false).await.json();
    assert_eq!((&told["tier"], &told["evicted"], &told["repeated"]), (&json!("semantic"), &json!(true), &json!(false)));
    assert_eq!((gateway.entries().await, gateway.held().await["wrong"].clone()), (0, json!(1)));
    assert_eq!(say(one, &hit.id(), false).await.json()["repeated"], true);
    // A fresh answer can be wrong, too; its entry went before it was spoken of.
    assert_eq!(say(one, &first.id(), false).await.json()["evicted"], false);
    let fresh = chat(QUESTION).await;
    assert_eq!((fresh.cache().as_str(), fresh.words().as_str()), ("miss/absent", "answer 2"));
    let spoken = [("authorization", one), ("x-askonce-feedback", &format!("{}=wrong, nobody=right", fresh.id()))];
    let next = gateway.chat_with(&ask(QUESTION), &spoken).await;
    assert_eq!((next.cache().as_str(), next.words().as_str()), ("miss/absent", "answer 3"), "the header came first");
    assert_eq!(say(one, &next.id(), true).await.json()["evicted"], false);
    assert_eq!(chat(QUESTION).await.cache(), "hit/exact");
}

#[tokio::test]
async fn feedback_that_cannot_be_read_is_refused_in_words() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "cache: {feedback_answers: 1}").semantic().start().await;
    let [first, second] = [gateway.chat(&ask("one")).await, gateway.chat(&ask("two")).await];
    let first = first.header("x-request-id");
    assert_eq!(feedback(&gateway, json!({"id": first, "right": true})).await.status, 404, "only one is remembered");
    assert_eq!(feedback(&gateway, json!({"id": second.id(), "right": true})).await.status, 200);
    let table = [
        json!({"id": "x"}),
        json!({"id": 7, "right": true}),
        json!({"id": "", "right": true}),
        json!([]),
        json!({"id": "x", "right": true, "more": 1}),
    ];
    for body in table {
        let reply = feedback(&gateway, body.clone()).await;
        assert_eq!(reply.status, 400, "{body}");
    }
    let reply = gateway.chat_with(&ask("three"), &[("x-askonce-feedback", "id")]).await;
    assert_eq!(reply.status, 400);
    assert_eq!(Reply::of(gateway.client.get(gateway.url("/v1/feedback"))).await.status, 405);
}

#[tokio::test]
async fn what_would_happen_is_explained_and_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let upstream = Upstream::counting().await;
    let gateway = learned(dir.path(), &upstream, "shadow_calls: 0}}").start().await;
    let of = |text: &str| json!({"request": ask(text)});
    let told = explain(&gateway, &of(QUESTION)).await.json();
    assert_eq!((&told["would"], &told["reason"], &told["candidates"]), (&json!("miss"), &json!("absent"), &json!([])));
    assert_eq!(told["targets"], json!([{"provider": "up", "model": "m"}]));
    gateway.chat(&ask("Where is my parcel with the number 1234?")).await;
    let before = (gateway.held().await, upstream.calls());
    let told = explain(&gateway, &of("Where is my parcel with the number 1235?")).await.json();
    assert_eq!((&told["would"], &told["reason"], &told["facts"]), (&json!("miss"), &json!("vetoed"), &json!(["1235"])));
    let candidate = &told["candidates"][0];
    assert_eq!((&candidate["vetoed"], &candidate["facts"]), (&json!(true), &json!(["1234"])));
    assert!(candidate["similarity"].as_f64().is_some_and(|similarity| similarity > 0.8), "{candidate}");
    assert!(candidate["features"].as_object().is_some_and(|features| features.len() > 10), "{candidate}");
    assert!(candidate["weighed"]["stream_score"].is_number() && told["lambda"].is_number(), "{told}");
    let told = explain(&gateway, &of("where is my parcel with the number 1234")).await.json();
    assert_eq!((&told["would"], &told["tier"]), (&json!("hit"), &json!("normalised")));
    assert_eq!(told["answer"]["choices"][0]["message"]["content"], "answer 1");
    let bypass = json!({"request": ask(QUESTION), "headers": {"cache-control": "no-cache, no-store"}});
    assert_eq!(explain(&gateway, &bypass).await.json()["would"], "bypass");
    assert_eq!((gateway.held().await, upstream.calls()), before, "to explain is to leave alone");
    for wrong in [
        json!({}),
        json!({"request": 7}),
        json!({"request": {}, "surface": "x"}),
        json!({"request": {}, "tenant": "x"}),
    ] {
        assert_eq!(explain(&gateway, &wrong).await.status, 400, "{wrong}");
    }
    assert_eq!(Reply::of(gateway.post("/admin/cache/explain", &of(QUESTION))).await.status, 401);
}
