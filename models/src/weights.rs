//! Reads a safetensors file slice by slice, checking names, types, shapes, values and the checksum on the way.
//!
//! A slice stays in the processor's cache while it is checked, handed on and hashed, and its memory is used again for a
//! later one: nothing of the file's size is ever held, unless whoever takes the slices keeps them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek};
use std::path::Path;
use std::sync::mpsc;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::error::ModelError;
use crate::manifest::FileEntry;

/// Headers are some tens of kilobytes; a length beyond this is a damaged or wrong file.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// What a model expects of one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Name without the optional `bert.` before it.
    pub name: String,
    /// Expected shape.
    pub shape: Vec<usize>,
}

/// One tensor of 32-bit floats, all of them finite.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Weights {
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Values, row after row.
    pub values: Vec<f32>,
}

#[derive(Deserialize)]
struct TensorHeader {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

/// Reads a whole file and checks it against the manifest.
///
/// # Errors
/// [`ModelError::Io`] or [`ModelError::Checksum`].
pub(crate) fn read_checked(dir: &Path, entry: &FileEntry, model: &str) -> Result<Vec<u8>, ModelError> {
    let path = dir.join(&entry.path);
    let bytes = std::fs::read(&path).map_err(|error| ModelError::io("read", &path, error))?;
    check_sum(&path, entry, model, Sha256::digest(&bytes).as_slice())?;
    Ok(bytes)
}

/// Compares a digest with the manifest's, or the lock's in a manifest that took its pins from there.
pub(crate) fn check_sum(path: &Path, entry: &FileEntry, model: &str, digest: &[u8]) -> Result<(), ModelError> {
    let got = hex(digest);
    if got == entry.sha256 {
        return Ok(());
    }
    Err(ModelError::Checksum { name: model.to_owned(), file: path.to_owned(), expected: entry.sha256.clone(), got })
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The next values of a tensor.
pub(crate) struct Part<'a> {
    /// The name it is wanted by.
    pub name: &'a str,
    /// The whole tensor's dimensions, outermost first.
    pub shape: &'a [usize],
    /// Some of its values, all of them finite. Parts come in order, and the next tensor's after the last of this one.
    pub values: &'a [f32],
    /// The largest of these values, without its sign.
    pub largest: f32,
}

impl Part<'_> {
    /// Values of the whole tensor.
    pub(crate) fn total(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Reads the wanted tensors of a safetensors file, under the names they are wanted by.
///
/// # Errors
/// [`ModelError::BadFile`] naming tensor, expected and found type or shape; [`ModelError::Checksum`]; [`ModelError::Io`].
pub(crate) fn read_tensors(
    dir: &Path,
    entry: &FileEntry,
    model: &str,
    wanted: &[Wanted],
) -> Result<BTreeMap<String, Weights>, ModelError> {
    let mut read: BTreeMap<String, Weights> = BTreeMap::new();
    read_parts(dir, entry, model, wanted, &mut |part| {
        let whole = || Weights { shape: part.shape.to_vec(), values: Vec::with_capacity(part.total()) };
        read.entry(part.name.to_owned()).or_insert_with(whole).values.extend_from_slice(part.values);
        Ok(())
    })?;
    Ok(read)
}

/// Reads the wanted tensors part by part, in the file's order. What was taken may be used only if this succeeds: the
/// checksum is known at the end.
///
/// # Errors
/// As for [`read_tensors`]; what `take` says becomes a [`ModelError::BadFile`].
pub(crate) fn read_parts(
    dir: &Path,
    entry: &FileEntry,
    model: &str,
    wanted: &[Wanted],
    take: &mut dyn FnMut(&Part<'_>) -> Result<(), String>,
) -> Result<(), ModelError> {
    let path = dir.join(&entry.path);
    let file = File::open(&path).map_err(|error| ModelError::io("open", &path, error))?;
    std::thread::scope(|scope| {
        // Beside the reading, as it takes as long as all the rest: what was read goes there, and comes back to be filled.
        let (hash, read) = mpsc::sync_channel::<Vec<u8>>(HASHED_LATER);
        let (give_back, hashed) = mpsc::channel();
        let hashing = scope.spawn(move || {
            let mut digest = Sha256::new();
            for bytes in read {
                digest.update(&bytes);
                // Nobody wants it once the file has been read.
                let _ = give_back.send(bytes);
            }
            digest.finalize().to_vec()
        });
        let mut reader = Hashing { file, hash, hashed, floats: Vec::new(), path: &path };
        let taken = reader.tensors(wanted, take);
        reader.finish()?;
        let digest = hashing.join().map_err(|_| ModelError::Thread("the one that hashes weights ended".into()))?;
        // A damaged file is better named by its checksum than by the first oddity that follows from it.
        check_sum(&path, entry, model, &digest)?;
        taken
    })
}

/// Bytes that are read at a time. Two of them, as bytes and as floats, fit in a core's second-level cache.
const SLICE: usize = 512 << 10;

/// Slices that wait to be hashed, at most.
const HASHED_LATER: usize = 4;

struct Hashing<'a> {
    file: File,
    /// Takes all bytes of the file, in order.
    hash: mpsc::SyncSender<Vec<u8>>,
    /// Gives their memory back.
    hashed: mpsc::Receiver<Vec<u8>>,
    /// The values of a slice.
    floats: Vec<f32>,
    path: &'a Path,
}

impl Hashing<'_> {
    fn bad(&self, problem: impl Into<String>) -> ModelError {
        ModelError::bad_file(self.path, problem)
    }

    /// Reads up to `bytes`, fewer only at the file's end. They are the caller's to pass to [`Hashing::hash`].
    fn up_to(&mut self, bytes: usize) -> Result<Vec<u8>, ModelError> {
        let mut buffer = self.hashed.try_recv().unwrap_or_default();
        buffer.resize(bytes, 0);
        let mut filled = 0;
        while filled < bytes {
            match self.file.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(ModelError::io("read", self.path, error)),
            }
        }
        buffer.truncate(filled);
        Ok(buffer)
    }

    /// Reads the next `bytes`, to be passed on as above; what was read before a file's early end is passed on here.
    fn next(&mut self, bytes: usize) -> Result<Vec<u8>, ModelError> {
        let buffer = self.up_to(bytes)?;
        if buffer.len() < bytes {
            self.hash(buffer);
            return Err(self.bad("ends too early"));
        }
        Ok(buffer)
    }

    fn hash(&self, bytes: Vec<u8>) {
        // The other end is there as long as this is: should its thread have died, joining it will say so.
        let _ = self.hash.send(bytes);
    }

    /// Bytes between here and the file's end; never allocate more than that on a header's word.
    fn left(&mut self) -> Result<u64, ModelError> {
        let length = self.file.metadata().map(|found| found.len());
        length
            .and_then(|length| Ok(length.saturating_sub(self.file.stream_position()?)))
            .map_err(|error| ModelError::io("read", self.path, error))
    }

    /// Hashes what is left.
    fn finish(mut self) -> Result<(), ModelError> {
        loop {
            let buffer = self.up_to(SLICE)?;
            if buffer.is_empty() {
                return Ok(());
            }
            self.hash(buffer);
        }
    }

    fn tensors(
        &mut self,
        wanted: &[Wanted],
        take: &mut dyn FnMut(&Part<'_>) -> Result<(), String>,
    ) -> Result<(), ModelError> {
        let header = self.header()?;
        let names = self.find(&header, wanted)?;
        let mut in_order: Vec<_> = header.iter().collect();
        in_order.sort_by_key(|(_, tensor)| tensor.data_offsets);
        let room = self.left()?;
        let mut at = 0;
        for (name, tensor) in in_order {
            let (begin, end) = tensor.data_offsets;
            if begin != at || end < begin {
                return Err(self.bad(format!("tensor `{name}` lies at {begin}..{end}, expected it at {at}")));
            }
            at = end;
            let bytes = usize::try_from(end - begin).map_err(|_| self.bad("is too large"))?;
            if end > room {
                return Err(self.bad(format!("ends before tensor `{name}` does")));
            }
            match names.get(name) {
                Some((want, dtype)) => self.tensor(name, bytes, (want, *dtype), take)?,
                None => self.pass_over(bytes)?,
            }
        }
        Ok(())
    }

    /// Reads a tensor that is wanted.
    fn tensor(
        &mut self,
        name: &str,
        bytes: usize,
        (want, dtype): (&Wanted, Dtype),
        take: &mut dyn FnMut(&Part<'_>) -> Result<(), String>,
    ) -> Result<(), ModelError> {
        let mut done = 0;
        while done < bytes {
            // Whole values: a slice's length is a multiple of any value's, and so is a tensor's, as was checked.
            let buffer = self.next(SLICE.min(bytes - done))?;
            let mut floats = std::mem::take(&mut self.floats);
            dtype.read(&buffer, &mut floats);
            let largest = self.check_values(name, &floats, done / dtype.bytes() as usize);
            done += buffer.len();
            self.hash(buffer);
            let part = Part { name: &want.name, shape: &want.shape, values: &floats, largest: largest? };
            take(&part).map_err(|problem| self.bad(problem))?;
            self.floats = floats;
        }
        Ok(())
    }

    fn pass_over(&mut self, bytes: usize) -> Result<(), ModelError> {
        let mut done = 0;
        while done < bytes {
            let buffer = self.next(SLICE.min(bytes - done))?;
            done += buffer.len();
            self.hash(buffer);
        }
        Ok(())
    }

    /// The wanted tensors by their names in the file.
    fn find<'w>(
        &self,
        header: &BTreeMap<String, TensorHeader>,
        wanted: &'w [Wanted],
    ) -> Result<BTreeMap<String, (&'w Wanted, Dtype)>, ModelError> {
        let mut names = BTreeMap::new();
        for want in wanted {
            let candidates = [want.name.clone(), format!("bert.{}", want.name)];
            let Some(name) = candidates.into_iter().find(|name| header.contains_key(name)) else {
                return Err(self.bad(format!("lacks tensor `{}` of shape {:?}", want.name, want.shape)));
            };
            let dtype = self.check_tensor(&name, &header[&name], want)?;
            names.insert(name, (want, dtype));
        }
        Ok(names)
    }

    fn header(&mut self) -> Result<BTreeMap<String, TensorHeader>, ModelError> {
        let bytes = self.next(8)?;
        let length = bytes.iter().rev().fold(0, |length: u64, &byte| length << 8 | u64::from(byte));
        self.hash(bytes);
        if length > MAX_HEADER_BYTES {
            return Err(self.bad(format!(
                "is no safetensors file: its header claims {length} bytes, at most {MAX_HEADER_BYTES} are accepted"
            )));
        }
        let text = self.next(length as usize)?;
        let header = serde_json::from_slice(&text);
        self.hash(text);
        let mut header: BTreeMap<String, serde_json::Value> =
            header.map_err(|error| self.bad(format!("has a broken safetensors header: {error}")))?;
        header.remove("__metadata__");
        header
            .into_iter()
            .map(|(name, value)| {
                serde_json::from_value(value)
                    .map_err(|error| self.bad(format!("has a broken entry for tensor `{name}`: {error}")))
                    .map(|tensor| (name, tensor))
            })
            .collect()
    }

    /// The largest value, without its sign; `before` is how many of the tensor's came earlier.
    fn check_values(&self, name: &str, values: &[f32], before: usize) -> Result<f32, ModelError> {
        // As integers, floats without a sign are in the same order, and these the compiler compares many at a time.
        let largest = values.iter().fold(0i32, |largest, value| largest.max(value.abs().to_bits() as i32));
        let largest = f32::from_bits(largest as u32);
        if largest.is_finite() {
            return Ok(largest);
        }
        let bad = values.iter().enumerate().find(|(_, value)| !value.is_finite());
        let (at, value) = bad.unwrap_or((0, &f32::NAN));
        Err(self.bad(format!("tensor `{name}` has {value} as its value number {}", before + at)))
    }

    fn check_tensor(&self, name: &str, tensor: &TensorHeader, want: &Wanted) -> Result<Dtype, ModelError> {
        let Some(dtype) = Dtype::named(&tensor.dtype) else {
            return Err(self.bad(format!("tensor `{name}` has type {}, expected F32, F16 or BF16", tensor.dtype)));
        };
        if tensor.shape != want.shape {
            return Err(self.bad(format!(
                "tensor `{name}` has shape {:?}, expected {:?} as the model's configuration asks for",
                tensor.shape, want.shape
            )));
        }
        // The shape is ours by now, so its product cannot overflow.
        let bytes = want.shape.iter().product::<usize>() as u64 * dtype.bytes();
        let (begin, end) = tensor.data_offsets;
        if end.checked_sub(begin) != Some(bytes) {
            return Err(self.bad(format!(
                "tensor `{name}` of shape {:?} lies at {begin}..{end}, expected {bytes} bytes",
                want.shape
            )));
        }
        Ok(dtype)
    }
}

/// The types of float that weights are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dtype {
    F32,
    F16,
    Bf16,
}

impl Dtype {
    /// By the name in a safetensors header.
    fn named(name: &str) -> Option<Dtype> {
        match name {
            "F32" => Some(Dtype::F32),
            "F16" => Some(Dtype::F16),
            "BF16" => Some(Dtype::Bf16),
            _ => None,
        }
    }

    /// Bytes of one value.
    fn bytes(self) -> u64 {
        match self {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::Bf16 => 2,
        }
    }

    /// Little-endian bytes as 32-bit floats, in place of what `floats` held; every value of the shorter types is one
    /// exactly.
    fn read(self, bytes: &[u8], floats: &mut Vec<f32>) {
        floats.clear();
        let halves = || bytes.as_chunks::<2>().0.iter().map(|two| u16::from_le_bytes(*two));
        match self {
            Dtype::F32 => floats.extend(bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four))),
            Dtype::F16 => floats.extend(halves().map(from_f16)),
            Dtype::Bf16 => floats.extend(halves().map(|bits| f32::from_bits(u32::from(bits) << 16))),
        }
    }
}

/// A 16-bit IEEE float: 1 bit of sign, 5 of exponent with bias 15, 10 of fraction.
fn from_f16(bits: u16) -> f32 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (u32::from(bits >> 10 & 0x1f), u32::from(bits & 0x3ff));
    let size = match exponent {
        // Without the leading 1: multiples of 2⁻²⁴.
        0 => fraction as f32 / (1 << 24) as f32,
        0x1f => f32::from_bits(0xff << 23 | fraction << 13),
        _ => f32::from_bits((exponent + 112) << 23 | fraction << 13),
    };
    sign * size
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
        let mut floats = vec![9.0];
        dtype.read(bytes, &mut floats);
        floats
    }

    #[test]
    fn short_floats_become_the_same_long_ones() {
        for (bits, value) in [
            (0x0000, 0.0f32),
            (0x8000, -0.0),
            (0x3c00, 1.0),
            (0xc100, -2.5),
            (0x7bff, 65_504.0),
            (0x0400, 6.103_515_6e-5),
            (0x0001, 5.960_464_5e-8),
            (0x83ff, -6.097_555e-5),
            (0x3555, 0.333_251_95),
        ] {
            let got = values(Dtype::F16, &u16::to_le_bytes(bits));
            assert_eq!(got[0].to_bits(), value.to_bits(), "{bits:#06x}: {} {value}", got[0]);
        }
        assert!(from_f16(0x7e00).is_nan() && from_f16(0x7c00) == f32::INFINITY && from_f16(0xfc00) < f32::MIN);
        assert_eq!(values(Dtype::Bf16, &[0x80, 0x3f, 0x20, 0xc0]), [1.0, -2.5]);
    }
}
