//! The files of profiles, `~/.aws/credentials` and `~/.aws/config`
//! (<https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-files.html>).

use super::Environment;
use super::credentials::AccessKey;
use crate::types::secret::Secret;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A file may be this large.
const FILE_BYTES: u64 = 1 << 20;

/// Profiles by their names, what the two files say of each put together.
#[derive(Default)]
pub(super) struct Profiles(BTreeMap<String, BTreeMap<String, String>>);

impl Profiles {
    /// Reads the files that the environment names, or those in the home folder. A file that is not there says nothing.
    pub(super) fn read(environment: &Environment) -> Profiles {
        let home = environment.get("HOME").or_else(|| environment.get("USERPROFILE"));
        let path = |variable: &str, file: &str| {
            let named = environment.get(variable).map(PathBuf::from);
            named.or_else(|| Some(Path::new(home?).join(".aws").join(file)))
        };
        let mut profiles = Profiles::default();
        for (variable, file) in [("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials")] {
            let small = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|about| about.len() <= FILE_BYTES);
            let text = path(variable, file).filter(small).and_then(|path| std::fs::read_to_string(path).ok());
            profiles.add(&text.unwrap_or_default());
        }
        profiles
    }

    /// What a file says wins over what was read before.
    fn add(&mut self, text: &str) {
        let mut section = None;
        for line in text.lines() {
            let bare = line.trim();
            if let Some(name) = bare.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
                section = Some(name.trim().trim_start_matches("profile ").trim().to_owned());
                continue;
            }
            // An indented line belongs to a group of settings that are none of ours.
            if line.starts_with([' ', '\t']) || bare.starts_with(['#', ';']) {
                continue;
            }
            if let (Some(section), Some((key, value))) = (&section, bare.split_once('=')) {
                let value = value.split(" #").next().unwrap_or_default().trim();
                self.0.entry(section.clone()).or_default().insert(key.trim().to_ascii_lowercase(), value.to_owned());
            }
        }
    }

    /// The profile that the environment names.
    pub(super) fn chosen(environment: &Environment) -> &str {
        environment.get("AWS_PROFILE").or_else(|| environment.get("AWS_DEFAULT_PROFILE")).unwrap_or("default")
    }

    /// A setting of that profile.
    pub(super) fn own(&self, environment: &Environment, key: &str) -> Option<String> {
        self.get(Profiles::chosen(environment), key).map(str::to_owned)
    }

    /// A setting of a profile.
    pub(super) fn get(&self, profile: &str, key: &str) -> Option<&str> {
        self.0.get(profile)?.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The access key of a profile.
    pub(super) fn key(&self, profile: &str) -> Option<AccessKey> {
        let secret = |key: &str| self.get(profile, key).map(Secret::new);
        Some(AccessKey {
            id: secret("aws_access_key_id")?,
            secret: secret("aws_secret_access_key")?,
            token: secret("aws_session_token"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_tell_of_a_profile() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let config = write(
            "config",
            "# mine\n[default]\nregion = eu-west-1 # near\ns3 =\n  region = no\n[profile work]\nrole_arn=arn:x\nsource_profile = default\n",
        );
        let keys = write(
            "keys",
            "[default]\naws_access_key_id = A\naws_secret_access_key=s=1\n[other]\naws_access_key_id=B\n",
        );
        let of = |more: &[(&str, &str)]| {
            let mut vars = vec![("AWS_CONFIG_FILE", config.as_str()), ("AWS_SHARED_CREDENTIALS_FILE", keys.as_str())];
            vars.extend(more);
            Environment::of(&vars)
        };
        let profiles = Profiles::read(&of(&[]));
        let key = profiles.key("default").unwrap();
        assert_eq!((key.id.expose(), key.secret.expose(), key.token), ("A", "s=1", None));
        assert!(profiles.key("other").is_none() && profiles.key("none").is_none());
        assert_eq!(profiles.own(&of(&[]), "region").as_deref(), Some("eu-west-1"));
        assert_eq!(profiles.own(&of(&[("AWS_PROFILE", "work")]), "role_arn").as_deref(), Some("arn:x"));
        assert_eq!(of(&[]).region().as_deref(), Some("eu-west-1"));
        assert_eq!(of(&[("AWS_REGION", "us-east-2")]).region().as_deref(), Some("us-east-2"));
        assert_eq!(Environment::of(&[("HOME", "/nowhere")]).region(), None);
    }
}
