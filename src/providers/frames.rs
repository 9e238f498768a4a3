//! Streams in frames of a vendor's own → server-sent events, which every stream is from here on.

use crate::types::error::{Error, ErrorKind};
use crate::wire::{event_stream, ndjson};
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use std::sync::Arc;

/// Turns frames into events. The errors say in words what is wrong with the bytes.
pub(super) trait ToEvents: Default + Send + 'static {
    /// Takes the next bytes and adds the events that are whole with them to `out`.
    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), String>;

    /// The bytes have ended.
    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), String>;
}

impl ToEvents for event_stream::ToSse {
    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        event_stream::ToSse::push(self, chunk, out).map_err(|broken| broken.to_string())
    }

    fn end(&mut self, _out: &mut Vec<u8>) -> Result<(), String> {
        event_stream::ToSse::end(self).map_err(|broken| broken.to_string())
    }
}

impl ToEvents for ndjson::ToSse {
    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        ndjson::ToSse::push(self, chunk, out).map_err(|broken| broken.to_string())
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        ndjson::ToSse::end(self, out).map_err(|broken| broken.to_string())
    }
}

/// The frames of the provider `name` as server-sent events.
pub(super) fn events<F: ToEvents>(
    name: Arc<str>,
    frames: BoxStream<'static, Result<Bytes, Error>>,
) -> BoxStream<'static, Result<Bytes, Error>> {
    let broken = move |what: String| {
        Error::new(ErrorKind::UpstreamBroken, format!("Provider `{name}` sent a broken stream: {what}."))
    };
    let state = Some((frames, F::default(), broken));
    let pieces = futures_util::stream::unfold(state, |state| async move {
        let (mut frames, mut to_events, broken) = state?;
        let mut out = Vec::new();
        let ended = match frames.next().await {
            None => Some(to_events.end(&mut out).map_err(&broken)),
            Some(Err(error)) => Some(Err(error)),
            Some(Ok(chunk)) => to_events.push(&chunk, &mut out).map_err(&broken).err().map(Err),
        };
        // What came whole before the stream broke is told before that is.
        let told = (!out.is_empty()).then(|| Ok(Bytes::from(out)));
        let failed = ended.clone().and_then(Result::err).map(Err);
        let state = ended.is_none().then_some((frames, to_events, broken));
        Some((told.into_iter().chain(failed), state))
    });
    pieces.flat_map(futures_util::stream::iter).boxed()
}
