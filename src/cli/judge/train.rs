//! `askonce judge train`: weights from labelled data, and the report on them.

use super::TrainArgs;
use super::data::{self, Data};
use super::eval::calibration;
use super::fit::{Material, auc, questions};
use super::stream::{Pass, World, pass};
use super::vectors::Vectors;
use crate::cache::judgement::{Settings, Weights};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::sync::Arc;

pub(super) fn run(args: &TrainArgs) -> Result<(), String> {
    let data = data::read(&args.source.data)?;
    let vectors = Vectors::of(&data, &args.source)?;
    let questions = questions(&data);
    let near = vectors.neighbours(&data);
    let world = World { data: &data, questions: &questions, near: &near };
    let material = Material { world: &world, vectors: &vectors };
    let mut weights = material.all(&|_| false);
    weights.set_model(&args.source.model);
    let bytes = weights.to_bytes();
    let report = report(&material, &data, &weights, bytes.len());
    let write = |path: &std::path::Path, bytes: &[u8]| {
        fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
    };
    write(&args.out, &bytes)?;
    write(&args.out.with_extension("md"), report.as_bytes())?;
    print!("{report}");
    Ok(())
}

fn report(material: &Material<'_>, data: &Data, weights: &Weights, bytes: usize) -> String {
    let mut text = String::new();
    // Writing to a text cannot fail.
    let _ = writeln!(text, "# What the weights were trained on\n\nMade by `askonce judge train`; {bytes} bytes.\n");
    let _ = writeln!(text, "Fitted to the cosines of {}.\n", weights.model());
    let _ = writeln!(text, "| data | rows |\n|---|---|");
    for (file, rows) in &data.files {
        let _ = writeln!(text, "| {file} | {rows} |");
    }
    let _ = writeln!(text, "\n| set | pairs | AUC of the cosine | AUC of the trap score, on what it was trained on |");
    let _ = writeln!(text, "|---|---|---|---|");
    let mut sets: BTreeMap<&str, [Vec<(f32, bool)>; 2]> = BTreeMap::new();
    for pair in &data.pairs {
        let read = material.pair(pair);
        let [cosine, trap] = sets.entry(&pair.set).or_default();
        cosine.push((read.similarity, pair.same));
        trap.push((-weights.trap(&read), pair.same));
    }
    for (set, [cosine, trap]) in &sets {
        if auc(cosine).is_nan() {
            let _ = writeln!(text, "| {set} | {} | all of one label | |", cosine.len());
            continue;
        }
        let _ = writeln!(text, "| {set} | {} | {:.3} | {:.3} |", cosine.len(), auc(cosine), auc(trap));
    }
    let (trees, words) = weights.sizes();
    let _ = writeln!(text, "\nTrap score: {trees} trees; rarity of {words} words.\n");
    let _ = writeln!(text, "Stream score, weights of 1, s, s², ln(1 − s): {:.3?}\n", weights.stream_weights());
    let prior = weights.prior();
    let _ =
        writeln!(text, "Prior of a scope's calibration: means {:.3?}, variances {:?}\n", prior.mean, prior.variance);
    if !data.stream.is_empty() {
        let shares =
            [0.02, 0.05, 0.1, 0.2, 0.5].map(|risk| format!("{:.1} % up to {risk}", 100.0 * weights.usual_up_to(risk)));
        let _ = writeln!(text, "Usual traffic, requests by 1 − p of their best candidate: {}\n", shares.join(", "));
        let outcome = pass(material.world, &Arc::new(weights.clone()), Settings::default(), &Pass::default());
        let _ = writeln!(text, "Calibration on the stream, error budget 1 %: best candidates of requests\n");
        let _ = writeln!(text, "| probability | cases | predicted right | right |\n|---|---|---|---|");
        for [from, to, cases, predicted, right] in calibration(&outcome.calibration) {
            let _ = writeln!(text, "| {from} to {to} | {cases} | {predicted:.3} | {right:.3} |");
        }
    }
    text
}
