//! Request fields that do not tell requests apart. Whatever could change an answer may never be among them.

use super::error::ConfigError;
use super::fields::Fields;

/// What is harmless when nobody says.
const DEFAULT: &[&str] = &[
    "stream",
    "stream_options",
    "user",
    "safety_identifier",
    "metadata",
    "prompt_cache_key",
    "prompt_cache_retention",
];

/// Fields that may never be named harmless, and what each decides.
const NEVER: &[(&[&str], &str)] = &[
    (
        &[
            "messages",
            "prompt",
            "input",
            "system",
            "instructions",
            "suffix",
            "prefix",
            "documents",
            "conversation",
            "previous_response_id",
        ],
        "it is a part of what is asked",
    ),
    (&["model", "models"], "it decides who answers"),
    (
        &["tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "web_search_options", "plugins"],
        "it decides what the model may call",
    ),
    (
        &[
            "response_format",
            "text",
            "modalities",
            "audio",
            "n",
            "best_of",
            "echo",
            "logprobs",
            "top_logprobs",
            "dimensions",
            "encoding_format",
            "format",
            "guided_json",
            "guided_regex",
            "guided_choice",
            "guided_grammar",
            "grammar",
            "chat_template",
            "chat_template_kwargs",
            "include",
        ],
        "it decides the form of the answer",
    ),
    (
        &[
            "temperature",
            "top_p",
            "top_k",
            "min_p",
            "top_a",
            "typical_p",
            "seed",
            "max_tokens",
            "max_completion_tokens",
            "max_output_tokens",
            "min_tokens",
            "stop",
            "stop_token_ids",
            "ignore_eos",
            "frequency_penalty",
            "presence_penalty",
            "repetition_penalty",
            "length_penalty",
            "logit_bias",
            "use_beam_search",
            "beam_width",
            "options",
            "num_ctx",
            "reasoning",
            "reasoning_effort",
            "thinking",
            "thinking_budget",
            "enable_thinking",
            "think",
            "verbosity",
            "prediction",
            "truncation",
        ],
        "it decides how the answer is made",
    ),
];

/// Reads `harmless_fields`. A list in the file takes the place of the default.
pub(super) fn fields(cache: &Fields<'_>) -> Result<Vec<String>, ConfigError> {
    let Some(list) = cache.get("harmless_fields") else {
        return Ok(DEFAULT.iter().map(|&field| field.to_owned()).collect());
    };
    let mut fields = Vec::new();
    for item in list.list()? {
        let field = item.text()?;
        let never = |(names, _): &&(&[&str], _)| names.iter().any(|name| name.eq_ignore_ascii_case(field.trim()));
        if let Some((_, why)) = NEVER.iter().find(never) {
            let error = item.error(format!("`{field}` cannot be harmless: {why}"));
            return Err(error.with_suggestion("requests that differ in it must not share an answer; remove it"));
        }
        if fields.contains(&field) {
            return Err(item.error(format!("`{field}` is there twice")).with_suggestion("remove one of them"));
        }
        fields.push(field);
    }
    Ok(fields)
}
