//! `askonce providers`.

use crate::config::{self, KeyPlace, KnownProvider, ListPrice, Overrides, known_providers};
use crate::providers::catalogue;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// List the providers of the catalogue, and which of them have a key in the environment.
///
/// Each name is a `kind` of `providers` in the configuration. Keys are never shown.
#[derive(clap::Args)]
pub(super) struct ProvidersArgs {
    /// A configuration, for the entries of its `catalogue`.
    #[arg(long, short, env = "ASKONCE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print all that is known of each as JSON, its list prices included.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ProvidersArgs) -> Result<ExitCode, String> {
    let own = match &args.config {
        Some(path) => config::load(path, &Overrides::default()).map_err(|error| error.to_string())?.catalogue,
        None => Vec::new(),
    };
    let env = |name: &str| std::env::var(name).ok();
    let shipped = known_providers().iter().filter(|known| own.iter().all(|other| other.name != known.name));
    let listed: Vec<Listed> = shipped.chain(&own).map(|known| Listed::of(known, &own, env)).collect();
    let text = if args.json {
        let all: Vec<Value> = listed.iter().map(Listed::json).collect();
        format!("{:#}\n", Value::from(all))
    } else {
        table(&listed)
    };
    match io::stdout().write_all(text.as_bytes()) {
        // Whoever reads it has seen enough, as `head` has.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("cannot write the list: {error}")),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// One provider, and what this machine has of it.
struct Listed<'a> {
    known: &'a KnownProvider,
    /// Its key, or what else it is signed in to with, is in the environment.
    key: bool,
    /// The operator's own entry.
    own: bool,
}

impl<'a> Listed<'a> {
    fn of(known: &'a KnownProvider, own: &[Arc<KnownProvider>], env: impl Fn(&str) -> Option<String>) -> Self {
        let own = own.iter().any(|other| other.name == known.name);
        Self { known, key: catalogue::has_key(known, env), own }
    }

    /// Where what is known of it comes from.
    fn from(&self) -> &'static str {
        match self.known {
            _ if self.own => "configuration",
            known if known.unconfirmed => "unconfirmed",
            known if known.second_hand => "second hand",
            _ => "vendor",
        }
    }

    fn key_word(&self) -> &'static str {
        match (self.key, self.known.auth) {
            (true, _) => "yes",
            (false, KeyPlace::None) => "none wanted",
            (false, _) => "-",
        }
    }

    fn prices(&self) -> impl Iterator<Item = &'static ListPrice> {
        config::list_prices().iter().filter(|price| price.provider == self.known.name)
    }

    fn json(&self) -> Value {
        let known = self.known;
        let surfaces: Vec<&str> = known.surfaces.iter().map(|surface| surface.as_str()).collect();
        json!({
            "name": known.name,
            "kind": known.name.parse().unwrap_or(config::ProviderKind::OpenAiCompatible).as_str(),
            "title": known.title,
            "base_url": known.base_url,
            "auth": known.auth.as_str(),
            "header": known.header,
            "env": known.env,
            "key": self.key,
            "models": known.models,
            "surfaces": surfaces,
            "limit_field": known.limit_field.map(config::LimitField::as_str),
            "stream_usage": known.stream_usage.map(config::StreamUsage::as_str),
            "refuses": known.refuses,
            "ignores": known.ignores,
            "note": known.note,
            "discover": known.discover,
            "docs": known.docs,
            "source": known.source,
            "read": known.read,
            "from": self.from(),
            "prices": self.prices().map(price).collect::<Vec<_>>(),
        })
    }
}

/// A list price, in US dollars per million tokens.
fn price(price: &ListPrice) -> Value {
    #[allow(clippy::cast_precision_loss, reason = "a price is far below what a double holds exactly")]
    let usd = |micro_usd: u64| micro_usd as f64 / 1e6;
    json!({
        "model": price.model,
        "input_usd_per_million_tokens": usd(price.price.input_micro_usd_per_million),
        "output_usd_per_million_tokens": usd(price.price.output_micro_usd_per_million),
        "cached_input_usd_per_million_tokens": price.price.cached_input_micro_usd_per_million.map(usd),
        "cache_write_usd_per_million_tokens": price.price.cache_write_micro_usd_per_million.map(usd),
        "reasoning_usd_per_million_tokens": price.price.reasoning_micro_usd_per_million.map(usd),
        "request_usd": (price.price.request_micro_usd > 0).then(|| usd(price.price.request_micro_usd)),
        "source": price.source,
        "vendor": price.vendor,
        "as_of": price.as_of,
        "read": price.read,
        "second_hand": price.second_hand,
    })
}

fn table(listed: &[Listed<'_>]) -> String {
    let widest = |of: fn(&Listed<'_>) -> usize, least: usize| listed.iter().map(of).max().unwrap_or(0).max(least);
    let name = widest(|one| one.known.name.chars().count(), 4);
    let env = widest(|one| one.known.env.as_deref().map_or(1, |env| env.chars().count()), 8);
    let line = |[a, b, c, d, e]: [&str; 5]| format!("{a:name$}  {b:env$}  {c:11}  {d:13}  {e}\n");
    let mut text = line(["NAME", "VARIABLE", "KEY", "KNOWN FROM", "BASE URL"]);
    for one in listed {
        let variable = one.known.env.as_deref().unwrap_or("-");
        text += &line([&one.known.name, variable, one.key_word(), one.from(), &one.known.base_url]);
    }
    let count = |word: &str| listed.iter().filter(|one| one.from() == word).count();
    let keys = listed.iter().filter(|one| one.key).count();
    text += &format!(
        "\n{} providers, {keys} with a key here; {} read from the vendor's page, {} second hand, {} unconfirmed\n",
        listed.len(),
        count("vendor"),
        count("second hand"),
        count("unconfirmed"),
    );
    text
}
