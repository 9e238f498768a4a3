//! `nearest`: which of the known words somebody probably meant.

/// The one of `known` that is nearest to `found`, if one is near enough to be a likely slip.
pub(super) fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let found = found.to_lowercase();
    // Nobody mistypes a word into a page of text; this bounds the work on odd input.
    if found.len() > 100 {
        return None;
    }
    let slips = |word: &str| strsim::damerau_levenshtein(&found, word);
    let (word, slips) = known.into_iter().map(|word| (word, slips(word))).min_by_key(|&(_, slips)| slips)?;
    let allowed = (word.chars().count() / 3).max(1);
    (slips <= allowed).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_slips_and_nothing_else() {
        let known = ["cache", "listen", "log", "default_provider"];
        assert_eq!(nearest("cahce", known), Some("cache"));
        assert_eq!(nearest("LISTEN", known), Some("listen"));
        assert_eq!(nearest("default-provider", known), Some("default_provider"));
        assert_eq!(nearest("lag", known), Some("log"));
        assert_eq!(nearest("ports", known), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), known), None);
        assert_eq!(nearest("cache", []), None);
    }
}
