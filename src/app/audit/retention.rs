//! Retention: bases are put in place of rows that are too old, a few thousand rows at a time, so that whoever else writes need not wait.
//!
//! Each part is a transaction with a base of its own: wherever it is broken off, what is left can be verified.

use super::trust::NoTrust;
use super::{DAY_MS, RETENTION, Writer};
use std::time::Duration;

/// Rows that are taken out at once.
const PART: u64 = 4_000;
/// Between two parts.
const PAUSE: Duration = Duration::from_millis(100);

impl Writer {
    /// Takes out a part of what is too old; once in a while it looks what that is. Nothing goes where the log does not hold.
    pub(super) async fn forget(&mut self) {
        let Some(days) = self.settings.load().retention_days.filter(|_| self.broken.lock().is_none()) else {
            self.bases.clear();
            return;
        };
        let wait = if self.bases.is_empty() { RETENTION } else { PAUSE };
        if self.swept_at.elapsed() < wait {
            return;
        }
        self.swept_at = tokio::time::Instant::now();
        if let Err(why) = self.forget_part(days).await {
            self.bases.clear();
            self.unseen(&why).await;
        }
    }

    async fn forget_part(&mut self, days: u64) -> Result<(), NoTrust> {
        let (now_ms, key) = (self.clock.now_ms(), self.signer.public_key());
        if self.bases.is_empty() {
            let Some((to, _)) = self.database.audit_before(now_ms.saturating_sub(days.saturating_mul(DAY_MS))).await?
            else {
                return Ok(());
            };
            // What is taken out can never be verified again. The bases are what was seen now, whatever the rows say later.
            self.bases = self.trust.bases(&self.database, &key, to, PART).await?.into();
        }
        if let Some((seq, digest)) = self.bases.pop_front() {
            self.database.keep_checkpoint(&self.signer.checkpoint(seq, &digest, now_ms, true)).await?;
        }
        Ok(())
    }
}
