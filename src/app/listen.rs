//! Connections in, and an orderly end: requests under way finish, the cache is flushed.

use super::build::{App, StartError};
use super::patience::Patience;
use axum::Extension;
use axum::extract::ConnectInfo;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tower::Layer;

/// Binds `listen`. The error says what to do about a taken port.
pub async fn bind(listen: &str) -> Result<TcpListener, StartError> {
    TcpListener::bind(listen).await.map_err(|error| {
        let what = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "something else listens there; stop it, or choose another with --listen HOST:PORT"
            }
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 take privileges; choose another with --listen HOST:PORT"
            }
            _ => "name another with --listen HOST:PORT",
        };
        StartError::Listen(format!("cannot listen on {listen}: {error}; {what}"))
    })
}

/// Where connections come in.
pub struct Listeners {
    /// For everything; or for all but the admin surface, where that has one of its own.
    pub all: TcpListener,
    /// For the admin surface alone.
    pub admin: Option<TcpListener>,
}

impl From<TcpListener> for Listeners {
    fn from(all: TcpListener) -> Listeners {
        Listeners { all, admin: None }
    }
}

impl Listeners {
    /// Binds what the settings name.
    pub async fn bind(listen: &str, admin: Option<&str>) -> Result<Listeners, StartError> {
        let admin = admin.filter(|own| *own != listen);
        Ok(Listeners {
            all: bind(listen).await?,
            admin: match admin {
                Some(own) => Some(bind(own).await?),
                None => None,
            },
        })
    }

    /// The next connection, from where it comes, and whether it came in for the admin surface alone.
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr, bool)> {
        let of = |for_admin: bool| move |(stream, from): (TcpStream, SocketAddr)| (stream, from, for_admin);
        let Some(admin) = &self.admin else { return self.all.accept().await.map(of(false)) };
        tokio::select! {
            accepted = self.all.accept() => accepted.map(of(false)),
            accepted = admin.accept() => accepted.map(of(true)),
        }
    }
}

/// Serves until `stop` resolves; then requests under way get `grace` to finish, and the cache is flushed. Gives how
/// many requests were cut off.
pub async fn run(
    app: &App,
    listeners: impl Into<Listeners>,
    header_timeout: Duration,
    stop: impl Future<Output = ()>,
    grace: impl Fn() -> Duration,
) -> usize {
    let listeners = listeners.into();
    let router = app.router(listeners.admin.is_some());
    let admin_router = listeners.admin.as_ref().map(|_| app.admin_router());
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(header_timeout);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Some(Duration::from_secs(30)));
    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, from, is_admin) = tokio::select! {
            accepted = listeners.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => { pause(&error).await; continue }
            },
            () = &mut stop => break,
        };
        // Small pieces of a stream go out at once.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        let limit = app.doors.pipeline.setup().request_timeout;
        let stream = Patience::new(stream, limit, header_timeout);
        let routes = admin_router.as_ref().filter(|_| is_admin).unwrap_or(&router);
        serve((stream, from), &builder, routes, &connections);
    }
    drop(listeners);
    app.close();
    let cut_off = tokio::select! {
        () = connections.shutdown() => 0,
        () = tokio::time::sleep(grace()) => app.doors.in_flight.load(std::sync::atomic::Ordering::Relaxed),
    };
    app.doors.pipeline.cache().flush().await;
    if let Some(recorder) = app.doors.pipeline.recorder() {
        recorder.flush().await;
    }
    app.doors.pipeline.flush_shadow_labels().await;
    app.close_books().await;
    cut_off
}

fn serve(
    (stream, from): (Patience, SocketAddr),
    builder: &auto::Builder<TokioExecutor>,
    router: &axum::Router,
    connections: &GracefulShutdown,
) {
    // Keys may be bound to addresses, and the audit log tells them.
    let service = TowerToHyperService::new(Extension(ConnectInfo(from)).layer(router.clone()));
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = %error, "a connection ended with an error");
        }
    });
}

/// Without file descriptors accepting fails at once, again and again: wait for some to come back.
async fn pause(error: &io::Error) {
    let passing = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::ConnectionRefused];
    if !passing.contains(&error.kind()) {
        tracing::error!(%error, "no connection can be accepted");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
