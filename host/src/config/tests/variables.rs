//! Variables.

use super::*;

#[test]
fn variables_are_replaced_in_values() {
    let value = |written: &str| {
        let text = with(GENERATOR, &format!("        settings: {{ x: \"{written}\" }}\n"));
        read(&text).unwrap().pipelines[0].destinations[0].settings.get("x").unwrap().value().to_owned()
    };
    assert_eq!(value("a${SIX}b${SIX}"), "a6b6");
    assert_eq!(value("${SECRET}"), "s3cret: [");
    assert_eq!(value("${EMPTY}"), "");
    assert_eq!(value("${NONE:-x y}"), "x y");
    assert_eq!(value("${NONE:-}"), "");
    assert_eq!(value("${EMPTY:-x}"), "x");
    assert_eq!(value("${SIX:-x}"), "6");
    assert_eq!(value("$$ $${SIX} $SIX ^a$"), "$ ${SIX} $SIX ^a$");
    // What a variable holds is not read again.
    assert_eq!(interpolated("${A}", &|_| Some("${B} $$".into())), "${B} $$");
    assert_eq!(read(&with("{ kind: generator, count: \"${SIX}\" }", "")).unwrap().pipelines.len(), 1);
}

fn interpolated(written: &str, env: &dyn Fn(&str) -> Option<String>) -> String {
    let text = with(GENERATOR, &format!("        settings: {{ x: \"{written}\" }}\n"));
    let file = parse(&text, "p.yaml", Path::new("/"), env).unwrap();
    file.pipelines[0].destinations[0].settings.get("x").unwrap().value().to_owned()
}

#[test]
fn what_is_wrong_with_a_variable_names_it_and_its_line() {
    let setting = |value: &str| with(GENERATOR, &format!("        settings:\n          x: \"{value}\"\n"));
    refused(
        &setting("${NONE}"),
        "p.yaml:9:14: the variable `NONE` is not set\nset it, or give a default with `${NONE:-default}`",
    );
    refused(&setting("a${NONE"), "p.yaml:9:14: `${` without its `}`\nwrite `${NAME}` for a variable, `$$` for a dollar sign");
    let how = "write `${NAME}` or `${NAME:-default}`, and `$$` for a dollar sign";
    refused(&setting("${}"), &format!("p.yaml:9:14: `${{}}` does not name a variable\n{how}"));
    refused(&setting("${1A}"), &format!("p.yaml:9:14: `${{1A}}` does not name a variable\n{how}"));
    refused(&setting("${A-b}"), &format!("p.yaml:9:14: `${{A-b}}` does not name a variable\n{how}"));
    refused(
        &setting("${A:-${B}}"),
        "p.yaml:9:14: the default of the variable `A` holds a variable itself\na default is plain text, up to the first `}`",
    );
}

#[test]
fn what_a_variable_held_is_never_shown() {
    for text in [
        with("{ kind: generator, count: \"${SECRET}\" }", ""),
        with("{ kind: \"${SECRET}\", count: 1 }", ""),
        with("{ kind: generator, count: 1, size: \"${SECRET}\" }", ""),
        with("{ kind: stdin, format: \"${SECRET}\" }", ""),
        with("{ kind: file, path: \"${SECRET}\" }", ""),
        with("{ kind: file, path: x.json, key: \"${SECRET}\" }", ""),
        with("{ kind: file, path: x.json, follow: \"${SECRET}\" }", ""),
        with("\"${SECRET}\"", ""),
        with(GENERATOR, "        grants: { directories: [{ host: x, guest: \"${SECRET}\" }] }\n"),
        with(GENERATOR, "        bulk: { schedule: \"${SECRET}\" }\n"),
        with(GENERATOR, "        bulk: { schedule: \"@every ${SECRET}\" }\n"),
        with(GENERATOR, "        bulk: { schedule: \"0 ${SECRET} * *\" }\n"),
        with(GENERATOR, "        bulk: { time-zone: \"${SECRET}\" }\n"),
        with(GENERATOR, "").replace("id: p", "id: \"${SECRET}\""),
        with(GENERATOR, "").replace("version: 1", "version: \"${SECRET}\""),
        with(GENERATOR, "").replace("version: 1", "version: \"${SIX}\""),
    ] {
        let message = refusal(&text);
        assert!(!message.contains("s3cret") && !message.contains("`6`"), "{message}");
    }
    refused(
        &with("{ kind: generator, count: \"${SECRET}\" }", ""),
        "p.yaml:4:39: expected a whole number from 0 to 18446744073709551615, found `${SECRET}`",
    );
}
