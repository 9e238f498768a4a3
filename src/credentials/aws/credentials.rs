//! `Credentials`: the access key of one who signs, fetched by one request at a time, kept, and renewed before it expires.

use super::Environment;
use super::source::Source;
use crate::config;
use crate::types::secret::Secret;
use parking_lot::RwLock;
use std::time::{Duration, SystemTime};

/// So long before it expires a key is renewed.
const MARGIN: Duration = Duration::from_secs(300);
/// So soon after a failure another try is made, while the old key still holds.
const RETRY: Duration = Duration::from_secs(30);
/// So soon after a failure another try is made where there is no key.
const PAUSE: Duration = Duration::from_secs(1);

/// An access key.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessKey {
    /// Its id.
    pub id: Secret,
    /// What is signed with.
    pub secret: Secret,
    /// The token of a temporary one.
    pub token: Option<Secret>,
}

/// An access key, and how long it holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fetched {
    pub(super) key: AccessKey,
    /// `None`: for ever.
    pub(super) until: Option<SystemTime>,
}

/// The access key of one who signs.
pub struct Credentials {
    source: Source,
    held: RwLock<Held>,
    /// Held by the one request that renews the key.
    renewing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Held {
    fetched: Option<Fetched>,
    /// From when on it is to be renewed.
    renew: Option<SystemTime>,
    /// The last failure, and when it was.
    failed: Option<(String, SystemTime)>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("source", &self.source.word()).finish_non_exhaustive()
    }
}

impl Credentials {
    /// The credentials that the settings tell, or else those that AWS's own tools would find.
    pub fn find(cloud: &config::Cloud, region: &str, environment: &Environment) -> Credentials {
        let source = Source::find(cloud, region, environment);
        Credentials { source, held: RwLock::default(), renewing: tokio::sync::Mutex::default() }
    }

    /// Did somebody tell of them? Otherwise they are those of the machine, if it has some.
    pub fn are_told(&self) -> bool {
        !matches!(self.source, Source::Instance(_))
    }

    /// The key. The error says in words, without secrets, why there is none.
    pub async fn key(&self) -> Result<AccessKey, String> {
        match self.at_hand(SystemTime::now()) {
            Some((key, true)) => return Ok(key),
            // Somebody else renews it, and it still holds.
            Some((key, false)) if self.renewing.try_lock().is_err() => return Ok(key),
            _ => {}
        }
        let _one = self.renewing.lock().await;
        let now = SystemTime::now();
        if let Some((key, true)) = self.at_hand(now) {
            return Ok(key);
        }
        if let Some((why, when)) = &self.held.read().failed
            && now.duration_since(*when).is_ok_and(|since| since < PAUSE)
        {
            return Err(why.clone());
        }
        let fetched = self.source.fetch().await;
        self.keep(fetched, SystemTime::now())
    }

    /// The key that holds, and whether it need not be renewed yet.
    fn at_hand(&self, now: SystemTime) -> Option<(AccessKey, bool)> {
        let held = self.held.read();
        let fetched = held.fetched.as_ref().filter(|fetched| fetched.until.is_none_or(|until| now < until))?;
        Some((fetched.key.clone(), held.renew.is_none_or(|renew| now < renew)))
    }

    fn keep(&self, fetched: Result<Fetched, String>, now: SystemTime) -> Result<AccessKey, String> {
        let old = self.at_hand(now);
        let mut held = self.held.write();
        match (fetched, old) {
            (Ok(fetched), _) => {
                let key = fetched.key.clone();
                let renew = fetched.until.map(|until| until.checked_sub(MARGIN).unwrap_or(until).max(now + PAUSE));
                *held = Held { fetched: Some(fetched), renew, failed: None };
                Ok(key)
            }
            (Err(why), Some((key, _))) => {
                tracing::warn!(
                    source = self.source.word(),
                    why,
                    "an AWS access key could not be renewed; it still holds"
                );
                held.renew = Some(now + RETRY);
                Ok(key)
            }
            (Err(why), None) => {
                held.failed = Some((why.clone(), now));
                Err(why)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        Credentials::find(
            &config::Cloud::default(),
            "us-east-1",
            &Environment::of(&[("AWS_EC2_METADATA_DISABLED", "true")]),
        )
    }

    fn fetched(id: &str, until: SystemTime) -> Result<Fetched, String> {
        let key = AccessKey { id: Secret::new(id), secret: Secret::new("hush"), token: None };
        Ok(Fetched { key, until: Some(until) })
    }

    #[test]
    fn a_key_is_kept_until_it_is_time_to_renew_it() {
        let (credentials, now) = (credentials(), SystemTime::now());
        let hour = Duration::from_secs(3600);
        credentials.keep(fetched("a", now + hour), now).unwrap();
        let at = |time| credentials.at_hand(time).map(|(key, fresh)| (key.id.expose().to_owned(), fresh));
        assert_eq!(at(now), Some(("a".to_owned(), true)));
        assert_eq!(at(now + hour - MARGIN), Some(("a".to_owned(), false)));
        assert_eq!(at(now + hour), None);
        let late = now + hour - Duration::from_secs(60);
        assert!(credentials.keep(Err("gone".into()), late).is_ok(), "it still holds");
        assert_eq!(at(late), Some(("a".to_owned(), true)), "another try later");
        assert_eq!(credentials.keep(Err("gone".into()), now + hour).unwrap_err(), "gone");
    }

    #[tokio::test]
    async fn no_key_is_told_and_not_looked_for_again_at_once() {
        let credentials = credentials();
        let first = credentials.key().await.unwrap_err();
        assert!(first.contains("AWS_ACCESS_KEY_ID"), "{first}");
        assert_eq!(credentials.key().await.unwrap_err(), first);
        assert!(!format!("{credentials:?}").contains("hush"));
    }
}
