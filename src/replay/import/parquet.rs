//! Parquet → rows, as JSON lines would give them: LMSYS-Chat, WildChat, and tables of questions and answers.
//!
//! Rows are put together page by page, one row group after the other: in memory are the file as it lies on disk, and one
//! page of each column. The crate that reads pages asserts what it expects of them; that is caught here, so that a broken
//! file is an error like any other.

use super::rows::Row;
use super::{MAX_BYTES, MAX_REQUESTS};
use ::parquet::basic::Compression;
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::ParquetMetaData;
use ::parquet::file::reader::FileReader;
use ::parquet::file::serialized_reader::SerializedFileReader;
use ::parquet::record::Field;
use ::parquet::record::reader::RowIter;
use ::parquet::schema::types::Type;
use bytes::Bytes;
use serde_json::{Map, Number, Value};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What a Parquet file begins and ends with.
pub(super) const MAGIC: &[u8] = b"PAR1";
/// Most rows of one file; most of them may ask nothing.
const MAX_ROWS: i64 = 8 * MAX_REQUESTS as i64;
/// Columns that say nothing of a request and take as much time as all others.
const PASSED_OVER: [&str; 2] = ["openai_moderation", "detoxify_moderation"];

/// The rows of a file, in order.
pub(super) struct Rows {
    /// None when it has ended.
    rows: Option<RowIter<'static>>,
    number: usize,
    /// Bytes of text so far.
    bytes: u64,
}

/// Opens the Parquet file in `bytes`. The error says what was found instead of one that can be read.
pub(super) fn rows(bytes: Vec<u8>) -> Result<Rows, String> {
    if bytes.len() < 2 * MAGIC.len() + 4 || !bytes.ends_with(MAGIC) {
        return Err("is Parquet that does not end as such: it was cut off; fetch it again".to_owned());
    }
    let reader = guarded(|| SerializedFileReader::new(Bytes::from(bytes)))?;
    let schema = reader.metadata().file_metadata().schema();
    let columns: Vec<Arc<Type>> =
        schema.get_fields().iter().filter(|column| !PASSED_OVER.contains(&column.name())).cloned().collect();
    check(reader.metadata(), &columns)?;
    let projection = guarded(|| Type::group_type_builder(schema.name()).with_fields(columns).build())?;
    let rows = guarded(|| RowIter::from_file_into(Box::new(reader)).project(Some(projection)))?;
    Ok(Rows { rows: Some(rows), number: 0, bytes: 0 })
}

/// Is the file within the limits, and packed in a way that can be unpacked?
fn check(file: &ParquetMetaData, columns: &[Arc<Type>]) -> Result<(), String> {
    let rows = file.file_metadata().num_rows();
    if !(0..=MAX_ROWS).contains(&rows) {
        return Err(format!("is Parquet of {rows} rows: expected at most {MAX_ROWS}; split it"));
    }
    let mut bytes: u64 = 0;
    for chunk in file.row_groups().iter().flat_map(|group| group.columns()) {
        let name = chunk.column_path().string();
        if !columns.iter().any(|column| chunk.column_path().parts().first().is_some_and(|top| top == column.name())) {
            continue;
        }
        match chunk.compression() {
            Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::GZIP(_) => {}
            other => {
                let word = format!("{other:?}");
                let word = word.split('(').next().unwrap_or_default();
                return Err(format!(
                    "is Parquet whose column `{name}` is packed by {word}: write it with snappy, gzip or no compression"
                ));
            }
        }
        bytes = bytes.saturating_add(u64::try_from(chunk.uncompressed_size()).unwrap_or(u64::MAX));
    }
    if bytes > MAX_BYTES {
        return Err(format!("is Parquet of more than {} GiB unpacked: split it", MAX_BYTES >> 30));
    }
    Ok(())
}

impl Iterator for Rows {
    type Item = Result<Row, String>;

    fn next(&mut self) -> Option<Result<Row, String>> {
        let rows = self.rows.as_mut()?;
        self.number += 1;
        let at = format!("row {}", self.number);
        let row = match guarded(|| rows.next().transpose()) {
            Ok(Some(row)) => Ok(row),
            Ok(None) => {
                self.rows = None;
                return None;
            }
            Err(why) => Err(format!("{at}: {why}")),
        };
        let row = row.and_then(|row| {
            let fields: Map<String, Value> =
                row.into_columns().into_iter().map(|(name, field)| (name, value(field, &mut self.bytes))).collect();
            match self.bytes > MAX_BYTES {
                true => Err(format!("{at}: is past {} GiB of unpacked text: split the file", MAX_BYTES >> 30)),
                false => Ok(Row { at, fields }),
            }
        });
        if row.is_err() {
            self.rows = None;
        }
        Some(row)
    }
}

/// Runs a step of the reader. What it asserts of a file is an error of the file.
fn guarded<T>(step: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => {
            let why = error.to_string();
            let why = why.strip_prefix("Parquet error: ").unwrap_or(&why);
            Err(format!("is Parquet that cannot be read: {why}"))
        }
        Err(_) => Err("is Parquet that contradicts its own schema or sizes: write it anew".to_owned()),
    }
}

/// A field as JSON has it. Points in time become seconds since the epoch; what JSON has no word for becomes null.
fn value(field: Field, bytes: &mut u64) -> Value {
    let number = |number: f64| Number::from_f64(number).map_or(Value::Null, Value::Number);
    *bytes += 8;
    match field {
        Field::Null | Field::TimeMillis(_) | Field::TimeMicros(_) | Field::Decimal(_) => Value::Null,
        Field::Bool(truth) => truth.into(),
        Field::Byte(count) => count.into(),
        Field::Short(count) => count.into(),
        Field::Int(count) => count.into(),
        Field::Long(count) => count.into(),
        Field::UByte(count) => count.into(),
        Field::UShort(count) => count.into(),
        Field::UInt(count) => count.into(),
        Field::ULong(count) => count.into(),
        Field::Float16(value) => number(f64::from(value)),
        Field::Float(value) => number(f64::from(value)),
        Field::Double(value) => number(value),
        Field::Date(days) => number(f64::from(days) * 86_400.0),
        Field::TimestampMillis(ms) => number(ms as f64 / 1e3),
        Field::TimestampMicros(us) => number(us as f64 / 1e6),
        Field::Str(text) => {
            *bytes += text.len() as u64;
            Value::String(text)
        }
        // Some writers do not mark text as such.
        Field::Bytes(raw) => match std::str::from_utf8(raw.data()) {
            Ok(text) => {
                *bytes += text.len() as u64;
                Value::String(text.to_owned())
            }
            Err(_) => Value::Null,
        },
        Field::Group(row) => {
            Value::Object(row.into_columns().into_iter().map(|(name, field)| (name, value(field, bytes))).collect())
        }
        Field::ListInternal(list) => list.elements().iter().map(|field| value(field.clone(), bytes)).collect(),
        Field::MapInternal(map) => {
            let entry = |(name, field): &(Field, Field)| match name {
                Field::Str(name) => Some((name.clone(), value(field.clone(), bytes))),
                _ => None,
            };
            Value::Object(map.entries().iter().filter_map(entry).collect())
        }
    }
}

#[cfg(test)]
mod tests;
