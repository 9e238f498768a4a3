//! Vectors from one form of number into another.

use crate::types::embeddings::{Encoding, Vectors};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// The vectors in that form, from another where they came in none. The error says in words what is missing.
pub(super) fn in_form(vectors: &Vectors, encoding: Encoding) -> Result<Vec<Cow<'_, str>>, String> {
    if let Some(ready) = vectors.form(encoding) {
        return Ok(ready.iter().map(|vector| Cow::Borrowed(vector.as_str())).collect());
    }
    let of = |other| vectors.form(other).ok_or("the answer has no vectors of floats");
    match encoding {
        Encoding::Float => of(Encoding::Base64)?.iter().map(|vector| to_floats(vector).map(Cow::Owned)).collect(),
        Encoding::Base64 => of(Encoding::Float)?.iter().map(|vector| to_base64(vector).map(Cow::Owned)).collect(),
        other => Err(format!("the answer has no vectors of the form `{}`", word_of(other))),
    }
}

/// A form's name, as Cohere has it.
pub(super) fn word_of(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Float => "float",
        Encoding::Base64 => "base64",
        Encoding::Int8 => "int8",
        Encoding::Uint8 => "uint8",
        Encoding::Binary => "binary",
        Encoding::Ubinary => "ubinary",
    }
}

/// The form of that name.
pub(super) fn encoding_of(word: &str) -> Option<Encoding> {
    Some(match word {
        "float" => Encoding::Float,
        "base64" => Encoding::Base64,
        "int8" => Encoding::Int8,
        "uint8" => Encoding::Uint8,
        "binary" => Encoding::Binary,
        "ubinary" => Encoding::Ubinary,
        _ => return None,
    })
}

fn to_base64(json: &str) -> Result<String, String> {
    let numbers: Vec<f32> =
        serde_json::from_str(json).map_err(|error| format!("a vector is no list of numbers: {error}"))?;
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    Ok(STANDARD.encode(bytes))
}

fn to_floats(base64: &str) -> Result<String, String> {
    let bytes = STANDARD.decode(base64).map_err(|error| format!("a vector is no base64: {error}"))?;
    let (fours, rest) = bytes.as_chunks::<4>();
    let numbers: Vec<f32> = fours.iter().map(|four| f32::from_le_bytes(*four)).collect();
    if !rest.is_empty() || numbers.iter().any(|number| !number.is_finite()) {
        return Err("a vector in base64 holds no floats of 32 bits".to_owned());
    }
    serde_json::to_string(&numbers).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::embeddings::Form;

    #[test]
    fn floats_and_base64_say_the_same() {
        let vectors = |encoding, text: &str| Vectors {
            forms: vec![Form { encoding, vectors: vec![text.to_owned()] }],
            ..Vectors::default()
        };
        let floats = "[0.1,-0.25,1e-9,3.0]";
        let base64 = in_form(&vectors(Encoding::Float, floats), Encoding::Base64).unwrap()[0].clone().into_owned();
        assert_eq!(base64, "zczMPQAAgL5fcIkwAABAQA==");
        assert_eq!(in_form(&vectors(Encoding::Base64, &base64), Encoding::Float).unwrap(), [floats]);
        for wrong in ["AAA=", "AAAA", "AADAfw==", "?"] {
            assert!(in_form(&vectors(Encoding::Base64, wrong), Encoding::Float).is_err(), "{wrong}");
        }
        assert!(in_form(&vectors(Encoding::Float, "[\"a\"]"), Encoding::Base64).is_err());
        assert!(in_form(&vectors(Encoding::Float, floats), Encoding::Int8).is_err());
    }
}
