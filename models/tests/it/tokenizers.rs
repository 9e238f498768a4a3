//! Tokenizers of the multilingual models: Unigram with a metaspace, as XLM-R has it. And prefixes.

use std::path::Path;

use askonce_models::{Embedder, EmbedderSettings, Precision, TextTokenizer};
use serde_json::{Value, json};

use crate::support::tiny::Tiny;

/// A Unigram tokenizer in the manner of XLM-R: `<s> … </s>`, words begin with `▁`.
fn unigram() -> Value {
    let pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁what", "▁is", "▁東京", "e", "é", "▁capital", "s", "?", ","];
    let vocabulary: Vec<Value> =
        pieces.iter().enumerate().map(|(id, piece)| json!([piece, if id < 4 { 0.0 } else { -(id as f64) }])).collect();
    let marker = |id: &str| json!({"SpecialToken": {"id": id, "type_id": 0}});
    let special = |id: usize| {
        json!({"id": id, "content": pieces[id], "special": true, "single_word": false, "lstrip": false,
               "rstrip": false, "normalized": false})
    };
    json!({
        "version": "1.0", "truncation": {"max_length": 3, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": null, "pad_id": 1,
                    "pad_type_id": 0, "pad_token": "<pad>"},
        "added_tokens": (0..4).map(special).collect::<Vec<_>>(),
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFKC"}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "WhitespaceSplit"},
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true}]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [marker("<s>"), {"Sequence": {"id": "A", "type_id": 0}}, marker("</s>")],
            "pair": [marker("<s>"), {"Sequence": {"id": "A", "type_id": 0}}, marker("</s>")],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]},
                               "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}},
        },
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
        "model": {"type": "Unigram", "unk_id": 3, "vocab": vocabulary, "byte_fallback": false},
    })
}

fn load(json: &Value, max_tokens: usize) -> TextTokenizer {
    TextTokenizer::from_json(json.to_string().as_bytes(), Path::new("tokenizer.json"), max_tokens, 14).unwrap()
}

#[test]
fn unigram_tokenizers_load_and_read_every_script() {
    let tokenizer = load(&unigram(), 16);
    for (text, ids) in [
        ("what is 東京?", &[0, 5, 6, 7, 12, 2][..]),
        ("  what   is  ", &[0, 5, 6, 2]),
        // Full-width letters and a composed accent are normalised; a word that is not known is one token.
        ("ｗｈａｔ é", &[0, 5, 4, 9, 2]),
        ("🦀", &[0, 4, 3, 2]),
        ("", &[0, 2]),
    ] {
        let tokens = tokenizer.tokenize(text).unwrap();
        assert_eq!((tokens.ids.as_slice(), tokens.truncated), (ids, false), "{text:?}");
    }
    // Our limit counts, not the file's, and a text's markers are text.
    let tokens = load(&unigram(), 8).tokenize(&"what is ".repeat(9)).unwrap();
    assert_eq!((tokens.ids.len(), tokens.truncated), (8, true));
    assert!(!tokenizer.tokenize("</s>").unwrap().ids[1..].starts_with(&[2]));
}

#[test]
fn a_unigram_tokenizer_of_another_model_is_refused() {
    let json = unigram().to_string();
    let error = TextTokenizer::from_json(json.as_bytes(), Path::new("t.json"), 16, 13).err().unwrap().to_string();
    assert!(error.contains("token id 13") && error.contains("different models"), "{error}");
}

#[test]
fn a_prefix_is_read_before_every_text_and_its_tokens_count() {
    let tokenizer = load(&unigram(), 8).with_prefix("what is ").unwrap();
    for (text, ids) in
        [("capital?", &[0, 5, 6, 10, 12, 2][..]), ("   capital   ", &[0, 5, 6, 10, 2]), ("", &[0, 5, 6, 2])]
    {
        assert_eq!(tokenizer.tokenize(text).unwrap().ids, ids, "{text:?}");
    }
    let tokens = tokenizer.tokenize(&"capital ".repeat(2_000)).unwrap();
    assert_eq!((tokens.ids.len(), tokens.truncated), (8, true));
    assert_eq!(&tokens.ids[..3], &[0, 5, 6]);
    assert_eq!(load(&unigram(), 8).without_markers().tokenize("what is").unwrap().ids, [5, 6]);
}

#[test]
fn the_embedder_puts_the_manifests_query_prefix_before_a_text() {
    let dir = tempfile::tempdir().unwrap();
    let plain = Tiny::new().write(dir.path());
    let mut prefixed = plain.clone();
    prefixed.prefix.query = "what is ".into();
    let settings = EmbedderSettings { precision: Precision::F32, ..EmbedderSettings::default() };
    let one = |manifest, text| {
        Embedder::load(dir.path(), manifest, &settings).unwrap().embed_batch(&[text], &|_| {}).unwrap().remove(0)
    };
    assert_eq!(one(&prefixed, "the capital"), one(&plain, "what is the capital"));
    assert_ne!(one(&prefixed, "the capital").vector, one(&plain, "the capital").vector);
    assert_eq!(one(&prefixed, "").tokens, 4);
}
