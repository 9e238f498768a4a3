//! Streams of every wire through guardrails: what nothing is found in stays byte for byte, and cuts do not matter.

use super::stream::Guarded;
use super::*;
use crate::config::{self, Overrides};
use crate::guardrails::Hand;
use crate::types::caller::Tenant;

const STREAMS: [(Surface, &str, &str); 6] = [
    (Surface::ChatCompletions, include_str!("../../../tests/golden/chat_completions/answer.sse"), "one"),
    (Surface::Messages, include_str!("../../../tests/golden/messages/stream.sse"), "ask the \"meter\""),
    (Surface::Converse, include_str!("../../../tests/golden/converse/stream.sse"), "cat needs"),
    (Surface::CohereChat, include_str!("../../../tests/golden/cohere_chat/tools.stream.sse"), "ask for"),
    (Surface::Responses, include_str!("../../../tests/golden/responses/answer.sse"), "three"),
    (Surface::GenerateContent, include_str!("../../../tests/golden/generate_content/stream.sse"), "e"),
];

fn guard(surface: Surface, word: &str) -> Arc<Guard> {
    guard_of(surface, &format!("{{name: g, words: ['{word}'], action: redact}}"))
}

fn guard_of(surface: Surface, rule: &str) -> Arc<Guard> {
    let yaml = format!("data_dir: /tmp\nguardrails: [{rule}]\n");
    let settings = config::parse(&yaml, "test.yaml", &Overrides::default(), &|_| None).unwrap();
    let guards = Arc::new(Guards::new(&settings).unwrap());
    Arc::new(Guard {
        looker: Looker::new(&guards, &[0]),
        guards,
        output: vec![0],
        vault: Vault::default(),
        found: BTreeSet::new(),
        original: None,
        caller: Caller::unknown("ci", Tenant("t".to_owned())),
        model: "m".to_owned(),
        request_id: "r".to_owned(),
        surface,
    })
}

/// The stream as it goes on, when it comes in pieces of so many bytes, and whether something was found.
fn through(guard: &Arc<Guard>, stream: &str, size: usize) -> (String, bool) {
    let watch = Watch::default();
    let mut guarded = Guarded::new(guard.clone(), watch.clone());
    let mut out = Vec::new();
    for piece in stream.as_bytes().chunks(size) {
        guarded.push(piece, &mut out).unwrap();
        guarded.news();
    }
    guarded.finish(&mut out).unwrap();
    guarded.news();
    (String::from_utf8(out).unwrap(), !watch.seen().is_empty())
}

#[test]
fn a_stream_in_which_nothing_is_found_stays_byte_for_byte() {
    for (surface, stream, _) in STREAMS {
        // Probabilities of tokens are left out where something may be hidden.
        let plain = !stream.contains("\"logprobs\":{") && !stream.contains("\"logprobs\":[{");
        let guard = guard(surface, "nowhere to be found");
        for size in [1, 2, 7, 64, 1 << 20] {
            let (out, found) = through(&guard, stream, size);
            assert!(!found, "{surface:?}");
            assert!(!plain || out == stream, "{surface:?} in pieces of {size}:\n{out}");
        }
    }
}

#[test]
fn what_is_found_is_gone_wherever_the_stream_is_cut() {
    for (surface, stream, word) in STREAMS {
        let guard = guard(surface, word);
        let whole = through(&guard, stream, 1 << 20);
        for size in 1..40 {
            assert_eq!(through(&guard, stream, size), whole, "{surface:?} in pieces of {size}");
        }
        if whole.1 {
            assert!(whole.0.contains("[WORD]"), "{surface:?}: {}", whole.0);
            let kinds = |text: &str| text.lines().filter(|line| line.starts_with("data")).count();
            assert_eq!(kinds(&whole.0), kinds(stream), "{surface:?}: every event is there still");
        }
    }
    let found = STREAMS.iter().filter(|(surface, stream, word)| through(&guard(*surface, word), stream, 5).1).count();
    assert!(found >= 4, "{found}");
}

#[test]
fn a_response_that_is_told_at_its_end_only_is_looked_at() {
    let guard = guard_of(Surface::Responses, "{name: g, json_schema: {type: object}, action: block, on: output}");
    let event = |text: &str| {
        let response = serde_json::json!({"type": "response.completed", "response": {"id": "r", "output": [
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}]}});
        format!("event: response.completed\ndata: {response}\n\n")
    };
    let delta = "data: {\"type\":\"response.output_text.delta\",\"item_id\":\"m\",\"output_index\":0,\"content_index\":0,\"delta\":\"{}\"}\n\n";
    for (stream, expected) in [
        (event("no object"), vec!["no object"]),
        (event("{}"), vec!["{}"]),
        // It says something else at the end than on the way.
        (format!("{delta}{}", event("no object")), vec!["no object", "{}"]),
        (format!("{delta}{}", event("{}")), vec!["{}"]),
    ] {
        let mut guarded = Guarded::new(guard.clone(), Watch::default());
        let mut out = Vec::new();
        guarded.push(stream.as_bytes(), &mut out).unwrap();
        guarded.finish(&mut out).unwrap();
        let (texts, answers) = guarded.said();
        assert_eq!(answers, expected, "{stream}");
        assert_eq!(texts, expected, "{stream}");
        let mut seen = Seen::default();
        guard.note_whole(&texts, &answers, &mut seen);
        assert_eq!(!seen.blocked.is_empty(), expected.contains(&"no object"), "{stream}");
    }
}

#[test]
fn what_was_replaced_comes_back_across_events() {
    let event = |text: &str| {
        format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":{}}}}}\n\n",
            serde_json::json!(text)
        )
    };
    let mut given = Arc::try_unwrap(guard(Surface::Messages, "falcon")).unwrap();
    let value = "Ada \"L\"\n";
    let name = given.vault.placeholder("NAME", value, true);
    let guard = Arc::new(given);
    let text = format!("to {name} and {name}, [NAME_2] [NA");
    let all: String = text.chars().map(|c| event(&c.to_string())).collect();
    let (out, _) = through(&guard, &all, 11);
    let said: String = out
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| {
            serde_json::from_str::<serde_json::Value>(data).unwrap()["delta"]["text"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(said, format!("to {value} and {value}, [NAME_2] [NA"));
    let mut seen = Seen::default();
    let whole = guard.looker.whole(&text, &mut Hand::Masks(&guard.vault), &mut seen);
    assert_eq!(whole.as_deref(), Some(said.as_str()));
}
