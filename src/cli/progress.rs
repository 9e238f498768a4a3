//! A progress bar for model downloads, on standard error.

use askonce_models::PullProgress;
use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;

/// Shows a pull on the terminal; plain lines where there is none.
#[derive(Default)]
pub(super) struct Bar {
    bar: Mutex<Option<ProgressBar>>,
}

impl PullProgress for Bar {
    fn note(&self, text: &str) {
        match &*self.bar.lock() {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    fn start(&self, file: &str, bytes: Option<u64>) {
        let bar = match bytes {
            Some(bytes) => ProgressBar::new(bytes),
            None => ProgressBar::new_spinner(),
        };
        let style = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_message(file.to_owned());
        *self.bar.lock() = Some(bar);
    }

    fn advance(&self, bytes: u64) {
        if let Some(bar) = &*self.bar.lock() {
            bar.inc(bytes);
        }
    }

    fn done(&self) {
        if let Some(bar) = self.bar.lock().take() {
            bar.finish_and_clear();
        }
    }
}
