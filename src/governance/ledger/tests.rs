//! Ledgers of several nodes over one store, in stories of holds, ends, writes, lost answers and crashes; and one under many threads.

use super::super::meter::Window;
use super::*;
use crate::store::lease::{Other, Standing, grant};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const LEASE: u64 = 10_000;
const MARGIN: u64 = 5_000;
/// Clocks of nodes differ by as much.
const SKEW: u64 = 1_000;

/// What the database does, in memory.
#[derive(Default, Debug)]
struct Store {
    used: BTreeMap<MeterId, Vec<(u64, u64)>>,
    leases: BTreeMap<(MeterId, usize), Other>,
    /// Of each node the number of its latest write, until when its leases are its own, and whether it let that pass.
    nodes: BTreeMap<usize, (u64, u64, bool)>,
}

/// What a node is told.
struct Told {
    until: u64,
    fenced: bool,
    granted: Vec<Granted>,
}

impl Store {
    fn used(&self, meter: MeterId) -> u64 {
        self.used.get(&meter).map_or(0, |used| sum(used))
    }

    fn leased(&self, meter: MeterId) -> u64 {
        self.leases.iter().filter(|((of, _), _)| *of == meter).map(|(_, other)| other.lease).sum()
    }

    fn write(&mut self, node: usize, number: u64, until: u64, writings: &[Writing]) -> Told {
        let there = self.nodes.entry(node).or_insert((0, until, false));
        let is_new = there.0 < number;
        if is_new {
            (there.0, there.1) = (number, until);
        }
        let (until, fenced) = (there.1, std::mem::take(&mut there.2));
        let alone = self.nodes.iter().all(|(other, (.., fenced))| *other == node || *fenced);
        let granted = writings.iter().map(|one| {
            if is_new {
                let used = self.used.entry(one.id).or_default();
                one.used.iter().for_each(|(at, amount)| add(used, *at, *amount));
            }
            let others = self.leases.iter().filter(|((meter, other), _)| *meter == one.id && *other != node);
            let others: Vec<Other> = others.map(|(_, other)| *other).collect();
            let own = self.leases.get(&(one.id, node)).copied().unwrap_or_default();
            let now = Standing {
                most: one.most,
                used: self.used(one.id),
                others: others.iter().map(|other| other.lease).sum(),
                wanted: others.iter().any(|other| other.wish > 0),
                alone,
                before: own.lease.saturating_sub(sum(&one.used)),
            };
            let lease = if is_new { grant(&now, &one.ask) } else { own.lease };
            if is_new {
                let wish = if lease < one.ask.wish { one.ask.wish } else { 0 };
                self.leases.insert((one.id, node), Other { lease, firm: one.ask.firm, wish });
            }
            Granted {
                id: one.id,
                lease,
                used: self.used.get(&one.id).cloned().unwrap_or_default(),
                others: others.iter().map(|other| other.firm.min(other.lease)).sum(),
                wanted: now.wanted,
            }
        });
        Told { until, fenced, granted: granted.collect() }
    }

    /// What nodes have that let their time pass is free again.
    fn reap(&mut self, now: u64) {
        for (node, (_, until, fenced)) in &mut self.nodes {
            if *until < now {
                *fenced = true;
                self.leases.retain(|(_, of), _| of != node);
            }
        }
    }
}

fn entry(id: u64, most: u64, cover: u64) -> Entry {
    Entry { id: MeterId(id), rule: Rule { most, window: Window::Ever }, soft: None, cover: Some(cover) }
}

/// A gateway: a ledger, and what of it is on its way.
struct Node {
    name: usize,
    skew: u64,
    ledger: Arc<Ledger>,
    ats: Vec<At>,
    open: Vec<(u64, Hold)>,
    number: u64,
    pending: Option<Vec<Writing>>,
    /// What it settled and is not on disk, by meter.
    unwritten: Vec<u64>,
}

impl Node {
    fn new(name: usize, skew: u64, store: &mut Store, now: u64, mosts: &[u64]) -> Node {
        store.nodes.insert(name, (0, now + skew + LEASE, false));
        let ledger = Ledger::new(true);
        let add = |(id, most): (usize, &u64)| {
            let id = MeterId(id as u64);
            let used = store.used.get(&id).cloned().unwrap_or_default();
            ledger.add(now, entry(id.0, *most, 5), &Written { used, others: store.leased(id) })
        };
        let ats = mosts.iter().enumerate().map(add).collect();
        let unwritten = vec![0; mosts.len()];
        Node { name, skew, ledger, ats, open: Vec::new(), number: 0, pending: None, unwritten }
    }

    fn held(&self, at: usize) -> u64 {
        self.open.iter().map(|(_, hold)| hold.of(self.ats[at])).sum()
    }

    fn end(&mut self, which: usize, now: u64, percent: u64) {
        let (_, hold) = self.open.swap_remove(which);
        let used: HashMap<At, u64> = self.ats.iter().map(|at| (*at, hold.of(*at) * percent / 100)).collect();
        for (at, gone) in self.unwritten.iter_mut().enumerate() {
            *gone += used[&self.ats[at]];
        }
        hold.settle(now + self.skew, |at| used[&at]);
    }

    /// Sends what is to be written. `done`: it gets there; `answered`: the answer comes back.
    fn write(&mut self, store: &mut Store, now: u64, done: bool, answered: bool) {
        let now = now + self.skew;
        if self.pending.is_none() {
            let writing = self.ledger.to_write(now);
            self.number += 1;
            self.pending = Some(writing);
        }
        let Some(pending) = self.pending.as_ref().filter(|_| done) else { return };
        let is_new = store.nodes[&self.name].0 < self.number;
        let told = store.write(self.name, self.number, now + LEASE, pending);
        if is_new {
            pending.iter().for_each(|one| self.unwritten[one.id.0 as usize] -= sum(&one.used));
        }
        if answered {
            self.pending = None;
            if told.fenced {
                self.ledger.fenced();
            }
            self.ledger.written(now, told.until - MARGIN, &told.granted);
        }
    }
}

#[derive(Clone, Debug)]
enum Act {
    Hold {
        node: usize,
        amount: u64,
        of: u8,
    },
    End {
        node: usize,
        which: usize,
        percent: u64,
    },
    Drop {
        node: usize,
        which: usize,
    },
    Write {
        node: usize,
        done: bool,
        answered: bool,
    },
    Pass {
        ms: u64,
    },
    Reap,
    /// A node is killed, and another begins.
    Crash {
        node: usize,
    },
}

fn acts() -> impl Strategy<Value = Act> {
    let node = || 0usize..4;
    prop_oneof![
        8 => (node(), 0u64..40, 1u8..8).prop_map(|(node, amount, of)| Act::Hold { node, amount, of }),
        5 => (node(), any::<usize>(), 0u64..=100).prop_map(|(node, which, percent)| Act::End { node, which, percent }),
        1 => (node(), any::<usize>()).prop_map(|(node, which)| Act::Drop { node, which }),
        8 => (node(), prop::bool::weighted(0.8), prop::bool::weighted(0.8))
            .prop_map(|(node, done, answered)| Act::Write { node, done, answered }),
        2 => (0u64..4_000).prop_map(|ms| Act::Pass { ms }),
        1 => Just(Act::Reap),
        1 => node().prop_map(|node| Act::Crash { node }),
    ]
}

struct World {
    store: Store,
    nodes: Vec<Node>,
    mosts: Vec<u64>,
    now: u64,
    names: usize,
    /// What may be gone of requests of nodes that crashed, by node, until others may have it.
    limbo: BTreeMap<usize, Vec<u64>>,
}

impl World {
    fn new(nodes: usize, mosts: Vec<u64>) -> World {
        let mut store = Store::default();
        let skew = |name: usize| name as u64 * SKEW / 4;
        let nodes: Vec<Node> = (0..nodes).map(|name| Node::new(name, skew(name), &mut store, 1, &mosts)).collect();
        World { store, names: nodes.len(), nodes, mosts, now: 1, limbo: BTreeMap::new() }
    }

    fn act(&mut self, act: Act) {
        let (now, count) = (self.now, self.nodes.len());
        match act {
            Act::Hold { node, amount, of } => {
                let node = &mut self.nodes[node % count];
                let amounts: Vec<Amount> = (0..node.ats.len())
                    .filter(|at| of >> at & 1 == 1)
                    .map(|at| Amount { at: node.ats[at], amount })
                    .collect();
                let looks = |node: &Node| node.ats.iter().map(|at| node.ledger.used(*at, now)).collect::<Vec<_>>();
                let before = looks(node);
                match node.ledger.hold(now + node.skew, &amounts) {
                    Ok(hold) => node.open.push((now, hold)),
                    Err(_) => assert_eq!(before, looks(node), "who is refused holds nothing"),
                }
            }
            Act::End { node, which, percent } => {
                let node = &mut self.nodes[node % count];
                if !node.open.is_empty() {
                    node.end(which % node.open.len(), now, percent);
                }
            }
            Act::Drop { node, which } => {
                let node = &mut self.nodes[node % count];
                if !node.open.is_empty() {
                    drop(node.open.swap_remove(which % node.open.len()));
                }
            }
            Act::Write { node, done, answered } => self.nodes[node % count].write(&mut self.store, now, done, answered),
            Act::Pass { ms } => self.pass(ms),
            Act::Reap => self.reap(),
            Act::Crash { node } => self.crash(node % count),
        }
    }

    /// No request takes longer than the margin, and no node that lives is silent for longer.
    fn pass(&mut self, ms: u64) {
        self.now += ms;
        for node in &mut self.nodes {
            while let Some(old) = node.open.iter().position(|(begun, _)| self.now - begun >= MARGIN - SKEW) {
                node.end(old, self.now, 100);
            }
            if self.store.nodes[&node.name].1 < self.now + LEASE - MARGIN {
                node.write(&mut self.store, self.now, true, true);
                node.write(&mut self.store, self.now, true, true);
            }
        }
    }

    fn reap(&mut self) {
        self.store.reap(self.now - SKEW.min(self.now));
        let fenced = |name: &usize| self.store.nodes.get(name).is_some_and(|(.., fenced)| *fenced);
        self.limbo.retain(|name, _| !fenced(name));
    }

    fn crash(&mut self, at: usize) {
        let new = Node::new(self.names, self.nodes[at].skew, &mut self.store, self.now, &self.mosts);
        self.names += 1;
        let mut old = std::mem::replace(&mut self.nodes[at], new);
        let lost = (0..self.mosts.len()).map(|meter| old.held(meter) + old.unwritten[meter]).collect();
        self.limbo.insert(old.name, lost);
        // Their holds are of the ledger that is gone, and give back to that one only.
        old.open.clear();
    }

    fn check(&self) {
        for (at, most) in self.mosts.iter().enumerate() {
            let meter = MeterId(at as u64);
            let granted = self.store.used(meter) + self.store.leased(meter);
            assert!(granted <= *most, "meter {at}: {granted} used and granted of {most}");
            let here: u64 = self.nodes.iter().map(|node| node.held(at) + node.unwritten[at]).sum();
            let gone: u64 = self.limbo.values().map(|lost| lost[at]).sum();
            let all = self.store.used(meter) + here + gone;
            assert!(all <= *most, "meter {at}: {all} of {most} may be spent");
        }
    }

    /// Ends all that is under way, and lets everybody write until nothing is left to write.
    fn settle(&mut self) {
        for _ in 0..3 {
            for node in &mut self.nodes {
                while !node.open.is_empty() {
                    node.end(0, self.now, 100);
                }
                node.write(&mut self.store, self.now, true, true);
            }
            self.now += IDLE_MS;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    /// Whatever happens in whatever order, to however many nodes, no meter is exceeded; what was settled is written once; and in the end
    /// all that is left can be spent.
    #[test]
    fn money_never_leaks(nodes in 1usize..5, mosts in prop::collection::vec(1u64..200, 3), acts in prop::collection::vec(acts(), 1..150)) {
        let mut world = World::new(nodes, mosts);
        for act in acts {
            world.act(act);
            world.check();
        }
        world.settle();
        world.now += LEASE + 2 * SKEW;
        world.pass(0);
        world.reap();
        world.settle();
        world.check();
        for at in 0..world.mosts.len() {
            let (used, most) = (world.store.used(MeterId(at as u64)), world.mosts[at]);
            for node in &world.nodes {
                prop_assert_eq!((node.unwritten[at], node.held(at)), (0, 0));
            }
            // A request that fits into all that is left gets it within few writes.
            if used < most {
                let got = (0..8).any(|_| {
                    let now = world.now;
                    let node = &mut world.nodes[0];
                    let amounts = [Amount { at: node.ats[at], amount: most - used }];
                    if let Ok(hold) = node.ledger.hold(now + node.skew, &amounts) {
                        node.open.push((now, hold));
                        return true;
                    }
                    world.now += 50;
                    let now = world.now;
                    world.nodes.iter_mut().for_each(|node| node.write(&mut world.store, now, true, true));
                    false
                });
                prop_assert!(got, "meter {at}: {used} of {most} used, and nobody gets the rest");
                world.check();
            }
        }
    }
}

#[test]
fn what_one_node_does_not_need_another_gets() {
    let mut world = World::new(2, vec![1_000]);
    let hold = |world: &mut World, node: usize, amount: u64| {
        let one = &mut world.nodes[node];
        let held = one.ledger.hold(world.now + one.skew, &[Amount { at: one.ats[0], amount }])?;
        one.open.push((world.now, held));
        Ok::<(), Refused>(())
    };
    // The first takes much ahead, because it spends much.
    for _ in 0..6 {
        let _ = hold(&mut world, 0, 50);
        world.nodes[0].write(&mut world.store, 1, true, true);
    }
    let ahead = world.store.leased(MeterId(0));
    assert!(ahead > 300, "{ahead}");
    let rest = 1_000 - world.nodes[0].held(0);
    assert_eq!(hold(&mut world, 1, rest), Err(Refused::Uncovered(At(0))));
    let mut writes = 0;
    while hold(&mut world, 1, rest).is_err() {
        (writes, world.now) = (writes + 1, world.now + 50);
        let now = world.now;
        world.nodes.iter_mut().rev().for_each(|node| node.write(&mut world.store, now, true, true));
        // It goes on asking: what it has is not idle, but it is wanted.
        let _ = hold(&mut world, 0, 0);
        assert!(writes < 16, "the second never gets what the first does not need");
    }
    world.check();
    assert!(matches!(hold(&mut world, 0, 1), Err(Refused::Over(..) | Refused::Uncovered(_))));
}

#[test]
fn one_alone_writes_ahead_and_says_no_more_than_it_has_to() {
    let ledger = Ledger::new(false);
    let at = ledger.add(1, entry(0, 100, 5), &Written::default());
    let mut store = Store::default();
    let mut number = 0;
    let mut write = |ledger: &Ledger, now: u64| {
        number += 1;
        let writing = ledger.to_write(now);
        let told = store.write(0, number, now + LEASE, &writing);
        ledger.written(now, told.until - MARGIN, &told.granted);
        writing
    };
    let amounts = |amount: u64| [Amount { at, amount }];
    assert_eq!(ledger.hold(1, &amounts(60)).unwrap_err(), Refused::Uncovered(at));
    assert!(matches!(ledger.hold(1, &amounts(101)), Err(Refused::Over(..))), "who may not need not wait");
    write(&ledger, 1);
    let hold = ledger.hold(1, &amounts(60)).unwrap();
    assert_eq!(hold.settle(2, |_| 50), []);
    assert_eq!(write(&ledger, 2)[0].used, [(0, 50)]);
    assert_eq!(write(&ledger, 3).first().map(|one| one.ask.ahead), Some(5), "less is asked for");
    assert_eq!(write(&ledger, 4), [], "nothing to say");
    assert_eq!(
        ledger.hold(LEASE, &amounts(1)).unwrap_err(),
        Refused::Uncovered(at),
        "what it had may be another's by now"
    );
    assert_eq!(ledger.to_write_last(LEASE).len(), 1);
}

#[test]
fn a_soft_limit_is_told_once_in_a_period() {
    let ledger = Ledger::new(false);
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
    let ledger = Ledger::new(false);
    let none = Written::default();
    let ats = [0, 1].map(|id| ledger.add(0, entry(id, MOST, 50_000), &none));
    let (spent, refused, store) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::new((Store::default(), 0)));
    let write = || {
        let (store, number) = &mut *store.lock();
        let writing = ledger.to_write(1);
        *number += 1;
        let told = store.write(0, *number, 1 + LEASE, &writing);
        ledger.written(1, told.until, &told.granted);
    };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..64u64)
            .map(|worker| {
                let (ledger, spent, refused, write) = (&ledger, &spent, &refused, &write);
                scope.spawn(move || {
                    for turn in 0..400u64 {
                        let amount = (worker * 7 + turn * 13) % 50 + 1;
                        let mut held = ledger.hold(1, &ats.map(|at| Amount { at, amount }));
                        // Where the writer comes too seldom to its turn, who waits writes.
                        for _ in 0..100 {
                            if !matches!(held, Err(Refused::Uncovered(_))) {
                                break;
                            }
                            refused.fetch_add(1, Ordering::Relaxed);
                            write();
                            held = ledger.hold(1, &ats.map(|at| Amount { at, amount }));
                        }
                        match held {
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
        let (write, done) = (&write, &done);
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                write();
                std::thread::yield_now();
            }
        });
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        done.store(true, Ordering::Relaxed);
    });
    write();
    for (id, at) in ats.into_iter().enumerate() {
        let spent = spent.load(Ordering::Relaxed);
        assert_eq!(ledger.used(at, 1), Some((spent, 0)));
        assert!(spent <= MOST && spent > MOST / 2, "{spent}");
        assert_eq!(store.lock().0.used(MeterId(id as u64)), spent);
    }
    assert!(refused.load(Ordering::Relaxed) > 0);
}
