//! `Surface`: the door through which a request came.

/// An inbound endpoint family. Part of every scope: answers do not cross surfaces.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Surface {
    /// `POST /v1/chat/completions`
    ChatCompletions,
    /// `POST /v1/completions`
    Completions,
    /// `POST /v1/embeddings`
    Embeddings,
}

impl Surface {
    /// The word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Surface::ChatCompletions => "chat_completions",
            Surface::Completions => "completions",
            Surface::Embeddings => "embeddings",
        }
    }

    /// `gen_ai.operation.name` of the OpenTelemetry GenAI conventions.
    pub fn operation(self) -> &'static str {
        match self {
            Surface::ChatCompletions => "chat",
            Surface::Completions => "text_completion",
            Surface::Embeddings => "embeddings",
        }
    }

    /// Path below an OpenAI-style base URL.
    pub fn path(self) -> &'static str {
        match self {
            Surface::ChatCompletions => "/chat/completions",
            Surface::Completions => "/completions",
            Surface::Embeddings => "/embeddings",
        }
    }
}
