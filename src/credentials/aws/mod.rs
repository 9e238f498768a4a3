//! AWS: how its requests are signed, and what with.
//!
//! - `sigv4`: Signature Version 4
//! - `credentials`: access keys, found where AWS's own tools find them, and renewed in time
//! - `source`: the places where they are found; `profile`: the files among these
//! - `dates`: the two forms of dates

mod credentials;
mod dates;
mod profile;
mod sigv4;
mod source;

pub use credentials::{AccessKey, Credentials};
pub use sigv4::{Unsigned, sign};

use std::collections::BTreeMap;

/// The environment variables of AWS, as they stood when somebody asked for them.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Those of this process.
    pub fn of_process() -> Environment {
        let vars = std::env::vars_os().filter_map(|(name, value)| {
            let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
            let ours = name.starts_with("AWS_") || matches!(name.as_str(), "HOME" | "USERPROFILE");
            (ours && !value.is_empty()).then_some((name, value))
        });
        Environment(vars.collect())
    }

    /// Those, for a test.
    #[cfg(test)]
    pub(crate) fn of(vars: &[(&str, &str)]) -> Environment {
        Environment(vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// The value of a variable that is there and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The region that it or the files of profiles tell.
    pub fn region(&self) -> Option<String> {
        let told = self.get("AWS_REGION").or_else(|| self.get("AWS_DEFAULT_REGION")).map(str::to_owned);
        told.or_else(|| profile::Profiles::read(self).own(self, "region"))
    }
}

/// The domain of a region's services.
pub fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}
