//! What whoever shows a token or a session may, as of now.
//!
//! A session goes by the groups that the identity provider told last, and by those that SCIM tells. A token made by API never gives
//! more than whoever made it still has: what it was given is narrowed to that each time it is shown, up to the one that none made.

use super::Access;
use crate::governance::grants::Grant;
use crate::governance::last_told::BELIEVED_MS;
use crate::governance::officer::{Credential, Officer};
use crate::governance::roles::{expired, has_ended};
use crate::governance::sessions::{Session, SignedIn};
use crate::governance::tokens::{DEEPEST, Maker, Token};
use crate::types::error::{Error, ErrorKind};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Access {
    /// Who holds this bearer token. `None`: nobody who administers.
    pub fn by_bearer(&self, token: &str, now_ms: u64) -> Result<Option<Officer>, Error> {
        if let Some(officer) = self.rules.load().by_token(token, now_ms)? {
            return Ok(Some(officer));
        }
        let Some(token) = self.tokens.find(token, now_ms)? else { return Ok(None) };
        let (grants, expires_ms) = self.held(&token, now_ms, DEEPEST)?;
        Ok(Some(Officer {
            name: format!("token `{}`", token.name),
            grants: grants.into(),
            credential: Credential::Token(token.id.clone()),
            identities: token.identities.clone(),
            expires_ms,
        }))
    }

    /// What a token gives, and when that ends: no more and no later than of whoever made it. At most `left` of them are looked at.
    fn held(&self, token: &Token, now_ms: u64, left: usize) -> Result<(Vec<Grant>, u64), Error> {
        if has_ended(token.expires_ms, now_ms) {
            return Err(expired());
        }
        if left == 0 || self.people.bars(&token.identities) {
            return Err(without_maker());
        }
        let rules = self.rules.load();
        let own = rules.grant(&token.roles, token.scope.clone());
        let (limit, end) = match &token.maker {
            Maker::Key => return Ok((vec![own], token.expires_ms)),
            Maker::Configured(name) => {
                let maker = rules.token_named(name).ok_or_else(without_maker)?;
                (maker.grants.to_vec(), maker.expires_ms)
            }
            Maker::Token(id) => {
                let maker = self.tokens.by_id(id).ok_or_else(without_maker)?;
                self.held(&maker, now_ms, left - 1)?
            }
            Maker::Person => (self.grants_of_absent(&token.identities, now_ms), 0),
        };
        if has_ended(end, now_ms) {
            return Err(expired());
        }
        let grants = rules.narrowed(&[own], &limit);
        if grants.is_empty() {
            return Err(without_maker());
        }
        Ok((grants, sooner(token.expires_ms, end)))
    }

    /// What somebody may who need not be signed in: by what was told of them last, where that is not too long ago.
    fn grants_of_absent(&self, identities: &[String], now_ms: u64) -> Vec<Grant> {
        // Of whom SCIM tells, it also tells when they leave.
        let since_ms = if self.people.knows(identities) { 0 } else { now_ms.saturating_sub(BELIEVED_MS) };
        self.grants_in(&self.last_told.groups_of(identities, since_ms), identities)
    }

    /// What somebody may whom the identity provider tells to be in these groups.
    pub(super) fn grants_in(&self, groups: &BTreeSet<String>, identities: &[String]) -> Vec<Grant> {
        let mut groups = groups.clone();
        groups.extend(self.people.groups_of(identities));
        self.rules.load().of_groups(&groups)
    }

    /// What who has signed in may: nothing, where none of their groups has a role.
    pub fn grants_of(&self, who: &SignedIn) -> Vec<Grant> {
        self.grants_in(&who.groups, &who.identities)
    }

    /// Begins a session of who has signed in. Gives what the cookie is to say.
    pub async fn begin(&self, who: SignedIn, now_ms: u64) -> Result<String, Error> {
        let identities: Arc<[String]> = who.identities.clone().into();
        self.last_told.tell(&identities, &who.groups, now_ms).await?;
        self.sessions.begin(who, now_ms).await
    }

    /// Who is signed in with this cookie. `None`: nobody, or nobody who may anything any more.
    pub fn by_session(&self, id: &str, now_ms: u64) -> Option<Officer> {
        let (idle, most) = self.times();
        let session = self.sessions.find(id, now_ms, idle, most)?;
        (!self.people.bars(&session.identities)).then(|| self.signed_in(&session)).flatten()
    }

    fn signed_in(&self, session: &Session) -> Option<Officer> {
        let grants = self.grants_in(&session.groups, &session.identities);
        (!grants.is_empty()).then(|| Officer {
            name: format!("user `{}`", session.name),
            grants: grants.into(),
            credential: Credential::Session(session.digest),
            identities: session.identities.clone(),
            expires_ms: 0,
        })
    }
}

/// The sooner of two ends, of which zero is none.
fn sooner(one: u64, other: u64) -> u64 {
    match (one, other) {
        (0, end) | (end, 0) => end,
        (one, other) => one.min(other),
    }
}

/// Whoever made a token is no more, or may nothing of what it gives.
fn without_maker() -> Error {
    let message = "This token is good for nothing any more: whoever made it has nothing left of what it gives, or is \
                   not known here any more. If that is you, sign in again.";
    Error::new(ErrorKind::Unauthenticated, message).with_code("maker_gone")
}
