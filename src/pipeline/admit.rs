//! Admit: whether a request may be asked, and what it may cost at most, as far as can be told before it is sent.

use super::facts::{images, text_bytes, tools};
use super::serve::Pipeline;
use super::tokens::TOKENS_OF_A_PICTURE;
use crate::governance::{Asked, Estimate, Place};
use crate::routing::Route;
use crate::types::caller::Caller;
use crate::types::error::{Error, ErrorKind};
use crate::types::json::{Json, Number};
use crate::types::money::MicroUsd;
use crate::types::request::Request;
use crate::types::surface::Surface;
use crate::types::usage::Usage;

/// About as many bytes of a text make one token.
const BYTES_OF_A_TOKEN: u64 = 4;
/// An answer whose request names no most is taken to be no longer than this.
const UNBOUNDED_TOKENS: u64 = 4_096;
/// Where the wires have the most tokens of an answer: at the top, and below.
const LIMITS: [&str; 4] = ["max_completion_tokens", "max_output_tokens", "max_tokens", "max_tokens_to_sample"];
const LIMITS_BELOW: [(&str, &str); 4] = [
    ("generationConfig", "maxOutputTokens"),
    ("generation_config", "max_output_tokens"),
    ("inferenceConfig", "maxTokens"),
    ("options", "num_predict"),
];

/// Tokens of a request, and of the longest answer that it allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Tokens {
    input: u64,
    output: u64,
    /// The most tokens of one answer that it names.
    named: Option<u64>,
}

impl Tokens {
    /// Those of the request `json`.
    pub(super) fn of(json: &Json<'_>) -> Tokens {
        let whole = |value: &Json<'_>| match value {
            Json::Number(Number::Unsigned(number)) => Some(*number),
            _ => None,
        };
        let top = LIMITS.iter().filter_map(|name| whole(json.get(name)?));
        let below = LIMITS_BELOW.iter().filter_map(|(map, name)| whole(json.get(map)?.get(name)?));
        let named = top.chain(below).max();
        let output = named.unwrap_or(UNBOUNDED_TOKENS);
        // So many answers are asked for.
        let answers = json.get("n").and_then(whole).unwrap_or(1).clamp(1, 128);
        let input = (text_bytes(json) as u64).div_ceil(BYTES_OF_A_TOKEN) + images(json) as u64 * TOKENS_OF_A_PICTURE;
        Tokens { input, output: output.saturating_mul(answers), named }
    }

    /// With the tokens of the request as they were counted.
    pub(super) fn counted(self, input: Option<u64>) -> Tokens {
        Tokens { input: input.unwrap_or(self.input), ..self }
    }

    /// What they cost at the dearest of the lanes of `route` that are not `out`.
    pub(super) fn at(self, route: &Route, out: &[usize]) -> Estimate {
        let usage = Usage::new(self.input, self.output);
        let legs = route.legs.iter().enumerate().filter(|(at, _)| !out.contains(at));
        let costs = legs.filter_map(|(_, leg)| Some(leg.price.or(route.price)?.of(usage)));
        Estimate { input_tokens: self.input, output_tokens: self.output, cost: costs.max().unwrap_or(MicroUsd(0)) }
    }
}

/// What of a request some keys may not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Wants {
    tools: bool,
    images: bool,
}

impl Pipeline {
    /// Tokens of `json`, and of the longest answer that it allows. Nobody asks where there is neither a key nor a guardrail.
    pub(super) fn tokens(&self, caller: &Caller, json: &Json<'_>, is_guarded: bool) -> Tokens {
        if is_guarded || self.governor.knows(caller) { Tokens::of(json) } else { Tokens::default() }
    }

    /// What `json` wants of what some keys may not have; looked for only where this one may not have all.
    pub(super) fn wants(&self, caller: &Caller, json: &Json<'_>) -> Wants {
        let (tools_matter, images_matter) = self.governor.bars(caller);
        Wants { tools: tools_matter && tools(json) > 0, images: images_matter && images(json) > 0 }
    }

    /// Lets a request in, or says why not.
    pub(super) fn admit(
        &self,
        caller: &Caller,
        request: &Request,
        tokens: Tokens,
        wants: Wants,
    ) -> Result<Place, Error> {
        let surface = request.surface;
        let is_generation = surface.is_chat() || matches!(surface, Surface::Completions | Surface::InvokeModel);
        let Wants { tools, images } = wants;
        let asked = Asked { model: &request.model, max_output_tokens: tokens.named, is_generation, tools, images };
        self.governor.admit(caller, &asked, self.cache.now_ms())
    }

    /// The lanes of `route` that this caller may not be answered by. An error where these are all.
    pub(super) fn barred(&self, caller: &Caller, route: &Route) -> Result<Vec<usize>, Error> {
        let Some(may) = self.governor.providers(caller) else { return Ok(Vec::new()) };
        let is_barred =
            |leg: &crate::routing::Leg| !route.targets.get(leg.target).is_some_and(|target| may(&target.provider));
        let barred: Vec<usize> =
            route.legs.iter().enumerate().filter_map(|(at, leg)| is_barred(leg).then_some(at)).collect();
        if !barred.is_empty() && barred.len() == route.legs.len() {
            let message = format!("The key `{}` may not use the providers of this model.", caller.name);
            return Err(Error::new(ErrorKind::Forbidden, message).with_code("provider_not_allowed"));
        }
        Ok(barred)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::parse;

    #[test]
    fn the_longest_answer_is_told_in_the_words_of_every_wire() {
        let table = [
            (r#"{"messages":[{"content":"12345678"}],"max_tokens":7}"#, 2, 7),
            (r#"{"max_completion_tokens":9,"n":3}"#, 0, 27),
            (r#"{"input":"1234","max_output_tokens":5}"#, 1, 5),
            (r#"{"generationConfig":{"maxOutputTokens":6}}"#, 0, 6),
            (r#"{"inferenceConfig":{"maxTokens":6}}"#, 0, 6),
            (r#"{"options":{"num_predict":-1}}"#, 0, UNBOUNDED_TOKENS),
            (r#"{"max_tokens":"many"}"#, 1, UNBOUNDED_TOKENS),
        ];
        for (body, input, output) in table {
            let tokens = Tokens::of(&parse(body.as_bytes()).unwrap());
            assert_eq!((tokens.input, tokens.output), (input, output), "{body}");
        }
    }
}
