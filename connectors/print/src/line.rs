//! A record as a line.

use std::io::Write;

use wharf_sdk::{Batch, Operation, Record};

use crate::{Config, Show};

/// Appends `key=k source=web | value` and a newline.
pub fn append(line: &mut Vec<u8>, batch: &Batch, record: Record<'_>, config: &Config) {
    let start = line.len();
    for show in &config.show {
        match show {
            Show::Position => {
                field(line, start, "partition", Some(batch.partition().as_bytes()), config.width);
                field(line, start, "sequence", Some(record.sequence().to_string().as_bytes()), config.width);
            }
            Show::Operation => field(line, start, "operation", Some(name_of(record.operation()).as_bytes()), config.width),
            Show::Key => field(line, start, "key", record.key(), config.width),
            Show::Before => field(line, start, "before", record.before(), config.width),
            Show::Metadata => {
                for name in batch.meta_names() {
                    field(line, start, name, record.meta(name), config.width);
                }
            }
        }
    }
    if line.len() > start {
        line.extend_from_slice(b" | ");
    }
    match record.after() {
        Some(after) => append_text(line, after, config.width),
        None => line.push(b'-'),
    }
    line.push(b'\n');
}

/// ` name=value`, and nothing where the record has none.
fn field(line: &mut Vec<u8>, start: usize, name: &str, value: Option<&[u8]>, width: u32) {
    let Some(value) = value else { return };
    if line.len() > start {
        line.push(b' ');
    }
    append_text(line, name.as_bytes(), 0);
    line.push(b'=');
    append_text(line, value, width);
}

fn name_of(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "create",
        Operation::Update => "update",
        Operation::Delete => "delete",
        Operation::Snapshot => "snapshot",
    }
}

/// Text as it is; what would move a terminal's cursor, change its colours or turn the direction of writing, and what is no UTF-8, is
/// escaped. After `width` characters, where that is not 0, comes an ellipsis.
fn append_text(line: &mut Vec<u8>, text: &[u8], width: u32) {
    let mut left = if width == 0 { usize::MAX } else { width as usize };
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            if left == 0 {
                return line.extend_from_slice("…".as_bytes());
            }
            left -= 1;
            match c {
                '\n' => line.extend_from_slice(b"\\n"),
                '\r' => line.extend_from_slice(b"\\r"),
                '\t' => line.extend_from_slice(b"\\t"),
                '\\' => line.extend_from_slice(b"\\\\"),
                c if c.is_control() || is_bidirectional(c) => append_escape(line, c),
                c => line.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        for byte in chunk.invalid() {
            if left == 0 {
                return line.extend_from_slice("…".as_bytes());
            }
            left -= 1;
            // Writing into a vector cannot fail.
            let _ = write!(line, "\\x{byte:02x}");
        }
    }
}

fn append_escape(line: &mut Vec<u8>, c: char) {
    // Writing into a vector cannot fail.
    let _ = write!(line, "\\u{{{:x}}}", u32::from(c));
}

/// Marks that reorder what follows them.
fn is_bidirectional(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use wharf_sdk::{
        Context, Descriptor, Destination, Failure, Receipt,
        testing::{Harness, TestBatch, batch, deletion, record},
    };

    use super::*;

    /// Prints where a test can look.
    struct Lines(Config);

    thread_local! {
        static PRINTED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }

    impl Destination for Lines {
        type Config = Config;

        fn describe() -> Descriptor {
            Descriptor::new("")
        }

        fn open(config: Config, _: Context) -> Result<Self, Failure> {
            Ok(Self(config))
        }

        fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
            PRINTED.with_borrow_mut(|lines| batch.records().for_each(|record| append(lines, batch, record, &self.0)));
            Ok(Receipt::all(batch))
        }
    }

    fn printed(harness: Harness<Lines>, batch: TestBatch) -> String {
        PRINTED.set(Vec::new());
        harness.open().write(&batch);
        String::from_utf8(PRINTED.take()).unwrap()
    }

    #[test]
    fn without_a_wish_a_line_is_the_value() {
        assert_eq!(printed(Harness::new(), batch([record("a"), deletion("k"), record("")])), "a\n-\n\n");
    }

    #[test]
    fn what_is_asked_for_comes_first_and_what_is_absent_is_left_out() {
        let harness = ["position", "operation", "key", "metadata", "before"].into_iter().enumerate();
        let harness = harness.fold(Harness::new(), |harness, (index, show)| harness.setting(format!("show.{index}"), show));
        let records = [
            record("new").key("k").before("old").meta("source", "web").operation(Operation::Update).sequence(7),
            record("plain"),
        ];
        let expected = "partition=p sequence=7 operation=update key=k source=web before=old | new\n\
                        partition=p sequence=8 operation=create | plain\n";
        assert_eq!(printed(harness, batch(records).partition("p")), expected);
    }

    #[test]
    fn nothing_in_a_record_reaches_the_terminal_as_a_command() {
        let hostile = [&b"a\nb\\\x1b[31m"[..], b"\xff\xfeok", "\u{202e}evil".as_bytes()];
        let expected = "a\\nb\\\\\\u{1b}[31m\n\\xff\\xfeok\n\\u{202e}evil\n";
        assert_eq!(printed(Harness::new(), batch(hostile)), expected);
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let harness = Harness::new().setting("width", "3");
        assert_eq!(printed(harness, batch(["äöü", "äöüß", "\u{1}\u{2}\u{3}\u{4}"])), "äöü\näöü…\n\\u{1}\\u{2}\\u{3}…\n");
    }
}
