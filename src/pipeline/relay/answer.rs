//! The answer on its way to the caller, as it comes. Answers about files and batches are taken whole, so that their ids are
//! known before the caller asks about them.

use super::super::attempts::{self, RouterClock};
use super::super::serve::Setup;
use super::super::settle::{left_after, length};
use super::super::{Reply, ReplyBody};
use super::holders::Holders;
use super::send::Sent;
use super::{Ids, Parcel};
use crate::governance::Purse;
use crate::routing::Pass;
use crate::telemetry::metrics::{self, About};
use crate::types::caller::Tenant;
use crate::types::error::{Error, ErrorKind, UpstreamReply};
use crate::types::header::{self, Writer};
use crate::types::outcome::BypassReason;
use crate::types::surface::Surface;
use crate::wire::openai::error;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout_at;

/// An answer that is read for ids may be this large; a larger one passes unread.
const READ_BYTES: usize = 16 << 20;

/// The reply to the caller.
pub(super) async fn reply(sent: Sent, parcel: &Parcel, setup: &Setup, holders: &Holders) -> Result<Reply, Error> {
    let Sent { provider, model, sent, begun, reply, pass, tried, mut purse, .. } = sent;
    purse.begun();
    let mut headers = HeaderMap::with_capacity(16);
    let mut told = Writer::new(&mut headers);
    told.set_word(header::CACHE, "bypass");
    told.set_word(header::REASON, BypassReason::Relayed.as_str());
    told.set_text(header::PROVIDER, &provider);
    if parcel.directives.trace {
        told.set_text(header::ATTEMPTS, &attempts::all(&tried));
    }
    headers.extend(reply.headers);
    let mut rest = Rest {
        left: length(&headers),
        about: (parcel.surface, model, provider.clone()),
        sent,
        request_timeout: setup.request_timeout,
        clock: setup.clock,
        pass,
        _purse: purse,
        is_events: header::is_events(&reply.content_type),
        between_events: true,
        begun,
        body: Some(reply.body),
    };
    let is_empty = rest.begun.is_none();
    let is_json = header::is_type(&reply.content_type, "application/json");
    let body = if is_empty {
        rest.end(None);
        ReplyBody::Full(Bytes::new())
    } else if is_json && parcel.ids != Ids::None {
        match rest.whole().await? {
            Ok(body) => {
                let maker = (parcel.ids == Ids::Made).then_some(&parcel.caller.tenant);
                holders.learn(&provider, &body, maker, parcel.to.id.as_deref());
                let seen = own(&body, holders, &parcel.caller.tenant);
                if seen.is_some() {
                    headers.remove(CONTENT_LENGTH);
                }
                ReplyBody::Full(seen.unwrap_or(body))
            }
            Err(rest) => ReplyBody::Stream(rest.pieces()),
        }
    } else {
        ReplyBody::Stream(rest.pieces())
    };
    Ok(Reply { content_type: reply.content_type, headers, body, tail: None })
}

/// A list without what is known as other tenants'; `None` where it may be seen as it is.
fn own(body: &Bytes, holders: &Holders, tenant: &Tenant) -> Option<Bytes> {
    #[derive(serde::Deserialize)]
    struct List<'a> {
        #[serde(borrow)]
        data: Vec<&'a serde_json::value::RawValue>,
    }
    #[derive(serde::Deserialize)]
    struct Item {
        id: String,
    }
    let list: List<'_> = serde_json::from_slice(body).ok()?;
    let (first, last) = (list.data.first()?.get(), list.data.last()?.get());
    let is_anothers = |raw: &&serde_json::value::RawValue| {
        serde_json::from_str::<Item>(raw.get()).is_ok_and(|item| holders.is_anothers(&item.id, tenant))
    };
    if !list.data.iter().any(&is_anothers) {
        return None;
    }
    let left: Vec<&str> = list.data.iter().filter(|raw| !is_anothers(raw)).map(|raw| raw.get()).collect();
    let at = |text: &str| text.as_ptr() as usize - body.as_ptr() as usize;
    let (before, after) = (body.get(..at(first))?, body.get(at(last) + last.len()..)?);
    Some([before, left.join(",").as_bytes(), after].concat().into())
}

/// What is still to come of an answer.
struct Rest {
    about: (Surface, String, Arc<str>),
    sent: Instant,
    request_timeout: Duration,
    clock: RouterClock,
    /// The request's place on its lane.
    pass: Option<Pass>,
    /// What it takes of what is counted at its provider, as long.
    _purse: Purse,
    /// Bytes still to come, where that is known: who has them all asks for no end.
    left: Option<u64>,
    is_events: bool,
    /// What was passed on ends where an event ends.
    between_events: bool,
    begun: Option<Bytes>,
    body: Option<BoxStream<'static, Result<Bytes, Error>>>,
}

impl Rest {
    /// The next piece. Counts the call when there is none.
    async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        if let Some(piece) = self.begun.take() {
            return Some(Ok(self.passed(piece)));
        }
        let deadline = (self.sent + self.request_timeout).into();
        let next = match timeout_at(deadline, self.body.as_mut()?.next()).await {
            Ok(next) => next,
            Err(_) => Some(Err(self.took_too_long())),
        };
        match next {
            Some(Ok(piece)) => Some(Ok(self.passed(piece))),
            Some(Err(error)) => {
                self.end(Some(&error));
                Some(Err(self.as_told(error)))
            }
            None => {
                self.end(None);
                None
            }
        }
    }

    fn passed(&mut self, piece: Bytes) -> Bytes {
        if self.is_events {
            self.between_events = piece.ends_with(b"\n\n") || piece.ends_with(b"\r\n\r\n");
        }
        self.left = left_after(self.left, &piece);
        if self.left == Some(0) {
            self.end(None);
        }
        piece
    }

    /// Counts the call, once.
    fn end(&mut self, error: Option<&Error>) {
        if self.body.take().is_none() {
            return;
        }
        if let (Some(mut pass), Some(_)) = (self.pass.take(), error) {
            attempts::broke(&mut pass, self.clock);
        }
        let (surface, model, provider) = &self.about;
        metrics::upstream_ended(About { surface: *surface, model, provider }, self.sent.elapsed(), error);
    }

    /// A failure between two events is told as an event. In the middle of one, or of bytes, breaking off is all there is.
    fn as_told(&self, mut failure: Error) -> Error {
        failure.reply = (self.is_events && self.between_events).then(|| UpstreamReply {
            status: failure.status(),
            content_type: None,
            body: error::event(&failure).into(),
        });
        failure
    }

    fn took_too_long(&self) -> Error {
        let message = format!(
            "The request took longer than {} ms (`limits.request_timeout_ms`).",
            self.request_timeout.as_millis()
        );
        Error::new(ErrorKind::UpstreamTimeout, message)
    }

    /// All of it; or, where it is larger than what is read, itself again with what was taken.
    async fn whole(mut self) -> Result<Result<Bytes, Rest>, Error> {
        let mut all: Vec<u8> = Vec::new();
        while let Some(piece) = self.next().await {
            all.extend_from_slice(&piece?);
            if all.len() > READ_BYTES {
                self.left = self.left.map(|left| left + all.len() as u64);
                self.begun = Some(all.into());
                return Ok(Err(self));
            }
        }
        Ok(Ok(all.into()))
    }

    fn pieces(self) -> BoxStream<'static, Result<Bytes, Error>> {
        stream::unfold(self, |mut rest| async move { Some((rest.next().await?, rest)) }).boxed()
    }
}
