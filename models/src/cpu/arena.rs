//! [`Arena`]: zeroed memory on cache line or huge page boundaries.
#![allow(unsafe_code)] // The allocator's own interface; a Vec cannot be aligned.

use std::alloc::{self, Layout};
use std::ptr::NonNull;

/// A cache line, and a whole AVX-512 vector.
const LINE: usize = 64;
/// A huge page of x86-64 and AArch64.
const HUGE: usize = 2 << 20;

/// Zeroed bytes of a fixed number. Plain data: shared like a slice.
pub(crate) struct Arena {
    start: NonNull<u8>,
    layout: Layout,
    len: usize,
}

// SAFETY: it owns its memory, and hands it out by the rules of borrowing.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Arena {
    /// `len` zeroed bytes, aligned to a cache line. From a huge page on, the system is asked for huge pages: reading
    /// tens of megabytes front to back would otherwise wait for the page table.
    pub(crate) fn zeroed(len: usize) -> Arena {
        let huge = len >= HUGE;
        let align = if huge { HUGE } else { LINE };
        let size = len.max(1).next_multiple_of(align);
        let Ok(layout) = Layout::from_size_align(size, align) else { alloc::handle_alloc_error(Layout::new::<u8>()) };
        if huge {
            return Arena { start: huge_zeroed(layout), layout, len };
        }
        // SAFETY: the layout's size is not 0.
        let start = unsafe { alloc::alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { alloc::handle_alloc_error(layout) };
        Arena { start, layout, len }
    }

    /// Bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// All bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.view()
    }

    /// All bytes, to be written.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.view_mut()
    }
}

/// Numbers of which any bytes are some.
///
/// # Safety
/// Every pattern of bytes is a value, and there is no padding.
pub(crate) unsafe trait Plain: Copy {}
// SAFETY: true of all numbers of the machine; so below.
unsafe impl Plain for u8 {}
// SAFETY: see above.
unsafe impl Plain for u16 {}
// SAFETY: see above.
unsafe impl Plain for u64 {}
// SAFETY: see above.
unsafe impl Plain for f32 {}

impl Arena {
    /// All whole numbers of a kind.
    pub(crate) fn view<T: Plain>(&self) -> &[T] {
        // SAFETY: the memory is aligned to a cache line and holds this many; any bytes are values.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.len / size_of::<T>()) }
    }

    /// All whole numbers of a kind, to be written.
    pub(crate) fn view_mut<T: Plain>(&mut self) -> &mut [T] {
        // SAFETY: as above, and borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), self.len / size_of::<T>()) }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: allocated by `zeroed` with this layout.
        unsafe { alloc::dealloc(self.start.as_ptr(), self.layout) }
    }
}

/// Zeroed memory in which the system was asked for huge pages before any of it was touched: where it is zeroed first, it
/// consists of small ones by then.
fn huge_zeroed(layout: Layout) -> NonNull<u8> {
    // SAFETY: the layout's size is not 0.
    let start = unsafe { alloc::alloc(layout) };
    let Some(start) = NonNull::new(start) else { alloc::handle_alloc_error(layout) };
    #[cfg(target_os = "linux")]
    // SAFETY: the range is ours and page-aligned; the advice changes no content. Refused, nothing is lost but speed.
    unsafe {
        libc::madvise(start.as_ptr().cast(), layout.size(), libc::MADV_HUGEPAGE)
    };
    // SAFETY: the range is ours.
    unsafe { start.as_ptr().write_bytes(0, layout.size()) };
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_zeroed_aligned_and_of_the_asked_length() {
        for len in [0, 1, 63, 64, 1000, HUGE - 1, HUGE, HUGE + 1] {
            let mut arena = Arena::zeroed(len);
            assert_eq!((arena.len(), arena.bytes().len()), (len, len));
            assert!(arena.bytes().iter().all(|&byte| byte == 0));
            assert_eq!(arena.start.as_ptr().addr() % LINE, 0);
            arena.bytes_mut().fill(7);
            assert!(arena.bytes().iter().all(|&byte| byte == 7));
        }
    }
}
