//! Places handed over, and lines that are full or too slow.

use super::*;
use crate::config::Strategy;
use crate::routing::{LaneId, LaneSettings, Leg, Look, Route, Seen, Start, Target};
use std::future::pending;

fn settings() -> config::Queue {
    config::Queue { most: 3, most_per_tenant: 2, timeout: Duration::from_secs(10) }
}

fn lane(name: &str, caps: Vec<Arc<Cap>>) -> Arc<Lane> {
    let breaker = config::Breaker {
        failures: 2,
        open: Duration::from_secs(1),
        open_max: Duration::from_secs(1),
        slow_start: Duration::ZERO,
        probe_interval: None,
    };
    let settings = LaneSettings { breaker, probe_lease: Duration::from_secs(1), retry_percent: 20, caps, key: None };
    Arc::new(Lane::new(LaneId { provider: name.to_owned(), model: None, key: None }, settings))
}

fn course(lanes: &[Arc<Lane>], clock: RouterClock, total_timeout: Duration) -> Course {
    let target = |lane: &Arc<Lane>| Target::new(&lane.id.provider, "m");
    let leg = |(at, lane): (usize, &Arc<Lane>)| Leg {
        when: None,
        lane: lane.clone(),
        target: at,
        tier: 0,
        weight: 1.0,
        cost: None,
        price: None,
        after: Seen::default(),
        first_token_timeout: None,
    };
    let legs = lanes.iter().enumerate().map(leg).collect();
    let route = Arc::new(Route::new(lanes.iter().map(target).collect(), legs, Strategy::Weighted, None, None));
    let retry = config::Retry {
        attempts: 3,
        backoff: Duration::from_millis(50),
        backoff_max: Duration::from_secs(1),
        retry_after_max: Duration::from_secs(5),
        budget_percent: 20,
        total_timeout,
    };
    Course::begin(route, retry, Start { now: clock.now(), seed: 1, stick_to: 1 })
}

fn tenant(name: &str) -> Tenant {
    Tenant::configured(name)
}

/// Nobody is in line, and nobody is counted as if.
fn is_empty(queue: &Queue, lanes: &[Arc<Lane>]) -> bool {
    queue.waiting() == 0 && lanes.iter().flat_map(|lane| lane.caps()).all(|cap| cap.waiting() == 0 && !cap.is_full())
}

#[tokio::test(start_paused = true)]
async fn a_place_goes_to_whose_turn_it_is_and_on_when_nobody_takes_it() {
    let clock = RouterClock::begin();
    let queue = Queue::new(settings(), clock);
    let lanes = [lane("a", vec![Arc::new(Cap::new(1))])];
    let taken = lanes[0].begin(clock.now()).unwrap();
    let join = |tag| queue.join(tag, vec![(0, lanes[0].clone())], Duration::from_secs(1)).unwrap();
    let (first, second, mut third) = (join(1), join(1), join(2));
    drop(taken);
    assert!(first.is_served() && !second.is_served() && !third.is_served());
    assert!(lanes[0].begin(clock.now()).is_none() && lanes[0].in_flight() == 1, "handed over, and not up for grabs");
    // The caller of the first has hung up in this moment; the second leaves before its turn.
    drop(first);
    assert!(third.is_served(), "the next tenant's turn");
    drop(second);
    let (_, pass) = (&mut third.handed).await.unwrap();
    drop((pass, third));
    assert!(is_empty(&queue, &lanes));
    // Whoever comes to a free place does not wait, though others are counted as waiting for it.
    let usher: Weak<Queue> = Arc::downgrade(&queue);
    lanes[0].caps()[0].wait(usher);
    assert!(join(1).is_served());
    lanes[0].caps()[0].waited();
    let (first, second) = (join(1), join(1));
    assert!(first.is_served() && !second.is_served());
}

#[tokio::test(start_paused = true)]
async fn says_when_there_is_no_room_and_when_to_come_back() {
    let clock = RouterClock::begin();
    let queue = Queue::new(settings(), clock);
    let lanes = [lane("a", vec![Arc::new(Cap::new(1))])];
    let _taken = lanes[0].begin(clock.now()).unwrap();
    let join = |tag| queue.join(tag, vec![(0, lanes[0].clone())], Duration::from_secs(1));
    let _places = [join(1).unwrap(), join(1).unwrap()];
    let told = |error: Error| (error.status(), error.code, error.retry_after);
    let second = Some(Duration::from_secs(1));
    assert_eq!(told(join(1).err().unwrap()), (429, Some("queue_full"), second));
    let _third = join(2).unwrap();
    assert_eq!(told(join(2).err().unwrap()), (503, Some("queue_full"), second));
    let mut course = course(&lanes, clock, Duration::from_secs(60));
    assert!(matches!(course.next(clock.now()), Step::Queue));
    let refused = queue.wait(&mut course, &tenant("x"), pending()).await;
    assert_eq!(told(refused.err().unwrap()), (503, Some("queue_full"), second));
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_long_enough_is_told_and_so_is_who_would() {
    let clock = RouterClock::begin();
    let queue = Queue::new(config::Queue { most: 100, most_per_tenant: 100, timeout: Duration::from_secs(10) }, clock);
    let lanes = [lane("a", vec![Arc::new(Cap::new(1))])];
    let mut taken = lanes[0].begin(clock.now()).unwrap();
    let mut waiter = course(&lanes, clock, Duration::from_secs(60));
    let (began, error) = (Instant::now(), queue.wait(&mut waiter, &tenant("x"), pending()).await.unwrap_err());
    assert_eq!((error.status(), error.code, began.elapsed()), (503, Some("queue_timeout"), Duration::from_secs(10)));
    assert!(error.retry_after.is_some());
    // The time for the whole request is over before.
    let mut waiter = course(&lanes, clock, Duration::from_secs(2));
    let (began, step) = (Instant::now(), queue.wait(&mut waiter, &tenant("x"), pending()).await.unwrap());
    assert!(matches!(step, Step::GiveUp(_)) && began.elapsed() <= Duration::from_millis(2050));
    // Twenty wait, and a place gets free every second.
    let join = |patience| queue.join(1, vec![(0, lanes[0].clone())], Duration::from_secs(patience));
    let mut places: Vec<Place> = (0..20).map(|_| join(100).unwrap()).collect();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(taken);
        taken = places.remove(0).handed.try_recv().unwrap().1;
    }
    assert!(join(17).is_ok(), "fifteen before it");
    let error = join(12).err().unwrap();
    assert_eq!((error.status(), error.code), (503, Some("queue_timeout")));
    assert!(error.retry_after.is_some_and(|after| (3..=5).contains(&after.as_secs())), "{error:?}");
    assert!(queue.join(2, vec![(0, lanes[0].clone())], Duration::from_secs(3)).is_ok(), "another tenant's comes soon");
    drop((places, taken));
    assert!(is_empty(&queue, &lanes));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_comes_back_is_noticed_and_nobody_waits_for_an_answer_that_is_not_wanted() {
    let clock = RouterClock::begin();
    let queue = Queue::new(settings(), clock);
    // One is busy for good, the other's rate limit ends in a second.
    let lanes = [lane("a", vec![Arc::new(Cap::new(1))]), lane("b", vec![Arc::new(Cap::new(1))])];
    let busy = lanes[0].begin(clock.now()).unwrap();
    let limited = crate::routing::Fault::Limited(Some(Duration::from_secs(1)));
    lanes[1].begin(clock.now()).unwrap().failed(limited, clock.now(), 0.5);
    let mut waiter = course(&lanes, clock, Duration::from_secs(60));
    assert!(matches!(waiter.next(clock.now()), Step::Queue));
    let (began, step) = (Instant::now(), queue.wait(&mut waiter, &tenant("x"), pending()).await.unwrap());
    let Step::Send(sending) = step else { panic!("{step:?}") };
    assert_eq!(sending.at, 1);
    assert!((1000..=1101).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    let mut waiter = course(&lanes, clock, Duration::from_secs(60));
    let gone = tokio::time::sleep(Duration::from_millis(300));
    let (began, error) = (Instant::now(), queue.wait(&mut waiter, &tenant("x"), gone).await.unwrap_err());
    assert!(error.is_target_fault() && began.elapsed() < Duration::from_millis(302), "others may try again: {error:?}");
    drop((busy, sending));
    assert!(is_empty(&queue, &lanes));
}

/// No net here: whoever is forgotten waits for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_place_is_lost_between_threads() {
    let clock = RouterClock::begin();
    let room = config::Queue { most: 100, most_per_tenant: 100, timeout: Duration::from_secs(100) };
    let queue = Queue::new(room, clock);
    let common = Arc::new(Cap::new(2));
    let lanes =
        [lane("a", vec![Arc::new(Cap::new(1)), common.clone()]), lane("b", vec![Arc::new(Cap::new(2)), common])];
    let ask = |number: u64| {
        let (queue, lanes) = (queue.clone(), lanes.clone());
        async move {
            let mut served = 0;
            for round in 0..2000u64 {
                let wanted = if number.is_multiple_of(3) { &lanes[1..] } else { &lanes[..] };
                let is_ready = |lane: &&Arc<Lane>| matches!(lane.look(clock.now()), Look::Ready(_));
                let at_once = wanted.iter().filter(is_ready).find_map(|lane| lane.begin(clock.now()));
                let pass = match at_once {
                    Some(pass) => pass,
                    None => {
                        let lanes = wanted.iter().cloned().enumerate().collect();
                        let mut place = queue.join(number % 4, lanes, Duration::from_secs(100)).unwrap();
                        if (number + round).is_multiple_of(5) {
                            tokio::task::yield_now().await;
                            continue;
                        }
                        served += 1;
                        let handed = tokio::time::timeout(Duration::from_secs(20), &mut place.handed).await;
                        handed.expect("it was forgotten").unwrap().1
                    }
                };
                assert!(lanes.iter().all(|lane| lane.in_flight() <= 2));
                if round.is_multiple_of(3) {
                    tokio::task::yield_now().await;
                }
                drop(pass);
            }
            served
        }
    };
    let tasks: Vec<_> = (0..8).map(|number| tokio::spawn(ask(number))).collect();
    let mut served = 0;
    for task in tasks {
        served += task.await.unwrap();
    }
    assert!(served > 100, "it was hardly ever busy: {served}");
    assert!(is_empty(&queue, &lanes));
}
