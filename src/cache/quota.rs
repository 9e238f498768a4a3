//! Quotas: who may store how many new answers a minute. A token bucket for each scope and tenant.
//!
//! Kept as the time at which the bucket will be full again (the generic cell rate algorithm, ITU-T I.371), one number
//! for each. A bucket that is full is as good as none, so those that were not touched for as long as filling takes are
//! dropped: there are two maps, and the older one goes when the newer is that old.

use crate::config;
use crate::types::caller::Tenant;
use crate::types::ids::Digest;
use parking_lot::Mutex;
use std::collections::HashMap;

/// Buckets of one age. Beyond it the older ones are forgotten early.
const MOST_BUCKETS: usize = 1 << 20;

/// Who a quota is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Holder {
    /// One scope.
    Scope(Digest),
    /// One tenant, by its tag.
    Tenant(u64),
}

impl Holder {
    pub(super) fn tenant(tenant: &Tenant) -> Holder {
        Holder::Tenant(tenant.tag())
    }

    /// What it may take.
    pub(super) fn share(self, quota: &config::Quota) -> config::Share {
        match self {
            Holder::Scope(_) => quota.scope,
            Holder::Tenant(_) => quota.tenant,
        }
    }
}

/// Those whom an entry of this scope and tenant counts for.
pub(super) fn holders(scope: Digest, tenant: &Tenant) -> [Holder; 2] {
    [Holder::Scope(scope), Holder::tenant(tenant)]
}

/// The buckets of one cache.
pub(super) struct Buckets {
    quota: config::Quota,
    /// The longest that a bucket takes to fill, in microseconds.
    horizon_us: u64,
    ages: Mutex<Ages>,
}

/// When each bucket is full again, in microseconds.
#[derive(Default)]
struct Ages {
    now: HashMap<Holder, u64>,
    before: HashMap<Holder, u64>,
    began_us: u64,
}

impl Buckets {
    pub(super) fn new(quota: config::Quota) -> Buckets {
        let fill = |share: config::Share| share.insert_burst.saturating_mul(interval_us(share));
        Buckets { quota, horizon_us: fill(quota.scope).max(fill(quota.tenant)), ages: Mutex::default() }
    }

    /// Takes a token of every holder's bucket at `now_ms`, or of none, when one of them has none left.
    pub(super) fn take(&self, holders: &[Holder], now_ms: u64) -> bool {
        let limited = holders.iter().filter(|holder| holder.share(&self.quota).inserts_per_minute > 0);
        let mut limited = limited.peekable();
        if limited.peek().is_none() {
            return true;
        }
        let now_us = now_ms.saturating_mul(1000);
        let mut ages = self.ages.lock();
        let dropped = ages.turn(now_us, self.horizon_us);
        let mut taken: [Option<(Holder, u64)>; 2] = [None; 2];
        for (holder, taken) in limited.zip(&mut taken) {
            let share = holder.share(&self.quota);
            let interval_us = interval_us(share);
            let full_us = ages.full_us(holder).max(now_us).saturating_add(interval_us);
            if full_us - now_us > share.insert_burst.saturating_mul(interval_us) {
                return false;
            }
            *taken = Some((*holder, full_us));
        }
        ages.now.extend(taken.into_iter().flatten());
        drop(ages);
        // What takes time to free is freed when nobody waits for the lock.
        drop(dropped);
        true
    }
}

impl Ages {
    fn full_us(&self, holder: &Holder) -> u64 {
        self.now.get(holder).or_else(|| self.before.get(holder)).copied().unwrap_or(0)
    }

    /// Begins a new age when the present one is over. Gives the buckets of the one that is forgotten.
    fn turn(&mut self, now_us: u64, horizon_us: u64) -> HashMap<Holder, u64> {
        if now_us.saturating_sub(self.began_us) < horizon_us && self.now.len() < MOST_BUCKETS {
            return HashMap::new();
        }
        self.began_us = now_us;
        let now = std::mem::take(&mut self.now);
        std::mem::replace(&mut self.before, now)
    }
}

/// Time in which one token comes.
fn interval_us(share: config::Share) -> u64 {
    60_000_000u64.checked_div(share.inserts_per_minute).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quota(per_minute: u64, burst: u64) -> config::Quota {
        let share = config::Share { inserts_per_minute: per_minute, insert_burst: burst, ..config::Share::default() };
        config::Quota { scope: share, tenant: config::Share::default() }
    }

    fn scope(number: u8) -> Holder {
        Holder::Scope(Digest([number; 32]))
    }

    #[test]
    fn a_burst_then_the_rate() {
        let buckets = Buckets::new(quota(60, 3));
        let take = |number, now_ms| buckets.take(&[scope(number), Holder::Tenant(1)], now_ms);
        let taken: Vec<bool> = (0..5).map(|_| take(1, 10_000)).collect();
        assert_eq!(taken, [true, true, true, false, false]);
        assert!(take(2, 10_000), "another scope has a bucket of its own");
        assert!(!take(1, 10_999) && take(1, 11_000) && !take(1, 11_000));
        assert_eq!((0..9).filter(|_| take(1, 99_000)).count(), 3, "never more than the burst");
        let none = Buckets::new(config::Quota::default());
        assert!((0..99).all(|_| none.take(&[scope(1), Holder::Tenant(1)], 1)));
    }

    #[test]
    fn nothing_is_taken_when_one_of_two_refuses() {
        let both = config::Quota { tenant: quota(60, 1).scope, ..quota(60, 9) };
        let buckets = Buckets::new(both);
        assert!(buckets.take(&[scope(1), Holder::Tenant(7)], 0));
        assert!((0..99).all(|_| !buckets.take(&[scope(1), Holder::Tenant(7)], 0)));
        // The scope's own eight are still there for another tenant's seal.
        assert_eq!((2..99).filter(|tenant| buckets.take(&[scope(1), Holder::Tenant(*tenant)], 0)).count(), 8);
    }

    proptest! {
        /// Over any time, no more is let in than burst + time × rate, and idle buckets are forgotten.
        #[test]
        fn the_rate_holds(pauses in proptest::collection::vec(0u64..3_000, 1..200), burst in 1u64..6) {
            let buckets = Buckets::new(quota(60, burst));
            let (mut now, mut let_in) = (1_000_000, 0u64);
            let began = now;
            for (at, pause) in pauses.into_iter().enumerate() {
                now += pause;
                let_in += u64::from(buckets.take(&[scope(0)], now));
                buckets.take(&[scope((at % 200) as u8 + 1)], now);
                prop_assert!(let_in <= burst + (now - began) / 1000);
            }
            let ages = buckets.ages.lock();
            prop_assert!(ages.now.len() + ages.before.len() <= 202);
        }
    }
}
