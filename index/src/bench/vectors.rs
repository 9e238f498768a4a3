//! [`Vectors`]: a table of vectors of one width, in one piece of memory.

use std::fs;
use std::io;
use std::path::Path;

/// Vectors of one width, by number from 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Vectors {
    width: usize,
    numbers: Vec<f32>,
}

impl Vectors {
    /// None yet, of `width` numbers each.
    pub fn new(width: usize) -> Vectors {
        Vectors { width, numbers: Vec::new() }
    }

    /// Reads a file of little-endian f32 without a header (as `models/examples/embed_lines.rs` writes it), making every
    /// vector's length 1.
    ///
    /// # Errors
    /// What the system says; a file that is empty, or no multiple of `width` long.
    pub fn read(path: &Path, width: usize) -> io::Result<Vectors> {
        let named = |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", path.display()));
        let bytes =
            fs::read(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        let row = width * 4;
        if bytes.is_empty() || bytes.len() % row != 0 {
            return Err(named(format!("has {} bytes, expected a multiple of {row} ({width} numbers)", bytes.len())));
        }
        let mut vectors = Vectors::new(width);
        vectors.numbers.reserve_exact(bytes.len() / 4);
        let (words, _) = bytes.as_chunks::<4>();
        vectors.numbers.extend(words.iter().map(|word| f32::from_le_bytes(*word)));
        for number in 0..vectors.len() {
            if !normalise(&mut vectors.numbers[number * width..][..width]) {
                return Err(named(format!("vector {number} has no direction")));
            }
        }
        Ok(vectors)
    }

    /// Adds a vector with its length made 1; one without a direction is left out, which the answer says.
    pub fn push(&mut self, vector: &[f32]) -> bool {
        debug_assert_eq!(vector.len(), self.width, "vectors of one table have one width");
        let begin = self.numbers.len();
        self.numbers.extend_from_slice(vector);
        let good = normalise(&mut self.numbers[begin..]);
        if !good {
            self.numbers.truncate(begin);
        }
        good
    }

    /// Makes room for `count` in all, so that growing copies nothing.
    pub fn reserve(&mut self, count: usize) {
        self.numbers.reserve_exact((count * self.width).saturating_sub(self.numbers.len()));
    }

    /// Keeps the first `count`.
    pub fn truncate(&mut self, count: usize) {
        self.numbers.truncate(count.saturating_mul(self.width));
    }

    /// Those from number `from` on.
    pub fn split_off(&mut self, from: usize) -> Vectors {
        let begin = (from * self.width).min(self.numbers.len());
        Vectors { width: self.width, numbers: self.numbers.split_off(begin) }
    }

    /// Numbers in a vector.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.numbers.len() / self.width
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The vector of this number.
    ///
    /// # Panics
    /// There is none.
    pub fn get(&self, number: usize) -> &[f32] {
        &self.numbers[number * self.width..][..self.width]
    }

    /// All, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f32]> + Clone {
        self.numbers.chunks_exact(self.width)
    }

    pub(super) fn numbers(&self) -> &[f32] {
        &self.numbers
    }
}

/// Makes the length 1; false when there is none to begin with.
pub(super) fn normalise(vector: &mut [f32]) -> bool {
    let norm = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    if !norm.is_finite() || norm == 0.0 {
        return false;
    }
    vector.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_back_as_unit_vectors_and_a_wrong_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v.f32");
        let bytes = |numbers: &[f32]| numbers.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        fs::write(&path, bytes(&[3.0, 4.0, 0.0, 2.0])).unwrap();
        let vectors = Vectors::read(&path, 2).unwrap();
        assert_eq!((vectors.len(), vectors.get(0), vectors.get(1)), (2, &[0.6, 0.8][..], &[0.0, 1.0][..]));
        for (numbers, word) in
            [(&[][..], "0 bytes"), (&[1.0, 2.0, 3.0][..], "12 bytes"), (&[0.0, 0.0][..], "direction")]
        {
            fs::write(&path, bytes(numbers)).unwrap();
            let text = Vectors::read(&path, 2).unwrap_err().to_string();
            assert!(text.contains(word) && text.contains("v.f32"), "{text}");
        }
        assert!(Vectors::read(&dir.path().join("none"), 2).unwrap_err().to_string().contains("none"));
    }
}
