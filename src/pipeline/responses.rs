//! Responses that are kept, so that a later request can go on from one of them whoever answers it
//! (`previous_response_id`), and so that its caller can ask for it again.
//!
//! In memory and bounded: by count, by bytes, and by age. The oldest go first. A caller sees its own tenant's only.

use super::Inbound;
use super::facts::{About, Read};
use super::serve::{Pipeline, Setup};
use crate::types::answer::Answer;
use crate::types::caller::Tenant;
use crate::types::error::{Error, ErrorKind};
use crate::types::json::Json;
use crate::types::request::Request;
use crate::types::surface::Surface;
use crate::wire::json::parse;
use crate::wire::responses::history;
use crate::wire::{playback, request};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Stands in every request that goes on from a response.
const PREVIOUS: &[u8] = b"previous_response_id";
/// Stands in every request that names earlier items by their ids.
const REFERENCE: &[u8] = b"item_reference";

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// So many responses.
    pub responses: usize,
    /// So many bytes of requests and answers.
    pub bytes: usize,
    /// For so long.
    pub ttl: Duration,
    /// A request with its earlier turns may have so many bytes.
    pub request_bytes: usize,
}

/// A response that is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The request that was answered, all earlier turns in its input.
    pub request: Bytes,
    /// The answer, as its caller got it.
    pub answer: Bytes,
    since: Instant,
    /// Which keeping of that id it is.
    turn: u64,
}

type Key = (Tenant, String);

/// The responses that are kept.
#[derive(Debug)]
pub struct Responses {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: HashMap<Key, Kept>,
    /// Which response each item of an answer stands in, by the item's id.
    items: HashMap<Key, String>,
    /// The oldest first; what was taken out since stands there still, under a turn that is over.
    order: VecDeque<(Key, u64)>,
    bytes: usize,
    turns: u64,
}

impl Responses {
    /// None yet.
    pub fn new(limits: Limits) -> Responses {
        Responses { limits, state: Mutex::new(State::default()) }
    }

    /// Keeps an answer, unless it is larger than all that may be kept. `request` has the earlier turns in its input, as
    /// [`Responses::expanded`] gives it.
    pub fn keep(&self, tenant: &Tenant, id: &str, request: Bytes, answer: Bytes) {
        self.keep_at(tenant, id, request, answer, Instant::now());
    }

    fn keep_at(&self, tenant: &Tenant, id: &str, request: Bytes, answer: Bytes, now: Instant) {
        if self.limits.responses == 0 || size(id, &request, &answer) > self.limits.bytes {
            return;
        }
        let mut state = self.state.lock();
        let key = (tenant.clone(), id.to_owned());
        state.take(&key);
        state.turns += 1;
        let turn = state.turns;
        state.bytes += size(id, &request, &answer);
        state.order.push_back((key.clone(), turn));
        for item in history::item_ids(&answer) {
            state.items.insert((tenant.clone(), item), id.to_owned());
        }
        state.kept.insert(key, Kept { request, answer, since: now, turn });
        state.shrink(self.limits, now);
    }

    /// The response of that id.
    pub fn get(&self, tenant: &Tenant, id: &str) -> Result<Kept, Error> {
        self.get_at(tenant, id, Instant::now()).ok_or_else(|| history::unknown(id))
    }

    fn get_at(&self, tenant: &Tenant, id: &str, now: Instant) -> Option<Kept> {
        let mut state = self.state.lock();
        state.shrink(self.limits, now);
        state.kept.get(&(tenant.clone(), id.to_owned())).cloned()
    }

    /// The body of `GET /v1/responses/{id}/input_items`.
    pub fn input_items(
        &self,
        tenant: &Tenant,
        id: &str,
        ascending: bool,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Vec<u8>, Error> {
        let kept = self.get(tenant, id)?;
        Ok(history::input_items(id, &kept.request, ascending, limit.clamp(1, 100), after))
    }

    /// Forgets a response; the body of `DELETE /v1/responses/{id}`.
    pub fn delete(&self, tenant: &Tenant, id: &str) -> Result<Vec<u8>, Error> {
        let mut state = self.state.lock();
        state.shrink(self.limits, Instant::now());
        state.take(&(tenant.clone(), id.to_owned())).ok_or_else(|| history::unknown(id))?;
        Ok(history::deleted(id))
    }

    /// The request with the turns before it in its input; `None` where it goes on from none. An error where the response
    /// that it goes on from is not kept here.
    pub fn expanded(&self, tenant: &Tenant, request: &Json<'_>) -> Result<Option<Bytes>, Error> {
        let Some(id) = history::previous(request)? else { return Ok(None) };
        let kept = self.get_at(tenant, id, Instant::now()).ok_or_else(|| history::not_found(id))?;
        if kept.request.len() + kept.answer.len() > self.limits.request_bytes {
            return Err(self.too_long());
        }
        let (earlier, answer) = (parse(&kept.request)?, parse(&kept.answer)?);
        // What stood before it was never told here: half a conversation would be another one.
        if let Some(before) = history::previous(&earlier)? {
            return Err(history::not_found(before));
        }
        Ok(Some(history::expanded(&earlier, &answer, request).into()))
    }

    /// The request with items in place of references to them (`item_reference`), as far as they are kept here; `None`
    /// where there are none.
    ///
    /// An error where the request would grow beyond what one may have.
    pub fn resolved(&self, tenant: &Tenant, request: &Json<'_>) -> Result<Option<Bytes>, Error> {
        let mut known: HashMap<&str, Option<String>> = HashMap::new();
        let mut bytes = 0;
        for item in history::references(request) {
            let text = known.entry(item).or_insert_with(|| self.item(tenant, item));
            bytes += text.as_ref().map_or(0, String::len);
            if bytes > self.limits.request_bytes {
                return Err(self.too_long());
            }
        }
        Ok(history::resolved(request, |item| known.get(item)?.clone()).map(Bytes::from))
    }

    fn item(&self, tenant: &Tenant, item: &str) -> Option<String> {
        let answer = {
            let state = self.state.lock();
            let id = state.items.get(&(tenant.clone(), item.to_owned()))?;
            state.kept.get(&(tenant.clone(), id.clone()))?.answer.clone()
        };
        history::item(&answer, item)
    }

    fn too_long(&self) -> Error {
        let message = format!(
            "With the turns before it the request is larger than {} bytes (`limits.body_bytes`). Begin a new conversation.",
            self.limits.request_bytes
        );
        Error::new(ErrorKind::TooLarge, message).with_code("body_too_large")
    }

    /// How many are kept, and how many bytes they are.
    pub fn size(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.kept.len(), state.bytes)
    }
}

fn size(id: &str, request: &Bytes, answer: &Bytes) -> usize {
    id.len() + request.len() + answer.len()
}

impl State {
    fn take(&mut self, key: &Key) -> Option<Kept> {
        let kept = self.kept.remove(key)?;
        for item in history::item_ids(&kept.answer) {
            let item = (key.0.clone(), item);
            if self.items.get(&item) == Some(&key.1) {
                self.items.remove(&item);
            }
        }
        self.bytes = self.bytes.saturating_sub(size(&key.1, &kept.request, &kept.answer));
        Some(kept)
    }

    /// Lets the oldest go until all limits hold.
    fn shrink(&mut self, limits: Limits, now: Instant) {
        while let Some((key, turn)) = self.order.front() {
            let there = self.kept.get(key).filter(|kept| kept.turn == *turn);
            let over = self.kept.len() > limits.responses || self.bytes > limits.bytes;
            let stays = there.is_some_and(|kept| !over && now.saturating_duration_since(kept.since) < limits.ttl);
            if stays {
                return;
            }
            let is_there = there.is_some();
            if let Some((key, _)) = self.order.pop_front().filter(|_| is_there) {
                self.take(&key);
            }
        }
    }
}

impl Pipeline {
    /// A request that goes on from a response that is kept here, with the turns before it in its input. `None` where it
    /// goes on from none, or from one that its provider keeps itself. An error where nobody knows it.
    pub(super) fn with_earlier_turns(&self, inbound: &Inbound, setup: &Setup) -> Result<Option<Inbound>, Error> {
        let has = |words: &[u8]| memchr::memmem::find(&inbound.body, words).is_some();
        if inbound.surface != Surface::Responses || !(has(PREVIOUS) || has(REFERENCE)) {
            return Ok(None);
        }
        let tenant = &inbound.caller.tenant;
        let resolved = if has(REFERENCE) { self.responses.resolved(tenant, &parse(&inbound.body)?)? } else { None };
        let resolved = resolved.map(|body| Inbound { body, ..inbound.clone() });
        let json = parse(resolved.as_ref().map_or(&inbound.body, |one| &one.body))?;
        match self.responses.expanded(&inbound.caller.tenant, &json) {
            Ok(Some(body)) => Ok(Some(Inbound { body, ..inbound.clone() })),
            Ok(None) => {
                drop(json);
                Ok(resolved)
            }
            Err(error) if error.kind == ErrorKind::TooLarge => Err(error),
            Err(error) => {
                let model = request::model(&json)?;
                let stream = json.get("stream") == Some(&Json::Bool(true));
                let about = About {
                    model: &model,
                    surface: inbound.surface,
                    caller: &inbound.caller,
                    governor: &self.governor,
                    told: &inbound.told,
                    read: Some(Read { json: &json, stream }),
                    now_ms: self.cache.now_ms(),
                };
                let (plan, out) = about.plan(setup)?;
                let first = plan.targets_left(&out).first().copied();
                let provider = first.and_then(|target| setup.registry.get(&target.provider));
                let keeps = provider.is_some_and(|one| one.speaks(Surface::Responses) == Some(Surface::Responses));
                if keeps { Ok(None) } else { Err(error) }
            }
        }
    }

    /// Keeps an answer that its provider does not keep under this id, unless its request, or the caller's `no-store`,
    /// says not to.
    pub(super) fn keep_response(&self, tenant: &Tenant, request: &Request, no_store: bool, id: &str, answer: &Answer) {
        let is_response = request.surface == Surface::Responses && answer.surface == Surface::Responses;
        let is_wanted = || parse(&request.body).is_ok_and(|json| history::is_kept(&json, no_store));
        if is_response && !id.is_empty() && is_wanted() {
            self.responses.keep(tenant, id, request.body.clone(), playback::as_body(answer, id, created_s()));
        }
    }

    /// The responses that are kept.
    pub fn responses(&self) -> &Responses {
        &self.responses
    }
}

fn created_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> Tenant {
        Tenant(name.to_owned())
    }

    fn store(responses: usize, bytes: usize) -> Responses {
        Responses::new(Limits { responses, bytes, ttl: Duration::from_secs(60), request_bytes: 1000 })
    }

    fn keep(store: &Responses, who: &Tenant, id: &str, request: &str) {
        let answer = format!(r#"{{"id":"{id}","output":[{{"role":"assistant","content":"{id}"}}]}}"#);
        store.keep(who, id, Bytes::copy_from_slice(request.as_bytes()), answer.into());
    }

    #[test]
    fn a_conversation_goes_on_in_its_own_tenant() {
        let (store, ann, bob) = (store(10, 10_000), tenant("ann"), tenant("bob"));
        keep(&store, &ann, "r1", r#"{"input":"one"}"#);
        let next = parse(br#"{"model":"m","previous_response_id":"r1","input":"two"}"#).unwrap();
        let body = store.expanded(&ann, &next).unwrap().unwrap();
        let expected = r#"{"model":"m","input":[{"type":"message","role":"user","content":"one"},{"role":"assistant","content":"r1"},{"type":"message","role":"user","content":"two"}]}"#;
        assert_eq!(body, expected.as_bytes());
        assert_eq!(store.expanded(&bob, &next).unwrap_err().code, Some("previous_response_not_found"));
        assert_eq!(store.expanded(&ann, &parse(b"{}").unwrap()).unwrap(), None);
        assert!(store.get(&bob, "r1").is_err() && store.delete(&bob, "r1").is_err());
        assert!(store.input_items(&ann, "r1", true, 20, None).is_ok());
        assert_eq!(store.delete(&ann, "r1").unwrap(), br#"{"id":"r1","object":"response","deleted":true}"#);
        assert_eq!(store.get(&ann, "r1").unwrap_err().status(), 404);
        assert_eq!(store.size(), (0, 0));
        keep(&store, &ann, "r1", r#"{"previous_response_id":"r0","input":"x"}"#);
        assert_eq!(store.expanded(&ann, &next).unwrap_err().code, Some("previous_response_not_found"));
    }

    #[test]
    fn references_to_items_are_resolved_in_their_own_tenant() {
        let (store, ann, bob) = (store(10, 10_000), tenant("ann"), tenant("bob"));
        let answer = br#"{"id":"r1","output":[{"id":"msg_1","type":"message","content":"hi"}]}"#;
        store.keep(&ann, "r1", Bytes::from_static(br#"{"input":"x"}"#), Bytes::from_static(answer));
        let request = parse(br#"{"model":"m","input":[{"type":"item_reference","id":"msg_1"},{"type":"item_reference","id":"z"},{"role":"user","content":"y"}]}"#).unwrap();
        let body = store.resolved(&ann, &request).unwrap().unwrap();
        let expected = br#"{"model":"m","input":[{"id":"msg_1","type":"message","content":"hi"},{"type":"item_reference","id":"z"},{"role":"user","content":"y"}]}"#;
        assert_eq!(body, expected.as_slice());
        assert_eq!(store.resolved(&bob, &request).unwrap(), None);
        let many = vec![r#"{"type":"item_reference","id":"msg_1"}"#; 30].join(",");
        let many = format!(r#"{{"input":[{many}]}}"#);
        assert_eq!(store.resolved(&ann, &parse(many.as_bytes()).unwrap()).unwrap_err().status(), 413);
        store.delete(&ann, "r1").unwrap();
        assert_eq!(store.resolved(&ann, &request).unwrap(), None);
        assert!(store.state.lock().items.is_empty());
    }

    #[test]
    fn limits_hold() {
        let (store, ann) = (store(2, 200), tenant("ann"));
        for id in ["r1", "r2", "r3", "r3"] {
            keep(&store, &ann, id, r#"{"input":"x"}"#);
        }
        assert_eq!(store.size().0, 2);
        assert!(store.get(&ann, "r1").is_err() && store.get(&ann, "r2").is_ok() && store.get(&ann, "r3").is_ok());
        let long = format!(r#"{{"input":"{}"}}"#, "x".repeat(80));
        keep(&store, &ann, "r4", &long);
        assert!(store.size().1 <= 200 && store.get(&ann, "r4").is_ok());
        keep(&store, &ann, "r5", &format!(r#"{{"input":"{}"}}"#, "x".repeat(300)));
        assert!(store.get(&ann, "r5").is_err());
        let later = Instant::now() + Duration::from_secs(61);
        assert!(store.get_at(&ann, "r4", later).is_none());
        assert_eq!(store.size(), (0, 0));
    }

    #[test]
    fn a_kept_again_response_is_as_young_as_its_last_keeping() {
        let (store, ann) = (store(2, 10_000), tenant("ann"));
        for id in ["r1", "r2", "r1", "r3"] {
            keep(&store, &ann, id, r#"{"input":"x"}"#);
        }
        assert!(store.get(&ann, "r1").is_ok() && store.get(&ann, "r2").is_err() && store.get(&ann, "r3").is_ok());
    }
}
