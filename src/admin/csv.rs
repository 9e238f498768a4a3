//! Rows as CSV (RFC 4180), for spreadsheets: what begins as a formula would is made a text.

/// One line, its fields quoted where they have to be, with its end.
pub(super) fn line<T: AsRef<str>>(fields: impl IntoIterator<Item = T>) -> String {
    let fields: Vec<String> = fields.into_iter().map(|field| quoted(field.as_ref())).collect();
    format!("{}\r\n", fields.join(","))
}

/// Spreadsheets take a field that begins like this for something to be calculated, even where it is quoted (OWASP, "CSV Injection").
/// A number may have a sign.
fn quoted(field: &str) -> String {
    let is_formula = field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let field = if is_formula && field.parse::<f64>().is_err() { format!("'{field}") } else { field.to_owned() };
    if field.contains([',', '"', '\r', '\n', '\'', ';']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_and_formulas_are_texts() {
        let fields =
            ["a", "a,b", "say \"x\"", "=1+1", "@SUM(A1)", "-1.5", "-x", "two\nlines", "+cmd|' /C calc'!A0", ""];
        let expected = "a,\"a,b\",\"say \"\"x\"\"\",\"'=1+1\",\"'@SUM(A1)\",-1.5,\"'-x\",\"two\nlines\",\
                        \"'+cmd|' /C calc'!A0\",\r\n";
        assert_eq!(line(fields), expected);
    }
}
