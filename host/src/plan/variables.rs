//! Which settings the variables of the environment mean: the parameters that a connector declares, and what the file sets, in capitals.

use std::collections::{BTreeMap, BTreeSet};

use super::{Part, PlanError};
use crate::{
    config::{Component, Variable, as_variable, nearest},
    connector::{
        Connector,
        descriptor::{Kind, Parameter},
        settings::Given,
    },
};

/// The settings of a component, those of the file under those of the environment, and which variable set what. A variable that means none, or several, is
/// noted.
pub(super) fn settings(
    part: &Part,
    of: Component<'_>,
    connector: &Connector,
    errors: &mut Vec<PlanError>,
) -> (BTreeMap<String, Given>, BTreeMap<String, String>) {
    let written = of.settings.iter();
    let mut texts: BTreeMap<String, Given> = written
        .map(|(name, setting)| (name.to_owned(), Given { value: setting.value().into(), written: setting.written().into() }))
        .collect();
    let mut set = BTreeMap::new();
    let parameters = &connector.descriptor.parameters;
    let names: BTreeSet<String> = texts.keys().cloned().chain(own_names(parameters)).collect();
    for Variable { name: variable, key, value } in of.environment {
        let mut meant: Vec<String> = names.iter().filter(|name| as_variable(name) == *key).cloned().collect();
        if meant.is_empty() {
            meant.extend(items(parameters, key));
        }
        match meant.as_slice() {
            [name] => {
                texts.insert(name.clone(), Given { value: value.expose().into(), written: format!("${{{variable}}}") });
                set.insert(name.clone(), variable.clone());
            }
            _ => errors.push(PlanError::Variable {
                part: part.clone(),
                connector: connector.title(),
                variable: variable.clone(),
                near: nearest(key, names.iter().map(|name| as_variable(name)).collect::<Vec<_>>().iter().map(String::as_str))
                    .map(|near| format!("{}{near}", variable.strip_suffix(key).unwrap_or_default())),
                meant,
            }),
        }
    }
    (texts, set)
}

/// Names of parameters that stand for one value.
fn own_names(parameters: &[Parameter]) -> impl Iterator<Item = String> {
    let one = |parameter: &&Parameter| !matches!(parameter.kind, Kind::List | Kind::Map) && !parameter.name.contains('*');
    parameters.iter().filter(one).map(|parameter| parameter.name.clone())
}

/// The items of lists that a key can be.
fn items(parameters: &[Parameter], key: &str) -> impl Iterator<Item = String> {
    let split =
        key.rsplit_once('_').filter(|(_, number)| number.parse::<u16>().is_ok_and(|parsed| parsed.to_string() == *number));
    let lists = parameters.iter().filter(|parameter| parameter.kind == Kind::List && !parameter.name.contains('*'));
    lists.filter_map(move |list| {
        let (name, number) = split?;
        (as_variable(&list.name) == name).then(|| format!("{}.{number}", list.name))
    })
}
