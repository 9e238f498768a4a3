//! `askonce cache warm`: a file of questions and answers, sent in parts.

use super::super::gateway::{Admin, Gateway, one_line};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;

/// Lines and bytes of one part: well within what the gateway takes.
const PART_LINES: usize = 200;
const PART_BYTES: usize = 1 << 20;
/// Lines at fault that are named.
const MOST_NAMED: usize = 1_000;

/// Store questions and answers of your own, so that the first to ask gets them.
///
/// The file has one JSON object a line: `question` and `answer`, and where wanted `model`, `system`, `tags`, `scope`,
/// `tenant`, `fields` (further fields of the requests), `in_tok`, `out_tok`. Lines that cannot be stored are named on
/// standard error, and the others are stored.
#[derive(clap::Args)]
pub(crate) struct WarmArgs {
    /// The questions and answers (JSON lines), or - for standard input.
    file: PathBuf,
    #[command(flatten)]
    gateway: Gateway,
    /// The model of lines that name none, as callers name it.
    #[arg(long)]
    model: Option<String>,
    /// The tenant of lines that name none [default: the only one].
    #[arg(long)]
    tenant: Option<String>,
    /// The scope (x-askonce-scope) of lines that name none.
    #[arg(long)]
    scope: Option<String>,
    /// The key of a caller whose tenant the answers are for, instead of --tenant.
    #[arg(long, env = "ASKONCE_CALLER_KEY", hide_env_values = true, value_name = "KEY", conflicts_with = "tenant")]
    caller_key: Option<String>,
}

/// What has become of the lines so far.
#[derive(Default)]
struct Tally {
    stored: u64,
    failed: u64,
    named: usize,
}

pub(super) async fn run(args: &WarmArgs) -> Result<ExitCode, String> {
    let admin = args.gateway.admin()?;
    let bar = bar(args);
    let mut input = open(args)?;
    let (mut part, mut first, mut lines) = (Vec::new(), 1, 0);
    let mut tally = Tally::default();
    loop {
        let at = part.len();
        let read = input.read_until(b'\n', &mut part).map_err(|error| format!("{}: {error}", args.file.display()))?;
        lines += usize::from(read > 0);
        let full = lines == PART_LINES || at + read >= PART_BYTES;
        if lines > 0 && (read == 0 || full) {
            bar.inc(part.len() as u64);
            send(&admin, args, std::mem::take(&mut part), first, &bar, &mut tally).await.map_err(|error| {
                format!("lines {first} to {}: {error} ({} were stored before)", first + lines - 1, tally.stored)
            })?;
            (first, lines) = (first + lines, 0);
        }
        if read == 0 {
            break;
        }
    }
    bar.finish_and_clear();
    println!("{} stored, {} not", tally.stored, tally.failed);
    Ok(if tally.stored == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Sends one part, whose first line has the number `first` in the file.
async fn send(
    admin: &Admin,
    args: &WarmArgs,
    part: Vec<u8>,
    first: usize,
    bar: &ProgressBar,
    tally: &mut Tally,
) -> Result<(), String> {
    let query: Vec<(&str, &str)> = [("model", &args.model), ("tenant", &args.tenant), ("scope", &args.scope)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .collect();
    let mut request = admin.client.post(admin.at("/admin/cache/warm", &query)?).bearer_auth(&admin.key).body(part);
    if let Some(key) = &args.caller_key {
        request = request.header("x-askonce-caller-key", key);
    }
    let told = Admin::told(request).await?;
    tally.stored += told["stored"].as_u64().unwrap_or(0);
    tally.failed += told["failed"].as_u64().unwrap_or(0);
    for error in told["errors"].as_array().map(Vec::as_slice).unwrap_or_default() {
        tally.named += 1;
        if tally.named > MOST_NAMED {
            break;
        }
        let line = first + error["line"].as_u64().unwrap_or(1) as usize - 1;
        let why = one_line(error["error"].as_str().unwrap_or_default());
        bar.suspend(|| eprintln!("{} line {line}: {why}", args.file.display()));
    }
    Ok(())
}

fn open(args: &WarmArgs) -> Result<Box<dyn BufRead>, String> {
    if args.file.as_os_str() == "-" {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(&args.file).map_err(|error| format!("{}: {error}", args.file.display()))?;
    Ok(Box::new(BufReader::new(file)))
}

/// Progress in bytes, where the size is known.
fn bar(args: &WarmArgs) -> ProgressBar {
    let bytes = std::fs::metadata(&args.file).map_or(0, |about| about.len());
    let style = ProgressStyle::with_template("{msg:>10} [{bar:40}] {bytes}/{total_bytes} {eta}");
    let bar = ProgressBar::new(bytes).with_message("storing");
    style.map_or(bar.clone(), |style| bar.with_style(style))
}
