//! What an operator gives, checked and made ready.

use super::{csv, date::Unit, fields::Fields, template::Template};

/// The settings as they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The directory, as the guest sees it.
    pub directory: String,
    /// `append` or `each`.
    pub files: String,
    /// A template; empty for the default.
    pub name: String,
    /// `json-lines`, `csv` or `raw`.
    pub format: String,
    /// Columns of `csv`.
    pub columns: Vec<String>,
    /// Where a record's date stands; empty for nowhere.
    pub date_pointer: String,
    /// What stands for a date where there is none; empty for nothing.
    pub date_default: String,
    /// `auto`, `seconds` or `milliseconds`.
    pub date_unit: String,
    /// Whether to wait for the disk.
    pub sync: bool,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            directory: "/out".to_owned(),
            files: "append".to_owned(),
            name: String::new(),
            format: "json-lines".to_owned(),
            columns: Vec::new(),
            date_pointer: String::new(),
            date_default: String::new(),
            date_unit: "auto".to_owned(),
            sync: true,
        }
    }
}

/// A setting that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which.
    pub parameter: &'static str,
    /// Why, and what to do.
    pub message: String,
}

/// Which records go into which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// Each record is added to the end of its file.
    Append,
    /// Each record is a file.
    Each,
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
    pub fn new(written: &Written) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems(Vec::new());
        if !written.directory.starts_with('/') {
            problems.add("directory", format!("`{}` is no path of a granted directory: begin it with `/`", written.directory));
        }
        let files = problems.choose("files", &written.files, &[("append", Files::Append), ("each", Files::Each)]);
        let units = [("auto", Unit::Auto), ("seconds", Unit::Seconds), ("milliseconds", Unit::Milliseconds)];
        let unit = problems.choose("date-unit", &written.date_unit, &units).unwrap_or_default();
        let mut fields = Fields::default();
        let formats =
            [("json-lines", Format::JsonLines), ("csv", Format::Csv { header: vec![], columns: vec![] }), ("raw", Format::Raw)];
        let mut format = problems.choose("format", &written.format, &formats);
        if let Some(Format::Csv { header, columns }) = &mut format {
            read_columns(&written.columns, &mut fields, header, columns, &mut problems);
        } else if !written.columns.is_empty() {
            problems.add("columns", "columns are for `format: csv` alone");
        }
        let name = if written.name.is_empty() { default_name(files, format.as_ref()) } else { written.name.as_str() };
        let name = problems.keep("name", Template::parse(name));
        if files == Some(Files::Each) && name.as_ref().is_some_and(|name| !name.has_key()) {
            problems.add(
                "name",
                "with `files: each` a name has a place for the key, as `{key}.json` has: else records would share a file",
            );
        }
        let date = name.as_ref().is_some_and(Template::has_date).then(|| read_date(written, unit, &mut fields, &mut problems));
        match (files, format, name) {
            (Some(files), Some(format), Some(name)) if problems.0.is_empty() => {
                Ok(Self { directory: written.directory.clone(), files, name, format, fields, date, sync: written.sync })
            }
            _ => Err(problems.0),
        }
    }
}

fn default_name(files: Option<Files>, format: Option<&Format>) -> &'static str {
    match (files, format) {
        (Some(Files::Each), Some(Format::Csv { .. })) => "{key}.csv",
        (Some(Files::Each), Some(Format::Raw)) => "{key}",
        (Some(Files::Each), _) => "{key}.json",
        (_, Some(Format::Csv { .. })) => "{partition}.csv",
        (_, Some(Format::Raw)) => "{partition}.log",
        _ => "{partition}.ndjson",
    }
}

fn read_columns(
    written: &[String],
    fields: &mut Fields,
    header: &mut Vec<u8>,
    columns: &mut Vec<usize>,
    problems: &mut Problems,
) {
    if written.is_empty() {
        problems.add(
            "columns",
            "`format: csv` needs columns: names of members such as `mag`, or JSON pointers such as `/properties/mag`",
        );
    }
    let last = |column: &str| column.rsplit('/').next().unwrap_or(column).replace("~1", "/").replace("~0", "~");
    let shorts: Vec<String> = written.iter().map(|column| last(column)).collect();
    let mut names = Vec::new();
    for (column, short) in written.iter().zip(&shorts) {
        let pointer = if column.is_empty() || column.starts_with('/') {
            column.clone()
        } else {
            format!("/{}", column.replace('~', "~0").replace('/', "~1"))
        };
        columns.extend(problems.keep("columns", fields.add(&pointer)));
        let alone = shorts.iter().filter(|other| *other == short).count() == 1;
        names.push(if column.starts_with('/') && alone { short } else { column });
    }
    csv::header(header, names.into_iter().map(String::as_str));
}

fn read_date(written: &Written, unit: Unit, fields: &mut Fields, problems: &mut Problems) -> DateSource {
    let default = (!written.date_default.is_empty()).then(|| written.date_default.clone());
    if let Some(default) = &default
        && !(default.starts_with(|char: char| char.is_ascii_alphabetic())
            && default.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'))
    {
        problems.add(
            "date-default",
            format!("`{default}` cannot stand for a date: begin with a letter, go on with letters, digits, _ and -"),
        );
    }
    let pointer = (!written.date_pointer.is_empty()).then_some(&written.date_pointer);
    if pointer.is_none() && default.is_none() {
        problems.add(
            "date-pointer",
            "`name` has a place for a date: say where a record has it, as in `date-pointer: /properties/time`",
        );
    }
    let pointer = pointer.and_then(|pointer| Some((pointer.clone(), problems.keep("date-pointer", fields.add(pointer))?)));
    DateSource { pointer, unit, default }
}

struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, parameter: &'static str, message: impl Into<String>) {
        self.0.push(Problem { parameter, message: message.into() });
    }

    fn keep<T>(&mut self, parameter: &'static str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.add(parameter, message)).ok()
    }

    fn choose<T: Clone>(&mut self, parameter: &'static str, written: &str, of: &[(&str, T)]) -> Option<T> {
        let found = of.iter().find(|(name, _)| *name == written).map(|(_, value)| value.clone());
        if found.is_none() {
            let names: Vec<&str> = of.iter().map(|(name, _)| *name).collect();
            self.add(parameter, format!("`{written}` is none of {}", names.join(", ")));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(change: impl FnOnce(&mut Written)) -> Vec<(&'static str, String)> {
        let mut written = Written::default();
        change(&mut written);
        let problems = Settings::new(&written).err().unwrap_or_default();
        problems.into_iter().map(|problem| (problem.parameter, problem.message)).collect()
    }

    #[test]
    fn what_is_wrong_is_said_of_the_setting_that_is_wrong() {
        assert_eq!(problems(|_| {}), []);
        for (change, parameter, says) in [
            (
                &(|written: &mut Written| written.directory = "out".into()) as &dyn Fn(&mut Written),
                "directory",
                "begin it with `/`",
            ),
            (&|written| written.files = "many".into(), "files", "append, each"),
            (&|written| written.format = "csv".into(), "columns", "needs columns"),
            (&|written| written.columns = vec!["a".into()], "columns", "`format: csv` alone"),
            (&|written| written.name = "a/b".into(), "name", "no `/`"),
            (&|written| written.name = "{date}".into(), "date-pointer", "has a place for a date"),
            (&|written| (written.files, written.name) = ("each".into(), "{partition}".into()), "name", "`{key}.json`"),
            (&|written| (written.name, written.date_pointer) = ("{date}".into(), "time".into()), "date-pointer", "`/time`"),
            (
                &|written| (written.name, written.date_default) = ("{date}".into(), "2018".into()),
                "date-default",
                "begin with a letter",
            ),
            (&|written| written.date_unit = "days".into(), "date-unit", "milliseconds"),
        ] {
            let found = problems(change);
            assert!(found.len() == 1 && found[0].0 == parameter && found[0].1.contains(says), "{found:?}");
        }
    }

    #[test]
    fn columns_are_named_by_their_last_part_unless_two_would_be_the_same() {
        let columns = ["id", "/properties/mag", "/a/time", "/b/time", "x/y"].map(String::from).to_vec();
        let settings = Settings::new(&Written { format: "csv".into(), columns, ..Written::default() }).unwrap();
        let Format::Csv { header, .. } = settings.format else { panic!("csv") };
        assert_eq!(header, b"id,mag,/a/time,/b/time,x/y\r\n");
    }
}
