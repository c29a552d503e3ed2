//! CSV with a header: each row as a JSON object of strings.
//!
//! RFC 4180, with `\n` and `\r\n` as line ends and quotes taken as they stand within a field that does not begin with one. What the
//! RFC leaves no meaning for is no record: text behind a closing quote, a quote that is never closed, a row with another number of
//! fields than the header.

use std::collections::BTreeSet;

use memchr::{memchr, memchr2};

use super::lines::{Frame, without_carriage_return};

/// Where one field of a row is.
#[derive(Clone, Copy, Debug)]
struct Field {
    start: usize,
    end: usize,
    quoted: bool,
}

/// Where in a row the scan stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Start,
    Plain,
    Quoted,
    /// Behind a quote within a quoted field: its end, or half of a doubled one.
    Quote,
    /// Text behind a closing quote.
    Torn,
}

/// What breaks the rules in a row.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Torn(usize),
    Open(usize),
}

/// No table has more columns.
const MOST_COLUMNS: usize = 1 << 16;

/// Finds rows and their fields and looks at no byte twice.
#[derive(Debug)]
pub(super) struct RowScan {
    /// The first `most` of them: a row of nothing but commas would fill the memory.
    fields: Vec<Field>,
    most: usize,
    /// How many there are.
    count: usize,
    seen: usize,
    /// Where the field begins, without its quote.
    start: usize,
    /// Where its closing quote is.
    close: usize,
    at: At,
    fault: Option<Fault>,
}

impl RowScan {
    fn new() -> Self {
        Self { fields: Vec::new(), most: MOST_COLUMNS, count: 0, seen: 0, start: 0, close: 0, at: At::Start, fault: None }
    }

    /// The row at the beginning of `bytes`; `None` where it goes on behind them. `end` tells that nothing comes behind.
    pub(super) fn scan(&mut self, bytes: &[u8], end: bool) -> Option<Frame> {
        loop {
            let rest = &bytes[self.seen..];
            match self.at {
                At::Start => match rest.first() {
                    Some(b'"') => {
                        self.seen += 1;
                        self.begin(At::Quoted);
                    }
                    Some(_) => self.begin(At::Plain),
                    None => break,
                },
                At::Plain | At::Torn => match memchr2(b',', b'\n', rest) {
                    Some(at) => {
                        let stop = self.seen + at;
                        if self.finish_field(bytes, stop) {
                            return Some(Frame { content: stop, whole: stop + 1 });
                        }
                    }
                    None => {
                        self.seen = bytes.len();
                        break;
                    }
                },
                At::Quoted => match memchr(b'"', rest) {
                    Some(at) => {
                        self.close = self.seen + at;
                        self.seen = self.close + 1;
                        self.at = At::Quote;
                    }
                    None => {
                        self.seen = bytes.len();
                        break;
                    }
                },
                At::Quote => match rest {
                    [b'"', ..] => {
                        self.seen += 1;
                        self.at = At::Quoted;
                    }
                    [b',' | b'\n', ..] => {
                        let stop = self.seen;
                        if self.finish_field(bytes, stop) {
                            return Some(Frame { content: stop, whole: stop + 1 });
                        }
                    }
                    [b'\r', b'\n', ..] => {
                        let content = self.seen + 1;
                        self.finish_field(bytes, content);
                        return Some(Frame { content, whole: content + 1 });
                    }
                    [] | [b'\r'] => break,
                    _ => {
                        self.fault.get_or_insert(Fault::Torn(self.seen));
                        self.at = At::Torn;
                    }
                },
            }
        }
        if !end || bytes.is_empty() {
            return None;
        }
        match self.at {
            At::Start => self.begin(At::Plain),
            At::Quoted => {
                self.fault.get_or_insert(Fault::Open(self.start.saturating_sub(1)));
                self.close = bytes.len();
            }
            At::Plain | At::Torn | At::Quote => {}
        }
        self.finish_field(bytes, bytes.len());
        Some(Frame { content: bytes.len(), whole: bytes.len() })
    }

    fn begin(&mut self, at: At) {
        self.start = self.seen;
        self.at = at;
    }

    /// Ends a field before the byte at `stop`; whether the row ends there too.
    fn finish_field(&mut self, bytes: &[u8], stop: usize) -> bool {
        let last = bytes.get(stop).is_none_or(|byte| *byte == b'\n');
        let quoted = self.at != At::Plain;
        let end = match self.at {
            At::Plain if last => self.start + without_carriage_return(&bytes[self.start..stop]).len(),
            At::Plain => stop,
            _ => self.close,
        };
        if self.fields.len() < self.most {
            self.fields.push(Field { start: self.start, end, quoted });
        }
        self.count += 1;
        self.seen = stop + 1;
        self.at = At::Start;
        last
    }

    /// How many bytes of an unfinished row were looked at, which the window may let go of now.
    pub(super) fn let_go(&mut self) -> usize {
        self.fields.clear();
        (self.start, self.close) = (0, 0);
        std::mem::take(&mut self.seen)
    }

    /// Begins the next row.
    pub(super) fn reset(&mut self) {
        self.fields.clear();
        (self.count, self.seen, self.start, self.close, self.at, self.fault) = (0, 0, 0, 0, At::Start, None);
    }

    fn check(&self) -> Result<(), String> {
        match self.fault {
            Some(Fault::Torn(at)) => Err(format!("text behind a closing quote at its byte {}", at + 1)),
            Some(Fault::Open(at)) => Err(format!("the quote at its byte {} is never closed", at + 1)),
            None => Ok(()),
        }
    }
}

/// Turns rows into JSON objects, on buffers that it keeps.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) scan: RowScan,
    /// What comes before each value, its column's name in it; empty until the header was read.
    before: Vec<Vec<u8>>,
    key_name: Option<String>,
    key_column: Option<usize>,
    key: Vec<u8>,
}

impl Rows {
    pub(super) fn new(key: Option<String>) -> Self {
        Self { scan: RowScan::new(), before: Vec::new(), key_name: key, key_column: None, key: Vec::new() }
    }

    pub(super) fn has_header(&self) -> bool {
        !self.before.is_empty()
    }

    /// Takes the row scanned last as the header.
    pub(super) fn read_header(&mut self, row: &[u8]) -> Result<(), String> {
        self.scan.check().map_err(|reason| format!("the header: {reason}"))?;
        if self.scan.count > MOST_COLUMNS {
            return Err(format!("the header has {} columns, of which {MOST_COLUMNS} are the most", self.scan.count));
        }
        if let Err(error) = std::str::from_utf8(row) {
            return Err(format!("the header is not UTF-8 at its byte {}", error.valid_up_to() + 1));
        }
        let mut names = Vec::with_capacity(self.scan.fields.len());
        for field in &self.scan.fields {
            let mut name = Vec::new();
            unquote(row, *field, &mut name);
            names.push(String::from_utf8_lossy(&name).into_owned());
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
            return Err(format!("the header names the column `{twice}` twice"));
        }
        if let Some(key) = &self.key_name {
            self.key_column = names.iter().position(|name| name == key);
            if self.key_column.is_none() {
                return Err(no_such_column(key, &names));
            }
        }
        self.scan.most = self.scan.count;
        self.before = self.scan.fields.iter().enumerate().map(|(index, field)| before(row, *field, index == 0)).collect();
        Ok(())
    }

    /// Checks the row scanned last; how many bytes of JSON and of key it makes.
    pub(super) fn check(&mut self, row: &[u8]) -> Result<usize, String> {
        self.scan.check()?;
        let (fields, columns) = (self.scan.count, self.before.len());
        if fields != columns {
            return Err(format!("{fields} {}, where the header has {columns}", if fields == 1 { "field" } else { "fields" }));
        }
        if let Err(error) = std::str::from_utf8(row) {
            return Err(format!("not UTF-8 at its byte {}", error.valid_up_to() + 1));
        }
        self.key.clear();
        if let Some(column) = self.key_column {
            unquote(row, self.scan.fields[column], &mut self.key);
        }
        let mut size = self.key.len();
        self.pieces(row, |piece| size += piece.len());
        Ok(size)
    }

    /// The key of the row checked last, where a column is the key.
    pub(super) fn key(&self) -> Option<&[u8]> {
        self.key_column.map(|_| self.key.as_slice())
    }

    /// Hands out the row checked last as a JSON object, piece by piece.
    pub(super) fn pieces(&self, row: &[u8], mut out: impl FnMut(&[u8])) {
        for (before, field) in self.before.iter().zip(&self.scan.fields) {
            out(before);
            escape(row, *field, &mut out);
        }
        out(b"\"}");
    }
}

fn no_such_column(key: &str, names: &[String]) -> String {
    let near = names.iter().max_by(|a, b| strsim::jaro_winkler(key, a).total_cmp(&strsim::jaro_winkler(key, b)));
    match near {
        Some(near) => format!("the header has no column `{key}`, which is to be the key; the nearest is `{near}`"),
        None => format!("the header has no column `{key}`, which is to be the key"),
    }
}

/// `{"name":"` for the first column, `","name":"` for the others.
fn before(row: &[u8], field: Field, first: bool) -> Vec<u8> {
    let mut before = if first { b"{\"".to_vec() } else { b"\",\"".to_vec() };
    escape(row, field, |piece| before.extend_from_slice(piece));
    before.extend_from_slice(b"\":\"");
    before
}

/// Appends a field's text.
fn unquote(row: &[u8], field: Field, out: &mut Vec<u8>) {
    let mut text = &row[field.start..field.end];
    while let Some(at) = memchr(b'"', text).filter(|_| field.quoted) {
        out.extend_from_slice(&text[..=at]);
        text = text.get(at + 2..).unwrap_or_default();
    }
    out.extend_from_slice(text);
}

/// Hands out a field's text piece by piece as it stands within a JSON string.
fn escape(row: &[u8], field: Field, mut out: impl FnMut(&[u8])) {
    let text = &row[field.start..field.end];
    let mut from = 0;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            at += 1;
            continue;
        }
        if from < at {
            out(&text[from..at]);
        }
        match byte {
            b'"' => out(b"\\\""),
            b'\\' => out(b"\\\\"),
            b'\n' => out(b"\\n"),
            b'\r' => out(b"\\r"),
            b'\t' => out(b"\\t"),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out(&[b'\\', b'u', b'0', b'0', HEX[usize::from(control >> 4)], HEX[usize::from(control & 15)]]);
            }
        }
        // Within quotes, a quote is written twice.
        at += if *byte == b'"' && field.quoted { 2 } else { 1 };
        from = at;
    }
    if from < text.len() {
        out(&text[from..]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The rows of a text, fed in pieces of `chunk` bytes; what is no record comes as its reason.
    fn rows(text: &[u8], key: Option<&str>, chunk: usize) -> Vec<Result<(String, Option<String>), String>> {
        let mut rows = Rows::new(key.map(str::to_owned));
        let mut out = Vec::new();
        let (mut start, mut end) = (0, 0);
        while start < text.len() {
            let Some(frame) = rows.scan.scan(&text[start..end], end == text.len()) else {
                end = (end + chunk).min(text.len());
                continue;
            };
            let row = &text[start..start + frame.content];
            if !without_carriage_return(row).is_empty() {
                if rows.has_header() {
                    out.push(rows.check(row).map(|size| {
                        let (mut json, key) = (Vec::new(), rows.key().map(|key| String::from_utf8(key.to_vec()).unwrap()));
                        rows.pieces(row, |piece| json.extend_from_slice(piece));
                        assert_eq!(size, json.len() + key.as_ref().map_or(0, String::len));
                        (String::from_utf8(json).unwrap(), key)
                    }));
                } else if let Err(reason) = rows.read_header(row) {
                    return vec![Err(reason)];
                }
            }
            rows.scan.reset();
            start += frame.whole;
            end = end.max(start);
        }
        out
    }

    fn json(text: &[u8]) -> Vec<Result<String, String>> {
        let whole = rows(text, None, 1000);
        assert_eq!(whole, rows(text, None, 1), "fed byte by byte");
        whole.into_iter().map(|row| row.map(|(json, _)| json)).collect()
    }

    #[test]
    fn a_row_becomes_an_object_of_strings() {
        let text = b"id,\"say \"\"hi\"\"\",\\c\r\n1,\"a,\nb\",c\"d\n\n\r\n2,\"x\"\"y\",\t\x01\n3,,";
        let expected = [
            r#"{"id":"1","say \"hi\"":"a,\nb","\\c":"c\"d"}"#,
            r#"{"id":"2","say \"hi\"":"x\"y","\\c":"\t\u0001"}"#,
            r#"{"id":"3","say \"hi\"":"","\\c":""}"#,
        ];
        assert_eq!(json(text), expected.map(|row| Ok(row.to_owned())));
    }

    #[test]
    fn what_breaks_the_rules_is_unreadable_and_the_rows_behind_it_are_not() {
        let text = b"a,b\n1\n1,2,3\n\"x\"y,2\n\xff,1\n\"\"\"\",\"\"\r\n1,\"open\n2,3\n";
        let expected = [
            Err("1 field, where the header has 2"),
            Err("3 fields, where the header has 2"),
            Err("text behind a closing quote at its byte 4"),
            Err("not UTF-8 at its byte 1"),
            Ok(r#"{"a":"\"","b":""}"#),
            Err("the quote at its byte 3 is never closed"),
        ];
        assert_eq!(json(text), expected.map(|row| row.map(str::to_owned).map_err(str::to_owned)));
    }

    #[test]
    fn a_wrong_header_is_refused_with_the_column_that_is_meant() {
        let refusal = |text: &[u8], key| rows(text, Some(key), 1000).remove(0).unwrap_err();
        assert_eq!(
            refusal(b"name,user_id\n1,2", "userid"),
            "the header has no column `userid`, which is to be the key; the nearest is `user_id`"
        );
        assert_eq!(refusal(b"a,b,a\n1,2,3", "a"), "the header names the column `a` twice");
        assert_eq!(refusal(b"a,\xff\n", "a"), "the header is not UTF-8 at its byte 3");
        assert_eq!(refusal(&[b','; 70_000], "a"), "the header has 70001 columns, of which 65536 are the most");
        assert_eq!(refusal(b"a,\"b\n", "a"), "the header: the quote at its byte 3 is never closed");
    }

    #[test]
    fn a_row_of_nothing_but_commas_takes_no_more_memory_than_another() {
        let mut rows = Rows::new(None);
        rows.scan.scan(b"a,b", true);
        rows.read_header(b"a,b").unwrap();
        rows.scan.reset();
        let row = [b','; 100_000];
        rows.scan.scan(&row, true);
        assert_eq!(rows.check(&row), Err("100001 fields, where the header has 2".to_owned()));
        assert!(rows.scan.fields.capacity() < 100);
    }

    #[test]
    fn a_key_is_the_text_of_its_column() {
        let keys: Vec<_> =
            rows(b"k,v\n\"a\"\"b\"\"\",1\n,2\nx\"y,3", Some("k"), 2).into_iter().map(|row| row.unwrap().1.unwrap()).collect();
        assert_eq!(keys, ["a\"b\"", "", "x\"y"]);
    }

    proptest! {
        #[test]
        fn any_table_comes_out_as_it_was_written(
            table in prop::collection::vec(prop::collection::vec("[a-c\",\\\\\r\n\u{1}é ]{0,6}", 3), 0..8),
            chunk in 1usize..9,
            crlf: bool,
        ) {
            let terminator = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
            let mut writer = csv::WriterBuilder::new().terminator(terminator).from_writer(Vec::new());
            for row in std::iter::once(&["x", "y", "z"].map(str::to_owned).to_vec()).chain(&table) {
                writer.write_record(row).unwrap();
            }
            let text = writer.into_inner().unwrap();
            let read = rows(&text, Some("y"), chunk);
            prop_assert_eq!(read.len(), table.len());
            for (read, row) in read.into_iter().zip(&table) {
                let (json, key) = read.unwrap();
                prop_assert_eq!(key.as_ref(), Some(&row[1]));
                let object: std::collections::BTreeMap<String, String> = serde_json::from_str(&json).unwrap();
                prop_assert_eq!(object.into_values().collect::<Vec<_>>(), row.clone());
            }
        }
    }
}
