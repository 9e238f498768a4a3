//! What is learned of questions that can be told apart, and of those that cannot; and which files are refused.

use super::*;

/// Numbers that look random, and are the same each time.
fn noise(n: u64) -> f32 {
    let mixed = (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((mixed >> 40) as f32 / (1u32 << 24) as f32) * 2.0 - 1.0
}

/// Questions with vectors of 6 random components; what is hard has `apart` more in the first.
fn questions(count: u64, apart: f32) -> Vec<([f32; 6], String, bool)> {
    let question = |n: u64| {
        let hard = noise(n * 31 + 7) > 0.0;
        let mut vector: [f32; 6] = std::array::from_fn(|at| noise(n * 6 + at as u64 + 1_000_000));
        vector[0] += if hard { apart } else { 0.0 };
        (vector, format!("question number {n}"), hard)
    };
    (0..count).map(question).collect()
}

fn trained(questions: &[([f32; 6], String, bool)], max_loss: f64, seed: u64) -> Result<Complexity, String> {
    let rows: Vec<Row<'_>> = questions.iter().map(|(vector, text, hard)| Row { vector, text, hard: *hard }).collect();
    train(&rows, &Settings { model: "fake".to_owned(), max_loss, seed })
}

#[test]
fn questions_that_differ_are_told_apart() {
    let questions = questions(300, 3.0);
    let model = trained(&questions, 0.05, 1).unwrap();
    let held = model.report().held_out;
    assert!(held.auc > 0.99 && held.accuracy > 0.95, "{held:?}");
    assert!(held.cheap_share > 0.4 && held.wrong_share <= 0.07, "{held:?}");
    let right =
        |(vector, text, hard): &&([f32; 6], String, bool)| model.is_hard(model.of(vector, text).unwrap()) == *hard;
    assert!(questions.iter().filter(right).count() > 285);
    assert_eq!(model.of(&[0.0; 5], "x"), None);
}

#[test]
fn of_questions_that_do_not_differ_little_is_learned() {
    let model = trained(&questions(400, 0.0), 0.05, 1).unwrap();
    let held = model.report().held_out;
    assert!((held.auc - 0.5).abs() < 0.1, "{held:?}");
    assert!(held.cheap_share < 0.1, "{held:?}");
    assert_eq!(model.report().penalty, 1000.0, "all weights are nothing but chance");
}

#[test]
fn more_loss_sends_more() {
    let questions = questions(400, 0.8);
    let shares = [0.02, 0.1, 0.3].map(|max_loss| trained(&questions, max_loss, 1).unwrap().report().held_out);
    assert!(shares.is_sorted_by(|one, other| one.cheap_share < other.cheap_share), "{shares:?}");
    assert!(shares.iter().zip([0.02, 0.1, 0.3]).all(|(one, most)| one.wrong_share < most + 0.06), "{shares:?}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_whatever_the_order() {
    let mut questions = questions(120, 1.0);
    let bytes = |questions: &[_], seed| trained(questions, 0.05, seed).unwrap().to_bytes().unwrap();
    let first = bytes(&questions, 3);
    assert_eq!(first, bytes(&questions, 3));
    assert_ne!(first, bytes(&questions, 4));
    questions.reverse();
    let of = |bytes: &[u8]| Complexity::read(bytes).unwrap().of(&[0.5; 6], "question number 1").unwrap();
    assert!((of(&bytes(&questions, 3)) - of(&first)).abs() < 1e-4);
}

#[test]
fn what_nothing_can_be_learned_of_is_refused() {
    let mut questions = questions(100, 1.0);
    questions.iter_mut().for_each(|one| one.2 = true);
    let why = trained(&questions, 0.05, 1).unwrap_err();
    assert_eq!(why, "expected at least 10 different questions that are hard and 10 that are not, found 100 and 0");
    questions.iter_mut().enumerate().for_each(|(at, one)| one.2 = at % 2 == 0);
    assert!(trained(&questions[..19], 0.05, 1).unwrap_err().contains("found 10 and 9"));
    assert!(trained(&questions, 1.0, 1).unwrap_err().contains("expected a share"));
    assert!(trained(&questions, f64::NAN, 1).unwrap_err().contains("expected a share"));
    questions[3].0[2] = f32::NAN;
    assert!(trained(&questions, 0.05, 1).unwrap_err().contains("finite"));
}

#[test]
fn files_are_read_strictly() {
    let model = trained(&questions(60, 2.0), 0.05, 1).unwrap();
    let text = String::from_utf8(model.to_bytes().unwrap()).unwrap();
    let first = format!("{}", model.weights[0]);
    let table = [
        (text.replace(FORMAT, "askonce complexity 2"), "its format is `askonce complexity 2`"),
        (text.replace("\"width\": 6", "\"width\": 7"), "14 weights, which do not fit vectors of 7"),
        (text.replace("log_words", "words"), "another version"),
        (text.replace(&first, "null"), "it is no file of `askonce complexity train`: invalid type: null"),
        (text.replace(&first, "NaN"), "it is no file of `askonce complexity train`: expected value"),
        (text.replace(&first, "1e999"), "it is no file of `askonce complexity train`: number out of range"),
        (text.replace("\"bias\"", "\"bios\""), "unknown field `bios`"),
        (text.replace("\"threshold\": ", "\"threshold\": 1"), "expected one from 0 to 1"),
        ("[]".to_owned(), "it is no file of"),
        (String::new(), "it is no file of"),
        (format!("{text}{}", " ".repeat(1 << 20)), "larger than 1048576 bytes"),
    ];
    for (text, expected) in table {
        let why = Complexity::read(text.as_bytes()).unwrap_err();
        assert!(why.contains(expected), "{expected}: {why}");
    }
    assert!(model.fits("fake", 6).is_ok());
    for (name, width) in [("other", 6), ("fake", 7)] {
        let why = model.fits(name, width).unwrap_err();
        assert!(why.starts_with("it was trained on fake with 6 components"), "{why}");
    }
}
