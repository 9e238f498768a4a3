//! Money in integer micro-dollars, and the price of a model.

use super::usage::Usage;
use std::fmt;

/// Millionths of a US dollar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct MicroUsd(pub u64);

impl fmt::Display for MicroUsd {
    /// Dollars with six decimals, as in `0.000250`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Price of a model in micro-dollars per million tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Price {
    /// For a million prompt tokens.
    pub input_micro_usd_per_million: u64,
    /// For a million completion tokens.
    pub output_micro_usd_per_million: u64,
}

impl Price {
    /// What `usage` costs, rounded up to the next micro-dollar.
    pub fn of(&self, usage: Usage) -> MicroUsd {
        let input = u128::from(usage.input_tokens) * u128::from(self.input_micro_usd_per_million);
        let output = u128::from(usage.output_tokens) * u128::from(self.output_micro_usd_per_million);
        MicroUsd(u64::try_from((input + output).div_ceil(1_000_000)).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn price_rounds_up_and_never_overflows() {
        let price = Price { input_micro_usd_per_million: 150_000, output_micro_usd_per_million: 600_000 };
        assert_eq!(price.of(Usage { input_tokens: 1000, output_tokens: 500 }), MicroUsd(450));
        assert_eq!(price.of(Usage { input_tokens: 1, output_tokens: 0 }), MicroUsd(1));
        assert_eq!(price.of(Usage::default()), MicroUsd(0));
        let huge = Price { input_micro_usd_per_million: u64::MAX, output_micro_usd_per_million: u64::MAX };
        assert_eq!(huge.of(Usage { input_tokens: u64::MAX, output_tokens: 1 }), MicroUsd(u64::MAX));
        assert_eq!(MicroUsd(450).to_string(), "0.000450");
    }
}
