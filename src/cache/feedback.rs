//! Feedback: what callers say of answers that they were given. The strongest label there is.
//!
//! The latest answers are remembered by the ids that their callers saw: the request's and the reply's own. A key holds the
//! tenant too, so that nobody can speak of another tenant's answers. Held in memory only.

use super::Cache;
use super::judgement::{Case, Source};
use super::lookup::{Ask, Hit};
use crate::types::caller::Tenant;
use crate::types::entry::Entry;
use crate::types::ids::{Digest, EntryId};
use crate::types::outcome::Tier;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, LazyLock};

/// What an answer that was given came from.
#[derive(Clone, Debug)]
pub struct About {
    /// The entry that was served.
    entry: Option<EntryId>,
    /// The keys by which an answer to this request is stored; none where nothing was to be kept.
    keys: [Option<Digest>; 2],
    tier: Option<Tier>,
    case: Option<Case>,
}

impl About {
    /// A stored answer was given.
    pub fn hit(hit: &Hit) -> About {
        About { entry: Some(hit.entry.id), keys: [None; 2], tier: Some(hit.tier), case: hit.case }
    }

    /// A fresh answer was given.
    pub fn fresh(ask: &Ask) -> About {
        // Who waited for another's answer finds it by the folded words.
        let keys = [Some(ask.keys.exact), ask.keys.normalised.filter(|_| ask.policy.normalised)];
        About { entry: None, keys: keys.map(|key| key.filter(|_| ask.policy.write)), tier: None, case: None }
    }
}

/// What feedback did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Feedback {
    /// The tier that had served the answer; `None` where it was fresh.
    pub tier: Option<Tier>,
    /// The entry it was about, if there still is one.
    pub entry: Option<EntryId>,
    /// The entry is gone.
    pub evicted: bool,
    /// The same answer was spoken of before: nothing was done.
    pub repeated: bool,
}

/// No answer of that id was given to this tenant, or too long ago.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unknown;

/// The latest answers, by what their callers call them.
pub(super) struct Answered {
    most: usize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// The number of the answer of each key.
    numbers: HashMap<u128, u64, ahash::RandomState>,
    /// The answers in the order they were given, the first of which has the number `first`.
    given: VecDeque<Given>,
    first: u64,
}

struct Given {
    keys: [u128; 2],
    about: About,
    told: bool,
}

impl Answered {
    pub(super) fn new(most: usize) -> Answered {
        Answered { most, table: Mutex::default() }
    }

    /// Remembers an answer by its ids.
    fn add(&self, tenant: &Tenant, ids: [&str; 2], about: About) {
        if self.most == 0 {
            return;
        }
        let keys = ids.map(|id| key(tenant, id));
        let mut table = self.table.lock();
        while table.given.len() >= self.most {
            table.drop_first();
        }
        let number = table.first + table.given.len() as u64;
        for (key, _) in keys.iter().zip(ids).filter(|(_, id)| !id.is_empty()) {
            table.numbers.insert(*key, number);
        }
        table.given.push_back(Given { keys, about, told: false });
    }

    /// The answer of that id, and whether it was spoken of before.
    fn take(&self, tenant: &Tenant, id: &str) -> Option<(About, bool)> {
        let mut table = self.table.lock();
        let number = *table.numbers.get(&key(tenant, id))?;
        let at = usize::try_from(number.checked_sub(table.first)?).ok()?;
        let given = table.given.get_mut(at)?;
        let told = std::mem::replace(&mut given.told, true);
        Some((given.about.clone(), told))
    }
}

impl Table {
    fn drop_first(&mut self) {
        let Some(gone) = self.given.pop_front() else { return };
        for key in gone.keys {
            // A caller may use an id twice: the later answer has it.
            if self.numbers.get(&key) == Some(&self.first) {
                self.numbers.remove(&key);
            }
        }
        self.first += 1;
    }
}

fn key(tenant: &Tenant, id: &str) -> u128 {
    static KEY: LazyLock<[u8; 32]> = LazyLock::new(|| blake3::derive_key("askonce 2026 feedback v1", b""));
    let length = (tenant.0.len() as u64).to_le_bytes();
    let digest = blake3::keyed_hash(&KEY, &[&length, tenant.0.as_bytes(), id.as_bytes()].concat());
    u128::from_le_bytes(std::array::from_fn(|at| digest.as_bytes()[at]))
}

impl Cache {
    /// Remembers that an answer was given, by the request's id and the reply's own; an empty one is none.
    pub fn answered(&self, tenant: &Tenant, ids: [&str; 2], about: About) {
        self.answered.add(tenant, ids, about);
    }

    /// A caller of `tenant` says that the answer of `id` was right or wrong. A wrong one leaves the cache at once.
    pub fn feedback(&self, tenant: &Tenant, id: &str, right: bool) -> Result<Feedback, Unknown> {
        let (about, repeated) = self.answered.take(tenant, id).ok_or(Unknown)?;
        let by_key = || about.keys.iter().flatten().find_map(|key| self.entries.by_key(key)).map(|entry| entry.id);
        let entry = about.entry.or_else(by_key).filter(|entry| self.entries.holds(*entry));
        if repeated {
            return Ok(Feedback { tier: about.tier, entry, evicted: false, repeated });
        }
        if let (Some(case), Some(learned)) = (&about.case, &self.learned) {
            self.make(&learned.learn(case, right, Source::Feedback, None));
        }
        if let Some(entry) = entry.filter(|_| !right) {
            let gone: Vec<Arc<Entry>> = self.entries.remove(entry).into_iter().collect();
            self.evicted_as_wrong(&gone);
        }
        let evicted = entry.is_some_and(|entry| !self.entries.holds(entry));
        Ok(Feedback { tier: about.tier, entry, evicted, repeated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(exact: u8) -> About {
        About { entry: None, keys: [Some(Digest([exact; 32])), None], tier: None, case: None }
    }

    #[test]
    fn finds_the_latest_by_either_id_and_for_its_tenant_only() {
        let [one, other] = ["a", "b"].map(|name| Tenant(name.to_owned()));
        let answered = Answered::new(2);
        answered.add(&one, ["r1", "c1"], about(1));
        answered.add(&one, ["r2", ""], about(2));
        let exact = |tenant: &Tenant, id: &str| {
            answered.take(tenant, id).map(|(about, told)| (about.keys[0].map_or(0, |key| key.0[0]), told))
        };
        assert_eq!(exact(&other, "r1"), None);
        assert_eq!((exact(&one, "r1"), exact(&one, "c1")), (Some((1, false)), Some((1, true))));
        assert_eq!((exact(&one, ""), exact(&one, "r2")), (None, Some((2, false))));
        // The id comes again, and the older answer of it goes.
        answered.add(&one, ["r2", "c3"], about(3));
        assert_eq!((exact(&one, "r1"), exact(&one, "r2")), (None, Some((3, false))));
        answered.add(&one, ["r4", "c4"], about(4));
        assert_eq!((exact(&one, "r2"), exact(&one, "c3")), (Some((3, true)), Some((3, true))));
        let table = answered.table.lock();
        assert_eq!((table.given.len(), table.numbers.len()), (2, 4));
    }
}
