//! `Progress`: one bar for the whole measurement, on standard error.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// The bar; it counts milliseconds of planned load. Not a terminal, or `--json`: nothing is drawn.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar over `planned` of load.
    pub fn start(planned: Duration, hidden: bool) -> Progress {
        if hidden {
            return Progress(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(planned.as_millis() as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3}%  {msg}") {
            bar.set_style(style);
        }
        Progress(bar)
    }

    /// Says what is going on.
    pub fn say(&self, text: String) {
        self.0.set_message(text);
    }

    /// So much load has run.
    pub fn advance(&self, passed: Duration) {
        self.0.inc(passed.as_millis() as u64);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}
