//! Floor 2: credentials. How this process signs in to the clouds, whoever of the floors above it is that calls there.
//!
//! - `aws`: Signature Version 4, and the access keys that it takes
//! - `entra`: access tokens of Microsoft Entra
//! - `google_token`: access tokens of Google Cloud

pub mod aws;
pub mod entra;
pub mod google_token;
#[cfg(test)]
pub(crate) mod stub;

/// `text` as a sentence begins.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
