//! `askonce audit`: the audit log verified, exported, looked at.

use super::gateway::{Admin, Gateway, one_line};
use crate::store::audit_chain::{AuditRow, Broken, Checkpoint, Verified, Verifier};
use crate::store::database::{AuditQuery, Database};
use clap::Subcommand;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Rows that are read at a time.
const CHUNK: u64 = 1_000;
/// What `verify` ends with where the log does not hold.
const BROKEN: u8 = 2;

/// The audit log.
#[derive(Subcommand)]
pub(super) enum AuditCommand {
    Verify(VerifyArgs),
    /// Print the log of a gateway that runs, as lines of JSON.
    Export(ExportArgs),
    /// Print the latest rows of a gateway that runs.
    Tail(TailArgs),
    /// Print the latest checkpoint of a gateway that runs: kept elsewhere, it tells later if rows were cut off.
    Checkpoint(CheckpointArgs),
    /// Print where the log of a gateway that runs is exported to, and how far that is.
    Exports(ExportsArgs),
}

/// Verify that no row was changed, added, taken away or swapped.
///
/// Reads a database, or an export and its checkpoints. Ends with 0 if the log holds, with 2 if it does not.
#[derive(clap::Args)]
pub(super) struct VerifyArgs {
    /// The database: a file, or the URL of a PostgreSQL.
    #[arg(long, value_name = "FILE|URL", conflicts_with = "export", required_unless_present = "export")]
    database: Option<String>,
    /// Lines of JSON that `askonce audit export` wrote.
    #[arg(long, value_name = "FILE", requires = "checkpoints")]
    export: Option<PathBuf>,
    /// What GET /admin/audit/checkpoints said when the export was made.
    #[arg(long, value_name = "FILE")]
    checkpoints: Option<PathBuf>,
    /// The public key that is trusted: the content of the file audit.pub of the data directory.
    #[arg(long, value_name = "FILE")]
    public_key: PathBuf,
    /// What a gateway remembers of the log: the file audit.head of its data directory. It tells what was cut off or made anew, even
    /// where all checkpoints are gone with it. Take it of a gateway that is stopped, or before the export.
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,
    /// A checkpoint that was kept elsewhere. May be given again.
    #[arg(long = "anchor", value_name = "FILE")]
    anchors: Vec<PathBuf>,
}

#[derive(clap::Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    gateway: Gateway,
    /// Where to [default: the standard output].
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(super) struct TailArgs {
    #[command(flatten)]
    gateway: Gateway,
    /// So many rows, at most 1000.
    #[arg(long, value_name = "N", default_value_t = 20)]
    rows: u64,
    /// Of this actor.
    #[arg(long, default_value = "")]
    actor: String,
    /// Of this action, as `keys.create`.
    #[arg(long, default_value = "")]
    action: String,
    /// Print the gateway's JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct CheckpointArgs {
    #[command(flatten)]
    gateway: Gateway,
}

#[derive(clap::Args)]
pub(super) struct ExportsArgs {
    #[command(flatten)]
    gateway: Gateway,
    /// Print the gateway's JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: AuditCommand) -> Result<ExitCode, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("the async runtime cannot start: {error}"))?;
    runtime.block_on(async {
        match command {
            AuditCommand::Verify(args) => verify(&args).await,
            AuditCommand::Export(args) => export(&args).await,
            AuditCommand::Tail(args) => tail(&args).await,
            AuditCommand::Checkpoint(args) => checkpoint(&args).await,
            AuditCommand::Exports(args) => exports(&args).await,
        }
    })
}

async fn verify(args: &VerifyArgs) -> Result<ExitCode, String> {
    let key = read(&args.public_key)?.trim().to_owned();
    let anchors = args.anchors.iter().map(|path| {
        serde_json::from_str::<Checkpoint>(&read(path)?).map_err(|error| format!("{}: {error}", path.display()))
    });
    let anchors: Vec<Checkpoint> = anchors.collect::<Result<_, _>>()?;
    let head = args.head.as_deref().map(head).transpose()?;
    let known = Known { key, anchors, head };
    let found = match (&args.database, &args.export, &args.checkpoints) {
        (Some(database), _, _) => of_database(database, known).await?,
        (None, Some(export), Some(checkpoints)) => of_export(export, checkpoints, known)?,
        _ => return Err("give --database, or --export and --checkpoints".to_owned()),
    };
    match found {
        Ok(Verified { rows, last, checkpoints, vouched }) => {
            println!(
                "the log holds: {rows} rows, the last is {last}; {checkpoints} checkpoints vouch for all up to {vouched}"
            );
            Ok(ExitCode::SUCCESS)
        }
        Err(broken) => {
            eprintln!("the log does not hold: {broken}");
            Ok(ExitCode::from(BROKEN))
        }
    }
}

/// What is trusted, whatever the log says.
struct Known {
    key: String,
    anchors: Vec<Checkpoint>,
    head: Option<(u64, String)>,
}

impl Known {
    /// One for a log that has these checkpoints.
    fn verifier(self, mut checkpoints: Vec<Checkpoint>) -> Result<Verifier, Broken> {
        checkpoints.extend(self.anchors);
        let verifier = Verifier::new(checkpoints, &self.key)?;
        Ok(match self.head {
            Some((seq, digest)) => verifier.expecting(seq, digest),
            None => verifier,
        })
    }
}

/// The row that a gateway has seen last. Its MAC is for the gateway: nobody else has the key.
fn head(path: &Path) -> Result<(u64, String), String> {
    let text = read(path)?;
    let mut words = text.split_whitespace();
    let seq = words.next().and_then(|seq| seq.parse().ok());
    let head = seq.zip(words.next().map(str::to_owned)).filter(|_| words.next().is_some());
    head.ok_or_else(|| format!("{}: expected what a gateway has written to `audit.head`", path.display()))
}

/// The outer error: it cannot be read.
async fn of_database(name: &str, known: Known) -> Result<Result<Verified, Broken>, String> {
    let is_url = name.contains("://");
    if !is_url && !Path::new(name).exists() {
        return Err(format!("{name}: there is no such file"));
    }
    let database = if is_url { Database::open(name).await } else { Database::in_file(Path::new(name)).await };
    let database = database.map_err(|error| format!("the database: {error}"))?;
    let failed = |error| format!("the database: {error}");
    let mut verifier = match known.verifier(database.audit_checkpoints().await.map_err(failed)?) {
        Ok(verifier) => verifier,
        Err(broken) => return Ok(Err(broken)),
    };
    let mut query = AuditQuery { most: CHUNK, ..AuditQuery::default() };
    loop {
        let rows = database.audit(&query).await.map_err(failed)?;
        if let Err(broken) = rows.iter().try_for_each(|row| verifier.row(row)) {
            return Ok(Err(broken));
        }
        match rows.last() {
            Some(last) => query.after = last.seq,
            None => return Ok(verifier.end()),
        }
    }
}

fn of_export(export: &Path, checkpoints: &Path, known: Known) -> Result<Result<Verified, Broken>, String> {
    let told: Value =
        serde_json::from_str(&read(checkpoints)?).map_err(|error| format!("{}: {error}", checkpoints.display()))?;
    let all: Vec<Checkpoint> =
        serde_json::from_value(told["data"].clone()).map_err(|error| format!("{}: {error}", checkpoints.display()))?;
    let mut verifier = match known.verifier(all) {
        Ok(verifier) => verifier,
        Err(broken) => return Ok(Err(broken)),
    };
    let file = fs::File::open(export).map_err(|error| format!("{}: {error}", export.display()))?;
    for (at, line) in BufReader::new(file).lines().enumerate() {
        let row = line
            .map_err(|error| error.to_string())
            .and_then(|line| serde_json::from_str::<AuditRow>(&line).map_err(|error| error.to_string()));
        let row = row.map_err(|error| format!("{}, line {}: {error}", export.display(), at + 1))?;
        if let Err(broken) = verifier.row(&row) {
            return Ok(Err(broken));
        }
    }
    Ok(verifier.end())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

async fn export(args: &ExportArgs) -> Result<ExitCode, String> {
    let admin = args.gateway.admin()?;
    let request = admin.client.get(admin.at("/admin/audit", &[])?).bearer_auth(&admin.key);
    let reply = request.header("accept", "application/x-ndjson").send().await;
    let mut reply = reply.map_err(|error| format!("the gateway cannot be reached: {error}; see --url"))?;
    if !reply.status().is_success() {
        return Err(format!("the gateway said {}", reply.status()));
    }
    let mut to: Box<dyn Write> = match &args.to {
        Some(path) => Box::new(fs::File::create(path).map_err(|error| format!("{}: {error}", path.display()))?),
        None => Box::new(std::io::stdout()),
    };
    while let Some(piece) = reply.chunk().await.map_err(|error| format!("the export broke off: {error}"))? {
        to.write_all(&piece).map_err(|error| format!("the export cannot be written: {error}"))?;
    }
    to.flush().map_err(|error| format!("the export cannot be written: {error}"))?;
    Ok(ExitCode::SUCCESS)
}

async fn tail(args: &TailArgs) -> Result<ExitCode, String> {
    let admin = args.gateway.admin()?;
    let rows = args.rows.to_string();
    let query = [("limit", rows.as_str()), ("actor", &args.actor), ("action", &args.action)];
    let told = Admin::told(admin.client.get(admin.at("/admin/audit", &query)?).bearer_auth(&admin.key)).await?;
    for row in told["data"].as_array().into_iter().flatten().rev() {
        if args.json {
            println!("{row}");
            continue;
        }
        let text = |name: &str| one_line(row[name].as_str().unwrap_or_default());
        let at = row["at_ms"].as_i64().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        let at = at.map(|at| at.to_string()).unwrap_or_default();
        println!(
            "{} {at} {}{} {} {} {} {}",
            row["seq"],
            text("actor"),
            row["actor_id"].as_str().map(|id| format!(" ({})", one_line(id))).unwrap_or_default(),
            text("action"),
            text("target"),
            text("outcome"),
            text("detail")
        );
    }
    Ok(ExitCode::SUCCESS)
}

async fn checkpoint(args: &CheckpointArgs) -> Result<ExitCode, String> {
    let admin = args.gateway.admin()?;
    let told =
        Admin::told(admin.client.get(admin.at("/admin/audit/checkpoints", &[])?).bearer_auth(&admin.key)).await?;
    match told["data"].as_array().and_then(|all| all.last()) {
        Some(last) => println!("{last}"),
        None => return Err("there is no checkpoint yet".to_owned()),
    }
    Ok(ExitCode::SUCCESS)
}

async fn exports(args: &ExportsArgs) -> Result<ExitCode, String> {
    let admin = args.gateway.admin()?;
    let told = Admin::told(admin.client.get(admin.at("/admin/audit/exports", &[])?).bearer_auth(&admin.key)).await?;
    if args.json {
        println!("{told}");
        return Ok(ExitCode::SUCCESS);
    }
    let all = told["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    if all.is_empty() {
        println!("the log is exported nowhere; see `audit.export` in the configuration");
    }
    for one in all {
        let text = |name: &str| one_line(one[name].as_str().unwrap_or_default());
        let number = |name: &str| one[name].as_u64().unwrap_or_default();
        let (name, kind, delivered, last) = (text("name"), text("kind"), number("delivered"), &told["last"]);
        print!("{name} ({kind}): row {delivered} of {last}, {} to go", number("lag_rows"));
        if number("missing_rows") > 0 {
            print!("; {} rows were gone before they could be sent", number("missing_rows"));
        }
        match number("failures") {
            0 => println!(),
            failures => println!("; failed {failures} times: {}", text("error")),
        }
    }
    Ok(ExitCode::SUCCESS)
}
