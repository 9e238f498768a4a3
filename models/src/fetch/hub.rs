//! The Hugging Face hub as a source: one GET for each file, continued where it broke off.

use std::error::Error;
use std::path::Path;

use futures_util::StreamExt;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Client, Response, StatusCode, redirect};
use tokio::io::AsyncWriteExt;

use super::staging::Staging;
use super::{PullProgress, PullSources, first_pull};
use crate::lock::Lock;
use crate::manifest::{FileEntry, ModelManifest};

/// How often one file is asked for; each try continues where the last one broke off.
const TRIES: usize = 4;

/// Why a try gave no file.
enum Failure {
    /// Another try may do better.
    Broken(String),
    /// It would end the same way.
    Final(String),
}

/// Downloads the model's files; gives a lock where the manifest has no checksums.
pub(super) async fn fill(
    endpoint: &str,
    staging: &Staging,
    manifest: &ModelManifest,
    progress: &dyn PullProgress,
    sources: &PullSources,
) -> Result<Option<Lock>, String> {
    let source = &manifest.source;
    let repository = source.repository.as_ref().ok_or("the model is on no hub")?;
    let client = client(sources, redirect::Policy::default())?;
    let base = format!("{}/{repository}/resolve", endpoint.trim_end_matches('/'));
    if !manifest.is_pinned() {
        return first_pull::from_hub(&client, &base, staging, manifest, progress, sources).await.map(Some);
    }
    for entry in &source.files {
        get(&client, &format!("{base}/{}/{}", source.revision, entry.path), entry, staging, progress).await?;
    }
    Ok(None)
}

/// Downloads one file, unless it is there already, and checks it.
pub(super) async fn get(
    client: &Client,
    url: &str,
    entry: &FileEntry,
    staging: &Staging,
    progress: &dyn PullProgress,
) -> Result<(), String> {
    if staging.has(entry).await {
        return Ok(());
    }
    staging.make_room(entry)?;
    let resumed = download(client, url, entry, &staging.part(entry), progress).await?;
    match staging.accept(entry).await {
        // What an earlier run left may have been of something else: once more, from the start.
        Err(problem) if resumed => {
            progress.note(&problem);
            download(client, url, entry, &staging.part(entry), progress).await?;
            staging.accept(entry).await
        }
        accepted => accepted,
    }
}

/// An HTTP client with the limits of the sources.
pub(super) fn client(sources: &PullSources, redirects: redirect::Policy) -> Result<Client, String> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Somebody else being faster is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    Client::builder()
        .user_agent(concat!("askonce/", env!("CARGO_PKG_VERSION")))
        .redirect(redirects)
        .connect_timeout(sources.connect_timeout)
        .read_timeout(sources.stall_timeout)
        .build()
        .map_err(|error| format!("no HTTP client: {}", whole(&error)))
}

/// Gathers one file in `part`. Says whether a part of it was there before.
pub(super) async fn download(
    client: &Client,
    url: &str,
    entry: &FileEntry,
    part: &Path,
    progress: &dyn PullProgress,
) -> Result<bool, String> {
    let resumed = length(part) > 0;
    for tries_left in (0..TRIES).rev() {
        progress.start(&entry.path, Some(entry.bytes));
        let tried = attempt(client, url, entry, part, progress).await;
        progress.done();
        match tried {
            Ok(()) => return Ok(resumed),
            Err(Failure::Broken(problem)) if tries_left > 0 && length(part) > 0 => {
                progress.note(&format!("{problem}; going on from {} bytes", length(part)));
            }
            Err(Failure::Broken(problem) | Failure::Final(problem)) => return Err(problem),
        }
    }
    Err(format!("{}: broke off too often", entry.path))
}

async fn attempt(
    client: &Client,
    url: &str,
    entry: &FileEntry,
    part: &Path,
    progress: &dyn PullProgress,
) -> Result<(), Failure> {
    let have = Some(length(part)).filter(|&have| have < entry.bytes).unwrap_or(0);
    let mut request = client.get(url);
    if have > 0 {
        request = request.header(RANGE, format!("bytes={have}-"));
    }
    let response =
        request.send().await.map_err(|error| Failure::Broken(format!("{}: {}", entry.path, whole(&error))))?;
    let begin = match response.status() {
        StatusCode::OK => 0,
        StatusCode::PARTIAL_CONTENT if starts_at(&response, have) => have,
        status => {
            // A part that the server will not continue is of no use to the next try.
            let _ = std::fs::remove_file(part);
            return Err(Failure::Final(format!("{}: the server answered {status}", entry.path)));
        }
    };
    receive(response, entry, part, begin, progress).await
}

/// Writes a body behind the first `begin` bytes of a part.
async fn receive(
    response: Response,
    entry: &FileEntry,
    part: &Path,
    begin: u64,
    progress: &dyn PullProgress,
) -> Result<(), Failure> {
    let disk = |error| Failure::Final(format!("cannot write {}: {error}", part.display()));
    let mut options = tokio::fs::OpenOptions::new();
    options.create(true).write(true);
    let options = if begin > 0 { options.append(true) } else { options.truncate(true) };
    let mut file = options.open(part).await.map_err(disk)?;
    progress.advance(begin);
    let mut length = begin;
    let mut body = response.bytes_stream();
    while let Some(chunk) = body.next().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => {
                file.flush().await.map_err(disk)?;
                return Err(Failure::Broken(format!("{}: {}", entry.path, whole(&error))));
            }
        };
        length += chunk.len() as u64;
        if length > entry.bytes {
            let _ = std::fs::remove_file(part);
            return Err(Failure::Final(format!(
                "{}: the server sends more than the expected {} bytes",
                entry.path, entry.bytes
            )));
        }
        file.write_all(&chunk).await.map_err(disk)?;
        progress.advance(chunk.len() as u64);
    }
    file.flush().await.map_err(disk)?;
    if length < entry.bytes {
        return Err(Failure::Broken(format!("{}: {length} bytes came instead of {}", entry.path, entry.bytes)));
    }
    Ok(())
}

fn starts_at(response: &Response, offset: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE);
    range.and_then(|value| value.to_str().ok()).is_some_and(|value| value.starts_with(&format!("bytes {offset}-")))
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |found| found.len())
}

/// An error with all its causes: the outermost alone says little.
pub(super) fn whole(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let line = inner.to_string();
        if !text.contains(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
        cause = inner.source();
    }
    text
}
