//! Where a project's models are: the host of a region, and the paths below it.

use crate::config;
use crate::credentials::google_token::Env;
use crate::providers::google;
use crate::types::error::Error;

/// A region of a project.
#[derive(Debug)]
pub(super) struct Place {
    /// Scheme and host, without the version.
    pub(super) host: String,
    version: String,
    /// `None` in express mode, where the key knows it.
    pub(super) project: Option<String>,
    region: String,
}

impl Place {
    /// By the settings, else by the variables that Google's own SDKs read. `needs_project`: there is no key.
    pub(super) fn new(
        settings: &config::Provider,
        env: &Env<'_>,
        of_credentials: Option<String>,
        needs_project: bool,
    ) -> Result<Place, String> {
        let variable = |name: &str| env(name).and_then(|text| text.into_string().ok()).filter(|text| !text.is_empty());
        let cloud = &settings.cloud;
        // With a key the environment does not count: it may speak of somebody else's project.
        let elsewhere = || {
            let named = || variable("GOOGLE_CLOUD_PROJECT").or_else(|| variable("GCLOUD_PROJECT"));
            if needs_project { named().or(of_credentials) } else { None }
        };
        let project = cloud.project.clone().or_else(elsewhere);
        if needs_project && project.is_none() {
            return Err(format!(
                "provider `{}`: the project is not known; set `project`, or GOOGLE_CLOUD_PROJECT",
                settings.name
            ));
        }
        let region = cloud.region.clone().or_else(|| variable("GOOGLE_CLOUD_LOCATION"));
        let region = region.unwrap_or_else(|| "global".to_owned());
        let is_name =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b));
        if !is_name(&region) || !project.as_deref().is_none_or(is_name) {
            return Err(format!("provider `{}`: region or project has a character that no name has", settings.name));
        }
        let at = match settings.base_url.as_str() {
            "" => host(&region, project.is_some()),
            given => given.to_owned(),
        };
        let (host, version) = google::versioned(&at, "v1");
        Ok(Place { host: host.to_owned(), version: version.to_owned(), project, region })
    }

    /// The path of a model of `publisher`; one that a project has tuned is an endpoint.
    pub(super) fn model(&self, publisher: &str, model: &str) -> Result<String, Error> {
        let within = match &self.project {
            Some(project) => format!("/{}/projects/{project}/locations/{}", self.version, self.region),
            None => format!("/{}", self.version),
        };
        let name = google::in_path(model)?;
        match model.starts_with("endpoints/") {
            true => Ok(format!("{within}/{name}")),
            false => Ok(format!("{within}/publishers/{publisher}/models/{name}")),
        }
    }
}

/// The host of a region; `us` and `eu` are several at once, with a host of their own kind.
fn host(region: &str, has_project: bool) -> String {
    match region {
        _ if !has_project => "https://aiplatform.googleapis.com".to_owned(),
        "global" => "https://aiplatform.googleapis.com".to_owned(),
        "us" | "eu" => format!("https://aiplatform.{region}.rep.googleapis.com"),
        region => format!("https://{region}-aiplatform.googleapis.com"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::google_stub::settings;

    fn place(base_url: &str, region: Option<&str>, project: Option<&str>) -> Place {
        let mut settings = settings(base_url, None);
        settings.cloud.region = region.map(str::to_owned);
        settings.cloud.project = project.map(str::to_owned);
        Place::new(&settings, &|_| None, None, project.is_some()).unwrap()
    }

    #[test]
    fn regions_have_hosts_and_models_have_paths() {
        let p = Some("p");
        let below = |region: &str| format!("/v1/projects/p/locations/{region}/publishers/google/models/m");
        let table = [
            (
                place("", Some("europe-west4"), p),
                "https://europe-west4-aiplatform.googleapis.com",
                below("europe-west4"),
            ),
            (place("", None, p), "https://aiplatform.googleapis.com", below("global")),
            (place("", Some("eu"), p), "https://aiplatform.eu.rep.googleapis.com", below("eu")),
            (
                place("", Some("us-east5"), None),
                "https://aiplatform.googleapis.com",
                "/v1/publishers/google/models/m".into(),
            ),
            (place("http://x/y/v1beta1", Some("r"), p), "http://x/y", below("r").replace("v1", "v1beta1")),
        ];
        for (place, host, path) in table {
            assert_eq!((place.host.as_str(), place.model("google", "m").unwrap()), (host, path));
        }
        let tuned = place("", Some("r"), p).model("google", "endpoints/12").unwrap();
        assert_eq!(tuned, "/v1/projects/p/locations/r/endpoints/12");
        assert!(place("", Some("r"), p).model("google", "../x").is_err());
    }

    #[test]
    fn a_project_is_found_or_asked_for() {
        let settings = settings("", None);
        let env = |name: &str| (name == "GOOGLE_CLOUD_PROJECT").then(|| "from-env".into());
        let project = |place: Result<Place, String>| place.unwrap().project;
        assert_eq!(project(Place::new(&settings, &env, Some("file".into()), true)).as_deref(), Some("from-env"));
        assert_eq!(project(Place::new(&settings, &|_| None, Some("file".into()), true)).as_deref(), Some("file"));
        assert_eq!(project(Place::new(&settings, &env, None, false)), None);
        assert!(Place::new(&settings, &|_| None, None, true).unwrap_err().contains("set `project`"));
        let mut odd = settings.clone();
        odd.cloud.project = Some("p/../q".into());
        assert!(Place::new(&odd, &|_| None, None, true).is_err());
    }
}
