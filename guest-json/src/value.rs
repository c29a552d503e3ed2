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
mod tests;
