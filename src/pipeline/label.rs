//! Labels: whether a fresh answer says the same as a stored one, found out off the request's path, and learned from.
//!
//! The cheapest judge is asked first: the words of both, then the vectors of both, then a model, where one is configured.

use super::serve::Pipeline;
use crate::cache::judgement::{Source, judges};
use crate::cache::{Comparison, Ticket};
use crate::telemetry::metrics;
use crate::types::answer::{Answer, Ending};
use crate::types::caller::Tenant;
use crate::types::entry::Entry;
use crate::types::ids::EntryId;
use crate::types::money::MicroUsd;
use crate::wire::answer;
use futures_util::stream::{self, StreamExt};
use parking_lot::Mutex;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;
use tokio::sync::mpsc;

/// Fresh answers that may wait to be compared; beyond it a label is lost, and no request is held up.
const QUEUE: usize = 1_024;
/// Fresh answers that are compared at a time: a judge that is a model takes its time.
const AT_A_TIME: usize = 4;
/// Misses whose answers are compared in a second, in the long run, and at once after a pause. To embed an answer costs some
/// ten times what a question does; what is beyond is a sample left out by chance, and no request waits for it.
const MISSES_A_SECOND: f64 = 20.0;
const BURST: f64 = 400.0;
/// Bytes of an answer that are compared; what is alike so far and goes on is taken for alike.
const COMPARED_BYTES: usize = 32 << 10;

/// A fresh answer, and what it is to be compared with.
pub(super) struct Fresh {
    pub(super) compare: Vec<Comparison>,
    pub(super) tenant: Tenant,
    /// The question it answers.
    pub(super) question: String,
    pub(super) answer: Answer,
    pub(super) provider: String,
    pub(super) cost: Option<MicroUsd>,
    pub(super) kept: Kept,
}

/// What becomes of the fresh answer itself.
pub(super) enum Kept {
    /// It is stored already.
    As(EntryId),
    /// It could not be stored.
    Nowhere,
    /// It was fetched to check a hit, and is stored by this ticket: as another wording of the entry that was served, if
    /// that was right.
    By(Box<Ticket>),
}

/// The queue of fresh answers, and who works it off.
pub(super) struct Labels {
    queue: OnceLock<mpsc::Sender<Fresh>>,
    /// Misses that may be compared now, and since when that is so.
    room: Mutex<(f64, Instant)>,
}

impl Default for Labels {
    fn default() -> Labels {
        Labels { queue: OnceLock::new(), room: Mutex::new((BURST, Instant::now())) }
    }
}

impl Labels {
    /// Is there room for one more miss? If so, it is taken.
    fn take(&self) -> bool {
        let (room, since) = &mut *self.room.lock();
        *room = (*room + since.elapsed().as_secs_f64() * MISSES_A_SECOND).min(BURST);
        *since = Instant::now();
        let may = *room >= 1.0;
        *room -= f64::from(u8::from(may));
        may
    }
}

/// What was found out about two answers.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Alike {
    /// Who could tell, and whether they say the same.
    pub(super) told: Option<(Judge, bool)>,
    /// The cosine of their vectors, where it was asked for.
    pub(super) cosine: Option<f32>,
}

/// Who could tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Judge {
    Words,
    Vectors,
    Model,
}

impl Judge {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Judge::Words => "words",
            Judge::Vectors => "vectors",
            Judge::Model => "model",
        }
    }
}

impl Pipeline {
    /// Has a fresh answer compared, when there is time.
    pub(super) fn label_later(self: &Arc<Self>, fresh: Fresh) {
        let whole = fresh.answer.ending == Ending::Whole && !fresh.answer.tool_calls;
        if fresh.compare.is_empty() || !whole {
            return;
        }
        let source = fresh.compare.first().map_or(Source::Miss, |one| one.source);
        if source == Source::Miss && !self.labels.take() {
            return metrics::labelled(source.as_str(), "", "left_out");
        }
        let queue = self.labels.queue.get_or_init(|| {
            let (sender, queue) = mpsc::channel(QUEUE);
            tokio::spawn(work_off(Arc::downgrade(self), queue));
            sender
        });
        if queue.try_send(fresh).is_err() {
            metrics::labelled(source.as_str(), "", "dropped");
        }
    }

    async fn label(self: &Arc<Self>, fresh: Fresh) {
        let said = text_of(&fresh.answer);
        let mut proven = None;
        for comparison in &fresh.compare {
            let source = comparison.source.as_str();
            let Some((judge, right)) = self.judge(&fresh, &said, &comparison.entry).await else {
                metrics::labelled(source, "", "undecided");
                continue;
            };
            metrics::labelled(source, judge.as_str(), if right { "right" } else { "wrong" });
            let stored = if let Kept::As(id) = &fresh.kept { Some(*id) } else { None };
            if self.cache.learn(comparison, right, stored) {
                proven = Some(comparison.entry.clone());
            }
        }
        if let Kept::By(ticket) = fresh.kept {
            // Its own answer, with its own tags and its own time to live: a purge of the other is none of this one.
            let stored = self.cache.admit(&ticket, &fresh.answer, &fresh.provider, fresh.cost).await;
            if let (Ok(stored), Some(proven)) = (&stored, &proven) {
                self.cache.joined(stored.id, proven.id);
            }
            metrics::stored(stored.map(drop));
        }
    }

    /// Does the fresh answer say what the entry's does? `None` where nobody can tell.
    async fn judge(self: &Arc<Self>, fresh: &Fresh, said: &str, entry: &Entry) -> Option<(Judge, bool)> {
        let stored = text_of(&entry.answer);
        if said.is_empty() || stored.is_empty() {
            return None;
        }
        let questions = [fresh.question.as_str(), entry.question.as_deref().unwrap_or_default()];
        let Alike { told, cosine } = self.alike(questions, [said, &stored], &fresh.tenant, true).await;
        told.or_else(|| cosine.map(|cosine| (Judge::Vectors, judges::likelier(cosine))))
    }

    /// Do two answers to these questions say the same? A model is asked only with `ask_model`, and where there is one.
    pub(super) async fn alike(
        self: &Arc<Self>,
        questions: [&str; 2],
        answers: [&str; 2],
        tenant: &Tenant,
        ask_model: bool,
    ) -> Alike {
        let [one, other] = answers;
        if let Some(same) = judges::same_text(one, other) {
            return Alike { told: Some((Judge::Words, same)), cosine: None };
        }
        let cosine = self.cache.likeness(one, other, tenant).await;
        if let Some(same) = cosine.and_then(judges::same_meaning) {
            return Alike { told: Some((Judge::Vectors, same)), cosine };
        }
        let told = if ask_model { self.ask_judge(questions, answers).await } else { None };
        Alike { told: told.map(|same| (Judge::Model, same)), cosine }
    }
}

async fn work_off(pipeline: Weak<Pipeline>, queue: mpsc::Receiver<Fresh>) {
    let all = stream::unfold(queue, |mut queue| async move { queue.recv().await.map(|fresh| (fresh, queue)) });
    all.for_each_concurrent(AT_A_TIME, |fresh| {
        let pipeline = pipeline.upgrade();
        async move {
            if let Some(pipeline) = pipeline {
                pipeline.label(fresh).await;
            }
        }
    })
    .await;
}

/// What an answer says, in all of its choices.
pub(super) fn text_of(answer: &Answer) -> String {
    let mut text = answer::texts(answer.surface, &answer.body).join("\n");
    if text.len() > COMPARED_BYTES {
        text.truncate(text.floor_char_boundary(COMPARED_BYTES));
    }
    text
}
