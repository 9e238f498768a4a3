//! The first pull of a model whose manifest has no checksums: the hub is asked which commit it has and what each file
//! is, the bytes are checked against that, and all of it is kept in a lock.
//!
//! Of large files the hub tells the sha256. Of small ones, which it keeps in git, it does not: there the bytes that
//! came over TLS for the commit are taken as right, once.

use std::path::Path;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HeaderMap, LOCATION};
use reqwest::{Client, Url, redirect};

use super::staging::{self, Staging};
use super::{PullProgress, PullSources, hub};
use crate::error::ModelError;
use crate::lock::{Lock, LockedFile};
use crate::manifest::{FileEntry, ModelManifest, is_hex};

/// Redirects within the hub that are followed while asking; it sends them for repositories that were renamed.
const MAX_REDIRECTS: usize = 3;

/// What the hub says of a file.
struct Told {
    commit: String,
    bytes: u64,
    sha256: Option<String>,
}

/// Downloads the files of a manifest without pins from `base`, the address up to the revision.
pub(super) async fn from_hub(
    client: &Client,
    base: &str,
    staging: &Staging,
    manifest: &ModelManifest,
    progress: &dyn PullProgress,
    sources: &PullSources,
) -> Result<Lock, String> {
    let asking = hub::client(sources, redirect::Policy::none())?;
    let mut revision = manifest.source.revision.clone();
    let mut files = Vec::new();
    for entry in &manifest.source.files {
        let told = ask(&asking, &format!("{base}/{revision}/{}", entry.path), entry).await?;
        if is_hex(&revision, 40) && told.commit != revision {
            return Err(format!("{} is of commit {}, expected {revision}", entry.path, told.commit));
        }
        // From the first answer on, all files are taken from one commit, also while somebody pushes to the branch.
        revision = told.commit.clone();
        let url = format!("{base}/{revision}/{}", entry.path);
        files.push(fetch(client, &url, entry, told, staging, progress).await?);
    }
    progress.note(&format!("the manifest has no checksums; commit {revision} is now pinned on this machine"));
    Ok(Lock { name: manifest.name.clone(), commit: Some(revision), files })
}

/// The lock of files that lie in a folder: its own lock file, or what the files are.
pub(super) async fn from_folder(dir: &Path, manifest: &ModelManifest) -> Result<Lock, String> {
    match Lock::read(dir, manifest) {
        Err(ModelError::Missing { .. }) => {}
        read => return read.map_err(|error| error.to_string()),
    }
    // A Hugging Face cache names its folders by commit.
    let commit = dir.file_name().and_then(|name| name.to_str()).filter(|name| is_hex(name, 40));
    let mut files = Vec::new();
    for entry in &manifest.source.files {
        let path = dir.join(&entry.path);
        let unreadable = |error| format!("cannot read {}: {error}", path.display());
        let bytes = tokio::fs::metadata(&path).await.map_err(unreadable)?.len();
        let sha256 = staging::digest(&path).await.map_err(unreadable)?;
        files.push(LockedFile { path: entry.path.clone(), bytes, sha256 });
    }
    let lock = Lock { name: manifest.name.clone(), commit: commit.map(str::to_owned), files };
    lock.check(manifest).map_err(|problem| format!("{} {problem}", dir.display()))?;
    Ok(lock)
}

async fn fetch(
    client: &Client,
    url: &str,
    entry: &FileEntry,
    told: Told,
    staging: &Staging,
    progress: &dyn PullProgress,
) -> Result<LockedFile, String> {
    let mut entry = FileEntry { bytes: told.bytes, ..entry.clone() };
    match told.sha256 {
        Some(sha256) => {
            entry.sha256 = sha256;
            hub::get(client, url, &entry, staging, progress).await?;
        }
        None => {
            let part = staging.part(&entry);
            staging.make_room(&entry)?;
            // Nothing could tell that the rest of an earlier run is of another commit.
            let _ = std::fs::remove_file(&part);
            hub::download(client, url, &entry, &part, progress).await?;
            entry.sha256 =
                staging::digest(&part).await.map_err(|error| format!("cannot read {}: {error}", entry.path))?;
            staging.accept(&entry).await?;
        }
    }
    Ok(LockedFile { path: entry.path, bytes: entry.bytes, sha256: entry.sha256 })
}

async fn ask(client: &Client, url: &str, entry: &FileEntry) -> Result<Told, String> {
    let fail = |problem: String| format!("{}: {problem}", entry.path);
    let mut url = Url::parse(url).map_err(|error| fail(format!("`{url}` is no address: {error}")))?;
    // The commit is told by the first answer, also by one that only says where the file is.
    let mut commit = None;
    for _ in 0..=MAX_REDIRECTS {
        let request = client.head(url.clone()).header(ACCEPT_ENCODING, "identity");
        let response = request.send().await.map_err(|error| fail(hub::whole(&error)))?;
        let (status, headers) = (response.status(), response.headers());
        if commit.is_none() && (status.is_success() || status.is_redirection()) {
            commit = headers.get("x-repo-commit").and_then(|value| value.to_str().ok()).map(str::to_owned);
        }
        // The length of a redirect is its own, unless it says whose it is.
        if let Some(commit) = &commit
            && (status.is_success() || status.is_redirection() && headers.contains_key("x-linked-size"))
        {
            return told(commit, headers).map_err(fail);
        }
        match headers.get(LOCATION).and_then(|value| value.to_str().ok()).filter(|_| status.is_redirection()) {
            Some(location) => url = url.join(location).map_err(|error| fail(format!("bad redirect: {error}")))?,
            None if status.is_success() => {
                return Err(fail("the server names no commit (X-Repo-Commit), so the model cannot be pinned".into()));
            }
            None => return Err(fail(format!("the server answered {status}"))),
        }
    }
    Err(fail(format!("more than {MAX_REDIRECTS} redirects")))
}

fn told(commit: &str, headers: &HeaderMap) -> Result<Told, String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if !is_hex(commit, 40) {
        return Err("X-Repo-Commit is no full commit hash".into());
    }
    let commit = commit.to_owned();
    let length = text("x-linked-size").or_else(|| text(CONTENT_LENGTH.as_str()));
    let bytes = length.and_then(|length| length.parse().ok()).ok_or("the server tells no length")?;
    let etag = text("x-linked-etag").map(|etag| etag.trim_start_matches("W/").trim_matches('"'));
    let sha256 = etag.filter(|etag| is_hex(etag, 64)).map(str::to_owned);
    Ok(Told { commit, bytes, sha256 })
}
