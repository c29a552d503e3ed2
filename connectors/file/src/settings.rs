//! What an operator gives, checked and made ready.

use wharf_sdk::{Parameters, Problem};

use super::{csv, date::Unit, fields::Fields, template::Template};

/// The settings as they are written.
#[derive(Clone, Debug, PartialEq, Eq, Parameters)]
pub struct Config {
    /// The granted directory that files are written to, as the connector sees it.
    #[parameter(default = "/out")]
    pub directory: String,
    /// `append` adds records to files, `each` makes a file of each record.
    #[parameter(default = "append")]
    pub files: Files,
    /// What files are called, with places for {partition}, {key}, {date}, {date:%Y-%m} and {meta:NAME}; by default {partition} or {key}
    /// with an extension that fits.
    pub name: Option<String>,
    /// How a record is written.
    #[parameter(default = "json-lines")]
    pub format: FormatName,
    /// Columns of `csv`: names of members such as `mag`, or JSON pointers such as `/properties/mag`.
    pub columns: Vec<String>,
    /// JSON pointer to the date of a record: RFC 3339 text, or a number of seconds or milliseconds since 1970.
    pub date_pointer: Option<String>,
    /// What stands in the name for a record without a date; otherwise the record is rejected.
    pub date_default: Option<String>,
    /// What a number at `date-pointer` counts; `auto` decides by its size.
    #[parameter(default = "auto")]
    pub date_unit: Unit,
    /// Whether to wait until a batch is on disk before it is answered for.
    #[parameter(default = true)]
    pub sync: bool,
}

/// What holds where an operator gives nothing.
impl Default for Config {
    fn default() -> Self {
        Self {
            directory: "/out".to_owned(),
            files: Files::Append,
            name: None,
            format: FormatName::JsonLines,
            columns: Vec::new(),
            date_pointer: None,
            date_default: None,
            date_unit: Unit::Auto,
            sync: true,
        }
    }
}

/// Which records go into which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Parameters)]
pub enum Files {
    /// Each record is added to the end of its file.
    Append,
    /// Each record is a file.
    Each,
}

/// How a record is written, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Parameters)]
pub enum FormatName {
    /// JSON, a line each.
    JsonLines,
    /// A row each.
    Csv,
    /// The bytes as they stand.
    Raw,
}

/// How a record is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON, a line each.
    JsonLines,
    /// A row each.
    Csv {
        /// The first row.
        header: Vec<u8>,
        /// The place of each column among [`Settings::fields`].
        columns: Vec<usize>,
    },
    /// The bytes as they stand.
    Raw,
}

/// Where a record's date is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateSource {
    /// A JSON pointer, and its place among [`Settings::fields`]; without one every date is the default.
    pub pointer: Option<(String, usize)>,
    /// What a number counts.
    pub unit: Unit,
    /// What stands for it where there is none.
    pub default: Option<String>,
}

/// Settings that make sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The directory, as the guest sees it.
    pub directory: String,
    /// Which records go into which file.
    pub files: Files,
    /// How files are named.
    pub name: Template,
    /// How a record is written.
    pub format: Format,
    /// What is looked for in a record.
    pub fields: Fields,
    /// Where its date is; `None` where the name has no place for one.
    pub date: Option<DateSource>,
    /// Whether to wait for the disk.
    pub sync: bool,
}

impl Settings {
    /// Checks all, and says all that is wrong.
    pub fn new(config: &Config) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems(Vec::new());
        if !config.directory.starts_with('/') {
            problems.add("directory", format!("is `{}`: the path of a granted directory begins with `/`", config.directory));
        }
        let mut fields = Fields::default();
        if config.format != FormatName::Csv && !config.columns.is_empty() {
            problems.add("columns", "is for `format: csv` alone");
        }
        let format = match config.format {
            FormatName::JsonLines => Format::JsonLines,
            FormatName::Raw => Format::Raw,
            FormatName::Csv => read_columns(&config.columns, &mut fields, &mut problems),
        };
        let name = config.name.as_deref().unwrap_or_else(|| default_name(config.files, config.format));
        let parsed = Template::parse(name).map_err(|error| problems.add("name", format!("is `{name}`: {error}")));
        if let Ok(template) = &parsed
            && config.files == Files::Each
            && !template.has_key()
        {
            problems.add("name", format!("is `{name}`: with `files: each` it has a place for the key, as `{{key}}.json` has"));
        }
        let date = parsed.as_ref().is_ok_and(Template::has_date).then(|| read_date(config, &mut fields, &mut problems));
        if date.is_none() && parsed.is_ok() && config.date_pointer.is_some() {
            problems.add(
                "date-pointer",
                format!("is given, and `name` is `{name}`, which has no place for a date such as `{{date}}`"),
            );
        }
        match parsed {
            Ok(name) if problems.0.is_empty() => Ok(Self {
                directory: config.directory.clone(),
                files: config.files,
                name,
                format,
                fields,
                date,
                sync: config.sync,
            }),
            _ => Err(problems.0),
        }
    }
}

fn default_name(files: Files, format: FormatName) -> &'static str {
    match (files, format) {
        (Files::Append, FormatName::JsonLines) => "{partition}.ndjson",
        (Files::Append, FormatName::Csv) => "{partition}.csv",
        (Files::Append, FormatName::Raw) => "{partition}.log",
        (Files::Each, FormatName::JsonLines) => "{key}.json",
        (Files::Each, FormatName::Csv) => "{key}.csv",
        (Files::Each, FormatName::Raw) => "{key}",
    }
}

fn read_columns(written: &[String], fields: &mut Fields, problems: &mut Problems) -> Format {
    if written.is_empty() {
        problems.add(
            "columns",
            "is needed by `format: csv`: names of members such as `mag`, or JSON pointers such as `/properties/mag`",
        );
    }
    let last = |column: &str| column.rsplit('/').next().unwrap_or(column).replace("~1", "/").replace("~0", "~");
    let shorts: Vec<String> = written.iter().map(|column| last(column)).collect();
    let (mut names, mut columns) = (Vec::new(), Vec::new());
    for (column, short) in written.iter().zip(&shorts) {
        let pointer = if column.is_empty() || column.starts_with('/') {
            column.clone()
        } else {
            format!("/{}", column.replace('~', "~0").replace('/', "~1"))
        };
        columns.extend(problems.slot("columns", &pointer, fields));
        let alone = shorts.iter().filter(|other| *other == short).count() == 1;
        names.push(if column.starts_with('/') && alone { short } else { column });
    }
    let mut header = Vec::new();
    csv::header(&mut header, names.into_iter().map(String::as_str));
    Format::Csv { header, columns }
}

fn read_date(config: &Config, fields: &mut Fields, problems: &mut Problems) -> DateSource {
    if let Some(default) = &config.date_default
        && !(default.starts_with(|char: char| char.is_ascii_alphabetic())
            && default.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'))
    {
        problems.add("date-default", format!("is `{default}`: begin with a letter, go on with letters, digits, _ and -"));
    }
    if config.date_pointer.is_none() && config.date_default.is_none() {
        problems.add(
            "date-pointer",
            "is needed, since `name` has a place for a date: say where a record has it, as in `/properties/time`",
        );
    }
    let pointer = config.date_pointer.as_ref();
    let pointer = pointer.and_then(|pointer| Some((pointer.clone(), problems.slot("date-pointer", pointer, fields)?)));
    DateSource { pointer, unit: config.date_unit, default: config.date_default.clone() }
}

struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, parameter: &str, message: impl Into<String>) {
        self.0.push(Problem::new(parameter, message));
    }

    fn slot(&mut self, parameter: &str, pointer: &str, fields: &mut Fields) -> Option<usize> {
        fields.add(pointer).map_err(|error| self.add(parameter, format!("is `{pointer}`: {error}"))).ok()
    }
}

#[cfg(test)]
mod tests {
    use wharf_sdk::Settings as Given;

    use super::*;

    fn problems(given: &[(&str, &str)]) -> Vec<String> {
        let config = Config::read(&Given::from_iter(given.iter().copied())).unwrap();
        let problems = Settings::new(&config).err().unwrap_or_default();
        problems.iter().map(Problem::to_string).collect()
    }

    #[test]
    fn what_is_wrong_is_said_of_the_setting_that_is_wrong() {
        assert_eq!(problems(&[]), [""; 0]);
        for (given, says) in [
            (&[("directory", "out")][..], "`directory` is `out`: the path of a granted directory begins with `/`"),
            (&[("format", "csv")], "`columns` is needed by `format: csv`"),
            (&[("columns.0", "a")], "`columns` is for `format: csv` alone"),
            (&[("name", "a/b")], "`name` is `a/b`: `a/b` cannot stand"),
            (&[("name", "{date}")], "`date-pointer` is needed"),
            (&[("date-pointer", "/time")], "`date-pointer` is given, and `name` is `{partition}.ndjson`, which has no place"),
            (
                &[("files", "each"), ("name", "{partition}")],
                "`name` is `{partition}`: with `files: each` it has a place for the key",
            ),
            (
                &[("name", "{date}"), ("date-pointer", "time")],
                "`date-pointer` is `time`: a JSON pointer begins with `/`, as in `/time`",
            ),
            (&[("name", "{date}"), ("date-default", "2018")], "`date-default` is `2018`: begin with a letter"),
        ] {
            let found = problems(given);
            assert!(found.len() == 1 && found[0].starts_with(says), "{found:?}");
        }
    }

    #[test]
    fn the_declared_defaults_are_the_defaults() {
        assert_eq!(Config::read(&Given::default()).unwrap(), Config::default());
    }

    #[test]
    fn columns_are_named_by_their_last_part_unless_two_would_be_the_same() {
        let columns = ["id", "/properties/mag", "/a/time", "/b/time", "x/y"].map(String::from).to_vec();
        let settings = Settings::new(&Config { format: FormatName::Csv, columns, ..Config::default() }).unwrap();
        let Format::Csv { header, .. } = settings.format else { panic!("csv") };
        assert_eq!(header, b"id,mag,/a/time,/b/time,x/y\r\n");
    }
}
