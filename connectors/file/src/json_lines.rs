//! One JSON document a line.

/// Adds a document that is known to be JSON, and a newline. It stands as it came, byte for byte; only one that itself goes over several
/// lines is written without the blanks between its tokens.
pub fn line(line: &mut Vec<u8>, json: &str) {
    if memchr::memchr2(b'\n', b'\r', json.as_bytes()).is_none() {
        line.extend_from_slice(json.as_bytes());
    } else {
        compact(line, json.as_bytes());
    }
    line.push(b'\n');
}

fn compact(line: &mut Vec<u8>, json: &[u8]) {
    let mut in_string = false;
    let mut escaped = false;
    for &byte in json {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            continue;
        } else {
            in_string = byte == b'"';
        }
        line.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(json: &str) -> String {
        let mut bytes = Vec::new();
        line(&mut bytes, json);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_document_stands_as_it_came() {
        assert_eq!(written(r#"{ "a" : 1.0e0 }"#), "{ \"a\" : 1.0e0 }\n");
    }

    #[test]
    fn a_document_of_several_lines_becomes_one() {
        assert_eq!(written("{\r\n  \"a b\\\" c\\\\\": [1.0, \"\\n \"]\n}\n"), "{\"a b\\\" c\\\\\":[1.0,\"\\n \"]}\n");
    }
}
