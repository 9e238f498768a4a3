//! A node's links as words that readers and one writer share without a lock.
//!
//! A word is a node + 1; a zero ends the list. The writer (who holds the node's lock) stores each word with *release*, a reader loads
//! it with *acquire*: who sees a link sees all that was written to the node before it was linked. A reader beside a writer may
//! see some of the old list and some of the new one, an end too early, or a node twice; never anything else.

use std::sync::atomic::{AtomicU32, Ordering};

/// One word of a list.
pub(super) trait Word {
    /// Loads with acquire.
    fn get(&self) -> u32;
    /// Stores with release.
    fn put(&self, value: u32);
}

impl Word for AtomicU32 {
    #[inline(always)]
    fn get(&self) -> u32 {
        self.load(Ordering::Acquire)
    }

    #[inline(always)]
    fn put(&self, value: u32) {
        self.store(value, Ordering::Release);
    }
}

/// The nodes of a list.
#[inline(always)]
pub(super) fn nodes<W: Word>(words: &[W]) -> impl Iterator<Item = u32> {
    words.iter().map(Word::get).take_while(|word| *word != 0).map(|word| word - 1)
}

/// Adds a node if there is room.
pub(super) fn push<W: Word>(words: &[W], node: u32) -> bool {
    let free = words.iter().find(|word| word.get() == 0);
    if let Some(word) = free {
        word.put(node + 1);
    }
    free.is_some()
}

/// Replaces all nodes.
pub(super) fn set<W: Word>(words: &[W], nodes: &[u32]) {
    words.iter().zip(nodes).for_each(|(word, node)| word.put(node + 1));
    words.iter().skip(nodes.len()).for_each(|word| word.put(0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicU32 as Modelled;

    impl Word for Modelled {
        fn get(&self) -> u32 {
            self.load(Ordering::Acquire)
        }

        fn put(&self, value: u32) {
            self.store(value, Ordering::Release);
        }
    }

    #[test]
    fn a_list_is_what_was_put_into_it() {
        let words: Vec<AtomicU32> = (0..4).map(|_| AtomicU32::new(0)).collect();
        assert!(push(&words, 7) && push(&words, 0));
        assert_eq!(nodes(&words).collect::<Vec<_>>(), [7, 0]);
        set(&words, &[1, 2, 3, 4]);
        assert!(!push(&words, 5));
        set(&words, &[9]);
        assert_eq!(nodes(&words).collect::<Vec<_>>(), [9]);
    }

    /// In every order that the memory model allows.
    #[test]
    fn a_reader_sees_only_what_is_or_was_there_and_the_rows_behind() {
        loom::model(|| {
            let words: Arc<[Modelled; 2]> = Arc::new([Modelled::new(2), Modelled::new(3)]);
            let row = Arc::new(Modelled::new(0));
            let (theirs, their_row) = (Arc::clone(&words), Arc::clone(&row));
            let writer = loom::thread::spawn(move || {
                // A row is written, then linked: node 9 in the place of two others.
                their_row.store(77, Ordering::Relaxed);
                set(&theirs[..], &[9]);
                push(&theirs[..], 1);
            });
            let seen: Vec<u32> = nodes(&words[..]).collect();
            assert!(seen.iter().all(|node| [1, 2, 9].contains(node)), "{seen:?}");
            if seen.contains(&9) {
                assert_eq!(row.load(Ordering::Relaxed), 77);
            }
            writer.join().unwrap();
            assert_eq!(nodes(&words[..]).collect::<Vec<_>>(), [9, 1]);
        });
    }
}
