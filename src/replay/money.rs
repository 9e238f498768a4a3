//! What hits save, and what learning costs: shadow calls and judge calls are charged.

use super::asking::usage;
use super::tally::Verdict;
use super::trace::Request;
use crate::config;
use crate::types::money::{MicroUsd, Price};
use crate::types::usage::Usage;
use serde::Serialize;
use std::collections::HashMap;

/// Bytes of a question that make a token, about.
const TOKEN_BYTES: u64 = 4;
/// Prompt tokens of a judge call beside the question and both answers: what it is told to do.
const JUDGE_PROMPT_TOKENS: u64 = 150;
/// Completion tokens of a judge call.
const JUDGE_ANSWER_TOKENS: u64 = 5;

/// What tokens cost.
#[derive(Clone, Debug, Default)]
pub struct Prices {
    /// By model, as the trace names it.
    pub models: HashMap<String, Price>,
    /// Of models that have none of their own.
    pub other: Option<Price>,
    /// Whether models without either have what the vendors' lists say.
    pub listed: bool,
    /// Of the model that judges. Without one, answers are compared by words and vectors alone, which costs nothing.
    pub judge: Option<Price>,
}

impl Prices {
    fn of(&self, request: &Request) -> Option<Price> {
        let model = request.model.as_deref();
        let own = model.and_then(|model| self.models.get(model)).copied();
        own.or(self.other).or_else(|| config::list_price_of(model.filter(|_| self.listed)?))
    }

    /// What `request` cost, where its model has a price and its tokens were counted.
    pub(super) fn cost(&self, request: &Request) -> Option<MicroUsd> {
        Some(self.of(request)?.of(usage(request)?))
    }
}

/// Tokens and dollars that hits spared, as the trace counts tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Savings {
    /// Prompt tokens that were not sent.
    pub input_tokens: u64,
    /// Completion tokens that were not made.
    pub output_tokens: u64,
    /// US dollars that hits spared, where a price was given.
    pub usd: Option<f64>,
    /// US dollars that shadow calls cost.
    pub shadow_usd: Option<f64>,
    /// US dollars that judge calls cost at most, were a model asked every time; 0 without a price for one.
    pub judge_usd: Option<f64>,
    /// What is left of the first after the other two.
    pub net_usd: Option<f64>,
    /// What the whole trace costs without a cache.
    pub trace_usd: Option<f64>,
}

/// Adds up what `verdicts` spared, and what shadow and judge calls cost; both are lists of requests.
pub(super) fn savings(
    trace: &[Request],
    verdicts: &[Verdict],
    shadows: &[u32],
    judged: &[u32],
    prices: &Prices,
) -> Savings {
    let (mut input_tokens, mut output_tokens) = (0, 0);
    let (mut saved, mut whole) = (0.0, 0.0);
    let mut priced = false;
    for (request, verdict) in trace.iter().zip(verdicts) {
        let cost = prices.of(request).map(|price| usd(price.of(request.usage)));
        priced |= cost.is_some();
        whole += cost.unwrap_or(0.0);
        if verdict.is_hit() {
            input_tokens += request.usage.input_tokens;
            output_tokens += request.usage.output_tokens;
            saved += cost.unwrap_or(0.0);
        }
    }
    let ask = |at: &u32| {
        let request = &trace[*at as usize];
        prices.of(request).map_or(0.0, |price| usd(price.of(request.usage)))
    };
    let judge = |at: &u32| {
        let request = &trace[*at as usize];
        let input = request.text.len() as u64 / TOKEN_BYTES + 2 * request.usage.output_tokens + JUDGE_PROMPT_TOKENS;
        prices.judge.map_or(0.0, |price| usd(price.of(Usage::new(input, JUDGE_ANSWER_TOKENS))))
    };
    let (shadow, judging): (f64, f64) = (shadows.iter().map(ask).sum(), judged.iter().map(judge).sum());
    let some = |usd: f64| priced.then_some(usd);
    Savings {
        input_tokens,
        output_tokens,
        usd: some(saved),
        shadow_usd: some(shadow),
        judge_usd: some(judging),
        net_usd: some(saved - shadow - judging),
        trace_usd: some(whole),
    }
}

/// US dollars.
fn usd(cost: MicroUsd) -> f64 {
    cost.0 as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::outcome::Tier;

    #[test]
    fn shadow_and_judge_calls_are_charged() {
        let price = |input: u64, output: u64| Price::new(input * 1_000_000, output * 1_000_000);
        let request = |model: &str| Request {
            model: Some(model.to_owned()),
            usage: Usage::new(1_000_000, 500_000),
            ..Request::default()
        };
        let trace = [request("dear"), request("cheap"), request("dear")];
        let verdicts =
            [Verdict::TrueNegative, Verdict::TruePositive(Tier::Exact), Verdict::FalsePositive(Tier::Semantic)];
        let models = HashMap::from([("dear".to_owned(), price(2, 4))]);
        let prices = Prices { models, other: Some(price(1, 2)), judge: Some(price(1, 2)), listed: false };
        let found = savings(&trace, &verdicts, &[2], &[1], &prices);
        assert_eq!((found.input_tokens, found.output_tokens), (2_000_000, 1_000_000));
        // Two hits: cheap 1 + 1, dear 2 + 2. One shadow call to the dear one. One judge call: two answers and its orders.
        assert_eq!((found.usd, found.shadow_usd, found.trace_usd), (Some(6.0), Some(4.0), Some(10.0)));
        let judge = found.judge_usd.unwrap();
        assert!((judge - 1.000_16).abs() < 1e-6, "{judge}");
        assert!((found.net_usd.unwrap() - (6.0 - 4.0 - judge)).abs() < 1e-9);
        assert_eq!(savings(&trace, &verdicts, &[], &[], &Prices::default()).usd, None);
    }

    #[test]
    fn list_prices_hold_where_there_is_no_other() {
        let usage = Usage { cached_tokens: 500_000, ..Usage::new(1_000_000, 0) };
        let request = Request { model: Some("gpt-4o-mini".to_owned()), usage, ..Request::default() };
        let listed = Prices { listed: true, ..Prices::default() };
        assert_eq!(listed.cost(&request), Some(MicroUsd(75_000 + 37_500)), "half of it was cached");
        assert_eq!(
            Prices { other: Some(Price::new(1_000_000, 0)), ..listed.clone() }.cost(&request),
            Some(MicroUsd(1_000_000))
        );
        assert_eq!(Prices::default().cost(&request), None);
        assert_eq!(listed.cost(&Request { model: Some("unheard-of".to_owned()), ..request }), None);
    }
}
