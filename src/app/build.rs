//! Settings → engines → doors.

use super::audit::AuditLog;
use super::embedder::OnHost;
use super::governed::Governed;
use super::insight::{self, Examples};
use super::people;
use super::probe::Probes;
use crate::cache::{Cache, CacheError, Opened, Parts as CacheParts};
use crate::config::Resolved;
use crate::edge::{self, Doors, Edge, Idempotency, UPLOADS};
use crate::governance::{Access, Keys};
use crate::pipeline::{Guardrails, Insight, Pipeline, Queue, Recorder, RouterClock, Setup, of_lane, responses};
use crate::providers::Registry;
use crate::routing::{Look, Router};
use crate::secrets::Secrets;
use crate::store::sealed::Seal;
use crate::telemetry::metrics;
use crate::types::clock::Clock;
use crate::types::embed::Embed;
use crate::types::ids;
use crate::types::secret::Secret;
use crate::{admin, api, config};
use arc_swap::ArcSwap;
use askonce_models::Embedder;
use rand::Rng;
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How often expired entries are swept out.
const SWEEP: Duration = Duration::from_secs(30);
/// How often samples of metrics are put into their buckets.
const GATHER: Duration = Duration::from_secs(5);

/// Why the gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A provider.
    #[error("{0}")]
    Provider(String),
    /// Topics, or what was learned of hard questions.
    #[error("{0}")]
    Insight(String),
    /// What the audit log is exported to.
    #[error("{0}")]
    AuditExport(String),
    /// The metrics registry.
    #[error("metrics: {0}")]
    Metrics(String),
    /// The data directory.
    #[error("the data directory {}: {source}; name another with --data-dir", dir.display())]
    DataDir {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The recording.
    #[error("the recording {}: {source}; see `recording` in the configuration", path.display())]
    Recording {
        /// Its file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Who administers.
    #[error("{0}")]
    Access(String),
    /// The database.
    #[error("the database: {0}")]
    Database(String),
    /// Secrets that the settings refer to.
    #[error("{0}")]
    Secrets(String),
    /// The address.
    #[error("{0}")]
    Listen(String),
}

/// What a gateway is made of beside its settings.
pub struct Parts {
    /// The sentence model; without it there is no semantic tier and no embedding on the host.
    pub embedder: Option<Embedder>,
    /// The time.
    pub clock: Clock,
    /// Keep entries in the data directory, or in memory only.
    pub persist: bool,
}

/// A gateway, built and ready to listen.
pub struct App {
    /// What the doors lead to.
    pub doors: Arc<Doors>,
    /// What opening the cache found.
    pub opened: Opened,
    embed: Option<Arc<dyn Embed>>,
    examples: Examples,
    probes: Probes,
    admin_key: Option<Secret>,
    governed: Governed,
    audit: Arc<AuditLog>,
    /// Where it listens until a restart, whatever a reload says.
    listen: String,
}

impl App {
    /// Builds a gateway whose settings refer to no secrets. Must be called within the async runtime.
    pub async fn build(settings: &Resolved, parts: Parts) -> Result<App, StartError> {
        App::build_with(settings, parts, Arc::default()).await
    }

    /// Builds a gateway. `secrets` has read what the settings refer to. Must be called within the async runtime.
    pub async fn build_with(settings: &Resolved, parts: Parts, secrets: Arc<Secrets>) -> Result<App, StartError> {
        all_read(settings).map_err(StartError::Secrets)?;
        let prometheus = metrics::start().map_err(StartError::Metrics)?;
        if parts.persist {
            private_dir(&settings.data_dir)?;
        }
        let admin_key = match (&settings.admin.key, parts.persist) {
            (Some(key), _) => Some(key.clone()),
            (None, true) => Some(kept_admin_key(&settings.data_dir)?),
            (None, false) => None,
        };
        let embed = parts.embedder.clone().map(|embedder| Arc::new(OnHost::new(embedder)) as Arc<dyn Embed>);
        let clock = parts.clock.clone();
        let (cache, opened) = Cache::open(CacheParts {
            settings: settings.cache.clone(),
            index: settings.index,
            embedder: parts.embedder,
            embed_deadline: settings.embedding.deadline,
            dir: parts.persist.then(|| settings.data_dir.join("cache")),
            clock: parts.clock,
        })?;
        let examples = Examples::default();
        let insight = insight::build(settings, embed.clone(), &examples).await.map_err(StartError::Insight)?;
        let setup = setup(settings, embed.clone(), insight, None).map_err(StartError::Provider)?;
        for (provider, why) in setup.registry.refresh().await {
            tracing::warn!(
                provider,
                why,
                "its models are not known; name them as `provider/model`, or list them in `models`"
            );
        }
        let recorder = recorder(settings, parts.persist)?;
        let governed = Governed::build(settings, parts.persist, &cache).await?;
        let audit = AuditLog::begin(settings, parts.persist, governed.database.clone(), clock)?;
        let access = access(settings, &governed, parts.persist, &cache).await?;
        let (governor, virtual_keys) =
            ((governed.governor.clone(), governed.records.clone()), governed.virtual_keys.clone());
        let doors = Arc::new(Doors {
            pipeline: Arc::new(Pipeline::new(cache.clone(), setup, governor, recorder, audit.clone())),
            keys: ArcSwap::from_pointee(Keys::new(
                &settings.auth,
                &settings.accounts,
                virtual_keys,
                admin_key.as_ref(),
            )),
            objects: governed.objects.clone(),
            definitions: governed.definitions.clone(),
            access,
            audit: audit.clone(),
            database: governed.database.clone(),
            secrets,
            trusted_proxies: ArcSwap::from_pointee(settings.trusted_proxies.clone()),
            idempotency: Idempotency::default(),
            prometheus,
            edge: Edge {
                body_bytes: settings.limits.body_bytes,
                upload_bytes: settings.limits.upload_bytes,
                in_flight: settings.limits.in_flight,
                body_timeout: settings.limits.header_timeout,
                body_total_timeout: settings.limits.request_timeout,
            },
            loopback_only: AtomicBool::new(is_open(&settings.auth) && is_loopback(&settings.listen)),
            in_flight: AtomicUsize::new(0),
            uploads: Arc::new(Semaphore::new(UPLOADS)),
            ready: AtomicBool::new(true),
        });
        tokio::spawn(sweep(Arc::downgrade(&cache)));
        tokio::spawn(gather(Arc::downgrade(&doors)));
        let probes = Probes::default();
        probes.begin(&doors.pipeline.setup(), settings.breaker.probe_interval);
        if parts.persist {
            doors.pipeline.keep_shadow_labels(settings.data_dir.join("shadow-labels"));
        }
        let app =
            App { doors, opened, embed, examples, probes, admin_key, governed, audit, listen: settings.listen.clone() };
        app.keep_secrets_out(settings);
        Ok(app)
    }

    /// All routes, with the edge around them; but for those of the admin surface, where that is `apart`.
    pub fn router(&self, apart: bool) -> axum::Router {
        let routes = api::routes(self.doors.clone());
        let routes = if apart { routes } else { routes.merge(admin::routes(self.doors.clone())) };
        edge::around(routes, self.doors.clone())
    }

    /// The routes of the admin surface, and those that tell how the gateway is, with the edge around them.
    pub fn admin_router(&self) -> axum::Router {
        let routes = api::health_routes(self.doors.clone()).merge(admin::routes(self.doors.clone()));
        edge::around(routes, self.doors.clone())
    }

    /// Says what engines cannot be made of `settings`; the gateway goes on with those that it has.
    pub(super) fn try_out(&self, settings: &Resolved) -> Result<(), String> {
        all_read(settings)?;
        Registry::build(&settings.providers, self.embed.clone())?;
        Guardrails::new(settings).map(drop)
    }

    /// Puts new settings in force, but for those that take a restart. The error says why they cannot be.
    pub async fn reconfigure(&self, settings: &Resolved) -> Result<(), String> {
        all_read(settings)?;
        let open = is_open(&settings.auth);
        if open && is_loopback(&settings.listen) && !is_loopback(&self.listen) {
            let (new, old) = (&settings.listen, &self.listen);
            return Err(format!("they let everybody in on {new}, but the gateway listens on {old} until a restart"));
        }
        let insight = insight::build(settings, self.embed.clone(), &self.examples).await?;
        let before = self.doors.pipeline.setup();
        let setup = setup(settings, self.embed.clone(), insight, Some(&before))?;
        for (provider, why) in setup.registry.refresh().await {
            tracing::warn!(provider, why, "its models are not known");
        }
        self.audit.reconfigure(settings)?;
        self.doors.access.reconfigure(settings)?;
        let admin_key = settings.admin.key.as_ref().or(self.admin_key.as_ref());
        self.doors.trusted_proxies.store(Arc::new(settings.trusted_proxies.clone()));
        self.governed.reconfigure(settings, self.doors.pipeline.cache().now_ms()).await?;
        self.doors.loopback_only.store(open && is_loopback(&self.listen), Ordering::Relaxed);
        self.doors.keys.store(Arc::new(Keys::new(
            &settings.auth,
            &settings.accounts,
            self.governed.virtual_keys.clone(),
            admin_key,
        )));
        self.doors.pipeline.cache().reconfigure(settings.cache.clone(), settings.embedding.deadline);
        // Lanes that are no more are not told as left alone for ever; those that stay are told again when they are next asked for.
        before.router.lanes().for_each(|lane| metrics::breaker_state(of_lane(lane), 0));
        setup.queue.reconfigure(settings.queue);
        self.doors.pipeline.reconfigure(setup);
        self.probes.begin(&self.doors.pipeline.setup(), settings.breaker.probe_interval);
        self.keep_secrets_out(settings);
        Ok(())
    }

    /// No key of the configuration may stand in a recording or among labels, whoever writes it into a question.
    fn keep_secrets_out(&self, settings: &Resolved) {
        let mut secrets: Vec<Secret> = settings.auth.keys.iter().map(|key| key.key.clone()).collect();
        for provider in &settings.providers {
            secrets.extend(provider.api_key.iter().chain(provider.headers.values()).cloned());
            secrets.extend(provider.keys.iter().map(|key| key.key.clone()));
        }
        for one in &settings.guardrails {
            secrets.extend(one.secrets().cloned());
        }
        secrets.extend(settings.audit.export.iter().flat_map(|export| export.to.secrets()).cloned());
        secrets.extend(settings.admin.key.iter().chain(&self.admin_key).cloned());
        secrets.extend(settings.admin.tokens.iter().map(|token| token.key.clone()));
        secrets.extend(settings.admin.sso.iter().filter_map(|sso| sso.client_secret.clone()));
        secrets.extend(self.doors.secrets.all());
        self.governed.records.keep_out(secrets.clone());
        if let Some(recorder) = self.doors.pipeline.recorder() {
            recorder.keep_out(secrets.clone());
        }
        self.doors.pipeline.keep_out_of_shadow_labels(secrets);
    }

    /// Does a provider refuse a key, so that no request is sent with it?
    pub fn keys_are_refused(&self) -> bool {
        let setup = self.doors.pipeline.setup();
        let now = setup.clock.now();
        setup.router.lanes().any(|lane| lane.look(now) == Look::Dead)
    }

    /// What seals values in the database, where `store.encryption_key` is set.
    pub fn seal(&self) -> Option<Arc<Seal>> {
        self.governed.seal.clone()
    }

    /// Writes down what was used of budgets and what was done, for the last time, and lets go of the database.
    pub async fn close_books(&self) {
        self.governed.close(self.doors.pipeline.cache().now_ms()).await;
        self.audit.close().await;
        self.governed.database.close().await;
    }

    /// Takes no new requests from here on; `/readyz` says so.
    pub fn close(&self) {
        self.probes.end();
        self.doors.ready.store(false, Ordering::Relaxed);
    }
}

/// The error names what is referred to and was not read: such a key would be none.
fn all_read(settings: &Resolved) -> Result<(), String> {
    match settings.secrets.references.iter().find(|one| !one.read) {
        None => Ok(()),
        Some(one) => Err(format!("{}: the secret `{}` was not read", one.key, one.reference)),
    }
}

/// What a configuration gives the pipeline. What was learned `before` of what is still there stays.
fn setup(
    settings: &Resolved,
    embed: Option<Arc<dyn Embed>>,
    insight: Insight,
    before: Option<&Setup>,
) -> Result<Setup, String> {
    let clock = before.map_or_else(RouterClock::begin, |before| before.clock);
    let queue = before.map(|before| before.queue.clone());
    Ok(Setup {
        registry: Registry::build(&settings.providers, embed)?,
        router: Router::new(settings, before.map(|before| &before.router)),
        insight,
        guardrails: Guardrails::new(settings)?,
        retry: settings.retry.clone(),
        clock,
        queue: queue.unwrap_or_else(|| Queue::new(settings.queue, clock)),
        request_timeout: settings.limits.request_timeout,
        shutdown_timeout: settings.limits.shutdown_timeout,
        responses: responses::Limits {
            responses: settings.responses.most,
            bytes: settings.responses.memory_bytes,
            ttl: settings.responses.ttl,
            request_bytes: settings.limits.body_bytes,
        },
        most_deserted: settings.limits.in_flight,
        log_prompts: settings.log.prompts,
    })
}

/// Who administers, and whose tokens callers may show.
async fn access(
    settings: &Resolved,
    governed: &Governed,
    persist: bool,
    cache: &Arc<Cache>,
) -> Result<Arc<Access>, StartError> {
    let database = persist.then(|| governed.database.clone());
    let key = match &database {
        Some(_) => {
            let failed = |source| StartError::DataDir { dir: settings.data_dir.clone(), source };
            kept_key(&settings.data_dir, "token.key").map_err(failed)?
        }
        None => rand::rng().random(),
    };
    let kept = (database, governed.seal.clone());
    let access = Access::open(settings, governed.governor.clone(), kept, key).await;
    let access = Arc::new(access.map_err(StartError::Access)?);
    let clock = Arc::downgrade(cache);
    let now = move || clock.upgrade().map_or(0, |cache| cache.now_ms());
    tokio::spawn(people::keep(Arc::downgrade(&access), now));
    Ok(access)
}

/// A cache that keeps nothing on disk, for replay.
pub fn cache_in_memory(
    settings: &Resolved,
    embedder: Option<Embedder>,
    clock: Clock,
) -> Result<Arc<Cache>, StartError> {
    let parts = CacheParts {
        settings: settings.cache.clone(),
        index: settings.index,
        embedder,
        embed_deadline: settings.embedding.deadline,
        dir: None,
        clock,
    };
    Ok(Cache::open(parts)?.0)
}

/// Sweeps until the cache is gone.
async fn sweep(cache: std::sync::Weak<Cache>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(cache) = cache.upgrade() else { return };
        // Looks at every entry: not on a thread that serves requests.
        let saved = cache.clone();
        // Waits for the disk.
        let _ = tokio::task::spawn_blocking(move || saved.save_judgement()).await;
        if let Ok(swept @ 1..) = tokio::task::spawn_blocking(move || cache.sweep()).await {
            tracing::debug!(swept, "expired entries went");
        }
    }
}

/// Puts samples of histograms into their buckets until the app is gone. Until that is done each is kept by itself, and where nobody
/// scrapes, nobody else does it.
async fn gather(doors: std::sync::Weak<Doors>) {
    loop {
        tokio::time::sleep(GATHER).await;
        let Some(prometheus) = doors.upgrade().map(|doors| doors.prometheus.clone()) else { return };
        // There may be a million of them.
        let _ = tokio::task::spawn_blocking(move || prometheus.run_upkeep()).await;
    }
}

/// Is everybody let in?
fn is_open(auth: &config::Auth) -> bool {
    auth.open && auth.keys.is_empty()
}

/// Does `host:port` name loopback only?
fn is_loopback(listen: &str) -> bool {
    let addresses: Vec<SocketAddr> = listen.to_socket_addrs().map(Iterator::collect).unwrap_or_default();
    !addresses.is_empty() && addresses.iter().all(|address| address.ip().is_loopback())
}

/// The data directory, for its owner only: questions and answers are in it.
fn private_dir(dir: &Path) -> Result<(), StartError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|source| StartError::DataDir { dir: dir.to_owned(), source })
}

/// The admin key of the data directory, made on the first start and readable by its owner only.
fn kept_admin_key(data_dir: &Path) -> Result<Secret, StartError> {
    let failed = |source| StartError::DataDir { dir: data_dir.to_owned(), source };
    let path = data_dir.join("admin.key");
    match std::fs::read_to_string(&path) {
        Ok(key) if key.trim().len() >= config::MIN_KEY_CHARS => return Ok(Secret::new(key.trim())),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let key = ids::random(40);
    let key = format!("ao-admin-{key}");
    write_private(&path, format!("{key}\n").as_bytes()).map_err(failed)?;
    Ok(Secret::new(key))
}

/// Writes a file that its owner only may read.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(bytes)
}

/// What records the traffic, where the configuration says so.
fn recorder(settings: &Resolved, persist: bool) -> Result<Option<Recorder>, StartError> {
    let Some(recording) = settings.recording.as_ref().filter(|_| persist) else { return Ok(None) };
    let failed = |source| StartError::Recording { path: settings.data_dir.join(&recording.path), source };
    let key = kept_recording_key(&settings.data_dir).map_err(failed)?;
    Recorder::start(recording, &settings.data_dir, key).map(Some).map_err(failed)
}

/// The key of this installation's hashes, made on the first start that records. Without it nobody can tell what was
/// hashed; with another, hashes of before and after cannot be compared.
fn kept_recording_key(data_dir: &Path) -> io::Result<[u8; 32]> {
    kept_key(data_dir, "recording.key")
}

/// The key in that file, made where there is none.
fn kept_key(data_dir: &Path, file: &str) -> io::Result<[u8; 32]> {
    let path = data_dir.join(file);
    match std::fs::read(&path) {
        Ok(bytes) => {
            if let Ok(key) = <[u8; 32]>::try_from(bytes) {
                return Ok(key);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let key: [u8; 32] = rand::rng().random();
    write_private(&path, &key)?;
    Ok(key)
}
