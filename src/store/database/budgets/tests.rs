//! Budgets of several nodes, on every database.

use super::*;
use crate::store::database::stub;

const LEASE_MS: u64 = 1_000;

fn write(meter: &str, used: &[(u64, u64)], ask: Ask) -> BudgetWrite {
    BudgetWrite { meter: meter.to_owned(), most: 100, since_ms: 0, used: used.to_vec(), ask }
}

fn ask(firm: u64, wish: u64, ahead: u64) -> Ask {
    Ask { firm, least: wish, wish, ahead }
}

async fn used(database: &Database, meter: &str) -> u64 {
    let (used, _) = database.budgets().await.unwrap();
    used.iter().filter(|row| row.meter == meter).map(|row| row.amount).sum()
}

/// The story that every database has to live through.
async fn adds_up(url: &str) {
    let first = Database::open(url).await.unwrap();
    first.join_budgets("one", LEASE_MS).await.unwrap();
    let writes = [write("b", &[(1, 5), (2, 7)], ask(10, 0, 20)), write("a", &[(1, 1)], ask(0, 0, 500))];
    let done = first.write_budgets("one", 1, LEASE_MS, &writes).await.unwrap();
    assert_eq!(
        (done.until_ms, done.states[0].lease, done.states[1].lease),
        (LEASE_MS, 30, 99),
        "in the order they came"
    );
    let mut times = done.states[0].used.clone();
    times.sort_unstable();
    assert_eq!(times, [(1, 5), (2, 7)]);
    // The answer was lost: sent again it says the same, and nothing is done twice, whatever else is in it.
    let other = [write("b", &[(1, 50)], ask(90, 0, 0)), writes[1].clone()];
    let again = first.write_budgets("one", 1, 2 * LEASE_MS, &other).await.unwrap();
    assert_eq!(again, done);
    assert_eq!(used(&first, "b").await, 12);
    first.write_budgets("one", 2, LEASE_MS, &[write("b", &[(1, 5)], ask(0, 0, 0))]).await.unwrap();
    assert_eq!(used(&first, "b").await, 17);
    first.close().await;
    let again = Database::open(url).await.unwrap();
    let (all, leases) = again.budgets().await.unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(
        leases,
        [LeaseRow { meter: "a".to_owned(), node: "one".to_owned(), amount: 99 }],
        "what is none is gone"
    );
    // Old windows go, and what is for ever stays.
    again.write_budgets("one", 3, LEASE_MS, &[write("c", &[(0, 9), (50, 1), (60, 1)], ask(0, 0, 0))]).await.unwrap();
    let since = HashMap::from([("c".to_owned(), 60), ("b".to_owned(), 2)]);
    assert_eq!(again.prune_budgets(&since, 100).await.unwrap(), 2);
    assert_eq!((used(&again, "b").await, used(&again, "c").await, used(&again, "a").await), (7, 10, 1));
    assert_eq!(again.prune_budgets(&HashMap::new(), OLDEST_MS + 2).await.unwrap(), 1, "nobody knows `a` any more");
    assert!(again.write_budgets("nobody", 1, 1, &[]).await.is_err());
}

#[tokio::test]
async fn what_is_added_is_there_after_a_restart_and_once() {
    let dir = tempfile::tempdir().unwrap();
    adds_up(&format!("sqlite://{}?mode=rwc", dir.path().join("plain.db").display())).await;
    if let Some(url) = stub::fresh().await {
        adds_up(&url).await;
    }
}

#[tokio::test]
async fn nodes_on_postgresql_share_what_is_left() {
    let Some(url) = stub::fresh().await else { return };
    let (one, two) = (Database::open(&url).await.unwrap(), Database::open(&url).await.unwrap());
    one.join_budgets("one", LEASE_MS).await.unwrap();
    let alone = one.write_budgets("one", 1, LEASE_MS, &[write("a", &[], ask(0, 0, 60))]).await.unwrap();
    assert_eq!(alone.states[0].lease, 60);
    two.join_budgets("two", LEASE_MS).await.unwrap();
    let second = two.write_budgets("two", 1, LEASE_MS, &[write("a", &[(1, 10)], ask(5, 50, 0))]).await.unwrap();
    assert_eq!((second.states[0].lease, second.states[0].wanted), (5, false), "what it holds, and not what it needs");
    let first = one.write_budgets("one", 2, LEASE_MS, &[write("a", &[(1, 20)], ask(10, 0, 60))]).await.unwrap();
    assert_eq!((first.states[0].lease, first.states[0].wanted, first.states[0].others), (40, true, 5));
    assert_eq!(first.states[0].used, [(1, 30)], "what both have used");
    let first = one.write_budgets("one", 3, LEASE_MS, &[write("a", &[], ask(10, 0, 0))]).await.unwrap();
    assert_eq!(first.states[0].lease, 10, "given back");
    let second = two.write_budgets("two", 2, LEASE_MS, &[write("a", &[], ask(5, 50, 9))]).await.unwrap();
    assert_eq!((second.states[0].lease, second.states[0].others), (55, 10));
    // One that lets its time pass has nothing any more, and begins anew when it comes back.
    assert!(two.renew_budgets("two", 3 * LEASE_MS).await.unwrap());
    assert_eq!(two.reap_budgets(LEASE_MS + 1).await.unwrap(), 1);
    assert!(!one.renew_budgets("one", 3 * LEASE_MS).await.unwrap(), "it must not think that it has what is gone");
    let first = one.write_budgets("one", 4, 3 * LEASE_MS, &[write("a", &[(1, 3)], ask(10, 0, 0))]).await.unwrap();
    assert_eq!((first.states[0].lease, first.states[0].used.as_slice()), (10, [(1, 33)].as_slice()));
    assert!(first.fenced && one.renew_budgets("one", 3 * LEASE_MS).await.unwrap());
    two.write_budgets("two", 3, LEASE_MS, &[write("a", &[], ask(0, 0, 0))]).await.unwrap();
    two.leave_budgets("two").await.unwrap();
    assert!(!two.renew_budgets("two", LEASE_MS).await.unwrap());
}

/// Eight nodes at a time, each with a connection of its own: what is granted never goes beyond the most.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_write_at_once_are_granted_no_more_than_there_is() {
    let Some(url) = stub::fresh().await else { return };
    let mut nodes = Vec::new();
    for node in 0..8 {
        let database = Database::open(&url).await.unwrap();
        database.join_budgets(&format!("n{node}"), LEASE_MS).await.unwrap();
        nodes.push((format!("n{node}"), database));
    }
    let work = nodes.iter().map(|(node, database)| {
        let (node, database) = (node.clone(), database.clone());
        tokio::spawn(async move {
            let mut lease = 0;
            for number in 1..=20u64 {
                let used = lease.min(number % 3);
                let asked = ask(0, 1 + number % 7, 11);
                let both = [write("y", &[(1, used)], asked), write("x", &[(1, used)], asked)];
                let done = database.write_budgets(&node, number, LEASE_MS, &both).await.unwrap();
                lease = done.states.iter().map(|state| state.lease).min().unwrap();
            }
        })
    });
    for one in work.collect::<Vec<_>>() {
        one.await.unwrap();
    }
    let (_, leases) = nodes[0].1.budgets().await.unwrap();
    for meter in ["x", "y"] {
        let granted: u64 = leases.iter().filter(|row| row.meter == meter).map(|row| row.amount).sum();
        let used = used(&nodes[0].1, meter).await;
        assert!(used + granted <= 100 && used > 0, "{used} + {granted}");
    }
}
