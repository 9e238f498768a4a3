//! A ledger in stories of holds, ends, writes and crashes; and under many threads.

use super::super::meter::Window;
use super::*;
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const LEASE: u64 = 10_000;

/// A disk: what was written in whole.
#[derive(Clone, Default, Debug)]
struct Store(HashMap<MeterId, Written>);

impl Store {
    fn commit(&mut self, writings: &[Writing]) {
        for writing in writings {
            let written = self.0.entry(writing.id).or_default();
            writing.used.iter().for_each(|(at, amount)| add(&mut written.used, *at, *amount));
            written.cover = writing.cover;
        }
    }
}

fn entry(id: u64, most: u64, cover: u64) -> Entry {
    Entry { id: MeterId(id), rule: Rule { most, window: Window::Ever }, soft: None, cover: Some(cover) }
}

/// Three meters of which each request counts for some.
fn open(store: &Store, now_ms: u64, mosts: &[u64]) -> (Arc<Ledger>, Vec<At>) {
    let ledger = Ledger::new(LEASE);
    let none = Written::default();
    let at = |(id, most): (usize, &u64)| {
        let id = id as u64;
        ledger.add(now_ms, entry(id, *most, 5), store.0.get(&MeterId(id)).unwrap_or(&none))
    };
    let ats = mosts.iter().enumerate().map(at).collect();
    (ledger, ats)
}

#[derive(Clone, Debug)]
enum Act {
    Hold {
        amount: u64,
        of: u8,
    },
    /// Settles one for a share of what was held, in percent; it may be more than all.
    End {
        which: usize,
        percent: u64,
    },
    Drop {
        which: usize,
    },
    Begin,
    Done {
        well: bool,
    },
    Pass {
        ms: u64,
    },
    /// The process is killed: at this moment what is being written is on disk, or not.
    Crash {
        committed: bool,
    },
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0u64..40, 1u8..8).prop_map(|(amount, of)| Act::Hold { amount, of }),
        4 => (any::<usize>(), 0u64..=100).prop_map(|(which, percent)| Act::End { which, percent }),
        1 => any::<usize>().prop_map(|which| Act::Drop { which }),
        3 => Just(Act::Begin),
        3 => prop::bool::weighted(0.8).prop_map(|well| Act::Done { well }),
        1 => (0u64..4_000).prop_map(|ms| Act::Pass { ms }),
        1 => any::<bool>().prop_map(|committed| Act::Crash { committed }),
    ]
}

struct World {
    store: Store,
    ledger: Arc<Ledger>,
    ats: Vec<At>,
    mosts: Vec<u64>,
    now: u64,
    open: Vec<Hold>,
    writing: Option<Vec<Writing>>,
    /// What was settled, whether it is written or not: the money that is gone.
    settled: Vec<u64>,
    /// What may be gone of requests that a crash ended, until their lease has passed.
    limbo: Vec<Vec<(u64, u64)>>,
}

impl World {
    fn new(mosts: Vec<u64>) -> World {
        let store = Store::default();
        let (ledger, ats) = open(&store, 0, &mosts);
        let (settled, limbo) = (vec![0; mosts.len()], vec![Vec::new(); mosts.len()]);
        World { store, ledger, ats, mosts, now: 1, open: Vec::new(), writing: None, settled, limbo }
    }

    fn held(&self, at: usize) -> u64 {
        self.open.iter().map(|hold| hold.of(self.ats[at])).sum()
    }

    fn in_limbo(&self, at: usize) -> u64 {
        self.limbo[at].iter().filter(|(_, until)| *until > self.now).map(|(amount, _)| amount).sum()
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Hold { amount, of } => {
                let amounts: Vec<Amount> = (0..self.ats.len())
                    .filter(|at| of >> at & 1 == 1)
                    .map(|at| Amount { at: self.ats[at], amount })
                    .collect();
                let before: Vec<_> = self.ats.iter().map(|at| self.ledger.used(*at, self.now)).collect();
                match self.ledger.hold(self.now, &amounts) {
                    Ok(hold) => self.open.push(hold),
                    Err(_) => {
                        let after: Vec<_> = self.ats.iter().map(|at| self.ledger.used(*at, self.now)).collect();
                        assert_eq!(before, after, "who is refused holds nothing");
                    }
                }
            }
            Act::End { which, percent } if !self.open.is_empty() => {
                let hold = self.open.swap_remove(which % self.open.len());
                let used: HashMap<usize, u64> =
                    (0..self.ats.len()).map(|at| (self.ats[at].0, hold.of(self.ats[at]) * percent / 100)).collect();
                for (at, gone) in self.settled.iter_mut().enumerate() {
                    *gone += used[&self.ats[at].0];
                }
                hold.settle(self.now, |at| used[&at.0]);
            }
            Act::Drop { which } if !self.open.is_empty() => drop(self.open.swap_remove(which % self.open.len())),
            Act::Begin if self.writing.is_none() => self.writing = Some(self.ledger.to_write(self.now)),
            Act::Done { well } => {
                if let Some(writing) = self.writing.take() {
                    if well {
                        self.store.commit(&writing);
                    }
                    self.ledger.written(well);
                }
            }
            Act::Pass { ms } => self.now += ms,
            Act::Crash { committed } => self.crash(committed),
            _ => {}
        }
    }

    fn crash(&mut self, committed: bool) {
        if let Some(writing) = self.writing.take().filter(|_| committed) {
            self.store.commit(&writing);
        }
        for at in 0..self.ats.len() {
            let written = self.store.0.get(&MeterId(at as u64)).cloned().unwrap_or_default();
            let (used, gone) = (sum(&written.used), self.settled[at] + self.held(at) + self.in_limbo(at));
            assert!(used + written.cover >= gone, "meter {at}: {used} + {} < {gone}", written.cover);
            let unknown = (self.settled[at] + self.held(at) - used, self.now + LEASE);
            self.limbo[at].push(unknown);
            assert!(used <= self.settled[at], "nothing is written that was not settled");
        }
        // The requests are gone with the process; what they used is not known here, and all of it may have been.
        // Their holds are of the ledger that is gone, and give back to that one only.
        self.open.clear();
        let (ledger, ats) = open(&self.store, self.now, &self.mosts);
        (self.ledger, self.ats) = (ledger, ats);
        for (at, gone) in self.settled.iter_mut().enumerate() {
            *gone = sum(&self.store.0.get(&MeterId(at as u64)).cloned().unwrap_or_default().used);
        }
    }

    fn check(&self) {
        for (at, most) in self.mosts.iter().enumerate() {
            let held = self.held(at);
            let gone = self.settled[at] + held + self.in_limbo(at);
            assert!(gone <= *most, "meter {at}: {gone} > {most}");
            let (used, all_held) = self.ledger.used(self.ats[at], self.now).unwrap();
            assert_eq!(used, self.settled[at], "the ledger is the sum of what was settled");
            assert!(all_held >= held);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    /// Whatever happens in whatever order, no meter is exceeded, and no crash lets money be spent twice.
    #[test]
    fn money_never_leaks(mosts in prop::collection::vec(1u64..200, 3), acts in prop::collection::vec(acts(), 1..120)) {
        let mut world = World::new(mosts);
        for act in acts {
            world.act(act);
            world.check();
        }
        // After a crash and the lease, nothing but what was settled counts.
        world.crash(false);
        world.now += LEASE;
        for at in 0..world.ats.len() {
            let (used, held) = world.ledger.used(world.ats[at], world.now).unwrap();
            prop_assert_eq!((used, held), (world.settled[at], 0));
            prop_assert_eq!(world.ledger.left(world.ats[at], world.now).unwrap().0, world.mosts[at] - used);
        }
    }
}

#[test]
fn who_has_to_wait_for_the_cover_gets_it_at_the_next_writing() {
    let mut world = World::new(vec![100]);
    let amounts = |world: &World, amount: u64| [Amount { at: world.ats[0], amount }];
    assert_eq!(world.ledger.hold(1, &amounts(&world, 60)).unwrap_err(), Refused::Uncovered(At(0)));
    assert!(matches!(world.ledger.hold(1, &amounts(&world, 101)), Err(Refused::Over(..))), "who may not need not wait");
    world.act(Act::Begin);
    world.act(Act::Done { well: true });
    let hold = world.ledger.hold(1, &amounts(&world, 60)).unwrap();
    assert_eq!(hold.settle(2, |_| 50), []);
    world.act(Act::Begin);
    world.act(Act::Done { well: true });
    assert_eq!(sum(&world.store.0[&MeterId(0)].used), 50);
    assert_eq!(world.ledger.to_write(3), [Writing { id: MeterId(0), used: Vec::new(), cover: 5 }], "less is asked for");
    world.ledger.written(true);
    assert_eq!(world.ledger.to_write(3), [], "nothing to say");
}

#[test]
fn a_soft_limit_is_told_once_in_a_period() {
    let ledger = Ledger::new(LEASE);
    let soft = Entry {
        soft: Some(10),
        cover: None,
        rule: Rule { most: 100, window: Window::Rolling(60_000) },
        ..entry(1, 0, 0)
    };
    let at = ledger.add(0, soft, &Written::default());
    let ask = |now: u64, used: u64| ledger.hold(now, &[Amount { at, amount: used }]).unwrap().settle(now, |_| used);
    assert_eq!(ask(0, 9), []);
    assert_eq!(ask(0, 1), [at]);
    assert_eq!(ask(0, 1), []);
}

#[test]
fn many_threads_spend_one_purse_and_a_writer_writes() {
    const MOST: u64 = 200_000;
    let ledger = Ledger::new(LEASE);
    let none = Written::default();
    let ats = [0, 1].map(|id| ledger.add(0, entry(id, MOST, 50_000), &none));
    let (spent, refused, store) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::new(Store::default()));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..64u64)
            .map(|worker| {
                let (ledger, spent, refused) = (&ledger, &spent, &refused);
                scope.spawn(move || {
                    for turn in 0..400u64 {
                        let amount = (worker * 7 + turn * 13) % 50 + 1;
                        match ledger.hold(1, &ats.map(|at| Amount { at, amount })) {
                            Ok(hold) if turn % 9 == 0 => drop(hold),
                            Ok(hold) => {
                                let used = amount * (turn % 5) / 4;
                                spent.fetch_add(used, Ordering::Relaxed);
                                hold.settle(1, |_| used);
                            }
                            Err(_) => {
                                refused.fetch_add(1, Ordering::Relaxed);
                                std::thread::yield_now();
                            }
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let writing = ledger.to_write(1);
                store.lock().commit(&writing);
                ledger.written(true);
                std::thread::yield_now();
            }
        });
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        done.store(true, Ordering::Relaxed);
    });
    let writing = ledger.to_write(1);
    store.lock().commit(&writing);
    for (id, at) in ats.into_iter().enumerate() {
        let spent = spent.load(Ordering::Relaxed);
        assert_eq!(ledger.used(at, 1), Some((spent, 0)));
        assert!(spent <= MOST && spent > MOST / 2, "{spent}");
        assert_eq!(sum(&store.lock().0[&MeterId(id as u64)].used), spent);
    }
    assert!(refused.load(Ordering::Relaxed) > 0);
}
