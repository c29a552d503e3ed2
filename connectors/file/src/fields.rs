//! Finds the few values of a JSON document that are asked for, in one pass and without building the document.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Several JSON pointers (RFC 6901), joined into a tree. Without any it still checks that a document is JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    root: Node,
    count: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    /// Those who asked for this very value.
    slots: Vec<usize>,
    children: Vec<(String, Node)>,
}

impl Fields {
    /// Asks for one more value and says which place in the answer is its own.
    pub fn add(&mut self, pointer: &str) -> Result<usize, String> {
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(format!("a JSON pointer begins with `/`, as in `/{pointer}`"));
        }
        let mut node = &mut self.root;
        for token in pointer.split('/').skip(1) {
            let token = token.replace("~1", "/").replace("~0", "~");
            let at = match node.children.iter().position(|(name, _)| *name == token) {
                Some(at) => at,
                None => {
                    node.children.push((token, Node::default()));
                    node.children.len() - 1
                }
            };
            node = &mut node.children[at].1;
        }
        node.slots.push(self.count);
        self.count += 1;
        Ok(self.count - 1)
    }

    /// Puts the JSON text of each value into its place of `found`; what the document has not is `None`. Fails where the whole is
    /// not one JSON document.
    pub fn find<'a>(&self, json: &'a str, found: &mut Vec<Option<&'a str>>) -> Result<(), serde_json::Error> {
        found.clear();
        found.resize(self.count, None);
        let mut deserializer = serde_json::Deserializer::from_str(json);
        if self.count == 0 {
            serde::Deserialize::deserialize(&mut deserializer).map(|IgnoredAny| ())?;
        } else {
            Search { node: &self.root, found }.deserialize(&mut deserializer)?;
        }
        deserializer.end()
    }
}

/// The content of a JSON text that is a string; `None` where it is something else.
pub fn string(json: &str) -> Option<Result<Cow<'_, str>, serde_json::Error>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    Some(if memchr::memchr(b'\\', inner.as_bytes()).is_some() {
        serde_json::from_str::<String>(json).map(Cow::Owned)
    } else {
        Ok(Cow::Borrowed(inner))
    })
}

/// A value, at which or below which something is asked for.
struct Search<'n, 'f, 'a> {
    node: &'n Node,
    found: &'f mut [Option<&'a str>],
}

impl<'a> DeserializeSeed<'a> for Search<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.node.slots.is_empty() {
            return deserializer.deserialize_any(self);
        }
        let raw: &'a RawValue = serde::Deserialize::deserialize(deserializer)?;
        for &slot in &self.node.slots {
            self.found[slot] = Some(raw.get());
        }
        if self.node.children.is_empty() {
            return Ok(());
        }
        serde_json::Deserializer::from_str(raw.get()).deserialize_any(self).map_err(D::Error::custom)
    }
}

impl<'a> Visitor<'a> for Search<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(child) = map.next_key_seed(Child(self.node))? {
            match child {
                Some(node) => map.next_value_seed(Search { node, found: self.found })?,
                None => map.next_value::<IgnoredAny>().map(|IgnoredAny| ())?,
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        for index in 0_usize.. {
            let child = self.node.children.iter().find(|(token, _)| *token == *index.to_string());
            let more = match child {
                Some((_, node)) => seq.next_element_seed(Search { node, found: self.found })?.is_some(),
                None => seq.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

/// The name of a member: which child of the node it is, if any.
struct Child<'n>(&'n Node);

impl<'a, 'n> DeserializeSeed<'a> for Child<'n> {
    type Value = Option<&'n Node>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'n> Visitor<'_> for Child<'n> {
    type Value = Option<&'n Node>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a member")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.children.iter().find(|(token, _)| token == name).map(|(_, node)| node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(json: &str, pointers: &[&str]) -> Result<Vec<Option<String>>, String> {
        let mut fields = Fields::default();
        for pointer in pointers {
            fields.add(pointer)?;
        }
        let mut found = Vec::new();
        fields.find(json, &mut found).map_err(|error| error.to_string())?;
        Ok(found.into_iter().map(|text| text.map(str::to_owned)).collect())
    }

    #[test]
    fn values_are_found_in_one_pass() {
        let json = r#" {"a": {"b": [1, {"c": "x\n"}], "d": null}, "e/f": 1e999, "~": true} "#;
        let pointers = ["/a/b/1/c", "/a/d", "/e~1f", "/~0", "/a/b", "/nothing", "/a/b/0", "/a/b/0/below"];
        let expected =
            [Some(r#""x\n""#), Some("null"), Some("1e999"), Some("true"), Some(r#"[1, {"c": "x\n"}]"#), None, Some("1"), None];
        assert_eq!(find(json, &pointers).unwrap(), expected.map(|text| text.map(str::to_owned)));
        assert_eq!(find("[7]", &["", ""]).unwrap(), [Some("[7]".to_owned()), Some("[7]".to_owned())]);
    }

    #[test]
    fn what_is_not_one_json_document_fails() {
        for json in ["", "{", "{} {}", "nul", "\"a\nb\"", "{'a':1}", "\u{feff}{}"] {
            assert!(find(json, &[]).is_err(), "{json}");
            assert!(find(json, &["/a"]).is_err(), "{json}");
        }
        assert!(find("{}", &["a"]).unwrap_err().contains("`/a`"));
    }

    #[test]
    fn a_string_is_unescaped_only_where_it_must_be() {
        assert!(matches!(string(r#""plain""#), Some(Ok(Cow::Borrowed("plain")))));
        assert!(matches!(string(r#""a\u00e9""#), Some(Ok(Cow::Owned(text))) if text == "aé"));
        assert!(string(r#""\ud800""#).unwrap().is_err());
        assert!(string("1").is_none());
    }
}
