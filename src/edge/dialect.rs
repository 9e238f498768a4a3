//! In which vendor's words a path is answered, where no door has taken the request.

use crate::types::surface::Surface;

/// The surface in whose words errors of `path` are told.
pub fn of(path: &str) -> Surface {
    // What nearly everybody asks for.
    if path == "/v1/chat/completions" {
        return Surface::ChatCompletions;
    }
    let has = |part: &str| path.contains(part);
    if has("/messages") || path.starts_with("/anthropic") {
        Surface::Messages
    } else if has("/v1beta") || path.starts_with("/genai") || (has("/models/") && has(":")) {
        Surface::GenerateContent
    } else if path.starts_with("/model/") || path.starts_with("/bedrock") || has("/converse") {
        Surface::Converse
    } else if path.starts_with("/v2/") || path.starts_with("/cohere") {
        Surface::CohereChat
    } else if path.starts_with("/ollama/v1") {
        Surface::ChatCompletions
    } else if path.starts_with("/ollama") || path.starts_with("/api/") || has("/api/chat") || has("/api/embed") {
        Surface::OllamaChat
    } else {
        Surface::ChatCompletions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_vendors_by_their_paths() {
        let table = [
            ("/v1/chat/completions", Surface::ChatCompletions),
            ("/litellm/v1/messages", Surface::Messages),
            ("/anthropic/v1/nothing", Surface::Messages),
            ("/v1beta/models/x:generateContent", Surface::GenerateContent),
            ("/v1/projects/p/locations/l/publishers/google/models/g:countTokens", Surface::GenerateContent),
            ("/model/a.b-c/converse", Surface::Converse),
            ("/bedrock/x", Surface::Converse),
            ("/v2/chat", Surface::CohereChat),
            ("/ollama/v1/nothing", Surface::ChatCompletions),
            ("/ollama/v1/messages", Surface::Messages),
            ("/api/chat", Surface::OllamaChat),
            ("/api/show", Surface::OllamaChat),
            ("/litellm/api/embed", Surface::OllamaChat),
            ("/", Surface::ChatCompletions),
        ];
        for (path, expected) in table {
            assert_eq!(of(path), expected, "{path}");
        }
    }
}
