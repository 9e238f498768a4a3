//! New settings put in force when the file changes or on SIGHUP, when a secret changes that they refer to, and when something is made
//! at the admin surface; the last good ones stay when the new ones are wrong.

use super::assemble::{Assembled, assemble};
use super::build::App;
use super::discover::{OfFile, discover};
use crate::config::{Definition, Draft, Overrides, Resolved, Section, Watcher};
use crate::governance::definitions::{Id, InForce, LeftOut, Wish};
use crate::secrets::Secrets;
use crate::telemetry::metrics;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};

const LOOK: Duration = Duration::from_secs(1);

/// Puts settings in force, whoever wants others.
pub struct Reloader {
    watcher: Option<Watcher>,
    overrides: Overrides,
    demo: bool,
    secrets: Arc<Secrets>,
    /// The file, as it is written.
    file: Draft,
    /// What is in force, as it is written: with definitions.
    draft: Draft,
    in_force: Box<Resolved>,
    /// All that were made at the admin surface.
    definitions: Vec<Definition>,
    left_out: Vec<LeftOut>,
    wishes: Option<mpsc::Receiver<Wish>>,
    /// Not all that was made there could be put in force: it is tried again from then on.
    again: Option<Instant>,
}

/// What was left out, for a store of secrets that was away or a provider that another gateway had just taken, is tried again so often.
const AGAIN: Duration = Duration::from_secs(30);

impl Reloader {
    /// Of settings that were read as `file`, and what that refers to. Watches the file at `path` from now on, where there is one.
    pub fn new(
        path: Option<PathBuf>,
        overrides: Overrides,
        demo: bool,
        file: Draft,
        secrets: Arc<Secrets>,
    ) -> Reloader {
        let watcher = path.map(|path| Watcher::new(path, LOOK));
        let (draft, in_force) = (file.clone(), Box::new(file.settings().clone()));
        let (definitions, left_out, wishes, again) = (Vec::new(), Vec::new(), None, None);
        Reloader { watcher, overrides, demo, secrets, file, draft, in_force, definitions, left_out, wishes, again }
    }

    /// The gateway was built with `settings`, which are the file's. What was made at the admin surface is put in force beside it.
    pub async fn begin(&mut self, app: &App, settings: Resolved) {
        *self.in_force = settings;
        self.wishes = app.doors.definitions.wishes();
        self.tell(app);
        self.follow(app).await;
    }

    /// Does what is wanted, one after the other: never ends.
    pub async fn run(mut self, app: Arc<App>, asked: Arc<Notify>) {
        let mut wishes = self.wishes.take();
        let changed = app.doors.definitions.changed.clone();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let wish = async {
                match &mut wishes {
                    Some(wishes) => wishes.recv().await,
                    None => None,
                }
            };
            tokio::select! {
                _ = look.tick() => self.look(&app, false).await,
                () = asked.notified() => self.look(&app, true).await,
                () = changed.notified() => self.follow(&app).await,
                Some(wish) = wish => self.grant(&app, wish).await,
            }
        }
    }

    /// Looks once whether the file or a secret has changed, and puts it in force.
    pub async fn look(&mut self, app: &App, forced: bool) {
        // Looked at either way, so that a change seen here is not seen again.
        let changed = self.watcher.as_mut().is_some_and(Watcher::changed);
        if forced || changed {
            self.reload(app).await;
        } else if self.secrets.refresh(&self.draft, app.keys_are_refused()).await {
            let settings = self.secrets.fill(&self.draft).map_err(|error| error.to_string());
            let done = match settings {
                // On the heap: it holds all engines in the making.
                Ok(settings) => Box::pin(self.put(app, settings, OfFile::of(self.file.settings()))).await,
                Err(error) => Err(error),
            };
            said(&done);
        } else if self.again.is_some_and(|again| Instant::now() >= again) {
            self.try_again(app).await;
        }
    }

    /// Tries once more what could not be put in force, and changes nothing where that is still so.
    async fn try_again(&mut self, app: &App) {
        self.again = Some(Instant::now() + AGAIN);
        let Ok(definitions) = app.doors.definitions.all().await else { return };
        let Ok(Assembled { left_out, .. }) = self.assembled(app, &self.file, &definitions).await else { return };
        if definitions != self.definitions || left_out != self.left_out {
            said(&Box::pin(self.take(app, self.file.clone(), definitions)).await);
        }
    }

    async fn reload(&mut self, app: &App) {
        let file = match &self.watcher {
            Some(watcher) => Draft::load(watcher.path(), &self.overrides).map_err(|error| error.to_string()),
            None => Ok(self.file.clone()),
        };
        let done = match file {
            Ok(file) => Box::pin(self.take(app, file, self.definitions.clone())).await,
            Err(error) => Err(error),
        };
        said(&done);
    }

    /// Puts in force what is written in the database, where that is something else.
    async fn follow(&mut self, app: &App) {
        match app.doors.definitions.all().await {
            Ok(definitions) if definitions == self.definitions => {}
            Ok(definitions) => {
                let done = Box::pin(self.take(app, self.file.clone(), definitions)).await;
                if done.is_err() {
                    self.again = Some(Instant::now() + AGAIN);
                }
                said(&done);
            }
            Err(error) => {
                let error = error.message;
                tracing::error!(error, "what was made at the admin surface is not known; it is asked for again");
                app.doors.definitions.changed.notify_one();
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    async fn grant(&mut self, app: &App, wish: Wish) {
        let Wish { definitions, only_try, answer } = wish;
        let done = match only_try {
            true => Box::pin(self.assembled(app, &self.file, &definitions)).await.map(|assembled| assembled.left_out),
            false => {
                let done = Box::pin(self.take(app, self.file.clone(), definitions)).await;
                said(&done);
                done.map(|()| self.left_out.clone())
            }
        };
        let _ = answer.send(done);
    }

    /// Puts the file and definitions in force.
    async fn take(&mut self, app: &App, file: Draft, mut definitions: Vec<Definition>) -> Result<(), String> {
        definitions.sort_by(|one, other| (one.section, &one.name).cmp(&(other.section, &other.name)));
        let Assembled { draft, settings, left_out } = self.assembled(app, &file, &definitions).await?;
        self.put(app, settings, OfFile::of(file.settings())).await?;
        self.secrets.keep_only(&draft);
        self.again = (!left_out.is_empty()).then(|| Instant::now() + AGAIN);
        (self.file, self.draft, self.definitions, self.left_out) = (file, draft, definitions, left_out);
        self.tell(app);
        Ok(())
    }

    async fn assembled(&self, app: &App, file: &Draft, definitions: &[Definition]) -> Result<Assembled, String> {
        assemble(app, &self.secrets, file, definitions).await
    }

    /// Puts `settings` in force, of which so much is the file's.
    async fn put(&mut self, app: &App, mut settings: Resolved, of_file: OfFile) -> Result<(), String> {
        discover(&mut settings, self.demo, of_file).await;
        let restart = self.in_force.restart_needed(&settings);
        app.reconfigure(&settings).await?;
        tracing::info!("new settings are in force");
        if !restart.is_empty() {
            tracing::warn!("these take a restart: {}", restart.join(", "));
        }
        *self.in_force = settings;
        Ok(())
    }

    /// Tells the admin surface what is in force.
    fn tell(&self, app: &App) {
        let mut of_file = BTreeMap::new();
        for section in Section::ALL {
            of_file.extend(self.file.of_file(section).into_iter().map(|(name, entry)| ((section, name), entry)));
        }
        let left_out: BTreeMap<Id, String> =
            self.left_out.iter().map(|one| (one.id.clone(), one.why.clone())).collect();
        metrics::definitions_left_out(left_out.len());
        app.doors.definitions.told(InForce { of_file, left_out });
    }
}

fn said(done: &Result<(), String>) {
    metrics::reloaded(done.is_ok());
    if let Err(error) = done {
        tracing::error!("the new settings are not taken, the last good ones stay in force: {error}");
    }
}
