//! The controllers of all error budgets that are asked for: the default one, and those of requests that want another.

use super::budget::{Budget, Control};
use super::usual::Usual;
use std::sync::Arc;

/// Budgets that are remembered beside each other; the one that was unused the longest goes, never the default one.
const MOST_BUDGETS: usize = 64;

/// All controllers. There is always one, the default.
#[derive(Clone, Debug)]
pub(super) struct Budgets {
    /// The default one first.
    all: Vec<Budget>,
    /// What each begins with.
    usual: Arc<Usual>,
}

impl Budgets {
    /// Only the default one, of `delta`.
    pub(super) fn new(delta: f64, control: &Control, usual: &Arc<Usual>) -> Budgets {
        Budgets { all: vec![Budget::new(sound(delta), control, usual)], usual: usual.clone() }
    }

    /// The default one.
    pub(super) fn default(&self) -> &Budget {
        &self.all[0]
    }

    /// All, the default one first.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Budget> {
        self.all.iter()
    }

    /// The controller of `delta`, if there is one.
    pub(super) fn get(&self, delta: f64) -> Option<&Budget> {
        let delta = sound(delta);
        self.all.iter().find(|budget| budget.delta as f32 == delta)
    }

    /// The λ of `delta`; that of a new one, where it was never asked for.
    pub(super) fn lambda(&self, delta: f64, control: &Control) -> f32 {
        self.get(delta).map_or_else(|| Budget::new(sound(delta), control, &self.usual).lambda(), Budget::lambda)
    }

    /// The controller of `delta`, made where there is none. `now` is the learner's clock.
    pub(super) fn of(&mut self, delta: f64, now: u64, control: &Control) -> &mut Budget {
        let at = self.place(delta, control);
        let budget = &mut self.all[at];
        budget.used_at = now;
        budget
    }

    /// `delta` is the default from now on.
    pub(super) fn set_default(&mut self, delta: f64, control: &Control) {
        let at = self.place(delta, control);
        self.all.swap(0, at);
    }

    /// Puts those of a state file in place of these; none leaves them as they are.
    pub(super) fn restore(&mut self, mut all: Vec<Budget>) {
        all.truncate(MOST_BUDGETS);
        if !all.is_empty() {
            self.all = all;
        }
    }

    fn place(&mut self, delta: f64, control: &Control) -> usize {
        let delta = sound(delta);
        if let Some(at) = self.all.iter().position(|budget| budget.delta as f32 == delta) {
            return at;
        }
        if self.all.len() >= MOST_BUDGETS {
            let oldest = (1..self.all.len()).min_by_key(|at| self.all[*at].used_at);
            oldest.map(|at| self.all.swap_remove(at));
        }
        self.all.push(Budget::new(delta, control, &self.usual));
        self.all.len() - 1
    }
}

/// Compared as `f32`, as cases carry it; what is no share of requests allows none.
fn sound(delta: f64) -> f32 {
    if delta.is_nan() { 0.0 } else { delta.clamp(0.0, 1.0) as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_goes_and_never_the_default() {
        let control = Control::default();
        let mut budgets = Budgets::new(0.01, &control, &Arc::default());
        for at in 0..1000u32 {
            budgets.of(0.02 + f64::from(at) / 2000.0, u64::from(at), &control);
            budgets.of(0.3, u64::from(at), &control);
        }
        assert_eq!(budgets.iter().len(), MOST_BUDGETS);
        assert_eq!(budgets.default().delta as f32, 0.01);
        assert!(budgets.get(0.3).is_some() && budgets.get(0.02).is_none());
        budgets.set_default(0.3, &control);
        assert_eq!(budgets.default().delta as f32, 0.3);
    }

    #[test]
    fn what_is_no_share_allows_nothing_and_is_one_budget() {
        let control = Control::default();
        let mut budgets = Budgets::new(0.01, &control, &Arc::default());
        for wild in [f64::NAN, -1.0, f64::NEG_INFINITY, 0.0] {
            assert_eq!(budgets.of(wild, 1, &control).delta, 0.0);
        }
        assert_eq!(budgets.iter().len(), 2);
    }
}
