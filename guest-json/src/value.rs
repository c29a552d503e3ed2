//! A value, taken apart as far as it had to be.

use std::{borrow::Cow, fmt};

use crate::{
    Fault, Pointer,
    pointer::index,
    scan::{self, Scanner},
    text,
};

/// A JSON value: text as it stands, or taken apart.
#[derive(Clone, Debug)]
pub struct Json<'a>(Node<'a>);

#[derive(Clone, Debug)]
enum Node<'a> {
    /// One value, checked, without blanks around it.
    Text(Cow<'a, str>),
    Object(Vec<(Name<'a>, Json<'a>)>),
    Array(Vec<Json<'a>>),
}

/// The name of a member, with quotes and escapes as they stand.
#[derive(Clone, Debug)]
pub struct Name<'a>(Cow<'a, str>);

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// As many digits as there are.
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Bool => "a bool",
            Self::Null => "null",
        })
    }
}

/// Why nothing can be put at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unset {
    /// The value on the way that has no members.
    at: String,
    kind: Kind,
}

impl fmt::Display for Unset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.at, self.kind) {
            (at, Kind::Array) => write!(f, "the array at `{at}` has no such element, nor is it the next one"),
            (at, kind) => write!(f, "`{at}` is {kind} and has no members"),
        }
    }
}

impl std::error::Error for Unset {}

impl<'a> Name<'a> {
    /// A name of that text.
    pub fn new(name: &str) -> Self {
        Self(Cow::Owned(quoted(name)))
    }

    /// Without escapes.
    pub fn text(&self) -> Cow<'_, str> {
        text::unescape(self.inner())
    }

    /// What stands between the quotes.
    pub fn inner(&self) -> &str {
        &self.0[1..self.0.len() - 1]
    }

    /// A name of two, with text between them.
    pub fn joined(&self, separator: &str, name: &Name<'_>) -> Name<'a> {
        let mut inner = format!("\"{}", self.inner());
        text::escape(separator, &mut inner);
        Name(Cow::Owned(inner + name.inner() + "\""))
    }

    fn is(&self, name: &str) -> bool {
        let inner = self.inner();
        if inner.contains('\\') { self.text() == name } else { inner == name }
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    text::escape(text, &mut quoted);
    quoted.push('"');
    quoted
}

impl<'a> Json<'a> {
    /// Checks a document from end to end.
    ///
    /// # Errors
    /// Where it is not one JSON value in UTF-8, or nested more than 200 levels deep.
    pub fn parse(document: &'a [u8]) -> Result<Self, Fault> {
        scan::document(document).map(|text| Self(Node::Text(Cow::Borrowed(text))))
    }

    /// The members of a document, checked from end to end; `None` where it is something else than an object. It is looked at once, where
    /// [`Json::parse`] and [`Json::members`] look at it twice.
    ///
    /// # Errors
    /// Where [`Json::parse`] fails.
    pub fn members_of(document: &'a [u8]) -> Result<Option<Vec<(Name<'a>, Json<'a>)>>, Fault> {
        let mut members = Vec::with_capacity(8);
        let found = scan::object(document, |name, value| {
            members.push((Name(Cow::Borrowed(name)), Json(Node::Text(Cow::Borrowed(value)))));
        })?;
        if found.is_none() {
            // It may be nothing at all.
            scan::document(document)?;
        }
        Ok(found.map(|()| members))
    }

    /// A string.
    pub fn string(text: &str) -> Self {
        Self(Node::Text(Cow::Owned(quoted(text))))
    }

    /// `null`
    pub fn null() -> Self {
        Self(Node::Text(Cow::Borrowed("null")))
    }

    /// An object of these members.
    pub fn object(members: Vec<(Name<'a>, Json<'a>)>) -> Self {
        Self(Node::Object(members))
    }

    /// An array of these elements.
    pub fn array(elements: Vec<Json<'a>>) -> Self {
        Self(Node::Array(elements))
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        match &self.0 {
            Node::Object(_) => Kind::Object,
            Node::Array(_) => Kind::Array,
            Node::Text(text) => match text.as_bytes().first() {
                Some(b'{') => Kind::Object,
                Some(b'[') => Kind::Array,
                Some(b'"') => Kind::String,
                Some(b't' | b'f') => Kind::Bool,
                Some(b'n') => Kind::Null,
                _ => Kind::Number,
            },
        }
    }

    /// The text of a string, without escapes; `None` where it is something else.
    pub fn as_str(&self) -> Option<Cow<'_, str>> {
        match &self.0 {
            Node::Text(text) if text.starts_with('"') => Some(text::unescape(&text[1..text.len() - 1])),
            _ => None,
        }
    }

    /// A string's text, and of everything else its JSON.
    pub fn as_text(&self) -> Cow<'_, str> {
        match &self.0 {
            Node::Text(text) => self.as_str().unwrap_or(Cow::Borrowed(text)),
            _ => Cow::Owned(self.to_string()),
        }
    }

    /// The members of an object; `None` where it is none.
    pub fn members(&mut self) -> Option<&mut Vec<(Name<'a>, Json<'a>)>> {
        self.expand();
        match &mut self.0 {
            Node::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The elements of an array; `None` where it is none.
    pub fn elements(&mut self) -> Option<&mut Vec<Json<'a>>> {
        self.expand();
        match &mut self.0 {
            Node::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The value at a place.
    pub fn get(&mut self, pointer: &Pointer) -> Option<&mut Json<'a>> {
        pointer.steps().iter().try_fold(self, |value, step| value.step(step))
    }

    /// The value of a member, or an element.
    pub fn step(&mut self, step: &str) -> Option<&mut Json<'a>> {
        self.expand();
        match &mut self.0 {
            Node::Object(members) => members.iter_mut().rev().find(|(name, _)| name.is(step)).map(|(_, value)| value),
            Node::Array(elements) => elements.get_mut(index(step)?),
            Node::Text(_) => None,
        }
    }

    /// Changes every value at a place: more than one where a member on the way is named twice.
    pub fn each(&mut self, pointer: &Pointer, mut change: impl FnMut(&mut Json<'a>)) {
        self.each_of(pointer.steps(), &mut change);
    }

    fn each_of(&mut self, steps: &[String], change: &mut dyn FnMut(&mut Json<'a>)) {
        let Some((step, rest)) = steps.split_first() else { return change(self) };
        self.expand();
        match &mut self.0 {
            Node::Object(members) => {
                members.iter_mut().filter(|(name, _)| name.is(step)).for_each(|(_, value)| value.each_of(rest, change));
            }
            Node::Array(elements) => {
                if let Some(element) = index(step).and_then(|at| elements.get_mut(at)) {
                    element.each_of(rest, change);
                }
            }
            Node::Text(_) => {}
        }
    }

    /// Takes the value at a place away, from an array so that what comes after moves up; `None` where there is none. Of several, where a
    /// member is named twice, none stays, and the last is given. The root stays behind as `null`.
    pub fn take(&mut self, pointer: &Pointer) -> Option<Json<'a>> {
        let Some((last, way)) = pointer.steps().split_last() else { return Some(std::mem::replace(self, Self::null())) };
        let mut taken = None;
        self.each_of(way, &mut |parent| {
            parent.expand();
            match &mut parent.0 {
                Node::Object(members) => {
                    if let Some(at) = members.iter().rposition(|(name, _)| name.is(last)) {
                        taken = Some(members.remove(at).1);
                        members.retain(|(name, _)| !name.is(last));
                    }
                }
                Node::Array(elements) => {
                    if let Some(at) = index(last).filter(|at| *at < elements.len()) {
                        taken = Some(elements.remove(at));
                    }
                }
                Node::Text(_) => {}
            }
        });
        taken
    }

    /// Puts a value at a place: instead of the one that is there, or as a new last member, or element (`-` is the next one). Objects
    /// that are missing on the way are made.
    ///
    /// # Errors
    /// Where a value on the way is neither an object nor an array, or the array has no such place.
    pub fn set(&mut self, pointer: &Pointer, value: Json<'a>) -> Result<(), Unset> {
        let mut place = self;
        for (depth, step) in pointer.steps().iter().enumerate() {
            place.expand();
            let kind = place.kind();
            let unset = || Unset { at: Pointer::of(&pointer.steps()[..depth]).to_string(), kind };
            place = match &mut place.0 {
                Node::Object(members) => {
                    let at = match members.iter().rposition(|(name, _)| name.is(step)) {
                        Some(at) => at,
                        None => {
                            members.push((Name::new(step), Json::object(Vec::new())));
                            members.len() - 1
                        }
                    };
                    &mut members[at].1
                }
                Node::Array(elements) => {
                    let at = if step == "-" { Some(elements.len()) } else { index(step) };
                    let at = at.filter(|at| *at <= elements.len()).ok_or_else(unset)?;
                    if at == elements.len() {
                        elements.push(Json::object(Vec::new()));
                    }
                    &mut elements[at]
                }
                Node::Text(_) => return Err(unset()),
            };
        }
        *place = value;
        Ok(())
    }

    /// Gives the member at a place another name, where it stands; false where there is none, or the object has one of that name.
    pub fn rename(&mut self, pointer: &Pointer, name: &str) -> bool {
        let Some((last, way)) = pointer.steps().split_last() else { return false };
        let Some(members) = way.iter().try_fold(self, |value, step| value.step(step)).and_then(Json::members) else {
            return false;
        };
        if members.iter().any(|(other, _)| other.is(name)) {
            return false;
        }
        let Some(at) = members.iter().rposition(|(other, _)| other.is(last)) else { return false };
        members[at].0 = Name::new(name);
        let mut index = 0;
        members.retain(|(other, _)| {
            index += 1;
            index - 1 == at || !other.is(last)
        });
        true
    }

    /// Appends its text.
    pub fn write(&self, into: &mut Vec<u8>) {
        match &self.0 {
            Node::Text(text) => into.extend_from_slice(text.as_bytes()),
            Node::Object(members) => {
                into.push(b'{');
                for (at, (name, value)) in members.iter().enumerate() {
                    if at > 0 {
                        into.push(b',');
                    }
                    into.extend_from_slice(name.0.as_bytes());
                    into.push(b':');
                    value.write(into);
                }
                into.push(b'}');
            }
            Node::Array(elements) => {
                into.push(b'[');
                for (at, value) in elements.iter().enumerate() {
                    if at > 0 {
                        into.push(b',');
                    }
                    value.write(into);
                }
                into.push(b']');
            }
        }
    }

    /// Its text.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    /// Takes a container apart, one level deep.
    fn expand(&mut self) {
        let Node::Text(text) = &self.0 else { return };
        let node = match (self.kind(), text) {
            (Kind::Object, Cow::Borrowed(text)) => members_of(text).map(Node::Object),
            (Kind::Array, Cow::Borrowed(text)) => elements_of(text).map(Node::Array),
            (Kind::Object, Cow::Owned(text)) => members_of(text).map(|members| Node::Object(owned(members))),
            (Kind::Array, Cow::Owned(text)) => {
                elements_of(text).map(|elements| Node::Array(elements.into_iter().map(Json::into_owned).collect()))
            }
            _ => return,
        };
        // It was checked: nothing fails.
        if let Ok(node) = node {
            self.0 = node;
        }
    }

    /// The same, borrowing nothing.
    pub fn into_owned<'b>(self) -> Json<'b> {
        Json(match self.0 {
            Node::Text(text) => Node::Text(Cow::Owned(text.into_owned())),
            Node::Object(members) => Node::Object(owned(members)),
            Node::Array(elements) => Node::Array(elements.into_iter().map(Json::into_owned).collect()),
        })
    }
}

fn owned<'b>(members: Vec<(Name<'_>, Json<'_>)>) -> Vec<(Name<'b>, Json<'b>)> {
    members.into_iter().map(|(name, value)| (Name(Cow::Owned(name.0.into_owned())), value.into_owned())).collect()
}

fn members_of(text: &str) -> Result<Vec<(Name<'_>, Json<'_>)>, Fault> {
    let mut scanner = Scanner::inside(text);
    let mut members = Vec::new();
    while let Some(name) = scanner.name()? {
        let value = scanner.next_value()?;
        members.push((Name(Cow::Borrowed(&text[name])), Json(Node::Text(Cow::Borrowed(&text[value])))));
    }
    Ok(members)
}

fn elements_of(text: &str) -> Result<Vec<Json<'_>>, Fault> {
    let mut scanner = Scanner::inside(text);
    let mut elements = Vec::new();
    while scanner.element()? {
        let value = scanner.next_value()?;
        elements.push(Json(Node::Text(Cow::Borrowed(&text[value]))));
    }
    Ok(elements)
}

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_vec()))
    }
}

/// Two values are equal where their texts are.
impl PartialEq for Json<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.to_vec() == other.to_vec()
    }
}

#[cfg(test)]
mod tests {
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
        assert!(
            value.rename(&pointer("/f"), "g\"") && !value.rename(&pointer("/a"), "new") && !value.rename(&pointer("/x"), "y")
        );
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
}
