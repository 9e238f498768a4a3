//! What a decision says, and what of it a label is about.

/// A miss is worth comparing with a candidate that is likelier to be right than this.
pub const WORTH_COMPARING: f32 = 0.05;
/// Candidates that a fresh answer is compared with, each of another cluster.
pub const MOST_COMPARED: usize = 2;

/// How many terms the calibrated probability has.
pub(super) const TERMS: usize = 6;

/// Terms of the calibrated probability: 1; the logit of the stream score; how far ahead of the best candidate with another
/// answer; how many near ones share the answer; whether another answer is near, too; and how much more of a trap than is
/// allowed, 0 or less.
pub type Terms = [f32; TERMS];

/// What the learner decided about one question.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Index into the candidates that were shown: serve this one.
    pub serve: Option<usize>,
    /// Index of the most probable candidate that the veto let pass, served or not.
    pub best: Option<usize>,
    /// Probability that the best candidate's answer is right, in (0, 1); 0 without a candidate.
    pub p: f32,
    /// Served if 1 − p is at most this.
    pub lambda: f32,
    /// Why it was served or not.
    pub reason: Reason,
    /// The hit is to be checked by a fresh answer: learn the label from this case. Off the request path.
    pub shadow: Option<Case>,
    /// Every candidate that was shown, in the same order.
    pub weighed: Vec<Weighed>,
    /// Whose scope it was, for `cases`.
    pub(super) scope: u128,
    /// The error budget that it was decided by.
    pub(super) budget: f32,
    /// 1 − p of the most probable candidate that neither the veto nor strictness forbids.
    pub risk: Option<f32>,
}

/// Why a decision came out as it did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// Served.
    Served,
    /// No candidate was shown.
    Nothing,
    /// Every candidate near enough differs in a number, id, date or unit.
    Vetoed,
    /// What would be probable enough looks like a trap: near in words, and another question.
    Trap,
    /// No candidate is probable enough for the error budget.
    Budget,
    /// The scope's estimated error is above its budget: it serves by words only, for now.
    Fallback,
}

impl Reason {
    /// The word for metrics and the admin API.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Served => "served",
            Reason::Nothing => "nothing",
            Reason::Vetoed => "vetoed",
            Reason::Trap => "trap",
            Reason::Budget => "over_budget",
            Reason::Fallback => "fallback",
        }
    }
}

/// One candidate, as the learner sees it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Weighed {
    /// The entry.
    pub entry: u64,
    /// Cosine of the two questions' vectors.
    pub similarity: f32,
    /// The stream score p₀, from similarity alone.
    pub stream: f32,
    /// It differs in a number, id, date or unit.
    pub vetoed: bool,
    /// Probability that it is a trap; `None` where nobody needed to know.
    pub trap: Option<f32>,
    /// Its answer cluster.
    pub cluster: u32,
    /// Terms of the calibrated probability.
    pub terms: Terms,
    /// Calibrated probability that its answer is right.
    pub p: f32,
}

/// One candidate of one decision, kept until its label is known. Small; holds no text.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Case {
    /// The scope.
    pub scope: u128,
    /// The candidate's entry.
    pub entry: u64,
    /// Cosine of the two questions' vectors.
    pub similarity: f32,
    /// Terms of the calibrated probability.
    pub terms: Terms,
    /// Calibrated probability then.
    pub p: f32,
    /// It was served.
    pub served: bool,
    /// It was the most probable candidate: the only one of a decision that calibration learns from.
    pub best: bool,
    /// The error budget that it was decided by.
    pub budget: f32,
    /// How many hits this one stands for: 1 over the probability with which it was chosen to be checked.
    pub weight: f32,
}

/// Where a label comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// A miss: the fresh answer was compared with the candidate's.
    Miss,
    /// A hit that was checked by a fresh answer.
    Shadow,
    /// Somebody who has seen the answer says so.
    Feedback,
}

impl Source {
    /// The word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Miss => "miss",
            Source::Shadow => "shadow",
            Source::Feedback => "feedback",
        }
    }
}

/// What the caller has to do after a label.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Take this entry out of the cache: it was wrong twice, or somebody said that it is wrong.
    Evict(u64),
    /// The question may be stored as another wording of this entry's answer: it was judged the same.
    Alias(u64),
}

impl Decision {
    /// Is the answer worth comparing with some candidate's, should the request miss? What to learn from then: the most
    /// probable candidate of each cluster, at most `most` of them, of those that are likelier than `floor`.
    pub fn cases(&self, floor: f32, most: usize) -> Vec<Case> {
        let mut likely: Vec<&Weighed> = self.weighed.iter().filter(|one| !one.vetoed && one.p > floor).collect();
        likely.sort_by(|one, other| other.p.total_cmp(&one.p));
        let mut clusters: Vec<u32> = Vec::new();
        let mut cases = Vec::new();
        for one in likely {
            if cases.len() == most {
                break;
            }
            if !clusters.contains(&one.cluster) {
                clusters.push(one.cluster);
                cases.push(self.case(one, 1.0));
            }
        }
        cases
    }

    /// The case of the served candidate, for feedback on it.
    pub fn served(&self) -> Option<Case> {
        self.serve.and_then(|at| self.weighed.get(at)).map(|one| self.case(one, 1.0))
    }

    pub(super) fn case(&self, one: &Weighed, weight: f32) -> Case {
        Case {
            scope: self.scope,
            entry: one.entry,
            similarity: one.similarity,
            terms: one.terms,
            p: one.p,
            served: self.serve.is_some_and(|at| self.weighed[at].entry == one.entry),
            best: self.best.is_some_and(|at| self.weighed[at].entry == one.entry),
            budget: self.budget,
            weight,
        }
    }
}
