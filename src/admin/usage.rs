//! `GET /admin/usage`: what was used, by whom and for what, as JSON or CSV, a page at a time.

use super::csv;
use super::span::{self, refused};
use crate::edge::officer::Officer;
use crate::edge::{Doors, reject};
use crate::governance::records::{Page, Per, Report, Row, Wish};
use crate::store::database::{UsageColumn, UsageSums};
use crate::types::error::{Error, ErrorKind};
use crate::types::money::MicroUsd;
use crate::types::permission::{Action, Resource, Scope};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Rows on a page.
const PAGE: u64 = 100;
const MOST_ON_A_PAGE: u64 = 1_000;
/// Where nobody says from when: this much before the end.
const DAYS: u64 = 30;
/// The header that tells where a further page of CSV begins.
const NEXT: &str = "x-askonce-next-cursor";

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    from: Option<String>,
    to: Option<String>,
    group_by: Option<String>,
    per: Option<String>,
    time_zone: Option<String>,
    format: Option<String>,
    limit: Option<u64>,
    cursor: Option<String>,
    key: Option<String>,
    account: Option<String>,
    team: Option<String>,
    customer: Option<String>,
    organisation: Option<String>,
    model: Option<String>,
    provider: Option<String>,
    cache: Option<String>,
    tag: Option<String>,
}

pub(super) async fn usage(
    State(doors): State<Arc<Doors>>,
    Extension(officer): Extension<Officer>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    told(&doors, &officer, asked).await.unwrap_or_else(|error| reject::reply(&error))
}

async fn told(
    doors: &Doors,
    officer: &Officer,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Error> {
    let asked = asked.map_err(|rejection| refused(&rejection))?.0;
    let is_csv = match asked.format.as_deref() {
        None | Some("json") => false,
        Some("csv") => true,
        Some(other) => {
            return Err(Error::invalid("format", format!("`format` is `json` or `csv`; got `{other}`.")));
        }
    };
    let mut wish = wish(asked, doors.pipeline.cache().now_ms())?;
    // Whoever reads what some accounts used is told their sums, and no others.
    wish.report.within = match officer.scope_of(Resource::Usage, Action::Read) {
        Scope::Everything => None,
        Scope::Accounts(accounts) => Some(accounts),
    };
    let failed = |error| Error::new(ErrorKind::Internal, format!("What was used cannot be read: {error}."));
    let page = doors.pipeline.records().report(&wish).await.map_err(failed)?;
    let next = page.rows.last().filter(|_| page.more).map(cursor);
    if !is_csv {
        let data: Vec<Value> = page.rows.iter().map(|row| shown(&wish.report, row)).collect();
        let body = json!({"object": "list", "data": data, "next_cursor": next});
        return Ok(super::reply(Ok(body)));
    }
    let mut response = table(&wish.report, &page).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("text/csv; charset=utf-8"));
    headers.insert(CONTENT_DISPOSITION, http::HeaderValue::from_static("attachment; filename=\"usage.csv\""));
    if let Some(Ok(next)) = next.map(|next| next.parse()) {
        headers.insert(NEXT, next);
    }
    Ok(response)
}

fn wish(asked: Asked, now_ms: u64) -> Result<Wish, Error> {
    let zone = span::zone(asked.time_zone.as_deref())?;
    let (from_ms, to_ms) = span::read(asked.from.as_deref(), asked.to.as_deref(), &zone, (DAYS, now_ms))?;
    let per = match asked.per.as_deref() {
        None => Per::Total,
        Some(name) => Per::named(name).ok_or_else(|| {
            Error::invalid("per", format!("`per` is `hour`, `day`, `month` or `total`; got `{name}`."))
        })?,
    };
    let by = columns(asked.group_by.as_deref().unwrap_or_default())?;
    let most = asked.limit.unwrap_or(PAGE);
    if !(1..=MOST_ON_A_PAGE).contains(&most) {
        return Err(Error::invalid("limit", format!("`limit` is from 1 to {MOST_ON_A_PAGE}; got {most}.")));
    }
    let after = asked.cursor.as_deref().map(|cursor| read_cursor(cursor, by.len())).transpose()?;
    let only = [
        (UsageColumn::Key, asked.key),
        (UsageColumn::Account, asked.account),
        (UsageColumn::Team, asked.team),
        (UsageColumn::Customer, asked.customer),
        (UsageColumn::Organisation, asked.organisation),
        (UsageColumn::Model, asked.model),
        (UsageColumn::Provider, asked.provider),
        (UsageColumn::Cache, asked.cache),
        (UsageColumn::Tag, asked.tag),
    ];
    let only = only.into_iter().filter_map(|(column, value)| Some((column, value?))).collect();
    Ok(Wish { report: Report { from_ms, to_ms, by, only, within: None, per, zone }, after, most })
}

fn columns(text: &str) -> Result<Vec<UsageColumn>, Error> {
    let mut columns = Vec::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let column = UsageColumn::ALL.into_iter().find(|column| column.as_str() == name).ok_or_else(|| {
            let all = UsageColumn::ALL.map(|column| format!("`{}`", column.as_str())).join(", ");
            Error::invalid("group_by", format!("`group_by` names some of {all}, with commas between; got `{name}`."))
        })?;
        if columns.contains(&column) {
            return Err(Error::invalid("group_by", format!("`group_by` names `{name}` twice.")));
        }
        columns.push(column);
    }
    Ok(columns)
}

/// Where the next page begins: after this row.
fn cursor(row: &Row) -> String {
    URL_SAFE_NO_PAD.encode(json!([row.from_ms, row.totals.values]).to_string())
}

fn read_cursor(text: &str, values: usize) -> Result<(u64, Vec<String>), Error> {
    let read = URL_SAFE_NO_PAD.decode(text).ok();
    let read = read.and_then(|bytes| serde_json::from_slice::<(u64, Vec<String>)>(&bytes).ok());
    read.filter(|(_, own)| own.len() == values).ok_or_else(|| {
        let message = "`cursor` is the `next_cursor` of a page that was asked for with the same `group_by`.";
        Error::invalid("cursor", message)
    })
}

/// A share of answers from the cache; `None` where it was never asked.
#[allow(clippy::cast_precision_loss, reason = "no gateway has so many requests that this matters")]
fn hit_rate(row: &Row) -> Option<f64> {
    (row.totals.looked_up > 0).then(|| row.totals.hits as f64 / row.totals.looked_up as f64)
}

/// The numbers of a row, by name.
fn numbers(row: &Row) -> [(&'static str, u64); 9] {
    let sums: &UsageSums = &row.totals.sums;
    [
        ("requests", sums.requests),
        ("errors", sums.errors),
        ("input_tokens", sums.input_tokens),
        ("output_tokens", sums.output_tokens),
        ("cached_tokens", sums.cached_tokens),
        ("reasoning_tokens", sums.reasoning_tokens),
        ("saved_tokens", sums.saved_tokens),
        ("attempts", sums.attempts),
        ("latency_ms", sums.took_ms.checked_div(sums.requests).unwrap_or(0)),
    ]
}

fn shown(report: &Report, row: &Row) -> Value {
    let mut value = Map::new();
    if report.per != Per::Total {
        value.insert(report.per.as_str().to_owned(), row.period.as_str().into());
    }
    for (column, name) in report.by.iter().zip(&row.totals.values) {
        value.insert(column.as_str().to_owned(), name.as_str().into());
    }
    value.extend(numbers(row).map(|(name, number)| (name.to_owned(), number.into())));
    value.insert("cost_usd".to_owned(), MicroUsd(row.totals.sums.cost).to_string().into());
    value.insert("saved_usd".to_owned(), MicroUsd(row.totals.sums.saved).to_string().into());
    value.insert("hit_rate".to_owned(), hit_rate(row).into());
    Value::Object(value)
}

fn table(report: &Report, page: &Page) -> String {
    let per = (report.per != Per::Total).then(|| report.per.as_str());
    let by = report.by.iter().map(|column| column.as_str());
    let named = Row { from_ms: 0, period: String::new(), totals: Default::default() };
    let heads = numbers(&named).map(|(name, _)| name);
    let heads = per.into_iter().chain(by).chain(heads).chain(["cost_usd", "saved_usd", "hit_rate"]);
    let mut text = csv::line(heads);
    for row in &page.rows {
        let period = per.map(|_| row.period.clone());
        let values = row.totals.values.iter().cloned();
        let numbers = numbers(row).map(|(_, number)| number.to_string());
        let money = [row.totals.sums.cost, row.totals.sums.saved].map(|amount| MicroUsd(amount).to_string());
        let rate = hit_rate(row).map(|rate| format!("{rate:.4}")).unwrap_or_default();
        text.push_str(&csv::line(period.into_iter().chain(values).chain(numbers).chain(money).chain([rate])));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_asked_is_refused_by_its_name() {
        let refused = |asked: Asked| wish(asked, 1_790_000_000_000).unwrap_err().param.unwrap().into_owned();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(refused(Asked { per: some("week"), ..Asked::default() }), "per");
        assert_eq!(refused(Asked { group_by: some("key,colour"), ..Asked::default() }), "group_by");
        assert_eq!(refused(Asked { group_by: some("key,key"), ..Asked::default() }), "group_by");
        assert_eq!(refused(Asked { time_zone: some("Berlin"), ..Asked::default() }), "time_zone");
        assert_eq!(refused(Asked { limit: Some(0), ..Asked::default() }), "limit");
        assert_eq!(refused(Asked { cursor: some("%"), ..Asked::default() }), "cursor");
        let other = cursor(&Row { from_ms: 1, period: String::new(), totals: Default::default() });
        assert_eq!(refused(Asked { cursor: Some(other), group_by: some("key"), ..Asked::default() }), "cursor");
        assert_eq!(refused(Asked { from: some("yesterday"), ..Asked::default() }), "from");
        assert_eq!(refused(Asked { from: some("2026-02-01"), to: some("2026-01-01"), ..Asked::default() }), "to");
    }
}
