//! Requests over plain HTTP/1.1 to one origin, on kept connections that whoever uses them drives.
//!
//! A server beside the gateway answers within microseconds. A client with a task for each connection takes a good part of that: each
//! piece wakes that task, which wakes the one that waits. Here the task that waits reads the socket itself, and between requests
//! nobody holds a connection but a list.

use bytes::Bytes;
use http::header::{ACCEPT, HOST, HeaderMap, HeaderValue, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderName, Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tower::Service;

use crate::config::{self, Proxy};
use crate::types::ids::{INSTANCE_HEADER, instance};

/// Connections of one origin that are kept while nobody uses them.
const MOST_KEPT: usize = 256;
/// A connection is not kept longer than this without a request.
const KEPT_FOR: Duration = Duration::from_secs(90);
/// How often kept connections are looked through while there are any.
const SWEEP: Duration = Duration::from_secs(10);
/// An idle connection is asked whether it still holds, so that a host that is gone is found.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// What is sent to every provider, whoever sends it.
pub(super) const AGENT: &str = concat!("askonce/", env!("CARGO_PKG_VERSION"));

/// One origin that is asked over plain HTTP, with nothing in between.
#[derive(Clone, Debug)]
pub(super) struct Direct {
    /// As in `http://127.0.0.1:8000`.
    origin: Arc<str>,
    uri: Uri,
    host: HeaderValue,
    connector: HttpConnector,
    connect_timeout: Duration,
    kept: Arc<Kept>,
}

/// Why a request had no answer.
pub(super) enum Failed {
    /// The origin did not take the connection in time.
    ConnectTimeout,
    /// It cannot be connected to; the innermost reason.
    Connect(String),
    /// The connection broke before the answer began.
    Broke(hyper::Error),
}

impl Direct {
    /// The origin of `settings`, if it is asked over plain HTTP and by way of no proxy.
    pub(super) fn to(settings: &config::Provider) -> Option<Direct> {
        let url = reqwest::Url::parse(&settings.base_url).ok().filter(|url| url.scheme() == "http")?;
        // In its normal form, so that whatever begins with it goes there: no name, no password, no port that goes without saying.
        let origin = url.origin().ascii_serialization();
        let rest = settings.base_url.strip_prefix(&origin)?;
        if !(rest.is_empty() || rest.starts_with('/')) {
            return None;
        }
        let uri = Uri::try_from(&origin).ok()?;
        let proxied = match &settings.proxy {
            Proxy::None => false,
            Proxy::At(_) => true,
            Proxy::Environment => {
                !super::outbound::is_loopback(&settings.base_url) && Matcher::from_system().intercept(&uri).is_some()
            }
        };
        if proxied {
            return None;
        }
        let host = HeaderValue::from_str(uri.authority()?.as_str()).ok()?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_keepalive(Some(KEEPALIVE));
        connector.set_keepalive_interval(Some(KEEPALIVE));
        connector.set_keepalive_retries(Some(3));
        let connect_timeout = settings.connect_timeout;
        Some(Direct { origin: origin.into(), uri, host, connector, connect_timeout, kept: Arc::default() })
    }

    /// What is asked for at this origin by `url`; `None` where `url` leads elsewhere, or would have to be put in its normal form first.
    pub(super) fn path(&self, url: &str) -> Option<PathAndQuery> {
        let path = url.strip_prefix(&*self.origin).filter(|path| path.starts_with('/'))?;
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~/:?=&@+,;$!*()".contains(byte);
        if !path.as_bytes().iter().all(plain) || path.contains("/.") {
            return None;
        }
        PathAndQuery::try_from(path).ok()
    }

    /// Posts `body` and waits for the head of the answer.
    pub(super) async fn post(
        &self,
        path: PathAndQuery,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Driven>, Failed> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from(path);
        *request.headers_mut() = self.with_own(headers);
        loop {
            let (link, used) = match self.kept.take() {
                Some(link) => (link, true),
                None => (self.connect().await?, false),
            };
            match link.ask(request).await {
                Ok((answer, link)) => {
                    return Ok(answer.map(|incoming| Driven { incoming, link, home: self.kept.clone() }));
                }
                // It was closed over there before anything of this request was written.
                Err((_, Some(unsent))) if used => request = unsent,
                Err((error, _)) => return Err(Failed::Broke(error)),
            }
        }
    }

    fn with_own(&self, mut headers: HeaderMap) -> HeaderMap {
        headers.insert(HOST, self.host.clone());
        headers.insert(HeaderName::from_static(INSTANCE_HEADER), HeaderValue::from_static(instance()));
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        headers
    }

    async fn connect(&self) -> Result<Link, Failed> {
        let connecting = self.connector.clone().call(self.uri.clone());
        let connected = tokio::time::timeout(self.connect_timeout, connecting).await;
        let stream = connected.map_err(|_| Failed::ConnectTimeout)?;
        let stream = stream.map_err(|error| Failed::Connect(super::http::chain(&error)))?;
        let (sender, driver) = http1::handshake(stream).await.map_err(Failed::Broke)?;
        Ok(Link { sender, driver: Box::pin(driver) })
    }
}

/// One connection.
struct Link {
    sender: SendRequest<Full<Bytes>>,
    driver: Pin<Box<Connection<TokioIo<TcpStream>, Full<Bytes>>>>,
}

impl Link {
    /// May a request be sent on it? Looks without waiting.
    fn is_open(&mut self) -> bool {
        let ended = self.driver.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        !ended && self.sender.is_ready()
    }

    /// Sends `request` and waits for the head of its answer; gives the connection back with it, unless that has ended. The error has
    /// the request in it where nothing of that was written.
    async fn ask(
        mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Option<Link>), (hyper::Error, Option<Request<Full<Bytes>>>)> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let mut driver = Some(self.driver);
        let outcome = std::future::poll_fn(|cx| {
            if driver.as_mut().is_some_and(|driver| driver.as_mut().poll(cx).is_ready()) {
                // Whoever waits for it learns so.
                driver = None;
            }
            // Nothing but the driver moves it.
            answer.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        });
        match outcome.await {
            Ok(answer) => Ok((answer, driver.map(|driver| Link { sender: self.sender, driver }))),
            Err(mut error) => {
                let unsent = error.take_message();
                Err((error.into_error(), unsent))
            }
        }
    }
}

/// The body of an answer, which drives its connection, and gives it back when it has ended.
pub(super) struct Driven {
    incoming: Incoming,
    link: Option<Link>,
    home: Arc<Kept>,
}

impl Driven {
    fn poll_incoming(&mut self) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        // Nothing but the driver moves it.
        Pin::new(&mut self.incoming).poll_frame(&mut Context::from_waker(Waker::noop()))
    }

    fn give_back(&mut self) {
        if let Some(mut link) = self.link.take()
            && link.is_open()
        {
            self.home.put(link);
        }
    }
}

impl Body for Driven {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        // Asked first, for the driver reads what is asked for.
        let mut polled = this.poll_incoming();
        if polled.is_pending() {
            if this.link.as_mut().is_none_or(|link| link.driver.as_mut().poll(cx).is_ready()) {
                this.link = None;
            }
            polled = this.poll_incoming();
        }
        match &polled {
            Poll::Ready(Some(Ok(_))) if this.incoming.is_end_stream() => this.give_back(),
            Poll::Ready(None) => this.give_back(),
            Poll::Ready(Some(Err(_))) => this.link = None,
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// Connections that nobody uses.
#[derive(Default)]
struct Kept(Mutex<State>);

#[derive(Default)]
struct State {
    /// The one that was used last is used next; so those that are not needed grow old.
    links: Vec<(Link, Instant)>,
    /// Somebody looks through them now and then.
    swept: bool,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} connections", self.0.lock().links.len())
    }
}

impl Kept {
    fn take(&self) -> Option<Link> {
        loop {
            let (mut link, since) = self.0.lock().links.pop()?;
            if since.elapsed() < KEPT_FOR && link.is_open() {
                return Some(link);
            }
        }
    }

    fn put(self: &Arc<Self>, link: Link) {
        let mut state = self.0.lock();
        if state.links.len() >= MOST_KEPT {
            return;
        }
        state.links.push((link, Instant::now()));
        if !std::mem::replace(&mut state.swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Lets go of those that were closed over there, or have grown old. True when none is left.
    fn sweep(&self) -> bool {
        let mut state = self.0.lock();
        state.links.retain_mut(|(link, since)| since.elapsed() < KEPT_FOR && link.is_open());
        state.swept = !state.links.is_empty();
        !state.swept
    }
}

/// Looks through kept connections until there are none: what was closed over there holds a socket here until somebody looks.
async fn sweep(kept: Weak<Kept>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        if kept.upgrade().is_none_or(|kept| kept.sweep()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
