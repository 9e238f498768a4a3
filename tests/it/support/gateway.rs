//! `Gateway`: the real app, built from a configuration, on a free port of loopback.

use super::{Reply, Upstream, store};
use askonce::app::{self, App, Parts, Reloader, StartError};
use askonce::config::{Draft, Overrides, Resolved};
use askonce::secrets::Secrets;
use askonce::types::clock::Clock;
use askonce_models::Embedder;
use serde_json::Value;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The key that the gateway shows the provider in most stories.
pub const UPSTREAM_KEY: &str = "sk-upstream-0123456789";
/// The admin key in most stories.
pub const ADMIN_KEY: &str = "admin-0123456789abcdef";

/// What a gateway is started with.
#[derive(Clone)]
pub struct Given {
    yaml: String,
    variables: HashMap<String, String>,
    embedder: Option<Embedder>,
    clock: Clock,
    dir: Option<PathBuf>,
}

impl Given {
    /// A configuration. Variables in it are set with `variable`.
    pub fn yaml(yaml: &str) -> Given {
        Given { yaml: yaml.to_owned(), variables: HashMap::new(), embedder: None, clock: Clock::System, dir: None }
    }

    /// One provider with one model, `m`; `more` is put behind it.
    pub fn one(upstream: &Upstream, more: &str) -> Given {
        let yaml = format!(
            "providers:\n  - {{name: up, kind: openai_compatible, base_url: \"${{UP}}\", api_key: {UPSTREAM_KEY}, models: [m]}}\n\
             admin: {{key: {ADMIN_KEY}}}\n{more}"
        );
        Given::yaml(&yaml).variable("UP", &upstream.url)
    }

    /// The configuration with `new` in place of `old`, which has to stand in it.
    pub fn with(mut self, old: &str, new: &str) -> Given {
        assert!(self.yaml.contains(old), "{old} is not in {}", self.yaml);
        self.yaml = self.yaml.replacen(old, new, 1);
        self
    }

    /// Sets a variable of the configuration.
    pub fn variable(mut self, name: &str, value: &str) -> Given {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With a semantic tier, whose vectors tell how like the letters of two texts are.
    pub fn semantic(mut self) -> Given {
        self.embedder = Some(Embedder::fake(384));
        self
    }

    /// With a sentence model of the test's own.
    pub fn embedder(mut self, embedder: Embedder) -> Given {
        self.embedder = Some(embedder);
        self
    }

    /// With a clock that the test moves.
    pub fn clock(mut self, clock: &Clock) -> Given {
        self.clock = clock.clone();
        self
    }

    /// With this data directory, instead of one of its own.
    pub fn dir(mut self, dir: &Path) -> Given {
        self.dir = Some(dir.to_owned());
        self
    }

    /// The settings, and a folder if one had to be made.
    pub fn settings(&self) -> (Resolved, Option<TempDir>) {
        let (draft, _, own) = self.draft();
        (draft.settings().clone(), own)
    }

    /// The settings as they are written, what the command line says beside them, and a folder if one had to be made.
    fn draft(&self) -> (Draft, Overrides, Option<TempDir>) {
        let own = self.dir.is_none().then(|| tempfile::tempdir().unwrap());
        let dir = self.dir.clone().or(own.as_ref().map(|own| own.path().to_owned()));
        let overrides = Overrides { listen: Some("127.0.0.1:0".to_owned()), data_dir: dir, ..Overrides::default() };
        let variables = self.variables.clone();
        let variable = Arc::new(move |name: &str| variables.get(name).cloned());
        let store = if self.yaml.contains("\nstore:") { String::new() } else { store::yaml(self.dir.as_deref()) };
        let draft = Draft::parse(format!("{}{store}", self.yaml), "story.yaml", &overrides, variable);
        (draft.unwrap_or_else(|error| panic!("{error}")), overrides, own)
    }

    /// Builds the app, or says why it cannot be.
    pub async fn build(&self) -> Result<App, StartError> {
        askonce::install_tls();
        let (settings, _own) = self.settings();
        self.app(&settings).await
    }

    /// Builds the app from settings made of these.
    pub async fn app(&self, settings: &Resolved) -> Result<App, StartError> {
        self.app_with(settings, Arc::default()).await
    }

    async fn app_with(&self, settings: &Resolved, secrets: Arc<Secrets>) -> Result<App, StartError> {
        let parts = Parts { embedder: self.embedder.clone(), clock: self.clock.clone(), persist: true };
        App::build_with(settings, parts, secrets).await
    }

    /// Starts the gateway.
    pub async fn start(&self) -> Gateway {
        askonce::install_tls();
        let (draft, overrides, own) = self.draft();
        let listener = app::bind(&draft.settings().listen).await.unwrap();
        let secrets = Arc::new(Secrets::default());
        let settings = Box::new(secrets.resolve(&draft).await.unwrap());
        let app = Arc::new(self.app_with(&settings, secrets.clone()).await.unwrap());
        Gateway::serve(app, listener, (draft, overrides, secrets), settings, own).await
    }

    /// Starts the gateway on the folder of one that has just been stopped: its writer lets go of it in its own time.
    pub async fn start_again(&self) -> Gateway {
        askonce::install_tls();
        let (draft, overrides, own) = self.draft();
        let listener = app::bind(&draft.settings().listen).await.unwrap();
        let secrets = Arc::new(Secrets::default());
        let settings = Box::new(secrets.resolve(&draft).await.unwrap());
        let deadline = std::time::Instant::now() + super::PATIENCE;
        loop {
            match self.app_with(&settings, secrets.clone()).await {
                Ok(app) => {
                    return Gateway::serve(Arc::new(app), listener, (draft, overrides, secrets), settings, own).await;
                }
                Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A gateway that serves.
pub struct Gateway {
    /// The app itself.
    pub app: Arc<App>,
    /// Where it listens.
    pub address: SocketAddr,
    /// A client with connections of its own.
    pub client: reqwest::Client,
    /// The settings it was started with.
    pub settings: Box<Resolved>,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<usize>,
    reloader: JoinHandle<()>,
    _own: Option<TempDir>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.served.abort();
        self.reloader.abort();
    }
}

/// A client that keeps its connections, and sends small pieces at once.
pub fn client() -> reqwest::Client {
    askonce::install_tls();
    reqwest::Client::builder().no_proxy().tcp_nodelay(true).build().unwrap()
}

impl Gateway {
    async fn serve(
        app: Arc<App>,
        listener: TcpListener,
        (draft, overrides, secrets): (Draft, Overrides, Arc<Secrets>),
        settings: Box<Resolved>,
        own: Option<TempDir>,
    ) -> Gateway {
        let mut reloader = Reloader::new(None, overrides, false, draft, secrets);
        Box::pin(reloader.begin(&app, settings.as_ref().clone())).await;
        let reloader = tokio::spawn(reloader.run(app.clone(), Arc::default()));
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (served, limits) = (app.clone(), settings.limits.clone());
        let served = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            let grace = limits.shutdown_timeout;
            app::run(&served, listener, limits.header_timeout, stopped, || grace).await
        });
        Gateway { app, address, client: client(), settings, stop: Some(stop), served, reloader, _own: own }
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request with a JSON body.
    pub fn post(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.client.post(self.url(path)).json(body)
    }

    /// A chat request to be sent.
    pub fn request(&self, body: &Value) -> reqwest::RequestBuilder {
        self.post("/v1/chat/completions", body)
    }

    /// A chat request with headers, sent and answered.
    pub async fn chat_with(&self, body: &Value, headers: &[(&str, &str)]) -> Reply {
        let request = headers.iter().fold(self.request(body), |request, (name, value)| request.header(*name, *value));
        Reply::of(request).await
    }

    /// A chat request, sent and answered.
    pub async fn chat(&self, body: &Value) -> Reply {
        Reply::of(self.request(body)).await
    }

    /// A path, read.
    pub async fn get(&self, path: &str) -> Reply {
        Reply::of(self.client.get(self.url(path))).await
    }

    /// What the administration says of the cache.
    pub async fn held(&self) -> Value {
        Reply::of(self.client.get(self.url("/admin/cache")).bearer_auth(ADMIN_KEY)).await.json()
    }

    /// What the administration says of the routes.
    pub async fn routes(&self) -> Value {
        Reply::of(self.client.get(self.url("/admin/routes")).bearer_auth(ADMIN_KEY)).await.json()
    }

    /// What it says of the first lane to a provider that a route names; of the one under `key`, if that is told.
    pub async fn lane(&self, provider: &str, key: Option<&str>) -> Value {
        let routes = self.routes().await;
        let lanes = routes["routes"].as_array().unwrap().iter().flat_map(|route| route["lanes"].as_array().unwrap());
        let is_it = |lane: &&Value| lane["provider"] == provider && key.is_none_or(|key| lane["key"] == key);
        lanes.clone().find(is_it).unwrap_or_else(|| panic!("no lane of {provider}: {routes}")).clone()
    }

    /// How many entries the cache holds.
    pub async fn entries(&self) -> u64 {
        self.held().await["entries"].as_u64().unwrap()
    }

    /// Forgets what `what` names; how many entries that were.
    pub async fn purge(&self, what: Value) -> u64 {
        let reply = Reply::of(self.post("/admin/cache/purge", &what).bearer_auth(ADMIN_KEY)).await;
        assert_eq!(reply.status, 200, "{}", reply.json());
        reply.json()["purged"].as_u64().unwrap()
    }

    /// Requests being served now.
    pub fn in_flight(&self) -> usize {
        self.app.doors.in_flight.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Asks for the end, without waiting for it.
    pub fn ask_to_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Stops in order. Gives how many requests were cut off.
    pub async fn stop(mut self) -> usize {
        self.ask_to_stop();
        // Connections that are kept alive go with their client.
        self.client = client();
        self.reloader.abort();
        let served = std::mem::replace(&mut self.served, tokio::spawn(async { 0 }));
        tokio::time::timeout(super::PATIENCE, served).await.expect("the gateway does not stop").unwrap()
    }

    /// The data directory as a crash at this moment would leave it: what the process has handed to the system, and
    /// nothing that an orderly end would add.
    pub fn crashed(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(&self.settings.data_dir, copy.path());
        store::copied(&self.settings.data_dir, copy.path());
        copy
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy_folder(&item.path(), &target);
        } else {
            std::fs::copy(item.path(), target).unwrap();
        }
    }
}
