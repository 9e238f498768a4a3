//! Accounts, and what keys and accounts may.

use super::{GUIDE, read};
use crate::config::{Counted, Measure, Per, read_account, read_virtual_key};

const ALL: &str = "trusted_proxies: [10.0.0.0/8]
accounts:
  - {name: house, kind: organisation, budgets: [{usd: 1000, soft_usd: 800, per: month, time_zone: Europe/Berlin}]}
  - name: lab
    kind: team
    in: house
    models: ['gpt-*', small]
    providers: [openai]
    surfaces: [chat_completions, messages]
    addresses: [10.1.2.3/8, '2001:db8::1']
    max_output_tokens: 4096
    tools: false
    images: false
    cache: {read: false, write: true, share: false}
    tags: [lab]
    budgets: [{usd: 10, per: day, window: rolling, models: ['gpt-*']}, {usd: 0.000001, per: ever}]
    rate_limits: [{requests: 60, per: minute}, {tokens: 1000, per: hour, window: calendar, time_zone: UTC}, {input_tokens: 5, per: day, window: rolling}, {output_tokens: 9, per: week}, {concurrent: 4}]
alerts: {webhooks: [{url: 'https://hooks.example/x', secret: sk-ci-0123456789}]}
auth:
  keys:
    - {name: ci, key: sk-ci-0123456789, account: lab, expires: '2027-01-31T23:59:59Z', budgets: [{usd: 1, per: year}]}
";

#[test]
fn what_is_written_is_meant_and_shown_reads_back() {
    let settings = read(ALL).unwrap();
    let lab = &settings.accounts[1];
    assert_eq!(
        lab.rights.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["10.0.0.0/8", "2001:db8::1/128"]
    );
    let of = |at: usize| {
        let one = &lab.rights.allowances[at];
        (one.measure, one.most, one.per, one.counted)
    };
    assert_eq!(of(0), (Measure::Usd, 10_000_000, Per::Day, Counted::Rolling));
    assert_eq!(of(1), (Measure::Usd, 1, Per::Ever, Counted::Calendar));
    assert_eq!(of(2), (Measure::Requests, 60, Per::Minute, Counted::Bucket));
    assert_eq!(settings.accounts[0].rights.allowances[0].soft, Some(800_000_000));
    let shown = settings.show();
    let back = shown.replace("url: \"[secret]\"", "url: 'https://hooks.example/x'");
    assert_eq!(read(&back.replace("\"[secret]\"", "sk-ci-0123456789")).unwrap(), settings, "{shown}");
    for line in shown.lines() {
        let key = line.trim_start_matches([' ', '-']).split(':').next().unwrap_or_default();
        assert!(GUIDE.contains(&format!("`{key}`")), "docs/configuration.md lacks `{key}`");
    }
    for account in &settings.accounts {
        assert_eq!(read_account(&account.to_json()).as_ref(), Ok(account), "the admin surface takes the same words");
    }
    let json = settings.auth.keys[0].to_json().replace("\"key\":\"[secret]\",", "");
    assert_eq!(read_virtual_key(&json).unwrap().rights, settings.auth.keys[0].rights, "{json}");
}

/// Each: what stands in an account, and the message that it gets.
const REFUSED: &[(&str, &str)] = &[
    (
        "kind: band",
        "accounts[0].kind: unknown kind of account `band`, expected one of `organisation`, `customer`, `team`, `user` at line 1, column 28",
    ),
    ("kind: team, in: house", "accounts[0].in: there is no account `house` at line 1, column 38; the accounts are `a`"),
    (
        "kind: team, in: a",
        "accounts[0].in: a team cannot be in a team at line 1, column 38; organisations have customers, these have teams, and these have users",
    ),
    (
        "kind: team, budgets: [{usd: 1}]",
        "accounts[0].budgets[0]: the key `per` is missing at line 1, column 44; add it",
    ),
    (
        "kind: team, budgets: [{usd: 1, per: day, window: bucket}]",
        "accounts[0].budgets[0]: a budget is counted by the calendar or in a rolling window at line 1, column 44; `window: bucket` is for rate limits",
    ),
    (
        "kind: team, budgets: [{usd: 1, soft_usd: 2, per: day}]",
        "accounts[0].budgets[0].soft_usd: the soft limit is above the hard one, and would never be told of at line 1, column 63",
    ),
    (
        "kind: team, budgets: [{usd: 1, per: day, time_zone: Berlin}]",
        "accounts[0].budgets[0].time_zone: expected the name of a time zone at line 1, column 74; write it as in `Europe/Berlin` or `UTC` (the names are IANA's)",
    ),
    (
        "kind: team, rate_limits: [{requests: 1, tokens: 2, per: day}]",
        "accounts[0].rate_limits[0]: expected one of `requests`, `tokens`, `input_tokens`, `output_tokens`, `concurrent` at line 1, column 48; write a limit of its own for each",
    ),
    (
        "kind: team, rate_limits: [{concurrent: 1, per: day}]",
        "accounts[0].rate_limits[0].per: `concurrent` counts what is under way, and has no time at line 1, column 69",
    ),
    (
        "kind: team, addresses: [10.0.0]",
        "accounts[0].addresses[0]: expected an IP address or a range of them at line 1, column 46; write it as in `10.0.0.0/8`, `2001:db8::/32` or `192.0.2.7`",
    ),
    ("kind: team, surfaces: [chat_completion]", "accounts[0].surfaces[0]: expected a surface, one of "),
    ("kind: team, tags: ['a,b']", "accounts[0].tags[0]: a comma stands between tags, and is none at line 1, column 41"),
    (
        "kind: team, cache: {save: true}",
        "accounts[0].cache: unknown key `save` at line 1, column 42; the keys here are `read`, `write`, `share`",
    ),
];

#[test]
fn refuses_in_these_words() {
    for (inside, message) in REFUSED {
        let text = format!("accounts: [{{name: a, {inside}}}]\n");
        let error = read(&text).unwrap_err().to_string();
        let error = error.strip_prefix("a.yaml: ").unwrap_or(&error);
        assert!(error.starts_with(message), "\n{error}\n{message}");
    }
    let error = read("accounts: [{name: a, kind: team}, {name: a, kind: user}]").unwrap_err().to_string();
    assert!(error.contains("another account has the name `a`"), "{error}");
    let error =
        read("auth: {keys: [{name: k, key: sk-ci-0123456789, account: hous}]}\naccounts: [{name: house, kind: team}]");
    assert!(error.unwrap_err().to_string().contains("did you mean `house`?"));
}
