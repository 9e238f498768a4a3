//! How the crate `openidconnect` sends requests: by our client, to where the provider may lead, and no larger than answers may be.

use crate::governance::fetch;
use futures_util::future::{BoxFuture, FutureExt};
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};

/// Sends the requests of the crate.
pub(super) struct Asker {
    pub(super) http: reqwest::Client,
    pub(super) issuer: String,
}

/// The provider could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreachable(String);

impl<'c> AsyncHttpClient<'c> for Asker {
    type Error = Unreachable;
    type Future = BoxFuture<'c, Result<HttpResponse, Unreachable>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        ask(self.http.clone(), self.issuer.clone(), request).boxed()
    }
}

async fn ask(http: reqwest::Client, issuer: String, request: HttpRequest) -> Result<HttpResponse, Unreachable> {
    let (parts, body) = request.into_parts();
    let url = parts.uri.to_string();
    if !fetch::may_lead_to(&issuer, &url) {
        return Err(Unreachable("it leads to an address that is not taken".to_owned()));
    }
    let sent = http.request(parts.method, url).headers(parts.headers).body(body).send().await;
    let response = sent.map_err(|error| Unreachable(fetch::last(&error)))?;
    let mut answer = http::Response::builder().status(response.status());
    if let Some(headers) = answer.headers_mut() {
        headers.clone_from(response.headers());
    }
    let body = fetch::body(response).await.map_err(Unreachable)?;
    answer.body(body.to_vec()).map_err(|error| Unreachable(error.to_string()))
}
