//! `Reference`: where a secret is to be read, as in `vault:secret/llm#openai`.

use std::fmt;
use std::sync::Arc;

/// A reference is no longer than this.
const MOST_CHARS: usize = 1024;

/// What a text begins with that is a secret itself, whatever comes behind.
const LITERAL: &str = "literal:";

/// A place that keeps secrets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Store {
    /// The environment of this process.
    Env,
    /// A file.
    File,
    /// HashiCorp Vault or OpenBao, key-value engine.
    Vault,
    /// AWS Secrets Manager.
    Aws,
    /// Google Cloud's Secret Manager.
    Gcp,
    /// Azure Key Vault.
    Azure,
}

impl Store {
    /// All of them.
    pub const ALL: [Store; 6] = [Store::Env, Store::File, Store::Vault, Store::Aws, Store::Gcp, Store::Azure];

    /// What a reference to it begins with, without the colon; its name in logs and metrics, too.
    pub fn as_str(self) -> &'static str {
        match self {
            Store::Env => "env",
            Store::File => "file",
            Store::Vault => "vault",
            Store::Aws => "aws-sm",
            Store::Gcp => "gcp-sm",
            Store::Azure => "azure-kv",
        }
    }

    /// Is it on this machine, so that it needs no settings and no sign-in?
    pub fn is_local(self) -> bool {
        matches!(self, Store::Env | Store::File)
    }

    /// The form of a reference to it.
    fn form(self) -> &'static str {
        match self {
            Store::Env => "env:NAME",
            Store::File => "file:/path",
            Store::Vault => "vault:MOUNT/PATH#FIELD",
            Store::Aws => "aws-sm:NAME_OR_ARN or aws-sm:NAME_OR_ARN#FIELD",
            Store::Gcp => "gcp-sm:projects/PROJECT/secrets/SECRET/versions/latest",
            Store::Azure => "azure-kv:VAULT/SECRET or azure-kv:VAULT/SECRET/VERSION",
        }
    }
}

/// Where a secret is to be read.
#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Reference {
    /// Who keeps it.
    pub store: Store,
    /// What the store calls it.
    pub place: String,
    /// The field of it, where it has fields.
    pub field: Option<String>,
    text: Arc<str>,
}

/// What stands where a secret is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told<'t> {
    /// The secret itself.
    Literal(&'t str),
    /// Where it is.
    Reference(Reference),
}

impl Reference {
    /// What `text` is: it, or a reference. The error says what form a reference has, and quotes nothing: it may have been meant as a
    /// secret.
    pub fn told(text: &str) -> Result<Told<'_>, String> {
        if let Some(literal) = text.strip_prefix(LITERAL) {
            return Ok(Told::Literal(literal));
        }
        let store = Store::ALL.into_iter().find_map(|store| {
            let rest = text.strip_prefix(store.as_str())?.strip_prefix(':')?;
            Some((store, rest))
        });
        let Some((store, rest)) = store else { return Ok(Told::Literal(text)) };
        Reference::parsed(store, rest, text).map(Told::Reference).ok_or_else(|| {
            format!(
                "a reference to the store `{}` that has not the form `{}`; write `literal:` before it where it is a secret itself",
                store.as_str(),
                store.form()
            )
        })
    }

    fn parsed(store: Store, rest: &str, text: &str) -> Option<Reference> {
        let (place, field) = match (store.is_local(), rest.rsplit_once('#')) {
            (false, Some((place, field))) => (place, Some(field)),
            _ => (rest, None),
        };
        let clean = text.chars().count() <= MOST_CHARS && !text.chars().any(char::is_control);
        let whole = clean && !place.is_empty() && field != Some("");
        let fits = match store {
            Store::Env => is_name(place),
            Store::File => true,
            Store::Vault => field.is_some() && segments(place).is_some_and(|count| count >= 2),
            Store::Aws => !place.contains(char::is_whitespace),
            Store::Gcp => is_version(place),
            Store::Azure => is_vault(place),
        };
        let field = field.map(str::to_owned);
        (whole && fits).then(|| Reference { store, place: place.to_owned(), field, text: text.into() })
    }

    /// It as it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A name that a variable of the environment may have.
fn is_name(text: &str) -> bool {
    let first = text.chars().next();
    first.is_some_and(|c| !c.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// How many segments a path has; `None` where one is empty or would lead elsewhere.
fn segments(path: &str) -> Option<usize> {
    let plain = |segment: &str| !matches!(segment, "" | "." | "..");
    path.split('/').all(plain).then(|| path.split('/').count())
}

/// `projects/P/secrets/S/versions/V`, perhaps with `locations/L` after the project.
fn is_version(place: &str) -> bool {
    let parts: Vec<&str> = place.split('/').collect();
    let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c));
    let named = parts.iter().skip(1).step_by(2).all(|part| word(part) && !matches!(*part, "." | ".."));
    let kinds: Vec<&str> = parts.iter().step_by(2).copied().collect();
    let known = [&["projects", "secrets", "versions"][..], &["projects", "locations", "secrets", "versions"][..]];
    named && parts.len().is_multiple_of(2) && known.contains(&kinds.as_slice())
}

/// `VAULT/SECRET`, perhaps with a version. The vault becomes a part of a host name.
fn is_vault(place: &str) -> bool {
    let parts: Vec<&str> = place.split('/').collect();
    let word = |text: &&str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    (2..=3).contains(&parts.len()) && parts.iter().all(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reference(text: &str) -> (Store, String, Option<String>) {
        match Reference::told(text) {
            Ok(Told::Reference(one)) => {
                assert_eq!(one.as_str(), text);
                (one.store, one.place, one.field)
            }
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn each_store_has_its_form() {
        let field = |text: &str| Some(text.to_owned());
        let table = [
            ("env:OPENAI_API_KEY", Store::Env, "OPENAI_API_KEY", None),
            ("file:/run/secrets/a#b", Store::File, "/run/secrets/a#b", None),
            ("vault:secret/llm/openai#api_key", Store::Vault, "secret/llm/openai", field("api_key")),
            ("aws-sm:prod/openai", Store::Aws, "prod/openai", None),
            (
                "aws-sm:arn:aws:secretsmanager:eu-west-1:123456789012:secret:llm-AbCdEf#key",
                Store::Aws,
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:llm-AbCdEf",
                field("key"),
            ),
            (
                "gcp-sm:projects/p-1/secrets/s/versions/latest",
                Store::Gcp,
                "projects/p-1/secrets/s/versions/latest",
                None,
            ),
            (
                "gcp-sm:projects/p/locations/europe-west4/secrets/s/versions/3#k",
                Store::Gcp,
                "projects/p/locations/europe-west4/secrets/s/versions/3",
                field("k"),
            ),
            ("azure-kv:my-vault/openai-key", Store::Azure, "my-vault/openai-key", None),
            ("azure-kv:my-vault/openai-key/0123abcd", Store::Azure, "my-vault/openai-key/0123abcd", None),
        ];
        for (text, store, place, field) in table {
            assert_eq!(reference(text), (store, place.to_owned(), field), "{text}");
        }
    }

    #[test]
    fn what_has_not_the_form_is_told_without_being_quoted() {
        let table = [
            "env:",
            "env:1A",
            "env:sk-hidden",
            "file:",
            "vault:sk-hidden",
            "vault:secret/llm",
            "vault:secret#a",
            "vault:a//sk-hidden#b",
            "vault:a/../sk-hidden#b",
            "vault:a/b#",
            "aws-sm:",
            "aws-sm:sk hidden",
            "aws-sm:a#",
            "gcp-sm:sk-hidden",
            "gcp-sm:projects/p/secrets/s",
            "gcp-sm:projects/../secrets/s/versions/1",
            "azure-kv:sk-hidden",
            "azure-kv:evil.example.org/sk-hidden",
            "azure-kv:a/b/c/d",
            "vault:a/b\n#c",
        ];
        for text in table {
            let error = Reference::told(text).unwrap_err();
            assert!(error.contains("literal:") && !error.contains("hidden"), "{text}: {error}");
        }
        assert!(Reference::told(&format!("file:/{}", "x".repeat(2000))).is_err());
    }

    #[test]
    fn other_texts_are_secrets_themselves() {
        for text in ["sk-1", "", "environment:x", "Env:X", "vault", "aws:x"] {
            assert_eq!(Reference::told(text), Ok(Told::Literal(text)));
        }
        assert_eq!(Reference::told("literal:env:X"), Ok(Told::Literal("env:X")));
        assert_eq!(Reference::told("literal:literal:X"), Ok(Told::Literal("literal:X")));
    }

    #[test]
    fn secrets_know_where_they_came_from_and_show_nothing() {
        let (one, other) = (Secret::referred("env:A", "hush"), Secret::new("hush"));
        assert!(one.is_same(&other) && one.is_read() && format!("{one:?}{one}") == "[secret][secret]");
        let (unread, twin) = (Secret::unread("env:A"), Secret::unread("env:B"));
        assert!(
            !unread.is_read() && !unread.is_same(&twin) && unread.is_same(&one) && !unread.is_same(&Secret::new(""))
        );
    }

    use crate::types::secret::Secret;

    proptest! {
        #[test]
        fn no_text_upsets_it(text in "\\PC{0,80}") {
            for store in Store::ALL {
                let _ = Reference::told(&format!("{}:{text}", store.as_str()));
            }
            if let Ok(Told::Literal(literal)) = Reference::told(&format!("literal:{text}")) {
                prop_assert_eq!(literal, text);
            }
        }
    }
}
