//! A processor that writes a field or a record from a template.

use wharf_json::{Json, Makes, Part, Pointer, Source, Template, parse, pointer};
use wharf_sdk::{Batch, Context, Descriptor, Failure, Parameters, Problem, Processed, Processor, export_processor};

/// What an operator sets.
#[derive(Debug, Parameters)]
pub struct Config {
    /// The text, with places such as {{/user/name}}, {{meta:source}}, {{key}}, {{after}}, {{operation}}, {{partition}}, {{sequence}} and
    /// {{ordinal}}.
    template: String,
    /// JSON pointer to the field that is written; where none is given it is the whole record.
    pointer: Option<String>,
    /// Whether what comes out is JSON, in which every value stands as JSON does, or text.
    #[parameter(default = "json", rename = "as")]
    format: Format,
    /// What becomes of a record that has not what a place asks for.
    #[parameter(default = "fail")]
    missing: Missing,
}

/// What comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Parameters)]
pub enum Format {
    /// A JSON value. Outside of quotes a value stands as it is in the record, and inside of them with its escapes.
    Json,
    /// Text.
    Text,
}

/// What becomes of a record that has not what a place asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Parameters)]
pub enum Missing {
    /// It fails.
    Fail,
    /// The place stays empty; in JSON and outside of quotes it is null.
    Empty,
}

/// Writes fields or records.
#[derive(Debug)]
pub struct Write {
    template: Template,
    pointer: Option<Pointer>,
    format: Format,
    missing: Missing,
}

impl Write {
    fn new(config: &Config, problems: &mut Vec<Problem>) -> Self {
        let makes = if config.format == Format::Json { Makes::Json } else { Makes::Text };
        let template = Template::parse(&config.template, makes).unwrap_or_else(|error| {
            problems.push(Problem::new("template", error));
            Template::default()
        });
        let at = config.pointer.as_ref().map(|text| pointer("pointer", text, problems));
        Self { template, pointer: at, format: config.format, missing: config.missing }
    }

    fn write(&self, source: &mut Source<'_>) -> Result<Vec<u8>, Failure> {
        let text = self.template.fill(source, self.missing == Missing::Empty)?;
        let of_template = |fault| Failure::rejected(format!("what the template makes of the record is {fault}"));
        let Some(pointer) = &self.pointer else {
            if self.format == Format::Json {
                Json::parse(text.as_bytes()).map_err(of_template)?;
            }
            return Ok(text.into_bytes());
        };
        let Some(after) = source.record().after() else {
            return Err(Failure::rejected(format!("nothing can be put at `{pointer}`: the record has no value")));
        };
        let mut document = parse(Part::After, after)?;
        let value = match self.format {
            Format::Json => Json::parse(text.as_bytes()).map_err(of_template)?.into_owned(),
            Format::Text => Json::string(&text),
        };
        document.set(pointer, value).map_err(|unset| Failure::rejected(format!("nothing can be put at `{pointer}`: {unset}")))?;
        Ok(document.to_vec())
    }
}

impl Processor for Write {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Writes a field or a record from a template.")
    }

    fn check(config: &Config) -> Vec<Problem> {
        let mut problems = Vec::new();
        Self::new(config, &mut problems);
        problems
    }

    fn open(config: Config, _: Context) -> Result<Self, Failure> {
        Ok(Self::new(&config, &mut Vec::new()))
    }

    fn process(&mut self, batch: &Batch) -> Result<Processed, Failure> {
        let mut processed = Processed::builder(batch);
        for record in batch {
            match self.write(&mut Source::new(batch, record)) {
                Ok(after) => drop(processed.emit(record).after(after)),
                Err(failure) => processed.fail(record, failure),
            }
        }
        if self.pointer.is_none() {
            processed.content_type(if self.format == Format::Json { "application/json" } else { "text/plain" });
        }
        Ok(processed.finish())
    }
}

export_processor!(Write);

#[cfg(test)]
mod tests {
    use wharf_sdk::{
        FailureKind, Operation,
        testing::{Processing, ProcessorHarness, batch, deletion, record},
    };

    use super::*;

    const RECORD: &str = r#"{"id":1.50,"name":"a\"\u00e9","tags":["x", 1],"n":null}"#;

    fn written(settings: &[(&str, &str)]) -> Processing {
        let harness =
            settings.iter().fold(ProcessorHarness::<Write>::new(), |harness, (name, value)| harness.setting(*name, *value));
        let record = record(RECORD).key("k\"1").meta("source", "web").operation(Operation::Update).sequence(7).ordinal(2);
        harness.open().process(&batch([record]).partition("p"))
    }

    #[test]
    fn in_json_each_value_stands_as_json_does() {
        let template = r#"{"id": {{/id}}, "name": {{/name}}, "both": "{{/name}} of {{/id}}", "t": {{/tags}}, "s": "{{/tags/0}}", "n": {{/n}}}"#;
        let answer = written(&[("template", template)]);
        let expected = r#"{"id": 1.50, "name": "a\"\u00e9", "both": "a\"é of 1.50", "t": ["x", 1], "s": "x", "n": null}"#;
        assert_eq!(answer.texts(), [expected]);
        assert_eq!(answer.content_type(), Some("application/json"));
        let template =
            r#"[{{key}}, "{{key}}", {{meta:source}}, {{operation}}, {{partition}}, {{sequence}}, {{ordinal}}, {{after}}]"#;
        let expected = format!(r#"["k\"1", "k\"1", "web", "update", "p", 7, 2, {RECORD}]"#);
        assert_eq!(written(&[("template", template)]).texts(), [expected]);
    }

    #[test]
    fn in_text_each_value_stands_as_it_is() {
        let template = "{{key}} {{'{{'}} {{ /name }} ({{operation}}) {{/tags}}\n";
        let answer = written(&[("template", template), ("as", "text")]);
        assert_eq!(answer.texts(), ["k\"1 {{ a\"é (update) [\"x\", 1]\n"]);
        assert_eq!(answer.content_type(), Some("text/plain"));
    }

    #[test]
    fn a_field_is_written_and_the_rest_stays() {
        let answer = written(&[("template", "{{meta:source}}/{{/id}}"), ("as", "text"), ("pointer", "/from/url")]);
        assert_eq!(answer.texts(), [r#"{"id":1.50,"name":"a\"\u00e9","tags":["x", 1],"n":null,"from":{"url":"web/1.50"}}"#]);
        assert_eq!(answer.content_type(), None);
        let answer = written(&[("template", r#"[{{/id}}]"#), ("pointer", "/n")]);
        assert_eq!(answer.texts(), [r#"{"id":1.50,"name":"a\"\u00e9","tags":["x", 1],"n":[1.50]}"#]);
        written(&[("template", "1"), ("pointer", "/id/x")]).assert_failed(
            0,
            FailureKind::Rejected,
            "nothing can be put at `/id/x`: `/id` is a number",
        );
    }

    #[test]
    fn what_is_missing_fails_or_stays_empty() {
        let template = r#"{"a": {{/none}}, "b": "{{/none}}{{meta:none}}"}"#;
        written(&[("template", template)]).assert_failed(0, FailureKind::Rejected, "the record has no {{/none}}");
        assert_eq!(written(&[("template", template), ("missing", "empty")]).texts(), [r#"{"a": null, "b": ""}"#]);
        let harness = ProcessorHarness::<Write>::new().setting("template", "{{key}}:{{/a}}").setting("as", "text");
        let answer = harness.open().process(&batch([record("no json").key("k"), deletion("k"), record(r#"{"a":1}"#).key("k")]));
        answer.assert_failed(0, FailureKind::Rejected, "`after` is not JSON").assert_failed(
            1,
            FailureKind::Rejected,
            "no {{/a}}",
        );
        assert_eq!(answer.texts(), ["k:1"]);
        // JSON is asked for only where a place does.
        let harness = ProcessorHarness::<Write>::new().setting("template", "<{{after}}>").setting("as", "text");
        assert_eq!(harness.open().process(&batch(["no json"])).texts(), ["<no json>"]);
    }

    #[test]
    fn a_template_that_is_none_is_refused() {
        let problems = |template: &str, format: &str| {
            let harness = ProcessorHarness::<Write>::new().setting("template", template).setting("as", format);
            harness.check().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(problems("a {{/b", "text"), "`template` has `{{` without `}}`");
        assert!(problems("{{name}}", "text").starts_with("`template` has the place {{name}}, which is none of {{/pointer}}, "));
        assert!(problems("{{/a~2}}", "text").contains("`~` in a JSON pointer is written `~0`"));
        let told = problems(r#"{"a": {{/b}}"#, "json");
        assert!(told.starts_with("`template` makes no JSON: not JSON: no comma between two members"), "{told}");
        assert_eq!(problems(r#"{"a": {{/b}}, "{{/c}}": "{{/d}}"}"#, "json"), "");
    }
}
