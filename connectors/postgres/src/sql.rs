//! Text that becomes part of a statement.

use wharf_json::plain;

/// A name as an identifier, whatever is in it.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A table's name, with a schema before a dot where there is one.
pub fn table(name: &str) -> String {
    match name.split_once('.') {
        Some((schema, table)) => format!("{}.{}", identifier(schema), identifier(table)),
        None => identifier(name),
    }
}

/// Text as a literal. It stands for itself whatever `standard_conforming_strings` says.
pub fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    match quoted.contains('\\') {
        true => format!(" E'{}'", quoted.replace('\\', "\\\\")),
        false => format!("'{quoted}'"),
    }
}

/// Appends a value to a line of `COPY … (FORMAT text)`: `\N` is NULL.
pub fn copied(value: Option<&[u8]>, into: &mut Vec<u8>) {
    let Some(mut rest) = value else { return into.extend_from_slice(b"\\N") };
    loop {
        let (plain, behind) = rest.split_at(plain(rest, b'\\', b'\\'));
        into.extend_from_slice(plain);
        let Some((byte, behind)) = behind.split_first() else { return };
        match byte {
            b'\\' => into.extend_from_slice(b"\\\\"),
            b'\n' => into.extend_from_slice(b"\\n"),
            b'\r' => into.extend_from_slice(b"\\r"),
            b'\t' => into.extend_from_slice(b"\\t"),
            byte => into.push(*byte),
        }
        rest = behind;
    }
}

/// Appends an element to the text of an array that was begun with `{`.
pub fn element(value: Option<&[u8]>, into: &mut Vec<u8>) {
    if into.last() != Some(&b'{') {
        into.push(b',');
    }
    let Some(value) = value else { return into.extend_from_slice(b"NULL") };
    into.push(b'"');
    let mut rest = value;
    loop {
        let (plain, behind) = rest.split_at(plain(rest, b'"', b'\\'));
        into.extend_from_slice(plain);
        let Some((byte, behind)) = behind.split_first() else { break };
        if matches!(byte, b'"' | b'\\') {
            into.push(b'\\');
        }
        into.push(*byte);
        rest = behind;
    }
    into.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_a_name_or_a_text_stays_in_it() {
        assert_eq!(table(r#"a"b.c.d"#), r#""a""b"."c.d""#);
        assert_eq!(literal(r"it's \ so"), r" E'it''s \\ so'");
        let mut line = Vec::new();
        copied(Some(b"a\\N\t\n"), &mut line);
        copied(None, &mut line);
        assert_eq!(line, b"a\\\\N\\t\\n\\N");
        let mut array = b"{".to_vec();
        [Some(&b"a\"\\"[..]), None, Some(b""), Some(b"NULL")].into_iter().for_each(|value| element(value, &mut array));
        assert_eq!(array, br#"{"a\"\\",NULL,"","NULL""#);
    }
}
