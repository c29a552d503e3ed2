//! From the tree to types, through serde.
//!
//! Three things differ from other formats. A scalar is text until a type asks for something else. An enum whose variants have
//! content is a mapping with the variant under `kind`, without the detour that serde's own tagged enums take and on which places
//! are lost. And a type may ask for its place ([`super::at`]). A struct's `#[serde(expecting = "…")]` is the noun that messages
//! call it by.

use serde::{
    Deserialize,
    de::{
        DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
        value::{BorrowedStrDeserializer, U32Deserializer},
    },
    forward_to_deserialize_any,
};

use super::{
    at::PLACED,
    error::{ConfigError, Place},
    fault::{Fault, Refusal, list},
    node::{Key, Node, Scalar, Value},
};

/// The key that tells which variant of an enum a mapping is.
const KIND: &str = "kind";
/// The enums whose variants have content.
const TAGGED: [&str; 1] = ["Source"];

/// The name of a newtype that has a short form: it is given a text as it stands, and whatever else there is as a newtype's content.
pub(super) const SHORT: &str = "$wharf::short";

/// The typed value of a tree.
pub(super) fn from_node<'de, T: Deserialize<'de>>(node: &'de Node) -> Result<T, ConfigError> {
    T::deserialize(De(node)).map_err(|fault| fault.into_error(node))
}

#[derive(Clone, Copy)]
struct De<'de>(&'de Node);

/// Every way down leads through here, so that a fault gets the innermost place there is.
fn descend<'de, S: DeserializeSeed<'de>>(seed: S, node: &'de Node) -> Result<S::Value, Fault> {
    seed.deserialize(De(node)).map_err(|fault| fault.at(node))
}

impl<'de> De<'de> {
    fn scalar(self, expected: &str) -> Result<&'de Scalar, Fault> {
        self.0.scalar().ok_or_else(|| Fault::Expected(expected.to_owned()))
    }
}

macro_rules! whole_numbers {
    ($($method:ident $visit:ident $type:ty,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            let expected = format!("a whole number from {} to {}", <$type>::MIN, <$type>::MAX);
            let number = self.scalar(&expected)?.text.parse();
            visitor.$visit(number.map_err(|_| Fault::Expected(expected))?)
        }
    )*};
}

impl<'de> Deserializer<'de> for De<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Scalar(scalar) if scalar.is_null() => visitor.visit_unit(),
            Value::Scalar(scalar) => visitor.visit_borrowed_str(&scalar.text),
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Map(entries) => visitor.visit_map(Entries::new(entries, None)),
        }
    }

    whole_numbers! {
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        const EXPECTED: &str = "`true` or `false`";
        match self.scalar(EXPECTED)?.text.as_str() {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => Err(Fault::Expected(EXPECTED.to_owned())),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.scalar() {
            Some(scalar) => visitor.visit_borrowed_str(&scalar.text),
            None => Err(Fault::invalid_type(Unexpected::Unit, &visitor)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(&self.scalar("text")?.text)
    }

    // A key without a value is a mistake even where the key could be left out.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Fault> {
        match self.0.scalar() {
            Some(scalar) if name == SHORT => visitor.visit_borrowed_str(&scalar.text),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            _ => Err(Fault::Expected("a list".to_owned())),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Map(entries) => visitor.visit_map(Entries::new(entries, None)),
            _ => Err(Fault::invalid_type(Unexpected::Unit, &visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name == PLACED {
            let written = self.0.scalar().map_or("", Scalar::written);
            return visitor.visit_seq(Parts { place: &self.0.place, written, value: Placed::Node(self.0), given: 0 });
        }
        keyed(self.0, None, fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if !TAGGED.contains(&name) {
            return match self.0.scalar() {
                Some(_) => visitor.visit_enum(Variant { tag: self.0, content: None }),
                None => Err(Fault::Expected(list(variants, "or"))),
            };
        }
        match (&self.0.value, self.0.get(KIND)) {
            (Value::Map(_), Some(kind)) => visitor.visit_enum(Variant { tag: kind, content: Some(self.0) }),
            (Value::Map(_), None) => {
                let what = format!("missing key `{KIND}` in {}", noun(&visitor));
                let hint = format!("it is one of {}", list(variants, "and"));
                Err(Fault::Refused(Refusal::new(what).with_hint(hint)))
            }
            _ => Err(Fault::Expected(format!("{} (a mapping)", noun(&visitor)))),
        }
    }

    // The word that says which variant.
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(&self.scalar("text")?.text)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
    }
}

/// What a visitor calls the thing that it makes.
fn noun<'de, V: Visitor<'de>>(visitor: &V) -> String {
    (visitor as &dyn serde::de::Expected).to_string()
}

/// A mapping whose keys are all known; one of them may have been read already.
fn keyed<'de, V: Visitor<'de>>(
    node: &'de Node,
    read: Option<&'static str>,
    fields: &'static [&'static str],
    visitor: V,
) -> Result<V::Value, Fault> {
    let noun = noun(&visitor);
    let Value::Map(entries) = &node.value else {
        return Err(Fault::Expected(format!("{noun} (a mapping)")));
    };
    for (key, _) in entries {
        if !fields.contains(&key.name.as_str()) && Some(key.name.as_str()) != read {
            return Err(Fault::unknown_key(&key.name, &key.place, &noun, fields));
        }
    }
    visitor.visit_map(Entries::new(entries, read)).map_err(|fault| fault.within(&noun, node))
}

struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        self.0.next().map(|node| descend(seed, node)).transpose()
    }
}

struct Entries<'de> {
    left: std::slice::Iter<'de, (Key, Node)>,
    without: Option<&'static str>,
    value: Option<&'de Node>,
}

impl<'de> Entries<'de> {
    fn new(entries: &'de [(Key, Node)], without: Option<&'static str>) -> Self {
        Self { left: entries.iter(), without, value: None }
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        for (key, value) in self.left.by_ref() {
            if Some(key.name.as_str()) != self.without {
                self.value = Some(value);
                return seed.deserialize(KeyOf(key)).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        match self.value.take() {
            Some(node) => descend(seed, node),
            None => Err(Fault::custom("a value was asked for before its key")),
        }
    }
}

/// A key, with its place for whoever asks.
struct KeyOf<'de>(&'de Key);

impl<'de> Deserializer<'de> for KeyOf<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(&self.0.name)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name != PLACED {
            return self.deserialize_any(visitor);
        }
        let Key { name, place } = self.0;
        visitor.visit_seq(Parts { place, written: name, value: Placed::Key(self.0), given: 0 })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The five parts of what asked for its place.
struct Parts<'de> {
    place: &'de Place,
    written: &'de str,
    value: Placed<'de>,
    given: u8,
}

enum Placed<'de> {
    Node(&'de Node),
    Key(&'de Key),
}

impl<'de> SeqAccess<'de> for Parts<'de> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        self.given += 1;
        match self.given {
            1 => seed.deserialize(BorrowedStrDeserializer::new(&self.place.file)),
            2 => seed.deserialize(U32Deserializer::new(self.place.line)),
            3 => seed.deserialize(U32Deserializer::new(self.place.column)),
            4 => seed.deserialize(BorrowedStrDeserializer::new(self.written)),
            5 => match self.value {
                Placed::Node(node) => descend(seed, node),
                Placed::Key(key) => seed.deserialize(KeyOf(key)),
            },
            _ => return Ok(None),
        }
        .map(Some)
    }
}

/// A variant: the node that names it and, where it has any, the mapping with its content.
struct Variant<'de> {
    tag: &'de Node,
    content: Option<&'de Node>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Fault;
    type Variant = Content<'de>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Content<'de>), Fault> {
        Ok((descend(seed, self.tag)?, Content(self.content)))
    }
}

/// The content of a variant: its mapping without `kind`.
struct Content<'de>(Option<&'de Node>);

impl<'de> VariantAccess<'de> for Content<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        match self.0 {
            Some(node) => seed.deserialize(WithoutKind(node)).map_err(|fault| fault.at(node)),
            None => Err(Fault::Expected("a mapping".to_owned())),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Fault> {
        Err(Fault::custom("a list cannot be a variant"))
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Some(node) => keyed(node, Some(KIND), fields, visitor),
            None => Err(Fault::Expected("a mapping".to_owned())),
        }
    }
}

struct WithoutKind<'de>(&'de Node);

impl<'de> Deserializer<'de> for WithoutKind<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        De(self.0).deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        keyed(self.0, Some(KIND), fields, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
