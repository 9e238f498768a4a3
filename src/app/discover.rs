//! Providers where the settings name none: keys in the environment, local servers, and at last the demo.

use crate::config::Resolved;
use crate::providers::catalogue;

/// What was found, for the start's few lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Discovered {
    /// Names of the providers.
    pub providers: Vec<String>,
    /// The demo serves, because nothing else was found or because it was asked for.
    pub demo: bool,
}

/// Fills in providers if `settings` has none. With `demo`, the demo alone.
pub async fn discover(settings: &mut Resolved, demo: bool) -> Discovered {
    if demo {
        settings.providers = vec![catalogue::demo()];
        settings.models.clear();
        settings.default_provider = None;
    } else if settings.providers.is_empty() {
        settings.providers = catalogue::hosted(|name| std::env::var(name).ok());
        settings.providers.extend(catalogue::local(&settings.listen).await);
        if settings.providers.is_empty() {
            settings.providers.push(catalogue::demo());
        }
    }
    if settings.default_provider.is_none() && settings.models.is_empty() {
        settings.default_provider = settings.providers.first().map(|provider| provider.name.clone());
    }
    let providers: Vec<String> = settings.providers.iter().map(|provider| provider.name.clone()).collect();
    let demo = settings.providers.iter().any(|provider| provider.kind == crate::config::ProviderKind::Demo);
    Discovered { providers, demo }
}
