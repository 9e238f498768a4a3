//! The audit log is sent on as it grows: in order, with no gap, whoever is away for a while.

use crate::support::gateway::{ADMIN_KEY, client};
use crate::support::process::run;
use crate::support::{Gateway, Given, Reply, Upstream, script, store, until};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use ring::hmac;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::{JoinHandle, JoinSet};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A gateway whose audit log goes where `export` says.
fn given(export: &str) -> Given {
    Given::yaml(&format!(
        "providers: [{{name: up, kind: openai_compatible, base_url: 'http://127.0.0.1:9/v1', models: [m]}}]\n\
         auth: {{keys: [{{name: file, key: sk-file-0123456789}}]}}\n\
         admin: {{key: {ADMIN_KEY}}}\n\
         audit: {{checkpoint_rows: 1, export: [{{name: siem, {export}}}]}}\n"
    ))
}

async fn admin(gateway: &Gateway, method: &str, path: &str, body: Value) -> Reply {
    let request = client().request(method.parse().unwrap(), gateway.url(path)).bearer_auth(ADMIN_KEY).json(&body);
    Reply::of(request).await
}

/// Makes keys: each is a row at least.
async fn make(gateway: &Gateway, names: &[&str]) {
    for name in names {
        assert_eq!(admin(gateway, "POST", "/admin/keys", json!({"name": name})).await.status, 201);
    }
}

/// What the gateway says of its export.
async fn export(gateway: &Gateway) -> Value {
    let told = admin(gateway, "GET", "/admin/audit/exports", json!({})).await;
    assert_eq!(told.status, 200, "{}", told.text());
    told.json()["data"][0].clone()
}

async fn last(gateway: &Gateway) -> u64 {
    admin(gateway, "GET", "/admin/audit/exports", json!({})).await.json()["last"].as_u64().unwrap()
}

/// Rows as they arrived.
type Arrived = Arc<Mutex<Vec<Value>>>;

/// Waits until all that is there has arrived. Gives the last number; rows of the gateway's own may follow at any time.
async fn all_arrived(gateway: &Gateway, arrived: &Arrived) -> u64 {
    until("all has arrived", || async {
        let last = last(gateway).await;
        let told = export(gateway).await;
        told["lag_rows"] == 0 && arrived.lock().iter().any(|row| row["seq"] == last)
    })
    .await;
    arrived.lock().iter().filter_map(|row| row["seq"].as_u64()).max().unwrap()
}

/// The numbers in the order in which they came first: a row may come again, and none may be missing or late.
fn has_no_gap(arrived: &Arrived, from: u64) -> u64 {
    let (rows, mut next) = (arrived.lock(), from);
    for row in rows.iter() {
        let seq = row["seq"].as_u64().unwrap();
        assert!(
            seq <= next,
            "row {next} is missing or late: {:?}",
            rows.iter().map(|row| &row["seq"]).collect::<Vec<_>>()
        );
        next = next.max(seq + 1);
    }
    next - 1
}

/// The row in a line of RFC 5424.
fn row_of(line: &str) -> Value {
    let parts: Vec<&str> = line.splitn(8, ' ').collect();
    let row: Value = serde_json::from_str(parts[7]).unwrap_or_else(|error| panic!("{line}: {error}"));
    let severity = match row["outcome"].as_str().unwrap() {
        "done" => 6,
        "refused" => 4,
        _ => 3,
    };
    assert_eq!(parts[0], format!("<{}>1", 13 * 8 + severity), "{line}");
    assert!(parts[1].ends_with('Z') && parts[1].len() == 24, "{line}");
    assert_eq!((parts[2], parts[3], parts[6]), ("gate-1", "askonce", "-"), "{line}");
    assert_eq!(parts[5], row["action"].as_str().unwrap());
    row
}

/// Takes whole messages with their lengths (RFC 6587) off the beginning.
fn messages(bytes: &mut Vec<u8>) -> Vec<Value> {
    let mut rows = Vec::new();
    while let Some(space) = bytes.iter().position(|byte| *byte == b' ') {
        let length: usize = std::str::from_utf8(&bytes[..space]).unwrap().parse().expect("a length");
        let Some(message) = bytes.get(space + 1..space + 1 + length) else { break };
        rows.push(row_of(std::str::from_utf8(message).unwrap()));
        bytes.drain(..space + 1 + length);
    }
    rows
}

/// A receiver over TCP: it is gone, and its connections with it, when it is dropped.
struct Receiver(JoinHandle<()>);

impl Drop for Receiver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Receiver {
    async fn at(address: SocketAddr, arrived: Arrived) -> (Receiver, SocketAddr) {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let arrived = arrived.clone();
                open.spawn(async move {
                    let mut bytes = Vec::new();
                    while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
                        arrived.lock().extend(messages(&mut bytes));
                    }
                });
            }
        });
        (Receiver(accepting), address)
    }

    /// Ends it, and waits until its port is free.
    async fn end(mut self) {
        self.0.abort();
        let _ = (&mut self.0).await;
    }
}

#[tokio::test]
async fn rows_go_by_datagrams_and_what_is_too_long_is_cut() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let export = format!("syslog: {{address: '{address}', protocol: udp, hostname: gate-1, max_bytes: 700}}");
    let gateway = given(&export).start().await;
    make(&gateway, &["one", "two"]).await;
    let long = json!({"name": "long", "models": vec!["m".repeat(100); 10]});
    assert_eq!(admin(&gateway, "POST", "/admin/keys", long).await.status, 201);
    let end = last(&gateway).await;
    let (mut next, mut cut, mut bytes) = (1, 0, vec![0; 70_000]);
    while next <= end {
        let received = tokio::time::timeout(crate::support::PATIENCE, socket.recv(&mut bytes)).await;
        let line = std::str::from_utf8(&bytes[..received.expect("a datagram").unwrap()]).unwrap().to_owned();
        assert!(line.len() <= 700, "{}", line.len());
        if line.ends_with("... cut") {
            assert!(line.contains(&format!("{{\"seq\":{next},")), "{line}");
            cut += 1;
        } else {
            assert_eq!(row_of(&line)["seq"], next);
        }
        next += 1;
    }
    assert!(cut >= 1, "one was too long");
    let lines = admin(&gateway, "GET", "/metrics", json!({})).await.text();
    assert!(lines.contains("askonce_audit_export_rows_total{export=\"siem\",result=\"delivered\"}"), "{lines}");
}

#[tokio::test]
async fn a_receiver_that_is_away_and_a_restart_lose_nothing() {
    let (arrived, dir) = (Arrived::default(), tempfile::tempdir().unwrap());
    let (receiver, address) = Receiver::at("127.0.0.1:0".parse().unwrap(), arrived.clone()).await;
    let given = given(&format!("syslog: {{address: '{address}', protocol: tcp, hostname: gate-1}}")).dir(dir.path());
    let gateway = given.start().await;
    make(&gateway, &["one", "two"]).await;
    all_arrived(&gateway, &arrived).await;
    receiver.end().await;
    make(&gateway, &["three", "four"]).await;
    until("it fails, and says so", || async {
        let told = export(&gateway).await;
        told["failures"].as_u64().unwrap() > 0 && told["error"].is_string() && told["lag_rows"].as_u64().unwrap() >= 2
    })
    .await;
    let before = has_no_gap(&arrived, 1);
    let (receiver, _) = Receiver::at(address, arrived.clone()).await;
    make(&gateway, &["five"]).await;
    all_arrived(&gateway, &arrived).await;
    assert!(has_no_gap(&arrived, 1) > before);
    let told = export(&gateway).await;
    assert_eq!((&told["failures"], &told["error"], &told["is_here"]), (&json!(0), &json!(null), &json!(true)));
    // Away again, and the gateway is stopped and started meanwhile.
    receiver.end().await;
    make(&gateway, &["six", "seven"]).await;
    gateway.stop().await;
    let gateway = given.start_again().await;
    let told = export(&gateway).await;
    assert!(told["lag_rows"].as_u64().unwrap() >= 2, "{told}");
    let (receiver, _) = Receiver::at(address, arrived.clone()).await;
    make(&gateway, &["eight"]).await;
    let end = all_arrived(&gateway, &arrived).await;
    let targets: Vec<Value> =
        arrived.lock().iter().filter(|row| row["action"] == "keys.create").map(|row| row["target"].clone()).collect();
    for name in ["one", "two", "three", "four", "five", "six", "seven", "eight"] {
        assert!(targets.contains(&json!(name)), "{name} is missing: {targets:?}");
    }
    assert!(has_no_gap(&arrived, 1) >= end);
    // Away once more, and the gateway ends as it would in a crash.
    receiver.end().await;
    make(&gateway, &["nine"]).await;
    let crashed = gateway.crashed();
    drop(gateway);
    let gateway = given.dir(crashed.path()).start_again().await;
    let (_receiver, _) = Receiver::at(address, arrived.clone()).await;
    make(&gateway, &["ten"]).await;
    let end = all_arrived(&gateway, &arrived).await;
    assert!(has_no_gap(&arrived, 1) >= end);
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for `name`, and its key.
fn issued(by: &Authority, name: &str, purpose: ExtendedKeyUsagePurpose) -> (rcgen::Certificate, KeyPair) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.extended_key_usages = vec![purpose];
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, by).unwrap(), key)
}

/// A receiver over TLS, called `logs.example`, that takes only who shows a certificate of its authority.
fn over_tls(by: &Authority, arrived: Arrived) -> SocketAddr {
    askonce::install_tls();
    let (certificate, key) = issued(by, "logs.example", ExtendedKeyUsagePurpose::ServerAuth);
    let mut roots = RootCertStore::empty();
    roots.add(by.der().clone()).unwrap();
    let callers = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let builder = ServerConfig::builder().with_client_cert_verifier(callers);
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key.into()).unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (config, arrived) = (config.clone(), arrived.clone());
            std::thread::spawn(move || {
                let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                let (mut all, mut piece) = (Vec::new(), [0; 4096]);
                while let Ok(read @ 1..) = stream.read(&mut piece) {
                    all.extend_from_slice(&piece[..read]);
                    arrived.lock().extend(messages(&mut all));
                }
            });
        }
    });
    address
}

fn file(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn rows_go_through_tls_to_whom_the_operator_trusts_only() {
    let (arrived, dir, ours) = (Arrived::default(), tempfile::tempdir().unwrap(), authority());
    let address = over_tls(&ours, arrived.clone());
    let (certificate, key) = issued(&ours, "gate-1", ExtendedKeyUsagePurpose::ClientAuth);
    let (ca, other) = (file(dir.path(), "ca.pem", &ours.pem()), file(dir.path(), "other.pem", &authority().pem()));
    let own = file(dir.path(), "own.pem", &(certificate.pem() + &key.serialize_pem()));
    let to = |ca: &str, name: &str, own: Option<&str>| {
        let own = own.map_or(String::new(), |own| format!(", client_cert_file: {own}, client_key_file: {own}"));
        given(&format!(
            "syslog: {{address: '{address}', protocol: tls, hostname: gate-1, server_name: {name}, tls: {{ca_file: {ca}{own}}}}}"
        ))
    };
    let gateway = to(&ca, "logs.example", Some(&own)).start().await;
    make(&gateway, &["one", "two"]).await;
    let end = all_arrived(&gateway, &arrived).await;
    assert!(has_no_gap(&arrived, 1) >= end);
    gateway.stop().await;
    // What was under way at the end, its last rows, arrives still.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let before = arrived.lock().len();
    for (ca, name, own) in
        [(&other, "logs.example", Some(own.as_str())), (&ca, "others.example", Some(&own)), (&ca, "logs.example", None)]
    {
        let gateway = to(ca, name, own).start().await;
        make(&gateway, &["one"]).await;
        until("it fails", || async { export(&gateway).await["failures"].as_u64().unwrap() > 0 }).await;
        assert_eq!(export(&gateway).await["delivered"], 0);
    }
    assert_eq!(arrived.lock().len(), before, "nobody else was told anything");
    let missing = to(&format!("{ca}.gone"), "logs.example", None).build().await;
    let error = missing.err().expect("it says what is wrong").to_string();
    assert!(error.contains("`siem`: `tls.ca_file`") && error.contains(".gone"), "{error}");
}

/// A webhook that answers with `status`, and takes what it answers 2xx to.
async fn hook(status: &Arc<AtomicU16>, arrived: &Arrived) -> Upstream {
    let (status, arrived) = (status.clone(), arrived.clone());
    Upstream::start(move |request| {
        let text = String::from_utf8(request.body.to_vec()).unwrap();
        let (id, at) = (request.header("webhook-id").unwrap(), request.header("webhook-timestamp").unwrap());
        let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(&SECRET[6..]).unwrap());
        let signed = STANDARD.decode(&request.header("webhook-signature").unwrap()[3..]).unwrap();
        hmac::verify(&key, format!("{id}.{at}.{text}").as_bytes(), &signed).expect("the signature fits");
        let answer = status.load(Ordering::SeqCst);
        if answer == 200 {
            let rows = match request.header("content-type").unwrap() {
                "application/x-ndjson" => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
                _ => serde_json::from_str::<Vec<Value>>(&text).unwrap(),
            };
            arrived.lock().extend(rows);
        }
        script::reply(answer, &[], String::new())
    })
    .await
}

fn to_hook(upstream: &Upstream, more: &str) -> Given {
    given(&format!("webhook: {{url: '{}/hook', secret: {SECRET}, headers: {{x-team: blue}}{more}}}", upstream.url))
}

#[tokio::test]
async fn a_webhook_gets_signed_batches_and_what_arrived_can_be_verified() {
    let (arrived, status, dir) = (Arrived::default(), Arc::new(AtomicU16::new(503)), tempfile::tempdir().unwrap());
    let upstream = hook(&status, &arrived).await;
    let gateway = to_hook(&upstream, ", format: ndjson, batch_rows: 3").dir(dir.path()).start().await;
    let names: Vec<String> = (0..8).map(|number| format!("key-{number}")).collect();
    make(&gateway, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    until("it was tried", || async { export(&gateway).await["failures"].as_u64().unwrap() > 0 }).await;
    assert!(export(&gateway).await["error"].as_str().unwrap().contains("503"));
    // Asking for these is a row itself, the first time: before the last of which the rest tells.
    assert_eq!(admin(&gateway, "GET", "/admin/audit/checkpoints", json!({})).await.status, 200);
    status.store(200, Ordering::SeqCst);
    all_arrived(&gateway, &arrived).await;
    let end = last(&gateway).await;
    assert_eq!(has_no_gap(&arrived, 1), end);
    let seen = upstream.seen();
    assert!(seen.iter().all(|one| one.header("x-team") == Some("blue")));
    let rows = |one: &crate::support::upstream::Seen| one.body.iter().filter(|byte| **byte == b'\n').count();
    assert!(seen.iter().all(|one| rows(one) <= 3), "no batch is larger than it may be");
    assert!(seen.len() > end as usize / 3);
    let url = gateway.url("");
    let (code, out, err) =
        tokio::task::spawn_blocking(move || run(&["audit", "exports", "--url", &url, "--admin-key", ADMIN_KEY]))
            .await
            .unwrap();
    assert!(code == 0 && out.contains(&format!("siem (webhook): row {end} of {end}, 0 to go")), "{code} {out} {err}");
    // What arrived is what an export has, and holds by itself.
    until("all is signed", || async {
        let told = admin(&gateway, "GET", "/admin/audit/checkpoints", json!({})).await.json();
        told["data"].as_array().unwrap().last().is_some_and(|last| last["seq"] == end)
    })
    .await;
    let told = admin(&gateway, "GET", "/admin/audit/checkpoints", json!({})).await.text();
    let mut lines: Vec<String> = arrived.lock().iter().map(|row| format!("{row}\n")).collect();
    lines.dedup();
    let verified = |lines: &[String]| {
        let (lines, checkpoints) =
            (file(dir.path(), "arrived.jsonl", &lines.concat()), file(dir.path(), "checkpoints.json", &told));
        let key = dir.path().join("audit.pub").to_str().unwrap().to_owned();
        run(&["audit", "verify", "--export", &lines, "--checkpoints", &checkpoints, "--public-key", &key])
    };
    assert_eq!(verified(&lines).0, 0, "{:?}", verified(&lines));
    lines.remove(2);
    assert_eq!(verified(&lines).0, 2);
}

#[tokio::test]
async fn what_is_refused_is_kept_and_sent_when_it_is_taken() {
    let (arrived, status, dir) = (Arrived::default(), Arc::new(AtomicU16::new(401)), tempfile::tempdir().unwrap());
    let upstream = hook(&status, &arrived).await;
    let given = to_hook(&upstream, "").dir(dir.path());
    let gateway = given.start().await;
    make(&gateway, &["one", "two"]).await;
    until("it was tried", || async { export(&gateway).await["failures"].as_u64().unwrap() > 0 }).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_600)).await;
    assert_eq!(upstream.calls(), 1, "what is refused is tried slowly");
    assert!(export(&gateway).await["error"].as_str().unwrap().contains("401"));
    gateway.stop().await;
    status.store(200, Ordering::SeqCst);
    let gateway = given.start_again().await;
    let end = all_arrived(&gateway, &arrived).await;
    assert!(has_no_gap(&arrived, 1) >= end);
}

#[tokio::test]
async fn too_much_at_once_is_sent_in_smaller_parts() {
    let arrived = Arrived::default();
    let taken = arrived.clone();
    let upstream = Upstream::start(move |request| {
        let rows: Vec<Value> = serde_json::from_slice(&request.body).unwrap();
        if rows.len() > 2 {
            return script::reply(413, &[], String::new());
        }
        taken.lock().extend(rows);
        script::reply(204, &[], String::new())
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let gateway = given("syslog: {address: '127.0.0.1:9', protocol: tcp}").dir(dir.path()).start().await;
    make(&gateway, &["a", "b", "c", "d", "e", "f"]).await;
    gateway.stop().await;
    // The same export goes on at another receiver.
    let gateway = to_hook(&upstream, "").dir(dir.path()).start_again().await;
    let end = all_arrived(&gateway, &arrived).await;
    assert!(has_no_gap(&arrived, 1) >= end);
}

#[tokio::test]
async fn rows_that_are_gone_before_they_are_sent_are_told_of() {
    let (arrived, status, dir) = (Arrived::default(), Arc::new(AtomicU16::new(500)), tempfile::tempdir().unwrap());
    let upstream = hook(&status, &arrived).await;
    let given = to_hook(&upstream, "").dir(dir.path());
    let gateway = given.start().await;
    make(&gateway, &["one", "two", "three", "four", "five"]).await;
    until("it was tried", || async { export(&gateway).await["failures"].as_u64().unwrap() > 0 }).await;
    gateway.stop().await;
    until("the database is let go", || store::is_let_go(dir.path())).await;
    store::edit(dir.path(), "DELETE FROM audit WHERE seq <= 3").await;
    status.store(200, Ordering::SeqCst);
    let gateway = given.start_again().await;
    let is_told = || async {
        arrived.lock().iter().any(|row| {
            let detail = row["detail"].as_str().unwrap_or_default();
            row["action"] == "audit.export_missing"
                && row["target"] == "siem"
                && detail.contains("\"from\":1,\"rows\":3,\"to\":3")
        })
    };
    until("the receiver is told", is_told).await;
    let end = all_arrived(&gateway, &arrived).await;
    assert!(has_no_gap(&arrived, 4) >= end, "all that is left has come");
    assert_eq!(export(&gateway).await["missing_rows"], 3);
}

#[tokio::test]
async fn new_settings_are_in_force_without_a_restart() {
    let (arrived, status) = (Arrived::default(), Arc::new(AtomicU16::new(200)));
    let (first, second) = (hook(&status, &arrived).await, hook(&status, &arrived).await);
    let gateway = to_hook(&first, "").start().await;
    make(&gateway, &["one"]).await;
    all_arrived(&gateway, &arrived).await;
    let mut settings = gateway.settings.clone();
    settings.audit.export = to_hook(&second, "").settings().0.audit.export;
    gateway.app.reconfigure(&settings).await.unwrap();
    let before = first.calls();
    make(&gateway, &["two"]).await;
    let end = all_arrived(&gateway, &arrived).await;
    assert!(first.calls() == before && second.calls() > 0);
    assert!(has_no_gap(&arrived, 1) >= end);
    settings.audit.export.clear();
    gateway.app.reconfigure(&settings).await.unwrap();
    assert_eq!(export(&gateway).await, json!(null));
}

/// With `ASKONCE_TEST_STORE=postgres` only: SQLite is one gateway's.
#[tokio::test]
async fn one_gateway_exports_at_a_time_and_another_goes_on_after_it() {
    if store::is_not_postgres() {
        return;
    }
    let (arrived, status, url) = (Arrived::default(), Arc::new(AtomicU16::new(200)), store::made());
    let upstream = hook(&status, &arrived).await;
    let given = to_hook(&upstream, "")
        .with("audit:", &format!("store: {{url: \"{url}\", hashing_key: {}}}\naudit:", "ab".repeat(32)));
    let (one, other) = (given.start().await, given.start().await);
    make(&one, &["one", "two"]).await;
    make(&other, &["three"]).await;
    all_arrived(&one, &arrived).await;
    assert_eq!(has_no_gap(&arrived, 1) as usize, arrived.lock().len(), "nothing comes twice");
    let (here, there) = (export(&one).await["is_here"] == true, export(&other).await["is_here"] == true);
    assert!(here != there, "one of them has it: {here} {there}");
    let (first, second) = if here { (one, other) } else { (other, one) };
    first.stop().await;
    make(&second, &["four", "five"]).await;
    let end = all_arrived(&second, &arrived).await;
    assert_eq!(export(&second).await["is_here"], true);
    assert!(has_no_gap(&arrived, 1) >= end);
}
