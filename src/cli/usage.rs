//! `askonce usage`: what was used, over the admin API of a gateway that runs.

use super::gateway::{Admin, Gateway, one_line};
use clap::{Subcommand, ValueEnum};
use serde_json::Value;
use std::io::{self, Write};
use std::process::ExitCode;

/// Rows that are asked for at a time.
const PAGE: &str = "1000";
/// The header that tells where a further page of CSV begins.
const NEXT: &str = "x-askonce-next-cursor";

/// What was used, and what it cost.
#[derive(Subcommand)]
pub(super) enum UsageCommand {
    Report(ReportArgs),
}

/// How a report is printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Columns, for people.
    Table,
    /// For spreadsheets.
    Csv,
    /// The gateway's rows, one JSON array.
    Json,
}

/// Say what was used, by whom and for what.
///
/// Times are days or moments, as in 2026-11-23 or 2026-11-23T10:00:00Z. Without any, the report is of the last 30 days.
#[derive(clap::Args)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    gateway: Gateway,
    /// From then on.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until then.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// A row for each of these, with commas between: key, account, team, customer, organisation, model, provider, cache, tag.
    #[arg(long, value_name = "NAMES")]
    group_by: Option<String>,
    /// And for each hour, day or month [default: total].
    #[arg(long, value_name = "PERIOD")]
    per: Option<String>,
    /// Whose days and months these are, as in Europe/Berlin [default: UTC].
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Only what has this value, as in --only key=ci; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    only: Vec<(String, String)>,
    /// How to print it.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as in key=ci")?;
    let known = ["key", "account", "team", "customer", "organisation", "model", "provider", "cache", "tag"];
    if !known.contains(&name) {
        return Err(format!("`{name}` is none of {}", known.join(", ")));
    }
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) fn run(command: UsageCommand) -> Result<ExitCode, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("the async runtime cannot start: {error}"))?;
    let UsageCommand::Report(args) = command;
    let text = runtime.block_on(report(&args))?;
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Who reads no further has what they wanted.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

async fn report(args: &ReportArgs) -> Result<String, String> {
    let admin = args.gateway.admin()?;
    if args.format == Format::Csv {
        return csv(&admin, args).await;
    }
    let mut rows: Vec<Value> = Vec::new();
    let mut cursor = None;
    loop {
        let url = admin.at("/admin/usage", &query(args, cursor.as_deref()))?;
        let mut page = Admin::told(admin.client.get(url).bearer_auth(&admin.key)).await?;
        if let Some(Value::Array(data)) = page.get_mut("data").map(Value::take) {
            rows.extend(data);
        }
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    match args.format {
        Format::Json => Ok(format!("{:#}\n", Value::Array(rows))),
        _ => Ok(table(&rows)),
    }
}

/// All pages as one, with one line of names.
async fn csv(admin: &Admin, args: &ReportArgs) -> Result<String, String> {
    let (mut text, mut cursor) = (String::new(), None::<String>);
    loop {
        let mut asked = query(args, cursor.as_deref());
        asked.push(("format", "csv"));
        let url = admin.at("/admin/usage", &asked)?;
        let (headers, page) = Admin::said(admin.client.get(url).bearer_auth(&admin.key)).await?;
        let lines = match cursor {
            None => page.as_str(),
            Some(_) => page.split_once("\r\n").map_or("", |(_, lines)| lines),
        };
        text.push_str(lines);
        cursor = headers.get(NEXT).and_then(|next| next.to_str().ok()).map(str::to_owned);
        if cursor.is_none() {
            return Ok(text);
        }
    }
}

fn query<'a>(args: &'a ReportArgs, cursor: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    let said = [
        ("from", &args.from),
        ("to", &args.to),
        ("group_by", &args.group_by),
        ("per", &args.per),
        ("time_zone", &args.time_zone),
    ];
    let mut query: Vec<(&str, &str)> =
        said.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
    query.push(("limit", PAGE));
    query.extend(cursor.map(|cursor| ("cursor", cursor)));
    query.extend(args.only.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    query
}

/// Columns for people: names to the left, numbers to the right.
fn table(rows: &[Value]) -> String {
    const NUMBERS: [(&str, &str); 7] = [
        ("requests", "requests"),
        ("errors", "errors"),
        ("input_tokens", "in"),
        ("output_tokens", "out"),
        ("cost_usd", "cost $"),
        ("saved_usd", "saved $"),
        ("hit_rate", "hits"),
    ];
    const NAMES: [&str; 12] = [
        "hour",
        "day",
        "month",
        "key",
        "account",
        "team",
        "customer",
        "organisation",
        "model",
        "provider",
        "cache",
        "tag",
    ];
    let Some(first) = rows.first() else { return "nothing was used\n".to_owned() };
    let names: Vec<&str> = NAMES.into_iter().filter(|name| first.get(name).is_some()).collect();
    let mut lines: Vec<Vec<String>> =
        vec![names.iter().copied().chain(NUMBERS.map(|(_, head)| head)).map(str::to_owned).collect()];
    for row in rows {
        let name = |name: &&str| match row[*name].as_str() {
            Some("") | None => "-".to_owned(),
            Some(text) => one_line(text),
        };
        let number = |(name, _): (&str, &str)| match &row[name] {
            Value::Null => "-".to_owned(),
            Value::String(text) => one_line(text),
            rate if name == "hit_rate" => format!("{:.1}%", rate.as_f64().unwrap_or(0.0) * 100.0),
            other => other.to_string(),
        };
        lines.push(names.iter().map(name).chain(NUMBERS.map(number)).collect());
    }
    let width = |at: usize| lines.iter().filter_map(|line| line.get(at)).map(|text| text.chars().count()).max();
    let widths: Vec<usize> = (0..names.len() + NUMBERS.len()).map(|at| width(at).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        let padded = line.iter().zip(&widths).enumerate().map(|(at, (field, width))| match at < names.len() {
            true => format!("{field:<width$}"),
            false => format!("{field:>width$}"),
        });
        text.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_has_what_the_rows_have() {
        let row = |key: &str, requests: u64, rate: Value| {
            json!({"key": key, "requests": requests, "errors": 0, "input_tokens": 10, "output_tokens": 5,
                   "cost_usd": "0.000015", "saved_usd": "0.000000", "hit_rate": rate})
        };
        let told = table(&[row("ci", 12, json!(0.5)), row("", 3, Value::Null)]);
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[0], "key  requests  errors  in  out    cost $   saved $   hits");
        assert_eq!(lines[1], "ci         12       0  10    5  0.000015  0.000000  50.0%");
        assert_eq!(lines[2], "-           3       0  10    5  0.000015  0.000000      -");
        assert_eq!(table(&[]), "nothing was used\n");
    }

    #[test]
    fn only_what_can_be_asked() {
        assert_eq!(pair("key=a=b"), Ok(("key".to_owned(), "a=b".to_owned())));
        assert!(pair("key").is_err() && pair("colour=red").is_err());
    }
}
