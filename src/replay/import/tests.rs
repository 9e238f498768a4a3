//! Small files of every format, written for these tests in the shape that each tool documents.

use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::io::Write;

fn import(text: &str) -> Result<Imported, String> {
    import_as(text.as_bytes().to_vec(), None, "scope")
}

fn import_as(bytes: Vec<u8>, format: Option<Format>, scope: &str) -> Result<Imported, String> {
    read("day.log", bytes, &Options { format, scope_field: scope.to_owned(), limit: usize::MAX })
}

/// Question, answer, group, seconds and tokens of every request.
type Seen<'r> = (&'r str, Option<&'r str>, Option<&'r str>, f64, u64, u64);

fn seen(imported: &Imported) -> Vec<Seen<'_>> {
    let of = |r: &'_ Request| (r.t, r.usage.input_tokens, r.usage.output_tokens);
    imported
        .requests
        .iter()
        .map(|r| (&*r.text, r.answer.as_deref(), r.group.as_deref(), of(r).0, of(r).1, of(r).2))
        .collect()
}

#[test]
fn reads_its_own_traces() {
    let text = concat!(
        "{\"text\":\"a\",\"group\":1,\"src\":\"x\",\"t\":2.5,\"in_tok\":3}\n\n",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"b\"}],\"group\":\"g\",\"answer\":\"B\"}\n",
        "{\"question_hash\":\"77aa\",\"answer\":\"C\",\"tier\":\"exact\",\"similarity\":null}\n"
    );
    let imported = import_as(text.into(), None, "src").unwrap();
    assert_eq!((imported.format, imported.skipped), (Format::Native, 0));
    let expected = [
        ("a", None, Some("1"), 2.5, 3, 0),
        ("b", Some("B"), Some("g"), 0.0, 0, 0),
        ("77aa", Some("C"), None, 0.0, 0, 0),
    ];
    assert_eq!(seen(&imported), expected);
    let scopes: Vec<_> = imported.requests.iter().map(|r| (r.scope.as_deref(), r.hashed)).collect();
    assert_eq!(scopes, [(Some("x"), false), (None, false), (None, true)]);
    let recorded = "{\"id\":\"r\",\"t\":1772359200.5,\"scope\":\"b3:00\",\"model\":\"m\",\"text\":\"b3:00112233445566778899aabbccddeeff\",\"normalised\":\"b3:ff112233445566778899aabbccddeeff\",\"answer\":\"b3:aa\",\"cache\":\"hit/exact\",\"took_ms\":3}";
    let imported = import(recorded).unwrap();
    let request = &imported.requests[0];
    assert!(request.hashed && request.cached && request.text.starts_with("b3:ff"), "{request:?}");
    assert_eq!((request.t, request.took_ms, request.model.as_deref()), (0.0, Some(3.0), Some("m")));
}

#[test]
fn reads_logs_of_openai_bodies() {
    let text = r#"
{"timestamp":"2026-03-01T10:00:05Z","request":{"model":"m-1","temperature":0,"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"Opening hours?"}]},"response":{"choices":[{"index":0,"message":{"role":"assistant","content":"9 to 5."}}],"usage":{"prompt_tokens":12,"completion_tokens":4}}}
{"timestamp":"2026-03-01T10:00:00Z","request":{"body":{"model":"m-1","prompt":"2+2="}},"response":{"status":200,"body":{"choices":[{"text":"4"}]}}}
{"timestamp":"2026-03-01T10:00:07Z","request":{"model":"m-2","input":[{"role":"user","content":[{"type":"input_text","text":"Who?"}]}]},"response":{"output":[{"type":"message","content":[{"type":"output_text","text":"Me."}]}],"usage":{"input_tokens":2,"output_tokens":1}}}
{"timestamp":"2026-03-01T10:00:08Z","request":{"model":"embed-small","input":"Who?"},"response":{"data":[]}}
{"timestamp":"2026-03-01T10:00:09Z","request":{"model":"m-2","input":"Where?"},"response":{"error":{"message":"overloaded"}}}
"#;
    let imported = import(text).unwrap();
    assert_eq!((imported.format, imported.skipped), (Format::Openai, 2));
    let expected = [
        ("2+2=", Some("4"), None, 0.0, 0, 0),
        ("Opening hours?", Some("9 to 5."), None, 5.0, 12, 4),
        ("Who?", Some("Me."), None, 7.0, 2, 1),
    ];
    assert_eq!(seen(&imported), expected);
    // Sampling and earlier turns count: they are in the body that the scope is made of.
    let body = &imported.requests[1].body;
    assert!(body.contains("\"temperature\":0") && body.contains("be brief") && body.contains("m-1"), "{body}");
}

#[test]
fn every_turn_of_a_chat_is_a_request() {
    let sharegpt = r#"[{"id":"c1","conversations":[
        {"from":"human","value":"Hi"},{"from":"gpt","value":"Hello!"},
        {"from":"human","value":"And you?"},{"from":"gpt","value":"Fine."},{"from":"human","value":"Bye"}]}]"#;
    let lmsys = r#"{"conversation_id":"c1","model":"vic","turn":2,"conversation":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello!"},{"role":"user","content":"And you?"},{"role":"assistant","content":"Fine."},{"role":"user","content":"Bye"}],"language":"English"}"#;
    for (text, format) in [(sharegpt, Format::Sharegpt), (lmsys, Format::Lmsys)] {
        let imported = import(text).unwrap();
        assert_eq!(imported.format, format);
        let turns: Vec<_> = seen(&imported).into_iter().map(|seen| (seen.0, seen.1)).collect();
        assert_eq!(turns, [("Hi", Some("Hello!")), ("And you?", Some("Fine.")), ("Bye", None)]);
        let body = &imported.requests[1].body;
        assert!(body.contains("Hello!") && !body.contains("Fine."), "{body}");
    }
    let wildchat = r#"{"conversation_hash":"ab","model":"m","timestamp":"2023-04-09T00:03:00Z","turn":1,"conversation":[{"content":"Late","role":"user","timestamp":"2023-04-09T00:02:53","turn_identifier":1},{"content":"Yes","role":"assistant","timestamp":"2023-04-09T00:03:00Z"}]}
{"conversation_hash":"cd","model":"m","timestamp":"2023-04-09T00:01:00Z","turn":1,"conversation":[{"content":"Early","role":"user","timestamp":"2023-04-09T00:00:53Z"},{"content":"No","role":"assistant"}]}"#;
    let imported = import(wildchat).unwrap();
    let expected = [("Early", Some("No"), None, 0.0, 0, 0), ("Late", Some("Yes"), None, 120.0, 0, 0)];
    assert_eq!((imported.format, seen(&imported)), (Format::Lmsys, expected.to_vec()));
}

#[test]
fn reads_the_logs_of_other_gateways() {
    let litellm = r#"{"id":"1","call_type":"acompletion","status":"success","startTime":1772359200.0,"endTime":1772359201.5,"model":"m","prompt_tokens":9,"completion_tokens":2,"end_user":"u1","messages":[{"role":"user","content":"Refund?"}],"response":{"choices":[{"message":{"role":"assistant","content":"Yes."}}]},"model_parameters":{"temperature":0.2},"metadata":{"user_api_key_alias":"shop"}}
{"id":"2","call_type":"acompletion","status":"failure","startTime":1772359201.0,"messages":[{"role":"user","content":"Refund?"}],"response":{}}
{"id":"3","call_type":"aembedding","status":"success","startTime":1772359202.0,"messages":"x"}
{"request_id":"4","call_type":"completion","startTime":"2026-03-01T10:00:10Z","messages":"[{\"role\":\"user\",\"content\":\"Cancel?\"}]","response":"{\"choices\":[{\"message\":{\"content\":\"No.\"}}]}","metadata":{"user_api_key_alias":"desk"}}"#;
    let imported = import_as(litellm.into(), None, "metadata.user_api_key_alias").unwrap();
    assert_eq!((imported.format, imported.skipped), (Format::Litellm, 2));
    let expected = [("Refund?", Some("Yes."), None, 0.0, 9, 2), ("Cancel?", Some("No."), None, 10.0, 0, 0)];
    assert_eq!(seen(&imported), expected);
    let of = |at: usize| (imported.requests[at].scope.as_deref(), imported.requests[at].took_ms);
    assert_eq!((of(0), of(1)), ((Some("shop"), Some(1500.0)), (Some("desk"), None)));

    let bifrost = r#"{"logs":[
      {"id":"b","object":"chat.completion","provider":"p","model":"m","status":"success","timestamp":"2026-03-01T10:00:03Z","latency":812,
       "input_history":[{"role":"user","content":"Return it?"}],"output_message":{"role":"assistant","content":"30 days."},
       "token_usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}},
      {"id":"a","object":"chat.completion","provider":"p","model":"m","status":"error","timestamp":"2026-03-01T10:00:02Z","input_history":[]},
      {"id":"e","object":"embedding","provider":"p","model":"m","status":"success","timestamp":"2026-03-01T10:00:02Z"}
    ],"pagination":{"limit":10}}"#;
    let imported = import(bifrost).unwrap();
    assert_eq!((imported.format, imported.skipped), (Format::Bifrost, 2));
    assert_eq!(seen(&imported), [("Return it?", Some("30 days."), None, 0.0, 7, 3)]);
    assert_eq!(imported.requests[0].took_ms, Some(812.0));

    let helicone = r#"{"response_id":"r2","request_created_at":"2026-03-01T10:00:09.000Z","response_status":200,"request_body":{"model":"m","messages":[{"role":"user","content":"B"}]},"response_body":{"choices":[{"message":{"content":"b"}}]},"prompt_tokens":5,"completion_tokens":1}
{"response_id":"r1","request_created_at":"2026-03-01T10:00:00.000Z","response_status":200,"request_body":{"model":"m","messages":[{"role":"user","content":"A"}]},"response_body":{"content":[{"type":"text","text":"a"}]}}
{"response_id":"r0","request_created_at":"2026-03-01T09:00:00.000Z","response_status":500,"request_body":{},"response_body":{}}"#;
    let csv = concat!(
        "response_id,response_created_at,response_status,request_created_at,request_body,model,prompt_tokens\n",
        "\"r2\",\"2026-03-01T10:00:10Z\",\"200\",\"2026-03-01T10:00:09Z\",\"{\"\"messages\"\":[{\"\"role\"\":\"\"user\"\",\"\"content\"\":\"\"B\"\"}]}\",\"m\",\"5\"\n",
        "\"r1\",\"2026-03-01T10:00:10Z\",\"200\",\"2026-03-01T10:00:00Z\",\"{\"\"messages\"\":[{\"\"role\"\":\"\"user\"\",\"\"content\"\":\"\"A\"\"}]}\",\"m\",\n",
    );
    let imported = import(helicone).unwrap();
    assert_eq!((imported.format, imported.skipped), (Format::Helicone, 1));
    assert_eq!(seen(&imported), [("A", Some("a"), None, 0.0, 0, 0), ("B", Some("b"), None, 9.0, 5, 1)]);
    let imported = import(csv).unwrap();
    assert_eq!(imported.format, Format::Helicone);
    assert_eq!(seen(&imported), [("A", None, None, 0.0, 0, 0), ("B", None, None, 9.0, 5, 0)]);
}

#[test]
fn reads_tables_and_lines() {
    let intents =
        "text,category\n\"Where is my card, please?\",card_arrival\n\"It said \"\"no\"\"\nand stopped\",declined\n";
    let imported = import(intents).unwrap();
    assert_eq!(imported.format, Format::Csv);
    let expected = [
        ("Where is my card, please?", None, Some("card_arrival"), 0.0, 0, 0),
        ("It said \"no\"\nand stopped", None, Some("declined"), 0.0, 0, 0),
    ];
    assert_eq!(seen(&imported), expected);

    let pairs = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t1\t2\tHow old?\tWhat age?\t1\n1\t3\t2\tHow tall?\tWhat age?\t0\n2\t4\t2\tWhich age?\tWhat age?\t1\n";
    let groups: Vec<_> = import(pairs).unwrap().requests.into_iter().map(|r| (r.text, r.group.unwrap())).collect();
    let of = |at: usize| (groups[at].0.as_str(), groups[at].1.as_str());
    assert_eq!(
        [of(0), of(1), of(2), of(3)],
        [("How old?", "q0"), ("What age?", "q0"), ("How tall?", "q2"), ("Which age?", "q0")]
    );

    let imported = import("What is it?\n\n  And when?\n").unwrap();
    assert_eq!(imported.format, Format::Lines);
    assert_eq!(imported.requests.iter().map(|r| &*r.text).collect::<Vec<_>>(), ["What is it?", "And when?"]);
}

#[test]
fn unpacks_gzip_and_obeys_the_format_it_is_told() {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(b"text,category\na,b\n").unwrap();
    let packed = packed.finish().unwrap();
    assert_eq!(import_as(packed.clone(), None, "scope").unwrap().format, Format::Csv);
    let lines = import_as(packed.clone(), Some(Format::Lines), "scope").unwrap();
    assert_eq!(lines.requests.len(), 2);
    let error = import_as(packed[..packed.len() - 9].to_vec(), None, "scope").unwrap_err();
    assert!(error.contains("day.log: is gzip that cannot be unpacked"), "{error}");
}

#[test]
fn errors_name_file_place_and_what_was_expected() {
    let table = [
        ("", "the trace is empty"),
        ("{\"text\":\"a\",\"group\":1}\nnope", "line 2: is not JSON"),
        ("{\"text\":\"a\",\"group\":1}\n[1]", "line 2: expected a JSON object, got an array"),
        ("[1]", "row 1: expected a JSON object, got a number"),
        ("{\"group\":1}", "line 1: expected `text`"),
        ("{\"text\":\"a\",\"group\":1,\"t\":-1}", "line 1: expected `t`"),
        ("{\"messages\":[],\"group\":1}", "line 1: `messages` is empty"),
        ("{\"messages\":[\"a\"],\"group\":1}", "line 1: expected messages as objects in `messages`, got a string"),
        ("{\"colour\":1}", "fields of its first row (colour)"),
        ("{\"request\":{\"model\":\"m\"}}", "line 1: expected `messages`, `prompt` or `input`"),
        ("{\"request\":\"{broken\"}", "line 1: `request` is not JSON"),
        ("{\"conversations\":[{\"from\":\"human\"}]}", "line 1: turn 1: expected `from` and `value`"),
        ("{\"conversation\":[{\"role\":\"user\"}]}", "line 1: turn 1: expected `role` and `content`"),
        ("{\"request_body\":\"\",\"response_id\":1}", "line 1: expected `request_body`"),
        ("{\"call_type\":\"completion\",\"startTime\":1,\"messages\":{}}", "line 1: expected `messages`: prompts"),
        ("{\"provider\":\"p\",\"token_usage\":{},\"object\":\"chat.completion\"}", "line 1: expected `input_history`"),
        ("text,category\na,b\nonly one\n", "line 3: expected 2 columns"),
        ("text,category\n\"open,b\n", "line 2: expected a closing quote"),
        ("question1,question2,is_duplicate\na,b,maybe\n", "line 2: expected `is_duplicate` as 0 or 1"),
        ("{\"request\":{\"model\":\"embed\",\"input\":\"x\"},\"response\":{}}", "none of its 1 rows holds a question"),
        ("PAR1....", "Parquet"),
    ];
    for (text, expected) in table {
        let error = import(text).unwrap_err();
        assert!(error.starts_with("day.log: ") && error.contains(expected), "{text}: {error}");
    }
    let error = import_as(vec![b'a', b'\n', 0xff, 0xfe], None, "scope").unwrap_err();
    assert!(error.contains("line 2: expected UTF-8"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), gzip: bool) {
        let bytes = if gzip { [&[0x1f, 0x8b, 8][..], &bytes].concat() } else { bytes };
        for format in Format::ALL.into_iter().map(Some).chain([None]) {
            let _ = import_as(bytes.clone(), format, "a.b");
        }
    }

    /// Pieces of real files, put together at random.
    #[test]
    fn torn_files_never_panic(parts in proptest::collection::vec(0usize..PIECES.len(), 0..24)) {
        let text: String = parts.iter().map(|at| PIECES[*at]).collect();
        for format in Format::ALL.into_iter().map(Some).chain([None]) {
            let _ = import_as(text.clone().into_bytes(), format, "a.b");
        }
    }

    #[test]
    fn cells_come_back_as_written(cells in proptest::collection::vec("[a-z,\"\n\t ]{1,12}", 1..6)) {
        let quoted: Vec<String> = cells.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect();
        let names: Vec<String> = (0..cells.len()).map(|at| format!("c{at}")).collect();
        let text = format!("{}\n{}\n", names.join(","), quoted.join(","));
        let row = csv::rows(&text).unwrap().next().unwrap().unwrap();
        for (name, cell) in names.iter().zip(&cells) {
            prop_assert_eq!(row.fields[name].as_str(), Some(cell.as_str()));
        }
    }
}

const PIECES: [&str; 22] = [
    "{",
    "}",
    "[",
    "]",
    "\n",
    ",",
    ":",
    "\"",
    "null",
    "-1",
    "1e999",
    "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]",
    "{\"text\":\"a\"}",
    "\"conversation\":[{}]",
    "\"conversations\":[{\"from\":1}]",
    "\"request\":{\"input\":[]}",
    "\"response\":{\"choices\":[{\"message\":null}]}",
    "\"t\":\"x\"",
    "text,category",
    "question1,question2,is_duplicate",
    "\"startTime\":\"2026-99-01T\"",
    "é\u{feff}",
];
