//! Fields that the operator sets in a request's bytes: what is there is replaced in its place, what is not comes last. All else
//! stays byte for byte.

use super::json::top_level;
use crate::types::params::Param;
use crate::types::request::quoted;
use bytes::Bytes;
use std::ops::Range;

/// A cut in the bytes, and what stands there instead.
type Edit = (Range<usize>, String);

/// A field of the body.
struct Member {
    /// Where its key begins.
    start: usize,
    value: Range<usize>,
    /// It is taken out.
    out: bool,
}

/// `body` with `params` set, and the names of those fields that were taken out of it. A body that is no JSON object comes back
/// as it is.
pub fn set(body: &Bytes, params: &[Param]) -> (Bytes, Vec<String>) {
    if params.is_empty() {
        return (body.clone(), Vec::new());
    }
    let Some((edits, dropped)) = edits(body, params).filter(|(edits, _)| !edits.is_empty()) else {
        return (body.clone(), Vec::new());
    };
    let mut out: Vec<u8> = Vec::with_capacity(body.len() + edits.iter().map(|(_, text)| text.len()).sum::<usize>());
    let mut at = 0;
    for (cut, text) in edits {
        out.extend_from_slice(body.get(at..cut.start).unwrap_or_default());
        out.extend_from_slice(text.as_bytes());
        at = cut.end;
    }
    out.extend_from_slice(body.get(at..).unwrap_or_default());
    (out.into(), dropped)
}

/// The edits in their order, and what is taken out.
fn edits(body: &[u8], params: &[Param]) -> Option<(Vec<Edit>, Vec<String>)> {
    let fields = top_level(body)?;
    let (mut edits, mut dropped): (Vec<Edit>, Vec<String>) = (Vec::new(), Vec::new());
    let mut members: Vec<Member> = Vec::with_capacity(fields.len());
    for (name, raw) in &fields {
        let start = raw.as_ptr() as usize - body.as_ptr() as usize;
        let value = start..start + raw.len();
        // Behind the brace, or behind the value before it and its comma.
        let from = members.last().map_or(0, |before| before.value.end);
        let between = body.get(from..value.start)?;
        let start = from + between.iter().position(|byte| *byte == b'"')?;
        let param = params.iter().find(|param| param.name == *name);
        let out = param.is_some_and(|param| param.value.is_none());
        if out {
            dropped.push(name.to_string());
        }
        if let Some(text) = param.and_then(|param| param.value.as_ref()) {
            edits.push((value.clone(), text.clone()));
        }
        members.push(Member { start, value, out });
    }
    edits.extend(cuts(&members));
    edits.sort_by_key(|(cut, _)| cut.start);
    let new = params.iter().filter(|param| fields.iter().all(|(name, _)| *name != param.name));
    let new: Vec<String> =
        new.filter_map(|param| Some(format!("{}:{}", quoted(&param.name), param.value.as_ref()?))).collect();
    if !new.is_empty() {
        let end = match members.last() {
            Some(last) => last.value.end,
            None => body.iter().position(|byte| *byte == b'{')? + 1,
        };
        let comma = if members.iter().any(|member| !member.out) { "," } else { "" };
        edits.push((end..end, format!("{comma}{}", new.join(","))));
    }
    Some((edits, dropped))
}

/// What is cut where fields are taken out: each takes one comma with it.
fn cuts(members: &[Member]) -> Vec<Edit> {
    let first_kept = members.iter().position(|member| !member.out).unwrap_or(members.len());
    let cut = |(at, member): (usize, &Member)| {
        let before = at.checked_sub(1).and_then(|at| members.get(at));
        let cut = match (before, members.get(at + 1)) {
            // Something is kept before it: from there, comma included.
            (Some(before), _) if at > first_kept => before.value.end..member.value.end,
            // Nothing is: up to the next one's key.
            (_, Some(next)) => member.start..next.start,
            (_, None) => member.start..member.value.end,
        };
        member.out.then(|| (cut, String::new()))
    };
    members.iter().enumerate().filter_map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn params(all: &[(&str, Option<&str>)]) -> Vec<Param> {
        all.iter().map(|(name, value)| Param { name: (*name).to_owned(), value: value.map(str::to_owned) }).collect()
    }

    #[test]
    fn fields_are_replaced_in_place_added_last_or_taken_out() {
        type Row<'r> = (&'r str, &'r [(&'r str, Option<&'r str>)], &'r str, &'r [&'r str]);
        let table: [Row<'_>; 14] = [
            (r#"{ "a" : 1 , "b":2}"#, &[("a", Some("0.2"))], r#"{ "a" : 0.2 , "b":2}"#, &[]),
            (r#"{"a":1}"#, &[("b", Some("true"))], r#"{"a":1,"b":true}"#, &[]),
            (r#"{"a":1 } "#, &[("b", Some("{}")), ("c", Some("\"\""))], r#"{"a":1,"b":{},"c":"" } "#, &[]),
            ("{}", &[("b", Some("1"))], r#"{"b":1}"#, &[]),
            (" { } ", &[("b", Some("1"))], r#" {"b":1 } "#, &[]),
            (r#"{"a":1,"b":2}"#, &[("a", None)], r#"{"b":2}"#, &["a"]),
            (r#"{"a":1, "b":2}"#, &[("b", None)], r#"{"a":1}"#, &["b"]),
            (r#"{"a":1, "b":2 ,"c":3}"#, &[("b", None)], r#"{"a":1 ,"c":3}"#, &["b"]),
            (r#"{"a":1,"b":2}"#, &[("a", None), ("b", None)], "{}", &["a", "b"]),
            (r#"{"a":1,"b":2}"#, &[("a", None), ("b", None), ("c", Some("3"))], r#"{"c":3}"#, &["a", "b"]),
            (r#"{"a":1}"#, &[("x", None)], r#"{"a":1}"#, &[]),
            (r#"{"\u0061":{"a":5}}"#, &[("a", Some("2"))], r#"{"\u0061":2}"#, &[]),
            (
                r#"{"x":{"a":5},"n":123456789012345678901}"#,
                &[("b", Some("2"))],
                r#"{"x":{"a":5},"n":123456789012345678901,"b":2}"#,
                &[],
            ),
            ("[1]", &[("a", Some("2"))], "[1]", &[]),
        ];
        for (body, given, expected, taken) in table {
            let (out, dropped) = set(&Bytes::from(body), &params(given));
            assert_eq!(std::str::from_utf8(&out).unwrap(), expected, "{body} {given:?}");
            assert_eq!(dropped, taken, "{body} {given:?}");
        }
    }

    /// A field with white space around all its parts, and what is done to it.
    fn member() -> impl Strategy<Value = ([&'static str; 4], String, u8)> {
        let space = prop::sample::select(vec!["", " ", "\n\t", "  "]);
        let value = prop::sample::select(vec![
            "1",
            "-0.50",
            "null",
            "true",
            r#""x,\"}""#,
            r#"{"k0":1,"z":[1, 2]}"#,
            "[]",
            r#"[ {"k1" : 3} ]"#,
            "1e400",
        ]);
        ([space.clone(), space.clone(), space.clone(), space], value.prop_map(str::to_owned), 0..3u8)
    }

    proptest! {
        #[test]
        fn all_else_stays_byte_for_byte(members in prop::collection::vec(member(), 0..7), more in 0..3usize) {
            let written = |at: usize, value: &str| {
                let [a, b, c, d] = members[at].0;
                format!("{a}\"k{at}\"{b}:{c}{value}{d}")
            };
            let body = |value: &dyn Fn(usize) -> Option<String>| {
                let parts: Vec<String> = (0..members.len()).filter_map(|at| Some(written(at, &value(at)?))).collect();
                format!("{{{}}}", parts.join(","))
            };
            let given = body(&|at| Some(members[at].1.clone()));
            let mut all: Vec<Param> = (0..members.len()).filter(|at| members[*at].2 == 1)
                .map(|at| Param { name: format!("k{at}"), value: Some("[7]".to_owned()) }).collect();
            // Replacing alone: the very bytes, with other values in their places.
            let replaced = body(&|at| Some(if members[at].2 == 1 { "[7]".to_owned() } else { members[at].1.clone() }));
            prop_assert_eq!(&set(&Bytes::from(given.clone()), &all).0, &replaced.into_bytes());
            // With fields taken out and added: the others keep their order and their bytes.
            all.extend((0..members.len()).filter(|at| members[*at].2 == 2)
                .map(|at| Param { name: format!("k{at}"), value: None }));
            all.extend((0..more).map(|at| Param { name: format!("new{at}"), value: Some(at.to_string()) }));
            let (out, dropped) = set(&Bytes::from(given.clone()), &all);
            prop_assert_eq!(dropped.len(), members.iter().filter(|member| member.2 == 2).count());
            let kept = (0..members.len()).filter(|at| members[*at].2 != 2);
            let kept = kept.map(|at| (format!("k{at}"), if members[at].2 == 1 { "[7]".to_owned() } else { members[at].1.clone() }));
            let expected: Vec<(String, String)> = kept.chain((0..more).map(|at| (format!("new{at}"), at.to_string()))).collect();
            let fields = top_level(&out).unwrap();
            let found: Vec<(String, String)> = fields.into_iter().map(|(name, raw)| (name.to_string(), raw.to_owned())).collect();
            prop_assert_eq!(found, expected);
            // What is kept as it was stands there as it was written, but for the space at its ends.
            let text = std::str::from_utf8(&out).unwrap();
            let mut from = 0;
            for at in (0..members.len()).filter(|at| members[*at].2 == 0) {
                let part = written(at, &members[at].1);
                let place = text[from..].find(part.trim());
                prop_assert!(place.is_some(), "{} lacks {}", text, part);
                from += place.unwrap() + part.trim().len();
            }
        }
    }
}
