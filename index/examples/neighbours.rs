//! Stores three vectors on disk, opens the index again, and looks one up: `cargo run -p askonce-index --example neighbours`.

use askonce_index::{Index, IndexConfig, ScopeKey};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join(format!("askonce-index-example-{}", std::process::id()));
    let config = IndexConfig::new(3, "example@1");
    let (north, east, tenant) = ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], ScopeKey([7; 16]));

    let (index, _) = Index::open(&dir, config.clone())?;
    index.insert(tenant, 1, &north)?;
    index.insert(tenant, 2, &east)?;
    index.insert(tenant, 3, &[0.8, 0.6, 0.0])?;
    index.remove(tenant, 2)?;
    drop(index);

    let (index, recovery) = Index::open(&dir, config)?;
    println!("{} vectors came back, {} things to note", recovery.live, recovery.notes.len());
    for neighbor in index.nearest(tenant, &north, 2, 0.5)? {
        println!("id {} at similarity {:.2}", neighbor.id, neighbor.similarity);
    }
    // A vector of length 2 is no direction to compare with.
    if let Err(error) = index.insert(tenant, 4, &[2.0, 0.0, 0.0]) {
        println!("refused: {error}");
    }
    drop(index);
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
