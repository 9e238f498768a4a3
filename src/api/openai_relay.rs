//! What of the OpenAI surface is no conversation: moderations, images, audio, files, batches and uploads. All of it is
//! passed on as it is (<https://platform.openai.com/docs/api-reference>).

use super::answer::{Frames, is_json, send};
use crate::edge::body::{self, Upload};
use crate::edge::entrance::enter;
use crate::edge::{Doors, RequestId, caller, reject};
use crate::pipeline::Reply;
use crate::pipeline::relay::{Address, Ids, Parcel};
use crate::types::error::{Error, ErrorKind};
use crate::types::surface::Surface;
use crate::wire::multipart::is_form;
use crate::wire::path::segment;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;
use std::time::Instant;

/// Names the provider of a request that names no model.
const PROVIDER: &str = "x-askonce-provider";
/// Caller headers that go on beside those of conversations.
const PASSED_ON: [HeaderName; 2] = [ACCEPT, HeaderName::from_static("idempotency-key")];
/// The id of a file, batch or upload may be this long.
const ID_BYTES: usize = 256;

/// One of these paths.
#[derive(Clone, Copy)]
struct Door {
    surface: Surface,
    /// Below the base URL; `{id}` stands for an id.
    path: &'static str,
    takes: Takes,
    ids: Ids,
}

/// The body that a path takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Json,
    /// A form, or JSON where the provider takes that.
    Form,
    /// None; JSON that is sent all the same is passed on.
    Nothing,
}

/// The routes, for `/v1` and without it.
pub(super) fn routes() -> Router<Arc<Doors>> {
    use Surface::{Audio, Batches, Files, Images, Moderations};
    use Takes::{Form, Json, Nothing};
    let door = |surface, path, takes| Door { surface, path, takes, ids: Ids::None };
    let told = |surface, path| Door { ids: Ids::Told, ..door(surface, path, Nothing) };
    let made = |surface, path, takes| Door { ids: Ids::Made, ..door(surface, path, takes) };
    let without_id = [
        door(Moderations, "/moderations", Json),
        door(Images, "/images/generations", Json),
        door(Images, "/images/edits", Form),
        door(Images, "/images/variations", Form),
        door(Audio, "/audio/speech", Json),
        door(Audio, "/audio/transcriptions", Form),
        door(Audio, "/audio/translations", Form),
        made(Files, "/uploads", Json),
    ];
    let router = Router::new()
        .route("/files", on(made(Files, "/files", Form)).merge(read(told(Files, "/files"))))
        .route("/files/{id}", about(told(Files, "/files/{id}")).merge(removed(told(Files, "/files/{id}"))))
        .route("/files/{id}/content", about(door(Files, "/files/{id}/content", Nothing)))
        .route("/batches", on(made(Batches, "/batches", Json)).merge(read(told(Batches, "/batches"))))
        .route("/batches/{id}", about(told(Batches, "/batches/{id}")))
        .route("/batches/{id}/cancel", on_one(told(Batches, "/batches/{id}/cancel")))
        .route("/uploads/{id}/parts", on_one(door(Files, "/uploads/{id}/parts", Form)))
        .route("/uploads/{id}/complete", on_one(made(Files, "/uploads/{id}/complete", Json)))
        .route("/uploads/{id}/cancel", on_one(told(Files, "/uploads/{id}/cancel")));
    without_id.into_iter().fold(router, |router, door| router.route(door.path, on(door)))
}

/// `POST`
fn on(door: Door) -> MethodRouter<Arc<Doors>> {
    post(move |doors: State<Arc<Doors>>, request: Request| serve(doors, door, None, request))
}

/// `POST`, about something that has an id
fn on_one(door: Door) -> MethodRouter<Arc<Doors>> {
    post(move |doors: State<Arc<Doors>>, Path(id): Path<String>, request: Request| {
        serve(doors, door, Some(id), request)
    })
}

/// `GET`
fn read(door: Door) -> MethodRouter<Arc<Doors>> {
    get(move |doors: State<Arc<Doors>>, request: Request| serve(doors, door, None, request))
}

/// `GET`, about something that has an id
fn about(door: Door) -> MethodRouter<Arc<Doors>> {
    get(move |doors: State<Arc<Doors>>, Path(id): Path<String>, request: Request| serve(doors, door, Some(id), request))
}

/// `DELETE`
fn removed(door: Door) -> MethodRouter<Arc<Doors>> {
    axum::routing::delete(move |doors: State<Arc<Doors>>, Path(id): Path<String>, request: Request| {
        serve(doors, door, Some(id), request)
    })
}

async fn serve(State(doors): State<Arc<Doors>>, door: Door, id: Option<String>, request: Request) -> Response {
    let arrived = Instant::now();
    match answer(&doors, door, id, request, arrived).await {
        Ok(reply) => send(reply, Frames::Sse, false),
        Err(error) => reject::reply(&error),
    }
}

async fn answer(
    doors: &Arc<Doors>,
    door: Door,
    id: Option<String>,
    request: Request,
    arrived: Instant,
) -> Result<Reply, Error> {
    let (parts, body) = request.into_parts();
    let (caller, directives) = enter(doors, &parts, Some(door.surface)).await?;
    let request = Request::from_parts(parts, body);
    let headers = request.headers();
    let takes_form = is_taken(door, request.method() == http::Method::POST, headers)?;
    let mut passed_on = caller::passed_on(headers);
    passed_on.extend(PASSED_ON.into_iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone()))));
    let mut parcel = Parcel {
        surface: door.surface,
        wire: door.surface,
        method: request.method().clone(),
        path: path(door, id.as_deref())?,
        query: request.uri().query().map(without_key),
        to: Address { provider: named(headers)?, model: None, id },
        ids: door.ids,
        content_type: headers.get(CONTENT_TYPE).cloned(),
        body: bytes::Bytes::new(),
        caller,
        directives,
        headers: passed_on,
        told: caller::told(headers),
        request_id: request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
        arrived,
    };
    let upload = match takes_form {
        true => body::read_form(doors, request).await?,
        false => Upload { body: body::read(&doors.edge, request).await?, place: None },
    };
    parcel.body = upload.body;
    let reply = doors.pipeline.relay(parcel).await;
    // Once the answer has begun, nothing is sent again.
    drop(upload.place);
    reply
}

/// Is the body a form? A body that the path does not take is refused, and so is what a web page elsewhere can send
/// without asking.
fn is_taken(door: Door, is_post: bool, headers: &HeaderMap) -> Result<bool, Error> {
    if !is_post {
        return Ok(false);
    }
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    match (door.takes, kind) {
        (Takes::Form, Some(kind)) if is_form(kind) => caller::is_no_web_page(headers).map(|()| true),
        (Takes::Nothing, None) => caller::is_no_web_page(headers).map(|()| false),
        (Takes::Form, kind) if is_json(headers).is_err() => {
            let message = format!(
                "The body must be sent as `Content-Type: multipart/form-data`; got {}.",
                kind.unwrap_or("no content type")
            );
            Err(Error::new(ErrorKind::UnsupportedMedia, message).with_code("unsupported_media_type"))
        }
        _ => is_json(headers).map(|()| false),
    }
}

/// A query without the parameter in which a caller may send its key: that is the gateway's to know.
fn without_key(query: &str) -> String {
    query.split('&').filter(|pair| !pair.starts_with("key=")).collect::<Vec<_>>().join("&")
}

/// The path with the id in it, as one segment.
fn path(door: Door, id: Option<&str>) -> Result<String, Error> {
    let Some(id) = id else { return Ok(door.path.to_owned()) };
    let known = Some(id).filter(|id| id.len() <= ID_BYTES).and_then(segment);
    let segment = known.ok_or_else(|| Error::invalid("id", "The path names no id of a file, batch or upload."))?;
    Ok(door.path.replacen("{id}", &segment, 1))
}

/// The provider that the caller names.
fn named(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let text = |value: &HeaderValue| value.to_str().map(|text| text.trim().to_owned());
    let name = headers.get(PROVIDER).map(text).transpose();
    name.map_err(|_| Error::invalid(PROVIDER, format!("The header {PROVIDER} must be the name of a provider.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_one_segment_of_its_path() {
        let door = Door { surface: Surface::Files, path: "/files/{id}/content", takes: Takes::Nothing, ids: Ids::None };
        let of = |id: &str| path(door, Some(id)).ok();
        assert_eq!(of("file-1").as_deref(), Some("/files/file-1/content"));
        assert_eq!(of("../organization?x#y").as_deref(), Some("/files/..%2Forganization%3Fx%23y/content"));
        assert_eq!((of(".."), of("."), of(""), of(&"x".repeat(ID_BYTES + 1))), (None, None, None, None));
    }

    #[test]
    fn what_a_web_page_can_send_unasked_is_refused() {
        let door = |takes| Door { surface: Surface::Files, path: "/files", takes, ids: Ids::None };
        let headers = |all: &[(&'static str, &'static str)]| {
            HeaderMap::from_iter(
                all.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))),
            )
        };
        let (form, json, text) = (
            ("content-type", "multipart/form-data; boundary=x"),
            ("content-type", "application/json"),
            ("content-type", "text/plain"),
        );
        let (page, key) = (("origin", "https://evil.example"), ("authorization", "Bearer k"));
        let table = [
            (Takes::Form, vec![form], Ok(true)),
            (Takes::Form, vec![form, page], Err(403)),
            (Takes::Form, vec![form, page, key], Ok(true)),
            (Takes::Form, vec![json], Ok(false)),
            (Takes::Form, vec![text], Err(415)),
            (Takes::Json, vec![form], Err(415)),
            (Takes::Json, vec![json, page], Ok(false)),
            (Takes::Json, vec![], Err(415)),
            (Takes::Nothing, vec![], Ok(false)),
            (Takes::Nothing, vec![page], Err(403)),
            (Takes::Nothing, vec![json], Ok(false)),
            (Takes::Nothing, vec![text], Err(415)),
        ];
        for (takes, given, expected) in table {
            let taken = is_taken(door(takes), true, &headers(&given)).map_err(|error| error.status());
            assert_eq!(taken, expected, "{given:?}");
        }
    }
}
