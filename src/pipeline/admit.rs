//! Admit: whether a request may be asked, and what it may cost at most, as far as can be told before it is sent.

use super::facts::{images, text_bytes, tools};
use super::serve::Pipeline;
use super::tokens::{TOKENS_OF_A_PICTURE, of_files};
use crate::governance::{Asked, Estimate, Place};
use crate::routing::Route;
use crate::types::caller::Caller;
use crate::types::error::{Error, ErrorKind};
use crate::types::json::{Json, Number};
use crate::types::money::MicroUsd;
use crate::types::request::Request;
use crate::types::surface::Surface;
use crate::types::usage::Usage;
use crate::wire::anthropic::claude::{Claude, max_tokens_for};

/// About as many bytes of a text make one token.
const BYTES_OF_A_TOKEN: u64 = 4;
/// An answer whose request names no most, by a model of which no most is known, is taken to be no longer than this.
const UNBOUNDED_TOKENS: u64 = 8_192;
/// Tokens of a request, and of the longest answer that it allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Tokens {
    input: u64,
    /// So many answers are asked for.
    answers: u64,
    /// The most tokens of one answer that it names.
    named: Option<u64>,
    /// No more than so many are reserved for one answer.
    usual: Option<u64>,
}

impl Tokens {
    /// Those of the request `json` of `surface`. Only what its wire knows counts: nobody is told by the rest of how long the answer is.
    pub(super) fn of(json: &Json<'_>, surface: Surface) -> Tokens {
        let input = (text_bytes(json) as u64).div_ceil(BYTES_OF_A_TOKEN)
            + images(json) as u64 * TOKENS_OF_A_PICTURE
            + of_files(json);
        if !is_generation(surface) {
            return Tokens { input, ..Tokens::default() };
        }
        let named = limits(surface).iter().filter_map(|path| whole(json, path)).max();
        Tokens { input, answers: answers(json), named, usual: None }
    }

    /// With the tokens of the request as they were counted.
    pub(super) fn counted(self, input: Option<u64>) -> Tokens {
        Tokens { input: input.unwrap_or(self.input), ..self }
    }

    /// With answers that are usually no longer than that.
    pub(super) fn usually(self, usual: Option<u64>) -> Tokens {
        Tokens { usual, ..self }
    }

    /// Tokens of each of the answers that had `output` tokens together.
    pub(super) fn of_each(self, output: u64) -> u64 {
        output / self.answers.max(1)
    }

    /// What they cost at the dearest of the lanes of `route` that are not `out`.
    pub(super) fn at(self, route: &Route, out: &[usize]) -> Estimate {
        let mut estimate = Estimate { input_tokens: self.input, output_tokens: 0, cost: MicroUsd(0) };
        for (_, leg) in route.legs.iter().enumerate().filter(|(at, _)| !out.contains(at)) {
            let model = route.targets.get(leg.target).map_or("", |target| target.model.as_str());
            let output = self.output(route.max_output_tokens, model);
            let cost = leg.price.or(route.price).map(|price| price.of(Usage::new(self.input, output)));
            estimate.output_tokens = estimate.output_tokens.max(output);
            estimate.cost = estimate.cost.max(cost.unwrap_or(MicroUsd(0)));
        }
        estimate
    }

    /// What they cost at the lane at `at` of `route`.
    pub(super) fn at_one(self, route: &Route, at: usize) -> Estimate {
        let others: Vec<usize> = (0..route.legs.len()).filter(|other| *other != at).collect();
        self.at(route, &others)
    }

    /// Tokens of the longest answers of `model`, which gives no longer ones than `most`. Where nothing is named, as many are asked of
    /// Claude as are reserved here.
    fn output(self, most: Option<u64>, model: &str) -> u64 {
        let unnamed = || most.max(Claude::of(model).map(|claude| max_tokens_for(Some(claude))));
        let longest = self.named.or_else(unnamed).unwrap_or(UNBOUNDED_TOKENS);
        longest.min(self.usual.unwrap_or(u64::MAX)).saturating_mul(self.answers)
    }
}

/// What of a request some keys may not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Wants {
    tools: bool,
    images: bool,
}

impl Wants {
    /// What `json` wants; looked for only where tools and images matter.
    pub(super) fn of(json: &Json<'_>, (tools_matter, images_matter): (bool, bool)) -> Wants {
        Wants { tools: tools_matter && tools(json) > 0, images: images_matter && images(json) > 0 }
    }

    /// Of these, what matters.
    pub(super) fn among(self, (tools_matter, images_matter): (bool, bool)) -> Wants {
        Wants { tools: tools_matter && self.tools, images: images_matter && self.images }
    }
}

/// Is it a surface whose answers may be long?
fn is_generation(surface: Surface) -> bool {
    surface.is_chat() || matches!(surface, Surface::Completions | Surface::InvokeModel)
}

/// Where the wire of `surface` has the most tokens of an answer.
fn limits(surface: Surface) -> &'static [&'static [&'static str]] {
    match surface {
        Surface::ChatCompletions => &[&["max_completion_tokens"], &["max_tokens"]],
        Surface::Responses => &[&["max_output_tokens"]],
        Surface::GenerateContent => {
            &[&["generationConfig", "maxOutputTokens"], &["generation_config", "max_output_tokens"]]
        }
        Surface::Converse => &[&["inferenceConfig", "maxTokens"]],
        Surface::OllamaChat => &[&["options", "num_predict"]],
        Surface::InvokeModel => &[
            &["max_tokens"],
            &["max_tokens_to_sample"],
            &["max_completion_tokens"],
            &["max_gen_len"],
            &["textGenerationConfig", "maxTokenCount"],
            &["inferenceConfig", "maxTokens"],
            &["inferenceConfig", "max_new_tokens"],
        ],
        _ => &[&["max_tokens"]],
    }
}

fn whole(json: &Json<'_>, path: &[&str]) -> Option<u64> {
    match path.iter().try_fold(json, |json, name| json.get(name))? {
        Json::Number(Number::Unsigned(number)) => Some(*number),
        _ => None,
    }
}

/// So many answers are asked for: of each prompt, where there are several.
fn answers(json: &Json<'_>) -> u64 {
    let each = [&["n"][..], &["best_of"], &["generationConfig", "candidateCount"]];
    let each = each.iter().filter_map(|path| whole(json, path)).max().unwrap_or(1).max(1);
    let prompts = match json.get("prompt").and_then(Json::as_array) {
        Some(prompts) if !prompts.iter().all(|one| matches!(one, Json::Number(_))) => prompts.len() as u64,
        _ => 1,
    };
    each.saturating_mul(prompts.max(1))
}

impl Pipeline {
    /// Lets a request in, or says why not.
    pub(super) fn admit(
        &self,
        caller: &Caller,
        request: &Request,
        tokens: Tokens,
        wants: Wants,
    ) -> Result<Place, Error> {
        let surface = request.surface;
        let is_generation = is_generation(surface);
        let Wants { tools, images } = wants;
        let asked = Asked {
            model: &request.model,
            surface: Some(surface),
            max_output_tokens: tokens.named,
            is_generation,
            tools,
            images,
        };
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
        use Surface::{
            ChatCompletions, Completions, Converse, Embeddings, GenerateContent, InvokeModel, OllamaChat, Responses,
        };
        let table = [
            (ChatCompletions, r#"{"messages":[{"content":"12345678"}],"max_tokens":7}"#, 2, 7),
            (ChatCompletions, r#"{"max_completion_tokens":9,"n":3}"#, 0, 27),
            (ChatCompletions, r#"{"max_output_tokens":1,"options":{"num_predict":1}}"#, 0, UNBOUNDED_TOKENS),
            (Completions, r#"{"prompt":["12345678","1234"],"max_tokens":7,"best_of":2}"#, 3, 28),
            (Completions, r#"{"prompt":[1,2,3],"max_tokens":7}"#, 3, 7),
            (Responses, r#"{"input":"1234","max_output_tokens":5}"#, 1, 5),
            (GenerateContent, r#"{"generationConfig":{"maxOutputTokens":6,"candidateCount":2}}"#, 0, 12),
            (Converse, r#"{"inferenceConfig":{"maxTokens":6}}"#, 0, 6),
            (OllamaChat, r#"{"options":{"num_predict":-1}}"#, 0, UNBOUNDED_TOKENS),
            (InvokeModel, r#"{"textGenerationConfig":{"maxTokenCount":8}}"#, 0, 8),
            (ChatCompletions, r#"{"max_tokens":"many"}"#, 1, UNBOUNDED_TOKENS),
            (Embeddings, r#"{"input":"12345678"}"#, 2, 0),
        ];
        for (surface, body, input, output) in table {
            let tokens = Tokens::of(&parse(body.as_bytes()).unwrap(), surface);
            assert_eq!((tokens.input, tokens.output(None, "m")), (input, output), "{body}");
        }
        let tokens = Tokens { input: 0, answers: 2, named: None, usual: None };
        assert_eq!(tokens.output(Some(9), "m"), 18);
        assert_eq!(tokens.output(None, "claude-opus-4-6"), 64_000);
        assert_eq!(tokens.output(Some(9), "anthropic.claude-3-haiku-20240307-v1:0"), 8_192, "what is asked for counts");
        assert_eq!(tokens.usually(Some(100)).output(Some(9), "m"), 18, "no more than the longest");
        assert_eq!(tokens.usually(Some(4)).output(Some(9), "m"), 8);
        assert_eq!(Tokens { named: Some(5), ..tokens }.output(Some(9), "claude-opus-4-6"), 10);
    }
}
