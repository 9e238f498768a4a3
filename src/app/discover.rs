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

/// How much of settings is the file's: so many of the providers, which are the first, and of the models.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OfFile {
    providers: usize,
    models: usize,
}

impl OfFile {
    /// Of these, which are the file's alone.
    pub fn of(settings: &Resolved) -> OfFile {
        OfFile { providers: settings.providers.len(), models: settings.models.len() }
    }
}

/// Fills in providers if none of `settings` is the file's. With `demo`, the demo alone.
pub async fn discover(settings: &mut Resolved, demo: bool, of_file: OfFile) -> Discovered {
    if demo {
        settings.providers = vec![catalogue::demo()];
        settings.models.clear();
        settings.default_provider = None;
    } else if of_file.providers == 0 {
        let made = std::mem::take(&mut settings.providers);
        settings.providers = catalogue::hosted(|name| std::env::var(name).ok());
        settings.providers.extend(catalogue::local(&settings.listen).await);
        // What was made by that name is meant.
        settings.providers.retain(|found| made.iter().all(|one| one.name != found.name));
        settings.providers.extend(made);
        if settings.providers.is_empty() {
            settings.providers.push(catalogue::demo());
        }
    }
    if settings.default_provider.is_none() && of_file.models == 0 {
        settings.default_provider = settings.providers.first().map(|provider| provider.name.clone());
    }
    let providers: Vec<String> = settings.providers.iter().map(|provider| provider.name.clone()).collect();
    let demo = settings.providers.iter().any(|provider| provider.kind == crate::config::ProviderKind::Demo);
    Discovered { providers, demo }
}
