//! `Stream`: a trace made ready, once, for any number of passes: keys, vectors, neighbours, and who is right.

use super::asking::{PROVIDER, asking, body};
use super::near::{Near, Neighbour, Node, order};
use super::trace::Request;
use super::truth::Truth;
use crate::cache::judgement::Question;
use crate::config;
use crate::types::ids::Digest;
use crate::types::staleness::Staleness;
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The vector of a text.
#[derive(Clone, Debug)]
pub struct Vector {
    /// Components; length one.
    pub values: Arc<[f32]>,
    /// The text is longer than the model reads: it is not compared by meaning.
    pub truncated: bool,
}

/// Vectors by text.
pub type Vectors = HashMap<Box<str>, Vector>;

/// One request, made ready.
pub(super) struct Asked {
    /// Its scope, for what is learned by scope.
    pub(super) scope: u128,
    /// Numbers of its exact and its normalised key; equal keys share one.
    pub(super) key: u32,
    pub(super) normalised: Option<u32>,
    /// The question, if it can be compared by meaning.
    pub(super) node: Option<u32>,
    /// Milliseconds since the trace began.
    pub(super) t_ms: u64,
    /// How soon its answer is out of date, by its words.
    pub(super) class: Staleness,
    /// Milliseconds that an answer of that class may be served, and that this one is stored for.
    pub(super) keeps_ms: u64,
    pub(super) ttl_ms: u64,
    /// Bytes of the answer as it is stored, and of all other texts of an entry.
    pub(super) body_bytes: usize,
    pub(super) text_bytes: usize,
    /// Bytes of the question alone.
    pub(super) question_bytes: usize,
}

/// A trace made ready.
pub struct Stream<'t> {
    pub(super) trace: &'t [Request],
    pub(super) truth: Truth,
    pub(super) asked: Vec<Asked>,
    pub(super) nodes: Vec<Node>,
    /// What is read out of each node's question.
    pub(super) questions: Vec<Question>,
    near: Near,
    /// What an hour of waiting counts, in US dollars, as configured.
    pub(super) wait_usd_per_hour: f64,
    /// How many keys there are.
    pub(super) keys: usize,
    /// Requests whose group was asked before in their scope: no cache can serve more rightly.
    pub(super) repeats: usize,
    /// What making the keys of each request took.
    pub(super) hashing: Vec<Duration>,
}

impl<'t> Stream<'t> {
    /// Makes `trace` ready. `vectors` holds those of its questions; without any, nothing is near. `progress` is told how
    /// many requests have their neighbours.
    pub fn prepare(
        trace: &'t [Request],
        settings: &config::Cache,
        vectors: &Vectors,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Stream<'t>, String> {
        let mut numbers = Numbers::default();
        let (mut asked, mut nodes) = (Vec::with_capacity(trace.len()), Vec::<Node>::new());
        let (mut texts, mut by_key) = (Vec::<&str>::new(), HashMap::<u32, u32>::new());
        let mut hashing = Vec::with_capacity(trace.len());
        for (at, request) in trace.iter().enumerate() {
            let started = Instant::now();
            let asking = asking(request, settings).map_err(|why| format!("request {}: {why}", at + 1))?;
            hashing.push(started.elapsed());
            let key = numbers.key(asking.keys.exact);
            let normalised = asking.keys.normalised.map(|digest| numbers.key(digest));
            let node = asking.question.as_ref().map(|_| {
                *by_key.entry(key).or_insert_with(|| {
                    let known = vectors.get(request.text.as_str()).filter(|vector| !vector.truncated);
                    let vector = known.map(|vector| vector.values.clone());
                    let scope = numbers.scope(asking.keys.scope);
                    nodes.push(Node { vector, scope, first: at as u32 });
                    texts.push(&request.text);
                    nodes.len() as u32 - 1
                })
            });
            let node = node.filter(|node| nodes[*node as usize].vector.is_some());
            let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            let policy = asking.policy.as_ref();
            let names = asking.tenant.0.len() + asking.decoded.model.len() + PROVIDER.len();
            asked.push(Asked {
                scope: half(asking.keys.scope),
                key,
                normalised,
                node,
                t_ms: (request.t * 1000.0) as u64,
                class: asking.class,
                keeps_ms: policy.and_then(|policy| policy.keeps).map_or(u64::MAX, ms),
                ttl_ms: policy.map_or(0, |policy| ms(policy.ttl)),
                body_bytes: body(request).len(),
                question_bytes: asking.question.as_ref().map_or(0, String::len),
                text_bytes: names + asking.question.as_ref().map_or(0, String::len),
            });
        }
        let of_requests: Vec<Option<u32>> = asked.iter().map(|asked: &Asked| asked.node).collect();
        let near = Near::of(&of_requests, &nodes, progress);
        let questions = texts.par_iter().map(|text| Question::read(text)).collect();
        let truth = Truth::of(trace, vectors);
        let repeats = repeats(trace, &truth);
        let keys = numbers.keys.len();
        let wait_usd_per_hour = settings.wait_usd_per_hour;
        Ok(Stream { trace, truth, asked, nodes, questions, near, wait_usd_per_hour, keys, repeats, hashing })
    }

    /// The nearest `most` questions of the request at `at` that `stored` says are stored, best first. `all` are the
    /// stored ones of its scope, looked at where too few of the nearest are.
    pub(super) fn nearest(
        &self,
        at: usize,
        most: usize,
        stored: impl Fn(u32) -> bool,
        all: impl FnOnce(u32) -> Vec<u32>,
    ) -> Vec<Neighbour> {
        let (list, complete) = self.near.list(at);
        let found: Vec<Neighbour> = list.iter().filter(|near| stored(near.node)).take(most).copied().collect();
        let node = self.asked[at].node.map(|node| &self.nodes[node as usize]);
        let (Some(node), false) = (node, complete || found.len() == most) else { return found };
        let Some(vector) = &node.vector else { return found };
        let compare = |other: u32| {
            let similarity = super::near::dot(vector, self.nodes[other as usize].vector.as_ref()?);
            Some(Neighbour { node: other, similarity })
        };
        let mut every: Vec<Neighbour> = all(node.scope).into_iter().filter_map(compare).collect();
        every.sort_unstable_by(order);
        every.truncate(most);
        every
    }
}

/// Digests, numbered as they come.
#[derive(Default)]
struct Numbers {
    keys: HashMap<Digest, u32>,
    scopes: HashMap<Digest, u32>,
}

impl Numbers {
    fn key(&mut self, digest: Digest) -> u32 {
        let next = self.keys.len() as u32;
        *self.keys.entry(digest).or_insert(next)
    }

    fn scope(&mut self, digest: Digest) -> u32 {
        let next = self.scopes.len() as u32;
        *self.scopes.entry(digest).or_insert(next)
    }
}

fn half(digest: Digest) -> u128 {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.0[..16]);
    u128::from_le_bytes(bytes)
}

/// Requests whose answer was given before in their scope.
pub(super) fn repeats(trace: &[Request], truth: &Truth) -> usize {
    let mut given = std::collections::HashSet::new();
    let mut known = |at: usize| !given.insert((trace[at].scope.as_deref(), truth.class(at)));
    (0..trace.len()).filter(|at| known(*at)).count()
}

impl Stream<'_> {
    /// The question of a node.
    pub(super) fn text(&self, node: u32) -> &str {
        &self.trace[self.nodes[node as usize].first as usize].text
    }
}
