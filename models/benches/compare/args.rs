//! The words of the command line.

use std::path::PathBuf;
use std::time::Duration;

pub const USAGE: &str = "\
cargo bench -p askonce-models --bench compare -- --model DIR [OPTION]...

Times our engines, candle and onnxruntime in turns on one core, and holds them against the targets.

  --model DIR      folder with the model's files
  --name NAME      the model's manifest; default all-MiniLM-L6-v2
  --core N         the core to measure on; default 0
  --second-core N  the other one, for throughput of two; default 1
  --rounds N       default 5
  --seconds S      time for each engine, length and round; default 0.3
  --quick          16 and 128 tokens and 32 x 16 only
  --python FILE    a Python with onnxruntime; default: the one that models/benches/setup.sh installs
  --no-ort         leave onnxruntime out
  --json FILE      every round's figures, as JSON";

/// What was asked for.
pub struct Args {
    pub model: PathBuf,
    pub name: String,
    pub core: usize,
    pub second_core: usize,
    pub rounds: usize,
    pub time: Duration,
    pub quick: bool,
    pub python: PathBuf,
    pub ort: bool,
    pub json: Option<PathBuf>,
    /// Set in the child process that loads one engine and says what that took.
    pub load: Option<String>,
}

impl Args {
    /// Reads the arguments.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Args, String> {
        let mut args = Args {
            model: PathBuf::new(),
            name: "all-MiniLM-L6-v2".into(),
            core: 0,
            second_core: 1,
            rounds: 5,
            time: Duration::from_millis(300),
            quick: false,
            python: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("onnxruntime/bin/python"),
            ort: true,
            json: None,
            load: None,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
            match word.as_str() {
                // Cargo adds it.
                "--bench" => {}
                "--quick" => args.quick = true,
                "--no-ort" => args.ort = false,
                "--model" => args.model = value()?.into(),
                "--name" => args.name = value()?,
                "--core" => args.core = number(&word, &value()?)?,
                "--second-core" => args.second_core = number(&word, &value()?)?,
                "--rounds" => args.rounds = number::<usize>(&word, &value()?)?.max(1),
                "--seconds" => {
                    let seconds = number(&word, &value()?)?;
                    args.time = Duration::try_from_secs_f64(seconds).map_err(|error| format!("{word}: {error}"))?;
                }
                "--python" => args.python = value()?.into(),
                "--json" => args.json = Some(value()?.into()),
                "--load" => args.load = Some(value()?),
                _ => return Err(format!("unknown argument {word}\n\n{USAGE}")),
            }
        }
        match args.model.as_os_str().is_empty() {
            true => Err(format!("--model is missing\n\n{USAGE}")),
            false => Ok(args),
        }
    }
}

fn number<T: std::str::FromStr>(word: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{word} is `{text}`, expected a number"))
}
