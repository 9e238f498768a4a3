//! Labelled questions → a model, its threshold, and a report on questions that it was not trained on.

use super::logistic::{self, Fitted};
use super::{Complexity, FORMAT, Report, features};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Folds that are each held out once.
const FOLDS: usize = 5;
/// Questions of each label without which nothing is learned.
const LEAST: usize = 2 * FOLDS;
/// Penalties that are tried.
const PENALTIES: [f64; 4] = [1.0, 10.0, 100.0, 1000.0];

/// One labelled question.
#[derive(Clone, Copy, Debug)]
pub struct Row<'r> {
    /// Its embedding.
    pub vector: &'r [f32],
    /// Its text.
    pub text: &'r str,
    /// It needs the stronger model.
    pub hard: bool,
}

/// How to train.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The sentence model's name.
    pub model: String,
    /// The share of hard questions that is allowed among those sent to the cheap model.
    pub max_loss: f64,
    /// Decides about folds.
    pub seed: u64,
}

/// How well labelled questions are told apart.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The probability that a hard question is told to be harder than one that is not.
    pub auc: f64,
    /// The share whose label is told right at the threshold.
    pub accuracy: f64,
    /// The share that is sent to the cheap model.
    pub cheap_share: f64,
    /// The share of hard questions among these.
    pub wrong_share: f64,
}

/// A question that was not trained on.
#[derive(Clone, Copy, Debug)]
struct Held {
    p: f64,
    hard: bool,
    fold: usize,
}

/// Trains on `rows`. The error says why nothing can be learned of them.
pub fn train(rows: &[Row<'_>], settings: &Settings) -> Result<Complexity, String> {
    let width = check(rows, settings)?;
    let inputs: Vec<Vec<f64>> = rows.iter().map(input).collect();
    let samples: Vec<(&[f64], bool)> =
        inputs.iter().zip(rows).map(|(input, row)| (input.as_slice(), row.hard)).collect();
    let folds = folds(rows, settings.seed);
    let tried = PENALTIES.map(|penalty| {
        let held = held_out(&samples, &folds, penalty);
        (penalty, log_loss(&held), held)
    });
    let best = tried.into_iter().min_by(|one, other| one.1.total_cmp(&other.1));
    let (penalty, _, held) = best.ok_or("there is no penalty to try")?;
    let Fitted { weights, bias } = logistic::fit(&samples, penalty);
    let report = Report {
        rows: rows.len(),
        hard: rows.iter().filter(|row| row.hard).count(),
        folds: FOLDS,
        seed: settings.seed,
        penalty,
        max_loss: settings.max_loss,
        held_out: by_other_folds(&held, settings.max_loss),
    };
    let trained = Complexity {
        format: FORMAT.to_owned(),
        model: settings.model.clone(),
        width,
        features: features::NAMES.map(str::to_owned).into(),
        weights,
        bias,
        threshold: threshold(held.iter().map(|one| (one.p, one.hard)), settings.max_loss),
        report,
    };
    trained.checked()
}

/// How well `model` tells `rows` apart. The error says which of them it cannot read.
pub fn measured(model: &Complexity, rows: &[Row<'_>]) -> Result<Measured, String> {
    let told = |row: &Row<'_>| {
        let p = model.of(row.vector, row.text).ok_or("a vector is not of the width of the model's")?;
        Ok((p, row.hard, model.is_hard(p)))
    };
    let told: Vec<(f64, bool, bool)> = rows.iter().map(told).collect::<Result<_, String>>()?;
    Ok(figures(&told))
}

/// The width of the vectors. An error where nothing can be learned.
fn check(rows: &[Row<'_>], settings: &Settings) -> Result<usize, String> {
    if !(0.0..1.0).contains(&settings.max_loss) {
        return Err(format!(
            "expected a share from 0 to below 1 as the loss that is allowed, found {}",
            settings.max_loss
        ));
    }
    // A question that is there often is held out as one.
    let distinct =
        |hard: bool| rows.iter().filter(|row| row.hard == hard).map(|row| row.text).collect::<HashSet<_>>().len();
    let (hard, easy) = (distinct(true), distinct(false));
    if hard < LEAST || easy < LEAST {
        return Err(format!(
            "expected at least {LEAST} different questions that are hard and {LEAST} that are not, found {hard} and {easy}"
        ));
    }
    let width = rows.first().map_or(0, |row| row.vector.len());
    let fits = |row: &Row<'_>| row.vector.len() == width && row.vector.iter().all(|component| component.is_finite());
    match width > 0 && rows.iter().all(fits) {
        true => Ok(width),
        false => Err("the vectors are not all of one width and finite".to_owned()),
    }
}

fn input(row: &Row<'_>) -> Vec<f64> {
    row.vector.iter().map(|component| f64::from(*component)).chain(features::of(row.text)).collect()
}

/// The fold of each row: at random, about the same share of each label in each, and a question that is there twice in one.
fn folds(rows: &[Row<'_>], seed: u64) -> Vec<usize> {
    let key = |row: &Row<'_>| row.text.trim().to_lowercase();
    let mut labels: HashMap<String, bool> = HashMap::new();
    for row in rows {
        labels.entry(key(row)).or_insert(row.hard);
    }
    // By label and hash: the order is none of the rows' own.
    let drawn: BTreeSet<(bool, u64, String)> =
        labels.into_iter().map(|(text, hard)| (hard, hash(&text, seed), text)).collect();
    let dealt: HashMap<String, usize> =
        drawn.into_iter().enumerate().map(|(at, (_, _, text))| (text, at % FOLDS)).collect();
    rows.iter().map(|row| dealt.get(&key(row)).copied().unwrap_or_default()).collect()
}

fn hash(text: &str, seed: u64) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(text.as_bytes());
    hasher.finalize().as_bytes().first_chunk().map_or(0, |head| u64::from_le_bytes(*head))
}

/// Every question as it is told by a model of the other folds.
fn held_out(samples: &[(&[f64], bool)], folds: &[usize], penalty: f64) -> Vec<Held> {
    let of = |fold: usize| {
        let others: Vec<(&[f64], bool)> =
            samples.iter().zip(folds).filter(|(_, at)| **at != fold).map(|(sample, _)| *sample).collect();
        logistic::fit(&others, penalty)
    };
    let fitted: Vec<Fitted> = (0..FOLDS).map(of).collect();
    let held = |((input, hard), fold): (&(&[f64], bool), &usize)| {
        fitted.get(*fold).map(|fitted| Held { p: fitted.of(input), hard: *hard, fold: *fold })
    };
    samples.iter().zip(folds).filter_map(held).collect()
}

fn log_loss(held: &[Held]) -> f64 {
    let off = |one: &Held| -(if one.hard { one.p } else { 1.0 - one.p }).max(1e-12).ln();
    held.iter().map(off).sum::<f64>() / held.len().max(1) as f64
}

/// Figures of held-out questions, those of a fold at the threshold that the others give.
fn by_other_folds(held: &[Held], max_loss: f64) -> Measured {
    let threshold_for =
        |fold: usize| threshold(held.iter().filter(|one| one.fold != fold).map(|one| (one.p, one.hard)), max_loss);
    let thresholds: Vec<f64> = (0..FOLDS).map(threshold_for).collect();
    let told: Vec<(f64, bool, bool)> = held
        .iter()
        .map(|one| (one.p, one.hard, thresholds.get(one.fold).is_none_or(|least| one.p >= *least)))
        .collect();
    figures(&told)
}

/// The probability from which on a question is hard: the one that sends most to the cheap model while no more than `max_loss` of
/// that is hard. Zero where there is none: then every question is.
fn threshold(told: impl Iterator<Item = (f64, bool)>, max_loss: f64) -> f64 {
    let mut told: Vec<(f64, bool)> = told.collect();
    told.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (mut hard, mut sent) = (0usize, 0usize);
    for (at, (p, is_hard)) in told.iter().enumerate() {
        hard += usize::from(*is_hard);
        let next = told.get(at + 1).map_or(1.0, |next| next.0);
        // What is told alike goes the same way.
        if *p < next && hard as f64 <= max_loss * (at + 1) as f64 {
            sent = at + 1;
        }
    }
    match (sent.checked_sub(1).and_then(|last| told.get(last)), told.get(sent)) {
        (None, _) => 0.0,
        (Some((last, _)), Some((next, _))) => {
            let between = last + (next - last) / 2.0;
            if between > *last { between } else { *next }
        }
        (Some(_), None) => 1.0,
    }
}

/// Figures of questions: probability, whether they are hard, and whether they are told to be.
fn figures(told: &[(f64, bool, bool)]) -> Measured {
    let share = |part: usize, of: usize| if of == 0 { 0.0 } else { part as f64 / of as f64 };
    let count = |is: &dyn Fn(bool, bool) -> bool| told.iter().filter(|(_, hard, said)| is(*hard, *said)).count();
    let cheap = count(&|_, said| !said);
    Measured {
        auc: auc(told.iter().map(|(p, hard, _)| (*p, *hard))),
        accuracy: share(count(&|hard, said| hard == said), told.len()),
        cheap_share: share(cheap, told.len()),
        wrong_share: share(count(&|hard, said| hard && !said), cheap),
    }
}

/// The area under the curve: the mean rank of hard questions, ties in the middle. A half where all have one label.
fn auc(told: impl Iterator<Item = (f64, bool)>) -> f64 {
    let mut told: Vec<(f64, bool)> = told.collect();
    told.sort_by(|one, other| one.0.total_cmp(&other.0));
    let hard = told.iter().filter(|(_, hard)| *hard).count();
    let easy = told.len() - hard;
    if hard == 0 || easy == 0 {
        return 0.5;
    }
    let (mut below, mut won) = (0.0, 0.0);
    for alike in told.chunk_by(|one, other| one.0 == other.0) {
        let up = alike.iter().filter(|(_, hard)| *hard).count() as f64;
        let down = alike.len() as f64 - up;
        won += up * (below + down / 2.0);
        below += down;
    }
    won / (hard as f64 * easy as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_sends_most_while_little_of_it_is_hard() {
        let told = |labels: &str| {
            let told: Vec<(f64, bool)> =
                labels.chars().enumerate().map(|(at, label)| (at as f64 / 10.0, label == 'h')).collect();
            told.into_iter()
        };
        let table = [
            ("eeeehh", 0.0, 0.35),
            ("eeehehh", 0.2, 0.45),
            ("eeehehh", 0.19, 0.25),
            // The first is hard, and after some more that is little enough.
            ("heeeehh", 0.2, 0.45),
            ("hhee", 0.1, 0.0),
            ("eeee", 0.0, 1.0),
        ];
        for (labels, max_loss, expected) in table {
            assert!((threshold(told(labels), max_loss) - expected).abs() < 1e-9, "{labels} {max_loss}");
        }
        let alike = [(0.5, false), (0.5, false), (0.5, true)];
        assert_eq!(threshold(alike.into_iter(), 0.1), 0.0, "what is told alike is not told apart");
        assert_eq!(threshold(alike.into_iter(), 0.4), 1.0);
    }

    #[test]
    fn figures_are_counted_right() {
        let told = [(0.1, false, false), (0.2, true, false), (0.3, false, true), (0.9, true, true)];
        let Measured { auc, accuracy, cheap_share, wrong_share } = figures(&told);
        assert_eq!((auc, accuracy, cheap_share, wrong_share), (0.75, 0.5, 0.5, 0.5));
        assert_eq!(super::auc([(0.5, true), (0.5, false)].into_iter()), 0.5);
        assert_eq!(super::auc([(0.5, true)].into_iter()), 0.5);
    }

    #[test]
    fn equal_questions_are_in_one_fold_and_labels_are_dealt_evenly() {
        let texts: Vec<String> = (0..100).map(|n| format!("question {}", n / 2)).collect();
        let row = |(n, text): (usize, &String)| (text.clone(), n % 4 < 2);
        let owned: Vec<(String, bool)> = texts.iter().enumerate().map(row).collect();
        let rows: Vec<Row<'_>> = owned.iter().map(|(text, hard)| Row { vector: &[1.0], text, hard: *hard }).collect();
        let dealt = folds(&rows, 7);
        for (pair, at) in dealt.chunks(2).zip(0..) {
            assert_eq!(pair[0], pair[1], "{at}");
        }
        for fold in 0..FOLDS {
            let hard = dealt.iter().zip(&rows).filter(|(at, row)| **at == fold && row.hard).count();
            assert_eq!(hard, 10, "{fold}");
        }
        assert_ne!(dealt, folds(&rows, 8));
    }
}
