//! Who asks: the tag by which the queue is fair and the memo keeps its answers apart.

/// Who asks for a vector. The queue takes from each asker in turn, and what is remembered for one is never looked up
/// for another. Opaque: equal tags are one asker. Where there is only one user, `Asker::default()` will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Asker(u64);

impl Asker {
    /// The asker of this tag, such as the hash of a tenant's name. Two names with one tag share a turn in the queue
    /// and could tell from the time taken that the other asked the same; no vector is ever wrong for it.
    pub const fn new(tag: u64) -> Asker {
        Asker(tag)
    }
}
