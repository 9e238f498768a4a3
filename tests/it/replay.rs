//! Replay: the pass on numbers agrees with the pass through the real cache; and the command, from file to exit code.

use crate::support::process::run;
use askonce::app::cache_in_memory;
use askonce::config::{self, Overrides, Resolved};
use askonce::replay::import::{self, Imported};
use askonce::replay::{self, Eviction, Kind, Plan, Prices, Report, Request, Room, Stream, Strictness, Vector, Vectors};
use askonce::types::clock::Clock;
use askonce::types::usage::Usage;
use askonce_models::Embedder;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// Questions that repeat, exactly, with other edges, and in other words.
fn trace(requests: usize) -> Vec<Request> {
    let mut dice = StdRng::seed_from_u64(7);
    let verbs = ["cancel", "change", "return", "track", "pay for"];
    let things = ["my order", "order 12", "order 13", "the blue lamp", "two lamps", "a subscription"];
    let mut lines = String::new();
    for at in 0..requests {
        let (verb, thing) = (dice.random_range(0..verbs.len()), dice.random_range(0..things.len()));
        let words = format!("{} {}", verbs[verb], things[thing]);
        let text = match dice.random_range(0..6) {
            0 => format!("How do I {words}?"),
            1 => format!("how do i {words}"),
            2 => format!("Hello, how can I {words} please?"),
            3 => format!("I would like to {words}"),
            4 => format!("Can you tell me how to {words} today?"),
            _ => format!("{words} {}", dice.random_range(0..40)),
        };
        let scope = ["desk", "shop"][dice.random_range(0..2)];
        let row = serde_json::json!({
            "text": text, "group": format!("{verb}-{thing}"), "scope": scope, "t": at * 30, "in_tok": 20, "out_tok": 50,
        });
        lines += &format!("{row}\n");
    }
    read(&lines).requests
}

fn read(text: &str) -> Imported {
    let options = import::Options { format: None, scope_field: "scope".to_owned(), limit: usize::MAX };
    import::read("trace", text.as_bytes().to_vec(), &options).unwrap()
}

fn settings(kind: Kind, ttl_s: Option<u64>) -> Resolved {
    let mut settings = config::defaults(&Overrides::default()).unwrap();
    let cache = &mut settings.cache;
    cache.ttl = std::time::Duration::from_secs(ttl_s.unwrap_or(100_000_000));
    cache.semantic.enabled = kind.is_semantic();
    cache.normalised = kind != Kind::Exact;
    if let Kind::Static { threshold, veto } = kind {
        (cache.semantic.threshold, cache.semantic.veto) = (Some(threshold), veto);
    }
    settings
}

fn vectors(embedder: &Embedder, trace: &[Request]) -> Vectors {
    let texts: Vec<&str> = trace.iter().map(|request| request.text.as_str()).collect();
    let found = embedder.embed_batch(&texts, &|_| ()).unwrap();
    texts
        .iter()
        .zip(found)
        .map(|(text, found)| (Box::from(*text), Vector { values: found.vector, truncated: found.truncated }))
        .collect()
}

fn plan(kind: Kind, ttl_s: Option<u64>) -> Plan {
    let room = Room { ttl_ms: ttl_s.map(|seconds| seconds * 1000), ..Room::default() };
    Plan { kind, room, label_noise: 0.0, seed: 1 }
}

/// What has to agree.
fn figures(report: &Report) -> String {
    let Report { hits, errors, undecided_hits, entries, by_tier, by_scope, by_class, by_decile, .. } = report;
    let recall = report.recall;
    format!(
        "{hits} {errors} {undecided_hits} {entries} {recall:.6} {by_tier:?} {by_scope:?} {by_class:?} {by_decile:?}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_on_numbers_agrees_with_the_real_cache() {
    let mut trace = trace(900);
    // Never the same twice: passed by, however often it is asked.
    let now = r#"{"text":"What time is it?","group":"now","scope":"desk","t":99}"#;
    trace.extend(read(&format!("{now}\n{now}\n")).requests);
    let embedder = Embedder::fake(64);
    let vectors = vectors(&embedder, &trace);
    let fixed = |threshold, veto| Kind::Static { threshold, veto };
    let kinds = [
        (Kind::Exact, None),
        (Kind::Normalised, None),
        (Kind::Normalised, Some(3000)),
        (fixed(0.6, false), None),
        (fixed(0.6, true), None),
        (fixed(0.9, true), None),
        (fixed(0.7, false), Some(3000)),
    ];
    for (kind, ttl_s) in kinds {
        let settings = settings(kind, ttl_s);
        let clock = Clock::manual(1);
        let model = kind.is_semantic().then(|| embedder.clone());
        let cache = cache_in_memory(&settings, model, clock.clone()).unwrap();
        let known = vectors.iter().map(|(text, vector)| (text.clone(), Arc::clone(&vector.values), vector.truncated));
        cache.preload(known);
        let prices = Prices::default();
        let real = replay::run(&cache, &clock, &trace, &vectors, &prices, &|_| ()).await.unwrap();
        let stream = Stream::prepare(&trace, &settings.cache, &vectors, &|_| ()).unwrap();
        let numbers = replay::single(&stream, &plan(kind, ttl_s), &prices, &|_| ());
        assert!(real.hits > 0 && real.real_cache && !numbers.real_cache);
        assert_eq!((real.by_class["never"].requests, real.by_class["never"].hits), (2, 0));
        assert!(real.by_class["hours"].requests > 100 && real.by_class["static"].hits > 0);
        assert_eq!(figures(&real), figures(&numbers), "{} for {ttl_s:?} s", kind.name());
        assert_eq!(real.repeat_ceiling, numbers.repeat_ceiling);
    }
}

/// Without groups, both passes ask the same judges, and both say what none of them could decide.
#[tokio::test(flavor = "multi_thread")]
async fn an_unlabelled_trace_is_scored_by_the_judges() {
    let mut trace = trace(500);
    for (at, request) in trace.iter_mut().enumerate() {
        let group = request.group.take().unwrap();
        let open = "open the page of your account, choose the order in question,";
        request.answer = Some(match at % 4 {
            0 => format!("Yes, {group}."),
            1 => format!("{{\"about\": \"{group}\", \"done\": true}}"),
            2 => format!("For {group} {open} and follow what is said there."),
            _ => format!("Please {open} then write to us, wait one day, and ask again about {group}."),
        });
    }
    let embedder = Embedder::fake(64);
    let answers: Vec<Request> =
        trace.iter().map(|of| Request { text: of.answer.clone().unwrap(), ..Request::default() }).collect();
    let mut known = vectors(&embedder, &trace);
    known.extend(vectors(&embedder, &answers));
    let kind = Kind::Static { threshold: 0.6, veto: false };
    let settings = settings(kind, None);
    let clock = Clock::manual(1);
    let cache = cache_in_memory(&settings, Some(embedder), clock.clone()).unwrap();
    cache.preload(known.iter().map(|(text, of)| (text.clone(), Arc::clone(&of.values), of.truncated)));
    let prices = Prices::default();
    let real = replay::run(&cache, &clock, &trace, &known, &prices, &|_| ()).await.unwrap();
    let stream = Stream::prepare(&trace, &settings.cache, &known, &|_| ()).unwrap();
    let numbers = replay::single(&stream, &plan(kind, None), &prices, &|_| ());
    assert_eq!(figures(&real), figures(&numbers));
    assert!(real.estimated && (1..real.errors).contains(&real.undecided_hits), "{}", figures(&real));
    assert!(numbers.to_string().contains("that no judge could decide"), "{numbers}");
    let learned = Kind::Learned { error_budget: 0.05, strictness: Strictness::Off, threshold: Some(0.5) };
    let learned = replay::single(&stream, &plan(learned, None), &prices, &|_| ());
    assert!(learned.undecided_judgements > 0 && learned.threshold == Some(0.5));
}

/// The same entries leave, in the same order, by the table's rules and by the shelf's: else hits and bytes would part.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_shelf_keeps_what_the_small_table_keeps() {
    let mut trace = trace(1500);
    for (at, request) in trace.iter_mut().enumerate() {
        // Answers of unlike price and size, the same for a question whenever it is asked.
        let size = request.text.bytes().map(u64::from).sum::<u64>() * 7 % 900;
        request.usage = Usage::new(20 + size % 50, 10 + size);
        request.took_ms = None;
        request.t = at as f64;
    }
    let embedder = Embedder::fake(64);
    let vectors = vectors(&embedder, &trace);
    let prices = Prices::default();
    for kind in [Kind::Normalised, Kind::Static { threshold: 0.9, veto: true }] {
        let whole = settings(kind, None);
        let stream = Stream::prepare(&trace, &whole.cache, &vectors, &|_| ()).unwrap();
        let unbounded = replay::single(&stream, &plan(kind, None), &prices, &|_| ());
        for eviction in Eviction::ALL {
            let bytes = unbounded.bytes as u64 / 4;
            let mut settings = settings(kind, None);
            settings.cache.memory_bytes = bytes;
            settings.cache.eviction = eviction.into();
            let clock = Clock::manual(1);
            let model = kind.is_semantic().then(|| embedder.clone());
            let cache = cache_in_memory(&settings, model, clock.clone()).unwrap();
            let known = vectors.iter().map(|(text, of)| (text.clone(), Arc::clone(&of.values), of.truncated));
            cache.preload(known);
            let real = replay::run(&cache, &clock, &trace, &vectors, &prices, &|_| ()).await.unwrap();
            let room = Room { bytes: Some(bytes), eviction, ttl_ms: None };
            let shelf = replay::single(&stream, &Plan { room, ..plan(kind, None) }, &prices, &|_| ());
            let name = format!("{} by {}", kind.name(), eviction.as_str());
            assert!(shelf.evicted > 100 && shelf.hits < unbounded.hits, "{name}");
            if !kind.is_semantic() {
                assert_eq!(figures(&real), figures(&shelf), "{name}");
                assert_eq!((real.evicted, real.bytes), (shelf.evicted, shelf.bytes), "{name}");
            }
            // The index takes entries out behind the table's back: for a moment the nearest may be another.
            let differ = |one: usize, other: usize| one.abs_diff(other) as f64 / one.max(1) as f64;
            assert!(differ(real.hits, shelf.hits) < 0.02 && differ(real.entries, shelf.entries) < 0.02, "{name}");
            assert!((real.recall - shelf.recall).abs() < 0.02, "{name}: {} {}", real.recall, shelf.recall);
        }
    }
}

#[test]
fn policies_that_learn_keep_the_books_and_repeat_themselves() {
    let trace = trace(900);
    let vectors = vectors(&Embedder::fake(64), &trace);
    let settings = settings(Kind::Normalised, None);
    let stream = Stream::prepare(&trace, &settings.cache, &vectors, &|_| ()).unwrap();
    let learned = Kind::Learned { error_budget: 0.02, strictness: Strictness::Balanced, threshold: None };
    for kind in [learned, Kind::Vcache { delta: 0.05, tiers: false }, Kind::Vcache { delta: 0.05, tiers: true }] {
        let run = |plan: &Plan| replay::single(&stream, plan, &Prices::default(), &|_| ());
        let (once, again) = (run(&plan(kind, None)), run(&plan(kind, None)));
        assert_eq!(figures(&once), figures(&again), "{}", kind.name());
        assert!(once.judge_rate > 0.0 && once.net_hit_rate <= once.hit_rate);
        let noisy = run(&Plan { label_noise: 0.2, ..plan(kind, None) });
        assert_eq!(noisy.requests, 900);
        let small = run(&Plan { room: Room { bytes: Some(60_000), ..Room::default() }, ..plan(kind, None) });
        assert!(small.bytes <= 60_000 && small.evicted > 0, "{}", kind.name());
    }
}

#[test]
fn a_sweep_finds_the_front_and_a_page_without_scripts() {
    let mut trace = trace(400);
    trace[3].text = "<script>alert(1)</script> & \"quoted\"".to_owned();
    trace.iter_mut().for_each(|request| request.scope = Some("<b>desk</b>".to_owned()));
    let vectors = vectors(&Embedder::fake(64), &trace);
    let settings = settings(Kind::Normalised, None);
    let stream = Stream::prepare(&trace, &settings.cache, &vectors, &|_| ()).unwrap();
    let options = replay::Options {
        kinds: replay::kinds(replay::scoring(&trace)),
        prices: Prices::default(),
        label_noise: 0.0,
        error_budget: 0.3,
        seed: 1,
    };
    let sweep = replay::sweep(&stream, &options, &|_| ());
    assert!(sweep.runs.len() > 70 && !sweep.front.is_empty());
    let chosen = &sweep.runs[sweep.chosen.unwrap()];
    assert!(chosen.err_all <= 0.3 && sweep.config.as_ref().unwrap().starts_with("cache:"));
    let better = sweep.runs.iter().find(|run| run.err_all <= 0.3 && run.hit_rate > chosen.hit_rate);
    assert!(better.is_none_or(|run| run.family.starts_with("vCache")), "{better:?}");
    let about = replay::About { name: "a<b>.jsonl", format: "askonce", skipped: 2 };
    let page = replay::page(&about, &sweep, chosen);
    for never in ["<script", "http://", "https://", "<b>desk", "a<b>", "src=", "@import", "url("] {
        assert!(!page.contains(never), "{never}");
    }
    assert!(page.matches("<svg").count() >= 5 && page.contains("&lt;b&gt;desk"));
    assert!(sweep.to_string().contains("best hit rate at"));
    assert!(page.contains("What strictness costs") && sweep.to_string().contains("δ 0.01, strict"));
    assert_eq!(sweep.knobs.len(), 12);
    for knobs in sweep.knobs.chunks(3) {
        assert_eq!([0, 1, 2].map(|at| knobs[at].strictness), ["off", "balanced", "strict"]);
        assert!(knobs[0].costs == 0.0 && knobs[2].costs == knobs[0].hit_rate - knobs[2].hit_rate);
    }
}

/// A folder with files in it, and a configuration without a sentence model.
fn folder(files: &[(&str, &str)]) -> (TempDir, impl Fn(&str) -> String) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files.iter().chain(&[("askonce.yaml", "cache: {semantic: {enabled: false}}\n")]) {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let root: PathBuf = dir.path().to_owned();
    (dir, move |name: &str| root.join(name).to_str().unwrap().to_owned())
}

const TRACE: &str = "{\"text\":\"Opening hours?\",\"group\":\"a\"}\n{\"text\":\"opening hours\",\"group\":\"a\"}\n{\"text\":\"Opening hours?\",\"group\":\"b\"}\n{\"text\":\"Prices?\",\"group\":\"c\"}\n";

#[test]
fn the_command_counts_and_ends_as_the_bounds_say() {
    let (_dir, at) = folder(&[("t.jsonl", TRACE), ("t.csv", "text,category\nOpening hours?,a\nopening hours,a\n")]);
    let (trace, config) = (at("t.jsonl"), at("askonce.yaml"));
    let (code, out, _) = run(&["replay", &trace, "--config", &config, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["hits"], &report["errors"]), (0, &2.into(), &1.into()), "{out}");
    assert_eq!((&report["policy"], &report["real_cache"]), (&"exact and normalised".into(), &true.into()));
    let (code, out, _) = run(&["replay", &trace, "--config", &config, "--policy", "exact"]);
    assert!(code == 0 && out.contains("exact: 4 requests"), "{out}");
    let (code, _, err) = run(&["replay", &trace, "--config", &config, "--max-error", "0.1"]);
    assert!(code == 1 && err.contains("0.2500 of all requests were served wrongly"), "{err}");
    let (code, _, err) = run(&["replay", &trace, "--config", &config, "--min-hit-rate", "0.9"]);
    assert!(code == 1 && err.contains("0.5000 of all requests were served from the cache"), "{err}");
    let (code, out, err) = run(&["replay", &at("t.csv"), "--config", &config]);
    assert!(code == 0 && err.contains("2 requests, read as csv") && out.contains("50.00 %"), "{out}{err}");
    let prices = ["--input-price", "1", "--output-price", "2", "--ttl-s", "60"];
    let (code, out, _) = run(&[&["replay", &trace, "--config", &config][..], &prices].concat());
    assert!(code == 0 && out.contains("US dollars"), "{out}");
}

#[test]
fn the_command_sweeps_and_writes_a_page() {
    let (_dir, at) = folder(&[("t.jsonl", TRACE)]);
    let (trace, config, page) = (at("t.jsonl"), at("askonce.yaml"), at("page.html"));
    let sweep = ["replay", &trace, "--config", &config, "--sweep", "--report", &page];
    let (code, out, err) = run(&sweep);
    assert!(code == 1 && err.contains("no policy keeps to an error budget of 0.01"), "{out}{err}");
    let (code, out, _) = run(&[&sweep[..], &["--error-budget", "0.3", "--json"]].concat());
    let found: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, found["runs"].as_array().unwrap().len()), (0, 2));
    // What it says to write down can be read.
    fs::write(at("advice.yaml"), found["config"].as_str().unwrap()).unwrap();
    let (code, out, err) = run(&["replay", &trace, "--config", &at("advice.yaml"), "--json"]);
    let again: serde_json::Value = serde_json::from_str(&out).unwrap();
    let chosen = &found["runs"][found["chosen"].as_u64().unwrap() as usize];
    assert_eq!((code, &again["hits"], &again["policy"]), (0, &chosen["hits"], &chosen["policy"]), "{err}");
    assert!(fs::read_to_string(&page).unwrap().starts_with("<!doctype html>"));
    let (code, _, err) = run(&[&sweep[..], &["--error-budget", "0.3", "--max-error", "0.01"]].concat());
    assert!(code == 1 && err.contains("served wrongly"), "{err}");
}

#[test]
fn what_cannot_be_replayed_is_named() {
    let (_dir, at) =
        folder(&[("bad.jsonl", "{\"text\":\"a\",\"group\":1}\n{\"text\":7}\n"), ("lines.txt", "What?\nWhen?\n")]);
    let config = at("askonce.yaml");
    let fails = |arguments: &[&str]| {
        let (code, _, err) = run(&[&["replay", "--config", &config][..], arguments].concat());
        assert_ne!(code, 0, "{arguments:?}");
        err
    };
    let err = fails(&[&at("bad.jsonl")]);
    assert!(err.contains("bad.jsonl: line 2: expected `text`"), "{err}");
    assert!(fails(&[&at("gone.jsonl")]).contains("gone.jsonl"));
    assert!(fails(&[&at("lines.txt"), "--policy", "learned"]).contains("neither groups nor answers"));
    assert!(fails(&[&at("lines.txt"), "--format", "word"]).contains("askonce, openai, sharegpt"));
    assert!(fails(&[&at("lines.txt"), "--label-noise", "2"]).contains("--label-noise is a share"));
    let (code, out, _) = run(&["replay", &at("lines.txt"), "--config", &config]);
    assert!(code == 0 && out.contains("nobody knows which are wrong"), "{out}");
}
