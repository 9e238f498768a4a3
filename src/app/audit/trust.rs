//! `Trust`: how far this node has itself seen the audit log to be whole. Nothing is signed, and no row is taken out, that does not
//! follow from there: who can write to the database, and has not this node's data directory, gets no signature under a log that they
//! have made anew, cut off or changed.
//!
//! The head (the number and digest of the last row that was seen) stands in `audit.head` of the data directory, and goes forward with
//! each checkpoint. It is told with a MAC under a key that is made from that of the log: a head that another wrote is none.

use super::super::build::write_private;
use crate::store::audit_chain::{AuditRow, Broken, Checkpoint};
use crate::store::database::{AuditQuery, Database, DatabaseError};
use std::io;
use std::path::{Path, PathBuf};

/// Rows that are read at a time.
const CHUNK: u64 = 500;

/// A row, by its number and digest; the one before the first has 0 and none.
pub(super) type Head = (u64, String);

/// What this node vouches for.
#[derive(Debug)]
pub(super) struct Trust {
    path: Option<PathBuf>,
    mac_key: [u8; 32],
    head: Option<Head>,
}

/// Why nothing is vouched for.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoTrust {
    #[error("{0}")]
    Broken(#[from] Broken),
    #[error("the database does not answer: {0}")]
    Database(#[from] DatabaseError),
    #[error("`audit.head` of the data directory cannot be read or written: {0}")]
    File(#[from] io::Error),
}

impl Trust {
    /// The head is in that data directory; where there is none, in memory only. `seed` is that of the log's key.
    pub(super) fn new(data_dir: Option<&Path>, seed: &[u8; 32]) -> Trust {
        let mac_key = blake3::derive_key("askonce 2026 audit head v1", seed);
        Trust { path: data_dir.map(|dir| dir.join("audit.head")), mac_key, head: None }
    }

    /// The last row that was seen. The first time, what was signed with `public_key` last: that is as far as a node without a head can see.
    async fn head(&mut self, database: &Database, public_key: &str) -> Result<Head, NoTrust> {
        if let Some(head) = &self.head {
            return Ok(head.clone());
        }
        let text = match &self.path {
            Some(path) => match std::fs::read_to_string(path) {
                Ok(text) => Some(text),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error.into()),
            },
            None => None,
        };
        let head = match text {
            Some(text) => read(&text, &self.mac_key).ok_or_else(|| {
                io::Error::other("expected a number, a digest and their MAC under this gateway's `audit.key`")
            })?,
            None => {
                let head = last(&database.audit_checkpoints().await?, public_key).unwrap_or_default();
                if self.path.is_some() && (head.0 > 0 || database.audit_has_rows().await?) {
                    // A first start has no log yet: here the file was taken away, or the database was brought from elsewhere.
                    tracing::warn!(
                        row = head.0,
                        "`audit.head` is not in the data directory, but there is an audit log: what is believed of it is what this gateway signed last"
                    );
                }
                head
            }
        };
        self.head = Some(head.clone());
        Ok(head)
    }

    /// Sees whether the rows from the head up to `to`, which this node wrote, follow one from the other, and are those that are its
    /// `own`; if so, `to` is the head.
    pub(super) async fn advance(
        &mut self,
        database: &Database,
        public_key: &str,
        own: &[Head],
        to: &Head,
    ) -> Result<(), NoTrust> {
        let head = self.head(database, public_key).await?;
        if head == *to {
            return Ok(());
        }
        if to.0 <= head.0 {
            // The end was cut off, and so rows have the numbers of others.
            return Err(Broken::Otherwise(to.0).into());
        }
        let head = follow(database, head, own, to.0, |_| ()).await?;
        if head != *to {
            return Err(Broken::Otherwise(to.0).into());
        }
        if let Some(path) = &self.path {
            write(path, &head, &self.mac_key)?;
        }
        self.head = Some(head);
        Ok(())
    }

    /// Sees whether rows up to `to`, which are to be taken out, are still what was seen: from the last base on, up to the head. Gives
    /// rows that may be bases for them, at most `part` rows apart, the last of which is `to`; none, if it was not seen yet.
    pub(super) async fn bases(
        &mut self,
        database: &Database,
        public_key: &str,
        to: u64,
        part: u64,
    ) -> Result<Vec<Head>, NoTrust> {
        let head = self.head(database, public_key).await?;
        if to > head.0 {
            return Ok(Vec::new());
        }
        let checkpoints = database.audit_checkpoints().await?;
        let base = checkpoints.iter().rfind(|one| one.is_base && one.is_signed_by(public_key));
        let base = base.map_or_else(Head::default, |one| (one.seq, one.digest.clone()));
        let (first, last, mut bases) = (base.0, head.0, Vec::new());
        if first < last {
            let seen = |row: &Head| {
                if row.0 == to || (row.0 < to && (row.0 - first).is_multiple_of(part)) {
                    bases.push(row.clone());
                }
            };
            follow(database, base, &[head], last, seen).await?;
        }
        Ok(bases)
    }
}

/// Reads the rows after `head` up to `to`, and tells `seen` of each. Gives the last one; an error where one does not follow, or is not as
/// this node wrote it.
async fn follow(
    database: &Database,
    mut head: Head,
    own: &[Head],
    to: u64,
    mut seen: impl FnMut(&Head),
) -> Result<Head, NoTrust> {
    while head.0 < to {
        let query = AuditQuery { after: head.0, most: CHUNK.min(to - head.0), ..AuditQuery::default() };
        let rows = database.audit(&query).await?;
        if rows.is_empty() {
            return Err(Broken::Missing(head.0 + 1).into());
        }
        for row in &rows {
            head = next(&head, row, own)?;
            seen(&head);
        }
    }
    Ok(head)
}

fn next(head: &Head, row: &AuditRow, own: &[Head]) -> Result<Head, Broken> {
    if row.seq != head.0 + 1 {
        return Err(Broken::Missing(head.0 + 1));
    }
    if row.previous != head.1 {
        return Err(Broken::Torn(row.seq));
    }
    if row.computed() != row.digest {
        return Err(Broken::Changed(row.seq));
    }
    if own.iter().any(|(seq, digest)| *seq == row.seq && *digest != row.digest) {
        return Err(Broken::Otherwise(row.seq));
    }
    Ok((row.seq, row.digest.clone()))
}

/// The last row that was signed with that key.
fn last(checkpoints: &[Checkpoint], public_key: &str) -> Option<Head> {
    let own = checkpoints.iter().filter(|one| one.is_signed_by(public_key));
    own.max_by_key(|one| one.seq).map(|one| (one.seq, one.digest.clone()))
}

fn read(text: &str, mac_key: &[u8; 32]) -> Option<Head> {
    let (told, mac) = text.trim().rsplit_once(' ')?;
    // Hashes are compared in constant time.
    if blake3::Hash::from_hex(mac).ok()? != blake3::keyed_hash(mac_key, told.as_bytes()) {
        return None;
    }
    let (seq, digest) = told.split_once(' ')?;
    let seq: u64 = seq.parse().ok()?;
    blake3::Hash::from_hex(digest).ok()?;
    Some((seq, digest.to_owned()))
}

/// In place of the one that is there, as a whole.
fn write(path: &Path, (seq, digest): &Head, mac_key: &[u8; 32]) -> io::Result<()> {
    let (new, told) = (path.with_extension("head.new"), format!("{seq} {digest}"));
    let mac = blake3::keyed_hash(mac_key, told.as_bytes()).to_hex();
    write_private(&new, format!("{told} {mac}\n").as_bytes())?;
    std::fs::File::open(&new)?.sync_all()?;
    std::fs::rename(&new, path)?;
    // The name is on disk with its folder.
    #[cfg(unix)]
    path.parent().map_or(Ok(()), |dir| std::fs::File::open(dir)?.sync_all())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::audit_chain::{Signer, Verifier};
    use crate::types::audit::AuditEvent;

    async fn log(rows: u64) -> (Database, Vec<Head>) {
        let database = Database::in_memory().await.unwrap();
        let mut heads = Vec::new();
        for number in 0..rows {
            let event = AuditEvent { actor: format!("a{number}"), ..AuditEvent::default() };
            heads.push(database.add_to_audit(&[(number, event)]).await.unwrap());
        }
        (database, heads)
    }

    fn signer() -> Signer {
        Signer::new(&[7; 32]).unwrap()
    }

    #[tokio::test]
    async fn the_head_goes_forward_and_outlives_the_process() {
        let (key, dir) = (signer().public_key(), tempfile::tempdir().unwrap());
        let (database, heads) = log(1_203).await;
        let mut trust = Trust::new(Some(dir.path()), &[7; 32]);
        trust.advance(&database, &key, &heads, &heads[1_199]).await.unwrap();
        let mut again = Trust::new(Some(dir.path()), &[7; 32]);
        assert_eq!(again.head(&database, &key).await.unwrap(), heads[1_199]);
        again.advance(&database, &key, &[], &heads[1_202]).await.unwrap();
        again.advance(&database, &key, &[], &heads[1_202]).await.unwrap();
        let broken = again.advance(&database, &key, &[], &heads[1_201]).await;
        assert!(matches!(broken, Err(NoTrust::Broken(Broken::Otherwise(1_202)))), "the end is not there any more");
        let ahead = again.advance(&database, &key, &[], &(1_204, String::new())).await;
        assert!(matches!(ahead, Err(NoTrust::Broken(Broken::Missing(1_204)))));
        let bases: Vec<u64> =
            again.bases(&database, &key, 600, 250).await.unwrap().into_iter().map(|one| one.0).collect();
        assert_eq!(bases, [250, 500, 600]);
        assert_eq!(again.bases(&database, &key, 9_999, 250).await.unwrap(), [], "nobody has seen that");
        // A head that was not written with this key is none, be it ever so well-formed.
        let (path, (seq, digest)) = (dir.path().join("audit.head"), &heads[4]);
        let others = blake3::keyed_hash(&[1; 32], format!("{seq} {digest}").as_bytes()).to_hex();
        for text in ["nonsense".to_owned(), format!("{seq} {digest}"), format!("{seq} {digest} {others}")] {
            std::fs::write(&path, text).unwrap();
            let broken = Trust::new(Some(dir.path()), &[7; 32]).advance(&database, &key, &[], &heads[1_202]).await;
            assert!(matches!(broken, Err(NoTrust::File(_))));
        }
    }

    #[tokio::test]
    async fn what_was_made_anew_or_cut_off_is_not_followed() {
        let key = signer().public_key();
        let (database, heads) = log(6).await;
        let mut trust = Trust::new(None, &[7; 32]);
        trust.advance(&database, &key, &heads, &heads[3]).await.unwrap();
        // Another log, as one who knows how makes it.
        let forged = Database::in_memory().await.unwrap();
        let mut last = Head::default();
        for number in 0..8 {
            last = forged.add_to_audit(&[(number, AuditEvent::default())]).await.unwrap();
        }
        let torn = trust.advance(&forged, &key, &[], &last).await;
        assert!(matches!(torn, Err(NoTrust::Broken(Broken::Torn(5)))), "{torn:?}");
        // The end was cut off, and others were written in its place: row 6 is not the one that this node wrote.
        let (cut, _) = log(5).await;
        let last = cut.add_to_audit(&[(1, AuditEvent::default()), (2, AuditEvent::default())]).await.unwrap();
        let otherwise = trust.advance(&cut, &key, &heads, &last).await;
        assert!(matches!(otherwise, Err(NoTrust::Broken(Broken::Otherwise(6)))), "{otherwise:?}");
    }

    #[tokio::test]
    async fn a_node_without_a_head_begins_where_it_signed_last() {
        let key = signer().public_key();
        let (database, heads) = log(5).await;
        database.keep_checkpoint(&signer().checkpoint(3, &heads[2].1, 1, false)).await.unwrap();
        let other = Signer::new(&[8; 32]).unwrap();
        database.keep_checkpoint(&other.checkpoint(5, &heads[4].1, 1, false)).await.unwrap();
        assert_eq!(Trust::new(None, &[7; 32]).head(&database, &key).await.unwrap(), heads[2]);
    }

    #[tokio::test]
    async fn wherever_taking_out_breaks_off_what_is_left_can_be_verified() {
        let key = signer().public_key();
        let (database, heads) = log(10).await;
        let mut trust = Trust::new(None, &[7; 32]);
        trust.advance(&database, &key, &heads, &heads[9]).await.unwrap();
        let bases = trust.bases(&database, &key, 7, 3).await.unwrap();
        assert_eq!(bases, [heads[2].clone(), heads[5].clone(), heads[6].clone()]);
        for (seq, digest) in bases {
            database.keep_checkpoint(&signer().checkpoint(seq, &digest, 1, true)).await.unwrap();
            let rows = database.audit(&AuditQuery { most: 100, ..AuditQuery::default() }).await.unwrap();
            let mut verifier = Verifier::new(database.audit_checkpoints().await.unwrap(), &key).unwrap();
            rows.iter().try_for_each(|row| verifier.row(row)).unwrap();
            assert_eq!(verifier.end().unwrap().rows, 10 - seq);
        }
        assert_eq!(trust.bases(&database, &key, 9, 5).await.unwrap(), [heads[8].clone()], "on from the last base");
    }

    #[tokio::test]
    async fn rows_that_were_edited_or_taken_away_get_no_base() {
        let key = signer().public_key();
        for (text, wrong) in [
            ("UPDATE audit SET actor = 'nobody' WHERE seq = 3", Broken::Changed(3)),
            ("DELETE FROM audit WHERE seq = 3", Broken::Missing(3)),
            ("DELETE FROM audit WHERE seq > 4", Broken::Missing(5)),
            ("UPDATE audit SET actor_id = 'u1' WHERE seq = 2", Broken::Changed(2)),
        ] {
            let (database, heads) = log(6).await;
            let mut trust = Trust::new(None, &[7; 32]);
            trust.advance(&database, &key, &heads, &heads[5]).await.unwrap();
            database.tamper(text).await;
            let found = trust.bases(&database, &key, 4, 2).await;
            assert!(matches!(&found, Err(NoTrust::Broken(broken)) if *broken == wrong), "{text}: {found:?}");
        }
        // Signatures of another key are no word of this node's, wherever they stand.
        let (database, heads) = log(6).await;
        let mut trust = Trust::new(None, &[7; 32]);
        trust.advance(&database, &key, &heads, &heads[5]).await.unwrap();
        let other = Signer::new(&[8; 32]).unwrap();
        database.keep_checkpoint(&other.checkpoint(3, &heads[2].1, 1, true)).await.unwrap();
        let found = trust.bases(&database, &key, 5, 2).await;
        assert!(matches!(found, Err(NoTrust::Broken(Broken::Missing(1)))), "{found:?}");
    }
}
