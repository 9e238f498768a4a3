//! `Chat` → a request. What this wire has no word for is left out and reported, or refused.

use super::super::claude::Claude;
use super::thinking::Plan;
use super::{schema, tools, turns};
use crate::types::chat::{Chat, Format, Part, Role};
use crate::types::error::Error;
use crate::types::json::Number;
use crate::wire::hub::{Encoded, Losses};
use crate::wire::write::{self, Object};

/// Asks for JSON of no schema in words: this wire has only schemas, and one that takes any object is none of them.
const ANY_JSON: &str = "Answer with one JSON object and nothing else.";

/// Writes a request.
pub fn encode(chat: &Chat) -> Result<Encoded, Error> {
    let mut losses = Losses::default();
    let model = Claude::of(&chat.model);
    let plan = Plan::of(chat, model, &mut losses);
    let body = write::to_vec(|object| {
        object.text("model", &chat.model);
        object.integer("max_tokens", plan.max_tokens);
        let system = system(chat);
        // A conversation of instructions alone is one that a user opens with them.
        let alone = chat.messages.iter().all(|message| message.role == Role::System);
        if !alone {
            turns::write_system(object, &system, &mut losses);
        }
        object.array("messages", |list| {
            if alone {
                turns::write_opening(list, &system, &mut losses);
            }
            turns::write(list, chat, &mut losses);
        });
        tools::write(object, chat, model, &mut losses);
        plan.write(object);
        write_output(object, chat, model, plan.effort, &mut losses);
        write_sampling(object, chat, model, plan.thinks(), &mut losses);
        write_stop(object, chat, &mut losses);
        if let Some(user) = &chat.user {
            object.object("metadata", |metadata| metadata.text("user_id", user));
        }
        object.maybe_text("service_tier", service_tier(chat));
        if chat.stream {
            object.flag("stream", true);
        }
    });
    lost(chat, &mut losses);
    losses.encoded(body)
}

/// What stands before the conversation, and the operator's turns in the middle of it, in order.
fn system(chat: &Chat) -> Vec<Part> {
    let inside = chat.messages.iter().filter(|message| message.role == Role::System);
    let mut parts: Vec<Part> = chat.system.iter().chain(inside.flat_map(|message| &message.parts)).cloned().collect();
    if chat.format == Some(Format::Json) {
        parts.push(Part::text(ANY_JSON));
    }
    parts
}

fn write_output(
    object: &mut Object<'_>,
    chat: &Chat,
    model: Option<Claude>,
    effort: Option<&str>,
    losses: &mut Losses,
) {
    let form = match &chat.format {
        Some(Format::Schema(form)) => Some(form),
        // It is asked for in words, and not enforced.
        Some(Format::Json) => {
            losses.drop("response_format");
            None
        }
        None => None,
    };
    if form.is_none() && effort.is_none() {
        return;
    }
    object.object("output_config", |config| {
        config.maybe_text("effort", effort);
        if let Some(form) = form {
            losses.drop_if(form.description.is_some(), "response_format.json_schema.description");
            config.object("format", |format| {
                format.text("type", "json_schema");
                match model {
                    Some(_) => format.raw("schema", &schema::closed(&form.schema)),
                    None => format.raw("schema", &form.schema),
                }
            });
        }
    });
}

/// Claude takes temperatures up to 1; newer models take no sampling at all, and none takes it while it thinks.
fn write_sampling(object: &mut Object<'_>, chat: &Chat, model: Option<Claude>, thinks: bool, losses: &mut Losses) {
    let Some(model) = model else {
        object.maybe_number("temperature", chat.temperature);
        object.maybe_number("top_p", chat.top_p);
        object.maybe_integer("top_k", chat.top_k);
        return;
    };
    let temperature = chat.temperature.filter(|one| double(*one) != 1.0);
    if thinks || !model.samples() {
        losses.drop_if(temperature.is_some(), "temperature");
        losses.drop_if(chat.top_p.is_some_and(|one| double(one) != 1.0), "top_p");
        losses.drop_if(chat.top_k.is_some(), "top_k");
        return;
    }
    let too_hot = temperature.filter(|one| double(*one) > 1.0);
    losses.drop_if(too_hot.is_some(), "temperature");
    object.maybe_number("temperature", too_hot.map(|_| Number::Unsigned(1)).or(chat.temperature));
    if chat.temperature.is_some() && !model.samples_twice() {
        losses.drop_if(chat.top_p.is_some_and(|one| double(one) != 1.0), "top_p");
    } else {
        object.maybe_number("top_p", chat.top_p);
    }
    object.maybe_integer("top_k", chat.top_k);
}

fn double(number: Number) -> f64 {
    match number {
        Number::Unsigned(n) => n as f64,
        Number::Signed(n) => n as f64,
        Number::Float(n) => n,
    }
}

/// The vendor refuses a stop that is nothing but white space.
fn write_stop(object: &mut Object<'_>, chat: &Chat, losses: &mut Losses) {
    let visible = |stop: &&String| !stop.trim().is_empty();
    losses.drop_if(!chat.stop.iter().all(|stop| visible(&stop)), "stop");
    if chat.stop.iter().any(|stop| visible(&stop)) {
        object.array("stop_sequences", |list| chat.stop.iter().filter(visible).for_each(|stop| list.text(stop)));
    }
}

/// `service_tier`, where the word has a meaning here.
fn service_tier(chat: &Chat) -> Option<&'static str> {
    let tier = chat.extra.iter().find(|extra| extra.name == "service_tier")?;
    match tier.json.as_str() {
        r#""auto""# => Some("auto"),
        r#""standard_only""# | r#""default""# => Some("standard_only"),
        _ => None,
    }
}

fn lost(chat: &Chat, losses: &mut Losses) {
    if chat.choices.is_some_and(|choices| choices > 1) {
        losses.refuse("n", "it gives one answer to a request.");
    }
    losses.drop_if(chat.seed.is_some(), "seed");
    losses.drop_if(chat.frequency_penalty.is_some(), "frequency_penalty");
    losses.drop_if(chat.presence_penalty.is_some(), "presence_penalty");
    let tier = service_tier(chat).is_some();
    losses.extras(chat, |name| tools::is_own(name) || (tier && name == "service_tier"));
}
