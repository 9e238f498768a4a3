//! A line for each asker, taken from in turn. No locks and no texts: only who is next, and who has to yield.
//!
//! The turn goes by texts, not by tokens: a text's tokens are known only once it was read, which is a worker's work,
//! and a turn is bounded anyway, by what one batch holds. So nobody's next text waits for more batches than there are
//! askers, however many texts the others have.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// One line for each asker that has something waiting.
pub(crate) struct Lines<A, T> {
    /// No line is empty.
    lines: HashMap<A, VecDeque<T>>,
    /// Whose turn it is, the next one first; each asker with a line stands here once.
    turns: VecDeque<A>,
}

impl<A: Copy + Eq + Hash, T> Lines<A, T> {
    /// No lines.
    pub(crate) fn new() -> Lines<A, T> {
        Lines { lines: HashMap::new(), turns: VecDeque::new() }
    }

    /// Puts `item` at the end of the asker's line. One who had nothing waiting is the last to have a turn.
    pub(crate) fn push(&mut self, asker: A, item: T) {
        self.line(asker).push_back(item);
    }

    /// Puts back what was taken and could not be served: it stays the next one, and the turn is not lost.
    pub(crate) fn put_back(&mut self, asker: A, item: T) {
        self.line(asker).push_front(item);
        self.turns.retain(|&other| other != asker);
        self.turns.push_front(asker);
    }

    /// Puts back what was taken and served in part: the next of its asker, whose turn is over for now.
    pub(crate) fn go_on(&mut self, asker: A, item: T) {
        self.line(asker).push_front(item);
    }

    /// What was just taken was nothing to serve: the asker's next item, if there is one, has the turn.
    pub(crate) fn keep_turn(&mut self, asker: A) {
        if self.turns.back() == Some(&asker) {
            self.turns.rotate_right(1);
        }
    }

    /// Takes the first item of the asker whose turn it is.
    pub(crate) fn take(&mut self) -> Option<(A, T)> {
        let asker = self.turns.pop_front()?;
        let line = self.lines.get_mut(&asker)?;
        let item = line.pop_front()?;
        match line.is_empty() {
            true => drop(self.lines.remove(&asker)),
            false => self.turns.push_back(asker),
        }
        Some((asker, item))
    }

    /// What one asker's items are together, by the size of each.
    pub(crate) fn held(&self, asker: A, size: impl Fn(&T) -> usize) -> usize {
        self.lines.get(&asker).map_or(0, |line| line.iter().map(size).sum())
    }

    /// Who of those that `counts` holds most, the one furthest from a turn where several do.
    pub(crate) fn greediest(&self, counts: impl Fn(A) -> bool, size: impl Fn(&T) -> usize) -> Option<A> {
        self.turns.iter().copied().filter(|&asker| counts(asker)).max_by_key(|&asker| self.held(asker, &size))
    }

    /// The newest item of an asker.
    pub(crate) fn newest(&self, asker: A) -> Option<&T> {
        self.lines.get(&asker)?.back()
    }

    /// Takes the newest item of an asker.
    pub(crate) fn take_newest(&mut self, asker: A) -> Option<T> {
        let line = self.lines.get_mut(&asker)?;
        let item = line.pop_back();
        if line.is_empty() {
            self.lines.remove(&asker);
            self.turns.retain(|&other| other != asker);
        }
        item
    }

    /// Drops what `keep` refuses.
    pub(crate) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.lines.retain(|_, line| {
            line.retain(&keep);
            !line.is_empty()
        });
        self.turns.retain(|asker| self.lines.contains_key(asker));
    }

    /// All items of askers that `counts`, in no order.
    pub(crate) fn all(&self, counts: impl Fn(A) -> bool) -> impl Iterator<Item = &T> {
        self.lines.iter().filter(move |&(&asker, _)| counts(asker)).flat_map(|(_, line)| line)
    }

    /// Empties all lines, in no order.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        self.turns.clear();
        self.lines.drain().flat_map(|(_, line)| line).collect()
    }

    fn line(&mut self, asker: A) -> &mut VecDeque<T> {
        let turns = &mut self.turns;
        self.lines.entry(asker).or_insert_with(|| {
            turns.push_back(asker);
            VecDeque::new()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order(lines: &mut Lines<char, u32>) -> Vec<(char, u32)> {
        std::iter::from_fn(|| lines.take()).collect()
    }

    #[test]
    fn askers_are_served_in_turn() {
        let mut lines = Lines::new();
        (0..4).for_each(|number| lines.push('a', number));
        lines.push('b', 10);
        (20..22).for_each(|number| lines.push('c', number));
        assert_eq!(lines.greediest(|_| true, |_| 1), Some('a'));
        assert_eq!(lines.greediest(|_| true, |&number| number as usize), Some('c'), "by another size");
        assert_eq!(order(&mut lines), [('a', 0), ('b', 10), ('c', 20), ('a', 1), ('c', 21), ('a', 2), ('a', 3)]);
        assert!(lines.lines.is_empty() && lines.turns.is_empty());
    }

    #[test]
    fn put_back_keeps_the_turn_and_going_on_ends_it() {
        let mut lines = Lines::new();
        for (asker, number) in [('a', 1), ('a', 2), ('b', 3)] {
            lines.push(asker, number);
        }
        let (asker, number) = lines.take().unwrap();
        lines.put_back(asker, number);
        assert_eq!(lines.take(), Some(('a', 1)));
        lines.keep_turn('a');
        assert_eq!(lines.take(), Some(('a', 2)));
        lines.put_back('a', 2);
        assert_eq!(lines.take(), Some(('a', 2)));
        lines.push('a', 2);
        lines.go_on('a', 1);
        assert_eq!(order(&mut lines), [('b', 3), ('a', 1), ('a', 2)]);
        lines.put_back('z', 9);
        assert_eq!(order(&mut lines), [('z', 9)]);
    }

    #[test]
    fn the_newest_of_the_greediest_goes_first() {
        let mut lines = Lines::new();
        for (asker, number) in [('a', 1), ('b', 2), ('b', 3), ('a', 4)] {
            lines.push(asker, number);
        }
        assert_eq!(lines.greediest(|_| true, |_| 1), Some('b'), "the one furthest from a turn");
        assert_eq!(lines.take_newest('b'), Some(3));
        assert_eq!(lines.take_newest('b'), Some(2));
        assert_eq!((lines.take_newest('b'), lines.greediest(|asker| asker != 'a', |_| 1)), (None, None));
        assert_eq!(order(&mut lines), [('a', 1), ('a', 4)]);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(u8),
        Serve,
        PutBack,
        GoOn,
        Cancel(u32),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0u8..5).prop_map(Step::Push),
            3 => Just(Step::Serve),
            1 => Just(Step::PutBack),
            1 => Just(Step::GoOn),
            1 => (0u32..60).prop_map(Step::Cancel),
        ];
        proptest::collection::vec(step, 0..200)
    }

    proptest! {
        /// Whatever happens, nothing is lost or served twice, an asker's items keep their order, and nobody waits for
        /// more turns than there are askers.
        #[test]
        fn everyone_has_a_turn_and_nothing_is_lost(steps in steps()) {
            let mut lines: Lines<u8, u32> = Lines::new();
            let (mut next, mut in_line) = (0, Vec::<(u8, u32)>::new());
            let mut waited: HashMap<u8, usize> = HashMap::new();
            for step in steps {
                match step {
                    Step::Push(asker) => {
                        lines.push(asker, next);
                        in_line.push((asker, next));
                        next += 1;
                    }
                    Step::Serve | Step::PutBack | Step::GoOn => {
                        let Some((asker, item)) = lines.take() else {
                            prop_assert!(in_line.is_empty());
                            continue;
                        };
                        let first = in_line.iter().find(|(other, _)| *other == asker);
                        prop_assert_eq!(first, Some(&(asker, item)));
                        match step {
                            Step::PutBack => lines.put_back(asker, item),
                            Step::GoOn => lines.go_on(asker, item),
                            _ => in_line.retain(|(_, other)| *other != item),
                        }
                        if !matches!(step, Step::PutBack) {
                            waited.remove(&asker);
                            let others: std::collections::HashSet<u8> =
                                in_line.iter().map(|(other, _)| *other).filter(|other| *other != asker).collect();
                            for other in others {
                                let turns = waited.entry(other).or_insert(0);
                                *turns += 1;
                                prop_assert!(*turns < 5, "asker {} waited for {} turns", other, turns);
                            }
                        }
                    }
                    Step::Cancel(item) => {
                        lines.retain(|other| *other != item);
                        in_line.retain(|(_, other)| *other != item);
                        waited.retain(|asker, _| in_line.iter().any(|(other, _)| other == asker));
                    }
                }
                prop_assert_eq!(lines.all(|_| true).count(), in_line.len());
            }
            let mut left = lines.drain();
            left.sort_unstable();
            in_line.sort_unstable_by_key(|(_, item)| *item);
            prop_assert_eq!(left, in_line.into_iter().map(|(_, item)| item).collect::<Vec<_>>());
            prop_assert!(lines.take().is_none());
        }
    }
}
