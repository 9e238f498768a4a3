//! Whose turn it is, by the table and at random.

use super::*;
use proptest::prelude::*;
use std::collections::HashSet;

const ROOM: Bounds = Bounds { most: 10_000, most_per_tenant: 10_000 };
const A: u64 = 100;
const B: u64 = 200;

/// Who is served at `cap` one after the other, by what they are called.
fn order(line: &mut Line<&'static str>, cap: u64) -> String {
    let served = std::iter::from_fn(|| line.serve(cap, |_| Some(((), vec![cap]))).map(|(name, ())| name));
    served.collect::<Vec<_>>().join(" ")
}

/// A line of requests `(tenant, caps, name)`.
fn line(requests: &[(u64, &[u64], &'static str)]) -> Line<&'static str> {
    let mut line = Line::default();
    for (tenant, caps, name) in requests {
        line.join(*tenant, caps, *name, ROOM, Moment::from_ms(1)).unwrap();
    }
    line
}

#[test]
fn tenants_have_turns_and_each_of_their_requests_its_place() {
    let mut greedy = line(&[(1, &[A], "a1"), (1, &[A], "a2"), (1, &[A], "a3"), (2, &[A], "b1"), (3, &[A], "c1")]);
    assert_eq!(order(&mut greedy, A), "a1 b1 c1 a2 a3");
    assert!(greedy.is_empty() && greedy.tenants.is_empty() && greedy.caps().is_empty());
    // Who waits for another place is no hindrance to who comes after.
    let mut two = line(&[(1, &[B], "a1"), (1, &[A], "a2"), (2, &[B, A, A], "b1"), (1, &[A], "a3")]);
    assert_eq!(order(&mut two, A), "a2 b1 a3");
    assert_eq!(order(&mut two, B), "a1");
    // Nor is who cannot go just now; and it keeps its place.
    let mut stuck = line(&[(1, &[A], "a1"), (1, &[A], "a2"), (2, &[A], "b1")]);
    let next = stuck.serve(A, |name| (*name != "a1").then(|| ((), vec![A])));
    assert_eq!(next.map(|(name, ())| name), Some("a2"));
    assert_eq!(order(&mut stuck, A), "b1 a1");
    assert_eq!(stuck.serve(A, |_| Some(((), vec![A]))), None);
    assert_eq!(stuck.serve(7, |_| Some(((), vec![A]))), None, "a cap that nobody has waited for");
}

#[test]
fn a_turn_at_one_cap_costs_none_at_another() {
    // Tenant 1 is served at A over and over, and still has the first turn at B.
    let mut line = line(&[(1, &[B], "b1"), (2, &[B], "b2"), (1, &[A], "a1"), (1, &[A], "a2"), (2, &[A], "a3")]);
    assert_eq!(order(&mut line, A), "a1 a3 a2");
    assert_eq!(order(&mut line, B), "b1 b2");
    // But a place that is one of both is a turn at both.
    let requests: [(u64, &[u64], &str); 4] = [(1, &[A, B], "x"), (1, &[B], "y"), (2, &[B], "z"), (2, &[A], "w")];
    let mut both = self::line(&requests);
    assert_eq!(both.serve(A, |_| Some(((), vec![A, B]))).unwrap().0, "x");
    assert_eq!(order(&mut both, B), "z y");
}

#[test]
fn who_leaves_is_out_everywhere() {
    let mut line = Line::default();
    let tickets: Vec<u64> =
        ["a1", "a2", "a3"].map(|name| line.join(1, &[A, B], name, ROOM, Moment::from_ms(1)).unwrap()).into();
    line.join(2, &[A], "b1", ROOM, Moment::from_ms(1)).unwrap();
    assert_eq!(line.leave(tickets[1]), Some("a2"));
    assert_eq!(line.leave(tickets[1]), None);
    assert_eq!(line.len(), 3);
    assert_eq!(order(&mut line, B), "a1 a3");
    assert_eq!(line.leave(tickets[0]), None, "it has had its turn");
    assert_eq!(order(&mut line, A), "b1");
}

#[test]
fn the_line_is_bounded_as_a_whole_and_for_each_tenant() {
    let bounds = Bounds { most: 3, most_per_tenant: 2 };
    let mut line = Line::default();
    let mut join = |tenant| line.join(tenant, &[A], (), bounds, Moment::from_ms(1));
    assert!(join(1).is_ok() && join(1).is_ok());
    assert_eq!(join(1), Err(Full::Tenant));
    assert!(join(2).is_ok());
    assert_eq!((join(2), join(3)), (Err(Full::Whole), Err(Full::Whole)));
    assert_eq!(join(1), Err(Full::Tenant), "its own bound comes first");
    line.serve(A, |()| Some(((), vec![A])));
    assert!(line.join(1, &[A], (), bounds, Moment::from_ms(1)).is_ok());
    let none = Bounds { most: 0, ..bounds };
    assert_eq!(Line::default().join(1, &[A], (), none, Moment::from_ms(1)), Err(Full::Whole));
}

#[test]
fn the_wait_is_estimated_by_those_before_and_the_pace() {
    let at = |ms| Moment::from_ms(ms);
    let mut line = line(&[(1, &[A][..], "a1"); 12]);
    assert_eq!(line.would_wait(1, &[A], at(1)), None, "nothing is known of the pace");
    let serve = |line: &mut Line<_>, ms| {
        line.freed(A, at(ms));
        line.serve(A, |_| Some(((), vec![A]))).unwrap();
    };
    [101, 201, 301].into_iter().for_each(|ms| serve(&mut line, ms));
    assert_eq!(line.would_wait(1, &[A], at(301)), None, "too little is known");
    serve(&mut line, 401);
    let wait =
        |line: &Line<_>, tenant, caps: &[u64]| line.would_wait(tenant, caps, at(401)).map(|wait| wait.as_millis());
    assert_eq!(wait(&line, 1, &[A]), Some(900), "eight before it, a place every 100 ms");
    assert_eq!(wait(&line, 2, &[A]), Some(200), "of another tenant only one has its turn before");
    assert_eq!(wait(&line, 1, &[A, B]), None, "nothing is known of the other");
    for _ in 0..2 {
        line.join(2, &[A], "b", ROOM, at(401)).unwrap();
    }
    assert_eq!((wait(&line, 2, &[A]), wait(&line, 3, &[A])), (Some(600), Some(300)));
    assert_eq!(line.would_wait(1, &[A], at(401 + 120_001)), None, "that is too long ago");
    while line.serve(A, |_| Some(((), vec![A]))).is_some() {}
    assert_eq!(wait(&line, 1, &[A]), None, "nobody is before it");
    // The time in which nobody waited is no pause, and who waits for two places is served twice as fast.
    line.join(1, &[A, B], "x", ROOM, at(9000)).unwrap();
    line.join(1, &[A, B], "y", ROOM, at(9000)).unwrap();
    for ms in [9100, 9200, 9300, 9400] {
        line.freed(A, at(ms));
        line.freed(B, at(ms));
    }
    assert_eq!(line.would_wait(1, &[A], at(9400)).map(|wait| wait.as_millis()), Some(300));
    assert_eq!(line.would_wait(1, &[A, B], at(9400)).map(|wait| wait.as_millis()), Some(150));
}

/// One that waits: its ticket, its tenant, its caps, and how many turns others have had at each cap since its tenant had one there.
type Waiter = (u64, u64, HashSet<u64>, HashMap<u64, usize>);

#[derive(Debug, Clone)]
enum Event {
    Join {
        tenant: u64,
        caps: HashSet<u64>,
    },
    /// A place of a cap is free; those whose number has this remainder of 3 cannot take it just now.
    Freed {
        cap: u64,
        stuck: u64,
    },
    Leave(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let caps = proptest::collection::hash_set(0u64..3, 1..3);
    let event = prop_oneof![
        5 => (0u64..4, caps).prop_map(|(tenant, caps)| Event::Join { tenant, caps }),
        4 => (0u64..3, 0u64..6).prop_map(|(cap, stuck)| Event::Freed { cap, stuck }),
        1 => (0u64..80).prop_map(Event::Leave),
    ];
    proptest::collection::vec(event, 0..250)
}

proptest! {
    /// Nobody is lost or served twice or for what it does not wait for; a place is never left free while somebody can take it; a
    /// tenant's requests keep their order; and nobody who can go is passed over by more turns than there are tenants.
    #[test]
    fn everyone_has_a_turn(events in events()) {
        let mut line: Line<u64> = Line::default();
        let mut model: Vec<Waiter> = Vec::new();
        for event in events {
            match event {
                Event::Join { tenant, caps } => {
                    let list: Vec<u64> = caps.iter().copied().collect();
                    let ticket = line.join(tenant, &list, line.next_ticket, ROOM, Moment::from_ms(1)).unwrap();
                    model.push((ticket, tenant, caps, HashMap::new()));
                }
                Event::Leave(ticket) => {
                    let known = model.iter().position(|one| one.0 == ticket).map(|at| model.remove(at).0);
                    prop_assert_eq!(line.leave(ticket), known);
                }
                Event::Freed { cap, stuck } => {
                    let can = |number: u64| number % 3 != stuck;
                    let served = line.serve(cap, |number| can(*number).then(|| ((), vec![cap])));
                    let able = |one: &Waiter| one.2.contains(&cap) && can(one.0);
                    let Some((number, ())) = served else {
                        prop_assert!(!model.iter().any(able));
                        continue;
                    };
                    let at = model.iter().position(|one| one.0 == number);
                    prop_assert!(at.is_some() && able(&model[at.unwrap()]));
                    let tenant = model.remove(at.unwrap()).1;
                    prop_assert!(!model.iter().any(|one| able(one) && one.1 == tenant && one.0 < number), "its order");
                    for one in model.iter_mut().filter(|one| one.1 == tenant) {
                        one.3.remove(&cap);
                    }
                    let mut seen = HashSet::new();
                    for one in model.iter_mut().filter(|one| able(one)) {
                        if one.1 != tenant && seen.insert(one.1) {
                            let turns = one.3.entry(cap).or_default();
                            *turns += 1;
                            prop_assert!(*turns < 4, "{} of tenant {} has waited for {} turns", one.0, one.1, turns);
                        }
                    }
                }
            }
            prop_assert_eq!(line.len(), model.len());
        }
        for cap in 0..3 {
            while line.serve(cap, |_| Some(((), vec![cap]))).is_some() {}
        }
        prop_assert!(line.is_empty() && line.tenants.is_empty() && line.caps().is_empty());
    }
}
