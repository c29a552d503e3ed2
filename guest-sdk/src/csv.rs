//! Comma-separated values, after RFC 4180: lines for an upload, and the reports that far sides answer with.

/// Writes the fields of one row, without a line break behind them. What needs quotes gets them.
///
/// ```
/// let mut row = Vec::new();
/// wharf_sdk::csv::write(&mut row, ["1", "a, b", "say \"no\""]);
/// assert_eq!(row, br#"1,"a, b","say ""no""""#);
/// ```
pub fn write<F: AsRef<[u8]>>(into: &mut Vec<u8>, fields: impl IntoIterator<Item = F>) {
    let start = into.len();
    for (index, field) in fields.into_iter().enumerate() {
        let field = field.as_ref();
        if index > 0 {
            into.push(b',');
        }
        if !field.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
            into.extend_from_slice(field);
            continue;
        }
        into.push(b'"');
        for byte in field {
            if *byte == b'"' {
                into.push(b'"');
            }
            into.push(*byte);
        }
        into.push(b'"');
    }
    // A row of one empty field would be no row.
    if into.len() == start {
        into.extend_from_slice(b"\"\"");
    }
}

/// The rows of a text, each as its fields without their quotes. Lines that are empty are passed over; a quote that is never closed reaches to the end.
///
/// ```
/// let report = b"row,reason\r\n\"7\",\"said \"\"no\"\"\"\r\n";
/// let rows: Vec<Vec<Vec<u8>>> = wharf_sdk::csv::rows(report).collect();
/// assert_eq!(rows[1], [b"7".to_vec(), b"said \"no\"".to_vec()]);
/// ```
pub fn rows(text: &[u8]) -> impl Iterator<Item = Vec<Vec<u8>>> + '_ {
    let mut rest = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    std::iter::from_fn(move || {
        while let [b'\n' | b'\r', after @ ..] = rest {
            rest = after;
        }
        if rest.is_empty() {
            return None;
        }
        let mut row = Vec::new();
        loop {
            let (field, after) = field(rest);
            row.push(field);
            match after {
                [b',', after @ ..] => rest = after,
                after => {
                    rest = after;
                    return Some(row);
                }
            }
        }
    })
}

/// One field, and what stands behind it: a comma, a line break, or nothing.
fn field(mut rest: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut field = Vec::new();
    if let [b'"', after @ ..] = rest {
        rest = after;
        loop {
            match rest {
                [b'"', b'"', after @ ..] => {
                    field.push(b'"');
                    rest = after;
                }
                [b'"', after @ ..] => {
                    rest = after;
                    break;
                }
                [byte, after @ ..] => {
                    field.push(*byte);
                    rest = after;
                }
                [] => break,
            }
        }
    }
    let end = rest.iter().position(|byte| matches!(byte, b',' | b'\n' | b'\r')).unwrap_or(rest.len());
    field.extend_from_slice(&rest[..end]);
    (field, &rest[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let rows_of =
            [vec!["plain", "", "a,b"], vec!["\"", "line\nbreak", "\r\n"], vec![""], vec!["", ""], vec!["ends in a quote\"", "ü"]];
        let mut text = Vec::new();
        for row in &rows_of {
            write(&mut text, row);
            text.extend_from_slice(b"\r\n");
        }
        let read: Vec<Vec<String>> =
            rows(&text).map(|row| row.into_iter().map(|field| String::from_utf8(field).unwrap()).collect()).collect();
        assert_eq!(read, rows_of.map(|row| row.into_iter().map(str::to_owned).collect::<Vec<_>>()));
    }

    #[test]
    fn no_text_makes_it_run_on() {
        for text in ["", "\n\n", "\"", "\"a", "a\"b,c", "\"a\"b,c\n", ",", ",\n,", "\u{feff}a"] {
            assert!(rows(text.as_bytes()).flatten().count() <= text.len() + 1, "{text:?}");
        }
        assert_eq!(rows(b"\xef\xbb\xbfa").next().unwrap(), [b"a".to_vec()]);
    }
}
