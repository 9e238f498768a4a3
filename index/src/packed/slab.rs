//! [`Slab`]: a table of rows that grows without ever moving one, so that readers need no lock.
//!
//! Rows lie in buckets, each twice as large as the one before. A bucket is one anonymous mapping: the system gives it
//! memory as rows are first written, so that the half-empty last bucket costs address space, not memory.
#![allow(unsafe_code)] // Raw rows; every access is bounded by `room`, and who may write a row is said where it is written.

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use parking_lot::Mutex;

/// Buckets at most: 2²⁰ times the first.
const BUCKETS: usize = 21;

/// Buckets from this size on begin at a multiple of it, and are asked to be on huge pages, which spare a walk most of its misses
/// in the page tables.
#[cfg(not(miri))]
const HUGE: usize = 2 << 20;

/// Types whose zero bytes are a value.
///
/// # Safety
/// All bytes zero must be a valid value, and dropping one must do nothing.
pub(super) unsafe trait Zero {}

// SAFETY: integers, and atomics of the same layout.
unsafe impl Zero for u8 {}
unsafe impl Zero for u16 {}
unsafe impl Zero for u32 {}
unsafe impl Zero for u64 {}
unsafe impl Zero for std::sync::atomic::AtomicU8 {}
unsafe impl Zero for std::sync::atomic::AtomicU32 {}
unsafe impl Zero for std::sync::atomic::AtomicU64 {}

/// Rows of `stride` values each, zero at first.
pub(super) struct Slab<T> {
    stride: usize,
    /// log2 of the rows of the first bucket.
    first: u32,
    /// Each points as far before its bucket as the rows' numbers begin above 0, so that a row's address is one
    /// multiplication and one addition away.
    biased: [AtomicPtr<T>; BUCKETS],
    /// Rows that there is room for.
    room: AtomicUsize,
    regions: Mutex<Vec<Region>>,
}

impl<T: Zero> Slab<T> {
    /// An empty one, its first bucket of `2^first` rows.
    pub(super) fn new(stride: usize, first: u32) -> Slab<T> {
        Slab {
            stride,
            first,
            biased: std::array::from_fn(|_| AtomicPtr::new(std::ptr::null_mut())),
            room: AtomicUsize::new(0),
            regions: Mutex::new(Vec::new()),
        }
    }

    /// Makes room for `rows` rows; false when the system has no memory, or the slab no more buckets.
    pub(super) fn reserve(&self, rows: usize) -> bool {
        if rows <= self.room.load(Ordering::Acquire) {
            return true;
        }
        let mut regions = self.regions.lock();
        while self.room.load(Ordering::Relaxed) < rows {
            let bucket = regions.len();
            let count = 1_usize << (self.first as usize + bucket);
            let Some(region) =
                (bucket < BUCKETS).then(|| Region::zeroed(count * self.stride * size_of::<T>())).flatten()
            else {
                return false;
            };
            let biased = region.begin.cast::<T>().wrapping_sub(count * self.stride);
            regions.push(region);
            self.biased[bucket].store(biased, Ordering::Release);
            self.room.fetch_add(count, Ordering::Release);
        }
        true
    }

    /// Where a row begins: good for `stride` values, as long as the slab lives. `row` is below what was reserved.
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> *mut T {
        let number = row + (1 << self.first);
        let bucket = (number.ilog2() - self.first) as usize;
        debug_assert!(row < self.room.load(Ordering::Acquire), "row {row} was reserved");
        // The bucket was stored before anybody came to know of the row; a reader's knowledge is ordered after that.
        self.biased[bucket].load(Ordering::Relaxed).wrapping_add(number * self.stride)
    }

    /// A row of atomics or of values that nobody writes meanwhile.
    ///
    /// # Safety
    /// `row` was reserved; unless `T` is atomic, nobody writes the row while the slice lives.
    #[inline(always)]
    pub(super) unsafe fn values(&self, row: usize) -> &[T] {
        // SAFETY: the caller's; a bucket holds whole rows.
        unsafe { std::slice::from_raw_parts(self.row(row), self.stride) }
    }

    /// A row to write into.
    ///
    /// # Safety
    /// `row` was reserved, and nobody else reads or writes it while the slice lives.
    #[allow(clippy::mut_from_ref, reason = "rows are apart from each other; whose turn it is, is the caller's promise")]
    pub(super) unsafe fn values_mut(&self, row: usize) -> &mut [T] {
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.row(row), self.stride) }
    }

    /// Bytes of `rows` rows.
    pub(super) fn bytes(&self, rows: usize) -> u64 {
        (rows * self.stride * size_of::<T>()) as u64
    }
}

/// Memory of a bucket.
struct Region {
    begin: *mut u8,
    /// Unmaps it when it is dropped.
    _memory: Memory,
}

#[cfg(not(miri))]
type Memory = memmap2::MmapMut;
#[cfg(miri)]
type Memory = Vec<u64>;

// SAFETY: the pointer is to memory that the region owns; what threads do with it is the slab's business.
unsafe impl Send for Region {}
unsafe impl Sync for Region {}

impl Region {
    #[cfg(not(miri))]
    fn zeroed(bytes: usize) -> Option<Region> {
        let spare = if bytes >= HUGE { HUGE } else { 0 };
        let mut memory = memmap2::MmapMut::map_anon(bytes + spare).ok()?;
        #[cfg(target_os = "linux")]
        if spare > 0 {
            // A wish: without it, small pages do.
            let _ = memory.advise(memmap2::Advice::HugePage);
        }
        let skipped = if spare > 0 { memory.as_ptr().align_offset(HUGE) } else { 0 };
        Some(Region { begin: memory.as_mut_ptr().wrapping_add(skipped), _memory: memory })
    }

    #[cfg(miri)]
    fn zeroed(bytes: usize) -> Option<Region> {
        let mut memory = vec![0_u64; bytes.div_ceil(8)];
        Some(Region { begin: memory.as_mut_ptr().cast(), _memory: memory })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_place_and_begin_as_zeros() {
        let slab: Slab<u32> = Slab::new(3, 2);
        let mut places = Vec::new();
        for row in 0..200 {
            assert!(slab.reserve(row + 1));
            // SAFETY: reserved, and this thread is alone.
            let values = unsafe { slab.values_mut(row) };
            assert_eq!(values, [0; 3]);
            values.fill(row as u32);
            places.push(slab.row(row));
        }
        for (row, place) in places.into_iter().enumerate() {
            assert_eq!(slab.row(row), place);
            // SAFETY: nobody writes.
            assert_eq!(unsafe { slab.values(row) }, [row as u32; 3]);
        }
    }
}
