//! Which targets a request goes to, and where the model's name stands in it.

use super::super::facts::About;
use super::super::serve::Setup;
use super::holders::Holders;
use super::{MODEL, Parcel};
use crate::governance::Governor;
use crate::governance::{Asked, Estimate};
use crate::providers::Provider;
use crate::routing::{Leg, Route, Target, no_target};
use crate::types::error::{Error, ErrorKind};
use crate::types::json::Json;
use crate::types::money::MicroUsd;
use crate::types::request::quoted;
use crate::types::surface::Surface;
use crate::wire::json::{parse, span_of};
use crate::wire::{multipart, path, request};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;

/// Where a request goes.
pub(super) struct Way {
    /// The targets.
    pub(super) route: Arc<Route>,
    /// The places of those lanes in it whose providers do not speak the request's wire, or whose targets take no part in it. Not
    /// all.
    pub(super) out: Vec<usize>,
    /// The model, as the caller named it.
    pub(super) model: Option<String>,
    place: Place,
}

/// Where the model's name stands.
enum Place {
    Nowhere,
    Path,
    /// The value of `model` in a JSON body, quotes included.
    Json(Range<usize>),
    /// The value of the field `model` of a form.
    Form(Range<usize>),
}

/// What is read of a body.
struct Read {
    model: Option<(String, Place)>,
    /// The file that a batch is made of.
    id: Option<String>,
}

impl Way {
    /// The path and the body for a target that calls the model `name`: nothing but that name is another.
    pub(super) fn renamed(&self, parcel: &Parcel, name: &str) -> Result<(String, Bytes), Error> {
        let agrees = self.model.as_deref() == Some(name);
        let body = match &self.place {
            Place::Json(span) if !agrees => spliced(&parcel.body, span, &quoted(name)),
            Place::Form(span) if !agrees => spliced(&parcel.body, span, name),
            _ => parcel.body.clone(),
        };
        let path = match &self.place {
            Place::Path => {
                let segment = path::segment(name).ok_or_else(|| Error::invalid("model", "`model` is no name."))?;
                parcel.path.replacen(MODEL, &segment, 1)
            }
            _ => parcel.path.clone(),
        };
        Ok((path, body))
    }
}

impl Way {
    /// What is asked, as far as somebody may have to let it in.
    pub(super) fn asked(&self, surface: Surface) -> Asked<'_> {
        let model = self.model.as_deref().unwrap_or_default();
        Asked { model, surface: Some(surface), ..Asked::default() }
    }

    /// Leaves out the lanes in `barred`, too. An error where none is left.
    pub(super) fn leave_out(&mut self, barred: Vec<usize>) -> Result<(), Error> {
        if barred.is_empty() {
            return Ok(());
        }
        self.out.extend(barred);
        self.route.some_are_left(&self.out, self.model.as_deref().unwrap_or_default())
    }

    /// What it costs at the lane at `at`: the price of a request there. What else such an answer costs nobody tells.
    pub(super) fn price_at(&self, at: usize) -> MicroUsd {
        let price = self.route.legs.get(at).and_then(|leg| leg.price.or(self.route.price));
        MicroUsd(price.map_or(0, |price| price.request_micro_usd))
    }

    /// What it costs at most.
    pub(super) fn most(&self) -> Estimate {
        let costs = (0..self.route.legs.len()).filter(|at| !self.out.contains(at)).map(|at| self.price_at(at));
        Estimate { cost: costs.max().unwrap_or_default(), ..Estimate::default() }
    }
}

/// `body` with what stands at `span` replaced.
fn spliced(body: &Bytes, span: &Range<usize>, by: &str) -> Bytes {
    let (before, after) = (body.get(..span.start).unwrap_or_default(), body.get(span.end..).unwrap_or_default());
    [before, by.as_bytes(), after].concat().into()
}

/// Finds where `parcel` goes: to the provider that it names, to the targets of its model, to the one that keeps what it is
/// about, or to the default provider.
pub(super) fn way(
    parcel: &Parcel,
    setup: &Setup,
    governor: &Governor,
    holders: &Holders,
    now_ms: u64,
) -> Result<Way, Error> {
    let read = read(parcel)?;
    let id = parcel.to.id.as_ref().or(read.id.as_ref());
    let keeper = match id {
        Some(id) => holders.keeper(id, &parcel.caller.tenant)?,
        None => None,
    };
    // One that a reload took away keeps nothing any more.
    let keeper = keeper.filter(|name| setup.registry.get(name).is_some());
    let (model, place) = match (&parcel.to.model, read.model) {
        (Some(model), _) => (Some(model.clone()), Place::Path),
        (None, Some((model, place))) => (Some(model), place),
        (None, None) => (None, Place::Nowhere),
    };
    let to = |provider: &str| setup.router.to(provider, model.as_deref().unwrap_or_default(), None);
    let about = |model| About {
        model,
        surface: parcel.surface,
        caller: &parcel.caller,
        governor,
        told: &parcel.told,
        read: None,
        now_ms,
    };
    let all = |route| (route, Vec::new());
    let (route, left_out) = match (&parcel.to.provider, &model) {
        (Some(named), _) if setup.registry.get(named).is_none() => return Err(unknown_provider(named, parcel, setup)),
        (Some(named), None) => all(to(named)),
        (Some(named), Some(model)) => {
            let target = at_provider(named, &about(model), setup)?;
            all(target.map_or_else(|| to(named), |name| setup.router.to(named, &name, None)))
        }
        (None, Some(model)) => about(model).plan_unread(setup)?,
        (None, None) => match keeper.as_deref().or(setup.router.default_provider()) {
            Some(name) => all(to(name)),
            None => all(to(&only_one(parcel, setup)?)),
        },
    };
    let mut out = unspoken(&route, parcel, setup)?;
    if !left_out.is_empty() {
        out.extend(left_out);
        route.some_are_left(&out, model.as_deref().unwrap_or_default())?;
    }
    Ok(Way { route, out, model, place })
}

/// What the provider `named` calls the model of a request, where one of the model's targets is there; an error where such targets
/// take no part in the request.
fn at_provider(named: &str, about: &About<'_>, setup: &Setup) -> Result<Option<String>, Error> {
    let is_there = |target: &&Target| target.provider == *named;
    let planned = setup.router.plan(about.model, |model| setup.registry.having(model)).ok();
    let Some(route) = planned.filter(|route| route.targets.iter().any(|target| is_there(&target))) else {
        return Ok(None);
    };
    let left = route.targets_left(&about.left_out(&route)).into_iter().find(is_there);
    left.map(|target| Some(target.model.clone())).ok_or_else(|| no_target(about.model))
}

/// The lanes whose providers do not speak the wire. An error where there is no other.
fn unspoken(route: &Route, parcel: &Parcel, setup: &Setup) -> Result<Vec<usize>, Error> {
    let is_out =
        |target: &Target| !setup.registry.get(&target.provider).is_some_and(|one| speaks(one.as_ref(), parcel));
    let out = |(at, leg): (usize, &Leg)| route.targets.get(leg.target).is_none_or(is_out).then_some(at);
    let out: Vec<usize> = route.legs.iter().enumerate().filter_map(out).collect();
    if out.len() < route.legs.len() {
        return Ok(out);
    }
    let names: Vec<String> = route.targets.iter().map(|target| format!("`{}`", target.provider)).collect();
    let message = format!(
        "Provider {} does not serve requests of the kind `{}`. {}",
        names.join(", "),
        parcel.surface.as_str(),
        choice(parcel, setup)
    );
    Err(Error::new(ErrorKind::InvalidRequest, message).with_code("unsupported_surface"))
}

fn speaks(provider: &dyn Provider, parcel: &Parcel) -> bool {
    provider.speaks(parcel.wire) == Some(parcel.wire)
}

/// The providers that speak the wire.
fn speakers(parcel: &Parcel, setup: &Setup) -> Vec<String> {
    let is_one = |name: &&String| setup.registry.get(name).is_some_and(|one| speaks(one.as_ref(), parcel));
    setup.registry.names().iter().filter(is_one).cloned().collect()
}

/// The provider of a request that names neither a provider nor a model, where there is no default.
fn only_one(parcel: &Parcel, setup: &Setup) -> Result<String, Error> {
    let mut all = speakers(parcel, setup);
    match all.pop() {
        Some(only) if all.is_empty() => Ok(only),
        _ => {
            let message = format!("There is no default provider. {}", choice(parcel, setup));
            Err(Error::new(ErrorKind::InvalidRequest, message).with_code("no_provider"))
        }
    }
}

/// Who could be asked.
fn choice(parcel: &Parcel, setup: &Setup) -> String {
    match speakers(parcel, setup).as_slice() {
        [] => "No configured provider does.".to_owned(),
        names => format!("Name one of {} in the header x-askonce-provider.", names.join(", ")),
    }
}

fn unknown_provider(name: &str, parcel: &Parcel, setup: &Setup) -> Error {
    let shown: String = name.chars().take(60).collect();
    let message = format!("There is no provider `{shown}`. {}", choice(parcel, setup));
    Error::invalid("x-askonce-provider", message).with_code("unknown_provider")
}

/// Reads what the body says of where it goes.
fn read(parcel: &Parcel) -> Result<Read, Error> {
    let kind = parcel.content_type.as_ref().and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if parcel.body.is_empty() || parcel.to.model.is_some() {
        Ok(Read { model: None, id: None })
    } else if multipart::is_form(kind) {
        let span = multipart::field(kind, &parcel.body, "model")?;
        let model = span.map(|span| form_model(&parcel.body, span)).transpose()?;
        Ok(Read { model, id: None })
    } else {
        json(parcel)
    }
}

fn json(parcel: &Parcel) -> Result<Read, Error> {
    let json = parse(&parcel.body)?;
    if !matches!(json, Json::Object(_)) {
        let message = format!("The body must be a JSON object; got {}.", json.kind());
        return Err(Error::new(ErrorKind::InvalidRequest, message));
    }
    let model = match json.get("model") {
        None | Some(Json::Null) => None,
        Some(_) => {
            let name = request::model(&json)?;
            let span = span_of(&parcel.body, "model")
                .ok_or_else(|| Error::new(ErrorKind::Internal, "`model` lost its place in the body."))?;
            Some((name, Place::Json(span)))
        }
    };
    let id = json.get("input_file_id").and_then(Json::as_str).map(str::to_owned);
    Ok(Read { model, id })
}

fn form_model(body: &Bytes, span: Range<usize>) -> Result<(String, Place), Error> {
    let name = std::str::from_utf8(body.get(span.clone()).unwrap_or_default()).unwrap_or_default();
    if !(1..=request::MODEL_BYTES).contains(&name.len()) {
        let message = format!("The field `model` must be text of 1 to {} bytes.", request::MODEL_BYTES);
        return Err(Error::invalid("model", message));
    }
    Ok((name.to_owned(), Place::Form(span)))
}

#[cfg(test)]
mod tests {
    use super::super::{Address, Ids};
    use super::*;
    use crate::types::caller::{Caller, Tenant};
    use crate::types::directives::Directives;
    use crate::types::surface::Surface;
    use std::time::Instant;

    fn nowhere() -> Arc<Route> {
        crate::routing::Router::default().to("p", "m", None)
    }

    fn parcel(path: &str, model: Option<&str>, kind: &'static str, body: &'static str) -> Parcel {
        let tenant = Tenant::configured("a");
        Parcel {
            surface: Surface::CountTokens,
            wire: Surface::GenerateContent,
            method: http::Method::POST,
            path: path.to_owned(),
            query: None,
            to: Address { model: model.map(str::to_owned), ..Address::default() },
            ids: Ids::None,
            content_type: Some(http::HeaderValue::from_static(kind)),
            body: Bytes::from_static(body.as_bytes()),
            caller: Caller::unknown("a", tenant),
            directives: Directives::default(),
            headers: Vec::new(),
            told: Vec::new(),
            request_id: String::new(),
            arrived: Instant::now(),
        }
    }

    fn renamed(parcel: &Parcel, name: &str) -> (String, String) {
        let read = read(parcel).unwrap();
        let (model, place) = match (&parcel.to.model, read.model) {
            (Some(model), _) => (Some(model.clone()), Place::Path),
            (None, Some((model, place))) => (Some(model), place),
            (None, None) => (None, Place::Nowhere),
        };
        let (path, body) = Way { route: nowhere(), out: Vec::new(), model, place }.renamed(parcel, name).unwrap();
        (path, String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn the_models_name_is_replaced_where_the_wire_tells_it() {
        let json = "application/json";
        let table = [
            (
                parcel("/models/{model}:countTokens", Some("a/b"), json, r#"{"model":"a/b"}"#),
                "/models/x%2Fy:countTokens",
                r#"{"model":"a/b"}"#,
            ),
            (
                parcel("/input_tokens", None, json, r#"{ "model" : "m","x":{"model":"m"}}"#),
                "/input_tokens",
                r#"{ "model" : "x/y","x":{"model":"m"}}"#,
            ),
            (
                parcel("/input_tokens", None, json, r#"{"model":"\u0078/y"}"#),
                "/input_tokens",
                r#"{"model":"\u0078/y"}"#,
            ),
            (parcel("/files/%7Bmodel%7D", None, json, r#"{"x":1}"#), "/files/%7Bmodel%7D", r#"{"x":1}"#),
        ];
        for (parcel, path, body) in table {
            assert_eq!(renamed(&parcel, "x/y"), (path.to_owned(), body.to_owned()));
        }
        assert!(
            Way { route: nowhere(), out: Vec::new(), model: None, place: Place::Path }
                .renamed(&parcel("/{model}", Some("m"), json, ""), "..")
                .is_err()
        );
    }
}
