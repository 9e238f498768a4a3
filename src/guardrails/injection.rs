//! Signs that a text tries to give a model other instructions, and the score that they come to.
//!
//! Each sign has a weight: how sure it makes by itself. Independent signs add up as `1 - (1 - a)(1 - b)…`, so that no number of weak
//! ones is ever certain. Signs are told by form, not by meaning: a model that was trained for it sees more. What they are after:
//! <https://genai.owasp.org/llmrisk/llm01-prompt-injection/>.

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use std::sync::LazyLock;

/// Expressions and their weights. Case and the number of spaces do not count.
const SIGNS: &[(&str, f64)] = &[
    // Earlier instructions are to be left aside.
    (
        r"\b(?:ignore|disregard|forget|override|bypass|skip|discard)\b.{0,30}\b(?:previous|prior|above|earlier|preceding|foregoing|initial|original|existing|all|any|your|the)\b.{0,30}\b(?:instructions?|prompts?|rules?|directions?|guidelines?|directives?|commands?|guardrails?|safety)\b",
        0.75,
    ),
    (r"\b(?:ignorier|vergiss|missachte)\w{0,4}\b.{0,40}\b(?:anweisung|vorgabe|regel|instruktion)\w{0,4}\b", 0.75),
    (r"\b(?:ignor|oubli)\w{1,5}\b.{0,40}\b(?:instructions?|consignes?|règles?)\b", 0.75),
    (r"\b(?:ignor|olvid)\w{1,5}\b.{0,40}\b(?:instrucciones|reglas|indicaciones)\b", 0.75),
    (
        r"\b(?:do not|don't|never|stop)\b.{0,15}\b(?:follow|obey|adhere to|comply with)\b.{0,30}\b(?:instructions?|rules?|guidelines?|policy|policies)\b",
        0.6,
    ),
    (
        r"\b(?:new|updated|real|actual|true) (?:system )?(?:instructions?|prompt|directives?|task) ?(?:are|is|:|follows?)",
        0.5,
    ),
    // The system prompt is to be told.
    (
        r"\b(?:reveal|print|show|repeat|output|display|tell me|give me|leak|dump|recite|what (?:is|are|was|were))\b.{0,40}\b(?:your|the|all|hidden|initial|original)\b.{0,20}\b(?:system prompt|system message|initial prompt|hidden prompt|instructions verbatim|original instructions|hidden instructions|developer message)\b",
        0.7,
    ),
    (
        r"\b(?:repeat|print|output|write)\b.{0,20}\b(?:everything|all|the text|the words)\b.{0,20}\b(?:above|before this|preceding)\b",
        0.6,
    ),
    // Another part is to be played, without rules.
    (
        r"\byou are (?:now|no longer|going to be|to act as)\b.{0,60}\b(?:dan|jailbroken|unrestricted|unfiltered|uncensored|evil|amoral|root|developer mode|free of|without (?:any )?(?:rules|restrictions|limits|filters))\b",
        0.8,
    ),
    (
        r"\b(?:act|behave|respond|answer|pretend|roleplay|role-play|simulate)\b.{0,40}\b(?:without|with no|free of|no longer bound by|not bound by)\b.{0,20}\b(?:rules|restrictions|limits|limitations|filters|ethics|guidelines|censorship|constraints)\b",
        0.75,
    ),
    (
        r"\b(?:do anything now|developer mode (?:enabled|on|output)|jailbreak(?:ed)? mode|god mode|sudo mode|dan mode|opposite mode)\b",
        0.75,
    ),
    (
        r"\bpretend (?:that )?(?:you|there) (?:have|are|is)\b.{0,20}\bno\b.{0,20}\b(?:rules|restrictions|filters|guidelines|limits)\b",
        0.7,
    ),
    // Words of the wires, which texts of people do not have.
    (r"<\|(?:im_start|im_end|system|user|assistant|endoftext|start_header_id|eot_id)\|>", 0.7),
    (r"\[/?INST\]|<</?SYS>>", 0.6),
    (r"(?m)^\s{0,4}(?:#{1,4}\s{0,3})?(?:system|developer)(?: (?:prompt|message|override|note))?\s{0,3}:\s", 0.45),
    (r"</?(?:system|system_prompt|instructions|admin|developer)>", 0.4),
    (r"\b(?:begin|end|start) (?:of )?(?:system|new|hidden|secret) (?:prompt|instructions?|message)\b", 0.55),
    // The user is not to know.
    (
        r"\b(?:do not|don't|never|without)\b.{0,20}\b(?:tell|telling|inform|informing|mention|mentioning|alert|alerting|notify|reveal(?:ing)? (?:this )?to)\b.{0,20}\b(?:the )?(?:user|human|anyone|operator|owner)\b",
        0.6,
    ),
    (
        r"\b(?:important|attention|note|message) (?:to|for) (?:the )?(?:ai|llm|language model|assistant|chatbot|bot|agent)s?\b",
        0.5,
    ),
    // Something is to be carried out of the house.
    (r"!\[[^\]]{0,80}\]\(https?://[^)\s]{1,200}[?&][a-z0-9_]{1,30}=(?:\{|\[|<|%7b|\$)", 0.6),
    (
        r"\b(?:send|post|forward|upload|exfiltrate|transmit|email)\b.{0,60}\b(?:conversation|chat history|credentials?|api keys?|passwords?|secrets?|system prompt|environment variables)\b.{0,60}(?:https?://|\bto\b)",
        0.55,
    ),
    // The answer is to be unlocked by a beginning of the attacker's own.
    (
        r"\b(?:start|begin) (?:your|the) (?:response|answer|reply) with\b.{0,30}\b(?:sure|absolutely|of course|certainly|yes)\b",
        0.4,
    ),
    (
        r"\b(?:decode|decrypt)\b.{0,40}\b(?:base64|rot13|hex|cipher)\b.{0,60}\b(?:follow|execute|obey|do what|carry out)\b",
        0.6,
    ),
];

/// The signs, compiled. What each begins with is one set, so that a text without any of that is read once.
struct Signs {
    gates: RegexSet,
    patterns: Vec<Regex>,
}

/// Bytes and ASCII: with letters of all scripts the automata would be many times as large.
static ALL: LazyLock<Option<Signs>> = LazyLock::new(|| {
    let gates = SIGNS.iter().map(|(pattern, _)| pattern.split(".{").next().unwrap_or(pattern));
    let mut set = RegexSetBuilder::new(gates);
    let gates = set.case_insensitive(true).unicode(false).size_limit(64 << 20).dfa_size_limit(16 << 20).build().ok()?;
    let compiled = |(pattern, _): &(&str, f64)| {
        let mut pattern = RegexBuilder::new(&pattern.replace(".{", "[^\\n]{"));
        pattern.case_insensitive(true).unicode(false).size_limit(64 << 20).dfa_size_limit(8 << 20).build().ok()
    };
    Some(Signs { gates, patterns: SIGNS.iter().map(compiled).collect::<Option<_>>()? })
});

/// How sure it is that `text` tries to give other instructions: from 0 to 1.
pub fn score(text: &str) -> f64 {
    let plain = folded(text);
    let Some(Signs { gates, patterns }) = ALL.as_ref() else { return 1.0 };
    let gated = gates.matches(plain.as_bytes()).into_iter();
    let found = gated.filter(|at| patterns.get(*at).is_some_and(|pattern| pattern.is_match(plain.as_bytes())));
    let doubt = found.filter_map(|at| SIGNS.get(at)).fold(1.0, |doubt, (_, weight)| doubt * (1.0 - weight));
    1.0 - doubt * (1.0 - hidden(text))
}

/// One space for several, straight quotes, and without signs that nobody sees.
fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut space = false;
    for c in text.chars() {
        match c {
            c if is_hidden(c) => {}
            '’' | '‘' => {
                out.push('\'');
                space = false;
            }
            '\n' => {
                out.push('\n');
                space = true;
            }
            c if c.is_whitespace() => {
                if !std::mem::replace(&mut space, true) {
                    out.push(' ');
                }
            }
            c => {
                out.push(c);
                space = false;
            }
        }
    }
    out
}

/// Signs that nobody sees: letters of tags, which spell whole sentences, are worse than joiners, which some scripts have.
fn hidden(text: &str) -> f64 {
    let tags = text.chars().filter(|c| ('\u{e0020}'..='\u{e007e}').contains(c)).take(8).count();
    let turns = text.chars().filter(|c| ('\u{202d}'..='\u{202e}').contains(c)).take(2).count();
    // Flags of regions are spelt with up to six tags.
    match (tags, turns) {
        (8.., _) => 0.8,
        (_, 1..) => 0.3,
        _ => 0.0,
    }
}

fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{ad}' | '\u{e0000}'..='\u{e007f}')
}
