//! `Governor`: who may ask for what, and how much. Whatever is asked is asked of a key and of every account above it, in one step.
//!
//! A request comes in when its key is one and may be used there ([`Governor::enter`]); it is admitted when its key may have the model
//! and there is room in its limits of requests ([`Governor::admit`]). What an answer may cost is reserved before a provider is asked for
//! it ([`Purse`]), and settled when it is known what it did: a stored answer costs nothing. What is reserved and never settled is free
//! again.

use super::alert::Alerts;
use super::ledger::{Amount, At, Entry, Hold, Ledger, MeterId, Refused, Written};
use super::lengths::Lengths;
use super::level::{Climb, Level, Levels, Metered, Source, Terms};
use super::meter::{Over, Rule, Window};
use super::period::{Calendar, Span};
use super::rights::{self, Asked, Entering, fits};
use crate::config::{self, AccountKind, Allowance, Counted, Measure, Per, Reservation, Rights};
use crate::types::caller::Caller;
use crate::types::directives::Directives;
use crate::types::error::{Error, ErrorKind};
use crate::types::money::MicroUsd;
use crate::types::usage::Usage;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// So much may be reserved of a budget before that is on disk, in micro-dollars, at least; or the fiftieth part of a small one.
const COVER_MICRO_USD: u64 = 1_000_000;
const COVER_SHARE: u64 = 50;
/// A request waits so long for the disk.
const DISK: Duration = Duration::from_secs(5);
/// It waits so long for what other nodes were granted and do not need.
const OTHERS: Duration = Duration::from_secs(2);

/// Who may ask for what, and how much.
#[derive(Debug)]
pub struct Governor {
    ledger: Arc<Ledger>,
    /// Where each meter is.
    meters: Mutex<HashMap<MeterId, At>>,
    /// What is on disk of meters that nobody has asked for yet.
    written: Mutex<HashMap<MeterId, Written>>,
    accounts: Levels,
    keys: Levels,
    alerts: Arc<Alerts>,
    /// Budgets are written down.
    persistent: bool,
    /// What there was to write is written.
    saved: Notify,
    /// How long answers are, where less than the longest one is reserved.
    lengths: Lengths,
    learned: AtomicBool,
}

/// What a request may use of providers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Estimate {
    /// Tokens of its prompt.
    pub input_tokens: u64,
    /// Tokens of its answer.
    pub output_tokens: u64,
    /// What that costs; zero where the price is not known.
    pub cost: MicroUsd,
}

/// A request's place among those of its key that are under way.
#[derive(Debug, Default)]
pub struct Place(#[allow(dead_code, reason = "it is given back when this is dropped")] Option<Hold>);

/// What is reserved for an answer. Dropped, nothing of it was used; or all of it, if the answer had begun.
#[derive(Debug, Default)]
pub struct Purse {
    held: Vec<(Hold, Vec<(At, Measure)>)>,
    alerts: Option<Arc<Alerts>>,
    begun: bool,
}

impl Drop for Purse {
    fn drop(&mut self) {
        for (hold, _) in std::mem::take(&mut self.held) {
            if self.begun {
                hold.spend();
            }
        }
    }
}

/// How much of a limit of requests or tokens is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Of what.
    pub measure: Measure,
    /// In what time.
    pub per: Per,
    /// The most.
    pub most: u64,
    /// What is left of it.
    pub left: u64,
    /// When all of it may be used again.
    pub resets: Duration,
}

/// How much of one budget or limit of a key or an account is left, and what it counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnStanding {
    /// How much.
    pub standing: Standing,
    /// Of these models; empty: of all.
    pub models: Vec<String>,
    /// At these providers; empty: wherever it is answered.
    pub providers: Vec<String>,
}

/// How far what a caller has is used up: as shares from 0 to 1, of the level where most is.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Used {
    /// Of budgets.
    pub budget: f64,
    /// What is left of the one with the least; `None`: there is none.
    pub left: Option<MicroUsd>,
    /// Of limits of requests, those under way among them.
    pub requests: f64,
    /// Of limits of tokens.
    pub tokens: f64,
}

impl Governor {
    /// One that writes budgets down, if `persistent`, and knows what is `written` of them.
    pub fn new(
        settings: &config::Resolved,
        persistent: bool,
        written: HashMap<MeterId, Written>,
        now_ms: u64,
    ) -> Governor {
        Governor::among(settings, persistent, false, written, now_ms)
    }

    /// The same; `shared`: other nodes may write there as well.
    pub fn among(
        settings: &config::Resolved,
        persistent: bool,
        shared: bool,
        written: HashMap<MeterId, Written>,
        now_ms: u64,
    ) -> Governor {
        let governor = Governor {
            ledger: Ledger::new(shared),
            meters: Mutex::default(),
            written: Mutex::new(written),
            accounts: Levels::new("account"),
            keys: Levels::new("key"),
            alerts: Arc::default(),
            persistent,
            saved: Notify::new(),
            lengths: Lengths::default(),
            learned: AtomicBool::new(false),
        };
        governor.reconfigure(settings, now_ms);
        governor
    }

    /// Puts new settings in force. What was used of limits that are still there stays. Of what the admin surface owns, only what has
    /// the name of something in the file changes: the file has it from then on.
    pub fn reconfigure(&self, settings: &config::Resolved, now_ms: u64) {
        self.learned.store(settings.reservation == Reservation::Learned, Ordering::Relaxed);
        for account in &settings.accounts {
            self.set_account(account, Source::File, now_ms);
        }
        for key in &settings.auth.keys {
            let terms = self.terms("key", &key.name, &key.rights, key.account.as_deref(), Source::File, now_ms);
            let terms = Terms { expires_ms: expiry(key.expires), ..terms };
            self.keys.named(&key.name).terms.store(Some(Arc::new(terms)));
        }
        let accounts = settings.accounts.iter().map(|account| self.accounts.named(&account.name));
        let keys = settings.auth.keys.iter().map(|key| self.keys.named(&key.name));
        let there: HashSet<*const Level> = accounts.chain(keys).map(|level| Arc::as_ptr(&level)).collect();
        for level in self.accounts.all().into_iter().chain(self.keys.all()) {
            let is_of_file = level.terms.load().as_ref().is_some_and(|terms| terms.source == Source::File);
            if is_of_file && !there.contains(&Arc::as_ptr(&level)) {
                level.terms.store(None);
            }
        }
    }

    /// An account is there, or has changed.
    pub fn set_account(&self, account: &config::Account, source: Source, now_ms: u64) {
        let (kind, name) = (account.kind.as_str(), &account.name);
        let terms = self.terms(kind, name, &account.rights, account.parent.as_deref(), source, now_ms);
        let terms = Terms { kind: Some(account.kind), ..terms };
        self.accounts.named(name).terms.store(Some(Arc::new(terms)));
    }

    /// A virtual key is there, or has changed.
    pub fn set_key(&self, key: &config::VirtualKey, now_ms: u64) {
        let terms = self.terms("key", &key.name, &key.rights, key.account.as_deref(), Source::Api, now_ms);
        let terms = Terms { expires_ms: expiry(key.expires), enabled: key.enabled, ..terms };
        self.keys.named(&key.name).terms.store(Some(Arc::new(terms)));
    }

    /// An account of the admin surface is no more. What belongs to it may nothing from now on.
    pub fn remove_account(&self, name: &str) {
        remove(&self.accounts, name);
    }

    /// A virtual key is none any more.
    pub fn remove_key(&self, name: &str) {
        remove(&self.keys, name);
    }

    /// What the account `name` is, if there is one.
    pub fn kind_of_account(&self, name: &str) -> Option<AccountKind> {
        self.accounts.get(name)?.terms.load().as_ref()?.kind
    }

    /// The account that the account `name` is in, if there is that one, and it is in any.
    pub fn parent_of_account(&self, name: &str) -> Option<Option<String>> {
        let level = self.accounts.get(name)?;
        let terms = level.terms.load();
        Some(terms.as_ref()?.parent.as_ref().map(|parent| parent.name.clone()))
    }

    /// The account `nearest`, and those above it.
    pub fn accounts_from(&self, nearest: Option<&str>) -> Arc<[String]> {
        let mut names = Vec::new();
        if let Some(level) = nearest.and_then(|name| self.accounts.get(name)) {
            let _ = level.climb::<()>(|level, _| {
                names.push(level.name.clone());
                Ok(())
            });
        }
        names.into()
    }

    /// Are these still an account and all above it, the nearest first? Of none of them there is nothing that could have changed.
    pub fn still_are(&self, accounts: &[String]) -> bool {
        let Some(nearest) = accounts.first() else { return true };
        let Some(level) = self.accounts.get(nearest) else { return false };
        let mut names = accounts.iter();
        let climbed = level.climb(|level, _| if names.next() == Some(&level.name) { Ok(()) } else { Err(()) });
        climbed.is_ok() && names.next().is_none()
    }

    /// A key or an account that is in the account `name`.
    pub fn something_in(&self, name: &str) -> Option<String> {
        let is_in = |level: &Arc<Level>| {
            level.terms.load().as_ref().and_then(|terms| Some(terms.parent.as_ref()?.name == name)).unwrap_or(false)
        };
        self.accounts.all().into_iter().chain(self.keys.all()).find(is_in).map(|level| level.what.clone())
    }

    fn terms(
        &self,
        kind: &str,
        name: &str,
        rights: &Rights,
        parent: Option<&str>,
        source: Source,
        now_ms: u64,
    ) -> Terms {
        let what = format!("{} `{name}`", if kind == "key" { kind } else { "account" });
        let meter = |one: &Allowance| {
            let at = self.meter(kind, name, one, now_ms);
            self.alerts.know(at, &what, one);
            let (models, providers) = (one.models.clone(), one.providers.clone());
            Metered { at, measure: one.measure, per: one.per, models, providers }
        };
        Terms {
            source,
            kind: None,
            expires_ms: None,
            enabled: true,
            meters: rights.allowances.iter().map(meter).collect(),
            rights: Rights { allowances: Vec::new(), ..rights.clone() },
            parent: parent.map(|name| self.accounts.named(name)),
        }
    }

    /// The meter of an allowance; the one that is there, where it is the same.
    fn meter(&self, kind: &str, name: &str, one: &Allowance, now_ms: u64) -> At {
        let id = meter_id(kind, name, one);
        let rule = Rule { most: one.most, window: window(one) };
        *self
            .meters
            .lock()
            .entry(id)
            .and_modify(|at| self.ledger.set_rule(now_ms, *at, rule.clone(), one.soft))
            .or_insert_with(|| {
                let small = (one.most / COVER_SHARE).max(1);
                let cover = (self.persistent && one.measure == Measure::Usd).then(|| COVER_MICRO_USD.min(small));
                let written = self.written.lock().remove(&id).unwrap_or_default();
                self.ledger.add(now_ms, Entry { id, rule: rule.clone(), soft: one.soft, cover }, &written)
            })
    }

    /// Where the levels of a caller begin: at its key, or at the account that its token names. None for who has neither.
    fn level(&self, caller: &Caller) -> Option<Arc<Level>> {
        self.keys.get(&caller.name).or_else(|| Some(self.accounts.named(caller.accounts.first()?)))
    }

    /// May a request of this caller come in there? If so, what it asks of the cache is narrowed to what it may.
    pub fn enter(&self, caller: &Caller, about: &Entering<'_>, directives: &mut Directives) -> Result<(), Error> {
        let Some(level) = self.level(caller) else { return Ok(()) };
        let mut shares = true;
        let climbed = level.climb(|level, terms| {
            rights::entering(level, terms, about)?;
            rights::narrow(terms, directives);
            shares &= terms.rights.cache.share;
            Ok(())
        });
        climbed.map_err(refusal)?;
        if !shares {
            let scope = directives.scope.take().unwrap_or_default();
            // No header can carry this sign: nobody can name another's scope.
            directives.scope = Some(format!("{}\u{1f}{scope}", caller.name));
        }
        Ok(())
    }

    /// Is there a key of this caller's, or an account above it?
    pub fn knows(&self, caller: &Caller) -> bool {
        self.level(caller).is_some()
    }

    /// Does anybody count what this caller's answers use, or at whom?
    pub fn counts_answers(&self, caller: &Caller) -> bool {
        let of_answer = |one: &Metered| {
            !one.providers.is_empty() || !matches!(one.measure, Measure::Requests | Measure::Concurrent)
        };
        let mut counts = false;
        if let Some(level) = self.level(caller) {
            let _ = level.climb::<()>(|_, terms| {
                counts |= terms.meters.iter().any(of_answer);
                Ok(())
            });
        }
        counts
    }

    /// How many tokens one answer of `model` usually has at most; `None`: that is not known, or not asked for.
    pub fn usual_tokens(&self, model: &str) -> Option<u64> {
        self.learned.load(Ordering::Relaxed).then(|| self.lengths.usual(model)).flatten()
    }

    /// One answer of `model` had so many tokens.
    pub fn learn_tokens(&self, model: &str, tokens: u64) {
        if self.learned.load(Ordering::Relaxed) {
            self.lengths.learn(model, tokens);
        }
    }

    /// Does anybody count what some providers answer this caller?
    pub fn counts_at_providers(&self, caller: &Caller) -> bool {
        let mut counts = false;
        if let Some(level) = self.level(caller) {
            let _ = level.climb::<()>(|_, terms| {
                counts |= terms.meters.iter().any(|one| !one.providers.is_empty());
                Ok(())
            });
        }
        counts
    }

    /// Whether this caller may not give tools, and may not send pictures.
    pub fn bars(&self, caller: &Caller) -> (bool, bool) {
        let (mut tools, mut images) = (false, false);
        if let Some(level) = self.level(caller) {
            let _ = level.climb::<()>(|_, terms| {
                tools |= !terms.rights.tools;
                images |= !terms.rights.images;
                Ok(())
            });
        }
        (tools, images)
    }

    /// Lets a request in, or says why not.
    pub fn admit(&self, caller: &Caller, asked: &Asked<'_>, now_ms: u64) -> Result<Place, Error> {
        if !caller.models.iter().all(|models| asked.model.is_empty() || fits(models, asked.model)) {
            return Err(rights::no_model(asked.model, &format!("caller `{}`", caller.name)));
        }
        let Some(level) = self.level(caller) else { return Ok(Place::default()) };
        let mut amounts = Vec::new();
        let mut lasting = Vec::new();
        let climbed = level.climb(|level, terms| {
            rights::asked(level, terms, asked)?;
            for one in terms.meters.iter().filter(|one| one.is_for(asked.model)) {
                match one.measure {
                    Measure::Requests => amounts.push(Amount { at: one.at, amount: 1 }),
                    Measure::Concurrent => {
                        amounts.push(Amount { at: one.at, amount: 1 });
                        lasting.push(one.at);
                    }
                    _ => {}
                }
            }
            Ok(())
        });
        climbed.map_err(refusal)?;
        if amounts.is_empty() {
            return Ok(Place::default());
        }
        match self.ledger.hold(now_ms, &amounts) {
            // Requests are used when they come; places when they end.
            Ok(hold) => Ok(Place(Some(hold.settle_but(now_ms, |at| lasting.contains(&at))))),
            Err(Refused::Over(at, over)) => Err(refused(&level, at, over)),
            Err(Refused::Uncovered(_)) => Err(no_store()),
        }
    }

    /// May a caller ask for the model of that name, as far as its key and the accounts above it say?
    pub fn may_ask_for(&self, caller: &Caller, model: &str) -> bool {
        let own = caller.models.iter().all(|models| fits(models, model));
        let climbed = self.level(caller).is_none_or(|level| {
            let may = |_: &Level, terms: &Terms| if fits(&terms.rights.models, model) { Ok(()) } else { Err(()) };
            level.climb(may).is_ok()
        });
        own && climbed
    }

    /// May a caller be answered by the provider `name`? None where it may be by all.
    pub fn providers(&self, caller: &Caller) -> Option<impl Fn(&str) -> bool + use<>> {
        let level = self.level(caller)?;
        let mut bounds: Vec<Vec<String>> = Vec::new();
        let _ = level.climb::<()>(|_, terms| {
            if !terms.rights.providers.is_empty() {
                bounds.push(terms.rights.providers.clone());
            }
            Ok(())
        });
        let bounds_are_none = bounds.is_empty();
        let may = move |name: &str| bounds.iter().all(|bound: &Vec<String>| bound.iter().any(|one| one == name));
        (!bounds_are_none).then_some(may)
    }

    /// Reserves what an answer may use, on every level, or says which has not enough left. Waits for the disk where budgets that are
    /// written down want that.
    pub async fn reserve(
        &self,
        caller: &Caller,
        model: &str,
        estimate: Estimate,
        now: impl Fn() -> u64,
    ) -> Result<Purse, Error> {
        let Some(level) = self.level(caller) else { return Ok(Purse::default()) };
        let counts =
            |one: &Metered| one.is_for(model) && !matches!(one.measure, Measure::Requests | Measure::Concurrent);
        self.hold(&level, of_answers(&level, counts, estimate)?, now).await
    }

    /// Reserves what an answer of `provider` may use of what is counted there alone, or says which has not enough left. Its request, and
    /// its place among those under way, are counted with it.
    pub async fn reserve_at(
        &self,
        caller: &Caller,
        provider: &str,
        model: &str,
        estimate: Estimate,
        now: impl Fn() -> u64,
    ) -> Result<Purse, Error> {
        let Some(level) = self.level(caller) else { return Ok(Purse::default()) };
        let amounts = of_answers(&level, |one| one.is_at(provider, model), estimate)?;
        let refused = |error: Error| {
            let message = format!("{} It counts what the provider `{provider}` answers.", error.message);
            Error { message, ..error }
        };
        self.hold(&level, amounts, now).await.map_err(refused)
    }

    async fn hold(
        &self,
        level: &Arc<Level>,
        (amounts, measures): OfAnswer,
        now: impl Fn() -> u64,
    ) -> Result<Purse, Error> {
        if amounts.is_empty() {
            return Ok(Purse::default());
        }
        let begun = tokio::time::Instant::now();
        // The database answered, and what it granted did not reach.
        let mut answered = false;
        loop {
            let saved = self.saved.notified();
            tokio::pin!(saved);
            saved.as_mut().enable();
            match self.ledger.hold(now(), &amounts) {
                Ok(hold) => {
                    let alerts = Some(self.alerts.clone());
                    return Ok(Purse { held: vec![(hold, measures)], alerts, begun: false });
                }
                Err(Refused::Over(at, over)) => {
                    self.alerts.exceeded(at, now());
                    return Err(refused(level, at, over));
                }
                // Other nodes have it, and do not give it back: their requests hold it.
                Err(Refused::Uncovered(at)) if answered && begun.elapsed() >= OTHERS => {
                    let left = self.ledger.left(at, now()).map_or(0, |(left, ..)| left);
                    return Err(refused(level, at, Over { left, after_ms: None }));
                }
                Err(Refused::Uncovered(_)) => {
                    tokio::time::timeout_at(begun + DISK, saved).await.map_err(|_| no_store())?;
                    answered = true;
                }
            }
        }
    }

    /// How far the budgets and limits of this caller are used up, what is reserved for others of its requests included.
    pub fn used(&self, caller: &Caller, model: &str, now_ms: u64) -> Used {
        let mut used = Used::default();
        let Some(level) = self.level(caller) else { return used };
        let _ = level.climb::<()>(|_, terms| {
            for one in terms.meters.iter().filter(|one| one.is_for(model)) {
                let Some((left, most, _)) = self.ledger.left(one.at, now_ms) else { continue };
                let share = share(most.saturating_sub(left), most);
                let of = match one.measure {
                    Measure::Usd => {
                        used.left = Some(MicroUsd(used.left.map_or(left, |known| known.0.min(left))));
                        &mut used.budget
                    }
                    Measure::Requests | Measure::Concurrent => &mut used.requests,
                    Measure::Tokens | Measure::InputTokens | Measure::OutputTokens => &mut used.tokens,
                };
                *of = of.max(share);
            }
            Ok(())
        });
        used
    }

    /// How much is left of the limits of requests and tokens of this caller: of each kind of the level where least is.
    pub fn standing(&self, caller: &Caller, model: &str, now_ms: u64) -> Vec<Standing> {
        let mut all: Vec<Standing> = Vec::new();
        let Some(level) = self.level(caller) else { return all };
        let _ = level.climb::<()>(|_, terms| {
            for one in terms.meters.iter().filter(|one| is_rate(one.measure) && one.is_for(model)) {
                let Some((left, most, resets_ms)) = self.ledger.left(one.at, now_ms) else { continue };
                let resets = Duration::from_millis(resets_ms);
                let standing = Standing { measure: one.measure, per: one.per, most, left, resets };
                match all.iter_mut().find(|known| known.measure == one.measure) {
                    Some(known) if known.left > left => *known = standing,
                    Some(_) => {}
                    None => all.push(standing),
                }
            }
            Ok(())
        });
        all
    }

    /// What was used of each budget and limit of the key `name`, or of the account: for the admin surface.
    pub fn key_standing(&self, name: &str, now_ms: u64) -> Vec<OwnStanding> {
        self.keys.get(name).map_or_else(Vec::new, |level| self.own_standing(&level, now_ms))
    }

    /// The same for an account.
    pub fn account_standing(&self, name: &str, now_ms: u64) -> Vec<OwnStanding> {
        self.accounts.get(name).map_or_else(Vec::new, |level| self.own_standing(&level, now_ms))
    }

    fn own_standing(&self, level: &Level, now_ms: u64) -> Vec<OwnStanding> {
        let Some(terms) = level.terms.load_full() else { return Vec::new() };
        let standing = |one: &Metered| {
            let (left, most, resets_ms) = self.ledger.left(one.at, now_ms)?;
            let resets = Duration::from_millis(resets_ms);
            let standing = Standing { measure: one.measure, per: one.per, most, left, resets };
            Some(OwnStanding { standing, models: one.models.clone(), providers: one.providers.clone() })
        };
        terms.meters.iter().filter_map(standing).collect()
    }

    /// What there is to tell of budgets.
    pub fn alerts(&self) -> &Arc<Alerts> {
        &self.alerts
    }

    /// The ledger.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// What was to be written is on disk: who waits for that looks again.
    pub fn written(&self) {
        self.saved.notify_waiters();
    }
}

/// So much of each meter, and of what it is one.
type OfAnswer = (Vec<Amount>, Vec<(At, Measure)>);

/// Each meter that counts, how much of it, and of what it is one.
fn of_answers(level: &Level, counts: impl Fn(&Metered) -> bool, estimate: Estimate) -> Result<OfAnswer, Error> {
    let (mut amounts, mut measures) = (Vec::new(), Vec::new());
    let climbed = level.climb::<Error>(|_, terms| {
        for one in terms.meters.iter().filter(|one| counts(one)) {
            amounts.push(Amount { at: one.at, amount: estimate.of(one.measure) });
            measures.push((one.at, one.measure));
        }
        Ok(())
    });
    climbed.map_err(refusal)?;
    Ok((amounts, measures))
}

/// What part of `most` is `used`; all of nothing.
#[allow(clippy::cast_precision_loss, reason = "a share of so much is not told to the last bit")]
fn share(used: u64, most: u64) -> f64 {
    if most == 0 { 1.0 } else { used as f64 / most as f64 }
}

fn refusal(why: Climb<Error>) -> Error {
    match why {
        Climb::Gone(what) => rights::gone(&what),
        Climb::Refused(error) => error,
    }
}

fn remove(levels: &Levels, name: &str) {
    if let Some(level) = levels.get(name)
        && level.terms.load().as_ref().is_some_and(|terms| terms.source == Source::Api)
    {
        level.terms.store(None);
    }
}

fn expiry(at: Option<jiff::Timestamp>) -> Option<u64> {
    at.map(|at| u64::try_from(at.as_millisecond()).unwrap_or(0))
}

fn is_rate(measure: Measure) -> bool {
    !matches!(measure, Measure::Usd | Measure::Concurrent)
}

/// Which limit says no.
fn refused(level: &Level, at: At, over: Over) -> Error {
    let mut found = None;
    let _ = level.climb::<()>(|level, terms| {
        if let Some(one) = terms.meters.iter().find(|one| one.at == at) {
            found = Some((level.what.clone(), one.measure, one.per.as_str()));
        }
        Ok(())
    });
    let Some((what, measure, per)) = found else { return no_store() };
    let error = match measure {
        Measure::Usd => {
            let left = MicroUsd(over.left);
            let message = format!(
                "The budget of {what} for this {per} does not reach: {left} US dollars are left of it, less than this request may cost."
            );
            Error::new(ErrorKind::OverBudget, message).with_code("budget_exceeded")
        }
        Measure::Concurrent => {
            let message = format!("As many requests of {what} are under way as may be (`concurrent`).");
            Error::new(ErrorKind::TooMany, message).with_code("rate_limit_exceeded")
        }
        measure => {
            let (unit, left) = (measure.as_str(), over.left);
            let message = format!(
                "Rate limit reached for {what}: {unit} per {per}; {left} are left, fewer than this request takes."
            );
            Error::new(ErrorKind::TooMany, message).with_code("rate_limit_exceeded")
        }
    };
    Error { retry_after: over.after_ms.map(Duration::from_millis), ..error }
}

impl Estimate {
    fn of(self, measure: Measure) -> u64 {
        match measure {
            Measure::Usd => self.cost.0,
            Measure::Tokens => self.input_tokens.saturating_add(self.output_tokens),
            Measure::InputTokens => self.input_tokens,
            Measure::OutputTokens => self.output_tokens,
            Measure::Requests | Measure::Concurrent => 1,
        }
    }
}

impl Purse {
    /// The answer has begun: from here on it costs something, whatever becomes of it.
    pub fn begun(&mut self) {
        self.begun = true;
    }

    /// The answer has ended: it used that, and cost that.
    pub fn settle(&mut self, usage: Usage, cost: MicroUsd, now_ms: u64) {
        let used = Estimate { input_tokens: usage.input_tokens, output_tokens: usage.output_tokens, cost };
        for (hold, measures) in std::mem::take(&mut self.held) {
            let measure = |at: At| measures.iter().find(|(one, _)| *one == at).map(|(_, measure)| *measure);
            let reached = hold.settle(now_ms, |at| measure(at).map_or(0, |measure| used.of(measure)));
            if let Some(alerts) = &self.alerts {
                reached.into_iter().for_each(|at| alerts.soft(at, now_ms));
            }
        }
    }

    /// With what another holds.
    pub fn join(&mut self, mut other: Purse) {
        self.held.append(&mut other.held);
        if self.alerts.is_none() {
            self.alerts = other.alerts.take();
        }
    }
}

fn window(one: &Allowance) -> Window {
    if one.measure == Measure::Concurrent {
        return Window::AtOnce;
    }
    let (span, ms) = match one.per {
        Per::Minute => (Span::Minute, 60_000),
        Per::Hour => (Span::Hour, 3_600_000),
        Per::Day => (Span::Day, 86_400_000),
        Per::Week => (Span::Week, 7 * 86_400_000),
        Per::Month => (Span::Month, 30 * 86_400_000),
        Per::Year => (Span::Year, 365 * 86_400_000),
        Per::Ever => return Window::Ever,
    };
    match one.counted {
        Counted::Calendar => Window::Calendar(Calendar { span, zone: one.time_zone.clone() }),
        Counted::Rolling => Window::Rolling(ms),
        Counted::Bucket => Window::Bucket(ms),
    }
}

/// What stays the same of a meter whose most is changed.
fn meter_id(kind: &str, name: &str, one: &Allowance) -> MeterId {
    let zone = one.time_zone.iana_name().unwrap_or_default();
    let told = (kind, name, one.measure.as_str(), one.per.as_str(), one.counted.as_str(), zone, &one.models);
    let digest = match one.providers.is_empty() {
        true => blake3::derive_key("askonce 2026 meter v1", format!("{told:?}").as_bytes()),
        false => blake3::derive_key("askonce 2026 meter v2", format!("{told:?} {:?}", one.providers).as_bytes()),
    };
    MeterId(u64::from_le_bytes(std::array::from_fn(|at| digest[at])))
}

fn no_store() -> Error {
    let message = "What this request may cost cannot be written down just now, so it is not sent.";
    Error::new(ErrorKind::Overloaded, message).with_code("store_unavailable")
}

#[cfg(test)]
mod tests;
