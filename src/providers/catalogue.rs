//! Where providers are found without a configuration: environment variables, and local servers on their usual ports.

use crate::config::{self, ProviderKind};
use crate::types::secret::Secret;
use std::collections::BTreeMap;
use std::time::Duration;

/// A hosted provider that speaks the OpenAI wire and is found by its key.
#[derive(Clone, Copy, Debug)]
pub struct Hosted {
    /// Its name here.
    pub name: &'static str,
    /// The variable that its own documentation names.
    pub env: &'static str,
    /// Its OpenAI-style base URL, by its own documentation.
    pub base_url: &'static str,
}

/// Hosted providers, in the order in which an unnamed model is looked for.
pub const HOSTED: [Hosted; 11] = [
    Hosted { name: "openai", env: "OPENAI_API_KEY", base_url: "https://api.openai.com/v1" },
    Hosted { name: "openrouter", env: "OPENROUTER_API_KEY", base_url: "https://openrouter.ai/api/v1" },
    Hosted { name: "groq", env: "GROQ_API_KEY", base_url: "https://api.groq.com/openai/v1" },
    Hosted { name: "mistral", env: "MISTRAL_API_KEY", base_url: "https://api.mistral.ai/v1" },
    Hosted { name: "deepseek", env: "DEEPSEEK_API_KEY", base_url: "https://api.deepseek.com/v1" },
    Hosted { name: "together", env: "TOGETHER_API_KEY", base_url: "https://api.together.xyz/v1" },
    Hosted { name: "fireworks", env: "FIREWORKS_API_KEY", base_url: "https://api.fireworks.ai/inference/v1" },
    Hosted { name: "xai", env: "XAI_API_KEY", base_url: "https://api.x.ai/v1" },
    Hosted { name: "cerebras", env: "CEREBRAS_API_KEY", base_url: "https://api.cerebras.ai/v1" },
    Hosted {
        name: "gemini",
        env: "GEMINI_API_KEY",
        base_url: "https://generativelanguage.googleapis.com/v1beta/openai",
    },
    Hosted { name: "perplexity", env: "PERPLEXITY_API_KEY", base_url: "https://api.perplexity.ai" },
];

/// A local server that is found by its usual port.
#[derive(Clone, Copy, Debug)]
pub struct Local {
    /// Its name here.
    pub name: &'static str,
    /// Its usual loopback address.
    pub address: &'static str,
}

/// Local servers.
pub const LOCAL: [Local; 5] = [
    Local { name: "ollama", address: "127.0.0.1:11434" },
    Local { name: "vllm", address: "127.0.0.1:8000" },
    Local { name: "llama-cpp", address: "127.0.0.1:8080" },
    Local { name: "lm-studio", address: "127.0.0.1:1234" },
    Local { name: "sglang", address: "127.0.0.1:30000" },
];

/// The hosted providers whose key `env` has.
pub fn hosted(env: impl Fn(&str) -> Option<String>) -> Vec<config::Provider> {
    let key = |hosted: &Hosted| env(hosted.env).map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
    HOSTED
        .iter()
        .filter_map(|hosted| {
            let key = key(hosted)?;
            let kind = if hosted.name == "openai" { ProviderKind::OpenAi } else { ProviderKind::OpenAiCompatible };
            // OpenAI's own SDKs read the base URL from the environment too.
            let base_url = (hosted.name == "openai").then(|| env("OPENAI_BASE_URL")).flatten();
            let base_url = base_url.and_then(|url| {
                let checked = config::check_base_url(&url);
                checked.inspect_err(|why| tracing::warn!("OPENAI_BASE_URL is not used: {why}")).ok()
            });
            let base_url = base_url.unwrap_or_else(|| hosted.base_url.to_owned());
            Some(provider(hosted.name, kind, base_url, Some(Secret::new(key))))
        })
        .collect()
}

/// The local servers that answer `GET /v1/models` now. `own` is our own address, never asked.
pub async fn local(own: &str) -> Vec<config::Provider> {
    let Ok(client) = reqwest::Client::builder()
        .connect_timeout(Duration::from_millis(300))
        .timeout(Duration::from_millis(1000))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
    else {
        return Vec::new();
    };
    let asked = LOCAL.iter().filter(|local| port(local.address) != port(own)).map(|local| {
        let client = client.clone();
        async move {
            let reply = client.get(format!("http://{}/v1/models", local.address)).send().await.ok()?;
            let list: serde_json::Value = reply.error_for_status().ok()?.json().await.ok()?;
            list.get("data")?.as_array()?;
            let base_url = format!("http://{}/v1", local.address);
            Some(provider(local.name, ProviderKind::OpenAiCompatible, base_url, None))
        }
    });
    futures_util::future::join_all(asked).await.into_iter().flatten().collect()
}

/// The built-in demo.
pub fn demo() -> config::Provider {
    config::Provider {
        models: vec![super::demo::MODEL.to_owned()],
        ..provider("demo", ProviderKind::Demo, String::new(), None)
    }
}

/// The port of `host:port`. Whoever listens on a port of a local server is not asked on it, under whatever host name: it
/// may be ourselves.
fn port(address: &str) -> Option<&str> {
    address.rsplit_once(':').map(|(_, port)| port)
}

fn provider(name: &str, kind: ProviderKind, base_url: String, api_key: Option<Secret>) -> config::Provider {
    config::Provider {
        name: name.to_owned(),
        kind,
        base_url,
        api_key,
        headers: BTreeMap::new(),
        connect_timeout: Duration::from_secs(5),
        first_byte_timeout: Duration::from_secs(120),
        idle_timeout: Duration::from_secs(60),
        models: Vec::new(),
        stream_usage: false,
    }
}
