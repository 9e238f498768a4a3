//! Where a request comes from: keys that are bound to addresses, and proxies that name the client.

use crate::support::gateway::ADMIN_KEY;
use crate::support::{Gateway, Given, Reply, Upstream, ask, until};
use serde_json::Value;

const HERE: &str = "key-here-0123456789ab";
const OFFICE: &str = "key-office-0123456789ab";
const KEYS: &str = "auth:\n  keys:\n    - {name: here, key: key-here-0123456789ab, addresses: [127.0.0.1]}\n    \
                    - {name: office, key: key-office-0123456789ab, addresses: [10.0.0.0/8]}\n";

/// How a request with `key` ends that says it was forwarded for `forwarded`.
async fn by(gateway: &Gateway, key: &str, forwarded: &[&str]) -> (u16, String) {
    let mut request = gateway.post("/v1/chat/completions", &ask("x")).bearer_auth(key);
    for line in forwarded {
        request = request.header("x-forwarded-for", *line);
    }
    let reply = Reply::of(request).await;
    if reply.status == 200 { (200, String::new()) } else { reply.error() }
}

fn shut() -> (u16, String) {
    (403, "address_not_allowed".to_owned())
}

fn open() -> (u16, String) {
    (200, String::new())
}

#[tokio::test]
async fn a_key_may_be_bound_to_addresses() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, KEYS).start().await;
    assert_eq!(by(&gateway, HERE, &[]).await, open());
    assert_eq!(by(&gateway, OFFICE, &[]).await, shut());
    assert_eq!(by(&gateway, OFFICE, &["10.1.2.3"]).await, shut(), "nobody is trusted to forward");
    assert_eq!(by(&gateway, HERE, &["10.1.2.3"]).await, open());
}

#[tokio::test]
async fn a_trusted_proxy_names_the_client() {
    let upstream = Upstream::counting().await;
    let proxies = format!("trusted_proxies: [127.0.0.1, 192.168.0.0/16]\n{KEYS}");
    let gateway = Given::one(&upstream, &proxies).start().await;
    assert_eq!(by(&gateway, OFFICE, &["10.1.2.3"]).await, open());
    assert_eq!(by(&gateway, HERE, &["10.1.2.3"]).await, shut());
    assert_eq!(by(&gateway, OFFICE, &["10.1.2.3, 192.168.7.7"]).await, open());
    assert_eq!(by(&gateway, OFFICE, &["203.0.113.9", "10.1.2.3"]).await, open());
    assert_eq!(by(&gateway, HERE, &[]).await, open(), "the proxy itself asks");
    assert_eq!(by(&gateway, OFFICE, &["10.1.2.3, 203.0.113.9"]).await, shut(), "a client wrote the first itself");
    for key in [HERE, OFFICE] {
        assert_eq!(by(&gateway, key, &["10.1.2.3, unknown"]).await, shut(), "who it is cannot be told");
    }
    until("the audit log names the client", || async {
        let get =
            crate::support::gateway::client().get(gateway.url("/admin/audit?outcome=refused")).bearer_auth(ADMIN_KEY);
        let rows = Reply::of(get).await.json()["data"].as_array().unwrap().clone();
        let mut told: Vec<String> = rows.iter().map(|row| format!("{} {}", row["actor"], row["address"])).collect();
        told.sort_unstable();
        let none = Value::from("");
        let expected = [
            format!("\"key `here`\" {none}"),
            "\"key `here`\" \"10.1.2.3\"".to_owned(),
            format!("\"key `office`\" {none}"),
            "\"key `office`\" \"203.0.113.9\"".to_owned(),
        ];
        told == expected
    })
    .await;
}
