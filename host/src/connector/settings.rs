//! Settings held against the parameters that a connector declares.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{Interval, Size, nearest};

use super::descriptor::{Kind, Parameter, Rules};

/// A setting's value.
#[derive(Clone, PartialEq, Eq)]
pub struct Given {
    /// The value itself, which may be a secret.
    pub value: String,
    /// As it was written, with variables unreplaced: what messages show.
    pub written: String,
}

impl From<&str> for Given {
    fn from(value: &str) -> Self {
        Self { value: value.into(), written: value.into() }
    }
}

/// What is wrong with one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which, as the operator would write it; empty where it is of several.
    pub parameter: String,
    /// What is wrong with it. Never the value of a secret.
    pub message: String,
    /// What to do, where that can be told.
    pub hint: Option<String>,
}

/// Checks settings and fills in defaults, in the order of their names. All that is wrong comes back at once.
///
/// The rules are those of `wit/descriptor.schema.json`: `*` stands for any one segment, a list is given as `name.0`, `name.1`, a map as
/// `name.key`; what an entry must be, the parameter `name.*` says, or those behind it; what stands behind a `*` counts for each
/// entry that is there.
pub fn complete(parameters: &[Parameter], given: &BTreeMap<String, Given>) -> Result<Vec<(String, String)>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut settings: BTreeMap<String, String> = given.iter().map(|(name, given)| (name.clone(), given.value.clone())).collect();
    for (name, value) in given {
        match declared(parameters, name) {
            Some(Declared::Value(parameter)) => problems.extend(check(parameter, name, value)),
            Some(Declared::Entry) => {}
            None => problems.push(unknown(parameters, name)),
        }
    }
    for parameter in parameters {
        for name in concrete(&parameter.name, given) {
            let entries = entries(&name, given);
            if matches!(parameter.kind, Kind::List | Kind::Map) && !entries.is_empty() {
                problems.extend(check_entries(parameter, &name, &entries));
            }
            if given.contains_key(&name) || !entries.is_empty() {
                continue;
            }
            if let Some(default) = &parameter.default {
                settings.insert(name, default.clone());
            } else if parameter.required {
                let summary = if parameter.summary.is_empty() { String::new() } else { format!(": {}", parameter.summary) };
                problems.push(Problem {
                    message: "is required and not set".into(),
                    hint: Some(format!("set `{name}` ({}){summary}", parameter.kind)),
                    parameter: name,
                });
            }
        }
    }
    if problems.is_empty() { Ok(settings.into_iter().collect()) } else { Err(problems) }
}

/// The values of all settings that must not be shown.
pub fn secrets<'a>(parameters: &'a [Parameter], given: &'a BTreeMap<String, Given>) -> impl Iterator<Item = &'a str> {
    given.iter().filter(|(name, _)| is_secret_setting(parameters, name)).map(|(_, given)| given.value.as_str())
}

/// Whether a setting must not be shown.
pub fn is_secret_setting(parameters: &[Parameter], name: &str) -> bool {
    match declared(parameters, name) {
        Some(Declared::Value(parameter)) => parameter.secret || parents(name).any(|name| is_secret(parameters, name)),
        Some(Declared::Entry) => parents(name).any(|name| is_secret(parameters, name)),
        None => false,
    }
}

fn is_secret(parameters: &[Parameter], name: &str) -> bool {
    parameters.iter().any(|parameter| parameter.secret && stands_for(&parameter.name, name))
}

/// `a.b` and `a` of `a.b.c`.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.rmatch_indices('.').map(|(at, _)| &name[..at])
}

/// What a setting's name is declared as.
enum Declared<'a> {
    /// A value of this parameter.
    Value(&'a Parameter),
    /// An entry of a list or a map whose entries are not declared themselves.
    Entry,
}

/// What a setting's name is declared as; a parameter that names it exactly goes before one with a `*`.
fn declared<'a>(parameters: &'a [Parameter], name: &str) -> Option<Declared<'a>> {
    let values = || parameters.iter().filter(|parameter| !matches!(parameter.kind, Kind::List | Kind::Map));
    let exact = values().find(|parameter| parameter.name == name);
    let value = exact.or_else(|| values().find(|parameter| stands_for(&parameter.name, name)));
    if let Some(parameter) = value {
        return Some(Declared::Value(parameter));
    }
    parents(name).find_map(|parent| {
        let container =
            |parameter: &&Parameter| matches!(parameter.kind, Kind::List | Kind::Map) && stands_for(&parameter.name, parent);
        let container = parameters.iter().find(container)?;
        let within = format!("{}.*", container.name);
        let are_declared = parameters.iter().any(|other| other.name.starts_with(&within));
        (!are_declared).then_some(Declared::Entry)
    })
}

/// Whether a parameter's name, in which `*` is any one segment, is one for this setting.
fn stands_for(pattern: &str, name: &str) -> bool {
    let mut segments = name.split('.');
    pattern.split('.').all(|expected| segments.next().is_some_and(|segment| expected == "*" || expected == segment))
        && segments.next().is_none()
}

/// The names that a parameter's name stands for: itself, or one for each entry that is there.
fn concrete(pattern: &str, given: &BTreeMap<String, Given>) -> BTreeSet<String> {
    let star = pattern.split('.').enumerate().filter(|(_, segment)| *segment == "*").map(|(index, _)| index).last();
    let Some(star) = star else {
        return BTreeSet::from([pattern.to_owned()]);
    };
    let expected: Vec<&str> = pattern.split('.').collect();
    let (head, tail) = expected.split_at(star + 1);
    let head = head.join(".");
    let names = given.keys().filter_map(|name| {
        let mut entry: Vec<&str> = name.split('.').collect();
        (entry.len() > star).then(|| entry.truncate(star + 1));
        stands_for(&head, &entry.join(".")).then(|| entry.into_iter().chain(tail.iter().copied()).collect::<Vec<_>>().join("."))
    });
    names.collect()
}

/// The entries that a list or a map was given: the segments right behind its name.
fn entries<'a>(name: &str, given: &'a BTreeMap<String, Given>) -> BTreeSet<&'a str> {
    let behind = |given: &'a String| given.strip_prefix(name)?.strip_prefix('.')?.split('.').next();
    given.keys().filter_map(behind).collect()
}

fn check_entries(parameter: &Parameter, name: &str, entries: &BTreeSet<&str>) -> Option<Problem> {
    let problem = |message| Some(Problem { parameter: name.into(), message, hint: None });
    if parameter.kind == Kind::List
        && let Some(entry) = entries.iter().find(|entry| entry.parse::<u32>().is_err())
    {
        return problem(format!("is a list, and `{entry}` is no place in it"));
    }
    let count = entries.len() as u64;
    if let Some(least) = parameter.rules.min_length.filter(|least| count < *least) {
        return problem(format!("has {count} entries, and needs {least}"));
    }
    if let Some(most) = parameter.rules.max_length.filter(|most| count > *most) {
        return problem(format!("has {count} entries, and takes {most} at the most"));
    }
    None
}

fn unknown(parameters: &[Parameter], name: &str) -> Problem {
    let whole = parameters.iter().find(|parameter| parameter.name == name).map(|parameter| parameter.kind);
    if let Some(kind @ (Kind::List | Kind::Map)) = whole {
        return Problem {
            parameter: name.into(),
            message: format!("is {} and is given one value", kind.with_article()),
            hint: None,
        };
    }
    let known = parameters.iter().map(|parameter| parameter.name.as_str());
    let hint = match nearest(name, known.clone()) {
        Some(near) => format!("did you mean `{}`?", with_segments_of(name, near)),
        None if parameters.is_empty() => "this connector has no settings".into(),
        None => format!("its settings are {}", known.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    };
    Problem { parameter: name.into(), message: "is no setting of this connector".into(), hint: Some(hint) }
}

/// A parameter's name, its stars replaced by the segments that stand there in a setting's name.
fn with_segments_of(name: &str, pattern: &str) -> String {
    let mut segments = name.split('.');
    let filled = pattern.split('.').map(|expected| match (expected, segments.next()) {
        ("*", Some(segment)) => segment,
        _ => expected,
    });
    filled.collect::<Vec<_>>().join(".")
}

/// What is wrong with a value, if anything.
fn check(parameter: &Parameter, name: &str, given: &Given) -> Option<Problem> {
    let Given { value, written } = given;
    let shown = || if parameter.secret { "its value".to_owned() } else { format!("{written:?}") };
    let problem = |message| Some(Problem { parameter: name.into(), message, hint: None });
    let kind = parameter.kind;
    let Some(number) = measure(kind, value) else {
        let mut wrong = problem(format!("{} is not {}", shown(), kind.with_article()))?;
        wrong.hint = match kind {
            Kind::Bool => Some("write true or false".into()),
            Kind::Duration => Some("write a duration such as 30s or 5m".into()),
            Kind::Size => Some("write a size such as 64MiB".into()),
            _ => None,
        };
        return Some(wrong);
    };
    let Rules { min, max, one_of, none_of, pattern, min_length, max_length } = &parameter.rules;
    let bound = |rule: &Option<String>| rule.as_deref().and_then(|text| measure(kind, text)).flatten();
    if let (Some(number), Some(least)) = (number, bound(min))
        && number < least
    {
        return problem(format!("{} is below {}", shown(), min.as_deref().unwrap_or_default()));
    }
    if let (Some(number), Some(most)) = (number, bound(max))
        && number > most
    {
        return problem(format!("{} is above {}", shown(), max.as_deref().unwrap_or_default()));
    }
    if !one_of.is_empty() && !one_of.iter().any(|allowed| allowed == value) {
        let mut wrong = problem(format!("{} is not one of {}", shown(), one_of.join(", ")))?;
        let near = if parameter.secret { None } else { nearest(value, one_of.iter().map(String::as_str)) };
        wrong.hint = near.map(|near| format!("did you mean `{near}`?"));
        return Some(wrong);
    }
    if none_of.iter().any(|forbidden| forbidden == value) {
        return problem(format!("{} is not allowed", shown()));
    }
    if let Some(pattern) = pattern {
        let whole = regex_lite::Regex::new(&format!("^(?:{pattern})$"));
        if !whole.is_ok_and(|pattern| pattern.is_match(value)) {
            return problem(format!("{} does not match {pattern}", shown()));
        }
    }
    let length = value.chars().count() as u64;
    if let Some(least) = min_length.filter(|least| length < *least) {
        return problem(format!("{} is shorter than {least} characters", shown()));
    }
    if let Some(most) = max_length.filter(|most| length > *most) {
        return problem(format!("{} is longer than {most} characters", shown()));
    }
    None
}

/// A value as a number to compare, where its type has an order: seconds, bytes. `None` where it is not of the type.
fn measure(kind: Kind, value: &str) -> Option<Option<f64>> {
    match kind {
        // A 64-bit number is compared in 53 bits: no rule comes near to where that matters.
        Kind::Int => value.parse::<i64>().ok().map(|number| Some(number as f64)),
        Kind::Float => value.parse::<f64>().ok().filter(|number| number.is_finite()).map(Some),
        Kind::Bool => matches!(value, "true" | "false").then_some(None),
        Kind::Duration => value.parse::<Interval>().ok().map(|interval| Some(interval.duration().as_secs_f64())),
        Kind::Size => value.parse::<Size>().ok().map(|size| Some(size.bytes() as f64)),
        Kind::String | Kind::List | Kind::Map => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> Vec<Parameter> {
        serde_json::from_value(serde_json::json!([
            {"name": "url", "required": true, "summary": "where to send to", "rules": {"pattern": "https?://.+"}},
            {"name": "mode", "default": "append", "rules": {"one-of": ["append", "each"]}},
            {"name": "size", "type": "int", "rules": {"min": 1, "max": "10"}},
            {"name": "wait", "type": "duration", "rules": {"max": "1m"}},
            {"name": "token", "secret": true, "rules": {"min-length": 4}},
            {"name": "tags", "type": "list", "rules": {"max-length": 2}},
            {"name": "tags.*", "rules": {"none-of": ["x"]}},
            {"name": "headers", "type": "map"},
            {"name": "columns", "type": "map"},
            {"name": "columns.*.path", "required": true},
            {"name": "columns.*.kind", "default": "text"},
            {"name": "on", "type": "bool"},
        ]))
        .unwrap()
    }

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, Given> {
        pairs.iter().map(|(name, value)| ((*name).into(), Given::from(*value))).collect()
    }

    fn problems(pairs: &[(&str, &str)]) -> Vec<String> {
        let said = complete(&parameters(), &given(pairs)).unwrap_err();
        said.into_iter().map(|p| format!("{}: {} / {}", p.parameter, p.message, p.hint.unwrap_or_default())).collect()
    }

    #[test]
    fn defaults_are_filled_in_and_what_is_right_passes() {
        let settings = complete(
            &parameters(),
            &given(&[
                ("url", "http://x"),
                ("size", "10"),
                ("wait", "60s"),
                ("token", "abcd"),
                ("tags.0", "a"),
                ("tags.1", "b"),
                ("headers.a.b", "c"),
                ("columns.id.path", "/id"),
                ("on", "false"),
            ]),
        )
        .unwrap();
        assert!(settings.contains(&("mode".into(), "append".into())));
        assert!(settings.contains(&("columns.id.kind".into(), "text".into())));
        assert_eq!(settings.len(), 11);
    }

    #[test]
    fn each_thing_that_is_wrong_is_named_with_its_remedy() {
        let cases = [
            (("urll", "x"), "urll: is no setting of this connector / did you mean `url`?"),
            (("size", "0"), "size: \"0\" is below 1 / "),
            (("size", "11"), "size: \"11\" is above 10 / "),
            (("size", "1.5"), "size: \"1.5\" is not an int / "),
            (("wait", "61s"), "wait: \"61s\" is above 1m / "),
            (("wait", "7"), "wait: \"7\" is not a duration / write a duration such as 30s or 5m"),
            (("mode", "apend"), "mode: \"apend\" is not one of append, each / did you mean `append`?"),
            (("token", "abc"), "token: its value is shorter than 4 characters / "),
            (("tags.1", "x"), "tags.1: \"x\" is not allowed / "),
            (("tags.a", "b"), "tags: is a list, and `a` is no place in it / "),
            (("columns.id.kind", "int"), "columns.id.path: is required and not set / set `columns.id.path` (string)"),
            (("tags", "x"), "tags: is a list and is given one value / "),
            (("on", "yes"), "on: \"yes\" is not a bool / write true or false"),
        ];
        for ((name, value), expected) in cases {
            assert_eq!(problems(&[("url", "http://x"), (name, value)]), [expected]);
        }
        let misspelt = [("url", "http://x"), ("columns.id.path", "/id"), ("columns.id.pth", "/id")];
        assert_eq!(problems(&misspelt), ["columns.id.pth: is no setting of this connector / did you mean `columns.id.path`?"]);
        let three = [("url", "http://x"), ("tags.0", "a"), ("tags.1", "b"), ("tags.2", "c")];
        assert_eq!(problems(&three), ["tags: has 3 entries, and takes 2 at the most / "]);
        let from_variable = Given { value: "11".into(), written: "${SIZE}".into() };
        let said = complete(&parameters(), &BTreeMap::from([("url".into(), "http://x".into()), ("size".into(), from_variable)]));
        assert_eq!(said.unwrap_err()[0].message, "\"${SIZE}\" is above 10");
        assert_eq!(problems(&[]), ["url: is required and not set / set `url` (string): where to send to"]);
        assert_eq!(problems(&[("url", "ftp://x")]), ["url: \"ftp://x\" does not match https?://.+ / "]);
    }
}
