//! A model's name → the targets to try, in order.

use crate::config;
use crate::types::error::{Error, ErrorKind};
use crate::types::money::Price;
use std::collections::HashMap;

/// One provider and the name the model has there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// The provider's name.
    pub provider: String,
    /// What the provider calls the model.
    pub model: String,
}

/// The targets of one request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The first choice first; never empty.
    pub targets: Vec<Target>,
    /// What the model costs, where that is known.
    pub price: Option<Price>,
}

/// Knows the configured models and the default.
#[derive(Debug, Default)]
pub struct Router {
    models: HashMap<String, Plan>,
    providers: Vec<String>,
    /// What the price list calls the providers whose list prices hold.
    listed: HashMap<String, String>,
    default_provider: Option<String>,
}

impl Router {
    /// A router over the configured models and providers.
    pub fn new(models: &[config::Model], providers: &[config::Provider], default_provider: Option<&str>) -> Router {
        let listed = providers.iter().filter(|one| one.list_prices);
        let listed: HashMap<String, String> =
            listed.filter_map(|one| Some((one.name.clone(), one.catalogue.clone()?))).collect();
        let plan = |model: &config::Model| {
            let targets: Vec<Target> = model
                .targets
                .iter()
                .map(|target| Target { provider: target.provider.clone(), model: target.model.clone() })
                .collect();
            Plan { price: model.price.or_else(|| list_price(&listed, &targets)), targets }
        };
        let default_provider = match (default_provider, providers) {
            (Some(name), _) => Some(name.to_owned()),
            // A single provider is everybody's default.
            (None, [only]) => Some(only.name.clone()),
            (None, _) => None,
        };
        Router {
            models: models.iter().map(|model| (model.name.clone(), plan(model))).collect(),
            providers: providers.iter().map(|provider| provider.name.clone()).collect(),
            listed,
            default_provider,
        }
    }

    /// Names of the configured models.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }

    /// The provider of what names none; a single provider is everybody's.
    pub fn default_provider(&self) -> Option<&str> {
        self.default_provider.as_deref()
    }

    /// The plan for `model`. `having` says which provider is known to have a model.
    ///
    /// A configured name comes first, then a model that a provider is known to have, then `provider/model`, then the
    /// default provider.
    pub fn plan<'h>(&self, model: &str, having: impl Fn(&str) -> Option<&'h str>) -> Result<Plan, Error> {
        if let Some(plan) = self.models.get(model) {
            return Ok(plan.clone());
        }
        let to = |provider: &str, model: &str| {
            let targets = vec![Target { provider: provider.to_owned(), model: model.to_owned() }];
            Ok(Plan { price: list_price(&self.listed, &targets), targets })
        };
        if let Some(provider) = having(model) {
            return to(provider, model);
        }
        if let Some((provider, rest)) = model.split_once('/')
            && !rest.is_empty()
            && self.providers.iter().any(|name| name == provider)
        {
            return match self.models.get(rest) {
                Some(Plan { price: Some(price), .. }) => Ok(Plan { price: Some(*price), ..to(provider, rest)? }),
                _ => to(provider, rest),
            };
        }
        match &self.default_provider {
            Some(provider) => to(provider, model),
            None => Err(unknown(model)),
        }
    }
}

/// What `targets` cost by the price list, where that is the same for all: nobody knows yet which of them will answer.
fn list_price(listed: &HashMap<String, String>, targets: &[Target]) -> Option<Price> {
    let of = |target: &Target| config::list_price(listed.get(&target.provider)?, &target.model);
    let first = of(targets.first()?)?;
    targets.iter().all(|target| of(target) == Some(first)).then_some(first)
}

fn unknown(model: &str) -> Error {
    let shown: String = model.chars().take(100).collect();
    let message = format!(
        "The model `{shown}` does not exist: no provider is known to have it. GET /v1/models lists the models; \
         `provider/model` names a provider directly."
    );
    Error { param: Some("model".into()), ..Error::new(ErrorKind::NotFound, message).with_code("model_not_found") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(default_provider: Option<&str>) -> Router {
        let target = |provider: &str, model: &str| Target { provider: provider.to_owned(), model: model.to_owned() };
        let fast = Plan { targets: vec![target("a", "small"), target("b", "tiny")], price: None };
        Router {
            models: HashMap::from([("fast".to_owned(), fast)]),
            providers: vec!["a".to_owned(), "b".to_owned()],
            listed: HashMap::new(),
            default_provider: default_provider.map(str::to_owned),
        }
    }

    #[test]
    fn finds_the_targets() {
        let having = |model: &str| (model == "org/known").then_some("b");
        let table = [
            ("fast", None, Some(("a", "small"))),
            ("org/known", None, Some(("b", "org/known"))),
            ("a/x/y", None, Some(("a", "x/y"))),
            ("c/x", None, None),
            ("c/x", Some("b"), Some(("b", "c/x"))),
            ("a/", None, None),
            ("unheard", Some("a"), Some(("a", "unheard"))),
            ("unheard", None, None),
        ];
        for (model, default, expected) in table {
            let plan = router(default).plan(model, having);
            let first =
                plan.as_ref().ok().map(|plan| (plan.targets[0].provider.as_str(), plan.targets[0].model.as_str()));
            assert_eq!(first, expected, "{model}");
            if let Err(error) = &plan {
                assert_eq!((error.status(), error.code), (404, Some("model_not_found")));
            }
        }
    }

    #[test]
    fn a_price_of_ones_own_comes_before_the_list() {
        let provider = |name: &str, at: &str| {
            let known = config::known_providers().iter().find(|known| known.name == "openai").unwrap();
            let provider = config::Provider::known(known, at.to_owned(), at == known.base_url);
            config::Provider { name: name.to_owned(), ..provider }
        };
        let vendor = "https://api.openai.com/v1";
        let providers = [provider("a", vendor), provider("b", vendor), provider("elsewhere", "http://127.0.0.1:1/v1")];
        let model = |name: &str, targets: &[(&str, &str)], price: Option<Price>| config::Model {
            name: name.to_owned(),
            targets: targets
                .iter()
                .map(|(provider, model)| config::Target { provider: (*provider).into(), model: (*model).into() })
                .collect(),
            price,
        };
        let own = Price::new(1, 2);
        let listed = config::list_price("openai", "gpt-4o-mini");
        assert!(listed.is_some());
        let models = [
            model("own", &[("a", "gpt-4o-mini")], Some(own)),
            model("list", &[("a", "gpt-4o-mini"), ("b", "gpt-4o-mini")], None),
            model("differs", &[("a", "gpt-4o-mini"), ("b", "gpt-4o")], None),
            model("abroad", &[("a", "gpt-4o-mini"), ("elsewhere", "gpt-4o-mini")], None),
        ];
        let router = Router::new(&models, &providers, None);
        let table = [
            ("own", Some(own)),
            ("a/own", Some(own)),
            ("list", listed),
            ("differs", None),
            ("abroad", None),
            ("a/gpt-4o-mini", listed),
            ("a/unheard-of", None),
            ("elsewhere/gpt-4o-mini", None),
        ];
        for (model, expected) in table {
            assert_eq!(router.plan(model, |_| None).unwrap().price, expected, "{model}");
        }
    }
}
