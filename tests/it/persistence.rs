//! What was stored outlives the process; what is damaged is told and costs no more than itself.

use crate::support::{Gateway, Given, Upstream, ask, script, streamed, until};
use askonce::types::clock::Clock;
use askonce_models::{Backend, EmbedError, Embedder, EmbedderSettings, EmbedderSpec, TextTokenizer, TokenBatch};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const NEAR: &str = "cache: {semantic: {threshold: 0.6}, ttl_s: 1000}";
const QUESTIONS: [&str; 3] =
    ["How do I reset my password?", "Wie koche ich Kartoffelsuppe?", "What are the opening hours on Sunday?"];

async fn fill(gateway: &Gateway) {
    for (at, question) in QUESTIONS.iter().enumerate() {
        let body = if at == 1 { streamed(ask(question)) } else { ask(question) };
        assert_eq!(gateway.chat(&body).await.words(), format!("answer {}", at + 1));
    }
}

/// Do all three questions, and a reworded one, get the answers of before?
async fn remembers(gateway: &Gateway) {
    for (at, question) in QUESTIONS.iter().enumerate() {
        let hit = gateway.chat(&ask(question)).await;
        assert_eq!((hit.cache().as_str(), hit.words()), ("hit/exact", format!("answer {}", at + 1)));
    }
    let folded = gateway.chat(&ask("hi! how do i reset my password")).await;
    assert_eq!((folded.cache().as_str(), folded.words().as_str()), ("hit/normalised", "answer 1"));
    let reworded = gateway.chat(&ask("How can I reset my password?")).await;
    assert_eq!((reworded.cache().as_str(), reworded.words().as_str()), ("hit/semantic", "answer 1"));
}

fn log_of(dir: &Path) -> PathBuf {
    dir.join("cache").join("entries.log")
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let (upstream, clock, dir) =
        (Upstream::counting().await, Clock::manual(1_800_000_000_000), tempfile::tempdir().unwrap());
    let given = Given::one(&upstream, NEAR).semantic().clock(&clock).dir(dir.path());
    let gateway = given.start().await;
    fill(&gateway).await;
    gateway.purge(json!({"all": true})).await;
    assert_eq!(gateway.chat(&ask(QUESTIONS[0])).await.words(), "answer 4");
    assert_eq!(gateway.stop().await, 0);
    clock.advance(Duration::from_secs(500));
    let gateway = given.start_again().await;
    assert_eq!((gateway.app.opened.entries, gateway.app.opened.unindexed, gateway.app.opened.notes.len()), (1, 0, 0));
    let hit = gateway.chat(&ask("How can I reset my password?")).await;
    assert_eq!((hit.cache().as_str(), hit.words().as_str(), hit.header("age")), ("hit/semantic", "answer 4", "500"));
    let old = hit.header("x-askonce-entry").to_owned();
    // New entries do not take the names of old ones.
    gateway.chat(&ask(QUESTIONS[1])).await;
    assert_ne!(gateway.chat(&ask(QUESTIONS[1])).await.header("x-askonce-entry"), old);
    assert_eq!(gateway.stop().await, 0);
    // What expires meanwhile does not come back.
    clock.advance(Duration::from_secs(600));
    let gateway = given.start_again().await;
    assert_eq!(gateway.app.opened.entries, 1);
    assert_eq!(gateway.chat(&ask(QUESTIONS[0])).await.header("x-askonce-cache"), "miss");
}

#[tokio::test]
async fn a_crash_keeps_what_callers_have_seen_stored() {
    let upstream = Upstream::counting().await;
    let given = Given::one(&upstream, NEAR).semantic();
    let gateway = given.start().await;
    fill(&gateway).await;
    let left = gateway.crashed();
    let again = given.clone().dir(left.path()).start().await;
    assert_eq!((again.app.opened.entries, again.app.opened.notes.len()), (3, 0), "{:?}", again.app.opened);
    until("vectors are back", || async { again.held().await["vectors"] == 3 }).await;
    remembers(&again).await;
    assert_eq!(upstream.calls(), 3);
}

#[tokio::test]
async fn a_torn_log_costs_what_is_torn() {
    let upstream = Upstream::counting().await;
    let given = Given::one(&upstream, NEAR).semantic();
    let gateway = given.start().await;
    fill(&gateway).await;
    let left = gateway.crashed();
    let whole = fs::read(log_of(left.path())).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let ways = [
        ("garbage at the end", [whole.as_slice(), b"\xa5EN\x5a garbage"].concat(), 3, 0),
        ("the last byte is missing", whole[..whole.len() - 1].to_vec(), 2, 0),
        ("all but the first record is gone", whole[..whole.len() / 2].to_vec(), 1, 0),
        // What is damaged between sound records stays where it is, and is told each time.
        ("a bit has flipped", flipped, 2, 1),
        ("nothing but zeros", vec![0; whole.len()], 0, 0),
    ];
    for (what, bytes, kept, later) in ways {
        let dir = gateway.crashed();
        fs::write(log_of(dir.path()), &bytes).unwrap();
        let again = given.clone().dir(dir.path()).start().await;
        let opened = &again.app.opened;
        assert!(opened.entries == kept && !opened.notes.is_empty(), "{what}: {opened:?}");
        assert!(opened.notes.iter().any(|note| note.contains("entries.log")), "{what}: {opened:?}");
        let before = again.app.opened.entries;
        // And it goes on storing.
        let question = ask("Something that was never asked before");
        again.chat(&question).await;
        assert_eq!(again.chat(&question).await.cache(), "hit/exact", "{what}");
        let last = given.clone().dir(again.crashed().path()).start().await;
        assert_eq!((last.app.opened.entries, last.app.opened.notes.len()), (before + 1, later), "{what}");
    }
}

#[tokio::test]
async fn a_corrupt_index_is_built_again() {
    let upstream = Upstream::counting().await;
    let given = Given::one(&upstream, NEAR).semantic();
    let gateway = given.start().await;
    fill(&gateway).await;
    gateway.app.doors.pipeline.cache().flush().await;
    for damage in [b"not an index at all".as_slice(), b""] {
        let left = gateway.crashed();
        let index = left.path().join("cache").join("index");
        let mut damaged = 0;
        for file in fs::read_dir(&index).unwrap() {
            fs::write(file.unwrap().path(), damage).unwrap();
            damaged += 1;
        }
        assert!(damaged > 0);
        let again = given.clone().dir(left.path()).start().await;
        assert_eq!((again.app.opened.entries, again.app.opened.unindexed), (3, 3), "{:?}", again.app.opened);
        until("the entries are embedded again", || async { again.held().await["vectors"] == 3 }).await;
        remembers(&again).await;
    }
    // No index at all is no more of a loss.
    let left = gateway.crashed();
    fs::remove_dir_all(left.path().join("cache").join("index")).unwrap();
    let again = given.clone().dir(left.path()).start().await;
    until("the entries are embedded again", || async { again.held().await["vectors"] == 3 }).await;
    remembers(&again).await;
    assert_eq!(upstream.calls(), 3);
}

/// A model as wide as the usual one, whose vectors are others.
struct Coarse;

impl Backend for Coarse {
    fn encode(&self, batch: &TokenBatch, vectors: &mut Vec<f32>) -> Result<(), EmbedError> {
        for ids in batch.iter() {
            let mut vector = [0.0f32; 384];
            ids.iter().for_each(|id| vector[*id as usize % 384] += 1.0);
            let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
            vectors.extend(vector.map(|value| value / norm));
        }
        Ok(())
    }

    fn width(&self) -> usize {
        384
    }

    fn engine(&self) -> &'static str {
        "coarse"
    }
}

#[tokio::test]
async fn another_precision_has_an_index_of_its_own() {
    let upstream = Upstream::counting().await;
    let usual = Given::one(&upstream, NEAR).semantic();
    let spec = EmbedderSpec { variant: "fake-384/int8".to_owned(), ..Embedder::fake(384).spec().clone() };
    let settings = EmbedderSettings::default();
    let other = Embedder::with_backend(TextTokenizer::features(4096), Box::new(Coarse), spec, &settings).unwrap();
    let other = usual.clone().embedder(other);
    let mut gateway = usual.start().await;
    fill(&gateway).await;
    gateway.app.doors.pipeline.cache().flush().await;
    let mut folders = Vec::new();
    // There and back: what one model made is never searched with a vector of the other.
    for given in [&other, &usual] {
        let left = gateway.crashed();
        gateway = given.clone().dir(left.path()).start().await;
        let opened = &gateway.app.opened;
        assert_eq!((opened.entries, opened.unindexed), (3, 3), "{opened:?}");
        assert!(opened.notes.iter().any(|note| note.contains("fake-384/")), "{opened:?}");
        until("the questions are embedded again", || async { gateway.held().await["vectors"] == 3 }).await;
        remembers(&gateway).await;
        gateway.app.doors.pipeline.cache().flush().await;
        folders.push(left);
    }
    assert_eq!(upstream.calls(), 3);
}

#[tokio::test]
async fn a_purge_outlives_a_crash() {
    let upstream = Upstream::counting().await;
    let given = Given::one(&upstream, NEAR).semantic();
    let gateway = given.start().await;
    fill(&gateway).await;
    let entry = gateway.chat(&ask(QUESTIONS[0])).await.header("x-askonce-entry").to_owned();
    assert_eq!(gateway.purge(json!({"entry": entry})).await, 1);
    let again = given.clone().dir(gateway.crashed().path()).start().await;
    assert_eq!(again.app.opened.entries, 2);
    assert_eq!(again.chat(&ask("How can I reset my password?")).await.header("x-askonce-cache"), "miss");
    assert_eq!(gateway.purge(json!({"all": true})).await, 2);
    let again = given.clone().dir(gateway.crashed().path()).start().await;
    assert_eq!((again.app.opened.entries, &again.held().await["vectors"]), (0, &json!(0)));
}

#[tokio::test]
async fn one_folder_serves_one_gateway() {
    let (upstream, dir) = (Upstream::counting().await, tempfile::tempdir().unwrap());
    let given = Given::one(&upstream, NEAR).semantic().dir(dir.path());
    let gateway = given.start().await;
    fill(&gateway).await;
    let refused = given.build().await.err().expect("a second gateway must not start").to_string();
    assert!(refused.contains("in use by another askonce") && refused.contains("--data-dir"), "{refused}");
    remembers(&gateway).await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_one_is_told() {
    let (upstream, dir) = (Upstream::counting().await, tempfile::tempdir().unwrap());
    let file = dir.path().join("a-file");
    fs::write(&file, "x").unwrap();
    for place in [file.clone(), file.join("below")] {
        let refused = Given::one(&upstream, "").dir(&place).build().await.err().expect("it cannot start").to_string();
        assert!(refused.contains("a-file"), "{refused}");
    }
}

#[tokio::test]
async fn an_answer_that_may_still_stand_in_outlives_a_restart() {
    let (upstream, clock) = (Upstream::counting().await, Clock::manual(1_800_000_000_000));
    let more = "cache: {ttl_s: 10, stale_if_error_s: 60}\nretry: {attempts: 1}";
    let gateway = Given::one(&upstream, more).clock(&clock).start().await;
    gateway.chat(&ask("x")).await;
    clock.advance(Duration::from_secs(30));
    let left = gateway.crashed();
    let broken = Upstream::start(|_| script::reply(503, &[], "{}")).await;
    let again = Given::one(&broken, more).clock(&clock).dir(left.path()).start().await;
    let stale = again.chat(&ask("x")).await;
    assert_eq!((stale.header("x-askonce-cache"), stale.words().as_str()), ("stale", "answer 1"));
}
