//! The run: every peer started once a scenario, all of them side by side, measured in turn, round after round.

use super::answers::Kind;
use super::args::Args;
use super::ends::{Ends, Load, Request};
use super::peer::{Ask, Asked, Peer, Place};
use super::process::Running;
use super::samples::{Quantiles, Samples};
use super::scenario::Scenario;
use serde::Serialize;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Who has not answered by then will not.
const START: Duration = Duration::from_secs(120);

/// One measurement: a peer in a scenario, in one phase of one round.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The scenario.
    pub scenario: &'static str,
    /// The peer.
    pub peer: &'static str,
    /// Of which round, from 0.
    pub round: usize,
    /// Requests a second at which they were due; absent where the next followed the last answer.
    pub rate: Option<f64>,
    /// The rate is half of what the peer reached in this round.
    pub half: bool,
    /// Open connections.
    pub connections: usize,
    /// Right answers a second.
    pub reached: f64,
    /// Processor microseconds of the peer for one request.
    pub cpu_us: f64,
    /// From when a request was due to its last byte, in microseconds.
    pub total: Quantiles,
    /// To the first byte of the body.
    pub first: Quantiles,
    /// Requests that were due and could not be sent.
    pub unsent: u64,
    /// What went wrong, and how often.
    pub faults: std::collections::BTreeMap<String, u64>,
}

/// What is seen of a peer once a scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Footprint {
    /// The scenario.
    pub scenario: &'static str,
    /// The peer.
    pub peer: &'static str,
    /// From its start to its first right answer, in milliseconds.
    pub start_ms: f64,
    /// Memory before any load, in MB of 10⁶ bytes.
    pub rss_idle_mb: f64,
    /// The most memory.
    pub rss_peak_mb: f64,
}

/// What came of all.
#[derive(Default, Serialize)]
pub struct Outcome {
    /// Who was measured, in which version.
    pub versions: Vec<(&'static str, String)>,
    /// Each measurement.
    pub rows: Vec<Row>,
    /// Each start.
    pub footprints: Vec<Footprint>,
    /// Who could not be measured, and why.
    pub left_out: Vec<(String, String)>,
}

/// A peer that is ready to be asked.
struct Ready<'p> {
    peer: &'p dyn Peer,
    running: Option<Running>,
    to: SocketAddr,
    asked: Asked,
    requests: Vec<Request>,
    start_ms: f64,
    rss_idle_mb: f64,
}

/// Measures `scenario` with all of `peers` that can be asked for it.
pub fn measure(args: &Args, ends: &mut Ends, peers: &[Box<dyn Peer>], scenario: &Scenario, outcome: &mut Outcome) {
    let mut ready = Vec::new();
    for peer in peers {
        match begin(args, ends, peer.as_ref(), scenario) {
            Ok(Some(one)) => ready.push(one),
            Ok(None) => {}
            Err(why) => {
                eprintln!("  {}: {why}", peer.name());
                outcome.left_out.push((format!("{} in {}", peer.name(), scenario.name), why));
            }
        }
    }
    for round in 0..args.rounds {
        // Whoever comes first has the machine in another state than who comes last.
        let mut order: Vec<usize> = (0..ready.len()).collect();
        order.rotate_left(round % ready.len().max(1));
        for index in order {
            phases(args, ends, &mut ready[index], scenario, round, outcome);
        }
        eprintln!("  round {} of {}", round + 1, args.rounds);
    }
    for one in ready {
        let rss_peak_mb = one.running.as_ref().map_or(0.0, Running::rss_peak_mb);
        let Ready { peer, start_ms, rss_idle_mb, .. } = one;
        let (scenario, peer) = (scenario.name, peer.name());
        outcome.footprints.push(Footprint { scenario, peer, start_ms, rss_idle_mb, rss_peak_mb });
    }
}

/// All phases of one peer in one round.
fn phases(args: &Args, ends: &mut Ends, one: &mut Ready<'_>, scenario: &Scenario, round: usize, outcome: &mut Outcome) {
    let is_stream = matches!(scenario.kind, Kind::Stream(_));
    let mut one_phase = |ends: &mut Ends, pace: Option<(f64, bool)>, connections: usize| {
        let row = phase(args, ends, one, scenario, (round, pace, connections));
        match row {
            Ok(row) => {
                if !row.faults.is_empty() {
                    eprintln!("  {}: {:?}", row.peer, row.faults);
                }
                let reached = row.reached;
                outcome.rows.push(row);
                reached
            }
            Err(why) => {
                eprintln!("  {}: {why}", one.peer.name());
                outcome.left_out.push((format!("{} in {}", one.peer.name(), scenario.name), why));
                0.0
            }
        }
    };
    // Streams last as long as their pieces come: how many a second there are says nothing but how many connections.
    let reached = if is_stream {
        f64::INFINITY
    } else {
        one_phase(ends, None, 1);
        one_phase(ends, None, args.connections)
    };
    for rate in scenario.rates {
        if reached >= rate * 1.25 {
            one_phase(ends, Some((*rate, false)), args.connections * 4);
        }
    }
    if reached.is_finite() && reached > 0.0 {
        one_phase(ends, Some((reached / 2.0, true)), args.connections * 4);
    }
}

fn phase(
    args: &Args,
    ends: &mut Ends,
    one: &mut Ready<'_>,
    scenario: &Scenario,
    (round, pace, connections): (usize, Option<(f64, bool)>, usize),
) -> Result<Row, String> {
    let load = Load {
        to: one.to,
        requests: &one.requests,
        connections,
        every: pace.map(|(rate, _)| Duration::from_secs_f64(1.0 / rate)),
        warmup: Duration::from_secs_f64(args.warmup_s),
        duration: Duration::from_secs_f64(args.seconds),
        kind: scenario.kind,
        cadence: scenario.cadence,
        in_head: one.asked.in_head,
        no_upstream: scenario.ask == Ask::Stored,
    };
    if one.running.as_mut().is_some_and(|running| !running.is_alive()) {
        return Err("it has ended".to_owned());
    }
    let cpu = || one.running.as_ref().map_or(0.0, Running::cpu_s);
    let before = cpu();
    let samples = ends.run(&load).map_err(|error| error.to_string())?;
    let cpu_s = cpu() - before;
    // The warm-up is in it: what is counted is a share of what was asked.
    let asked = samples.right() as f64 * (args.seconds + args.warmup_s) / args.seconds;
    Ok(row(scenario, one.peer.name(), (round, pace, connections), &samples, cpu_s / asked * 1e6))
}

fn row(
    scenario: &Scenario,
    peer: &'static str,
    (round, pace, connections): (usize, Option<(f64, bool)>, usize),
    samples: &Samples,
    cpu_us: f64,
) -> Row {
    Row {
        scenario: scenario.name,
        peer,
        round,
        rate: pace.map(|(rate, _)| rate),
        half: pace.is_some_and(|(_, half)| half),
        connections,
        reached: samples.rate(),
        cpu_us,
        total: samples.total(),
        first: samples.first(),
        unsent: samples.unsent,
        faults: samples.faults().clone(),
    }
}

/// Starts a peer and waits for its first right answer; `None` where it cannot be asked for that.
fn begin<'p>(
    args: &Args,
    ends: &mut Ends,
    peer: &'p dyn Peer,
    scenario: &Scenario,
) -> Result<Option<Ready<'p>>, String> {
    let Some(asked) = peer.asked(scenario.ask, ends.port()) else { return Ok(None) };
    peer.version(&args.installed)?;
    let folder = args.folder.join(scenario.name).join(peer.name());
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let file = ends.answers().whole_body().to_vec();
    let (port, upstream) = (free_port()?, ends.port());
    let place = Place { folder: &folder, port, upstream, installed: &args.installed, file: &file, model_dir: None };
    let running = match peer.command(&place)? {
        Some(command) => {
            let log = folder.join("log");
            Some(Running::start(&command, args.cpu, &log).map_err(|error| format!("it cannot be started: {error}"))?)
        }
        None => None,
    };
    let to = SocketAddr::from(([127, 0, 0, 1], 0));
    let (start_ms, rss_idle_mb) = (0.0, 0.0);
    let mut one = Ready { peer, running, to, asked, requests: Vec::new(), start_ms, rss_idle_mb };
    first_answer(ends, &mut one, &place, scenario)?;
    one.rss_idle_mb = one.running.as_ref().map_or(0.0, Running::rss_mb);
    Ok(Some(one))
}

/// Asks until the answer is right, in the words of the load that is to come: what is to be stored is stored then.
fn first_answer(ends: &mut Ends, one: &mut Ready<'_>, place: &Place<'_>, scenario: &Scenario) -> Result<(), String> {
    let begun = Instant::now();
    let mut last = "it does not listen".to_owned();
    loop {
        if let Some(port) = one.peer.port(place) {
            one.to.set_port(port);
            one.requests = scenario.requests(&one.asked, port);
            // So long that each of the requests is asked several times.
            let duration = Duration::from_millis(if one.start_ms == 0.0 { 5 } else { 300 });
            let load = Load {
                to: one.to,
                requests: &one.requests,
                connections: 1,
                every: None,
                warmup: Duration::ZERO,
                duration,
                kind: scenario.kind,
                cadence: scenario.cadence,
                // Of what is stored, the first answer is fresh.
                in_head: "",
                no_upstream: false,
            };
            match ends.run(&load) {
                Ok(samples) => match samples.faults().keys().next() {
                    Some(fault) => last = fault.clone(),
                    None if one.start_ms > 0.0 => return Ok(()),
                    None => {
                        one.start_ms =
                            one.running.as_ref().map_or(1e-3, |running| running.started.elapsed().as_secs_f64() * 1e3)
                    }
                },
                Err(error) => last = error.to_string(),
            }
        }
        if begun.elapsed() > START || one.running.as_mut().is_some_and(|running| !running.is_alive()) {
            let said = one.running.as_ref().map(Running::last_words).unwrap_or_default();
            return Err(format!("no right answer: {last}\n{said}"));
        }
        // What starts asks the upstream for its models.
        let until = Instant::now() + Duration::from_millis(2);
        ends.idle(|| Instant::now() < until).map_err(|error| error.to_string())?;
    }
}

/// A port that is free at the moment.
fn free_port() -> Result<u16, String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}
