//! New settings put in force when the file changes or on SIGHUP, and when a secret changes that they refer to; the last good ones stay
//! when the new ones are wrong.

use super::build::App;
use super::discover::discover;
use crate::config::{Draft, Overrides, Resolved, Watcher};
use crate::secrets::Secrets;
use crate::telemetry::metrics;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

const LOOK: Duration = Duration::from_secs(1);

/// Reads the settings again when they may have changed.
pub struct Reloader {
    path: PathBuf,
    overrides: Overrides,
    demo: bool,
    watcher: Watcher,
    secrets: Arc<Secrets>,
    /// What is in force, as it is written.
    draft: Draft,
    in_force: Resolved,
}

impl Reloader {
    /// Watches `path` from now on, which was read as `draft`, and what that refers to.
    pub fn watch(path: PathBuf, overrides: Overrides, demo: bool, draft: Draft, secrets: Arc<Secrets>) -> Reloader {
        let watcher = Watcher::new(&path, LOOK);
        let in_force = draft.settings().clone();
        Reloader { path, overrides, demo, watcher, secrets, draft, in_force }
    }

    /// What is to be in force; filled in once it has been read and completed.
    pub fn begin_with(&mut self, settings: Resolved) {
        self.in_force = settings;
    }

    /// Reloads on a change of the file or of a secret, and whenever `asked` is notified. Never ends.
    pub async fn run(mut self, app: Arc<App>, asked: Arc<Notify>) {
        loop {
            let forced = tokio::select! {
                () = tokio::time::sleep(self.watcher.interval()) => false,
                () = asked.notified() => true,
            };
            self.look(&app, forced).await;
        }
    }

    /// Looks once whether something has changed, and puts it in force.
    pub async fn look(&mut self, app: &App, forced: bool) {
        // Looked at either way, so that a change seen here is not seen again.
        let changed = self.watcher.changed();
        if forced || changed {
            self.reload(app).await;
        } else if self.secrets.refresh(&self.draft, app.keys_are_refused()).await {
            let settings = self.secrets.fill(&self.draft).map_err(|error| error.to_string());
            self.put(app, settings, None).await;
        }
    }

    async fn reload(&mut self, app: &App) {
        let (settings, draft) = match Draft::load(&self.path, &self.overrides) {
            Ok(draft) => (self.secrets.resolve(&draft).await.map_err(|error| error.to_string()), Some(draft)),
            Err(error) => (Err(error.to_string()), None),
        };
        self.put(app, settings, draft).await;
    }

    /// Puts `settings` in force; `draft` is how they are written, where that is new.
    async fn put(&mut self, app: &App, settings: Result<Resolved, String>, draft: Option<Draft>) {
        let done = match settings {
            // On the heap: it holds all engines in the making.
            Ok(settings) => Box::pin(self.completed(app, settings)).await,
            Err(error) => Err(error),
        };
        metrics::reloaded(done.is_ok());
        match done {
            Ok(()) => self.draft = draft.unwrap_or_else(|| self.draft.clone()),
            Err(error) => tracing::error!("the new settings are not taken, the last good ones stay in force: {error}"),
        }
    }

    async fn completed(&mut self, app: &App, mut settings: Resolved) -> Result<(), String> {
        discover(&mut settings, self.demo).await;
        let restart = self.in_force.restart_needed(&settings);
        app.reconfigure(&settings).await?;
        tracing::info!("new settings are in force");
        if !restart.is_empty() {
            tracing::warn!("these take a restart: {}", restart.join(", "));
        }
        self.in_force = settings;
        Ok(())
    }
}
