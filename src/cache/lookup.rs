//! Lookup: the tiers in their order, and the choice of who fetches.

use super::Cache;
use super::admission::Ticket;
use super::aloft::{Boarder, Boarding};
use super::flight::{End, Joined, Lead, Reader};
use super::judged::{Candidate, Comparison, Judged};
use super::judgement::{Case, Question};
use super::policy::Policy;
use super::revalidation::Stale;
use super::scope::Keys;
use crate::telemetry::metrics;
use crate::types::answer::Answer;
use crate::types::caller::Tenant;
use crate::types::entry::{Entry, Source};
use crate::types::ids::{Digest, EntryId};
use crate::types::outcome::{MissReason, Tier};
use crate::types::surface::Surface;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// One question to the cache.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The request's digests.
    pub keys: Keys,
    /// What the cache may do.
    pub policy: Policy,
    /// The text of the last user turn.
    pub question: Option<String>,
    /// What is compared by meaning in its place, and stored: a condensed follow-up.
    pub compared: Option<String>,
    /// Whose question it is.
    pub tenant: Tenant,
    /// The door it came through.
    pub surface: Surface,
    /// The model, as the caller named it.
    pub model: String,
    /// Labels for the entry.
    pub tags: Vec<String>,
    /// The caller asked for usage by name, in a stream: an answer that was stored without will not do.
    pub needs_usage: bool,
}

impl Ask {
    /// What identical misses share a flight by.
    pub(super) fn flight_key(&self) -> Digest {
        let mut key = self.keys.normalised.filter(|_| self.policy.normalised).unwrap_or(self.keys.exact);
        // An answer without usage is of no use to those who ask for it: they fly by themselves.
        key.0[0] ^= u8::from(self.needs_usage);
        key
    }

    /// Does `answer` hold all that the reply has to say?
    pub fn is_met_by(&self, answer: &Answer) -> bool {
        !(self.needs_usage && answer.usage_unasked)
    }
}

/// What the cache says.
#[derive(Debug)]
pub enum Lookup {
    /// A stored answer.
    Hit(Hit),
    /// A stored answer, and it is to be checked by a fresh one, off the request's path.
    Checked(Hit, Box<Check>),
    /// Somebody is fetching the same; read along.
    Follow(Reader),
    /// An answer past its time that may be served while a fresh one is fetched.
    Stale(Box<Stale>),
    /// Fetch it.
    Miss(Box<Miss>),
}

/// A stored answer, and why it may be served.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The entry.
    pub entry: Arc<Entry>,
    /// The tier that found it.
    pub tier: Tier,
    /// Cosine of the questions, for a semantic hit.
    pub similarity: Option<f32>,
    /// Probability that the answer is right, where the judgement is learned.
    pub p: Option<f32>,
    /// For feedback on it.
    pub(super) case: Option<Case>,
    /// What finding it took.
    pub timing: Timing,
}

impl Hit {
    /// A hit by words.
    pub fn by_words(entry: Arc<Entry>, tier: Tier) -> Hit {
        Hit { entry, tier, similarity: None, p: None, case: None, timing: Timing::default() }
    }
}

/// The duty to fetch a fresh answer to compare with one that was served (a shadow call).
#[derive(Debug)]
pub struct Check {
    /// What to compare it with.
    pub comparison: Comparison,
    /// For storing the question with the fresh answer.
    pub ticket: Ticket,
}

/// Nothing stored may be served.
#[derive(Debug)]
pub struct Miss {
    /// For storing the answer.
    pub ticket: Ticket,
    /// The duty to fetch.
    pub lead: Lead,
    /// Why it is a miss.
    pub reason: MissReason,
    /// Similarity of the nearest stored question of the scope.
    pub similarity: Option<f32>,
    /// The entry of that question.
    pub nearest: Option<EntryId>,
    /// Probability that the best candidate's answer is right, where the judgement is learned.
    pub p: Option<f32>,
    /// Entries whose answers the fresh one is to be compared with.
    pub compare: Vec<Comparison>,
    /// What looking took.
    pub timing: Timing,
}

/// What the steps of a lookup took.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Timing {
    /// Embedding the question.
    pub embed: Option<Duration>,
    /// Searching the index and judging what it gave.
    pub search: Option<Duration>,
}

/// An answer to the very same request that is too old to be served.
pub(super) struct Expired {
    /// The entry and its tier, if it may stand in for a fresh one.
    pub(super) found: Option<(Arc<Entry>, Tier)>,
}

/// What the semantic tier gave.
#[derive(Debug)]
struct Meaning {
    hit: Option<Hit>,
    check: Option<Comparison>,
    compare: Vec<Comparison>,
    p: Option<f32>,
    reason: MissReason,
    similarity: Option<f32>,
    nearest: Option<EntryId>,
    vector: Option<Arc<[f32]>>,
    truncated: bool,
    timing: Timing,
}

impl Meaning {
    fn none(reason: MissReason) -> Meaning {
        let timing = Timing::default();
        Meaning {
            hit: None,
            check: None,
            compare: Vec::new(),
            p: None,
            reason,
            similarity: None,
            nearest: None,
            vector: None,
            truncated: false,
            timing,
        }
    }
}

impl Cache {
    /// Looks `ask` up in all tiers that its policy allows. With `join`, a miss joins or opens a flight. `again` says that
    /// this request was looked up before, and is counted.
    pub async fn lookup(&self, ask: &Ask, join: bool, again: bool) -> Lookup {
        let mut stale = None;
        let before = self.purges.load(Ordering::Relaxed);
        if let Some(hit) = self.exact(ask, &mut stale) {
            self.hit_before_judgement(ask, again);
            return Lookup::Hit(self.counted(hit));
        }
        let policy = &ask.policy;
        if let Some(stale) = self.while_revalidate(ask, stale.as_ref(), before) {
            self.hit_before_judgement(ask, again);
            return Lookup::Stale(Box::new(stale));
        }
        let mut lead = if join && policy.read && policy.write && !policy.only_if_cached {
            match self.flights.join(ask.flight_key()) {
                Joined::Follow(reader) => {
                    self.hit_before_judgement(ask, again);
                    return Lookup::Follow(reader);
                }
                Joined::Lead(lead) => lead,
            }
        } else {
            Lead::alone()
        };
        // A flight may have ended between the first look and taking the lead.
        if let Some(hit) = self.exact(ask, &mut stale) {
            self.hit_before_judgement(ask, again);
            lead.end(End::Found(hit.clone()));
            return Lookup::Hit(self.counted(hit));
        }
        let mut meaning = self.by_meaning(ask, again).await;
        if self.waited_for_near(ask, &meaning, &mut lead).await {
            meaning = self.by_meaning(ask, true).await;
        }
        if let Some(hit) = meaning.hit.take() {
            lead.end(End::Found(hit.clone()));
            let hit = self.counted(hit);
            return match self.check(ask, meaning, before) {
                Some(check) => Lookup::Checked(hit, Box::new(check)),
                None => Lookup::Hit(hit),
            };
        }
        let reason = match meaning.reason {
            MissReason::Absent | MissReason::BelowThreshold if stale.is_some() => MissReason::Expired,
            reason => reason,
        };
        let Meaning { similarity, nearest, p, timing, .. } = meaning;
        // Of who wants nothing kept nothing is learned either.
        let compare = if policy.write { meaning.compare } else { Vec::new() };
        let ticket = Ticket {
            vector: meaning.vector,
            truncated: meaning.truncated,
            ..self.ticket(ask, before, Source::Fetched)
        };
        Lookup::Miss(Box::new(Miss { ticket, lead, reason, similarity, nearest, p, compare, timing }))
    }

    /// The duty to check a hit, if there is one. Nobody is asked for who wants no fetch, or nothing kept of what he asks.
    fn check(&self, ask: &Ask, meaning: Meaning, purges: u64) -> Option<Check> {
        let comparison = meaning.check.filter(|_| ask.policy.write && !ask.policy.only_if_cached)?;
        let ticket = Ticket { vector: meaning.vector, ..self.ticket(ask, purges, Source::Fetched) };
        Some(Check { comparison, ticket })
    }

    /// Waits for a near question that is being fetched, if there is one whose answer would do, and no longer than
    /// `cache.semantic.flight_wait_ms`. Else `lead` goes on the list of those who fetch. True when it is worth looking
    /// again.
    async fn waited_for_near(&self, ask: &Ask, meaning: &Meaning, lead: &mut Lead) -> bool {
        let wait = self.settings.load().semantic.flight_wait;
        let (None, Some(vector), Some(question)) = (&meaning.hit, &meaning.vector, ask.question.as_deref()) else {
            return false;
        };
        // Whether two conversations are one takes embeddings to say; who waits has only what is at hand.
        if wait.is_zero() || !lead.can_be_joined() || ask.compared.is_some() {
            return false;
        }
        let boarder = Boarder { scope: ask.keys.scope, flight: ask.flight_key(), question, vector };
        let read = Question::read(question);
        let would_do = |stored: &str, similarity: f32| self.would_do(&read, stored, similarity, ask);
        match self.aloft.board(&self.flights, &boarder, would_do) {
            Boarding::Wait(reader) => {
                let ended = tokio::time::timeout(wait, reader.end()).await.is_ok();
                metrics::flight_wait(if ended { "near" } else { "near_late" });
                ended
            }
            Boarding::Listed(listed) => {
                lead.aloft = Some(listed);
                false
            }
            Boarding::Unlisted => false,
        }
    }

    /// What an answer to `ask` is stored by. `purges` are those before it was asked for.
    pub(super) fn ticket(&self, ask: &Ask, purges: u64, source: Source) -> Ticket {
        Ticket {
            keys: ask.keys,
            policy: ask.policy.clone(),
            question: ask.compared.clone().or_else(|| ask.question.clone()),
            vector: None,
            truncated: false,
            tenant: ask.tenant.clone(),
            surface: ask.surface,
            model: ask.model.clone(),
            tags: ask.tags.clone(),
            purges,
            asked_ms: self.clock.now_ms(),
            source,
        }
    }

    /// A hit that is served counts as a use of its entry.
    fn counted(&self, hit: Hit) -> Hit {
        self.entries.used(hit.entry.id);
        hit
    }

    /// May a hit that another request's lookup found be served to this one too?
    pub fn suits(&self, hit: &Hit, ask: &Ask) -> bool {
        let policy = &ask.policy;
        let entry = &hit.entry;
        let by_tier = match hit.tier {
            Tier::Semantic => {
                policy.semantic && hit.similarity.is_some_and(|similarity| similarity >= policy.threshold)
            }
            Tier::Normalised => policy.normalised,
            Tier::Exact | Tier::Flight => true,
        };
        by_tier
            && ask.is_met_by(&entry.answer)
            && (entry.scope == ask.keys.scope || hit.tier == Tier::Semantic && entry.meaning == ask.keys.meaning)
            && policy.is_fresh(entry.created_ms, entry.expires_ms, self.clock.now_ms())
    }

    /// An expired answer to the very same request that may stand in now that no provider answers.
    pub fn stand_in(&self, ask: &Ask) -> Option<Arc<Entry>> {
        let mut stale = None;
        let _ = self.exact(ask, &mut stale);
        stale
            .and_then(|stale| stale.found)
            .map(|(entry, _)| entry)
            .filter(|entry| self.may_serve_stale(entry, &ask.policy))
    }

    /// The exact and the normalised tier. An expired find is put into `stale`.
    pub(super) fn exact(&self, ask: &Ask, stale: &mut Option<Expired>) -> Option<Hit> {
        if !ask.policy.read {
            return None;
        }
        let by_exact = self.find(&ask.keys.exact, ask, Tier::Exact, stale).map(|entry| (entry, Tier::Exact));
        let (entry, tier) = by_exact.or_else(|| {
            let key = ask.keys.normalised.filter(|_| ask.policy.normalised)?;
            self.find(&key, ask, Tier::Normalised, stale).map(|entry| (entry, Tier::Normalised))
        })?;
        Some(Hit::by_words(entry, tier))
    }

    fn find(&self, key: &Digest, ask: &Ask, tier: Tier, stale: &mut Option<Expired>) -> Option<Arc<Entry>> {
        let entry =
            self.entries.by_key(key).filter(|entry| entry.scope == ask.keys.scope && ask.is_met_by(&entry.answer))?;
        if ask.policy.is_fresh(entry.created_ms, entry.expires_ms, self.clock.now_ms()) {
            return Some(entry);
        }
        let past = ask.policy.fresh_until_ms(entry.created_ms, entry.expires_ms) <= self.clock.now_ms();
        // A caller who wants nothing older than so much does not want this, whatever the providers do.
        let may_stand_in = past && ask.policy.max_age.is_none();
        stale.get_or_insert(Expired { found: may_stand_in.then_some((entry, tier)) });
        None
    }

    /// The semantic tier; `again` for a request that was counted before.
    async fn by_meaning(&self, ask: &Ask, again: bool) -> Meaning {
        let policy = &ask.policy;
        let question = ask.compared.as_deref().or(ask.question.as_deref()).filter(|text| !text.trim().is_empty());
        let (Some(semantic), Some(question), true) = (&self.semantic, question, policy.semantic && policy.read) else {
            return Meaning::none(MissReason::Absent);
        };
        let Some(vector) = semantic.embed(question, &ask.tenant).await else {
            return Meaning::none(MissReason::Unavailable);
        };
        let mut meaning = Meaning::none(MissReason::Absent);
        meaning.timing.embed = Some(vector.embed);
        // Two long questions can have the same beginning; what the model did not read it cannot compare.
        meaning.truncated = vector.truncated;
        if vector.truncated {
            return Meaning { reason: MissReason::TooLong, ..meaning };
        }
        let started = Instant::now();
        // Neighbours below the threshold are looked at too, so that a near miss can be seen in headers and metrics.
        let near = semantic.nearest(ask.keys.meaning, &vector.values, policy.candidates, -1.0);
        let Some(mut near) = near else {
            return Meaning { reason: MissReason::Unavailable, ..meaning };
        };
        // A row leaves the index a moment after its entry left the table.
        near.retain(|neighbour| self.entries.holds(EntryId(neighbour.id)));
        meaning.similarity = near.first().map(|best| best.similarity);
        meaning.nearest = near.first().map(|best| EntryId(best.id));
        let (question, candidates) = self.of_one_conversation(ask, self.candidates(&near, ask)).await;
        let judged = self.judged(question, &candidates, ask, again);
        meaning.timing.search = Some(started.elapsed());
        meaning.vector = Some(vector.values);
        let Judged { serve, reason, p, served, check, compare } = judged;
        if let Some(reason) = reason.filter(|_| !near.is_empty()) {
            meaning.reason = reason;
        }
        let hit = serve.and_then(|at| candidates.get(at)).map(|candidate| Hit {
            entry: candidate.kept.entry.clone(),
            tier: Tier::Semantic,
            similarity: Some(candidate.similarity),
            p,
            case: served,
            timing: meaning.timing,
        });
        Meaning { hit, check, compare, p, ..meaning }
    }

    /// The entries behind `near` that are near enough and may be served to this request.
    pub(super) fn candidates(&self, near: &[askonce_index::Neighbor], ask: &Ask) -> Vec<Candidate> {
        let near_enough = near.iter().take_while(|neighbour| neighbour.similarity >= ask.policy.threshold);
        near_enough.filter_map(|neighbour| self.candidate(neighbour, ask)).collect()
    }

    /// The entry behind a neighbour, if it may be served to this request.
    fn candidate(&self, neighbour: &askonce_index::Neighbor, ask: &Ask) -> Option<Candidate> {
        let kept = self.entries.kept(EntryId(neighbour.id))?;
        let entry = &kept.entry;
        let fresh = ask.policy.is_fresh(entry.created_ms, entry.expires_ms, self.clock.now_ms());
        (entry.semantic && fresh && entry.meaning == ask.keys.meaning && ask.is_met_by(&entry.answer))
            .then_some(Candidate { kept, similarity: neighbour.similarity, alone: None })
    }
}
