//! What a course does, step by step; and, in `threads`, many at once.

mod threads;

use super::*;
use crate::config;
use crate::config::Strategy;
use http::HeaderMap;
use std::sync::Arc;
use std::time::Duration;

fn breaker() -> config::Breaker {
    config::Breaker {
        failures: 3,
        open: Duration::from_secs(1),
        open_max: Duration::from_secs(30),
        slow_start: Duration::from_secs(10),
        probe_interval: None,
    }
}

fn retry(attempts: u32) -> config::Retry {
    config::Retry {
        attempts,
        backoff: Duration::from_millis(200),
        backoff_max: Duration::from_millis(500),
        retry_after_max: Duration::from_secs(20),
        budget_percent: 20,
        total_timeout: Duration::from_secs(60),
    }
}

fn lane(provider: &str, key: Option<&str>, most: Option<u32>) -> Arc<Lane> {
    let id = LaneId { provider: provider.to_owned(), model: Some("m".to_owned()), key: key.map(str::to_owned) };
    let settings = LaneSettings {
        breaker: breaker(),
        probe_lease: Duration::from_secs(5),
        retry_percent: 20,
        caps: most.map(|most| Arc::new(Cap::new(most))).into_iter().collect(),
        key: key.map(|_| Arc::new(KeyState::default())),
    };
    Arc::new(Lane::new(id, settings))
}

/// A route over lanes, each told by its provider's letter and its key; each provider is a target.
fn route(strategy: Strategy, lanes: &[(&str, u32)]) -> Arc<Route> {
    let mut targets: Vec<Target> = Vec::new();
    let legs = lanes.iter().map(|(name, tier)| {
        let (provider, key) = name.split_at(1);
        let target = Target::new(provider, "m");
        let at = targets.iter().position(|one| *one == target).unwrap_or_else(|| {
            targets.push(target);
            targets.len() - 1
        });
        let after = Seen { context_length: key == "!", content_filter: false };
        let key = (key != "!" && !key.is_empty()).then_some(key);
        Leg {
            lane: lane(provider, key, None),
            target: at,
            tier: *tier,
            weight: 1.0,
            cost: None,
            price: None,
            after,
            when: None,
            first_token_timeout: None,
        }
    });
    let legs = legs.collect();
    Arc::new(Route::new(targets, legs, strategy, None, None))
}

fn begin(route: &Arc<Route>, attempts: u32) -> Course {
    begin_at(route, attempts, Moment::from_ms(1))
}

fn begin_at(route: &Arc<Route>, attempts: u32, now: Moment) -> Course {
    Course::begin(route.clone(), retry(attempts), Start { now, seed: 7, stick_to: 1 })
}

/// Takes a course through failures, at once after each pause; says where it went, and how it ended.
fn walk(course: &mut Course, faults: &[Fault]) -> String {
    let mut now = Moment::from_ms(1);
    let mut out = Vec::new();
    let mut faults = faults.iter();
    loop {
        match course.next(now) {
            Step::Send(mut sending) => {
                let id = &sending.pass.lane().id;
                out.push(format!("{}{}", id.provider, id.key.as_deref().unwrap_or_default()));
                match faults.next() {
                    Some(fault) => {
                        sending.pass.failed(*fault, now, 0.5);
                        course.failed(sending.at, *fault, None, now);
                    }
                    None => {
                        sending.pass.answered(now, &HeaderMap::new());
                        out.push("ok".to_owned());
                        return out.join(" ");
                    }
                }
            }
            Step::Wait(pause) => {
                // The pauses between tries are left to chance, between half and all of what is set.
                out.push(if pause <= Duration::from_millis(500) {
                    "…".to_owned()
                } else {
                    format!("{}s", pause.as_secs())
                });
                now = now.after(pause);
            }
            Step::Queue => {
                out.push("queue".to_owned());
                return out.join(" ");
            }
            Step::GiveUp(refusal) => {
                out.push(format!("{:?}", refusal.why).to_lowercase());
                return out.join(" ");
            }
        }
    }
}

/// A strategy, lanes with their tiers, the faults one after the other, and where that leads.
type Case<'c> = (Strategy, &'c [(&'c str, u32)], &'c [Fault], &'c str);

#[test]
fn goes_from_target_to_target() {
    use Fault::{Caller, ContentFilter, ContextLength, Key, Limited, Passing, Unable};
    let two_seconds = Limited(Some(Duration::from_secs(2)));
    let minutes = Limited(Some(Duration::from_secs(200)));
    let ordered = Strategy::Ordered;
    let table: [Case<'_>; 18] = [
        (ordered, &[("a", 0), ("b", 0)], &[], "a ok"),
        (ordered, &[("a", 0), ("b", 0)], &[Passing], "a … a ok"),
        (ordered, &[("a", 0), ("b", 0)], &[Passing; 2], "a … a … a ok"),
        (ordered, &[("a", 0), ("b", 0)], &[Passing; 3], "a … a … a b ok"),
        (ordered, &[("a", 0)], &[Passing; 3], "a … a … a tried"),
        (ordered, &[("a", 0), ("b", 0)], &[Unable], "a b ok"),
        (ordered, &[("a", 0), ("b", 0)], &[Caller], "a tried"),
        (ordered, &[("a", 0), ("b", 0)], &[two_seconds], "a b ok"),
        (ordered, &[("a", 0)], &[two_seconds], "a 2s a ok"),
        (ordered, &[("a", 0)], &[minutes], "a tried"),
        (ordered, &[("a1", 0), ("a2", 0), ("b", 0)], &[Key], "a1 a2 ok"),
        (ordered, &[("a1", 0), ("a2", 0), ("b", 0)], &[Limited(None), Limited(None)], "a1 a2 b ok"),
        (ordered, &[("a1", 0), ("a2", 0), ("b", 0)], &[Unable], "a1 b ok"),
        (ordered, &[("a", 0), ("b!", 0)], &[ContextLength], "a b ok"),
        (ordered, &[("a", 0), ("b!", 0)], &[Unable], "a tried"),
        (ordered, &[("a", 0), ("b!", 0)], &[ContentFilter], "a tried"),
        (Strategy::RoundRobin, &[("a", 0), ("b", 0), ("c", 1)], &[Passing, Passing], "a b c ok"),
        (Strategy::RoundRobin, &[("a", 0), ("b", 0)], &[Passing, Passing], "a b … a ok"),
    ];
    for (strategy, lanes, faults, expected) in table {
        let route = route(strategy, lanes);
        assert_eq!(walk(&mut begin(&route, 3), faults), expected, "{strategy:?} {lanes:?} {faults:?}");
    }
}

#[test]
fn a_failing_lane_is_left_alone_and_found_well_again() {
    let route = route(Strategy::Ordered, &[("a", 0), ("b", 0)]);
    for _ in 0..3 {
        assert_eq!(walk(&mut begin(&route, 1), &[Fault::Passing]), "a b ok");
    }
    assert_eq!(walk(&mut begin(&route, 1), &[]), "b ok", "its breaker is open");
    let now = Moment::from_ms(5000);
    let mut one = begin(&route, 1);
    let Step::Send(mut probe) = one.next(now) else { panic!("somebody finds out") };
    assert!(probe.pass.is_probe() && probe.at == 0);
    let mut other = begin(&route, 1);
    assert!(matches!(other.next(now), Step::Send(sending) if sending.at == 1), "and one only");
    assert!(probe.pass.answered(now, &HeaderMap::new()));
    let mut later = begin(&route, 1);
    assert!(matches!(later.next(now), Step::Send(sending) if sending.at == 0));
}

#[test]
fn where_all_are_failing_one_is_asked_ahead_of_its_time() {
    let route = route(Strategy::Weighted, &[("a", 0)]);
    for _ in 0..3 {
        assert_eq!(walk(&mut begin(&route, 1), &[Fault::Passing]), "a tried");
    }
    assert_eq!(route.legs[0].lane.health(Moment::from_ms(1)).phase, Phase::Open);
    let mut one = begin(&route, 1);
    let now = Moment::from_ms(2);
    let Step::Send(mut sending) = one.next(now) else { panic!("somebody has to be asked") };
    assert!(matches!(begin(&route, 1).next(now), Step::Wait(_)), "one at a time");
    sending.pass.answered(now, &HeaderMap::new());
    drop(sending);
    assert_eq!(walk(&mut begin(&route, 1), &[]), "a ok");
}

#[test]
fn a_refused_key_is_refused_for_all_and_a_full_lane_makes_a_line() {
    let route = route(Strategy::Ordered, &[("a1", 0)]);
    assert_eq!(walk(&mut begin(&route, 3), &[Fault::Key]), "a1 tried");
    let (mut own, mut other) = (begin(&route, 3), begin(&route, 3));
    assert_eq!(walk(&mut other, &[Fault::Key]), "a1 tried", "for want of others it is asked all the same");
    assert_eq!(walk(&mut own, &[]), "a1 ok", "and is known to be well then");
    assert_eq!(route.legs[0].lane.look(Moment::from_ms(1)), Look::Ready(1.0));
    let full = lane("a", None, Some(1));
    let legs = vec![Leg {
        lane: full.clone(),
        target: 0,
        tier: 0,
        weight: 1.0,
        cost: None,
        price: None,
        after: Seen::default(),
        when: None,
        first_token_timeout: None,
    }];
    let targets = vec![Target::new("a", "m")];
    let route = Arc::new(Route::new(targets, legs, Strategy::Weighted, None, None));
    let mut first = begin(&route, 3);
    let Step::Send(sending) = first.next(Moment::from_ms(1)) else { panic!("there is a place") };
    assert_eq!(walk(&mut begin(&route, 3), &[]), "queue");
    drop(sending);
    assert_eq!(full.in_flight(), 0);
    assert_eq!(walk(&mut begin(&route, 3), &[]), "a ok");
    // A retry waits in line, too, but only after its pause; and it takes from the budget.
    let now = Moment::from_ms(1);
    let mut course = begin(&route, 3);
    let Step::Send(mut sending) = course.next(now) else { panic!("there is a place") };
    sending.pass.failed(Fault::Passing, now, 0.5);
    course.failed(0, Fault::Passing, None, now);
    drop(sending);
    let other = full.begin(now).unwrap();
    let Step::Wait(pause) = course.next(now) else { panic!("first its pause") };
    let later = now.after(pause);
    assert!(matches!(course.next(later), Step::Queue));
    let waits_for = course.waits_for();
    assert!(waits_for.len() == 1 && Arc::ptr_eq(&waits_for[0].1, &full));
    drop(other);
    let pass = full.begin_from_line(later).unwrap();
    assert!(full.begin_from_line(later).is_none(), "that was the only place");
    assert!(course.take(0, pass).is_some_and(|sending| sending.again));
    while full.retries.take() {}
    assert!(course.take(0, full.begin_from_line(later).unwrap()).is_none());
    assert!(course.waits_for().is_empty());
}

#[test]
fn nobody_else_takes_a_place_that_is_waited_for() {
    #[derive(Debug, Default)]
    struct Told(std::sync::atomic::AtomicU32);
    impl Usher for Told {
        fn freed(&self, _: &Cap) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let (lane, now) = (lane("a", None, Some(2)), Moment::from_ms(1));
    let told = Arc::new(Told::default());
    let freed = || told.0.load(std::sync::atomic::Ordering::Relaxed);
    let cap = &lane.caps()[0];
    drop(lane.begin(now).unwrap());
    assert_eq!(freed(), 0, "nobody waits");
    let weak: std::sync::Weak<Told> = Arc::downgrade(&told);
    cap.wait(weak);
    assert_eq!(lane.look(now), Look::Full, "for all but the line");
    let passes = (lane.begin_from_line(now).unwrap(), lane.begin_from_line(now).unwrap());
    assert!(lane.begin_from_line(now).is_none());
    drop(passes);
    assert_eq!(freed(), 2);
    cap.waited();
    assert_eq!(lane.look(now), Look::Ready(1.0));
    drop(lane.begin(now).unwrap());
    assert_eq!(freed(), 2);
}

#[test]
fn retries_draw_on_the_budget_of_their_lane() {
    let route = route(Strategy::Weighted, &[("a", 0)]);
    let (mut sent, mut again) = (0, 0);
    for n in 0..1000u64 {
        let mut now = Moment::from_ms(n * 100_000);
        let mut course = begin_at(&route, 5, now);
        loop {
            match course.next(now) {
                Step::Send(mut sending) => {
                    sent += u32::from(!sending.again);
                    again += u32::from(sending.again);
                    sending.pass.failed(Fault::Passing, now, 0.5);
                    course.failed(sending.at, Fault::Passing, None, now);
                }
                Step::Wait(pause) => now = now.after(pause),
                _ => break,
            }
        }
    }
    assert_eq!(sent, 1000);
    assert!(again <= 10 + (sent + again) / 5, "{again}");
}

#[test]
fn load_follows_weights() {
    let weights = [5.0, 3.0, 2.0];
    let targets: Vec<Target> = ["a", "b", "c"].map(|name| Target::new(name, "m")).into();
    let legs = |strategy| {
        let leg = |(at, weight): (usize, &f64)| Leg {
            lane: lane(&targets[at].provider, None, None),
            target: at,
            tier: 0,
            weight: *weight,
            cost: Some(if at == 0 { 2 } else { 1 }),
            price: None,
            after: Seen::default(),
            when: None,
            first_token_timeout: None,
        };
        Arc::new(Route::new(targets.clone(), weights.iter().enumerate().map(leg).collect(), strategy, None, None))
    };
    let shares = |strategy: Strategy| {
        let route = legs(strategy);
        let mut counts = [0u32; 3];
        for n in 0..20_000u64 {
            let start = Start { now: Moment::from_ms(n), seed: n, stick_to: n.wrapping_mul(0x9E37_79B9_7F4A_7C15) };
            let mut course = Course::begin(route.clone(), retry(3), start);
            let Step::Send(mut sending) = course.next(Moment::from_ms(n)) else { panic!() };
            sending.pass.answered(Moment::from_ms(n + 1), &HeaderMap::new());
            counts[sending.at] += 1;
        }
        counts.map(|count| f64::from(count) / 20_000.0)
    };
    let near = |strategy: Strategy, expected: [f64; 3]| {
        let shares = shares(strategy);
        let off = shares.iter().zip(expected).map(|(share, expected)| (share - expected).abs());
        assert!(off.fold(0.0, f64::max) < 0.02, "{strategy:?}: {shares:?}");
    };
    near(Strategy::Weighted, [0.5, 0.3, 0.2]);
    near(Strategy::Sticky, [0.5, 0.3, 0.2]);
    near(Strategy::RoundRobin, [1.0 / 3.0; 3]);
    near(Strategy::LeastCost, [0.0, 0.6, 0.4]);
    near(Strategy::Ordered, [1.0, 0.0, 0.0]);
}

#[test]
fn the_same_session_keeps_its_lane_and_only_a_lost_lane_moves() {
    let names = ["a", "b", "c", "d", "e"];
    let lanes: Vec<(&str, u32)> = names.iter().map(|name| (*name, 0)).collect();
    let (all, fewer) = (route(Strategy::Sticky, &lanes), route(Strategy::Sticky, &lanes[..4]));
    let chosen = |route: &Arc<Route>, session: u64, seed: u64| {
        let start = Start { now: Moment::from_ms(1), seed, stick_to: session };
        match Course::begin(route.clone(), retry(3), start).next(Moment::from_ms(1)) {
            Step::Send(sending) => sending.at,
            other => panic!("{other:?}"),
        }
    };
    for session in 0..500u64 {
        let session = session.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let at = chosen(&all, session, 1);
        assert_eq!(at, chosen(&all, session, 2));
        if at < 4 {
            assert_eq!(at, chosen(&fewer, session, 3), "its lane is still there");
        }
    }
}

/// A route of two targets `a` and `b`, and `c` on trial.
fn on_trial(strategy: Strategy, percent: f64) -> Arc<Route> {
    let route = Arc::into_inner(route(strategy, &[("a", 0), ("b", 0), ("c", 0)])).unwrap();
    let canary = Canary::new(config::Canary { percent, error_percent: 5.0, min_requests: 3 }, "c", "m");
    Arc::new(route.with_canary(2, Arc::new(canary)))
}

#[test]
fn one_on_trial_gets_its_share_and_is_nobodys_way_out() {
    for strategy in [Strategy::Ordered, Strategy::Weighted, Strategy::Sticky, Strategy::LeastBusy, Strategy::RoundRobin]
    {
        let route = on_trial(strategy, 10.0);
        let drawn = (0..10_000u64).filter(|n| {
            let start = Start { now: Moment::from_ms(*n), seed: *n, stick_to: n.wrapping_mul(0x9E37_79B9_7F4A_7C15) };
            let mut course = Course::begin(route.clone(), retry(3), start);
            let Step::Send(sending) = course.next(Moment::from_ms(*n)) else { panic!("nobody is asked") };
            assert_eq!(sending.pass.is_canary(), sending.pass.lane().id.provider == "c");
            sending.pass.is_canary()
        });
        let drawn = drawn.count();
        // Three standard deviations of 30.
        assert!((910..=1090).contains(&drawn), "{strategy:?}: {drawn}");
    }
    let failing = [Fault::Passing; 9];
    let always = on_trial(Strategy::Ordered, 100.0);
    assert_eq!(walk(&mut begin(&always, 2), &failing[..1]), "c a ok", "the others take over at once");
    assert_eq!(walk(&mut begin(&always, 1), &failing), "c a b tried", "once");
    assert_eq!(
        walk(&mut begin(&always, 1), &[Fault::Caller]),
        "c a ok",
        "that a request is wrong others have to say, too"
    );
    assert_eq!(walk(&mut begin(&always, 1), &[Fault::Caller; 2]), "c a tried");
    let never = on_trial(Strategy::Ordered, 1e-9);
    assert_eq!(walk(&mut begin(&never, 1), &failing), "a b tried");
}

#[test]
fn nobody_waits_for_one_on_trial_and_who_was_drawn_is_no_worse_off() {
    let with_cap = || {
        let mut route = Arc::into_inner(route(Strategy::Weighted, &[("a", 0), ("c", 0)])).unwrap();
        route.legs[1].lane = lane("c", None, Some(1));
        let canary = Canary::new(config::Canary { percent: 100.0, error_percent: 5.0, min_requests: 3 }, "c", "m");
        Arc::new(route.with_canary(1, Arc::new(canary)))
    };
    let full = with_cap();
    let _held = full.legs[0].lane.begin(Moment::from_ms(1)).unwrap();
    assert_eq!(walk(&mut begin(&full, 2), &[Fault::Passing]), "a … a ok", "a retry, as for everybody");
    // It is rolled back while a request is on its way.
    let route = with_cap();
    let mut course = begin(&route, 2);
    let (_, canary) = route.canary().unwrap();
    assert!((0..3).any(|_| canary.ended(true)) && !canary.is_on());
    assert_eq!(walk(&mut course, &[]), "a ok");
    // What all of them refuse is nobody's failure; what one of them can do is.
    let route = with_cap();
    for fault in [Fault::Caller, Fault::ContextLength, Fault::Unable] {
        let mut course = begin(&route, 1);
        let tell = |course: &mut Course, fault: Option<Fault>| match course.next(Moment::from_ms(1)) {
            Step::Send(sending) => {
                course.ended(sending.at, fault);
                fault.into_iter().for_each(|fault| course.failed(sending.at, fault, None, Moment::from_ms(1)));
            }
            step => panic!("{step:?}"),
        };
        let failed = || route.canary().unwrap().1.health().failed;
        let before = failed();
        tell(&mut course, Some(fault));
        tell(&mut course, Some(fault));
        assert_eq!(failed(), before, "{fault:?}");
        let mut course = begin(&route, 1);
        tell(&mut course, Some(fault));
        tell(&mut course, None);
        assert_eq!(failed(), before + 1, "{fault:?}");
    }
}

#[test]
fn plain_answers_and_streams_are_timed_apart() {
    let lane = lane("a", None, None);
    let take = |form: Form, ms: u64| {
        let mut pass = lane.begin(Moment::from_ms(1)).unwrap();
        pass.asks_for(form);
        pass.answered(Moment::from_ms(1 + ms), &HeaderMap::new());
    };
    for _ in 0..20 {
        take(Form::Plain, 8000);
        take(Form::Stream, 200);
    }
    let within = |form: Form| lane.within(form, 0.95).unwrap().as_millis();
    assert!((8000..9000).contains(&within(Form::Plain)) && (200..230).contains(&within(Form::Stream)));
    let mean = |form: Form| lane.mean_us(form, Moment::from_ms(200)).round();
    assert!(mean(Form::Plain) > 20.0 * mean(Form::Stream));
}

#[test]
fn a_target_that_callers_leave_is_left_alone() {
    let now = Moment::from_ms(10_000);
    let leave = |lane: &Arc<Lane>, after_ms: u64, form: Form| {
        let mut pass = lane.begin(now).unwrap();
        pass.asks_for(form);
        pass.left(now.after(Duration::from_millis(after_ms)), 0.5).0
    };
    let fresh = lane("a", None, None);
    for _ in 0..10 {
        assert_eq!(leave(&fresh, 9_000, Form::Stream), None, "nobody knows yet what is usual");
    }
    assert_eq!([0; 3].map(|_| leave(&fresh, 11_000, Form::Stream)), [None, None, Some(Turn::Opened)]);
    let known = lane("b", None, None);
    for _ in 0..20 {
        let mut pass = known.begin(now).unwrap();
        pass.asks_for(Form::Stream);
        pass.answered(now.after(Duration::from_millis(700)), &HeaderMap::new());
    }
    for _ in 0..10 {
        assert_eq!(leave(&known, 1_300, Form::Stream), None, "it might have come");
        assert_eq!(leave(&known, 5_000, Form::Plain), None, "of whole answers nothing is known");
    }
    assert_eq!([0; 3].map(|_| leave(&known, 2_000, Form::Stream)), [None, None, Some(Turn::Opened)]);
    // Who was told of is not told of again.
    let mut pass = lane("c", None, None).begin(now).unwrap();
    pass.answered(now, &HeaderMap::new());
    assert_eq!(pass.left(now.after(Duration::from_secs(100)), 0.5).0, None);
}
