//! Connections in, and an orderly end: requests under way finish, the cache is flushed.

use super::build::{App, StartError};
use super::patience::Patience;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::time::Duration;
use tokio::net::TcpListener;

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

/// Serves until `stop` resolves; then requests under way get `grace` to finish, and the cache is flushed. Gives how
/// many requests were cut off.
pub async fn run(
    app: &App,
    listener: TcpListener,
    header_timeout: Duration,
    stop: impl Future<Output = ()>,
    grace: impl Fn() -> Duration,
) -> usize {
    let router = app.router();
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(header_timeout);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Some(Duration::from_secs(30)));
    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
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
        serve(stream, &builder, &router, &connections);
    }
    drop(listener);
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
    cut_off
}

fn serve(
    stream: Patience,
    builder: &auto::Builder<TokioExecutor>,
    router: &axum::Router,
    connections: &GracefulShutdown,
) {
    let service = TowerToHyperService::new(router.clone());
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
