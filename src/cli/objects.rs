//! `askonce key`, `team`, `budget` and their like: accounts and virtual keys, over the admin API of a gateway that runs.

use super::gateway::{Admin, Gateway, one_line};
use clap::Subcommand;
use reqwest::{Method, Url};
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// Virtual keys of a gateway that runs.
#[derive(Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key, and print it: it is never told again.
    Create(KeyArgs),
    /// List keys.
    List(ListArgs),
    /// Show a key, with what is left of its budgets and limits.
    Show(OneArgs),
    /// Change a key: the JSON is merged into it, and null takes a setting away.
    Update(UpdateArgs),
    /// Give a key another secret, and print that.
    Rotate(RotateArgs),
    /// Switch a key off.
    Disable(OneArgs),
    /// Switch a key on again.
    Enable(OneArgs),
    /// Take a key away for good.
    Delete(OneArgs),
}

/// Accounts of a gateway that runs.
#[derive(Subcommand)]
pub(super) enum AccountCommand {
    /// Make one.
    Create(AccountArgs),
    /// List them.
    List(ListArgs),
    /// Show one, with what is left of its budgets and limits.
    Show(OneArgs),
    /// Change one: the JSON is merged into it, and null takes a setting away.
    Update(UpdateArgs),
    /// Take one away; there must be nothing in it.
    Delete(OneArgs),
}

/// Budgets of keys and accounts of a gateway that runs.
#[derive(Subcommand)]
pub(super) enum BudgetCommand {
    /// Show what is left of budgets and limits.
    Show(BudgetArgs),
    /// Set the budget for a time, in place of the one for that time.
    Set(SetArgs),
    /// Take the budget for a time away.
    Remove(RemoveArgs),
}

#[derive(clap::Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    gateway: Gateway,
    /// Print the gateway's JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct OneArgs {
    #[command(flatten)]
    gateway: Gateway,
    /// Its name.
    name: String,
}

#[derive(clap::Args)]
pub(super) struct UpdateArgs {
    #[command(flatten)]
    gateway: Gateway,
    /// Its name.
    name: String,
    /// What is merged into it, as JSON with the keys of the configuration.
    settings: String,
    /// Change nothing, and say what would be.
    #[arg(long)]
    dry_run: bool,
}

/// What keys and accounts may, on the command line.
#[derive(clap::Args)]
struct Rights {
    /// A model that may be asked for; one `*` stands for any text. May be given again.
    #[arg(long = "model", value_name = "MODEL")]
    models: Vec<String>,
    /// A provider that may answer. May be given again.
    #[arg(long = "provider", value_name = "PROVIDER")]
    providers: Vec<String>,
    /// A budget, as `5/day`: US dollars per minute, hour, day, week, month, year or ever. May be given again.
    #[arg(long = "budget", value_name = "USD/PER")]
    budgets: Vec<String>,
    /// A rate limit, as `requests=60/minute`, `tokens=10000/hour` or `concurrent=4`. May be given again.
    #[arg(long = "limit", value_name = "WHAT=MOST/PER")]
    limits: Vec<String>,
    /// More, as JSON with the keys of the configuration.
    #[arg(long, value_name = "JSON")]
    settings: Option<String>,
    /// Change nothing, and say what would be.
    #[arg(long)]
    dry_run: bool,
}

#[derive(clap::Args)]
pub(super) struct KeyArgs {
    #[command(flatten)]
    gateway: Gateway,
    /// Its name.
    name: String,
    /// The account that it belongs to.
    #[arg(long)]
    account: Option<String>,
    /// Whose answers it shares [default: its own only].
    #[arg(long)]
    tenant: Option<String>,
    /// From then on it is none: a time with its zone, as in 2027-01-31T23:59:59Z.
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    #[command(flatten)]
    rights: Rights,
}

#[derive(clap::Args)]
pub(super) struct AccountArgs {
    #[command(flatten)]
    gateway: Gateway,
    /// Its name.
    name: String,
    /// The account that it is part of.
    #[arg(long = "in", value_name = "ACCOUNT")]
    parent: Option<String>,
    #[command(flatten)]
    rights: Rights,
}

#[derive(clap::Args)]
pub(super) struct RotateArgs {
    #[command(flatten)]
    gateway: Gateway,
    /// Its name.
    name: String,
    /// The old secret stays good for so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    overlap_s: u64,
}

#[derive(clap::Args)]
pub(super) struct BudgetArgs {
    #[command(flatten)]
    gateway: Gateway,
    /// Whose: `key/NAME` or `account/NAME`.
    of: String,
}

#[derive(clap::Args)]
pub(super) struct SetArgs {
    #[command(flatten)]
    gateway: Gateway,
    /// Whose: `key/NAME` or `account/NAME`.
    of: String,
    /// The budget, as `5/day`.
    #[arg(value_name = "USD/PER")]
    budget: String,
    /// Somebody is told once so many US dollars are spent.
    #[arg(long, value_name = "USD")]
    soft: Option<f64>,
    /// Whose midnight counts, as `Europe/Berlin` [default: UTC].
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
}

#[derive(clap::Args)]
pub(super) struct RemoveArgs {
    #[command(flatten)]
    gateway: Gateway,
    /// Whose: `key/NAME` or `account/NAME`.
    of: String,
    /// For what time: minute, hour, day, week, month, year or ever.
    per: String,
}

pub(super) fn key(command: KeyCommand) -> Result<ExitCode, String> {
    block_on(async {
        match command {
            KeyCommand::Create(args) => {
                let own = [("account", args.account), ("tenant", args.tenant), ("expires", args.expires)];
                let body = body(&args.name, own, &args.rights)?;
                created(&args.gateway, "keys", &body, args.rights.dry_run).await
            }
            KeyCommand::List(args) => list(&args, "keys", None).await,
            KeyCommand::Show(args) => one(&args.gateway, Method::GET, &["keys", &args.name], None).await,
            KeyCommand::Update(args) => update(&args, "keys").await,
            KeyCommand::Rotate(args) => {
                let body = json!({"overlap_s": args.overlap_s});
                one(&args.gateway, Method::POST, &["keys", &args.name, "rotate"], Some(body)).await
            }
            KeyCommand::Disable(args) => switch(&args, json!(false)).await,
            KeyCommand::Enable(args) => switch(&args, Value::Null).await,
            KeyCommand::Delete(args) => one(&args.gateway, Method::DELETE, &["keys", &args.name], None).await,
        }
    })
}

pub(super) fn account(command: AccountCommand, kind: &str) -> Result<ExitCode, String> {
    block_on(async {
        match command {
            AccountCommand::Create(args) => {
                let own = [("in", args.parent), ("kind", Some(kind.to_owned()))];
                let body = body(&args.name, own, &args.rights)?;
                created(&args.gateway, "accounts", &body, args.rights.dry_run).await
            }
            AccountCommand::List(args) => list(&args, "accounts", Some(kind)).await,
            AccountCommand::Show(args) => one(&args.gateway, Method::GET, &["accounts", &args.name], None).await,
            AccountCommand::Update(args) => update(&args, "accounts").await,
            AccountCommand::Delete(args) => one(&args.gateway, Method::DELETE, &["accounts", &args.name], None).await,
        }
    })
}

pub(super) fn budget(command: BudgetCommand) -> Result<ExitCode, String> {
    block_on(async {
        match command {
            BudgetCommand::Show(args) => {
                let shown = call(&args.gateway, Method::GET, &path_of(&args.of)?, &[], None).await?;
                for line in shown["standing"].as_array().into_iter().flatten() {
                    println!("{}", standing(line));
                }
                Ok(ExitCode::SUCCESS)
            }
            BudgetCommand::Set(args) => {
                let mut budget = budget_of(&args.budget)?;
                let (soft, zone) = (args.soft.map(Value::from), args.time_zone.clone().map(Value::from));
                for (key, value) in [("soft_usd", soft), ("time_zone", zone)] {
                    budget.extend(value.map(|value| (key.to_owned(), value)));
                }
                let per = budget.get("per").cloned().unwrap_or_default();
                change_budgets(&args.gateway, &args.of, &per, Some(Value::Object(budget))).await
            }
            BudgetCommand::Remove(args) => {
                change_budgets(&args.gateway, &args.of, &Value::from(args.per.as_str()), None).await
            }
        }
    })
}

pub(super) fn block_on(work: impl Future<Output = Result<ExitCode, String>>) -> Result<ExitCode, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("the async runtime cannot start: {error}"))?.block_on(work)
}

/// The JSON of a new object.
fn body<const N: usize>(name: &str, own: [(&str, Option<String>); N], rights: &Rights) -> Result<Value, String> {
    let mut body: Map<String, Value> = match &rights.settings {
        Some(text) => serde_json::from_str(text).map_err(|error| format!("--settings is no JSON object: {error}"))?,
        None => Map::new(),
    };
    body.insert("name".to_owned(), name.into());
    for (key, value) in own {
        body.extend(value.map(|value| (key.to_owned(), Value::from(value))));
    }
    let budgets = rights.budgets.iter().map(|text| budget_of(text).map(Value::Object));
    let limits = rights.limits.iter().map(|text| limit_of(text));
    let lists = [
        ("models", rights.models.iter().map(|one| Ok(Value::from(one.as_str()))).collect::<Result<Vec<_>, String>>()?),
        ("providers", rights.providers.iter().map(|one| Value::from(one.as_str())).collect()),
        ("budgets", budgets.collect::<Result<_, _>>()?),
        ("rate_limits", limits.collect::<Result<_, _>>()?),
    ];
    for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        body.insert(key.to_owned(), list.into());
    }
    Ok(Value::Object(body))
}

/// `5/day`
fn budget_of(text: &str) -> Result<Map<String, Value>, String> {
    let read = text.split_once('/').and_then(|(usd, per)| Some((usd.parse::<f64>().ok()?, per)));
    let (usd, per) = read.ok_or_else(|| format!("a budget is written as `5/day`; got `{}`", one_line(text)))?;
    Ok(Map::from_iter([("usd".to_owned(), json!(usd)), ("per".to_owned(), per.into())]))
}

/// `requests=60/minute`
fn limit_of(text: &str) -> Result<Value, String> {
    let wrong = || format!("a limit is written as `requests=60/minute` or `concurrent=4`; got `{}`", one_line(text));
    let (what, rest) = text.split_once('=').ok_or_else(wrong)?;
    let (most, per) = rest.split_once('/').map_or((rest, None), |(most, per)| (most, Some(per)));
    let mut limit = json!({ what: most.parse::<u64>().map_err(|_| wrong())? });
    if let Some(per) = per {
        limit["per"] = per.into();
    }
    Ok(limit)
}

/// `key/ci` → the path of that object.
fn path_of(text: &str) -> Result<[&str; 2], String> {
    match text.split_once('/') {
        Some(("key", name)) => Ok(["keys", name]),
        Some(("account", name)) => Ok(["accounts", name]),
        _ => Err(format!("whose budget it is, is written as `key/NAME` or `account/NAME`; got `{}`", one_line(text))),
    }
}

/// The URL of an object; its name is one segment, whatever is in it.
fn url(admin: &Admin, path: &[&str], query: &[(&str, &str)]) -> Result<Url, String> {
    let mut url = admin.at("/admin/", query)?;
    let mut segments = url.path_segments_mut().map_err(|()| "--url is no address of a gateway".to_owned())?;
    segments.pop_if_empty().extend(path);
    drop(segments);
    Ok(url)
}

/// What the gateway says to a request for an object.
pub(super) async fn call(
    gateway: &Gateway,
    method: Method,
    path: &[&str],
    query: &[(&str, &str)],
    body: Option<Value>,
) -> Result<Value, String> {
    let admin = gateway.admin()?;
    let request = admin.client.request(method, url(&admin, path, query)?).bearer_auth(&admin.key);
    Admin::told(match &body {
        Some(body) => request.json(body),
        None => request,
    })
    .await
}

async fn one(gateway: &Gateway, method: Method, path: &[&str], body: Option<Value>) -> Result<ExitCode, String> {
    let told = call(gateway, method, path, &[], body).await?;
    if !told.is_null() {
        println!("{told:#}");
    }
    Ok(ExitCode::SUCCESS)
}

async fn created(gateway: &Gateway, objects: &str, body: &Value, dry_run: bool) -> Result<ExitCode, String> {
    let query: &[(&str, &str)] = if dry_run { &[("dry_run", "true")] } else { &[] };
    let told = call(gateway, Method::POST, &[objects], query, Some(body.clone())).await?;
    println!("{told:#}");
    Ok(ExitCode::SUCCESS)
}

async fn update(args: &UpdateArgs, objects: &str) -> Result<ExitCode, String> {
    let patch: Value =
        serde_json::from_str(&args.settings).map_err(|error| format!("the settings are no JSON: {error}"))?;
    let query: &[(&str, &str)] = if args.dry_run { &[("dry_run", "true")] } else { &[] };
    let told = call(&args.gateway, Method::PATCH, &[objects, &args.name], query, Some(patch)).await?;
    println!("{told:#}");
    Ok(ExitCode::SUCCESS)
}

async fn switch(args: &OneArgs, enabled: Value) -> Result<ExitCode, String> {
    one(&args.gateway, Method::PATCH, &["keys", &args.name], Some(json!({"enabled": enabled}))).await
}

async fn list(args: &ListArgs, objects: &str, kind: Option<&str>) -> Result<ExitCode, String> {
    let mut cursor = String::new();
    loop {
        let query = [("limit", "500"), ("cursor", cursor.as_str())];
        let page = call(&args.gateway, Method::GET, &[objects], &query, None).await?;
        for object in page["data"].as_array().into_iter().flatten() {
            if kind.is_some_and(|kind| object["kind"] != kind) {
                continue;
            }
            if args.json {
                println!("{object}");
                continue;
            }
            let text = |name: &str| one_line(object[name].as_str().unwrap_or("-"));
            let above = if object["in"].is_string() { text("in") } else { text("account") };
            let standing: Vec<String> = object["standing"].as_array().into_iter().flatten().map(standing).collect();
            println!("{}  {above}  {}  {}", text("name"), text("source"), standing.join(", "));
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// `usd at openai per day: 3.2 of 5 left`
fn standing(line: &Value) -> String {
    let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let per = if line["per"].is_string() { format!(" per {}", text("per")) } else { String::new() };
    let names = |key: &str, before: &str| {
        let all: Vec<&str> = line[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if all.is_empty() { String::new() } else { format!(" {before} {}", one_line(&all.join(", "))) }
    };
    let (of, at) = (names("models", "of"), names("providers", "at"));
    format!("{}{of}{at}{per}: {} of {} left", text("measure"), line["left"], line["limit"])
}

/// Puts a budget in place of the one for the same time, or takes that away; if nobody else has changed it meanwhile.
async fn change_budgets(gateway: &Gateway, of: &str, per: &Value, new: Option<Value>) -> Result<ExitCode, String> {
    let path = path_of(of)?;
    let shown = call(gateway, Method::GET, &path, &[], None).await?;
    let mut budgets: Vec<Value> = shown["budgets"].as_array().cloned().unwrap_or_default();
    let before = budgets.len();
    // A budget of some models only is another one.
    budgets.retain(|budget| budget["per"] != *per || budget["models"].is_array());
    if new.is_none() && budgets.len() == before {
        return Err(format!("{} has no budget per {}", one_line(of), per.as_str().unwrap_or_default()));
    }
    budgets.extend(new);
    let admin = gateway.admin()?;
    let request = admin.client.patch(url(&admin, &path, &[])?).bearer_auth(&admin.key);
    let request = request.header("if-match", format!("\"{}\"", shown["version"]));
    let told = Admin::told(request.json(&json!({ "budgets": budgets }))).await?;
    for line in told["standing"].as_array().into_iter().flatten() {
        println!("{}", standing(line));
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_and_limits_are_read_as_they_are_written() {
        assert_eq!(Value::Object(budget_of("0.5/day").unwrap()), json!({"usd": 0.5, "per": "day"}));
        assert_eq!(limit_of("requests=60/minute").unwrap(), json!({"requests": 60, "per": "minute"}));
        assert_eq!(limit_of("concurrent=4").unwrap(), json!({"concurrent": 4}));
        for wrong in ["5", "x/day", ""] {
            assert!(budget_of(wrong).is_err(), "{wrong}");
        }
        for wrong in ["requests", "requests=x/day", "=", ""] {
            assert!(limit_of(wrong).is_err(), "{wrong}");
        }
        assert_eq!(path_of("key/a/b").unwrap(), ["keys", "a/b"]);
        assert!(path_of("team/x").is_err());
    }
}
