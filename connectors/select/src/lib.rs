//! A processor that keeps, drops and renames members of JSON records.
//!
//! Members keep their order and values their text: numbers all their digits, strings their escapes.

use wharf_json::{Json, Kind, Part, Pointer, change_each, pointer, pointers};
use wharf_sdk::{Batch, Context, Descriptor, Failure, Parameters, Problem, Processed, Processor, export_processor};

/// What an operator sets.
#[derive(Debug, Default, Parameters)]
pub struct Config {
    /// JSON pointers to all that stays; everything where there is none.
    keep: Vec<String>,
    /// JSON pointers to what goes.
    drop: Vec<String>,
    /// What is moved, or called something else, in this order.
    rename: Vec<Rename>,
    /// Of which parts of a record; `after` and `before` where nothing is said.
    parts: Vec<Part>,
}

/// One that is moved, or called something else.
#[derive(Debug, Default, Parameters)]
pub struct Rename {
    /// JSON pointer to where it is; one that is not there is passed over.
    from: String,
    /// JSON pointer to where it goes; what is there is replaced, objects that are missing on the way are made.
    to: String,
}

/// Keeps, drops and renames.
#[derive(Debug, Default)]
pub struct Select {
    keep: Vec<Pointer>,
    drop: Vec<Pointer>,
    rename: Vec<(Pointer, Pointer)>,
    parts: Vec<Part>,
}

impl Select {
    fn new(config: &Config, problems: &mut Vec<Problem>) -> Self {
        let rename = config.rename.iter().enumerate().map(|(index, Rename { from, to })| {
            let mut read = |name: &str, text: &str| {
                let name = format!("rename.{index}.{name}");
                if text.is_empty() {
                    problems.push(Problem::new(&name, "is empty, and would be the whole record"));
                }
                pointer(&name, text, problems)
            };
            (read("from", from), read("to", to))
        });
        let rename = rename.collect();
        let parts = if config.parts.is_empty() { vec![Part::After, Part::Before] } else { config.parts.clone() };
        Self { keep: pointers("keep", &config.keep, problems), drop: pointers("drop", &config.drop, problems), rename, parts }
    }

    fn change(&self, json: &mut Json<'_>) -> Result<bool, Failure> {
        let mut changed = false;
        if !self.keep.is_empty() {
            if !matches!(json.kind(), Kind::Object | Kind::Array) {
                return Err(Failure::rejected(format!("`keep` wants an object or an array, and this is {}", json.kind())));
            }
            let ways: Vec<&[String]> = self.keep.iter().map(Pointer::steps).collect();
            keep(json, &ways);
            changed = true;
        }
        for pointer in &self.drop {
            changed |= json.take(pointer).is_some();
        }
        for (from, to) in &self.rename {
            changed |= rename(json, from, to)?;
        }
        Ok(changed)
    }
}

/// Leaves what the ways lead to; false where that is nothing.
fn keep(json: &mut Json<'_>, ways: &[&[String]]) -> bool {
    let stays = |step: &str, value: &mut Json<'_>| {
        let rest: Vec<&[String]> =
            ways.iter().filter_map(|way| way.split_first().filter(|(first, _)| *first == step).map(|(_, rest)| rest)).collect();
        !rest.is_empty() && (rest.iter().any(|way| way.is_empty()) || keep(value, &rest))
    };
    if let Some(members) = json.members() {
        members.retain_mut(|(name, value)| stays(&name.text(), value));
        !members.is_empty()
    } else if let Some(elements) = json.elements() {
        let mut index = 0;
        elements.retain_mut(|value| {
            index += 1;
            stays(&(index - 1).to_string(), value)
        });
        !elements.is_empty()
    } else {
        false
    }
}

fn rename(json: &mut Json<'_>, from: &Pointer, to: &Pointer) -> Result<bool, Failure> {
    // One that only gets another name stays where it stands.
    if let (Some((_, way)), Some((name, same))) = (from.steps().split_last(), to.steps().split_last())
        && way == same
        && json.rename(from, name)
    {
        return Ok(true);
    }
    if from == to {
        return Ok(false);
    }
    let Some(value) = json.take(from) else { return Ok(false) };
    json.set(to, value).map_err(|unset| Failure::rejected(format!("nothing can be put at `{to}`: {unset}")))?;
    Ok(true)
}

impl Processor for Select {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Keeps, drops and renames members of JSON records.")
    }

    fn check(config: &Config) -> Vec<Problem> {
        let mut problems = Vec::new();
        let select = Self::new(config, &mut problems);
        if select.keep.is_empty() && select.drop.is_empty() && select.rename.is_empty() {
            problems.push(Problem::new("", "one of `keep`, `drop` and `rename` is needed"));
        }
        problems
    }

    fn open(config: Config, _: Context) -> Result<Self, Failure> {
        Ok(Self::new(&config, &mut Vec::new()))
    }

    fn process(&mut self, batch: &Batch) -> Result<Processed, Failure> {
        Ok(change_each(batch, &self.parts, |json| self.change(json)))
    }
}

export_processor!(Select);

#[cfg(test)]
mod tests {
    use wharf_sdk::{
        FailureKind,
        testing::{ProcessorHarness, batch, deletion, record},
    };

    use super::*;

    fn selected(settings: &[(&str, &str)], record: &str) -> String {
        let harness =
            settings.iter().fold(ProcessorHarness::<Select>::new(), |harness, (name, value)| harness.setting(*name, *value));
        harness.open().process(&batch([record])).texts().concat()
    }

    const RECORD: &str =
        r#"{"id": 12345678901234567890.10, "user": {"name": "x\u00e9", "mail": "m"}, "tags": [1, 2.0, 3], "n": null}"#;

    #[test]
    fn what_is_kept_keeps_its_order_and_its_text() {
        let keep = [("keep.0", "/user/name"), ("keep.1", "/id"), ("keep.2", "/tags/1"), ("keep.3", "/nothing/here")];
        assert_eq!(selected(&keep, RECORD), r#"{"id":12345678901234567890.10,"user":{"name":"x\u00e9"},"tags":[2.0]}"#);
        assert_eq!(selected(&[("keep.0", "/user/none")], RECORD), "{}");
        assert_eq!(selected(&[("keep.0", "/n")], RECORD), r#"{"n":null}"#);
    }

    #[test]
    fn what_is_dropped_goes_and_the_rest_stays() {
        let drop = [("drop.0", "/user/mail"), ("drop.1", "/tags/0"), ("drop.2", "/none")];
        let expected = r#"{"id":12345678901234567890.10,"user":{"name":"x\u00e9"},"tags":[2.0,3],"n":null}"#;
        assert_eq!(selected(&drop, RECORD), expected);
        // Nothing to drop: byte for byte as it came.
        assert_eq!(selected(&[("drop.0", "/none")], RECORD), RECORD);
    }

    #[test]
    fn a_member_that_is_named_twice_is_dropped_twice() {
        let twice = r#"{"user":{"mail":"one","mail":"two"},"us\u0065r":{"m\u0061il":"three"}}"#;
        assert_eq!(selected(&[("drop.0", "/user/mail")], twice), r#"{"user":{},"us\u0065r":{}}"#);
    }

    #[test]
    fn what_is_renamed_stays_where_it_stands_and_what_is_moved_goes_last() {
        let rename =
            [("rename.0.from", "/user"), ("rename.0.to", "/account"), ("rename.1.from", "/id"), ("rename.1.to", "/account/key")];
        let expected = r#"{"account":{"name":"x\u00e9","mail":"m","key":12345678901234567890.10},"tags":[1, 2.0, 3],"n":null}"#;
        assert_eq!(selected(&rename, RECORD), expected);
        let swap = [("rename.0.from", "/id"), ("rename.0.to", "/n"), ("rename.1.from", "/none"), ("rename.1.to", "/x")];
        let expected = r#"{"user":{"name": "x\u00e9", "mail": "m"},"tags":[1, 2.0, 3],"n":12345678901234567890.10}"#;
        assert_eq!(selected(&swap, RECORD).replace("\"user\": ", "\"user\":"), expected);
    }

    #[test]
    fn the_entity_before_its_change_is_selected_too_and_a_deletion_passes() {
        let harness = ProcessorHarness::<Select>::new().setting("drop.0", "/secret");
        let answer = harness.open().process(&batch([record(r#"{"secret":1}"#).before(r#"{"secret":0,"a":1}"#), deletion("k")]));
        assert_eq!(answer.texts(), ["{}", "-"]);
        assert_eq!(answer.outputs()[0].before.as_deref(), Some(&br#"{"a":1}"#[..]));
        let harness = harness.setting("parts.0", "after");
        let answer = harness.open().process(&batch([record(r#"{"secret":1}"#).before(r#"{"secret":0}"#)]));
        assert_eq!(answer.outputs()[0].before.as_deref(), Some(&br#"{"secret":0}"#[..]));
    }

    #[test]
    fn a_record_that_is_no_json_fails_alone_and_is_not_shown() {
        let harness = ProcessorHarness::<Select>::new()
            .setting("keep.0", "/a")
            .setting("rename.0.from", "/a")
            .setting("rename.0.to", "/b/c");
        let answer = harness.open().process(&batch(["secret", r#"{"a":1}"#, "7", r#"{"a":1,"b":2}"#]));
        assert_eq!(answer.texts(), [r#"{"b":{"c":1}}"#, r#"{"b":{"c":1}}"#]);
        answer.assert_failed(0, FailureKind::Rejected, "`after` is not JSON: no value at byte 1");
        answer.assert_failed(2, FailureKind::Rejected, "`keep` wants an object or an array, and this is a number");
        let harness = ProcessorHarness::<Select>::new().setting("rename.0.from", "/a").setting("rename.0.to", "/b/c");
        let answer = harness.open().process(&batch([r#"{"a":1,"b":2}"#]));
        answer.assert_failed(0, FailureKind::Rejected, "nothing can be put at `/b/c`: `/b` is a number and has no members");
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let problems = |settings: &[(&str, &str)]| {
            let harness =
                settings.iter().fold(ProcessorHarness::<Select>::new(), |harness, (name, value)| harness.setting(*name, *value));
            harness.check().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(problems(&[]), "one of `keep`, `drop` and `rename` is needed");
        assert_eq!(problems(&[("keep.0", "id")]), "`keep.0` is `id`: a JSON pointer begins with `/`, such as `/user/id`");
        assert_eq!(problems(&[("drop.0", "")]), "`drop.0` is empty, and would be the whole record");
    }
}
