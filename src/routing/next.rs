//! After a failure: try again, go on to the next target, or give up. A pure choice.

use crate::config;
use crate::types::error::Error;
use std::time::Duration;

/// What has been tried so far.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Tried {
    /// Tries at this target, the failed one included.
    pub tries: u32,
    /// There is a next target.
    pub more_targets: bool,
    /// Time since the first try at the first target.
    pub elapsed: Duration,
    /// A number in [0, 1) that spreads waits.
    pub jitter: f64,
}

/// What to do next.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Next {
    /// The same target again, after this wait; draws on the retry budget.
    Retry(Duration),
    /// The next target, at once.
    NextTarget,
    /// Tell the caller.
    GiveUp,
}

/// Chooses after `error`. Nothing of an answer may have reached the caller.
pub fn next(error: &Error, tried: Tried, settings: &config::Retry) -> Next {
    if !error.is_target_fault() || tried.elapsed >= settings.total_timeout {
        return Next::GiveUp;
    }
    let instead = if tried.more_targets { Next::NextTarget } else { Next::GiveUp };
    if !error.is_transient() || tried.tries >= settings.attempts {
        return instead;
    }
    let wait = match error.retry_after {
        // Somebody else may answer sooner than that.
        Some(_) if tried.more_targets => return Next::NextTarget,
        Some(asked) if asked > settings.retry_after_max => return instead,
        Some(asked) => asked,
        None => backoff(tried, settings),
    };
    if tried.elapsed + wait >= settings.total_timeout { instead } else { Next::Retry(wait) }
}

/// Doubles with each try; between half and all of it, so that callers do not come back in step.
fn backoff(tried: Tried, settings: &config::Retry) -> Duration {
    let doubled = settings.backoff.saturating_mul(1u32.checked_shl(tried.tries.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(settings.backoff_max).mul_f64(0.5 + 0.5 * tried.jitter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::error::ErrorKind;

    #[test]
    fn chooses() {
        let settings = config::Retry {
            attempts: 3,
            backoff: Duration::from_millis(200),
            backoff_max: Duration::from_millis(500),
            retry_after_max: Duration::from_secs(20),
            budget_percent: 20,
            total_timeout: Duration::from_secs(60),
        };
        let error = |kind| Error::new(kind, "x");
        let status = |status| error(ErrorKind::UpstreamStatus(status));
        let after = |status: u16, seconds| Error {
            retry_after: Some(Duration::from_secs(seconds)),
            ..error(ErrorKind::UpstreamStatus(status))
        };
        let retry = |ms| Next::Retry(Duration::from_millis(ms));
        let table = [
            (status(500), 1, false, 0, retry(100)),
            (status(500), 2, false, 0, retry(200)),
            (status(503), 1, true, 0, retry(100)),
            (status(500), 3, true, 0, Next::NextTarget),
            (status(500), 3, false, 0, Next::GiveUp),
            (after(429, 5), 1, false, 0, retry(5000)),
            (after(429, 5), 1, true, 0, Next::NextTarget),
            (after(429, 21), 1, false, 0, Next::GiveUp),
            (after(429, 5), 1, false, 58, Next::GiveUp),
            (status(400), 1, true, 0, Next::GiveUp),
            (status(401), 1, true, 0, Next::NextTarget),
            (status(404), 1, false, 0, Next::GiveUp),
            (error(ErrorKind::UpstreamUnreachable), 1, true, 0, retry(100)),
            (error(ErrorKind::UpstreamTimeout), 3, true, 61, Next::GiveUp),
            (error(ErrorKind::InvalidRequest), 1, true, 0, Next::GiveUp),
        ];
        for (error, tries, more_targets, elapsed_s, expected) in table {
            let tried = Tried { tries, more_targets, elapsed: Duration::from_secs(elapsed_s), jitter: 0.0 };
            assert_eq!(next(&error, tried, &settings), expected, "{error:?} {tried:?}");
        }
    }
}
