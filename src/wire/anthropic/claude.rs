//! What a Claude model takes, by its name: the wire is one, but limits, thinking and sampling differ from model to model.
//! After <https://platform.claude.com/docs/en/models/overview> and the migration pages of each model.
//!
//! A model of another maker that is served in this wire has no `Claude`, and is sent what was asked for.

/// A Claude model, as far as its name tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claude {
    line: Line,
    version: (u32, u32),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Line {
    Opus,
    Sonnet,
    Haiku,
    /// Fable and Mythos.
    Fable,
    Other,
}

/// How a model can be asked to think.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
pub enum Thinks {
    /// Not at all.
    No,
    /// With a budget of tokens.
    Budget,
    /// With a budget, or as it sees fit.
    Either,
    /// As it sees fit.
    Adaptive,
}

/// How a model is kept from thinking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Off {
    /// It does not think unless it is asked to.
    Unasked,
    /// By saying so.
    Disabled,
    /// It still thinks between calls of tools.
    BetweenTools,
    /// Not at all.
    Never,
}

/// The limit of tokens written for a model of another maker where the request has none.
const OTHERS_MAX_TOKENS: u64 = 8_192;

/// The most that is written for a Claude model unasked; what newer ones can do is more.
const UNASKED_MAX_TOKENS: u64 = 32_000;

impl Claude {
    /// The model of that name: `claude-opus-4-1-20250805`, `claude-3-5-haiku@20241022`, `anthropic.claude-opus-4-7-v1:0`.
    pub fn of(model: &str) -> Option<Claude> {
        let lower = model.to_ascii_lowercase();
        let name = lower.get(lower.find("claude")?..)?;
        let words = || name.split(|c: char| !c.is_ascii_alphanumeric()).skip(1);
        let line = words().find_map(|word| match word {
            "opus" => Some(Line::Opus),
            "sonnet" => Some(Line::Sonnet),
            "haiku" => Some(Line::Haiku),
            "fable" | "mythos" => Some(Line::Fable),
            _ => None,
        });
        // A date has more digits than a version.
        let number = |word: &str| (word.len() <= 2).then(|| word.parse::<u32>().ok()).flatten();
        let mut numbers = words().skip_while(|word| number(word).is_none());
        let major = numbers.next().and_then(number);
        let minor = numbers.next().and_then(number).unwrap_or(0);
        match (line, major) {
            (line, Some(major)) => Some(Claude { line: line.unwrap_or(Line::Other), version: (major, minor) }),
            (Some(Line::Fable), None) => Some(Claude { line: Line::Fable, version: (4, 7) }),
            _ => None,
        }
    }

    /// How it can be asked to think.
    pub fn thinks(self) -> Thinks {
        match self.version {
            _ if self.line == Line::Fable => Thinks::Adaptive,
            version if version < (3, 7) => Thinks::No,
            version if version < (4, 6) => Thinks::Budget,
            version if version < (4, 7) => Thinks::Either,
            _ => Thinks::Adaptive,
        }
    }

    /// How it is kept from thinking.
    pub fn off(self) -> Off {
        match (self.line, self.version) {
            (Line::Fable, _) => Off::Never,
            (_, version) if version < (5, 0) => Off::Unasked,
            (Line::Opus, version) if version >= (5, 5) => Off::Never,
            (Line::Sonnet, version) if version >= (5, 5) => Off::BetweenTools,
            _ => Off::Disabled,
        }
    }

    /// It takes `temperature`, `top_p` and `top_k` other than their defaults.
    pub fn samples(self) -> bool {
        self.thinks() != Thinks::Adaptive
    }

    /// It takes `temperature` and `top_p` together.
    pub fn samples_twice(self) -> bool {
        self.version < (4, 1)
    }

    /// It can be made to call a tool.
    pub fn takes_forced_calls(self) -> bool {
        match self.line {
            Line::Fable => self.version < (5, 1),
            Line::Opus | Line::Sonnet => self.version < (5, 5),
            _ => true,
        }
    }

    /// It takes the effort `xhigh`.
    pub fn has_xhigh(self) -> bool {
        self.thinks() == Thinks::Adaptive
    }

    /// The most tokens that it gives.
    pub fn most_tokens(self) -> u64 {
        match (self.line, self.version) {
            (Line::Fable, _) => 128_000,
            (_, version) if version < (3, 5) => 4_096,
            (_, version) if version < (3, 7) => 8_192,
            (Line::Opus, version) if version < (4, 5) => 32_000,
            (_, version) if version < (4, 6) => 64_000,
            _ => 128_000,
        }
    }
}

/// The limit of tokens that is written where a request has none, as this wire wants one.
///
/// Claude up to 3: 4,096; 3.5: 8,192, which is all they give; later ones 32,000, so that a long prompt still fits beside
/// it into the windows of 200,000; any other model 8,192.
pub fn max_tokens_for(claude: Option<Claude>) -> u64 {
    claude.map_or(OTHERS_MAX_TOKENS, |claude| claude.most_tokens().min(UNASKED_MAX_TOKENS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_known_by_their_names() {
        let table = [
            ("claude-3-haiku-20240307", 4_096, Thinks::No, Off::Unasked, true),
            ("claude-3-5-sonnet@20241022", 8_192, Thinks::No, Off::Unasked, true),
            ("claude-3-7-sonnet-latest", 32_000, Thinks::Budget, Off::Unasked, true),
            ("us.anthropic.claude-opus-4-20250514-v1:0", 32_000, Thinks::Budget, Off::Unasked, true),
            ("anthropic/claude-sonnet-4.5", 32_000, Thinks::Budget, Off::Unasked, true),
            ("claude-opus-4-6", 32_000, Thinks::Either, Off::Unasked, true),
            ("claude-opus-4-8", 32_000, Thinks::Adaptive, Off::Unasked, false),
            ("claude-mythos-preview", 32_000, Thinks::Adaptive, Off::Never, false),
            ("claude-fable-5-2", 32_000, Thinks::Adaptive, Off::Never, false),
            ("claude-opus-5", 32_000, Thinks::Adaptive, Off::Disabled, false),
            ("claude-opus-5-5", 32_000, Thinks::Adaptive, Off::Never, false),
            ("claude-sonnet-5-5", 32_000, Thinks::Adaptive, Off::BetweenTools, false),
            ("claude-haiku-5-5", 32_000, Thinks::Adaptive, Off::Disabled, false),
        ];
        for (model, max_tokens, thinks, off, samples) in table {
            let claude = Claude::of(model).unwrap();
            assert_eq!(max_tokens_for(Some(claude)), max_tokens, "{model}");
            assert_eq!((claude.thinks(), claude.off(), claude.samples()), (thinks, off, samples), "{model}");
        }
        let forced = |model: &str| Claude::of(model).unwrap().takes_forced_calls();
        assert!(forced("claude-opus-5") && forced("claude-fable-5") && forced("claude-haiku-5-5"));
        assert!(!forced("claude-opus-5-5") && !forced("claude-sonnet-5-5") && !forced("claude-fable-5-1"));
        assert_eq!(Claude::of("kimi-k3"), None);
        assert_eq!(Claude::of("claude"), None);
        assert_eq!(max_tokens_for(None), 8_192);
    }
}
