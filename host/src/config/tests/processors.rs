//! Processors, and the conditions under which they are given records.

use super::*;

/// A file whose pipeline has these processors, and whose destination has those.
fn processed(of_all: &str, of_one: &str) -> String {
    format!(
        "version: 1\npipelines:\n  - id: a\n    source: {{ kind: generator, count: 1 }}\n    processors: {of_all}\n    \
         destinations:\n      - id: d\n        component: d.wasm\n        processors: {of_one}\n"
    )
}

fn condition(when: &str) -> Result<When, String> {
    let text = processed(&format!("[{{ id: p, component: p.wasm, when: {when} }}]"), "[]");
    let file = parse(&text, "p.yaml", Path::new("/etc"), &|_| None).map_err(|error| error.to_string())?;
    Ok(file.pipelines[0].processors[0].when.clone().unwrap())
}

#[test]
fn processors_stand_in_the_pipeline_and_in_its_destinations() {
    let text = processed("[{ id: p, component: p.wasm }]", "[{ id: q, component: sub/q.wasm, limits: { records-out: 5 } }]");
    let file = parse(&text, "p.yaml", Path::new("/etc"), &|_| None).unwrap();
    let pipeline = &file.pipelines[0];
    assert_eq!(pipeline.processors[0].component.value, Path::new("/etc/p.wasm"));
    assert_eq!((&pipeline.processors[0].when, pipeline.destinations[0].processors[0].limits.records_out), (&None, 5));
    assert_eq!(pipeline.destinations[0].processors[0].component.value, Path::new("/etc/sub/q.wasm"));
    assert_eq!(pipeline.all_processors().map(|processor| processor.id.as_str()).collect::<Vec<_>>(), ["p", "q"]);
}

#[test]
fn conditions_are_read_as_they_are_written() {
    let one_of = |texts: &[&str]| Is::OneOf(texts.iter().map(ToString::to_string).collect());
    let users = When::Metadata("opencdc.collection".into(), one_of(&["users"]));
    assert_eq!(condition("{ metadata: opencdc.collection, equals: users }").unwrap(), users);
    // A number is the text that it is written as.
    assert_eq!(
        condition("{ pointer: /n~1m, in: [1.50, true, x] }").unwrap(),
        When::Pointer("/n~1m".into(), one_of(&["1.50", "true", "x"]))
    );
    let joined = condition(
        "{ all: [{ not: { pointer: /a, exists: false } }, { any: [{ metadata: opencdc.collection, equals: users }] }] }",
    );
    let not = When::Not(Box::new(When::Pointer("/a".into(), Is::There(false))));
    assert_eq!(joined.unwrap(), When::All(vec![not, When::Any(vec![users])]));
}

#[test]
fn what_is_no_condition_is_refused_with_its_place() {
    let at = |column: u32, words: &str| format!("p.yaml:5:{column}: {words}");
    let one = "a condition has one of `metadata`, `pointer`, `operation`, `not`, `all` and `any`";
    for (when, expected) in [
        ("{}", at(52, one)),
        ("{ metadata: a, pointer: /b, equals: c }", at(52, one)),
        ("{ metadata: a }", at(52, "a condition that asks for nothing")),
        ("{ metadata: a, equals: b, exists: true }", at(52, "more than one of `equals`, `in` and `exists`")),
        ("{ metadata: a, in: [] }", at(52, "`in` is an empty list")),
        ("{ pointer: a, equals: b }", at(63, "`pointer` is not a JSON pointer")),
        ("{ all: [] }", at(52, "an empty list of conditions")),
        (
            "{ not: { metadata: a, exists: true }, equals: b }",
            at(52, "`equals`, `in` and `exists` go with `metadata` or `pointer`"),
        ),
        ("{ operation: remove }", at(65, "expected `create`, `update`, `delete` or `snapshot`, found `remove`")),
        ("{ operation: delete, equals: delete }", at(52, "`equals`, `in` and `exists` go with `metadata` or `pointer`")),
        ("{ any: [{ metadat: a }] }", at(62, "unknown key `metadat` in a condition")),
        ("{ metadata: a, exists: yes }", at(75, "expected `true` or `false`, found `yes`")),
    ] {
        let told = condition(when).unwrap_err();
        assert!(told.starts_with(&expected), "{when}: {told}");
    }
}

#[test]
fn a_processor_has_a_name_of_its_own_and_an_instance() {
    let told = refusal;
    let twice = processed("[{ id: p, component: p.wasm }]", "[{ id: p, component: q.wasm }]");
    assert_eq!(told(&twice), "p.yaml:9:28: the processor `p` stands here again, first on line 5\ngive each a name of its own");
    let destination = processed("[{ id: d, component: p.wasm }]", "[]");
    assert!(
        told(&destination).starts_with("p.yaml:5:24: the processor `d` has the name of a destination"),
        "{}",
        told(&destination)
    );
    let few = format!("process: {{ instances: 1 }}\n{}", processed("[{ id: p, component: p.wasm }]", "[]"));
    let expected = "`process.instances` is 1, and each of 1 destinations and 1 processors needs one\nset it to 2 at the least";
    assert!(told(&few).ends_with(expected), "{}", told(&few));
    let grant = processed("[{ id: p, component: p.wasm, grants: { tokens: [crm] } }]", "[]");
    assert!(told(&grant).contains("processor p: there is no token provider `crm`"), "{}", told(&grant));
}

#[test]
fn a_processor_is_handled_as_a_destination_is() {
    let text = processed(
        "[{ id: p, component: p.wasm, retry: { max-attempts: 3 }, outage: { then: dead-letter }, on-unknown: hold }]",
        "[{ id: q, component: q.wasm, throttle: { max-delay: 5s } }]",
    );
    let file = parse(&text, "p.yaml", Path::new("/etc"), &|_| None).unwrap();
    let handling = file.pipelines[0].processors[0].handling();
    assert_eq!((handling.retry.max_attempts, handling.outage.then), (Some(3), Some(Then::DeadLetter)));
    assert_eq!((handling.on_unknown, handling.throttle), (OnUnknown::Hold, Throttle::default()));
    let of_destination = &file.pipelines[0].destinations[0];
    assert_eq!(of_destination.handling(), Handling::default());
    assert_eq!(of_destination.processors[0].handling().throttle.max_delay, Interval::from_secs(5));
}
