//! A request, an answer and a stream from one wire of conversations into another; vectors, orders and counts, too, which come
//! whole.

use super::hub::{self, Bodies, Decoder, Encoded, Encoder, ReplyFor};
use super::json::parse;
use super::sse;
use super::{count, embeddings, rerank};
use crate::types::embeddings::Vectors;
use crate::types::error::Error;
use crate::types::request::Request;
use crate::types::rerank::Ranking;
use crate::types::surface::Surface;
use crate::types::usage::Usage;
use bytes::Bytes;

/// One event of a stream may be this large.
const EVENT_BYTES: usize = 32 << 20;

/// `request` in the wire of `target`, for the model as the target knows it.
pub fn request(request: &Request, target: Surface, model: &str) -> Result<Encoded, Error> {
    let json = parse(&request.body)?;
    if embeddings::is_embeddings(request.surface) {
        return embeddings::encode(target, &embeddings::decode(request.surface, &json, model)?);
    }
    if rerank::is_rerank(request.surface) {
        return rerank::encode(rerank::form_at(target), &rerank::decode(&json, model)?);
    }
    if count::is_count(request.surface) {
        return count::encode(target, &count::decode(request.surface, &json, model)?);
    }
    let mut chat = hub::decode(request.surface, &json, &request.model, request.stream)?;
    model.clone_into(&mut chat.model);
    // All but one wire tell the usage of a stream unasked.
    chat.include_usage = request.include_usage || request.surface != Surface::ChatCompletions;
    hub::encode(target, &chat)
}

/// A whole answer in another wire.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Translated {
    /// The body.
    pub body: Vec<u8>,
    /// Names of what that wire cannot carry.
    pub dropped: Vec<String>,
    /// Its tokens, which not every wire tells.
    pub usage: Option<Usage>,
}

/// A whole answer in the wire of `target`, in the wire of `surface`. The error says in words what is wrong with it.
pub fn answer(body: &[u8], target: Surface, surface: Surface, reply: &ReplyFor) -> Result<Translated, String> {
    let plain = |body, usage| Translated { body, dropped: Vec::new(), usage };
    if embeddings::is_embeddings(surface) {
        let asked = parse(&reply.request).and_then(|json| embeddings::decode(surface, &json, &reply.model));
        let asked = asked.map_err(|error| error.message)?;
        let vectors = embeddings::decode_answer(target, body)?;
        return Ok(plain(embeddings::encode_answer(surface, &vectors, &asked, reply)?, vectors.usage));
    }
    if rerank::is_rerank(surface) {
        let ranking = rerank::decode_answer(body)?;
        let usage = ranking.usage;
        return Ok(plain(ranked(ranking, surface, reply)?, usage));
    }
    if count::is_count(surface) {
        return Ok(plain(count::encode_answer(surface, count::decode_answer(target, body)?), None));
    }
    let completion = hub::decode_answer(target, body)?;
    let body = hub::encode_answer(surface, &completion, reply);
    Ok(Translated { body, usage: completion.usage, dropped: completion.dropped })
}

/// A ranking in the wire of `surface`.
fn ranked(ranking: Ranking, surface: Surface, reply: &ReplyFor) -> Result<Vec<u8>, String> {
    let asked = parse(&reply.request).and_then(|json| rerank::decode(&json, &reply.model));
    let asked = asked.map_err(|error| error.message)?;
    rerank::check(&ranking, &asked)?;
    Ok(rerank::encode_answer(rerank::form_at(surface), &ranking, &asked, reply))
}

/// `request`, of vectors or an order, in the bodies that `model` takes at Bedrock. `None`: nothing is known of that model.
pub fn invocations(request: &Request, model: &str) -> Option<Result<Bodies, Error>> {
    let json = match parse(&request.body) {
        Ok(json) => json,
        Err(error) => return Some(Err(error)),
    };
    if rerank::is_rerank(request.surface) {
        let encoded = match rerank::decode(&json, model) {
            Ok(asked) => rerank::bedrock::encode(&asked)?,
            Err(error) => Err(error),
        };
        return Some(encoded.map(|one| Bodies { bodies: vec![one.body], dropped: one.dropped }));
    }
    match embeddings::decode(request.surface, &json, model) {
        Ok(asked) => embeddings::bedrock::encode(&asked),
        Err(error) => Some(Err(error)),
    }
}

/// The answers of `model` to those bodies as one answer in the wire of `surface`. `tokens` are those that the replies' heads
/// tell, where the bodies tell none. The error says in words what is wrong with them.
pub fn invoked(
    answers: &[Bytes],
    model: &str,
    tokens: Option<u64>,
    surface: Surface,
    reply: &ReplyFor,
) -> Result<Translated, String> {
    let plain = |body, usage| Translated { body, dropped: Vec::new(), usage };
    let usage = tokens.map(|tokens| Usage::new(tokens, 0));
    if rerank::is_rerank(surface) {
        let [one] = answers else { return Err(format!("expected one answer, got {}", answers.len())) };
        let ranking = rerank::decode_answer(one)?;
        let usage = ranking.usage.or(usage);
        return Ok(plain(ranked(Ranking { usage, ..ranking }, surface, reply)?, usage));
    }
    let asked = parse(&reply.request).and_then(|json| embeddings::decode(surface, &json, &reply.model));
    let asked = asked.map_err(|error| error.message)?;
    let vectors = embeddings::bedrock::decode(model, answers)?;
    let usage = vectors.usage.or(usage);
    Ok(plain(embeddings::encode_answer(surface, &Vectors { usage, ..vectors }, &asked, reply)?, usage))
}

/// A stream in the wire of one surface on its way into that of another.
pub struct Stream {
    splitter: sse::Splitter,
    decoder: Box<dyn Decoder>,
    encoder: Box<dyn Encoder>,
    deltas: Vec<crate::types::completion::Delta>,
    done: bool,
}

impl Stream {
    /// A stream in the wire of `target`, to be read in that of `surface`.
    pub fn new(target: Surface, surface: Surface, reply: ReplyFor) -> Stream {
        Stream {
            splitter: sse::Splitter::default(),
            decoder: hub::decoder(target),
            encoder: hub::encoder(surface, reply),
            deltas: Vec::new(),
            done: false,
        }
    }

    /// The stream has ended, well.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Names of what was read so far and cannot be told in the wire it is read in.
    pub fn dropped(&self) -> &[String] {
        self.decoder.dropped()
    }

    /// Takes the next bytes, and gives what they amount to. The error says in words why the stream failed.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Bytes, String> {
        self.splitter.push(bytes);
        let mut out = Vec::new();
        if self.splitter.pending() > EVENT_BYTES {
            return Err(format!("an event of the stream is larger than {EVENT_BYTES} bytes"));
        }
        while let Some(event) = self.splitter.next_event().filter(|_| !self.done) {
            self.take(&event, &mut out)?;
        }
        Ok(out.into())
    }

    /// The bytes have ended.
    pub fn end(&mut self) -> Result<Bytes, String> {
        let mut out = Vec::new();
        if self.done {
            return Ok(Bytes::new());
        }
        let rest = self.splitter.rest();
        self.take(&rest, &mut out)?;
        if !self.done {
            self.decoder.end(&mut self.deltas)?;
            self.write(&mut out);
            self.encoder.finish(&mut out);
            self.done = true;
        }
        Ok(out.into())
    }

    fn take(&mut self, event: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        let Some(event) = sse::event(event) else { return Ok(()) };
        let done = self.decoder.push(&event, &mut self.deltas)?;
        self.write(out);
        if done {
            self.encoder.finish(out);
            self.done = true;
        }
        Ok(())
    }

    fn write(&mut self, out: &mut Vec<u8>) {
        for delta in self.deltas.drain(..) {
            self.encoder.push(&delta, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::json::Json;

    #[test]
    fn a_stream_names_what_it_loses_as_a_whole_answer_does() {
        let table: [(Surface, &str, &[&str]); 4] = [
            (
                Surface::ChatCompletions,
                "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\",\"annotations\":[{}]},\"logprobs\":{\"content\":[]}}]}\n\n\
                 data: {\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
                &["logprobs", "annotations"],
            ),
            (
                Surface::GenerateContent,
                "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"safetyRatings\":[{}]}]}\n\n\
                 data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"b\"}]},\"safetyRatings\":[{}],\"citationMetadata\":{\"citations\":[]},\"finishReason\":\"STOP\"}]}\n\n",
                &["safetyRatings", "citationMetadata"],
            ),
            (
                Surface::Responses,
                "data: {\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"type\":\"web_search_call\"}}\n\n\
                 data: {\"type\":\"response.output_item.done\",\"output_index\":1,\"item\":{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"a\",\"annotations\":[{}],\"logprobs\":[]}]}}\n\n\
                 data: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"output\":[]}}\n\n",
                &["output.web_search_call", "annotations"],
            ),
            (
                Surface::CohereChat,
                "data: {\"type\":\"citation-start\"}\n\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"COMPLETE\"}}\n\n",
                &["citations"],
            ),
        ];
        for (target, events, names) in table {
            let mut stream = Stream::new(target, Surface::Messages, ReplyFor::default());
            assert!(stream.dropped().is_empty());
            stream.push(events.as_bytes()).unwrap();
            stream.end().unwrap();
            assert_eq!(stream.dropped(), names, "{target:?}");
        }
    }

    #[test]
    fn vectors_are_translated_both_ways() {
        let body = Bytes::from_static(br#"{"model":"m","input":["a","b"],"encoding_format":"float"}"#);
        let read = |body: &Bytes| {
            let json = parse(body).unwrap();
            super::super::request::read(Surface::Embeddings, &json, body, &Default::default()).unwrap()
        };
        let asked = super::request(&read(&body), Surface::CohereEmbed, "embed-v4.0").unwrap();
        let json = parse(&asked.body).unwrap();
        assert_eq!(json.get("model").and_then(Json::as_str), Some("embed-v4.0"));
        let reply = ReplyFor { model: "m".into(), request: body, ..ReplyFor::default() };
        let told = br#"{"id":"x","embeddings":{"float":[[0.5],[0.25]]},"meta":{"billed_units":{"input_tokens":2}}}"#;
        let Translated { body: answer, dropped, .. } =
            super::answer(told, Surface::CohereEmbed, Surface::Embeddings, &reply).unwrap();
        assert_eq!(dropped, Vec::<String>::new());
        assert_eq!(
            String::from_utf8(answer).unwrap(),
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]},{"object":"embedding","index":1,"embedding":[0.25]}],"model":"m","usage":{"prompt_tokens":2,"total_tokens":2}}"#
        );
    }
}
