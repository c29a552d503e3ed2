//! A processor that hashes, redacts or half hides values of JSON records.
//!
//! **Threat.** What must not reach a destination does, in the entity before its change, in an error, or as a hash that is guessed.
//! **Answer.** Both the entity and what it was before are masked where nothing else is said; a record that cannot be read fails without a
//! word of it; hashes are keyed by a secret.

mod hash;

use wharf_json::{Json, Kind, Part, Pointer, change_each, pointers};
use wharf_sdk::{Batch, Context, Descriptor, Failure, Parameters, Problem, Processed, Processor, Secret, export_processor};

use hash::Algorithm;

/// What an operator sets.
#[derive(Debug, Parameters)]
pub struct Config {
    /// JSON pointers to values that are replaced by their hash, in hexadecimal digits.
    hash: Vec<String>,
    /// What the hash is keyed by; needed with `hash`.
    salt: Option<Secret>,
    /// How a hash is made.
    #[parameter(default = "hmac-sha256")]
    algorithm: Algorithm,
    /// JSON pointers to values that are replaced by `text`.
    redact: Vec<String>,
    /// What a redacted value becomes.
    #[parameter(default = "***")]
    text: String,
    /// JSON pointers to values of which a few characters stay.
    partial: Vec<String>,
    /// How many characters stay at the beginning.
    #[parameter(default = 0)]
    first: u32,
    /// How many characters stay at the end.
    #[parameter(default = 4)]
    last: u32,
    /// What stands for each of the other characters.
    #[parameter(default = "*", length(1..=1))]
    with: String,
    /// Of which parts of a record; `after` and `before` where nothing is said.
    parts: Vec<Part>,
}

/// Masks values.
#[derive(Debug)]
pub struct Mask {
    config: Config,
    hash: Vec<Pointer>,
    redact: Vec<Pointer>,
    partial: Vec<Pointer>,
}

impl Mask {
    fn new(config: Config, problems: &mut Vec<Problem>) -> Self {
        // A key may be a value of its own.
        let whole = config.parts == [Part::Key];
        let mut read = |name: &str, texts: &[String]| match whole {
            true => texts.iter().map(|text| wharf_json::pointer(name, text, problems)).collect(),
            false => pointers(name, texts, problems),
        };
        let (hash, redact) = (read("hash", &config.hash), read("redact", &config.redact));
        let partial = read("partial", &config.partial);
        Self { hash, redact, partial, config }
    }

    fn change(&self, json: &mut Json<'_>) -> Result<bool, Failure> {
        let mut changed = false;
        let mut mask = |pointers: &[Pointer], masked: &dyn Fn(&str) -> String| {
            for pointer in pointers {
                json.each(pointer, |value| {
                    // What is null says nothing.
                    if value.kind() != Kind::Null {
                        *value = Json::string(&masked(&value.as_text()));
                        changed = true;
                    }
                });
            }
        };
        let salt = self.config.salt.as_ref().map_or("", |salt| salt.expose());
        mask(&self.hash, &|text| self.config.algorithm.hash(salt, text));
        mask(&self.partial, &|text| self.partly(text));
        mask(&self.redact, &|_| self.config.text.clone());
        Ok(changed)
    }

    /// What has no more characters than may stay is hidden altogether.
    fn partly(&self, text: &str) -> String {
        let characters = text.chars().count();
        let (first, last) = (self.config.first as usize, self.config.last as usize);
        let all = characters <= first.saturating_add(last);
        let stays = |at: usize| !all && (at < first || at >= characters - last);
        text.chars().enumerate().fold(String::new(), |mut masked, (at, c)| {
            if stays(at) {
                masked.push(c)
            } else {
                masked.push_str(&self.config.with)
            }
            masked
        })
    }
}

impl Processor for Mask {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Hashes, redacts or half hides values of JSON records.")
    }

    fn check(config: &Config) -> Vec<Problem> {
        let mut problems = Vec::new();
        let whole = config.parts == [Part::Key];
        for (name, texts) in [("hash", &config.hash), ("redact", &config.redact), ("partial", &config.partial)] {
            match whole {
                true => texts.iter().for_each(|text| drop(wharf_json::pointer(name, text, &mut problems))),
                false => drop(pointers(name, texts, &mut problems)),
            }
        }
        if config.hash.is_empty() && config.redact.is_empty() && config.partial.is_empty() {
            problems.push(Problem::new("", "one of `hash`, `redact` and `partial` is needed"));
        }
        if !config.hash.is_empty() && config.salt.as_ref().is_none_or(|salt| salt.expose().is_empty()) {
            problems.push(Problem::new("salt", "is needed with `hash`: without it, short values are guessed from their hash"));
        }
        problems
    }

    fn open(config: Config, _: Context) -> Result<Self, Failure> {
        Ok(Self::new(config, &mut Vec::new()))
    }

    fn process(&mut self, batch: &Batch) -> Result<Processed, Failure> {
        let parts = match &*self.config.parts {
            [] => &[Part::After, Part::Before],
            parts => parts,
        };
        Ok(change_each(batch, parts, |json| self.change(json)))
    }
}

export_processor!(Mask);

#[cfg(test)]
mod tests {
    use wharf_sdk::{
        FailureKind,
        testing::{ProcessorHarness, batch, deletion, record},
    };

    use super::*;

    fn masked(settings: &[(&str, &str)], record: &str) -> String {
        let harness =
            settings.iter().fold(ProcessorHarness::<Mask>::new(), |harness, (name, value)| harness.setting(*name, *value));
        harness.open().process(&batch([record])).texts().concat()
    }

    const RECORD: &str = r#"{"id":1.50,"card":"4111 1111 1111 é234","mail":"a\u00e9","n":null}"#;

    #[test]
    fn a_value_is_redacted_or_keeps_a_few_characters() {
        let redacted = masked(&[("redact.0", "/mail"), ("redact.1", "/id"), ("redact.2", "/n"), ("redact.3", "/none")], RECORD);
        assert_eq!(redacted, r#"{"id":"***","card":"4111 1111 1111 é234","mail":"***","n":null}"#);
        let partial = masked(&[("partial.0", "/card"), ("partial.1", "/mail"), ("first", "1")], RECORD);
        assert_eq!(partial, r#"{"id":1.50,"card":"4**************é234","mail":"**","n":null}"#);
        assert_eq!(masked(&[("redact.0", "/a"), ("text", "\"")], r#"{"a":{"b":1}}"#), r#"{"a":"\""}"#);
    }

    #[test]
    fn a_hash_is_the_same_for_the_same_text_and_salt_and_no_other() {
        let hash = |salt: &str, algorithm: &str, value: &str| {
            masked(&[("hash.0", "/v"), ("salt", salt), ("algorithm", algorithm)], &format!(r#"{{"v":{value}}}"#))
        };
        let one = hash("key", "hmac-sha256", r#""The quick brown fox jumps over the lazy dog""#);
        assert_eq!(one, r#"{"v":"f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"}"#);
        assert_eq!(hash("key", "hmac-sha256", r#""a\u00e9""#), hash("key", "hmac-sha256", r#""aé""#));
        assert_ne!(hash("key", "hmac-sha256", "1"), hash("other", "hmac-sha256", "1"));
        assert_ne!(hash("key", "hmac-sha256", "1"), hash("key", "sha256", "1"));
        // SHA-256 of salt and value, one after the other.
        let plain = hash("a", "sha256", r#""bc""#);
        assert_eq!(plain, r#"{"v":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}"#);
    }

    #[test]
    fn what_it_was_before_is_masked_too_and_a_key_where_that_is_asked_for() {
        let harness = ProcessorHarness::<Mask>::new().setting("redact.0", "/a");
        let answer =
            harness.open().process(&batch([record(r#"{"a":1}"#).before(r#"{"a":2}"#), deletion("k").before(r#"{"a":3}"#)]));
        assert_eq!(answer.texts(), [r#"{"a":"***"}"#, "-"]);
        assert!(answer.outputs().iter().all(|output| output.before.as_deref() == Some(br#"{"a":"***"}"#)));
        let harness = ProcessorHarness::<Mask>::new().setting("redact.0", "").setting("parts.0", "key");
        let answer = harness.open().process(&batch([record("{}").key("17")]));
        assert_eq!(answer.outputs()[0].key.as_deref(), Some(&b"\"***\""[..]));
    }

    #[test]
    fn a_member_that_is_named_twice_hides_nothing_behind_its_name() {
        let twice = r#"{"user":{"mail":"one","mail":"two"},"us\u0065r":{"m\u0061il":"three"}}"#;
        let masked = masked(&[("redact.0", "/user/mail")], twice);
        assert!(!["one", "two", "three"].iter().any(|mail| masked.contains(mail)), "{masked}");
    }

    #[test]
    fn a_record_that_cannot_be_read_fails_without_a_word_of_it() {
        let harness = ProcessorHarness::<Mask>::new().setting("redact.0", "/a");
        let answer = harness.open().process(&batch(["the secret", r#"{"a":1}"#]));
        answer.assert_failed(0, FailureKind::Rejected, "`after` is not JSON");
        assert!(!answer.failed()[0].1.message().contains("secret"));
        assert_eq!(answer.texts(), [r#"{"a":"***"}"#]);
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let problems = |settings: &[(&str, &str)]| {
            let harness =
                settings.iter().fold(ProcessorHarness::<Mask>::new(), |harness, (name, value)| harness.setting(*name, *value));
            harness.check().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(problems(&[]), "one of `hash`, `redact` and `partial` is needed");
        assert!(problems(&[("hash.0", "/a")]).starts_with("`salt` is needed with `hash`"));
        assert!(problems(&[("redact.0", "a")]).starts_with("`redact.0` is `a`"));
        let schema = ProcessorHarness::<Mask>::new().descriptor();
        let salt = schema["parameters"].as_array().unwrap().iter().find(|parameter| parameter["name"] == "salt").unwrap();
        assert_eq!(salt["secret"], true);
    }
}
