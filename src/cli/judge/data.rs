//! Labelled sets from disk: pairs and streams.

use crate::cache::question::fold;
use crate::replay;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// Two texts of which it is known whether one answer does for both.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) set: String,
    pub(super) kind: String,
    /// Places of the texts.
    pub(super) texts: [usize; 2],
    pub(super) same: bool,
    /// Pairs that hang together by their texts are of one fold.
    pub(super) fold: usize,
}

/// One request of the stream.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) text: usize,
    pub(super) folded: Option<String>,
    pub(super) group: u32,
    pub(super) scope: u32,
}

/// All that was read.
#[derive(Default)]
pub(super) struct Data {
    pub(super) texts: Vec<String>,
    pub(super) pairs: Vec<Pair>,
    pub(super) stream: Vec<Request>,
    pub(super) scopes: Vec<String>,
    /// Files and their rows, in the order read.
    pub(super) files: Vec<(String, usize)>,
    places: HashMap<String, usize>,
    groups: HashMap<String, u32>,
}

/// Reads all sets of a folder, in the order of their names.
pub(super) fn read(folder: &Path) -> Result<Data, String> {
    let mut data = Data::default();
    for set in listed(folder)?.iter().filter(|set| set.is_dir()) {
        for file in listed(set)? {
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let is_lines = name.ends_with(".jsonl") || name.ends_with(".jsonl.gz");
            let of = |kind: &str| is_lines && name.starts_with(kind);
            let set = set.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let begin = data.pairs.len();
            if of("pairs") && set != "context" {
                for row in rows(&file)? {
                    data.add_pair(&set, &row).map_err(|why| format!("{}: {why}", file.display()))?;
                }
                data.files.push((format!("{set}/{name}"), data.pairs.len() - begin));
            } else if of("stream") {
                for row in rows(&file)? {
                    data.add_request(&row).map_err(|why| format!("{}: {why}", file.display()))?;
                }
                data.files.push((format!("{set}/{name}"), data.stream.len()));
            }
        }
    }
    if data.pairs.is_empty() && data.stream.is_empty() {
        let folder = folder.display();
        return Err(format!("{folder}: no labelled set; expected <set>/pairs*.jsonl[.gz] or <set>/stream*.jsonl[.gz]"));
    }
    data.set_folds();
    Ok(data)
}

pub(super) fn listed(folder: &Path) -> Result<Vec<std::path::PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

pub(super) fn rows(file: &Path) -> Result<Vec<Map<String, Value>>, String> {
    let at = |why: String| format!("{}: {why}", file.display());
    let bytes = fs::read(file).map_err(|error| at(error.to_string()))?;
    let text = replay::import::text(bytes).map_err(at)?;
    let row = |(number, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| at(format!("line {}: {error}", number + 1)))
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(row).collect()
}

fn text<'a>(row: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    row.get(name).and_then(Value::as_str).ok_or_else(|| format!("expected `{name}`, a text, in every line"))
}

impl Data {
    fn place(&mut self, text: &str) -> usize {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        self.texts.push(text.to_owned());
        self.places.insert(text.to_owned(), self.texts.len() - 1);
        self.texts.len() - 1
    }

    fn add_pair(&mut self, set: &str, row: &Map<String, Value>) -> Result<(), String> {
        let (one, other) = (text(row, "a")?, text(row, "b")?);
        let label = row.get("label").and_then(Value::as_u64).ok_or("expected `label`, 0 or 1, in every line")?;
        let kind = row.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        let texts = [self.place(one), self.place(other)];
        self.pairs.push(Pair { set: set.to_owned(), kind, texts, same: label == 1, fold: 0 });
        Ok(())
    }

    fn add_request(&mut self, row: &Map<String, Value>) -> Result<(), String> {
        let asked = text(row, "text")?;
        let group = match row.get("group") {
            Some(Value::String(group)) => group.clone(),
            Some(Value::Number(group)) => group.to_string(),
            _ => return Err("expected `group` in every line".to_owned()),
        };
        let next = self.groups.len() as u32;
        let group = *self.groups.entry(group).or_insert(next);
        let name = row.get("src").and_then(Value::as_str).unwrap_or_default();
        let scope = self.scopes.iter().position(|scope| scope == name).unwrap_or_else(|| {
            self.scopes.push(name.to_owned());
            self.scopes.len() - 1
        }) as u32;
        let request = Request { text: self.place(asked), folded: fold(asked), group, scope };
        self.stream.push(request);
        Ok(())
    }

    /// Pairs that share a text, by however many steps, get one fold.
    fn set_folds(&mut self) {
        let mut parents: Vec<usize> = (0..self.texts.len()).collect();
        fn root(parents: &mut [usize], mut at: usize) -> usize {
            while parents[at] != at {
                parents[at] = parents[parents[at]];
                at = parents[at];
            }
            at
        }
        for pair in &self.pairs {
            let [one, other] = pair.texts.map(|text| root(&mut parents, text));
            parents[one.max(other)] = one.min(other);
        }
        for pair in &mut self.pairs {
            let root = root(&mut parents, pair.texts[0]);
            let hash = self.texts[root]
                .bytes()
                .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
            pair.fold = (hash >> 33) as usize % 2;
        }
    }
}
