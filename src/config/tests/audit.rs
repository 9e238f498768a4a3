//! Exports of the audit log: what is read, shown again and refused.

use super::*;
use crate::config::{ExportFormat, ExportTo, SyslogProtocol};

const EVERY: &str = "\
audit:
  retention_days: 90
  export:
    - {name: a, syslog: {address: 'logs.example:514', protocol: udp, facility: 10, hostname: gate-1, max_bytes: 8192}}
    - {name: b, syslog: {address: '[::1]:601', protocol: tcp}}
    - name: c
      syslog:
        address: 10.0.0.1:6514
        protocol: tls
        server_name: logs.example
        tls: {ca_file: /etc/ca.pem, client_cert_file: /etc/own.pem, client_key_file: /etc/own.pem}
    - {name: d, webhook: {url: 'https://hooks.example/x', secret: sk-hidden-0123456789, headers: {Authorization: sk-hidden-0123456789}, format: ndjson, batch_rows: 7}}
    - {name: e, webhook: {url: 'https://hooks.example/x'}}
";

#[test]
fn every_kind_is_read_and_shown_again() {
    let settings = read(EVERY).unwrap();
    let all = &settings.audit.export;
    let ExportTo::Syslog(udp) = &all[0].to else { panic!("{:?}", all[0]) };
    assert_eq!((udp.protocol, udp.facility, udp.max_bytes), (SyslogProtocol::Udp, 10, 8_192));
    let ExportTo::Syslog(tcp) = &all[1].to else { panic!("{:?}", all[1]) };
    assert_eq!((tcp.facility, tcp.hostname.as_deref()), (13, None), "the facility of audit logs");
    let ExportTo::Webhook(hook) = &all[3].to else { panic!("{:?}", all[3]) };
    assert_eq!((hook.format, hook.batch_rows), (ExportFormat::Ndjson, 7));
    assert_eq!(hook.hook.headers.keys().collect::<Vec<_>>(), ["authorization"]);
    assert_eq!(all.iter().flat_map(|one| one.to.secrets()).count(), 4);
    let ExportTo::Webhook(plain) = &all[4].to else { panic!("{:?}", all[4]) };
    assert_eq!((plain.format, plain.batch_rows, &plain.hook.secret), (ExportFormat::Json, 200, &None));
    let shown = settings.show();
    assert!(!shown.contains("sk-hidden") && !shown.contains("hooks.example"), "{shown}");
    let back = shown.replace("url: \"[secret]\"", "url: 'https://hooks.example/x'");
    let again = read(&back.replace("\"[secret]\"", "sk-hidden-0123456789"));
    assert_eq!(again.unwrap_or_else(|error| panic!("{error}\n{shown}")).audit, settings.audit);
    for line in shown.lines() {
        let key = line.trim_start_matches([' ', '-']).split(':').next().unwrap_or_default().trim_matches('"');
        assert!(key == "authorization" || GUIDE.contains(&format!("`{key}`")), "docs/configuration.md lacks `{key}`");
    }
}

#[test]
fn a_webhook_may_be_referred_to() {
    let yaml = "audit: {export: [{name: a, webhook: {url: 'env:HOOK', secret: 'env:HOOK_SECRET'}}]}\n\
                alerts: {webhooks: [{url: 'env:HOOK', secret: 'env:HOOK_SECRET'}]}\n";
    let settings = read(yaml).unwrap();
    assert_eq!(settings.secrets.references.len(), 4);
}

#[test]
fn refuses_in_these_words() {
    let table = [
        ("{name: a}", "expected one of `syslog` and `webhook`, found neither"),
        ("{name: a, syslog: {address: 'h:1', protocol: tcp}, webhook: {url: 'https://x'}}", "found both"),
        ("{syslog: {address: 'h:1', protocol: tcp}}", "the key `name` is missing"),
        ("{name: 'a b', webhook: {url: 'https://x'}}", "expected a name of at most 64"),
        ("{name: a, sylog: {}}", "did you mean `syslog`?"),
        ("{name: a, syslog: {protocol: tcp}}", "the key `address` is missing"),
        ("{name: a, syslog: {address: 'h:1'}}", "the key `protocol` is missing"),
        ("{name: a, syslog: {address: h, protocol: tcp}}", "expected host and port of a receiver of syslog"),
        ("{name: a, syslog: {address: 'h:0', protocol: tcp}}", "expected the port of a receiver, found 0"),
        (
            "{name: a, syslog: {address: 'h:1', protocol: tpc}}",
            "unknown protocol `tpc`, expected one of `udp`, `tcp`, `tls`",
        ),
        ("{name: a, syslog: {address: 'h:1', protocol: tcp, facility: 24}}", "expected a whole number from 0 to 23"),
        (
            "{name: a, syslog: {address: 'h:1', protocol: tcp, hostname: 'a b'}}",
            "expected the name or address of a host",
        ),
        ("{name: a, syslog: {address: 'h:1', protocol: udp, max_bytes: 100}}", "from 480 to 65507"),
        (
            "{name: a, syslog: {address: 'h:1', protocol: tcp, max_bytes: 1000}}",
            "only datagrams are cut, and `protocol` is `tcp`",
        ),
        (
            "{name: a, syslog: {address: 'h:1', protocol: tcp, tls: {ca_file: /x}}}",
            "only `protocol: tls` has certificates",
        ),
        ("{name: a, syslog: {address: 'h:1', protocol: udp, server_name: x}}", "only `protocol: tls` has certificates"),
        ("{name: a, syslog: {address: 'h:1', protocol: tls}}", "`tls.ca_file` is missing"),
        (
            "{name: a, syslog: {address: 'h:1', protocol: tls, tls: {ca_file: /x, client_cert_file: /y}}}",
            "are of use together only",
        ),
        ("{name: a, webhook: {}}", "the key `url` is missing"),
        ("{name: a, webhook: {url: 'ftp://sk-hidden-0123456789'}}", "expected an address that begins with `https://`"),
        ("{name: a, webhook: {url: 'https://x', secret: short}}", "expected a secret of at least 16 characters"),
        (
            "{name: a, webhook: {url: 'https://x', format: xml}}",
            "unknown format `xml`, expected one of `json`, `ndjson`",
        ),
        ("{name: a, webhook: {url: 'https://x', batch_rows: 501}}", "expected a whole number from 1 to 500"),
        ("{name: a, webhook: {url: 'https://x', headers: {Webhook-Id: y}}}", "is written by askonce itself"),
        ("{name: a, webhook: {url: 'https://x', headers: {'a b': y}}}", "cannot be the name of an HTTP header"),
        ("{name: a, webhook: {url: 'https://x', headers: {X: y, x: z}}}", "is there twice, in different case"),
    ];
    for (one, expected) in table {
        let error = read(&format!("audit: {{export: [{one}]}}\n")).expect_err(one).to_string();
        assert!(error.contains(expected), "{one}: {error} lacks {expected}");
        assert!(!error.contains(HIDDEN), "{error}");
    }
    let one = "{name: a, webhook: {url: 'https://x'}}";
    let twice = read(&format!("audit: {{export: [{one}, {one}]}}")).unwrap_err().to_string();
    assert!(twice.contains("another export has the name `a`"), "{twice}");
    let nine = format!("audit: {{export: [{}]}}", [one; 9].join(", "));
    assert!(read(&nine).unwrap_err().to_string().contains("expected at most 8 of them"));
}
