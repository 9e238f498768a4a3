//! Reading a request's body, within the limits.

use super::Edge;
use crate::types::error::{Error, ErrorKind};
use axum::extract::Request;
use bytes::Bytes;
use http_body_util::BodyExt;

/// Reads a request's body whole, within the limits.
pub async fn read(edge: &Edge, request: Request) -> Result<Bytes, Error> {
    // Pieces may come slowly, but not for ever.
    tokio::time::timeout(edge.body_total_timeout, pieces(edge, request)).await.map_err(|_| too_slow())?
}

fn too_slow() -> Error {
    Error::new(ErrorKind::RequestTimeout, "The body did not arrive in time.").with_code("request_timeout")
}

async fn pieces(edge: &Edge, request: Request) -> Result<Bytes, Error> {
    let too_large = || {
        let message = format!("The body is larger than {} bytes (`limits.body_bytes`).", edge.body_bytes);
        Error::new(ErrorKind::TooLarge, message).with_code("body_too_large")
    };
    let mut body = request.into_body();
    if http_body::Body::size_hint(&body).lower() > edge.body_bytes as u64 {
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
        if first.len().max(joined.len()) + data.len() > edge.body_bytes {
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
