//! The events of a stream, counted while they are written.

use crate::wire::write::{Object, object};

/// Counts the events while it writes them.
#[derive(Debug, Default)]
pub struct Events {
    next: u64,
}

impl Events {
    /// Writes one, with its name and its number before its own fields.
    pub fn write(&mut self, out: &mut Vec<u8>, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        object(out, |o| {
            o.text("type", name);
            o.integer("sequence_number", self.next);
            fill(o);
        });
        out.extend_from_slice(b"\n\n");
        self.next += 1;
    }
}
