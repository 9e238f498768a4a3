//! [`KernelSet`]: the functions of a forward pass, compiled for one kind of processor.
//!
//! Each set is the same generic code (`ops`, `product`) in functions of their own target features, with the products
//! that this kind of processor is best at.
#![allow(unsafe_code)] // Functions with target features; a set is only had by who has the features.

use super::features;
use super::ops::{Attention, Bytes, Norm, Tables};
use super::product::Product;
use crate::precision::Kernels;

/// What a product takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operand {
    /// Floats, as they are.
    F32,
    /// bfloat16.
    Bf16,
    /// Bytes.
    Bytes,
}

/// The functions of a forward pass. To be called through [`KernelSet::of`] only, which checks the processor.
pub(super) struct KernelSet {
    /// Which ones.
    pub name: &'static str,
    /// What bfloat16 weights are multiplied with.
    pub bf16: Operand,
    /// What 8-bit weights are multiplied with.
    pub int8: Operand,
    /// Whether the thread needs AMX tiles.
    pub tiles: bool,
    embed: unsafe fn(&Tables<'_>, &[u32], &mut [f32]),
    layer_norm: unsafe fn(&Norm<'_>, &mut [f32]),
    to_bf16: unsafe fn(&[f32], &mut [u16]),
    scale: unsafe fn(&[f32], &[f32], &mut [f32]),
    to_bytes: unsafe fn(&[f32], usize, Option<&[f32]>, &mut Bytes<'_>),
    attention: unsafe fn(&mut Attention<'_>),
    multiply_f32: unsafe fn(&mut Product<'_>),
    multiply_bf16: unsafe fn(&mut Product<'_>),
    multiply_bytes: unsafe fn(&mut Product<'_>),
}

/// The functions that every set has, under its target features.
macro_rules! compiled_for {
    ($(#[$features:meta])? $simd:ty, $rows:literal, $columns:literal, $sixteen:literal, $wide:literal) => {
        use crate::cpu::ops::{self, Attention, Bytes, Norm, Tables};
        use crate::cpu::product::{self, Product};

        $(#[$features])?
        pub(super) unsafe fn embed(tables: &Tables<'_>, ids: &[u32], rows: &mut [f32]) {
            // SAFETY: this function has the features; so here and below.
            unsafe { ops::embed::<$simd>(tables, ids, rows) }
        }
        $(#[$features])?
        pub(super) unsafe fn layer_norm(norm: &Norm<'_>, rows: &mut [f32]) {
            unsafe { ops::layer_norm::<$simd>(norm, rows) }
        }
        $(#[$features])?
        pub(super) unsafe fn to_bf16(values: &[f32], halves: &mut [u16]) {
            unsafe { ops::to_bf16::<$simd>(values, halves) }
        }
        $(#[$features])?
        pub(super) unsafe fn scale(values: &[f32], factors: &[f32], to: &mut [f32]) {
            unsafe { ops::scale::<$simd>(values, factors, to) }
        }
        $(#[$features])?
        pub(super) unsafe fn to_bytes(values: &[f32], width: usize, factors: Option<&[f32]>, to: &mut Bytes<'_>) {
            unsafe { ops::to_bytes::<$simd>(values, width, factors, to) }
        }
        $(#[$features])?
        pub(super) unsafe fn attention(a: &mut Attention<'_>) {
            unsafe { ops::attention::<$simd, $rows, $sixteen, $wide>(a) }
        }
        $(#[$features])?
        pub(super) unsafe fn multiply_f32(product: &mut Product<'_>) {
            unsafe { product::multiply_f32::<$simd, $rows, $columns>(product) }
        }
    };
}

macro_rules! set {
    ($kernels:expr, $module:ident, bf16: $bf16:ident by $multiply_bf16:path, int8: $int8:ident by $multiply_bytes:path, tiles: $tiles:literal) => {
        KernelSet {
            name: $kernels.name(),
            bf16: Operand::$bf16,
            int8: Operand::$int8,
            tiles: $tiles,
            embed: $module::embed,
            layer_norm: $module::layer_norm,
            to_bf16: $module::to_bf16,
            scale: $module::scale,
            to_bytes: $module::to_bytes,
            attention: $module::attention,
            multiply_f32: $module::multiply_f32,
            multiply_bf16: $multiply_bf16,
            multiply_bytes: $multiply_bytes,
        }
    };
}

mod portable {
    compiled_for!(crate::cpu::simd::portable::Portable, 2, 4, 4, 4);
}

#[cfg(target_arch = "aarch64")]
mod neon {
    compiled_for!(
        #[target_feature(enable = "neon")]
        crate::cpu::simd::neon::Neon,
        4,
        4,
        4,
        4
    );
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    compiled_for!(
        #[target_feature(enable = "avx2,fma,f16c")]
        crate::cpu::simd::avx2::Avx2,
        4,
        2,
        2,
        2
    );
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    compiled_for!(
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
        crate::cpu::simd::avx512::Avx512,
        8,
        2,
        1,
        2
    );

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    pub(super) unsafe fn multiply_vnni(product: &mut Product<'_>) {
        // SAFETY: this function has the features.
        unsafe { crate::cpu::vnni::multiply(product) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
    pub(super) unsafe fn multiply_amx(product: &mut Product<'_>) {
        // SAFETY: who has the set `amx` has AMX, and configured tiles.
        unsafe { crate::cpu::amx::multiply(product) }
    }
}

static PORTABLE: KernelSet = set!(Kernels::Portable, portable, bf16: F32 by portable::multiply_f32, int8: F32 by portable::multiply_f32, tiles: false);

#[cfg(target_arch = "aarch64")]
static NEON: KernelSet =
    set!(Kernels::Neon, neon, bf16: F32 by neon::multiply_f32, int8: F32 by neon::multiply_f32, tiles: false);

#[cfg(target_arch = "x86_64")]
static AVX2: KernelSet =
    set!(Kernels::Avx2, avx2, bf16: F32 by avx2::multiply_f32, int8: F32 by avx2::multiply_f32, tiles: false);

#[cfg(target_arch = "x86_64")]
static AVX512: KernelSet =
    set!(Kernels::Avx512, avx512, bf16: F32 by avx512::multiply_f32, int8: F32 by avx512::multiply_f32, tiles: false);

#[cfg(target_arch = "x86_64")]
static AVX512_VNNI: KernelSet = set!(Kernels::Avx512, avx512, bf16: F32 by avx512::multiply_f32, int8: Bytes by avx512::multiply_vnni, tiles: false);

#[cfg(target_arch = "x86_64")]
static AMX: KernelSet =
    set!(Kernels::Amx, avx512, bf16: Bf16 by avx512::multiply_amx, int8: Bytes by avx512::multiply_amx, tiles: true);

impl KernelSet {
    /// The set that was asked for; `None` when this processor cannot run it.
    pub(super) fn of(kernels: Kernels) -> Option<&'static KernelSet> {
        let kernels = if kernels == Kernels::Auto { features::fastest() } else { kernels };
        if !features::has(kernels) {
            return None;
        }
        match kernels {
            #[cfg(target_arch = "x86_64")]
            Kernels::Amx => Some(&AMX),
            #[cfg(target_arch = "x86_64")]
            Kernels::Avx512 if features::x86::vnni() => Some(&AVX512_VNNI),
            #[cfg(target_arch = "x86_64")]
            Kernels::Avx512 => Some(&AVX512),
            #[cfg(target_arch = "x86_64")]
            Kernels::Avx2 => Some(&AVX2),
            #[cfg(target_arch = "aarch64")]
            Kernels::Neon => Some(&NEON),
            _ => Some(&PORTABLE),
        }
    }

    /// Runs `f` with AMX tiles configured for this thread, if the set needs them.
    pub(super) fn with_tiles<T>(&self, f: impl FnOnce() -> T) -> T {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: only the set `amx` wants tiles, and `of` has checked the processor and the system.
        let _tiles = self.tiles.then(|| unsafe { super::amx::Tiles::configure() });
        f()
    }

    /// See [`super::ops::embed`].
    pub(super) fn embed(&self, tables: &Tables<'_>, ids: &[u32], rows: &mut [f32]) {
        // SAFETY: `of` has checked the processor; so here and below.
        unsafe { (self.embed)(tables, ids, rows) }
    }

    /// See [`super::ops::layer_norm`].
    pub(super) fn layer_norm(&self, norm: &Norm<'_>, rows: &mut [f32]) {
        unsafe { (self.layer_norm)(norm, rows) }
    }

    /// See [`super::ops::to_bf16`].
    pub(super) fn to_bf16(&self, values: &[f32], halves: &mut [u16]) {
        unsafe { (self.to_bf16)(values, halves) }
    }

    /// See [`super::ops::to_bytes`].
    pub(super) fn to_bytes(&self, values: &[f32], width: usize, factors: Option<&[f32]>, to: &mut Bytes<'_>) {
        unsafe { (self.to_bytes)(values, width, factors, to) }
    }

    /// See [`super::ops::scale`].
    pub(super) fn scale(&self, values: &[f32], factors: &[f32], to: &mut [f32]) {
        unsafe { (self.scale)(values, factors, to) }
    }

    /// See [`super::ops::attention`].
    pub(super) fn attention(&self, attention: &mut Attention<'_>) {
        unsafe { (self.attention)(attention) }
    }

    /// Multiplies, by what the input is. With [`KernelSet::tiles`], this thread must have AMX tiles configured.
    pub(super) fn multiply(&self, product: &mut Product<'_>) {
        use super::product::Input;
        let multiply = match product.input {
            Input::F32(_) => self.multiply_f32,
            Input::Bf16(_) => self.multiply_bf16,
            Input::Bytes { .. } => self.multiply_bytes,
        };
        unsafe { multiply(product) }
    }
}
