//! Providers: kinds of their own, signing in, keys, surfaces, the way there.

use super::*;
use crate::types::surface::Surface;

fn one(text: &str) -> Provider {
    read(&format!("providers: [{{name: p, {text}}}]")).unwrap_or_else(|error| panic!("{error}")).providers.remove(0)
}

#[test]
fn kinds_of_their_own_have_addresses_and_prices() {
    let table = [
        ("kind: anthropic", "https://api.anthropic.com", Some("anthropic"), true, Some("x-api-key")),
        ("kind: gemini", "https://generativelanguage.googleapis.com", Some("gemini"), true, Some("x-goog-api-key")),
        ("kind: cohere", "https://api.cohere.com", Some("cohere"), true, None),
        ("kind: ollama-native", "http://127.0.0.1:11434", Some("ollama-native"), true, None),
        (
            "kind: ollama-native, base_url: 'https://ollama.com'",
            "https://ollama.com",
            Some("ollama-native"),
            false,
            None,
        ),
        ("kind: vertex", "", Some("vertex"), true, None),
        ("kind: bedrock, aws: {region: eu-west-1}", "", Some("bedrock"), true, None),
        (
            "kind: azure, base_url: 'https://x.openai.azure.com/'",
            "https://x.openai.azure.com",
            Some("azure"),
            true,
            Some("api-key"),
        ),
        (
            "kind: azure, base_url: 'https://azure.example'",
            "https://azure.example",
            Some("azure"),
            false,
            Some("api-key"),
        ),
        (
            "kind: anthropic, base_url: 'http://127.0.0.1:1/a'",
            "http://127.0.0.1:1/a",
            Some("anthropic"),
            false,
            Some("x-api-key"),
        ),
        (
            "kind: vertex, base_url: 'https://europe-west4-aiplatform.googleapis.com'",
            "https://europe-west4-aiplatform.googleapis.com",
            Some("vertex"),
            true,
            None,
        ),
        (
            "kind: bedrock, api_key: k, base_url: 'https://bedrock-runtime.us-east-1.amazonaws.com'",
            "https://bedrock-runtime.us-east-1.amazonaws.com",
            Some("bedrock"),
            true,
            None,
        ),
        ("kind: openai, base_url: 'http://127.0.0.1:1/v1'", "http://127.0.0.1:1/v1", Some("openai"), false, None),
    ];
    for (text, base_url, catalogue, list_prices, key_header) in table {
        let found = one(text);
        let facts =
            (found.base_url.as_str(), found.catalogue.as_deref(), found.list_prices, found.key_header.as_deref());
        assert_eq!(facts, (base_url, catalogue, list_prices, key_header), "{text}");
    }
}

#[test]
fn each_cloud_has_its_section() {
    let aws = one(
        "kind: bedrock, aws: {region: us-east-1, access_key_id: id, secret_access_key: '${KEY}', session_token: t, \
                   role_arn: 'arn:aws:iam::123456789012:role/gateway', external_id: x, sts_url: 'https://sts.example/'}",
    );
    let cloud = &aws.cloud;
    assert_eq!((cloud.region.as_deref(), cloud.token_url.as_deref()), (Some("us-east-1"), Some("https://sts.example")));
    assert_eq!(cloud.secret_access_key.as_ref().map(Secret::expose), Some(HIDDEN));
    assert_eq!(cloud.role_arn.as_deref(), Some("arn:aws:iam::123456789012:role/gateway"));
    assert!(cloud.access_key_id.is_some() && cloud.session_token.is_some() && cloud.external_id.is_some());
    let google = one("kind: vertex, google: {project: p-1, region: europe-west4, credentials_file: ~/key.json}").cloud;
    assert_eq!((google.project.as_deref(), google.region.as_deref()), (Some("p-1"), Some("europe-west4")));
    assert_eq!(google.credentials_file, Some("/home/ada/key.json".into()));
    let azure = one("kind: azure, base_url: 'https://x.openai.azure.com', \
                     azure: {api_version: 2024-10-21, tenant_id: t, client_id: c, client_secret: '${KEY}'}");
    assert_eq!(azure.cloud.api_version.as_deref(), Some("2024-10-21"));
    assert_eq!(azure.cloud.client_secret.as_ref().map(Secret::expose), Some(HIDDEN));
    let claude = one("kind: anthropic, api_version: 2023-06-01");
    assert_eq!(claude.cloud.api_version.as_deref(), Some("2023-06-01"));
    assert_eq!(one("kind: openai").cloud, Cloud::default());
}

#[test]
fn a_region_may_come_from_the_environment() {
    let env = |name: &str| match name {
        "AWS_DEFAULT_REGION" => Some("ap-south-1".to_owned()),
        "GOOGLE_CLOUD_PROJECT" => Some("p-2".to_owned()),
        other => env(other),
    };
    let text = "providers: [{name: a, kind: bedrock}, {name: b, kind: vertex}]";
    let settings = parse(text, "a.yaml", &Overrides::default(), &env).unwrap();
    assert_eq!(settings.providers[0].cloud.region.as_deref(), Some("ap-south-1"));
    assert_eq!(settings.providers[1].cloud.project.as_deref(), Some("p-2"));
}

#[test]
fn surfaces_are_those_that_are_known_or_named() {
    use Surface::{Audio, ChatCompletions, Completions, Embeddings, Messages, Responses};
    let everyone = [ChatCompletions, Completions, Embeddings];
    assert_eq!(one("kind: openai_compatible, base_url: 'http://h/v1'").surfaces, []);
    let vllm = one("kind: vllm, base_url: 'http://10.0.0.1:8000/v1'").surfaces;
    assert!(vllm.contains(&Messages) && vllm.contains(&Responses) && vllm.starts_with(&everyone), "{vllm:?}");
    let openai = one("kind: openai").surfaces;
    assert!(openai.contains(&Responses) && openai.contains(&Audio) && !openai.contains(&Messages));
    // Somebody else under that name has what everyone has.
    assert_eq!(one("kind: openai, base_url: 'http://10.0.0.1:8000/v1'").surfaces, everyone);
    assert_eq!(one("kind: vllm, surfaces: [chat, messages]").surfaces, [ChatCompletions, Messages]);
    assert_eq!(one("kind: openai, surfaces: [chat_completions]").surfaces, [ChatCompletions]);
    assert_eq!(one("kind: anthropic").surfaces, []);
    for surface in Surface::ALL {
        assert_eq!(surface.as_str().parse::<Surface>().ok(), Some(surface));
    }
}

#[test]
fn keys_have_shares_models_and_limits() {
    let text = "kind: openai, api_key: k0, keys: [{name: a, key: k1, weight: 2.5, models: [m], \
                limits: {requests_per_minute: 60, concurrent: 4}}, {name: b, key: '${KEY}'}]";
    let provider = one(text);
    let [a, b] = &provider.keys[..] else { panic!("two were written") };
    assert_eq!((a.name.as_str(), a.key.expose(), a.weight, a.models[0].as_str()), ("a", "k1", 2.5, "m"));
    assert_eq!((a.limits.requests_per_minute, a.limits.concurrent), (Some(60), Some(4)));
    assert_eq!((b.key.expose(), b.weight, b.limits), (HIDDEN, 1.0, KeyLimits::default()));
}

#[test]
fn quirks_come_from_the_catalogue() {
    let groq = one("kind: groq").quirks;
    assert!(groq.refuses.contains(&"messages[].name".to_owned()) && groq.limit_field.is_none());
    assert_eq!(one("kind: mistral").quirks.limit_field, Some(LimitField::MaxTokens));
    assert_eq!(one("kind: fireworks").quirks.stream_usage, Some(StreamUsage::Always));
    assert_eq!(one("kind: openai").quirks, Quirks::default());
}

#[test]
fn what_is_shown_reads_back() {
    let text = "providers:\n  - {name: a, kind: bedrock, aws: {region: eu-west-1, access_key_id: s, secret_access_key: s, \
                session_token: s, role_arn: 'arn:aws:iam::1:role/r', external_id: s, sts_url: 'https://sts.example'}}\n  \
                - {name: b, kind: vertex, google: {project: p, region: europe-west4, credentials_file: /c.json, \
                token_url: 'https://t.example'}, proxy: none}\n  \
                - {name: c, kind: azure, base_url: 'https://x.openai.azure.com', azure: {api_version: '2024-10-21', \
                tenant_id: t, client_id: c, client_secret: s, token_url: 'https://t.example'}, surfaces: [chat, responses]}\n  \
                - {name: d, kind: anthropic, api_version: '2023-06-01', proxy: 'http://10.0.0.1:3128', \
                tls: {ca_file: /ca.pem, client_cert_file: /c.pem, client_key_file: /k.pem}}\n  \
                - {name: e, kind: groq, api_key: s, keys: [{name: one, key: s, weight: 0.5, models: [m], \
                limits: {requests_per_minute: 5}}, {name: two, key: s}]}\n\
                models: [{name: m, aliases: [n], strategy: sticky, hedge: {percentile: 99, at_least_ms: 5}, targets: [{provider: e, key: two, \
                weight: 2, tier: 1, max_in_flight: 3, first_token_timeout_ms: 9}, {provider: e, after: [context_length]}], price: {input_usd_per_million_tokens: 1, \
                output_usd_per_million_tokens: 2, cached_input_usd_per_million_tokens: 0.1, \
                cache_write_usd_per_million_tokens: 1.25, reasoning_usd_per_million_tokens: 3, request_usd: 0.005}, \
                shadow: {provider: e, model: n, key: one, params: {prompts: null, headers: '$${X}'}, percent: 2.5, judge: true, usd_per_day: 0.25, \
                max_in_flight: 9, labels: true, price: {input_usd_per_million_tokens: 1, output_usd_per_million_tokens: 2}}}]\n\
                cache: {judge: {model: j}}\n";
    let settings = read(text).unwrap();
    let price = settings.models[0].price.unwrap();
    assert_eq!((price.cache_write_micro_usd_per_million, price.request_micro_usd), (Some(1_250_000), 5_000));
    let shown = settings.show();
    assert_eq!(read(&shown.replace("\"[secret]\"", "s")).unwrap(), settings, "{shown}");
    for line in shown.lines() {
        let key = line.trim_start_matches([' ', '-']).split(':').next().unwrap_or_default();
        assert!(GUIDE.contains(&format!("`{key}`")), "docs/configuration.md lacks `{key}`");
    }
    let proxied = read("providers: [{name: a, kind: openai, proxy: 'http://ada:${KEY}@10.0.0.1:3128'}]").unwrap();
    assert!(!proxied.show().contains(HIDDEN) && proxied.show().contains("proxy: \"[secret]\""));
    assert!(!format!("{proxied:?}").contains(HIDDEN));
}

/// Each: what stands in a provider of that name, and the message that it gets.
const REFUSED: &[(&str, &str)] = &[
    (
        "kind: azure",
        "the key `base_url` is missing, which a provider of kind `azure` needs at line 1, column 13; add one, such as `https://NAME.openai.azure.com`",
    ),
    (
        "kind: anthropic, base_url: 'https://api.anthropic.com/v1'",
        "this address goes on to a version of the API (`/v1`), which is added to it at line 1, column 50; write the part before `/v1/messages`, such as `https://api.anthropic.com`",
    ),
    (
        "kind: gemini, base_url: 'https://generativelanguage.googleapis.com/v1beta/openai'",
        "this address goes on to a version of the API (`/v1beta`), which is added to it at line 1, column 47; write the part before `/v1beta`, such as `https://generativelanguage.googleapis.com`",
    ),
    (
        "kind: openai, aws: {region: r}",
        "`aws` is for kind `bedrock`, and this provider is of another kind at line 1, column 42; remove it",
    ),
    (
        "kind: openai, api_version: '1'",
        "`api_version` is for kind `anthropic`, and this provider is of another kind at line 1, column 50; remove it",
    ),
    (
        "kind: bedrock",
        "a provider of kind `bedrock` needs a region, and there is no `aws.region` at line 1, column 13; write `aws: {region: us-east-1}`, or set AWS_REGION",
    ),
    (
        "kind: bedrock, api_key: k, base_url: 'https://h', aws: {role_arn: 'arn:aws:iam::1:role/r'}",
        "taking on a role needs a region, and there is no `aws.region` at line 1, column 13; write `aws: {region: us-east-1}`, or set AWS_REGION",
    ),
    (
        "kind: bedrock, aws: {region: 'us east'}",
        "expected a region such as `us-east-1`: lower-case letters, digits and `-` at line 1, column 52",
    ),
    (
        "kind: bedrock, aws: {region: r, access_key_id: a}",
        "`access_key_id` is there and `secret_access_key` is not at line 1, column 43; add `secret_access_key`, or remove `access_key_id`",
    ),
    (
        "kind: bedrock, aws: {region: r, session_token: a}",
        "`session_token` is of use beside `access_key_id` only, which is not there at line 1, column 70; add `access_key_id`, or remove it",
    ),
    (
        "kind: bedrock, aws: {region: r, external_id: a}",
        "`external_id` is of use beside `role_arn` only, which is not there at line 1, column 68; add `role_arn`, or remove it",
    ),
    (
        "kind: bedrock, aws: {region: r, role_arn: gateway}",
        "expected the ARN of a role at line 1, column 65; it looks like `arn:aws:iam::123456789012:role/NAME`",
    ),
    (
        "kind: vertex, google: {token_url: 'ftp://h'}",
        "expected a URL that begins with `http://` or `https://` at line 1, column 57",
    ),
    (
        "kind: azure, base_url: 'https://h', azure: {client_id: c}",
        "`client_id` is there and `tenant_id` is not at line 1, column 66; add `tenant_id`, or remove `client_id`",
    ),
    (
        "kind: azure, base_url: 'https://h', api_key: k, azure: {tenant_id: t, client_id: c, client_secret: s}",
        "an application of Entra and a key are two ways to sign in at line 1, column 122; remove `api_key` and `keys`, or the application",
    ),
    (
        "kind: azure, base_url: 'https://h', azure: {api_version: 'a b'}",
        "expected a version such as `2024-10-21`: letters, digits and `-` at line 1, column 80",
    ),
    (
        "kind: ollama-native, base_url: 'http://127.0.0.1:11434/v1'",
        "this address goes on to a version of the API (`/v1`), which is added to it at line 1, column 54; write the part before \
         `/api`, such as `http://127.0.0.1:11434`",
    ),
    (
        "kind: cohere, surfaces: [chat]",
        "a provider of kind `cohere` has the surfaces of its kind at line 1, column 47; remove it",
    ),
    (
        "kind: openai, surfaces: []",
        "expected at least one surface, found none at line 1, column 47; leave `surfaces` out for those that are known of it",
    ),
    (
        "kind: openai, surfaces: [chat, chat_completions]",
        "the surface `chat_completions` is there twice at line 1, column 54; remove one of them",
    ),
    ("kind: openai, keys: [{name: a}]", "the key `key` is missing at line 1, column 44; add it"),
    ("kind: openai, keys: [{name: a, key: ''}]", "expected a key, found none at line 1, column 59"),
    (
        "kind: openai, keys: [{name: a, key: k, weight: 0}]",
        "expected a number from 0.000001 to 1000000, found `0` at line 1, column 70",
    ),
    (
        "kind: openai, keys: [{name: a, key: k}, {name: a, key: l}]",
        "another key has the name `a` at line 1, column 63; give each key a name of its own",
    ),
    (
        "kind: openai, api_key: x, keys: [{name: default, key: k}]",
        "`default` is the name of the key in `api_key` at line 1, column 56; choose another name",
    ),
    (
        "kind: openai, keys: [{name: a, key: k, limits: {concurrent: 0}}]",
        "expected a whole number from 1 to 1000000, found `0` at line 1, column 83",
    ),
    (
        "kind: openai, proxy: 'ada:${KEY}@h:1'",
        "expected the address of a proxy, or `none` at line 1, column 44; write `http://host:port`, or `http://user:password@host:port`",
    ),
    (
        "kind: openai, proxy: 'http://h:1/path?${KEY}'",
        "expected the address of a proxy, or `none` at line 1, column 44; write `http://host:port`, or `http://user:password@host:port`",
    ),
    (
        "kind: openai, tls: {client_cert_file: /c}",
        "`client_cert_file` and `client_key_file` are of use together only at line 1, column 42; add the other one; both may name one file that holds both",
    ),
    (
        "kind: vllm, tls: {ca_file: /c}",
        "the address of this provider begins with `http://`, which has no certificates at line 1, column 40; write `https://` in `base_url`, or remove `tls`",
    ),
    (
        "kind: demo, proxy: none",
        "a provider of kind `demo` answers inside the process and has no `proxy` at line 1, column 42; remove it",
    ),
    (
        "kind: openai, keys: [{name: a, key: k}], headers: {authorization: b}",
        "the header `authorization` and `api_key` say the same thing at line 1, column 89; remove one of them",
    ),
    (
        "kind: anthropic, api_key: k, headers: {x-api-key: b}",
        "the header `x-api-key` and `api_key` say the same thing at line 1, column 73; remove one of them",
    ),
];

#[test]
fn refuses_in_these_words() {
    for (text, expected) in REFUSED {
        let error = read(&format!("providers: [{{name: p, {text}}}]")).expect_err(text).to_string();
        assert!(!error.contains(HIDDEN), "{error}");
        let (_, message) = error.strip_prefix("a.yaml: ").and_then(|rest| rest.split_once(": ")).unwrap();
        assert_eq!(&message, expected, "{text}");
    }
}
