//! Numbers to bytes and back, little endian, for the weights and the state of the learner. A file is a mark, a version,
//! what follows, and a CRC-32 of all of it; a reader never takes more from a length than there are bytes.

/// Why bytes cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateError(pub(super) String);

impl std::fmt::Display for StateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::error::Error for StateError {}

/// Bytes that are written.
pub(super) struct Out(Vec<u8>);

impl Out {
    pub(super) fn new(mark: &[u8; 16], version: u32) -> Out {
        let mut out = Out(mark.to_vec());
        out.u32(version);
        out
    }

    /// Makes room for so many bytes more.
    pub(super) fn reserve(&mut self, more: usize) {
        self.0.reserve(more);
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn u128(&mut self, value: u128) {
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn f32(&mut self, value: f32) {
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn f64(&mut self, value: f64) {
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.0.extend(text.as_bytes());
    }

    /// The bytes, with their checksum.
    pub(super) fn end(mut self) -> Vec<u8> {
        let sum = crc32fast::hash(&self.0);
        self.u32(sum);
        self.0
    }
}

/// Bytes that are read.
pub(super) struct In<'a> {
    rest: &'a [u8],
}

impl<'a> In<'a> {
    /// Checks mark, version and checksum.
    pub(super) fn new(bytes: &'a [u8], mark: &[u8; 16], version: u32) -> Result<In<'a>, StateError> {
        let damaged = |what: &str| Err(StateError(what.to_owned()));
        let Some((body, sum)) = bytes.split_last_chunk::<4>() else {
            return damaged("it is shorter than its own checksum");
        };
        let Some((begin, rest)) = body.split_at_checked(20) else {
            return damaged("it ends within its first 20 bytes");
        };
        if begin[..16] != mark[..] {
            let mark = String::from_utf8_lossy(mark);
            return Err(StateError(format!("it does not begin with `{}`", mark.trim_end())));
        }
        let found = u32::from_le_bytes([begin[16], begin[17], begin[18], begin[19]]);
        if found != version {
            return Err(StateError(format!("it has version {found}, and this program reads version {version}")));
        }
        if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
            return damaged("its checksum is wrong: bytes were changed or lost");
        }
        Ok(In { rest })
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(StateError("it ends before all of it was read".to_owned()));
        };
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, StateError> {
        Ok(self.take::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, StateError> {
        Ok(u16::from_le_bytes(self.take()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, StateError> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, StateError> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    pub(super) fn u128(&mut self) -> Result<u128, StateError> {
        Ok(u128::from_le_bytes(self.take()?))
    }

    /// A finite number.
    pub(super) fn f32(&mut self) -> Result<f32, StateError> {
        let value = f32::from_le_bytes(self.take()?);
        if value.is_finite() { Ok(value) } else { Err(StateError(format!("it holds {value} for a number"))) }
    }

    /// A finite number.
    pub(super) fn f64(&mut self) -> Result<f64, StateError> {
        let value = f64::from_le_bytes(self.take()?);
        if value.is_finite() { Ok(value) } else { Err(StateError(format!("it holds {value} for a number"))) }
    }

    /// 0 or more.
    pub(super) fn positive(&mut self) -> Result<f64, StateError> {
        let value = self.f64()?;
        if value >= 0.0 { Ok(value) } else { Err(StateError(format!("it holds {value} where nothing is below 0"))) }
    }

    /// From 0 to 1.
    pub(super) fn share(&mut self) -> Result<f64, StateError> {
        let value = self.f64()?;
        if (0.0..=1.0).contains(&value) { Ok(value) } else { Err(StateError(format!("it holds {value} for a share"))) }
    }

    /// How many things of at least `size` bytes follow.
    pub(super) fn count(&mut self, size: usize) -> Result<usize, StateError> {
        let count = self.u32()? as usize;
        if count.saturating_mul(size) > self.rest.len() {
            let rest = self.rest.len();
            return Err(StateError(format!("it announces {count} things, and only {rest} bytes follow")));
        }
        Ok(count)
    }

    /// A text of at most `most` bytes.
    pub(super) fn text(&mut self, most: usize) -> Result<String, StateError> {
        let count = self.count(1)?;
        if count > most {
            return Err(StateError(format!("it holds a name of {count} bytes, expected at most {most}")));
        }
        let (text, rest) = self.rest.split_at(count);
        self.rest = rest;
        String::from_utf8(text.to_vec()).map_err(|_| StateError("it holds a name that is no UTF-8".to_owned()))
    }

    /// Nothing may follow.
    pub(super) fn end(self) -> Result<(), StateError> {
        match self.rest.len() {
            0 => Ok(()),
            more => Err(StateError(format!("{more} bytes are left over"))),
        }
    }
}
