//! What it costs to let a request in: its key looked up, its rights and those of three accounts asked, four budgets and three limits held,
//! and settled. `cargo bench --bench governance`; microseconds, the median and the 99th percentile of many. The target is five. And how
//! long a hundred thousand keys and ten thousand budgets take at the start; seconds, the target is two.

use askonce::config::{self, Overrides};
use askonce::governance::objects::Objects;
use askonce::governance::virtual_key::{self, Hasher, VirtualKeys};
use askonce::governance::{Asked, Entering, Estimate, Governor, Keys};
use askonce::store::database::{Change, Database, HashRow, ObjectRow};
use askonce::types::directives::Directives;
use askonce::types::money::MicroUsd;
use askonce::types::secret::Secret;
use askonce::types::surface::Surface;
use askonce::types::usage::Usage;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const ROUNDS: usize = 200_000;
const NOW: u64 = 1_700_000_000_000;
const KEYS: usize = 100_000;
const ACCOUNTS: usize = 10_000;

const HOUSE: &str = "
accounts:
  - {name: house, kind: organisation, budgets: [{usd: 1000000, per: month}]}
  - {name: bank, kind: customer, in: house, budgets: [{usd: 1000000, per: month}], models: ['gpt-*']}
  - {name: lab, kind: team, in: bank, budgets: [{usd: 1000000, per: day, window: rolling}], rate_limits: [{tokens: 1000000000000, per: minute}]}
auth:
  keys:
    - {name: one, key: sk-one-0123456789, account: lab, models: ['gpt-*'], budgets: [{usd: 1000000, per: day}], rate_limits: [{requests: 1000000000000, per: minute}, {concurrent: 100000}]}
";

fn settings(yaml: &str) -> config::Resolved {
    let env = |name: &str| (name == "HOME").then(|| "/nowhere".to_owned());
    config::parse(yaml, "a.yaml", &Overrides::default(), &env).expect("the configuration is one")
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let settings = settings(HOUSE);
    let governor = Governor::new(&settings, false, HashMap::new(), NOW);
    let nobody = Arc::new(VirtualKeys::new(Hasher::new([1; 32])));
    let keys = Keys::new(&settings.auth, &settings.accounts, nobody, None);
    let mut took: Vec<u64> = Vec::with_capacity(ROUNDS);
    let mut settled: Vec<u64> = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        let now_ms = NOW + round as u64 / 100;
        let begun = Instant::now();
        let caller = keys.caller(black_box(Some("sk-one-0123456789")), now_ms).expect("the key is one");
        let about = Entering { surface: Some(Surface::ChatCompletions), address: None, now_ms, path: "/" };
        governor.enter(&caller, &about, &mut Directives::default()).expect("it may come in");
        let asked = Asked { model: "gpt-5", ..Asked::default() };
        let place = governor.admit(&caller, &asked, now_ms).expect("it is admitted");
        let estimate = Estimate { input_tokens: 100, output_tokens: 500, cost: MicroUsd(700) };
        let mut purse = governor.reserve(&caller, "gpt-5", estimate, || now_ms).await.expect("it is reserved");
        let admitted = begun.elapsed();
        let begun = Instant::now();
        purse.settle(Usage::new(90, 200), MicroUsd(300), now_ms);
        drop(place);
        settled.push(begun.elapsed().as_nanos() as u64);
        took.push(admitted.as_nanos() as u64);
    }
    println!("| what | p50 µs | p99 µs |\n|---|---|---|");
    println!("| let in: key, rights, four budgets, three limits | {} |", quantiles(took));
    println!("| settled | {} |", quantiles(settled));
    start().await;
}

fn quantiles(mut all: Vec<u64>) -> String {
    all.sort_unstable();
    let at = |share: f64| all[(all.len() as f64 * share) as usize] as f64 / 1e3;
    format!("{:.2} | {:.2}", at(0.5), at(0.99))
}

/// A database with many keys and accounts, opened.
async fn start() {
    let dir = tempfile::tempdir().expect("a folder");
    let database = Database::in_file(&dir.path().join("a.db")).await.expect("a database");
    let hasher = Hasher::new([1; 32]);
    let row = |kind: &str, name: String, body: String| ObjectRow {
        kind: kind.to_owned(),
        id: name.clone(),
        name,
        body,
        hint: String::new(),
        version: 1,
        created_ms: NOW,
        changed_ms: NOW,
        revision: 0,
    };
    for number in 0..ACCOUNTS {
        let name = format!("team-{number}");
        let body = format!(r#"{{"name":"{name}","kind":"team","budgets":[{{"usd":100,"per":"month"}}]}}"#);
        let change = Change { row: row("account", name, body), before: None, hashes: Vec::new(), only_these: false };
        assert!(database.change(&change).await.expect("a change"));
    }
    let mut last = Secret::new("");
    for number in 0..KEYS {
        let name = format!("key-{number}");
        let body = format!(r#"{{"name":"{name}","account":"team-{}"}}"#, number % ACCOUNTS);
        last = virtual_key::new();
        let hash = blake3::Hash::from_bytes(hasher.hash(last.expose())).to_hex().to_string();
        let hashes = vec![HashRow { hash, name: name.clone(), until_ms: None }];
        let change = Change { row: row("key", name, body), before: None, hashes, only_these: true };
        assert!(database.change(&change).await.expect("a change"));
    }
    let empty = settings("");
    let governor = Arc::new(Governor::new(&empty, true, HashMap::new(), NOW));
    let keys = Arc::new(VirtualKeys::new(hasher));
    let begun = Instant::now();
    let objects =
        Objects::open(database, governor.clone(), keys.clone(), &empty, Arc::default(), NOW).await.expect("they open");
    println!("\n{KEYS} keys and {ACCOUNTS} budgets, in force after {:.2} s", begun.elapsed().as_secs_f64());
    assert!(keys.holder(last.expose(), NOW).is_some());
    drop(objects);
}
