//! The audit log's settings as YAML again.

use super::{Yaml, path, secret, text};
use crate::config::SyslogProtocol;
use crate::config::resolved::{AuditExport, AuditSettings, ExportTo, SyslogExport, WebhookExport};

pub(super) fn audit(yaml: &mut Yaml, audit: &AuditSettings) {
    yaml.maybe("retention_days", audit.retention_days.map(|days| days.to_string()));
    yaml.line("checkpoint_rows", &audit.checkpoint_rows.to_string());
    yaml.line("checkpoint_s", &audit.checkpoint.as_secs().to_string());
    yaml.line("refusals", &audit.refusals.to_string());
    yaml.list("export", &audit.export, export);
}

fn export(yaml: &mut Yaml, one: &AuditExport) {
    yaml.line("name", &text(&one.name));
    yaml.map(one.to.kind(), |yaml| match &one.to {
        ExportTo::Syslog(one) => syslog(yaml, one),
        ExportTo::Webhook(one) => webhook(yaml, one),
    });
}

fn syslog(yaml: &mut Yaml, one: &SyslogExport) {
    yaml.line("address", &text(&one.address));
    yaml.line("protocol", one.protocol.as_str());
    yaml.line("facility", &one.facility.to_string());
    yaml.maybe("hostname", one.hostname.as_deref().map(text));
    if one.protocol == SyslogProtocol::Udp {
        yaml.line("max_bytes", &one.max_bytes.to_string());
    }
    if one.protocol == SyslogProtocol::Tls {
        yaml.map("tls", |yaml| {
            yaml.maybe("ca_file", one.tls.ca_file.as_deref().map(path));
            yaml.maybe("client_cert_file", one.tls.client_cert_file.as_deref().map(path));
            yaml.maybe("client_key_file", one.tls.client_key_file.as_deref().map(path));
        });
    }
    yaml.maybe("server_name", one.server_name.as_deref().map(text));
}

fn webhook(yaml: &mut Yaml, one: &WebhookExport) {
    yaml.line("url", &secret(&one.hook.url));
    yaml.maybe("secret", one.hook.secret.as_ref().map(secret));
    if !one.hook.headers.is_empty() {
        let headers = &one.hook.headers;
        yaml.map("headers", |yaml| headers.iter().for_each(|(name, value)| yaml.line(&text(name), &secret(value))));
    }
    yaml.line("format", one.format.as_str());
    yaml.line("batch_rows", &one.batch_rows.to_string());
}
