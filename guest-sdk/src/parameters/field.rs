//! Types that a field of a configuration has.

use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasher,
};

use super::{Kind, Parameter, Problem, Rules, Settings, Value};

/// What the author said of a field that reading it needs.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// As an operator would write it.
    pub default: Option<&'a str>,
    /// Whether what is given must not be shown.
    pub secret: bool,
}

/// A type that a field of a configuration has: a [`Value`], something around one, or a struct that derives
/// [`Parameters`](super::Parameters).
#[diagnostic::on_unimplemented(
    message = "a parameter cannot be a `{Self}`",
    label = "neither a value that one setting holds, nor a struct that derives `Parameters`",
    note = "values are `String`, numbers, `bool`, `Duration`, `Size`, `Secret`, and enums without fields that derive `Parameters`",
    note = "around these stand `Option<T>`, `Vec<T>`, `BTreeMap<String, T>` and `HashMap<String, T>`"
)]
pub trait Field: Sized {
    /// Appends what the field declares. `parameter` holds what its name, its documentation and its attributes say.
    fn declare(parameter: Parameter, into: &mut Vec<Parameter>);

    /// Reads it. `None` where there was a problem, which was appended.
    fn read(name: &str, given: Given<'_>, settings: &Settings, problems: &mut Vec<Problem>) -> Option<Self>;
}

impl<T: Value> Field for T {
    fn declare(mut parameter: Parameter, into: &mut Vec<Parameter>) {
        parameter.kind = T::KIND;
        parameter.secret |= T::SECRET;
        parameter.required = parameter.default.is_none();
        T::constrain(&mut parameter.rules);
        into.push(parameter);
    }

    fn read(name: &str, given: Given<'_>, settings: &Settings, problems: &mut Vec<Problem>) -> Option<Self> {
        let Some(text) = settings.get(name).or(given.default) else {
            problems.push(Problem::new(name, "is required"));
            return None;
        };
        match T::parse(text) {
            Ok(value) => Some(value),
            Err(message) if given.secret || T::SECRET => {
                problems.push(Problem::new(name, format!("is {message}")));
                None
            }
            Err(message) => {
                problems.push(Problem::new(name, format!("is `{text}`: {message}")));
                None
            }
        }
    }
}

impl<T: Field> Field for Option<T> {
    fn declare(parameter: Parameter, into: &mut Vec<Parameter>) {
        let first = into.len();
        T::declare(parameter, into);
        for inner in &mut into[first..] {
            inner.required = false;
            inner.default = None;
        }
    }

    fn read(name: &str, given: Given<'_>, settings: &Settings, problems: &mut Vec<Problem>) -> Option<Self> {
        match settings.mentions(name) {
            true => T::read(name, given, settings, problems).map(Some),
            false => Some(None),
        }
    }
}

impl<T: Field> Field for Vec<T> {
    fn declare(parameter: Parameter, into: &mut Vec<Parameter>) {
        declare_entries::<T>(Kind::List, parameter, into);
    }

    fn read(name: &str, given: Given<'_>, settings: &Settings, problems: &mut Vec<Problem>) -> Option<Self> {
        let before = problems.len();
        let mut entries: Vec<(u32, &str)> = Vec::new();
        for segment in settings.segments(name) {
            match segment.parse() {
                Ok(index) => entries.push((index, segment)),
                Err(_) => {
                    problems.push(Problem::new(format!("{name}.{segment}"), "should be numbered, as entries of a list are"))
                }
            }
        }
        entries.sort_unstable();
        let read = |(_, segment): &(u32, &str)| T::read(&format!("{name}.{segment}"), given, settings, problems);
        let read: Vec<T> = entries.iter().filter_map(read).collect();
        (problems.len() == before).then_some(read)
    }
}

impl<T: Field> Field for BTreeMap<String, T> {
    fn declare(parameter: Parameter, into: &mut Vec<Parameter>) {
        declare_entries::<T>(Kind::Map, parameter, into);
    }

    fn read(name: &str, given: Given<'_>, settings: &Settings, problems: &mut Vec<Problem>) -> Option<Self> {
        read_map(name, given, settings, problems)
    }
}

impl<T: Field, S: BuildHasher + Default> Field for HashMap<String, T, S> {
    fn declare(parameter: Parameter, into: &mut Vec<Parameter>) {
        declare_entries::<T>(Kind::Map, parameter, into);
    }

    fn read(name: &str, given: Given<'_>, settings: &Settings, problems: &mut Vec<Problem>) -> Option<Self> {
        read_map(name, given, settings, problems)
    }
}

/// The list or map itself, which is counted, and one entry of it, which has the author's other rules.
fn declare_entries<T: Field>(kind: Kind, parameter: Parameter, into: &mut Vec<Parameter>) {
    let Parameter { name, summary, required, secret, mut rules, .. } = parameter;
    let counted = Rules { min_length: rules.min_length.take(), max_length: rules.max_length.take(), ..Rules::default() };
    let entry = Parameter { name: format!("{name}.*"), secret, rules, ..Parameter::default() };
    into.push(Parameter { name, summary, kind, default: None, required, secret, rules: counted });
    let first = into.len();
    let own = entry.name.clone();
    T::declare(entry, into);
    // There is an entry only where it is given.
    into[first..].iter_mut().filter(|inner| inner.name == own).for_each(|inner| inner.required = false);
}

fn read_map<T: Field, M: FromIterator<(String, T)>>(
    name: &str,
    given: Given<'_>,
    settings: &Settings,
    problems: &mut Vec<Problem>,
) -> Option<M> {
    let before = problems.len();
    let read = |key: &str| Some((key.to_owned(), T::read(&format!("{name}.{key}"), given, settings, problems)?));
    let read: M = settings.segments(name).into_iter().filter_map(read).collect();
    (problems.len() == before).then_some(read)
}
