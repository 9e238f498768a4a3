//! `Keys`: which of a provider's keys a request goes with, within what each may be used for.

use super::Reply;
use crate::config;
use crate::types::error::{Error, ErrorKind};
use crate::types::secret::Secret;
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use parking_lot::Mutex;
use rand::Rng;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a limit of requests is counted over.
const MINUTE: Duration = Duration::from_secs(60);

/// The code of an error that says so of all keys.
pub const ALL_AT_LIMITS: &str = "provider_keys_at_limit";

/// When to come back to a key that is at its limit of requests under way: nobody knows when one of them ends.
const SOON: Duration = Duration::from_secs(1);

/// The keys of one provider.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    provider: String,
    keys: Vec<Key>,
}

/// One key, and what it is in use for.
#[derive(Clone, Debug)]
struct Key {
    settings: config::ProviderKey,
    used: Arc<Mutex<Used>>,
}

/// What a key is in use for now. Held for a few instructions at a time, never over an await.
#[derive(Debug, Default)]
struct Used {
    /// When the requests of the last minute began; kept only where they are limited, and no longer than the limit.
    begun: VecDeque<Instant>,
    /// Requests under way; counted only where they are limited.
    under_way: usize,
}

/// A key that a request goes with. A place among its requests under way is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    key: Secret,
    /// Whose place is given back.
    used: Option<Arc<Mutex<Used>>>,
}

impl Keys {
    /// The keys that the settings name; `api_key` is one for all models.
    pub(super) fn new(settings: &config::Provider) -> Keys {
        let alone = settings.api_key.clone().map(|key| config::ProviderKey {
            name: "default".to_owned(),
            key,
            weight: 1.0,
            models: Vec::new(),
            limits: config::KeyLimits::default(),
        });
        let all = alone.into_iter().chain(settings.keys.iter().cloned());
        Keys {
            provider: settings.name.clone(),
            keys: all.map(|settings| Key { settings, used: Arc::default() }).collect(),
        }
    }

    /// Is there none?
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Takes a key for `model`, by the keys' shares, passing over those that are at their limits. `None`: the provider has
    /// no keys. The error lets another target be tried: no key is for this model, or all that are have reached a limit.
    /// Where `name` is told, that key only: which one is another's choice.
    pub(super) fn take(&self, model: &str, name: Option<&str>) -> Result<Option<Taken>, Error> {
        self.take_at(model, name, Instant::now())
    }

    fn take_at(&self, model: &str, name: Option<&str>, now: Instant) -> Result<Option<Taken>, Error> {
        if self.keys.is_empty() {
            return Ok(None);
        }
        let is_meant = |key: &&Key| name.is_none_or(|name| key.settings.name == name);
        let mut left: Vec<&Key> = self.keys.iter().filter(is_meant).filter(|key| key.is_for(model)).collect();
        if left.is_empty() {
            return Err(self.none_for(model));
        }
        let mut soonest = MINUTE;
        while let Some(key) = by_share(&left, |key| key.settings.weight) {
            match left.get(key).map(|key| key.begin(now)) {
                Some(Ok(taken)) => return Ok(Some(taken)),
                Some(Err(wait)) => soonest = soonest.min(wait),
                None => break,
            }
            left.swap_remove(key);
        }
        Err(self.all_at_limits(soonest))
    }

    /// Sends a request for `model` with a key that is taken for it, and holds the key's place until the reply's body ends.
    pub(super) async fn held<F>(
        &self,
        model: &str,
        name: Option<&str>,
        send: impl FnOnce(Option<Secret>) -> F,
    ) -> Result<Reply, Error>
    where
        F: Future<Output = Result<Reply, Error>>,
    {
        let taken = self.take(model, name)?;
        let mut reply = send(taken.as_ref().map(|taken| taken.key.clone())).await?;
        if let Some(taken) = taken {
            reply.body = taken.hold(reply.body);
        }
        Ok(reply)
    }

    /// A key for `model`, by the keys' shares; any key for a request that names no model. For what is no request of a
    /// caller: limits do not hold.
    pub(super) fn choose(&self, model: &str) -> Option<&Secret> {
        let fit: Vec<&Key> = self.keys.iter().filter(|key| key.is_for(model)).collect();
        let at = by_share(&fit, |key| key.settings.weight)?;
        fit.get(at).map(|key| &key.settings.key)
    }

    fn none_for(&self, model: &str) -> Error {
        let shown: String = model.chars().take(100).collect();
        let message = format!("No key of provider `{}` is for the model `{shown}` (`keys[].models`).", self.provider);
        Error::new(ErrorKind::UpstreamStatus(404), message).with_code("no_key_for_model")
    }

    fn all_at_limits(&self, soonest: Duration) -> Error {
        let message = format!(
            "Every key of provider `{}` that may be used has reached a limit of its own (`keys[].limits`).",
            self.provider
        );
        let error = Error::new(ErrorKind::UpstreamStatus(429), message).with_code(ALL_AT_LIMITS);
        Error { retry_after: Some(soonest), ..error }
    }
}

impl Key {
    fn is_for(&self, model: &str) -> bool {
        let models = &self.settings.models;
        model.is_empty() || models.is_empty() || models.iter().any(|one| one == model)
    }

    /// Counts one request more. The error is how long to wait where a limit is reached.
    fn begin(&self, now: Instant) -> Result<Taken, Duration> {
        let config::KeyLimits { requests_per_minute, concurrent } = self.settings.limits;
        let mut used = self.used.lock();
        if concurrent.is_some_and(|most| used.under_way >= most) {
            return Err(SOON);
        }
        if let Some(most) = requests_per_minute {
            while used.begun.front().is_some_and(|begun| now.saturating_duration_since(*begun) >= MINUTE) {
                used.begun.pop_front();
            }
            if let (Some(first), true) = (used.begun.front(), used.begun.len() >= most) {
                return Err(MINUTE.saturating_sub(now.saturating_duration_since(*first)));
            }
            used.begun.push_back(now);
        }
        let counted = concurrent.is_some();
        used.under_way += usize::from(counted);
        Ok(Taken { key: self.settings.key.clone(), used: counted.then(|| self.used.clone()) })
    }
}

impl Taken {
    /// The key itself, for the one place that sends it.
    pub(super) fn expose(&self) -> &str {
        self.key.expose()
    }

    /// `body`, in use of the key until it has ended or is dropped.
    pub(super) fn hold(
        self,
        body: BoxStream<'static, Result<Bytes, Error>>,
    ) -> BoxStream<'static, Result<Bytes, Error>> {
        if self.used.is_none() {
            return body;
        }
        let held = (body, Some(self));
        futures_util::stream::unfold(held, |(mut body, taken)| async move {
            match body.next().await {
                Some(piece) => Some((piece, (body, taken))),
                None => {
                    drop(taken);
                    None
                }
            }
        })
        .boxed()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(used) = &self.used {
            let mut used = used.lock();
            used.under_way = used.under_way.saturating_sub(1);
        }
    }
}

/// The place of one of `all`, at random by their weights.
fn by_share<T>(all: &[T], weight: impl Fn(&T) -> f64) -> Option<usize> {
    let total: f64 = all.iter().map(&weight).sum();
    let mut at = rand::rng().random::<f64>() * total;
    for (place, one) in all.iter().enumerate() {
        at -= weight(one);
        if at < 0.0 {
            return Some(place);
        }
    }
    // What rounding left over belongs to the last.
    all.len().checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::KeyLimits;

    fn key(name: &str, weight: f64, models: &[&str], limits: KeyLimits) -> config::ProviderKey {
        config::ProviderKey {
            name: name.to_owned(),
            key: Secret::new(name.to_owned()),
            weight,
            models: models.iter().map(|one| (*one).to_owned()).collect(),
            limits,
        }
    }

    fn keys(keys: Vec<config::ProviderKey>) -> Keys {
        let plain = config::Provider::plain("p", config::ProviderKind::OpenAi, "https://h/v1".to_owned());
        Keys::new(&config::Provider { keys, ..plain })
    }

    fn per_minute(count: usize) -> KeyLimits {
        KeyLimits { requests_per_minute: Some(count), concurrent: None }
    }

    fn at_a_time(count: usize) -> KeyLimits {
        KeyLimits { requests_per_minute: None, concurrent: Some(count) }
    }

    #[test]
    fn a_key_is_chosen_by_its_models_and_its_share() {
        let both = keys(vec![key("a", 3.0, &[], KeyLimits::default()), key("b", 1.0, &["big"], KeyLimits::default())]);
        let share = |model: &str| {
            let taken = (0..4000).filter(|_| both.take(model, None).unwrap().is_some_and(|key| key.expose() == "b"));
            taken.count()
        };
        assert_eq!(share("small"), 0);
        assert!((700..1300).contains(&share("big")), "a quarter, about");
        let one = keys(vec![key("b", 1.0, &["big"], KeyLimits::default())]);
        let error = one.take("small", None).unwrap_err();
        assert!(error.is_target_fault() && !error.is_transient(), "another target may have one: {error:?}");
        assert_eq!(error.code, Some("no_key_for_model"));
        assert!(one.choose("small").is_none() && one.choose("").is_some());
        assert!(keys(Vec::new()).take("m", None).unwrap().is_none());
    }

    #[test]
    fn a_key_at_its_limit_is_passed_over() {
        let all = keys(vec![key("few", 1000.0, &[], per_minute(2)), key("many", 1.0, &[], per_minute(3))]);
        let start = Instant::now();
        let names = |now: Instant| {
            let mut names: Vec<String> = std::iter::from_fn(|| all.take_at("m", None, now).ok().flatten())
                .map(|taken| taken.expose().to_owned())
                .collect();
            names.sort_unstable();
            names
        };
        assert_eq!(names(start), ["few", "few", "many", "many", "many"]);
        let later = start + Duration::from_secs(20);
        let error = all.take_at("m", None, later).unwrap_err();
        assert_eq!((error.kind, error.retry_after), (ErrorKind::UpstreamStatus(429), Some(Duration::from_secs(40))));
        assert!(error.is_transient() && error.reply.is_none());
        // In no minute, wherever it begins, are there more than the limit.
        assert_eq!(names(start + Duration::from_secs(59)), [""; 0]);
        assert_eq!(names(start + MINUTE).len(), 5);
        assert_eq!(names(start + MINUTE + Duration::from_secs(1)), [""; 0]);
    }

    #[tokio::test]
    async fn a_place_is_given_back_when_the_body_ends_or_is_dropped() {
        let one = keys(vec![key("a", 1.0, &[], at_a_time(1))]);
        let body = || futures_util::stream::iter([Ok(Bytes::from_static(b"x")), Ok(Bytes::from_static(b"y"))]).boxed();
        let mut held = one.take("m", None).unwrap().unwrap().hold(body());
        assert!(held.next().await.is_some() && held.next().await.is_some());
        assert_eq!(one.take("m", None).unwrap_err().retry_after, Some(SOON), "its end has not been seen");
        assert!(held.next().await.is_none());
        let again = one.take("m", None).unwrap().unwrap();
        assert!(one.take("m", None).is_err());
        drop(again.hold(body()));
        drop(one.take("m", None).unwrap().unwrap());
        assert!(one.take("m", None).is_ok());
    }

    #[test]
    fn limits_hold_among_threads() {
        let one = keys(vec![key("a", 1.0, &[], KeyLimits { requests_per_minute: Some(70), concurrent: Some(3) })]);
        let most = std::sync::atomic::AtomicUsize::new(0);
        let begun = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        if let Ok(Some(taken)) = one.take("m", None) {
                            let under_way = one.keys[0].used.lock().under_way;
                            most.fetch_max(under_way, std::sync::atomic::Ordering::Relaxed);
                            begun.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                            std::thread::yield_now();
                            drop(taken);
                        }
                    }
                });
            }
        });
        assert_eq!(begun.into_inner(), 70);
        assert!((1..=3).contains(&most.into_inner()));
        assert_eq!(one.keys[0].used.lock().under_way, 0);
    }
}
