//! `budgets` and `rate_limits`: how much may be used in what time, by a key or by an account.

use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::kinds::{Counted, Measure, Per};
use jiff::tz::TimeZone;

const BUDGET_KEYS: &[&str] = &["usd", "soft_usd", "per", "window", "time_zone", "models", "providers"];
const RATE_KEYS: &[&str] = &[
    "requests",
    "tokens",
    "input_tokens",
    "output_tokens",
    "concurrent",
    "per",
    "window",
    "time_zone",
    "models",
    "providers",
];

/// More than anybody spends, in US dollars.
const MAX_USD: f64 = 1_000_000_000.0;
/// More than anybody sends.
const MAX_COUNT: u64 = 1_000_000_000_000;
/// Of one key or account.
const MOST: usize = 64;

/// So much, in what time, of which models.
#[derive(Debug, Clone, PartialEq)]
pub struct Allowance {
    /// Of what.
    pub measure: Measure,
    /// So much, in the unit of the measure: micro-dollars, tokens, requests.
    pub most: u64,
    /// To be told of at this much.
    pub soft: Option<u64>,
    /// In what time.
    pub per: Per,
    /// How that is counted.
    pub counted: Counted,
    /// Whose midnight counts.
    pub time_zone: TimeZone,
    /// Of models with these names, in which one `*` stands for any text. Empty: of all.
    pub models: Vec<String>,
    /// At providers with these names, in which one `*` stands for any text. Empty: wherever it is answered, and by the cache too.
    pub providers: Vec<String>,
}

impl Allowance {
    /// Is what one counts what the other counts?
    fn counts_the_same(&self, other: &Allowance) -> bool {
        let sorted = |one: &Allowance| {
            let (mut models, mut providers) = (one.models.clone(), one.providers.clone());
            models.sort();
            providers.sort();
            (models, providers)
        };
        (self.measure, self.per, self.counted) == (other.measure, other.per, other.counted)
            && self.time_zone == other.time_zone
            && sorted(self) == sorted(other)
    }
}

/// Reads `budgets` and `rate_limits` of a key or an account.
pub(super) fn allowances(of: &Fields<'_>) -> Result<Vec<Allowance>, ConfigError> {
    let budgets = of.list("budgets")?;
    let rates = of.list("rate_limits")?;
    if let Some(item) = budgets.get(MOST).or(rates.get(MOST)) {
        return Err(item.error(format!("expected at most {MOST} of them")));
    }
    let mut all: Vec<Allowance> = Vec::with_capacity(budgets.len() + rates.len());
    for (item, read) in
        budgets.iter().map(|item| (item, budget(item))).chain(rates.iter().map(|item| (item, rate(item))))
    {
        let one = read?;
        if all.iter().any(|other| other.counts_the_same(&one)) {
            let error = item.error("another one here counts the same in the same time");
            return Err(error.with_suggestion("keep the smaller one of the two"));
        }
        all.push(one);
    }
    Ok(all)
}

fn budget(item: &Item<'_>) -> Result<Allowance, ConfigError> {
    let fields = item.fields(BUDGET_KEYS)?;
    let usd = |item: Item<'_>| item.float(0.0..=MAX_USD).map(micro_usd);
    let most = usd(fields.require("usd")?)?;
    let soft = fields.get("soft_usd").map(usd).transpose()?;
    if let (Some(soft), Some(item)) = (soft, fields.get("soft_usd"))
        && soft > most
    {
        return Err(item.error("the soft limit is above the hard one, and would never be told of"));
    }
    let per = fields.require("per")?.word::<Per>()?;
    let counted = fields.word("window", Counted::Calendar)?;
    if counted == Counted::Bucket {
        let error = fields.error("a budget is counted by the calendar or in a rolling window");
        return Err(error.with_suggestion("`window: bucket` is for rate limits"));
    }
    Ok(Allowance {
        measure: Measure::Usd,
        most,
        soft,
        per,
        counted,
        time_zone: zone(&fields)?,
        models: models(&fields)?,
        providers: providers(&fields)?,
    })
}

fn rate(item: &Item<'_>) -> Result<Allowance, ConfigError> {
    let fields = item.fields(RATE_KEYS)?;
    let measures = [
        ("requests", Measure::Requests),
        ("tokens", Measure::Tokens),
        ("input_tokens", Measure::InputTokens),
        ("output_tokens", Measure::OutputTokens),
        ("concurrent", Measure::Concurrent),
    ];
    let mut found = measures.iter().filter_map(|(key, measure)| Some((fields.get(key)?, *measure)));
    let (Some((most, measure)), None) = (found.next(), found.next()) else {
        let error = fields.error("expected one of `requests`, `tokens`, `input_tokens`, `output_tokens`, `concurrent`");
        return Err(error.with_suggestion("write a limit of its own for each"));
    };
    let most = most.integer(0..=MAX_COUNT)?;
    if measure == Measure::Concurrent {
        if let Some(other) = ["per", "window", "time_zone"].into_iter().find_map(|key| fields.get(key)) {
            return Err(other.error("`concurrent` counts what is under way, and has no time"));
        }
        let (per, counted, time_zone) = (Per::Ever, Counted::Calendar, TimeZone::UTC);
        let (models, providers) = (models(&fields)?, providers(&fields)?);
        return Ok(Allowance { measure, most, soft: None, per, counted, time_zone, models, providers });
    }
    let per = fields.require("per")?.word::<Per>()?;
    let default = if per == Per::Ever { Counted::Calendar } else { Counted::Bucket };
    let counted = fields.word("window", default)?;
    if per == Per::Ever && counted != Counted::Calendar {
        return Err(fields.error("what holds for ever has no `window`"));
    }
    let (time_zone, models, providers) = (zone(&fields)?, models(&fields)?, providers(&fields)?);
    Ok(Allowance { measure, most, soft: None, per, counted, time_zone, models, providers })
}

fn zone(fields: &Fields<'_>) -> Result<TimeZone, ConfigError> {
    let Some(item) = fields.get("time_zone") else { return Ok(TimeZone::UTC) };
    TimeZone::get(&item.text()?).map_err(|_| {
        let error = item.error("expected the name of a time zone");
        error.with_suggestion("write it as in `Europe/Berlin` or `UTC` (the names are IANA's)")
    })
}

/// Names of models, in which one `*` stands for any text.
pub(super) fn models(fields: &Fields<'_>) -> Result<Vec<String>, ConfigError> {
    fields.list("models")?.iter().map(super::model::pattern).collect()
}

/// Names of providers, in which one `*` stands for any text. Whether they are there nobody looks: others may be made later.
fn providers(fields: &Fields<'_>) -> Result<Vec<String>, ConfigError> {
    fields.list("providers")?.iter().map(super::model::pattern).collect()
}

/// Micro-dollars nearest to `usd`, which is from zero to [`MAX_USD`].
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked: it fits")]
fn micro_usd(usd: f64) -> u64 {
    (usd * 1e6).round() as u64
}
