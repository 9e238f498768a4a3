//! The way to a receiver of syslog: datagrams (RFC 5426), a connection (RFC 6587), or TLS (RFC 5425). It blocks: not for threads that serve
//! requests.
//!
//! Nobody acknowledges syslog. What was written counts as taken when the other side has not hung up or refused it a moment later.

use super::syslog::{cut, framed};
use crate::config::{SyslogExport, SyslogProtocol, Tls};
use crate::providers::{certificates, read_certificate_file};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// To one address.
const CONNECT: Duration = Duration::from_secs(3);
/// A batch is written within this time, the connection and its handshake included.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);
/// So long it is seen whether the other side hangs up or refuses.
const SETTLE: Duration = Duration::from_millis(250);
/// The shortest look at whether it has.
const GLANCE: Duration = Duration::from_millis(1);

/// A receiver, and the connection to it where there is one.
pub(super) struct Wire {
    address: String,
    protocol: SyslogProtocol,
    max_bytes: usize,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    open: Option<Open>,
}

enum Open {
    Udp(UdpSocket),
    Tcp(Timed),
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

/// A connection that nobody waits for longer than until `by`, however little at a time the other side takes.
struct Timed {
    stream: TcpStream,
    by: Instant,
}

impl Read for Timed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.by)?))?;
        self.stream.read(into).map_err(late)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.by)?))?;
        self.stream.write(bytes).map_err(late)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Wire {
    /// Reads the certificates. The error says what is wrong with them.
    pub(super) fn new(settings: &SyslogExport) -> Result<Wire, String> {
        let SyslogExport { address, protocol, max_bytes, tls, server_name, .. } = settings;
        let tls = match protocol {
            SyslogProtocol::Tls => {
                let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
                let name = server_name.as_deref().unwrap_or(host).trim_matches(['[', ']']).to_owned();
                let name = ServerName::try_from(name).map_err(|error| format!("`server_name`: {error}"))?;
                Some((Arc::new(client(tls)?), name))
            }
            _ => None,
        };
        Ok(Wire { address: address.clone(), protocol: *protocol, max_bytes: *max_bytes, tls, open: None })
    }

    /// Sends the lines in their order: all were taken, or perhaps some and an error.
    pub(super) fn send(&mut self, lines: Vec<String>) -> io::Result<()> {
        let by = Instant::now() + PATIENCE;
        // What the other side has closed meanwhile is not written to.
        let kept = self.open.take().and_then(|mut open| open.seen(GLANCE).is_ok().then_some(open));
        let mut open = match kept {
            Some(open) => open,
            None => self.connect(by)?,
        };
        open.wait_until(by);
        match &mut open {
            Open::Udp(socket) => {
                for line in lines {
                    socket.set_write_timeout(Some(left(by)?))?;
                    socket.send(cut(line, self.max_bytes).as_bytes())?;
                }
            }
            Open::Tcp(stream) => all(stream, &lines)?,
            Open::Tls(stream) => all(stream.as_mut(), &lines)?,
        }
        open.seen(SETTLE)?;
        self.open = Some(open);
        Ok(())
    }

    fn connect(&self, by: Instant) -> io::Result<Open> {
        let mut last = io::Error::new(ErrorKind::NotFound, "the name of the host stands for no address");
        for address in self.address.to_socket_addrs()? {
            match self.connect_to(address, by) {
                Ok(open) => return Ok(open),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn connect_to(&self, address: SocketAddr, by: Instant) -> io::Result<Open> {
        if self.protocol == SyslogProtocol::Udp {
            let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any)?;
            // From here on it is told when nobody listens there.
            socket.connect(address)?;
            return Ok(Open::Udp(socket));
        }
        let stream = TcpStream::connect_timeout(&address, CONNECT.min(left(by)?))?;
        stream.set_nodelay(true)?;
        let stream = Timed { stream, by };
        let Some((config, name)) = &self.tls else { return Ok(Open::Tcp(stream)) };
        let connection = ClientConnection::new(config.clone(), name.clone()).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Open::Tls(Box::new(stream)))
    }
}

impl Open {
    fn wait_until(&mut self, by: Instant) {
        match self {
            Open::Udp(_) => {}
            Open::Tcp(stream) => stream.by = by,
            Open::Tls(stream) => stream.sock.by = by,
        }
    }

    /// Looks for so long whether the other side hangs up or refuses. What it says besides is not for us.
    fn seen(&mut self, time: Duration) -> io::Result<()> {
        let (by, mut said) = (Instant::now() + time, [0; 512]);
        self.wait_until(by);
        while let Ok(left) = left(by) {
            let read = match self {
                Open::Udp(socket) => {
                    socket.set_read_timeout(Some(left))?;
                    // A datagram may be empty.
                    socket.recv(&mut said).map(|_| 1).map_err(late)
                }
                Open::Tcp(stream) => stream.read(&mut said),
                Open::Tls(stream) => stream.read(&mut said),
            };
            match read {
                Ok(0) => return Err(io::Error::new(ErrorKind::ConnectionAborted, "the receiver has hung up")),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::TimedOut => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Writes all lines, each with its length before it.
fn all(stream: &mut impl Write, lines: &[String]) -> io::Result<()> {
    let bytes: String = lines.iter().map(|line| framed(line)).collect();
    stream.write_all(bytes.as_bytes())?;
    stream.flush()
}

fn left(by: Instant) -> io::Result<Duration> {
    let left = by.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
    left.ok_or_else(too_long)
}

/// Systems name it in two ways that the time has passed.
fn late(error: io::Error) -> io::Error {
    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) { too_long() } else { error }
}

fn too_long() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "the receiver takes too long")
}

/// TLS that trusts the operator's authority only, and shows a certificate where there is one.
fn client(tls: &Tls) -> Result<ClientConfig, String> {
    let of = |key: &str, path: &Path, why: String| format!("`tls.{key}` {}: {why}", path.display());
    let read = |key: &str, path: &Path| read_certificate_file(path).map_err(|why| of(key, path, why));
    let chain = |key: &str, path: &Path| certificates(&read(key, path)?).map_err(|why| of(key, path, why));
    let mut roots = RootCertStore::empty();
    if let Some(path) = &tls.ca_file {
        for certificate in chain("ca_file", path)? {
            let wrong = |error| of("ca_file", path, format!("a certificate in it cannot be used: {error}"));
            roots.add(certificate).map_err(wrong)?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?.with_root_certificates(roots);
    let (Some(certificate), Some(key)) = (&tls.client_cert_file, &tls.client_key_file) else {
        return Ok(builder.with_no_client_auth());
    };
    // What is wrong with a key is said without any of it.
    let no_key = || of("client_key_file", key, "it holds no private key in PEM form that is not encrypted".to_owned());
    let pem = read("client_key_file", key)?;
    let own = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| no_key())?;
    let built = builder.with_client_auth_cert(chain("client_cert_file", certificate)?, own);
    built.map_err(|error| of("client_key_file", key, format!("it does not go with the certificate: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(address: String, protocol: SyslogProtocol) -> Wire {
        let settings = SyslogExport {
            address,
            protocol,
            facility: 13,
            hostname: None,
            max_bytes: 600,
            tls: Tls::default(),
            server_name: None,
        };
        Wire::new(&settings).unwrap()
    }

    #[test]
    fn a_receiver_that_hangs_up_has_taken_nothing_and_is_called_again() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut wire = to(listener.local_addr().unwrap().to_string(), SyslogProtocol::Tcp);
        let receiving = std::thread::spawn(move || {
            drop(listener.accept().unwrap());
            let (mut second, _) = listener.accept().unwrap();
            let mut bytes = [0; 10];
            second.read_exact(&mut bytes).unwrap();
            // It hangs up while nothing is under way.
            drop(second);
            let (mut third, _) = listener.accept().unwrap();
            let mut again = [0; 5];
            third.read_exact(&mut again).unwrap();
            (bytes, again)
        });
        assert!(wire.send(vec!["one".into()]).is_err(), "nobody has read it");
        wire.send(vec!["one".into(), "two".into()])
            .unwrap_or_else(|error| assert_eq!(error.kind(), ErrorKind::ConnectionAborted));
        wire.send(vec!["six".into()]).unwrap_or_else(|error| assert_eq!(error.kind(), ErrorKind::ConnectionAborted));
        assert_eq!(receiving.join().unwrap(), (*b"3 one3 two", *b"3 six"));
    }

    #[test]
    fn nobody_listens_for_datagrams_and_that_is_seen() {
        let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut wire = to(gone.to_string(), SyslogProtocol::Udp);
        assert_eq!(wire.send(vec!["one".into()]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn one_that_takes_nothing_is_given_up_in_time() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let begun = Instant::now();
        let mut timed = Timed { stream, by: begun + Duration::from_millis(200) };
        let error = all(&mut timed, &vec!["x".repeat(1 << 20); 64]).unwrap_err();
        assert_eq!(error.to_string(), "the receiver takes too long");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
