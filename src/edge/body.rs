//! Reading a request's body, within the limits.

use super::{Doors, Edge, UPLOADS};
use crate::types::error::{Error, ErrorKind};
use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http_body_util::BodyExt;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// A form that has been read.
pub struct Upload {
    /// The body.
    pub body: Bytes,
    /// The place that it holds, if it is larger than other bodies may be. Given back when the body is of no use any more.
    pub place: Option<OwnedSemaphorePermit>,
}

/// Reads a request's body whole, within the limits.
pub async fn read(edge: &Edge, request: Request) -> Result<Bytes, Error> {
    within(edge, (edge.body_bytes, "limits.body_bytes"), request).await
}

/// Reads a form whole. One that is, or may be, larger than other bodies takes one of a few places.
pub async fn read_form(doors: &Doors, request: Request) -> Result<Upload, Error> {
    let edge = &doors.edge;
    let upper = http_body::Body::size_hint(request.body()).upper();
    let is_small = upper.is_some_and(|bytes| bytes <= edge.body_bytes as u64);
    let place = match is_small {
        true => None,
        false => Some(doors.uploads.clone().try_acquire_owned().map_err(|_| too_many())?),
    };
    Ok(Upload { body: within(edge, (edge.upload_bytes, "limits.upload_bytes"), request).await?, place })
}

async fn within(edge: &Edge, limit: (usize, &'static str), request: Request) -> Result<Bytes, Error> {
    // Pieces may come slowly, but not for ever.
    tokio::time::timeout(edge.body_total_timeout, pieces(edge, limit, request)).await.map_err(|_| too_slow())?
}

fn too_many() -> Error {
    let message = format!("{UPLOADS} large forms are in flight, the most this gateway takes.");
    let error = Error::new(ErrorKind::Overloaded, message).with_code("overloaded");
    Error { retry_after: Some(Duration::from_secs(1)), ..error }
}

/// Takes the body of a request that is refused off the connection, so that the next request finds it open. A large or slow
/// one is left where it is: then the connection closes.
pub async fn skip(mut body: Body) {
    const MOST: usize = 64 << 10;
    const WAIT: Duration = Duration::from_millis(250);
    let read = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > MOST {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(WAIT, read).await;
}

fn too_slow() -> Error {
    Error::new(ErrorKind::RequestTimeout, "The body did not arrive in time.").with_code("request_timeout")
}

async fn pieces(edge: &Edge, (most, setting): (usize, &str), request: Request) -> Result<Bytes, Error> {
    let too_large = || {
        let message = format!("The body is larger than {most} bytes (`{setting}`).");
        Error::new(ErrorKind::TooLarge, message).with_code("body_too_large")
    };
    let mut body = request.into_body();
    if http_body::Body::size_hint(&body).lower() > most as u64 {
        return Err(too_large());
    }
    let mut first = Bytes::new();
    let mut joined: Vec<u8> = Vec::new();
    loop {
        let frame = tokio::time::timeout(edge.body_timeout, body.frame()).await.map_err(|_| too_slow())?;
        let data = match frame {
            None => return Ok(if joined.is_empty() { first } else { joined.into() }),
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(error)) => {
                return Err(Error::new(ErrorKind::InvalidRequest, format!("The body broke off: {error}.")));
            }
        };
        if first.len().max(joined.len()) + data.len() > most {
            return Err(too_large());
        }
        if first.is_empty() && joined.is_empty() {
            first = data;
            continue;
        }
        if joined.is_empty() {
            joined.extend_from_slice(&first);
        }
        joined.extend_from_slice(&data);
    }
}
