//! Keeps the house as ARCHITECTURE.md draws it: modules import from lower floors only, heavy crates have one user each,
//! every file begins with its job, and no document names a path that is not there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Top modules by floor, the lowest first. A module may import itself and what stands before its own row.
const FLOORS: [(&str, &[&str]); 11] = [
    ("0", &["types"]),
    ("1a", &["config", "wire"]),
    ("1b", &["telemetry"]),
    ("2", &["store", "credentials"]),
    ("3", &["cache", "routing", "providers", "governance", "guardrails", "secrets"]),
    ("4", &["pipeline"]),
    ("5a", &["edge"]),
    ("5b", &["api", "admin", "replay"]),
    ("6", &["app"]),
    ("7", &["cli"]),
    // They know every module and are known by none.
    ("roots", &["lib", "main"]),
];

/// Which top modules may name our other two packages, and a crate that one file knows.
const PACKAGES: [(&str, &[&str]); 3] = [
    ("askonce_models", &["cache", "app", "cli", "main"]),
    ("askonce_index", &["cache", "app", "cli"]),
    ("cel", &["config"]),
];

#[test]
fn modules_import_from_lower_floors_only() {
    let mut wrong = Vec::new();
    for file in rust_files("src") {
        let text = fs::read_to_string(root().join(&file)).unwrap();
        if !is_test_file(&file) {
            wrong.extend(forbidden(&file, &text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_has_a_floor_and_the_documents_agree() {
    let mut modules = BTreeSet::new();
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        modules.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
    }
    let known: BTreeSet<String> =
        FLOORS.iter().flat_map(|(_, modules)| modules.iter().map(|name| (*name).to_owned())).collect();
    assert_eq!(modules, known, "src/ on the left, FLOORS of this file on the right");
    for document in ["src/lib.rs", "ARCHITECTURE.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for (floor, modules) in &FLOORS[..FLOORS.len() - 1] {
            let names: Vec<String> = modules.iter().map(|name| format!("`{name}`")).collect();
            let row = format!("| {floor} | {} |", names.join(" "));
            assert!(text.contains(&row), "{document} lacks the row {row}");
        }
    }
}

#[test]
fn every_file_says_its_job() {
    for folder in ["src", "models", "index", "tests"] {
        for file in rust_files(folder) {
            let text = fs::read_to_string(root().join(&file)).unwrap();
            assert!(text.starts_with("//! "), "{file} does not begin with a `//!` line that says its job");
        }
    }
}

#[test]
fn documents_name_no_path_that_is_not_there() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let missing: Vec<String> = paths(&architecture).into_iter().filter(|path| !root().join(path).exists()).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names what is not there: {missing:?}");
    let mut broken = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(root().join(&document)).unwrap();
        let folder = document.parent().unwrap_or(Path::new(""));
        for link in links(&text) {
            if !root().join(folder).join(&link).exists() {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

// The checks, as functions of text.

/// What `text`, the source at `file`, imports or names and must not: one line each, with file and line.
fn forbidden(file: &str, text: &str) -> Vec<String> {
    let module = module_of(file);
    let Some(home) = module.first().cloned() else {
        return Vec::new();
    };
    let code = without_tests(&code_only(text));
    let mut wrong = Vec::new();
    for (line, target) in imports(&code, &module) {
        if target == home || home == "lib" || home == "main" {
            continue;
        }
        match (floor(&home), floor(&target)) {
            (Some(from), Some(to)) if to < from => {}
            (Some(from), Some(to)) => wrong.push(format!(
                "{file}:{line}: `{home}` (floor {}) must not import `{target}` (floor {})",
                FLOORS[from].0, FLOORS[to].0
            )),
            _ => wrong.push(format!("{file}:{line}: `{home}` imports `{target}`, which is no module with a floor")),
        }
    }
    // `a::{b, c}` is one import with two leaves.
    wrong.dedup();
    for (number, line) in code.lines().enumerate() {
        for (package, users) in PACKAGES {
            let named = words(line).any(|word| word == package);
            if named && !users.contains(&home.as_str()) {
                wrong.push(format!("{file}:{}: `{home}` must not name `{package}`", number + 1));
            }
        }
    }
    wrong
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|(_, modules)| modules.contains(&module))
}

/// `src/cache/scope.rs` → `cache`, `scope`; `src/cache/mod.rs` → `cache`.
fn module_of(file: &str) -> Vec<String> {
    let inside = file.trim_start_matches("src/").trim_end_matches(".rs");
    inside.split('/').filter(|part| *part != "mod").map(str::to_owned).collect()
}

/// Files that hold tests alone: their parents declare them under `#[cfg(test)]`.
fn is_test_file(file: &str) -> bool {
    ["/tests.rs", "/stub.rs"].iter().any(|name| file.ends_with(name)) || file.contains("/tests/")
}

/// `text` with comments and the contents of literals blanked, every line in its place.
fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let blank = |c: char| if c == '\n' { '\n' } else { ' ' };
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        if end > at {
            out.extend(chars[at..end].iter().map(|c| blank(*c)));
            at = end;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

/// Where the comment or literal that begins at `at` ends; `at` itself when none begins there.
fn literal_end(chars: &[char], at: usize) -> usize {
    let is = |offset: usize, c: char| chars.get(at + offset) == Some(&c);
    let find = |from: usize, end: &[char]| {
        (from..chars.len())
            .find(|&place| chars[place..].starts_with(end))
            .map_or(chars.len(), |place| place + end.len())
    };
    if is(0, '/') && is(1, '/') {
        return (at..chars.len()).find(|&place| chars[place] == '\n').unwrap_or(chars.len());
    }
    if is(0, '/') && is(1, '*') {
        return find(at + 2, &['*', '/']);
    }
    if is(0, '"') {
        let mut place = at + 1;
        while place < chars.len() && chars[place] != '"' {
            place += if chars[place] == '\\' { 2 } else { 1 };
        }
        return (place + 1).min(chars.len());
    }
    let inside_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_') && chars[at - 1] != 'b';
    if is(0, 'r') && !inside_word {
        let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
        if is(1 + hashes, '"') {
            let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            return find(at + hashes + 2, &end);
        }
    }
    if is(0, '\'') {
        // A lifetime has no closing quote.
        if is(1, '\\') {
            return find(at + 3, &['\'']);
        }
        if is(2, '\'') {
            return at + 3;
        }
    }
    at
}

/// `code` with every item under `#[cfg(test)]` blanked.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        let (before, item) = rest.split_at(at);
        out.push_str(before);
        let mut depth = 0;
        let end = item.char_indices().skip(MARK.len()).find_map(|(place, c)| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            (depth == 0 && matches!(c, ';' | '}')).then_some(place + 1)
        });
        let (skipped, after) = item.split_at(end.unwrap_or(item.len()));
        out.extend(skipped.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = after;
    }
    out + rest
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Every `crate::…`, `self::…` and `super::…` path in `code`: its line, and the top module that it leads to.
fn imports(code: &str, module: &[String]) -> Vec<(usize, String)> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let starts = matches!(tokens[at].1, "crate" | "super" | "self")
            && at.checked_sub(1).is_none_or(|before| tokens[before].1 != "::");
        if starts && tokens.get(at + 1).is_some_and(|(_, token)| *token == "::") {
            at = tree(&tokens, at, module, &[], &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Words, `::` and single signs, each with its line.
fn tokens(code: &str) -> Vec<(usize, &str)> {
    let mut tokens = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let length = match word {
                0 if rest.starts_with("::") => 2,
                0 => first.len_utf8(),
                word => word,
            };
            tokens.push((number + 1, &rest[..length]));
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

/// Reads the path or use tree at `tokens[at]`, below `prefix`. Gives the place behind it.
fn tree(
    tokens: &[(usize, &str)],
    mut at: usize,
    module: &[String],
    prefix: &[String],
    found: &mut Vec<(usize, String)>,
) -> usize {
    let mut path = prefix.to_vec();
    while let Some(&(line, token)) = tokens.get(at) {
        match token {
            "crate" => path.clear(),
            "self" if path.is_empty() && prefix.is_empty() => path = module.to_vec(),
            "self" => {}
            "super" => {
                if prefix.is_empty() && (at == 0 || tokens[at - 1].1 != "::") {
                    path = module.to_vec();
                }
                path.pop();
            }
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|(_, token)| *token != "}") {
                    at = if tokens[at].1 == "," { at + 1 } else { tree(tokens, at, module, &path, found) };
                }
                return at + 1;
            }
            word => path.push(word.to_owned()),
        }
        at += 1;
        if tokens.get(at).is_some_and(|(_, token)| *token == "::") {
            at += 1;
            continue;
        }
        found.extend(path.first().map(|top| (line, top.clone())));
        // `as name`
        let renamed = tokens.get(at).is_some_and(|(_, token)| *token == "as");
        return if renamed { at + 2 } else { at };
    }
    at
}

/// What looks like a path of the repository between backticks, with `{a,b}` written out.
fn paths(text: &str) -> Vec<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./{},".contains(c);
    let is_path = |quoted: &&str| {
        let ending = [".rs", ".md", ".toml", ".yaml", ".lock", ".sh"].iter().any(|ending| quoted.ends_with(ending));
        quoted.chars().all(plain) && !quoted.starts_with('/') && (quoted.contains('/') || ending)
    };
    let quoted = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    quoted.filter(is_path).flat_map(spelled_out).collect()
}

fn spelled_out(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else {
        return vec![path.to_owned()];
    };
    let (inside, after) = rest.split_once('}').unwrap_or((rest, ""));
    inside.split(',').flat_map(|part| spelled_out(&format!("{before}{part}{after}"))).collect()
}

/// Targets of Markdown links into the repository.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let inside =
        targets.filter(|target| !target.contains("://") && !target.starts_with('#') && !target.starts_with("mailto:"));
    inside.map(|target| target.split('#').next().unwrap_or_default().to_owned()).collect()
}

// Files.

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn walk(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let name = entry.unwrap().file_name();
        let path = folder.join(&name);
        let skipped = ["target", "node_modules"].iter().any(|skipped| name == *skipped)
            || name.to_str().unwrap().starts_with('.');
        if root().join(&path).is_dir() && !skipped {
            walk(&path, ending, found);
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
}

/// Paths from the root, with `/`.
fn rust_files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    walk(Path::new(folder), "rs", &mut found);
    assert!(!found.is_empty(), "{folder} has no Rust files");
    found.iter().map(|path| path.to_str().unwrap().replace('\\', "/")).collect()
}

fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(Path::new(""), "md", &mut found);
    found
}

// The checks checked: each finds what it is there to find, and nothing else.

#[test]
fn a_forbidden_import_is_found_with_its_line() {
    let table = [
        // (file, source, what is found: line and target)
        (
            "src/cache/lookup.rs",
            "use crate::types::ids::Digest;\nuse crate::pipeline::Pipeline;",
            vec!["2: `cache` (floor 3) must not import `pipeline` (floor 4)"],
        ),
        (
            "src/cache/lookup.rs",
            "use crate::providers::Registry;",
            vec!["1: `cache` (floor 3) must not import `providers` (floor 3)"],
        ),
        (
            "src/types/ids.rs",
            "fn f() {\n    crate::wire::json::parse(b\"\");\n}",
            vec!["2: `types` (floor 0) must not import `wire` (floor 1a)"],
        ),
        (
            "src/wire/sse.rs",
            "use crate::{\n    types::ids,\n    config::{self, Resolved as R},\n};",
            vec!["3: `wire` (floor 1a) must not import `config` (floor 1a)"],
        ),
        (
            "src/wire/sse.rs",
            "use crate::{types as t, store};",
            vec!["1: `wire` (floor 1a) must not import `store` (floor 2)"],
        ),
        ("src/admin/mod.rs", "use super::api::reject;", vec!["1: `admin` (floor 5b) must not import `api` (floor 5b)"]),
        (
            "src/wire/openai/fold.rs",
            "use super::super::super::cache::scope;",
            vec!["1: `wire` (floor 1a) must not import `cache` (floor 3)"],
        ),
        (
            "src/wire/openai/fold.rs",
            "use super::{answer, super::super::{types, store}};",
            vec!["1: `wire` (floor 1a) must not import `store` (floor 2)"],
        ),
        (
            "src/store/rows.rs",
            "pub(in crate::pipeline) fn f() {}",
            vec!["1: `store` (floor 2) must not import `pipeline` (floor 4)"],
        ),
        (
            "src/store/rows.rs",
            "use crate::install_tls;",
            vec!["1: `store` imports `install_tls`, which is no module with a floor"],
        ),
        ("src/api/openai.rs", "use askonce_index::Index;", vec!["1: `api` must not name `askonce_index`"]),
        // Allowed.
        (
            "src/cache/lookup.rs",
            "use askonce_index::Index; use super::policy::Policy; use self::x::Y; use crate::cache::flight;",
            vec![],
        ),
        ("src/wire/openai/fold.rs", "use super::super::sse; use super::{answer, super::json};", vec![]),
        (
            "src/cli/mod.rs",
            "use crate::{app, replay::{self, Options}}; pub(crate) fn f() {} impl Drop for X { fn drop(&mut self) {} }",
            vec![],
        ),
        ("src/lib.rs", "pub use crate::app::App;", vec![]),
        // Neither code nor part of what is shipped.
        (
            "src/types/ids.rs",
            "// crate::app\n/* crate::app */ const A: &str = \"crate::app \\\" crate::app\"; const B: &str = r#\"crate::app\"#; const C: char = '\"';",
            vec![],
        ),
        ("src/telemetry/log.rs", "const A: &str = \"askonce_models=info\";", vec![]),
        (
            "src/types/ids.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::app::App; mod a { }\n}\n#[cfg(test)]\nmod more;\n",
            vec![],
        ),
        (
            "src/types/ids.rs",
            "#[cfg(test)]\nmod tests { }\nuse crate::app::App;",
            vec!["3: `types` (floor 0) must not import `app` (floor 6)"],
        ),
    ];
    for (file, source, expected) in table {
        let expected: Vec<String> = expected.iter().map(|found| format!("{file}:{found}")).collect();
        assert_eq!(forbidden(file, source), expected, "{source}");
    }
}

#[test]
fn paths_and_links_are_told_from_other_words() {
    let text = "`src/{lib,main}.rs`, `Cargo.toml`, `/metrics`, `<data_dir>/x/y`, `a b/c`, `cache.ttl_s`\n[a](docs/cache.md#tiers), [b](https://example.org/x), [c](#d)";
    assert_eq!(paths(text), ["src/lib.rs", "src/main.rs", "Cargo.toml"]);
    assert_eq!(links(text), ["docs/cache.md"]);
}
