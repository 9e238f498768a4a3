//! The load generator: what it counts, and what it understands.

use super::super::fault::FaultKind;
use super::super::http1::{Framing, Inbound};
use super::super::quantile::Quantiles;
use super::super::schedule::arrivals;
use super::super::stop::Stop;
use super::{Endpoint, Expected, Load, MockSettings, PROMPT, Request, load, mark, requests, start_mock};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io::Write;
use std::net::TcpListener;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

/// A server that answers at once, except while the gate is held for writing.
fn start_stallable(gate: Arc<RwLock<()>>) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let gate = gate.clone();
            std::thread::spawn(move || {
                let mut inbound = Inbound::new(stream.unwrap());
                let mut body = Vec::new();
                while let Some(head) = inbound.read_head().unwrap() {
                    inbound.read_body(head.framing(Framing::Length(0)).unwrap(), &mut body, || ()).unwrap();
                    let _open = gate.read().unwrap();
                    inbound.stream().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
                }
            });
        }
    });
    Endpoint::local(port)
}

/// 400 requests in 2 s over 4 connections, while the server stalls for 500 ms: a fourth of the requests come due
/// in the stall and each has to wait for its end. Only four of them are on their way when it begins.
#[test]
fn a_stall_is_charged_to_every_request_that_it_delays() {
    let gate = Arc::new(RwLock::new(()));
    let server = start_stallable(gate.clone());
    let all = [Request { wire: server.post_chat("", "{}"), mark: None }];
    let stop = Stop::default();
    let due = arrivals(200.0, Duration::from_secs(2), None);
    let run = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(700));
            let _closed = gate.write().unwrap();
            std::thread::sleep(Duration::from_millis(500));
        });
        load(&server, &all, &stop).open(&due, Duration::ZERO, &mut ())
    });
    assert_eq!((run.latency_ns.len(), run.faults.total()), (400, 0));
    assert!(run.backlog_max >= 60, "{}", run.backlog_max);
    let delayed = run.latency_ns.iter().filter(|&&latency| latency > 100_000_000).count();
    assert!(delayed >= 60, "{delayed} of about 80");
    let latency = Quantiles::of(run.latency_ns);
    assert!(latency.at_us(990).unwrap() > 400_000.0, "{:?}", latency.at_us(990));
    assert!(latency.at_us(900).unwrap() > 200_000.0, "{:?}", latency.at_us(900));
    assert!(latency.at_us(500).unwrap() < 100_000.0, "{:?}", latency.at_us(500));
}

#[test]
fn warm_up_is_sent_and_not_counted() {
    let mock = start_mock(PROMPT);
    let all = requests(&mock, 10, false);
    let stop = Stop::default();
    let due = arrivals(500.0, Duration::from_millis(600), None);
    let run = load(&mock, &all, &stop).open(&due, Duration::from_millis(200), &mut ());
    assert_eq!((due.len(), run.latency_ns.len(), run.late_ns.len()), (300, 200, 200));
    assert_eq!(run.faults.total(), 0, "{:?}", run.faults);
}

#[test]
fn what_cannot_be_sent_in_time_is_counted_as_failed() {
    let mock = start_mock(MockSettings { latency: Duration::from_millis(200), ..PROMPT });
    let all = requests(&mock, 1, false);
    let stop = Stop::default();
    let impatient = Load { timeout: Duration::from_millis(400), connections: 1, ..load(&mock, &all, &stop) };
    let due = arrivals(100.0, Duration::from_millis(500), None);
    let run = impatient.open(&due, Duration::ZERO, &mut ());
    assert_eq!(run.latency_ns.len(), 50);
    let unsent = run.faults.count(FaultKind::Unsent);
    assert!((40..=47).contains(&unsent) && run.faults.total() == unsent, "{:?}", run.faults);
}

#[test]
fn wrong_answers_and_outcomes_are_told_apart() {
    let mock = start_mock(PROMPT);
    let stop = Stop::default();
    let mut all = requests(&mock, 2, false);
    all[1].mark = Some(mark("another question"));
    let run = load(&mock, &all, &stop).each_once(&mut (), &|_, _, _| ());
    assert_eq!((run.answered, run.faults.count(FaultKind::WrongAnswer)), (1, 1), "{:?}", run.faults);
    let hits = Expected { cache: Some("hit"), ..Expected::default() };
    let run = Load { expected: hits, ..load(&mock, &all, &stop) }.each_once(&mut (), &|_, _, _| ());
    assert_eq!((run.answered, run.faults.count(FaultKind::WrongOutcome)), (0, 2), "{:?}", run.faults);
    let streams = Expected { stream: true, ..Expected::default() };
    let run = Load { expected: streams, ..load(&mock, &all, &stop) }.each_once(&mut (), &|_, _, _| ());
    assert_eq!(run.faults.count(FaultKind::Broken), 2, "{:?}", run.faults);
    let nowhere = Endpoint::parse("http://127.0.0.1:1", None).unwrap();
    let run = load(&nowhere, &all, &stop).each_once(&mut (), &|_, _, _| ());
    assert_eq!(run.faults.count(FaultKind::Connect), 2, "{:?}", run.faults);
}

#[test]
fn silence_is_a_timeout() {
    let gate = Arc::new(RwLock::new(()));
    let server = start_stallable(gate.clone());
    let _closed = gate.write().unwrap();
    let all = [Request { wire: server.post_chat("", "{}"), mark: None }];
    let stop = Stop::default();
    let impatient = Load { timeout: Duration::from_millis(100), ..load(&server, &all, &stop) };
    let started = Instant::now();
    let run = impatient.each_once(&mut (), &|_, _, _| ());
    assert_eq!(run.faults.count(FaultKind::Timeout), 1, "{:?}", run.faults);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_stop_ends_a_long_phase() {
    let mock = start_mock(PROMPT);
    let all = requests(&mock, 1, false);
    let stop = Stop::default();
    let started = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            stop.set();
        });
        load(&mock, &all, &stop).open(&[0, 600_000_000_000], Duration::ZERO, &mut ());
    });
    assert!(started.elapsed() < Duration::from_secs(10));
}

/// hyper as the server: it answers with chunked bodies, header names in its own case, and keep-alive.
#[test]
fn the_client_understands_hypers_server() {
    let (port_out, port_in) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            port_out.send(listener.local_addr().unwrap().port()).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = hyper::service::service_fn(async |request: hyper::Request<hyper::body::Incoming>| {
                    let chunked = request.headers().contains_key("x-chunked");
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    let body = Full::new(body);
                    let body = if chunked { body.map_frame(|frame| frame).boxed() } else { body.boxed() };
                    let response = hyper::Response::builder().header("X-Askonce-Cache", "hit");
                    let response = if chunked { response.header("transfer-encoding", "chunked") } else { response };
                    Ok::<_, Infallible>(response.body(body).unwrap())
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
    });
    let server = Endpoint::local(port_in.recv().unwrap());
    let large = "x".repeat(300_000);
    let echoed = |headers, text: &str| Request { wire: server.post_chat(headers, text), mark: Some(text.to_owned()) };
    let all =
        [echoed("", "plain"), echoed("x-chunked: 1\r\n", &large), echoed("", &large), echoed("x-chunked: 1\r\n", "y")];
    let stop = Stop::default();
    let hits = Expected { cache: Some("hit"), ..Expected::default() };
    let one = Load { expected: hits, connections: 1, ..load(&server, &all, &stop) };
    let run = one.each_once(&mut (), &|_, _, _| ());
    assert_eq!((run.answered, run.faults.total()), (4, 0), "{:?}", run.faults);
}
