//! The earlier turns of a conversation, put before a request that names them (`previous_response_id`), and the lists that
//! are told of a kept response (<https://platform.openai.com/docs/guides/conversation-state>).

use crate::types::error::{Error, ErrorKind};
use crate::types::json::Json;
use crate::wire::json::parse;
use crate::wire::read::{field, maybe_text};
use crate::wire::write::{self, Array, array, object, to_vec, value};

/// The response that a request goes on from.
pub fn previous<'j>(request: &'j Json<'_>) -> Result<Option<&'j str>, Error> {
    Ok(maybe_text(request, "", "previous_response_id")?.filter(|id| !id.is_empty()))
}

/// Is the answer to a request to be kept? As the request says; where it does not, unless nothing of the exchange is to be
/// stored.
pub fn is_kept(request: &Json<'_>, no_store: bool) -> bool {
    match request.get("store") {
        Some(Json::Bool(store)) => *store,
        _ => !no_store,
    }
}

/// The request with the turns before it in its input, and without their name. Instructions are not among them: the
/// vendor takes those of each request alone.
///
/// `earlier` is the request that was answered, its own earlier turns in it; `answer` is what it was answered with.
pub fn expanded(earlier: &Json<'_>, answer: &Json<'_>, request: &Json<'_>) -> Vec<u8> {
    let Json::Object(fields) = request else { return to_vec(|_| {}) };
    let input = |out: &mut Vec<u8>| {
        array(out, |list| {
            items(list, field(earlier, "input"));
            items(list, field(answer, "output"));
            items(list, field(request, "input"));
        });
    };
    let mut out = Vec::with_capacity(4096);
    object(&mut out, |o| {
        for (name, field) in fields.iter().filter(|(name, _)| name != "previous_response_id") {
            match name.as_ref() {
                "input" => input(o.key("input")),
                _ => value(o.key(name), field),
            }
        }
        if request.get("input").is_none() {
            input(o.key("input"));
        }
    });
    out
}

/// The items of an `input` or `output`; a text is a user's message.
fn items(list: &mut Array<'_>, there: Option<&Json<'_>>) {
    match there {
        Some(Json::String(text)) => list.object(|o| {
            o.text("type", "message");
            o.text("role", "user");
            o.text("content", text);
        }),
        Some(Json::Array(all)) => all.iter().for_each(|item| value(list.item(), item)),
        _ => {}
    }
}

/// No response of that id is kept here, in the vendor's words.
pub fn not_found(id: &str) -> Error {
    let id: String = id.chars().take(80).collect();
    Error::invalid("previous_response_id", format!("Previous response with id '{id}' not found."))
        .with_code("previous_response_not_found")
}

/// No response of that id is kept here, for who asks for the response itself.
pub fn unknown(id: &str) -> Error {
    let id: String = id.chars().take(80).collect();
    Error::new(ErrorKind::NotFound, format!("Response with id '{id}' not found."))
}

/// The ids of the items of an answer.
pub fn item_ids(answer: &[u8]) -> Vec<String> {
    let Ok(json) = parse(answer) else { return Vec::new() };
    let items = json.get("output").and_then(Json::as_array).unwrap_or_default();
    items.iter().filter_map(|item| item.get("id").and_then(Json::as_str).map(str::to_owned)).collect()
}

/// The item of that id in an answer, as JSON text.
pub fn item(answer: &[u8], id: &str) -> Option<String> {
    let json = parse(answer).ok()?;
    let items = json.get("output")?.as_array()?;
    items.iter().find(|item| item.get("id").and_then(Json::as_str) == Some(id)).map(write::text_of)
}

/// The ids of the items that a request refers to.
pub fn references<'j>(request: &'j Json<'_>) -> impl Iterator<Item = &'j str> {
    let input = request.get("input").and_then(Json::as_array).unwrap_or_default();
    let is_reference = |item: &&Json<'_>| item.get("type").and_then(Json::as_str) == Some("item_reference");
    input.iter().filter(is_reference).filter_map(|item| item.get("id")?.as_str())
}

/// The request with items in place of references to them, as far as `of` knows them; `None` where it knows none.
pub fn resolved(request: &Json<'_>, of: impl Fn(&str) -> Option<String>) -> Option<Vec<u8>> {
    let Json::Object(fields) = request else { return None };
    let input = request.get("input")?.as_array()?;
    let known = |item: &Json<'_>| match item.get("type").and_then(Json::as_str) {
        Some("item_reference") => of(item.get("id")?.as_str()?),
        _ => None,
    };
    let items: Vec<Option<String>> = input.iter().map(known).collect();
    if items.iter().all(Option::is_none) {
        return None;
    }
    Some(write::to_vec(|o| {
        for (name, field) in fields {
            if name != "input" {
                write::value(o.key(name), field);
                continue;
            }
            o.array(name, |list| {
                for (item, known) in input.iter().zip(&items) {
                    match known {
                        Some(known) => list.raw(known),
                        None => write::value(list.item(), item),
                    }
                }
            });
        }
    }))
}

/// `GET /v1/responses/{id}/input_items` of the request that was answered: the latest first unless `ascending`, `limit` of
/// them, those after the item of the id `after`.
pub fn input_items(id: &str, request: &[u8], ascending: bool, limit: usize, after: Option<&str>) -> Vec<u8> {
    let json = parse(request).unwrap_or(Json::Null);
    let mut all: Vec<(String, Vec<u8>)> = match field(&json, "input") {
        Some(Json::Array(all)) => all.iter().enumerate().map(|(at, item)| listed(id, at, item)).collect(),
        Some(text @ Json::String(_)) => vec![listed(id, 0, &message(text.clone()))],
        _ => Vec::new(),
    };
    if !ascending {
        all.reverse();
    }
    let from = after.map_or(0, |after| all.iter().position(|(id, _)| id == after).map_or(all.len(), |at| at + 1));
    let page: Vec<&(String, Vec<u8>)> = all.iter().skip(from).take(limit).collect();
    to_vec(|o| {
        o.text("object", "list");
        o.array("data", |list| page.iter().for_each(|(_, item)| list.item().extend_from_slice(item)));
        for (name, one) in [("first_id", page.first()), ("last_id", page.last())] {
            match one {
                Some((id, _)) => o.text(name, id),
                None => o.null(name),
            }
        }
        o.flag("has_more", from + page.len() < all.len());
    })
}

fn message<'j>(content: Json<'j>) -> Json<'j> {
    Json::Object(vec![("role".into(), Json::String("user".into())), ("content".into(), content)])
}

/// An item with its id: its own, or one by its place. A message's words are told as a list of parts, as the vendor does.
fn listed(response: &str, at: usize, item: &Json<'_>) -> (String, Vec<u8>) {
    let own = item.get("id").and_then(Json::as_str).map(str::to_owned);
    let kind = item.get("type").and_then(Json::as_str).unwrap_or("message");
    let prefix = match kind {
        "message" => "msg",
        "reasoning" => "rs",
        "function_call" => "fc",
        _ => "item",
    };
    let id = own.unwrap_or_else(|| format!("{prefix}_{}_in{at}", response.strip_prefix("resp_").unwrap_or(response)));
    let told = to_vec(|o| {
        o.text("id", &id);
        o.text("type", kind);
        let Json::Object(fields) = item else { return };
        for (name, field) in fields.iter().filter(|(name, _)| name != "id" && name != "type") {
            match (name.as_ref(), field) {
                ("content", Json::String(text)) => o.array("content", |list| {
                    let said = item.get("role").and_then(Json::as_str) == Some("assistant");
                    list.object(|o| {
                        o.text("type", if said { "output_text" } else { "input_text" });
                        o.text("text", text);
                        if said {
                            o.array("annotations", |_| {});
                        }
                    });
                }),
                _ => value(o.key(name), field),
            }
        }
        if item.get("status").is_none() && kind == "message" {
            o.text("status", "completed");
        }
    });
    (id, told)
}

/// `DELETE /v1/responses/{id}` of a response that was kept.
pub fn deleted(id: &str) -> Vec<u8> {
    to_vec(|o| {
        o.text("id", id);
        o.text("object", "response");
        o.flag("deleted", true);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::chat::Role;
    use crate::wire::responses::request::decode;

    #[test]
    fn earlier_turns_come_before_the_new_one() {
        let earlier = parse(br#"{"model":"a","input":"one","instructions":"old"}"#).unwrap();
        let answer = parse(
            br#"{"output":[{"type":"message","id":"msg_1","role":"assistant","content":[{"type":"output_text","text":"two"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}]}"#,
        )
        .unwrap();
        let request = parse(
            br#"{"model":"b","previous_response_id":"resp_1","input":[{"type":"function_call_output","call_id":"c","output":"three"}],"store":false}"#,
        )
        .unwrap();
        assert_eq!(previous(&request).unwrap(), Some("resp_1"));
        let body = expanded(&earlier, &answer, &request);
        let json = parse(&body).unwrap();
        assert_eq!(previous(&json).unwrap(), None);
        let chat = decode(&json).unwrap();
        assert_eq!(chat.model, "b");
        assert!(chat.system.is_empty() && chat.extra.is_empty());
        let roles: Vec<Role> = chat.messages.iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::User, Role::Assistant, Role::Tool]);
        assert_eq!(chat.tool_of("c"), Some("f"));
        // The next turn goes on from this one, all of it in its input.
        let next = parse(br#"{"model":"b","previous_response_id":"resp_2"}"#).unwrap();
        let body = expanded(&json, &parse(br#"{"output":[]}"#).unwrap(), &next);
        assert_eq!(decode(&parse(&body).unwrap()).unwrap().messages, chat.messages);
    }

    #[test]
    fn kept_unless_told_otherwise() {
        let table = [
            (r#"{}"#, true, false),
            (r#"{"store":null}"#, true, false),
            (r#"{"store":false}"#, false, false),
            (r#"{"store":true}"#, true, true),
        ];
        for (body, kept, kept_in_spite) in table {
            let json = parse(body.as_bytes()).unwrap();
            assert_eq!((is_kept(&json, false), is_kept(&json, true)), (kept, kept_in_spite), "{body}");
        }
        let error = not_found("resp_9");
        assert_eq!((error.status(), error.code), (400, Some("previous_response_not_found")));
        assert_eq!(unknown("resp_9").status(), 404);
    }

    #[test]
    fn input_items_in_pages() {
        let request = br#"{"input":[{"role":"user","content":"a"},{"type":"function_call","id":"fc_9","call_id":"c","name":"f","arguments":"{}"},{"role":"assistant","content":"b"}]}"#;
        let ids = |ascending, limit, after| {
            let body = input_items("resp_1", request, ascending, limit, after);
            let json = parse(&body).unwrap();
            let data = json.get("data").and_then(Json::as_array).unwrap_or_default();
            let ids: Vec<String> =
                data.iter().filter_map(|item| item.get("id").and_then(Json::as_str)).map(str::to_owned).collect();
            assert_eq!(json.get("first_id").and_then(Json::as_str), ids.first().map(String::as_str));
            (ids, json.get("has_more") == Some(&Json::Bool(true)))
        };
        let (first, call, last) = ("msg_1_in0".to_owned(), "fc_9".to_owned(), "msg_1_in2".to_owned());
        assert_eq!(ids(true, 20, None), (vec![first.clone(), call.clone(), last.clone()], false));
        assert_eq!(ids(false, 2, None), (vec![last, call], true));
        assert_eq!(ids(false, 2, Some("fc_9")), (vec![first], false));
        assert_eq!(ids(true, 2, Some("gone")), (vec![], false));
    }
}
