//! [`Worker`]: the background thread and its queue. A partition is in the queue at most once, so the queue is never
//! longer than there are scopes.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use crate::IndexError;
use crate::drain::drain;
use crate::graph::Graph;
use crate::partition::{Chore, Partition};
use crate::rebuild::rebuild;
use crate::workshop::Workshop;

/// A piece of background work.
pub(crate) enum Job {
    /// See what the partition needs, and do one step of it.
    Tend(Arc<Partition>),
    /// Free partitions that are out of use.
    Free(Vec<Arc<Partition>>),
    /// Anything else: a checkpoint.
    Run(Box<dyn FnOnce(&Workshop) + Send>),
}

/// The background thread. Dropping it waits for the step at hand, and leaves the rest.
pub(crate) struct Worker {
    queue: Arc<Queue>,
    shop: Arc<Workshop>,
    thread: Option<JoinHandle<()>>,
}

struct Queue {
    state: Mutex<State>,
    work: Condvar,
    idle: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    busy: bool,
    stop: bool,
}

impl Worker {
    /// `after` is called after each job, and told whether none waits.
    pub(crate) fn start(
        shop: Arc<Workshop>,
        after: impl Fn(&Workshop, bool) + Send + 'static,
    ) -> Result<Worker, IndexError> {
        let queue = Arc::new(Queue { state: Mutex::default(), work: Condvar::new(), idle: Condvar::new() });
        let (mine, its_shop) = (Arc::clone(&queue), Arc::clone(&shop));
        let thread = std::thread::Builder::new()
            .name("askonce-index".to_owned())
            .spawn(move || mine.run(&its_shop, &after))
            .map_err(|e| IndexError::Thread(e.to_string()))?;
        Ok(Worker { queue, shop, thread: Some(thread) })
    }

    pub(crate) fn push(&self, job: Job) {
        self.queue.push(job);
    }

    /// Queues `partition` if it needs something and does not wait already.
    pub(crate) fn tend(&self, partition: &Arc<Partition>) {
        if partition.chore(&self.shop.config).is_some() && partition.queue() {
            self.push(Job::Tend(Arc::clone(partition)));
        }
    }

    /// Ends the thread after the step at hand; what still waits is left.
    pub(crate) fn stop(&mut self) {
        self.shop.stop.store(true, Ordering::Relaxed);
        self.queue.state.lock().stop = true;
        self.queue.work.notify_all();
        if let Some(thread) = self.thread.take() {
            // The thread catches the panics of its jobs; should it have died all the same, there is nobody to tell.
            let _ = thread.join();
        }
    }

    /// Frees graphs here and now.
    pub(crate) fn free(&self, partitions: &[Arc<Partition>]) {
        partitions.iter().for_each(|p| self.shop.free(p));
    }

    /// Jobs that wait or run.
    pub(crate) fn pending(&self) -> usize {
        let state = self.queue.state.lock();
        state.jobs.len() + usize::from(state.busy)
    }

    /// Waits until nothing waits or runs.
    pub(crate) fn settle(&self) {
        let mut state = self.queue.state.lock();
        while state.busy || !state.jobs.is_empty() {
            self.queue.idle.wait(&mut state);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Queue {
    fn push(&self, job: Job) {
        self.state.lock().jobs.push_back(job);
        self.work.notify_one();
    }

    fn run(&self, shop: &Workshop, after: &dyn Fn(&Workshop, bool)) {
        while let Some(job) = self.next() {
            let work = || {
                self.perform(job, shop);
                after(shop, self.state.lock().jobs.is_empty());
            };
            // A graph may be a foreign crate's code: its panic must not end the thread that all scopes need.
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                tracing::error!("background work on the vector index panicked; lookups go on without it");
            }
            let mut state = self.state.lock();
            state.busy = false;
            if state.jobs.is_empty() {
                self.idle.notify_all();
            }
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if state.stop {
                state.jobs.clear();
                self.idle.notify_all();
                return None;
            }
            if let Some(job) = state.jobs.pop_front() {
                state.busy = true;
                return Some(job);
            }
            self.work.wait(&mut state);
        }
    }

    fn perform(&self, job: Job, shop: &Workshop) {
        match job {
            Job::Tend(partition) => self.tend(partition, shop),
            Job::Free(partitions) => partitions.iter().for_each(|p| shop.free(p)),
            Job::Run(run) => run(shop),
        }
    }

    fn tend(&self, partition: Arc<Partition>, shop: &Workshop) {
        partition.unqueue();
        if catch_unwind(AssertUnwindSafe(|| step(&partition, shop))).is_err() {
            tracing::error!("building a graph failed; the scope is scanned instead");
            partition.give_up();
            // What the graph holds is still there, more likely than not.
            let flattened = catch_unwind(AssertUnwindSafe(|| shop.release(partition.flatten())));
            if flattened.is_err() {
                tracing::error!("the graph that failed cannot be read either; lookups go on with it");
            }
        }
        if partition.chore(&shop.config).is_some() && partition.queue() {
            self.push(Job::Tend(partition));
        }
    }
}

/// Does a bounded piece of what the partition needs.
fn step(partition: &Partition, shop: &Workshop) {
    let tidy = |graph: Option<Arc<dyn Graph>>| {
        if let Some(graph) = graph {
            shop.pool.install(|| graph.tidy(&shop.stop));
        }
    };
    match partition.chore(&shop.config) {
        Some(Chore::Drain) => {
            drain(partition, shop);
            // In turns: the dead must not pile up because rows keep coming.
            tidy(partition.graph().filter(|graph| graph.is_untidy()));
        }
        Some(Chore::Tidy) => tidy(partition.graph()),
        Some(Chore::Rebuild) => rebuild(partition, shop),
        Some(Chore::Flatten) => {
            partition.rebuild.lock().take();
            shop.release(partition.flatten());
        }
        None => (),
    }
}
