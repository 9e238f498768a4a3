//! Measures the index on this machine: `cargo bench -p askonce-index -- [PART …] [ENTRIES …] [--stored FILE --queries FILE] [--graph hnsw_rs]`.
//!
//! | part | what | entries |
//! |---|---|---|
//! | `one` | one scope: insert, build, memory, lookup, recall, restart; also meant when a number stands alone | 10,000 |
//! | `scan` | from which size on a graph is quicker than a scan | – |
//! | `scopes` | a tenth as many scopes as entries: lookup, memory, restart | 100,000 |
//! | `insert` | an insert as the caller sees it, in memory and on disk, in a burst and 2,000 a second | 100,000 |
//! | `busy` | lookups while 2,000 are inserted and as many deleted a second, beside quiet ones | 100,000 |
//! | `deleted` | half of all deleted at random, or the 200 nearest of each query | 100,000 |
//! | `churn` | ten rounds in which everything is replaced, beside a fresh build | 200,000 |
//! | `restart` | from opening to the first lookup, and to the last background work | 100,000 |
//! | `cores` | building on one core and on two (Linux) | 100,000 |
//!
//! Entries given are taken by each part named. FILE holds little-endian f32 vectors of 384 numbers, as
//! `models/examples/embed_lines.rs` writes them; more entries than it holds are made by interpolation and noise. Without
//! files, vectors are generated. With nothing named, `one`, `scan` and `scopes` run. Times are those of single calls on one
//! thread, while nothing else runs but what is said; `taskset -c 0` keeps all of it on one core.

mod busy;
mod churn;
mod cores;
mod deleted;
mod insert;
mod one_scope;
mod restart;
mod scan;
mod scopes;
mod setup;
#[path = "../../tests/support/mod.rs"]
mod support;

use setup::Setup;

type Part = fn(&Setup, usize);

/// Each part with its name and its usual number of entries.
const PARTS: [(&str, Part, usize); 9] = [
    ("one", one_scope::run, 10_000),
    ("scan", scan::run, 0),
    ("scopes", scopes::run, 100_000),
    ("insert", insert::run, 100_000),
    ("busy", busy::run, 100_000),
    ("deleted", deleted::run, 100_000),
    ("churn", churn::run, 200_000),
    ("restart", restart::run, 100_000),
    ("cores", cores::run, 100_000),
];

fn main() {
    // `cargo bench` passes `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let setup = Setup::read(&words);
    let sizes: Vec<usize> = words.iter().filter_map(|word| word.replace('_', "").parse().ok()).collect();
    let mut parts: Vec<_> = PARTS.iter().filter(|(name, ..)| words.iter().any(|word| word == name)).collect();
    if parts.is_empty() {
        parts.extend(&PARTS[..if sizes.is_empty() { 3 } else { 1 }]);
    }
    for (name, run, usual) in parts {
        let sizes = if sizes.is_empty() || *usual == 0 { &[*usual][..] } else { &sizes[..] };
        for size in sizes {
            println!("\n## {name} {size}");
            run(&setup, *size);
        }
    }
}
