//! Settings held to the declared parameters, as the host holds them.

use std::time::Duration;

use crate::{
    Problem, Settings, Size,
    parameters::{Kind, Parameter, Rules, Value},
};

/// Fills in defaults, and returns all that is wrong.
pub(crate) fn settle(declared: &[Parameter], settings: &Settings) -> (Settings, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut whole: Vec<(String, String)> = settings.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    for parameter in declared {
        for name in expand(&parameter.name, settings) {
            match parameter.kind {
                Kind::List | Kind::Map => count(parameter, &name, settings, &mut problems),
                _ => match (settings.get(&name), &parameter.default) {
                    (Some(value), _) => problems.extend(judge(parameter, value).err().map(|error| Problem::new(name, error))),
                    (None, Some(default)) => whole.push((name, default.clone())),
                    (None, None) if parameter.required => problems.push(Problem::new(name, "is required")),
                    (None, None) => {}
                },
            }
        }
    }
    for (name, _) in settings.iter() {
        let known = |parameter: &Parameter| !matches!(parameter.kind, Kind::List | Kind::Map) && matches(&parameter.name, name);
        if !declared.iter().any(known) {
            problems.push(Problem::new(name, "is not a parameter of this connector"));
        }
    }
    (Settings::from_iter(whole), problems)
}

/// What is wrong with the declarations themselves.
pub(crate) fn unsound(declared: &[Parameter]) -> Vec<Problem> {
    let wrong = |parameter: &Parameter| {
        if let Some(error) = parameter.rules.pattern.as_deref().and_then(|pattern| whole(pattern).err()) {
            return Some(format!("has a pattern that is none: {error}"));
        }
        let rules = Rules { one_of: Vec::new(), none_of: Vec::new(), ..Rules::default() };
        let plain = Parameter { rules, ..parameter.clone() };
        for bound in [&parameter.rules.min, &parameter.rules.max].into_iter().flatten() {
            if let Err(error) = judge(&plain, bound) {
                return Some(format!("has the bound `{bound}`, which {error}"));
            }
        }
        let default = parameter.default.as_deref()?;
        judge(parameter, default).err().map(|error| format!("has the default `{default}`, which {error}"))
    };
    declared.iter().filter_map(|parameter| Some(Problem::new(parameter.name.clone(), wrong(parameter)?))).collect()
}

/// The names that a declared one stands for: itself, or one for each segment that a `*` finds.
fn expand(declared: &str, settings: &Settings) -> Vec<String> {
    let mut names = vec![String::new()];
    for segment in declared.split('.') {
        let behind = |name: &String, next: &str| match name.as_str() {
            "" => next.to_owned(),
            name => format!("{name}.{next}"),
        };
        names = match segment {
            "*" => {
                names.iter().flat_map(|name| settings.segments(name).into_iter().map(move |next| behind(name, next))).collect()
            }
            segment => names.iter().map(|name| behind(name, segment)).collect(),
        };
    }
    names
}

fn matches(declared: &str, name: &str) -> bool {
    let (declared, name) = (declared.split('.'), name.split('.'));
    declared.clone().count() == name.clone().count()
        && declared.zip(name).all(|(declared, segment)| declared == "*" || declared == segment)
}

fn count(parameter: &Parameter, name: &str, settings: &Settings, problems: &mut Vec<Problem>) {
    let entries = settings.segments(name).len();
    let Rules { min_length, max_length, .. } = parameter.rules;
    let least = min_length.unwrap_or_default().max(u32::from(parameter.required)) as usize;
    if entries < least && (entries > 0 || parameter.required) {
        problems.push(Problem::new(name, format!("has {entries} entries, and needs at least {least}")));
    }
    if max_length.is_some_and(|most| entries > most as usize) {
        problems.push(Problem::new(name, format!("has {entries} entries, which is too many")));
    }
}

fn judge(parameter: &Parameter, value: &str) -> Result<(), String> {
    let said = if parameter.secret { String::new() } else { format!("`{value}`: ") };
    let number = number(parameter.kind, value).map_err(|error| format!("is {said}{error}"))?;
    let Rules { min, max, one_of, none_of, pattern, min_length, max_length } = &parameter.rules;
    let bound = |bound: &Option<String>| bound.as_deref().and_then(|bound| self::number(parameter.kind, bound).ok().flatten());
    if let (Some(number), Some(min)) = (number, bound(min))
        && number < min
    {
        return Err(format!("is {said}below {}", parameter.rules.min.as_deref().unwrap_or_default()));
    }
    if let (Some(number), Some(max)) = (number, bound(max))
        && number > max
    {
        return Err(format!("is {said}above {}", parameter.rules.max.as_deref().unwrap_or_default()));
    }
    if !one_of.is_empty() && !one_of.iter().any(|one| one == value) {
        return Err(format!("is {said}not one of {}", one_of.join(", ")));
    }
    if none_of.iter().any(|one| one == value) {
        return Err(format!("is {said}not allowed"));
    }
    if let Some(pattern) = pattern
        && !whole(pattern).is_ok_and(|pattern| pattern.is_match(value))
    {
        return Err(format!("is {said}does not match `{pattern}`"));
    }
    let length = value.chars().count();
    if min_length.is_some_and(|least| length < least as usize) || max_length.is_some_and(|most| length > most as usize) {
        return Err(format!("is {said}{length} characters long, which its length rule does not allow"));
    }
    Ok(())
}

/// What a bound compares, where the kind has an order.
fn number(kind: Kind, value: &str) -> Result<Option<f64>, String> {
    Ok(match kind {
        Kind::Int => Some(value.parse::<i128>().map_err(|_| "not a whole number")? as f64),
        Kind::Float => Some(f64::parse(value)?),
        Kind::Duration => Some(<Duration as Value>::parse(value)?.as_secs_f64()),
        Kind::Size => Some(<Size as Value>::parse(value)?.as_bytes() as f64),
        Kind::Bool => {
            bool::parse(value)?;
            None
        }
        Kind::String | Kind::List | Kind::Map => None,
    })
}

fn whole(pattern: &str) -> Result<regex_lite::Regex, regex_lite::Error> {
    regex_lite::Regex::new(&format!("^(?:{pattern})$"))
}
