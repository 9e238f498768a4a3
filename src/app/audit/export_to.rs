//! Receivers of the audit log: syslog, or a webhook.

use super::super::webhook::{self, NotTaken};
use super::syslog::Lines;
use super::syslog_wire::Wire;
use crate::config::{ExportFormat, ExportTo, SyslogExport, SyslogProtocol, WebhookExport};
use crate::store::audit_chain::AuditRow;
use reqwest::StatusCode;
use std::time::Duration;

/// How long a webhook may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Datagrams that are sent without a moment between: more would not find room at the receiver.
const DATAGRAMS: u64 = 50;
/// Rows that are written to a connection at once.
const ROWS: u64 = 200;

/// Why rows were not taken.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) why: String,
    /// The receiver does not want them as they are: somebody has to look.
    pub(super) is_refused: bool,
    /// When the receiver wants to be asked again.
    pub(super) again: Option<Duration>,
    /// They were too many at once; fewer are sent the next time.
    pub(super) is_smaller: bool,
}

impl Failed {
    fn new(why: String) -> Failed {
        Failed { why, is_refused: false, again: None, is_smaller: false }
    }
}

/// Where rows go.
pub(super) enum Receiver {
    /// Over a wire that may have to be opened.
    Syslog { settings: SyslogExport, lines: Lines, wire: Option<Box<Wire>> },
    /// To an address, no more than so many at once.
    Webhook { settings: WebhookExport, client: reqwest::Client, most_rows: u64 },
}

impl Receiver {
    /// The error says what of the settings is of no use.
    pub(super) fn new(to: &ExportTo) -> Result<Receiver, String> {
        Ok(match to.clone() {
            ExportTo::Syslog(settings) => {
                let wire = Some(Box::new(Wire::new(&settings)?));
                Receiver::Syslog { lines: Lines::new(&settings), wire, settings }
            }
            ExportTo::Webhook(settings) => {
                let client = webhook::client(PATIENCE).map_err(|why| format!("no request can be sent: {why}"))?;
                Receiver::Webhook { most_rows: settings.batch_rows, client, settings }
            }
        })
    }

    /// No more rows are sent at once.
    pub(super) fn most_rows(&self) -> u64 {
        match self {
            Receiver::Syslog { settings, .. } if settings.protocol == SyslogProtocol::Udp => DATAGRAMS,
            Receiver::Syslog { .. } => ROWS,
            Receiver::Webhook { most_rows, .. } => *most_rows,
        }
    }

    /// Sends rows, in their order; there is at least one.
    pub(super) async fn send(&mut self, rows: &[AuditRow]) -> Result<(), Failed> {
        match self {
            Receiver::Syslog { settings, lines, wire } => {
                let lines = rows.iter().map(|row| lines.line(row)).collect();
                let kept = over(wire.take(), settings.clone(), lines).await.map_err(Failed::new)?;
                *wire = Some(kept);
                Ok(())
            }
            Receiver::Webhook { settings, client, most_rows } => {
                let (content_type, body) = body(settings.format, rows);
                let sent = webhook::post(client, &settings.hook, content_type, &id(rows), body).await;
                let failed = sent.map_err(|why| refused(&why, rows.len() as u64));
                if failed.as_ref().is_err_and(|failed| failed.is_smaller) {
                    *most_rows = (rows.len() as u64 / 2).max(1);
                }
                failed
            }
        }
    }
}

/// Writes the lines on a thread that may wait. Gives the wire, to be used again; after an error it is made anew, with certificates that may
/// have been renewed.
async fn over(wire: Option<Box<Wire>>, settings: SyslogExport, lines: Vec<String>) -> Result<Box<Wire>, String> {
    let written = tokio::task::spawn_blocking(move || {
        let mut wire = match wire {
            Some(wire) => wire,
            None => Box::new(Wire::new(&settings)?),
        };
        wire.send(lines).map_err(|error| error.to_string())?;
        Ok(wire)
    });
    written.await.unwrap_or_else(|error| Err(error.to_string()))
}

/// The same rows have the same one, so that a receiver knows a batch that comes again.
fn id(rows: &[AuditRow]) -> String {
    let (first, last) = (rows.first().map_or(0, |row| row.seq), rows.last());
    let digest = last.map_or("", |row| row.digest.get(..16).unwrap_or_default());
    format!("audit_{first}_{}_{digest}", last.map_or(0, |row| row.seq))
}

fn body(format: ExportFormat, rows: &[AuditRow]) -> (&'static str, String) {
    match format {
        ExportFormat::Json => ("application/json", serde_json::to_string(rows).unwrap_or_default()),
        ExportFormat::Ndjson => {
            let line = |row: &AuditRow| serde_json::to_string(row).unwrap_or_default() + "\n";
            ("application/x-ndjson", rows.iter().map(line).collect())
        }
    }
}

/// What answers mean that are no thanks: 408 and 429 go by, as what is wrong at the server does; others do not by themselves.
fn refused(why: &NotTaken, rows: u64) -> Failed {
    let failed = Failed::new(why.to_string());
    let NotTaken::Answered(status, again) = why else { return failed };
    let goes_by =
        status.is_server_error() || matches!(*status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    let is_smaller = *status == StatusCode::PAYLOAD_TOO_LARGE && rows > 1;
    Failed { is_refused: !goes_by && !is_smaller, again: again.filter(|_| goes_by), is_smaller, ..failed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_by_is_tried_soon_and_what_does_not_slowly() {
        let of = |status: u16, again: Option<u64>, rows: u64| {
            let status = StatusCode::from_u16(status).unwrap();
            let failed = refused(&NotTaken::Answered(status, again.map(Duration::from_secs)), rows);
            (failed.is_refused, failed.is_smaller, failed.again.map(|time| time.as_secs()))
        };
        for status in [500, 502, 503, 408, 429] {
            assert_eq!(of(status, Some(7), 9), (false, false, Some(7)), "{status}");
        }
        for status in [301, 400, 401, 403, 404, 410, 422] {
            assert_eq!(of(status, Some(7), 9), (true, false, None), "{status}");
        }
        assert_eq!(of(413, None, 9), (false, true, None), "fewer at once may do");
        assert_eq!(of(413, None, 1), (true, false, None));
        assert!(!refused(&NotTaken::NoAnswer("refused".into()), 1).is_refused);
    }

    #[test]
    fn lines_read_back_and_a_batch_that_comes_again_has_its_id() {
        let rows: Vec<AuditRow> =
            (4..7).map(|seq| AuditRow::new(seq, 1, &crate::types::audit::AuditEvent::default(), "")).collect();
        let (_, lines) = body(ExportFormat::Ndjson, &rows);
        let back: Vec<AuditRow> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(back, rows);
        let (_, array) = body(ExportFormat::Json, &rows);
        assert_eq!(serde_json::from_str::<Vec<AuditRow>>(&array).unwrap(), rows);
        assert_eq!(id(&rows), id(&rows));
        assert!(id(&rows).starts_with("audit_4_6_") && id(&rows) != id(&rows[..2]));
    }
}
