//! The manifests that come with the package, and finding one by its name.

use std::sync::LazyLock;

use super::ModelManifest;
use crate::error::ModelError;

macro_rules! built_in {
    ($($file:literal),* $(,)?) => { &[$(($file, include_str!(concat!("../../manifest/", $file)))),*] };
}

/// The built-in manifests as (file name, text), the default model first.
pub(super) const BUILT_IN: &[(&str, &str)] = built_in![
    "all-MiniLM-L6-v2.yaml",
    "all-MiniLM-L12-v2.yaml",
    "bge-small-en-v1.5.yaml",
    "bge-base-en-v1.5.yaml",
    "gte-small.yaml",
    "e5-small-v2.yaml",
    "multilingual-e5-small.yaml",
    "paraphrase-multilingual-MiniLM-L12-v2.yaml",
    "wordllama-l2-256.yaml",
];

static MANIFESTS: LazyLock<Result<Vec<ModelManifest>, String>> = LazyLock::new(|| {
    BUILT_IN.iter().map(|(file, text)| ModelManifest::parse(text, file).map_err(|error| error.to_string())).collect()
});

/// The built-in manifests.
pub fn manifests() -> &'static [ModelManifest] {
    MANIFESTS.as_ref().map(Vec::as_slice).unwrap_or_default()
}

/// The built-in manifest of a name.
///
/// # Errors
/// [`ModelError::UnknownModel`] lists the known names and the nearest one.
pub fn manifest(name: &str) -> Result<&'static ModelManifest, ModelError> {
    if let Err(problem) = MANIFESTS.as_ref() {
        return Err(ModelError::Manifest { source_name: "built in".into(), problem: problem.clone() });
    }
    let all = manifests();
    all.iter().find(|m| m.name == name).ok_or_else(|| {
        let wanted = name.to_lowercase();
        let nearest = all
            .iter()
            .map(|m| (strsim::jaro_winkler(&m.name.to_lowercase(), &wanted), m))
            .filter(|(likeness, _)| *likeness > 0.7)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, m)| m.name.clone());
        ModelError::UnknownModel { name: name.to_owned(), nearest, known: all.iter().map(|m| m.name.clone()).collect() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Pin, PrecisionReports, Role};
    use crate::precision::Precision;

    #[test]
    fn built_in_manifests_parse_and_are_found_by_name() {
        assert_eq!(manifests().len(), BUILT_IN.len());
        for (m, (file, _)) in manifests().iter().zip(BUILT_IN) {
            assert_eq!(format!("{}.yaml", m.name), *file);
            assert_eq!(manifest(&m.name).unwrap(), m);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        let error = manifest("all-minilm-l6").unwrap_err().to_string();
        let begin = "unknown model `all-minilm-l6`; did you mean `all-MiniLM-L6-v2`?; known models: all-MiniLM-L6-v2, ";
        assert!(error.starts_with(begin) && error.ends_with("wordllama-l2-256"), "{error}");
        assert!(!manifest("zzz").unwrap_err().to_string().contains("did you mean"));
    }

    #[test]
    fn models_say_what_they_need() {
        for m in manifests() {
            assert_eq!(m.is_pinned(), m.source.pin == Pin::Manifest, "{}", m.name);
            assert_eq!(m.prefix.query, if m.name.contains("e5") { "query: " } else { "" }, "{}", m.name);
            assert!(m.part(Role::Weights).is_ok() && m.part(Role::Tokenizer).is_ok());
        }
        let table = manifest("wordllama-l2-256").unwrap();
        assert_eq!((table.short_revision(), table.precision.default), ("0.4.0.post1", Precision::F32));
        assert!(table.part(Role::Config).unwrap_err().to_string().contains("lacks the config file"));
        let default = manifest("all-MiniLM-L6-v2").unwrap();
        assert_eq!((default.short_revision(), default.precision.default), ("c9745ed", Precision::Bf16));
    }

    #[test]
    fn a_measured_precision_is_reported() {
        let report = &manifest("all-MiniLM-L6-v2").unwrap().precision_report;
        for (name, report) in [("bf16", &report.bf16), ("int8", &report.int8)] {
            let report = report.as_ref().unwrap();
            assert!(report.sentences >= 1000 && report.cosine_mean > 0.999 && report.pairwise_p99 < 0.01, "{name}");
            assert!(report.pairwise_p99 < report.pairwise_max && report.pairwise_max < 0.02, "{name}");
        }
        assert_eq!(manifest("gte-small").unwrap().precision_report, PrecisionReports::default());
    }
}
