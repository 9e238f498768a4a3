//! New settings put in force when the file changes or on SIGHUP; the last good ones stay when the new ones are wrong.

use super::build::App;
use super::discover::discover;
use crate::config::{self, Overrides, Resolved, Watcher};
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
    in_force: Resolved,
}

impl Reloader {
    /// Watches `path` from now on; make it before the file is first read, so that no change falls in between.
    pub fn watch(path: PathBuf, overrides: Overrides, demo: bool, in_force: Resolved) -> Reloader {
        let watcher = Watcher::new(&path, LOOK);
        Reloader { path, overrides, demo, watcher, in_force }
    }

    /// What is to be in force; filled in once it has been read and completed.
    pub fn begin_with(&mut self, settings: Resolved) {
        self.in_force = settings;
    }

    /// Reloads on a change of the file, and whenever `asked` is notified. Never ends.
    pub async fn run(mut self, app: Arc<App>, asked: Arc<Notify>) {
        loop {
            let forced = tokio::select! {
                () = tokio::time::sleep(self.watcher.interval()) => false,
                () = asked.notified() => true,
            };
            // Looked at either way, so that a change seen here is not seen again.
            let changed = self.watcher.changed();
            if forced || changed {
                self.reload(&app).await;
            }
        }
    }

    async fn reload(&mut self, app: &App) {
        let mut settings = match config::load(&self.path, &self.overrides) {
            Ok(settings) => settings,
            Err(error) => {
                metrics::reloaded(false);
                tracing::error!("the new settings are not taken, the last good ones stay in force: {error}");
                return;
            }
        };
        discover(&mut settings, self.demo).await;
        let restart = self.in_force.restart_needed(&settings);
        match app.reconfigure(&settings).await {
            Ok(()) => {
                metrics::reloaded(true);
                tracing::info!("new settings are in force");
                if !restart.is_empty() {
                    tracing::warn!("these take a restart: {}", restart.join(", "));
                }
                self.in_force = settings;
            }
            Err(error) => {
                metrics::reloaded(false);
                tracing::error!("the new settings are not taken, the last good ones stay in force: {error}");
            }
        }
    }
}
