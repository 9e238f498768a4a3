//! The table against a naive one that walks over everything, and its books.

use super::*;
use crate::config::{Eviction, Quota, Share};
use crate::types::answer::{Answer, Ending};
use crate::types::caller::Tenant;
use crate::types::entry::Source;
use crate::types::money::MicroUsd;
use crate::types::surface::Surface;
use proptest::prelude::*;

fn made(id: u64, key: u8, expires_ms: u64, cost: u64, body: usize) -> Arc<Entry> {
    Arc::new(Entry {
        id: EntryId(id),
        tenant: Tenant("t".to_owned()),
        surface: Surface::ChatCompletions,
        model: "m".to_owned(),
        provider: "p".to_owned(),
        scope: Digest([key % 2; 32]),
        meaning: Digest([key % 2; 32]),
        exact: Digest([key; 32]),
        normalised: Some(Digest([key / 2 + 128; 32])),
        question: None,
        semantic: false,
        answer: Answer {
            surface: Surface::ChatCompletions,
            body: vec![b'x'; body].into(),
            id_span: None,
            created_span: None,
            usage: None,
            usage_unasked: false,
            ending: Ending::Whole,
            tool_calls: false,
            lost: Default::default(),
        },
        cost: Some(MicroUsd(cost)),
        latency_ms: 0,
        source: Source::Fetched,
        created_ms: 0,
        expires_ms,
        tags: Vec::new(),
    })
}

fn entry(id: u64, key: u8, expires_ms: u64) -> Arc<Entry> {
    made(id, key, expires_ms, 1, 1000)
}

fn house(budget: usize, eviction: Eviction) -> House {
    House { budget, vector_bytes: 0, eviction, wait_usd_per_hour: 0.0, quota: Quota::default() }
}

fn ids(entries: &[Arc<Entry>]) -> Vec<u64> {
    entries.iter().map(|entry| entry.id.0).collect()
}

#[test]
fn used_entries_outlive_unused_ones() {
    for eviction in [Eviction::Lru, Eviction::Lfu, Eviction::Cost] {
        let size = entry(0, 0, 0).bytes();
        let entries = Entries::new(house(size * 3, eviction));
        (1..=3).for_each(|id| assert!(entries.insert(entry(id, id as u8, 9)).is_empty()));
        entries.used(EntryId(1));
        // To look is no use.
        assert!(entries.by_key(&Digest([2; 32])).is_some() && entries.by_id(EntryId(2)).is_some());
        assert_eq!(ids(&entries.insert(entry(4, 4, 9))), [2], "{eviction}");
        assert!(entries.by_id(EntryId(1)).is_some() && entries.by_id(EntryId(2)).is_none());
        assert_eq!((entries.len(), entries.bytes(), entries.evicted().memory), (3, size * 3, 1));
    }
}

#[test]
fn cost_keeps_what_saves_most_for_its_bytes_until_it_has_aged() {
    let size = made(0, 0, 9, 0, 1000).bytes();
    let entries = Entries::new(house(size * 3, Eviction::Cost));
    let dear = made(1, 1, 9, 1_000_000, 1000);
    entries.insert(dear.clone());
    entries.insert(made(2, 2, 9, 10, 1000));
    entries.insert(made(3, 3, 9, 20, 1000));
    assert_eq!(ids(&entries.insert(made(4, 4, 9, 15, 1000))), [2]);
    // What nobody uses leaves in the end, however dear it was.
    let left_after =
        (5..5_000).find(|id| ids(&entries.insert(made(*id, (*id % 200) as u8 + 5, 9, 50, 1000))).contains(&1));
    assert!(left_after.is_some_and(|id| id > 50), "{left_after:?}");
}

#[test]
fn a_fresh_answer_is_as_popular_as_the_one_before() {
    let size = entry(0, 0, 0).bytes();
    let entries = Entries::new(house(size * 2, Eviction::Lfu));
    entries.insert(entry(1, 1, 9));
    (0..5).for_each(|_| entries.used(EntryId(1)));
    assert_eq!(ids(&entries.insert(entry(2, 1, 9))), [1]);
    assert_eq!(entries.uses(EntryId(2)), 7);
    entries.insert(entry(3, 3, 9));
    assert_eq!(ids(&entries.insert(entry(4, 4, 9))), [3]);
}

#[test]
fn a_scope_makes_room_within_its_quota() {
    let size = entry(0, 0, 0).bytes();
    let share = Share { entries: 2, bytes: 0, ..Share::default() };
    let quota = Quota { scope: share, tenant: Share { entries: 0, bytes: size as u64 * 3, ..Share::default() } };
    let entries = Entries::new(House { quota, ..house(size * 99, Eviction::Lru) });
    // Even keys are of one scope, odd ones of another; all are of one tenant.
    assert!(entries.insert(entry(1, 2, 9)).is_empty() && entries.insert(entry(2, 4, 9)).is_empty());
    assert_eq!(ids(&entries.insert(entry(3, 6, 9))), [1]);
    assert!(entries.insert(entry(4, 1, 9)).is_empty());
    assert_eq!(ids(&entries.insert(entry(5, 3, 9))), [2]);
    assert_eq!(entries.evicted(), Evicted { memory: 0, scope: 1, tenant: 1 });
    assert!(entries.fits_quota(&entry(6, 1, 9)) && !entries.fits_quota(&made(6, 1, 9, 1, 9_000)));
    let order = entries.order.lock();
    assert_eq!((order.len(), order.holders()), (3, 3));
}

#[test]
fn one_of_many_fetches_anew() {
    let entries = Entries::new(house(1 << 20, Eviction::Lru));
    entries.insert(entry(1, 1, 9));
    let claim = |now_ms| entries.claim_revalidation(EntryId(1), now_ms, 100);
    assert_eq!([5, 5, 104, 105, 106].map(claim), [true, false, false, true, false]);
    assert!(!entries.claim_revalidation(EntryId(2), 5, 100));
}

/// What the table should do, done by walking over everything.
#[derive(Clone, Debug)]
struct Item {
    id: u64,
    key: u8,
    expires_ms: u64,
    bytes: usize,
    worth: f64,
    uses: u64,
    rank: f64,
    used: u64,
}

struct Oracle {
    eviction: Eviction,
    budget: usize,
    most_in_scope: usize,
    items: Vec<Item>,
    clock: u64,
    floor: f64,
}

impl Oracle {
    fn touch(&mut self, at: usize) {
        self.clock += 1;
        let (clock, floor, eviction) = (self.clock, self.floor, self.eviction);
        let item = &mut self.items[at];
        item.uses += 1;
        item.used = clock;
        item.rank = match eviction {
            Eviction::Lru => 0.0,
            Eviction::Lfu => f64::max(item.rank, floor + item.uses as f64),
            Eviction::Cost => f64::max(item.rank, floor + item.uses as f64 * item.worth),
        };
    }

    fn least(&self, of: impl Fn(&Item) -> bool) -> Option<usize> {
        let found = (0..self.items.len()).filter(|at| of(&self.items[*at]));
        found.min_by(|a, b| {
            let (a, b) = (&self.items[*a], &self.items[*b]);
            a.rank.total_cmp(&b.rank).then(a.used.cmp(&b.used))
        })
    }

    fn insert(&mut self, mut item: Item) {
        let before = self.items.iter().position(|other| other.key == item.key);
        item.uses = before.map_or(0, |at| self.items.remove(at).uses);
        // It is ranked when it comes, before room is made for it.
        self.items.push(item.clone());
        self.touch(self.items.len() - 1);
        let new = self.items.pop().unwrap();
        while self.items.iter().filter(|other| other.key % 2 == new.key % 2).count() + 1 > self.most_in_scope {
            let at = self.least(|other| other.key % 2 == new.key % 2).unwrap();
            self.items.remove(at);
        }
        while self.items.iter().map(|item| item.bytes).sum::<usize>() + new.bytes > self.budget {
            let Some(at) = self.least(|_| true) else { break };
            self.floor = self.floor.max(self.items[at].rank);
            self.items.remove(at);
        }
        if new.bytes <= self.budget {
            self.items.push(new);
        } else {
            self.floor = self.floor.max(new.rank);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert { key: u8, cost: u64, body: usize, expires_ms: u64 },
    Use(usize),
    Remove(usize),
    Expire(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let insert = (0u8..40, 0u64..2_000, 0usize..6_000, 0u64..50)
        .prop_map(|(key, cost, body, expires_ms)| Step::Insert { key, cost, body, expires_ms });
    let step = prop_oneof![
        5 => insert,
        8 => (0usize..99).prop_map(Step::Use),
        1 => (0usize..99).prop_map(Step::Remove),
        1 => (0u64..50).prop_map(Step::Expire),
    ];
    proptest::collection::vec(step, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// All three policies keep exactly what the naive table keeps, step by step, quotas and expiry included.
    #[test]
    fn keeps_what_the_naive_table_keeps(steps in steps(), which in 0usize..3, most_in_scope in 3usize..20) {
        let eviction = [Eviction::Lru, Eviction::Lfu, Eviction::Cost][which];
        let budget = 20_000;
        let quota = Quota { scope: Share { entries: most_in_scope as u64, ..Share::default() }, ..Quota::default() };
        let entries = Entries::new(House { quota, ..house(budget, eviction) });
        let mut oracle = Oracle { eviction, budget, most_in_scope, items: Vec::new(), clock: 0, floor: 0.0 };
        let mut next = 0;
        for step in steps {
            match step {
                Step::Insert { key, cost, body, expires_ms } => {
                    next += 1;
                    let entry = made(next, key, expires_ms, cost, body);
                    let bytes = entry.bytes();
                    let worth = worth(&entry, bytes, 0.0);
                    oracle.insert(Item { id: next, key, expires_ms, bytes, worth, uses: 0, rank: 0.0, used: 0 });
                    entries.insert(entry);
                }
                Step::Use(at) if !oracle.items.is_empty() => {
                    let at = at % oracle.items.len();
                    entries.used(EntryId(oracle.items[at].id));
                    oracle.touch(at);
                }
                Step::Remove(at) if !oracle.items.is_empty() => {
                    let item = oracle.items.remove(at % oracle.items.len());
                    prop_assert!(entries.remove(EntryId(item.id)).is_some());
                }
                Step::Expire(now_ms) => {
                    let due = oracle.items.iter().filter(|item| item.expires_ms <= now_ms).count();
                    prop_assert_eq!(entries.remove_expired(now_ms).len(), due);
                    oracle.items.retain(|item| item.expires_ms > now_ms);
                }
                Step::Use(_) | Step::Remove(_) => {}
            }
            let mut kept = ids(&entries.all());
            let mut expected: Vec<u64> = oracle.items.iter().map(|item| item.id).collect();
            kept.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(kept, expected, "{}", eviction);
            prop_assert_eq!(entries.bytes(), oracle.items.iter().map(|item| item.bytes).sum::<usize>());
            prop_assert_eq!(entries.order.lock().len(), oracle.items.len());
        }
    }

    /// Bytes and counts always agree with what is there, and keys never lead to what is gone.
    #[test]
    fn books_balance(steps in proptest::collection::vec((0u8..3, 0u8..6, 0u64..4), 1..120)) {
        let size = entry(0, 0, 0).bytes();
        let entries = Entries::new(house(size * 5, Eviction::Cost));
        let mut next = 0;
        for (step, key, number) in steps {
            match step {
                0 => { next += 1; entries.insert(entry(next, key, number)); }
                1 => { entries.remove(EntryId(next.saturating_sub(number))); }
                _ => { entries.remove_expired(number); }
            }
            let all = entries.all();
            prop_assert_eq!(entries.len(), all.len());
            prop_assert_eq!(entries.bytes(), all.len() * size);
            prop_assert!(all.len() <= 5);
            for key in 0u8..=255 {
                if let Some(found) = entries.by_key(&Digest([key; 32])) {
                    prop_assert!(entries.by_id(found.id).is_some());
                }
            }
            for entry in all {
                prop_assert_eq!(entries.by_key(&entry.exact).map(|found| found.id), Some(entry.id));
            }
        }
    }
}

/// What hits save, in micro-dollars, on a stream in which some questions are asked often and some answers are dear,
/// independently of each other.
fn saved_on_a_skewed_stream(eviction: Eviction) -> u64 {
    let entries = Entries::new(house(200_000, eviction));
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 11
    };
    let mut saved = 0;
    for id in 1..=20_000 {
        // The square of a uniform number: low questions come often.
        let key = (random() % 1_000) * (random() % 1_000) / 1_000;
        let (cost, body) = (10 + key * 7_919 % 1_000, (key * 104_729 % 4_000) as usize);
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&key.to_le_bytes());
        digest[31] = key as u8;
        match entries.by_key(&Digest(digest)) {
            Some(entry) => {
                entries.used(entry.id);
                saved += cost;
            }
            None => {
                let entry = Entry {
                    exact: Digest(digest),
                    normalised: None,
                    ..Arc::unwrap_or_clone(made(id, 0, u64::MAX, cost, body))
                };
                entries.insert(Arc::new(entry));
            }
        }
    }
    saved
}

#[test]
fn cost_saves_more_where_answers_differ_in_cost() {
    let [cost, lfu, lru] = [Eviction::Cost, Eviction::Lfu, Eviction::Lru].map(saved_on_a_skewed_stream);
    println!("saved: cost {cost}, lfu {lfu}, lru {lru}");
    assert!(cost as f64 > 1.1 * lfu as f64 && lfu > lru, "cost {cost}, lfu {lfu}, lru {lru}");
}

#[test]
fn many_threads_leave_sound_books() {
    let size = entry(0, 0, 0).bytes();
    let share = Share { entries: 40, ..Share::default() };
    let quota = Quota { scope: share, tenant: Share { entries: 60, ..Share::default() } };
    let entries = Entries::new(House { quota, ..house(size * 50, Eviction::Cost) });
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let entries = &entries;
            scope.spawn(move || {
                for number in 0..2_000u64 {
                    let id = thread * 10_000 + number;
                    entries.insert(entry(id, (number % 97) as u8, number));
                    entries.used(EntryId(id.saturating_sub(7)));
                    if number % 5 == 0 {
                        entries.remove(EntryId(id.saturating_sub(3)));
                    }
                    if number % 401 == 0 {
                        entries.remove_expired(number.saturating_sub(300));
                    }
                }
            });
        }
    });
    let all = entries.all();
    assert!(all.len() <= 50, "{}", all.len());
    assert_eq!((entries.len(), entries.order.lock().len()), (all.len(), all.len()));
    assert_eq!(entries.bytes(), all.len() * size);
    entries.remove_expired(u64::MAX);
    assert_eq!((entries.len(), entries.bytes(), entries.order.lock().holders()), (0, 0, 0));
}
