//! `Chat`: a conversation in no vendor's words. Every wire of conversations is read into it and written from it, so that
//! there is one translation per wire and not one per pair.
//!
//! JSON that the gateway has no need to understand (schemas, arguments) stays text, in its written order.

use super::json::Number;

/// One request of a conversation.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Chat {
    /// The model, as it is to be sent.
    pub model: String,
    /// What stands before the conversation: text parts.
    pub system: Vec<Part>,
    /// The conversation, the oldest turn first.
    pub messages: Vec<Message>,
    /// What the model may call.
    pub tools: Vec<Tool>,
    /// Whether and what it must call.
    pub tool_choice: Option<ToolChoice>,
    /// Whether it may call several at once; `None` is the vendor's default.
    pub parallel_tool_calls: Option<bool>,
    /// The form of the answer.
    pub format: Option<Format>,
    /// How much it is to think.
    pub reasoning: Option<Reasoning>,
    /// The most tokens of the answer.
    pub max_tokens: Option<u64>,
    /// Sampling temperature, in the vendor's own range.
    pub temperature: Option<Number>,
    /// Nucleus sampling.
    pub top_p: Option<Number>,
    /// Sampling from the so many likeliest.
    pub top_k: Option<u64>,
    /// Penalty on tokens by how often they stand there.
    pub frequency_penalty: Option<Number>,
    /// Penalty on tokens that stand there.
    pub presence_penalty: Option<Number>,
    /// Seed of the sampling.
    pub seed: Option<Number>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// How many answers are wanted; `None` is one.
    pub choices: Option<u64>,
    /// The end user, for the vendor's abuse detection.
    pub user: Option<String>,
    /// A stream is wanted.
    pub stream: bool,
    /// Usage is wanted in the stream, where that is asked for.
    pub include_usage: bool,
    /// Fields of the request that have no word here: a path such as `logit_bias`, and their JSON.
    pub extra: Vec<Extra>,
}

/// A field that has no word in [`Chat`].
#[derive(Clone, PartialEq, Debug)]
pub struct Extra {
    /// Its name in the wire it came in.
    pub name: String,
    /// Its value, as JSON text.
    pub json: String,
    /// Leaving it out would change what kind of answer comes back, and not only bias it: it is refused where it cannot be
    /// carried, and not reported.
    pub essential: bool,
}

/// One turn.
#[derive(Clone, PartialEq, Debug)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub parts: Vec<Part>,
    /// The speaker's name, where there are several of one role.
    pub name: Option<String>,
}

/// Who speaks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// The operator, in the middle of the conversation; what stands before it is [`Chat::system`].
    System,
    /// The end user.
    User,
    /// The model.
    Assistant,
    /// Tools: a turn of nothing but [`Content::ToolResult`]s.
    Tool,
}

/// A piece of a turn.
#[derive(Clone, PartialEq, Debug)]
pub struct Part {
    /// What it is.
    pub content: Content,
    /// The provider's prompt cache is to keep everything up to here.
    pub cache: Option<CacheMark>,
    /// What the vendor signed it with; goes back with it unread (Anthropic `signature`, Gemini `thoughtSignature`,
    /// `encrypted_content` of Responses).
    pub signature: Option<String>,
}

/// What a piece of a turn is.
#[derive(Clone, PartialEq, Debug)]
pub enum Content {
    /// Words.
    Text(String),
    /// Words with which the model refused.
    Refusal(String),
    /// A picture.
    Image(Media),
    /// A sound.
    Audio(Media),
    /// A moving picture.
    Video(Media),
    /// A document.
    Document(Media),
    /// Thoughts of the model; empty where only the signature is told.
    Thinking(String),
    /// Thoughts that the vendor encrypted whole.
    RedactedThinking(String),
    /// The model calls a tool.
    ToolCall(ToolCall),
    /// What a tool gave.
    ToolResult(ToolResult),
}

/// Bytes that are no words, or where they are.
#[derive(Clone, PartialEq, Debug)]
pub struct Media {
    /// The bytes, or where they are.
    pub source: Source,
    /// As in `image/png`; `None` where it was not said.
    pub media_type: Option<String>,
    /// File name or title.
    pub name: Option<String>,
    /// How closely to look (`low`, `high`, `auto`).
    pub detail: Option<String>,
}

/// Where bytes are.
#[derive(Clone, PartialEq, Debug)]
pub enum Source {
    /// Here, in standard base64.
    Data(String),
    /// At an address, which the provider fetches.
    Url(String),
    /// At the provider, under an id.
    File(String),
    /// Here, as plain text.
    Text(String),
}

/// A call of a tool.
#[derive(Clone, PartialEq, Debug)]
pub struct ToolCall {
    /// What its result is told by.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments, as JSON text; usually an object, and whatever the model wrote.
    pub arguments: String,
}

/// What a tool gave.
#[derive(Clone, PartialEq, Debug)]
pub struct ToolResult {
    /// The call it is about.
    pub id: String,
    /// The tool's name, where the wire told it.
    pub name: Option<String>,
    /// What it gave.
    pub parts: Vec<Part>,
    /// It failed.
    pub failed: bool,
}

/// Up to where the provider's prompt cache is to keep the request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CacheMark {
    /// For how long, as in `5m` and `1h`.
    pub ttl: Option<String>,
}

/// Something that the model may call.
#[derive(Clone, PartialEq, Debug)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The JSON schema of its arguments, as JSON text; `None` where it takes none.
    pub parameters: Option<String>,
    /// Arguments must keep to the schema.
    pub strict: Option<bool>,
    /// The prompt cache is to keep everything up to here.
    pub cache: Option<CacheMark>,
}

/// Whether and what the model must call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToolChoice {
    /// As it likes.
    Auto,
    /// Nothing.
    None,
    /// Something.
    Any,
    /// This tool.
    Tool(String),
}

/// The form of an answer.
#[derive(Clone, PartialEq, Debug)]
pub enum Format {
    /// Any JSON object.
    Json,
    /// JSON that keeps to a schema.
    Schema(Schema),
}

/// A form by JSON schema.
#[derive(Clone, PartialEq, Debug)]
pub struct Schema {
    /// Its name, where the wire wants one.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The schema, as JSON text.
    pub schema: String,
    /// The answer must keep to it.
    pub strict: Option<bool>,
}

/// How much the model is to think.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Reasoning {
    /// Whether at all; `None` where only the rest was said.
    pub enabled: Option<bool>,
    /// In words: `none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`.
    pub effort: Option<String>,
    /// In tokens.
    pub budget_tokens: Option<u64>,
    /// Thoughts, or a summary of them, are to be told.
    pub include: Option<bool>,
}

impl Part {
    /// A part with nothing more said about it.
    pub fn new(content: Content) -> Part {
        Part { content, cache: None, signature: None }
    }

    /// Words.
    pub fn text(text: impl Into<String>) -> Part {
        Part::new(Content::Text(text.into()))
    }

    /// The words, where that is what it is.
    pub fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Message {
    /// A turn of these parts.
    pub fn new(role: Role, parts: Vec<Part>) -> Message {
        Message { role, parts, name: None }
    }
}

impl Media {
    /// Bytes in base64, or where they are, with nothing more said about them.
    pub fn new(source: Source, media_type: Option<String>) -> Media {
        Media { source, media_type, name: None, detail: None }
    }
}

impl Reasoning {
    /// Tokens of thought that an effort amounts to, where a wire has a budget and no words; as OpenRouter maps them, out of
    /// a usual limit of 32,768.
    pub fn budget(&self) -> Option<u64> {
        self.budget_tokens.or_else(|| match self.effort.as_deref()? {
            "minimal" | "low" => Some(4_096),
            "medium" => Some(12_288),
            "high" => Some(24_576),
            "xhigh" | "max" => Some(32_000),
            _ => None,
        })
    }

    /// The effort that a budget amounts to, where a wire has words and no budget.
    pub fn effort_word(&self) -> Option<&str> {
        self.effort.as_deref().or_else(|| match (self.budget_tokens?, self.enabled) {
            (_, Some(false)) | (0, _) => Some("none"),
            (1..=4_096, _) => Some("low"),
            (4_097..=12_288, _) => Some("medium"),
            _ => Some("high"),
        })
    }

    /// No thoughts are wanted.
    pub fn is_off(&self) -> bool {
        self.enabled == Some(false) || self.effort.as_deref() == Some("none") || self.budget_tokens == Some(0)
    }
}

impl Chat {
    /// The name of the tool whose call has this id, for wires that tell results by names.
    pub fn tool_of(&self, id: &str) -> Option<&str> {
        let parts = self.messages.iter().rev().flat_map(|message| &message.parts);
        parts
            .filter_map(|part| match &part.content {
                Content::ToolCall(call) if call.id == id => Some(call.name.as_str()),
                _ => None,
            })
            .next()
    }
}
