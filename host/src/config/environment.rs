//! Settings of destinations from the environment, over those of the file: `WHARF__<PIPELINE>__<DESTINATION>__<KEY>`.
//!
//! Ids and keys are written in capitals, with `_` for `-` and `.`. A variable that begins so and names no destination, or could be meant for two, is refused:
//! whoever set it wants it to count. Which setting a key is, the connector's parameters tell, and so it is found out where a plan is made ([`meant`]).

use super::{at::At, error::ConfigError, file::File, nearest::nearest, secret::Secret};

/// What all of these variables begin with.
const PREFIX: &str = "WHARF__";

/// Where variables come from.
pub trait Environment {
    /// The value of a variable; `None` where it is not set.
    fn get(&self, name: &str) -> Option<String>;

    /// The names of all variables, as far as they can be listed.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

impl<F: Fn(&str) -> Option<String>> Environment for F {
    fn get(&self, name: &str) -> Option<String> {
        self(name)
    }
}

/// The environment of this process. A variable that is not Unicode counts as not set.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnEnvironment;

impl Environment for OwnEnvironment {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn names(&self) -> Vec<String> {
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect()
    }
}

/// A variable that sets something of a destination. Its value may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// The setting's name as it stands at the end of that.
    pub key: String,
    /// Its value.
    pub value: Secret,
}

/// A name as it stands in a variable.
pub fn as_variable(name: &str) -> String {
    name.chars().map(|c| if matches!(c, '-' | '.') { '_' } else { c.to_ascii_uppercase() }).collect()
}

/// Gives each destination the variables that are meant for it. One that is meant for none or for several is wrong.
pub(super) fn take(file: &mut File, env: &dyn Environment, wrong: &mut Vec<ConfigError>) {
    let mut names: Vec<String> = env.names().into_iter().filter(|name| name.starts_with(PREFIX)).collect();
    names.sort();
    names.dedup();
    for name in names {
        // It may have gone meanwhile, or not be Unicode.
        let Some(value) = env.get(&name) else { continue };
        let mut meant = Vec::new();
        for (at, pipeline) in file.pipelines.iter().enumerate() {
            for (within, destination) in pipeline.destinations.iter().enumerate() {
                let prefix = prefix(pipeline.id.as_str(), destination.id.as_str());
                if let Some(key) = name.strip_prefix(&prefix).filter(|key| !key.is_empty()) {
                    meant.push((at, within, key.to_owned()));
                }
            }
        }
        match meant.as_slice() {
            [] => wrong.push(astray(&name, file)),
            [(at, within, key)] => {
                let pipeline = &mut file.pipelines[*at].value;
                let variable = Variable { name: name.clone(), key: key.clone(), value: Secret::new(&value) };
                pipeline.digest = pipeline.digest.with(name.as_bytes()).with(value.as_bytes());
                pipeline.destinations[*within].value.environment.push(variable);
            }
            several => {
                let named = several.iter().map(|(at, within, key)| {
                    let pipeline = &file.pipelines[*at];
                    format!("`{key}` of {}/{}", pipeline.id, pipeline.destinations[*within].id)
                });
                let named: Vec<String> = named.collect();
                wrong.push(
                    ConfigError::new(format!("the variable `{name}` could mean {}", named.join(", and ")))
                        .with_hint("write the setting into the file, or give one of them another name"),
                );
            }
        }
    }
}

fn prefix(pipeline: &str, destination: &str) -> String {
    format!("{PREFIX}{}__{}__", as_variable(pipeline), as_variable(destination))
}

/// A variable that names no destination, and what it could mean.
fn astray(name: &str, file: &File) -> ConfigError {
    let mut known: Vec<String> = Vec::new();
    for At { value: pipeline, .. } in &file.pipelines {
        known.extend(pipeline.destinations.iter().map(|destination| prefix(pipeline.id.as_str(), destination.id.as_str())));
    }
    // As long as one that would be right, at its end without a key.
    let parts: Vec<&str> = name.splitn(4, "__").collect();
    let begun = parts.iter().take(3).copied().collect::<Vec<_>>().join("__") + "__";
    let hint = match nearest(&begun, known.iter().map(String::as_str)) {
        Some(near) if *near == *begun => format!("name the setting behind it: `{near}KEY`"),
        Some(near) => format!("did you mean `{near}{}`?", parts.get(3).copied().unwrap_or("KEY")),
        None => {
            let shown: Vec<String> = known.iter().take(8).map(|prefix| format!("`{prefix}KEY`")).collect();
            format!("it is written WHARF__PIPELINE__DESTINATION__KEY, here {}", shown.join(", "))
        }
    };
    ConfigError::new(format!("the variable `{name}` names no destination of this file")).with_hint(hint)
}
