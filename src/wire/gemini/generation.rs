//! What a model's name says of what the model takes: how its thinking is set
//! (<https://ai.google.dev/gemini-api/docs/thinking>) and whether its calls must be signed
//! (<https://ai.google.dev/gemini-api/docs/thought-signatures>).

/// How a model's thinking is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Thinking {
    /// Not at all.
    No,
    /// By a budget of tokens, at least and at most so many; it may be turned off where that is 0.
    Budget {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// By a word; the one that is least.
    Level(&'static str),
}

/// How the thinking of `model` is set. What is not known is taken to be of the latest generation.
pub(super) fn thinking(model: &str) -> Thinking {
    let name = base(model);
    let Some(rest) = name.strip_prefix("gemini-") else { return Thinking::No };
    match rest.as_bytes().first() {
        Some(b'1') => Thinking::No,
        Some(b'2') if rest.starts_with("2.0") => Thinking::No,
        Some(b'2') if rest.contains("pro") => Thinking::Budget { least: 128, most: 32_768 },
        Some(b'2') => Thinking::Budget { least: 0, most: 24_576 },
        _ if rest.starts_with("embedding") => Thinking::No,
        _ if rest.contains("pro") => Thinking::Level("LOW"),
        _ => Thinking::Level("MINIMAL"),
    }
}

/// Must a call in the current turn carry a signature? Those from Gemini 3 on refuse one without.
pub(super) fn signs_calls(model: &str) -> bool {
    matches!(thinking(model), Thinking::Level(_))
}

/// The name without what stands before it in a path.
fn base(model: &str) -> &str {
    model.rsplit('/').next().unwrap_or(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_how_thinking_is_set() {
        let table = [
            ("gemini-1.5-pro", Thinking::No),
            ("gemini-2.0-flash", Thinking::No),
            ("gemma-3-27b-it", Thinking::No),
            ("gemini-2.5-pro", Thinking::Budget { least: 128, most: 32_768 }),
            ("models/gemini-2.5-flash-lite", Thinking::Budget { least: 0, most: 24_576 }),
            ("gemini-3-pro-preview", Thinking::Level("LOW")),
            ("gemini-flash-latest", Thinking::Level("MINIMAL")),
        ];
        for (model, expected) in table {
            assert_eq!(thinking(model), expected, "{model}");
        }
    }
}
