//! Whether a line is one JSON value, and what of it is the record's key, or another value that is looked for.
//!
//! RFC 8259 to the letter, with three bounds: nothing is nested more than 200 levels below the key's place, a number's integer part has
//! 4,300 digits at most, and the line is UTF-8 throughout. A member that is named twice counts with its last value, as most readers
//! have it.

use std::ops::Range;

use jiter::{Jiter, JiterError, Peek};

use super::pointer::{Pointer, Step};

/// Checks lines and finds their keys, on buffers that it keeps.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    pointer: Option<Pointer>,
    /// Whether what is found counts as it stands, a string with its quotes, and null too.
    as_json: bool,
    /// Where strings with escapes are decoded.
    tape: Vec<u8>,
    /// The key of the line checked last.
    key: Vec<u8>,
}

/// Where the key of a line is.
enum Found {
    Nowhere,
    /// In [`Checker::key`].
    Decoded,
    /// As it stands in the line.
    Raw(Range<usize>),
}

impl Checker {
    pub(crate) fn new(pointer: Option<Pointer>) -> Self {
        Self { pointer, ..Self::default() }
    }

    /// Finds what the pointer leads to as it stands in the line, a string with its quotes, and null too.
    pub(crate) fn as_json(pointer: Pointer) -> Self {
        Self { pointer: Some(pointer), as_json: true, ..Self::default() }
    }

    /// Checks that `line` is one JSON value; the key, where there is one, or else what is wrong.
    pub(crate) fn check<'a>(&'a mut self, line: &'a [u8]) -> Result<Option<&'a [u8]>, String> {
        self.read(line).map_err(|wrong| match wrong {
            Wrong::Text(at) => format!("not UTF-8 at its byte {}", at + 1),
            Wrong::Mark => "a byte order mark, where JSON has none".to_owned(),
            Wrong::Json(error) => format!("not JSON: {} at its byte {}", error.error_type, error.index + 1),
        })
    }

    /// What the pointer leads to; nothing in what is not JSON, which is not told apart.
    pub(crate) fn find<'a>(&'a mut self, line: &'a [u8]) -> Option<&'a [u8]> {
        self.read(line).ok().flatten()
    }

    fn read<'a>(&'a mut self, line: &'a [u8]) -> Result<Option<&'a [u8]>, Wrong> {
        if let Err(error) = std::str::from_utf8(line) {
            return Err(Wrong::Text(error.valid_up_to()));
        }
        if line.starts_with(b"\xef\xbb\xbf") {
            return Err(Wrong::Mark);
        }
        let mut reader = Jiter::with_tape(line, std::mem::take(&mut self.tape));
        let steps = self.pointer.as_ref().map(Pointer::steps);
        let key = (!self.as_json).then_some(&mut self.key);
        let found = document(&mut reader, steps, key);
        self.tape = reader.into_tape();
        match found {
            Ok(Found::Nowhere) => Ok(None),
            Ok(Found::Decoded) => Ok(Some(&self.key)),
            Ok(Found::Raw(range)) => Ok(Some(&line[range])),
            Err(error) => Err(Wrong::Json(error)),
        }
    }
}

/// Why a line is not JSON.
enum Wrong {
    /// No UTF-8 from that byte on.
    Text(usize),
    /// It begins with a byte order mark.
    Mark,
    Json(JiterError),
}

fn document(reader: &mut Jiter<'_>, steps: Option<&[Step]>, key: Option<&mut Vec<u8>>) -> Result<Found, JiterError> {
    let found = match steps {
        Some(steps) => {
            let peek = reader.peek()?;
            walk(reader, peek, steps, key)?
        }
        None => {
            reader.next_skip()?;
            Found::Nowhere
        }
    };
    reader.finish()?;
    Ok(found)
}

/// Reads one value to its end and finds what `steps` lead to. Recurses as deep as the pointer is long.
fn walk(reader: &mut Jiter<'_>, peek: Peek, steps: &[Step], mut key: Option<&mut Vec<u8>>) -> Result<Found, JiterError> {
    let Some((step, rest)) = steps.split_first() else { return take(reader, peek, key) };
    let mut found = Found::Nowhere;
    match peek {
        Peek::Object => {
            let mut here = reader.known_object()?.map(|name| name == step.name);
            while let Some(wanted) = here {
                let peek = reader.peek()?;
                if wanted {
                    found = walk(reader, peek, rest, key.as_deref_mut())?;
                } else {
                    reader.known_skip(peek)?;
                }
                here = reader.next_key()?.map(|name| name == step.name);
            }
        }
        Peek::Array => {
            let mut here = reader.known_array()?;
            let mut index = 0;
            while let Some(peek) = here {
                if step.index == Some(index) {
                    found = walk(reader, peek, rest, key.as_deref_mut())?;
                } else {
                    reader.known_skip(peek)?;
                }
                index += 1;
                here = reader.array_step()?;
            }
        }
        _ => reader.known_skip(peek)?,
    }
    Ok(found)
}

/// Reads the value that is the key.
fn take(reader: &mut Jiter<'_>, peek: Peek, key: Option<&mut Vec<u8>>) -> Result<Found, JiterError> {
    let as_json = key.is_none();
    if let Some(key) = key.filter(|_| peek == Peek::String) {
        let text = reader.known_str()?;
        key.clear();
        key.extend_from_slice(text.as_bytes());
        return Ok(Found::Decoded);
    }
    let start = reader.current_index();
    reader.known_skip(peek)?;
    Ok(if peek == Peek::Null && !as_json { Found::Nowhere } else { Found::Raw(start..reader.current_index()) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(pointer: &str, line: &str) -> Option<String> {
        let mut checker = Checker::new(Some(pointer.parse().unwrap()));
        let key = checker.check(line.as_bytes()).unwrap();
        key.map(|key| String::from_utf8(key.to_vec()).unwrap())
    }

    /// With and without a key, at the root and deep within: each takes another path through the reader.
    fn verdicts(value: &[u8]) -> [bool; 5] {
        let wrap = |before: &str, after: &str| [before.as_bytes(), value, after.as_bytes()].concat();
        [
            Checker::new(None).check(value).is_ok(),
            Checker::new(Some(Pointer::default())).check(value).is_ok(),
            Checker::new(Some("/k/1".parse().unwrap())).check(&wrap(r#"{"k":[0,"#, "]}")).is_ok(),
            Checker::new(Some("/k/1".parse().unwrap())).check(&wrap(r#"{"other":[0,"#, r#"],"k":[]}"#)).is_ok(),
            Checker::new(None).check(&wrap(r#"{"k":[0,"#, "]}")).is_ok(),
        ]
    }

    #[test]
    fn what_is_not_json_is_refused_wherever_it_stands() {
        let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
        let deep_objects = format!("{}1{}", r#"{"a":"#.repeat(300), "}".repeat(300));
        let cases: &[&[u8]] = &[
            b"",
            b" ",
            b"01",
            b"-01",
            b"+1",
            b"-",
            b"1.",
            b".5",
            b"1e",
            b"1e+",
            b"0x10",
            b"1_000",
            b"1 2",
            b"--1",
            b"-a",
            b"NaN",
            b"Infinity",
            b"-Infinity",
            b"nan",
            b"inf",
            b"-inf",
            b"True",
            b"TRUE",
            b"nul",
            b"nulls",
            b"truefalse",
            b"undefined",
            b"{\"a\":1,}",
            b"[1,]",
            b"[,1]",
            b"[1 2]",
            b"[",
            b"]",
            b"[1",
            b"{",
            b"}",
            b"{\"a\"}",
            b"{\"a\":}",
            b"{a:1}",
            b"{'a':1}",
            b"{\"a\":1 \"b\":2}",
            b"{\"a\" 1}",
            b"{1:1}",
            b"{,}",
            b"{\"a\":1}}",
            b"[1]]",
            b"{\"a\":1}{\"a\":1}",
            b"{\"a\":1},",
            b"\"",
            b"\"abc",
            b"\"\\\"",
            b"'a'",
            b"\"\\x41\"",
            b"\"\\u12\"",
            b"\"\\u12g4\"",
            b"\"\\\"",
            b"\"a\nb\"",
            b"\"a\tb\"",
            b"\"\x00\"",
            b"\"\x1f\"",
            b"\"\\ud800\"",
            b"\"\\udc00\"",
            b"\"\\ud800x\"",
            b"\"\\ud800\\n\"",
            b"\"\\ud800\\ud800\"",
            b"\"\\udc00\\ud800\"",
            b"\xef\xbb\xbf{}",
            b"\xef\xbb\xbf1",
            b"\"\xff\"",
            b"\"\xc3\"",
            b"\"\xc0\xaf\"",
            b"\"\xed\xa0\x80\"",
            b"\"\xf4\x90\x80\x80\"",
            b"\xff",
            b"{\"\xff\":1}",
            b"1\x00",
            b"\x0b1",
            b"1\x0c",
            b"\xc2\xa01",
            b"/**/1",
            b"1//x",
            b"#1",
            deep.as_bytes(),
            deep_objects.as_bytes(),
        ];
        for case in cases {
            assert_eq!(verdicts(case), [false; 5], "{}", String::from_utf8_lossy(case));
        }
    }

    #[test]
    fn every_kind_of_json_value_is_taken() {
        let nested = format!("{}{}", "[".repeat(150), "]".repeat(150));
        let digits = "9".repeat(1000);
        let cases = [
            "0",
            "-0",
            "1",
            "-1",
            "1.5",
            "-0.5e-10",
            "1E400",
            "1e+5",
            "0e0",
            "0.0",
            &digits,
            "true",
            "false",
            "null",
            "[]",
            "{}",
            "\"\"",
            " [ 1 , 2 ] ",
            r#"{"":1}"#,
            r#"{"a":{"a":[{"a":null}]},"a":2}"#,
            r#""\"\\\/\b\f\n\r\t\u0000\u00e9\ud83d\ude00""#,
            "\"\u{7f}\u{80}\u{ffff}\u{10ffff}\"",
            "\t{}\r",
            &nested,
        ];
        for case in cases {
            assert_eq!(verdicts(case.as_bytes()), [true; 5], "{case}");
        }
    }

    #[test]
    fn a_reason_says_what_stands_where() {
        let reason = |line: &[u8]| Checker::new(None).check(line).unwrap_err();
        assert_eq!(reason(br#"{"a":01}"#), "not JSON: invalid number at its byte 7");
        assert_eq!(reason(b"\"a\xff\""), "not UTF-8 at its byte 3");
    }

    #[test]
    fn a_key_is_text_a_literal_or_raw_json() {
        let line = r#"{"s":"a\u00e9\"\n","n":-1.50e3,"b":true,"o":{"x":[1, 2]},"":0,"a/b":1,"m~n":2,"e":"","z":null,"0":"zero"}"#;
        for (pointer, expected) in [
            ("/s", Some("aé\"\n")),
            ("/n", Some("-1.50e3")),
            ("/b", Some("true")),
            ("/o", Some(r#"{"x":[1, 2]}"#)),
            ("/o/x", Some("[1, 2]")),
            ("/o/x/1", Some("2")),
            ("/o/x/2", None),
            ("/o/x/-", None),
            ("/o/x/01", None),
            ("/o/x/y", None),
            ("/", Some("0")),
            ("/a~1b", Some("1")),
            ("/m~0n", Some("2")),
            ("/e", Some("")),
            ("/z", None),
            ("/nowhere", None),
            ("/s/x", None),
            ("/0", Some("zero")),
            ("", Some(line)),
        ] {
            assert_eq!(key(pointer, line).as_deref(), expected, "{pointer}");
        }
    }

    #[test]
    fn a_member_named_twice_counts_with_its_last_value() {
        assert_eq!(key("/a", r#"{"a":1,"a":2}"#).as_deref(), Some("2"));
        assert_eq!(key("/a", r#"{"a":"x","a":null}"#), None);
        assert_eq!(key("/a/b", r#"{"a":{"b":1},"a":{}}"#), None);
        assert_eq!(key("/\u{e9}", r#"{"\u00e9":"x"}"#).as_deref(), Some("x"));
    }

    fn soup() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(wharf_tests::json::PIECES), 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn what_passes_is_what_another_parser_takes(line in soup()) {
            let other = serde_json::from_slice::<serde_json::Value>(&line).is_ok();
            prop_assert_eq!(Checker::new(None).check(&line).is_ok(), other);
            prop_assert_eq!(Checker::new(Some("/a/k".parse().unwrap())).check(&line).is_ok(), other);
        }
    }
}
