//! What goes to a provider in the bodies of its models, as Bedrock has them for vectors and orders: perhaps several of them to
//! one request, whose answers are one answer.

use super::dispatch::{self, Late, Outbound, To, Upstream, UpstreamBody};
use crate::governance::Purse;
use crate::providers::{ALL_AT_LIMITS, Call, Provider, Reply};
use crate::types::error::Error;
use crate::types::header;
use crate::types::lost::Lost;
use crate::types::surface::Surface;
use crate::wire::hub::Bodies;
use crate::wire::{answer, overrides, translate};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use http::{HeaderMap, HeaderName};
use std::time::{Duration, Instant};

/// So many calls of one request are under way at a time.
const AT_ONCE: usize = 8;
/// The answers of one request may be this large together; they are held in memory whole.
const ALL_BYTES: usize = 256 << 20;
/// The reply header that tells the tokens of one call.
const TOKENS: HeaderName = HeaderName::from_static("x-amzn-bedrock-input-token-count");

/// How long to wait for a key that is at its limits.
const SOON: Duration = Duration::from_millis(50);

/// One call's answer.
struct Part {
    headers: HeaderMap,
    body: Bytes,
}

/// Sends a request in the bodies of the target's model. One call that fails fails all, and the others are given up.
pub(super) async fn attempt(
    provider: &dyn Provider,
    to: To<'_>,
    outbound: &Outbound,
    sent: Instant,
) -> Result<Upstream, Error> {
    let (request, target) = (&outbound.request, to.target);
    let encoded = translate::invocations(request, &target.model);
    let encoded = encoded.ok_or_else(|| dispatch::unserved(provider, request, &target.model))?;
    let Bodies { bodies, mut dropped } = encoded.map_err(|error| dispatch::unserved_field(provider, error))?;
    let calls = bodies.into_iter().enumerate().map(|(at, body)| {
        let (body, taken_out) = overrides::set(&Bytes::from(body), &target.params);
        taken_out.into_iter().for_each(|name| {
            if !dropped.contains(&name) {
                dropped.push(name);
            }
        });
        let call = dispatch::call(outbound, Surface::InvokeModel, to, body);
        part(provider, Call { stream: false, ..call }, at == 0)
    });
    let calls: Vec<_> = calls.collect();
    let mut coming = stream::iter(calls).buffered(AT_ONCE);
    let (mut parts, mut bytes): (Vec<Part>, usize) = (Vec::new(), 0);
    while let Some(part) = coming.try_next().await? {
        bytes = bytes.saturating_add(part.body.len());
        if bytes > ALL_BYTES {
            return Err(dispatch::broken(provider, &format!("sent more than {ALL_BYTES} bytes to one request")));
        }
        parts.push(part);
    }
    let (headers, tokens) = head(&parts);
    let bodies: Vec<Bytes> = parts.into_iter().map(|part| part.body).collect();
    let strange = |why: String| dispatch::broken(provider, &format!("sent an answer that is not in its wire: {why}"));
    let reply = dispatch::reply_for(outbound);
    let own = translate::invoked(&bodies, &target.model, tokens, request.surface, &reply).map_err(strange)?;
    let body = Bytes::from(own.body);
    let mut answer = answer::read(request.surface, body.clone()).map_err(strange)?;
    answer.usage = answer.usage.or(own.usage);
    Ok(Upstream {
        model: String::new(),
        provider: provider.name().clone(),
        content_type: header::JSON,
        headers,
        usage_added: false,
        translated: true,
        lost: Lost::new(&dropped, 0),
        late: Late::default(),
        sent,
        body: UpstreamBody::Plain { body, answer: Box::new(answer) },
        pass: None,
        price: None,
        tried: Vec::new(),
        purse: Purse::default(),
    })
}

/// One call. Its key may be held by others of the same request: it waits for it, as long as the request may take.
async fn part(provider: &dyn Provider, call: Call, is_first: bool) -> Result<Part, Error> {
    let sending = loop {
        match provider.send(call.clone()).await {
            // The first one is refused instead: another key or target may be free.
            Err(error) if error.code == Some(ALL_AT_LIMITS) && !is_first => {
                tokio::time::sleep(error.retry_after.unwrap_or(SOON).min(SOON)).await;
            }
            sent => break sent,
        }
    };
    let Reply { headers, body, .. } = sending.map_err(|error| dispatch::in_words(error, Surface::InvokeModel))?;
    Ok(Part { headers, body: dispatch::whole(provider, body).await? })
}

/// The headers of the reply to the caller, and the tokens of all calls where each tells its own. What the first call's reply
/// says of itself alone is left out where there are others.
fn head(parts: &[Part]) -> (HeaderMap, Option<u64>) {
    let tokens = |part: &Part| header::text(&part.headers, &TOKENS)?.parse::<u64>().ok();
    let sum = parts.iter().map(tokens).try_fold(0_u64, |sum, one| Some(sum.saturating_add(one?)));
    let first = parts.first().into_iter().flat_map(|part| &part.headers);
    let of_one = |name: &HeaderName| name.as_str().starts_with("x-amzn-bedrock-");
    let told = first.filter(|(name, _)| parts.len() == 1 || !of_one(name));
    let headers = told.map(|(name, value)| (name.clone(), value.clone())).collect();
    (headers, sum.filter(|_| !parts.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn tokens_are_summed_where_every_reply_tells_them() {
        let value = HeaderValue::from_static;
        let part = |tokens: Option<&'static str>| Part {
            headers: [(header::UPSTREAM_REQUEST_ID, value("id"))]
                .into_iter()
                .chain(tokens.map(|tokens| (TOKENS, value(tokens))))
                .collect(),
            body: Bytes::new(),
        };
        // What each reply tells, their sum, and how many headers are left.
        type Row<'r> = (&'r [Option<&'static str>], Option<u64>, usize);
        let table: [Row<'_>; 5] = [
            (&[Some("3")], Some(3), 2),
            (&[Some("3"), Some("4")], Some(7), 1),
            (&[Some("3"), None], None, 1),
            (&[Some("many")], None, 2),
            (&[], None, 0),
        ];
        for (told, sum, kept) in table {
            let parts: Vec<Part> = told.iter().map(|tokens| part(*tokens)).collect();
            let (headers, tokens) = head(&parts);
            assert_eq!((tokens, headers.len()), (sum, kept), "{told:?}");
        }
    }
}
