//! What a person or a group may say of itself (RFC 7643): names of attributes in their own spelling, values of the kinds that matter
//! here, and all else kept as it came.

use super::{Kind, wrong};
use crate::types::error::Error;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The schema of people, of the extension for those of an enterprise, and of groups.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The extension for people of an enterprise.
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// The schema of groups.
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// The longest name, in bytes; the most attributes, and members.
const NAME_BYTES: usize = 256;
const MOST_ATTRIBUTES: usize = 100;
const MOST_MEMBERS: usize = 20_000;
/// A person may say no more, in bytes. A group's members count on their own.
const MOST_BYTES: usize = 64 * 1024;

/// Attributes of people and groups, as they are spelt.
const NAMES: [&str; 22] = [
    "userName",
    "externalId",
    "name",
    "displayName",
    "nickName",
    "profileUrl",
    "title",
    "userType",
    "preferredLanguage",
    "locale",
    "timezone",
    "active",
    "emails",
    "phoneNumbers",
    "ims",
    "photos",
    "addresses",
    "entitlements",
    "roles",
    "x509Certificates",
    "members",
    "groups",
];

/// What is written here, or kept nowhere.
const NOT_TAKEN: [&str; 5] = ["id", "meta", "schemas", "groups", "password"];

/// The attribute of that name, as it is spelt; names are the same in small and large letters.
pub fn spelt(name: &str) -> String {
    let core = [USER, GROUP].iter().find_map(|schema| {
        let (head, tail) = name.split_at_checked(schema.len())?;
        head.eq_ignore_ascii_case(schema).then(|| tail.strip_prefix(':'))?
    });
    let name = core.unwrap_or(name);
    let known = NAMES.iter().chain(&NOT_TAKEN).chain(&[ENTERPRISE]).find(|known| known.eq_ignore_ascii_case(name));
    known.map_or_else(|| name.to_owned(), |known| (*known).to_owned())
}

/// Is the attribute one that others cannot set?
pub fn is_not_taken(name: &str) -> bool {
    NOT_TAKEN.contains(&name)
}

/// What `value` says of a person or a group, checked.
pub fn read(kind: Kind, value: Value) -> Result<Map<String, Value>, Error> {
    let Value::Object(all) = value else { return Err(wrong("a resource is an object")) };
    let all = all.into_iter().map(|(name, value)| (spelt(&name), value));
    checked(kind, all.filter(|(name, value)| !is_not_taken(name) && !value.is_null()).collect())
}

/// The same of what is made of parts.
pub fn checked(kind: Kind, mut said: Map<String, Value>) -> Result<Map<String, Value>, Error> {
    if said.len() > MOST_ATTRIBUTES {
        return Err(wrong(&format!("it has more than {MOST_ATTRIBUTES} attributes")));
    }
    for name in ["userName", "displayName", "externalId"] {
        text(&said, name)?;
    }
    let required = if kind == Kind::User { "userName" } else { "displayName" };
    if !said.contains_key(required) {
        return Err(wrong(&format!("`{required}` is missing")));
    }
    if let Some(active) = said.get_mut("active") {
        *active = Value::Bool(truth(active).ok_or_else(|| wrong("`active` is `true` or `false`"))?);
    }
    let members = said.remove("members").filter(|_| kind == Kind::Group);
    if Value::Object(said.clone()).to_string().len() > MOST_BYTES {
        return Err(wrong(&format!("it is longer than {MOST_BYTES} bytes")));
    }
    if let Some(members) = members {
        said.insert("members".to_owned(), self::members(members)?);
    }
    Ok(said)
}

/// Some providers write `"True"`.
fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn text(said: &Map<String, Value>, name: &str) -> Result<(), Error> {
    match said.get(name) {
        None => Ok(()),
        Some(Value::String(text))
            if (1..=NAME_BYTES).contains(&text.trim().len()) && !text.chars().any(char::is_control) =>
        {
            Ok(())
        }
        Some(_) => Err(wrong(&format!("`{name}` is text of at most {NAME_BYTES} bytes"))),
    }
}

/// Members, each once, by their ids alone.
fn members(value: Value) -> Result<Value, Error> {
    let all = match value {
        Value::Array(all) => all,
        one @ Value::Object(_) => vec![one],
        _ => return Err(wrong("`members` is a list of objects")),
    };
    let ids = all.iter().map(|one| one.get("value").and_then(Value::as_str).map(str::to_owned));
    let ids = ids.collect::<Option<Vec<String>>>().ok_or_else(|| wrong("each of `members` has a text `value`"))?;
    if ids.len() > MOST_MEMBERS {
        return Err(wrong(&format!("a group has at most {MOST_MEMBERS} members")));
    }
    let mut seen = BTreeSet::new();
    let once = ids.into_iter().filter(|id| seen.insert(id.clone()));
    Ok(once.map(|id| serde_json::json!({"value": id})).collect())
}

/// A time as SCIM writes it.
pub fn time(ms: u64) -> String {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(ms).unwrap_or(0)).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
