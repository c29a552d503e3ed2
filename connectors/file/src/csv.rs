//! Rows after RFC 4180, out of the JSON text of their cells.

use super::fields;

/// Adds one row, ended by CR LF. A cell that is absent or `null` is empty, an empty string is `""`, and what is no string stands as it
/// does in the record. Says which cell cannot be written.
pub fn row<'a>(line: &mut Vec<u8>, cells: impl ExactSizeIterator<Item = Option<&'a str>>) -> Result<(), String> {
    let alone = cells.len() == 1;
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            line.push(b',');
        }
        match cell.filter(|json| *json != "null") {
            // A line of nothing would be passed over by most readers.
            None if alone => line.extend_from_slice(b"\"\""),
            None => {}
            Some(json) => match fields::string(json) {
                Some(Ok(text)) if text.is_empty() => line.extend_from_slice(b"\"\""),
                Some(Ok(text)) => push(line, text.as_bytes()),
                Some(Err(error)) => return Err(format!("has text in column {} that is not Unicode: {error}", at + 1)),
                None => push(line, json.as_bytes()),
            },
        }
    }
    line.extend_from_slice(b"\r\n");
    Ok(())
}

/// Adds the first row of a file.
pub fn header<'a>(line: &mut Vec<u8>, names: impl Iterator<Item = &'a str>) {
    for (at, name) in names.enumerate() {
        if at > 0 {
            line.push(b',');
        }
        push(line, name.as_bytes());
    }
    line.extend_from_slice(b"\r\n");
}

fn push(line: &mut Vec<u8>, cell: &[u8]) {
    if !cell.iter().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n')) {
        line.extend_from_slice(cell);
        return;
    }
    line.push(b'"');
    for &byte in cell {
        if byte == b'"' {
            line.push(b'"');
        }
        line.push(byte);
    }
    line.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(cells: &[Option<&str>]) -> String {
        let mut line = Vec::new();
        row(&mut line, cells.iter().copied()).unwrap();
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        assert_eq!(written(&[Some("1.50"), Some(r#""plain text""#), Some("true")]), "1.50,plain text,true\r\n");
        assert_eq!(
            written(&[Some(r#""a,b""#), Some(r#""say \"hi\"""#), Some(r#""two\nlines""#)]),
            "\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\"\r\n"
        );
        assert_eq!(written(&[Some(r#"{"a":1}"#), Some("[1,2]")]), "\"{\"\"a\"\":1}\",\"[1,2]\"\r\n");
    }

    #[test]
    fn nothing_and_empty_text_are_told_apart() {
        assert_eq!(written(&[None, Some("null"), Some("\"\"")]), ",,\"\"\r\n");
        assert_eq!(written(&[None]), "\"\"\r\n");
    }

    #[test]
    fn a_cell_that_is_no_text_is_named() {
        assert!(row(&mut Vec::new(), [Some("1"), Some(r#""\ud800""#)].into_iter()).unwrap_err().contains("column 2"));
    }
}
