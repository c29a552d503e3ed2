//! Just enough JSON to write a descriptor: a whole library for it would be a good part of a small component.

/// A value that is written already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Json(String);

impl Json {
    /// An array.
    pub(crate) fn array(values: Vec<Self>) -> Self {
        let values: Vec<String> = values.into_iter().map(|value| value.0).collect();
        Self(format!("[{}]", values.join(",")))
    }

    /// A number, where the text is one as JSON has it; otherwise the text.
    pub(crate) fn number_or_text(text: &str) -> Self {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let (whole, fraction) = match text.strip_prefix('-').unwrap_or(text).split_once('.') {
            Some((whole, fraction)) => (whole, fraction),
            None => (text.strip_prefix('-').unwrap_or(text), "0"),
        };
        match digits(whole) && digits(fraction) && (whole == "0" || !whole.starts_with('0')) {
            true => Self(text.into()),
            false => text.into(),
        }
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        let mut written = String::with_capacity(text.len() + 2);
        written.push('"');
        for c in text.chars() {
            match c {
                '"' => written.push_str("\\\""),
                '\\' => written.push_str("\\\\"),
                '\n' => written.push_str("\\n"),
                c if c < ' ' => written.push_str(&format!("\\u{:04x}", u32::from(c))),
                c => written.push(c),
            }
        }
        written.push('"');
        Self(written)
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<u32> for Json {
    fn from(number: u32) -> Self {
        Self(number.to_string())
    }
}

impl From<bool> for Json {
    fn from(bool: bool) -> Self {
        Self(bool.to_string())
    }
}

/// An object, its members in the order in which they were put.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object(Vec<(&'static str, Json)>);

impl Object {
    /// Puts a member, in the place of one of the same name.
    pub(crate) fn put(&mut self, name: &'static str, value: impl Into<Json>) {
        let value = value.into();
        match self.0.iter_mut().find(|(other, _)| *other == name) {
            Some((_, before)) => *before = value,
            None => self.0.push((name, value)),
        }
    }

    /// Puts a member, where there is a value.
    pub(crate) fn put_some(&mut self, name: &'static str, value: Option<impl Into<Json>>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// Puts an array, where it holds anything.
    pub(crate) fn put_all(&mut self, name: &'static str, values: Vec<Json>) {
        if !values.is_empty() {
            self.put(name, Json::array(values));
        }
    }

    /// Puts an object, where it holds anything.
    pub(crate) fn put_object(&mut self, name: &'static str, object: Self) {
        if !object.0.is_empty() {
            self.put(name, object);
        }
    }

    /// The member of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&Json> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, value)| value)
    }
}

impl From<Object> for Json {
    fn from(object: Object) -> Self {
        let members: Vec<String> =
            object.0.into_iter().map(|(name, value)| format!("{}:{}", Self::from(name).0, value.0)).collect();
        Self(format!("{{{}}}", members.join(",")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_serde_reads() {
        for text in ["", "plain", "\"quoted\" \\ back", "line\nbreak\ttab\r\u{0}\u{1f}", "ä€𝄞\u{7f}\u{2028}"] {
            assert_eq!(serde_json::from_str::<String>(&Json::from(text).into_text()).unwrap(), text);
        }
        let mut inner = Object::default();
        inner.put("n", 1);
        inner.put("n", 2);
        inner.put_some("absent", None::<u32>);
        inner.put_all("empty", vec![]);
        let mut object = Object::default();
        object.put("list", Json::array(vec![true.into(), inner.into()]));
        object.put_object("none", Object::default());
        let read: serde_json::Value = serde_json::from_str(&Json::from(object).into_text()).unwrap();
        assert_eq!(read, serde_json::json!({ "list": [true, { "n": 2 }] }));
    }

    #[test]
    fn what_json_has_as_a_number_is_one() {
        for number in ["0", "-1", "10", "0.5", "-3.25", "18446744073709551615"] {
            assert_eq!(Json::number_or_text(number).into_text(), number);
        }
        for text in ["", "-", "01", ".5", "1.", "1e5", "+1", "NaN", "1.2.3", "--1"] {
            assert_eq!(Json::number_or_text(text), Json::from(text));
        }
    }
}
