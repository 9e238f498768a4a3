//! `askonce topics eval`: how well the configured topics tell labelled questions apart, and from which cosine on.

use super::complexity::Place;
use super::model::{loaded, vectors};
use super::rows;
use crate::config::{self, Overrides, Resolved};
use crate::routing::Topics;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measure the topics of a configuration.
#[derive(clap::Subcommand)]
pub(super) enum TopicsCommand {
    /// Print how many labelled questions get their topic, for several values of `at_least`, and with those configured.
    Eval(EvalArgs),
}

/// The data is lines of JSON: `{"question": "…", "topic": "…"}`, with the empty text for a question of no topic.
#[derive(clap::Args)]
pub(super) struct EvalArgs {
    /// The configuration with the topics (YAML).
    #[arg(long, short, env = "ASKONCE_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// The labelled questions (JSON lines, perhaps gzipped).
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// One line.
#[derive(Deserialize)]
struct Labelled {
    question: String,
    topic: String,
}

/// One question: the topic that it has, the nearest one, its cosine, and whether that is near enough as configured.
struct Told<'t> {
    topic: &'t str,
    nearest: &'t str,
    cosine: f32,
    reached: bool,
}

pub(super) fn run(command: &TopicsCommand) -> Result<ExitCode, String> {
    let TopicsCommand::Eval(args) = command;
    let settings = config::load(&args.config, &Overrides::default()).map_err(|error| error.to_string())?;
    let labelled: Vec<Labelled> = rows::read(&args.data)?;
    known(&settings, &labelled)?;
    let dir = args.place.model_dir.as_deref().or(settings.embedding.model_dir.as_deref());
    let embedder = loaded(&settings.embedding.model, dir, &args.place.store)?;
    let mut texts: Vec<&str> = settings.topics.iter().flat_map(|topic| &topic.examples).map(String::as_str).collect();
    let examples = texts.len();
    texts.extend(labelled.iter().map(|one| one.question.as_str()));
    let vectors = vectors(&embedder, &texts)?;
    let mut rest = vectors.iter().map(|vector| &**vector);
    let mut topics = Topics::new(embedder.spec().width);
    for topic in &settings.topics {
        topics.add(&topic.name, topic.at_least as f32, rest.by_ref().take(topic.examples.len()))?;
    }
    let told: Vec<Told<'_>> = labelled
        .iter()
        .zip(rest)
        .filter_map(|(one, vector)| {
            let near = topics.nearest(vector)?;
            Some(Told { topic: &one.topic, nearest: near.name, cosine: near.cosine, reached: near.reached })
        })
        .collect();
    println!(
        "{} topics, {examples} examples, {} questions; model {}",
        topics.len(),
        told.len(),
        settings.embedding.model
    );
    print!("{}", table(&told));
    Ok(ExitCode::SUCCESS)
}

/// An error where there are no topics, or a label is none of them.
fn known(settings: &Resolved, labelled: &[Labelled]) -> Result<(), String> {
    let names: BTreeSet<&str> = settings.topics.iter().map(|topic| topic.name.as_str()).collect();
    if names.is_empty() {
        return Err("the configuration has no `topics`".to_owned());
    }
    match labelled.iter().find(|one| !one.topic.is_empty() && !names.contains(one.topic.as_str())) {
        Some(one) => Err(format!("the data has a topic `{}`, which the configuration has not", one.topic)),
        None => Ok(()),
    }
}

/// For each value of `at_least`, the same for all topics, and for those configured: of questions that have a topic, how many get it,
/// another one, or none; and of those without, how many get none.
fn table(told: &[Told<'_>]) -> String {
    let mut text =
        String::from("| at_least | right | another | none | without a topic, told so |\n|---|---|---|---|---|\n");
    let mut row = |name: &str, reached: &dyn Fn(&Told<'_>) -> bool| {
        let share = |of: &dyn Fn(&Told<'_>) -> bool, is: &dyn Fn(&Told<'_>) -> bool| {
            let all = told.iter().filter(|one| of(one)).count();
            let part = told.iter().filter(|one| of(one) && is(one)).count();
            if all == 0 { "–".to_owned() } else { format!("{:.1} %", 100.0 * part as f64 / all as f64) }
        };
        let has = |one: &Told<'_>| !one.topic.is_empty();
        let columns = [
            share(&has, &|one| reached(one) && one.nearest == one.topic),
            share(&has, &|one| reached(one) && one.nearest != one.topic),
            share(&has, &|one| !reached(one)),
            share(&|one| one.topic.is_empty(), &|one| !reached(one)),
        ];
        text.push_str(&format!("| {name} | {} |\n", columns.join(" | ")));
    };
    for at_least in [0.3f32, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8] {
        row(&at_least.to_string(), &|one| one.cosine >= at_least);
    }
    row("as configured", &|one| one.reached);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_and_wrong_are_counted() {
        let told = |topic, nearest, cosine, reached| Told { topic, nearest, cosine, reached };
        let told = [
            told("a", "a", 0.9, true),
            told("a", "b", 0.75, true),
            told("b", "b", 0.62, false),
            told("b", "b", 0.2, false),
            told("", "a", 0.61, false),
        ];
        let text = table(&told);
        assert!(text.contains("| 0.6 | 50.0 % | 25.0 % | 25.0 % | 0.0 % |"), "{text}");
        assert!(text.contains("| 0.65 | 25.0 % | 25.0 % | 50.0 % | 100.0 % |"), "{text}");
        assert!(text.contains("| as configured | 25.0 % | 25.0 % | 50.0 % | 100.0 % |"), "{text}");
    }
}
