//! What is replaced comes back, and pieces end up as the whole does.

use super::*;
use proptest::prelude::*;

const ALL: &str = "  - {name: pii, pii: all, action: redact, restore: true}\n  - {name: secrets, secrets: all, action: redact, restore: true}\n  - {name: words, words: [falcon, 'project x'], action: redact, restore: true}\n";

/// What looks for all of it, compiled once.
static LOOKER: std::sync::LazyLock<Looker> = std::sync::LazyLock::new(|| looker(ALL));

/// `text` as it ends up when it comes cut at these places.
fn in_pieces(looker: &Looker, vault: &Vault, text: &str, cuts: &[usize]) -> (String, Seen) {
    let mut window = Window::new(false);
    let (mut seen, mut edits) = (Seen::default(), Vec::new());
    let mut from = 0;
    for cut in cuts.iter().chain([&text.len()]) {
        let cut = text.floor_char_boundary((*cut).max(from));
        let Advance { free, edits: more } =
            window.push(&text[from..cut], false, looker, &mut Hand::Masks(vault), &mut seen);
        assert!(free <= cut && more.iter().all(|(range, _)| range.end <= free), "{text}");
        edits.extend(more);
        from = cut;
    }
    let last = window.push("", true, looker, &mut Hand::Masks(vault), &mut seen);
    assert_eq!(last.free, text.len());
    edits.extend(last.edits);
    (crate::wire::spanned::edited(text, &edits), seen)
}

fn whole(looker: &Looker, vault: &Vault, text: &str) -> (String, Seen) {
    let mut seen = Seen::default();
    let new = looker.whole(text, &mut Hand::Masks(vault), &mut seen);
    (new.unwrap_or_else(|| text.to_owned()), seen)
}

#[test]
fn placeholders_are_stable_and_none_is_given_twice() {
    let looker = &*LOOKER;
    let mut vault = Vault::default();
    vault.leave_out("what is [EMAIL_1]?");
    let text = "ada@x.io wrote to bob@x.io and ada@x.io of 4111 1111 1111 1111";
    let out = replaced(looker, text, &mut vault);
    assert_eq!(out, "[EMAIL_2] wrote to [EMAIL_3] and [EMAIL_2] of [CREDIT_CARD_1]");
    assert_eq!(replaced(looker, "bob@x.io again", &mut vault), "[EMAIL_3] again");
    assert_eq!(vault.restored(&out).as_deref(), Some(text));
    assert_eq!(vault.restored("[EMAIL_1] and [EMAIL_9] and [x"), None);
}

#[test]
fn what_is_not_to_be_restored_is_not() {
    let looker = &looker("  - {name: a, pii: [email], action: redact}\n");
    let mut vault = Vault::default();
    assert_eq!(replaced(looker, "ada@x.io", &mut vault), "[EMAIL_1]");
    assert_eq!((vault.is_empty(), vault.restored("[EMAIL_1]")), (true, None));
}

#[test]
fn every_cut_gives_the_same_as_the_whole() {
    let looker = &*LOOKER;
    let mut vault = Vault::default();
    replaced(looker, "ada@x.io and +1 (415) 555-2671", &mut vault);
    // In two words, so that nobody who looks for keys in this repository finds one.
    let private = "PRIVATE";
    let random = "aB3dE6fG9hJ2kL5mN8pQ1rS4tU7vW0xY3zA6";
    let text = format!(
        "Tell [EMAIL_1] or [PHONE_1], not eve@mail.example.co.uk: card 4111 1111 1111 1111, DE89 3704 0044 0532 0130 00, \
         ssn 536-22-1234, ip 203.0.113.9, key sk-{random}, jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{random}, password = kT9vLq2Zx81mB, \
         -----BEGIN RSA {private} KEY-----\nMIIEabc/+=\nMIIEabc/+=\n-----END RSA {private} KEY-----\n the Falcon of Project  X — größer [EMAIL_9] [x"
    );
    let expected = whole(looker, &vault, &text);
    assert!(
        expected.0.contains("Tell ada@x.io or +1 (415) 555-2671, not [EMAIL]: card [CREDIT_CARD]"),
        "{}",
        expected.0
    );
    for secret in [random, "kT9vLq2Zx81mB", "MIIE", "536-22", "alcon", "eve"] {
        assert!(!expected.0.contains(secret), "{secret} in {}", expected.0);
    }
    for cut in 0..=text.len() {
        assert_eq!(in_pieces(looker, &vault, &text, &[cut]), expected, "cut at {cut}");
    }
    let each: Vec<usize> = (0..text.len()).collect();
    assert_eq!(in_pieces(looker, &vault, &text, &each), expected, "cut at every byte");
}

#[test]
fn plain_words_do_not_wait_long() {
    let looker = &looker("  - {name: a, pii: [email], action: redact}\n");
    let (mut window, vault, mut seen) = (Window::new(false), Vault::default(), Seen::default());
    let mut hand = Hand::Masks(&vault);
    let advance = window.push("Nothing to see here, ple", false, looker, &mut hand, &mut seen);
    assert_eq!(advance.free, "Nothing to see here,".len());
    let advance = window.push("ase.", false, looker, &mut hand, &mut seen);
    assert_eq!(advance.free, "Nothing to see here,".len());
    assert_eq!(window.push(" So", false, looker, &mut hand, &mut seen).free, "Nothing to see here, please.".len());
}

#[test]
fn a_find_without_end_is_let_go_masked() {
    let looker = &looker("  - {name: a, secrets: [private_key], action: redact}\n");
    let (mut window, vault, mut seen) = (Window::new(false), Vault::default(), Seen::default());
    let mut text = format!("-----BEGIN {} KEY-----\n", "PRIVATE");
    let mut edits = Vec::new();
    let mut next = text.clone();
    while text.len() < 3 * MOST_HELD {
        edits.extend(window.push(&next, false, looker, &mut Hand::Masks(&vault), &mut seen).edits);
        assert!(window.held() <= MOST_HELD + 20_000, "{}", window.held());
        next = "A".repeat(9_999) + "\n";
        text.push_str(&next);
    }
    assert_eq!(edits.first().map(|(range, new)| (range.start, new.as_str())), Some((0, "[PRIVATE_KEY]")));
}

#[test]
fn arguments_of_calls_are_looked_at_as_the_json_they_are() {
    let looker = &*LOOKER;
    let mut vault = Vault::default();
    let secret = "a \"quoted\"\nfalcon";
    assert_eq!(replaced(looker, secret, &mut vault), "a \"quoted\"\n[WORD_1]");
    let name = vault.placeholder("WORD", "x\"y\n", true);
    let (mut window, mut seen) = (Window::new(true), Seen::default());
    let text = format!(r#"{{"to":"{name}","cc":"eve\u0040mail.example","note":"key:\nAKIA{}"}}"#, "IOSFODNN7EXAMPLE");
    let mut hand = Hand::Masks(&vault);
    assert_eq!(window.push(&text, false, looker, &mut hand, &mut seen).free, 0);
    let advance = window.push("", true, looker, &mut hand, &mut seen);
    let out = crate::wire::spanned::edited(&text, &advance.edits);
    assert_eq!(out, r#"{"to":"x\"y\n","cc":"[EMAIL]","note":"key:\n[AWS_KEY]"}"#);
}

/// Texts of bits that detectors look for, and of others.
fn texts() -> impl Strategy<Value = String> {
    let bits = prop::sample::select(vec![
        "ada@x.io",
        "bob@mail.example",
        "4111 1111 1111 1111",
        "536-22-1234",
        "+49 30 901820",
        "203.0.113.9",
        "falcon",
        "Project X",
        " ",
        " ",
        ", ",
        "\n",
        "1",
        "a",
        "é",
        "-",
        "@",
        ".",
        "[",
        "]",
        "[EMAIL_1]",
        "[PHONE_1]",
        "words",
        "415-555-2671",
        "DE89 3704 0044 0532 0130 00",
        "password=",
        "kT9vLq2Zx81mB",
        "eyJhbGciOiJIUzI1NiJ9",
        "::",
    ]);
    prop::collection::vec(bits, 0..24).prop_map(|bits| bits.concat())
}

proptest! {
    #[test]
    fn to_replace_and_put_back_changes_nothing(text in texts()) {
        let looker = &*LOOKER;
        let mut vault = Vault::default();
        vault.leave_out(&text);
        let out = replaced(looker, &text, &mut vault);
        prop_assert_eq!(vault.restored(&out).unwrap_or(out), text);
    }

    #[test]
    fn pieces_end_up_as_the_whole_does(text in texts(), cuts in prop::collection::vec(0usize..300, 0..12)) {
        let looker = &*LOOKER;
        let mut vault = Vault::default();
        replaced(looker, "eve@x.io +1 415 555 0000", &mut vault);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.sort_unstable();
        prop_assert_eq!(in_pieces(looker, &vault, &text, &cuts), whole(looker, &vault, &text));
    }
}
