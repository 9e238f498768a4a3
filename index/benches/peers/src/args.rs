//! The command line.

use std::path::PathBuf;

const USAGE: &str = "usage: peers --stored FILE.f32 --queries FILE.f32 [--entries N] [--ask N] [--ef N] [--own-ef N] \
    [--rounds N] [--rivals ours,usearch,hnsw_rs] [--core N] [--width N] [--seed N] [--json]";

/// What is asked for.
pub struct Args {
    pub stored: PathBuf,
    pub queries: PathBuf,
    /// Vectors to store [all of the file].
    pub entries: Option<usize>,
    /// Queries to ask, the first of the file.
    pub ask: usize,
    /// Candidates that the other libraries keep in a search.
    pub ef: usize,
    /// Candidates that ours keeps [its default].
    pub own_ef: Option<usize>,
    pub rounds: usize,
    /// Which libraries, the first being what the others are compared with.
    pub rivals: Vec<String>,
    pub core: usize,
    pub width: usize,
    pub seed: u64,
    pub json: bool,
}

impl Args {
    pub fn read(mut words: impl Iterator<Item = String>) -> Result<Args, String> {
        let mut args = Args {
            stored: PathBuf::new(),
            queries: PathBuf::new(),
            entries: None,
            ask: 2000,
            ef: 64,
            own_ef: None,
            rounds: 5,
            rivals: ["ours", "usearch", "hnsw_rs"].map(str::to_owned).to_vec(),
            core: 0,
            width: 384,
            seed: 1,
            json: false,
        };
        while let Some(word) = words.next() {
            if word == "--json" {
                args.json = true;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{word} wants a value\n{USAGE}"))?;
            let number =
                || value.replace('_', "").parse::<usize>().map_err(|_| format!("{word} {value}: not a number"));
            match word.as_str() {
                "--stored" => args.stored = value.into(),
                "--queries" => args.queries = value.into(),
                "--entries" => args.entries = Some(number()?),
                "--ask" => args.ask = number()?,
                "--ef" => args.ef = number()?,
                "--own-ef" => args.own_ef = Some(number()?),
                "--rounds" => args.rounds = number()?.max(1),
                "--rivals" => args.rivals = value.split(',').map(str::to_owned).collect(),
                "--core" => args.core = number()?,
                "--width" => args.width = number()?.max(1),
                "--seed" => args.seed = number()? as u64,
                _ => return Err(format!("{word} is not known\n{USAGE}")),
            }
        }
        if args.stored.as_os_str().is_empty() || args.queries.as_os_str().is_empty() {
            return Err(USAGE.to_owned());
        }
        Ok(args)
    }
}
