//! [`enlarge`]: many vectors from few. A new one lies between two near ones, with some noise: where sentences are many it makes
//! many, and none where there are none. Random vectors would have no neighbours at all.

use super::dice::Dice;
use super::exact::dot;
use super::vectors::Vectors;

/// Neighbours from which a row's partners are drawn.
const NEAR: usize = 4;

/// Random trees in which neighbours are sought, and rows in a leaf: among those all are compared.
const TREES: usize = 2;
const LEAF: usize = 64;

/// At most so many rows for each that there was; then neighbours are sought anew, among the new ones too.
const GROWTH: usize = 8;

/// Length of the noise on a new row of length 1.
const NOISE: (f32, f32) = (0.1, 0.35);

/// Adds rows until there are `count`. The same rows, count and seed give the same on every run. Nothing is added to no
/// rows at all.
pub fn enlarge(vectors: &mut Vectors, count: usize, seed: u64) {
    let mut dice = Dice(seed);
    vectors.reserve(count);
    while vectors.len() < count && !vectors.is_empty() {
        let old = vectors.len();
        let near = neighbours(vectors, &mut dice);
        while vectors.len() < count.min(old * GROWTH) {
            let row = dice.below(old);
            let partner = near[row][dice.below(NEAR)] as usize;
            let share = dice.between(0.2, 0.8);
            let mut between: Vec<f32> =
                vectors.get(row).iter().zip(vectors.get(partner)).map(|(a, b)| a + share * (b - a)).collect();
            let amount = dice.between(NOISE.0, NOISE.1);
            add_noise(&mut between, amount, &mut dice);
            vectors.push(&between);
        }
    }
}

/// A copy of a vector with noise of length `amount`, length 1 again: cosine about 1 / √(1 + amount²) to it.
pub fn perturbed(vector: &[f32], amount: f32, dice: &mut Dice) -> Vec<f32> {
    let mut copy = vector.to_vec();
    add_noise(&mut copy, amount, dice);
    super::vectors::normalise(&mut copy);
    copy
}

fn add_noise(vector: &mut [f32], amount: f32, dice: &mut Dice) {
    let scale = amount / (vector.len() as f32).sqrt();
    vector.iter_mut().for_each(|x| *x += dice.normal() * scale);
}

/// The best few of each row among those that share a leaf with it in some tree; itself where there is no other.
fn neighbours(vectors: &Vectors, dice: &mut Dice) -> Vec<[u32; NEAR]> {
    let mut near: Vec<[(f32, u32); NEAR]> = (0..vectors.len() as u32).map(|row| [(-2.0, row); NEAR]).collect();
    for _ in 0..TREES {
        let mut rows: Vec<u32> = (0..vectors.len() as u32).collect();
        split(&mut rows, vectors, dice, &mut |leaf| compare(leaf, vectors, &mut near));
    }
    near.iter().map(|best| best.map(|(_, row)| row)).collect()
}

/// Halves the rows along the line between two of them, until leaves are left.
fn split(rows: &mut [u32], vectors: &Vectors, dice: &mut Dice, leaf: &mut dyn FnMut(&[u32])) {
    if rows.len() <= LEAF {
        return leaf(rows);
    }
    let (a, b) = (rows[dice.below(rows.len())] as usize, rows[dice.below(rows.len())] as usize);
    let line: Vec<f32> = vectors.get(a).iter().zip(vectors.get(b)).map(|(x, y)| x - y).collect();
    let mut along: Vec<(f32, u32)> = rows.iter().map(|row| (dot(&line, vectors.get(*row as usize)), *row)).collect();
    let middle = along.len() / 2;
    along.select_nth_unstable_by(middle, |x, y| x.0.total_cmp(&y.0).then(x.1.cmp(&y.1)));
    rows.iter_mut().zip(&along).for_each(|(row, (_, sorted))| *row = *sorted);
    let (low, high) = rows.split_at_mut(middle);
    split(low, vectors, dice, leaf);
    split(high, vectors, dice, leaf);
}

fn compare(leaf: &[u32], vectors: &Vectors, near: &mut [[(f32, u32); NEAR]]) {
    for (at, &a) in leaf.iter().enumerate() {
        for &b in &leaf[at + 1..] {
            let likeness = dot(vectors.get(a as usize), vectors.get(b as usize));
            offer(&mut near[a as usize], likeness, b);
            offer(&mut near[b as usize], likeness, a);
        }
    }
}

/// Keeps the best, each once.
fn offer(best: &mut [(f32, u32); NEAR], likeness: f32, row: u32) {
    let worst = best.len() - 1;
    if likeness > best[worst].0 && best.iter().all(|(_, known)| *known != row) {
        best[worst] = (likeness, row);
        best.sort_unstable_by(|x, y| y.0.total_cmp(&x.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn few() -> Vectors {
        let (mut dice, mut vectors) = (Dice(1), Vectors::new(16));
        for _ in 0..100 {
            let numbers: Vec<f32> = (0..16).map(|_| dice.normal()).collect();
            vectors.push(&numbers);
        }
        vectors
    }

    #[test]
    fn the_same_seed_gives_the_same_rows_and_the_first_stay() {
        let (mut one, mut other) = (few(), few());
        enlarge(&mut one, 2000, 7);
        enlarge(&mut other, 2000, 7);
        assert_eq!(one, other);
        assert_eq!(one.len(), 2000);
        assert!(one.iter().take(100).eq(few().iter()));
        enlarge(&mut other, 10, 7);
        assert_eq!(other.len(), 2000, "it never takes any away");
    }

    #[test]
    fn new_rows_have_neighbours_and_length_one() {
        let mut vectors = few();
        enlarge(&mut vectors, 800, 3);
        for row in vectors.iter().skip(100) {
            assert!((dot(row, row) - 1.0).abs() < 1e-5);
            let best = vectors.iter().take(100).map(|real| dot(row, real)).fold(-1.0, f32::max);
            assert!(best > 0.55, "a row far from all: {best}");
        }
    }

    #[test]
    fn one_row_or_none_is_no_problem() {
        let mut none = Vectors::new(4);
        enlarge(&mut none, 10, 1);
        assert!(none.is_empty());
        none.push(&[1.0, 0.0, 0.0, 0.0]);
        enlarge(&mut none, 100, 1);
        assert_eq!(none.len(), 100);
    }
}
