//! The bodies of models of orders at Bedrock (`POST /model/{model}/invoke`): Cohere's, and Amazon's own, which takes less.
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/rerank-supported.html>,
//! <https://docs.cohere.com/docs/amazon-bedrock>

use crate::types::error::Error;
use crate::types::rerank::{Rerank, RerankDocument};
use crate::wire::hub::{Encoded, Losses};
use crate::wire::write;

/// Is it, by its name, a model that orders documents?
pub fn is_known(model: &str) -> bool {
    is_coheres(model) || model.contains("amazon.rerank")
}

fn is_coheres(model: &str) -> bool {
    model.contains("cohere.rerank")
}

/// Writes a request. `None`: the model is none that is known to order documents. The answer is that of `Form::Named`.
pub fn encode(asked: &Rerank) -> Option<Result<Encoded, Error>> {
    if !is_known(&asked.model) {
        return None;
    }
    let cohere = is_coheres(&asked.model);
    let mut losses = Losses::default();
    if asked.raw_scores == Some(true) {
        losses.refuse("raw_scores", "its scores are between 0 and 1.");
    }
    losses.drop_if(asked.truncate.is_some(), "truncate");
    losses.drop_if(!cohere && asked.max_tokens_per_document.is_some(), "max_tokens_per_doc");
    losses.others(&asked.extra, |_| false);
    let body = write::to_vec(|object| {
        object.text("query", &asked.query);
        object.array("documents", |list| {
            for document in &asked.documents {
                match document {
                    RerankDocument::Text(text) => list.text(text),
                    RerankDocument::Fields(_) => losses.refuse("documents", "it orders texts only."),
                }
            }
        });
        if cohere {
            // Without it the body would be one of Cohere's first version.
            object.integer("api_version", 2);
            object.maybe_integer("top_n", asked.top_n);
            object.maybe_integer("max_tokens_per_doc", asked.max_tokens_per_document);
        }
    });
    Some(losses.encoded(body))
}
