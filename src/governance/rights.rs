//! Rights: what a key may ask for, apart from how much. Each refusal says which rule said no, and of whom.

use super::level::{Level, Terms};
use crate::types::directives::Directives;
use crate::types::error::{Error, ErrorKind};
use crate::types::surface::Surface;
use std::net::IpAddr;

/// What is known of a request before its body is read.
#[derive(Clone, Copy, Debug)]
pub struct Entering<'r> {
    /// The door; `None` where models are listed.
    pub surface: Option<Surface>,
    /// From where; `None` where nobody knows.
    pub address: Option<IpAddr>,
    /// The time, in milliseconds since 1970.
    pub now_ms: u64,
    /// Its path, for messages.
    pub path: &'r str,
}

/// What is known of a request once its body is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'r> {
    /// The model that it names; empty, if it names none.
    pub model: &'r str,
    /// The door.
    pub surface: Option<Surface>,
    /// The most tokens of an answer that it names.
    pub max_output_tokens: Option<u64>,
    /// It is a request whose answer may be long: a conversation.
    pub is_generation: bool,
    /// It gives tools.
    pub tools: bool,
    /// It gives pictures.
    pub images: bool,
}

/// May a request of a key with these terms come in?
pub(super) fn entering(level: &Level, terms: &Terms, about: &Entering<'_>) -> Result<(), Error> {
    let what = &level.what;
    if terms.expires_ms.is_some_and(|at| at <= about.now_ms) {
        let error = Error::new(ErrorKind::Unauthenticated, format!("The {what} has expired."));
        return Err(error.with_code("expired_api_key"));
    }
    if !terms.enabled {
        let message = format!("The {what} is switched off.");
        return Err(Error::new(ErrorKind::Unauthenticated, message).with_code("disabled_api_key"));
    }
    let rights = &terms.rights;
    let is_other = |surface: Surface| !rights.surfaces.is_empty() && !rights.surfaces.contains(&surface);
    if about.surface.is_some_and(is_other) {
        let message = format!("The {what} may not use {}: it is for other surfaces.", about.path);
        return Err(Error::new(ErrorKind::Forbidden, message).with_code("surface_not_allowed"));
    }
    let is_in = |address: IpAddr| rights.addresses.iter().any(|range| range.contains(&address));
    if !rights.addresses.is_empty() && !about.address.is_some_and(is_in) {
        // Which addresses are let in is nobody's business who is elsewhere.
        let message = format!("The {what} may not be used from this address.");
        return Err(Error::new(ErrorKind::Forbidden, message).with_code("address_not_allowed"));
    }
    Ok(())
}

/// Narrows what is asked of the cache to what these terms let.
pub(super) fn narrow(terms: &Terms, directives: &mut Directives) {
    let rights = &terms.rights;
    directives.no_cache |= !rights.cache.read;
    directives.no_store |= !rights.cache.write;
    for tag in rights.tags.iter().filter(|tag| !directives.tags.contains(tag)).cloned().collect::<Vec<_>>() {
        directives.tags.push(tag);
    }
}

/// May this be asked for?
pub(super) fn asked(level: &Level, terms: &Terms, about: &Asked<'_>) -> Result<(), Error> {
    let (what, rights) = (&level.what, &terms.rights);
    let asks_unnamed = match about.surface {
        // The provider would choose.
        Some(Surface::Images | Surface::Audio | Surface::Moderations) => about.model.is_empty(),
        // Whatever models stand in its file.
        Some(Surface::Batches) => !rights.surfaces.contains(&Surface::Batches),
        _ => false,
    };
    if asks_unnamed && !rights.models.is_empty() {
        let message = format!("The {what} may use some models only, and this request does not say which it asks for.");
        return Err(Error::new(ErrorKind::Forbidden, message).with_code("model_not_allowed"));
    }
    // A file has no model.
    if !about.model.is_empty() && !fits(&rights.models, about.model) {
        return Err(no_model(about.model, what));
    }
    let refused = |param: &'static str, message: String| {
        let error = Error::new(ErrorKind::Forbidden, message).with_code("parameter_not_allowed");
        Err(Error { param: Some(param.into()), ..error })
    };
    if about.tools && !rights.tools {
        return refused("tools", format!("The {what} may not give tools."));
    }
    if about.images && !rights.images {
        return refused("messages", format!("The {what} may not send pictures."));
    }
    match (rights.max_output_tokens, about.max_output_tokens) {
        (Some(most), named) if about.is_generation && named.is_none_or(|named| named > most) => {
            let came = named.map_or("this request names none".to_owned(), |named| format!("this one asks for {named}"));
            refused(
                "max_tokens",
                format!("Requests of the {what} have to name at most {most} tokens of an answer; {came}."),
            )
        }
        _ => Ok(()),
    }
}

/// Is `model` one of `models`, in which one `*` stands for any text? None are all.
pub(super) fn fits(models: &[String], model: &str) -> bool {
    let is = |pattern: &String| match pattern.split_once('*') {
        Some((before, after)) => {
            model.len() >= before.len() + after.len() && model.starts_with(before) && model.ends_with(after)
        }
        None => pattern == model,
    };
    models.is_empty() || models.iter().any(is)
}

pub(super) fn no_model(model: &str, what: &str) -> Error {
    let shown: String = model.chars().take(100).collect();
    let message = format!("The {what} may not use the model `{shown}`.");
    let error = Error::new(ErrorKind::Forbidden, message).with_code("model_not_allowed");
    Error { param: Some("model".into()), ..error }
}

/// A level above a key, or the key itself, is not there any more.
pub(super) fn gone(what: &str) -> Error {
    let message = format!("The {what} is not there any more, so nothing may be asked in its name.");
    Error::new(ErrorKind::Unauthenticated, message).with_code("revoked_api_key")
}
