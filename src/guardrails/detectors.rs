//! What is looked for by name: personal data and secrets, each as a gate, a pattern and a check.
//!
//! A gate is what every find holds and few texts do: all gates are one set, so that a text is read once, and only for those that
//! are in it a pattern is tried. Patterns are bounded; sums and forms that no pattern can tell are checked after.
//!
//! Facts of forms and check digits: <https://en.wikipedia.org/wiki/Payment_card_number>,
//! <https://en.wikipedia.org/wiki/International_Bank_Account_Number>, <https://www.ssa.gov/employer/randomization.html>,
//! <https://www.gov.uk/hmrc-internal-manuals/national-insurance-manual/nim39110>, <https://en.wikipedia.org/wiki/E.164>,
//! <https://docs.github.com/en/code-security/secret-scanning>.

use super::checks;
use crate::config::{Pii, SecretKind};
use std::ops::Range;

/// Which part of what a pattern matched is a find, if any is.
pub(super) type Check = fn(&str) -> Option<Range<usize>>;

/// One thing to look for.
pub(super) struct Detector {
    /// What stands in placeholders.
    pub(super) label: &'static str,
    /// What every find holds.
    pub(super) gate: &'static str,
    /// What a find looks like.
    pub(super) pattern: &'static str,
    pub(super) check: Check,
    /// A find with spaces in it may have begun so many bytes before a place where nothing is to be seen of it yet.
    pub(super) reach: usize,
    /// The same of one without spaces.
    pub(super) run: usize,
}

/// All of it.
fn whole(found: &str) -> Option<Range<usize>> {
    Some(0..found.len())
}

/// All of it, where that holds.
macro_rules! where_it {
    ($check:path) => {
        |found| $check(found).then_some(0..found.len())
    };
}

/// The detector of a kind of personal data.
pub(super) fn of_pii(kind: Pii) -> Detector {
    let spaced = |label, gate, pattern, check, reach| Detector { label, gate, pattern, check, reach, run: reach };
    let tight = |label, gate, pattern, check, run| Detector { label, gate, pattern, check, reach: 0, run };
    match kind {
        Pii::Email => tight(
            "EMAIL",
            r"[A-Za-z0-9]@[A-Za-z0-9]",
            r"\b[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,6}\.[A-Za-z]{2,24}\b",
            whole,
            320,
        ),
        Pii::Phone => spaced(
            "PHONE",
            r"[0-9)][ ./-]?[0-9]{3}",
            r"(?:\+[1-9][0-9]{0,2}|\b00[1-9][0-9]{0,2}|\b1|\b0[0-9]{1,4}|\b[2-9][0-9]{2}|\([0-9]{1,5}\))[ ./-]{0,2}(?:\([0-9]{1,5}\)[ .-]{0,2})?[0-9]{2,12}(?:[ ./-][0-9]{2,8}){0,5}\b",
            where_it!(checks::is_phone),
            40,
        ),
        Pii::CreditCard => {
            spaced("CREDIT_CARD", r"[0-9][ -]?[0-9]{3}", r"\b[0-9](?:[ -]?[0-9]){11,18}\b", checks::card, 40)
        }
        Pii::Iban => spaced(
            "IBAN",
            r"[A-Z]{2}[0-9]{2} ?[A-Z0-9]{2}",
            r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,40}",
            checks::iban,
            84,
        ),
        Pii::UsSsn => spaced(
            "US_SSN",
            r"[0-9]{3}[ -][0-9]{2}[ -][0-9]{4}",
            r"\b[0-9]{3}[ -][0-9]{2}[ -][0-9]{4}\b",
            where_it!(checks::is_ssn),
            12,
        ),
        Pii::UsItin => spaced(
            "US_ITIN",
            r"9[0-9]{2}[ -][5-9][0-9][ -][0-9]{4}",
            r"\b9[0-9]{2}[ -][5-9][0-9][ -][0-9]{4}\b",
            where_it!(checks::has_one_separator),
            12,
        ),
        Pii::UkNino => spaced(
            "UK_NINO",
            r"[A-Z]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]",
            r"\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]\b",
            where_it!(checks::is_nino),
            16,
        ),
        Pii::UkNhs => spaced(
            "UK_NHS_NUMBER",
            r"[0-9]{3}[ -][0-9]{3}[ -][0-9]{4}",
            r"\b[0-9]{3}[ -][0-9]{3}[ -][0-9]{4}\b",
            where_it!(checks::is_nhs_number),
            13,
        ),
        Pii::EsDni => {
            tight("ES_DNI", r"[0-9]{7}-?[A-Z]", r"\b[XYZ0-9][0-9]{7}-?[A-Z]\b", where_it!(checks::is_dni), 12)
        }
        Pii::FrNir => spaced(
            "FR_NIR",
            r"[12] ?[0-9]{2} ?[0-9]{2} ?[0-9]",
            r"\b[12] ?[0-9]{2} ?[0-9]{2} ?(?:[0-9]{2}|2[AB]) ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}\b",
            where_it!(checks::is_nir),
            24,
        ),
        Pii::BrCpf => tight(
            "BR_CPF",
            r"[0-9]{3}-[0-9]{2}",
            r"\b(?:[0-9]{3}\.[0-9]{3}\.[0-9]{3}|[0-9]{9})-[0-9]{2}\b",
            where_it!(checks::is_cpf),
            16,
        ),
        Pii::InAadhaar => spaced(
            "IN_AADHAAR",
            r"[2-9][0-9]{3}[ -][0-9]{4}[ -][0-9]{4}",
            r"\b[2-9][0-9]{3}[ -][0-9]{4}[ -][0-9]{4}\b",
            where_it!(checks::is_aadhaar),
            15,
        ),
        Pii::IpAddress => tight(
            "IP_ADDRESS",
            r"[0-9]\.[0-9]|:[0-9A-Fa-f]{0,4}:",
            r"(?:\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b|\b[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,8}|::[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){0,6})",
            where_it!(checks::is_address),
            48,
        ),
        Pii::MacAddress => tight(
            "MAC_ADDRESS",
            r"[0-9A-Fa-f]{2}[:-][0-9A-Fa-f]{2}[:-]",
            r"\b[0-9A-Fa-f]{2}(?:(?::[0-9A-Fa-f]{2}){5}|(?:-[0-9A-Fa-f]{2}){5})\b",
            whole,
            18,
        ),
        Pii::CryptoAddress => tight(
            "CRYPTO_ADDRESS",
            r"0x[0-9A-Fa-f]{8}|bc1[a-z0-9]{8}",
            r"\b(?:0x[0-9A-Fa-f]{40}|bc1[ac-hj-np-z02-9]{11,71})\b",
            whole,
            76,
        ),
    }
}

/// The detector of a kind of secret. What begins like nothing else is found wherever it stands: behind an underscore, or the `n` of a
/// line's end that was escaped.
pub(super) fn of_secret(kind: SecretKind) -> Detector {
    let tight = |label, gate, pattern, check, run| Detector { label, gate, pattern, check, reach: 0, run };
    match kind {
        SecretKind::ProviderKey => tight(
            "PROVIDER_KEY",
            r"sk-|AIza|hf_|gsk_|xai-|pplx-|r8_",
            r#"(?:(?:\b|_|\\[nrt"])sk-[A-Za-z0-9_-]{20,220}|AIza[A-Za-z0-9_-]{35}|hf_[A-Za-z0-9]{30,60}|gsk_[A-Za-z0-9]{40,60}|xai-[A-Za-z0-9]{60,100}|pplx-[A-Za-z0-9]{40,60}|r8_[A-Za-z0-9]{30,45})"#,
            checks::provider_key,
            244,
        ),
        SecretKind::AwsKey => Detector {
            label: "AWS_KEY",
            gate: r"A(?:KIA|SIA|BIA|CCA)[A-Z2-7]|(?i:aws[a-z_]{0,20}key)",
            pattern: r#"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b|(?i:aws_?(?:secret)?_?(?:access)?_?key)["']?[ \t]{0,3}[:=][ \t]{0,3}["']?[A-Za-z0-9/+]{40,64}"#,
            check: checks::aws_key,
            reach: 48,
            run: 96,
        },
        SecretKind::GithubToken => tight(
            "GITHUB_TOKEN",
            r"gh[pousr]_|github_pat_",
            r"(?:gh[pousr]_[A-Za-z0-9]{36,250}|github_pat_[A-Za-z0-9_]{50,250})",
            whole,
            270,
        ),
        SecretKind::GitlabToken => tight("GITLAB_TOKEN", r"glpat-", r"glpat-[A-Za-z0-9_.-]{20,80}", whole, 90),
        SecretKind::SlackToken => tight(
            "SLACK_TOKEN",
            r"xox[a-z]-|xapp-|hooks\.slack\.com",
            r"xox[abeoprs]-[A-Za-z0-9-]{10,250}|xapp-[0-9]-[A-Za-z0-9-]{10,250}|hooks\.slack\.com/services/T[A-Z0-9]{6,14}/B[A-Z0-9]{6,14}/[A-Za-z0-9]{20,32}",
            whole,
            270,
        ),
        SecretKind::StripeKey => tight(
            "STRIPE_KEY",
            r"[sr]k_(?:live|test)_|whsec_",
            r"(?:[sr]k_(?:live|test)_[A-Za-z0-9]{16,200}|whsec_[A-Za-z0-9+/]{24,80})",
            whole,
            220,
        ),
        SecretKind::ServiceToken => tight(
            "SERVICE_TOKEN",
            r"SG\.|npm_|pypi-|SK[0-9a-f]{8}|dop_v1_|ya29\.|AccountKey=",
            r"(?:\bSG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,200}|SK[0-9a-f]{32}|dop_v1_[0-9a-f]{64}|ya29\.[A-Za-z0-9_-]{20,250}|AccountKey=[A-Za-z0-9+/]{80,100}={0,2})",
            whole,
            270,
        ),
        SecretKind::PrivateKey => Detector {
            label: "PRIVATE_KEY",
            gate: r"PRIVATE KEY",
            pattern: r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:[A-Za-z0-9+/=:,.\\ \t\r\n-]*-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|[A-Za-z0-9+/=:,.\\ \t\r\n-]*)",
            check: whole,
            reach: 80,
            run: 80,
        },
        SecretKind::Jwt => tight(
            "JWT",
            r"eyJ[A-Za-z0-9_-]{8}",
            r"eyJ[A-Za-z0-9_-]{8,500}\.eyJ[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*)?",
            whole,
            512,
        ),
        SecretKind::PasswordInUrl => tight(
            "PASSWORD_IN_URL",
            r"://[!-.0-9;-?A-~]{1,64}:[!-.0-9;-?A-~]",
            r"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://[!-.0-9;-?A-~]{1,64}:[!-.0-9;-?A-~]{1,128}@[A-Za-z0-9.-]{1,255}",
            whole,
            480,
        ),
        SecretKind::Assignment => Detector {
            label: "SECRET",
            gate: r"(?i:key|secret|token|passw|pwd|credential)",
            pattern: r#"(?i:api[_-]?key|secret|token|passwd|password|pwd|credentials?|auth[_-]?key|private[_-]?key|access[_-]?key)(?:[_.-][A-Za-z0-9_.-]{0,24})?["']?[ \t]{0,3}(?:=>|[:=]=?)[ \t]{0,3}["'`]?[A-Za-z0-9_+/.=~!@#$%^&*-]{10,200}"#,
            check: checks::assigned,
            reach: 64,
            run: 260,
        },
    }
}
