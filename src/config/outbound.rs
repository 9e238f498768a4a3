//! How a provider is reached: through a proxy, with a certificate authority of one's own, with a certificate that says who
//! calls.

use std::path::PathBuf;

use super::env::Env;
use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::paths;
use super::resolved::{Proxy, Tls};

/// Reads `proxy` of a provider.
pub(super) fn proxy(fields: &Fields<'_>) -> Result<Proxy, ConfigError> {
    let Some(item) = fields.get("proxy") else { return Ok(Proxy::Environment) };
    let secret = item.secret()?;
    match secret.expose() {
        _ if !secret.is_read() => Ok(Proxy::At(secret)),
        "" => Ok(Proxy::Environment),
        "none" => Ok(Proxy::None),
        text if is_proxy(text) => Ok(Proxy::At(secret)),
        // It may hold a password, so that it is not quoted.
        _ => {
            let error = item.error("expected the address of a proxy, or `none`");
            Err(error.with_suggestion("write `http://host:port`, or `http://user:password@host:port`"))
        }
    }
}

/// `http://` or `https://`, perhaps user information, a host and perhaps a port, and nothing behind them.
fn is_proxy(text: &str) -> bool {
    let Ok(uri) = text.parse::<http::Uri>() else { return false };
    let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
    let after = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, after)| after);
    let port = after.strip_prefix(authority.host()).unwrap_or_default();
    let port_fits = port.is_empty() || authority.port_u16().is_some_and(|port| port > 0);
    !authority.host().is_empty() && port_fits && matches!(uri.path(), "" | "/") && uri.query().is_none()
}

/// Reads `tls` of a provider at `base_url`.
pub(super) fn tls(fields: &Fields<'_>, base_url: &str, env: &Env<'_>) -> Result<Tls, ConfigError> {
    let Some(item) = fields.get("tls") else { return Ok(Tls::default()) };
    let inner = item.fields(&["ca_file", "client_cert_file", "client_key_file"])?;
    let tls = Tls {
        ca_file: file(&inner, "ca_file", env)?,
        client_cert_file: file(&inner, "client_cert_file", env)?,
        client_key_file: file(&inner, "client_key_file", env)?,
    };
    if tls.client_cert_file.is_some() != tls.client_key_file.is_some() {
        let error = item.error("`client_cert_file` and `client_key_file` are of use together only");
        return Err(error.with_suggestion("add the other one; both may name one file that holds both"));
    }
    if tls != Tls::default() && base_url.to_ascii_lowercase().starts_with("http://") {
        let error = item.error("the address of this provider begins with `http://`, which has no certificates");
        return Err(error.with_suggestion("write `https://` in `base_url`, or remove `tls`"));
    }
    Ok(tls)
}

fn file(fields: &Fields<'_>, key: &str, env: &Env<'_>) -> Result<Option<PathBuf>, ConfigError> {
    let read = |item: Item<'_>| match item.text_if_any()? {
        Some(text) => paths::folder(&text, env).map(Some).map_err(|message| item.error(message)),
        None => Ok(None),
    };
    fields.get(key).map_or(Ok(None), read)
}
