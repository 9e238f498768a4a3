//! The bodies that models of vectors have at Bedrock (`POST /model/{model}/invoke`).
//!
//! - `titan`: Titan's words, and its words and pictures
//! - `cohere`: Cohere's Embed, version 3 and 4
//! - `nova`: Nova's multimodal embeddings
//!
//! A model takes one input a body, or some number of them, so that a request may amount to several bodies. The answers to
//! all of them are one answer, in the order of the inputs.

mod cohere;
mod nova;
mod titan;

use crate::types::embeddings::{Embeddings, Form, Vectors};
use crate::types::error::Error;
use crate::types::usage::Usage;
use crate::wire::hub::{Bodies, Losses};

/// The most inputs of one request: as many as OpenAI's wire takes. Where each is a call, this many calls are made.
const MOST_INPUTS: usize = 2_048;

/// Models of vectors, by the bodies they take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Family {
    Titan(titan::Kind),
    Cohere(cohere::Version),
    Nova,
}

/// Is it, by its name, a model that makes vectors?
pub fn is_known(model: &str) -> bool {
    family(model).is_some()
}

/// Writes the bodies of a request. `None`: the model is none that is known to make vectors.
pub fn encode(asked: &Embeddings) -> Option<Result<Bodies, Error>> {
    let family = family(&asked.model)?;
    if asked.inputs.is_empty() {
        return Some(Err(Error::invalid("input", "`input` is empty: there is nothing to embed.")));
    }
    let mut losses = Losses::default();
    if asked.inputs.len() > MOST_INPUTS {
        losses.refuse("input", &format!("it takes {MOST_INPUTS} inputs at most, and here are {}.", asked.inputs.len()));
        return Some(losses.encoded(Vec::new()).map(|_| Bodies::default()));
    }
    let bodies = match family {
        Family::Titan(kind) => {
            titan::check(kind, asked, &mut losses);
            asked.inputs.iter().map(|input| titan::body(kind, asked, input, &mut losses)).collect()
        }
        Family::Cohere(version) => cohere::bodies(version, asked, &mut losses),
        Family::Nova => {
            nova::check(asked, &mut losses);
            asked.inputs.iter().map(|input| nova::body(asked, input, &mut losses)).collect()
        }
    };
    Some(losses.encoded(Vec::new()).map(|encoded| Bodies { bodies, dropped: encoded.dropped }))
}

/// Reads the answers to all bodies of a request, in their order. The error says in words what is wrong with them.
pub fn decode(model: &str, answers: &[impl AsRef<[u8]>]) -> Result<Vectors, String> {
    let family = family(model).ok_or_else(|| format!("`{model}` is no model that is known to make vectors"))?;
    let read = |answer: &_| match family {
        Family::Titan(_) => titan::vectors(AsRef::as_ref(answer)),
        Family::Cohere(_) => super::cohere::decode_answer(AsRef::as_ref(answer)),
        Family::Nova => nova::vectors(AsRef::as_ref(answer)),
    };
    let mut all = Vectors::default();
    for (at, answer) in answers.iter().enumerate() {
        let one = read(answer)?;
        if at == 0 {
            all = one;
        } else {
            join(&mut all, one)?;
        }
    }
    Ok(all)
}

/// Adds the vectors of the next answer.
fn join(all: &mut Vectors, next: Vectors) -> Result<(), String> {
    if all.forms.len() != next.forms.len() {
        return Err("its answers have vectors of different forms".to_owned());
    }
    for form in next.forms {
        let Form { encoding, vectors } = form;
        let same = all.forms.iter_mut().find(|known| known.encoding == encoding);
        same.ok_or("its answers have vectors of different forms")?.vectors.extend(vectors);
    }
    all.usage = match (all.usage, next.usage) {
        (Some(one), Some(two)) => Some(Usage::new(
            one.input_tokens.saturating_add(two.input_tokens),
            one.output_tokens.saturating_add(two.output_tokens),
        )),
        // The sum of what was told for some inputs only would be taken for that of all.
        _ => None,
    };
    Ok(())
}

/// An id may begin with a region's name, and may be that of an inference profile, or an ARN.
fn family(model: &str) -> Option<Family> {
    let has = |name: &str| model.contains(name);
    Some(match () {
        () if has("cohere.embed-v4") => Family::Cohere(cohere::Version::Four),
        () if has("cohere.embed") => Family::Cohere(cohere::Version::Three),
        () if has("amazon.titan-embed-image") => Family::Titan(titan::Kind::Image),
        () if has("amazon.titan-embed-text-v1") || has("amazon.titan-embed-g1") => Family::Titan(titan::Kind::First),
        () if has("amazon.titan-embed") => Family::Titan(titan::Kind::Text),
        () if has("amazon.nova") && has("embed") => Family::Nova,
        () => return None,
    })
}
