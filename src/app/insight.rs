//! Topics and complexity, ready for conditions: examples embedded, the learned file read.

use crate::config::{Resolved, Topic};
use crate::pipeline::Insight;
use crate::routing::complexity::MOST_FILE_BYTES;
use crate::routing::{Complexity, Topics};
use crate::types::caller::Tenant;
use crate::types::embed::Embed;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Vectors of the examples in force: a reload embeds only those that are new.
#[derive(Default)]
pub(super) struct Examples(Mutex<HashMap<String, Arc<[f32]>>>);

/// What the settings say of topics and complexity. The error says what is wrong with them.
pub(super) async fn build(
    settings: &Resolved,
    embed: Option<Arc<dyn Embed>>,
    examples: &Examples,
) -> Result<Insight, String> {
    let complexity = match &settings.complexity {
        Some(complexity) => Some(learned(&complexity.file, embed.as_deref())?),
        None => None,
    };
    let Some(model) = embed else {
        if !settings.topics.is_empty() || complexity.is_some() {
            tracing::warn!(
                "there is no sentence model: conditions that ask about `topic`, `complexity` or `hard` count as false"
            );
        }
        return Ok(Insight::default());
    };
    let topics = match settings.topics.as_slice() {
        [] => None,
        topics => Some(embedded(topics, model.as_ref(), examples).await?),
    };
    Ok(Insight { topics, complexity, embed: Some(model), deadline: settings.embedding.deadline })
}

/// Reads what was learned, and holds it against the sentence model, where there is one.
fn learned(path: &Path, model: Option<&dyn Embed>) -> Result<Complexity, String> {
    let at = |why: String| format!("the file {} (`complexity.file`): {why}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| at(error.to_string()))?;
    file.take(MOST_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| at(error.to_string()))?;
    let learned = Complexity::read(&bytes).map_err(at)?;
    if let Some(model) = model {
        learned.fits(model.model(), model.width()).map_err(at)?;
    }
    Ok(learned)
}

async fn embedded(topics: &[Topic], model: &dyn Embed, examples: &Examples) -> Result<Topics, String> {
    let mut kept = examples.0.lock().await;
    let all = || topics.iter().flat_map(|topic| &topic.examples);
    let mut new: Vec<String> = all().filter(|text| !kept.contains_key(*text)).cloned().collect();
    new.sort_unstable();
    new.dedup();
    let vectors = model.embed(new.clone(), &Tenant("topics".to_owned())).await;
    let vectors = vectors.map_err(|error| format!("the examples of `topics` were not embedded: {}", error.message))?;
    let mut known: HashMap<String, Arc<[f32]>> =
        new.into_iter().zip(vectors.into_iter().map(|one| one.vector)).collect();
    known.extend(all().filter_map(|text| Some((text.clone(), kept.get(text)?.clone()))));
    let mut made = Topics::new(model.width());
    for topic in topics {
        let vectors = topic.examples.iter().filter_map(|text| known.get(text)).map(|vector| &**vector);
        made.add(&topic.name, topic.at_least as f32, vectors)?;
    }
    tracing::info!(topics = made.len(), examples = known.len(), "topics are known");
    *kept = known;
    Ok(made)
}
