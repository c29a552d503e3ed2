//! What must not be seen, taken out of what is shown.
//!
//! **Threat.** A far side sends back what the host had added to a request, or a connector says what a secret setting holds, and it ends
//! up in a log, an error or a dead letter. **Answer.** Every secret that the host adds, and every setting that a connector declares
//! secret, is looked for wherever a connector's words come out: as it is, in base64 (either alphabet, with and without padding, also
//! as a piece of something longer), percent-encoded and as JSON has it; `***` stands there instead. Without a secret nothing is searched.
//!
//! A secret of fewer than [`SHORTEST`] bytes is not looked for: it would tear holes into everything else. What a connector takes apart,
//! turns around or enciphers is not found either: it is no wall against a connector that holds a secret and means to tell it.

use std::{
    borrow::Cow,
    collections::VecDeque,
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use aho_corasick::{AhoCorasick, MatchKind};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// Bytes of the shortest secret that is looked for.
pub const SHORTEST: usize = 4;

/// What stands in a secret's place.
const MARK: &str = "***";

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
        for found in finder.automaton.find_iter(bytes).filter(|found| found.end() > start && found.start() < end) {
            shown.extend_from_slice(bytes.get(done..found.start()).unwrap_or_default());
            shown.extend_from_slice(MARK.as_bytes());
            (done, any) = (found.end(), true);
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
        let longest = forms.iter().map(Vec::len).max().unwrap_or_default();
        // Building fails beyond two thousand million states, and the sizes of settings and headers are bounded far below.
        if let Ok(automaton) = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&forms) {
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

/// What `encodeURIComponent` leaves as it is, beside letters and digits.
const COMPONENT: AsciiSet = UNRESERVED.remove(b'!').remove(b'*').remove(b'\'').remove(b'(').remove(b')');

/// What RFC 3986 leaves as it is, beside letters and digits.
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Everything that a secret can look like.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![secret.as_bytes().to_vec()];
    for set in [&COMPONENT, &UNRESERVED, NON_ALPHANUMERIC] {
        let upper = percent_encode(secret.as_bytes(), set).to_string();
        let lower = lower_case_digits(&upper);
        // A space in a form is a plus.
        forms.extend([upper.replace("%20", "+"), lower.replace("%20", "+"), upper, lower].map(String::into_bytes));
    }
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

/// `%2f` for `%2F`.
fn lower_case_digits(encoded: &str) -> String {
    let mut digits = 0;
    let lower = |c: char| {
        if c == '%' {
            digits = 2;
        } else if digits > 0 {
            digits -= 1;
            return c.to_ascii_lowercase();
        }
        c
    };
    encoded.chars().map(lower).collect()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    const SECRET: &str = "s3cr/t+k?y>~ 1";

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
