//! The audit log as a chain: each row holds the digest of the one before it, and from time to time a checkpoint is signed. Pure: rows in,
//! verdict out.
//!
//! Whoever edits, deletes, swaps or adds a row has to make all digests after it anew, and then no checkpoint after it fits; and checkpoints
//! nobody can make without the key. Rows after the last checkpoint can be cut off without a trace in the log itself: a checkpoint that
//! was kept elsewhere tells that, as far as it reaches.

use crate::types::audit::AuditEvent;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

/// One row. Digests are in hexadecimal digits; that before the first row is empty.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AuditRow {
    /// Its number: the first has 1.
    pub seq: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who.
    pub actor: String,
    /// By what they are known for good; empty where they are by nothing but their name, and in rows of before there was this.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub actor_id: String,
    /// What.
    pub action: String,
    /// To what.
    pub target: String,
    /// `done`, `refused`, `failed`.
    pub outcome: String,
    /// More, as JSON text.
    pub detail: String,
    /// The request that asked for it.
    pub request_id: String,
    /// The address that asked.
    pub address: String,
    /// The digest of the row before.
    pub previous: String,
    /// That of this one.
    pub digest: String,
}

/// A signed word that the chain had this digest at this row.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The number of the row.
    pub seq: u64,
    /// When it was signed, in milliseconds since 1970.
    pub at_ms: u64,
    /// The digest of the row.
    pub digest: String,
    /// It stands for all rows up to it, which are there no more.
    pub is_base: bool,
    /// The key that signed it, in base64.
    pub public_key: String,
    /// In base64.
    pub signature: String,
}

/// What is wrong with a chain.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Broken {
    /// The content of a row is not what it was.
    #[error("row {0} was changed: its digest is not that of its content")]
    Changed(u64),
    /// It does not follow the row before it.
    #[error("row {0} does not follow the row before it: a row was changed, added or taken away")]
    Torn(u64),
    /// Rows are not there.
    #[error("rows from {0} on are missing")]
    Missing(u64),
    /// A checkpoint is of another chain.
    #[error("at row {0} the chain is not what was signed: it was made anew")]
    Otherwise(u64),
    /// A checkpoint was not signed with the key.
    #[error("the checkpoint at row {0} was not signed with the key that is trusted")]
    Forged(u64),
}

/// What verification found of a chain that holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verified {
    /// Rows that were looked at.
    pub rows: u64,
    /// The last one.
    pub last: u64,
    /// Checkpoints that fit.
    pub checkpoints: u64,
    /// The last row that a checkpoint vouches for.
    pub vouched: u64,
}

impl AuditRow {
    /// The row of an event, after a row with the digest `previous`.
    pub fn new(seq: u64, at_ms: u64, event: &AuditEvent, previous: &str) -> AuditRow {
        let row = AuditRow {
            seq,
            at_ms,
            actor: event.actor.clone(),
            actor_id: event.actor_id.clone(),
            action: event.action.clone(),
            target: event.target.clone(),
            outcome: event.outcome.as_str().to_owned(),
            detail: event.detail.clone(),
            request_id: event.request_id.clone(),
            address: event.address.clone(),
            previous: previous.to_owned(),
            digest: String::new(),
        };
        AuditRow { digest: row.computed(), ..row }
    }

    /// The digest of what it says: each text with its length before it, so that no two rows read the same. One without an
    /// `actor_id` has the digest of before there was one.
    pub fn computed(&self) -> String {
        let version = if self.actor_id.is_empty() { "askonce 2026 audit row v1" } else { "askonce 2026 audit row v2" };
        let mut hasher = blake3::Hasher::new_derive_key(version);
        hasher.update(&self.seq.to_le_bytes());
        hasher.update(&self.at_ms.to_le_bytes());
        let texts = [
            &self.previous,
            &self.actor,
            &self.action,
            &self.target,
            &self.outcome,
            &self.detail,
            &self.request_id,
            &self.address,
        ];
        let own = Some(&self.actor_id).filter(|id| !id.is_empty());
        for text in texts.into_iter().chain(own) {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// Signs checkpoints.
pub struct Signer(Ed25519KeyPair);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    /// One with the key that has this seed.
    pub fn new(seed: &[u8; 32]) -> Result<Signer, String> {
        Ed25519KeyPair::from_seed_unchecked(seed).map(Signer).map_err(|error| error.to_string())
    }

    /// What verifies its signatures, in base64.
    pub fn public_key(&self) -> String {
        STANDARD.encode(self.0.public_key().as_ref())
    }

    /// Signs that the chain has this digest at this row.
    pub fn checkpoint(&self, seq: u64, digest: &str, at_ms: u64, is_base: bool) -> Checkpoint {
        let signature = self.0.sign(&told(seq, digest, at_ms, is_base));
        Checkpoint {
            seq,
            at_ms,
            digest: digest.to_owned(),
            is_base,
            public_key: self.public_key(),
            signature: STANDARD.encode(signature.as_ref()),
        }
    }
}

fn told(seq: u64, digest: &str, at_ms: u64, is_base: bool) -> Vec<u8> {
    format!("askonce audit checkpoint v1\n{seq}\n{digest}\n{at_ms}\n{is_base}\n").into_bytes()
}

impl Checkpoint {
    /// Was it signed with the key `public_key` (in base64)?
    pub fn is_signed_by(&self, public_key: &str) -> bool {
        let decoded = (STANDARD.decode(public_key), STANDARD.decode(&self.signature));
        let (Ok(key), Ok(signature)) = decoded else { return false };
        let message = told(self.seq, &self.digest, self.at_ms, self.is_base);
        UnparsedPublicKey::new(&ED25519, key).verify(&message, &signature).is_ok()
    }
}

/// Verifies a chain, row by row, the first one first.
#[derive(Debug)]
pub struct Verifier {
    /// By their rows, the first one first.
    checkpoints: Vec<Checkpoint>,
    next: usize,
    /// A row that was seen elsewhere, unsigned: its number and digest.
    seen: Option<(u64, String)>,
    seq: u64,
    digest: String,
    found: Verified,
}

impl Verifier {
    /// One that trusts the key `public_key`. Of `checkpoints`, one that is no base may be from elsewhere.
    pub fn new(mut checkpoints: Vec<Checkpoint>, public_key: &str) -> Result<Verifier, Broken> {
        if let Some(forged) = checkpoints.iter().find(|one| !one.is_signed_by(public_key)) {
            return Err(Broken::Forged(forged.seq));
        }
        checkpoints.sort_by_key(|one| one.seq);
        let base = checkpoints.iter().rposition(|one| one.is_base);
        let (seq, digest) = base.map_or((0, String::new()), |at| (checkpoints[at].seq, checkpoints[at].digest.clone()));
        // What was there before the base is vouched for by nothing that is left.
        checkpoints.retain(|one| one.seq > seq);
        let found = Verified { last: seq, vouched: seq, ..Verified::default() };
        Ok(Verifier { checkpoints, next: 0, seen: None, seq, digest, found })
    }

    /// It trusts as well that there was this row, as a gateway remembers it in `audit.head`. One that a base stands for says nothing.
    pub fn expecting(self, seq: u64, digest: String) -> Verifier {
        let seen = (seq > self.seq).then_some((seq, digest));
        Verifier { seen, ..self }
    }

    /// The next row.
    pub fn row(&mut self, row: &AuditRow) -> Result<(), Broken> {
        if row.seq != self.seq + 1 {
            return Err(if row.seq > self.seq + 1 { Broken::Missing(self.seq + 1) } else { Broken::Torn(row.seq) });
        }
        if row.previous != self.digest {
            return Err(Broken::Torn(row.seq));
        }
        if row.computed() != row.digest {
            return Err(Broken::Changed(row.seq));
        }
        if let Some((_, digest)) = self.seen.take_if(|(seq, _)| *seq == row.seq)
            && digest != row.digest
        {
            return Err(Broken::Otherwise(row.seq));
        }
        (self.seq, self.digest) = (row.seq, row.digest.clone());
        self.found.rows += 1;
        self.found.last = row.seq;
        while let Some(checkpoint) = self.checkpoints.get(self.next).filter(|one| one.seq == row.seq) {
            if checkpoint.digest != row.digest {
                return Err(Broken::Otherwise(row.seq));
            }
            self.next += 1;
            self.found.checkpoints += 1;
            self.found.vouched = row.seq;
        }
        Ok(())
    }

    /// There are no more rows.
    pub fn end(self) -> Result<Verified, Broken> {
        match (self.checkpoints.get(self.next), self.seen) {
            (Some(_), _) | (_, Some(_)) => Err(Broken::Missing(self.seq + 1)),
            (None, None) => Ok(self.found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::audit::AuditOutcome;
    use proptest::prelude::*;

    fn signer() -> Signer {
        Signer::new(&[9; 32]).unwrap()
    }

    fn chain(length: u64) -> Vec<AuditRow> {
        let mut previous = String::new();
        (1..=length)
            .map(|seq| {
                let event = AuditEvent {
                    actor: format!("user `{}`", seq % 3),
                    action: "keys.create".into(),
                    target: format!("key-{seq}"),
                    outcome: AuditOutcome::Done,
                    detail: "{}".into(),
                    ..AuditEvent::default()
                };
                let row = AuditRow::new(seq, 1_000 * seq, &event, &previous);
                previous = row.digest.clone();
                row
            })
            .collect()
    }

    fn verify(rows: &[AuditRow], checkpoints: &[Checkpoint]) -> Result<Verified, Broken> {
        let mut verifier = Verifier::new(checkpoints.to_vec(), &signer().public_key())?;
        rows.iter().try_for_each(|row| verifier.row(row))?;
        verifier.end()
    }

    fn at(rows: &[AuditRow], seq: u64, is_base: bool) -> Checkpoint {
        signer().checkpoint(seq, &rows[seq as usize - 1].digest, 5, is_base)
    }

    #[test]
    fn a_whole_chain_holds_and_so_does_one_that_begins_at_a_base() {
        let rows = chain(20);
        assert_eq!(verify(&[], &[]), Ok(Verified::default()));
        let found = verify(&rows, &[at(&rows, 10, false), at(&rows, 15, false)]).unwrap();
        assert_eq!(found, Verified { rows: 20, last: 20, checkpoints: 2, vouched: 15 });
        let based = [at(&rows, 4, false), at(&rows, 10, true), at(&rows, 15, false)];
        assert_eq!(verify(&rows[10..], &based).unwrap().rows, 10);
        assert_eq!(verify(&rows[10..], &[]), Err(Broken::Missing(1)), "a base has to be signed");
        assert_eq!(verify(&rows[11..], &based), Err(Broken::Missing(11)));
    }

    #[test]
    fn a_row_that_a_gateway_remembers_has_to_be_there() {
        let (rows, anew) = (chain(5), chain(6).split_off(1));
        let with = |rows: &[AuditRow], seq: u64, digest: &str| {
            let verifier = Verifier::new(Vec::new(), &signer().public_key()).unwrap();
            let mut verifier = verifier.expecting(seq, digest.to_owned());
            rows.iter().try_for_each(|row| verifier.row(row))?;
            verifier.end()
        };
        let last = rows[4].digest.as_str();
        assert_eq!(with(&rows, 5, last).unwrap().rows, 5);
        assert_eq!(with(&rows[..3], 5, last), Err(Broken::Missing(4)), "the end was cut off");
        assert_eq!(with(&rows, 5, &anew[0].digest), Err(Broken::Otherwise(5)), "it was made anew");
    }

    #[test]
    fn rows_of_before_there_were_ids_keep_their_digest() {
        let event = AuditEvent { actor: "user `ada`".into(), action: "keys.create".into(), ..AuditEvent::default() };
        let old = AuditRow::new(1, 2, &event, "");
        let digest = old.digest.clone();
        assert_eq!(digest, "cb472039a59b141d383a47cacce4e297aec75cec126ccf72fb7820a27c823858");
        let line = serde_json::to_string(&old).unwrap();
        assert!(!line.contains("actor_id"));
        assert_eq!(serde_json::from_str::<AuditRow>(&line).unwrap(), old);
        let new = AuditRow::new(1, 2, &AuditEvent { actor_id: "u1".into(), ..event }, "");
        assert_ne!(new.digest, digest);
        assert_ne!(
            AuditRow { actor_id: String::new(), ..new.clone() }.computed(),
            new.digest,
            "it cannot be taken away"
        );
    }

    #[test]
    fn who_has_not_the_key_makes_no_checkpoint() {
        let rows = chain(5);
        let good = at(&rows, 5, false);
        for bad in [
            Checkpoint { seq: 4, ..good.clone() },
            Checkpoint { is_base: true, ..good.clone() },
            Checkpoint { at_ms: 6, ..good.clone() },
            Checkpoint { signature: "no".into(), ..good.clone() },
            Signer::new(&[8; 32]).unwrap().checkpoint(5, &rows[4].digest, 5, false),
        ] {
            assert!(matches!(verify(&rows, &[bad]), Err(Broken::Forged(_))));
        }
    }

    proptest! {
        /// Any one row that is edited, taken away, doubled or swapped is found; and a chain that is made anew does not fit what was signed.
        #[test]
        fn whatever_is_done_to_a_row_is_found(length in 2u64..30, at_row in any::<prop::sample::Index>(), what in 0usize..13) {
            let rows = chain(length);
            let signed = [at(&rows, length, false)];
            let mut bad = rows.clone();
            let row = at_row.index(length as usize);
            match what {
                0 => bad[row].actor.push('x'),
                1 => bad[row].action = "nothing".into(),
                2 => bad[row].target.clear(),
                3 => bad[row].outcome = "failed".into(),
                4 => bad[row].detail.push(' '),
                5 => bad[row].at_ms += 1,
                6 => bad[row].request_id = "r".into(),
                7 => bad[row].address = "10.0.0.1".into(),
                8 => drop(bad.remove(row)),
                9 => bad.insert(row, rows[row].clone()),
                10 => bad[row].actor_id = "u1".into(),
                11 => bad.swap(row, (row + 1) % length as usize),
                _ => {
                    // One who knows how makes all digests anew.
                    bad[row].actor = "nobody".into();
                    for at in row..bad.len() {
                        bad[at].previous = if at == 0 { String::new() } else { bad[at - 1].digest.clone() };
                        bad[at].digest = bad[at].computed();
                    }
                }
            }
            prop_assert!(verify(&bad, &signed).is_err());
            prop_assert!(verify(&rows, &signed).is_ok());
        }

        /// Texts that are moved from one field to the next make another digest.
        #[test]
        fn no_two_rows_read_the_same(actor in "[a-c]{0,4}", action in "[a-c]{0,4}", moved in 0usize..5) {
            let event = AuditEvent { actor: actor.clone(), action: action.clone(), ..AuditEvent::default() };
            let both = format!("{actor}{action}");
            let cut = moved.min(both.len());
            let other = AuditEvent { actor: both[..cut].into(), action: both[cut..].into(), ..AuditEvent::default() };
            let same = AuditRow::new(1, 1, &event, "").digest == AuditRow::new(1, 1, &other, "").digest;
            prop_assert_eq!(same, event == other);
        }
    }
}
