//! Guardrails: what is read, shown again and refused.

use super::*;
use crate::config::resolved::{GuardAction, GuardFailure, GuardOn, LooksFor, Pii, SecretKind};

const EVERY: &str = "\
providers: [{name: up, kind: openai_compatible, base_url: 'http://x/v1'}]
topics: [{name: shop, examples: [where is my parcel]}]
guardrails:
  - {name: a, pii: all, action: redact, restore: true, keys: [ci], accounts: [team], models: ['gpt-*'], window_bytes: 300}
  - {name: b, secrets: [aws_key, jwt, jwt], on: output}
  - {name: c, words: [falcon, 'price: $5'], action: flag}
  - {name: d, regex: ['INC-[0-9]{6}$$'], action: block, unread: pass}
  - {name: e, topics: {allow: [shop], on_error: pass}}
  - {name: f, injection: {threshold: 0.5}, action: reroute, to: small}
  - {name: g, json_schema: {type: object, required: [a], properties: {a: {type: [integer, 'null'], $comment: 'costs $$5'}}}}
  - {name: h, max_cost_usd: 0.25}
  - {name: i, webhook: {url: 'https://guard.example/check?team=a', headers: {x-key: '${KEY}'}, timeout_ms: 50}}
  - {name: j, moderation: {provider: up, categories: [hate], threshold: 0.4}}
  - {name: k, moderation: {url: 'https://mod.example/v1/moderations', api_key: '${KEY}', on_error: pass}}
";

#[test]
fn every_kind_is_read_and_shown_again() {
    let settings = read(EVERY).unwrap();
    let all = &settings.guardrails;
    let LooksFor::Pii(kinds) = &all[0].looks_for else { panic!("{:?}", all[0]) };
    assert_eq!(kinds.len(), Pii::WORDS.len());
    assert_eq!((all[0].on, all[0].action, all[0].unread), (GuardOn::Both, GuardAction::Redact, GuardFailure::Refuse));
    assert_eq!(all[1].looks_for, LooksFor::Secrets(vec![SecretKind::AwsKey, SecretKind::Jwt]));
    let directions: Vec<&str> = all.iter().map(|one| one.on.as_str()).collect();
    assert_eq!(directions[4..8], ["both", "input", "output", "input"]);
    assert_eq!(all.iter().flat_map(|one| one.secrets()).count(), 2);
    let shown = settings.show();
    assert!(!shown.contains(HIDDEN), "{shown}");
    let again = read(&shown.replace("\"[secret]\"", "'${KEY}'")).unwrap_or_else(|error| panic!("{error}\n{shown}"));
    assert_eq!(again.guardrails, settings.guardrails);
    for line in shown.lines() {
        let key = line.trim_start_matches([' ', '-']).split(':').next().unwrap_or_default();
        assert!(key.starts_with('"') || GUIDE.contains(&format!("`{key}`")), "docs/configuration.md lacks `{key}`");
    }
}

#[test]
fn what_does_not_go_together_is_refused_in_these_words() {
    let table = [
        ("{name: a}", "expected one of `pii`, `secrets`, `words`"),
        ("{name: a, pii: all, words: [x]}", "write a guardrail of its own for each thing to look for"),
        ("{pii: all}", "the key `name` is missing"),
        ("{name: a, pii: [mail]}", "unknown kind of personal data `mail`"),
        ("{name: a, pii: some}", "expected `all`, or a list of"),
        ("{name: a, pii: []}", "expected from 1 to"),
        (
            "{name: a, secrets: all, action: delete}",
            "unknown action `delete`, expected one of `block`, `redact`, `flag`, `reroute`",
        ),
        ("{name: a, regex: ['(']}", "`(` is no regular expression"),
        ("{name: a, regex: ['x*']}", "matches the empty text"),
        ("{name: a, topics: {allow: [nothing]}}", "there is no topic `nothing`"),
        ("{name: a, topics: {}}", "neither `allow` nor `deny` names a topic"),
        ("{name: a, injection: {threshold: 2}}", "expected a number from 0.05 to 1"),
        ("{name: a, injection: {}, action: redact}", "`injection` finds no places that could be replaced"),
        ("{name: a, json_schema: {type: 5}}", "this is no JSON schema"),
        ("{name: a, json_schema: {}, on: input}", "a schema is for answers"),
        ("{name: a, max_cost_usd: 1, on: output}", "what a request may cost is known of requests"),
        ("{name: a, pii: all, action: reroute, to: m}", "a request is sent to another model before it is answered"),
        ("{name: a, pii: all, on: input, action: reroute}", "write `on: input`, and the model in `to`"),
        ("{name: a, pii: all, to: m}", "no request is sent to another model"),
        ("{name: a, pii: all, restore: true}", "nothing of a request is replaced"),
        ("{name: a, pii: all, action: redact, on: output, restore: true}", "nothing of a request is replaced"),
        ("{name: a, webhook: {url: 'ftp://x'}}", "expected a URL that begins with"),
        ("{name: a, webhook: {url: 'http://u:sk-hidden-0123456789@x/'}}", "holds no user name or password"),
        ("{name: a, moderation: {provider: nobody}}", "there is no provider `nobody`"),
        ("{name: a, moderation: {model: x}}", "expected one of `provider` and `url`"),
        ("{name: a, pii: all, windows_bytes: 5}", "did you mean `window_bytes`?"),
        ("{name: a, pii: all, models: ['*-*']}", "expected one `*` at most"),
    ];
    for (one, expected) in table {
        let error = read(&format!("guardrails: [{one}]\n")).expect_err(one).to_string();
        assert!(error.contains(expected), "{one}: {error} lacks {expected}");
        assert!(!error.contains(HIDDEN), "{error}");
    }
    let twice = read("guardrails: [{name: a, pii: all}, {name: a, pii: all}]").unwrap_err().to_string();
    assert!(twice.contains("another guardrail has the name `a`"), "{twice}");
}
