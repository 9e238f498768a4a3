//! Money in integer micro-dollars, and the price of a model.

use super::usage::Usage;
use std::fmt;

/// Millionths of a US dollar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct MicroUsd(pub u64);

impl MicroUsd {
    /// So many percent of it, in whole micro-dollars, rounded up.
    pub fn percent(self, percent: u64) -> MicroUsd {
        let part = (u128::from(self.0) * u128::from(percent)).div_ceil(100);
        MicroUsd(u64::try_from(part).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for MicroUsd {
    /// Dollars with six decimals, as in `0.000250`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Price of a model in micro-dollars per million tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Price {
    /// For a million prompt tokens.
    pub input_micro_usd_per_million: u64,
    /// For a million completion tokens.
    pub output_micro_usd_per_million: u64,
    /// For a million prompt tokens that were read from the provider's prompt cache. `None`: as any other prompt token.
    pub cached_input_micro_usd_per_million: Option<u64>,
    /// For a million prompt tokens that were written to the provider's prompt cache. `None`: as any other prompt token.
    pub cache_write_micro_usd_per_million: Option<u64>,
    /// For a million completion tokens of reasoning. `None`: as any other completion token.
    pub reasoning_micro_usd_per_million: Option<u64>,
    /// For each request, beside its tokens.
    pub request_micro_usd: u64,
}

impl Price {
    /// A price of prompt and completion tokens with nothing more said about them.
    pub const fn new(input_micro_usd_per_million: u64, output_micro_usd_per_million: u64) -> Price {
        Price {
            input_micro_usd_per_million,
            output_micro_usd_per_million,
            cached_input_micro_usd_per_million: None,
            cache_write_micro_usd_per_million: None,
            reasoning_micro_usd_per_million: None,
            request_micro_usd: 0,
        }
    }

    /// What one request of `usage` costs, rounded up to the next micro-dollar.
    ///
    /// Cached, written and reasoning tokens are parts of the prompt and completion tokens, and are never counted twice: a
    /// part that a provider counts as larger than its whole is cut down to it.
    pub fn of(&self, usage: Usage) -> MicroUsd {
        let usage = usage.paid();
        let read = usage.cached_tokens.min(usage.input_tokens);
        let written = usage.cache_write_tokens.min(usage.input_tokens - read);
        let reasoning = usage.reasoning_tokens.min(usage.output_tokens);
        let (input, output) = (self.input_micro_usd_per_million, self.output_micro_usd_per_million);
        let parts = [
            (usage.input_tokens - read - written, input),
            (read, self.cached_input_micro_usd_per_million.unwrap_or(input)),
            (written, self.cache_write_micro_usd_per_million.unwrap_or(input)),
            (usage.output_tokens - reasoning, output),
            (reasoning, self.reasoning_micro_usd_per_million.unwrap_or(output)),
        ];
        let cost = |(tokens, price): (u64, u64)| u128::from(tokens) * u128::from(price);
        let tokens = parts.into_iter().map(cost).fold(0, u128::saturating_add).div_ceil(1_000_000);
        MicroUsd(u64::try_from(tokens).unwrap_or(u64::MAX).saturating_add(self.request_micro_usd).min(MOST))
    }
}

/// No answer costs more, whatever its provider counts: some 17 million dollars. Sums of these stay far from the end of a word.
const MOST: u64 = 1 << 44;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn price_rounds_up_and_never_overflows() {
        let price = Price::new(150_000, 600_000);
        assert_eq!(price.of(Usage::new(1000, 500)), MicroUsd(450));
        assert_eq!(price.of(Usage::new(1, 0)), MicroUsd(1));
        assert_eq!(price.of(Usage::default()), MicroUsd(0));
        let huge = Price::new(u64::MAX, u64::MAX);
        assert_eq!(huge.of(Usage::new(u64::MAX, 1)), MicroUsd(MOST));
        assert_eq!(huge.of(Usage::new(u64::MAX, u64::MAX)), MicroUsd(MOST));
        assert_eq!(MicroUsd(450).to_string(), "0.000450");
    }

    #[test]
    fn parts_have_prices_of_their_own() {
        let plain = Price::new(3_000_000, 15_000_000);
        let usage = Usage {
            cached_tokens: 800_000,
            cache_write_tokens: 100_000,
            reasoning_tokens: 400_000,
            ..Usage::new(1_000_000, 500_000)
        };
        let read = Price { cached_input_micro_usd_per_million: Some(300_000), ..plain };
        let written = Price { cache_write_micro_usd_per_million: Some(3_750_000), ..read };
        let reasoning = Price { reasoning_micro_usd_per_million: Some(20_000_000), ..written };
        let fee = Price { request_micro_usd: 5_000, ..reasoning };
        let table = [(plain, 10_500_000), (read, 8_340_000), (written, 8_415_000), (reasoning, 10_415_000)];
        for (price, expected) in table.into_iter().chain([(fee, 10_420_000)]) {
            assert_eq!(price.of(usage), MicroUsd(expected), "{price:?}");
        }
        // A provider that leaves the cached tokens out of its total is charged for what it counted as the whole.
        let odd = Usage { cached_tokens: 50, cache_write_tokens: 9, reasoning_tokens: 7, ..Usage::new(10, 2) };
        assert_eq!(reasoning.of(odd), MicroUsd(3 + 40));
    }

    proptest! {
        #[test]
        fn parts_never_cost_more_than_the_dearest(
            input in 0u64..1 << 40, output in 0u64..1 << 40, cached: u64, written: u64, thought: u64,
            prices in prop::array::uniform5(0u64..1 << 40),
        ) {
            let [a, b, c, d, e] = prices;
            let parts = Price {
                cached_input_micro_usd_per_million: Some(c),
                cache_write_micro_usd_per_million: Some(d),
                reasoning_micro_usd_per_million: Some(e),
                ..Price::new(a, b)
            };
            let usage = Usage {
                cached_tokens: cached,
                cache_write_tokens: written,
                reasoning_tokens: thought,
                ..Usage::new(input, output)
            };
            let cost = parts.of(usage);
            prop_assert!(cost <= Price::new(a.max(c).max(d), b.max(e)).of(usage));
            prop_assert!(cost >= Price::new(a.min(c).min(d), b.min(e)).of(usage));
            // Where the parts cost what the whole costs, it does not matter what they are.
            prop_assert_eq!(Price::new(a, b).of(usage), Price::new(a, b).of(Usage::new(input, output)));
        }
    }
}
