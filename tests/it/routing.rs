//! Routing over real sockets: targets that die, hang, refuse and limit, and whom the requests go to then.

use crate::support::gateway::ADMIN_KEY;
use crate::support::process::askonce;
use crate::support::script::{event, piece, reply, stream_end, stream_head};
use crate::support::{Gateway, Given, PATIENCE, Step, Upstream, ask, process, script, streamed, until, with};
use parking_lot::Mutex;
use process::Process;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpSocket;

/// A gateway without a cache, whose providers are `a`, `b`, … with a model `m` each.
async fn gateway(urls: &[&str], more: &str) -> Gateway {
    let name = |at: usize| char::from(b'a' + at as u8);
    let provider = |at: usize| {
        let name = name(at);
        // Of an answer that does not stream nothing is seen before it is whole: where all callers wait for such ones of a provider that
        // hangs, only this brings them on.
        let more = "models: [m], first_byte_timeout_ms: 5000";
        format!("  - {{name: {name}, kind: openai_compatible, base_url: \"${{{name}}}\", {more}}}\n")
    };
    let providers: String = (0..urls.len()).map(provider).collect();
    let yaml = format!("providers:\n{providers}admin: {{key: {ADMIN_KEY}}}\ncache: {{enabled: false}}\n{more}");
    let given =
        urls.iter().enumerate().fold(Given::yaml(&yaml), |given, (at, url)| given.variable(&name(at).to_string(), url));
    given.start().await
}

/// A model `m` at as many of the providers.
fn route(targets: usize, strategy: &str, more: &str) -> String {
    let target = |at: usize| format!("{{provider: {}, model: m}}", char::from(b'a' + at as u8));
    let targets: Vec<String> = (0..targets).map(target).collect();
    format!("models:\n  - {{name: m, strategy: {strategy}, targets: [{}]{more}}}\n", targets.join(", "))
}

/// An upstream in a process of its own: the real binary, before a provider of the test's.
struct Child {
    process: Process,
    config: PathBuf,
    dir: TempDir,
    held: Option<TcpSocket>,
    _behind: Upstream,
}

impl Child {
    async fn start() -> Child {
        let behind = Upstream::start(|seen| {
            let mut steps = vec![Step::Pause(Duration::from_millis(5))];
            steps.extend(if seen.wants_stream() {
                script::streamed_answer("well done")
            } else {
                script::answer("well done")
            });
            steps
        })
        .await;
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("askonce.yaml");
        std::fs::write(&config, process::yaml(&behind, "cache: {enabled: false}\n")).unwrap();
        let process = Process::serve(&config, dir.path()).await;
        Child { process, config, dir, held: None, _behind: behind }
    }

    /// Its address is held meanwhile, without anybody listening, so that no other story's server gets it.
    async fn kill(&mut self) {
        self.process.signal("KILL");
        assert_eq!(self.process.ended().await, None, "a signal ended it");
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address().parse().unwrap()).unwrap();
        self.held = Some(socket);
    }

    fn address(&self) -> String {
        self.process.url.trim_start_matches("http://").to_owned()
    }

    /// At the address where it was.
    async fn start_again(&mut self) {
        let address = self.address();
        let command = Process::command_at(&address, askonce(), &self.config, self.dir.path());
        self.process = Process::spawn(command).await;
        self.held = None;
    }
}

/// Callers that ask one question after the other, and what became of each.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    asked: AtomicUsize,
    /// When each began, and what it took.
    answered: Mutex<Vec<(Instant, Duration)>>,
    lost: Mutex<Vec<String>>,
    /// Streams that had begun when their upstream died: what a caller has read cannot be taken back, so that they end with an error.
    cut: AtomicUsize,
}

impl Load {
    /// One caller; every second question is answered as a stream.
    async fn ask_on(&self, client: reqwest::Client, url: String) {
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.asked.fetch_add(1, Ordering::Relaxed);
            let question = ask(&format!("question {number}"));
            let body = if number.is_multiple_of(2) { question } else { streamed(question) };
            let began = Instant::now();
            match Load::one(&client, &url, &body).await {
                Ok(()) => self.answered.lock().push((began, began.elapsed())),
                Err(why)
                    if why.contains("\"content\":") && why.contains("`a` broke off in the middle of its answer") =>
                {
                    self.cut.fetch_add(1, Ordering::Relaxed);
                }
                Err(why) => self.lost.lock().push(format!("{number}: {why}")),
            }
        }
    }

    async fn one(client: &reqwest::Client, url: &str, body: &Value) -> Result<(), String> {
        let answer = async {
            let response = client.post(url).json(body).send().await.map_err(|error| error.to_string())?;
            let status = response.status();
            Ok::<_, String>((status, response.text().await.map_err(|error| error.to_string())?))
        };
        let (status, text) = tokio::time::timeout(PATIENCE, answer).await.map_err(|_| "it hangs".to_owned())??;
        let whole = if body["stream"] == true { text.contains("[DONE]") } else { text.contains("well done") };
        (status == 200 && whole).then_some(()).ok_or_else(|| format!("{status}: {text}"))
    }

    /// How many began in these times, and the 99th percentile of what they took.
    fn p99(&self, times: impl Iterator<Item = Range<Instant>>) -> (usize, Duration) {
        let (times, answered) = (times.collect::<Vec<_>>(), self.answered.lock());
        let began_then = |began: &Instant| times.iter().any(|time| time.contains(began));
        let mut took: Vec<Duration> =
            answered.iter().filter(|(began, _)| began_then(began)).map(|(_, took)| *took).collect();
        took.sort_unstable();
        (took.len(), took.get(took.len() * 99 / 100).copied().unwrap_or_default())
    }
}

async fn is(gateway: &Gateway, provider: &str, field: &str, word: &str) {
    until(&format!("{provider} is {word}"), || async { gateway.lane(provider, None).await[field] == word }).await;
}

async fn number(gateway: &Gateway, provider: &str, field: &str) -> u64 {
    gateway.lane(provider, None).await[field].as_u64().unwrap()
}

/// Requests at a time.
const CALLERS: usize = 8;

/// What is measured, and when it began and ended.
type Phases = Vec<(&'static str, Instant, Instant)>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_while_upstreams_are_killed_and_stopped() {
    let mut children = [Child::start().await, Child::start().await, Child::start().await];
    let urls: Vec<String> = children.iter().map(|child| format!("{}/v1", child.process.url)).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let target = |name: &str| format!("{{provider: {name}, model: m, weight: 1, first_token_timeout_ms: 600}}");
    let more = format!(
        "models:\n  - {{name: m, strategy: weighted, targets: [{}]}}\n\
         retry: {{backoff_ms: 20}}\nbreaker: {{failures: 3, open_ms: 400, open_max_ms: 400, slow_start_ms: 300}}\n",
        ["a", "b", "c"].map(target).join(", ")
    );
    let gateway = gateway(&urls, &more).await;
    let load = Arc::new(Load::default());
    let url = gateway.url("/v1/chat/completions");
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (load, client, url) = (load.clone(), gateway.client.clone(), url.clone());
            tokio::spawn(async move { load.ask_on(client, url).await })
        })
        .collect();
    // More rounds for who wants more requests than a test has time for.
    let rounds = std::env::var("ASKONCE_KILLS").map_or(1, |rounds| rounds.parse().expect("a number of rounds"));
    let mut phases = Phases::new();
    for _ in 0..rounds {
        let began = Instant::now();
        let sent = number(&gateway, "a", "sent").await;
        until("it is asked", || async { number(&gateway, "a", "sent").await > sent + 30 }).await;
        // As long as the others, so that there is as much to compare.
        tokio::time::sleep(Duration::from_millis(1500).saturating_sub(began.elapsed())).await;
        phases.push(("all are well", began, Instant::now()));
        one_is_killed(&gateway, &mut children[0], &load, &mut phases).await;
        one_hangs(&gateway, &children[1], &mut phases).await;
    }
    load.stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    let p99 = |what: &str| {
        let (count, p99) = load.p99(phases.iter().filter(|(one, ..)| *one == what).map(|(_, from, to)| *from..*to));
        println!("{what}: {count} requests, p99 {p99:?}");
        (count, p99.as_secs_f64() * 1e3)
    };
    let added = |what: &str, well: (usize, f64)| {
        let then = p99(what);
        println!("  added p99 after the breaker opened: {:+.2} ms", then.1 - well.1);
        assert!(well.0 > 20 && then.0 > 20, "{} and {} requests say little", well.0, then.0);
    };
    let well = p99("all are well");
    p99("one is killed, its breaker closed");
    added("one is killed, its breaker open", well);
    p99("one hangs, its breaker closed");
    added("one hangs, its breaker open", well);
    let (asked, lost) = (load.asked.load(Ordering::Relaxed), load.lost.lock().clone());
    let cut = load.cut.load(Ordering::Relaxed);
    println!("{asked} requests, {} lost, {cut} streams cut after they had begun", lost.len());
    assert!(asked > 200 && lost.len() * 10_000 <= asked, "{asked} asked, lost: {lost:?}");
    assert!(cut <= CALLERS * rounds, "{cut} streams cut in {rounds} rounds");
    for provider in ["a", "b", "c"] {
        assert_eq!(number(&gateway, provider, "in_flight").await, 0, "{provider}: every place is given back");
    }
}

/// `a` is killed: it is left alone, and asked now and then whether it is back, until it is.
async fn one_is_killed(gateway: &Gateway, child: &mut Child, load: &Load, phases: &mut Phases) {
    let killed = Instant::now();
    child.kill().await;
    is(gateway, "a", "breaker", "open").await;
    let (opened, sent) = (Instant::now(), number(gateway, "a", "sent").await);
    phases.push(("one is killed, its breaker closed", killed, opened));
    let asked = load.asked.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let probes = number(gateway, "a", "sent").await - sent;
    // A pause is four fifths of what is set, at least.
    let most = opened.elapsed().as_millis() as u64 / 320 + 1;
    let others = load.asked.load(Ordering::Relaxed) - asked;
    assert!(probes <= most && others > 10, "{probes} probes of at most {most}, {others} requests");
    phases.push(("one is killed, its breaker open", opened, Instant::now()));
    child.start_again().await;
    is(gateway, "a", "state", "ready").await;
}

/// `b` hangs without a word, for a while.
async fn one_hangs(gateway: &Gateway, child: &Child, phases: &mut Phases) {
    let stopped = Instant::now();
    child.process.signal("STOP");
    is(gateway, "b", "breaker", "open").await;
    let opened = Instant::now();
    phases.push(("one hangs, its breaker closed", stopped, opened));
    tokio::time::sleep(Duration::from_millis(1000)).await;
    phases.push(("one hangs, its breaker open", opened, Instant::now()));
    child.process.signal("CONT");
    is(gateway, "b", "state", "ready").await;
}

#[tokio::test]
async fn a_stream_that_begins_with_an_error_is_another_ones_to_answer() {
    let error = event(&json!({"error": {"message": "overloaded", "type": "x"}}));
    let broken = Upstream::start(move |_| vec![stream_head(), piece(&error), stream_end()]).await;
    let sound = Upstream::counting().await;
    let more = route(2, "round_robin", "") + "breaker: {failures: 3, open_ms: 60000}\n";
    let gateway = gateway(&[&broken.url, &sound.url], &more).await;
    for number in 1..=20 {
        let reply = gateway.chat(&streamed(ask(&format!("question {number}")))).await;
        assert_eq!((reply.words(), reply.header("x-askonce-provider")), (format!("answer {number}"), "b"));
    }
    assert_eq!((broken.calls(), sound.calls()), (3, 20), "it is left alone after three");
    let lane = gateway.lane("a", None).await;
    assert_eq!((&lane["state"], &lane["breaker"], &lane["failed"]), (&json!("resting"), &json!("open"), &json!(3)));
    assert!((40_000..=72_000).contains(&lane["left_alone_ms"].as_u64().unwrap()), "{lane}");
}

#[tokio::test]
async fn a_refused_key_is_not_used_while_another_works() {
    let upstream = Upstream::start(|seen| match seen.header("authorization") {
        Some("Bearer sk-old-0123456789") => reply(401, &[], r#"{"error":{"message":"revoked"}}"#),
        _ => script::answer("well done"),
    })
    .await;
    let yaml = format!(
        "providers:\n\
         \x20 - name: up\n    kind: openai_compatible\n    base_url: \"${{UP}}\"\n    models: [m]\n    keys:\n\
         \x20     - {{name: old, key: sk-old-0123456789, weight: 1000000}}\n      - {{name: new, key: sk-new-0123456789}}\n\
         models:\n  - {{name: m, targets: [{{provider: up, model: m}}]}}\n\
         admin: {{key: {ADMIN_KEY}}}\ncache: {{enabled: false}}\n"
    );
    let gateway = Given::yaml(&yaml).variable("UP", &upstream.url).start().await;
    let trace = [("x-askonce-trace", "attempts")];
    let first = gateway.chat_with(&ask("one"), &trace).await;
    assert_eq!(first.words(), "well done");
    let attempts: Vec<Vec<&str>> =
        first.header("x-askonce-attempts").split(", ").map(|one| one.split(';').collect()).collect();
    assert!(
        attempts.len() == 2 && attempts[0][0] == "up/old" && attempts[1][..2] == ["up/new", "outcome=ok"],
        "{attempts:?}"
    );
    assert_eq!(attempts[0][1], "outcome=401");
    for number in 0..5 {
        let reply = gateway.chat_with(&ask(&format!("question {number}")), &trace).await;
        assert!(reply.header("x-askonce-attempts").starts_with("up/new;outcome=ok;dur="));
    }
    let with_old =
        |seen: &&crate::support::upstream::Seen| seen.header("authorization") == Some("Bearer sk-old-0123456789");
    assert_eq!((upstream.calls(), upstream.seen().iter().filter(with_old).count()), (7, 1));
    assert_eq!(gateway.lane("up", Some("old")).await["state"], "dead");
    assert_eq!(gateway.lane("up", Some("new")).await["state"], "ready");
    // Untold where nobody asks for it.
    assert_eq!(gateway.chat(&ask("two")).await.header("x-askonce-attempts"), "");
}

#[tokio::test]
async fn attempts_are_told_to_whose_fetch_it_was() {
    let slow =
        Upstream::start(|_| [vec![script::Step::Pause(Duration::from_secs(1))], script::answer("well done")].concat())
            .await;
    let gateway = Given::one(&slow, "").start().await;
    let one = ask("one question");
    let (first, second) = tokio::join!(gateway.chat_with(&one, &[("x-askonce-trace", "attempts")]), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        gateway.chat(&one).await
    });
    assert!(first.header("x-askonce-attempts").contains("outcome=ok"), "{}", first.header("x-askonce-attempts"));
    assert_eq!((second.cache().as_str(), second.header("x-askonce-attempts")), ("hit/flight", ""));
    assert_eq!(slow.calls(), 1);
}

#[tokio::test]
async fn a_rate_limit_moves_the_load() {
    let limited = Upstream::start(|seen| match seen.number {
        1..=2 => script::answer("well done"),
        _ => reply(429, &[("retry-after", "50")], "{}"),
    })
    .await;
    let other = Upstream::counting().await;
    let gateway = gateway(&[&limited.url, &other.url], &route(2, "ordered", "")).await;
    for number in 0..10 {
        let began = Instant::now();
        assert_eq!(gateway.chat(&ask(&format!("question {number}"))).await.status, 200);
        assert!(began.elapsed() < Duration::from_secs(10), "nothing is waited out");
    }
    assert_eq!((limited.calls(), other.calls()), (3, 8));
    let lane = gateway.lane("a", None).await;
    assert_eq!((&lane["state"], &lane["breaker"]), (&json!("limited"), &json!("closed")), "it spoke: it is there");
    assert!((20_000..=50_000).contains(&lane["left_alone_ms"].as_u64().unwrap()), "{lane}");
}

#[tokio::test]
async fn a_larger_model_is_asked_after_a_request_that_is_too_long() {
    let small = Upstream::start(|seen| {
        let long = String::from_utf8_lossy(&seen.body).contains("a long question");
        let code = if long { "context_length_exceeded" } else { "invalid_value" };
        reply(400, &[], json!({"error": {"message": "It cannot be.", "type": "invalid_request_error", "param": null, "code": code}}).to_string())
    })
    .await;
    let large = Upstream::counting().await;
    let more = "models:\n  - {name: m, targets: [{provider: a, model: m}, {provider: b, model: m, after: [context_length]}]}\n";
    let gateway = gateway(&[&small.url, &large.url], more).await;
    assert_eq!(gateway.chat(&ask("a long question")).await.words(), "answer 1");
    assert_eq!(gateway.chat(&ask("a wrong question")).await.error(), (400, "invalid_value".to_owned()));
    assert_eq!((small.calls(), large.calls()), (2, 1));
    assert_eq!(gateway.lane("b", None).await["after"], json!(["context_length"]));
}

#[tokio::test]
async fn a_session_stays_where_it_is() {
    let upstreams = [Upstream::counting().await, Upstream::counting().await, Upstream::counting().await];
    let urls: Vec<&str> = upstreams.iter().map(|one| one.url.as_str()).collect();
    let gateway = gateway(&urls, &route(3, "sticky", "")).await;
    let mut homes: HashMap<usize, String> = HashMap::new();
    for number in 0..48 {
        let session = number % 12;
        let name = format!("session-{session}");
        let reply = gateway.chat_with(&ask(&format!("question {number}")), &[("x-askonce-session", &name)]).await;
        let provider = reply.header("x-askonce-provider").to_owned();
        let home = homes.entry(session).or_insert_with(|| provider.clone());
        assert_eq!(*home, provider, "session {session}");
    }
    let used: HashSet<&String> = homes.values().collect();
    assert!(used.len() > 1, "{homes:?}");
    for (name, upstream) in ["a", "b", "c"].into_iter().zip(&upstreams) {
        let sessions = homes.values().filter(|home| *home == name).count();
        assert_eq!(upstream.calls(), 4 * sessions, "{name}");
    }
}

#[tokio::test]
async fn a_hanging_attempt_is_overtaken_and_given_up() {
    // As many answers as it takes to know what is usual.
    const USUAL: usize = 20;
    let first = Upstream::start(|seen| match seen.number {
        1..=USUAL => script::answer("of the first"),
        _ => vec![Step::Hang],
    })
    .await;
    let second = Upstream::start(|_| script::answer("of the second")).await;
    let hedge = ", hedge: {percentile: 95, at_least_ms: 100, budget_percent: 100}";
    let gateway = gateway(&[&first.url, &second.url], &route(2, "ordered", hedge)).await;
    for number in 0..USUAL {
        assert_eq!(gateway.chat(&ask(&format!("question {number}"))).await.words(), "of the first");
    }
    assert_eq!(second.calls(), 0);
    let reply = gateway.chat_with(&ask("the last one"), &[("x-askonce-trace", "attempts")]).await;
    assert_eq!((reply.words().as_str(), reply.header("x-askonce-provider")), ("of the second", "b"));
    let attempts = reply.header("x-askonce-attempts");
    assert!(attempts.starts_with("b;outcome=ok;dur=") && attempts.contains("a;outcome=outrun;dur="), "{attempts}");
    until("the first one's connection is closed", || async { first.hung_up() == 1 }).await;
    assert_eq!((first.calls(), second.calls()), (USUAL + 1, 1));
    let lane = gateway.lane("a", None).await;
    assert_eq!((&lane["in_flight"], &lane["failed"], &lane["state"]), (&json!(0), &json!(0), &json!("ready")));
}

/// What a request takes of whom every fiftieth answer takes twenty times as long: the sorted times, and how many requests there were
/// beyond those of the callers.
async fn tail(requests: usize, hedge: &str) -> (Vec<Duration>, usize) {
    const USUAL: Duration = Duration::from_millis(20);
    let slow_now_and_then = || {
        Upstream::start(|seen| {
            let pause = if seen.number.is_multiple_of(50) { USUAL * 20 } else { USUAL };
            [vec![Step::Pause(pause)], script::answer("well done")].concat()
        })
    };
    let upstreams = [slow_now_and_then().await, slow_now_and_then().await];
    let gateway = gateway(&[&upstreams[0].url, &upstreams[1].url], &route(2, "weighted", hedge)).await;
    let (gateway, next) = (&gateway, &AtomicUsize::new(0));
    let caller = || async move {
        let mut took = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= requests {
                return took;
            }
            let began = Instant::now();
            assert_eq!(gateway.chat(&ask(&format!("question {number}"))).await.words(), "well done");
            took.push(began.elapsed());
        }
    };
    let (one, two, three, four) = tokio::join!(caller(), caller(), caller(), caller());
    let mut took = [one, two, three, four].concat();
    took.sort_unstable();
    (took, upstreams[0].calls() + upstreams[1].calls() - requests)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_attempt_cuts_the_tail_for_a_few_more_requests() {
    // More of them, and a stricter measure, for who has a quiet machine.
    let more: Option<usize> =
        std::env::var("ASKONCE_HEDGES").ok().map(|count| count.parse().expect("a number of requests"));
    let (requests, wanted) = more.map_or((600, 2.0), |count| (count, 5.0));
    let (alone, none) = tail(requests, "").await;
    let (hedged, extra) = tail(requests, ", hedge: {percentile: 95, at_least_ms: 10, budget_percent: 5}").await;
    let at = |took: &[Duration], percent: usize| took[requests * percent / 100].as_secs_f64() * 1e3;
    let ratio = at(&alone, 99) / at(&hedged, 99);
    for (what, took, extra) in [("without hedging", &alone, none), ("with hedging", &hedged, extra)] {
        let (p50, p99) = (at(took, 50), at(took, 99));
        println!("{what}: p50 {p50:.1} ms, p99 {p99:.1} ms, {extra} more than {requests} requests");
    }
    println!("p99 is cut {ratio:.1} times");
    assert_eq!(none, 0);
    // Beside its share, a budget has ten to begin with.
    assert!(extra > 0 && extra <= requests * 5 / 100 + 12, "{extra} more than {requests}");
    assert!(ratio >= wanted, "cut {ratio:.2} times, not {wanted}");
}

#[tokio::test]
async fn stars_and_aliases_lead_to_their_models() {
    let upstreams = [Upstream::counting().await, Upstream::counting().await];
    let more = "models:\n\
        \x20 - {name: house, aliases: [best, \"cheap-*\"], targets: [{provider: a, model: big}]}\n\
        \x20 - {name: \"gpt-*\", targets: [{provider: a, model: \"openai/gpt-*\"}]}\n\
        \x20 - {name: \"gpt-5-*\", targets: [{provider: b, model: \"five-*\"}]}\n\
        \x20 - {name: gpt-4o, targets: [{provider: b, model: of-its-own}]}\n";
    let gateway = gateway(&[&upstreams[0].url, &upstreams[1].url], more).await;
    for (asked, provider, model) in [
        ("house", "a", "big"),
        ("best", "a", "big"),
        ("cheap-one", "a", "big"),
        ("gpt-4.1", "a", "openai/gpt-4.1"),
        ("gpt-5-mini", "b", "five-mini"),
        ("gpt-4o", "b", "of-its-own"),
        ("b/anything", "b", "anything"),
    ] {
        let reply = gateway.chat(&with(ask(asked), json!({"model": asked}))).await;
        assert_eq!((reply.status, reply.header("x-askonce-provider")), (200, provider), "{asked}");
        let upstream = &upstreams[usize::from(provider == "b")];
        assert_eq!(upstream.last().json()["model"], model, "{asked}");
    }
    let unknown = gateway.chat(&with(ask("x"), json!({"model": "gtp-4"}))).await;
    assert_eq!(unknown.error(), (404, "model_not_found".to_owned()));
}
