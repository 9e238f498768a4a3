//! What is handed in is what is written: in time, at the end, for its hour and its zone, and not for ever.

use super::*;
use crate::config::{Overrides, Resolved, parse};
use crate::store::database::UsageColumn;
use crate::types::caller::{Caller, Tenant};
use crate::types::money::MicroUsd;
use crate::types::surface::Surface;
use crate::types::usage::Usage;
use bytes::Bytes;
use jiff::tz::TimeZone;
use std::collections::HashMap;

/// 2026-03-29, the day on which Berlin's clocks are put forward, at 00:00 UTC.
const BERLIN_SPRING: u64 = 1_774_742_400_000;

fn settings(more: &str) -> Resolved {
    let overrides = Overrides { data_dir: Some("/nowhere".into()), ..Overrides::default() };
    parse(more, "test", &overrides, &|_| None).unwrap()
}

async fn records(database: &Database, more: &str) -> Arc<Records> {
    let settings = settings(more);
    let governor = Arc::new(Governor::new(&settings, false, HashMap::new(), 0));
    Records::begin(&settings, database.clone(), governor, || 0)
}

/// A request of `key` at `at_ms` that cost so much.
fn hand_in(records: &Arc<Records>, key: &str, at_ms: u64, cost: u64) {
    let caller = Caller::unknown(key, Tenant("t".to_owned()));
    let slip = Slip::new(records, (&caller, Surface::ChatCompletions), ("r", at_ms), true);
    slip.asked(&Bytes::from_static(b"{\"q\":1}"), vec!["x".to_owned()]);
    slip.begun("up-m", 2, MicroUsd(cost + 100));
    slip.paid(Usage::new(10, 5), MicroUsd(cost));
    slip.answered(&Bytes::from_static(b"{\"a\":1}"));
    let ended = Ended { model: "m", provider: "p", cache: "miss", status: 200, took_ms: 7, error: None };
    slip.ended(ended);
}

fn wish(per: Per, zone: &str) -> Wish {
    let zone = TimeZone::get(zone).unwrap();
    let report = Report { from_ms: 0, to_ms: u64::MAX, by: vec![], only: vec![], within: None, per, zone };
    Wish { report, after: None, most: 100 }
}

async fn told(records: &Records, wish: &Wish) -> Vec<(String, Vec<String>, u64, u64)> {
    let page = records.report(wish).await.unwrap();
    let row = |row: Row| (row.period, row.totals.values, row.totals.sums.requests, row.totals.sums.cost);
    page.rows.into_iter().map(row).collect()
}

#[tokio::test]
async fn all_that_is_handed_in_is_there_after_a_flush() {
    let database = Database::in_memory().await.unwrap();
    let records = records(&database, "usage: {flush_ms: 60000}").await;
    for number in 0..500 {
        hand_in(&records, if number % 2 == 0 { "a" } else { "b" }, number * 60_000, number);
    }
    assert!(told(&records, &wish(Per::Total, "UTC")).await.is_empty(), "its time has not come");
    assert!(records.flush().await);
    let sum: u64 = (0..500).sum();
    assert_eq!(told(&records, &wish(Per::Total, "UTC")).await, [(String::new(), vec![], 500, sum)]);
    let mut by_key = wish(Per::Total, "UTC");
    by_key.report.by = vec![UsageColumn::Key];
    let rows = records.report(&by_key).await.unwrap().rows;
    let sums = rows[0].totals.sums;
    assert_eq!((sums.requests, sums.input_tokens, sums.attempts, sums.took_ms), (250, 2_500, 500, 1_750));
    assert_eq!((rows[0].totals.hits, rows[0].totals.looked_up), (0, 250));
    // Once more of the same hours: it is added.
    hand_in(&records, "a", 0, 1);
    assert!(records.flush().await);
    assert_eq!(told(&records, &wish(Per::Total, "UTC")).await[0].2, 501);
    assert!(database.request("r").await.unwrap().is_none(), "no log unless it is asked for");
}

#[tokio::test]
async fn it_is_written_in_time_without_being_asked() {
    let database = Database::in_memory().await.unwrap();
    let records = records(&database, "usage: {flush_ms: 20}").await;
    hand_in(&records, "a", 0, 3);
    let deadline = Instant::now() + Duration::from_secs(10);
    while told(&records, &wish(Per::Total, "UTC")).await.is_empty() {
        assert!(Instant::now() < deadline, "never written");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_caller_who_hangs_up_is_told_with_what_the_fetch_cost_in_the_end() {
    let database = Database::in_memory().await.unwrap();
    let records = records(&database, "").await;
    let caller = Caller::unknown("k", Tenant("t".to_owned()));
    let slip = Slip::new(&records, (&caller, Surface::ChatCompletions), ("r", 0), true);
    let of_the_fetch = slip.clone();
    let ended = Ended { model: "m", provider: "p", cache: "miss", status: GONE, took_ms: 7, error: None };
    slip.ended(ended);
    drop(slip);
    assert!(records.flush().await);
    assert!(told(&records, &wish(Per::Total, "UTC")).await.is_empty(), "the fetch goes on");
    of_the_fetch.begun("m", 1, MicroUsd(90));
    of_the_fetch.paid(Usage::new(1, 1), MicroUsd(40));
    drop(of_the_fetch);
    // One that was given up after its answer had begun costs what was reserved.
    let given_up = Slip::new(&records, (&caller, Surface::ChatCompletions), ("r", 0), true);
    given_up.begun("m", 1, MicroUsd(90));
    drop(given_up);
    assert!(records.flush().await);
    let rows = records.report(&wish(Per::Total, "UTC")).await.unwrap().rows;
    let sums = rows[0].totals.sums;
    assert_eq!((sums.requests, sums.errors, sums.cost, sums.attempts), (2, 2, 130, 2));
}

#[tokio::test]
async fn days_and_months_are_those_of_the_zone() {
    let database = Database::in_memory().await.unwrap();
    let records = records(&database, "").await;
    let hour = |hour: u64| BERLIN_SPRING + hour * fold::HOUR_MS;
    // 22:00 UTC of the day before is 23:00 in Berlin; 22:00 UTC of that day is midnight there, for it has 23 hours.
    for (at, cost) in [(hour(0) - fold::HOUR_MS * 2, 1), (hour(0) - fold::HOUR_MS, 2), (hour(21), 4), (hour(22), 8)] {
        hand_in(&records, "k", at, cost);
    }
    assert!(records.flush().await);
    let days = told(&records, &wish(Per::Day, "Europe/Berlin")).await;
    let days: Vec<(&str, u64)> = days.iter().map(|(day, _, _, cost)| (day.as_str(), *cost)).collect();
    assert_eq!(days, [("2026-03-28", 1), ("2026-03-29", 6), ("2026-03-30", 8)]);
    let utc = told(&records, &wish(Per::Day, "UTC")).await;
    assert_eq!(utc.iter().map(|row| row.3).collect::<Vec<_>>(), [3, 12]);
    let hours = told(&records, &wish(Per::Hour, "Asia/Kolkata")).await;
    assert_eq!((hours.len(), hours[0].0.as_str()), (4, "2026-03-29T03:00:00+05:30"));
    let months = told(&records, &wish(Per::Month, "Pacific/Auckland")).await;
    assert_eq!(months, [("2026-03".to_owned(), vec![], 4, 15)]);
}

#[tokio::test]
async fn pages_together_have_every_row_once() {
    let database = Database::in_memory().await.unwrap();
    let records = records(&database, "").await;
    for (key, day) in (0..5_u64).flat_map(|day| ["a", "b", "c"].map(|key| (key, day))) {
        hand_in(&records, key, day * 86_400_000, 1);
    }
    assert!(records.flush().await);
    for (by, expected) in [(vec![UsageColumn::Key], 15), (vec![], 5), (vec![UsageColumn::Key, UsageColumn::Tag], 15)] {
        for most in [1, 2, 4, 100] {
            let mut wish = Wish { most, ..wish(Per::Day, "UTC") };
            wish.report.by.clone_from(&by);
            let mut all: Vec<Row> = Vec::new();
            loop {
                let page = records.report(&wish).await.unwrap();
                assert!(page.rows.len() as u64 <= most);
                all.extend(page.rows);
                if !page.more {
                    break;
                }
                wish.after = all.last().map(|row| (row.from_ms, row.totals.values.clone()));
                assert!(all.len() <= expected, "{by:?} {most}");
            }
            let total: u64 = all.iter().map(|row| row.totals.sums.requests).sum();
            assert_eq!((all.len(), total), (expected, 15), "{by:?} {most}");
        }
    }
}

#[tokio::test]
async fn the_log_has_what_is_asked_for_and_nothing_is_kept_for_ever() {
    let database = Database::in_memory().await.unwrap();
    let more = "usage: {retention_days: 2}\nrequest_log: {retention_days: 1, prompts: true, redact: ['\"q\"']}";
    let records = records(&database, more).await;
    let day = 86_400_000;
    hand_in(&records, "k", 0, 3);
    hand_in(&records, "k", 2 * day, 4);
    assert!(records.flush().await);
    let query = RequestQuery { to_ms: u64::MAX, most: 10, ..RequestQuery::default() };
    let rows = records.requests(&query).await.unwrap();
    let told: Vec<_> = rows.iter().map(|row| (row.cost, &*row.request, &*row.answer, &*row.provider_model)).collect();
    let (asked, answered) = ("{[redacted]:1}", "{\"a\":1}");
    assert_eq!(told, [(4, asked, answered, "up-m"), (3, asked, answered, "up-m")]);
    records.forget(2 * day).await.unwrap();
    assert_eq!(records.requests(&query).await.unwrap().len(), 1);
    assert_eq!(self::told(&records, &wish(Per::Total, "UTC")).await[0].2, 2);
    records.forget(2 * day + fold::HOUR_MS).await.unwrap();
    assert_eq!(self::told(&records, &wish(Per::Total, "UTC")).await[0].2, 1);
}

#[tokio::test]
async fn what_cannot_be_written_is_held_and_written_later() {
    let database = Database::in_memory().await.unwrap();
    let settings = settings("");
    let shared = Arc::new(Shared {
        terms: ArcSwap::from_pointee(Terms::of(&settings)),
        secrets: RwLock::default(),
        waiting: AtomicUsize::new(0),
        database: database.clone(),
        governor: Arc::new(Governor::new(&settings, false, HashMap::new(), 0)),
    });
    let mut keeper = Keeper::new(shared);
    let record = Record { key: "k".to_owned(), cache: "miss", status: 200, cost: 3, ..Record::default() };
    keeper.take(record.clone());
    // As a failed write gives it back.
    let batch = Batch { usage: keeper.fold.take(), requests: vec![] };
    assert!(!keeper.written(Err(batch)));
    assert!(keeper.due.is_some(), "it is tried again");
    keeper.take(record);
    assert!(keeper.write_all().await);
    let query = crate::store::database::UsageQuery { to_ms: u64::MAX, most: 9, ..Default::default() };
    assert_eq!(database.usage(&query).await.unwrap()[0].sums.cost, 6);
    database.close().await;
    keeper.take(Record { key: "k".to_owned(), cost: 5, ..Record::default() });
    assert!(!keeper.write_all().await, "a closed database is told as such");
    assert_eq!(keeper.fold.take()[0].1.cost, 5);
}
