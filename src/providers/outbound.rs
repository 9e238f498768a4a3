//! The HTTP client of a provider: its proxy, and the certificates it trusts and shows.
//!
//! Files are read once, when the provider is built, so that what is wrong with them is said at the start and by name.

use crate::config::{self, Proxy};
use crate::types::ids::{INSTANCE_HEADER, instance};
use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, ClientBuilder, Identity};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;

/// A certificate file may be this large; the bundle of a whole system has a quarter of it.
const FILE_BYTES: u64 = 1 << 20;

/// The client for requests to the provider of `settings`. The error names the provider, and the file that is at fault.
pub(super) fn client(settings: &config::Provider) -> Result<reqwest::Client, String> {
    let builder = reqwest::Client::builder()
        .connect_timeout(settings.connect_timeout)
        .tcp_nodelay(true)
        .pool_max_idle_per_host(256)
        // A redirect would carry the key to wherever it points.
        .redirect(reqwest::redirect::Policy::none())
        .default_headers(HeaderMap::from_iter([(
            HeaderName::from_static(INSTANCE_HEADER),
            HeaderValue::from_static(instance()),
        )]))
        .user_agent(super::direct::AGENT);
    let built = with_proxy(builder, settings).and_then(|builder| with_certificates(builder, &settings.tls));
    let built = built.and_then(|builder| {
        builder.build().map_err(|error| format!("its HTTP client cannot be built: {}", super::http::chain(&error)))
    });
    built.map_err(|why| format!("provider `{}`: {why}", settings.name))
}

fn with_proxy(builder: ClientBuilder, settings: &config::Provider) -> Result<ClientBuilder, String> {
    match &settings.proxy {
        // A proxy for the outside is none for this machine.
        Proxy::Environment if is_loopback(&settings.base_url) => Ok(builder.no_proxy()),
        Proxy::Environment => Ok(builder),
        Proxy::None => Ok(builder.no_proxy()),
        Proxy::At(address) => {
            // The error is not shown: it would quote the address, and with it a password.
            let proxy = reqwest::Proxy::all(address.expose()).map_err(|_| "`proxy` is no address".to_owned())?;
            Ok(builder.proxy(proxy))
        }
    }
}

fn with_certificates(mut builder: ClientBuilder, tls: &config::Tls) -> Result<ClientBuilder, String> {
    if let Some(path) = &tls.ca_file {
        builder = builder.tls_certs_merge(authorities(path)?);
    }
    if let (Some(certificate), Some(key)) = (&tls.client_cert_file, &tls.client_key_file) {
        builder = builder.identity(identity(certificate, key)?);
    }
    Ok(builder)
}

/// The certificate authorities in the file at `path`.
fn authorities(path: &Path) -> Result<Vec<Certificate>, String> {
    let wrong = |why: String| format!("`tls.ca_file` {}: {why}", path.display());
    let pem = read(path).map_err(wrong)?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates(&pem).map_err(wrong)? {
        roots.add(certificate).map_err(|error| wrong(format!("a certificate in it cannot be used: {error}")))?;
    }
    Certificate::from_pem_bundle(&pem).map_err(|error| wrong(super::http::chain(&error)))
}

/// The certificate that says who calls, checked against its key.
fn identity(certificate_file: &Path, key_file: &Path) -> Result<Identity, String> {
    let wrong_certificate = |why: String| format!("`tls.client_cert_file` {}: {why}", certificate_file.display());
    let wrong_key = |why: String| format!("`tls.client_key_file` {}: {why}", key_file.display());
    let mut pem = read(certificate_file).map_err(wrong_certificate)?;
    let chain = certificates(&pem).map_err(wrong_certificate)?;
    let key_pem = read(key_file).map_err(wrong_key)?;
    // What is wrong with a key is said without any of it.
    let key = PrivateKeyDer::from_pem_slice(&key_pem)
        .map_err(|_| wrong_key("it holds no private key in PEM form that is not encrypted".to_owned()))?;
    let provider = rustls::crypto::CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()));
    rustls::sign::CertifiedKey::from_der(chain, key, &provider)
        .map_err(|error| wrong_key(format!("it does not go with the certificate: {error}")))?;
    if certificate_file != key_file {
        pem.push(b'\n');
        pem.extend_from_slice(&key_pem);
    }
    Identity::from_pem(&pem).map_err(|error| wrong_certificate(super::http::chain(&error)))
}

/// The certificates in PEM form.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| format!("it is not in PEM form: {error}"))?;
    if all.is_empty() { Err("it holds no certificate in PEM form".to_owned()) } else { Ok(all) }
}

/// Reads a file of certificates or keys.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let bytes = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if bytes > FILE_BYTES {
        return Err(format!("it is larger than {FILE_BYTES} bytes, which no certificate file is"));
    }
    std::fs::read(path).map_err(|error| error.to_string())
}

/// Is the provider on this machine?
pub(super) fn is_loopback(base_url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(base_url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
