//! `askonce index bench`.

use super::model::{DEFAULT_MODEL, Store, named};
use askonce_index::bench::{Dice, HIT, K, Options, Report, Vectors, enlarge, measure, perturbed};
use askonce_index::{GraphKind, IndexConfig};
use askonce_models::{Embedder, EmbedderSettings};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// Time the vector index on this machine, on vectors that lie as those of sentences do.
///
/// The bundled questions, or the lines of --texts, are embedded, and as many vectors as asked for are made from them: between
/// near ones, with noise, the same on every run. Queries are rewordings that are not stored (of --texts: some lines left out), and
/// disturbed copies of what is. They go into an empty index in a temporary folder (TMPDIR names another place) and are
/// looked up one after another; what is found is held against a comparison with all of them.
///
/// Takes 1.5 kB of memory for each entry beside the index.
#[derive(clap::Args)]
pub(super) struct IndexBenchArgs {
    /// Vectors to store.
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u32).range(100..))]
    entries: u32,
    /// Scopes to spread them over. A lookup sees one scope; small ones have no graph.
    #[arg(long, default_value_t = 1, value_name = "M", value_parser = clap::value_parser!(u32).range(1..))]
    scopes: u32,
    /// Which graph large scopes get.
    #[arg(long, value_enum, default_value_t = Graph::Packed)]
    graph: Graph,
    /// Candidates that a lookup in a graph keeps [default: that of `index.ef_search`].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    ef_search: Option<u32>,
    /// Texts, one a line, in place of the bundled questions.
    #[arg(long, value_name = "FILE")]
    texts: Option<PathBuf>,
    /// The model's name.
    #[arg(long, default_value = DEFAULT_MODEL, value_name = "NAME")]
    model: String,
    /// A folder with the model's files [default: the one that `model pull` filled].
    #[arg(long, env = "ASKONCE_MODEL_DIR", value_name = "DIR")]
    model_dir: Option<PathBuf>,
    #[command(flatten)]
    store: Store,
    /// Print JSON; its keys are explained in docs/bench.md.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Graph {
    /// The packed one of askonce.
    Packed,
    /// One by the crate hnsw_rs, to compare with.
    #[value(name = "hnsw_rs")]
    HnswRs,
}

impl Graph {
    fn kind(self) -> GraphKind {
        match self {
            Graph::Packed => GraphKind::Packed,
            Graph::HnswRs => GraphKind::HnswRs,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Graph::Packed => "packed",
            Graph::HnswRs => "hnsw_rs",
        }
    }
}

/// Queries asked: texts that were left out, then disturbed copies of stored vectors up to this many.
const QUERIES: usize = 1000;

/// Every so many lines of a file, one is not stored but asked.
const LEFT_OUT: usize = 20;

pub(super) fn run(args: &IndexBenchArgs) -> Result<(), String> {
    // Read first: a misspelt file need not wait for the model.
    let texts = match &args.texts {
        Some(file) => Texts::read(file)?,
        None => Texts::bundled()?,
    };
    let embedder = embedder(args)?;
    note(&format!("embedding {} texts", texts.stored.len() + texts.asked.len()));
    let (stored, queries) = vectors(&embedder, &texts, args.entries as usize)?;
    let folder = Folder::new()?;
    let usual = IndexConfig::new(stored.width(), embedder.spec().variant.clone());
    let ef_search = args.ef_search.map_or(usual.ef_search, |given| given as usize);
    let config = IndexConfig { graph: args.graph.kind(), ef_search, ..usual };
    let options = Options { dir: &folder.path, config, scopes: args.scopes as usize };
    let report = measure(&options, &stored, &queries, &note).map_err(|error| error.to_string())?;
    let report = IndexBench::new(&embedder.spec().variant, (args.graph, ef_search), &texts, &report);
    match args.json {
        true => println!("{}", serde_json::to_string(&report).map_err(|error| error.to_string())?),
        false => print!("{report}"),
    }
    Ok(())
}

/// On standard error, as the steps take seconds to minutes.
fn note(what: &str) {
    eprintln!("{what} …");
}

fn embedder(args: &IndexBenchArgs) -> Result<Embedder, String> {
    let model = named(&args.model)?;
    let dir = match &args.model_dir {
        Some(dir) => dir.clone(),
        None => args.store.open()?.locate(model).ok_or_else(|| {
            format!(
                "{0} is not here; `askonce model pull {0}` fetches it, or name its folder with --model-dir",
                model.name
            )
        })?,
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let settings = EmbedderSettings { threads, precision: model.precision.default, ..EmbedderSettings::default() };
    Embedder::load(&dir, model, &settings).map_err(|error| error.to_string())
}

/// Texts whose vectors are stored, and texts that are asked.
#[derive(Debug)]
struct Texts {
    stored: Vec<String>,
    asked: Vec<String>,
}

impl Texts {
    /// Of every bundled question two rewordings are asked and all else is stored, with both sides of the traps.
    fn bundled() -> Result<Texts, String> {
        #[derive(Deserialize)]
        struct Row {
            question: String,
            paraphrases: Vec<String>,
        }
        #[derive(Deserialize)]
        struct Pair {
            a: String,
            b: String,
        }
        let mut texts = Texts { stored: Vec::new(), asked: Vec::new() };
        for line in QUESTIONS.iter().flat_map(|file| file.lines()) {
            let Row { question, mut paraphrases } = bundled(line)?;
            texts.asked.extend(paraphrases.split_off(paraphrases.len().min(2)));
            texts.stored.push(question);
            texts.stored.append(&mut paraphrases);
        }
        for line in PAIRS.lines() {
            let Pair { a, b } = bundled(line)?;
            texts.stored.extend([a, b]);
        }
        Ok(texts)
    }

    fn read(file: &Path) -> Result<Texts, String> {
        let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut texts = Texts { stored: Vec::new(), asked: Vec::new() };
        for (number, line) in lines.enumerate() {
            let asked = number % LEFT_OUT == LEFT_OUT - 1 && texts.asked.len() < QUERIES;
            if asked { &mut texts.asked } else { &mut texts.stored }.push(line.to_owned());
        }
        if texts.stored.is_empty() {
            return Err(format!("{}: no text in it; expected one a line", file.display()));
        }
        Ok(texts)
    }
}

const QUESTIONS: [&str; 4] = [
    include_str!("../../datasets/qa/general.jsonl"),
    include_str!("../../datasets/qa/support_desk.jsonl"),
    include_str!("../../datasets/qa/shop.jsonl"),
    include_str!("../../datasets/qa/coding_helper.jsonl"),
];

const PAIRS: &str = include_str!("../../datasets/pairs/traps.jsonl");

fn bundled<'l, T: Deserialize<'l>>(line: &'l str) -> Result<T, String> {
    serde_json::from_str(line).map_err(|error| format!("a bundled question is damaged: {error}"))
}

/// So many vectors to store, and the queries.
fn vectors(embedder: &Embedder, texts: &Texts, entries: usize) -> Result<(Vectors, Vectors), String> {
    let mut stored = embed(embedder, &texts.stored)?;
    let mut queries = embed(embedder, &texts.asked)?;
    stored.truncate(entries);
    if stored.len() < entries {
        note(&format!("making {} vectors from {}", entries, stored.len()));
        enlarge(&mut stored, entries, 1);
    }
    let mut dice = Dice(2);
    while queries.len() < QUERIES {
        let amount = dice.between(0.15, 0.7);
        queries.push(&perturbed(stored.get(dice.below(stored.len())), amount, &mut dice));
    }
    Ok((stored, queries))
}

fn embed(embedder: &Embedder, texts: &[String]) -> Result<Vectors, String> {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let embeddings = embedder.embed_batch(&texts, &|_| {}).map_err(|error| error.to_string())?;
    let mut vectors = Vectors::new(embedder.spec().width);
    for embedding in &embeddings {
        vectors.push(&embedding.vector);
    }
    Ok(vectors)
}

/// A temporary folder that goes when this is dropped.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> Result<Folder, String> {
        let path = std::env::temp_dir().join(format!("askonce-index-bench-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Folder { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("{} stays: {error}", self.path.display());
        }
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct IndexBench<'a> {
    version: &'static str,
    build: &'static str,
    model: &'a str,
    graph: &'static str,
    ef_search: usize,
    entries: usize,
    scopes: usize,
    texts: usize,
    queries: usize,
    reworded: usize,
    hits: usize,
    k: usize,
    min_similarity: f64,
    p50_us: f64,
    p99_us: f64,
    hit_recall: f64,
    recall_at_1: f64,
    bytes_per_vector: f64,
    process_bytes_per_vector: Option<f64>,
    file_bytes_per_vector: f64,
    insert_p50_us: f64,
    insert_p99_us: f64,
    build_us: f64,
    restart_ms: f64,
}

impl<'a> IndexBench<'a> {
    fn new(model: &'a str, (graph, ef_search): (Graph, usize), texts: &Texts, report: &Report) -> IndexBench<'a> {
        let tenths = |value: f64| (value * 10.0).round() / 10.0;
        let share = |value: f64| (value * 1e5).round() / 1e5;
        IndexBench {
            version: env!("CARGO_PKG_VERSION"),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            model,
            graph: graph.name(),
            ef_search,
            entries: report.entries,
            scopes: report.scopes,
            texts: texts.stored.len().min(report.entries),
            queries: report.queries,
            reworded: texts.asked.len(),
            hits: report.hits,
            k: K,
            min_similarity: share(f64::from(HIT)),
            p50_us: tenths(report.p50_us),
            p99_us: tenths(report.p99_us),
            hit_recall: share(report.hit_recall),
            recall_at_1: share(report.recall_at_1),
            bytes_per_vector: tenths(report.bytes_per_vector),
            process_bytes_per_vector: report.process_bytes_per_vector.map(tenths),
            file_bytes_per_vector: tenths(report.file_bytes_per_vector),
            insert_p50_us: tenths(report.insert_p50_us),
            insert_p99_us: tenths(report.insert_p99_us),
            build_us: tenths(report.build_us),
            restart_ms: tenths(report.restart_ms),
        }
    }
}

impl fmt::Display for IndexBench<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let IndexBench { entries, scopes, graph, ef_search, model, texts, queries, reworded, .. } = self;
        let process = self.process_bytes_per_vector.map_or_else(|| "–".to_owned(), |bytes| format!("{bytes:.0}"));
        writeln!(
            f,
            "{entries} vectors in {scopes} scopes, graph {graph} (ef_search {ef_search}), {model}, {} build",
            self.build
        )?;
        writeln!(f, "{texts} of them from texts; {queries} queries, {reworded} from texts that are not stored\n")?;
        writeln!(
            f,
            "lookup, k {}, at least {}   p50 {} µs, p99 {} µs",
            self.k, self.min_similarity, self.p50_us, self.p99_us
        )?;
        writeln!(
            f,
            "the nearest came first     of {} hits {:.2} %, of all queries {:.2} %",
            self.hits,
            self.hit_recall * 100.0,
            self.recall_at_1 * 100.0
        )?;
        writeln!(
            f,
            "insert                     p50 {} µs, p99 {} µs; {} µs with all work",
            self.insert_p50_us, self.insert_p99_us, self.build_us
        )?;
        writeln!(
            f,
            "memory, bytes a vector     {:.0}; the process grew by {process}; in files {:.0}",
            self.bytes_per_vector, self.file_bytes_per_vector
        )?;
        writeln!(f, "restart to first lookup    {} ms", self.restart_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: IndexBenchArgs,
    }

    fn parse(line: &str) -> Result<IndexBenchArgs, clap::Error> {
        Line::try_parse_from(std::iter::once("bench").chain(line.split_ascii_whitespace())).map(|line| line.args)
    }

    #[test]
    fn arguments_are_read_and_wrong_ones_refused() {
        let args = parse("").unwrap();
        assert_eq!((args.entries, args.scopes, args.graph, args.json), (100_000, 1, Graph::Packed, false));
        let args = parse("--entries 2000 --scopes 10 --graph hnsw_rs --texts t.txt --model-dir m --json").unwrap();
        assert_eq!((args.entries, args.scopes, args.graph.kind()), (2000, 10, GraphKind::HnswRs));
        assert!(args.json && args.texts.is_some() && args.model_dir.is_some());
        for wrong in ["--entries 99", "--ef-search 0", "--entries many", "--scopes 0", "--graph hnsw", "--text t.txt"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_bundled_questions_are_many_and_none_is_both_stored_and_asked() {
        let texts = Texts::bundled().unwrap();
        assert!(texts.stored.len() > 1000 && texts.asked.len() > 500, "{}, {}", texts.stored.len(), texts.asked.len());
        assert!(texts.asked.iter().all(|asked| !texts.stored.contains(asked)));
    }

    #[test]
    fn a_file_of_texts_is_split_and_an_empty_one_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("texts.txt");
        fs::write(&file, (0..45).map(|i| format!("text {i}\n\n")).collect::<String>()).unwrap();
        let texts = Texts::read(&file).unwrap();
        assert_eq!((texts.stored.len(), texts.asked), (43, vec!["text 19".to_owned(), "text 39".to_owned()]));
        fs::write(&file, "\n \n").unwrap();
        assert!(Texts::read(&file).unwrap_err().contains("texts.txt: no text"));
        assert!(Texts::read(&dir.path().join("none")).unwrap_err().contains("none"));
    }

    #[test]
    fn without_a_model_the_error_says_how_to_get_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut args = parse(&format!("--data-dir {}", dir.path().display())).unwrap();
        args.model_dir = None;
        let error = embedder(&args).err().unwrap();
        assert!(error.contains("askonce model pull") && error.contains("--model-dir"), "{error}");
    }

    /// From texts to the report, with an embedder that has no weights; and every key of `--json` has its line in docs/bench.md.
    #[test]
    fn a_report_is_made_and_the_page_explains_every_key() {
        let (embedder, texts, folder) = (Embedder::fake(64), Texts::bundled().unwrap(), Folder::new().unwrap());
        let (stored, queries) = vectors(&embedder, &texts, 3000).unwrap();
        assert_eq!((stored.len(), queries.len()), (3000, QUERIES));
        let options = Options { dir: &folder.path, config: IndexConfig::new(64, "fake"), scopes: 3 };
        let report = measure(&options, &stored, &queries, &|_| {}).unwrap();
        let report = IndexBench::new("fake", (Graph::Packed, 48), &texts, &report);
        let page = include_str!("../../docs/bench.md");
        let value = serde_json::to_value(&report).unwrap();
        let missing: Vec<&String> =
            value.as_object().unwrap().keys().filter(|key| !page.contains(&format!("| `{key}` |"))).collect();
        assert!(missing.is_empty(), "not in docs/bench.md: {missing:?}");
        assert!(value["hit_recall"].as_f64().unwrap() > 0.9 && value["min_similarity"] == 0.8, "{value}");
        assert!(report.to_string().contains("3000 vectors in 3 scopes, graph packed (ef_search 48), fake"));
    }
}
