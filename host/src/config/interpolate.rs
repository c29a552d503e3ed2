//! `${VAR}` in the values of a pipeline file.
//!
//! Variables are replaced in the tree, after YAML was read: a value is text whatever it holds, and can add no key, no list and no
//! quote. Keys are left alone.
//!
//! | written | becomes |
//! |---|---|
//! | `${VAR}` | the variable; an error where it is not set |
//! | `${VAR:-default}` | the variable; `default`, which may be empty, where it is not set or empty |
//! | `$$` | `$` |
//! | `$` before anything else | itself |

use super::{
    error::{ConfigError, Place},
    node::{Node, Scalar, Value, quoted},
    yaml::MOST_TEXT,
};

/// Tells the value of a variable, none where it is not set.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces variables in every value of the tree. What cannot be replaced is left as it stands, and told.
///
/// # Errors
/// Where the tree becomes too large, which ends it.
pub(super) fn interpolate(node: &mut Node, env: Lookup<'_>, wrong: &mut Vec<ConfigError>) -> Result<(), ConfigError> {
    walk(node, env, &mut 0, wrong)
}

fn walk(node: &mut Node, env: Lookup<'_>, bytes: &mut usize, wrong: &mut Vec<ConfigError>) -> Result<(), ConfigError> {
    match &mut node.value {
        Value::List(items) => items.iter_mut().try_for_each(|item| walk(item, env, bytes, wrong)),
        Value::Map(entries) => entries.iter_mut().try_for_each(|(_, value)| walk(value, env, bytes, wrong)),
        Value::Scalar(scalar) => {
            if scalar.text.contains('$')
                && let Err(error) = scalar_in(scalar, env)
            {
                wrong.push(error.with_place(node.place.clone()));
            }
            *bytes += scalar.text.len();
            if *bytes > MOST_TEXT {
                return Err(too_much(node.place.clone()));
            }
            Ok(())
        }
    }
}

fn scalar_in(scalar: &mut Scalar, env: Lookup<'_>) -> Result<(), ConfigError> {
    let replaced = replace(&scalar.text, env)?;
    scalar.written = Some(std::mem::replace(&mut scalar.text, replaced));
    Ok(())
}

fn replace(text: &str, env: Lookup<'_>) -> Result<String, ConfigError> {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        replaced.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix('$') {
            replaced.push('$');
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix('{') {
            let end = behind.find('}').ok_or_else(|| {
                ConfigError::new("`${` without its `}`").with_hint("write `${NAME}` for a variable, `$$` for a dollar sign")
            })?;
            replaced.push_str(&variable(&behind[..end], env)?);
            rest = &behind[end + 1..];
            if replaced.len() > MOST_TEXT {
                return Err(ConfigError::new("variables make this value too large"));
            }
        } else {
            replaced.push('$');
        }
    }
    replaced.push_str(rest);
    Ok(replaced)
}

/// What stands between the braces.
fn variable(inside: &str, env: Lookup<'_>) -> Result<String, ConfigError> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let named = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !named {
        return Err(ConfigError::new(format!("{} does not name a variable", quoted(&format!("${{{inside}}}"))))
            .with_hint("write `${NAME}` or `${NAME:-default}`, and `$$` for a dollar sign"));
    }
    if default.is_some_and(|default| default.contains("${")) {
        return Err(ConfigError::new(format!("the default of the variable `{name}` holds a variable itself"))
            .with_hint("a default is plain text, up to the first `}`"));
    }
    match (env(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(ConfigError::new(format!("the variable `{name}` is not set"))
            .with_hint(format!("set it, or give a default with `${{{name}:-default}}`"))),
    }
}

fn too_much(place: Place) -> ConfigError {
    ConfigError::new("variables make the file too large").with_place(place)
}
