//! Importers: files of other tools → requests.
//!
//! - `open`: bytes as they lie on disk → text or Parquet; gzip is unpacked
//! - `rows`: text → rows, each with its place; `csv`: comma and tab separated rows; `parquet`: rows of Parquet
//! - `detect`: which format the rows are of
//! - one file a format: `native`, `openai`, `chats` (ShareGPT, LMSYS, WildChat), `litellm`, `bifrost`, `helicone`,
//!   `questions` (CSV of questions and groups, or of pairs)
//! - `draft`: what every format gives, and how it becomes a request; `reply`: answers out of response bodies; `when`:
//!   points in time
//!
//! A row that cannot be read ends the import: the error names the file, the place and what was expected. A row that is
//! whole but asks nothing (a failed call, an embedding) is skipped and counted.

mod bifrost;
mod chats;
mod csv;
mod detect;
mod draft;
mod helicone;
mod litellm;
mod native;
mod open;
mod openai;
mod parquet;
mod questions;
mod reply;
mod rows;
mod when;

pub use open::text;

use super::trace::Request;
use draft::Draft;
use open::Content;
use rows::Row;

/// Most bytes of one trace, unpacked.
pub const MAX_BYTES: u64 = 4 << 30;
/// Most requests of one trace.
pub const MAX_REQUESTS: usize = 5_000_000;

/// How a file is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// askonce's own trace, as `docs/replay.md` has it and as `serve` records it.
    Native,
    /// Request and response bodies of OpenAI's API.
    Openai,
    /// `conversations` of `from` and `value`.
    Sharegpt,
    /// `conversation` of `role` and `content`: LMSYS-Chat, WildChat.
    Lmsys,
    /// LiteLLM's standard logging payload, or rows of its spend logs.
    Litellm,
    /// Bifrost's logs.
    Bifrost,
    /// Helicone's exports.
    Helicone,
    /// Columns of questions and groups, or of pairs of questions.
    Csv,
    /// One question a line.
    Lines,
}

impl Format {
    /// All of them, in the order of the documentation.
    pub const ALL: [Format; 9] = [
        Format::Native,
        Format::Openai,
        Format::Sharegpt,
        Format::Lmsys,
        Format::Litellm,
        Format::Bifrost,
        Format::Helicone,
        Format::Csv,
        Format::Lines,
    ];

    /// Its word on the command line and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Native => "askonce",
            Format::Openai => "openai",
            Format::Sharegpt => "sharegpt",
            Format::Lmsys => "lmsys",
            Format::Litellm => "litellm",
            Format::Bifrost => "bifrost",
            Format::Helicone => "helicone",
            Format::Csv => "csv",
            Format::Lines => "lines",
        }
    }
}

/// What an import is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// The format; detected from the content where it is not given.
    pub format: Option<Format>,
    /// The field that is the scope; dots lead into objects.
    pub scope_field: String,
    /// Requests to read at most.
    pub limit: usize,
}

/// What came in.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The requests, in the order they were asked.
    pub requests: Vec<Request>,
    /// The format they were read as.
    pub format: Format,
    /// Rows that ask nothing: failed calls, embeddings, calls without a text.
    pub skipped: usize,
}

/// Reads the trace in `bytes`; `name` is what errors call the file.
pub fn read(name: &str, bytes: Vec<u8>, options: &Options) -> Result<Imported, String> {
    read_within(bytes, options).map_err(|why| format!("{name}: {why}"))
}

fn read_within(bytes: Vec<u8>, options: &Options) -> Result<Imported, String> {
    let (format, mut drafts, skipped) = match open::content(bytes)? {
        Content::Text(text) => of_text(&text, options)?,
        Content::Parquet(bytes) => of_parquet(bytes, options)?,
    };
    drafts.truncate(options.limit.min(MAX_REQUESTS));
    let requests = draft::finish(drafts);
    if requests.is_empty() {
        return Err(match skipped {
            0 => "the trace is empty: expected one JSON object a line, or another format of docs/replay.md".to_owned(),
            _ => format!("none of its {skipped} rows holds a question; was it read as the right format?"),
        });
    }
    Ok(Imported { requests, format, skipped })
}

/// The format, what is asked, and how many rows ask nothing.
type Read = (Format, Vec<Draft>, usize);

fn of_text(text: &str, options: &Options) -> Result<Read, String> {
    let format = match options.format {
        Some(format) => format,
        None => detect::format(text)?,
    };
    match format {
        Format::Csv if questions::has_pairs(text) => Ok((format, questions::pairs(csv::rows(text)?)?, 0)),
        Format::Lines => Ok((format, lines(text), 0)),
        _ => of_rows(rows::all(text, format)?, format, options),
    }
}

fn of_parquet(bytes: Vec<u8>, options: &Options) -> Result<Read, String> {
    let mut rows = parquet::rows(bytes)?.peekable();
    // What is wrong with the first row is said when it is read.
    let Some(Ok(first)) = rows.peek() else { return of_rows(rows, Format::Csv, options) };
    let format = match options.format {
        Some(format) => format,
        None => detect::table(&first.fields)?,
    };
    match format == Format::Csv && questions::is_pair(&first.fields) {
        true => Ok((format, questions::pairs(rows)?, 0)),
        false => of_rows(rows, format, options),
    }
}

fn of_rows(rows: impl Iterator<Item = Result<Row, String>>, format: Format, options: &Options) -> Result<Read, String> {
    let scope = options.scope_field.as_str();
    let (mut drafts, mut skipped) = (Vec::new(), 0);
    for row in rows {
        if drafts.len() >= options.limit.min(MAX_REQUESTS) {
            break;
        }
        let Row { at, fields } = row?;
        let read = match format {
            Format::Native => native::read(&fields, scope),
            Format::Openai => openai::read(&fields, scope),
            Format::Sharegpt => chats::sharegpt(&fields, scope),
            Format::Lmsys => chats::lmsys(&fields, scope),
            Format::Litellm => litellm::read(&fields, scope),
            Format::Bifrost => bifrost::read(&fields, scope),
            Format::Helicone => helicone::read(&fields, scope),
            Format::Csv | Format::Lines => questions::read(&fields, scope),
        }
        .map_err(|why| format!("{at}: {why}"))?;
        skipped += usize::from(read.is_empty());
        drafts.extend(read);
    }
    Ok((format, drafts, skipped))
}

fn lines(text: &str) -> Vec<Draft> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Draft::text).collect()
}

#[cfg(test)]
mod tests;
