//! Files written by the crate's own writer, read back; and what is wrong with a file, said.

use super::super::{Format, Imported, Options, read};
use ::parquet::basic::Compression;
use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int32Type, Int64Type};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use proptest::prelude::*;
use std::sync::Arc;

/// A column: its values, definition and repetition levels.
enum Column<'a> {
    Text(&'a [&'a str], &'a [i16], &'a [i16]),
    Int(&'a [i32], &'a [i16]),
    Long(&'a [i64], &'a [i16]),
    Bool(&'a [bool], &'a [i16]),
}

/// A file of one row group for each of `groups`.
fn file(schema: &str, compression: Compression, groups: &[&[Column<'_>]]) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut file = SerializedFileWriter::new(Vec::new(), schema, properties.into()).unwrap();
    for columns in groups {
        let mut group = file.next_row_group().unwrap();
        for column in *columns {
            let mut writer = group.next_column().unwrap().unwrap();
            match column {
                Column::Text(texts, defined, repeated) => {
                    let texts: Vec<ByteArray> = texts.iter().map(|text| ByteArray::from(*text)).collect();
                    writer.typed::<ByteArrayType>().write_batch(&texts, Some(defined), Some(repeated)).unwrap();
                }
                Column::Int(values, defined) => {
                    writer
                        .typed::<Int32Type>()
                        .write_batch(values, Some(defined), Some(&vec![0; defined.len()]))
                        .unwrap();
                }
                Column::Long(values, defined) => {
                    writer
                        .typed::<Int64Type>()
                        .write_batch(values, Some(defined), Some(&vec![0; defined.len()]))
                        .unwrap();
                }
                Column::Bool(values, defined) => {
                    writer
                        .typed::<BoolType>()
                        .write_batch(values, Some(defined), Some(&vec![0; defined.len()]))
                        .unwrap();
                }
            }
            writer.close().unwrap();
        }
        group.close().unwrap();
    }
    file.into_inner().unwrap()
}

const CHATS: &str = "message chats {
    optional binary conversation_id (UTF8);
    optional binary model (UTF8);
    optional group conversation (LIST) { repeated group list { optional group element {
        optional binary content (UTF8);
        optional binary role (UTF8);
    } } }
    optional int32 turn;
    optional binary language (UTF8);
    optional int64 timestamp (TIMESTAMP(MICROS,true));
    optional group openai_moderation (LIST) { repeated group list { optional boolean element; } }
}";

/// Two conversations of two turns and of one, the later one first; each in a row group of its own.
fn chats(compression: Compression) -> Vec<u8> {
    let first = [
        Column::Text(&["c1"], &[1], &[0]),
        Column::Text(&["m"], &[1], &[0]),
        Column::Text(&["Hi", "Hello!", "And you?", "Fine."], &[4; 4], &[0, 1, 1, 1]),
        Column::Text(&["user", "assistant", "user", "assistant"], &[4; 4], &[0, 1, 1, 1]),
        Column::Int(&[2], &[1]),
        Column::Text(&["English"], &[1], &[0]),
        Column::Long(&[1_681_000_060_000_000], &[1]),
        Column::Bool(&[], &[0]),
    ];
    let second = [
        Column::Text(&["c2"], &[1], &[0]),
        Column::Text(&["m"], &[1], &[0]),
        Column::Text(&["Bonjour", "Salut"], &[4; 2], &[0, 1]),
        Column::Text(&["user", "assistant"], &[4; 2], &[0, 1]),
        Column::Int(&[1], &[1]),
        Column::Text(&["French"], &[1], &[0]),
        Column::Long(&[1_681_000_000_000_000], &[1]),
        Column::Bool(&[], &[0]),
    ];
    file(CHATS, compression, &[&first, &second])
}

fn import(bytes: Vec<u8>, format: Option<Format>, scope: &str) -> Result<Imported, String> {
    read("day.parquet", bytes, &Options { format, scope_field: scope.to_owned(), limit: usize::MAX })
}

/// Question, answer, scope and time of a request.
type Seen<'a> = (&'a str, Option<&'a str>, Option<&'a str>, f64);

fn seen(imported: &Imported) -> Vec<Seen<'_>> {
    imported.requests.iter().map(|r| (&*r.text, r.answer.as_deref(), r.scope.as_deref(), r.t)).collect()
}

#[test]
fn reads_conversations_whatever_they_are_packed_by() {
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::GZIP(Default::default())] {
        let imported = import(chats(compression), None, "language").unwrap();
        assert_eq!((imported.format, imported.skipped), (Format::Lmsys, 0));
        let expected = [
            ("Bonjour", Some("Salut"), Some("French"), 0.0),
            ("Hi", Some("Hello!"), Some("English"), 60.0),
            ("And you?", Some("Fine."), Some("English"), 60.0),
        ];
        assert_eq!(seen(&imported), expected, "{compression:?}");
        assert_eq!(imported.requests[0].model.as_deref(), Some("m"));
        assert!(imported.requests[2].body.contains("Hello!"), "{}", imported.requests[2].body);
    }
}

#[test]
fn reads_tables_of_questions() {
    let schema = "message t { required binary question; optional binary answer (UTF8); optional int64 group; optional int32 t; }";
    let columns = [
        Column::Text(&["How old?", "How tall?", " "], &[0; 3], &[0; 3]),
        Column::Text(&["12", "No idea"], &[1, 0, 1], &[0; 3]),
        Column::Long(&[7, 8, 9], &[1; 3]),
        Column::Int(&[5, 6, 7], &[1; 3]),
    ];
    let imported = import(file(schema, Compression::SNAPPY, &[&columns]), None, "scope").unwrap();
    assert_eq!((imported.format, imported.skipped), (Format::Csv, 1));
    assert_eq!(seen(&imported), [("How old?", Some("12"), None, 5.0), ("How tall?", None, None, 6.0)]);
    assert_eq!(imported.requests[1].group.as_deref(), Some("8"));

    let schema = "message t { required binary question1; required binary question2; required boolean is_duplicate; }";
    let columns = [
        Column::Text(&["How old?", "Which age?"], &[0; 2], &[0; 2]),
        Column::Text(&["What age?", "How tall?"], &[0; 2], &[0; 2]),
        Column::Bool(&[true, false], &[0; 2]),
    ];
    let imported = import(file(schema, Compression::SNAPPY, &[&columns]), None, "scope").unwrap();
    let groups: Vec<_> = imported.requests.iter().map(|request| request.group.as_deref().unwrap()).collect();
    assert_eq!(groups, ["q0", "q0", "q2", "q3"]);
}

/// `bytes` with the last `old` in it made `new`, of one length.
fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = bytes.windows(old.len()).rposition(|window| window == old).unwrap();
    [&bytes[..at], new, &bytes[at + old.len()..]].concat()
}

#[test]
fn says_what_is_wrong_with_a_file() {
    let whole = chats(Compression::SNAPPY);
    let schema = "message t { required binary text; }";
    let numbers = "message t { required int32 colour; }";
    let mut torn = whole.clone();
    torn.truncate(whole.len() / 2);
    let mut footless = whole.clone();
    let at = footless.len() - 8;
    footless[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    // The writer has no other codec either: the foot is made to say zstd, which is its number 6, written as 12.
    let zstd = replaced(&whole, b"language\x15\x02", b"language\x15\x0c");
    let turns = "message t { optional group conversation (LIST) { repeated group list { optional int32 element; } } }";
    let table = [
        (b"PAR1....".to_vec(), "it was cut off"),
        (torn, "it was cut off"),
        (zstd, "column `language` is packed by ZSTD: write it with snappy, gzip"),
        (footless, "is Parquet that cannot be read"),
        (file(numbers, Compression::SNAPPY, &[&[Column::Int(&[1], &[0])]]), "fields of its first row (colour)"),
        (
            file(turns, Compression::SNAPPY, &[&[Column::Int(&[1], &[3])]]),
            "row 1: turn 1: expected `role` and `content`",
        ),
        (file(schema, Compression::SNAPPY, &[]), "the trace is empty"),
    ];
    for (bytes, expected) in table {
        let error = import(bytes, None, "scope").unwrap_err();
        assert!(error.starts_with("day.parquet: ") && error.contains(expected), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Bytes that were flipped on the way are an error or other words, never the end of the process.
    #[test]
    fn broken_files_never_panic(flips in proptest::collection::vec((0usize..4000, any::<u8>()), 1..6), snappy: bool) {
        let mut bytes = chats(if snappy { Compression::SNAPPY } else { Compression::UNCOMPRESSED });
        let length = bytes.len();
        for (at, byte) in flips {
            // Magic and length of the foot stay: else nothing behind them is reached.
            let at = 4 + at % (length - 12);
            bytes[at] = byte;
        }
        let _ = import(bytes, None, "scope");
    }
}
