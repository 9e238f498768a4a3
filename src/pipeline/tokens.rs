//! Tokens of a prompt, before a provider has counted them: by a real tokenizer, where somebody has a limit of them.
//!
//! The vocabulary is `o200k_base`, that of OpenAI's present models; others cut text into about as many. It is made when it is first asked
//! for. What a request says is sampled where it is parsed, so that nobody parses it again, and counted where something is reserved
//! for it: short ones whole, long ones by some pieces from all over, since what is reserved is settled by the provider's own count anyway.

mod split;

use super::facts::{Said, images, said};
use crate::types::json::Json;
use bpe_openai::Tokenizer;
use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::{Arc, LazyLock};

/// About what a picture of a common size is counted as.
pub(super) const TOKENS_OF_A_PICTURE: u64 = 1_600;
/// So many base64 digits of a file are taken for a token, by what it holds: text that is packed, sound, moving pictures; texts as they are.
const DIGITS_OF_A_TOKEN: [(&str, u64); 4] = [("audio", 64), ("video", 1_024), ("text", 4), ("", 8)];
/// No model reads more of one file.
const MOST_OF_A_FILE: u64 = 1_000_000;

/// What is said in so many bytes is counted whole.
const WHOLE_BYTES: usize = 1024;
/// Of more, so many pieces are counted,
const PIECES: usize = 16;
/// each of about so many bytes.
const PIECE_BYTES: usize = 96;
/// A piece ends where a word does, if one does within so many bytes.
const WORD_BYTES: usize = 24;
/// What is reserved for a long text is more than the mean says by so many standard errors: hardly one of them has more tokens.
const ERRORS: f64 = 2.0;

static VOCABULARY: LazyLock<&'static Tokenizer> = LazyLock::new(bpe_openai::o200k_base);

/// What a request says, or some pieces of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Sample {
    /// The pieces, one after the other.
    text: String,
    /// Where each ends.
    ends: Vec<usize>,
    /// Of how many bytes they are pieces; `None` where they are all.
    of: Option<usize>,
    /// Tokens that are known without a tokenizer: of numbers in lists, of pictures and files.
    known: u64,
}

impl Sample {
    /// Of the request `json`, its tools included.
    pub(super) fn of(json: &Json<'_>) -> Sample {
        let (mut texts, mut bytes, mut known) = (Vec::new(), 0, 0);
        said(json, &mut |said| match said {
            Said::Text(text) => {
                bytes += text.len();
                texts.push(text);
            }
            Said::Token => known += 1,
        });
        known += images(json) as u64 * TOKENS_OF_A_PICTURE + of_files(json);
        let mut sample = Sample { text: String::new(), ends: Vec::new(), of: None, known };
        if bytes <= WHOLE_BYTES {
            texts.iter().for_each(|text| sample.add(text));
        } else {
            sample.of = Some(bytes);
            sample.pick(&texts, bytes, rand::random());
        }
        sample
    }

    fn add(&mut self, piece: &str) {
        self.text.push_str(piece);
        self.ends.push(self.text.len());
    }

    /// Takes a piece from each of as many equal parts, at a place that nobody knows before.
    fn pick(&mut self, texts: &[&str], bytes: usize, mut chance: u64) {
        let (mut texts, mut before) = (texts.iter(), 0);
        let Some(mut text) = texts.next() else { return };
        for part in 0..PIECES {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (from, to) = (bytes * part / PIECES, bytes * (part + 1) / PIECES);
            let at = from + (chance >> 33) as usize % (to - from).max(1);
            while before + text.len() <= at {
                before += text.len();
                let Some(next) = texts.next() else { return };
                text = next;
            }
            self.add(piece(text, at - before));
        }
    }

    /// Its tokens; of a long text a few more, so that hardly one has more. Makes the vocabulary, where that is not made yet.
    pub(super) async fn count(self: &Arc<Self>) -> Option<u64> {
        if LazyLock::get(&VOCABULARY).is_some() {
            return Some(self.counted());
        }
        let own = self.clone();
        tokio::task::spawn_blocking(move || own.counted()).await.ok()
    }

    fn counted(&self) -> u64 {
        let mut from = 0;
        let pieces = self.ends.iter().map(|end| self.text.get(std::mem::replace(&mut from, *end)..*end));
        let counts = pieces.flatten().map(|piece| (piece.len(), tokens(piece)));
        let Some(of) = self.of else { return self.known + counts.map(|(_, tokens)| tokens as u64).sum::<u64>() };
        let rates: Vec<f64> = counts.map(|(bytes, tokens)| tokens as f64 / bytes.max(1) as f64).collect();
        let number = rates.len().max(2) as f64;
        let mean = rates.iter().sum::<f64>() / number;
        let variance = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / (number - 1.0);
        let rate = mean + ERRORS * (variance / number).sqrt();
        self.known + (rate * of as f64).ceil() as u64
    }
}

/// So many words a thread remembers the tokens of, by their hash: 128 kB.
const MOST_WORDS: usize = 8_192;

/// The tokens of `text`.
fn tokens(text: &str) -> usize {
    if text.is_ascii() { split::words(text).map(tokens_of_word).sum() } else { VOCABULARY.count(text) }
}

/// The tokens of a word. The same few thousand words are most of all text, so each thread remembers them.
fn tokens_of_word(word: &str) -> usize {
    static HASHER: LazyLock<ahash::RandomState> = LazyLock::new(ahash::RandomState::new);
    thread_local! {
        static KNOWN: RefCell<Vec<(u64, u32)>> = const { RefCell::new(Vec::new()) };
    }
    let hash = HASHER.hash_one(word);
    KNOWN.with_borrow_mut(|known| {
        if known.is_empty() {
            known.resize(MOST_WORDS, (0, 0));
        }
        let at = hash as usize % MOST_WORDS;
        let (of, tokens) = known[at];
        if of == hash && tokens > 0 {
            return tokens as usize;
        }
        let tokens = VOCABULARY.bpe.count(word.as_bytes());
        known[at] = (hash, u32::try_from(tokens).unwrap_or(0));
        tokens
    })
}

/// About [`PIECE_BYTES`] of `text` from `at` on, whole words where it has such; what is left of it at least, where it is short.
fn piece(text: &str, at: usize) -> &str {
    let at = at.min(text.len().saturating_sub(PIECE_BYTES));
    let from = word(text, at);
    let to = word(text, from + PIECE_BYTES);
    text.get(from..to).unwrap_or_default()
}

/// Where a word begins at `at` or a little behind it; else the next character.
fn word(text: &str, at: usize) -> usize {
    if at == 0 || at >= text.len() {
        return at.min(text.len());
    }
    let ahead = &text.as_bytes()[at..text.len().min(at + WORD_BYTES)];
    // Tokens have the space before their word.
    match ahead.iter().position(|byte| *byte == b' ') {
        Some(space) => at + space,
        None => text.ceil_char_boundary(at),
    }
}

/// About what the files that stand in a request come to, in the words of any wire: documents, sound, moving pictures. Pictures are
/// counted by themselves.
pub(super) fn of_files(json: &Json<'_>) -> u64 {
    match json {
        Json::Array(items) => items.iter().map(of_files).sum(),
        Json::Object(_) if is_picture(json) => 0,
        Json::Object(fields) => {
            let of_field = |(name, value): &(Cow<'_, str>, Json<'_>)| match (name.as_ref(), value) {
                ("data" | "bytes" | "file_data", Json::String(digits)) => of_file(kind(json), digits),
                ("image" | "images" | "image_url", _) => 0,
                (_, value) => of_files(value),
            };
            fields.iter().map(of_field).sum()
        }
        _ => 0,
    }
}

fn is_picture(json: &Json<'_>) -> bool {
    json.get("type").and_then(Json::as_str).is_some_and(|kind| kind.contains("image"))
}

/// What a file holds, as far as is told beside it.
fn kind<'j>(json: &'j Json<'_>) -> &'j str {
    let told =
        ["mimeType", "mime_type", "media_type", "format", "type"].iter().filter_map(|name| json.get(name)?.as_str());
    told.into_iter().find(|kind| *kind != "base64").unwrap_or_default()
}

fn of_file(kind: &str, digits: &str) -> u64 {
    // A URL tells its kind itself; sound is told by its format.
    let kind = digits.strip_prefix("data:").unwrap_or(kind);
    let kind = if ["wav", "mp3", "pcm16", "flac", "opus"].contains(&kind) { "audio" } else { kind };
    if kind.starts_with("image/") {
        return 0;
    }
    let digits_of_one =
        DIGITS_OF_A_TOKEN.iter().find(|(known, _)| kind.starts_with(known)).map_or(8, |(_, digits)| *digits);
    (digits.len() as u64).div_ceil(digits_of_one).min(MOST_OF_A_FILE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::parse;

    #[test]
    fn files_are_counted_by_what_they_hold() {
        let data = "x".repeat(6_400);
        let table = [
            (
                format!(
                    r#"{{"content":[{{"type":"document","source":{{"type":"base64","media_type":"application/pdf","data":"{data}"}}}}]}}"#
                ),
                800,
            ),
            (
                format!(
                    r#"{{"content":[{{"type":"document","source":{{"type":"text","media_type":"text/plain","data":"{data}"}}}}]}}"#
                ),
                1_600,
            ),
            (
                format!(
                    r#"{{"content":[{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{data}"}}}}]}}"#
                ),
                0,
            ),
            (
                format!(
                    r#"{{"parts":[{{"inlineData":{{"mimeType":"image/png","data":"{data}"}}}},{{"inlineData":{{"mimeType":"audio/wav","data":"{data}"}}}}]}}"#
                ),
                100,
            ),
            (format!(r#"{{"parts":[{{"inlineData":{{"mimeType":"video/mp4","data":"{data}"}}}}]}}"#), 7),
            (
                format!(r#"{{"content":[{{"type":"input_file","file_data":"data:application/pdf;base64,{data}"}}]}}"#),
                804,
            ),
            (
                format!(r#"{{"content":[{{"type":"input_audio","input_audio":{{"data":"{data}","format":"mp3"}}}}]}}"#),
                100,
            ),
            (
                format!(
                    r#"{{"content":[{{"image":{{"format":"png","source":{{"bytes":"{data}"}}}}}},{{"document":{{"format":"pdf","source":{{"bytes":"{data}"}}}}}}]}}"#
                ),
                800,
            ),
            (
                format!(
                    r#"{{"content":[{{"type":"input_image","image_url":"data:image/png;base64,{data}"}}],"images":["{data}"]}}"#
                ),
                0,
            ),
            (format!(r#"{{"file_data":"{}"}}"#, "x".repeat(9_000_000)), 1_000_000),
            (r#"{"messages":[{"content":"12345678"}]}"#.to_owned(), 0),
        ];
        for (body, expected) in table {
            let shown: String = body.chars().take(120).collect();
            assert_eq!(of_files(&parse(body.as_bytes()).unwrap()), expected, "{shown}");
        }
    }

    fn sample(body: &str) -> Sample {
        Sample::of(&parse(body.as_bytes()).unwrap())
    }

    #[tokio::test]
    async fn short_texts_are_counted_as_openai_does() {
        // "hello world" are two tokens, and `user` is one.
        let body = r#"{"model":"m","messages":[{"role":"user","content":"hello world"}]}"#;
        assert_eq!(Arc::new(sample(body)).count().await, Some(4), "the model's name is a token here, too");
        let most = format!(r#"{{"content":"{}"}}"#, "hello world ".repeat(85));
        assert_eq!(sample(&most).counted(), 171);
        assert_eq!(sample(r#"{"prompt":[1,2,3],"input":"hello\nworld"}"#).counted(), 6);
    }

    /// Of texts of several kinds: how much more is estimated than there is, at the least and at the most of many tries.
    fn off(text: &str) -> (f64, f64) {
        let json = Json::String(Cow::Borrowed(text));
        let tokens = VOCABULARY.count(text) as f64;
        let tries = (0..300).map(|_| Sample::of(&json).counted() as f64 / tokens);
        tries.fold((f64::MAX, 0.0), |(least, most), one| (one.min(least), one.max(most)))
    }

    #[test]
    fn long_texts_are_estimated_by_pieces_from_all_over() {
        let prose = include_str!("../../README.md");
        let code = include_str!("tokens.rs");
        let cyrillic = "Сколько стоит переезд на новую квартиру и кто за него платит? ".repeat(80);
        let chinese = "请告诉我这条河流经过哪些城市，以及它有多长。".repeat(100);
        let unspaced = "0123456789abcdef".repeat(500);
        let mixed = format!("{prose}{chinese}{code}");
        for (name, text) in [
            ("prose", prose),
            ("code", code),
            ("cyrillic", &cyrillic),
            ("chinese", &chinese),
            ("hex", &unspaced),
            ("mixed", &mixed),
        ] {
            let (least, most) = off(text);
            println!("{name}: {least:.2} to {most:.2} of what there is");
            assert!(least > 0.85 && most < 1.5, "{name}: {least:.2} to {most:.2}");
        }
    }

    #[test]
    fn pieces_lie_in_the_texts_however_these_are_cut() {
        for texts in
            [vec!["a"; 2_000], vec!["ä".repeat(3_000).as_str()], vec!["", "x y", &"word ".repeat(400), "", "€"]]
        {
            let bytes = texts.iter().map(|text| text.len()).sum();
            for chance in 0..200 {
                let mut sample = Sample { text: String::new(), ends: Vec::new(), of: Some(bytes), known: 0 };
                sample.pick(&texts, bytes, u64::wrapping_mul(chance, 0x9e37_79b9_7f4a_7c15));
                assert!(sample.ends.len() == PIECES && sample.counted() > 0);
                assert!(sample.text.len() <= PIECES * (PIECE_BYTES + WORD_BYTES + 4));
            }
        }
    }
}
