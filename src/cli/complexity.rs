//! `askonce complexity`: learns from labelled questions which of them need the stronger model, and measures that.

use super::model::{DEFAULT_MODEL, Store, loaded, vectors};
use super::rows;
use crate::routing::Complexity;
use crate::routing::complexity::{MOST_FILE_BYTES, Measured, Row, Settings, measured, train};
use serde::Deserialize;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Learn which questions need the stronger model, for conditions that ask about `complexity` or `hard`.
///
/// The data is lines of JSON: `{"question": "…", "hard": true}`, where `hard` says that the cheaper model's answer will not do.
#[derive(clap::Subcommand)]
pub(super) enum ComplexityCommand {
    /// Fit a logistic regression to the embeddings of labelled questions, and write it with its threshold and report.
    Train(TrainArgs),
    /// Print how well a file tells labelled questions apart: ones that it was not trained on.
    Eval(EvalArgs),
}

#[derive(clap::Args)]
pub(super) struct TrainArgs {
    /// The labelled questions (JSON lines, perhaps gzipped).
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Where what was learned goes.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The share of hard questions that is allowed among those sent to the cheap model, from 0 to below 1.
    #[arg(long, default_value_t = 0.05, value_name = "SHARE")]
    max_loss: f64,
    /// Decides which questions are held out together. The same seed and data give the same file.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// The sentence model's name.
    #[arg(long, default_value = DEFAULT_MODEL, value_name = "NAME")]
    model: String,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::Args)]
pub(super) struct EvalArgs {
    /// The labelled questions (JSON lines, perhaps gzipped).
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// What `train` has written.
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

// Where the sentence model is. (A doc comment would become the help of each command that has it.)
#[derive(clap::Args)]
pub(super) struct Place {
    /// A folder with the model's files [default: the one that `model pull` filled].
    #[arg(long, env = "ASKONCE_MODEL_DIR", value_name = "DIR")]
    pub(super) model_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(super) store: Store,
}

/// One line.
#[derive(Deserialize)]
struct Labelled {
    question: String,
    hard: bool,
}

pub(super) fn run(command: &ComplexityCommand) -> Result<ExitCode, String> {
    match command {
        ComplexityCommand::Train(args) => learn(args),
        ComplexityCommand::Eval(args) => eval(args),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn learn(args: &TrainArgs) -> Result<(), String> {
    let labelled: Vec<Labelled> = rows::read(&args.data)?;
    let vectors = embedded(&labelled, &args.model, &args.place)?;
    let settings = Settings { model: args.model.clone(), max_loss: args.max_loss, seed: args.seed };
    let learned =
        train(&of(&labelled, &vectors), &settings).map_err(|why| format!("{}: {why}", args.data.display()))?;
    // A gateway that reads it meanwhile finds the old one or the new one, whole.
    let beside = args.out.with_extension("tmp");
    let written = fs::write(&beside, learned.to_bytes()?).and_then(|()| fs::rename(&beside, &args.out));
    written.map_err(|error| format!("{}: {error}", args.out.display()))?;
    print!("{}", told(&learned, &args.out));
    Ok(())
}

fn told(learned: &Complexity, out: &Path) -> String {
    let report = learned.report();
    let Measured { cheap_share, .. } = report.held_out;
    let mut text = format!(
        "{} questions, {} of them hard; {} folds, each held out once; penalty {}\n{}threshold  {:.4}\nwritten to {}\n",
        report.rows,
        report.hard,
        report.folds,
        report.penalty,
        table(&report.held_out),
        learned.threshold(),
        out.display()
    );
    if cheap_share == 0.0 || learned.threshold() == 0.0 {
        text.push_str("no share of these questions can go to the cheap model with so little loss: most or all of them count as hard\n");
    }
    text
}

fn table(measured: &Measured) -> String {
    format!(
        "AUC        {:.3}\naccuracy   {:.3}\nto the cheap model      {:>5.1} %\nof these, hard          {:>5.1} %\n",
        measured.auc,
        measured.accuracy,
        100.0 * measured.cheap_share,
        100.0 * measured.wrong_share
    )
}

fn eval(args: &EvalArgs) -> Result<(), String> {
    let at = |why: String| format!("{}: {why}", args.file.display());
    let mut bytes = Vec::new();
    let file = File::open(&args.file).map_err(|error| at(error.to_string()))?;
    file.take(MOST_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| at(error.to_string()))?;
    let learned = Complexity::read(&bytes).map_err(at)?;
    let labelled: Vec<Labelled> = rows::read(&args.data)?;
    let vectors = embedded(&labelled, learned.model(), &args.place)?;
    let measured = measured(&learned, &of(&labelled, &vectors)).map_err(at)?;
    match args.json {
        true => println!("{}", serde_json::to_string(&measured).map_err(|error| error.to_string())?),
        false => print!("{} questions\n{}", labelled.len(), table(&measured)),
    }
    Ok(())
}

fn embedded(labelled: &[Labelled], model: &str, place: &Place) -> Result<Vec<Arc<[f32]>>, String> {
    let embedder = loaded(model, place.model_dir.as_deref(), &place.store)?;
    let texts: Vec<&str> = labelled.iter().map(|one| one.question.as_str()).collect();
    vectors(&embedder, &texts)
}

fn of<'r>(labelled: &'r [Labelled], vectors: &'r [Arc<[f32]>]) -> Vec<Row<'r>> {
    let row = |(one, vector): (&'r Labelled, &'r Arc<[f32]>)| Row { vector, text: &one.question, hard: one.hard };
    labelled.iter().zip(vectors).map(row).collect()
}
