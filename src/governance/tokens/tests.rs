//! What is kept of tokens, and which go together.

use super::*;

fn tokens(key: u8, database: &Database) -> Tokens {
    Tokens::new([key; 32], Stamp::new(&[key; 32]), Some(database.clone()))
}

fn new(name: &str, expires_ms: u64) -> NewToken {
    NewToken {
        name: name.to_owned(),
        roles: vec!["viewer".to_owned()],
        scope: Scope::Accounts(Arc::from(["team".to_owned()])),
        expires_ms,
        created_by: "admin key".to_owned(),
        maker: Maker::Key,
        identities: Arc::default(),
    }
}

#[test]
fn a_slip_is_told() {
    let text = drawn();
    assert!(is_whole(&text), "{text}");
    for at in BEGINNING.len()..text.len() {
        let mut other: Vec<u8> = text.bytes().collect();
        other[at] = if other[at] == b'x' { b'y' } else { b'x' };
        assert!(!is_whole(std::str::from_utf8(&other).unwrap()), "{at}");
    }
    for wrong in ["", "aoa-", &text[1..], &text[..text.len() - 1], &format!("{text}0"), "aoa-\u{e9}"] {
        assert!(!is_whole(wrong), "{wrong}");
    }
}

#[tokio::test]
async fn what_is_kept_is_no_token() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::in_file(&dir.path().join("t.db")).await.unwrap();
    let first = tokens(7, &database);
    let (text, token) = first.make(new("ci", 0), 5).await.unwrap();
    let (late, _) = first.make(new("late", 9), 6).await.unwrap();
    let rows = format!("{:?}", database.tokens().await.unwrap());
    assert!(!rows.contains(&text) && !rows.contains(&text[4..44]), "{rows}");
    assert!(!rows.contains(&blake3::hash(text.as_bytes()).to_hex().to_string()), "the digest is keyed");

    let again = tokens(7, &database);
    again.read().await.unwrap();
    let found = again.find(&text, 8).unwrap().unwrap();
    assert_eq!(
        (&found.id, &found.name, &found.scope, found.used_ms()),
        (&token.id, &token.name, &token.scope, Some(8))
    );
    assert_eq!(again.used_since(8), [(token.id.clone(), 8)]);
    assert!(again.find(&late, 8).unwrap().is_some());
    assert_eq!(again.find(&late, 9).unwrap_err().code, Some("expired_token"));
    assert_eq!(again.find("aoa-abc", 9).unwrap_err().code, Some("invalid_token"));
    assert!(again.find("sk-something-else", 9).unwrap().is_none() && again.find(&drawn(), 9).unwrap().is_none());
    let other = tokens(8, &database);
    other.read().await.unwrap();
    assert!(other.find(&text, 8).unwrap().is_none(), "without the key the digest is of no use");

    assert_eq!(again.take_away(&token.id).await.unwrap()[0].name, "ci");
    assert!(again.find(&text, 8).unwrap().is_none() && again.take_away(&token.id).await.unwrap().is_empty());
    assert_eq!(database.tokens().await.unwrap().len(), 1);
}

#[tokio::test]
async fn nobody_who_writes_to_the_database_makes_a_token_mightier() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::in_file(&dir.path().join("t.db")).await.unwrap();
    let (text, token) = tokens(7, &database).make(new("ci", 100), 5).await.unwrap();
    let row = database.tokens().await.unwrap().remove(0);
    let altered = [
        TokenRow { roles: "[\"owner\"]".into(), ..row.clone() },
        TokenRow { scope: String::new(), ..row.clone() },
        TokenRow { expires_ms: 0, ..row.clone() },
        TokenRow { maker: "person".into(), ..row.clone() },
        TokenRow { identities: "[\"id:eve\"]".into(), ..row.clone() },
        TokenRow { stamp: String::new(), ..row.clone() },
    ];
    for row in altered {
        database.delete_token(&token.id).await.unwrap();
        database.add_token(&row).await.unwrap();
        let again = tokens(7, &database);
        again.read().await.unwrap();
        assert!(again.find(&text, 8).unwrap().is_none(), "{row:?}");
    }
    database.delete_token(&token.id).await.unwrap();
    database.add_token(&row).await.unwrap();
    let again = tokens(7, &database);
    again.read().await.unwrap();
    assert!(again.find(&text, 8).unwrap().is_some());
}

#[tokio::test]
async fn a_token_goes_with_the_one_that_made_it() {
    let tokens = Tokens::new([7; 32], Stamp::new(&[7; 32]), None);
    let (_, first) = tokens.make(new("first", 0), 1).await.unwrap();
    let mut last = first.clone();
    for n in 2..=DEEPEST {
        let by = NewToken { maker: Maker::Token(last.id.clone()), ..new(&format!("t{n}"), 0) };
        last = tokens.make(by, 1).await.unwrap().1;
    }
    let deeper = NewToken { maker: Maker::Token(last.id.clone()), ..new("deeper", 0) };
    assert_eq!(tokens.make(deeper, 1).await.unwrap_err().code, Some("too_many_tokens"));
    let (_, apart) = tokens.make(new("apart", 0), 1).await.unwrap();
    let gone = tokens.take_away(&first.id).await.unwrap();
    assert_eq!((gone.len(), &gone[0].id), (DEEPEST, &first.id));
    assert_eq!(tokens.all().iter().map(|one| one.id.clone()).collect::<Vec<_>>(), [apart.id.clone()]);
    for maker in [Maker::Key, Maker::Person, Maker::Configured("a:b".into()), Maker::Token("tok_1".into())] {
        assert_eq!(Maker::read(&maker.written()), Some(maker));
    }
    assert_eq!((Maker::read(""), Maker::read("king:x")), (None, None));
}
