//! A request, an answer and a stream from one wire of conversations into another; vectors, too, which come whole.

use super::embeddings;
use super::hub::{self, Decoder, Encoded, Encoder, ReplyFor};
use super::json::parse;
use super::sse;
use crate::types::error::Error;
use crate::types::request::Request;
use crate::types::surface::Surface;
use bytes::Bytes;

/// One event of a stream may be this large.
const EVENT_BYTES: usize = 32 << 20;

/// `request` in the wire of `target`, for the model as the target knows it.
pub fn request(request: &Request, target: Surface, model: &str) -> Result<Encoded, Error> {
    let json = parse(&request.body)?;
    if embeddings::is_embeddings(request.surface) {
        return embeddings::encode(target, &embeddings::decode(request.surface, &json, model)?);
    }
    let mut chat = hub::decode(request.surface, &json, &request.model, request.stream)?;
    model.clone_into(&mut chat.model);
    // All but one wire tell the usage of a stream unasked.
    chat.include_usage = request.include_usage || request.surface != Surface::ChatCompletions;
    hub::encode(target, &chat)
}

/// A whole answer in the wire of `target`, in the wire of `surface`, and the names of what that cannot carry. The error says
/// in words what is wrong with it.
pub fn answer(
    body: &[u8],
    target: Surface,
    surface: Surface,
    reply: &ReplyFor,
) -> Result<(Vec<u8>, Vec<String>), String> {
    if embeddings::is_embeddings(surface) {
        let asked = parse(&reply.request).and_then(|json| embeddings::decode(surface, &json, &reply.model));
        let asked = asked.map_err(|error| error.message)?;
        let vectors = embeddings::decode_answer(target, body)?;
        return Ok((embeddings::encode_answer(surface, &vectors, &asked, reply)?, Vec::new()));
    }
    let completion = hub::decode_answer(target, body)?;
    Ok((hub::encode_answer(surface, &completion, reply), completion.dropped))
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
        let (answer, dropped) = super::answer(told, Surface::CohereEmbed, Surface::Embeddings, &reply).unwrap();
        assert_eq!(dropped, Vec::<String>::new());
        assert_eq!(
            String::from_utf8(answer).unwrap(),
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]},{"object":"embedding","index":1,"embedding":[0.25]}],"model":"m","usage":{"prompt_tokens":2,"total_tokens":2}}"#
        );
    }
}
