//! Which kernels this processor has.

use crate::precision::Kernels;

/// Whether `kernels` can run here; `Auto` always can.
pub(super) fn has(kernels: Kernels) -> bool {
    match kernels {
        Kernels::Auto | Kernels::Portable => true,
        Kernels::Neon => cfg!(target_arch = "aarch64"),
        #[cfg(target_arch = "x86_64")]
        Kernels::Avx2 => x86::avx2(),
        #[cfg(target_arch = "x86_64")]
        Kernels::Avx512 => x86::avx512(),
        #[cfg(target_arch = "x86_64")]
        Kernels::Amx => x86::amx(),
        #[cfg(not(target_arch = "x86_64"))]
        Kernels::Avx2 | Kernels::Avx512 | Kernels::Amx => false,
    }
}

/// The fastest that can run here.
pub(super) fn fastest() -> Kernels {
    Kernels::ALL.into_iter().find(|&kernels| has(kernels)).unwrap_or(Kernels::Portable)
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    //! What an x86-64 processor has.
    #![allow(unsafe_code)] // CPUID, and one system call.

    use std::arch::is_x86_feature_detected as is;
    use std::sync::LazyLock;

    pub(in crate::cpu) fn avx2() -> bool {
        is!("avx2") && is!("fma") && is!("f16c")
    }

    pub(in crate::cpu) fn avx512() -> bool {
        avx2() && is!("avx512f") && is!("avx512bw") && is!("avx512dq") && is!("avx512vl")
    }

    pub(in crate::cpu) fn vnni() -> bool {
        avx512() && is!("avx512vnni")
    }

    pub(in crate::cpu) fn amx() -> bool {
        static AMX: LazyLock<bool> = LazyLock::new(|| avx512() && has_tiles() && may_use_tiles());
        *AMX
    }

    /// AMX-TILE, AMX-BF16 and AMX-INT8: bits 24, 22 and 25 of EDX in CPUID's leaf 7.
    fn has_tiles() -> bool {
        const ALL: u32 = 1 << 24 | 1 << 22 | 1 << 25;
        let leaf = std::arch::x86_64::__cpuid_count(7, 0);
        leaf.edx & ALL == ALL
    }

    /// Asks the system for the tiles' state, once for the whole process: it is given to nobody unasked.
    #[cfg(target_os = "linux")]
    fn may_use_tiles() -> bool {
        const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
        const XFEATURE_XTILEDATA: libc::c_long = 18;
        // SAFETY: it reads and writes no memory of ours.
        unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
    }

    #[cfg(not(target_os = "linux"))]
    fn may_use_tiles() -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_can_run() {
        assert!(has(fastest()));
        assert!(has(Kernels::Portable));
    }
}
