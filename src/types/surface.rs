//! `Surface`: the door through which a request came, and the wire that is spoken there.

/// An inbound endpoint family. Part of every scope: answers do not cross surfaces unless the operator says so.
///
/// A surface is a wire, too: a provider is sent a request of its own surface as it came, and a translation of any other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Surface {
    /// OpenAI `POST /v1/chat/completions`
    ChatCompletions,
    /// OpenAI `POST /v1/responses`
    Responses,
    /// Anthropic `POST /v1/messages`
    Messages,
    /// Google Gemini `POST /v1beta/models/{model}:generateContent` and `:streamGenerateContent`
    GenerateContent,
    /// AWS Bedrock `POST /model/{model}/converse` and `/converse-stream`
    Converse,
    /// Cohere `POST /v2/chat`
    CohereChat,
    /// Ollama `POST /api/chat`
    OllamaChat,
    /// OpenAI `POST /v1/completions`
    Completions,
    /// OpenAI `POST /v1/embeddings`
    Embeddings,
    /// Gemini `POST /v1beta/models/{model}:embedContent` and `:batchEmbedContents`
    EmbedContent,
    /// Cohere `POST /v2/embed`
    CohereEmbed,
    /// Ollama `POST /api/embed`
    OllamaEmbed,
    /// Cohere `POST /v2/rerank`, which others speak at `/v1/rerank`
    Rerank,
    /// Text Embeddings Inference `POST /rerank`: `texts` in place of `documents`, answered with a bare list
    RerankTexts,
    /// Anthropic `POST /v1/messages/count_tokens`
    CountTokens,
    /// Gemini `POST /v1beta/models/{model}:countTokens`
    CountContent,
    /// OpenAI `POST /v1/responses/input_tokens`
    InputTokens,
    /// AWS Bedrock `POST /model/{model}/invoke` and `/invoke-with-response-stream`
    InvokeModel,
    /// OpenAI `POST /v1/moderations`
    Moderations,
    /// OpenAI `POST /v1/images/…`
    Images,
    /// OpenAI `POST /v1/audio/…`
    Audio,
    /// OpenAI `/v1/files`
    Files,
    /// OpenAI `/v1/batches`
    Batches,
}

impl Surface {
    /// Every surface.
    pub const ALL: [Surface; 23] = [
        Surface::ChatCompletions,
        Surface::Responses,
        Surface::Messages,
        Surface::GenerateContent,
        Surface::Converse,
        Surface::CohereChat,
        Surface::OllamaChat,
        Surface::Completions,
        Surface::Embeddings,
        Surface::EmbedContent,
        Surface::CohereEmbed,
        Surface::OllamaEmbed,
        Surface::Rerank,
        Surface::RerankTexts,
        Surface::CountTokens,
        Surface::CountContent,
        Surface::InputTokens,
        Surface::InvokeModel,
        Surface::Moderations,
        Surface::Images,
        Surface::Audio,
        Surface::Files,
        Surface::Batches,
    ];

    /// The surfaces of conversations: each can be translated into each other.
    pub const CHATS: [Surface; 7] = [
        Surface::ChatCompletions,
        Surface::Responses,
        Surface::Messages,
        Surface::GenerateContent,
        Surface::Converse,
        Surface::CohereChat,
        Surface::OllamaChat,
    ];

    /// The word for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Surface::ChatCompletions => "chat_completions",
            Surface::Responses => "responses",
            Surface::Messages => "messages",
            Surface::GenerateContent => "generate_content",
            Surface::Converse => "converse",
            Surface::CohereChat => "cohere_chat",
            Surface::OllamaChat => "ollama_chat",
            Surface::Completions => "completions",
            Surface::Embeddings => "embeddings",
            Surface::EmbedContent => "embed_content",
            Surface::CohereEmbed => "cohere_embed",
            Surface::OllamaEmbed => "ollama_embed",
            Surface::Rerank => "rerank",
            Surface::RerankTexts => "rerank_texts",
            Surface::CountTokens => "count_tokens",
            Surface::CountContent => "count_content",
            Surface::InputTokens => "input_tokens",
            Surface::InvokeModel => "invoke_model",
            Surface::Moderations => "moderations",
            Surface::Images => "images",
            Surface::Audio => "audio",
            Surface::Files => "files",
            Surface::Batches => "batches",
        }
    }

    /// The surface of that word.
    pub fn from_word(word: &str) -> Option<Surface> {
        Surface::ALL.into_iter().find(|surface| surface.as_str() == word)
    }

    /// Is it a surface of conversations?
    pub fn is_chat(self) -> bool {
        Surface::CHATS.contains(&self)
    }

    /// `gen_ai.operation.name` of the OpenTelemetry GenAI conventions, and words of that kind where they have none.
    pub fn operation(self) -> &'static str {
        match self {
            Surface::GenerateContent => "generate_content",
            surface if surface.is_chat() => "chat",
            Surface::InvokeModel => "chat",
            Surface::Completions => "text_completion",
            Surface::Rerank | Surface::RerankTexts => "rerank",
            Surface::Embeddings | Surface::EmbedContent | Surface::CohereEmbed | Surface::OllamaEmbed => "embeddings",
            other => other.as_str(),
        }
    }

    /// Path below an OpenAI-style base URL; of no use where the model stands in the path.
    pub fn path(self) -> &'static str {
        match self {
            Surface::ChatCompletions => "/chat/completions",
            Surface::Responses => "/responses",
            Surface::InputTokens => "/responses/input_tokens",
            Surface::Messages => "/messages",
            Surface::CountTokens => "/messages/count_tokens",
            Surface::Completions => "/completions",
            Surface::Embeddings => "/embeddings",
            Surface::CohereChat => "/chat",
            Surface::CohereEmbed => "/embed",
            Surface::OllamaChat => "/api/chat",
            Surface::OllamaEmbed => "/api/embed",
            Surface::Rerank | Surface::RerankTexts => "/rerank",
            Surface::Moderations => "/moderations",
            Surface::Files => "/files",
            Surface::Batches => "/batches",
            Surface::GenerateContent
            | Surface::Converse
            | Surface::EmbedContent
            | Surface::CountContent
            | Surface::InvokeModel
            | Surface::Images
            | Surface::Audio => "",
        }
    }
}
