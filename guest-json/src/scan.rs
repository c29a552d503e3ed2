//! RFC 8259 to the letter.

use std::{fmt, ops::Range};

/// The deepest nesting, so that no document outgrows a stack.
const DEEPEST: usize = 200;

/// Why some bytes are not JSON. It shows nothing of what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    what: &'static str,
    /// At which byte, from 0.
    at: usize,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not JSON: {} at byte {}", self.what, self.at + 1)
    }
}

impl std::error::Error for Fault {}

/// The one value that the bytes are, without the blanks around it.
pub(crate) fn document(bytes: &[u8]) -> Result<&str, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|error| Fault { what: "no UTF-8", at: error.valid_up_to() })?;
    let mut scanner = Scanner { bytes, at: 0 };
    scanner.blanks();
    let start = scanner.at;
    scanner.value(0)?;
    let end = scanner.at;
    scanner.blanks();
    if scanner.at < bytes.len() {
        return Err(scanner.fault("more than one value"));
    }
    Ok(&text[start..end])
}

/// What the document is where it is an object: a name and a value for each member, found in the one pass that checks it. `None` where it is
/// something else, which is not looked at.
pub(crate) fn object<'a>(bytes: &'a [u8], mut member: impl FnMut(&'a str, &'a str)) -> Result<Option<()>, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|error| Fault { what: "no UTF-8", at: error.valid_up_to() })?;
    let start = bytes.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).unwrap_or_default();
    let text = &text[start..];
    if !text.starts_with('{') {
        return Ok(None);
    }
    let fault = |fault: Fault| Fault { at: fault.at + start, ..fault };
    let mut scanner = Scanner::inside(text);
    while let Some(name) = scanner.name().map_err(fault)? {
        let from = scanner.at;
        scanner.value(1).map_err(fault)?;
        member(&text[name], &text[from..scanner.at]);
    }
    scanner.blanks();
    if scanner.at < text.len() {
        return Err(fault(scanner.fault("more than one value")));
    }
    Ok(Some(()))
}

/// Reads JSON from its beginning on. In a text that was checked nothing fails.
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// Behind the bracket that opens a container.
    pub(crate) fn inside(container: &'a str) -> Self {
        Self { bytes: container.as_bytes(), at: 1 }
    }

    /// The name of the next member of an object; `None` at its end.
    pub(crate) fn name(&mut self) -> Result<Option<Range<usize>>, Fault> {
        if !self.next(b'}')? {
            return Ok(None);
        }
        let start = self.at;
        self.string()?;
        let name = start..self.at;
        self.blanks();
        self.expect(b':', "no colon behind a name")?;
        self.blanks();
        Ok(Some(name))
    }

    /// Whether another element of an array comes.
    pub(crate) fn element(&mut self) -> Result<bool, Fault> {
        self.next(b']')
    }

    /// The value that comes.
    pub(crate) fn next_value(&mut self) -> Result<Range<usize>, Fault> {
        let start = self.at;
        self.value(0)?;
        Ok(start..self.at)
    }

    /// Passes the comma; false, and behind the bracket, at the container's end.
    fn next(&mut self, end: u8) -> Result<bool, Fault> {
        // Before the first value stands the bracket alone, since blanks are passed only from here on.
        let first = self.at == 1;
        self.blanks();
        match self.peek() {
            Some(byte) if byte == end => {
                self.at += 1;
                return Ok(false);
            }
            Some(b',') if !first => {
                self.at += 1;
                self.blanks();
            }
            Some(_) if first => {}
            _ => return Err(self.fault("no comma between two values")),
        }
        Ok(true)
    }

    fn value(&mut self, depth: usize) -> Result<(), Fault> {
        if depth > DEEPEST {
            return Err(self.fault("nesting that is too deep"));
        }
        match self.peek() {
            Some(b'{') => self.members(depth),
            Some(b'[') => self.elements(depth),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            Some(_) => Err(self.fault("no value")),
            None => Err(self.fault("an early end")),
        }
    }

    fn members(&mut self, depth: usize) -> Result<(), Fault> {
        self.at += 1;
        self.blanks();
        if self.eat(b'}') {
            return Ok(());
        }
        loop {
            self.string()?;
            self.blanks();
            self.expect(b':', "no colon behind a name")?;
            self.blanks();
            self.value(depth + 1)?;
            self.blanks();
            if self.eat(b'}') {
                return Ok(());
            }
            self.expect(b',', "no comma between two members")?;
            self.blanks();
        }
    }

    fn elements(&mut self, depth: usize) -> Result<(), Fault> {
        self.at += 1;
        self.blanks();
        if self.eat(b']') {
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            self.blanks();
            if self.eat(b']') {
                return Ok(());
            }
            self.expect(b',', "no comma between two elements")?;
            self.blanks();
        }
    }

    fn string(&mut self) -> Result<(), Fault> {
        self.expect(b'"', "no string")?;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0..=0x1f) => return Err(self.fault("a control character in a string")),
                Some(_) => self.at += plain(&self.bytes[self.at..], b'"', b'\\'),
                None => return Err(self.fault("a string without an end")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                let unit = self.hex()?;
                let low = match unit {
                    0xd800..=0xdbff => self.eat(b'\\') && self.eat(b'u') && matches!(self.hex()?, 0xdc00..=0xdfff),
                    0xdc00..=0xdfff => false,
                    _ => true,
                };
                if !low {
                    return Err(Fault { what: "half of a surrogate pair", at: start });
                }
            }
            _ => return Err(self.fault("an escape that there is not")),
        }
        Ok(())
    }

    fn hex(&mut self) -> Result<u32, Fault> {
        let digits = self.bytes.get(self.at..self.at + 4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let unit = digits.and_then(|digits| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        let unit = unit.ok_or_else(|| self.fault("no four hexadecimal digits"))?;
        self.at += 4;
        Ok(unit)
    }

    fn number(&mut self) -> Result<(), Fault> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _sign = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.fault("no digit")) } else { Ok(()) }
    }

    fn literal(&mut self, literal: &[u8]) -> Result<(), Fault> {
        if self.bytes[self.at..].starts_with(literal) {
            self.at += literal.len();
            return Ok(());
        }
        Err(self.fault("no value"))
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let eaten = self.peek() == Some(byte);
        self.at += usize::from(eaten);
        eaten
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Fault> {
        if self.eat(byte) { Ok(()) } else { Err(self.fault(what)) }
    }

    fn fault(&self, what: &'static str) -> Fault {
        Fault { what, at: self.at }
    }
}

/// How many bytes from the beginning on are neither control characters nor one of these two. Eight are looked at at once.
pub fn plain(bytes: &[u8], left: u8, right: u8) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);
    // The top bit of a byte is set where that byte is below `least`, of which 0x80 is the most (Bit Twiddling Hacks, `hasless`); perhaps of one
    // behind it too, which the slow look below finds out.
    let below = |word: u64, least: u64| word.wrapping_sub(ONES * least) & !word & TOPS;
    let (lefts, rights) = (ONES * u64::from(left), ONES * u64::from(right));
    let stops = |chunk: &[u8; 8]| {
        let word = u64::from_le_bytes(*chunk);
        below(word, 0x20) | below(word ^ lefts, 1) | below(word ^ rights, 1) != 0
    };
    let (chunks, _) = bytes.as_chunks::<8>();
    let passed = chunks.iter().position(stops).unwrap_or(chunks.len()) * 8;
    let stop = |byte: &u8| *byte < 0x20 || *byte == left || *byte == right;
    bytes[passed..].iter().position(stop).map_or(bytes.len(), |at| passed + at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_plain_is_found_as_byte_by_byte(bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0x1eu8..0x24, Just(b'a')], 0..40)) {
            let expected = bytes.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\').unwrap_or(bytes.len());
            prop_assert_eq!(plain(&bytes, b'"', b'\\'), expected);
        }
    }
}
