//! `Lost`: names of what a reply lacks, as the header `x-askonce-dropped` tells them.

use std::fmt;

/// So many names are kept.
const MOST: usize = 32;
/// So many characters of each.
const CHARS: usize = 64;

/// Names of what was lost on the way of a request or an answer: so many of them, and so much of each, as fit a header.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lost {
    names: Vec<String>,
    more: u64,
}

impl Lost {
    /// `names`, and so many `more` that are not named: what [`Lost::names`] and [`Lost::more`] gave.
    pub fn new(names: &[String], more: u64) -> Lost {
        let mut lost = Lost { names: Vec::new(), more };
        lost.extend(names);
        lost
    }

    /// Notes one name, once.
    pub fn add(&mut self, name: &str) {
        let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
        let name: String = name.chars().take(CHARS).map(plain).collect();
        if self.names.contains(&name) {
            return;
        }
        if self.names.len() < MOST {
            self.names.push(name);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// Notes names, each once.
    pub fn extend(&mut self, names: &[String]) {
        for name in names {
            self.add(name);
        }
    }

    /// This, and what `other` tells, too.
    pub fn joined(mut self, other: &Lost) -> Lost {
        self.more = self.more.saturating_add(other.more);
        self.extend(&other.names);
        self
    }

    /// What of this `other` does not tell.
    pub fn beyond(&self, other: &Lost) -> Lost {
        let names = self.names.iter().filter(|name| !other.names.contains(name)).cloned().collect();
        Lost { names, more: self.more.saturating_sub(other.more) }
    }

    /// Nothing was lost.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.more == 0
    }

    /// The names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How many there are beside the names.
    pub fn more(&self) -> u64 {
        self.more
    }

    /// Bytes of memory that the names take, about.
    pub fn bytes(&self) -> usize {
        self.names.iter().map(|name| name.len() + size_of::<String>()).sum()
    }
}

impl fmt::Display for Lost {
    /// The names with commas between them, as in `seed, top_k, 3 more`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names.join(", "))?;
        match (self.more, self.names.is_empty()) {
            (0, _) => Ok(()),
            (more, true) => write!(f, "{more} more"),
            (more, false) => write!(f, ", {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_names_are_told_as_fit_a_header() {
        let mut lost = Lost::default();
        assert!(lost.is_empty() && lost.to_string().is_empty());
        lost.extend(&["seed".into(), "naïve\r\n".into(), "seed".into(), "x".repeat(100)]);
        assert_eq!(lost.to_string(), format!("seed, na?ve??, {}", "x".repeat(CHARS)));
        for number in 0..MOST {
            lost.add(&format!("f{number}"));
        }
        assert_eq!((lost.names().len(), lost.more()), (MOST, 3));
        assert!(lost.to_string().ends_with(", f28, 3 more"), "{lost}");
        assert_eq!(Lost::new(lost.names(), lost.more()), lost);
    }

    #[test]
    fn what_was_told_before_is_not_told_again() {
        let head = Lost::new(&["seed".into(), "top_k".into()], 1);
        let all = head.clone().joined(&Lost::new(&["top_k".into(), "citations".into()], 0));
        assert_eq!(all.to_string(), "seed, top_k, citations, 1 more");
        assert_eq!(all.beyond(&head).to_string(), "citations");
        assert!(head.beyond(&all).is_empty());
        assert_eq!(Lost::new(&[], 2).to_string(), "2 more");
    }
}
