//! Semantic single flight: a question that would be a hit, were the answer to a near one there already, waits for it.
//!
//! A list of the questions whose answers are being fetched, by scope. Who waits does not take the answer as it comes:
//! when it is stored, the lookup goes through the semantic tier again, and the answer is judged like any other entry.
//! Only who fetches is on the list, so that no two can wait for each other.

use super::flight::{Flights, Reader};
use super::semantic::cosine;
use crate::types::ids::Digest;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Questions of one scope that are compared; further ones are not on the list.
const MOST_IN_SCOPE: usize = 64;

/// Of those, the nearest that are judged: the list is locked meanwhile.
const MOST_JUDGED: usize = 4;

/// The questions of one cache that are being fetched.
#[derive(Debug, Default)]
pub(super) struct Aloft {
    scopes: Mutex<HashMap<Digest, Vec<Asked>>>,
}

/// A question that is being fetched.
#[derive(Debug)]
struct Asked {
    /// The key of its flight.
    flight: Digest,
    question: String,
    vector: Arc<[f32]>,
}

/// A place on the list; left when dropped.
#[derive(Debug)]
pub(super) struct Listed {
    aloft: Arc<Aloft>,
    scope: Digest,
    flight: Digest,
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut scopes = self.aloft.scopes.lock();
        if let Some(asked) = scopes.get_mut(&self.scope) {
            asked.retain(|asked| asked.flight != self.flight);
            if asked.is_empty() {
                scopes.remove(&self.scope);
            }
        }
    }
}

/// What became of a question that is about to be fetched.
#[derive(Debug)]
pub(super) enum Boarding {
    /// One that is near enough is on its way: wait for its end.
    Wait(Reader),
    /// It is on the list, until this is dropped.
    Listed(Listed),
    /// There is no room for it on the list.
    Unlisted,
}

/// A question with what tells it from others.
pub(super) struct Boarder<'q> {
    pub(super) scope: Digest,
    pub(super) flight: Digest,
    pub(super) question: &'q str,
    pub(super) vector: &'q Arc<[f32]>,
}

impl Aloft {
    /// Puts a question on the list, unless the nearest that is on it already `would_do`: it is given the question there
    /// and the cosine of the two.
    pub(super) fn board(
        self: &Arc<Aloft>,
        flights: &Arc<Flights>,
        boarder: &Boarder<'_>,
        would_do: impl Fn(&str, f32) -> bool,
    ) -> Boarding {
        let mut scopes = self.scopes.lock();
        let asked = scopes.entry(boarder.scope).or_default();
        let others = asked.iter().filter(|asked| asked.flight != boarder.flight);
        let mut near: Vec<(f32, &Asked)> = others.map(|asked| (cosine(&asked.vector, boarder.vector), asked)).collect();
        near.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let found =
            near.into_iter().take(MOST_JUDGED).find(|(similarity, asked)| would_do(&asked.question, *similarity));
        // A flight that cannot be joined any more is as good as over.
        if let Some(reader) = found.and_then(|(_, asked)| flights.follow(asked.flight)) {
            return Boarding::Wait(reader);
        }
        let known = asked.iter().any(|asked| asked.flight == boarder.flight);
        if known || asked.len() >= MOST_IN_SCOPE {
            return Boarding::Unlisted;
        }
        asked.push(Asked {
            flight: boarder.flight,
            question: boarder.question.to_owned(),
            vector: boarder.vector.clone(),
        });
        Boarding::Listed(Listed { aloft: self.clone(), scope: boarder.scope, flight: boarder.flight })
    }

    /// Questions on the list.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.scopes.lock().values().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::flight::Joined;
    use super::*;

    fn board(aloft: &Arc<Aloft>, flights: &Arc<Flights>, scope: u8, flight: u8, vector: [f32; 2]) -> Boarding {
        let vector: Arc<[f32]> = Arc::from(vector);
        let boarder =
            Boarder { scope: Digest([scope; 32]), flight: Digest([flight; 32]), question: "q", vector: &vector };
        aloft.board(flights, &boarder, |_, similarity| similarity > 0.9)
    }

    #[test]
    fn the_near_wait_and_the_far_fly() {
        let (aloft, flights) = (Arc::new(Aloft::default()), Arc::new(Flights::default()));
        let Joined::Lead(lead) = flights.join(Digest([1; 32])) else { panic!("the first leads") };
        let Boarding::Listed(first) = board(&aloft, &flights, 0, 1, [1.0, 0.0]) else { panic!("it is listed") };
        assert!(matches!(board(&aloft, &flights, 0, 2, [1.0, 0.0]), Boarding::Wait(_)));
        // Another scope, another meaning, or its own flight: nothing to wait for.
        let others = [(1, 3, [1.0, 0.0]), (0, 4, [0.0, 1.0])].map(|(scope, flight, vector)| {
            let Boarding::Listed(listed) = board(&aloft, &flights, scope, flight, vector) else { panic!("listed") };
            listed
        });
        assert!(matches!(board(&aloft, &flights, 0, 1, [1.0, 0.0]), Boarding::Unlisted));
        assert_eq!(aloft.len(), 3);
        // A flight that is over is not waited for.
        drop(lead);
        assert!(matches!(board(&aloft, &flights, 0, 5, [1.0, 0.0]), Boarding::Listed(_)));
        drop((first, others));
        assert_eq!(aloft.len(), 0);
    }

    #[test]
    fn the_list_is_bounded() {
        let (aloft, flights) = (Arc::new(Aloft::default()), Arc::new(Flights::default()));
        let listed: Vec<Boarding> = (0..100).map(|flight| board(&aloft, &flights, 0, flight, [0.0, 0.0])).collect();
        assert_eq!(aloft.len(), MOST_IN_SCOPE);
        drop(listed);
        assert_eq!(aloft.len(), 0);
    }
}
