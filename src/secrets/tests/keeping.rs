//! What is kept of secrets: the stores of this machine, deadlines, and when they are read again.

use super::*;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

#[tokio::test]
async fn a_file_takes_force_when_it_changes_and_stays_when_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, format!("  {HUSH}\n")).unwrap();
    let reference = format!("file:{}", path.display());
    let draft = draft("", &[&reference, "env:KEY"], &[("KEY", HUSH)]);
    let secrets = Secrets::default();
    assert_eq!(keys(&secrets, &draft).await.unwrap(), [HUSH, HUSH]);
    assert!(!secrets.refresh(&draft, false).await);
    let before = secrets.kept();
    std::fs::write(&path, format!("{HUSH}-2")).unwrap();
    assert!(secrets.refresh(&draft, false).await && !secrets.refresh(&draft, false).await);
    assert_eq!(exposed(&secrets.fill(&draft).unwrap()), [format!("{HUSH}-2"), HUSH.to_owned()]);
    let changed: Vec<bool> =
        before.iter().zip(secrets.kept()).map(|(one, other)| one.fingerprint != other.fingerprint).collect();
    assert_eq!(changed, [false, true], "`env` comes before `file`");
    std::fs::remove_file(&path).unwrap();
    assert!(!secrets.refresh(&draft, false).await);
    assert_eq!(secrets.kept()[1].error.as_deref(), Some("there is no such file"));
    assert_eq!(secrets.fill(&draft).unwrap().providers[0].api_key.as_ref().unwrap().expose(), format!("{HUSH}-2"));
}

#[tokio::test]
async fn what_is_not_there_or_empty_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        format!("file:{}", path.display())
    };
    let table = [
        ("env:NONE".to_owned(), "the variable is not set"),
        ("env:EMPTY".to_owned(), "it is empty"),
        (format!("file:{}/none", folder.path().display()), "there is no such file"),
        (format!("file:{}", folder.path().display()), "it is no file"),
        (at("blank", b" \n"), "it is empty"),
        (at("large", &vec![b'x'; (64 << 10) + 1]), "larger than 64KiB"),
        (at("bytes", b"\xff\xfe"), "not UTF-8"),
    ];
    for (reference, words) in table {
        let error = refusal(&Secrets::default(), &draft("", &[&reference], &[("EMPTY", "")])).await;
        assert!(error.contains(words) && error.contains(&reference), "{error}");
    }
    // What is read has to fit where it stands, and the error does not show it.
    let broken = refusal(&Secrets::default(), &draft("", &["env:KEY"], &[("KEY", &format!("{HUSH} {HUSH}"))])).await;
    assert!(broken.contains("a.yaml: providers[0].api_key: expected visible ASCII"), "{broken}");
}

#[tokio::test]
async fn a_store_that_never_answers_costs_its_deadline_and_no_more() {
    crate::install_tls();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    let settings = format!("  timeout_ms: 300\n  vault: {{address: \"{url}\", auth: {{token: abc}}}}");
    let draft = draft(&settings, &["vault:a/b#c", "vault:a/d#e"], &[]);
    let began = Instant::now();
    let error = refusal(&Secrets::default(), &draft).await;
    assert!(error.contains("in time") || error.contains("within 300 ms"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_refused_key_asks_early_and_not_at_every_turn() {
    let stub = crate::credentials::stub::Stub::new(|asked| match asked.line.contains("/data/") {
        true => said(200, format!("{{\"data\":{{\"data\":{{\"key\":\"{HUSH}\"}}}}}}")),
        false => said(404, "{}"),
    })
    .await;
    let settings = format!("  vault: {{address: \"{}\", kv_version: 2, auth: {{token: abc}}}}", stub.url);
    let draft = draft(&settings, &["vault:a/b#key"], &[]);
    let secrets = Secrets::default();
    keys(&secrets, &draft).await.unwrap();
    let read = || stub.asked().iter().filter(|one| one.line.contains("/data/")).count();
    secrets.refresh(&draft, true).await;
    assert_eq!(read(), 1, "it was read just now");
    tokio::time::sleep(Duration::from_millis(1050)).await;
    secrets.refresh(&draft, false).await;
    assert_eq!(read(), 1, "it is not due");
    for _ in 0..3 {
        secrets.refresh(&draft, true).await;
    }
    assert_eq!(read(), 2);
}
