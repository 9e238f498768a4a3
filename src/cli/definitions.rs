//! `askonce config`: providers, models and prices of a gateway that runs, over its admin API; all that it owns, exported and imported.

use super::gateway::{Admin, Gateway, one_line};
use super::objects::{block_on, call};
use crate::config;
use clap::{Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::Value;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Providers, models and prices of a gateway that runs, beside those of its configuration file.
#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Make a provider, model or price.
    Create(CreateArgs),
    /// List providers, models or prices, those of the file among them.
    List(ListArgs),
    /// Show one, its secrets masked.
    Show(OneArgs),
    /// Change one: the JSON is merged into it, and null takes a setting away.
    Update(UpdateArgs),
    /// Take one away that nothing else needs.
    Delete(OneArgs),
    /// Print all that was made at the admin surface as YAML, accounts and keys too; secrets are masked.
    Export(ExportArgs),
    /// Make what the admin surface owns as a file has it, all or nothing.
    Import(ImportArgs),
}

/// What there is.
#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Where requests can be sent.
    #[value(alias = "providers")]
    Provider,
    /// What callers may ask for.
    #[value(alias = "models")]
    Model,
    /// What models cost.
    #[value(alias = "prices")]
    Price,
}

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Kind::Provider => "providers",
            Kind::Model => "models",
            Kind::Price => "prices",
        }
    }
}

#[derive(clap::Args)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    gateway: Gateway,
    /// What to make.
    kind: Kind,
    /// It, as JSON with the keys of the configuration; `-` reads it from standard input, so that no secret is seen among processes.
    settings: String,
    /// Change nothing, and say what would be.
    #[arg(long)]
    dry_run: bool,
}

#[derive(clap::Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    gateway: Gateway,
    /// What to list.
    kind: Kind,
    /// Print the gateway's JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct OneArgs {
    #[command(flatten)]
    gateway: Gateway,
    /// What it is.
    kind: Kind,
    /// Its name.
    name: String,
}

#[derive(clap::Args)]
pub(super) struct UpdateArgs {
    #[command(flatten)]
    one: OneArgs,
    /// What is merged into it, as JSON with the keys of the configuration; `-` reads it from standard input.
    settings: String,
    /// Change nothing, and say what would be.
    #[arg(long)]
    dry_run: bool,
}

#[derive(clap::Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    gateway: Gateway,
    /// With what the configuration file has.
    #[arg(long)]
    include_file: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct ImportArgs {
    #[command(flatten)]
    gateway: Gateway,
    /// YAML or JSON, as `export` prints it; `-` reads it from standard input.
    file: PathBuf,
    /// What the lists of the file do not have goes.
    #[arg(long)]
    prune: bool,
    /// Change nothing, and say what would be.
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(command: ConfigCommand) -> Result<ExitCode, String> {
    block_on(async {
        match command {
            ConfigCommand::Create(args) => {
                let (path, body) = ([args.kind.path()], json(&args.settings)?);
                printed(&call(&args.gateway, Method::POST, &path, dry_run(args.dry_run), Some(body)).await?)
            }
            ConfigCommand::List(args) => list(&args).await,
            ConfigCommand::Show(args) => one(&args, Method::GET, false, None).await,
            ConfigCommand::Update(args) => {
                one(&args.one, Method::PATCH, args.dry_run, Some(json(&args.settings)?)).await
            }
            ConfigCommand::Delete(args) => one(&args, Method::DELETE, false, None).await,
            ConfigCommand::Export(args) => export(&args).await,
            ConfigCommand::Import(args) => import(&args).await,
        }
    })
}

fn dry_run(so: bool) -> &'static [(&'static str, &'static str)] {
    if so { &[("dry_run", "true")] } else { &[] }
}

async fn one(args: &OneArgs, method: Method, dry: bool, body: Option<Value>) -> Result<ExitCode, String> {
    let path = [args.kind.path(), &args.name];
    printed(&call(&args.gateway, method, &path, dry_run(dry), body).await?)
}

fn printed(told: &Value) -> Result<ExitCode, String> {
    if !told.is_null() {
        println!("{told:#}");
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(args: &ListArgs) -> Result<ExitCode, String> {
    let mut cursor = String::new();
    loop {
        let query = [("limit", "500"), ("cursor", cursor.as_str())];
        let page = call(&args.gateway, Method::GET, &[args.kind.path()], &query, None).await?;
        for object in page["data"].as_array().into_iter().flatten() {
            if args.json {
                println!("{object}");
                continue;
            }
            let text = |name: &str| one_line(object[name].as_str().unwrap_or_default());
            let more = if object["shadowed"] == true { "hidden by the file".to_owned() } else { text("problem") };
            println!("{}  {}  {more}", text("name"), text("source"));
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}

async fn export(args: &ExportArgs) -> Result<ExitCode, String> {
    let query: &[(&str, &str)] = if args.include_file { &[("include", "file")] } else { &[] };
    let document = call(&args.gateway, Method::GET, &["config", "export"], query, None).await?;
    if args.json {
        return printed(&document);
    }
    print!("{}", serde_saphyr::to_string(&document).map_err(|error| error.to_string())?);
    Ok(ExitCode::SUCCESS)
}

async fn import(args: &ImportArgs) -> Result<ExitCode, String> {
    let document = document(&args.file)?;
    let mut query = dry_run(args.dry_run).to_vec();
    query.extend(args.prune.then_some(("prune", "true")));
    let admin: Admin = args.gateway.admin()?;
    let request = admin.client.post(admin.at("/admin/config/import", &query)?).bearer_auth(&admin.key);
    let told = Admin::told(request.json(&document)).await?;
    for step in told["changes"].as_array().into_iter().flatten() {
        let text = |name: &str| one_line(step[name].as_str().unwrap_or_default());
        println!("{}  {}/{}  {}", text("outcome"), text("kind"), text("name"), text("key"));
    }
    Ok(ExitCode::SUCCESS)
}

/// JSON from the command line, or from standard input.
fn json(text: &str) -> Result<Value, String> {
    let text = if text == "-" { input(Path::new("-"))? } else { text.to_owned() };
    serde_json::from_str(&text).map_err(|error| format!("the settings are no JSON: {error}"))
}

/// YAML or JSON from a file, or from standard input.
fn document(path: &Path) -> Result<Value, String> {
    let text = input(path)?;
    config::read_document(&text).map_err(|error| format!("{}: {}", path.display(), error.in_request().1))
}

fn input(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = match path.to_str() {
        Some("-") => std::io::stdin().read_to_string(&mut text).map(drop),
        _ => std::fs::read_to_string(path).map(|read| text = read),
    };
    read.map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text)
}
