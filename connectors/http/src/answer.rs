//! What an answer means for the records of its request.

use std::time::{Duration, SystemTime};

use wharf_json::Json;
use wharf_sdk::{Failure, FailureKind};

use super::{
    items::{Item, Items},
    status::{Meaning, Table},
    target::shown,
    transport::{Answer, End, Sort, Trouble},
};

/// How much of an answer's text a message quotes, in characters.
const QUOTED: usize = 300;

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// All of its records are delivered.
    Delivered,
    /// Each record's own, in order: `None` where it is delivered.
    Each(Vec<Option<Failure>>),
    /// It failed as a whole.
    Failed(Failure),
    /// It was refused, perhaps for one of its records.
    Blame(Failure),
}

/// What became of a request of so many records. `what` says what was tried, on what.
pub fn fate(
    what: &str,
    records: usize,
    came: Result<Answer, Trouble>,
    (table, items, now): (&Table, Option<&Items>, SystemTime),
) -> Fate {
    let answer = match came {
        Ok(answer) => answer,
        Err(Trouble { sort, message }) => {
            let message = format!("{what}: {message}");
            return match sort {
                Sort::Unreached => Fate::Failed(Failure::transient(message)),
                Sort::Broken => Fate::Failed(Failure::uncertain(message)),
                Sort::TooLarge => Fate::Blame(Failure::rejected(message)),
                Sort::Denied => Fate::Failed(Failure::fatal(message)),
            };
        }
    };
    let wait = answer.retry_after.as_deref().and_then(|text| retry_after(text, now));
    let meaning = table.meaning(answer.status, wait.is_some());
    if let (Meaning::Success, Some(items)) = (meaning, items) {
        return each(what, records, &answer, (table, items));
    }
    if meaning == Meaning::Success {
        return Fate::Delivered;
    }
    let failure = failed(meaning, format!("{what}: {}", said(&answer)), answer.status, wait);
    if meaning == Meaning::Blame { Fate::Blame(failure) } else { Fate::Failed(failure) }
}

fn failed(meaning: Meaning, message: String, status: u16, wait: Option<Duration>) -> Failure {
    match meaning {
        Meaning::Throttled => Failure::throttled(message, wait),
        Meaning::Unauthorized => Failure::unauthorized(message),
        Meaning::Retry => Failure::transient(message),
        Meaning::Uncertain => Failure::uncertain(message),
        Meaning::Elsewhere => Failure::fatal(message),
        Meaning::Success | Meaning::Blame | Meaning::Rejected => Failure::rejected(message),
    }
    .code(status)
}

/// What an answer says of each record.
fn each(what: &str, records: usize, answer: &Answer, (table, items): (&Table, &Items)) -> Fate {
    match &answer.end {
        End::Whole => {}
        End::Longer => {
            let message = format!("{what}: the answer to {records} records is longer than what is read of it: lower `records`");
            return Fate::Failed(Failure::fatal(message).code(answer.status));
        }
        End::Broken(why) => {
            let message = format!("{what}: {}, and then the answer broke off: {why}", answer.status);
            return Fate::Failed(Failure::uncertain(message).code(answer.status));
        }
    }
    let said = match items.read(&answer.body, records) {
        Ok(said) => said,
        // It may have taken effect: which of it, is not known until the settings are mended.
        Err(wrong) => return Fate::Failed(Failure::fatal(format!("{what}: {wrong}")).code(answer.status)),
    };
    let failure = |item: Option<Item>| {
        let Item { status, error } = item?;
        let meaning = match (status, &error) {
            (Some(status), _) => table.meaning(status, false),
            (None, Some(_)) => Meaning::Rejected,
            (None, None) => Meaning::Success,
        };
        if meaning == Meaning::Success {
            return None;
        }
        let error = error.map_or_else(|| "no reason given".to_owned(), |error| quoted(&error));
        let status = status.unwrap_or(answer.status);
        let message = format!("{what}: of this record: {status}: {error}");
        Some(failed(meaning, message, status, None))
    };
    let each: Vec<_> = said.into_iter().map(failure).collect();
    if each.iter().all(Option::is_none) { Fate::Delivered } else { Fate::Each(each) }
}

/// What an answer says, for a person.
fn said(answer: &Answer) -> String {
    let status = answer.status;
    if let (300..400, Some(location)) = (status, &answer.location) {
        return format!(
            "{status}, which leads to `{}`: redirections are not followed, set `url` to where it leads",
            shown(location)
        );
    }
    // Most say it in a member of one of these names.
    let named = Json::parse(&answer.body).ok().and_then(|mut document| {
        ["message", "error_description", "detail", "error", "title"].into_iter().find_map(|name| {
            let value = document.step(name)?;
            let value = if value.members().is_some() { value.step("message")? } else { value };
            value.as_str().filter(|text| !text.is_empty()).map(|text| text.into_owned())
        })
    });
    match named.unwrap_or_else(|| String::from_utf8_lossy(&answer.body).into_owned()).trim() {
        "" => status.to_string(),
        text => format!("{status}: {}", quoted(text)),
    }
}

fn quoted(text: &str) -> String {
    let mut quoted: String = text.chars().take(QUOTED).collect();
    if text.chars().nth(QUOTED).is_some() {
        quoted.push('…');
    }
    quoted
}

/// How long to wait by `Retry-After`: seconds, or a date (RFC 9110, 10.2.3). A date that is past is no time at all.
pub fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(now).unwrap_or_default())
}

/// Whether what failed may succeed when it is sent again.
pub fn is_for_later(failure: &Failure) -> bool {
    failure.kind() != FailureKind::Rejected
}
