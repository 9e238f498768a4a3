//! [`Planes`]: the bytes of a block of flat rows. A block that will likely be full is a mapping of its own: a burst of rows that has gone
//! into a graph leaves nothing behind, where an allocator would keep its memory.

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

/// Bytes that grow at the end.
pub(crate) enum Planes {
    /// In small steps.
    Heap(Vec<u8>),
    /// All room at once; the system gives memory as it is first written.
    Mapped {
        /// The room.
        map: MmapMut,
        /// Bytes in use.
        len: usize,
    },
}

impl Default for Planes {
    fn default() -> Planes {
        Planes::Heap(Vec::new())
    }
}

impl Planes {
    /// Makes room for `more` bytes beyond those in use.
    pub(crate) fn reserve(&mut self, more: usize) {
        if let Planes::Heap(bytes) = self {
            bytes.reserve_exact(more);
        }
    }

    /// Room for `all` bytes in a mapping of their own, unless bytes are in use or the system refuses.
    pub(crate) fn map(&mut self, all: usize) {
        if self.is_empty()
            && let Ok(map) = MmapMut::map_anon(all.max(1))
        {
            *self = Planes::Mapped { map, len: 0 };
        }
    }

    /// Adds bytes at the end. Those of a mapping that is full go to the heap with the others.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        match self {
            Planes::Mapped { map, len } if *len + bytes.len() <= map.len() => {
                map[*len..*len + bytes.len()].copy_from_slice(bytes);
                *len += bytes.len();
            }
            Planes::Mapped { map, len } => {
                let mut all = map[..*len].to_vec();
                all.extend_from_slice(bytes);
                *self = Planes::Heap(all);
            }
            Planes::Heap(all) => all.extend_from_slice(bytes),
        }
    }

    /// Forgets all bytes from `upto` on.
    pub(crate) fn truncate(&mut self, upto: usize) {
        match self {
            Planes::Heap(bytes) => bytes.truncate(upto),
            Planes::Mapped { len, .. } => *len = upto.min(*len),
        }
    }

    /// Gives back what is not in use.
    pub(crate) fn shrink(&mut self) {
        match self {
            Planes::Heap(bytes) => bytes.shrink_to_fit(),
            Planes::Mapped { map, len } => *self = Planes::Heap(map[..*len].to_vec()),
        }
    }

    /// Memory in bytes: of a mapping, the whole pages written so far.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Planes::Heap(bytes) => bytes.capacity(),
            Planes::Mapped { len, .. } => len.next_multiple_of(4096),
        }
    }
}

impl Deref for Planes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Planes::Heap(bytes) => bytes,
            Planes::Mapped { map, len } => &map[..*len],
        }
    }
}

impl DerefMut for Planes {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Planes::Heap(bytes) => bytes,
            Planes::Mapped { map, len } => &mut map[..*len],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_and_heap_hold_the_same() {
        let (mut heap, mut mapped) = (Planes::default(), Planes::default());
        mapped.map(100);
        for (step, part) in [&b"one"[..], b"", b"three", &[7; 60]].into_iter().enumerate() {
            heap.reserve(part.len());
            heap.extend(part);
            mapped.extend(part);
            heap.truncate(50 - step);
            mapped.truncate(50 - step);
            mapped[0] = step as u8;
            heap[0] = step as u8;
            assert_eq!(*heap, *mapped);
        }
        mapped.map(1000);
        assert_eq!(*heap, *mapped, "what is in use stays");
        (0..3).for_each(|_| {
            heap.extend(&[9; 30]);
            mapped.extend(&[9; 30]);
        });
        assert!(matches!(mapped, Planes::Heap(_)) && *heap == *mapped, "more than was mapped");
        mapped.truncate(4);
        mapped.shrink();
        assert_eq!((&*mapped, mapped.bytes()), (&heap[..4], 4));
    }
}
