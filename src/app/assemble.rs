//! Settings out of the file and of what was made at the admin surface. What does not fit beside the file is left out: the file always
//! comes into force, and a gateway always starts.

use super::build::App;
use crate::config::{Definition, Draft, Resolved, Section, Unfit};
use crate::governance::definitions::LeftOut;
use crate::secrets::{Secrets, SecretsError};
use std::collections::HashSet;

/// Settings that are right.
pub(super) struct Assembled {
    /// As they are written.
    pub(super) draft: Draft,
    /// As they are used.
    pub(super) settings: Resolved,
    /// What does not fit.
    pub(super) left_out: Vec<LeftOut>,
}

/// What is wrong with a set of definitions.
enum Wrong {
    /// The one at that place is.
    At(usize, String, String),
    /// Together they are.
    Together(String),
}

/// The settings of `file`, with as many of `definitions` as fit. An error where the file does not fit by itself.
pub(super) async fn assemble(
    app: &App,
    secrets: &Secrets,
    file: &Draft,
    definitions: &[Definition],
) -> Result<Assembled, String> {
    let mut left_out = Vec::new();
    let mut rest = not_in(file, definitions);
    loop {
        let wrong = match fit(app, secrets, file, rest.clone()).await {
            Ok((draft, settings)) => return Ok(Assembled { draft, settings, left_out }),
            Err(wrong) if rest.is_empty() => return Err(wrong.into_text()),
            Err(wrong) => wrong,
        };
        match wrong {
            Wrong::At(at, key, why) if at < rest.len() => left_out.push(without(rest.remove(at), key, why)),
            _ => {
                rest = one_by_one(app, secrets, file, rest, &mut left_out).await?;
            }
        }
    }
}

/// Those whose names the file does not use.
fn not_in(file: &Draft, definitions: &[Definition]) -> Vec<Definition> {
    let names = |section| file.of_file(section).into_iter().map(move |(name, _)| (section, name));
    let of_file: HashSet<(Section, String)> = Section::ALL.into_iter().flat_map(names).collect();
    let own = definitions.iter().filter(|one| !of_file.contains(&(one.section, one.name.clone())));
    // Each after those that it may refer to, so that they can be tried one by one.
    let mut own: Vec<Definition> = own.cloned().collect();
    own.sort_by_key(|one| one.section);
    own
}

/// Where nobody knows who is at fault, each is tried beside those that fit.
async fn one_by_one(
    app: &App,
    secrets: &Secrets,
    file: &Draft,
    definitions: Vec<Definition>,
    left_out: &mut Vec<LeftOut>,
) -> Result<Vec<Definition>, String> {
    fit(app, secrets, file, Vec::new()).await.map_err(Wrong::into_text)?;
    let mut fitting = Vec::new();
    for one in definitions {
        let mut tried = fitting.clone();
        tried.push(one.clone());
        match fit(app, secrets, file, tried.clone()).await {
            Ok(_) => fitting = tried,
            Err(Wrong::At(_, key, why)) => left_out.push(without(one, key, why)),
            Err(Wrong::Together(why)) => left_out.push(without(one, String::new(), why)),
        }
    }
    Ok(fitting)
}

/// The settings with all of `definitions`, tried as far as that goes without putting them in force.
async fn fit(
    app: &App,
    secrets: &Secrets,
    file: &Draft,
    definitions: Vec<Definition>,
) -> Result<(Draft, Resolved), Wrong> {
    let draft = match definitions.is_empty() {
        true => file.clone(),
        false => file.with(definitions).map_err(|unfit| match unfit {
            Unfit::Definition(at, error) => {
                let (key, why) = error.in_request();
                Wrong::At(at, key, why)
            }
            Unfit::Settings(error) => Wrong::Together(error.in_request().1),
        })?,
    };
    let settings = secrets.read(&draft).await.map_err(|error| unread(secrets, &draft, &error))?;
    app.try_out(&settings).map_err(Wrong::Together)?;
    Ok((draft, settings))
}

/// Whose reference is it that cannot be read?
fn unread(secrets: &Secrets, draft: &Draft, error: &SecretsError) -> Wrong {
    let whose = secrets.lacking(draft).into_iter().find_map(|key| Some((draft.place(&key)?, key)));
    match whose {
        Some((at, key)) => Wrong::At(at, key, error.to_string()),
        None => Wrong::Together(error.to_string()),
    }
}

fn without(one: Definition, key: String, why: String) -> LeftOut {
    LeftOut { id: (one.section, one.name), key, why }
}

impl Wrong {
    fn into_text(self) -> String {
        match self {
            Wrong::At(_, _, why) | Wrong::Together(why) => why,
        }
    }
}
