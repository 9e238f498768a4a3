//! `Registry`: the providers of one configuration, and the models they say they have.

use super::Provider;
use super::anthropic::Anthropic;
use super::azure::Azure;
use super::bedrock::Bedrock;
use super::cohere::Cohere;
use super::demo::Demo;
use super::gemini::Gemini;
use super::local::{self, Local};
use super::ollama::Ollama;
use super::openai::OpenAi;
use super::vertex::Vertex;
use crate::config::{self, ProviderKind};
use crate::types::embed::Embed;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

/// The providers of one configuration.
pub struct Registry {
    providers: HashMap<String, Arc<dyn Provider>>,
    /// In the order of the configuration.
    order: Vec<String>,
    /// Models by provider, configured or as the provider said.
    models: RwLock<HashMap<String, Vec<String>>>,
}

impl Registry {
    /// Builds the providers, and one for the sentence model of this host. The error names the one that cannot be built.
    pub fn build(settings: &[config::Provider], embed: Option<Arc<dyn Embed>>) -> Result<Registry, String> {
        let mut providers: HashMap<String, Arc<dyn Provider>> = HashMap::new();
        for one in settings {
            let provider: Arc<dyn Provider> = match one.kind {
                ProviderKind::OpenAi | ProviderKind::OpenAiCompatible => Arc::new(OpenAi::new(one)?),
                ProviderKind::Azure => Arc::new(Azure::new(one)?),
                ProviderKind::Anthropic => Arc::new(Anthropic::new(one)?),
                ProviderKind::Gemini => Arc::new(Gemini::new(one)?),
                ProviderKind::Vertex => Arc::new(Vertex::new(one)?),
                ProviderKind::Bedrock => Arc::new(Bedrock::new(one)?),
                ProviderKind::Cohere => Arc::new(Cohere::new(one)?),
                ProviderKind::Ollama => Arc::new(Ollama::new(one)?),
                ProviderKind::Demo => Arc::new(Demo::new(&one.name)?),
            };
            providers.insert(one.name.clone(), provider);
        }
        let known = settings.iter().filter(|one| !one.models.is_empty());
        let mut models: HashMap<_, _> = known.map(|one| (one.name.clone(), one.models.clone())).collect();
        let mut order: Vec<String> = settings.iter().map(|one| one.name.clone()).collect();
        if let Some(embed) = embed {
            models.insert(local::NAME.to_owned(), vec![embed.model().to_owned()]);
            providers.insert(local::NAME.to_owned(), Arc::new(Local::new(embed)));
            order.push(local::NAME.to_owned());
        }
        Ok(Registry { providers, order, models: RwLock::new(models) })
    }

    /// The provider of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Provider>> {
        self.providers.get(name)
    }

    /// Is it served on this host, by the gateway itself?
    pub fn is_local(&self, name: &str) -> bool {
        name == local::NAME
    }

    /// Names, in the order of the configuration.
    pub fn names(&self) -> &[String] {
        &self.order
    }

    /// The first provider that is known to have `model`.
    pub fn having(&self, model: &str) -> Option<&str> {
        let models = self.models.read();
        let has = |name: &&String| models.get(*name).is_some_and(|models| models.iter().any(|known| known == model));
        self.order.iter().find(has).map(String::as_str)
    }

    /// All known models, with their providers.
    pub fn models(&self) -> Vec<(String, String)> {
        let models = self.models.read();
        let of = |name: &String| {
            let models = models.get(name).cloned().unwrap_or_default();
            models.into_iter().map(|model| (model, name.clone())).collect::<Vec<_>>()
        };
        self.order.iter().flat_map(of).collect()
    }

    /// Asks every provider without configured models which it has. Gives what went wrong, by provider.
    pub async fn refresh(&self) -> Vec<(String, String)> {
        let unknown: Vec<String> = {
            let models = self.models.read();
            self.order.iter().filter(|name| !models.contains_key(*name)).cloned().collect()
        };
        let asked = unknown.into_iter().filter_map(|name| self.providers.get(&name).map(|provider| (name, provider)));
        let answers = asked.map(|(name, provider)| async move { (name, provider.models().await) });
        let mut failed = Vec::new();
        for (name, models) in futures_util::future::join_all(answers).await {
            match models {
                Ok(models) => {
                    self.models.write().insert(name, models);
                }
                Err(error) => failed.push((name, error.message)),
            }
        }
        failed
    }
}
