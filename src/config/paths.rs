//! Folders in settings: `~` and the default data folder.

use std::path::PathBuf;

use super::env::Env;

/// `text` as a path, with a leading `~/` replaced by the home folder. The error says what is wrong.
pub(super) fn folder(text: &str, env: &Env<'_>) -> Result<PathBuf, String> {
    let Some(rest) = text.strip_prefix('~') else {
        return Ok(PathBuf::from(text));
    };
    if !rest.is_empty() && !rest.starts_with('/') {
        return Err("`~` stands for the home folder only where it is alone or before a `/`".to_owned());
    }
    Ok(home(env)?.join(rest.trim_start_matches('/')))
}

/// The data folder when nobody says: `$XDG_DATA_HOME/askonce`, or `~/.local/share/askonce`.
pub(super) fn default_data_dir(env: &Env<'_>) -> Result<PathBuf, String> {
    // The base directory specification: a path that is not absolute is as if unset.
    let xdg = env("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    match xdg {
        Some(xdg) => Ok(xdg.join("askonce")),
        None => Ok(home(env)?.join(".local/share/askonce")),
    }
}

fn home(env: &Env<'_>) -> Result<PathBuf, String> {
    let home = env("HOME").or_else(|| env("USERPROFILE")).map(PathBuf::from).filter(|path| path.is_absolute());
    home.ok_or_else(|| "cannot tell the home folder, since HOME is not set to an absolute path".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_the_home_folder() {
        let env = |name: &str| (name == "HOME").then(|| "/home/ada".to_owned());
        assert_eq!(folder("~/x/~", &env), Ok("/home/ada/x/~".into()));
        assert_eq!(folder("~", &env), Ok("/home/ada".into()));
        assert_eq!(folder("rel/~x", &env), Ok("rel/~x".into()));
        assert!(folder("~bob/x", &env).is_err());
        assert!(folder("~/x", &|_| None).is_err());
        assert_eq!(default_data_dir(&env), Ok("/home/ada/.local/share/askonce".into()));
        let xdg = |name: &str| (name == "XDG_DATA_HOME").then(|| "/data".to_owned());
        assert_eq!(default_data_dir(&xdg), Ok("/data/askonce".into()));
        let relative = |name: &str| {
            if name == "HOME" { env(name) } else { Some("data".to_owned()) }
        };
        assert_eq!(default_data_dir(&relative), Ok("/home/ada/.local/share/askonce".into()));
        assert!(default_data_dir(&|_| None).is_err());
    }
}
