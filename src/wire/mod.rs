//! Floor 1a: wire formats. Bytes ↔ the words of `types`, and nothing else.
//!
//! - `json`: bytes → a borrowed tree, with clear errors
//! - `read`, `write`: fields of a tree with clear errors; JSON written straight into bytes
//! - `multipart`, `path`: where a field stands in a form; text as a segment of a path
//! - `spanned`, `texts`, `pieces`: values and their places; which of them are texts, whole and in the events of streams
//! - `overrides`: fields that the operator sets in the bytes of a request
//! - `date`: seconds as a date of the calendar
//! - `request`: what the gateway itself reads of a request, whatever its wire
//! - `sse`: server-sent events, split and written
//! - `answer`, `fold`, `playback`: whole answers of every surface, streams that amount to them, and the way back
//! - `translate`: requests, answers and streams from one wire of conversations into another
//! - `event_stream`: AWS's binary frames, and what they are as server-sent events; `ndjson`: the same of lines of JSON
//! - `hub`: every wire of conversations ↔ `types::chat` and `types::completion`
//! - `embeddings`, `rerank`: every wire of vectors and of orders ↔ `types::embeddings` and `types::rerank`
//! - `count`: what counts tokens, in the wires of those vendors that have it
//! - `openai`: the OpenAI wire: requests, answers, streams, playback, errors; `responses`: its second one
//! - `anthropic`, `gemini`, `bedrock`, `cohere`, `ollama`: theirs, in files of the same names

pub mod answer;
pub mod anthropic;
pub mod bedrock;
pub mod cohere;
pub mod count;
pub mod date;
pub mod embeddings;
pub mod event_stream;
pub mod fold;
pub mod gemini;
pub mod hub;
pub mod json;
pub mod multipart;
pub mod ndjson;
pub mod ollama;
pub mod openai;
pub mod overrides;
pub mod path;
pub mod pieces;
pub mod playback;
pub mod read;
pub mod request;
pub mod rerank;
pub mod responses;
pub mod spanned;
pub mod sse;
pub mod texts;
pub mod translate;
pub mod write;
