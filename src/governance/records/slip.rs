//! `Slip`: the record of one request while it is under way. Its settlement and its fetch hold it both, and write on it what they know;
//! when the last of them lets go, it is handed in. So a caller who hangs up is told with what the fetch that went on has cost.

use super::Records;
use crate::types::caller::Caller;
use crate::types::money::MicroUsd;
use crate::types::record::Record;
use crate::types::surface::Surface;
use crate::types::usage::Usage;
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;

/// The record of one request.
#[derive(Debug)]
pub struct Slip {
    record: Mutex<Record>,
    records: Arc<Records>,
    keeps_bodies: bool,
}

impl Slip {
    /// That of a request that has just come. `may_keep`: its caller lets something of it be kept.
    pub fn new(
        records: &Arc<Records>,
        (caller, surface): (&Caller, Surface),
        (request_id, at_ms): (&str, u64),
        may_keep: bool,
    ) -> Arc<Slip> {
        let (is_logged, keeps_bodies) = records.draw();
        let record = Record {
            at_ms,
            request_id: request_id.to_owned(),
            key: caller.name.clone(),
            accounts: caller.accounts.clone(),
            tenant: caller.tenant.name().to_owned(),
            surface: Some(surface),
            cache: "none",
            // That of a request that is dropped before anything could be said of it.
            status: GONE,
            is_logged,
            bearer: caller.bearer.clone().filter(|_| is_logged),
            ..Record::default()
        };
        let keeps_bodies = keeps_bodies && may_keep;
        Arc::new(Slip { record: Mutex::new(record), records: records.clone(), keeps_bodies })
    }

    /// What was asked, and its tags.
    pub fn asked(&self, body: &Bytes, tags: Vec<String>) {
        let mut record = self.record.lock();
        record.tags = tags;
        record.request = self.keeps_bodies.then(|| body.clone());
    }

    /// A provider began to answer, by the so-manieth attempt. From here on it costs what was reserved, until something else is said.
    pub fn begun(&self, provider_model: &str, attempts: usize, reserved: MicroUsd) {
        let mut record = self.record.lock();
        provider_model.clone_into(&mut record.provider_model);
        record.attempts += attempts as u64;
        record.cost = reserved.0;
    }

    /// Providers were asked so often, and none answered.
    pub fn tried(&self, attempts: usize) {
        self.record.lock().attempts += attempts as u64;
    }

    /// What its fetch took, and cost.
    pub fn paid(&self, usage: Usage, cost: MicroUsd) {
        let mut record = self.record.lock();
        record.usage = usage;
        record.cost = cost.0;
    }

    /// What was answered, where that is kept.
    pub fn answered(&self, body: &Bytes) {
        if self.keeps_bodies {
            self.record.lock().answer = Some(body.clone());
        }
    }

    /// What need not be fetched.
    pub fn saved(&self, usage: Option<Usage>, cost: Option<MicroUsd>) {
        let mut record = self.record.lock();
        record.saved_tokens = usage.map_or(0, |usage| usage.total());
        record.saved = cost.map_or(0, |cost| cost.0);
    }

    /// The request has ended for its caller.
    pub fn ended(&self, ended: Ended<'_>) {
        let Ended { model, provider, cache, status, took_ms, error } = ended;
        let mut record = self.record.lock();
        model.clone_into(&mut record.model);
        provider.clone_into(&mut record.provider);
        record.cache = cache;
        record.status = status;
        record.took_ms = took_ms;
        record.error = error.unwrap_or_default();
    }
}

/// The status of a request whose caller did not wait for its end, as nginx has it.
pub const GONE: u16 = 499;

/// How a request ended for its caller.
#[derive(Clone, Debug)]
pub struct Ended<'e> {
    /// The model, as the caller named it.
    pub model: &'e str,
    /// Who answered.
    pub provider: &'e str,
    /// How the cache took part.
    pub cache: &'static str,
    /// The status that the caller was told.
    pub status: u16,
    /// Until the end.
    pub took_ms: u64,
    /// What went wrong.
    pub error: Option<String>,
}

impl Drop for Slip {
    fn drop(&mut self) {
        self.records.take(std::mem::take(self.record.get_mut()));
    }
}
