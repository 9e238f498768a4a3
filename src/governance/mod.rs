//! Floor 3: who may ask, for what, and how much.
//!
//! - `keys`: a bearer token → a caller; `virtual_key`: keys that are made at the admin surface
//! - `governor`: what a caller may ask for, of the key and of every account above it: each is a `level`, and `rights` says what it lets
//! - `objects`: accounts and keys of the admin surface, written down and in force
//! - `definitions`: providers, models and prices of the admin surface, written down; others put them in force
//! - `transfer`: all that the admin surface owns, put in at once
//! - `access`: what somebody shows → who administers, or who calls
//! - `tokens`, `sessions`, `people`: of the admin surface: tokens made by API, people who signed in, people and groups by SCIM;
//!   `last_told`: what an identity provider said last of somebody
//! - `sso`: how people sign in at an identity provider
//! - `issuers`: identity providers' tokens in place of keys; `fetch`: how such providers are asked
//! - `roles`: what each role allows, and who administers with which; `grants`: permissions and how far they reach; `officer`: who
//!   administers; `stamp`: what tells their rows from forged ones
//! - `alert`: somebody is to be told of a budget
//! - `records`: what is kept of requests once they have ended
//! - `sharded`: a map that many read
//! - `lengths`: how long answers usually are
//! - `ledger`: limits that are held and settled together, and what of them is written down; `meter`: one of them; `period`: the
//!   calendar

mod access;
mod alert;
pub mod definitions;
mod fetch;
mod governor;
mod grants;
mod issuers;
mod keys;
mod last_told;
pub mod ledger;
mod lengths;
mod level;
mod meter;
pub mod objects;
mod officer;
pub mod people;
mod period;
pub mod records;
mod rights;
mod roles;
mod sessions;
mod sharded;
mod sso;
mod stamp;
mod tokens;
pub mod transfer;
pub mod virtual_key;

pub use access::{Access, NotRenewed};
pub use alert::{Alert, AlertKind, Alerts};
pub use governor::{Estimate, Governor, OwnStanding, Place, Purse, Standing, Used};
pub use grants::Grant;
pub use issuers::Issuers;
pub use keys::Keys;
pub use level::Source;
pub use officer::{Credential, Officer, Reach};
pub use rights::{Asked, Entering};
pub use roles::Rules;
pub use sessions::{Kept, Session, SignedIn};
pub use sso::{ComingBack, Sso};
pub use tokens::{Maker, NewToken, Token};
