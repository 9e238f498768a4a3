//! What servers that speak this wire want beyond OpenAI's reference, known by the model's name.
//!
//! Many of them refuse a field that they do not know (Groq, Mistral), and some refuse a request that lacks one of theirs
//! (DeepSeek and Kimi want the thoughts of a turn that called tools). The name is all that tells them apart here.

/// How thoughts of earlier turns go back to a model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Thoughts {
    /// Not at all.
    None,
    /// As `reasoning_content`, a text (<https://api-docs.deepseek.com/guides/thinking_mode>).
    Content,
    /// As `reasoning_details` in the form of that name, signed
    /// (<https://openrouter.ai/docs/guides/best-practices/reasoning-tokens>).
    Details(&'static str),
}

/// What is written for a model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Habits {
    /// The limit of tokens is `max_completion_tokens`: OpenAI's thinking models refuse `max_tokens`, which is what
    /// everybody else knows.
    pub completion_limit: bool,
    /// `cache_control` is known, as OpenRouter and LiteLLM take it for Claude.
    pub cache_marks: bool,
    /// `extra_content` of calls is known, as Google takes it
    /// (<https://ai.google.dev/gemini-api/docs/thought-signatures>).
    pub signed_calls: bool,
    /// How thoughts go back.
    pub thoughts: Thoughts,
}

impl Habits {
    /// Those of a model.
    pub fn of(model: &str) -> Habits {
        let name = model.to_ascii_lowercase();
        let has = |word: &str| name.contains(word);
        let claude = has("claude");
        let gemini = has("gemini");
        // Google itself knows no `reasoning_details`; OpenRouter does, and has a maker in its names.
        let thoughts = if claude {
            Thoughts::Details("anthropic-claude-v1")
        } else if gemini && has("/") {
            Thoughts::Details("google-gemini-v1")
        } else if ["deepseek", "kimi", "glm", "minimax", "qwen", "mimo"].into_iter().any(has) {
            Thoughts::Content
        } else {
            Thoughts::None
        };
        Habits { completion_limit: thinks_at_openai(&name), cache_marks: claude, signed_calls: gemini, thoughts }
    }
}

/// `o1`, `o3-mini`, `gpt-5.1`, `openai/gpt-5`, and those after them; `gpt-oss` is served by others.
fn thinks_at_openai(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name);
    let number = |rest: &str| rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok());
    match (name.strip_prefix('o'), name.strip_prefix("gpt-")) {
        (Some(rest), _) => number(rest).is_some_and(|n: u32| n > 0),
        (_, Some(rest)) => number(rest).is_some_and(|n: u32| (5..100).contains(&n)),
        _ => name.starts_with("codex-"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell() {
        let table = [
            ("gpt-5.1", true, false, Thoughts::None),
            ("openai/o3-mini", true, false, Thoughts::None),
            ("gpt-4o", false, false, Thoughts::None),
            ("gpt-oss-120b", false, false, Thoughts::None),
            ("olmo-3", false, false, Thoughts::None),
            ("deepseek-chat", false, false, Thoughts::Content),
            ("anthropic/claude-sonnet-4.5", false, true, Thoughts::Details("anthropic-claude-v1")),
            ("google/gemini-3-pro", false, false, Thoughts::Details("google-gemini-v1")),
            ("gemini-3-pro", false, false, Thoughts::None),
        ];
        for (model, limit, marks, thoughts) in table {
            let habits = Habits::of(model);
            assert_eq!(
                (habits.completion_limit, habits.cache_marks, habits.thoughts),
                (limit, marks, thoughts),
                "{model}"
            );
        }
    }
}
