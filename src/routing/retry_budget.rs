//! `RetryBudget`: retries as a share of requests, so that a failing provider is not stormed.

use super::atomic::{AtomicI64, Ordering};

/// Tokens in hundredths of a retry. Each request earns `percent`, each retry costs 100.
#[derive(Debug)]
pub struct RetryBudget {
    percent: i64,
    tokens: AtomicI64,
}

/// Retries that a quiet gateway may always make, and the most that it can save up.
const RESERVE: i64 = 10 * 100;
const MOST: i64 = 100 * 100;

impl RetryBudget {
    /// A budget of `percent` retries per hundred requests, beside a small reserve.
    pub fn new(percent: u32) -> RetryBudget {
        RetryBudget { percent: i64::from(percent), tokens: AtomicI64::new(RESERVE) }
    }

    /// A request came.
    pub fn earn(&self) {
        if self.tokens.load(Ordering::Relaxed) < MOST {
            self.tokens.fetch_add(self.percent, Ordering::Relaxed);
        }
    }

    /// Takes one retry, if the budget has it.
    pub fn take(&self) -> bool {
        self.tokens
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| (tokens >= 100).then(|| tokens - 100))
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_cut_to_the_share() {
        let budget = RetryBudget::new(20);
        let taken = (0..1000).filter(|_| {
            budget.earn();
            budget.take()
        });
        assert_eq!(taken.count(), 10 + 200);
        let none = RetryBudget::new(0);
        assert_eq!((0..100).filter(|_| none.take()).count(), 10);
    }
}
