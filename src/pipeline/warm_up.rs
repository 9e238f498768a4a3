//! Warm-up: questions and answers of the operator's own, through the same decoding as the requests that will ask them.

use super::Inbound;
use super::serve::Pipeline;
use crate::cache::Warm;
use crate::types::answer::Answer;
use crate::types::caller::{Caller, Tenant};
use crate::types::directives::Directives;
use crate::types::ids::EntryId;
use crate::types::surface::Surface;
use crate::types::usage::Usage;
use crate::wire::openai::{answer, playback};
use crate::wire::request::InPath;
use serde_json::{Map, Value, json};
use std::time::Instant;

/// One question with its answer, as an operator writes them down.
#[derive(Clone, PartialEq, Debug)]
pub struct Known {
    /// Whose question it is: callers of this tenant get the answer.
    pub tenant: Tenant,
    /// The model, as callers name it.
    pub model: String,
    /// The system prompt of the requests that ask it, if they have one.
    pub system: Option<String>,
    /// The text of the user's turn.
    pub question: String,
    /// What the model is to have said.
    pub answer: String,
    /// The caller's own partition (`x-askonce-scope`).
    pub scope: Option<String>,
    /// Labels for a purge.
    pub tags: Vec<String>,
    /// Further fields of the requests that ask it, such as `temperature`: requests without them do not find it.
    pub fields: Map<String, Value>,
    /// Tokens, where they are known.
    pub usage: Option<Usage>,
}

impl Pipeline {
    /// Stores what is known. Gives, in its order, the entries or in words why there is none.
    pub async fn warm_up(&self, all: Vec<Known>) -> Vec<Result<EntryId, String>> {
        let setup = self.setup();
        let mut results: Vec<Result<EntryId, String>> = Vec::with_capacity(all.len());
        let mut warm = Vec::with_capacity(all.len());
        let mut places = Vec::with_capacity(all.len());
        for (at, known) in all.iter().enumerate() {
            match self.ready(known, &setup) {
                Ok(ready) => {
                    warm.push(ready);
                    places.push(at);
                    results.push(Err(String::new()));
                }
                Err(why) => results.push(Err(why)),
            }
        }
        for (at, stored) in places.into_iter().zip(self.cache.warm_up(warm).await) {
            results[at] = stored.map(|entry| entry.id).map_err(|why| format!("not stored: {}", why.as_str()));
        }
        results
    }

    /// The request that will ask it, decoded, and the answer in its wire.
    fn ready(&self, known: &Known, setup: &super::Setup) -> Result<Warm, String> {
        let mut messages = Vec::with_capacity(2);
        messages.extend(known.system.as_ref().map(|text| json!({"role": "system", "content": text})));
        messages.push(json!({"role": "user", "content": known.question}));
        let mut body = known.fields.clone();
        body.insert("model".to_owned(), known.model.clone().into());
        body.insert("messages".to_owned(), messages.into());
        let inbound = Inbound {
            surface: Surface::ChatCompletions,
            path: InPath::default(),
            body: Value::Object(body).to_string().into(),
            caller: Caller::unknown("warm_up", known.tenant.clone()),
            directives: Directives { scope: known.scope.clone(), tags: known.tags.clone(), ..Directives::default() },
            headers: Vec::new(),
            told: Vec::new(),
            request_id: String::new(),
            arrived: Instant::now(),
        };
        let decoded = self.decode(&inbound, setup).map_err(|error| error.message)?;
        let provider = decoded.targets().first().map(|target| target.provider.to_string()).unwrap_or_default();
        let ask = decoded.ask.map_err(|reason| format!("the cache is not used for it: {}", reason.as_str()))?;
        let answer = answer_of(known, self.cache.now_ms() / 1000)?;
        setup.guardrails.lets_in(&decoded.applied, &decoded.request.body, &answer)?;
        let cost = decoded.plan.price.zip(answer.usage).map(|(price, usage)| price.of(usage));
        Ok(Warm { ask, answer, provider, cost })
    }
}

/// The answer as a provider would have sent it.
fn answer_of(known: &Known, created_s: u64) -> Result<Answer, String> {
    let mut body = json!({
        "id": playback::new_id(Surface::ChatCompletions),
        "object": "chat.completion",
        "created": created_s,
        "model": known.model,
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": known.answer},
            "finish_reason": "stop",
        }],
    });
    if let Some(usage) = known.usage {
        body["usage"] = json!({
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens.saturating_add(usage.output_tokens),
        });
    }
    answer::read(Surface::ChatCompletions, body.to_string().into())
}
