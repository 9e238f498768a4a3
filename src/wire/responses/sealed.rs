//! What a `reasoning` item keeps in its `encrypted_content` for the way back.
//!
//! A client sends it back unread, so it is the place for whatever a vendor signed. Encrypted thoughts of Anthropic and
//! signatures that belong to words or calls (Gemini) have no other place in this wire: they go in there with a word before
//! them that says what they are.

/// Encrypted thoughts that are all there is of their item.
const REDACTED: &str = "askonce.redacted:";
/// The signature of what stands before the item.
const OF_LAST: &str = "askonce.of_last:";

/// What it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sealed<'s> {
    /// The signature of the item's own thoughts.
    Own(&'s str),
    /// Encrypted thoughts.
    Redacted(&'s str),
    /// The signature of the words or the call before the item.
    OfLast(&'s str),
}

impl<'s> Sealed<'s> {
    /// Reads `encrypted_content`.
    pub fn read(content: &'s str) -> Sealed<'s> {
        match (content.strip_prefix(REDACTED), content.strip_prefix(OF_LAST)) {
            (Some(data), _) => Sealed::Redacted(data),
            (_, Some(signature)) => Sealed::OfLast(signature),
            (None, None) => Sealed::Own(content),
        }
    }

    /// `encrypted_content`.
    pub fn write(self) -> String {
        match self {
            Sealed::Own(signature) => signature.to_owned(),
            Sealed::Redacted(data) => format!("{REDACTED}{data}"),
            Sealed::OfLast(signature) => format!("{OF_LAST}{signature}"),
        }
    }
}
