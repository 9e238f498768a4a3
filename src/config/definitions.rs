//! `Definition`: a provider, model or price that is made at the admin surface, put beside those of the file before the settings are
//! resolved: so each check, default and reference of the file holds for it as well.
//!
//! Whoever may make one has not the rights of whoever writes the file: it reads no variable and no file of this host, lends none of its
//! identities, and refers to those stores of secrets only that `admin.secret_stores` opens.

use super::error::ConfigError;
use super::fields::Item;
use super::file::{self, Key, Node, Value};
use super::references::Referred;
use crate::types::host::is_forbidden;
use crate::types::reference::{Reference, Store, Told};
use serde_json::{Map, Value as Json};
use std::fmt;

/// What stands in place of a secret; sent back, it means the one that is there.
pub const MASK: &str = "[secret]";

/// A list of the settings whose entries may be made at the admin surface.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Section {
    /// Where requests can be sent.
    Providers,
    /// What callers may ask for.
    Models,
    /// What models cost.
    Prices,
}

impl Section {
    /// All of them, each after those that it refers to.
    pub const ALL: [Section; 3] = [Section::Providers, Section::Models, Section::Prices];

    /// Its key in the settings, and its path at the admin surface.
    pub fn as_str(self) -> &'static str {
        match self {
            Section::Providers => "providers",
            Section::Models => "models",
            Section::Prices => "prices",
        }
    }

    /// One of its entries.
    pub fn one(self) -> &'static str {
        match self {
            Section::Providers => "provider",
            Section::Models => "model",
            Section::Prices => "price",
        }
    }

    /// That whose entries are called `one`.
    pub fn of_one(one: &str) -> Option<Section> {
        Section::ALL.into_iter().find(|section| section.one() == one)
    }
}

/// An entry that is not the file's.
#[derive(Clone, PartialEq, Eq)]
pub struct Definition {
    /// The list that it is an entry of.
    pub section: Section,
    /// Its name. Unique in its list.
    pub name: String,
    /// Itself, as JSON with the keys of the file. It may hold secrets.
    pub json: String,
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definition").field("section", &self.section).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why settings with definitions are none.
#[derive(Debug)]
pub enum Unfit {
    /// The definition at that place does not fit; the key at fault is a key of its own.
    Definition(usize, ConfigError),
    /// The settings as a whole.
    Settings(ConfigError),
}

impl Unfit {
    /// What is wrong, whoever is at fault.
    pub fn into_error(self) -> ConfigError {
        match self {
            Unfit::Definition(_, error) | Unfit::Settings(error) => error,
        }
    }
}

/// How many entries of each list are the file's; those behind them are definitions.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct OfFile([usize; 3]);

impl OfFile {
    /// Of that list.
    pub fn of(self, section: Section) -> usize {
        self.0[section as usize]
    }

    /// The place among `definitions` of what stands at the key path `path`, and the rest of that path.
    pub fn place<'p>(self, path: &'p str, definitions: &[Definition]) -> Option<(usize, &'p str)> {
        let section = Section::ALL.into_iter().find(|section| path.starts_with(section.as_str()))?;
        let (index, rest) = path.strip_prefix(section.as_str())?.strip_prefix('[')?.split_once(']')?;
        let nth = index.parse::<usize>().ok()?.checked_sub(self.of(section))?;
        let mut own = definitions.iter().enumerate().filter(|(_, one)| one.section == section);
        Some((own.nth(nth)?.0, rest.strip_prefix('.').unwrap_or(rest)))
    }

    /// `error`, as one of a definition if it is one's.
    pub fn unfit(self, error: ConfigError, definitions: &[Definition]) -> Unfit {
        match self.place(&error.key, definitions) {
            Some((at, rest)) => Unfit::Definition(at, ConfigError { key: rest.to_owned(), position: None, ..error }),
            None => Unfit::Settings(error),
        }
    }
}

/// Puts `definitions` behind the entries of the file in `root`.
pub(super) fn add(root: &mut Node, definitions: &[Definition]) -> Result<OfFile, Unfit> {
    let mut counts = OfFile::default();
    for section in Section::ALL {
        if let Some(list) = list(root, section) {
            counts.0[section as usize] = list.len();
        }
    }
    for (at, one) in definitions.iter().enumerate() {
        let node = checked(one).map_err(|error| Unfit::Definition(at, error))?;
        match list(root, one.section) {
            Some(list) => list.push(node),
            // The file says something else there, and that is refused when it is read.
            None => break,
        }
    }
    Ok(counts)
}

/// The entries of a list; made where there is none, and `None` where something else is.
fn list(root: &mut Node, section: Section) -> Option<&mut Vec<Node>> {
    if matches!(root.value, Value::Null) {
        root.value = Value::Map(Vec::new());
    }
    let Value::Map(entries) = &mut root.value else { return None };
    let at = entries.iter().position(|(key, _)| key.text == section.as_str()).unwrap_or_else(|| {
        let key = Key { text: section.as_str().to_owned(), at: None };
        entries.push((key, Node { at: None, value: Value::Null }));
        entries.len() - 1
    });
    let (_, node) = entries.get_mut(at)?;
    if matches!(node.value, Value::Null) {
        node.value = Value::List(Vec::new());
    }
    match &mut node.value {
        Value::List(list) => Some(list),
        _ => None,
    }
}

fn checked(one: &Definition) -> Result<Node, ConfigError> {
    let json: Json = serde_json::from_str(&one.json)
        .map_err(|error| ConfigError::new("", None, format!("this is not valid JSON: {error}")))?;
    let Json::Object(entry) = &json else { return Err(ConfigError::new("", None, "expected an object")) };
    if one.section == Section::Providers {
        of_its_own(entry)?;
    }
    file::read_json(&one.json)
}

/// Does a provider use nothing that only the file may lend?
fn of_its_own(entry: &Map<String, Json>) -> Result<(), ConfigError> {
    let only_file = |key: &str, what: &str| {
        let error = ConfigError::new(key, None, format!("{what}, which only the configuration file may do"));
        Err(error.with_suggestion("write this provider into the file"))
    };
    if entry.contains_key("tls") {
        return only_file("tls", "`tls` names files of this host");
    }
    let inner = |section: &str, key: &str| entry.get(section).and_then(|section| section.get(key));
    if inner("google", "credentials_file").is_some() {
        return only_file("google.credentials_file", "`credentials_file` names a file of this host");
    }
    let keys = entry.get("keys").and_then(Json::as_array).is_some_and(|keys| !keys.is_empty());
    let has_key = keys || entry.get("api_key").is_some_and(|key| !key.is_null());
    match entry.get("kind").and_then(Json::as_str) {
        Some("vertex") if !has_key => return only_file("google", "without a key it signs in as this host"),
        Some("bedrock") if !has_key && inner("aws", "access_key_id").is_none() => {
            return only_file("aws", "without keys of its own it signs in as this host");
        }
        _ => {}
    }
    let urls = [
        ("base_url", entry.get("base_url")),
        ("proxy", entry.get("proxy")),
        ("aws.sts_url", inner("aws", "sts_url")),
        ("azure.token_url", inner("azure", "token_url")),
        ("google.token_url", inner("google", "token_url")),
    ];
    for (key, url) in urls {
        // As who asks there reads it: an address may be written as one number, in octal, or with a dot at its end.
        let url = url.and_then(Json::as_str).and_then(|text| reqwest::Url::parse(text).ok());
        if url.as_ref().and_then(reqwest::Url::host_str).is_some_and(is_forbidden) {
            let error = ConfigError::new(
                key,
                None,
                "this address is of one link only, as that where clouds tell machines their credentials",
            );
            return Err(error.with_suggestion("no provider answers there"));
        }
    }
    Ok(())
}

/// Refuses what definitions refer to and is not opened to them.
pub(super) fn check_references(
    referred: &[Referred],
    open: &[Store],
    of_file: OfFile,
    definitions: &[Definition],
) -> Result<(), ConfigError> {
    let closed =
        |one: &&Referred| of_file.place(&one.key, definitions).is_some() && !open.contains(&one.reference.store);
    let Some(Referred { reference, key, .. }) = referred.iter().find(closed) else { return Ok(()) };
    let store = reference.store.as_str();
    let message = format!("what is made at the admin surface may not refer to the store `{store}`");
    let error = ConfigError::new(key, None, message);
    Err(match reference.store.is_local() {
        true => error.with_suggestion("write `literal:` before it where it is a secret itself"),
        false => error.with_suggestion("open the store to it by `admin.secret_stores` in the configuration file"),
    })
}

/// The entries of a list in `root`, by name, their secrets masked.
pub(super) fn entries(root: &Node, section: Section) -> Vec<(String, Map<String, Json>)> {
    let Some(root) = Item::root(root) else { return Vec::new() };
    let Ok(entries) = root.entries() else { return Vec::new() };
    let Some((_, list)) = entries.into_iter().find(|(key, _)| key.text == section.as_str()) else { return Vec::new() };
    let json = list.json().ok().flatten().and_then(|json| serde_json::from_str::<Vec<Json>>(&json).ok());
    let named = |one: Json| match one {
        Json::Object(mut entry) => {
            mask(section, &mut entry);
            let name = entry.get("name")?.as_str()?.to_owned();
            Some((name, entry))
        }
        _ => None,
    };
    json.unwrap_or_default().into_iter().filter_map(named).collect()
}

/// Keys of a provider, at whatever depth, whose texts are secrets; each header is one, too.
const SECRET_KEYS: [&str; 8] =
    ["api_key", "key", "proxy", "access_key_id", "secret_access_key", "session_token", "external_id", "client_secret"];

/// Masks the secrets of an entry; what refers to one is shown.
pub fn mask(section: Section, entry: &mut Map<String, Json>) {
    if section == Section::Providers {
        each_secret(entry, &mut |text| {
            if !matches!(Reference::told(text), Ok(Told::Reference(_))) && text != "none" {
                MASK.clone_into(text);
            }
        });
    }
}

/// Does an entry hold a secret itself?
pub fn has_secrets(section: Section, entry: &Map<String, Json>) -> bool {
    let mut masked = entry.clone();
    mask(section, &mut masked);
    masked != *entry
}

fn each_secret(entry: &mut Map<String, Json>, see: &mut impl FnMut(&mut String)) {
    for (key, value) in entry {
        match value {
            Json::String(text) if SECRET_KEYS.contains(&key.as_str()) => see(text),
            Json::Object(headers) if key == "headers" => headers.values_mut().for_each(|value| match value {
                Json::String(text) => see(text),
                // It is refused when it is read; until then nobody is told of it.
                other => *other = Json::Null,
            }),
            Json::Object(inner) => each_secret(inner, see),
            Json::Array(items) => {
                items.iter_mut().filter_map(Json::as_object_mut).for_each(|one| each_secret(one, see))
            }
            _ => {}
        }
    }
}

/// Puts the secrets of `old` in the places where `new` has the mask. The error is the key of a mask that stands for nothing, or that of
/// what says where secrets are sent, where that has changed: who changes that has to know the secrets.
pub fn unmask(new: &mut Map<String, Json>, old: &Map<String, Json>) -> Result<(), String> {
    let mut masked = false;
    each_secret(new, &mut |text| masked |= text == MASK);
    if !masked {
        return Ok(());
    }
    let ways = |entry: &Map<String, Json>| {
        let inner = |section: &str, key: &str| entry.get(section).and_then(|one| one.get(key)).cloned();
        let proxy = entry.get("proxy").filter(|proxy| proxy.as_str() != Some(MASK)).cloned();
        [
            ("kind", entry.get("kind").cloned()),
            ("base_url", entry.get("base_url").cloned()),
            ("proxy", proxy),
            ("aws.sts_url", inner("aws", "sts_url")),
            ("azure.token_url", inner("azure", "token_url")),
            ("google.token_url", inner("google", "token_url")),
            ("azure.tenant_id", inner("azure", "tenant_id")),
            ("aws.region", inner("aws", "region")),
            ("google.region", inner("google", "region")),
        ]
    };
    let mut before = old.clone();
    if new.get("proxy").and_then(Json::as_str) == Some(MASK) {
        before.remove("proxy");
    }
    for ((key, now), (_, was)) in ways(new).into_iter().zip(ways(&before)) {
        // Where nothing is there, the mask itself is at fault.
        if now != was && !old.is_empty() {
            return Err(key.to_owned());
        }
    }
    fill(new, old, "")
}

fn fill(new: &mut Map<String, Json>, old: &Map<String, Json>, path: &str) -> Result<(), String> {
    for (key, value) in new {
        let at = super::env::join(path, key);
        match (value, old.get(key)) {
            (Json::String(text), there) if text == MASK => match there {
                Some(Json::String(secret)) => secret.clone_into(text),
                _ => return Err(at),
            },
            (Json::Object(inner), there) => {
                fill(inner, there.and_then(Json::as_object).unwrap_or(&Map::new()), &at)?;
            }
            (Json::Array(items), there) => {
                let there = there.and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
                for (index, item) in items.iter_mut().enumerate() {
                    let Json::Object(item) = item else { continue };
                    let same = there.iter().find(|one| one.get("name") == item.get("name")).and_then(Json::as_object);
                    fill(item, same.unwrap_or(&Map::new()), &format!("{at}[{index}]"))?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}
