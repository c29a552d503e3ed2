//! The name of a file, with places for what a record says.

use super::{
    date::{Moment, Pattern},
    name,
};

/// A name with placeholders: `{partition}`, `{key}`, `{date}` or `{date:%Y-%m}`, `{meta:NAME}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
    metadata: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Value, Option<u8>),
    Date(Pattern),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Partition,
    Key,
    /// Which of [`Template::metadata`].
    Meta(usize),
}

/// What a record fills in.
#[derive(Clone, Copy, Debug)]
pub struct Filling<'a> {
    /// The partition that it comes from.
    pub partition: &'a str,
    /// Its key, if it has one.
    pub key: Option<&'a [u8]>,
    /// Its date.
    pub date: Date<'a>,
    /// One value for each of [`Template::metadata`].
    pub metadata: &'a [Option<&'a [u8]>],
}

/// The date of a record.
#[derive(Clone, Copy, Debug)]
pub enum Date<'a> {
    /// When it was.
    At(Moment),
    /// The text that stands for a date where there is none.
    Default(&'a str),
}

impl Template {
    /// Reads a template. Two placeholders are parted by text that begins with one of `_ + = , @ . -` or a blank, so that different
    /// values never make the same name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut metadata = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, inner) = rest.split_at(at);
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let (inside, after) = inner
                .strip_prefix('{')
                .and_then(|inner| inner.split_once('}'))
                .ok_or_else(|| format!("`{text}` has a brace without its twin"))?;
            parts.push(placeholder(inside, &mut metadata)?);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        for part in &parts {
            if let Part::Text(text) = part
                && !name::is_plain(text)
            {
                return Err(format!(
                    "`{text}` cannot stand in the name of a file: use letters, digits, blanks and _ + = , @ . - (files lie directly in the directory, so no `/`)"
                ));
            }
        }
        match parts.first() {
            None => return Err("a file needs a name".to_owned()),
            Some(Part::Text(text)) if text.starts_with(['.', '-', ' ']) => {
                return Err(format!("the name of a file cannot begin with `{}`", &text[..1]));
            }
            _ => {}
        }
        if let Some(Part::Text(text)) = parts.last()
            && text.ends_with(['.', ' '])
        {
            return Err("the name of a file cannot end with a dot or a blank".to_owned());
        }
        part_placeholders(&mut parts)?;
        Ok(Self { text: text.to_owned(), parts, metadata })
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Names of the metadata that it has places for.
    pub fn metadata(&self) -> &[String] {
        &self.metadata
    }

    /// Whether it has a place for the key.
    pub fn has_key(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Value(Value::Key, _)))
    }

    /// Whether it has a place for a date.
    pub fn has_date(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Date(_)))
    }

    /// Writes the name into `name`, or says what the record lacks, as the end of a sentence that begins with "the record".
    pub fn fill(&self, name: &mut String, with: &Filling<'_>) -> Result<(), String> {
        name.clear();
        for part in &self.parts {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Value(Value::Partition, before) => name::push(name, with.partition.as_bytes(), *before),
                Part::Value(Value::Key, before) => {
                    let key = with.key.ok_or("has no key, and files are named by `{key}`: let the source say what the key is")?;
                    name::push(name, key, *before);
                }
                Part::Value(Value::Meta(which), before) => {
                    let value = with.metadata.get(*which).copied().flatten().ok_or_else(|| {
                        let missing = &self.metadata[*which];
                        format!("has no metadata `{missing}`, and files are named by `{{meta:{missing}}}`")
                    })?;
                    name::push(name, value, *before);
                }
                Part::Date(pattern) => match with.date {
                    Date::At(moment) => pattern.push(name, moment),
                    Date::Default(text) => name.push_str(text),
                },
            }
        }
        name::finish(name)
    }
}

fn placeholder(inside: &str, metadata: &mut Vec<String>) -> Result<Part, String> {
    let (kind, argument) = inside.split_once(':').map_or((inside, None), |(kind, argument)| (kind, Some(argument)));
    match (kind, argument) {
        ("partition", None) => Ok(Part::Value(Value::Partition, None)),
        ("key", None) => Ok(Part::Value(Value::Key, None)),
        ("date", pattern) => Pattern::parse(pattern.unwrap_or("%Y-%m-%d")).map(Part::Date),
        ("meta", Some(name)) if !name.is_empty() => {
            metadata.push(name.to_owned());
            Ok(Part::Value(Value::Meta(metadata.len() - 1), None))
        }
        _ => Err(format!(
            "`{{{inside}}}` is no placeholder: use {{partition}}, {{key}}, {{date}}, {{date:%Y-%m}} or {{meta:NAME}}"
        )),
    }
}

/// Sees to it that a name can be read back in one way only: a value never holds the byte that parts it from the next placeholder.
fn part_placeholders(parts: &mut [Part]) -> Result<(), String> {
    for at in 0..parts.len().saturating_sub(1) {
        let more_follow = parts[at + 1..].iter().any(|part| !matches!(part, Part::Text(_)));
        if matches!(parts[at], Part::Text(_)) || !more_follow {
            continue;
        }
        let first = match &parts[at + 1] {
            Part::Text(text) => text.bytes().next().filter(|byte| !byte.is_ascii_alphanumeric()),
            _ => None,
        };
        let first = first.ok_or("two placeholders are parted by text that begins with _ + = , @ . - or a blank")?;
        if let Part::Value(_, before) = &mut parts[at] {
            *before = Some(first);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fill(template: &str, partition: &str, key: Option<&[u8]>, meta: Option<&[u8]>) -> Result<String, String> {
        let mut name = "left over".to_owned();
        let date = Date::At(Moment::from_text("2018-02-07T01:26:13Z").unwrap());
        Template::parse(template)?.fill(&mut name, &Filling { partition, key, date, metadata: &[meta] })?;
        Ok(name)
    }

    #[test]
    fn a_record_fills_the_places() {
        for (template, expected) in [
            ("{partition}.ndjson", "data%2Fp-0.ndjson"),
            ("all.ndjson", "all.ndjson"),
            ("{key}.json", "k-1.json"),
            ("{partition}-{key}.json", "data%2Fp%2D0-k-1.json"),
            ("quakes-{date}.csv", "quakes-2018-02-07.csv"),
            ("{date:%Y-%m}_{meta:tenant}", "2018-02_t%201"),
        ] {
            assert_eq!(fill(template, "data/p-0", Some(b"k-1"), Some(b"t 1")).unwrap(), expected);
        }
    }

    #[test]
    fn a_record_that_lacks_something_is_told_what() {
        assert!(fill("{key}", "p", None, None).unwrap_err().contains("has no key"));
        assert!(fill("{meta:tenant}", "p", None, None).unwrap_err().contains("`tenant`"));
    }

    #[test]
    fn a_template_that_makes_unsafe_names_is_refused() {
        for (template, says) in [
            ("", "needs a name"),
            ("../x", "no `/`"),
            ("a/{key}", "no `/`"),
            (".{key}", "begin with `.`"),
            ("-{key}", "begin with `-`"),
            ("{key}.", "end with a dot"),
            ("{key}%20", "`%20`"),
            ("{key}{partition}", "parted"),
            ("{key}2{partition}", "parted"),
            ("{date}{key}", "parted"),
            ("{Key}", "`{Key}` is no placeholder"),
            ("{meta:}", "no placeholder"),
            ("{key", "brace"),
            ("key}", "brace"),
            ("{{key}}", "no placeholder"),
        ] {
            let error = Template::parse(template).unwrap_err();
            assert!(error.contains(says), "{template}: {error}");
        }
    }

    fn value() -> impl Strategy<Value = Vec<u8>> {
        // Mostly the bytes that make trouble, and short, so that values meet.
        prop::collection::vec(
            prop_oneof![Just(b'-'), Just(b'.'), Just(b'%'), Just(b'/'), Just(b'2'), Just(b'D'), Just(0), any::<u8>()],
            0..5,
        )
    }

    proptest! {
        #[test]
        fn different_values_never_share_a_name(
            template in prop::sample::select(vec!["{partition}-{key}.json", "{key}-{partition}", "x{key}.{partition}.json", "{key}.{date}-{partition}"]),
            one in (value(), value()), other in (value(), value()),
        ) {
            let text = |bytes: &[u8]| bytes.iter().map(|&byte| char::from(byte)).collect::<String>();
            let name = |(key, partition): &(Vec<u8>, Vec<u8>)| fill(template, &text(partition), Some(key), None).unwrap();
            prop_assert_eq!(name(&one) == name(&other), one == other);
        }

        #[test]
        fn a_name_never_leaves_the_directory(
            template in prop::sample::select(vec!["{key}", "{key}.json", "{partition}-{key}"]), key in value(), partition in ".{0,5}",
        ) {
            let name = fill(template, &partition, Some(&key), None).unwrap();
            prop_assert!(!name.is_empty() && name.len() <= name::LONGEST);
            prop_assert!(!name.starts_with(['.', '-']) && !name.ends_with('.'));
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,@.-%".contains(&byte)));
            prop_assert!(!name::of("con").unwrap().eq_ignore_ascii_case("con"));
        }
    }
}
