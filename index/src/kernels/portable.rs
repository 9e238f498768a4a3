//! Plain loops: what any processor can do, and what the others are tested against.

use super::Kernels;

pub(super) static KERNELS: Kernels = Kernels { name: "portable", dots, four, between, near };

unsafe fn dots(query: &[i8], rows: &[*const u8], sums: &mut [i32]) {
    for (row, sum) in rows.iter().zip(sums) {
        // SAFETY: the caller of `Kernels::dots` vouches for the pointers.
        let row = unsafe { std::slice::from_raw_parts(*row, query.len()) };
        *sum = dot(row, query);
    }
}

fn dot(row: &[u8], query: &[i8]) -> i32 {
    row.iter().zip(query).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

unsafe fn four(high: &[u8], low: &[u8], query_high: &[i8], query_low: &[i8]) -> [i32; 4] {
    [dot(high, query_high), dot(high, query_low), dot(low, query_high), dot(low, query_low)]
}

unsafe fn between(a: &[u8], b: &[u8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| (i32::from(*a) - 128) * (i32::from(*b) - 128)).sum()
}

unsafe fn near(signature: &[u64], rows: &[u64], most: u32, near: &mut [u8]) {
    for (group, near) in rows.chunks_exact(8 * signature.len()).zip(near) {
        let mut counts = [0; 8];
        for (words, of_query) in group.chunks_exact(8).zip(signature) {
            for (count, word) in counts.iter_mut().zip(words) {
                *count += (word ^ of_query).count_ones();
            }
        }
        *near = counts.iter().rev().fold(0, |near, count| near << 1 | u8::from(*count <= most));
    }
}
