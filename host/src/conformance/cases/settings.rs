//! What an operator sets.

use std::{collections::BTreeMap, sync::Arc};

use super::{breaking::broken, case};
use crate::{
    config::{self, Limits},
    conformance::{
        case::{Case, Stop, Tried, failed, skipped, unless},
        error::listed,
        rig::Rig,
    },
    connector::{
        Connector, OpenError,
        descriptor::Kind,
        settings::{Given, Problem, complete},
    },
    sandbox::{Scope, redaction::MARK},
};

/// The cases.
pub(in super::super) const CASES: &[Case] = &[
    case!(
        "W-SETT-001",
        20 Must,
        Connector,
        "valid settings are accepted",
        "let `check` return no problem for settings that will work; or correct the suite's settings",
        accepted
    ),
    case!(
        "W-SETT-002",
        21 Must,
        Connector,
        "each required setting that is missing is refused, and named",
        "a required parameter has no default; what has one is not required",
        required
    ),
    case!(
        "W-SETT-003",
        22 Must,
        Connector,
        "each rule of a parameter refuses what breaks it",
        "correct the rule: it refuses nothing, or is no value of its parameter's type",
        rules
    ),
    case!(
        "W-SETT-004",
        23 Must,
        Connector,
        "an unknown setting is refused",
        "declare each parameter by its name",
        unknown
    ),
    case!(
        "W-SETT-005",
        24 Must,
        Connector,
        "what only the component can judge is refused by it, and named",
        "let `check` return a problem with the parameter's name and what is wrong with it",
        refused
    ),
    case!(
        "W-SETT-006",
        25 Must,
        Connector,
        "the value of a secret setting is in no message",
        "take the secret out of the message: name the parameter, not its value",
        secrets
    ),
    case!(
        "W-SETT-007",
        26 Must,
        Connector,
        "`check` says the same each time",
        "let `check` depend on the settings alone: it is granted nothing and has no side effects",
        same
    ),
];

type Given_ = BTreeMap<String, Given>;

/// What the component, and its declared rules, say of some settings.
async fn check(rig: &Rig, connector: &Connector, given: &Given_) -> Result<Vec<Problem>, Stop> {
    let did = "checked settings in an instance without grants";
    let checked = connector.check(given, &Arc::new(Limits::default()), &Scope::default()).await;
    let checked = checked.map_err(|error: OpenError| failed(did, "problems, or none", error.to_string()))?;
    let problems = checked.err().unwrap_or_default();
    for problem in &problems {
        rig.hear("check", &problem.message);
    }
    Ok(problems)
}

fn told(problems: &[Problem]) -> String {
    // One may be about no parameter alone.
    listed(problems.iter().map(|problem| match problem.parameter.as_str() {
        "" => problem.message.clone(),
        parameter => format!("`{parameter}` {}", problem.message),
    }))
}

async fn accepted(rig: &Rig) -> Tried {
    let connector = rig.connector()?;
    let did = match rig.given.len() {
        0 => "checked no settings at all, as the suite has it".to_owned(),
        1 => "checked the one setting of the suite".to_owned(),
        many => format!("checked the {many} settings of the suite"),
    };
    let problems = check(rig, connector, &rig.given).await?;
    if problems.is_empty() {
        // Within the suite's own limits too, as they are opened.
        return match &rig.opening {
            Ok(_) => Ok(did),
            Err(why) => Err(failed(did, "them to be accepted within the suite's `limits`", why.clone())),
        };
    }
    let place = problems.iter().find_map(|problem| rig.suite.settings.place_of(&problem.parameter));
    let at = place.map(|place| format!(" (at {place})")).unwrap_or_default();
    Err(failed(did, "no problem", format!("{}{at}", told(&problems))))
}

async fn required(rig: &Rig) -> Tried {
    let parameters = &rig.connector()?.descriptor.parameters;
    let mut wrong = Vec::new();
    let mut tried = 0;
    for parameter in parameters.iter().filter(|parameter| parameter.required && !parameter.name.contains('*')) {
        tried += 1;
        let name = &parameter.name;
        let within = format!("{name}.");
        let mut given = rig.given.clone();
        given.retain(|set, _| set != name && !set.starts_with(&within));
        let problems = complete(parameters, &given).err().unwrap_or_default();
        if !problems.iter().any(|problem| problem.parameter == *name) {
            wrong.push(format!("without `{name}` nothing is said of it"));
        }
    }
    if tried == 0 {
        return Err(skipped("no parameter is required"));
    }
    unless(&wrong, &format!("left out each of {tried} required settings"), "each refused by its name")
}

async fn rules(rig: &Rig) -> Tried {
    let parameters = &rig.connector()?.descriptor.parameters;
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for parameter in parameters.iter().filter(|parameter| !matches!(parameter.kind, Kind::List | Kind::Map)) {
        for (rule, value) in broken(parameter) {
            tried += 1;
            if value.is_none() {
                wrong.push(format!("`{rule}` of `{}` refuses nothing that was tried", parameter.name));
            }
        }
    }
    if tried == 0 {
        return Err(skipped("no parameter has a rule"));
    }
    unless(&wrong, &format!("broke each of {tried} rules"), "each refused")
}

async fn unknown(rig: &Rig) -> Tried {
    let parameters = &rig.connector()?.descriptor.parameters;
    let name = "no-such-parameter";
    let mut given = rig.given.clone();
    given.insert(name.into(), "x".into());
    let did = format!("set `{name}`");
    match complete(parameters, &given) {
        Err(problems) if problems.iter().any(|problem| problem.parameter == name) => Ok(did),
        _ => Err(failed(did, "a refusal that names it", "it was taken")),
    }
}

/// The suite's settings with those that have to be refused.
fn refusing(rig: &Rig, refused: &config::Refused) -> Given_ {
    let mut given = rig.given.clone();
    for (name, setting) in refused.settings.iter() {
        given.insert(name.into(), Given { value: setting.value().into(), written: setting.written().into() });
    }
    given
}

async fn refused(rig: &Rig) -> Tried {
    let connector = rig.connector()?;
    if rig.suite.refused.is_empty() {
        return Err(skipped("the suite names no settings that only the component can refuse (`refused`)"));
    }
    let mut wrong = Vec::new();
    for refused in &rig.suite.refused {
        let given = refusing(rig, refused);
        let shown = listed(refused.settings.iter().map(|(name, setting)| format!("{name}: {:?}", setting.written())));
        let problems = check(rig, connector, &given).await?;
        let named = problems.iter().any(|problem| problem.parameter == *refused.names.value);
        match problems.as_slice() {
            [] => wrong.push(format!("with {shown} nothing was said")),
            some if !named => wrong.push(format!("with {shown} it names another: {}", told(some))),
            _ => {}
        }
    }
    unless(&wrong, &format!("checked {} settings that have to be refused", rig.suite.refused.len()), "each refused by its name")
}

async fn secrets(rig: &Rig) -> Tried {
    let connector = rig.connector()?;
    let secret = |name: &str| connector.descriptor.parameters.iter().any(|parameter| parameter.secret && parameter.name == name);
    let set: Vec<&String> = rig.given.keys().filter(|name| secret(name)).collect();
    if set.is_empty() {
        return Err(skipped("the suite sets no parameter that is secret"));
    }
    // Whatever makes the component speak: nothing granted, and a payload that nobody can read.
    check(rig, connector, &rig.given).await?;
    if let Ok(life) = rig.open_with(crate::conformance::About::Connector, &rig.bare()?).await {
        let _closed = life.close().await;
    }
    if let Ok(mut life) = rig.open(crate::conformance::About::Connector).await {
        let batch = rig.odd(&[b"{\"a\":"]);
        let handed = life.hand_over(&batch, 1).await;
        rig.heard(&batch, &handed);
    }
    let heard = rig.heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // The host has put this in its place.
    let wrong: Vec<String> = heard
        .messages
        .iter()
        .filter(|(_, message)| message.contains(MARK))
        .map(|(when, message)| format!("{when}: {message}"))
        .collect();
    let did = format!("looked for the values of {} secret settings in {} messages", set.len(), heard.messages.len());
    unless(&wrong, &did, "none in any")
}

async fn same(rig: &Rig) -> Tried {
    let connector = rig.connector()?;
    let mut given = vec![("the suite's settings", rig.given.clone())];
    given.push(("no settings but those that are required", {
        let required =
            |name: &String| connector.descriptor.parameters.iter().any(|parameter| parameter.required && parameter.name == *name);
        rig.given.clone().into_iter().filter(|(name, _)| required(name)).collect()
    }));
    given.extend(rig.suite.refused.iter().map(|refused| ("settings that have to be refused", refusing(rig, refused))));
    let mut wrong = Vec::new();
    for (what, given) in &given {
        let first = told(&check(rig, connector, given).await?);
        let second = told(&check(rig, connector, given).await?);
        if first != second {
            wrong.push(format!("{what}: first {first:?}, then {second:?}"));
        }
    }
    unless(&wrong, "checked settings twice over", "the same answer")
}
