//! Rows of the audit log as lines of syslog (RFC 5424): the head in fields of its own, and the row as JSON in the message, as an export has
//! it.

use crate::config::SyslogExport;
use crate::store::audit_chain::AuditRow;
use crate::types::audit::AuditOutcome;

/// What stands at the end of a message that was cut.
const CUT: &str = "... cut";
const HOSTNAME_BYTES: usize = 255;
const MSGID_BYTES: usize = 32;

/// Writes lines for one receiver.
#[derive(Debug)]
pub(super) struct Lines {
    facility: u8,
    hostname: String,
}

impl Lines {
    pub(super) fn new(settings: &SyslogExport) -> Lines {
        let hostname = settings.hostname.clone().or_else(of_system).unwrap_or_default();
        Lines { facility: settings.facility, hostname: printable(&hostname, HOSTNAME_BYTES) }
    }

    /// The line of a row. No byte order mark stands before the message: what reads JSON does not take one.
    pub(super) fn line(&self, row: &AuditRow) -> String {
        let priority = u32::from(self.facility) * 8 + severity(&row.outcome);
        let at = i64::try_from(row.at_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        let at = at.map_or_else(|| "-".to_owned(), |at| format!("{at:.3}"));
        let (host, process, id) = (&self.hostname, std::process::id(), printable(&row.action, MSGID_BYTES));
        let json = serde_json::to_string(row).unwrap_or_default();
        format!("<{priority}>1 {at} {host} askonce {process} {id} - {json}")
    }
}

/// What was done is for information, what was refused a warning, what failed an error (RFC 5424, section 6.2.1).
fn severity(outcome: &str) -> u32 {
    match outcome {
        _ if outcome == AuditOutcome::Done.as_str() => 6,
        _ if outcome == AuditOutcome::Refused.as_str() => 4,
        _ => 3,
    }
}

/// The text as a field of the head, which has visible ASCII only and is never empty.
fn printable(text: &str, most: usize) -> String {
    let field: String = text.chars().take(most).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect();
    if field.is_empty() { "-".to_owned() } else { field }
}

/// The name of this host, where the system tells it.
fn of_system() -> Option<String> {
    let told = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    told.or_else(|| std::env::var("HOSTNAME").ok()).map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// The line, no longer than that; one that was longer says so at its end.
pub(super) fn cut(mut line: String, most: usize) -> String {
    if line.len() > most {
        let room = most.saturating_sub(CUT.len());
        let end = (0..=room).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        line.truncate(end);
        line.push_str(CUT);
    }
    line
}

/// The line with its length before it (RFC 6587, section 3.4.1).
pub(super) fn framed(line: &str) -> String {
    format!("{} {line}", line.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::audit::AuditEvent;

    fn row(action: &str, outcome: AuditOutcome, actor: &str) -> AuditRow {
        let event = AuditEvent { actor: actor.into(), action: action.into(), outcome, ..AuditEvent::default() };
        AuditRow::new(7, 1_700_000_000_042, &event, "ab")
    }

    fn lines(facility: u8) -> Lines {
        Lines { facility, hostname: "gate-1".into() }
    }

    #[test]
    fn a_row_is_a_line_of_rfc_5424_and_its_message_reads_back() {
        let one = row("keys.create", AuditOutcome::Done, "user `zoë`\n");
        let line = lines(13).line(&one);
        let head = format!("<110>1 2023-11-14T22:13:20.042Z gate-1 askonce {} keys.create - ", std::process::id());
        let json = line.strip_prefix(&head).unwrap_or_else(|| panic!("{line}\n{head}"));
        assert_eq!(serde_json::from_str::<AuditRow>(json).unwrap(), one);
        assert!(!line.contains('\n'));
        for (outcome, priority) in [(AuditOutcome::Refused, 0), (AuditOutcome::Failed, 0)] {
            let line = lines(0).line(&row("x", outcome, "a"));
            let severity = if outcome == AuditOutcome::Refused { 4 } else { 3 };
            assert!(line.starts_with(&format!("<{}>1 ", priority + severity)), "{line}");
        }
    }

    #[test]
    fn fields_of_the_head_hold_nothing_that_could_end_them() {
        let line = lines(13).line(&row(&format!("a b\n{}", "x".repeat(80)), AuditOutcome::Done, "a"));
        let id = line.split(' ').nth(5).unwrap();
        assert_eq!((id.len(), &id[..4]), (32, "a?b?"));
        assert_eq!(lines(13).line(&row("", AuditOutcome::Done, "a")).split(' ').nth(5), Some("-"));
        let own = SyslogExport {
            address: "h:1".into(),
            protocol: crate::config::SyslogProtocol::Udp,
            facility: 13,
            hostname: Some(String::new()),
            max_bytes: 500,
            tls: crate::config::Tls::default(),
            server_name: None,
        };
        assert_eq!(Lines::new(&own).hostname, "-");
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters_and_says_so() {
        let line = "é".repeat(400);
        assert_eq!(cut(line.clone(), 800), line);
        let short = cut(line, 480);
        assert!(short.len() <= 480 && short.ends_with("é... cut"), "{short}");
    }

    #[test]
    fn the_length_before_a_line_counts_bytes() {
        assert_eq!(framed("<6>é"), "5 <6>é");
    }
}
