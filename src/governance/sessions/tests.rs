//! When sessions end, what of them is written, and who may ask about them.

use super::*;
use crate::store::sealed::MasterKeys;

const IDLE: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_millis(1000);

fn ada() -> SignedIn {
    let kept = Kept { refresh_token: Some(Secret::new("refresh-1")), id_token: Secret::new("id-1"), again_ms: 50 };
    SignedIn {
        name: "ada".to_owned(),
        identities: vec!["id:ada".to_owned()],
        groups: BTreeSet::from(["ops".to_owned()]),
        kept,
    }
}

fn sessions(key: u8, database: Option<&Database>, seal: Option<&Arc<Seal>>) -> Sessions {
    Sessions::new(&[key; 32], Stamp::new(&[key; 32]), database.cloned(), seal.cloned())
}

async fn database() -> (tempfile::TempDir, Database) {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::in_file(&dir.path().join("s.db")).await.unwrap();
    (dir, database)
}

#[tokio::test]
async fn they_end_when_idle_and_in_any_case() {
    let sessions = sessions(1, None, None);
    let id = sessions.begin(ada(), 0).await.unwrap();
    assert!(sessions.find("other", 1, IDLE, MOST).is_none());
    for at in (0..1000).step_by(90) {
        assert!(sessions.find(&id, at, IDLE, MOST).is_some(), "{at}");
    }
    assert!(sessions.find(&id, 1000, IDLE, MOST).is_none(), "in any case");
    let idle = sessions.begin(ada(), 2000).await.unwrap();
    assert!(sessions.find(&idle, 2100, IDLE, MOST).is_none(), "idle");
    assert_eq!(sessions.sweep(2100, IDLE, MOST).await.unwrap(), 2);
}

#[tokio::test]
async fn they_are_there_after_a_restart_and_the_cookie_is_not() {
    let (_dir, database) = database().await;
    let first = sessions(1, Some(&database), None);
    let id = first.begin(ada(), 5).await.unwrap();
    let rows = format!("{:?}", database.sessions().await.unwrap());
    assert!(!rows.contains(&id) && !rows.contains("refresh-1"), "{rows}");
    let again = sessions(1, Some(&database), None);
    again.read().await.unwrap();
    let found = again.find(&id, 6, IDLE, MOST).unwrap();
    assert_eq!((found.name.as_str(), found.groups.len(), found.kept.is_none()), ("ada", 1, true));
    assert_eq!((first.to_renew(49).len(), first.to_renew(50).len(), again.to_renew(50).len()), (0, 1, 0));
    let session = first.to_renew(50).remove(0);
    first.renew(&session, BTreeSet::new(), Kept { again_ms: 900, ..ada().kept }, 50).await.unwrap();
    again.read().await.unwrap();
    assert!(again.find(&id, 7, IDLE, MOST).unwrap().groups.is_empty());
    again.end(&found.digest).await.unwrap();
    assert!(again.find(&id, 7, IDLE, MOST).is_none() && database.sessions().await.unwrap().is_empty());
    let now = first.of_digest(&found.digest).unwrap();
    first.renew(&now, BTreeSet::new(), ada().kept, 60).await.unwrap();
    assert!(first.find(&id, 7, IDLE, MOST).is_none(), "what another process has ended is not renewed");
    assert!(database.sessions().await.unwrap().is_empty());
}

#[tokio::test]
async fn nobody_who_writes_to_the_database_makes_a_session() {
    let (_dir, database) = database().await;
    let first = sessions(1, Some(&database), None);
    let id = first.begin(ada(), 5).await.unwrap();
    let row = database.sessions().await.unwrap().remove(0);
    // As somebody would who knows the code, and not the key.
    let plain = |id: &str| blake3::Hash::from_bytes(blake3::derive_key("askonce 2026 admin session v2", id.as_bytes()));
    assert_ne!(row.digest, plain(&id).to_hex().to_string());
    let altered = [
        crate::store::database::SessionRow { groups: "[\"lords\"]".into(), ..row.clone() },
        crate::store::database::SessionRow { identities: "[\"id:eve\"]".into(), ..row.clone() },
        crate::store::database::SessionRow { created_ms: 500, ..row.clone() },
        crate::store::database::SessionRow { name: "eve".into(), ..row.clone() },
        crate::store::database::SessionRow { stamp: String::new(), ..row.clone() },
    ];
    for row in altered {
        let other = sessions(1, Some(&database), None);
        database.delete_sessions(&[row.digest.clone()]).await.unwrap();
        database.add_session(&row).await.unwrap();
        other.read().await.unwrap();
        assert!(other.find(&id, 6, IDLE, MOST).is_none(), "{row:?}");
    }
    database.delete_sessions(&[row.digest.clone()]).await.unwrap();
    database.add_session(&row).await.unwrap();
    let (same, other) = (sessions(1, Some(&database), None), sessions(2, Some(&database), None));
    same.read().await.unwrap();
    other.read().await.unwrap();
    assert!(same.find(&id, 6, IDLE, MOST).is_some(), "the row itself is good");
    assert!(other.find(&id, 6, IDLE, MOST).is_none(), "with another key it is not");
}

#[tokio::test]
async fn what_renews_them_is_kept_sealed() {
    let (_dir, database) = database().await;
    let masters = MasterKeys::new(&[3; 32], &[]).unwrap();
    let seal = Arc::new(Seal::of(&database, &masters, 0).await.unwrap());
    let first = sessions(1, Some(&database), Some(&seal));
    let id = first.begin(ada(), 5).await.unwrap();
    let other = first.begin(ada(), 5).await.unwrap();
    let rows = database.sessions().await.unwrap();
    assert!(!format!("{rows:?}").contains("refresh-1") && rows.iter().all(|row| !row.kept.is_empty()));
    let again = sessions(1, Some(&database), Some(&seal));
    again.read().await.unwrap();
    assert_eq!(again.to_renew(50).len(), 2, "they are renewed after a restart");
    let kept = again.find(&id, 6, IDLE, MOST).unwrap().kept.clone().unwrap();
    assert_eq!(
        (kept.refresh_token.unwrap().expose(), kept.id_token.expose(), kept.again_ms),
        ("refresh-1", "id-1", 50)
    );
    assert!(again.find(&other, 6, IDLE, MOST).unwrap().kept.is_some());
    // Without the key the session is there, and nothing to renew it with.
    let without = sessions(1, Some(&database), None);
    without.read().await.unwrap();
    assert!(without.find(&id, 6, IDLE, MOST).unwrap().kept.is_none());
}

#[tokio::test]
async fn one_process_at_a_time_asks_about_a_session() {
    let (_dir, database) = database().await;
    let masters = MasterKeys::new(&[3; 32], &[]).unwrap();
    let seal = Arc::new(Seal::of(&database, &masters, 0).await.unwrap());
    let (one, other) = (sessions(1, Some(&database), Some(&seal)), sessions(1, Some(&database), Some(&seal)));
    let id = one.begin(ada(), 5).await.unwrap();
    other.read().await.unwrap();
    let (mine, theirs) = (one.find(&id, 6, IDLE, MOST).unwrap(), other.find(&id, 6, IDLE, MOST).unwrap());
    assert!(matches!(one.claim(&mine, 10).await.unwrap(), Claim::Mine(_)));
    assert!(matches!(other.claim(&theirs, 11).await.unwrap(), Claim::Elsewhere));
    let kept = Kept { refresh_token: Some(Secret::new("refresh-2")), ..ada().kept };
    one.renew(&mine, BTreeSet::from(["red".to_owned()]), kept, 12).await.unwrap();
    // What the first was told, the other one uses, and lets go of its claim.
    assert!(matches!(other.claim(&theirs, 13).await.unwrap(), Claim::Told));
    let now = other.of_digest(&theirs.digest).unwrap();
    assert_eq!(now.kept.as_ref().unwrap().refresh_token.as_ref().unwrap().expose(), "refresh-2");
    assert!(now.groups.contains("red"));
    assert!(matches!(other.claim(&now, 14).await.unwrap(), Claim::Mine(_)));
    other.give_back(&now).await;
    let now = one.of_digest(&now.digest).unwrap();
    assert!(matches!(one.claim(&now, 15).await.unwrap(), Claim::Mine(_)));
    assert!(matches!(other.claim(&now, 15 + CLAIM_MS).await.unwrap(), Claim::Mine(_)), "who is gone holds nobody up");
    one.end(&now.digest).await.unwrap();
    assert!(matches!(other.claim(&now, 16 + 3 * CLAIM_MS).await.unwrap(), Claim::Gone));
}
