//! What must not be seen, taken out of what is shown.
//!
//! **Threat.** A far side sends back what the host had added to a request, or a connector says what a secret setting holds, and it ends
//! up in a log, an error or a dead letter. **Answer.** Every secret that the host adds, and every setting that a connector declares
//! secret, is looked for wherever a connector's words come out: as it is, in base64 (either alphabet, with and without padding, also
//! as a piece of something longer), as JSON has it, and each of these with any of its bytes percent-encoded; `***` stands there
//! instead. Without a secret nothing is searched.
//!
//! A secret of fewer than [`SHORTEST`] bytes is not looked for: it would tear holes into everything else. What a connector takes apart,
//! turns around or enciphers is not found either: it is no wall against a connector that holds a secret and means to tell it.

use std::{
    borrow::Cow,
    collections::VecDeque,
    fmt,
    ops::Range,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// Bytes of the shortest secret that is looked for.
pub const SHORTEST: usize = 4;

/// What stands in a secret's place.
pub const MARK: &str = "***";

/// How many secrets that were learned on the way are remembered: tokens come and go.
const LEARNED: usize = 64;

/// Takes secrets out of texts. Clones share what they know.
#[derive(Clone, Default)]
pub struct Redactor(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Whether there is anything to look for: all that is asked where there is not.
    any: AtomicBool,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    given: Vec<Box<str>>,
    learned: VecDeque<Box<str>>,
    finder: Option<Arc<Finder>>,
}

struct Finder {
    automaton: AhoCorasick,
    longest: usize,
}

impl Finder {
    /// Where secrets are, in the order of where they begin.
    fn find(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut found: Vec<_> = self.automaton.find_iter(bytes).map(|found| found.range()).collect();
        if let Some(Decoded { bytes, places }) = Decoded::of(bytes) {
            found.extend(self.automaton.find_iter(&bytes).map(|found| places[found.start()]..places[found.end()]));
            found.sort_unstable_by_key(|found| found.start);
        }
        found
    }
}

impl Redactor {
    /// Looks for these from the start, and for good.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let redactor = Self::default();
        redactor.know(|known| {
            for secret in secrets {
                let new = secret.len() >= SHORTEST && !known.given.iter().any(|other| **other == *secret);
                if new {
                    known.given.push(secret.into());
                }
            }
            !known.given.is_empty()
        });
        redactor
    }

    /// Looks for this one too, from now on. Of those that were learned so, the last 64 are remembered.
    pub fn learn(&self, secret: &str) {
        self.know(|known| {
            let old = known.given.iter().chain(&known.learned).any(|other| **other == *secret);
            if old || secret.len() < SHORTEST {
                return false;
            }
            known.learned.push_back(secret.into());
            if known.learned.len() > LEARNED {
                known.learned.pop_front();
            }
            true
        });
    }

    /// Whether there is anything to look for.
    pub fn is_empty(&self) -> bool {
        !self.0.any.load(Ordering::Acquire)
    }

    /// The most bytes that anything has which is looked for; 0 where there is nothing.
    pub fn longest(&self) -> usize {
        self.finder().map_or(0, |finder| finder.longest)
    }

    /// The text without secrets.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            // Whole secrets were taken out, which are text themselves: what is left is text.
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// The bytes without secrets.
    pub fn bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        self.range(bytes, 0, bytes.len())
    }

    /// The first so many bytes without secrets, one that begins within them included.
    pub fn beginning<'a>(&self, bytes: &'a [u8], most: usize) -> Cow<'a, [u8]> {
        self.range(bytes, 0, most.min(bytes.len()))
    }

    /// The last so many bytes without secrets, one that ends within them included.
    pub fn ending<'a>(&self, bytes: &'a [u8], most: usize) -> Cow<'a, [u8]> {
        self.range(bytes, bytes.len().saturating_sub(most), bytes.len())
    }

    /// What stands between two places; a secret that reaches over one of them is found as well.
    fn range<'a>(&self, bytes: &'a [u8], start: usize, end: usize) -> Cow<'a, [u8]> {
        let Some(finder) = self.finder() else {
            return Cow::Borrowed(&bytes[start..end]);
        };
        let mut shown = Vec::new();
        let (mut done, mut any) = (start, false);
        for found in finder.find(bytes).into_iter().filter(|found| found.end > start && found.start < end) {
            if any && found.start < done {
                // It reaches into the one before.
                done = done.max(found.end);
                continue;
            }
            shown.extend_from_slice(bytes.get(done..found.start).unwrap_or_default());
            shown.extend_from_slice(MARK.as_bytes());
            (done, any) = (found.end, true);
        }
        if !any {
            return Cow::Borrowed(&bytes[start..end]);
        }
        shown.extend_from_slice(bytes.get(done..end).unwrap_or_default());
        Cow::Owned(shown)
    }

    fn finder(&self) -> Option<Arc<Finder>> {
        if self.is_empty() {
            return None;
        }
        self.0.known.read().unwrap_or_else(PoisonError::into_inner).finder.clone()
    }

    /// Changes what is known, and makes ready to look for it where that changed anything.
    fn know(&self, change: impl FnOnce(&mut Known) -> bool) {
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        if !change(&mut known) {
            return;
        }
        let mut forms: Vec<Vec<u8>> = known.given.iter().chain(&known.learned).flat_map(|secret| forms(secret)).collect();
        forms.sort_unstable();
        forms.dedup();
        let longest = ENCODED * forms.iter().map(Vec::len).max().unwrap_or_default();
        // Building fails beyond two thousand million states, and the sizes of settings and headers are bounded far below.
        // A DFA is faster, and takes thirty times as much: 40 MiB for a secret of 16 KiB.
        let mut builder = AhoCorasick::builder();
        builder.match_kind(MatchKind::LeftmostLongest).kind(Some(AhoCorasickKind::ContiguousNFA));
        if let Ok(automaton) = builder.build(&forms) {
            known.finder = Some(Arc::new(Finder { automaton, longest }));
            self.0.any.store(true, Ordering::Release);
        }
    }
}

/// What is known is not shown.
impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "Redactor(nothing)" } else { "Redactor(***)" })
    }
}

/// Bytes of a percent-encoded one.
const ENCODED: usize = 3;

/// A text that has percent-encoded bytes in it, decoded.
struct Decoded {
    bytes: Vec<u8>,
    /// Where each of its bytes begins in the text, and where the last one ends.
    places: Vec<usize>,
}

impl Decoded {
    /// `None` where nothing is encoded.
    fn of(text: &[u8]) -> Option<Self> {
        let first = text.iter().position(|byte| *byte == b'%')?;
        let mut decoded = Self { bytes: text[..first].to_vec(), places: (0..first).collect() };
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (mut at, mut any) = (first, false);
        while let Some(byte) = text.get(at) {
            decoded.places.push(at);
            let encoded = match text.get(at + 1..at + ENCODED) {
                Some([high, low]) if *byte == b'%' => digit(high).zip(digit(low)),
                _ => None,
            };
            decoded.bytes.push(encoded.map_or(*byte, |(high, low)| high << 4 | low));
            at += if encoded.is_some() { ENCODED } else { 1 };
            any |= encoded.is_some();
        }
        decoded.places.push(at);
        any.then_some(decoded)
    }
}

/// Everything that a secret can look like, once percent-encoded bytes are decoded.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    // A space in a form is a plus.
    let mut forms = vec![secret.as_bytes().to_vec(), secret.replace(' ', "+").into_bytes()];
    if let Ok(quoted) = serde_json::to_string(secret) {
        forms.push(quoted.as_bytes()[1..quoted.len() - 1].to_vec());
    }
    for alphabet in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        let whole = alphabet.encode(secret);
        forms.push(format!("{whole:=<width$}", width = whole.len().next_multiple_of(4)).into_bytes());
        forms.push(whole.into_bytes());
        // As a piece of something longer, it begins at any of three places of a group; what its neighbours share with it is left.
        for before in 0..3_usize {
            let mut bytes = vec![0; before];
            bytes.extend_from_slice(secret.as_bytes());
            let encoded = alphabet.encode(&bytes).into_bytes();
            let piece = &encoded[(before * 8).div_ceil(6)..bytes.len() * 8 / 6];
            if piece.len() >= SHORTEST {
                forms.push(piece.to_vec());
            }
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    const SECRET: &str = "s3cr/t+k?y>~ 1";

    fn every_byte(text: &str, encoded: impl Fn(u8) -> String) -> String {
        text.bytes().map(encoded).collect()
    }

    #[test]
    fn a_secret_is_found_in_every_form() {
        let redactor = Redactor::new([SECRET]);
        for form in [
            SECRET.to_owned(),
            STANDARD.encode(SECRET),
            URL_SAFE.encode(SECRET),
            STANDARD_NO_PAD.encode(SECRET),
            URL_SAFE_NO_PAD.encode(SECRET),
            "s3cr%2Ft%2Bk%3Fy%3E~%201".into(),
            "s3cr%2ft%2bk%3fy%3e~%201".into(),
            "s3cr%2Ft%2Bk%3Fy%3E%7E%201".into(),
            "s3cr%2Ft%2Bk%3Fy%3E~+1".into(),
            every_byte(SECRET, |byte| format!("%{byte:02X}")),
            every_byte(SECRET, |byte| format!("%{byte:02x}")),
            every_byte(SECRET, |byte| if byte % 2 == 0 { format!("%{byte:02x}") } else { char::from(byte).into() }),
            every_byte(&STANDARD.encode(SECRET), |byte| format!("%{byte:02X}")),
        ] {
            assert_eq!(redactor.text(&form), "***", "{form}");
            assert_eq!(redactor.text(&format!("<{form}> and {form}")), "<***> and ***", "{form}");
        }
        let quoted = Redactor::new(["pass\"word\\"]);
        assert_eq!(quoted.text(r#"{"p":"pass\"word\\"}"#), r#"{"p":"***"}"#);
    }

    #[test]
    fn a_secret_within_something_encoded_is_found() {
        let redactor = Redactor::new([SECRET]);
        for before in ["", "u", "us", "user:"] {
            for behind in ["", "\n", "\r\n", "\r\n."] {
                let encoded = STANDARD.encode(format!("{before}{SECRET}{behind}"));
                let shown = redactor.text(&encoded);
                assert!(shown.contains("***"), "{before:?} {behind:?}");
                // Of the secret at most the bits are left that its first and last byte share with their neighbours.
                assert!(shown.len() <= before.len() * 2 + behind.len() * 2 + 3 + 6, "{before:?} {behind:?}: {shown}");
            }
        }
    }

    #[test]
    fn what_only_looks_encoded_is_left_and_a_secret_beside_it_is_found() {
        let redactor = Redactor::new(["100% sure", "%41bc"]);
        for text in ["100% unsure", "%4", "%", "%zz%", "%2", "%C3%A9 and é", "Abc"] {
            assert!(matches!(redactor.text(text), Cow::Borrowed(_)), "{text}");
        }
        for (text, shown) in [
            ("%100% sure%", "%***%"),
            ("é%31%30%30%25%20sure%4", "é***%4"),
            ("%41bc%2541bc %41bc", "****** ***"),
            ("100% sure 100%25+sure %zz", "*** *** %zz"),
        ] {
            assert_eq!(redactor.text(text), shown);
        }
        // Two ways to read it overlap: nothing of either is left.
        let redactor = Redactor::new(["ab%41c", "Acd%"]);
        assert_eq!(redactor.text("<ab%41cd%>"), "<***>");
    }

    #[test]
    fn without_a_secret_nothing_is_copied() {
        let redactor = Redactor::default();
        assert!(matches!(redactor.text("anything"), Cow::Borrowed(_)));
        let redactor = Redactor::new(["abc", ""]);
        assert!(redactor.is_empty());
        assert_eq!(redactor.text("abcabc"), "abcabc");
        let redactor = Redactor::new(["abcd"]);
        assert!(matches!(redactor.text("abc"), Cow::Borrowed(_)));
        assert!(matches!(redactor.bytes(b"\xff\xfe"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_is_learned_on_the_way_is_found_by_all_and_forgotten_in_the_end() {
        let redactor = Redactor::default();
        let other = redactor.clone();
        redactor.learn("token-0");
        assert_eq!(other.text("a token-0"), "a ***");
        (1..=LEARNED).for_each(|number| redactor.learn(&format!("token-{number:03}")));
        assert_eq!(other.text("token-0 token-001 token-064"), "token-0 *** ***");
        assert_eq!(format!("{other:?}"), "Redactor(***)");
    }

    #[test]
    fn what_is_cut_shows_no_part_of_a_secret() {
        let redactor = Redactor::new(["secret-value"]);
        let text = b"before secret-value behind";
        for most in 0..text.len() {
            for shown in [redactor.beginning(text, most), redactor.ending(text, most)] {
                let shown = String::from_utf8_lossy(&shown).into_owned();
                assert!(!["se", "cr", "et-", "alue"].iter().any(|part| shown.contains(part)), "{most}: {shown}");
            }
        }
        assert_eq!(*redactor.beginning(text, 8), *b"before ***");
        assert_eq!(*redactor.ending(text, 8), *b"*** behind");
        assert_eq!(*Redactor::default().ending(text, 6), *b"behind");
    }

    #[test]
    fn the_longest_of_several_is_taken() {
        let redactor = Redactor::new(["abcd", "abcdefgh"]);
        assert_eq!(redactor.text("xabcdefghx abcdx"), "x***x ***x");
        assert_eq!(redactor.text("żabcdż"), "ż***ż");
    }
}
