//! Text → token ids, of any text and in bounded time.

use std::path::Path;

use tokenizers::{Tokenizer, TruncationDirection, TruncationParams, TruncationStrategy};

use crate::error::{EmbedError, ModelError};
use crate::fake;

/// Bytes of text read for each token that may be kept, at first and at most. Tokenizing costs about a microsecond a
/// token, so a text of a megabyte is not read whole only to be cut to a few hundred tokens. English has 4–5 bytes a
/// token: the first try is enough for nearly all texts, the second covers long words, and texts in rare scripts.
const BYTES_PER_TOKEN: [usize; 2] = [12, 96];

/// The token ids of one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Ids, with the markers that the model wants around them.
    pub ids: Vec<u32>,
    /// Whether the text was longer than what the ids stand for.
    pub truncated: bool,
}

/// Turns text into token ids.
pub struct TextTokenizer {
    kind: Kind,
    max_tokens: usize,
    /// Put before every text.
    prefix: String,
    /// Whether the model wants its markers around a text.
    markers: bool,
}

enum Kind {
    Learned(Box<Tokenizer>),
    Features,
}

impl TextTokenizer {
    /// Reads a `tokenizer.json`; `file` is named in errors, `vocabulary` is the number of ids that the model knows.
    ///
    /// # Errors
    /// [`ModelError::BadFile`] when the bytes are no tokenizer, or one with more ids than the model knows.
    pub fn from_json(
        bytes: &[u8],
        file: &Path,
        max_tokens: usize,
        vocabulary: usize,
    ) -> Result<TextTokenizer, ModelError> {
        let bad = |problem: String| ModelError::bad_file(file, problem);
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(|error| bad(format!("is no tokenizer: {error}")))?;
        let largest = tokenizer.get_vocab(true).into_values().max().unwrap_or(0);
        if largest as usize >= vocabulary {
            return Err(bad(format!(
                "has token id {largest}, but the model knows {vocabulary} tokens (vocab_size {vocabulary}); \
                 the files belong to different models"
            )));
        }
        // The file's own limits are of the place where it was made; ours come from the manifest.
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(Some(TruncationParams {
                max_length: max_tokens,
                strategy: TruncationStrategy::LongestFirst,
                stride: 0,
                direction: TruncationDirection::Right,
            }))
            .map_err(|error| bad(format!("cannot cut at {max_tokens} tokens: {error}")))?;
        // A caller who writes "[SEP]" means these five letters, not the model's marker.
        tokenizer.set_encode_special_tokens(true);
        Ok(TextTokenizer { kind: Kind::Learned(Box::new(tokenizer)), max_tokens, prefix: String::new(), markers: true })
    }

    /// The tokenizer of [`crate::Embedder::fake`]: words and character trigrams, hashed.
    pub fn features(max_tokens: usize) -> TextTokenizer {
        TextTokenizer { kind: Kind::Features, max_tokens, prefix: String::new(), markers: true }
    }

    /// The same tokenizer with words before every text, such as `query: `. Their tokens count against the limit.
    #[must_use]
    pub fn with_prefix(self, prefix: &str) -> TextTokenizer {
        TextTokenizer { prefix: prefix.to_owned(), ..self }
    }

    /// The same tokenizer without markers around a text: for models that were trained without.
    #[must_use]
    pub fn without_markers(self) -> TextTokenizer {
        TextTokenizer { markers: false, ..self }
    }

    /// The longest result in tokens.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// The part of a text that [`TextTokenizer::tokenize`] could ever look at, with a little more, so that it still
    /// sees that something was cut.
    pub fn readable<'a>(&self, text: &'a str) -> &'a str {
        let text = text.trim();
        cut(text, self.max_tokens.saturating_mul(BYTES_PER_TOKEN[1]).saturating_add(64))
    }

    /// The ids of a text.
    ///
    /// # Errors
    /// [`EmbedError::Tokenize`] when the tokenizer refuses the text.
    pub fn tokenize(&self, text: &str) -> Result<Tokens, EmbedError> {
        let text = text.trim();
        let mut tokens = Tokens { ids: Vec::new(), truncated: false };
        for bytes_per_token in BYTES_PER_TOKEN {
            let head = cut(text, self.max_tokens.saturating_mul(bytes_per_token));
            tokens = match self.prefix.as_str() {
                "" => self.ids(head)?,
                prefix => self.ids(&format!("{prefix}{head}"))?,
            };
            let whole = head.len() == text.len();
            if whole || tokens.truncated {
                return Ok(tokens);
            }
        }
        tokens.truncated = true;
        Ok(tokens)
    }

    fn ids(&self, text: &str) -> Result<Tokens, EmbedError> {
        match &self.kind {
            Kind::Learned(tokenizer) => {
                let encoding = tokenizer
                    .encode_fast(text, self.markers)
                    .map_err(|error| EmbedError::Tokenize(error.to_string()))?;
                Ok(Tokens { ids: encoding.get_ids().to_vec(), truncated: !encoding.get_overflowing().is_empty() })
            }
            Kind::Features => Ok(fake::features(text, self.max_tokens)),
        }
    }
}

/// The beginning of a text, at most `bytes` long, cut after a space where one is near, so that no word is halved.
fn cut(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let head = &text[..text.floor_char_boundary(bytes)];
    match head.rfind(char::is_whitespace) {
        Some(space) if space * 4 >= head.len() * 3 => &head[..space],
        _ => head,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_keeps_words_and_characters_whole() {
        assert_eq!(cut("one two", 7), "one two");
        assert_eq!(cut("one two three", 9), "one two");
        assert_eq!(cut("äöü", 3), "ä");
        assert_eq!(cut("a bbbbbbbbbbbbbb", 10), "a bbbbbbbb");
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn long_texts_are_read_in_part_and_said_to_be() {
        let tokenizer = TextTokenizer::features(64);
        let text = "word ".repeat(300_000);
        assert!(tokenizer.readable(&text).len() < 64 * 96 + 65);
        let tokens = tokenizer.tokenize(&text).unwrap();
        assert!(tokens.truncated && tokens.ids.len() <= 64);
        assert_eq!(tokens, tokenizer.tokenize(tokenizer.readable(&text)).unwrap());
        let padded = format!("{}short{}", " ".repeat(100_000), "\n".repeat(100_000));
        assert!(!tokenizer.tokenize(&padded).unwrap().truncated);
    }

    #[test]
    fn garbage_is_no_tokenizer() {
        for bytes in [&b""[..], b"{}", b"\xff\xfe", b"[1,2"] {
            let error = TextTokenizer::from_json(bytes, Path::new("t.json"), 64, 10).err().unwrap();
            assert!(error.to_string().starts_with("t.json: is no tokenizer"), "{error}");
        }
    }
}
