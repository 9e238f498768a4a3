//! `Stores`: the stores of one configuration, and a round of reading: all secrets at a time, each place once, within a deadline.

use super::ask::Failure;
use super::aws::Aws;
use super::azure::Azure;
use super::document::Document;
use super::gcp::Gcp;
use super::vault::Vault;
use crate::config;
use crate::types::reference::{Reference, Store};
use crate::types::secret::Secret;
use futures_util::{FutureExt, StreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::time::Duration;
use tokio::time::Instant;

/// Places that are read at a time.
const AT_A_TIME: usize = 16;
/// The first wait before another try of what may go better at once; it doubles.
const PAUSE: Duration = Duration::from_millis(200);

/// What was read of each reference, or why it was not.
pub(super) type Read = BTreeMap<Reference, Result<Secret, Failure>>;

/// The stores that are not of this machine.
pub(super) struct Stores {
    /// What they were made of.
    pub(super) settings: config::Secrets,
    timeout: Duration,
    vault: Option<Result<Vault, String>>,
    aws: Option<Result<Aws, String>>,
    gcp: Option<Result<Gcp, String>>,
    azure: Option<Result<Azure, String>>,
}

impl Stores {
    /// Those that `references` lead to. One that cannot be made says so when it is read.
    pub(super) fn new(
        settings: &config::Secrets,
        references: &BTreeSet<Reference>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Stores {
        let timeout = settings.timeout;
        let wanted = |store: Store| references.iter().any(|one| one.store == store);
        let env = |name: &str| variable(name).map(OsString::from);
        let vault = || match &settings.vault {
            Some(vault) => Vault::new(vault, timeout),
            None => Err("nothing says where it is; see `secrets.vault`".to_owned()),
        };
        Stores {
            vault: wanted(Store::Vault).then(vault),
            aws: wanted(Store::Aws).then(|| Aws::new(&settings.aws, timeout)),
            gcp: wanted(Store::Gcp).then(|| Gcp::new(&settings.gcp, timeout, &env)),
            azure: wanted(Store::Azure).then(|| Azure::new(&settings.azure, timeout)),
            settings: settings.clone(),
            timeout,
        }
    }

    /// Do they serve for `references` under `settings`, too?
    pub(super) fn serve_for(&self, settings: &config::Secrets, references: &BTreeSet<Reference>) -> bool {
        let is_there = |store: Store| match store {
            Store::Env | Store::File => true,
            Store::Vault => self.vault.is_some(),
            Store::Aws => self.aws.is_some(),
            Store::Gcp => self.gcp.is_some(),
            Store::Azure => self.azure.is_some(),
        };
        self.settings.has_stores_of(settings) && references.iter().all(|one| is_there(one.store))
    }

    /// Reads `references`, none of them of this machine. With `patient`, what may go better at once is tried again until the deadline.
    pub(super) async fn read(&self, references: impl Iterator<Item = &Reference>, patient: bool) -> Read {
        let deadline = Instant::now() + self.timeout;
        let mut places: BTreeMap<(Store, String), Vec<Reference>> = BTreeMap::new();
        for one in references {
            places.entry((one.store, one.place.clone())).or_default().push(one.clone());
        }
        let tasks: Vec<_> = places.into_values().map(|all| self.of_place(all, deadline, patient).boxed()).collect();
        stream::iter(tasks).buffer_unordered(AT_A_TIME).collect::<Vec<_>>().await.into_iter().flatten().collect()
    }

    /// Reads references to one place.
    async fn of_place(&self, all: Vec<Reference>, deadline: Instant, patient: bool) -> Read {
        let Some(first) = all.first() else { return Read::new() };
        let late = || Failure::passing(format!("it did not answer within {} ms", self.timeout.as_millis()));
        let read = tokio::time::timeout_at(deadline, self.document(first.store, &first.place, patient)).await;
        let read = read.unwrap_or_else(|_| Err(late()));
        let picked = |one: &Reference| match &read {
            Ok(document) => document.pick(one.field.as_deref()),
            Err(failure) => Err(failure.clone()),
        };
        all.iter().map(|one| (one.clone(), picked(one))).collect()
    }

    async fn document(&self, store: Store, place: &str, patient: bool) -> Result<Document, Failure> {
        let mut pause = PAUSE;
        loop {
            match self.once(store, place).await {
                Err(failure) if failure.passing && patient && pause < self.timeout / 2 => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                read => return read,
            }
        }
    }

    async fn once(&self, store: Store, place: &str) -> Result<Document, Failure> {
        fn made<S>(store: &Option<Result<S, String>>) -> Result<&S, Failure> {
            match store {
                Some(Ok(store)) => Ok(store),
                Some(Err(why)) => Err(Failure::lasting(why.clone())),
                None => Err(Failure::lasting("the store was not opened")),
            }
        }
        match store {
            Store::Vault => made(&self.vault)?.read(place).await,
            Store::Aws => made(&self.aws)?.read(place).await,
            Store::Gcp => made(&self.gcp)?.read(place).await,
            Store::Azure => made(&self.azure)?.read(place).await,
            Store::Env | Store::File => Err(Failure::lasting("it is a store of this machine")),
        }
    }

    /// Renews what has to be renewed between rounds.
    pub(super) async fn tend(&self) {
        if let Some(Ok(vault)) = &self.vault
            && let Err(failure) = vault.tend().await
        {
            tracing::warn!(
                store = Store::Vault.as_str(),
                why = failure.why,
                "the sign-in to a store of secrets has ended"
            );
        }
    }
}
