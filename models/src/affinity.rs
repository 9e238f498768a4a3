//! Worker threads bound to cores, so that a core's caches keep the weights. Linux only; elsewhere nothing is bound.

use std::collections::BTreeSet;

use crate::error::ModelError;

/// Which cores the workers are bound to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Affinity {
    /// None: the system moves them as it sees fit, and is free to do so when other work comes.
    #[default]
    Off,
    /// The first worker to the last core that this process may use, the second to the one before it, and so on;
    /// interrupts and other programs tend to be on the first ones. More workers than cores share them.
    Each,
    /// Workers to these cores, in this order; more workers than cores share them.
    Cores(Vec<usize>),
}

impl Affinity {
    /// The core of each worker.
    ///
    /// # Errors
    /// [`ModelError::Setting`] when a core is named that this process may not use.
    pub(crate) fn plan(&self, workers: usize) -> Result<Vec<Option<usize>>, ModelError> {
        if *self == Affinity::Off {
            return Ok(vec![None; workers]);
        }
        match allowed() {
            Ok(allowed) => self.plan_among(&allowed, workers),
            Err(problem) => {
                tracing::warn!(problem, "embedding threads are not bound to cores");
                Ok(vec![None; workers])
            }
        }
    }

    fn plan_among(&self, allowed: &BTreeSet<usize>, workers: usize) -> Result<Vec<Option<usize>>, ModelError> {
        let cores: Vec<usize> = match self {
            Affinity::Off => Vec::new(),
            Affinity::Each => allowed.iter().rev().copied().collect(),
            Affinity::Cores(cores) => cores.clone(),
        };
        if let Some(stranger) = cores.iter().find(|core| !allowed.contains(core)) {
            let usable = allowed.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
            let problem = format!("names core {stranger}, but this process may use only {usable}");
            return Err(ModelError::Setting { setting: "pin", problem });
        }
        Ok((0..workers).map(|worker| cores.get(worker % cores.len().max(1)).copied()).collect())
    }
}

/// The cores that this process may use, as its cgroup and affinity mask have it.
#[cfg(target_os = "linux")]
fn allowed() -> Result<BTreeSet<usize>, String> {
    use rustix::thread::{CpuSet, sched_getaffinity};
    let set = sched_getaffinity(None).map_err(|error| format!("the system does not say which may be used: {error}"))?;
    Ok((0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect())
}

#[cfg(not(target_os = "linux"))]
fn allowed() -> Result<BTreeSet<usize>, String> {
    Err("this system has no call for it that askonce knows".into())
}

/// Binds the calling thread to a core. A refusal is logged: the thread works without as well.
#[cfg(target_os = "linux")]
pub(crate) fn pin_this_thread(core: usize) {
    use rustix::thread::{CpuSet, sched_setaffinity};
    let mut set = CpuSet::new();
    set.set(core);
    if let Err(error) = sched_setaffinity(None, &set) {
        tracing::warn!(%error, core, "an embedding thread is not bound to its core");
    }
}

/// Does nothing.
#[cfg(not(target_os = "linux"))]
pub(crate) fn pin_this_thread(_core: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_go_round_the_allowed_cores() {
        let allowed = BTreeSet::from([2, 3, 7]);
        let plan = |pin: Affinity, workers| pin.plan_among(&allowed, workers);
        assert_eq!(plan(Affinity::Each, 4).unwrap(), [Some(7), Some(3), Some(2), Some(7)]);
        assert_eq!(plan(Affinity::Cores(vec![3]), 2).unwrap(), [Some(3), Some(3)]);
        assert_eq!(plan(Affinity::Cores(Vec::new()), 2).unwrap(), [None, None]);
        assert_eq!(Affinity::Off.plan(2).unwrap(), [None, None]);
        let error = plan(Affinity::Cores(vec![2, 4]), 1).unwrap_err().to_string();
        assert_eq!(error, "embedder setting pin: names core 4, but this process may use only 2, 3, 7");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pinned_thread_may_use_one_core() {
        let last = *allowed().unwrap().last().unwrap();
        assert_eq!(Affinity::Each.plan(1).unwrap(), [Some(last)]);
        let seen = std::thread::spawn(move || {
            pin_this_thread(last);
            allowed().unwrap()
        });
        assert_eq!(seen.join().unwrap(), BTreeSet::from([last]));
    }
}
