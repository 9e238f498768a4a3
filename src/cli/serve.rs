//! `askonce serve`.

use super::progress::Bar;
use crate::app::{self, App, Discovered, Parts, Reloader, StartError};
use crate::config::{Draft, LogFormat, LogLevel, Overrides, Resolved};
use crate::secrets::Secrets;
use crate::telemetry::{log, metrics};
use crate::types::clock::Clock;
use askonce_models::Embedder;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// Serve the gateway.
///
/// Without a configuration, providers are found by their keys in the environment (OPENAI_API_KEY, OPENROUTER_API_KEY,
/// GROQ_API_KEY, MISTRAL_API_KEY, DEEPSEEK_API_KEY, …) and by local servers on their usual ports (Ollama, vLLM,
/// llama.cpp, LM Studio, SGLang). Where none is found, a built-in demo answers. The sentence model is fetched on the
/// first start, about 91 MB.
#[derive(clap::Args)]
pub(super) struct ServeArgs {
    /// The configuration file (YAML); see docs/configuration.md.
    #[arg(long, short, env = "ASKONCE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:8080].
    #[arg(long, env = "ASKONCE_LISTEN", value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Where the cache and the models are kept [default: $XDG_DATA_HOME/askonce or ~/.local/share/askonce].
    #[arg(long, env = "ASKONCE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A folder with the sentence model's files, for machines without a network; nothing is fetched.
    #[arg(long, env = "ASKONCE_MODEL_DIR", value_name = "DIR")]
    model_dir: Option<PathBuf>,
    /// Serve the built-in demo and nothing else.
    #[arg(long)]
    demo: bool,
    /// `pretty` or `json` lines.
    #[arg(long, env = "ASKONCE_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    #[arg(long, env = "ASKONCE_LOG_LEVEL", value_name = "LEVEL")]
    log_level: Option<LogLevel>,
}

pub(super) fn run(args: ServeArgs) -> Result<ExitCode, String> {
    let overrides = Overrides {
        listen: args.listen,
        data_dir: args.data_dir,
        model_dir: args.model_dir,
        log_format: args.log_format,
        log_level: args.log_level,
    };
    let draft = match &args.config {
        Some(path) => Draft::load(path, &overrides),
        None => Draft::defaults(&overrides),
    }
    .map_err(|error| error.to_string())?;
    let secrets = Arc::new(Secrets::default());
    let reloader = Reloader::new(args.config, overrides, args.demo, draft.clone(), secrets.clone());
    log::start(&draft.settings().log);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the async runtime cannot start: {error}"))?;
    runtime.block_on(serve(&draft, secrets, reloader, args.demo))
}

async fn serve(draft: &Draft, secrets: Arc<Secrets>, mut reloader: Reloader, demo: bool) -> Result<ExitCode, String> {
    let started = Instant::now();
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| format!("SIGTERM: {error}"))?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(|error| format!("SIGHUP: {error}"))?;
    // Before secrets are read, so that these count.
    metrics::start().map_err(|error| StartError::Metrics(error).to_string())?;
    let mut settings =
        secrets.resolve(draft).await.map_err(|error| StartError::Secrets(error.to_string()).to_string())?;
    let of_file = app::OfFile::of(&settings);
    let discovered = app::discover(&mut settings, demo, of_file).await;
    // Bound before the model is fetched: a taken port should not cost a download.
    let listeners = app::Listeners::bind(&settings.listen, settings.admin.listen.as_deref()).await;
    let listeners = listeners.map_err(|error| error.to_string())?;
    let address = listeners.all.local_addr().map_err(|error| error.to_string())?;
    let embedder = load_embedder(&settings).await?;
    let spec = embedder.as_ref().map(|embedder| embedder.spec().clone());
    let parts = Parts { embedder, clock: Clock::System, persist: true };
    let app = Arc::new(App::build_with(&settings, parts, secrets).await.map_err(|error| error.to_string())?);
    // Before anybody is let in, so that nobody is told that a model is not known.
    reloader.begin(&app, settings.clone()).await;
    for note in app.opened.notes.iter().chain(&app.opened.static_because) {
        tracing::warn!("{note}");
    }
    let model = spec.map(|spec| format!("{} ({} dimensions, {})", spec.name, spec.width, spec.precision));
    greet(&settings, &address.to_string(), &discovered, &app, model.as_deref());
    tracing::info!(ready_ms = started.elapsed().as_millis() as u64, listen = %address, "ready");

    let asked = Arc::new(Notify::new());
    tokio::spawn(reloader.run(app.clone(), asked.clone()));
    tokio::spawn(async move {
        while hang_up.recv().await.is_some() {
            asked.notify_one();
        }
    });
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        tracing::info!("stopping: requests under way may finish; a second Ctrl-C ends at once");
        tokio::spawn(async {
            if tokio::signal::ctrl_c().await.is_ok() {
                #[expect(clippy::disallowed_methods, reason = "asked twice: nothing is to be waited for any more")]
                std::process::exit(130);
            }
        });
    };
    let grace = || app.doors.pipeline.setup().shutdown_timeout;
    let cut_off = app::run(&app, listeners, settings.limits.header_timeout, stop, grace).await;
    if cut_off > 0 {
        tracing::warn!(cut_off, "requests were still under way when the time was up (`limits.shutdown_timeout_ms`)");
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// A model folder that was named has to work; a fetch that fails only costs the semantic tier.
async fn load_embedder(settings: &Resolved) -> Result<Option<Embedder>, String> {
    match app::load_embedder(settings, &Bar::default()).await {
        Ok(embedder) => Ok(embedder),
        Err(error @ askonce_models::ModelError::Pull { .. }) => {
            tracing::warn!("{error}");
            tracing::warn!("going on without the sentence model: no semantic hits, no embeddings on this host");
            Ok(None)
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The few lines that a new user reads.
fn greet(settings: &Resolved, address: &str, discovered: &Discovered, app: &App, model: Option<&str>) {
    let url = format!("http://{address}");
    eprintln!("askonce {} listens on {url}", env!("CARGO_PKG_VERSION"));
    eprintln!("  providers  {}", discovered.providers.join(", "));
    if discovered.demo {
        eprintln!(
            "             the demo answers from bundled questions; for real answers set OPENAI_API_KEY (or another"
        );
        eprintln!("             provider's), start Ollama, vLLM or llama.cpp, or write a configuration: --config FILE");
    }
    match model {
        Some(model) => eprintln!("  model      {model}"),
        None => eprintln!("  model      none: no semantic hits (cache.semantic, `askonce model pull`, --model-dir)"),
    }
    let opened = &app.opened;
    let again =
        if opened.unindexed > 0 { format!(", {} being embedded again", opened.unindexed) } else { String::new() };
    eprintln!("  cache      {} entries{again} in {}", opened.entries, settings.data_dir.display());
    let access = match (settings.auth.open, settings.auth.keys.len()) {
        (true, 0) => "open to everyone who can reach the port; add `auth.keys` to close it".to_owned(),
        (true, keys) => format!("open, and {keys} keys"),
        (false, keys) => format!("{keys} keys"),
    };
    eprintln!("  access     {access}");
    if let Some(own) = &settings.admin.listen {
        eprintln!("  admin      on {own} alone");
    }
    if settings.admin.key.is_none() {
        eprintln!("  admin key  in {}", settings.data_dir.join("admin.key").display());
    }
    if discovered.demo && settings.auth.open {
        eprintln!("\nTry it, then ask in other words and see `x-askonce-cache: hit`:");
        for question in ["What is the capital of France?", "Which city is the capital of France?"] {
            eprintln!(
                "  curl -si {url}/v1/chat/completions -H 'content-type: application/json' \\\n    \
                 -d '{{\"model\":\"demo\",\"messages\":[{{\"role\":\"user\",\"content\":\"{question}\"}}]}}'"
            );
        }
        eprintln!();
    }
}
