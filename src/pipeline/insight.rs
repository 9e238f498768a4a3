//! `Insight`: what the embedding of a question tells, its topic and whether it is hard; and the conditions that ask about that.
//!
//! They are told just before a request is sent, by the vector that the lookup made, or else by one that is made then. What the cache
//! answers by its words pays for no embedding.

use super::dispatch::Outbound;
use super::serve::Setup;
use crate::config::{Fact, Facts, Variable};
use crate::routing::{Complexity, Route, Topics};
use crate::telemetry::metrics;
use crate::types::caller::Tenant;
use crate::types::embed::Embed;
use crate::types::error::Error;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// What questions are held against.
#[derive(Default)]
pub struct Insight {
    /// Topics, as vectors of their examples.
    pub topics: Option<Topics>,
    /// What was learned of questions that are hard.
    pub complexity: Option<Complexity>,
    /// The sentence model.
    pub embed: Option<Arc<dyn Embed>>,
    /// How long one question may take.
    pub deadline: Duration,
}

/// What is known of one question.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// The nearest topic, its cosine, and whether that is near enough.
    pub topic: Option<(String, f32, bool)>,
    /// The probability that it needs the stronger model, and whether that is enough.
    pub complexity: Option<(f64, bool)>,
}

impl Insight {
    /// Is there anything that questions are held against?
    pub fn is_any(&self) -> bool {
        self.topics.is_some() || self.complexity.is_some()
    }

    /// The vector of a question; `None` where there is no sentence model, or it cannot say in time.
    pub(super) async fn vector(&self, question: &str, tenant: &Tenant) -> Option<Arc<[f32]>> {
        let embed = self.embed.as_ref()?;
        let why = match tokio::time::timeout(self.deadline, embed.embed(vec![question.to_owned()], tenant)).await {
            Ok(Ok(mut embedded)) => return embedded.pop().map(|one| one.vector),
            Ok(Err(error)) => error.message,
            Err(_) => format!("it takes longer than {} ms (`embedding.deadline_ms`)", self.deadline.as_millis()),
        };
        tracing::warn!(why, "the question was not embedded; conditions that ask what it is about count as false");
        None
    }

    /// What the vector of `question` tells.
    pub(super) fn told(&self, vector: &[f32], question: &str) -> Told {
        let near = self.topics.as_ref().and_then(|topics| topics.nearest(vector));
        let complexity = self.complexity.as_ref().and_then(|model| {
            let p = model.of(vector, question)?;
            Some((p, model.is_hard(p)))
        });
        Told { topic: near.map(|near| (near.name.to_owned(), near.cosine, near.reached)), complexity }
    }
}

impl Told {
    fn fact(&self, variable: Variable) -> Option<Fact> {
        let topic =
            |(name, _, reached): &(String, f32, bool)| Fact::Text(if *reached { name.clone() } else { String::new() });
        match variable {
            Variable::Topic => self.topic.as_ref().map(topic),
            Variable::Complexity => self.complexity.map(|(p, _)| Fact::Float(p)),
            Variable::Hard => self.complexity.map(|(_, hard)| Fact::Bool(hard)),
            _ => None,
        }
    }
}

/// The lanes of a route that take no part in a request, as far as that is known before its question is embedded; and what it takes to
/// know the rest.
#[derive(Clone, Debug, Default)]
pub(super) struct LeftOut {
    now: Arc<[usize]>,
    later: Option<Later>,
}

/// What is known of a request that has late conditions.
#[derive(Clone, Debug)]
struct Later {
    facts: Arc<[(Variable, Fact)]>,
    question: Option<Arc<str>>,
    vector: Option<Arc<[f32]>>,
}

/// Those known now.
impl Deref for LeftOut {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.now
    }
}

impl From<Vec<usize>> for LeftOut {
    fn from(out: Vec<usize>) -> LeftOut {
        LeftOut { now: out.into(), later: None }
    }
}

impl LeftOut {
    /// Those in `out`; and where the route has late conditions, what else these ask about.
    pub(super) fn new(out: Vec<usize>, later: Option<Vec<(Variable, Fact)>>) -> LeftOut {
        let later = later.map(|facts| Later { facts: facts.into(), question: None, vector: None });
        LeftOut { now: out.into(), later }
    }

    /// And these.
    pub(super) fn and(self, more: Vec<usize>) -> LeftOut {
        LeftOut { now: self.now.iter().copied().chain(more).collect(), ..self }
    }

    /// Of a request that asks `question`.
    pub(super) fn about(mut self, question: Option<&str>) -> LeftOut {
        if let Some(later) = &mut self.later {
            later.question = question.filter(|text| !text.trim().is_empty()).map(Arc::from);
        }
        self
    }

    /// Of a request whose question has this vector, where that is known.
    pub(super) fn with_vector(mut self, vector: Option<&Arc<[f32]>>) -> LeftOut {
        if let Some(later) = &mut self.later {
            later.vector = vector.cloned();
        }
        self
    }

    /// All lanes of `route` that take no part in the request; an error where none is left.
    pub(super) async fn settled(&self, setup: &Setup, route: &Route, to: &Outbound) -> Result<Arc<[usize]>, Error> {
        let told = match &self.later {
            Some(later) => later.told(&setup.insight, &to.tenant).await,
            None => return Ok(self.now.clone()),
        };
        let out = self.with(route, told.as_ref());
        route.some_are_left(&out, &to.request.model)?;
        Ok(out.into())
    }

    /// All lanes of `route` that take no part in a request of which this is told.
    pub(super) fn with(&self, route: &Route, told: Option<&Told>) -> Vec<usize> {
        let mut out = self.now.to_vec();
        if let (Some(later), Some(uses)) = (&self.later, route.asks_late()) {
            let known = |variable| later.facts.iter().find(|(one, _)| *one == variable).map(|(_, fact)| fact.clone());
            let facts = Facts::new(uses, |variable| known(variable).or_else(|| told?.fact(variable)));
            out.extend(route.left_out_late(&facts));
        }
        out
    }
}

impl Later {
    /// What is told of its question. `None`: nothing can be.
    async fn told(&self, insight: &Insight, tenant: &Tenant) -> Option<Told> {
        let Some(question) = &self.question else {
            metrics::insight("no_question");
            return None;
        };
        let vector = match &self.vector {
            Some(vector) => {
                metrics::insight("looked_up");
                Some(vector.clone())
            }
            None => {
                let vector = insight.vector(question, tenant).await;
                metrics::insight(if vector.is_some() { "embedded" } else { "failed" });
                vector
            }
        };
        Some(insight.told(&vector?, question))
    }
}
