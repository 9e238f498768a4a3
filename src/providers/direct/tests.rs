//! A server in this process that answers as told, and counts its connections.

use super::*;
use crate::config::{Provider, ProviderKind};
use http_body_util::BodyExt;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// Answers each request of each connection with what `answer` gives, in the pieces it gives; `None` closes the connection. Gives its
/// address and how many connections there were.
fn server(
    answer: impl Fn(usize) -> Option<Vec<&'static str>> + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let (answer, asked, counted) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)), connections.clone());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            let (answer, asked) = (answer.clone(), asked.clone());
            std::thread::spawn(move || {
                let mut request = vec![0; 4096];
                while stream.read(&mut request).unwrap_or(0) > 0 {
                    let Some(pieces) = answer(asked.fetch_add(1, Ordering::SeqCst)) else { break };
                    for piece in pieces {
                        let _ = stream.write_all(piece.as_bytes());
                        std::thread::sleep(Duration::from_millis(5));
                    }
                }
                let _ = stream.shutdown(Shutdown::Both);
            });
        }
    });
    (address, connections)
}

fn to(base_url: &str) -> Option<Direct> {
    let settings = Provider::plain("local", ProviderKind::OpenAiCompatible, base_url.to_owned());
    Direct::to(&Provider { proxy: Proxy::None, ..settings })
}

async fn ask(direct: &Direct) -> Result<Result<Bytes, hyper::Error>, Failed> {
    let path = direct.path(&format!("{}/v1/x", direct.origin)).unwrap();
    let answer = direct.post(path, HeaderMap::new(), Bytes::from_static(b"{}")).await?;
    Ok(answer.into_body().collect().await.map(http_body_util::Collected::to_bytes))
}

async fn text(direct: &Direct) -> String {
    let body = ask(direct).await.unwrap_or_else(|_| panic!("no answer")).unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

#[test]
fn is_for_plain_addresses_only() {
    let table = [
        ("http://127.0.0.1:8000/v1", true),
        ("http://localhost", true),
        ("http://[::1]:8000/v1", true),
        ("https://api.openai.com/v1", false),
        ("http://name:password@127.0.0.1/v1", false),
        ("http://EXAMPLE.com/v1", false),
        ("http://example.com:80/v1", false),
    ];
    for (base_url, expected) in table {
        assert_eq!(to(base_url).is_some(), expected, "{base_url}");
    }
    let proxied = Provider::plain("local", ProviderKind::OpenAiCompatible, "http://10.0.0.1/v1".to_owned());
    let proxy = Proxy::At(crate::types::secret::Secret::new("http://10.0.0.2".to_owned()));
    assert!(Direct::to(&Provider { proxy, ..proxied }).is_none());
}

#[test]
fn leaves_addresses_that_are_not_in_their_normal_form_to_others() {
    let direct = to("http://127.0.0.1:8000/v1").unwrap();
    let path = |url: &str| direct.path(url).map(|path| path.to_string());
    assert_eq!(path("http://127.0.0.1:8000/v1/a:b?x=1&y").as_deref(), Some("/v1/a:b?x=1&y"));
    for url in [
        "http://127.0.0.1:80001/v1",
        "http://127.0.0.1:8000@elsewhere/v1",
        "http://127.0.0.1:8000",
        "http://127.0.0.1:8000/v1/../x",
        "http://127.0.0.1:8000/v1/%2e%2e/x",
        "http://127.0.0.1:8000/v1/a b",
        "http://127.0.0.1:8000/v1/a\r\nb",
        "http://127.0.0.1:8000/v1/ä",
        "http://127.0.0.1:8000/v1#x",
    ] {
        assert_eq!(path(url), None, "{url}");
    }
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let (address, connections) = server(|_| Some(vec![HELLO]));
    let direct = to(&format!("http://{address}/v1")).unwrap();
    for _ in 0..10 {
        assert_eq!(text(&direct).await, "hello");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn chunks_come_as_they_are_sent_and_the_connection_is_used_again() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let (address, connections) =
        server(move |_| Some(vec![head, "3\r\nhel\r\n", "2\r\nl", "o\r\n", "0\r\nx-cost: 1\r\n", "\r\n"]));
    let direct = to(&format!("http://{address}/v1")).unwrap();
    for _ in 0..3 {
        assert_eq!(text(&direct).await, "hello");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_that_was_closed_over_there_is_not_asked() {
    let closing = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
    let (address, connections) = server(move |_| Some(vec![closing]));
    let direct = to(&format!("http://{address}/v1")).unwrap();
    assert_eq!((text(&direct).await, text(&direct).await), ("hello".to_owned(), "hello".to_owned()));
    assert_eq!(connections.load(Ordering::SeqCst), 2);

    // Closed without a word, between two requests.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(HELLO.as_bytes());
        }
    });
    let direct = to(&format!("http://{address}/v1")).unwrap();
    for _ in 0..3 {
        assert_eq!(text(&direct).await, "hello");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_breaks_off_is_told() {
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello";
    let (address, connections) = server(move |asked| (asked % 2 == 0).then(|| vec![short]));
    let direct = to(&format!("http://{address}/v1")).unwrap();
    let path = direct.path(&format!("{}/v1/x", direct.origin)).unwrap();
    let answer = direct.post(path, HeaderMap::new(), Bytes::new()).await.unwrap_or_else(|_| panic!("no answer"));
    let mut body = answer.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
    // Whoever leaves before the end takes the connection along.
    drop(body);
    assert!(matches!(ask(&direct).await, Err(Failed::Broke(_))));
    assert_eq!(connections.load(Ordering::SeqCst), 2);
    assert!(direct.kept.0.lock().links.is_empty());

    let (address, _) = server(|_| Some(vec!["HTTP/1.1 200 OK\r\ncontent-length: 50\r\nconnection: close\r\n\r\nhel"]));
    let ended = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = ended.local_addr().unwrap();
    drop(ended);
    assert!(matches!(ask(&to(&format!("http://{nobody}")).unwrap()).await, Err(Failed::Connect(_))));
    let direct = to(&format!("http://{address}/v1")).unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(200), ask(&direct)).await;
    // It goes on waiting, as the server does; the timeouts of its callers are above it.
    assert!(waiting.is_err());
}

#[tokio::test]
async fn many_at_a_time_have_a_connection_each_and_most_are_kept() {
    let (address, connections) = server(|_| Some(vec![HELLO]));
    let direct = to(&format!("http://{address}/v1")).unwrap();
    for _ in 0..3 {
        let all: Vec<_> = (0..20).map(|_| text(&direct)).collect();
        assert!(futures_util::future::join_all(all).await.iter().all(|one| one == "hello"));
    }
    assert!(connections.load(Ordering::SeqCst) <= 20);
    assert!(!direct.kept.sweep());
    direct.kept.0.lock().links.iter_mut().for_each(|(_, since)| *since -= KEPT_FOR);
    assert!(direct.kept.sweep());
    assert_eq!(text(&direct).await, "hello");
}

#[tokio::test]
async fn a_large_body_goes_and_comes_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    const BYTES: usize = 3 << 20;
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut got, mut piece) = (Vec::new(), vec![0; 65536]);
        while got.iter().filter(|byte| **byte == b'x').count() < BYTES {
            let count = stream.read(&mut piece).unwrap();
            got.extend_from_slice(&piece[..count]);
        }
        let head = String::from_utf8_lossy(&got[..400]).to_ascii_lowercase();
        assert!(head.starts_with("post /v1/x http/1.1\r\n"), "{head}");
        for line in [format!("host: {address}"), format!("content-length: {BYTES}"), format!("user-agent: {AGENT}")] {
            assert!(head.contains(&format!("{line}\r\n")), "{line} in {head}");
        }
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {BYTES}\r\n\r\n").unwrap();
        stream.write_all(&vec![b'y'; BYTES]).unwrap();
    });
    let direct = to(&format!("http://{address}/v1")).unwrap();
    let path = direct.path(&format!("http://{address}/v1/x")).unwrap();
    let answer = direct.post(path, HeaderMap::new(), vec![b'x'; BYTES].into()).await;
    let body = answer.unwrap_or_else(|_| panic!("no answer")).into_body().collect().await.unwrap().to_bytes();
    assert!(body.len() == BYTES && body.iter().all(|byte| *byte == b'y'));
}
