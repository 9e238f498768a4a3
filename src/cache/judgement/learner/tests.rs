//! The learner on traffic that is made up.

use super::*;

/// Numbers in [0, 1), the same every time.
fn dice(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    }
}

/// Traffic of one scope in which an answer is right with a probability that rises with the cosine. Gives hits, wrong
/// hits and shadow calls over requests.
fn traffic(learner: &mut Learner, requests: u64, right: impl Fn(f32) -> f32, seed: u64) -> [f64; 3] {
    let (mut dice, question) = (dice(seed), Question::read("where is my parcel"));
    let mut counts = [0.0; 3];
    for at in 0..requests {
        let similarity = 0.6 + 0.4 * dice();
        let is_right = dice() < right(similarity);
        let seen = [Seen { entry: at, question: &question, similarity }];
        let decision = learner.decide(1, &question, &seen, &Asked::default());
        let label = match (&decision.shadow, decision.serve) {
            (Some(case), _) => Some((*case, Source::Shadow)),
            (None, Some(_)) => None,
            (None, None) => decision.cases(0.05, 1).first().map(|case| (*case, Source::Miss)),
        };
        counts[0] += f64::from(u8::from(decision.serve.is_some()));
        counts[1] += f64::from(u8::from(decision.serve.is_some() && !is_right));
        counts[2] += f64::from(u8::from(decision.shadow.is_some()));
        if let Some((case, source)) = label {
            learner.learn(&case, is_right, source, None);
        }
    }
    counts.map(|count| count / requests as f64)
}

fn settings(error_budget: f64) -> Settings {
    Settings { error_budget, strictness: Strictness::Off, ..Settings::default() }
}

#[test]
fn keeps_to_the_budget_where_cosines_mean_much_and_where_they_mean_little() {
    type Right = fn(f32) -> f32;
    let kinds: [(&str, Right); 3] = [
        ("kind", |s| ((s - 0.6) * 5.0).clamp(0.0, 0.995)),
        ("hard", |s| ((s - 0.85) * 6.0).clamp(0.0, 0.97)),
        ("hopeless", |_| 0.02),
    ];
    for (name, right) in kinds {
        for budget in [0.01, 0.03] {
            // Six thousand requests are few: single runs scatter by a third.
            let runs = (1..7).map(|seed| traffic(&mut Learner::new(settings(budget), seed), 6000, right, seed));
            let [hits, wrong] = runs.fold([0.0; 2], |sum, run| [sum[0] + run[0] / 6.0, sum[1] + run[1] / 6.0]);
            assert!(wrong < 1.15 * budget, "{name}: {wrong} of {budget}, hits {hits}");
            assert!(name != "kind" || hits > 0.2, "{name}: hits {hits}");
        }
    }
}

#[test]
fn checks_about_as_many_hits_as_agreed() {
    let mut learner = Learner::new(settings(0.02), 3);
    let [hits, _, checks] = traffic(&mut learner, 8000, |s| ((s - 0.6) * 5.0).clamp(0.0, 0.995), 9);
    assert!(checks / hits < 0.07 && checks / hits > 0.03, "{} of hits", checks / hits);
    let report = learner.report(1).unwrap();
    assert!(report.error <= report.error_upper && report.error_upper < 0.1 && report.labels <= 1500);
}

#[test]
fn a_scope_that_turns_bad_falls_back_and_comes_again() {
    let mut learner = Learner::new(settings(0.01), 5);
    traffic(&mut learner, 3000, |s| if s > 0.8 { 0.995 } else { 0.1 }, 1);
    let mut fell = false;
    for seed in 0..40 {
        traffic(&mut learner, 100, |_| 0.2, seed);
        fell |= learner.report(1).is_some_and(|report| report.fallback);
    }
    let after = traffic(&mut learner, 500, |_| 0.2, 77);
    assert!(fell || after[1] < 0.02, "wrong hits {} and no fall-back", after[1]);
    let good = (0..20).map(|seed| traffic(&mut learner, 500, |s| if s > 0.8 { 0.995 } else { 0.1 }, seed)[0]);
    assert!(good.last().is_some_and(|hits| hits > 0.1), "it never comes again");
}

#[test]
fn the_veto_and_strictness_hold_whatever_the_labels_say() {
    let mut learner = Learner::new(settings(0.05), 1);
    traffic(&mut learner, 4000, |_| 0.999, 1);
    let [asked, other] = ["pay 20 dollars", "pay 30 dollars"].map(Question::read);
    let seen = [Seen { entry: 1, question: &other, similarity: 0.99 }];
    let decision = learner.decide(1, &asked, &seen, &Asked::default());
    assert_eq!((decision.serve, decision.reason), (None, Reason::Vetoed));
    let lax = Asked { veto: Some(false), ..Asked::default() };
    assert_eq!(learner.decide(1, &asked, &seen, &lax).serve, Some(0));
    let [asked, other] = ["how do I mute my phone", "how do I unmute my phone"].map(Question::read);
    let seen = [Seen { entry: 1, question: &other, similarity: 0.95 }];
    let strict = Asked { strictness: Some(Strictness::Strict), ..Asked::default() };
    let decision = learner.decide(1, &asked, &seen, &strict);
    assert_eq!((decision.serve, decision.reason), (None, Reason::Trap));
}

#[test]
fn two_wrong_hits_evict_and_feedback_evicts_at_once() {
    let mut learner = Learner::new(settings(0.01), 1);
    let question = Question::read("where is my parcel");
    let seen = [Seen { entry: 7, question: &question, similarity: 0.99 }];
    let mut case = learner.decide(1, &question, &seen, &Asked::default()).cases(0.0, 1)[0];
    case.served = true;
    assert_eq!(learner.learn(&case, true, Source::Shadow, None), [Change::Alias(7)]);
    assert_eq!(learner.learn(&case, false, Source::Shadow, None), []);
    assert_eq!(learner.learn(&case, false, Source::Shadow, None), [Change::Evict(7)]);
    assert_eq!(learner.learn(&case, false, Source::Shadow, None), [], "it is gone");
    learner.decide(1, &question, &seen, &Asked::default());
    assert_eq!(learner.learn(&case, false, Source::Feedback, None), [Change::Evict(7)]);
}

#[test]
fn the_second_request_of_a_new_cache_may_be_a_hit_and_a_trap_is_none() {
    let reset = "How do I reset my password?";
    let table = [
        (reset, "How can I reset my password?", 0.94, true),
        (reset, "What do I do to reset my password?", 0.94, true),
        (reset, "How do I reset my password, please?", 0.97, true),
        (reset, "How do I reset my router?", 0.7, false),
        (reset, "How do I delete my account?", 0.6, false),
        ("how do I mute my phone", "how do I unmute my phone", 0.95, false),
        ("Which plan includes support?", "Which plan does not include support?", 0.94, false),
        ("book a table for 4 people", "book a table for 5 people", 0.98, false),
        ("refund order 1182", "refund order 1183", 0.99, false),
    ];
    for (stored, asked, similarity, served) in table {
        let mut learner = Learner::new(Settings::default(), 1);
        let [stored, question] = [stored, asked].map(Question::read);
        learner.decide(1, &stored, &[], &Asked::default());
        let seen = [Seen { entry: 1, question: &stored, similarity }];
        let decision = learner.decide(1, &question, &seen, &Asked::default());
        let Decision { p, lambda, reason, .. } = decision;
        assert_eq!(decision.serve.is_some(), served, "{asked}: p {p}, λ {lambda}, {reason:?}");
    }
}

#[test]
fn a_dry_decision_leaves_no_trace_and_says_the_same() {
    let mut learner = Learner::new(settings(0.05), 1);
    traffic(&mut learner, 2000, |_| 0.999, 1);
    let before = learner.save();
    let question = Question::read("where is my parcel");
    let seen = [(3, 0.97), (900_001, 0.96), (900_002, 0.95)];
    let seen = seen.map(|(entry, similarity)| Seen { entry, question: &question, similarity });
    for scope in [1, 2] {
        for asked in [Asked::default(), Asked { error_budget: Some(0.123), ..Asked::default() }] {
            let dry = learner.decide(scope, &question, &seen, &Asked { dry: true, ..asked });
            learner.pass(scope, true, &Asked { dry: true, ..asked });
            assert_eq!(learner.save(), before, "scope {scope}, {asked:?}");
            let wet = learner.clone().decide(scope, &question, &seen, &asked);
            assert_eq!((dry.serve, dry.p, dry.lambda, dry.reason), (wet.serve, wet.p, wet.lambda, wet.reason));
            let clusters: Vec<u32> = dry.weighed.iter().map(|one| one.cluster).collect();
            assert!(clusters[0] != clusters[1] && clusters[1] != clusters[2], "{clusters:?}");
        }
    }
}

#[test]
fn who_looks_again_counts_only_a_hit() {
    let mut learner = Learner::new(settings(0.05), 1);
    traffic(&mut learner, 2000, |_| 0.999, 1);
    let question = Question::read("where is my parcel");
    let seen = [Seen { entry: 1, question: &question, similarity: 0.99 }];
    let again = Asked { again: true, ..Asked::default() };
    let of = |learner: &Learner| learner.report(1).map(|report| (report.requests, report.hits)).unwrap();
    let (requests, hits) = of(&learner);
    assert_eq!(learner.decide(1, &question, &[], &again).serve, None);
    learner.pass(1, true, &again);
    assert_eq!(of(&learner), (requests, hits));
    assert_eq!(learner.decide(1, &question, &seen, &again).serve, Some(0));
    assert_eq!(of(&learner), (requests, hits + 1));
    assert_eq!(learner.overview().requests, requests, "all of them");
}

#[test]
fn every_budget_counts_its_own_requests_and_is_reported() {
    let mut learner = Learner::new(settings(0.01), 1);
    let question = Question::read("where is my parcel");
    let seen = [Seen { entry: 1, question: &question, similarity: 0.99 }];
    let lax = Asked { error_budget: Some(0.05), ..Asked::default() };
    for _ in 0..1000 {
        learner.pass(1, false, &Asked::default());
        learner.pass(2, false, &lax);
        learner.decide(2, &question, &seen, &lax);
    }
    let lambdas = learner.lambdas();
    assert_eq!(lambdas.iter().map(|(budget, _)| *budget).collect::<Vec<_>>(), [0.01, 0.05]);
    let reports = learner.reports();
    assert_eq!(reports.iter().map(|(name, _)| *name).collect::<Vec<_>>(), [1, 2]);
    for ((_, report), (budget, lambda)) in reports.iter().zip(lambdas) {
        assert_eq!((report.error_budget, report.lambda), (budget, lambda));
    }
    let overview = learner.overview();
    assert_eq!((overview.scopes, overview.requests, overview.entries, overview.clusters), (2, 3000, 1, 1));
    assert_eq!(overview.hits, reports[1].1.hits);
    assert!(overview.error <= overview.error_upper && overview.error_upper < 1.0);
}

#[test]
fn an_entry_is_remembered_until_it_is_no_longer_held() {
    let mut learner = Learner::new(settings(0.01), 1);
    let question = Question::read("where is my parcel");
    let seen = [Seen { entry: 7, question: &question, similarity: 0.9 }];
    let mut case = learner.decide(1, &question, &seen, &Asked::default()).cases(0.0, 1)[0];
    case.served = true;
    learner.learn(&case, true, Source::Shadow, None);
    learner.alias(8, 7);
    learner.learn(&case, false, Source::Shadow, None);
    let memory = learner.memory(7).unwrap();
    assert_eq!((memory.fellows, memory.right, memory.wrong, memory.worst_similarity), (1, 1, 1, Some(0.9)));
    assert_eq!(learner.memory(8).map(|memory| (memory.cluster, memory.worst_similarity)), Some((memory.cluster, None)));
    learner.retain(|entry| entry == 8);
    assert_eq!((learner.memory(7), learner.memory(8).map(|memory| memory.fellows)), (None, Some(0)));
}

#[test]
fn scopes_are_bounded() {
    let mut learner = Learner::new(Settings { scopes: 100, ..settings(0.01) }, 1);
    (0..1000).for_each(|scope| learner.pass(scope, false, &Asked::default()));
    assert!(learner.scopes.len() <= 100 && learner.report(999).is_some() && learner.report(0).is_none());
}
