//! Where providers are found without a configuration: the entries of the catalogue that are looked for, by their key in
//! the environment or by their usual port.

use crate::config::{self, KeyPlace, KnownProvider, Provider, ProviderKind, known_providers};
use crate::types::secret::Secret;
use std::time::Duration;

/// Entries of the catalogue that are looked for, in its order, which is that in which an unnamed model is looked for:
/// the hosted ones, or those of one's own.
fn looked_for(hosted: bool) -> impl Iterator<Item = &'static KnownProvider> {
    let known = known_providers().iter().map(AsRef::as_ref);
    known.filter(move |known: &&KnownProvider| known.discover && (known.auth != KeyPlace::None) == hosted)
}

/// The key of a provider in the environment, as far as it is set to anything.
pub fn key(known: &KnownProvider, env: impl Fn(&str) -> Option<String>) -> Option<Secret> {
    let key = env(known.env.as_deref()?)?.trim().to_owned();
    (!key.is_empty()).then(|| Secret::new(key))
}

/// Other variables that say that a provider can be signed in to. They may be set for something else, so that nobody is
/// asked on their account.
const ALSO: [(&str, &str); 4] = [
    ("azure", "AZURE_CLIENT_SECRET"),
    ("bedrock", "AWS_ACCESS_KEY_ID"),
    ("gemini", "GOOGLE_API_KEY"),
    ("vertex", "GOOGLE_CLOUD_PROJECT"),
];

/// Does the environment have what a provider is signed in to with?
pub fn has_key(known: &KnownProvider, env: impl Fn(&str) -> Option<String>) -> bool {
    let also = ALSO.iter().filter(|(name, _)| *name == known.name);
    key(known, &env).is_some() || also.filter_map(|(_, other)| env(other)).any(|value| !value.trim().is_empty())
}

/// The hosted providers whose key `env` has.
pub fn hosted(env: impl Fn(&str) -> Option<String>) -> Vec<Provider> {
    let found = |known: &KnownProvider| {
        let api_key = key(known, &env)?;
        let own = known.address(&env).ok();
        // OpenAI's own SDKs read the base URL from the environment too.
        let other = (known.name == "openai").then(|| env("OPENAI_BASE_URL")).flatten().and_then(|url| {
            let checked = config::check_base_url(&url);
            checked.inspect_err(|why| tracing::warn!("OPENAI_BASE_URL is not used: {why}")).ok()
        });
        let base_url = other.or_else(|| own.clone())?;
        let at_home = own.as_ref() == Some(&base_url);
        Some(Provider { api_key: Some(api_key), ..Provider::known(known, base_url, at_home) })
    };
    looked_for(true).filter_map(found).collect()
}

/// The local servers that list their models now. `listen` is our own address, never asked.
pub async fn local(listen: &str) -> Vec<Provider> {
    let Ok(client) = reqwest::Client::builder()
        .connect_timeout(Duration::from_millis(300))
        .timeout(Duration::from_millis(1000))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
    else {
        return Vec::new();
    };
    let asked = looked_for(false).filter(|known| port(address(&known.base_url)) != port(listen)).map(|known| {
        let client = client.clone();
        async move {
            let list = format!("{}{}", known.base_url, known.models.as_deref()?);
            let reply = client.get(list).send().await.ok()?;
            let list: serde_json::Value = reply.error_for_status().ok()?.json().await.ok()?;
            list.get("data")?.as_array()?;
            Some(Provider::known(known, known.base_url.clone(), true))
        }
    });
    futures_util::future::join_all(asked).await.into_iter().flatten().collect()
}

/// The built-in demo.
pub fn demo() -> Provider {
    Provider {
        models: vec![super::demo::MODEL.to_owned()],
        ..Provider::plain("demo", ProviderKind::Demo, String::new())
    }
}

/// `host:port` of a URL.
fn address(base_url: &str) -> &str {
    let rest = base_url.split_once("://").map_or(base_url, |(_, rest)| rest);
    rest.split_once('/').map_or(rest, |(address, _)| address)
}

/// The port of `host:port`. Whoever listens on a port of a local server is not asked on it, under whatever host name: it
/// may be ourselves.
fn port(address: &str) -> Option<&str> {
    address.rsplit_once(':').map(|(_, port)| port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Cloud;
    use crate::providers::Registry;

    #[test]
    fn every_entry_builds_a_provider() {
        crate::install_tls();
        for known in known_providers() {
            let base_url = known.address(&|_| Some("filled-in".to_owned())).unwrap();
            let cloud = Cloud { region: Some("eu-west-1".into()), project: Some("p".into()), ..Cloud::default() };
            let provider =
                Provider { api_key: Some(Secret::new("k")), cloud, ..Provider::known(known, base_url, true) };
            let registry = Registry::build(std::slice::from_ref(&provider), None).unwrap();
            assert!(registry.get(&known.name).is_some(), "{}", known.name);
        }
    }

    #[test]
    fn finds_those_with_a_key_in_order() {
        let env = |name: &str| match name {
            "GROQ_API_KEY" => Some(" gsk \n".to_owned()),
            "OPENAI_API_KEY" => Some("sk".to_owned()),
            "OPENAI_BASE_URL" => Some("http://127.0.0.1:1/v1/".to_owned()),
            // Set for something else as a rule, so that nobody is asked for it without being told to.
            "HF_TOKEN" | "GITHUB_TOKEN" => Some("t".to_owned()),
            "MISTRAL_API_KEY" => Some("  ".to_owned()),
            _ => None,
        };
        let found = hosted(env);
        let about = |one: &Provider| (one.name.clone(), one.base_url.clone(), one.list_prices);
        let expected = [("openai", "http://127.0.0.1:1/v1", false), ("groq", "https://api.groq.com/openai/v1", true)];
        let expected = expected.map(|(name, url, own)| (name.to_owned(), url.to_owned(), own));
        assert_eq!(found.iter().map(about).collect::<Vec<_>>(), expected);
        assert_eq!((found[0].kind, found[1].kind), (ProviderKind::OpenAi, ProviderKind::OpenAiCompatible));
        assert_eq!(found[1].api_key.as_ref().map(Secret::expose), Some("gsk"));
    }

    #[test]
    fn a_cloud_has_other_variables() {
        let known = |name: &str| known_providers().iter().find(|known| known.name == name).unwrap();
        let env = |name: &str| (name == "AWS_ACCESS_KEY_ID").then(|| "AKIA".to_owned());
        assert!(has_key(known("bedrock"), env) && !has_key(known("vertex"), env) && !has_key(known("openai"), env));
        assert!(hosted(env).is_empty());
    }

    #[test]
    fn knows_the_ports_of_local_servers() {
        let local: Vec<_> = looked_for(false).map(|known| (known.name.as_str(), address(&known.base_url))).collect();
        assert_eq!(local[0], ("ollama", "127.0.0.1:11434"));
        assert_eq!(local.len(), 5);
        assert_eq!((port("127.0.0.1:80"), port("[::1]:80"), port("localhost")), (Some("80"), Some("80"), None));
    }
}
