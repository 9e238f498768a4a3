//! `Staleness`: how soon the answer to a question may be out of date.

/// How long an answer keeps, the shortest first. Each class has a time to live in `cache.staleness`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub enum Staleness {
    /// The next answer is another one: what time it is, a die that is rolled. Neither stored nor looked up.
    Never,
    /// Prices, weather, what goes on now.
    Minutes,
    /// What is asked about today.
    Hours,
    /// What changes from week to week, and what is somebody's own.
    Days,
    /// Everything else: as long as `cache.ttl_s`.
    #[default]
    Static,
}

impl Staleness {
    /// Every class, the shortest first.
    pub const ALL: [Staleness; 5] =
        [Staleness::Never, Staleness::Minutes, Staleness::Hours, Staleness::Days, Staleness::Static];

    /// The word for settings, headers and the admin API.
    pub fn as_str(self) -> &'static str {
        match self {
            Staleness::Never => "never",
            Staleness::Minutes => "minutes",
            Staleness::Hours => "hours",
            Staleness::Days => "days",
            Staleness::Static => "static",
        }
    }

    /// The class of that name.
    pub fn from_word(word: &str) -> Option<Staleness> {
        Staleness::ALL.into_iter().find(|class| class.as_str() == word)
    }
}
