//! `Holders`: which provider keeps a file, batch or upload, and whose it is, by its id.
//!
//! In memory, and so many at a time: what came before a restart is asked of the default provider.

use crate::types::caller::{CONFIGURED, Tenant};
use crate::types::error::{Error, ErrorKind};
use parking_lot::Mutex;
use serde::Deserialize;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Ids that are remembered; the oldest go first.
const MOST: usize = 65_536;
/// An id may be this long.
const ID_BYTES: usize = 256;

/// Which provider keeps what.
#[derive(Default)]
pub(in super::super) struct Holders(Mutex<Held>);

#[derive(Default)]
struct Held {
    by_id: HashMap<Arc<str>, Holder>,
    /// The oldest first.
    order: VecDeque<Arc<str>>,
}

#[derive(Clone)]
struct Holder {
    provider: Arc<str>,
    /// The tenant that made it, where the gateway's own key did it for them. Else the provider knows whose it is.
    owner: Option<Tenant>,
}

/// The ids in an answer about files, batches and uploads, or in a list of them.
#[derive(Deserialize)]
struct Told {
    id: Option<String>,
    input_file_id: Option<String>,
    output_file_id: Option<String>,
    error_file_id: Option<String>,
    /// Of an upload that is complete.
    file: Option<Box<Told>>,
    data: Option<Vec<Told>>,
}

impl Told {
    fn ids(self, out: &mut Vec<String>) {
        let own = [self.id, self.input_file_id, self.output_file_id, self.error_file_id];
        out.extend(own.into_iter().flatten().filter(|id| (1..=ID_BYTES).contains(&id.len())));
        self.file.into_iter().for_each(|file| file.ids(out));
        self.data.into_iter().flatten().for_each(|one| one.ids(out));
    }
}

impl Holders {
    /// The provider that keeps `id`, where that is known. What another tenant made is not found.
    pub(super) fn keeper(&self, id: &str, tenant: &Tenant) -> Result<Option<Arc<str>>, Error> {
        let held = self.0.lock();
        match held.by_id.get(id) {
            Some(holder) if holder.owner.as_ref().is_some_and(|owner| owner != tenant) => {
                let shown: String = id.chars().take(100).collect();
                let message = format!("No such object: {shown}");
                Err(Error { param: Some("id".into()), ..Error::new(ErrorKind::NotFound, message) }
                    .with_code("not_found"))
            }
            Some(holder) => Ok(Some(holder.provider.clone())),
            None => Ok(None),
        }
    }

    /// Remembers the ids in an answer of `provider`. They belong to `maker`, or, where nobody has just made them, to
    /// whom what was asked about belongs.
    pub(super) fn learn(&self, provider: &Arc<str>, body: &[u8], maker: Option<&Tenant>, about: Option<&str>) {
        let Ok(mut told) = serde_json::from_slice::<Told>(body) else { return };
        let items = told.data.take().unwrap_or_default();
        let mut ids = Vec::new();
        told.ids(&mut ids);
        let mut held = self.0.lock();
        for item in items {
            held.learn_item(provider, item);
        }
        let owner = match maker {
            Some(tenant) => Some(tenant).filter(|tenant| tenant.0.starts_with(CONFIGURED)).cloned(),
            None => about.and_then(|id| held.by_id.get(id)?.owner.clone()),
        };
        for id in ids {
            held.claim(&id, owner.as_ref());
            held.keep(id.into(), Holder { provider: provider.clone(), owner: owner.clone() });
        }
    }

    /// Is `id` known as another tenant's?
    pub(super) fn is_anothers(&self, id: &str, tenant: &Tenant) -> bool {
        self.keeper(id, tenant).is_err()
    }
}

impl Held {
    /// An item of a list: what comes of it is whose it is.
    fn learn_item(&mut self, provider: &Arc<str>, item: Told) {
        let owner = item.id.as_deref().and_then(|id| self.by_id.get(id)?.owner.clone());
        let mut ids = Vec::new();
        item.ids(&mut ids);
        for id in ids {
            self.claim(&id, owner.as_ref());
            self.keep(id.into(), Holder { provider: provider.clone(), owner: owner.clone() });
        }
    }

    /// What nobody is known to own belongs to who is told to own it now: a list may have been read before.
    fn claim(&mut self, id: &str, owner: Option<&Tenant>) {
        if let Some(holder) = self.by_id.get_mut(id).filter(|holder| holder.owner.is_none()) {
            holder.owner = owner.cloned();
        }
    }

    /// Remembers one. What is known already stays: a list says nothing of who made what is in it.
    fn keep(&mut self, id: Arc<str>, holder: Holder) {
        if self.by_id.contains_key(&id) {
            return;
        }
        while self.order.len() >= MOST {
            if let Some(oldest) = self.order.pop_front() {
                self.by_id.remove(&oldest);
            }
        }
        self.order.push_back(id.clone());
        self.by_id.insert(id, holder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeper(holders: &Holders, id: &str, tenant: &Tenant) -> Result<Option<String>, u16> {
        holders.keeper(id, tenant).map(|name| name.map(|name| name.to_string())).map_err(|error| error.status())
    }

    #[test]
    fn remembers_who_keeps_what_and_whose_it_is() {
        let holders = Holders::default();
        let (one, two): (Arc<str>, Arc<str>) = ("one".into(), "two".into());
        let (a, b, stranger) = (Tenant::configured("a"), Tenant::configured("b"), Tenant("bearer:1".to_owned()));
        holders.learn(&one, br#"{"object":"file","id":"file-1","bytes":3}"#, Some(&a), None);
        holders.learn(&two, br#"{"id":"file-2"}"#, Some(&stranger), None);
        // Two lists that everybody may see do not say whose it is.
        holders.learn(&two, br#"{"data":[{"id":"file-1"},{"id":"file-3","x":[1]}],"has_more":false}"#, None, None);
        assert_eq!(keeper(&holders, "file-1", &a), Ok(Some("one".to_owned())));
        assert_eq!(keeper(&holders, "file-1", &b), Err(404));
        assert_eq!(keeper(&holders, "file-2", &b), Ok(Some("two".to_owned())));
        assert_eq!(keeper(&holders, "file-3", &b), Ok(Some("two".to_owned())));
        assert_eq!(keeper(&holders, "file-4", &b), Ok(None));
    }

    #[test]
    fn what_comes_of_a_batch_is_whose_the_batch_is() {
        let holders = Holders::default();
        let one: Arc<str> = "one".into();
        let (a, b) = (Tenant::configured("a"), Tenant::configured("b"));
        holders.learn(&one, br#"{"id":"batch_1","input_file_id":"file-1","output_file_id":null}"#, Some(&a), None);
        holders.learn(
            &one,
            br#"{"id":"batch_1","output_file_id":"file-2","error_file_id":"file-3"}"#,
            None,
            Some("batch_1"),
        );
        holders.learn(&one, br#"{"id":"upload_1","file":{"id":"file-4"}}"#, Some(&a), None);
        for id in ["batch_1", "file-1", "file-2", "file-3", "file-4"] {
            assert_eq!(
                (keeper(&holders, id, &a), keeper(&holders, id, &b)),
                (Ok(Some("one".to_owned())), Err(404)),
                "{id}"
            );
        }
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let holders = Holders::default();
        let tenant = Tenant::configured("a");
        let one: Arc<str> = "one".into();
        for number in 0..=MOST {
            holders.0.lock().keep(format!("{number}").into(), Holder { provider: one.clone(), owner: None });
        }
        holders.learn(&one, format!(r#"{{"id":"{}"}}"#, "x".repeat(ID_BYTES + 1)).as_bytes(), None, None);
        holders.learn(&one, b"not JSON", None, None);
        assert_eq!(keeper(&holders, "0", &tenant), Ok(None));
        assert_eq!(keeper(&holders, "1", &tenant), Ok(Some("one".to_owned())));
        let held = holders.0.lock();
        assert_eq!((held.by_id.len(), held.order.len()), (MOST, MOST));
    }
}
