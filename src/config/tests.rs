//! The settings as a whole: what is read, and what is shown.

mod accounts;
mod audit;
mod definitions;
mod guardrails;
mod providers;
mod refusals;
mod secrets;

use std::fs;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::types::secret::Secret;

const EXAMPLE: &str = include_str!("../../deploy/askonce.example.yaml");
const GUIDE: &str = include_str!("../../docs/configuration.md");

/// What the variables below hold, which no error may repeat.
const HIDDEN: &str = "sk-hidden-0123456789";

fn env(name: &str) -> Option<String> {
    match name {
        "HOME" => Some("/home/ada".into()),
        "KEY" => Some(HIDDEN.into()),
        "SHORT" => Some("sk-hidden".into()),
        "COUNT" => Some("7".into()),
        "ON" => Some("true".into()),
        "LINES" => Some(format!("{HIDDEN}\n")),
        _ => None,
    }
}

fn read(text: &str) -> Result<Resolved, ConfigError> {
    parse(text, "a.yaml", &Overrides::default(), &env)
}

#[test]
fn an_empty_file_is_every_default() {
    let settings = read("").unwrap();
    for empty in ["\n", "# nothing\n", "---\n", "{}", "log:\nauth:\nproviders:\ncache: ~\n", "\u{feff}"] {
        assert_eq!(read(empty).as_ref(), Ok(&settings), "{empty:?}");
    }
    assert_eq!(settings.listen, "127.0.0.1:8080");
    assert_eq!(settings.data_dir, Path::new("/home/ada/.local/share/askonce"));
    assert_eq!(settings.auth, Auth { open: true, keys: vec![], issuers: vec![] });
    assert_eq!((settings.limits.body_bytes, settings.limits.upload_bytes), (32 << 20, 256 << 20));
    assert_eq!(read("limits: {body_bytes: 1GiB}").unwrap().limits.upload_bytes, 1 << 30);
    assert_eq!(settings.retry.total_timeout, Duration::from_secs(300));
    let queue = Queue { most: 1000, most_per_tenant: 250, timeout: Duration::from_secs(10) };
    assert_eq!(settings.queue, queue);
    assert_eq!(read("queue: {most: 0, timeout_ms: 10000}").unwrap().queue, Queue { most: 0, ..queue });
    assert_eq!(settings.cache.memory_bytes, 1 << 30);
    assert_eq!(settings.cache.harmless_fields.len(), 7);
    assert!(settings.providers.is_empty() && settings.models.is_empty());
}

#[test]
fn probes_are_made_where_an_interval_is_set() {
    assert_eq!(read("").unwrap().breaker.probe_interval, None);
    let settings = read("breaker: {failures: 7, probe_interval_ms: 2500}").unwrap();
    assert_eq!(settings.breaker.probe_interval, Some(Duration::from_millis(2500)));
    assert_eq!(read(&settings.show()).unwrap().breaker, settings.breaker);
}

#[test]
fn embedding_says_how_and_where() {
    let text = "embedding: {precision: int8, kernels: avx512, pin: [3, 1], long_text: mean, max_windows: 4, memo_bytes: 1MiB, \
         queue_bytes: 2MiB}";
    let settings = read(text).unwrap();
    let embedding = &settings.embedding;
    assert_eq!((embedding.precision, embedding.kernels), (Some(Precision::Int8), Kernels::Avx512));
    assert_eq!((&embedding.pin, embedding.long_text), (&Pin::Cores(vec![3, 1]), LongText::Mean));
    assert_eq!((embedding.max_windows, embedding.memo_bytes, embedding.queue_bytes), (4, 1 << 20, 2 << 20));
    assert_eq!(read(&settings.show()).unwrap().embedding, settings.embedding);
    let pinned = |word: &str| read(&format!("embedding: {{pin: {word}}}")).unwrap().embedding.pin;
    assert_eq!((pinned("true"), pinned("false"), pinned("~")), (Pin::Each, Pin::Off, Pin::Off));
    assert_eq!(read(&read("embedding: {pin: true}").unwrap().show()).unwrap().embedding.pin, Pin::Each);
    assert_eq!(read("").unwrap().embedding.precision, None);
}

#[test]
fn keeping_says_what_and_for_how_long() {
    let text = "cache:\n  eviction: lfu\n  wait_usd_per_hour: 2.5\n  stale_while_revalidate_s: 60\n  revalidations: 3\n  \
                refusal_phrases: ['I  Cannot']\n  staleness: {minutes_ttl_s: 60, tools: static, words: {never: [Heads or  Tails]}}\n  \
                quota: {scope: {entries: 5, inserts_per_minute: 30}, tenant: {bytes: 1MiB, insert_burst: 7}}\n\
                recording: {path: ~/trace.jsonl, prompts: clear, max_bytes: 1MiB, files: 2}\n";
    let settings = read(text).unwrap();
    let cache = &settings.cache;
    assert_eq!((cache.eviction, cache.revalidations), (Eviction::Lfu, 3));
    assert_eq!(cache.refusal_phrases, ["i cannot"]);
    assert_eq!(cache.staleness.words[0].1, ["heads or tails"]);
    assert!(cache.staleness.words[1].1.contains(&"now".to_owned()), "a class that is not named keeps its words");
    let quota = cache.quota;
    assert_eq!((quota.scope.entries, quota.scope.insert_burst, quota.tenant.insert_burst), (5, 30, 7));
    let recording = settings.recording.as_ref().unwrap();
    assert_eq!((recording.path.as_path(), recording.files), (Path::new("/home/ada/trace.jsonl"), 2));
    let again = read(&settings.show()).unwrap();
    assert_eq!((&again.cache, &again.recording), (&settings.cache, &settings.recording));
    let old = read("").unwrap();
    assert_eq!(old.recording, None);
    assert_eq!(
        old.restart_needed(&settings),
        ["cache.eviction", "cache.wait_usd_per_hour", "cache.quota", "recording"]
    );
}

#[test]
fn variables_stand_for_any_scalar() {
    let text = "limits: {in_flight: '${COUNT}', body_bytes: '${COUNT}MiB'}\nlog: {prompts: '${ON}'}\n\
                admin: {key: '${KEY}'}\ndata_dir: ${XDG_DATA_HOME:-~/.local/share}/x\n";
    let settings = read(text).unwrap();
    assert_eq!(settings.limits.in_flight, 7);
    assert_eq!(settings.limits.body_bytes, 7 << 20);
    assert!(settings.log.prompts);
    assert_eq!(settings.admin.key, Some(Secret::new(HIDDEN)));
    assert_eq!(settings.data_dir, Path::new("/home/ada/.local/share/x"));
    assert_eq!(read("admin: {key: '${NOPE:-}'}").unwrap().admin.key, None);
}

#[test]
fn the_command_line_has_the_last_word() {
    let overrides = Overrides {
        listen: Some("0.0.0.0:9".into()),
        data_dir: Some("/d".into()),
        model_dir: Some("/m".into()),
        log_format: Some(LogFormat::Json),
        log_level: Some(LogLevel::Trace),
    };
    let text = "listen: 127.0.0.1:80\ndata_dir: /x\nembedding: {model_dir: /y}\nauth: {open: true}\n";
    let settings = parse(text, "a.yaml", &overrides, &|_| None).unwrap();
    assert_eq!((settings.listen.as_str(), settings.data_dir), ("0.0.0.0:9", "/d".into()));
    assert_eq!(settings.embedding.model_dir, Some("/m".into()));
    assert_eq!((settings.log.format, settings.log.level), (LogFormat::Json, LogLevel::Trace));
    // Listening wider than the file meant to is refused as well.
    assert!(
        parse("", "a.yaml", &overrides, &env)
            .unwrap_err()
            .to_string()
            .starts_with("a.yaml: auth: other machines can reach")
    );
    let overrides = Overrides { listen: Some("nowhere".into()), ..Overrides::default() };
    assert_eq!(
        parse("", "a.yaml", &overrides, &env).unwrap_err().to_string(),
        "command line: --listen: expected an address such as `127.0.0.1:8080` or `[::1]:8080`, found no port"
    );
    assert_eq!(
        parse("", "a.yaml", &Overrides::default(), &|_| None).unwrap_err().to_string(),
        "a.yaml: data_dir: cannot tell the home folder, since HOME is not set to an absolute path; set HOME, or name a folder"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = |path: &Path| {
        load(path, &Overrides::default()).unwrap_err().to_string().replace(&path.display().to_string(), "FILE")
    };
    let path = folder.path().join("a.yaml");
    assert_eq!(refusal(&path), "FILE: there is no such file; check the path given with `--config`");
    assert_eq!(refusal(folder.path()), "FILE: this is a folder, expected a YAML file; name the file in it");
    fs::write(&path, b"log: {}\nlisten: \xc3\xbc\xff\n").unwrap();
    assert_eq!(refusal(&path), "FILE: the file is not UTF-8 text at line 2, column 10; save it as UTF-8");
    fs::write(&path, b"\xff\xfel\0").unwrap();
    assert_eq!(refusal(&path), "FILE: the file is not UTF-8 text at line 1, column 1; save it as UTF-8");
    fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
    assert_eq!(refusal(&path), "FILE: the file is larger than 1MiB, which no settings are; check the path");
    #[cfg(unix)]
    assert_eq!(refusal(Path::new("/dev/null")), "FILE: this is a device, pipe or socket, expected a YAML file");
    fs::write(&path, "data_dir: /d\n").unwrap();
    assert_eq!(load(&path, &Overrides::default()).unwrap().data_dir, Path::new("/d"));
}

#[test]
fn odd_nesting_is_refused_quickly() {
    let staircase: String = (0..1000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    let laughs: String = (1..30).map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}, *a{0}, *a{0}]\n", n - 1)).collect();
    let odd =
        ["[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(100_000), staircase, format!("a0: &a0 1\n{laughs}")];
    for text in odd {
        let error = read(&text).unwrap_err().to_string();
        assert!(error.contains("nests too deep") || error.contains("recursion limit"), "{error}");
    }
}

#[test]
fn the_example_and_the_guide_are_true() {
    let settings = parse(EXAMPLE, "example", &Overrides::default(), &env).unwrap();
    assert_eq!(settings.providers.len(), 3);
    assert_eq!(settings.cache.rules_for("legal", "gpt-4o-mini").ttl, Duration::from_secs(3600));
    let keys = "auth: {keys: [{name: a, key: '${KEY}'}]}\nadmin: {key: '${KEY}-2'}\nembedding: {model_dir: /m}\n";
    let stores = "store: {encryption_key: 'env:A', former_encryption_keys: ['env:B']}\nsecrets: {vault: {address: 'http://v', auth: {kubernetes: {role: r}}}}\n";
    for shown in [settings.show(), read(keys).unwrap().show(), read(stores).unwrap().show()] {
        for line in shown.lines() {
            let key = line.trim_start_matches([' ', '-']).split(':').next().unwrap_or_default();
            assert!(key.starts_with('"') || GUIDE.contains(&format!("`{key}`")), "docs/configuration.md lacks `{key}`");
        }
    }
}

#[test]
fn the_later_override_wins() {
    let text = "cache:\n  ttl_s: 100\n  overrides:\n    - {tenant: t, ttl_s: 50, semantic: false}\n    \
                - {model: m, ttl_s: 10, threshold: 0.99, follow_ups: condensed}\n    - {tenant: t, model: m, enabled: false}\n";
    let cache = read(text).unwrap().cache;
    let usual = CacheRules {
        enabled: true,
        semantic: true,
        judgement: Judgement::Learned,
        error_budget: 0.01,
        strictness: Strictness::Balanced,
        threshold: 0.0,
        follow_ups: FollowUps::Scope,
        ttl: Duration::from_secs(100),
    };
    assert_eq!(cache.rules_for("u", "n"), usual);
    assert_eq!(cache.rules_for("t", "n"), CacheRules { semantic: false, ttl: Duration::from_secs(50), ..usual });
    let narrow =
        CacheRules { threshold: 0.99, follow_ups: FollowUps::Condensed, ttl: Duration::from_secs(10), ..usual };
    assert_eq!(cache.rules_for("u", "m"), narrow);
    assert_eq!(cache.rules_for("t", "m"), CacheRules { enabled: false, semantic: false, ..narrow });
    let text = "cache: {error_budget: 0.02, overrides: [{model: m, judgement: static}, {tenant: t, error_budget: 0.005, \
                strictness: 'off'}]}";
    let cache = read(text).unwrap().cache;
    let plain = CacheRules { error_budget: 0.02, ttl: Duration::from_secs(86_400), ..usual };
    let fixed = CacheRules { judgement: Judgement::Static, threshold: 0.92, ..plain };
    assert_eq!(cache.rules_for("u", "m"), fixed);
    assert_eq!(cache.rules_for("t", "m"), CacheRules { error_budget: 0.005, strictness: Strictness::Off, ..fixed });
    let off = read("cache: {enabled: false, overrides: [{model: m, enabled: true}]}").unwrap().cache;
    assert!(!off.rules_for("t", "m").enabled);
}

#[test]
fn restarts_are_named() {
    let old = read("").unwrap();
    assert_eq!(old.restart_needed(&old), [""; 0]);
    let live = read(
        "cache: {ttl_s: 5, semantic: {threshold: 0.9}}\nproviders: [{name: a, kind: demo}]\nretry: {attempts: 1}\n",
    )
    .unwrap();
    assert_eq!(old.restart_needed(&live), [""; 0]);
    let dead =
        read("listen: 127.0.0.1:1\nlimits: {in_flight: 5}\nembedding: {threads: 2}\ncache: {memory_bytes: 2MiB}\n")
            .unwrap();
    assert_eq!(old.restart_needed(&dead), ["listen", "limits.in_flight", "embedding.threads"]);
    let vectors = read(
        "embedding: {precision: int8, pin: [1], long_text: mean, memo_bytes: 0, queue_bytes: 1MiB, deadline_ms: 9}",
    )
    .unwrap();
    let named = [
        "embedding.precision",
        "embedding.pin",
        "embedding.queue_bytes",
        "embedding.long_text",
        "embedding.memo_bytes",
    ];
    assert_eq!(old.restart_needed(&vectors), named);
}

#[test]
fn conditions_and_parameters_of_targets_read_back_as_they_were() {
    let settings = read(
        "providers: [{name: a, kind: demo}]\nmodels:\n  - name: m\n    targets:\n      - provider: a\n        \
         when: headers['x-tier'] == \"gold\" && model.matches('^m$$')\n        \
         params: {temperature: 0.2, top_p: null, n: 3, stop: [\"$$\", null], on: {deep: [1.5, true, \"a\\nb\"]}}\n      \
         - {provider: a, when: stream}\n      - {provider: a, params: {top_p: null}}\n",
    )
    .unwrap();
    let targets = &settings.models[0].targets;
    assert_eq!(targets[0].when.as_ref().unwrap().as_str(), "headers['x-tier'] == \"gold\" && model.matches('^m$')");
    let params: Vec<(&str, Option<&str>)> =
        targets[0].params.iter().map(|param| (param.name.as_str(), param.value.as_deref())).collect();
    let expected = [
        ("temperature", Some("0.2")),
        ("top_p", None),
        ("n", Some("3")),
        ("stop", Some(r#"["$",null]"#)),
        ("on", Some(r#"{"deep":[1.5,true,"a\nb"]}"#)),
    ];
    assert_eq!(params, expected);
    assert_eq!((targets[1].params.len(), &targets[2].when), (0, &None));
    assert_eq!(read(&settings.show()).unwrap(), settings);
}

#[test]
fn topics_and_complexity_read_back_as_they_were() {
    let settings = read(
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a, when: \"topic == 'x y' && !hard\"}]}]\n\
         topics:\n  - {name: x y, examples: [What is $$5?, \"a: 'b'\", What is $$5?], at_least: 0.55}\n  \
         - {name: z, examples: [q]}\ncomplexity: {file: ~/learned.json}\n",
    )
    .unwrap();
    let [first, second] = settings.topics.as_slice() else { panic!("{:?}", settings.topics) };
    assert_eq!((first.at_least, second.at_least), (0.55, DEFAULT_AT_LEAST));
    assert_eq!(first.examples, ["What is $5?", "a: 'b'"], "what is there twice counts once");
    assert_eq!(settings.complexity.as_ref().unwrap().file, Path::new("/home/ada/learned.json"));
    assert_eq!(read(&settings.show()).unwrap(), settings);
    assert_eq!(read("").unwrap().restart_needed(&settings), [""; 0]);
    let many = |count: usize, chars: usize| {
        let examples: Vec<String> = (0..count).map(|n| format!("{n}{}", "x".repeat(chars))).collect();
        read(&format!("topics: [{{name: a, examples: [{}]}}]", examples.join(", ")))
    };
    assert!(many(1000, 1).is_ok());
    let why = many(1001, 1).unwrap_err().to_string();
    assert!(why.contains("topics[0].examples: expected at most 1000 of them together, found 1001"), "{why}");
    let why = many(1, 2000).unwrap_err().to_string();
    assert!(why.contains("expected a question of at most 2000 characters, found 2001"), "{why}");
}

#[test]
fn who_administers_reads_back_as_it_was() {
    let settings = read(
        "accounts: [{name: team, kind: team}]\n\
         auth:\n  issuers:\n    - {name: i, issuer: 'https://id.example/', audience: [g, h], jwks_url: 'http://127.0.0.1:1/k', algorithms: [EdDSA], \
         clock_skew_s: 0, refresh_s: 9, replay: refuse, claims: {account: a.b, tenant: t, models: m}, account: team, models: ['x*']}\n    \
         - {name: j, issuer: 'http://localhost:1', audience: g}\n\
         admin:\n  listen: 127.0.0.1:1\n  roles: [{name: r, allow: ['cache:*', '*:read']}]\n  \
         sso:\n    issuer: https://id.example\n    client_id: c\n    redirect_url: https://g.example/admin/auth/callback\n    \
         scopes: [groups]\n    groups_claim: realm.groups\n    user_claim: oid\n    roles: {'a: b': r, c: owner}\n    accounts: {c: team}\n    \
         idle_timeout_s: 60\n    session_timeout_s: 61\n",
    )
    .unwrap();
    assert_eq!(read(&settings.show()).unwrap(), settings);
    assert!(!settings.auth.open, "who has an issuer is not open");
    assert_eq!(read("").unwrap().restart_needed(&settings), ["admin.listen"]);
    assert!(
        settings.admin.roles[0]
            .permissions
            .allow(crate::types::permission::Resource::Keys, crate::types::permission::Action::Read)
    );
}

/// A file with every kind of secret in it, around words of the caller's choice.
fn with_secrets(secret: &str, model: &str) -> String {
    let quote = |text: &str| format!("'{}'", text.replace('$', "$$").replace('\'', "''"));
    format!(
        "auth:\n  keys:\n    - {{name: k1, key: {key}, tenant: t}}\n    - {{name: k2, key: {key2}}}\n\
         admin: {{key: {admin}}}\nproviders:\n  - name: p\n    kind: openai\n    api_key: {key}\n    headers: {{X-Key: {key}}}\n    \
         models: [{model}]\n  - {{name: q, kind: openai_compatible, base_url: 'http://[::1]:1/', headers: {{authorization: {key}}}}}\n\
         models:\n  - {{name: {model}, targets: [{{provider: p, model: {model}}}, {{provider: q}}], \
         price: {{input_usd_per_million_tokens: 0.000001, output_usd_per_million_tokens: 12.5}}}}\n\
         cache: {{overrides: [{{tenant: t, model: {model}, threshold: 0.95}}]}}\n",
        key = quote(secret),
        key2 = quote(&format!("{secret}2")),
        admin = quote(&format!("{secret}3")),
        model = quote(model),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_shown_holds_a_secret(secret in "[!-~]{16,40}", model in "[^\\p{C}\\p{Zl}\\p{Zp}*]{1,20}") {
        let settings = read(&with_secrets(&secret, &model)).unwrap();
        prop_assert_eq!(settings.providers[0].headers["x-key"].expose(), &secret);
        prop_assert_eq!(&settings.models[0].name, &model);
        let (shown, debug) = (settings.show(), format!("{settings:?}"));
        prop_assert!(!shown.contains(&secret) && !debug.contains(&secret));

        // With its masks filled in, what is shown reads back as what it was.
        let mut secrets = ["", "2", "3", "", "", ""].iter().map(|end| format!("{secret}{end}").replace('$', "$$"));
        let filled: Vec<String> = shown.lines().map(|line| match line.strip_suffix("\"[secret]\"") {
            Some(before) => format!("{before}'{}'", secrets.next().unwrap().replace('\'', "''")),
            None => line.to_owned(),
        }).collect();
        prop_assert!(secrets.next().is_none());
        prop_assert_eq!(read(&filled.join("\n")).unwrap(), settings);
    }

}

proptest! {
    #[test]
    fn slips_of_the_keyboard_neither_panic_nor_leak(
        at in 0usize..2000, cut in 0usize..12, slip in "[ -~\n\t\u{fc}]{0,4}",
    ) {
        // The secrets come from a variable, so that no slip can turn them into keys or names as written.
        let mut good = with_secrets("KEY_HERE", "m");
        for (end, key) in [("2'", "'${KEY}-2'"), ("3'", "'${KEY}-3'"), ("'", "'${KEY}'")] {
            good = good.replace(&format!("'KEY_HERE{end}"), key);
        }
        prop_assert!(read(&good).is_ok());
        let mut text: Vec<char> = good.chars().collect();
        let at = at.min(text.len());
        text.splice(at..(at + cut).min(good.len()), slip.chars());
        let text: String = text.into_iter().collect();
        match read(&text) {
            Ok(settings) => prop_assert!(!settings.show().contains(HIDDEN)),
            Err(error) => prop_assert!(!error.to_string().contains(HIDDEN), "{}", error),
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text: String) {
        let _ = read(&text);
    }
}
