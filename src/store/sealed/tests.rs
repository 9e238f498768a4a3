//! Tests of sealed values.

use super::*;
use proptest::prelude::*;

fn masters(current: u8, former: &[u8]) -> MasterKeys {
    let former: Vec<[u8; KEY_BYTES]> = former.iter().map(|byte| [*byte; KEY_BYTES]).collect();
    MasterKeys::new(&[current; KEY_BYTES], &former).unwrap()
}

async fn sealing() -> (Database, Seal) {
    let database = Database::in_memory().await.unwrap();
    let seal = Seal::of(&database, &masters(1, &[]), 7).await.unwrap();
    (database, seal)
}

fn of_one_key() -> Seal {
    Seal { current: [9; ID_BYTES], keys: HashMap::from([([9; ID_BYTES], key(&[3; KEY_BYTES]).unwrap())]) }
}

#[tokio::test]
async fn values_open_after_a_restart_and_only_with_the_key() {
    let (database, seal) = sealing().await;
    let sealed = seal.seal("hooks/1/secret", b"hush").unwrap();
    let again = Seal::of(&database, &masters(1, &[]), 8).await.unwrap();
    assert_eq!(again.open("hooks/1/secret", &sealed).unwrap(), b"hush");
    assert_eq!(database.data_keys().await.unwrap().len(), 1, "the first data key stays");
    let row = &database.data_keys().await.unwrap()[0];
    assert_eq!((row.created_ms, row.wrapped.len()), (7, 2 * (NONCE_LEN + KEY_BYTES + 16)));
    let error = Seal::of(&database, &masters(2, &[]), 8).await.unwrap_err();
    assert!(matches!(&error, SealError::UnknownMaster { .. }), "{error}");
    assert!(error.to_string().contains("store.former_encryption_keys"));
    assert!(!format!("{seal:?} {:?} {error}", masters(1, &[])).contains(&hex(&[1; KEY_BYTES])));
}

#[tokio::test]
async fn a_new_master_key_wraps_anew_and_touches_no_value() {
    let (database, seal) = sealing().await;
    let sealed = seal.seal("a", b"hush").unwrap();
    let before = database.data_keys().await.unwrap();
    let rotated = Seal::of(&database, &masters(2, &[5, 1]), 8).await.unwrap();
    assert_eq!(rotated.open("a", &sealed).unwrap(), b"hush");
    let after = database.data_keys().await.unwrap();
    assert_eq!((&before[0].id, before[0].created_ms), (&after[0].id, after[0].created_ms));
    assert_ne!((&before[0].wrapped, &before[0].master), (&after[0].wrapped, &after[0].master));
    // The former one is of no use any more, and not needed.
    assert!(Seal::of(&database, &masters(1, &[]), 9).await.is_err());
    let without = Seal::of(&database, &masters(2, &[]), 9).await.unwrap();
    assert_eq!(without.open("a", &sealed).unwrap(), b"hush");
}

#[tokio::test]
async fn data_keys_that_were_tampered_with_are_refused() {
    let (database, _) = sealing().await;
    let row = database.data_keys().await.unwrap().remove(0);
    let masters = masters(1, &[]);
    let table = [
        DataKeyRow { id: hex(&[1; ID_BYTES]), ..row.clone() },
        DataKeyRow { wrapped: row.wrapped.replace(|c: char| c.is_ascii_digit(), "a"), ..row.clone() },
        DataKeyRow { wrapped: "é".to_owned(), ..row.clone() },
        DataKeyRow { wrapped: String::new(), ..row.clone() },
    ];
    for wrong in table {
        assert!(matches!(unwrapped(&masters, &wrong), Err(SealError::DamagedKey(_))), "{wrong:?}");
    }
    unwrapped(&masters, &row).unwrap();
}

#[tokio::test]
async fn nodes_that_begin_at_a_time_have_one_key() {
    let (database, seal) = sealing().await;
    database.add_first_data_key(&made(&masters(1, &[]), 9).unwrap()).await.unwrap();
    let other = Seal::of(&database, &masters(1, &[]), 9).await.unwrap();
    assert_eq!(other.open("a", &seal.seal("a", b"x").unwrap()).unwrap(), b"x");
}

#[test]
fn what_is_no_sealed_value_is_told() {
    let seal = of_one_key();
    let sealed = seal.seal("a", b"").unwrap();
    assert_eq!(sealed.len(), HEAD_BYTES + 16);
    for cut in 0..sealed.len() {
        assert!(matches!(seal.open("a", &sealed[..cut]), Err(SealError::Torn)), "{cut}");
    }
    let with = |at: usize, byte: u8| {
        let mut other = sealed.clone();
        other[at] = byte;
        seal.open("a", &other).unwrap_err()
    };
    assert!(matches!(with(0, 2), SealError::Version(2)));
    assert!(matches!(with(0, 0), SealError::Torn));
    assert!(matches!(with(1, 8), SealError::UnknownKey(_)));
}

proptest! {
    #[test]
    fn what_is_sealed_opens_in_its_place_and_in_no_other(plain: Vec<u8>, context in ".{0,40}", other in ".{0,40}") {
        let seal = of_one_key();
        let sealed = seal.seal(&context, &plain).unwrap();
        prop_assert_eq!(seal.open(&context, &sealed).unwrap(), plain.clone());
        prop_assert_ne!(seal.seal(&context, &plain).unwrap(), sealed.clone());
        if context != other {
            prop_assert!(matches!(seal.open(&other, &sealed), Err(SealError::Refused(_))));
        }
    }

    #[test]
    fn no_bit_can_be_changed(plain in proptest::collection::vec(any::<u8>(), 0..60), at: prop::sample::Index, bit in 0u32..8) {
        let seal = of_one_key();
        let mut sealed = seal.seal("a", &plain).unwrap();
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        prop_assert!(seal.open("a", &sealed).is_err());
    }

    #[test]
    fn no_bytes_upset_it(bytes: Vec<u8>) {
        prop_assert!(of_one_key().open("a", &bytes).is_err());
    }
}
