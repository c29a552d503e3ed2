//! What breaks the rules that a parameter is declared with.

use std::collections::BTreeMap;

use crate::connector::{
    descriptor::{Kind, Parameter},
    settings::{Given, complete},
};

/// A value that breaks each rule of a parameter, and what the rule is.
pub(super) fn broken(parameter: &Parameter) -> Vec<(&'static str, Option<String>)> {
    let rules = &parameter.rules;
    let kept = |value: &String| {
        let name = parameter.name.replace('*', "0");
        complete(std::slice::from_ref(parameter), &BTreeMap::from([(name, Given::from(value.as_str()))])).is_ok()
    };
    // The least that breaks a rule depends on the type; whatever is refused shows that the rule holds.
    let breaks = |candidates: Vec<String>| candidates.into_iter().find(|value| !kept(value));
    let mut tried = Vec::new();
    match parameter.kind {
        Kind::Int | Kind::Float | Kind::Bool | Kind::Duration | Kind::Size => {
            tried.push(("its type", breaks(vec!["no such thing".into()])));
        }
        Kind::String | Kind::List | Kind::Map => {}
    }
    let numbers = |least: bool| -> Vec<String> {
        match (parameter.kind, least) {
            (Kind::Int, true) => vec![i64::MIN.to_string()],
            (Kind::Int, false) => vec![i64::MAX.to_string()],
            (Kind::Float, true) => vec!["-1e308".into()],
            (Kind::Float, false) => vec!["1e308".into()],
            (Kind::Duration, true) => vec!["0ms".into()],
            (Kind::Duration, false) => vec!["100000d".into()],
            (Kind::Size, true) => vec!["0".into()],
            (Kind::Size, false) => vec!["10000TiB".into()],
            _ => Vec::new(),
        }
    };
    if let Some(min) = &rules.min {
        // Nothing is below the least that there is.
        let nothing_below =
            matches!((parameter.kind, min.as_str()), (Kind::Duration, "0" | "0s" | "0ms") | (Kind::Size, "0" | "0B"));
        if !nothing_below {
            tried.push(("min", breaks(numbers(true))));
        }
    }
    if rules.max.is_some() {
        tried.push(("max", breaks(numbers(false))));
    }
    if !rules.one_of.is_empty() {
        tried.push(("one-of", breaks(vec!["none of these \u{1f980}".into()])));
    }
    if let Some(forbidden) = rules.none_of.first() {
        tried.push(("none-of", breaks(vec![forbidden.clone()])));
    }
    if parameter.kind == Kind::String {
        if rules.pattern.is_some() {
            let odd = ["", " ", "\n", "\u{0}", "a b", "\u{1f980}", "no such thing!", "-", "0", "a"];
            tried.push(("pattern", breaks(odd.map(str::to_owned).to_vec())));
        }
        if rules.min_length.is_some_and(|least| least > 0) {
            tried.push(("min-length", breaks(vec![String::new()])));
        }
        if let Some(most) = rules.max_length {
            tried.push(("max-length", breaks(vec!["x".repeat(usize::try_from(most).unwrap_or(1 << 20).min(1 << 20) + 1)])));
        }
    }
    tried
}
