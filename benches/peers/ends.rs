//! Both ends of what is measured, in one thread: the callers, and the upstream that a gateway asks for them.
//!
//! One thread that never sleeps has no switches between the two ends and no timers that tick in milliseconds: what is left
//! of the time between sending a request and having its answer belongs to what stands between, and to the kernel.

use super::answers::{Answers, Kind};
use super::samples::Samples;
use super::wire::Message;
use memchr::memmem;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const LISTENER: Token = Token(usize::MAX);

/// Bytes taken from a connection at a time.
const READ_BYTES: usize = 256 * 1024;

/// Without an answer for so long, a request has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// What callers ask, and when.
pub struct Load<'a> {
    /// Where.
    pub to: SocketAddr,
    /// Whole requests, asked in turn.
    pub requests: &'a [Request],
    /// Open connections.
    pub connections: usize,
    /// The time between two requests; `None`: as soon as the last answer of the connection is there.
    pub every: Option<Duration>,
    /// Requests that begin before it is over are not counted.
    pub warmup: Duration,
    /// How long requests are counted.
    pub duration: Duration,
    /// What the upstream is asked for.
    pub kind: Kind,
    /// Between two pieces of a stream.
    pub cadence: Duration,
    /// A piece of the head that every answer must have; empty for none.
    pub in_head: &'a str,
    /// The upstream must not be asked.
    pub no_upstream: bool,
}

/// A request, ready to be sent.
pub struct Request {
    /// All its bytes.
    pub bytes: Vec<u8>,
    /// Where ten digits are that are to differ from request to request.
    pub stamp: Option<usize>,
}

/// The two ends.
pub struct Ends {
    poll: Poll,
    events: Events,
    listener: TcpListener,
    port: u16,
    ends: Vec<Option<End>>,
    answers: Answers,
    /// When the next piece of which stream is due.
    due: BinaryHeap<Reverse<(Instant, usize, u64)>>,
    /// Requests that came to the upstream.
    asked: u64,
    /// The number that made the last request differ.
    stamp: u64,
    buffer: Vec<u8>,
    cadence: Duration,
}

/// One connection.
struct End {
    stream: TcpStream,
    /// Bytes that came and belong to a message that is not whole.
    left: Vec<u8>,
    message: Message,
    /// Bytes that could not be sent yet.
    unsent: Vec<u8>,
    role: Role,
    /// Which use of its place this is: pieces that are due for an earlier connection are not for this one.
    life: u64,
}

enum Role {
    /// A caller with a request out, or none.
    Caller(Option<Out>),
    /// The upstream, with so many pieces of a stream to send.
    Upstream { pieces: usize, next: Instant },
}

struct Out {
    /// When it was to be sent.
    due: Instant,
    /// When the first byte of its answer's body was there.
    first: Option<Instant>,
    counts: bool,
}

impl Ends {
    /// An upstream on a free port.
    pub fn open() -> io::Result<Ends> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Ends {
            port: listener.local_addr()?.port(),
            poll,
            events: Events::with_capacity(1024),
            listener,
            ends: Vec::new(),
            answers: Answers::new(),
            due: BinaryHeap::new(),
            asked: 0,
            stamp: 0,
            buffer: vec![0; READ_BYTES],
            cadence: Duration::ZERO,
        })
    }

    /// Where the upstream answers.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the upstream answers.
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// Answers for so long as `going` says, while nobody asks from here.
    pub fn idle(&mut self, mut going: impl FnMut() -> bool) -> io::Result<()> {
        while going() {
            self.turn(Duration::from_millis(1), None)?;
        }
        Ok(())
    }

    /// Sends what `load` asks for, and gives what came of it.
    pub fn run(&mut self, load: &Load<'_>) -> io::Result<Samples> {
        self.cadence = load.cadence;
        let callers = (0..load.connections).map(|_| self.connect(load.to)).collect::<io::Result<Vec<usize>>>()?;
        let begun = Instant::now();
        let (counted_from, end) = (begun + load.warmup, begun + load.warmup + load.duration);
        let mut idle: Vec<usize> = callers.iter().rev().copied().collect();
        let mut samples = Samples::begin(load.duration);
        let (mut number, mut next) = (0_usize, begun);
        let mut asked_before = None;
        loop {
            let now = Instant::now();
            if now >= counted_from && asked_before.is_none() {
                asked_before = Some(self.asked);
                samples.mark();
            }
            while now < end && !idle.is_empty() && (load.every.is_none() || now >= next) {
                let due = if load.every.is_some() { next } else { now };
                let Some(caller) = idle.pop() else { break };
                self.send(caller, &load.requests[number % load.requests.len()], (due, due >= counted_from));
                number += 1;
                next += load.every.unwrap_or_default();
            }
            if now >= end {
                if !samples.is_marked_twice() {
                    samples.mark();
                    samples.asked = self.asked - asked_before.unwrap_or(self.asked);
                    // Requests that were due and could not be sent.
                    if let Some(every) = load.every {
                        samples.unsent =
                            (end.saturating_duration_since(next).as_nanos() / every.as_nanos().max(1)) as u64;
                    }
                }
                if idle.len() == callers.len() || now >= end + PATIENCE {
                    break;
                }
            }
            self.turn(Duration::ZERO, Some((load, &mut samples, &mut idle, end)))?;
        }
        for caller in callers {
            if let Some(end) = &self.ends[caller]
                && matches!(end.role, Role::Caller(Some(_)))
            {
                samples.fault("no answer in time");
            }
            self.close(caller);
        }
        if load.no_upstream && samples.asked > 0 {
            samples.fault("the upstream was asked");
        }
        Ok(samples)
    }

    fn connect(&mut self, to: SocketAddr) -> io::Result<usize> {
        // Blocking, so that connecting is no part of the first request.
        let stream = std::net::TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_nonblocking(true)?;
        self.add(TcpStream::from_std(stream), Role::Caller(None))
    }

    fn add(&mut self, mut stream: TcpStream, role: Role) -> io::Result<usize> {
        stream.set_nodelay(true)?;
        let place = self.ends.iter().position(Option::is_none).unwrap_or_else(|| {
            self.ends.push(None);
            self.ends.len() - 1
        });
        self.poll.registry().register(&mut stream, Token(place), Interest::READABLE | Interest::WRITABLE)?;
        self.stamp += 1;
        let life = self.stamp;
        let (left, unsent) = (Vec::new(), Vec::new());
        self.ends[place] = Some(End { stream, left, message: Message::default(), unsent, role, life });
        Ok(place)
    }

    fn close(&mut self, place: usize) {
        if let Some(mut end) = self.ends[place].take() {
            let _ = self.poll.registry().deregister(&mut end.stream);
        }
    }

    fn send(&mut self, caller: usize, request: &Request, (due, counts): (Instant, bool)) {
        let Some(end) = &mut self.ends[caller] else { return };
        end.role = Role::Caller(Some(Out { due, first: None, counts }));
        match request.stamp {
            None => end.write(&request.bytes),
            Some(at) => {
                self.stamp += 1;
                let digits = format!("{:010}", self.stamp);
                let mut bytes = request.bytes.clone();
                bytes[at..at + digits.len()].copy_from_slice(digits.as_bytes());
                end.write(&bytes);
            }
        }
    }

    /// Does what is due and what has come.
    fn turn(
        &mut self,
        wait: Duration,
        mut load: Option<(&Load<'_>, &mut Samples, &mut Vec<usize>, Instant)>,
    ) -> io::Result<()> {
        self.pieces_due();
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        let tokens: Vec<Token> = self.events.iter().map(mio::event::Event::token).collect();
        for token in tokens {
            if token == LISTENER {
                while let Ok((stream, _)) = self.listener.accept() {
                    let next = Instant::now();
                    self.add(stream, Role::Upstream { pieces: 0, next })?;
                }
                continue;
            }
            let is_open = self.come(token.0, &mut load);
            if !is_open {
                // A caller's place goes on being looked at, so that what it waited for is counted as lost.
                if let (Some(Role::Caller(_)), Some((load, samples, idle, _))) =
                    (self.ends[token.0].as_ref().map(|end| &end.role), &mut load)
                {
                    samples.fault("the connection was closed");
                    let to = load.to;
                    self.close(token.0);
                    if let Ok(place) = self.connect(to) {
                        idle.push(place);
                    }
                } else {
                    self.close(token.0);
                }
            }
        }
        Ok(())
    }

    /// Sends the pieces of streams whose time has come.
    fn pieces_due(&mut self) {
        while let Some(Reverse((at, place, life))) = self.due.peek().copied() {
            if at > Instant::now() {
                return;
            }
            self.due.pop();
            let Some(end) = self.ends[place].as_mut().filter(|end| end.life == life) else { continue };
            let Role::Upstream { pieces, next } = &mut end.role else { continue };
            *pieces = pieces.saturating_sub(1);
            *next += self.cadence;
            let (left, next) = (*pieces, *next);
            end.write(self.answers.piece());
            if left == 0 {
                end.write(self.answers.end());
            } else {
                self.due.push(Reverse((next, place, life)));
            }
        }
    }

    /// Takes what has come on a connection; `false` where it has ended.
    fn come(&mut self, place: usize, load: &mut Option<(&Load<'_>, &mut Samples, &mut Vec<usize>, Instant)>) -> bool {
        let Some(end) = &mut self.ends[place] else { return true };
        if !end.flush() {
            return false;
        }
        loop {
            let count = match end.stream.read(&mut self.buffer) {
                Ok(0) => return false,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return false,
            };
            let mut from = 0;
            if !end.left.is_empty() || !end.message.has_begun() {
                end.left.extend_from_slice(&self.buffer[..count]);
                from = count;
            }
            let held = std::mem::take(&mut end.left);
            let bytes = if from == 0 { &self.buffer[..count] } else { &held[..] };
            let Ok(used) = end.message.take(bytes) else { return false };
            end.left.extend_from_slice(&bytes[used..]);
            match &mut end.role {
                Role::Caller(out) => {
                    let Some((load, samples, idle, until)) = load else { continue };
                    let Some(sent) = out else { continue };
                    if sent.first.is_none() && !end.message.body.is_empty() {
                        sent.first = Some(Instant::now());
                    }
                    if end.message.has_ended() {
                        let ended = Instant::now();
                        match right(&end.message, load) {
                            Ok(()) if sent.counts && ended <= *until => {
                                samples.add(ended - sent.due, sent.first.unwrap_or(ended) - sent.due);
                            }
                            Ok(()) if sent.counts && load.every.is_some() => {
                                samples.add(ended - sent.due, sent.first.unwrap_or(ended) - sent.due);
                            }
                            Ok(()) => {}
                            Err(fault) => samples.fault(&fault),
                        }
                        *out = None;
                        end.message.clear();
                        idle.push(place);
                    }
                }
                Role::Upstream { pieces, next } => {
                    if end.message.has_ended() {
                        self.asked += 1;
                        let kind = Answers::kind(&end.message.head, &end.message.body);
                        end.message.clear();
                        if let Kind::Stream(count) = kind {
                            (*pieces, *next) = (count, Instant::now() + self.cadence);
                            self.due.push(Reverse((*next, place, end.life)));
                        }
                        end.write(self.answers.first(kind));
                    }
                }
            }
        }
    }
}

impl End {
    /// Sends, or keeps for later what the kernel does not take.
    fn write(&mut self, bytes: &[u8]) {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return;
        }
        let mut sent = 0;
        while sent < bytes.len() {
            match self.stream.write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A connection that broke is seen where it is read.
                Err(_) => break,
            }
        }
        self.unsent.extend_from_slice(&bytes[sent..]);
    }

    /// Sends what was kept; `false` where the connection broke.
    fn flush(&mut self) -> bool {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => _ = self.unsent.drain(..count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}

/// Is this the answer that was asked for?
fn right(message: &Message, load: &Load<'_>) -> Result<(), String> {
    let status = message.status();
    if status != 200 {
        let said: String = String::from_utf8_lossy(&message.body).chars().take(300).collect();
        return Err(format!("status {status}: {said}"));
    }
    if !load.in_head.is_empty() && memmem::find(&message.head, load.in_head.as_bytes()).is_none() {
        return Err(format!("no `{}` in the head: {}", load.in_head, String::from_utf8_lossy(&message.head)));
    }
    let words = memmem::find_iter(&message.body, super::answers::WORD).count();
    let expected = Answers::words(load.kind);
    if words != expected {
        return Err(format!("{words} pieces of the answer instead of {expected}"));
    }
    if matches!(load.kind, Kind::Stream(_)) && memmem::find(&message.body, b"[DONE]").is_none() {
        return Err("a stream without its end".to_owned());
    }
    Ok(())
}
