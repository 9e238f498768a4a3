//! Tokens of a prompt, before a provider has counted them: by a real tokenizer, where somebody has a limit of them.
//!
//! The vocabulary is `o200k_base`, that of OpenAI's present models; others cut text into about as many. It is made when it is first asked
//! for, and takes some 30 MB from then on.

use super::facts::{Said, images, said};
use crate::wire::json::parse;
use bytes::Bytes;
use std::sync::LazyLock;
use tiktoken_rs::CoreBPE;

/// Longer texts are counted by their bytes: nobody should wait for a count.
const MOST_BYTES: usize = 512 * 1024;
/// About what a picture of a common size is counted as.
pub(super) const TOKENS_OF_A_PICTURE: u64 = 1_600;
/// Shorter ones are counted where they are, longer ones on a thread of their own.
const SHORT_BYTES: usize = 4 * 1024;

static VOCABULARY: LazyLock<Option<CoreBPE>> = LazyLock::new(|| {
    let made = tiktoken_rs::o200k_base();
    made.inspect_err(|error| tracing::error!(%error, "the tokenizer cannot be made; tokens are estimated")).ok()
});

/// The tokens of all texts in the request `body`, its tools included; `None` where nobody can tell.
pub(super) async fn count(body: &Bytes) -> Option<u64> {
    if body.len() > MOST_BYTES {
        return None;
    }
    let is_made = LazyLock::get(&VOCABULARY).is_some();
    if is_made && body.len() <= SHORT_BYTES {
        return counted(body);
    }
    let body = body.clone();
    tokio::task::spawn_blocking(move || counted(&body)).await.ok().flatten()
}

fn counted(body: &[u8]) -> Option<u64> {
    let vocabulary = VOCABULARY.as_ref()?;
    let json = parse(body).ok()?;
    let mut sum = 0u64;
    said(&json, &mut |said| {
        sum += match said {
            Said::Text(text) => vocabulary.encode_ordinary(text).len() as u64,
            Said::Token => 1,
        }
    });
    Some(sum + images(&json) as u64 * TOKENS_OF_A_PICTURE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn texts_are_counted_as_openai_does() {
        // "hello world" are two tokens, and `user` is one.
        let body = Bytes::from_static(br#"{"model":"m","messages":[{"role":"user","content":"hello world"}]}"#);
        assert_eq!(count(&body).await, Some(4), "the model's name is a token here, too");
        let long = format!(r#"{{"content":"{}"}}"#, "hello world ".repeat(1_000));
        assert_eq!(count(&Bytes::from(long)).await, Some(2_001));
        assert_eq!(count(&Bytes::from(vec![b' '; MOST_BYTES + 1])).await, None);
        assert_eq!(count(&Bytes::from_static(b"no json")).await, None);
    }
}
