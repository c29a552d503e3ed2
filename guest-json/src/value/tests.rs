use proptest::prelude::*;

use super::*;

fn pointer(text: &str) -> Pointer {
    text.parse().unwrap()
}

fn json(text: &str) -> Json<'_> {
    Json::parse(text.as_bytes()).unwrap()
}

#[test]
fn what_is_not_touched_stays_byte_for_byte() {
    let text = r#"{"n":-0.10e+05,"big":123456789012345678901234567890, "s":"\u00e9\/é","o":{ "x" : [1, 2.0] },"b":true}"#;
    let mut value = json(text);
    assert_eq!(value.to_string(), text);
    value.set(&pointer("/b"), Json::null()).unwrap();
    let expected = r#"{"n":-0.10e+05,"big":123456789012345678901234567890,"s":"\u00e9\/é","o":{ "x" : [1, 2.0] },"b":null}"#;
    assert_eq!(value.to_string(), expected);
}

#[test]
fn values_are_found_put_taken_and_renamed() {
    let mut value = json(r#"{"a":{"b~/c":[10,{"d":1}]},"e":1,"e":2,"\u0066":3}"#);
    assert_eq!(value.get(&pointer("/a/b~0~1c/1/d")).unwrap().to_string(), "1");
    assert_eq!(value.get(&pointer("/e")).unwrap().to_string(), "2");
    assert_eq!(value.get(&pointer("/f")).unwrap().to_string(), "3");
    for none in ["/x", "/a/b", "/a/b~0~1c/2", "/a/b~0~1c/01", "/a/b~0~1c/-", "/e/0"] {
        assert!(value.get(&pointer(none)).is_none(), "{none}");
    }
    assert_eq!(value.take(&pointer("/e")).unwrap().to_string(), "2");
    assert_eq!(value.take(&pointer("/a/b~0~1c/0")).unwrap().to_string(), "10");
    assert!(value.take(&pointer("/e")).is_none());
    value.set(&pointer("/new/deep"), Json::string("\"\n\u{1}")).unwrap();
    value.set(&pointer("/a/b~0~1c/-"), Json::null()).unwrap();
    assert!(value.rename(&pointer("/f"), "g\"") && !value.rename(&pointer("/a"), "new") && !value.rename(&pointer("/x"), "y"));
    let expected = r#"{"a":{"b~/c":[{"d":1},null]},"g\"":3,"new":{"deep":"\"\n\u0001"}}"#;
    assert_eq!(value.to_string(), expected);
    assert_eq!(
        value.set(&pointer("/a/b~0~1c/9"), Json::null()).unwrap_err().to_string(),
        "the array at `/a/b~0~1c` has no such element, nor is it the next one"
    );
    assert_eq!(value.set(&pointer("/g\"/x"), Json::null()).unwrap_err().to_string(), "`/g\"` is a number and has no members");
    assert_eq!(value.take(&pointer("")).unwrap().to_string(), expected);
    assert_eq!(value.to_string(), "null");
}

#[test]
fn members_are_found_in_one_pass_as_in_two() {
    let deepest = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
    let too_deep = format!("{{\"a\":{}{}}}", "[".repeat(201), "]".repeat(201));
    for text in [
        r#" { "a" : 1 , "b":{"c":[]},"\u0061":"x\"y" } "#,
        "{}",
        " {\t} ",
        "{,}",
        r#"{"a":1,}"#,
        r#"{"a" 1}"#,
        r#"{"a":1"#,
        r#"{"a":1} {}"#,
        r#"{"a":01}"#,
        "[1]",
        "[1",
        "7",
        "",
        " ",
        &deepest,
        &too_deep,
    ] {
        let twice = Json::parse(text.as_bytes()).map(|mut json| json.members().cloned());
        let once = Json::members_of(text.as_bytes());
        match (&once, &twice) {
            (Ok(once), Ok(twice)) => assert_eq!(format!("{once:?}"), format!("{twice:?}"), "{text}"),
            (Err(_), Err(_)) => {}
            _ => panic!("{text}: {once:?}, {twice:?}"),
        }
    }
}

#[test]
fn what_is_named_twice_is_changed_and_taken_twice() {
    let twice = r#"{"a":{"b":1,"b":2},"\u0061":{"b":3,"c":4}}"#;
    let mut value = json(twice);
    value.each(&pointer("/a/b"), |value| *value = Json::null());
    assert_eq!(value.to_string(), r#"{"a":{"b":null,"b":null},"\u0061":{"b":null,"c":4}}"#);
    let mut value = json(twice);
    assert_eq!(value.take(&pointer("/a/b")).unwrap().to_string(), "3");
    assert_eq!(value.to_string(), r#"{"a":{},"\u0061":{"c":4}}"#);
}

#[test]
fn strings_are_read_without_their_escapes() {
    let value = json(r#""\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00é""#);
    assert_eq!(value.as_str().unwrap(), "\"\\/\u{8}\u{c}\n\r\tAé😀é");
    assert_eq!((json("12").as_str(), json("1.0").as_text()), (None, "1.0".into()));
    assert_eq!(json(r#"{"a":1}"#).as_text(), r#"{"a":1}"#);
}

#[test]
fn a_fault_says_what_and_where_and_shows_nothing_of_it() {
    for (text, expected) in [
        ("", "not JSON: an early end at byte 1"),
        ("secret", "not JSON: no value at byte 1"),
        ("{\"a\":01}", "not JSON: no comma between two members at byte 7"),
        ("[1,]", "not JSON: no value at byte 4"),
        ("1 2", "not JSON: more than one value at byte 3"),
        ("\"\\ud800\"", "not JSON: half of a surrogate pair at byte 2"),
    ] {
        assert_eq!(Json::parse(text.as_bytes()).unwrap_err().to_string(), expected, "{text}");
    }
    assert_eq!(Json::parse(b"\"\xff\"").unwrap_err().to_string(), "not JSON: no UTF-8 at byte 2");
    let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    assert!(Json::parse(deep(200).as_bytes()).is_ok());
    assert!(Json::parse(deep(201).as_bytes()).is_err());
    assert!(Json::parse("[".repeat(1_000_000).as_bytes()).is_err());
}

fn soup() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(wharf_tests::json::PIECES), 0..12).prop_map(|pieces| pieces.concat())
}

fn any_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".{0,6}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec(("[a-c~/\"\\\\]{0,2}", inner), 0..4)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// Takes everything apart.
fn apart(value: &mut Json<'_>) {
    if let Some(members) = value.members() {
        members.iter_mut().for_each(|(_, value)| apart(value));
    }
    if let Some(elements) = value.elements() {
        elements.iter_mut().for_each(apart);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn what_passes_is_what_another_parser_takes(bytes in soup()) {
        let ours = Json::parse(&bytes);
        prop_assert_eq!(ours.is_ok(), serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
        if let Ok(mut value) = ours {
            apart(&mut value);
            prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&value.to_vec()).unwrap(), serde_json::from_slice::<serde_json::Value>(&bytes).unwrap());
        }
    }

    #[test]
    fn every_place_is_found_as_another_reader_finds_it(value in any_value(), spaced in any::<bool>(), steps in prop::collection::vec("[a-c~/\"\\\\0-3]{0,2}", 0..4)) {
        let text = if spaced { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
        let way = Pointer::of(&steps);
        let mut ours = Json::parse(text.as_bytes()).unwrap();
        let found = ours.get(&way).map(|found| serde_json::from_slice::<serde_json::Value>(&found.to_vec()).unwrap());
        prop_assert_eq!(found.as_ref(), value.pointer(&way.to_string()));
        prop_assert_eq!(way.to_string().parse::<Pointer>().unwrap(), way.clone());
        // What is put there is found there, and once it is taken away it is gone.
        if ours.set(&way, Json::string("put")).is_ok() && !steps.iter().any(|step| step == "-") {
            prop_assert_eq!(ours.get(&way).unwrap().as_str().unwrap(), "put");
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&ours.to_vec()).is_ok());
            prop_assert_eq!(ours.take(&way).unwrap().to_string(), "\"put\"");
        }
    }
}
