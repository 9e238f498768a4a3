//! What the token counter answers (<https://platform.claude.com/docs/en/api/messages-count-tokens>): `{"input_tokens": N}`.
//! Its requests are those of messages without a limit of tokens: `request` reads them.

use crate::types::json::Json;
use crate::wire::json::parse;
use crate::wire::write;

/// Reads an answer. The error says in words what is wrong with it.
pub fn decode(body: &[u8]) -> Result<u64, String> {
    let json = parse(body).map_err(|error| error.message)?;
    json.get("input_tokens").and_then(Json::as_u64).ok_or_else(|| "expected a number `input_tokens`".to_owned())
}

/// Writes an answer.
pub fn encode(input_tokens: u64) -> Vec<u8> {
    write::to_vec(|object| object.integer("input_tokens", input_tokens))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_written_and_read() {
        assert_eq!(encode(2_095), br#"{"input_tokens":2095}"#);
        assert_eq!(decode(&encode(7)), Ok(7));
        assert_eq!(decode(br#"{"input_tokens":3,"context_management":{"original_input_tokens":9}}"#), Ok(3));
        assert!(decode(br#"{"tokens":3}"#).is_err());
    }
}
