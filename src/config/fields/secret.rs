//! Secrets out of nodes: written out, or referred to.
//!
//! What a variable holds is not looked at again: it is a reference only where it is written as one.

use super::{Fields, Item, kind};
use crate::config::error::ConfigError;
use crate::config::file::{Text, Value};
use crate::types::reference::{Reference, Told};
use crate::types::secret::Secret;

impl Item<'_> {
    /// Visible ASCII without spaces, so that an HTTP header can carry it; `None` where it is empty. One that is referred to may be
    /// unread yet.
    pub fn secret_if_any(&self) -> Result<Option<Secret>, ConfigError> {
        let secret = self.secret()?;
        if !secret.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(self
                .error("expected visible ASCII without spaces, as an HTTP header can carry it, found something else")
                .with_suggestion("check for a stray line break at its end"));
        }
        Ok(Some(secret).filter(|secret| secret.reference().is_some() || !secret.expose().is_empty()))
    }

    /// The value of an HTTP header: visible ASCII and inner spaces, not empty. It counts as a secret.
    pub fn header_value(&self) -> Result<Secret, ConfigError> {
        let secret = self.secret()?;
        let (text, carries) = (secret.expose(), |byte: u8| byte.is_ascii_graphic() || byte == b' ');
        let fits = !text.is_empty() && text.trim() == text && text.bytes().all(carries);
        if !fits && secret.is_read() {
            return Err(self.error("expected the value of an HTTP header: visible ASCII, and spaces only inside"));
        }
        Ok(secret)
    }

    /// A secret of any form, perhaps empty, perhaps unread.
    pub fn secret(&self) -> Result<Secret, ConfigError> {
        let Value::Text(Text { text, written, read_as, value }) = &self.node.value else {
            return Err(self
                .error(format!("expected text, found {}", kind(&self.node.value)))
                .with_suggestion("put it in quotes if it is meant as text"));
        };
        let says = |text| Reference::told(text).map_err(|message| self.error(message));
        // A variable may stand within a reference; one that holds the whole text is a secret, whatever that begins with.
        let begins = written.as_deref().filter(|written| written.starts_with('$'));
        match if begins.is_some() { Told::Literal(text) } else { says(text)? } {
            Told::Literal(literal) => Ok(Secret::new(literal)),
            Told::Reference(reference) => {
                let secret = value.clone().unwrap_or_else(|| Secret::unread(reference.as_str()));
                *read_as.borrow_mut() = Some(reference);
                Ok(secret)
            }
        }
    }

    /// A secret that a store of secrets is opened with, so that it cannot lie in one.
    pub fn opening_secret(&self) -> Result<Option<Secret>, ConfigError> {
        let secret = self.secret_if_any()?;
        if let Value::Text(Text { read_as, .. }) = &self.node.value
            && let Some(reference) = &*read_as.borrow()
            && !reference.store.is_local()
        {
            let error =
                self.error(format!("what opens a store cannot lie in the store `{}`", reference.store.as_str()));
            return Err(error.with_suggestion("refer to it by `env:NAME` or `file:/path`"));
        }
        Ok(secret)
    }
}

impl Fields<'_> {
    /// A secret at `key`, if there is one.
    pub fn secret(&self, key: &str) -> Result<Option<Secret>, ConfigError> {
        self.get(key).map_or(Ok(None), |item| item.secret_if_any())
    }

    /// A secret at `key` that a store is opened with, if there is one.
    pub fn opening_secret(&self, key: &str) -> Result<Option<Secret>, ConfigError> {
        self.get(key).map_or(Ok(None), |item| item.opening_secret())
    }
}
