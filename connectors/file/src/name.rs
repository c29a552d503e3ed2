//! Names that come out of records, made safe to give to a file system.
//!
//! Threat: a key, a partition or a header that a stranger chose names a file outside the directory, the journal's folder,
//! another record's file, a device, or an option of somebody's shell command.
//!
//! | in a value | in the name |
//! |---|---|
//! | `A–Z a–z 0–9 _ + = , @` and, past the first byte, `-` | as it stands |
//! | `.` that is neither the first nor the last byte of the name | as it stands |
//! | every other byte: `/ \ : * ? " < > \| %`, blanks, controls, NUL, all beyond ASCII | `%XX`, upper case |
//! | the byte that parts this placeholder from the next (`-` in `{partition}-{key}`) | `%XX` |
//! | nothing at all | `%empty` |
//! | a whole name that Windows keeps for a device (`CON`, `nul.txt`, `COM1`) | its first byte as `%XX` |
//! | a whole name of more than 255 bytes | refused |
//!
//! No two values become the same text, on file systems that tell upper from lower case; those that do not are out of scope.

/// The longest name, in bytes, that the usual file systems take.
pub const LONGEST: usize = 255;

const EMPTY: &str = "%empty";

/// Adds `value` to `name`, escaped. `before` is the byte of the template that follows and must not occur in the value, where
/// another placeholder comes after it.
pub fn push(name: &mut String, value: &[u8], before: Option<u8>) {
    if value.is_empty() {
        name.push_str(EMPTY);
    }
    for &byte in value {
        let first = name.is_empty();
        let plain = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'+' | b'=' | b',' | b'@' => true,
            b'.' | b'-' => !first,
            _ => false,
        };
        if plain && before != Some(byte) { name.push(char::from(byte)) } else { escape(name, byte) }
    }
}

/// Settles what only the whole name shows. Says what is wrong with one that cannot be used.
pub fn finish(name: &mut String) -> Result<(), String> {
    if name.ends_with('.') {
        name.pop();
        escape(name, b'.');
    }
    if is_device(name) {
        let first = name.remove(0);
        let rest = std::mem::take(name);
        escape(name, first as u8);
        name.push_str(&rest);
    }
    if name.len() > LONGEST {
        return Err(format!(
            "would be written to a file whose name has {} bytes (`{}…`), and a file system takes {LONGEST}: name files by something shorter",
            name.len(),
            &name[..40],
        ));
    }
    Ok(())
}

/// A name for one value alone, such as a folder for a pipeline.
pub fn of(value: &str) -> Result<String, String> {
    let mut name = String::new();
    push(&mut name, value.as_bytes(), None);
    finish(&mut name)?;
    Ok(name)
}

/// Whether text that stands in settings, not in a record, may stand in a name as it is.
pub fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,@.- ".contains(&byte))
}

fn escape(name: &mut String, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    name.push('%');
    name.push(char::from(HEX[usize::from(byte >> 4)]));
    name.push(char::from(HEX[usize::from(byte & 15)]));
}

/// `CON`, `PRN`, `AUX`, `NUL`, `COM0`–`COM9`, `LPT0`–`LPT9`, in either case and with any extension.
/// <https://learn.microsoft.com/windows/win32/fileio/naming-a-file>
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end_matches(' ');
    match stem.len() {
        3 => ["con", "prn", "aux", "nul"].iter().any(|device| stem.eq_ignore_ascii_case(device)),
        4 => {
            let (kind, number) = stem.split_at(3);
            number.bytes().all(|digit| digit.is_ascii_digit())
                && ["com", "lpt"].iter().any(|device| kind.eq_ignore_ascii_case(device))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(value: &[u8]) -> String {
        let mut name = String::new();
        push(&mut name, value, None);
        finish(&mut name).unwrap();
        name
    }

    #[test]
    fn what_could_leave_the_directory_is_escaped() {
        for (value, expected) in [
            (&b"us-east.1"[..], "us-east.1"),
            (b"..", "%2E%2E"),
            (b".", "%2E"),
            (b"../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"),
            (b"a\\b", "a%5Cb"),
            (b".wharf-journal", "%2Ewharf-journal"),
            (b"", "%empty"),
            (b"%empty", "%25empty"),
            (b"\0", "%00"),
            (b"-rf", "%2Drf"),
            (b"a b\n", "a%20b%0A"),
            ("é".as_bytes(), "%C3%A9"),
            (b"\xff", "%FF"),
            (b"con", "%63on"),
            (b"LPT1.txt", "%4CPT1.txt"),
            (b"console", "console"),
            (b"end.", "end%2E"),
        ] {
            assert_eq!(name(value), expected);
        }
    }

    #[test]
    fn a_name_too_long_for_a_file_system_is_refused() {
        let mut at_most = "a".repeat(LONGEST);
        assert_eq!(finish(&mut at_most), Ok(()));
        let mut longer = "a".repeat(LONGEST + 1);
        assert!(finish(&mut longer).unwrap_err().contains("256 bytes"));
    }
}
