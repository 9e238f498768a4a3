//! `Topics`: which of several sets of example questions a question is nearest to. Pure numbers: the vectors come from elsewhere.

use simsimd::SpatialSimilarity;
use std::fmt;

/// Sets of examples, as unit vectors.
#[derive(Clone, PartialEq)]
pub struct Topics {
    width: usize,
    /// All examples, one behind the other, set by set.
    rows: Vec<f32>,
    sets: Vec<Set>,
}

#[derive(Clone, PartialEq, Debug)]
struct Set {
    name: String,
    at_least: f32,
    /// The place behind its last row.
    end: usize,
}

/// One set of examples, and how near it is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Near<'t> {
    /// The topic's name.
    pub name: &'t str,
    /// Cosine to the nearest of its examples.
    pub cosine: f32,
    /// It is near enough for the question to be of this topic.
    pub reached: bool,
}

/// Rows can be many: they are no use in a log.
impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topics").field("width", &self.width).field("sets", &self.sets).finish_non_exhaustive()
    }
}

impl Topics {
    /// No topics yet, for vectors with `width` components.
    pub fn new(width: usize) -> Topics {
        Topics { width, rows: Vec::new(), sets: Vec::new() }
    }

    /// Adds a topic: its questions have a cosine of at least `at_least` to one of `examples`. The error says which of these cannot
    /// be compared.
    pub fn add<'v>(
        &mut self,
        name: &str,
        at_least: f32,
        examples: impl Iterator<Item = &'v [f32]>,
    ) -> Result<(), String> {
        for (at, vector) in examples.enumerate() {
            if vector.len() != self.width || !vector.iter().all(|component| component.is_finite()) {
                let (found, width) = (vector.len(), self.width);
                return Err(format!(
                    "example {at} of topic `{name}` has no vector of {width} finite components, but {found}"
                ));
            }
            self.rows.extend_from_slice(vector);
        }
        let end = self.rows.len().checked_div(self.width).unwrap_or_default();
        self.sets.push(Set { name: name.to_owned(), at_least, end });
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sets.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// The nearest topic that `vector` reaches, or else the nearest of all; of several as near the first. `None`: there are none,
    /// or it cannot be compared.
    pub fn nearest(&self, vector: &[f32]) -> Option<Near<'_>> {
        if vector.len() != self.width {
            return None;
        }
        let mut rows = self.rows.chunks_exact(self.width);
        let mut begin = 0;
        let mut best: Option<Near<'_>> = None;
        for set in &self.sets {
            let cosines = rows.by_ref().take(set.end - begin).map(|row| dot(row, vector));
            let cosine = cosines.fold(f32::NEG_INFINITY, f32::max);
            begin = set.end;
            let near = Near { name: &set.name, cosine, reached: cosine >= set.at_least };
            if best.is_none_or(|best| (near.reached, near.cosine) > (best.reached, best.cosine)) {
                best = Some(near);
            }
        }
        best.filter(|near| near.cosine.is_finite())
    }

    /// All topics that `vector` reaches.
    pub fn reached<'t>(&'t self, vector: &'t [f32]) -> impl Iterator<Item = &'t str> {
        let mut begin = 0;
        let fits = vector.len() == self.width;
        self.sets.iter().filter(move |_| fits).filter_map(move |set| {
            let rows = self.rows.chunks_exact(self.width).skip(begin).take(set.end - begin);
            begin = set.end;
            let near = rows.map(|row| dot(row, vector)).fold(f32::NEG_INFINITY, f32::max);
            (near >= set.at_least).then_some(set.name.as_str())
        })
    }

    /// The topic of a question; the empty text where it is of none.
    pub fn of(&self, vector: &[f32]) -> Option<&str> {
        self.nearest(vector).map(|near| if near.reached { near.name } else { "" })
    }
}

/// The cosine of two unit vectors of one length.
fn dot(one: &[f32], other: &[f32]) -> f32 {
    // It only declines slices of different lengths.
    f32::dot(one, other).map_or(f32::NAN, |dot| dot as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(sets: &[(&str, f32, &[[f32; 2]])]) -> Topics {
        let mut topics = Topics::new(2);
        for (name, at_least, examples) in sets {
            topics.add(name, *at_least, examples.iter().map(<[f32; 2]>::as_slice)).unwrap();
        }
        topics
    }

    #[test]
    fn the_nearest_set_that_is_reached_is_the_topic() {
        let sets: [(&str, f32, &[[f32; 2]]); 3] =
            [("up", 0.7, &[[0.0, 1.0]]), ("right", 0.95, &[[1.0, 0.0], [0.8, 0.6]]), ("left", 0.0, &[[-1.0, 0.0]])];
        let topics = topics(&sets);
        let table = [
            ([0.0, 1.0], "up"),
            ([0.8, 0.6], "right"),
            // Nearer to the right, but not near enough; up is.
            ([0.6, 0.8], "right"),
            ([0.5, 0.866_025_4], "up"),
            ([-0.8, 0.6], "left"),
            ([-0.6, 0.8], "up"),
            ([0.6, -0.8], ""),
        ];
        for (vector, expected) in table {
            assert_eq!(topics.of(&vector), Some(expected), "{vector:?}");
        }
        let near = topics.nearest(&[0.6, -0.8]).unwrap();
        assert_eq!((near.name, near.reached), ("right", false));
        assert!((near.cosine - 0.6).abs() < 1e-6);
    }

    #[test]
    fn of_two_as_near_the_first_is_taken_and_what_cannot_be_compared_has_none() {
        let topics = topics(&[("one", 0.5, &[[1.0, 0.0]]), ("two", 0.5, &[[1.0, 0.0]])]);
        assert_eq!(topics.of(&[1.0, 0.0]), Some("one"));
        assert_eq!(topics.of(&[1.0]), None);
        assert_eq!(topics.of(&[f32::NAN, 0.0]), None);
        assert_eq!(Topics::new(2).of(&[1.0, 0.0]), None);
    }

    #[test]
    fn what_is_no_vector_is_refused() {
        for bad in [&[1.0][..], &[f32::NAN, 0.0], &[f32::INFINITY, 0.0], &[]] {
            let why = Topics::new(2).add("t", 0.5, [&[1.0, 0.0][..], bad].into_iter()).unwrap_err();
            assert!(why.starts_with("example 1 of topic `t`"), "{why}");
        }
    }
}
