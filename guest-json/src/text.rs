//! Strings, with and without their escapes.

use std::borrow::Cow;

/// What stands between the quotes of a string, without its escapes. Of what is no such text as much as can be read.
pub fn unescape(inner: &str) -> Cow<'_, str> {
    let Some(first) = inner.find('\\') else { return Cow::Borrowed(inner) };
    let mut text = String::with_capacity(inner.len());
    text.push_str(&inner[..first]);
    let mut rest = &inner[first..];
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let escape = &rest[at + 1..];
        let (c, length) = match escape.as_bytes().first() {
            Some(b'b') => ('\u{8}', 1),
            Some(b'f') => ('\u{c}', 1),
            Some(b'n') => ('\n', 1),
            Some(b'r') => ('\r', 1),
            Some(b't') => ('\t', 1),
            Some(b'u') => unicode(escape),
            Some(_) => {
                let c = escape.chars().next().unwrap_or('\\');
                (c, c.len_utf8())
            }
            None => ('\\', 0),
        };
        text.push(c);
        rest = &escape[length..];
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// The character that `uXXXX` or `uXXXX\uXXXX` stands for, and how long that is.
fn unicode(escape: &str) -> (char, usize) {
    let unit = |at: usize| u32::from_str_radix(escape.get(at..at + 4)?, 16).ok();
    let Some(high) = unit(1) else { return ('u', 1) };
    if let Some(c) = char::from_u32(high) {
        return (c, 5);
    }
    let low = if escape.get(5..7) == Some("\\u") { unit(7) } else { None };
    let pair = low.filter(|low| (0xdc00..0xe000).contains(low) && (0xd800..0xdc00).contains(&high));
    match pair.and_then(|low| char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))) {
        Some(c) => (c, 11),
        None => (char::REPLACEMENT_CHARACTER, 5),
    }
}

/// Appends a text as it stands between the quotes of a string.
pub fn escape(text: &str, into: &mut String) {
    for c in text.chars() {
        match c {
            '"' => into.push_str("\\\""),
            '\\' => into.push_str("\\\\"),
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            '\t' => into.push_str("\\t"),
            c if c < ' ' => into.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => into.push(c),
        }
    }
}
