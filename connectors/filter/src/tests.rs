use wharf_sdk::{
    FailureKind,
    testing::{Processing, ProcessorHarness, batch, deletion, record},
};

use super::*;

fn filtered(settings: &[(&str, &str)]) -> Processing {
    let harness =
        settings.iter().fold(ProcessorHarness::<Filter>::new(), |harness, (name, value)| harness.setting(*name, *value));
    let records = [
        record(r#"{"n":9007199254740993,"s":"abc","z":null,"t":{"u":"1"}}"#).key("k1").meta("m", "10"),
        record(r#"{"n":1.50,"s":"ABC"}"#).key("k2"),
        deletion("k3").meta("m", "x"),
        record(r#"{"n":"2"}"#),
    ];
    harness.open().process(&batch(records))
}

/// The records that stay, where one condition is asked.
fn kept(condition: &[(&str, &str)]) -> String {
    let names: Vec<String> = condition.iter().map(|(name, _)| format!("conditions.0.{name}")).collect();
    let settings: Vec<_> = names.iter().zip(condition).map(|(name, (_, value))| (name.as_str(), *value)).collect();
    let answer = filtered(&settings);
    answer.outputs().iter().map(|output| output.parent.to_string()).collect()
}

#[test]
fn a_record_is_asked_for_what_it_has() {
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("pointer", "/s"), ("equals", "abc")], "0"),
        (&[("pointer", "/s"), ("one-of.0", "ABC"), ("one-of.1", "abc")], "01"),
        (&[("pointer", "/s"), ("contains", "b")], "0"),
        (&[("pointer", "/s"), ("matches", "(?i)^a.c$")], "01"),
        (&[("pointer", "/s"), ("exists", "false")], "23"),
        (&[("pointer", "/z"), ("exists", "true")], "0"),
        (&[("pointer", "/z"), ("equals", "null")], "0"),
        (&[("pointer", "/t/u"), ("exists", "true")], "0"),
        (&[("pointer", "/t"), ("contains", "u")], "0"),
        // To the last digit, by value, and a text is no number.
        (&[("pointer", "/n"), ("above", "9007199254740992")], "0"),
        (&[("pointer", "/n"), ("at-least", "9007199254740993.0")], "0"),
        (&[("pointer", "/n"), ("below", "9007199254740993")], "1"),
        (&[("pointer", "/n"), ("at-most", "15e-1")], "1"),
        (&[("pointer", "/n"), ("equals", "1.5")], "1"),
        (&[("pointer", "/n"), ("equals", "2")], "3"),
        (&[("pointer", "/n"), ("equals", "2.0")], ""),
        (&[("pointer", "/n"), ("above", "1"), ("below", "2")], "1"),
        (&[("pointer", "/n"), ("above", "1"), ("below", "2"), ("not", "true")], "023"),
        (&[("metadata", "m"), ("equals", "10.0")], "0"),
        (&[("metadata", "m"), ("exists", "false")], "13"),
        (&[("of", "key"), ("one-of.0", "k2"), ("one-of.1", "k3")], "12"),
        (&[("of", "key"), ("exists", "false")], "3"),
        (&[("of", "operation"), ("equals", "delete")], "2"),
        (&[("of", "partition"), ("equals", "partition-0")], "0123"),
        (&[("of", "after"), ("contains", "ABC")], "1"),
    ];
    for (condition, expected) in cases {
        assert_eq!(kept(condition), *expected, "{condition:?}");
    }
}

#[test]
fn all_or_any_and_what_matches_stays_or_goes() {
    let two = [
        ("conditions.0.pointer", "/s"),
        ("conditions.0.equals", "abc"),
        ("conditions.1.of", "key"),
        ("conditions.1.exists", "true"),
    ];
    let parents = |answer: Processing| answer.outputs().iter().map(|output| output.parent.to_string()).collect::<String>();
    let with = |more: &[(&'static str, &'static str)]| parents(filtered(&[&two[..], more].concat()));
    assert_eq!(with(&[]), "0");
    assert_eq!(with(&[("match", "any")]), "012");
    assert_eq!(with(&[("match", "any"), ("then", "drop")]), "3");
    assert_eq!(with(&[("then", "drop")]), "123");
}

#[test]
fn a_record_that_is_no_json_fails_only_where_json_is_asked_for() {
    let harness = ProcessorHarness::<Filter>::new().setting("conditions.0.pointer", "/a").setting("conditions.0.exists", "true");
    let answer = harness.open().process(&batch(["no", r#"{"a":1}"#]));
    answer.assert_failed(0, FailureKind::Rejected, "`after` is not JSON");
    assert_eq!(answer.texts(), [r#"{"a":1}"#]);
    let harness = ProcessorHarness::<Filter>::new().setting("conditions.0.of", "after").setting("conditions.0.contains", "o");
    assert_eq!(harness.open().process(&batch(["no", "yes"])).texts(), ["no"]);
}

#[test]
fn conditions_that_make_no_sense_are_refused() {
    let problems = |settings: &[(&str, &str)]| {
        let harness =
            settings.iter().fold(ProcessorHarness::<Filter>::new(), |harness, (name, value)| harness.setting(*name, *value));
        harness.check().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(problems(&[]), "`conditions` is empty, and at least one is needed");
    let none = "`conditions.0` needs one of `pointer`, `metadata` and `of`, and no more than one";
    assert_eq!(problems(&[("conditions.0.equals", "x")]), none);
    assert_eq!(problems(&[("conditions.0.of", "key"), ("conditions.0.metadata", "m"), ("conditions.0.equals", "x")]), none);
    let test = problems(&[("conditions.0.of", "key")]);
    assert!(test.starts_with("`conditions.0` needs at least one of `equals`, "), "{test}");
    let wrong = [("conditions.0.pointer", "a"), ("conditions.0.above", "x"), ("conditions.0.matches", "(")];
    let told = problems(&wrong);
    for words in [
        "`conditions.0.pointer` is `a`",
        "`conditions.0.above` is `x`: not a number",
        "`conditions.0.matches` is no regular expression",
    ] {
        assert!(told.contains(words), "{told}");
    }
}
