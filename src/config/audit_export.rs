//! `audit.export`: where the rows of the audit log are sent to as they are written.

use super::alerts::{self, Webhook};
use super::env::Env;
use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::kinds::{ExportFormat, SyslogProtocol};
use super::resolved::Tls;
use super::{listen, name, outbound};
use crate::types::secret::Secret;

/// More than anybody has receivers.
const MOST: usize = 8;
/// Every receiver takes messages of this size (RFC 5424, section 6.1).
const LEAST_BYTES: u64 = 480;
/// What a datagram of IPv4 holds at most.
const MOST_BYTES: u64 = 65_507;
const MOST_ROWS: u64 = 500;

/// One receiver of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditExport {
    /// How far it has come is kept under this name. Unique.
    pub name: String,
    /// Where the rows are sent to.
    pub to: ExportTo,
}

/// Where rows of the audit log are sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportTo {
    /// A receiver of syslog (RFC 5424).
    Syslog(SyslogExport),
    /// A webhook.
    Webhook(WebhookExport),
}

impl ExportTo {
    /// The key that it stands at.
    pub fn kind(&self) -> &'static str {
        match self {
            ExportTo::Syslog(_) => "syslog",
            ExportTo::Webhook(_) => "webhook",
        }
    }

    /// All secrets in it.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let hook = match self {
            ExportTo::Webhook(WebhookExport { hook, .. }) => Some(hook),
            ExportTo::Syslog(_) => None,
        };
        hook.into_iter().flat_map(|hook| std::iter::once(&hook.url).chain(&hook.secret).chain(hook.headers.values()))
    }
}

/// A receiver of syslog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogExport {
    /// Host and port.
    pub address: String,
    /// By what it is reached.
    pub protocol: SyslogProtocol,
    /// The number of the facility.
    pub facility: u8,
    /// What stands as the name of this host. `None`: what the system says.
    pub hostname: Option<String>,
    /// The longest message over UDP, in bytes.
    pub max_bytes: usize,
    /// Certificates, for TLS.
    pub tls: Tls,
    /// Whose certificate it has to show. `None`: that of the host in `address`.
    pub server_name: Option<String>,
}

/// A webhook that takes rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookExport {
    /// Where to, and with what it is signed.
    pub hook: Webhook,
    /// The form of a body.
    pub format: ExportFormat,
    /// Rows of one request, at most.
    pub batch_rows: u64,
}

/// Reads `export` of `audit`.
pub(super) fn exports(audit: &Fields<'_>, env: &Env<'_>) -> Result<Vec<AuditExport>, ConfigError> {
    let items = audit.list("export")?;
    if let Some(item) = items.get(MOST) {
        return Err(item.error(format!("expected at most {MOST} of them")));
    }
    let mut all: Vec<AuditExport> = Vec::with_capacity(items.len());
    for item in &items {
        let export = export(item, env)?;
        if all.iter().any(|other| other.name == export.name) {
            let error = item.error(format!("another export has the name `{}`", export.name));
            return Err(
                error.with_suggestion("how far an export has come is kept under its name: give each one of its own")
            );
        }
        all.push(export);
    }
    Ok(all)
}

fn export(item: &Item<'_>, env: &Env<'_>) -> Result<AuditExport, ConfigError> {
    let fields = item.fields(&["name", "syslog", "webhook"])?;
    let name = name::read(&fields.require("name")?)?;
    let to = match (fields.get("syslog"), fields.get("webhook")) {
        (Some(item), None) => ExportTo::Syslog(syslog(&item, env)?),
        (None, Some(item)) => ExportTo::Webhook(webhook(&item)?),
        (None, None) => {
            let error = item.error("expected one of `syslog` and `webhook`, found neither");
            return Err(error.with_suggestion("say where the rows are to be sent to"));
        }
        (Some(_), Some(_)) => {
            let error = item.error("expected one of `syslog` and `webhook`, found both");
            return Err(error.with_suggestion("write an export of its own for each"));
        }
    };
    Ok(AuditExport { name, to })
}

fn syslog(item: &Item<'_>, env: &Env<'_>) -> Result<SyslogExport, ConfigError> {
    let known = ["address", "protocol", "facility", "hostname", "max_bytes", "tls", "server_name"];
    let fields = item.fields(&known)?;
    let at = fields.require("address")?;
    let address = at.text()?;
    listen::check(&address).map_err(|_| {
        let error = at.error("expected host and port of a receiver of syslog");
        error.with_suggestion("write it as in `logs.example.com:6514`, an IPv6 address in brackets")
    })?;
    if address.ends_with(":0") {
        return Err(at.error("expected the port of a receiver, found 0"));
    }
    let protocol = fields.require("protocol")?.word::<SyslogProtocol>()?;
    let is = |wanted: SyslogProtocol, keys: &[&str], why: &str| match keys.iter().find_map(|key| fields.get(key)) {
        Some(item) if protocol != wanted => Err(item.error(format!("{why}, and `protocol` is `{protocol}`"))),
        _ => Ok(()),
    };
    is(SyslogProtocol::Tls, &["tls", "server_name"], "only `protocol: tls` has certificates")?;
    is(SyslogProtocol::Udp, &["max_bytes"], "only datagrams are cut")?;
    // An address of TLS is one of `https`, as far as certificates go.
    let tls = outbound::tls(&fields, "https://", env)?;
    if protocol == SyslogProtocol::Tls && tls.ca_file.is_none() {
        let error = item.error("`tls.ca_file` is missing: the authority that signed the receiver's certificate");
        return Err(error.with_suggestion(
            "for the public ones name the system's file, as in `/etc/ssl/certs/ca-certificates.crt`",
        ));
    }
    let max_bytes = fields.integer("max_bytes", MOST_BYTES, LEAST_BYTES..=MOST_BYTES)?;
    Ok(SyslogExport {
        address,
        protocol,
        facility: u8::try_from(fields.integer("facility", 13, 0..=23)?).unwrap_or(13),
        hostname: word(&fields, "hostname")?,
        max_bytes: usize::try_from(max_bytes).unwrap_or(usize::MAX),
        tls,
        server_name: word(&fields, "server_name")?,
    })
}

/// The name of a host.
fn word(fields: &Fields<'_>, key: &str) -> Result<Option<String>, ConfigError> {
    let Some(item) = fields.get(key) else { return Ok(None) };
    let text = item.text_if_any()?;
    match &text {
        Some(text) if text.len() > 255 || !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(item
                .error("expected the name or address of a host: at most 255 characters of visible ASCII, no spaces"))
        }
        _ => Ok(text),
    }
}

fn webhook(item: &Item<'_>) -> Result<WebhookExport, ConfigError> {
    let fields = item.fields(&["url", "secret", "headers", "format", "batch_rows"])?;
    Ok(WebhookExport {
        hook: Webhook { headers: alerts::headers(&fields)?, ..alerts::webhook(&fields)? },
        format: fields.word("format", ExportFormat::Json)?,
        batch_rows: fields.integer("batch_rows", 200, 1..=MOST_ROWS)?,
    })
}
