//! `Embeddings`: a request of vectors in no vendor's words, and `Vectors`: what it is answered with.
//!
//! Numbers stay JSON text as far as they can: nothing is rounded on the way, and nothing is computed twice.

use super::chat::Extra;
use super::usage::Usage;

/// One request of vectors.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Embeddings {
    /// The model, as it is to be sent.
    pub model: String,
    /// What is embedded, one vector each.
    pub inputs: Vec<Input>,
    /// There is one input, and it did not stand in a list: some wires answer that without one.
    pub alone: bool,
    /// How long the vectors are to be.
    pub dimensions: Option<u64>,
    /// The forms of number that are wanted; empty is the vendor's default, which is floats everywhere.
    pub encodings: Vec<Encoding>,
    /// What the vectors are for.
    pub task: Option<Task>,
    /// The title of what is embedded, where it is a document.
    pub title: Option<String>,
    /// What becomes of an input that is longer than the model reads.
    pub truncate: Option<Truncate>,
    /// Whether the vectors are to have the length 1.
    pub normalize: Option<bool>,
    /// The end user, for the vendor's abuse detection.
    pub user: Option<String>,
    /// Fields that have no word here.
    pub extra: Vec<Extra>,
}

/// What is embedded.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// Words.
    Text(String),
    /// Words as the numbers of a model's tokens.
    Tokens(Vec<u64>),
    /// A picture, as a `data:` URL or an address.
    Image(String),
    /// Words and pictures that make one vector together.
    Mixed(Vec<Input>),
}

/// A form of number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// Floating point numbers, in digits.
    Float,
    /// Floats of 32 bits, the least byte first, in base64.
    Base64,
    /// Bytes with a sign.
    Int8,
    /// Bytes without a sign.
    Uint8,
    /// Bits, eight to a byte with a sign.
    Binary,
    /// Bits, eight to a byte without a sign.
    Ubinary,
}

/// What vectors are for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Task {
    /// To be searched.
    Document,
    /// To search with.
    Query,
    /// To be compared with each other.
    Similarity,
    /// To be sorted into classes.
    Classification,
    /// To be grouped.
    Clustering,
    /// To find answers to a question.
    QuestionAnswering,
    /// To find what speaks for or against a statement.
    FactVerification,
    /// To find code by words.
    CodeQuery,
    /// Pictures, where the vendor wants to be told.
    Image,
}

/// What becomes of an input that is too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Truncate {
    /// It is an error.
    Never,
    /// Its beginning is left out.
    Start,
    /// Its end is left out.
    End,
}

/// What a request of vectors is answered with.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Vectors {
    /// The answer's id.
    pub id: Option<String>,
    /// The model that made them, as its provider says.
    pub model: Option<String>,
    /// The vectors in the order of the inputs, in each form that came.
    pub forms: Vec<Form>,
    /// Tokens.
    pub usage: Option<Usage>,
}

/// All vectors of an answer in one form of number.
#[derive(Clone, PartialEq, Debug)]
pub struct Form {
    /// The form.
    pub encoding: Encoding,
    /// One text each: a list of numbers in JSON, or base64 without quotes.
    pub vectors: Vec<String>,
}

impl Embeddings {
    /// The forms of number that are wanted; floats where nothing was said.
    pub fn wanted(&self) -> &[Encoding] {
        if self.encodings.is_empty() { &[Encoding::Float] } else { &self.encodings }
    }
}

impl Vectors {
    /// The vectors in that form.
    pub fn form(&self, encoding: Encoding) -> Option<&[String]> {
        self.forms.iter().find(|form| form.encoding == encoding).map(|form| form.vectors.as_slice())
    }
}
