//! In which arithmetic a model runs, and on which kernels.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// The arithmetic of a model. Part of a vector's identity: vectors of different precisions are never compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats, by candle: the slow oracle that the others are held against.
    F32,
    /// bfloat16 weights and products, sums in 32-bit floats. Nearly the same vectors as `f32`.
    #[default]
    Bf16,
    /// Weights and activations in 8-bit integers with scales for groups of inputs. Where there are no products for that,
    /// activations are 32-bit floats.
    Int8,
}

/// Which instructions compute. They differ in speed, hardly in the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Kernels {
    /// The fastest that this processor has.
    #[default]
    Auto,
    /// x86-64 tile multiplication (AMX) beside AVX-512.
    Amx,
    /// x86-64 AVX-512 (F, BW, DQ, VL), with VNNI where there is one.
    Avx512,
    /// x86-64 AVX2 with FMA.
    Avx2,
    /// AArch64 NEON.
    Neon,
    /// Any processor.
    Portable,
}

impl Precision {
    /// All of them, the most exact first.
    pub const ALL: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::Int8];

    /// As written in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::Int8 => "int8",
        }
    }
}

impl Kernels {
    /// All but `auto`, the fastest first.
    pub const ALL: [Kernels; 5] = [Kernels::Amx, Kernels::Avx512, Kernels::Avx2, Kernels::Neon, Kernels::Portable];

    /// As written in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Kernels::Auto => "auto",
            Kernels::Amx => "amx",
            Kernels::Avx512 => "avx512",
            Kernels::Avx2 => "avx2",
            Kernels::Neon => "neon",
            Kernels::Portable => "portable",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Precision, String> {
        let found = Precision::ALL.into_iter().find(|precision| precision.name() == text);
        found.ok_or_else(|| format!("unknown precision `{text}`; expected `bf16`, `int8` or `f32`"))
    }
}

impl FromStr for Kernels {
    type Err = String;

    fn from_str(text: &str) -> Result<Kernels, String> {
        let mut all = Kernels::ALL.into_iter().chain([Kernels::Auto]);
        all.find(|kernels| kernels.name() == text).ok_or_else(|| {
            format!("unknown kernels `{text}`; expected `auto`, `amx`, `avx512`, `avx2`, `neon` or `portable`")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_wrong_ones_are_explained() {
        for precision in Precision::ALL {
            assert_eq!(precision.to_string().parse(), Ok(precision));
        }
        for kernels in Kernels::ALL.into_iter().chain([Kernels::Auto]) {
            assert_eq!(kernels.to_string().parse(), Ok(kernels));
        }
        assert!("fp8".parse::<Precision>().unwrap_err().contains("expected `bf16`"));
        assert!("AMX".parse::<Kernels>().unwrap_err().contains("`amx`"));
    }
}
