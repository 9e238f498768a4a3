//! Real servers in this process: one that speaks TLS and may ask who calls, and a proxy that forwards.

use super::*;
use crate::config::{Provider, ProviderKind, Tls};
use crate::types::secret::Secret;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for `name`, and its key, in PEM form.
fn issued(by: &Authority, name: &str, purpose: ExtendedKeyUsagePurpose) -> (rcgen::Certificate, KeyPair) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.extended_key_usages = vec![purpose];
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, by).unwrap(), key)
}

/// Reads the head of a request, and its body as far as `content-length` says.
fn head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";

/// A server that greets whoever gets as far as HTTP. With `callers`, only who shows a certificate of theirs does.
fn tls_server(by: &Authority, callers: Option<&Authority>) -> SocketAddr {
    crate::install_tls();
    let (certificate, key) = issued(by, "localhost", ExtendedKeyUsagePurpose::ServerAuth);
    let builder = ServerConfig::builder();
    let builder = match callers {
        None => builder.with_no_client_auth(),
        Some(callers) => {
            let mut roots = RootCertStore::empty();
            roots.add(callers.der().clone()).unwrap();
            builder.with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap())
        }
    };
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key.into()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let config = config.clone();
            std::thread::spawn(move || {
                let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                if head(&mut stream).starts_with("GET /v1/models ") {
                    let _ = stream.write_all(HELLO);
                }
                stream.conn.send_close_notify();
                let _ = stream.flush();
            });
        }
    });
    address
}

/// A proxy that forwards what has the right name and password, by CONNECT and by whole addresses. Notes whereto.
fn proxy(seen: Arc<Mutex<Vec<String>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let seen = seen.clone();
            std::thread::spawn(move || forward(stream, &seen));
        }
    });
    address
}

fn forward(mut caller: TcpStream, seen: &Mutex<Vec<String>>) {
    let head = head(&mut caller);
    // `ada:p@ss word` in base64.
    if !head.to_ascii_lowercase().contains("proxy-authorization: basic ywrhonbac3mgd29yza==") {
        let _ = caller.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
        return;
    }
    let mut words = head.split(' ');
    let (method, whereto) = (words.next().unwrap(), words.next().unwrap());
    seen.lock().unwrap().push(format!("{method} {whereto}"));
    let host = whereto.trim_start_matches("http://").split('/').next().unwrap();
    let mut target = TcpStream::connect(host.replace("localhost", "127.0.0.1")).unwrap();
    if method == "CONNECT" {
        caller.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    } else {
        let path = whereto.trim_start_matches("http://").trim_start_matches(host);
        target.write_all(head.replacen(whereto, path, 1).as_bytes()).unwrap();
    }
    let (mut from, mut to) = (caller.try_clone().unwrap(), target.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = std::io::copy(&mut target, &mut caller);
    let _ = caller.shutdown(Shutdown::Both);
}

fn provider(base_url: String, proxy: Proxy, tls: Tls) -> Provider {
    let connect_timeout = Duration::from_secs(10);
    Provider { proxy, tls, connect_timeout, ..Provider::plain("p", ProviderKind::OpenAi, base_url) }
}

async fn greeting(provider: &Provider) -> Result<String, String> {
    let client = client(provider)?;
    let sent = client.get(format!("{}/models", provider.base_url)).send().await;
    let reply = sent.map_err(|error| super::super::http::chain(&error))?;
    reply.text().await.map_err(|error| error.to_string())
}

fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> Option<PathBuf> {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    Some(path)
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_where_it_is_named() {
    let ours = authority();
    let base_url = format!("https://localhost:{}/v1", tls_server(&ours, None).port());
    let folder = tempfile::tempdir().unwrap();
    let with = |pem: &str| {
        let ca_file = file(&folder, "ca.pem", pem);
        provider(base_url.clone(), Proxy::None, Tls { ca_file, ..Tls::default() })
    };
    assert_eq!(greeting(&with(&ours.pem())).await.as_deref(), Ok("hello"));
    // One of several in the file is enough.
    assert_eq!(greeting(&with(&(authority().pem() + &ours.pem()))).await.as_deref(), Ok("hello"));
    for stranger in [with(&authority().pem()), provider(base_url.clone(), Proxy::None, Tls::default())] {
        let refused = greeting(&stranger).await.unwrap_err();
        assert!(refused.contains("certificate"), "{refused}");
    }
}

#[tokio::test]
async fn a_certificate_says_who_calls() {
    let (ours, callers) = (authority(), authority());
    let base_url = format!("https://localhost:{}/v1", tls_server(&ours, Some(&callers)).port());
    let folder = tempfile::tempdir().unwrap();
    let ca_file = file(&folder, "ca.pem", &ours.pem());
    let with = |by: &Authority| {
        let (certificate, key) = issued(by, "gateway", ExtendedKeyUsagePurpose::ClientAuth);
        let client_cert_file = file(&folder, "cert.pem", &certificate.pem());
        let client_key_file = file(&folder, "key.pem", &key.serialize_pem());
        provider(base_url.clone(), Proxy::None, Tls { ca_file: ca_file.clone(), client_cert_file, client_key_file })
    };
    assert_eq!(greeting(&with(&callers)).await.as_deref(), Ok("hello"));
    let stranger = with(&ours);
    assert!(greeting(&stranger).await.is_err(), "a certificate of somebody else");
    let nobody = provider(base_url.clone(), Proxy::None, Tls { ca_file: ca_file.clone(), ..Tls::default() });
    assert!(greeting(&nobody).await.is_err(), "no certificate");
    // Both in one file.
    let (certificate, key) = issued(&callers, "gateway", ExtendedKeyUsagePurpose::ClientAuth);
    let both = file(&folder, "both.pem", &(certificate.pem() + &key.serialize_pem()));
    let tls = Tls { ca_file, client_cert_file: both.clone(), client_key_file: both };
    assert_eq!(greeting(&provider(base_url, Proxy::None, tls)).await.as_deref(), Ok("hello"));
}

#[tokio::test]
async fn a_proxy_is_gone_through_with_its_name_and_password() {
    let ours = authority();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let at = proxy(seen.clone());
    let address = |user: &str| Proxy::At(Secret::new(format!("http://{user}@127.0.0.1:{}", at.port())));
    let folder = tempfile::tempdir().unwrap();
    let tls = Tls { ca_file: file(&folder, "ca.pem", &ours.pem()), ..Tls::default() };
    let port = tls_server(&ours, None).port();
    let secure = format!("https://localhost:{port}/v1");
    // An explicit proxy holds for this machine, too.
    let through = provider(secure.clone(), address("ada:p%40ss%20word"), tls.clone());
    assert_eq!(greeting(&through).await.as_deref(), Ok("hello"));
    assert!(!format!("{:?}", client(&through).unwrap()).contains("p@ss"), "what is printed holds no password");
    assert!(!format!("{:?}", client(&through).unwrap()).contains("p%40ss"));
    assert_eq!(*seen.lock().unwrap(), [format!("CONNECT localhost:{port}")]);
    assert_eq!(greeting(&provider(secure.clone(), Proxy::None, tls.clone())).await.as_deref(), Ok("hello"));
    assert_eq!(seen.lock().unwrap().len(), 1, "`none` is none");
    assert!(greeting(&provider(secure, address("ada:wrong"), tls)).await.is_err());

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            assert!(head(&mut stream).starts_with("GET /v1/models "));
            let _ = stream.write_all(HELLO);
        }
    });
    let open = format!("http://{plain}/v1");
    assert_eq!(greeting(&provider(open, address("ada:p%40ss%20word"), Tls::default())).await.as_deref(), Ok("hello"));
    assert_eq!(seen.lock().unwrap()[1], format!("GET http://{plain}/v1/models"));
}

#[test]
fn what_is_wrong_with_a_file_is_said_by_its_name() {
    crate::install_tls();
    let folder = tempfile::tempdir().unwrap();
    let ours = authority();
    let (certificate, key) = issued(&ours, "gateway", ExtendedKeyUsagePurpose::ClientAuth);
    let other = KeyPair::generate().unwrap().serialize_pem();
    let cert = file(&folder, "cert.pem", &certificate.pem());
    let key_file = file(&folder, "key.pem", &key.serialize_pem());
    let other_file = file(&folder, "other.pem", &other);
    let empty = file(&folder, "empty.pem", "no PEM at all\n");
    let torn = file(&folder, "torn.pem", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n");
    let junk = file(&folder, "junk.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let missing = Some(folder.path().join("missing.pem"));
    let ca = |ca_file: &Option<PathBuf>| Tls { ca_file: ca_file.clone(), ..Tls::default() };
    let pair = |cert: &Option<PathBuf>, key: &Option<PathBuf>| Tls {
        client_cert_file: cert.clone(),
        client_key_file: key.clone(),
        ..Tls::default()
    };
    let table = [
        (ca(&missing), "`tls.ca_file`", "missing.pem: No such file"),
        (ca(&empty), "`tls.ca_file`", "empty.pem: it holds no certificate in PEM form"),
        (ca(&torn), "`tls.ca_file`", "torn.pem: it is not in PEM form"),
        (ca(&junk), "`tls.ca_file`", "junk.pem: a certificate in it cannot be used"),
        (pair(&empty, &key_file), "`tls.client_cert_file`", "empty.pem: it holds no certificate"),
        (pair(&cert, &empty), "`tls.client_key_file`", "empty.pem: it holds no private key"),
        (pair(&cert, &other_file), "`tls.client_key_file`", "other.pem: it does not go with the certificate"),
        (pair(&cert, &missing), "`tls.client_key_file`", "missing.pem: No such file"),
    ];
    for (tls, field, what) in table {
        let error = client(&provider("https://h/v1".to_owned(), Proxy::None, tls)).unwrap_err();
        assert!(error.starts_with("provider `p`: ") && error.contains(field) && error.contains(what), "{error}");
        assert!(!error.contains(&other[30..60]) && !error.contains("PRIVATE"), "{error}");
    }
    assert!(client(&provider("https://h/v1".to_owned(), Proxy::None, pair(&cert, &key_file))).is_ok());
    let refused =
        client(&provider("https://h/v1".to_owned(), Proxy::At(Secret::new("http://[hunter2")), Tls::default()));
    assert!(!refused.unwrap_err().contains("hunter2"));
}
