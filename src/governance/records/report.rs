//! Reports: sums of usage by the hour, day or month of a time zone, a page at a time.

use super::super::period::{Calendar, Span};
use super::fold::HOUR_MS;
use crate::store::database::{Database, DatabaseError, UsageColumn, UsageQuery, UsageTotals};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::sync::Arc;

/// Into which periods the time is divided.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Per {
    /// Hours.
    Hour,
    /// Days of the time zone.
    Day,
    /// Its months.
    Month,
    /// None: all of it together.
    #[default]
    Total,
}

impl Per {
    /// In paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Per::Hour => "hour",
            Per::Day => "day",
            Per::Month => "month",
            Per::Total => "total",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Per> {
        [Per::Hour, Per::Day, Per::Month, Per::Total].into_iter().find(|per| per.as_str() == name)
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Report {
    /// From then on, in milliseconds since 1970.
    pub from_ms: u64,
    /// Until then.
    pub to_ms: u64,
    /// A row of sums for each set of values of these.
    pub by: Vec<UsageColumn>,
    /// Of what has these values only.
    pub only: Vec<(UsageColumn, String)>,
    /// Of what is of these accounts and of those below them only; `None`: of all.
    pub within: Option<Arc<[String]>>,
    /// And for each period.
    pub per: Per,
    /// Whose days and months these are.
    pub zone: TimeZone,
}

/// A page that is asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Of what.
    pub report: Report,
    /// What comes after this row: its period's first millisecond, and its values.
    pub after: Option<(u64, Vec<String>)>,
    /// So many rows at most; at least 1.
    pub most: u64,
}

/// One row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its period's first millisecond, since 1970.
    pub from_ms: u64,
    /// The period as people write it: `2026-11-23T10:00:00+01:00`, `2026-11-23`, `2026-11`; empty where there are none.
    pub period: String,
    /// Its values, in the order asked, and sums.
    pub totals: UsageTotals,
}

/// A page of rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// By period, then by value.
    pub rows: Vec<Row>,
    /// There are more.
    pub more: bool,
}

/// The page that is asked for. Periods without any use have no rows.
pub(super) async fn page(database: &Database, wish: &Wish) -> Result<Page, DatabaseError> {
    let report = &wish.report;
    let begin = report.from_ms - report.from_ms % HOUR_MS;
    let mut after = wish.after.clone();
    let mut from_ms = after.as_ref().map_or(begin, |(from_ms, _)| (*from_ms).max(begin));
    let mut rows: Vec<Row> = Vec::new();
    // One more than is told tells whether there are more.
    let most = wish.most.saturating_add(1);
    while (rows.len() as u64) < most {
        let open = report.query(from_ms, report.to_ms);
        let Some(hour) = database.first_hour_of_usage(&open).await? else { break };
        let (first, next) = report.period(hour, begin);
        let values = after.take().filter(|(from_ms, _)| *from_ms == first).map(|(_, values)| values);
        let is_done = values.is_some() && report.by.is_empty();
        if !is_done {
            let left = most - rows.len() as u64;
            let query = UsageQuery { after: values, most: left, ..report.query(first, next.min(report.to_ms)) };
            let totals = database.usage(&query).await?;
            rows.extend(totals.into_iter().map(|totals| Row { from_ms: first, period: report.label(first), totals }));
        }
        from_ms = next;
    }
    let more = rows.len() as u64 > wish.most;
    rows.truncate(usize::try_from(wish.most).unwrap_or(usize::MAX));
    Ok(Page { rows, more })
}

impl Report {
    fn query(&self, from_ms: u64, to_ms: u64) -> UsageQuery {
        let (by, only, within) = (self.by.clone(), self.only.clone(), self.within.clone());
        UsageQuery { from_ms, to_ms, by, only, within, after: None, most: 1 }
    }

    /// The period in which the hour is: from where its hours count, and to where. No earlier than `begin`.
    fn period(&self, hour_ms: u64, begin: u64) -> (u64, u64) {
        let span = match self.per {
            Per::Hour => Span::Hour,
            Per::Day => Span::Day,
            Per::Month => Span::Month,
            Per::Total => return (begin, self.to_ms),
        };
        let (from, to) = Calendar { span, zone: self.zone.clone() }.period(hour_ms);
        (from.max(begin), to)
    }

    fn label(&self, from_ms: u64) -> String {
        let at = i64::try_from(from_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let Some(at) = at.map(|at| at.to_zoned(self.zone.clone())) else { return String::new() };
        match self.per {
            Per::Hour => at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            Per::Day => at.strftime("%Y-%m-%d").to_string(),
            Per::Month => at.strftime("%Y-%m").to_string(),
            Per::Total => String::new(),
        }
    }
}
