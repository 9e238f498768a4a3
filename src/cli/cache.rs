//! `askonce cache`: forgetting and warming up, over the admin API of a gateway that runs.

use crate::config::{self, Overrides};
use clap::Subcommand;
use reqwest::Url;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

mod warm;

/// Work on the cache of a gateway that runs.
#[derive(Subcommand)]
pub(super) enum CacheCommand {
    /// Say what the cache holds.
    Show(Gateway),
    Purge(PurgeArgs),
    Warm(warm::WarmArgs),
}

/// Which gateway, and the key to its administration.
#[derive(clap::Args)]
pub(super) struct Gateway {
    /// The gateway.
    #[arg(long, env = "ASKONCE_URL", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    url: String,
    /// The admin key [default: that in the file admin.key of the data directory].
    #[arg(long, env = "ASKONCE_ADMIN_KEY", hide_env_values = true, value_name = "KEY")]
    admin_key: Option<String>,
    /// The data directory of the gateway, for its admin key [default: as for serve].
    #[arg(long, env = "ASKONCE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Forget entries.
///
/// With --dry-run, only say what would go. Exactly one of the ways to name entries is given; --like may be narrowed by
/// --scope or --tenant.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(super) struct PurgeArgs {
    #[command(flatten)]
    gateway: Gateway,
    /// The entry of this id (x-askonce-entry).
    #[arg(long, value_name = "ID", group = "what")]
    entry: Option<String>,
    /// All entries with this tag.
    #[arg(long, group = "what")]
    tag: Option<String>,
    /// All entries of this scope, as `GET /admin/cache/entries/ID` says it.
    #[arg(long, value_name = "DIGEST", group = "what")]
    scope: Option<String>,
    /// All entries of this tenant.
    #[arg(long, group = "what")]
    tenant: Option<String>,
    /// All entries of this model.
    #[arg(long, group = "what")]
    model: Option<String>,
    /// All entries whose question is like this text.
    #[arg(long, value_name = "TEXT", group = "what")]
    like: Option<String>,
    /// How like: the least cosine similarity.
    #[arg(long, value_name = "COSINE", default_value_t = 0.9)]
    similarity: f64,
    /// Everything.
    #[arg(long, group = "what")]
    all: bool,
    /// Say what would go, and leave it.
    #[arg(long)]
    dry_run: bool,
    /// Show so many of the entries, at most 1000.
    #[arg(long, value_name = "N", default_value_t = 20)]
    show: usize,
    /// Print the gateway's JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: CacheCommand) -> Result<ExitCode, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("the async runtime cannot start: {error}"))?;
    match command {
        CacheCommand::Show(gateway) => runtime.block_on(show(&gateway)),
        CacheCommand::Purge(args) => runtime.block_on(purge(&args)),
        CacheCommand::Warm(args) => runtime.block_on(warm::run(&args)),
    }
}

async fn show(gateway: &Gateway) -> Result<ExitCode, String> {
    let admin = gateway.admin()?;
    let held = Admin::told(admin.client.get(admin.at("/admin/cache", &[])?).bearer_auth(&admin.key)).await?;
    println!("{held:#}");
    Ok(ExitCode::SUCCESS)
}

async fn purge(args: &PurgeArgs) -> Result<ExitCode, String> {
    let admin = args.gateway.admin()?;
    let mut body = json!({
        "entry": args.entry, "tag": args.tag, "scope": args.scope, "tenant": args.tenant, "model": args.model,
        "like": args.like, "dry_run": args.dry_run, "show": args.show,
    });
    if args.like.is_some() {
        body["similarity"] = args.similarity.into();
    }
    if args.all {
        body["all"] = true.into();
    }
    let request = admin.client.post(admin.at("/admin/cache/purge", &[])?).bearer_auth(&admin.key).json(&body);
    let told = Admin::told(request).await?;
    if args.json {
        println!("{told:#}");
        return Ok(ExitCode::SUCCESS);
    }
    let entries = told["entries"].as_array().map(Vec::as_slice).unwrap_or_default();
    for entry in entries {
        let text = |name: &str| entry[name].as_str().unwrap_or("-").to_owned();
        let similarity = entry["similarity"].as_f64().map_or(String::new(), |cosine| format!("  {cosine:.3}"));
        println!("{}{similarity}  {}  {}  {}", text("id"), text("tenant"), text("model"), one_line(&text("question")));
    }
    let (word, count) = match told["would_purge"].as_u64() {
        Some(count) => ("would go", count),
        None => ("went", told["purged"].as_u64().unwrap_or(0)),
    };
    let more = count.saturating_sub(entries.len() as u64);
    let more = if more > 0 { format!(", {more} of them not shown") } else { String::new() };
    println!("{count} entries {word}{more}");
    Ok(ExitCode::SUCCESS)
}

/// Text of others, for a terminal: no control characters, and not long.
fn one_line(text: &str) -> String {
    text.chars().take(100).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A gateway's admin API.
struct Admin {
    base: Url,
    key: String,
    client: reqwest::Client,
}

impl Gateway {
    fn admin(&self) -> Result<Admin, String> {
        let base = Url::parse(&self.url).map_err(|error| format!("--url {}: {error}", self.url))?;
        let client = reqwest::Client::builder()
            // The key goes where it was meant to go, and nowhere else.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(600))
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Admin { base, key: self.key()?, client })
    }

    fn key(&self) -> Result<String, String> {
        if let Some(key) = self.admin_key.as_deref().map(str::trim).filter(|key| !key.is_empty()) {
            return Ok(key.to_owned());
        }
        let overrides = Overrides { data_dir: self.data_dir.clone(), ..Overrides::default() };
        let settings = config::defaults(&overrides).map_err(|error| error.to_string())?;
        let file = settings.data_dir.join("admin.key");
        std::fs::read_to_string(&file).map(|key| key.trim().to_owned()).map_err(|error| {
            format!("{}: {error}; give the admin key with --admin-key or ASKONCE_ADMIN_KEY", file.display())
        })
    }
}

impl Admin {
    /// The URL of a path, with a query.
    fn at(&self, path: &str, query: &[(&str, &str)]) -> Result<Url, String> {
        let mut url = self.base.join(path).map_err(|error| error.to_string())?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    /// What the gateway says to a request; its error in words.
    async fn told(request: reqwest::RequestBuilder) -> Result<Value, String> {
        let reply =
            request.send().await.map_err(|error| format!("the gateway cannot be reached: {error}; see --url"))?;
        let status = reply.status();
        let text = reply.text().await.map_err(|error| format!("the gateway's reply broke off: {error}"))?;
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        if status.is_success() && value.is_object() {
            return Ok(value);
        }
        let said = value["error"]["message"].as_str().map_or_else(|| one_line(&text), str::to_owned);
        Err(format!("the gateway said {status}: {said}"))
    }
}
