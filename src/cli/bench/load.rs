//! `Load`: the load generator, in two modes.
//!
//! *Open*: requests are due at fixed times, whatever happened to earlier ones, and each latency is counted from the
//! time it was due. No request is skipped: one that is due while every connection is busy waits for the next free
//! one, and its wait counts. *Closed*: every connection sends its next request as soon as it has the last answer.
//!
//! One blocking thread for each connection takes the next arrival, sleeps until it is due, sends and receives: there
//! is no hand-over between threads that would be counted as latency.

use super::client::{Connection, Endpoint, Reply};
use super::fault::{Fault, FaultKind, Faults};
use super::schedule::{FineTimers, sleep_until};
use super::stop::Stop;
use memchr::memmem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// One request in wire form.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is sent.
    pub wire: Vec<u8>,
    /// What the right answer contains, if that is known.
    pub mark: Option<String>,
}

/// What the right response looks like, apart from its mark.
#[derive(Clone, Copy, Default, Debug)]
pub struct Expected {
    /// `x-askonce-cache`.
    pub cache: Option<&'static str>,
    /// `x-askonce-tier`.
    pub tier: Option<&'static str>,
    /// Whether a stream must have come to its end.
    pub stream: bool,
}

/// What to send, whereto and how.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// Where requests go.
    pub endpoint: &'a Endpoint,
    /// They are sent in this order, over and over.
    pub requests: &'a [Request],
    /// What comes back when all is well.
    pub expected: Expected,
    /// Threads with a connection each.
    pub connections: usize,
    /// Longest wait for a byte.
    pub timeout: Duration,
    /// Ends everything early.
    pub stop: &'a Stop,
}

/// What an open-loop phase measured, one value for each request that was due after the warm-up.
#[derive(Debug, Default)]
pub struct OpenRun {
    /// From due to the end of the answer (or to its failure), in nanoseconds.
    pub latency_ns: Vec<u64>,
    /// From due to the first byte of the answer's body, in nanoseconds; failed requests have none.
    pub first_byte_ns: Vec<u64>,
    /// From due to being sent, in nanoseconds.
    pub late_ns: Vec<u64>,
    /// The most requests that were due and not sent at any one time, counted when one was sent.
    pub backlog_max: usize,
    /// The failed ones.
    pub faults: Faults,
}

/// What a closed-loop phase measured.
#[derive(Debug, Default)]
pub struct ClosedRun {
    /// Right answers.
    pub answered: u64,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// The failed requests.
    pub faults: Faults,
}

/// What the caller of a phase wants to do meanwhile, on the calling thread.
pub trait Watch {
    /// The warm-up is over.
    fn warm(&mut self) {}
    /// Some time has passed since the last call.
    fn tick(&mut self, _passed: Duration) {}
}

/// For phases that nobody watches.
impl Watch for () {}

impl<'a> Load<'a> {
    /// The same with another number of connections.
    pub fn with_connections(self, connections: usize) -> Load<'a> {
        Load { connections, ..self }
    }

    /// Sends requests as they come due: `arrivals` are nanoseconds after the start. Those before `warmup` are sent and
    /// not counted.
    pub fn open(&self, arrivals: &[u64], warmup: Duration, watch: &mut dyn Watch) -> OpenRun {
        let next = AtomicUsize::new(0);
        let first = arrivals.partition_point(|&at| at < warmup.as_nanos() as u64);
        let last = Duration::from_nanos(arrivals.last().copied().unwrap_or_default());
        // Time for every thread to start and connect before the first request is due.
        let start = Instant::now() + Duration::from_millis(20) + Duration::from_micros(100) * self.connections as u32;
        let work = || {
            let mut worker = Worker::new(self);
            worker.connect();
            let mut run = OpenRun::default();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(&at) = arrivals.get(index) else { return run };
                let due = start + Duration::from_nanos(at);
                sleep_until(due, self.stop);
                if self.stop.is_set() {
                    return run;
                }
                let sent = Instant::now();
                let since_start = sent.saturating_duration_since(start);
                let outcome = if since_start > last + self.timeout {
                    Err(Fault::new(FaultKind::Unsent, "no connection became free before the phase was given up"))
                } else {
                    worker.ask(index)
                };
                if index < first {
                    continue;
                }
                let due_by_now = arrivals.partition_point(|&at| u128::from(at) <= since_start.as_nanos());
                run.backlog_max = run.backlog_max.max(due_by_now.saturating_sub(index + 1));
                run.late_ns.push(nanos_between(due, sent));
                match outcome {
                    Ok(reply) => {
                        run.latency_ns.push(nanos_between(due, reply.ended));
                        run.first_byte_ns.push(nanos_between(due, reply.first_byte));
                    }
                    Err(fault) => {
                        run.latency_ns.push(nanos_between(due, Instant::now()));
                        run.faults.add(fault);
                    }
                }
            }
        };
        let runs = self.run_threads(work, Some(start + warmup), watch);
        runs.into_iter().fold(OpenRun::default(), OpenRun::merged)
    }

    /// Sends requests as fast as answers come, for `duration`.
    pub fn closed(&self, duration: Duration, watch: &mut dyn Watch) -> ClosedRun {
        self.back_to_back(usize::MAX, Some(duration), watch, &|_, _, _| ())
    }

    /// Sends each request once, as fast as answers come, and shows each right answer to `see` with the index of its
    /// request.
    pub fn each_once(&self, watch: &mut dyn Watch, see: &(dyn Fn(usize, &Reply, &[u8]) + Sync)) -> ClosedRun {
        self.back_to_back(self.requests.len(), None, watch, see)
    }

    fn back_to_back(
        &self,
        count: usize,
        duration: Option<Duration>,
        watch: &mut dyn Watch,
        see: &(dyn Fn(usize, &Reply, &[u8]) + Sync),
    ) -> ClosedRun {
        let next = AtomicUsize::new(0);
        let start = Instant::now();
        let work = || {
            let mut worker = Worker::new(self);
            let mut run = ClosedRun::default();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count || self.stop.is_set() || duration.is_some_and(|longest| start.elapsed() >= longest) {
                    run.elapsed = start.elapsed();
                    return run;
                }
                match worker.ask(index) {
                    Ok(reply) => {
                        run.answered += 1;
                        see(index, &reply, &worker.body);
                    }
                    Err(fault) => {
                        // A server that refuses at once must not be asked a million times.
                        std::thread::sleep(Duration::from_millis(1));
                        run.faults.add(fault);
                    }
                }
            }
        };
        let runs = self.run_threads(work, None, watch);
        runs.into_iter().fold(ClosedRun::default(), ClosedRun::merged)
    }

    /// Runs `work` on a thread for each connection, keeping `watch` informed until all are done.
    fn run_threads<T: Send + Default>(
        &self,
        work: impl Fn() -> T + Sync,
        mut warm_at: Option<Instant>,
        watch: &mut dyn Watch,
    ) -> Vec<T> {
        let fine = FineTimers::hold();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.connections).map(|_| scope.spawn(&work)).collect();
            drop(fine);
            let mut seen = Instant::now();
            while !threads.iter().all(|thread| thread.is_finished()) {
                let nap = Duration::from_millis(20);
                let until_warm = warm_at.map_or(nap, |at| at.saturating_duration_since(Instant::now()));
                std::thread::sleep(nap.min(until_warm));
                if warm_at.take_if(|at| *at <= Instant::now()).is_some() {
                    watch.warm();
                }
                watch.tick(seen.elapsed());
                seen = Instant::now();
            }
            // A thread could only fail to return by a panic; it then has measured nothing.
            threads.into_iter().map(|thread| thread.join().unwrap_or_default()).collect()
        })
    }
}

impl OpenRun {
    fn merged(mut self, other: OpenRun) -> OpenRun {
        self.latency_ns.extend(other.latency_ns);
        self.first_byte_ns.extend(other.first_byte_ns);
        self.late_ns.extend(other.late_ns);
        self.backlog_max = self.backlog_max.max(other.backlog_max);
        self.faults.merge(&other.faults);
        self
    }
}

impl ClosedRun {
    fn merged(mut self, other: ClosedRun) -> ClosedRun {
        self.answered += other.answered;
        self.elapsed = self.elapsed.max(other.elapsed);
        self.faults.merge(&other.faults);
        self
    }

    /// Right answers a second.
    pub fn rate(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// A thread's connection and buffer.
struct Worker<'a> {
    load: &'a Load<'a>,
    connection: Option<Connection>,
    body: Vec<u8>,
}

impl<'a> Worker<'a> {
    fn new(load: &'a Load<'a>) -> Worker<'a> {
        Worker { load, connection: None, body: Vec::new() }
    }

    /// Connects ahead of the first request. A failure shows when that is sent.
    fn connect(&mut self) {
        self.connection = Connection::open(self.load.endpoint, self.load.timeout).ok();
    }

    fn ask(&mut self, index: usize) -> Result<Reply, Fault> {
        let request = &self.load.requests[index % self.load.requests.len()];
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.load.endpoint, self.load.timeout)?,
        };
        let reply = connection.exchange(&request.wire, &mut self.body)?;
        if !reply.head.closes() {
            self.connection = Some(connection);
        }
        check(&reply, &self.body, request, self.load.expected)?;
        Ok(reply)
    }
}

/// Whether a response is the one that was to come.
fn check(reply: &Reply, body: &[u8], request: &Request, expected: Expected) -> Result<(), Fault> {
    let excerpt = || String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
    if reply.status != 200 {
        return Err(Fault::new(FaultKind::Status, format!("{}: {}", reply.status, excerpt())));
    }
    for (name, wanted) in [("x-askonce-cache", expected.cache), ("x-askonce-tier", expected.tier)] {
        if let Some(wanted) = wanted
            && reply.head.get(name) != Some(wanted)
        {
            let got = reply.head.get(name).unwrap_or("nothing");
            return Err(Fault::new(FaultKind::WrongOutcome, format!("{name}: expected {wanted}, got {got}")));
        }
    }
    if expected.stream && !body.trim_ascii_end().ends_with(b"data: [DONE]") {
        return Err(Fault::new(FaultKind::Broken, "the stream ended without data: [DONE]"));
    }
    match &request.mark {
        Some(mark) if memmem::find(body, mark.as_bytes()).is_none() => {
            Err(Fault::new(FaultKind::WrongAnswer, format!("expected {mark} in: {}", excerpt())))
        }
        _ => Ok(()),
    }
}

fn nanos_between(from: Instant, to: Instant) -> u64 {
    to.saturating_duration_since(from).as_nanos() as u64
}
