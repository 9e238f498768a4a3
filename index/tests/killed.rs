//! A process that is killed in the middle of its inserts, and two processes that want one folder.

#![cfg(unix)]

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use askonce_index::{Index, IndexConfig, IndexError};
use support::{Dice, scope};

const WIDTH: usize = 32;

/// Inserts between two kills, at least: so many that checkpoints are written meanwhile.
const PER_ROUND: u64 = 4000;
const FOLDER: &str = "ASKONCE_INDEX_TEST_FOLDER";

fn config() -> IndexConfig {
    IndexConfig { graph_from: 200, checkpoint_from_bytes: 50_000, ..IndexConfig::new(WIDTH, "test") }
}

fn vector(id: u64) -> Vec<f32> {
    Dice(id).direction(WIDTH)
}

/// Ids that the child inserted to stay: 0, 1, … without a gap.
fn kept(index: &Index) -> u64 {
    index.ids().iter().filter(|(key, _)| *key != scope(7)).count() as u64
}

/// Not a test of its own: what the child process runs. It says each id once its insert is acknowledged.
#[test]
#[ignore = "run by the test below, in a process of its own"]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let (index, _) = Index::open(Path::new(&folder), config()).unwrap();
    for id in kept(&index).. {
        index.insert(scope(id % 2), id, &vector(id)).unwrap();
        // A change that is taken back at once makes garbage, so that the log is rewritten meanwhile.
        index.insert(scope(7), id, &vector(id)).unwrap();
        index.remove(scope(7), id).unwrap();
        println!("stored {id}");
    }
}

fn start(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_killed_process_loses_nothing_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 1..=4_u64 {
        let mut process = start(dir.path());
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        // The test harness writes its own words on the first line.
        for line in lines {
            if let Some(id) = line.split("stored ").nth(1).and_then(|id| id.parse::<u64>().ok()) {
                acknowledged = id + 1;
                if id >= round * PER_ROUND {
                    break;
                }
            }
        }
        assert!(acknowledged > round * PER_ROUND);
        let busy = Index::open(dir.path(), config()).err();
        assert!(matches!(busy, Some(IndexError::Locked { .. })), "{busy:?}");
        process.kill().unwrap();
        process.wait().unwrap();

        let (index, recovery) = Index::open(dir.path(), config()).unwrap();
        for id in 0..acknowledged {
            let found = index.nearest(scope(id % 2), &vector(id), 1, 0.9999).unwrap();
            assert_eq!(found.first().map(|n| n.id), Some(id), "round {round}: {recovery:?}");
        }
        assert!(kept(&index) >= acknowledged);
        // Each kill may come between an insert and its removal.
        let left = index.ids().iter().filter(|(key, _)| *key == scope(7)).count() as u64;
        assert!(left <= round, "round {round}: {left} were to be removed");
    }
    // Checkpoints were written meanwhile, and what they replace is gone, but for what the last kill came in between.
    let names = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let log = |name: String| name.strip_prefix("log-")?.strip_suffix(".log")?.parse().ok();
    let generations: Vec<u64> = names.filter_map(log).collect();
    assert!(generations.len() <= 3 && generations.iter().all(|generation| *generation > 3), "{generations:?}");
}
