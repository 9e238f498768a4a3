//! Text → token ids, of any text and in bounded time.

use std::path::Path;

use tokenizers::{Tokenizer, TruncationDirection, TruncationParams, TruncationStrategy};

use crate::error::{EmbedError, ModelError};
use crate::fake;
use crate::reading::Reading;

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
    /// How many parts of `max_tokens` each are read of a text; the rest is left out.
    windows: usize,
}

enum Kind {
    Learned { tokenizer: Box<Tokenizer>, markers: Markers },
    Features,
}

/// The ids that the model wants around every text.
struct Markers {
    before: Vec<u32>,
    after: Vec<u32>,
}

impl Markers {
    fn of(tokenizer: &Tokenizer) -> tokenizers::Result<Markers> {
        // What is added shows around a text, whatever its own tokens are.
        let probe = tokenizer.encode_fast("a", true)?;
        let own = |&is_marker: &u32| is_marker == 0;
        let mask = probe.get_special_tokens_mask();
        let begin = mask.iter().position(own).unwrap_or(mask.len());
        let end = mask.iter().rposition(own).map_or(begin, |last| last + 1);
        Ok(Markers { before: probe.get_ids()[..begin].to_vec(), after: probe.get_ids()[end..].to_vec() })
    }

    fn len(&self) -> usize {
        self.before.len() + self.after.len()
    }
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
                "has token id {largest}, but the model's config.json has vocab_size {vocabulary}; \
                 the files belong to different models"
            )));
        }
        // The file's own limits are of the place where it was made; ours come from the manifest.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| bad(format!("cannot be read whole: {error}")))?;
        let markers = Markers::of(&tokenizer).map_err(|error| bad(format!("cannot read a letter: {error}")))?;
        if markers.len() >= max_tokens {
            return Err(bad(format!("adds {} markers to a text of at most {max_tokens} tokens", markers.len())));
        }
        // A caller who writes "[SEP]" means these five letters, not the model's marker.
        tokenizer.set_encode_special_tokens(true);
        let kind = Kind::Learned { tokenizer: Box::new(tokenizer), markers };
        Ok(TextTokenizer { kind, max_tokens, windows: 1 }.in_windows(1))
    }

    /// The tokenizer of [`crate::Embedder::fake`]: words and character trigrams, hashed.
    pub fn features(max_tokens: usize) -> TextTokenizer {
        TextTokenizer { kind: Kind::Features, max_tokens, windows: 1 }
    }

    /// The same tokenizer with words before every text, such as `query: `. They are read in front of each window, as the
    /// markers are, and their tokens count against the limit.
    ///
    /// # Errors
    /// [`ModelError::Setting`] when they are refused, or leave no room for the text.
    pub fn with_prefix(mut self, prefix: &str) -> Result<TextTokenizer, ModelError> {
        let wrong = |problem: String| ModelError::Setting { setting: "prefix", problem };
        if let Kind::Learned { tokenizer, markers } = &mut self.kind {
            // Without the space at its end, which is not a token of its own: what follows begins a word anyway.
            let encoding = tokenizer.encode_fast(prefix.trim_end(), false);
            let encoding = encoding.map_err(|error| wrong(format!("`{prefix}` is refused: {error}")))?;
            markers.before.extend_from_slice(encoding.get_ids());
            if markers.len() >= self.max_tokens {
                return Err(wrong(format!("`{prefix}` leaves no room in {} tokens", self.max_tokens)));
            }
        }
        Ok(self)
    }

    /// The same tokenizer without markers around a text: for models that were trained without.
    #[must_use]
    pub fn without_markers(mut self) -> TextTokenizer {
        if let Kind::Learned { markers, .. } = &mut self.kind {
            *markers = Markers { before: Vec::new(), after: Vec::new() };
        }
        self
    }

    /// The same tokenizer, for texts read in at most `windows` parts; 0 is taken as 1.
    pub(crate) fn in_windows(mut self, windows: usize) -> TextTokenizer {
        self.windows = windows.max(1);
        if let Kind::Learned { tokenizer, .. } = &mut self.kind {
            // Reading ends soon after the last token that is kept: after at least one more, so that it shows that
            // something was left out. The markers are added here, not by the tokenizer, which would cut them in.
            let truncation = TruncationParams {
                max_length: self.max_tokens.saturating_mul(self.windows).saturating_add(1),
                strategy: TruncationStrategy::LongestFirst,
                stride: 0,
                direction: TruncationDirection::Right,
            };
            // It refuses only an overlap larger than the window, and there is none.
            let _ = tokenizer.with_truncation(Some(truncation));
        }
        self
    }

    /// The longest result in tokens.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// The part of a text that could ever be looked at, with a little more, so that it is still seen that something was
    /// cut.
    pub fn readable<'a>(&self, text: &'a str) -> &'a str {
        let most = self.max_tokens.saturating_mul(self.windows).saturating_mul(BYTES_PER_TOKEN[1]);
        let text = text.trim();
        // Not after a word, as below: a text that is longer must stay longer than all that is ever read of it.
        &text[..text.floor_char_boundary(most.saturating_add(64).min(text.len()))]
    }

    /// The ids of a text's beginning.
    ///
    /// # Errors
    /// [`EmbedError::Tokenize`] when the tokenizer refuses the text.
    pub fn tokenize(&self, text: &str) -> Result<Tokens, EmbedError> {
        let reading = self.read_windows(self.readable(text), 1)?;
        Ok(Tokens { ids: reading.rows.row(0).to_vec(), truncated: reading.truncated })
    }

    /// The ids of a text, in as many windows as it needs and may have. The text is what [`TextTokenizer::readable`] gave:
    /// spaces at its end may be all that is left of what was cut, and are not trimmed again.
    ///
    /// # Errors
    /// [`EmbedError::Tokenize`] when the tokenizer refuses the text.
    pub(crate) fn read(&self, text: &str) -> Result<Reading, EmbedError> {
        self.read_windows(text, self.windows)
    }

    fn read_windows(&self, text: &str, windows: usize) -> Result<Reading, EmbedError> {
        let mut reading = Reading::default();
        for bytes_per_token in BYTES_PER_TOKEN {
            let head = cut(text, self.max_tokens.saturating_mul(windows).saturating_mul(bytes_per_token));
            reading = self.rows(head, windows)?;
            let whole = head.len() == text.len();
            if whole || reading.truncated {
                return Ok(reading);
            }
        }
        reading.truncated = true;
        Ok(reading)
    }

    fn rows(&self, text: &str, windows: usize) -> Result<Reading, EmbedError> {
        let mut reading = Reading::default();
        match &self.kind {
            Kind::Learned { tokenizer, markers } => {
                let encoding =
                    tokenizer.encode_fast(text, false).map_err(|error| EmbedError::Tokenize(error.to_string()))?;
                let (ids, each) = (encoding.get_ids(), self.max_tokens - markers.len());
                let mut push = |part: &[u32]| reading.rows.push(&[&markers.before, part, &markers.after].concat());
                match ids.is_empty() {
                    true => push(&[]),
                    false => ids.chunks(each).take(windows).for_each(push),
                }
                (reading.markers, reading.truncated) = (markers.len(), ids.len() > each * windows);
            }
            Kind::Features => {
                let (rows, truncated) = fake::windows(text, self.max_tokens, windows);
                rows.iter().for_each(|row| reading.rows.push(row));
                (reading.markers, reading.truncated) = (1, truncated);
            }
        }
        Ok(reading)
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
    fn windows_cover_the_text_up_to_their_number() {
        let tokenizer = TextTokenizer::features(10).in_windows(3);
        let words = |count: usize| (0..count).map(|n| format!("w{n} ")).collect::<String>();
        let all = TextTokenizer::features(10_000).tokenize(&words(12)).unwrap().ids;
        for count in 0..12 {
            let text = words(count);
            let whole = TextTokenizer::features(10_000).tokenize(&text).unwrap().ids;
            let reading = tokenizer.read(&text).unwrap();
            assert_eq!(reading.rows.rows(), whole.len().saturating_sub(1).div_ceil(9).clamp(1, 3), "{count}");
            assert_eq!(reading.truncated, whole.len() - 1 > 27, "{count}");
            let joined: Vec<u32> = reading.rows.iter().flat_map(|row| &row[reading.markers..]).copied().collect();
            assert_eq!(joined, whole[1..whole.len().min(28)]);
            assert_eq!(reading.rows.row(0)[0], all[0]);
            assert_eq!(reading.rows.row(0), tokenizer.tokenize(&text).unwrap().ids);
        }
        let begin = std::time::Instant::now();
        let reading = tokenizer.read(&"word ".repeat(300_000)).unwrap();
        assert!(reading.truncated && reading.rows.tokens() == 30);
        assert!(begin.elapsed() < std::time::Duration::from_secs(1));
    }

    #[test]
    fn garbage_is_no_tokenizer() {
        for bytes in [&b""[..], b"{}", b"\xff\xfe", b"[1,2"] {
            let error = TextTokenizer::from_json(bytes, Path::new("t.json"), 64, 10).err().unwrap();
            assert!(error.to_string().starts_with("t.json: is no tokenizer"), "{error}");
        }
    }
}
