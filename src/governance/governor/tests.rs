//! What is let in and what is not, of settings as they are written.

use super::super::ledger::{Granted, Writing};
use super::*;
use crate::config::Overrides;
use crate::types::caller::Tenant;
use crate::types::surface::Surface;

const DAY_MS: u64 = 86_400_000;

fn settings(yaml: &str) -> config::Resolved {
    let env = |name: &str| (name == "HOME").then(|| "/nowhere".to_owned());
    config::parse(yaml, "a.yaml", &Overrides::default(), &env).unwrap_or_else(|error| panic!("{error}"))
}

fn governor(yaml: &str) -> Governor {
    Governor::new(&settings(yaml), false, HashMap::new(), 1)
}

fn caller(name: &str) -> Caller {
    Caller::unknown(name, Tenant(name.to_owned()))
}

fn enter(governor: &Governor, name: &str, now_ms: u64) -> Result<(), Error> {
    let about =
        Entering { surface: Some(Surface::ChatCompletions), address: None, now_ms, path: "/v1/chat/completions" };
    governor.enter(&caller(name), &about, &mut Directives::default())
}

fn cost(micro_usd: u64) -> Estimate {
    Estimate { input_tokens: 10, output_tokens: 20, cost: MicroUsd(micro_usd) }
}

fn code(error: &Error) -> (u16, &'static str, Option<u64>) {
    (error.status(), error.code.unwrap_or_default(), error.retry_after.map(|after| after.as_millis() as u64))
}

const HOUSE: &str = "
accounts:
  - {name: house, kind: organisation, budgets: [{usd: 0.001, per: day}]}
  - {name: lab, kind: team, in: house, models: ['gpt-*', small], rate_limits: [{requests: 3, per: minute, window: calendar}]}
  - {name: ann, kind: user, in: lab, providers: [openai], rate_limits: [{concurrent: 1}]}
auth:
  keys:
    - {name: one, key: sk-one-0123456789, account: ann, budgets: [{usd: 0.0008, per: ever}]}
    - {name: two, key: sk-two-0123456789, account: lab, models: ['*-mini'], expires: '1970-01-02T00:00:00Z'}
    - {name: free, key: sk-free-0123456789}
";

#[test]
fn every_account_above_a_key_is_asked() {
    let governor = governor(HOUSE);
    let admit = |name: &str, model: &str, now: u64| {
        enter(&governor, name, now)
            .and_then(|()| governor.admit(&caller(name), &Asked { model, ..Asked::default() }, now))
            .map_err(|error| code(&error))
    };
    let place = admit("one", "gpt-5", 1).unwrap();
    assert_eq!(admit("one", "gpt-5", 1).unwrap_err(), (429, "rate_limit_exceeded", None), "one at a time");
    drop(place);
    assert!(admit("one", "gpt-5", 1).is_ok());
    assert_eq!(admit("one", "large", 1).unwrap_err(), (403, "model_not_allowed", None));
    assert!(admit("two", "gpt-5-mini", 1).is_ok());
    assert_eq!(admit("two", "gpt-5", 1).unwrap_err(), (403, "model_not_allowed", None), "the key and the team");
    assert_eq!(
        admit("two", "gpt-5-mini", 1).unwrap_err(),
        (429, "rate_limit_exceeded", Some(59_999)),
        "three of the team"
    );
    assert!(admit("two", "gpt-5-mini", 60_000).is_ok());
    assert_eq!(admit("two", "gpt-5-mini", DAY_MS).unwrap_err(), (401, "expired_api_key", None));
    assert!((0..100).all(|_| admit("free", "large", 1).is_ok()) && admit("nobody", "large", 1).is_ok());
    let may = governor.providers(&caller("one")).unwrap();
    assert!(may("openai") && !may("other") && governor.providers(&caller("two")).is_none());
}

#[tokio::test]
async fn budgets_hold_on_every_level_and_what_is_not_used_comes_back() {
    let governor = governor(HOUSE);
    let reserve = async |name: &str, micro_usd: u64, now: u64| {
        governor.reserve(&caller(name), "gpt-5", cost(micro_usd), || now).await.map_err(|error| code(&error))
    };
    let usage = Usage { input_tokens: 5, output_tokens: 5, ..Usage::default() };
    let mut first = reserve("one", 700, 1).await.unwrap();
    assert_eq!(reserve("one", 101, 1).await.unwrap_err(), (402, "budget_exceeded", None), "its own, for ever");
    assert_eq!(
        reserve("two", 301, 1).await.unwrap_err(),
        (402, "budget_exceeded", None),
        "the house's, of which others hold some"
    );
    let second = reserve("two", 300, 1).await.unwrap();
    first.settle(usage, MicroUsd(200), 1);
    assert_eq!(reserve("two", 501, 1).await.unwrap_err(), (402, "budget_exceeded", Some(DAY_MS - 1)));
    drop(second);
    assert!(reserve("two", 800, 1).await.is_ok(), "dropped, it costs nothing");
    assert!(reserve("one", 600, DAY_MS).await.is_ok() && reserve("one", 601, DAY_MS).await.is_err());
}

#[tokio::test]
async fn a_reload_keeps_what_was_used() {
    let governor = governor(HOUSE);
    let reserve = async |micro_usd: u64| governor.reserve(&caller("one"), "gpt-5", cost(micro_usd), || 1).await;
    reserve(600).await.unwrap().settle(Usage::default(), MicroUsd(600), 1);
    assert!(reserve(300).await.is_err());
    governor.reconfigure(&settings(&HOUSE.replace("usd: 0.0008", "usd: 0.0009")), 1);
    assert!(reserve(300).await.is_ok() && reserve(301).await.is_err(), "a larger budget, of which as much is used");
    governor.reconfigure(&settings(&HOUSE.replace("{name: one, key: sk-one", "{name: gone, key: sk-one")), 1);
    assert!(enter(&governor, "gone", 1).is_ok());
    assert_eq!(code(&enter(&governor, "one", 1).unwrap_err()), (401, "revoked_api_key", None));
}

#[tokio::test]
async fn tokens_are_counted_as_they_were() {
    let governor = governor(
        "auth: {keys: [{name: k, key: sk-one-0123456789, rate_limits: [{tokens: 100, per: minute, window: rolling}, {output_tokens: 10, per: ever, models: [x]}]}]}",
    );
    let reserve = async |model: &str, input_tokens: u64, output_tokens: u64| {
        let estimate = Estimate { input_tokens, output_tokens, cost: MicroUsd(0) };
        governor.reserve(&caller("k"), model, estimate, || 1).await
    };
    let mut purse = reserve("y", 50, 40).await.unwrap();
    assert!(reserve("y", 5, 6).await.is_err());
    purse.settle(Usage { input_tokens: 50, output_tokens: 2, ..Usage::default() }, MicroUsd(0), 1);
    assert!(
        reserve("y", 0, 48).await.is_ok() && reserve("x", 0, 11).await.is_err() && reserve("x", 0, 10).await.is_ok()
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_written_down_is_waited_for_and_without_a_disk_nothing_is_spent() {
    let governor = Arc::new(Governor::new(&settings(HOUSE), true, HashMap::new(), 1));
    let refused = governor.reserve(&caller("one"), "gpt-5", cost(500), || 1).await.unwrap_err();
    assert_eq!(code(&refused), (503, "store_unavailable", None), "nobody writes");
    let writer = governor.clone();
    tokio::spawn(async move {
        let wake = writer.ledger().wake();
        loop {
            wake.notified().await;
            let granted: Vec<Granted> = writer.ledger().to_write(1).iter().map(all_of_it).collect();
            writer.ledger().written(1, 1_000, &granted);
            writer.written();
        }
    });
    assert!(governor.reserve(&caller("one"), "gpt-5", cost(500), || 1).await.is_ok());
}

/// What is asked for is granted.
fn all_of_it(writing: &Writing) -> Granted {
    Granted { id: writing.id, lease: writing.ask.total(), used: writing.used.clone(), others: 0, wanted: false }
}

#[tokio::test(start_paused = true)]
async fn what_other_nodes_hold_is_waited_for_and_not_for_ever() {
    let governor = Arc::new(Governor::among(&settings(HOUSE), true, true, HashMap::new(), 1));
    let writer = governor.clone();
    tokio::spawn(async move {
        let wake = writer.ledger().wake();
        loop {
            wake.notified().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            let none = |writing: &Writing| Granted { lease: 0, ..all_of_it(writing) };
            let granted: Vec<Granted> = writer.ledger().to_write(1).iter().map(none).collect();
            writer.ledger().written(1, 1_000, &granted);
            writer.written();
        }
    });
    let begun = tokio::time::Instant::now();
    let refused = governor.reserve(&caller("one"), "gpt-5", cost(500), || 1).await.unwrap_err();
    assert_eq!(code(&refused).1, "budget_exceeded", "the database answers: the money is with others");
    assert!(begun.elapsed() >= OTHERS && begun.elapsed() < DISK);
}
