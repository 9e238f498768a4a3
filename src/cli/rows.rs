//! Labelled rows of a file: lines of JSON, perhaps gzipped, each told by its number where it cannot be read.

use crate::replay::import::text;
use serde::de::DeserializeOwned;
use std::fs;
use std::path::Path;

/// The rows of `file`; empty lines are none.
pub(super) fn read<T: DeserializeOwned>(file: &Path) -> Result<Vec<T>, String> {
    let at = |why: String| format!("{}: {why}", file.display());
    let text = fs::read(file).map_err(|error| error.to_string()).and_then(text).map_err(at)?;
    let row = |(number, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| at(format!("line {}: {error}", number + 1)))
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_a_wrong_one_is_told_by_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rows.jsonl");
        fs::write(&file, "{\"a\": 1}\n\n{\"a\": 2}\n").unwrap();
        let rows: Vec<std::collections::BTreeMap<String, u8>> = read(&file).unwrap();
        assert_eq!(rows.iter().map(|row| row["a"]).collect::<Vec<_>>(), [1, 2]);
        fs::write(&file, "{\"a\": 1}\n\n[]\n").unwrap();
        let why = read::<std::collections::BTreeMap<String, u8>>(&file).unwrap_err();
        assert!(why.contains("rows.jsonl: line 3: "), "{why}");
        assert!(read::<u8>(&folder.path().join("none")).unwrap_err().contains("none: "));
    }
}
