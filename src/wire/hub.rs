//! The hub: every wire of conversations read into [`Chat`] and [`Completion`], and written from them.
//!
//! What a wire cannot carry is refused where its loss would change what kind of answer comes back, and reported by name
//! where it only biases it; nothing is lost in silence.

use crate::types::chat::{Chat, Extra};
use crate::types::completion::{Completion, Delta};
use crate::types::error::{Error, ErrorKind, UNSUPPORTED};
use crate::types::ids::random;
use crate::types::json::Json;
use crate::types::request::QuestionAt;
use crate::types::surface::Surface;
use crate::types::usage::Usage;
use crate::wire::sse::Event;
use crate::wire::{anthropic, bedrock, cohere, gemini, ollama, openai, rerank, responses};
use bytes::Bytes;
use std::borrow::Cow;
use std::collections::HashSet;

/// What the gateway itself reads of a request, whatever becomes of it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Inspected {
    /// The model; `None` where the wire tells it in the path.
    pub model: Option<String>,
    /// A stream is wanted; `None` where the wire tells that in the path.
    pub stream: Option<bool>,
    /// Usage is wanted in the stream, where that is asked for.
    pub include_usage: bool,
    /// Where the question stands.
    pub question_at: Option<QuestionAt>,
}

/// A request in another wire.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Encoded {
    /// The body.
    pub body: Vec<u8>,
    /// Fields that the wire cannot carry and that only bias the answer, by the names they came under.
    pub dropped: Vec<String>,
}

/// A request in another wire that may take several calls there.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Bodies {
    /// A body for each call. Their answers, in this order, make one answer.
    pub bodies: Vec<Vec<u8>>,
    /// Fields that the wire cannot carry and that only bias the answer, by the names they came under.
    pub dropped: Vec<String>,
}

/// What a wire cannot carry, noted while a request is written.
#[derive(Debug, Default)]
pub struct Losses {
    dropped: Vec<String>,
    /// The same, to know which are there already: a request may have very many fields.
    known: HashSet<String>,
    refused: Option<Error>,
}

impl Losses {
    /// `name` is lost and only biases the answer.
    pub fn drop(&mut self, name: impl Into<String>) {
        let name = name.into();
        if self.known.insert(name.clone()) {
            self.dropped.push(name);
        }
    }

    /// `name` is lost if it is there.
    pub fn drop_if(&mut self, there: bool, name: &str) {
        if there {
            self.drop(name);
        }
    }

    /// Without `param` the answer would be of another kind: the request is refused. `why` is a sentence.
    pub fn refuse(&mut self, param: impl Into<Cow<'static, str>>, why: &str) {
        if self.refused.is_none() {
            let error = Error::invalid(param, format!("The target of this request cannot do that: {why}"));
            self.refused = Some(error.with_code(UNSUPPORTED));
        }
    }

    /// Drops or refuses every field of `chat` without a word, but those that `carried` says are written.
    pub fn extras(&mut self, chat: &Chat, carried: impl Fn(&str) -> bool) {
        self.others(&chat.extra, carried);
    }

    /// Drops or refuses every one of these fields, but those that `carried` says are written.
    pub fn others(&mut self, extra: &[Extra], carried: impl Fn(&str) -> bool) {
        for extra in extra.iter().filter(|extra| !carried(&extra.name)) {
            if extra.essential {
                self.refuse(extra.name.clone(), &format!("its wire has no `{}`.", extra.name));
            } else {
                self.drop(extra.name.clone());
            }
        }
    }

    /// The request, if nothing was refused.
    pub fn encoded(self, body: Vec<u8>) -> Result<Encoded, Error> {
        match self.refused {
            Some(error) => Err(error),
            None => Ok(Encoded { body, dropped: self.dropped }),
        }
    }
}

/// What an answer in a caller's wire says beside what was answered.
#[derive(Clone, Debug, Default)]
pub struct ReplyFor {
    /// The answer's id.
    pub id: String,
    /// The model, as the caller named it.
    pub model: String,
    /// When it is made, in seconds since the Unix epoch.
    pub created_s: u64,
    /// Usage is wanted in the stream, where that is asked for.
    pub include_usage: bool,
    /// The request as it came, for wires whose answers repeat parts of it.
    pub request: Bytes,
    /// The answer is there whole and calls tools, for wires that tell the words before a call apart from others.
    pub calls_tools: bool,
    /// Nothing of the exchange is to be kept, for wires whose answers say whether they are.
    pub no_store: bool,
}

/// What a provider's error reply says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Told {
    /// In words.
    pub message: String,
    /// The request field at fault.
    pub param: Option<String>,
    /// The provider's own word for it.
    pub code: Option<String>,
}

/// Reads a stream of one wire.
pub trait Decoder: Send {
    /// Takes an event and adds what it says to `out`. True when the answer has ended well. The error says in words what is
    /// wrong: the provider reported an error, or sent what is not its wire.
    fn push(&mut self, event: &Event<'_>, out: &mut Vec<Delta>) -> Result<bool, String>;

    /// The bytes have ended without an end that `push` told of. An error unless the answer is whole all the same.
    fn end(&mut self, out: &mut Vec<Delta>) -> Result<(), String>;

    /// What the stream told so far that has no word in [`Delta`], by name: an answer gathered from the pieces lacks it.
    fn dropped(&self) -> &[String] {
        &[]
    }
}

/// Writes a stream of one wire, as server-sent events.
pub trait Encoder: Send {
    /// Writes what a piece amounts to.
    fn push(&mut self, delta: &Delta, out: &mut Vec<u8>);

    /// Writes the end of an answer that ended well.
    fn finish(&mut self, out: &mut Vec<u8>);
}

/// Checks what the gateway itself reads of a request of a conversation.
pub fn inspect(surface: Surface, json: &Json<'_>) -> Result<Inspected, Error> {
    match surface {
        Surface::Responses => responses::request::inspect(json),
        Surface::Messages => anthropic::request::inspect(json),
        Surface::GenerateContent => gemini::request::inspect(json),
        Surface::Converse => bedrock::request::inspect(json),
        Surface::CohereChat => cohere::request::inspect(json),
        Surface::OllamaChat => ollama::request::inspect(json),
        other => Err(no_chat(other)),
    }
}

/// Reads a request. `model` and `stream` are those of the path, where the wire tells them there.
pub fn decode(surface: Surface, json: &Json<'_>, model: &str, stream: bool) -> Result<Chat, Error> {
    let chat = match surface {
        Surface::ChatCompletions => openai::request::decode(json)?,
        Surface::Responses => responses::request::decode(json)?,
        Surface::Messages => anthropic::request::decode(json)?,
        Surface::GenerateContent => gemini::request::decode(json)?,
        Surface::Converse => bedrock::request::decode(json)?,
        Surface::CohereChat => cohere::request::decode(json)?,
        Surface::OllamaChat => ollama::request::decode(json)?,
        // Its form is that of the model that the caller named.
        Surface::InvokeModel => bedrock::invoke::decode(model, json, stream)?,
        other => return Err(no_chat(other)),
    };
    Ok(Chat { model: model.to_owned(), stream, ..chat })
}

/// Writes a request.
pub fn encode(surface: Surface, chat: &Chat) -> Result<Encoded, Error> {
    match surface {
        Surface::ChatCompletions => openai::request::encode(chat),
        Surface::Responses => responses::request::encode(chat),
        Surface::Messages => anthropic::request::encode(chat),
        Surface::GenerateContent => gemini::request::encode(chat),
        Surface::Converse => bedrock::request::encode(chat),
        Surface::CohereChat => cohere::request::encode(chat),
        Surface::OllamaChat => ollama::request::encode(chat),
        other => Err(no_chat(other)),
    }
}

/// Reads a whole answer. The error says in words what is wrong with it.
pub fn decode_answer(surface: Surface, body: &[u8]) -> Result<Completion, String> {
    match surface {
        Surface::ChatCompletions => openai::completion::decode(body),
        Surface::Responses => responses::answer::decode(body),
        Surface::Messages => anthropic::answer::decode(body),
        Surface::GenerateContent => gemini::answer::decode(body),
        Surface::Converse => bedrock::answer::decode(body),
        Surface::CohereChat => cohere::answer::decode(body),
        Surface::OllamaChat => ollama::answer::decode(body),
        other => Err(no_chat(other).message),
    }
}

/// Writes a whole answer.
pub fn encode_answer(surface: Surface, completion: &Completion, reply: &ReplyFor) -> Vec<u8> {
    match surface {
        Surface::Responses => responses::answer::encode(completion, reply),
        Surface::Messages => anthropic::answer::encode(completion, reply),
        Surface::GenerateContent => gemini::answer::encode(completion, reply),
        Surface::Converse => bedrock::answer::encode(completion, reply),
        Surface::CohereChat => cohere::answer::encode(completion, reply),
        Surface::OllamaChat => ollama::answer::encode(completion, reply),
        Surface::InvokeModel => bedrock::invoke::encode_answer(&reply.model, completion, reply),
        _ => openai::completion::encode(completion, reply),
    }
}

/// What reads a stream.
pub fn decoder(surface: Surface) -> Box<dyn Decoder> {
    match surface {
        Surface::Responses => Box::new(responses::stream::Decoder::default()),
        Surface::Messages => Box::new(anthropic::stream::Decoder::default()),
        Surface::GenerateContent => Box::new(gemini::stream::Decoder::default()),
        Surface::Converse => Box::new(bedrock::stream::Decoder::default()),
        Surface::CohereChat => Box::new(cohere::stream::Decoder::default()),
        Surface::OllamaChat => Box::new(ollama::stream::Decoder::default()),
        _ => Box::new(openai::stream::Decoder::default()),
    }
}

/// What writes a stream.
pub fn encoder(surface: Surface, reply: ReplyFor) -> Box<dyn Encoder> {
    match surface {
        Surface::Responses => Box::new(responses::stream::Encoder::new(reply)),
        Surface::Messages => Box::new(anthropic::stream::Encoder::new(reply)),
        Surface::GenerateContent => Box::new(gemini::stream::Encoder::new(reply)),
        Surface::Converse => Box::new(bedrock::stream::Encoder::new(reply)),
        Surface::CohereChat => Box::new(cohere::stream::Encoder::new(reply)),
        Surface::OllamaChat => Box::new(ollama::stream::Encoder::new(reply)),
        Surface::InvokeModel => Box::new(bedrock::invoke::Encoder::new(&reply.model.clone(), reply)),
        _ => Box::new(openai::stream::Encoder::new(reply)),
    }
}

/// A new id of an answer, in the form of its wire.
pub fn new_id(surface: Surface) -> String {
    let prefix = match surface {
        Surface::Messages => "msg_",
        Surface::Responses => "resp_",
        Surface::CohereChat | Surface::CohereEmbed | Surface::Rerank => return cohere::answer::new_id(),
        _ => return openai::playback::new_id(surface),
    };
    format!("{prefix}{}", random(24))
}

/// The body of an error.
pub fn error_body(surface: Surface, error: &Error) -> Vec<u8> {
    match surface {
        Surface::Messages | Surface::CountTokens => anthropic::error::body(error),
        Surface::GenerateContent | Surface::EmbedContent | Surface::CountContent => gemini::error::body(error),
        Surface::Converse | Surface::InvokeModel => bedrock::error::body(error),
        Surface::CohereChat | Surface::CohereEmbed | Surface::Rerank => cohere::error::body(error),
        Surface::RerankTexts => rerank::bare_error_body(error),
        Surface::OllamaChat | Surface::OllamaEmbed => ollama::error::body(error),
        _ => openai::error::body(error),
    }
}

/// The event of an error in the middle of a stream.
pub fn error_event(surface: Surface, error: &Error) -> Vec<u8> {
    match surface {
        Surface::Responses => responses::error::event(error),
        Surface::Messages => anthropic::error::event(error),
        Surface::GenerateContent => gemini::error::event(error),
        Surface::Converse | Surface::InvokeModel => bedrock::error::event(error),
        Surface::CohereChat => cohere::error::event(error),
        Surface::OllamaChat => ollama::error::event(error),
        _ => openai::error::event(error),
    }
}

/// What an error reply of a provider that speaks the wire of `surface` says; `None` where it is not in that wire.
pub fn told(surface: Surface, body: &[u8]) -> Option<Told> {
    match surface {
        Surface::Messages | Surface::CountTokens => anthropic::error::told(body),
        Surface::GenerateContent | Surface::EmbedContent | Surface::CountContent => gemini::error::told(body),
        Surface::Converse | Surface::InvokeModel => bedrock::error::told(body),
        Surface::CohereChat | Surface::CohereEmbed | Surface::Rerank => cohere::error::told(body),
        Surface::OllamaChat | Surface::OllamaEmbed => ollama::error::told(body),
        _ => openai::error::told(body),
    }
}

/// The arguments of a call as a JSON object. What a model wrote is not always one; nothing of it is lost.
pub fn arguments_object(arguments: &str) -> Cow<'_, str> {
    let trimmed = arguments.trim();
    if trimmed.is_empty() {
        return Cow::Borrowed("{}");
    }
    if trimmed.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(trimmed).is_ok() {
        return Cow::Borrowed(trimmed);
    }
    Cow::Owned(crate::wire::write::to_text(|object| object.text("arguments", arguments)))
}

/// An id for a call that came without one, of what came with it: the same whenever the same bytes are read. `answer` tells it
/// from the same call in another answer, `at` from the same call in the same one.
pub fn call_id(answer: &str, name: &str, arguments: &str, at: usize) -> String {
    let mut hash = blake3::Hasher::new();
    for part in [answer, name, arguments] {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(&(at as u64).to_le_bytes());
    let hex = hash.finalize().to_hex();
    format!("call_{}", hex.get(..24).unwrap_or_default())
}

/// Prompt tokens told in parts: those that were neither read from nor written to the prompt cache, and those.
pub fn usage_of_parts(plain: u64, read: u64, written: u64, output: u64) -> Usage {
    Usage {
        input_tokens: plain.saturating_add(read).saturating_add(written),
        output_tokens: output,
        cached_tokens: read,
        cache_write_tokens: written,
        ..Usage::default()
    }
}

fn no_chat(surface: Surface) -> Error {
    Error::new(ErrorKind::Internal, format!("`{}` is no surface of conversations.", surface.as_str()))
}
