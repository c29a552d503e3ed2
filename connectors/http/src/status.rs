//! What a status means.

use std::str::FromStr;

/// Statuses, as `200-299, 409`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses(Vec<(u16, u16)>);

impl Statuses {
    /// Whether a status is one of them.
    pub fn contain(&self, status: u16) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }
}

impl FromStr for Statuses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let number = text.trim().parse().ok().filter(|status| (100..=599).contains(status));
            number.ok_or_else(|| format!("`{}` is no status from 100 to 599, nor two of them as in `200-299`", text.trim()))
        };
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last { Err(format!("`{}` has its end before its beginning", part.trim())) } else { Ok((first, last)) }
        };
        let parts = text.split(',').filter(|part| !part.trim().is_empty());
        parts.map(range).collect::<Result<_, _>>().map(Self)
    }
}

/// What becomes of a request that was answered so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It took effect.
    Success,
    /// The far side asks for patience.
    Throttled,
    /// The credentials were refused.
    Unauthorized,
    /// It may succeed later.
    Retry,
    /// It may have taken effect, and who answers does not know.
    Uncertain,
    /// It should have gone elsewhere: the operator is to say where.
    Elsewhere,
    /// It will never succeed, and one of its records may be to blame.
    Blame,
    /// It will never succeed.
    Rejected,
}

/// Which status means what. What is in none of them is rejected, or where it redirects, sent elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// It took effect.
    pub success: Statuses,
    /// The far side asks for patience.
    pub throttled: Statuses,
    /// The credentials were refused.
    pub unauthorized: Statuses,
    /// It may succeed later.
    pub retry: Statuses,
    /// One record of several may be to blame.
    pub blame: Statuses,
}

/// Statuses of those who pass a request on and had no answer: it may have taken effect behind them (RFC 9110, 15.6.3 and 15.6.5).
const PASSED_ON: [u16; 2] = [502, 504];

impl Table {
    /// What a status means, where the answer says how long to wait or not.
    pub fn meaning(&self, status: u16, says_when: bool) -> Meaning {
        if self.success.contain(status) {
            Meaning::Success
        } else if self.throttled.contain(status) || (says_when && self.retry.contain(status)) {
            Meaning::Throttled
        } else if self.unauthorized.contain(status) {
            Meaning::Unauthorized
        } else if self.retry.contain(status) {
            if PASSED_ON.contains(&status) { Meaning::Uncertain } else { Meaning::Retry }
        } else if (300..400).contains(&status) {
            Meaning::Elsewhere
        } else if self.blame.contain(status) {
            Meaning::Blame
        } else {
            Meaning::Rejected
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_numbers_and_ranges() {
        let statuses: Statuses = "200-204, 409".parse().unwrap();
        assert!([200, 204, 409].into_iter().all(|status| statuses.contain(status)));
        assert!([199, 205, 408, 410].into_iter().all(|status| !statuses.contain(status)));
        assert_eq!("".parse(), Ok(Statuses::default()));
        for (text, says) in [("20", "`20` is no status"), ("299-200", "`299-200` has its end"), ("2xx", "`2xx` is no status")] {
            assert!(text.parse::<Statuses>().unwrap_err().starts_with(says), "{text}");
        }
    }

    #[test]
    fn the_first_of_several_meanings_counts() {
        let statuses = |text: &str| text.parse().unwrap();
        let table = Table {
            success: statuses("200-299"),
            throttled: statuses("429"),
            unauthorized: statuses("401"),
            retry: statuses("408, 500-599"),
            blame: statuses("400"),
        };
        for (status, says_when, meaning) in [
            (204, false, Meaning::Success),
            (429, false, Meaning::Throttled),
            (503, true, Meaning::Throttled),
            (503, false, Meaning::Retry),
            (504, false, Meaning::Uncertain),
            (401, true, Meaning::Unauthorized),
            (307, false, Meaning::Elsewhere),
            (400, false, Meaning::Blame),
            (404, true, Meaning::Rejected),
        ] {
            assert_eq!(table.meaning(status, says_when), meaning, "{status}");
        }
    }
}
