//! `askonce judge`: fits the weights of the learned judgement to labelled data, and measures it.
//!
//! - `data`: labelled sets from disk; `vectors`: their embeddings
//! - `stream`: a labelled stream through tiers 0, 1 and the learner
//! - `conversations`: pairs of whole conversations
//! - `fit`: data → weights; `train`: weights and the report on them; `eval`: the tables; `cold`: how a cache begins

mod cold;
mod conversations;
mod data;
mod eval;
mod fit;
mod stream;
mod train;
mod vectors;

use super::model::{DEFAULT_MODEL, Store};
use std::path::PathBuf;
use std::process::ExitCode;

/// Fit the learned judgement to labelled data, or measure it.
///
/// The data is a folder of sets, one folder each: `<set>/pairs*.jsonl[.gz]` with lines of `a`, `b`, `label` (1: one answer does for
/// both) and perhaps `kind`; `<set>/stream*.jsonl[.gz]` with lines of `text`, `group` (one group, one answer) and `src` (the scope).
#[derive(clap::Subcommand)]
pub(super) enum JudgeCommand {
    /// Fit stream score, priors and trap score, and write the weights file with a report beside it.
    Train(TrainArgs),
    /// Print how pairs and streams are judged: pairs on folds that were not trained on, streams by the weights that ship.
    Eval(EvalArgs),
}

#[derive(clap::Args)]
pub(super) struct Source {
    /// The folder of labelled sets.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The sentence model's name.
    #[arg(long, default_value = DEFAULT_MODEL, value_name = "NAME")]
    model: String,
    /// A folder with the model's files [default: the one that `model pull` filled].
    #[arg(long, env = "ASKONCE_MODEL_DIR", value_name = "DIR")]
    model_dir: Option<PathBuf>,
    /// Keep the texts' vectors in this file, and take them from there the next time.
    #[arg(long, value_name = "FILE")]
    vectors: Option<PathBuf>,
    #[command(flatten)]
    store: Store,
}

#[derive(clap::Args)]
pub(super) struct TrainArgs {
    #[command(flatten)]
    source: Source,
    /// Where the weights go; the report goes beside them, with the ending `.md`.
    #[arg(long, default_value = "weights.bin", value_name = "FILE")]
    out: PathBuf,
}

#[derive(clap::Args)]
pub(super) struct EvalArgs {
    #[command(flatten)]
    source: Source,
    /// Weights to measure on the stream [default: those that ship with the program].
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Runs of the stream for each figure, each with other dice.
    #[arg(long, default_value_t = 10, value_name = "N")]
    seeds: u64,
    /// Measure the stream with each of its scopes left out of training, too. Takes a minute for each.
    #[arg(long)]
    leave_out: bool,
    /// Measure pairs of conversations only: lines of `a` and `b`, lists of messages, with `same` or `label`.
    #[arg(long)]
    conversations: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &JudgeCommand) -> Result<ExitCode, String> {
    match command {
        JudgeCommand::Train(args) => train::run(args),
        JudgeCommand::Eval(args) => eval::run(args),
    }?;
    Ok(ExitCode::SUCCESS)
}
