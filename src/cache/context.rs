//! What a follow-up is compared by, where `cache.semantic.follow_ups` is `condensed`: its question together with the short
//! turns before it. Turns that are not short count exactly, like everything else of the request.
//!
//! Pure: `condense` reads a request; `agrees` says whether the words of two condensed texts allow one answer for both.

use super::judgement::{LabelledPair, Question, Weights};
use super::question::fold;
use super::verify;
use crate::types::json::Json;
use crate::types::request::Request;

/// Bytes of the longest turn that is condensed. A longer one counts exactly: no two are written alike by chance.
const TURN_BYTES: usize = 400;

/// Bytes of all turns that are condensed, the newest first, whatever is asked after them: so the same turns before two
/// questions are condensed alike.
const TURNS_BYTES: usize = 450;

/// Bytes of a question that goes with them. The whole is what sentence models of 256 tokens read, in scripts of three bytes
/// a letter too.
const QUESTION_BYTES: usize = 250;

/// More of a trap than this is never served: the cut of `strict`. Above it are most pairs of conversations that differ in
/// one word that matters.
const TRAP: f32 = 0.08;

/// Stands between turns. Sentence models do not see it, and no turn that has it is condensed.
const SEPARATOR: char = '\u{1e}';

/// A follow-up, condensed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Condensed {
    /// The question, then the short turns before it, newest first.
    pub text: String,
    /// Places of those turns in the conversation, ascending. Of them only the role belongs to the scope.
    pub turns: Vec<usize>,
}

/// Condenses a request whose body is `json`. `None` where no turn before the question is short enough, or none is there.
pub fn condense(json: &Json<'_>, request: &Request) -> Option<Condensed> {
    let question = request.question.as_deref().filter(|text| is_plain(text) && text.len() <= QUESTION_BYTES)?;
    let at = request.question_at?;
    let earlier = json.get(at.list)?.as_array()?.get(..at.message?)?;
    let mut text = question.to_owned();
    let (mut turns, mut room) = (Vec::new(), TURNS_BYTES);
    for (place, turn) in
        earlier.iter().enumerate().rev().filter_map(|(place, turn)| Some((place, words(turn, at.content)?)))
    {
        if turn.len() <= TURN_BYTES.min(room) && is_plain(turn) {
            room -= turn.len();
            text.extend(['\n', SEPARATOR, '\n']);
            text.push_str(turn);
            turns.push(place);
        }
    }
    turns.reverse();
    (!turns.is_empty()).then_some(Condensed { text, turns })
}

fn is_plain(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains(SEPARATOR)
}

/// The words of a turn of the user or the assistant that is nothing but words.
fn words<'j>(message: &'j Json<'_>, content: &str) -> Option<&'j str> {
    let Json::Object(fields) = message else { return None };
    // Libraries send back what they were sent: `"refusal": null, "annotations": []`.
    let says_nothing = |value: &Json<'_>| *value == Json::Null || value.as_array().is_some_and(<[_]>::is_empty);
    let plain = fields.iter().all(|(key, value)| key == "role" || key == content || says_nothing(value));
    let spoken = matches!(message.get("role")?.as_str()?, "user" | "assistant" | "model");
    let said = match message.get(content)? {
        Json::String(text) => Some(text.as_ref()),
        Json::Array(parts) => only_text(parts),
        _ => None,
    };
    said.filter(|_| plain && spoken)
}

/// The words of a list of one part that is nothing but words.
fn only_text<'j>(parts: &'j [Json<'_>]) -> Option<&'j str> {
    let [part @ Json::Object(fields)] = parts else { return None };
    let kind = part.get("type").and_then(Json::as_str);
    let plain = fields.iter().all(|(key, _)| key == "type" || key == "text");
    let text = matches!(kind, None | Some("text" | "input_text" | "output_text"));
    part.get("text")?.as_str().filter(|_| plain && text)
}

/// The question of a condensed text.
pub fn question(text: &str) -> &str {
    turns(text).next().unwrap_or(text)
}

/// The question and the turns before it, newest first.
fn turns(text: &str) -> impl Iterator<Item = &str> {
    text.split(SEPARATOR).map(|turn| turn.trim_matches('\n'))
}

/// Are the questions of two condensed texts the same but for what cannot matter?
pub fn ask_the_same(one: &str, other: &str) -> bool {
    alike(question(one), question(other))
}

fn alike(one: &str, other: &str) -> bool {
    one == other || fold(one).is_some_and(|folded| fold(other) == Some(folded))
}

/// Are the turns before the questions of two condensed texts the same but for what cannot matter?
pub fn same_turns(one: &str, other: &str) -> bool {
    turns(one).count() == turns(other).count() && earlier(one, other).all(|(one, other)| alike(one, other))
}

/// The turns before the questions of two condensed texts, side by side.
fn earlier<'t>(one: &'t str, other: &'t str) -> impl Iterator<Item = (&'t str, &'t str)> {
    turns(one).zip(turns(other)).skip(1)
}

/// May one answer do for two condensed texts whose turns before the question are not the same, and whose vectors have the
/// cosine `similarity`, as far as words tell?
///
/// They have to agree in every number, id, date and unit, whatever `cache.semantic.veto` says, and in how much is denied
/// before the question; and they must not look like a trap.
pub fn agrees(one: &str, other: &str, similarity: f32) -> bool {
    if turns(one).count() != turns(other).count() {
        return false;
    }
    let denied =
        earlier(one, other).fold([0, 0], |sum, (one, other)| [sum[0] + negations(one), sum[1] + negations(other)]);
    if denied[0] != denied[1] || verify::differs(one, other) {
        return false;
    }
    let (one, other) = (Question::read(one), Question::read(other));
    Weights::shipped().trap(&LabelledPair { one, other, similarity, same: true, weight: 1.0 }) <= TRAP
}

/// Words that deny.
fn negations(text: &str) -> usize {
    const WORDS: [&str; 10] =
        ["no", "not", "never", "none", "nothing", "nobody", "nor", "neither", "without", "cannot"];
    let lower = text.to_lowercase().replace('’', "'");
    let words = lower.split(|c: char| !c.is_alphanumeric() && c != '\'');
    words.filter(|word| WORDS.contains(word) || word.ends_with("n't")).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::surface::Surface;
    use crate::wire::json::parse;
    use crate::wire::request::{InPath, read};
    use bytes::Bytes;
    use serde_json::{Value, json};

    fn condensed(messages: Value) -> Option<Condensed> {
        let body = Bytes::from(json!({"model": "m", "messages": messages}).to_string());
        let json = parse(&body).unwrap();
        condense(&json, &read(Surface::ChatCompletions, &json, &body, &InPath::default()).unwrap())
    }

    fn said(role: &str, text: &str) -> Value {
        json!({"role": role, "content": text})
    }

    #[test]
    fn short_turns_go_with_the_question_newest_first() {
        let long = "x".repeat(TURN_BYTES + 1);
        let table = [
            (json!([said("user", "a?")]), None),
            (json!([said("system", "s"), said("user", "a?")]), None),
            (
                json!([said("system", "s"), said("user", "a"), said("assistant", "b"), said("user", "c?")]),
                Some(("c?\n\u{1e}\nb\n\u{1e}\na", vec![1, 2])),
            ),
            // What is long, empty, no plain words or not of the two who talk stays in the scope.
            (
                json!([said("user", "a"), said("assistant", &long), said("user", "c?")]),
                Some(("c?\n\u{1e}\na", vec![0])),
            ),
            (json!([said("user", " "), said("tool", "b"), said("developer", "d"), said("user", "c?")]), None),
            (json!([said("user", "a\u{1e}b"), said("user", "c?")]), None),
            (json!([said("user", "a"), said("user", "c\u{1e}?")]), None),
            (json!([said("user", "a"), said("assistant", "b")]), None),
            (
                json!([{"role": "user", "content": [{"type": "text", "text": "a"}]}, said("user", "c?")]),
                Some(("c?\n\u{1e}\na", vec![0])),
            ),
            (
                json!([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}]}, said("user", "c?")]),
                None,
            ),
            (json!([{"role": "assistant", "content": "b", "tool_calls": [{"id": "c"}]}, said("user", "c?")]), None),
            (json!([{"role": "user", "name": "bob", "content": "a"}, said("user", "c?")]), None),
            (
                json!([{"role": "assistant", "content": "b", "refusal": null, "annotations": []}, said("user", "c?")]),
                Some(("c?\n\u{1e}\nb", vec![0])),
            ),
        ];
        for (messages, expected) in table {
            let expected = expected.map(|(text, turns)| Condensed { text: text.to_owned(), turns });
            assert_eq!(condensed(messages.clone()), expected, "{messages}");
        }
    }

    #[test]
    fn the_text_is_bounded_and_the_newest_turns_come_first() {
        let turns: Vec<Value> = (0..40).map(|at| said("user", &format!("{at:03}{}", "y".repeat(97)))).collect();
        let found = condensed(Value::Array(turns)).unwrap();
        assert_eq!(found.turns, [35, 36, 37, 38]);
        assert!(found.text.len() <= QUESTION_BYTES + TURNS_BYTES && found.text.starts_with("039"));
        assert_eq!(question(&found.text).len(), 100);
        let asked = |bytes: usize| condensed(json!([said("user", "a"), said("user", &"z".repeat(bytes))]));
        assert!(asked(QUESTION_BYTES).is_some() && asked(QUESTION_BYTES + 1).is_none());
    }

    #[test]
    fn what_differs_before_the_question_is_judged_by_words() {
        let text = |turns: &[&str]| turns.join("\n\u{1e}\n");
        let question = "How long does it take?";
        let one = text(&[question, "Sure.", "I want to cancel order 2041 and get my money back"]);
        let same = [
            text(&[question, "Sure.", "I want to cancel order 2041 and get my money back"]),
            text(&[question, "sure", "Hi, I want to cancel order 2041 and get my money back. Thanks!"]),
            // The question is for the judgement.
            text(&["how long will that be?", "Sure.", "I want to cancel order 2041 and get my money back"]),
        ];
        for other in &same {
            assert!(same_turns(&one, other) && same_turns(other, &one), "{other}");
        }
        let other = [
            text(&[question, "Sure.", "I want to cancel order 2042 and get my money back"]),
            text(&[question, "Sure.", "I want to cancel order 2041 and get my money back on Monday"]),
            text(&[question, "Sure.", "I do not want to cancel order 2041 and get my money back"]),
            text(&[question, "Sure.", "I can’t cancel order 2041 and get my money back"]),
            text(&[question, "I want to cancel order 2041 and get my money back"]),
            text(&[question]),
        ];
        for other in &other {
            assert!(!same_turns(&one, other), "{other}");
            assert!(!agrees(&one, other, 0.97) && !agrees(other, &one, 0.97), "{other}");
        }
        assert!(ask_the_same(&one, &other[0]) && !ask_the_same(&one, &same[2]));
    }
}
