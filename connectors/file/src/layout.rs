//! From a record to the name of its file and the bytes that it adds, as a pure function of record and settings.

use super::{
    csv,
    date::Moment,
    fields, json_lines,
    settings::{DateSource, Files, Format, Settings},
    template::{Date, Filling},
};

/// A record as it is laid out; what its value was found to hold stays from [`Layout::read`] on.
#[derive(Debug)]
pub struct Layout<'s, 'a> {
    settings: &'s Settings,
    value: &'a [u8],
    json: &'a str,
    found: Vec<Option<&'a str>>,
}

impl<'s, 'a> Layout<'s, 'a> {
    /// For one record after another.
    pub fn new(settings: &'s Settings) -> Self {
        Self { settings, value: &[], json: "", found: Vec::new() }
    }

    /// Takes a record's value in. Says why it cannot be config, as the end of a sentence that begins with "the record".
    pub fn read(&mut self, value: Option<&'a [u8]>) -> Result<(), String> {
        self.value = value.ok_or("has no value, as a delete has none: there is nothing to write")?;
        let dated = self.settings.date.as_ref().is_some_and(|date| date.pointer.is_some());
        self.found.clear();
        if self.settings.format == Format::Raw && !dated {
            return Ok(());
        }
        let read = match std::str::from_utf8(self.value) {
            Ok(json) => {
                self.json = json;
                self.settings.fields.find(json, &mut self.found).map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok(()) => Ok(()),
            // What is no JSON has no date, which may be as good as any.
            Err(_)
                if self.settings.format == Format::Raw
                    && self.settings.date.as_ref().is_some_and(|date| date.default.is_some()) =>
            {
                self.found.clear();
                Ok(())
            }
            Err(error) => Err(format!("is not one JSON document: {error}")),
        }
    }

    /// Writes the name of its file into `name`.
    pub fn name(&self, name: &mut String, partition: &str, key: Option<&[u8]>, metadata: &[Option<&[u8]>]) -> Result<(), String> {
        let date = match &self.settings.date {
            Some(source) => self.date(source)?,
            None => Date::Default(""),
        };
        self.settings.name.fill(name, &Filling { partition, key, date, metadata })
    }

    /// Adds its bytes to `bytes`; nothing where it fails.
    pub fn write(&self, bytes: &mut Vec<u8>) -> Result<(), String> {
        let before = bytes.len();
        match &self.settings.format {
            Format::JsonLines => json_lines::line(bytes, self.json),
            Format::Raw => {
                bytes.extend_from_slice(self.value);
                if self.settings.files == Files::Append {
                    bytes.push(b'\n');
                }
            }
            Format::Csv { columns, .. } => {
                csv::row(bytes, columns.iter().map(|&column| self.found[column])).inspect_err(|_| bytes.truncate(before))?
            }
        }
        Ok(())
    }

    fn date(&self, source: &'s DateSource) -> Result<Date<'s>, String> {
        let text = source.pointer.as_ref().and_then(|(_, slot)| self.found.get(*slot).copied().flatten());
        let (pointer, text) = match (&source.pointer, text.filter(|text| *text != "null"), &source.default) {
            (Some((pointer, _)), Some(text), _) => (pointer, text),
            (_, _, Some(default)) => return Ok(Date::Default(default)),
            (pointer, _, None) => {
                let pointer = pointer.as_ref().map_or("", |(pointer, _)| pointer);
                return Err(format!("has no date at `{pointer}`, and files are named by it: give it one, or set `date-default`"));
            }
        };
        let moment = match fields::string(text) {
            Some(Ok(text)) => Moment::from_text(&text),
            Some(Err(_)) => None,
            None => text.parse().ok().and_then(|number| Moment::from_number(number, source.unit)),
        };
        moment.map(Date::At).ok_or_else(|| {
            let short: String = text.chars().take(60).collect();
            format!("has `{short}` at `{pointer}`, which is no date: give it RFC 3339 text such as `2018-02-07T01:26:13Z`, or a number of seconds or milliseconds since 1970")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Config, FormatName};

    fn laid(config: Config, value: &str) -> Result<(String, String), String> {
        let settings = Settings::new(&config).unwrap();
        let mut layout = Layout::new(&settings);
        layout.read(Some(value.as_bytes()))?;
        let (mut name, mut bytes) = (String::new(), Vec::new());
        layout.name(&mut name, "p", Some(b"k"), &[])?;
        layout.write(&mut bytes)?;
        Ok((name, String::from_utf8(bytes).unwrap()))
    }

    fn dated() -> Config {
        Config { name: Some("{date}.ndjson".into()), date_pointer: Some("/t".into()), ..Config::default() }
    }

    #[test]
    fn each_format_has_a_name_and_a_shape() {
        let each = |format| Config { files: Files::Each, format, ..Config::default() };
        let append = |format| Config { format, ..Config::default() };
        let with_columns = |config: Config| Config { columns: vec!["a".into()], ..config };
        for (config, name, bytes) in [
            (append(FormatName::JsonLines), "p.ndjson", "{\"a\": 1}\n"),
            (append(FormatName::Raw), "p.log", "{\"a\": 1}\n"),
            (with_columns(append(FormatName::Csv)), "p.csv", "1\r\n"),
            (each(FormatName::JsonLines), "k.json", "{\"a\": 1}\n"),
            (each(FormatName::Raw), "k", "{\"a\": 1}"),
            (with_columns(each(FormatName::Csv)), "k.csv", "1\r\n"),
        ] {
            assert_eq!(laid(config, "{\"a\": 1}").unwrap(), (name.to_owned(), bytes.to_owned()));
        }
    }

    #[test]
    fn the_date_is_the_records_own() {
        assert_eq!(laid(dated(), r#"{"t":1517966773840}"#).unwrap().0, "2018-02-07.ndjson");
        assert_eq!(laid(dated(), r#"{"t":"2018-02-07T01:26:13-01:00"}"#).unwrap().0, "2018-02-07.ndjson");
        assert_eq!(
            laid(Config { date_unit: crate::date::Unit::Seconds, ..dated() }, r#"{"t":-1}"#).unwrap().0,
            "1969-12-31.ndjson"
        );
    }

    #[test]
    fn a_record_without_a_date_is_refused_unless_there_is_a_default() {
        let default = || Config { date_default: Some("undated".into()), ..dated() };
        for value in ["{}", r#"{"t":null}"#, "7"] {
            assert!(laid(dated(), value).unwrap_err().contains("no date at `/t`"), "{value}");
            assert_eq!(laid(default(), value).unwrap().0, "undated.ndjson");
        }
        // A date that cannot be read is a mistake, not a want.
        for value in [r#"{"t":"yesterday"}"#, r#"{"t":[]}"#, r#"{"t":1e300}"#, r#"{"t":"\ud800"}"#] {
            assert!(laid(default(), value).unwrap_err().contains("which is no date"), "{value}");
        }
        assert!(laid(default(), "nonsense").unwrap_err().contains("JSON"));
        assert_eq!(laid(Config { format: FormatName::Raw, ..default() }, "nonsense").unwrap().0, "undated.ndjson");
        assert!(laid(Config { format: FormatName::Raw, ..dated() }, "nonsense").unwrap_err().contains("JSON"));
    }
}
