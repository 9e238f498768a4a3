//! `Stop`: ends a measurement on Ctrl-C or SIGTERM the orderly way, so that the processes it started end too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that every loop of the bench looks at.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// A flag that SIGINT and SIGTERM set. Where signals cannot be listened to it stays unset, and a signal ends the
    /// process as usual.
    pub fn on_signals() -> Stop {
        let stop = Stop::default();
        let flag = stop.clone();
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            return stop;
        };
        std::thread::spawn(move || {
            if runtime.block_on(signalled()).is_ok() {
                flag.set();
            }
        });
        stop
    }

    /// Asks everything to end.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether to end.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(unix)]
async fn signalled() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn signalled() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
