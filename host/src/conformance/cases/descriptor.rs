//! Who the component says it is.

use std::collections::BTreeMap;

use semver::Version;
use serde_json::Value;

use super::case;
use crate::{
    conformance::{
        case::{Case, Stop, Tried, failed, skipped, unless},
        rig::Rig,
        schema,
    },
    connector::{
        descriptor::{Kind, Parameter},
        settings::{Given, complete},
    },
};

/// The cases.
pub(in super::super) const CASES: &[Case] = &[
    case!(
        "W-DESC-001",
        1 Must,
        Connector,
        "it says who it is without any grant",
        "let `describe` return a constant: it runs in an instance that reaches nothing",
        answers
    ),
    case!(
        "W-DESC-002",
        2 Must,
        Connector,
        "its descriptor keeps to the schema",
        "correct what is named; the schema is descriptor.schema.json in the contract's folder",
        keeps_schema
    ),
    case!(
        "W-DESC-003",
        3 Must,
        Connector,
        "it has a name, and a version after semver",
        "give `about.name` and `about.version`, such as 1.0.0",
        named
    ),
    case!(
        "W-DESC-004",
        4 Should,
        Connector,
        "it has a summary of one line and an author, without blanks around them",
        "write `about.summary` and `about.author` for whoever chooses among connectors",
        about
    ),
    case!(
        "W-DESC-005",
        5 Should,
        Connector,
        "each parameter has a summary",
        "say of each parameter in a sentence what it does",
        summaries
    ),
    case!(
        "W-DESC-006",
        6 Must,
        Connector,
        "no two parameters have one name",
        "rename or remove one of the two",
        distinct
    ),
    case!(
        "W-DESC-007",
        7 Must,
        Connector,
        "defaults satisfy their own rules",
        "correct the default or the rule: who sets nothing would be refused",
        defaults
    ),
    case!(
        "W-DESC-008",
        8 Must,
        Connector,
        "it says the same every time",
        "let `describe` depend on nothing: no clock, no chance, no state",
        same
    ),
    case!(
        "W-DESC-009",
        9 Must,
        Connector,
        "actions and versions fit each other and what is exported",
        "name a default that is in the list, and give an action the delivery of an interface that is exported",
        actions
    ),
    case!(
        "W-DESC-010",
        10 Should,
        Connector,
        "each request has a reason, and its pattern names parameters that there are",
        "tell the operator why it is needed; in `{name}` stands a parameter's name",
        requests
    ),
    case!(
        "W-DESC-011",
        11 Should,
        Connector,
        "what it prefers lies within its bounds",
        "lower `preferences` or raise `bounds`: the one can never be met",
        preferences
    ),
];

const ASKED: &str = "asked `describe` in an instance without grants";

async fn answers(rig: &Rig) -> Tried {
    match rig.documents.first() {
        Some(_) if rig.document.is_some() => Ok(format!("{ASKED}, three times over")),
        Some(document) => {
            let beginning: String = document.chars().take(60).collect();
            Err(failed(ASKED, "a JSON document", format!("{beginning:?}")))
        }
        None => Err(failed(ASKED, "a JSON document", rig.connector.as_ref().err().cloned().unwrap_or_default())),
    }
}

fn document(rig: &Rig) -> Result<&Value, Stop> {
    rig.document.as_ref().ok_or_else(|| skipped("there is no descriptor: see W-DESC-001"))
}

async fn keeps_schema(rig: &Rig) -> Tried {
    unless(&schema::descriptor(document(rig)?), "held the descriptor against its schema", "nothing against it")
}

fn text<'a>(document: &'a Value, pointer: &str) -> Option<&'a str> {
    document.pointer(pointer).and_then(Value::as_str)
}

async fn named(rig: &Rig) -> Tried {
    let document = document(rig)?;
    let mut wrong = Vec::new();
    if text(document, "/about/name").is_none_or(|name| name.trim().is_empty()) {
        wrong.push("about.name is missing or blank".to_owned());
    }
    match text(document, "/about/version") {
        None => wrong.push("about.version is missing".into()),
        Some(version) => {
            wrong.extend(Version::parse(version).err().map(|error| format!("about.version {version:?} is not semver: {error}")));
        }
    }
    unless(&wrong, "read name and version", "a name, and a version after semver")
}

async fn about(rig: &Rig) -> Tried {
    let document = document(rig)?;
    let mut wrong = Vec::new();
    for (name, one_line) in [("summary", true), ("author", true), ("description", false)] {
        match text(document, &format!("/about/{name}")) {
            None if one_line => wrong.push(format!("about.{name} is missing")),
            Some(words) if one_line && words.trim().is_empty() => wrong.push(format!("about.{name} is blank")),
            Some(words) if one_line && words.contains('\n') => wrong.push(format!("about.{name} has several lines")),
            Some(words) if words.trim() != words => wrong.push(format!("about.{name} has blanks around it")),
            None | Some(_) => {}
        }
    }
    unless(&wrong, "read what it says of itself", "a summary and an author, each a line without blanks around it")
}

fn each<'a>(document: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    document.get(list).and_then(Value::as_array).into_iter().flatten()
}

fn name(value: &Value) -> &str {
    value.get("name").and_then(Value::as_str).unwrap_or_default()
}

async fn summaries(rig: &Rig) -> Tried {
    let document = document(rig)?;
    let has_one = |parameter: &Value| text(parameter, "/summary").is_some_and(|summary| !summary.trim().is_empty());
    // An entry of a list or a map is told of where that is.
    let within = |parameter: &Value| {
        let whole = name(parameter).strip_suffix(".*");
        whole.is_some_and(|whole| each(document, "parameters").any(|other| name(other) == whole && has_one(other)))
    };
    let wrong = each(document, "parameters").filter(|parameter| !has_one(parameter) && !within(parameter));
    let wrong: Vec<String> = wrong.map(|parameter| format!("{} has none", name(parameter))).collect();
    unless(&wrong, "read the parameters", "a summary for each")
}

async fn distinct(rig: &Rig) -> Tried {
    let mut count = BTreeMap::<&str, usize>::new();
    for parameter in each(document(rig)?, "parameters") {
        *count.entry(name(parameter)).or_default() += 1;
    }
    let wrong: Vec<String> = count
        .into_iter()
        .filter(|(_, times)| *times > 1)
        .map(|(name, times)| format!("{name} is declared {times} times"))
        .collect();
    unless(&wrong, "read the parameters", "each name once")
}

async fn defaults(rig: &Rig) -> Tried {
    let mut wrong = Vec::new();
    let mut looked = 0;
    for parameter in each(document(rig)?, "parameters") {
        let Ok(parameter) = serde_json::from_value::<Parameter>(parameter.clone()) else { continue };
        let Some(default) = parameter.default.clone() else { continue };
        looked += 1;
        if matches!(parameter.kind, Kind::List | Kind::Map) {
            wrong.push(format!("{} is {} and has one value by default", parameter.name, parameter.kind.with_article()));
            continue;
        }
        let name = parameter.name.replace('*', "0");
        let problems = complete(&[parameter], &BTreeMap::from([(name, Given::from(default.as_str()))])).err().unwrap_or_default();
        wrong.extend(problems.into_iter().map(|problem| format!("{}: {}", problem.parameter, problem.message)));
    }
    unless(&wrong, &format!("held {looked} defaults against the rules of their parameters"), "each accepted")
}

async fn same(rig: &Rig) -> Tried {
    let did = format!("asked `describe` {} times in one instance", rig.documents.len());
    match rig.documents.split_first() {
        None => Err(skipped("there is no descriptor: see W-DESC-001")),
        Some((first, others)) => match others.iter().position(|other| other != first) {
            None => Ok(did),
            Some(at) => Err(failed(did, "the same document each time", format!("another one the {}. time", at + 2))),
        },
    }
}

async fn actions(rig: &Rig) -> Tried {
    let document = document(rig)?;
    let mut wrong = Vec::new();
    for (list, default) in [("actions", "default-action"), ("versions", "default-version")] {
        if let Some(chosen) = document.get(default).and_then(Value::as_str)
            && !chosen.is_empty()
            && !each(document, list).any(|known| name(known) == chosen)
        {
            wrong.push(format!("{default} is {chosen:?}, which is not among the {list}"));
        }
    }
    for action in each(document, "actions") {
        let interface = match text(action, "/delivery") {
            Some("write") => "destination",
            Some("bulk") => "bulk",
            _ => continue,
        };
        if !rig.outline.offers(interface) {
            wrong.push(format!("the action {} is for `{interface}`, which is not exported", name(action)));
        }
    }
    unless(&wrong, "read actions and versions", "defaults that are in their lists, and deliveries that are exported")
}

async fn requests(rig: &Rig) -> Tried {
    let document = document(rig)?;
    let known: Vec<&str> = each(document, "parameters").map(name).collect();
    let mut wrong = Vec::new();
    for request in each(document, "requests") {
        let (capability, pattern) =
            (text(request, "/capability").unwrap_or_default(), text(request, "/pattern").unwrap_or_default());
        if text(request, "/reason").is_none_or(|reason| reason.trim().is_empty()) {
            wrong.push(format!("the request {capability} {pattern} has no reason"));
        }
        for place in pattern.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(place, _)| place) {
            if !known.contains(&place) {
                wrong.push(format!("the request {capability} {pattern} names `{place}`, which is no parameter"));
            }
        }
    }
    unless(&wrong, "read the requests", "a reason for each, and patterns of parameters that there are")
}

async fn preferences(rig: &Rig) -> Tried {
    let descriptor = &rig.connector()?.descriptor;
    let (preferences, bounds) = (descriptor.preferences, descriptor.bounds);
    let mut wrong = Vec::new();
    if let (Some(preferred), Some(most)) = (preferences.records, bounds.records)
        && preferred > most
    {
        wrong.push(format!("it prefers {preferred} records a batch, and {most} are the most"));
    }
    if let (Some(preferred), Some(most)) = (preferences.bytes, bounds.bytes)
        && preferred > most
    {
        wrong.push(format!("it prefers {preferred} a batch, and {most} are the most"));
    }
    unless(&wrong, "held preferences against bounds", "none beyond its bound")
}
