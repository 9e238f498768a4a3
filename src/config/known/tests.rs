//! The catalogue that ships, and entries of the operator's own.

use std::collections::HashSet;

use super::super::{Overrides, Resolved, parse};
use super::*;

/// Every variable is set.
fn env(name: &str) -> Option<String> {
    match name {
        "NOPE" | "CLOUDFLARE_ACCOUNT_ID" => None,
        "HOME" => Some("/home/ada".into()),
        _ => Some("filled-in".into()),
    }
}

fn read(text: &str) -> Result<Resolved, ConfigError> {
    parse(text, "a.yaml", &Overrides::default(), &env)
}

fn is_page(url: Option<&String>) -> bool {
    url.is_some_and(|url| url.starts_with("https://") && url.parse::<http::Uri>().is_ok())
}

#[test]
fn every_entry_is_whole() {
    let known = shipped().unwrap();
    assert!(known.len() >= 60, "{}", known.len());
    assert_eq!(known.len(), known_providers().len());
    let mut names = HashSet::new();
    for one in &known {
        let name = one.name.as_str();
        assert!(names.insert(name), "{name} is there twice");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
        let address = one.address(&|_| Some("filled-in".to_owned())).unwrap_or_else(|why| panic!("{name}: {why}"));
        let own = address.starts_with("http://127.0.0.1:");
        assert!(own || address.starts_with("https://"), "{name}: {address}");
        if let Ok(
            kind @ (ProviderKind::Azure | ProviderKind::Anthropic | ProviderKind::Gemini)
            | kind @ (ProviderKind::Vertex | ProviderKind::Bedrock | ProviderKind::Cohere | ProviderKind::Ollama),
        ) = name.parse::<ProviderKind>()
        {
            assert_eq!(base_url::check_root(&address), Ok(address), "{kind} speaks a wire of its own");
        }
        assert!(!one.surfaces.is_empty(), "{name} has no surface");
        assert!(one.env.is_some() || one.auth == KeyPlace::None, "{name}: no variable for its key");
        assert!(is_page(one.docs.as_ref()), "{name}: `docs` is no page");
        assert!(one.read.as_ref().is_some_and(|day| day.len() == 10), "{name}: `read` is no day");
        // Either a page was read, or it is said that none was.
        assert_eq!(is_page(one.source.as_ref()), !one.unconfirmed, "{name}");
        assert!(!(one.second_hand && one.unconfirmed), "{name}");
        assert!(!(one.discover && one.unconfirmed), "{name}: what is from memory is not looked for");
    }
    for wanted in [
        "openai",
        "azure",
        "anthropic",
        "gemini",
        "vertex",
        "bedrock",
        "cohere",
        "ollama-native",
        "deepseek",
        "xai",
        "together",
        "huggingface",
        "nvidia",
        "parasail",
        "databricks",
        "tei",
    ] {
        assert!(names.contains(wanted), "{wanted} is missing");
    }
}

#[test]
fn openai_is_where_it_says() {
    let openai = read("providers: [{name: a, kind: openai}]").unwrap().providers.remove(0);
    assert_eq!(find(&[], "openai").unwrap().base_url, openai.base_url);
    assert!(openai.list_prices && openai.kind == ProviderKind::OpenAi);
}

#[test]
fn a_name_is_a_kind() {
    let text = "providers:\n  - {name: ds, kind: deepseek, api_key: k}\n  - {name: rk, kind: reka, api_key: k}\n  \
                - {name: mirror, kind: deepseek, base_url: 'http://127.0.0.1:1/v1', headers: {x-a: b}}\n  \
                - {name: sf, kind: snowflake}\n";
    let settings = read(text).unwrap();
    let [ds, rk, mirror, sf] = &settings.providers[..] else { panic!("four were written") };
    assert_eq!((ds.base_url.as_str(), ds.kind), ("https://api.deepseek.com/v1", ProviderKind::OpenAiCompatible));
    assert_eq!((ds.catalogue.as_deref(), ds.list_prices, &ds.key_header), (Some("deepseek"), true, &None));
    assert_eq!(rk.key_header.as_deref(), Some("x-api-key"));
    assert_eq!((mirror.base_url.as_str(), mirror.list_prices), ("http://127.0.0.1:1/v1", false));
    assert_eq!(sf.base_url, "https://filled-in.snowflakecomputing.com/api/v2/cortex/v1");
    assert_eq!((ds.models_path.as_deref(), sf.models_path.as_deref()), (Some("/models"), None));
    // What is shown reads back as what it was.
    let shown = settings.show().replace("api_key: \"[secret]\"", "api_key: k").replace("\"[secret]\"", "b");
    assert_eq!(read(&shown).unwrap(), settings, "{shown}");
}

#[test]
fn operators_add_their_own() {
    let text = "catalogue:\n  - {name: house, base_url: 'https://${HOST}.example/v1/', auth: header, header: X-Key, models: none, \
                surfaces: [chat, embeddings], limit_field: max_tokens, stream_usage: asked, refuses: [seed]}\n  \
                - {name: deepseek, base_url: 'http://127.0.0.1:1/v1'}\n\
                providers: [{name: h, kind: house, api_key: k}, {name: d, kind: deepseek}]\n";
    let settings = read(text).unwrap();
    let house = &settings.providers[0];
    assert_eq!(house.base_url, "https://filled-in.example/v1");
    assert_eq!((house.key_header.as_deref(), &house.models_path), (Some("x-key"), &None));
    assert_eq!(settings.catalogue[0].title, "house");
    assert_eq!(settings.providers[1].base_url, "http://127.0.0.1:1/v1");
    let shown = settings.show().replace("\"[secret]\"", "k");
    assert_eq!(read(&shown).unwrap(), settings, "{shown}");
}

#[test]
fn refuses_in_these_words() {
    let refused = [
        (
            "providers: [{name: a, kind: deepsek}]",
            "providers[0].kind: unknown provider kind `deepsek`, expected one of `openai`, `openai_compatible`, `azure`, \
             `anthropic`, `gemini`, `vertex`, `bedrock`, `cohere`, `ollama-native`, `demo`, or a name that `askonce providers` lists at line 1, \
             column 29; did you mean `deepseek`?",
        ),
        (
            "providers: [{name: a, kind: somewhere-else}]",
            "providers[0].kind: unknown provider kind `somewhere-else`, expected one of `openai`, `openai_compatible`, `azure`, \
             `anthropic`, `gemini`, `vertex`, `bedrock`, `cohere`, `ollama-native`, `demo`, or a name that `askonce providers` lists at line 1, \
             column 29; for any other server that speaks OpenAI's API \
             write `openai_compatible` and its `base_url`",
        ),
        (
            "providers: [{name: a, kind: cloudflare}]",
            "providers[0]: the address of kind `cloudflare` is \
             `https://api.cloudflare.com/client/v4/accounts/${CLOUDFLARE_ACCOUNT_ID}/ai/v1`, and the environment variable \
             `CLOUDFLARE_ACCOUNT_ID` is not set at line 1, column 13; set the variable, or write `base_url`",
        ),
        (
            "providers: [{name: a, kind: reka, api_key: k, headers: {X-Api-Key: b}}]",
            "providers[0].headers.X-Api-Key: the header `x-api-key` and `api_key` say the same thing at line 1, column 68; \
             remove one of them",
        ),
        (
            "catalogue: [{name: demo, base_url: 'http://h'}]",
            "catalogue[0]: `demo` is a provider kind of its own at line 1, column 13; choose another name",
        ),
        (
            "catalogue: [{name: a, base_url: 'http://h'}, {name: a, base_url: 'http://h'}]",
            "catalogue[1]: another entry has the name `a` at line 1, column 46; give each entry a name of its own",
        ),
        (
            "catalogue: [{name: a, base_url: 'http://h', auth: header}]",
            "catalogue[0]: `auth: header` needs the key `header`, the name of the header that holds the key at line 1, column \
             13; add one, such as `x-api-key`",
        ),
        (
            "catalogue: [{name: a, base_url: 'http://h', header: x-key}]",
            "catalogue[0].header: `header` is for `auth: header`, and `auth` is `bearer` at line 1, column 53; remove one of \
             them",
        ),
        (
            "catalogue: [{name: a, base_url: 'http://h', models: models}]",
            "catalogue[0].models: expected a path such as `/models`, or `none` at line 1, column 53",
        ),
        (
            "catalogue: [{name: a, base_url: 'http://h', surfaces: [chats]}]",
            "catalogue[0].surfaces[0]: unknown surface `chats`, expected one of `chat`, `chat_completions`, `responses`, \
             `messages`, `generate_content`, `converse`, `cohere_chat`, `ollama_chat`, `completions`, `embeddings`, `embed_content`, \
             `cohere_embed`, `ollama_embed`, `rerank`, `rerank_texts`, `count_tokens`, `count_content`, `input_tokens`, `invoke_model`, `moderations`, `images`, `audio`, `files`, `batches` at \
             line 1, column 56; did you mean `chat`?",
        ),
        (
            "catalogue: [{name: a, base_url: 'ftp://h'}]",
            "catalogue[0].base_url: expected a URL that begins with `http://` or `https://` at line 1, column 33; write the \
             part before `/chat/completions`, such as `https://api.example.com/v1`",
        ),
    ];
    for (text, expected) in refused {
        let error = read(text).expect_err(text);
        assert_eq!(error.to_string(), format!("a.yaml: {expected}"), "for {text:?}");
    }
}
