//! `askonce cache`: forgetting and warming up, over the admin API of a gateway that runs.

use super::gateway::{Admin, Gateway, one_line};
use clap::Subcommand;
use serde_json::json;
use std::process::ExitCode;

mod warm;

/// Work on the cache of a gateway that runs.
#[derive(Subcommand)]
pub(super) enum CacheCommand {
    /// Say what the cache holds.
    Show(Gateway),
    Purge(PurgeArgs),
    Warm(warm::WarmArgs),
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
