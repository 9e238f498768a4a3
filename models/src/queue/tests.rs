//! Who gets in, who is next, who has to yield; and that everybody is answered once.

use proptest::prelude::*;

use super::*;

type Receiver = oneshot::Receiver<Result<Embedding, EmbedError>>;

const FULL: EmbedError = EmbedError::Full { limit: 4, of: "texts" };

/// A queue of so many texts, of any length.
fn queue_of(texts: usize) -> Queue {
    Queue::new(Load { texts, bytes: usize::MAX })
}

fn try_push(queue: &Queue, asker: u64, text: &str) -> Result<Receiver, EmbedError> {
    let (answer, receiver) = oneshot::channel();
    queue.push(Asker::new(asker), text.to_owned(), Answer::Caller(answer))?;
    Ok(receiver)
}

fn push(queue: &Queue, asker: u64, text: &str) -> Receiver {
    try_push(queue, asker, text).unwrap()
}

fn gather(batch_tokens: usize) -> Gather {
    Gather { batch_tokens, batch_wait: Duration::ZERO, pads: false }
}

fn features() -> TextTokenizer {
    TextTokenizer::features(512)
}

/// The askers of the next batch, whose texts stay unanswered.
fn next(queue: &Queue, batch_tokens: usize) -> Vec<u64> {
    let mut jobs = Vec::new();
    queue.next_batch(&features(), gather(batch_tokens), &mut jobs);
    let number = |job: &Job| (0..100).find(|&number| job.who == Who::Asker(Asker::new(number))).unwrap_or(100);
    jobs.iter().map(number).collect()
}

#[test]
fn a_batch_stays_within_its_budget_and_keeps_the_order() {
    let queue = queue_of(100);
    let _kept: Vec<_> = (0..10).map(|_| push(&queue, 1, "one two")).collect();
    let each = features().tokenize("one two").unwrap().ids.len();
    let sizes: Vec<_> = (0..4).map(|_| next(&queue, each * 3).len()).collect();
    assert_eq!(sizes, [3, 3, 3, 1]);
}

#[test]
fn padding_keeps_a_long_text_from_short_ones_and_it_loses_no_place() {
    let long = "many words ".repeat(30);
    for (pads, first_batch) in [(true, 1), (false, 3)] {
        let queue = queue_of(100);
        let _kept = [push(&queue, 1, "a"), push(&queue, 1, &long), push(&queue, 1, "b")];
        let mut jobs = Vec::new();
        let gather = Gather { pads, ..gather(100_000) };
        queue.next_batch(&features(), gather, &mut jobs);
        assert_eq!((jobs.len(), queue.len()), (first_batch, 3 - first_batch));
        if pads {
            jobs.clear();
            queue.next_batch(&features(), gather, &mut jobs);
            assert!(jobs[0].progress.reading.rows.tokens() > 100);
        }
    }
}

#[test]
fn a_text_larger_than_the_budget_still_goes() {
    let queue = queue_of(100);
    let _kept = push(&queue, 1, "a text of several words");
    assert_eq!(next(&queue, 1), [1]);
}

#[test]
fn one_with_many_texts_does_not_hold_up_one_with_a_single() {
    let queue = queue_of(20_000);
    let mut kept: Vec<_> = (0..10_000).map(|_| push(&queue, 1, "word")).collect();
    kept.push(push(&queue, 2, "word"));
    kept.push(push(&queue, 3, "word"));
    let each = features().tokenize("word").unwrap().ids.len();
    assert_eq!(next(&queue, each * 2), [1, 2]);
    assert_eq!(next(&queue, each * 2), [3, 1]);
}

#[test]
fn who_has_gone_is_skipped_and_makes_room() {
    let queue = queue_of(2);
    drop((push(&queue, 1, "a"), push(&queue, 1, "b")));
    let _kept = push(&queue, 1, "c");
    assert_eq!(queue.len(), 1);
    drop(push(&queue, 1, "d"));
    let full = push(&queue, 1, "e");
    assert_eq!(try_push(&queue, 1, "f").unwrap_err(), EmbedError::Full { limit: 2, of: "texts" });
    drop(full);
    assert_eq!(next(&queue, 1000).len(), 1);
    assert_eq!(queue.len(), 0);
}

#[test]
fn in_a_full_queue_the_newest_of_the_greediest_yields() {
    let queue = queue_of(4);
    let mut greedy: Vec<_> = (0..3).map(|_| push(&queue, 1, "a")).collect();
    let _modest = push(&queue, 2, "b");
    assert_eq!(try_push(&queue, 1, "a").unwrap_err(), FULL, "the greediest itself");
    let _late = push(&queue, 3, "c");
    assert_eq!(greedy.pop().unwrap().try_recv().unwrap().unwrap_err(), FULL);
    // Two for the first, one each for the others: who comes now would only take another's place.
    for asker in [2, 3, 4] {
        let refused = try_push(&queue, asker, "d").is_err();
        assert_eq!(refused, asker != 4, "{asker}");
    }
    assert_eq!(greedy.pop().unwrap().try_recv().unwrap().unwrap_err(), FULL);
    assert_eq!(next(&queue, 1000), [1, 2, 3], "the one who came last has been dropped meanwhile");
}

#[test]
fn bytes_are_limited_as_texts_are() {
    let queue = Queue::new(Load { texts: 100, bytes: 100 });
    let full = EmbedError::Full { limit: 100, of: "bytes" };
    let huge = "x".repeat(500);
    let kept = push(&queue, 1, &huge);
    assert_eq!(try_push(&queue, 1, "x").unwrap_err(), full, "it waits alone");
    assert_eq!(try_push(&queue, 2, "x").unwrap_err(), full, "its owner would have nothing left");
    drop(kept);
    let mut greedy: Vec<_> = (0..4).map(|_| push(&queue, 1, &"x".repeat(25))).collect();
    assert_eq!(try_push(&queue, 1, "x").unwrap_err(), full);
    assert_eq!(try_push(&queue, 2, &"x".repeat(60)).unwrap_err(), full, "more than what the greediest keeps");
    assert_eq!(queue.state.lock().counted, Load { texts: 4, bytes: 100 }, "who yielded in vain is back");
    let _modest = push(&queue, 2, &"x".repeat(40));
    for yielded in greedy.drain(2..) {
        assert_eq!({ yielded }.try_recv().unwrap().unwrap_err(), full);
    }
    assert!(greedy.iter_mut().all(|kept| kept.try_recv().is_err()));
    assert_eq!(next(&queue, 1000), [1, 2, 1]);
    assert_eq!(queue.state.lock().counted, Load::default());
}

#[test]
fn a_bulk_hears_of_answers_that_are_lost() {
    let (sender, answers) = mpsc::channel();
    let answer = |number| Answer::Bulk(BulkAnswer::new(number, sender.clone(), Arc::default()));
    drop(answer(7));
    answer(8).send(Err(EmbedError::Closed));
    let (lost, said) = (answers.try_recv().unwrap(), answers.try_recv().unwrap());
    assert!(matches!(lost, (7, Err(EmbedError::Backend(_)))), "{lost:?}");
    assert_eq!(said, (8, Err(EmbedError::Closed)));
    assert!(answers.try_recv().is_err());
}

#[test]
fn bulks_have_turns_but_take_no_place() {
    let queue = queue_of(4);
    let (sender, answers) = mpsc::channel();
    let over = Arc::new(AtomicBool::new(false));
    for number in 0..50 {
        let answer = Answer::Bulk(BulkAnswer::new(number, sender.clone(), Arc::clone(&over)));
        queue.push_bulk(7, features().read("word").unwrap(), answer).unwrap();
    }
    assert_eq!(queue.len(), 0);
    let _kept: Vec<_> = (0..4).map(|_| push(&queue, 1, "word")).collect();
    assert_eq!(try_push(&queue, 1, "a").unwrap_err(), FULL);
    let each = features().tokenize("word").unwrap().ids.len();
    assert_eq!(next(&queue, each * 4), [100, 1, 100, 1]);
    assert_eq!(answers.try_iter().count(), 2, "two were taken and lost");
    over.store(true, Ordering::Relaxed);
    assert_eq!(next(&queue, 10_000), [1, 1], "a bulk that is over is skipped");
    assert!(answers.try_recv().is_err());
}

#[test]
fn windows_that_are_left_wait_for_the_others_turns() {
    let queue = queue_of(10);
    let tokenizer = TextTokenizer::features(10).in_windows(8);
    let _kept = [push(&queue, 1, &"word ".repeat(40)), push(&queue, 1, "b"), push(&queue, 2, "c")];
    let mut seen = Vec::new();
    for _ in 0..5 {
        let mut jobs = Vec::new();
        queue.next_batch(&tokenizer, gather(20), &mut jobs);
        for mut job in jobs {
            seen.push((job.who, job.progress.done, job.rows));
            job.progress.done += job.rows;
            if job.progress.done < job.progress.reading.rows.rows() {
                queue.go_on(job);
            }
        }
    }
    let [one, two] = [1, 2].map(|number| Who::Asker(Asker::new(number)));
    let long = |done| (one, done, 2);
    // The first text of asker 1 has the most windows; after two of them it is asker 2's turn, whose text is short and
    // leaves room for one window more.
    assert_eq!(seen[..3], [long(0), (two, 0, 1), (one, 2, 1)]);
    assert_eq!(seen.iter().map(|(_, _, rows)| rows).sum::<usize>(), 8 + 2);
    assert_eq!(seen.last(), Some(&(one, 0, 1)), "an asker's texts keep their order: {seen:?}");
    assert_eq!(queue.len(), 0);
}

#[test]
fn an_unfilled_batch_waits_for_company_only_as_long_as_it_may() {
    let queue = queue_of(10);
    let wait = Gather { batch_wait: Duration::from_millis(500), ..gather(1000) };
    let _first = push(&queue, 1, "a");
    std::thread::scope(|scope| {
        let late = scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(20));
            push(&queue, 1, "b")
        });
        let (begin, mut jobs) = (Instant::now(), Vec::new());
        assert!(queue.next_batch(&features(), wait, &mut jobs));
        assert!(jobs.len() == 2 && begin.elapsed() >= Duration::from_millis(500));
        drop(late.join());
    });
}

#[test]
fn closing_answers_who_waits_and_frees_the_workers() {
    let queue = queue_of(10);
    let mut waiting = push(&queue, 1, "a");
    let mut taken = push(&queue, 2, "b");
    let mut jobs = Vec::new();
    assert!(queue.next_batch(&features(), gather(1), &mut jobs));
    queue.close();
    assert_eq!(taken.try_recv().unwrap().unwrap_err(), EmbedError::Closed);
    queue.go_on(jobs.remove(0));
    assert_eq!(waiting.try_recv().unwrap().unwrap_err(), EmbedError::Closed);
    assert!(!queue.next_batch(&TextTokenizer::features(8), gather(10), &mut jobs));
    assert_eq!(try_push(&queue, 1, "b").unwrap_err(), EmbedError::Closed);
}

#[derive(Debug, Clone)]
enum Step {
    Push { asker: u64, words: usize },
    Cancel(usize),
    Batch,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0u64..4, 0usize..12).prop_map(|(asker, words)| Step::Push { asker, words }),
        1 => (0usize..100).prop_map(Step::Cancel),
        2 => Just(Step::Batch),
    ];
    proptest::collection::vec(step, 0..150)
}

/// One who asked, and what became of it.
struct Asked {
    asker: u64,
    receiver: Option<Receiver>,
    answers: usize,
}

impl Asked {
    fn look(&mut self) {
        if let Some(receiver) = &mut self.receiver
            && receiver.try_recv().is_ok()
        {
            self.answers += 1;
        }
    }

    fn waits(&self) -> bool {
        self.receiver.is_some() && self.answers == 0
    }
}

/// Serves a batch as a worker does, all vectors the same.
fn serve(queue: &Queue, tokenizer: &TextTokenizer, batch_tokens: usize) -> Vec<u64> {
    let mut jobs = Vec::new();
    queue.next_batch(tokenizer, gather(batch_tokens), &mut jobs);
    let mut askers = Vec::new();
    for mut job in jobs {
        askers.extend((0..4).filter(|&asker| job.who == Who::Asker(Asker::new(asker))));
        job.progress.done += job.rows;
        let windows = job.progress.reading.rows.rows();
        match job.progress.done < windows {
            true => queue.go_on(job),
            false => job.answer.send(Ok(Embedding { vector: [1.0].into(), tokens: 1, windows, truncated: false })),
        }
    }
    askers
}

proptest! {
    /// Under any schedule nobody is forgotten, answered twice, or kept waiting for more batches than there are askers;
    /// and the queue never holds more than it may.
    #[test]
    fn everyone_is_answered_once_and_soon(steps in steps(), limit in 1usize..20, batch_tokens in 1usize..40) {
        let queue = queue_of(limit);
        let tokenizer = TextTokenizer::features(10).in_windows(4);
        let mut asked: Vec<Asked> = Vec::new();
        let mut unserved = [0usize; 4];
        let steps = steps.into_iter().chain((0..600).map(|_| Step::Batch));
        for step in steps {
            match step {
                Step::Push { asker, words } => {
                    if let Ok(receiver) = try_push(&queue, asker, &"word ".repeat(words)) {
                        asked.push(Asked { asker, receiver: Some(receiver), answers: 0 });
                    }
                }
                Step::Cancel(at) if at < asked.len() => {
                    let asker = asked[at].asker;
                    asked[at].receiver = None;
                    // Who has nothing waiting any more begins anew with the next text.
                    if !asked.iter().any(|one| one.asker == asker && one.waits()) {
                        unserved[asker as usize] = 0;
                    }
                }
                Step::Cancel(_) => {}
                // With nothing in line a worker would sleep.
                Step::Batch if asked.iter().any(Asked::waits) => {
                    let served = serve(&queue, &tokenizer, batch_tokens);
                    for asker in 0..4u64 {
                        let waits = asked.iter().any(|one| one.asker == asker && one.waits());
                        let count = &mut unserved[asker as usize];
                        *count = if waits && !served.contains(&asker) { *count + 1 } else { 0 };
                        prop_assert!(*count < 4, "asker {} waited for {} batches", asker, count);
                    }
                }
                Step::Batch => {}
            }
            asked.iter_mut().for_each(Asked::look);
            prop_assert!(queue.len() <= limit);
        }
        prop_assert!(asked.iter().all(|one| one.receiver.is_none() || one.answers == 1));
    }
}
