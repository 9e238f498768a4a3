//! `Traffic`: the requests of a scenario, and the cache made ready for them.

use super::args::Scenario;
use super::client::Endpoint;
use super::error::BenchError;
use super::fault::Faults;
use super::load::{Expected, Load, Request};
use super::mock::mark;
use super::questions::{REWORDED, chat_body, numbered};
use super::scenario::Run;
use memchr::memmem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Different questions of the scenarios that are not about meaning.
const QUESTIONS: usize = 100;

/// Connections for what is not measured.
/// Few, so that the embedder's queue stays short: a lookup that would wait too long for it becomes a miss.
const QUIET_CONNECTIONS: usize = 2;

/// Until then, what was asked must have become a hit.
const STORE_TIMEOUT: Duration = Duration::from_secs(15);

/// A further header that asks for a fresh answer which is not kept.
const FRESH: &str = "cache-control: no-store, no-cache\r\n";

/// A further header that allows a stored answer but keeps no new one, so that a rewording never becomes an entry.
const KEEP_NONE: &str = "cache-control: no-store\r\n";

/// The requests of a scenario and what becomes of them.
pub struct Traffic {
    /// What is asked, over and over.
    pub questions: Vec<Question>,
    /// Further header lines, each ending in CRLF.
    pub headers: &'static str,
    /// What comes back when all is well.
    pub expected: Expected,
    /// Share of the rewordings that the semantic tier serves.
    pub semantic_share: Option<f64>,
    /// Rewordings that it serves another question's answer.
    pub semantic_wrong: Option<u64>,
}

/// One question.
#[derive(Clone)]
pub struct Question {
    /// What is asked.
    pub text: String,
    /// What its right answer contains, where the mock upstream is the one who answers.
    mark: Option<String>,
}

impl Run<'_> {
    /// Stores `count` numbered entries and returns how many were stored and how many a second.
    pub fn fill(&self, count: usize) -> Result<(u64, f64), BenchError> {
        let started = Instant::now();
        let mut stored = 0;
        let mut faults = Faults::default();
        // Not all at once: the wire form of a million requests is half a gigabyte.
        for from in (0..count).step_by(5000) {
            self.progress.say(format!("filling the cache: {from} of {count} entries"));
            let questions: Vec<_> = (from..count.min(from + 5000)).map(|index| self.marked(numbered(index))).collect();
            let requests = self.requests(self.askonce, "", &questions);
            let expected = Expected { cache: Some("miss"), ..Expected::default() };
            let run =
                self.load(self.askonce, &requests, expected).with_connections(16).each_once(&mut (), &|_, _, _| ());
            self.setup.check_stop()?;
            stored += run.answered;
            faults.merge(&run.faults);
            if run.answered == 0 {
                break;
            }
        }
        if stored < count as u64 / 2 {
            let lines: Vec<_> = faults.lines().collect();
            return Err(BenchError::Unfit(format!(
                "only {stored} of {count} entries were stored: {}",
                lines.join("; ")
            )));
        }
        let rate = stored as f64 / started.elapsed().as_secs_f64();
        // What is stored may still be on its way into the index.
        std::thread::sleep(Duration::from_secs(1));
        Ok((stored, rate))
    }

    /// Questions that ask for a fresh answer.
    pub fn fresh_traffic(&self) -> Traffic {
        // A running askonce may be older than this header, or sit behind something that drops it.
        let cache = self.process.map(|_| "bypass");
        Traffic {
            questions: (0..QUESTIONS).map(|index| self.marked(numbered(index))).collect(),
            headers: FRESH,
            expected: Expected { cache, tier: None, stream: self.scenario == Scenario::Streaming },
            semantic_share: None,
            semantic_wrong: None,
        }
    }

    /// Questions that are stored already.
    pub fn exact_traffic(&self) -> Result<Traffic, BenchError> {
        let questions: Vec<_> = (0..QUESTIONS).map(|index| self.marked(numbered(1_000_000_000 + index))).collect();
        self.warm(&questions)?;
        Ok(Traffic {
            questions,
            headers: "",
            expected: Expected { cache: Some("hit"), tier: Some("exact"), stream: false },
            semantic_share: None,
            semantic_wrong: None,
        })
    }

    /// Stores the questions, then finds out which rewordings are served by meaning: only those are measured.
    pub fn semantic_traffic(&self) -> Result<Traffic, BenchError> {
        let stored: Vec<_> = REWORDED.iter().map(|pair| self.marked(pair.question.into())).collect();
        self.warm(&stored)?;
        let rewordings: Vec<_> = REWORDED
            .iter()
            .zip(&stored)
            .flat_map(|(pair, stored)| pair.rewordings.map(|text| Question { text: text.into(), ..stored.clone() }))
            .collect();
        let started = Instant::now();
        let mut before = 0;
        loop {
            let (served, wrong, faults) = self.served_by_meaning(&rewordings)?;
            // As long as it is more each time, some of what was stored is still on its way into the index.
            let settled = served.len() == before || started.elapsed() > STORE_TIMEOUT;
            before = served.len();
            if settled && !served.is_empty() {
                return Ok(Traffic {
                    semantic_share: Some(served.len() as f64 / rewordings.len() as f64),
                    questions: served,
                    headers: KEEP_NONE,
                    expected: Expected { cache: Some("hit"), tier: Some("semantic"), stream: false },
                    semantic_wrong: Some(wrong),
                });
            }
            if started.elapsed() > STORE_TIMEOUT {
                return Err(BenchError::Unfit(format!(
                    "none of {} rewordings was served the right answer by the semantic tier ({wrong} a wrong one); is \
                     it on, and its threshold not too high? {}",
                    rewordings.len(),
                    faults.lines().collect::<Vec<_>>().join("; ")
                )));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Asks each of `rewordings` once: those that the semantic tier serves with the right answer, how many it serves
    /// with a wrong one, and what failed.
    fn served_by_meaning(&self, rewordings: &[Question]) -> Result<(Vec<Question>, u64, Faults), BenchError> {
        // A miss brings the rewording's own answer, which is no fault: hence no marks to check.
        let unmarked: Vec<_> = rewordings.iter().map(|asked| Question { mark: None, ..asked.clone() }).collect();
        let requests = self.requests(self.askonce, KEEP_NONE, &unmarked);
        let right: Vec<AtomicBool> = rewordings.iter().map(|_| AtomicBool::new(false)).collect();
        let wrong = AtomicU64::new(0);
        let run = self.quiet(&requests, Expected::default()).each_once(&mut (), &|index, reply, body| {
            if reply.head.get("x-askonce-tier") == Some("semantic") {
                let mark = rewordings[index].mark.as_ref();
                if mark.is_none_or(|mark| memmem::find(body, mark.as_bytes()).is_some()) {
                    right[index].store(true, Ordering::Relaxed);
                } else {
                    wrong.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        self.setup.check_stop()?;
        let served = rewordings.iter().zip(right).filter(|(_, right)| right.load(Ordering::Relaxed));
        Ok((served.map(|(asked, _)| asked.clone()).collect(), wrong.into_inner(), run.faults))
    }

    /// Asks each question until all are exact hits.
    fn warm(&self, questions: &[Question]) -> Result<(), BenchError> {
        self.progress.say(format!("{}: warming the cache", self.scenario.as_str()));
        let requests = self.requests(self.askonce, "", questions);
        let started = Instant::now();
        loop {
            let expected = Expected { cache: Some("hit"), tier: Some("exact"), stream: false };
            let run = self.quiet(&requests, expected).each_once(&mut (), &|_, _, _| ());
            self.setup.check_stop()?;
            if run.faults.total() == 0 {
                return Ok(());
            }
            if started.elapsed() > STORE_TIMEOUT {
                let lines: Vec<_> = run.faults.lines().collect();
                return Err(BenchError::Unfit(format!(
                    "questions that were asked before are not served from the cache: {}",
                    lines.join("; ")
                )));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn marked(&self, text: String) -> Question {
        let mark = self.process.map(|_| mark(&text));
        Question { text, mark }
    }

    /// The same questions for the upstream itself, which answers each in its own right.
    pub fn direct_questions(&self, questions: &[Question]) -> Vec<Question> {
        questions.iter().map(|asked| self.marked(asked.text.clone())).collect()
    }

    /// `questions` in wire form.
    pub fn requests(&self, endpoint: &Endpoint, headers: &str, questions: &[Question]) -> Vec<Request> {
        let stream = self.scenario == Scenario::Streaming;
        let wire = |text: &str| endpoint.post_chat(headers, &chat_body(self.setup.model(), text, stream));
        questions.iter().map(|asked| Request { wire: wire(&asked.text), mark: asked.mark.clone() }).collect()
    }

    /// The load of the fixed-rate phases.
    pub fn load<'a>(&'a self, endpoint: &'a Endpoint, requests: &'a [Request], expected: Expected) -> Load<'a> {
        Load {
            endpoint,
            requests,
            expected,
            connections: self.setup.args.connections(self.scenario),
            timeout: Duration::from_millis(self.setup.args.timeout_ms),
            stop: &self.setup.stop,
        }
    }

    fn quiet<'a>(&'a self, requests: &'a [Request], expected: Expected) -> Load<'a> {
        self.load(self.askonce, requests, expected).with_connections(QUIET_CONNECTIONS)
    }
}
