//! From the tree to types, through serde.
//!
//! Three things differ from other formats. A scalar is text until a type asks for something else. An enum whose variants have
//! content is a mapping with the variant under `kind`, without the detour that serde's own tagged enums take and on which places
//! are lost. And a type may ask for its place ([`super::at`]). A struct's `#[serde(expecting = "…")]` is the noun that messages
//! call it by.
//!
//! Serde ends a mapping at the first of its values that is wrong, and nobody wants to mend a file one line at a time. So the tree is read again for as long as
//! that brings up something new ([`super::found`]), what is known to be wrong behind all else.

use std::collections::HashSet;

use serde::{
    de::{
        DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, Unexpected, VariantAccess,
        Visitor,
        value::{BorrowedStrDeserializer, U32Deserializer},
    },
    forward_to_deserialize_any,
};

use super::{
    at::PLACED,
    error::{ConfigError, Place},
    fault::{Fault, Refusal, list},
    found::Found,
    mistakes::MOST,
    nearest::nearest,
    node::{Key, Node, Scalar, Value},
};

/// The key that tells which variant of an enum a mapping is.
const KIND: &str = "kind";
/// The enums whose variants have content.
const TAGGED: [&str; 1] = ["Source"];

/// The name of a newtype that has a short form: it is given a text as it stands, and whatever else there is as a newtype's content.
pub(super) const SHORT: &str = "$wharf::short";

/// The typed value of a tree, or all that is wrong with it, in the order in which it was come upon: at least one mistake, or one that is told already. Of what
/// stands at the places that are `told`, something wrong is told already.
pub(super) fn from_node<T: DeserializeOwned>(node: &Node, told: &HashSet<Place>) -> Result<T, Vec<ConfigError>> {
    let found = Found::new(node, told);
    loop {
        let before = found.changes();
        match descend(std::marker::PhantomData::<T>, De { node, found: &found }) {
            Ok(value) => return Ok(value),
            Err(_) if found.changes() == before || found.many() > MOST => return Err(found.all()),
            Err(_) => {}
        }
    }
}

#[derive(Clone, Copy)]
struct De<'de> {
    node: &'de Node,
    found: &'de Found,
}

/// Every way down leads through here, so that a fault gets the innermost place there is, and is told once.
fn descend<'de, S: DeserializeSeed<'de>>(seed: S, of: De<'de>) -> Result<S::Value, Fault> {
    let De { node, found } = of;
    if found.is_done(node) {
        return Err(Fault::Told);
    }
    let before = found.changes();
    seed.deserialize(of).map_err(|fault| {
        match fault.into_error(node) {
            Some(error) => found.tell(node, error),
            None => found.fails(node, before),
        }
        Fault::Told
    })
}

impl<'de> De<'de> {
    fn scalar(self, expected: &str) -> Result<&'de Scalar, Fault> {
        self.node.scalar().ok_or_else(|| Fault::Expected(expected.to_owned()))
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
        match &self.node.value {
            Value::Scalar(scalar) if scalar.is_null() => visitor.visit_unit(),
            Value::Scalar(scalar) => visitor.visit_borrowed_str(&scalar.text),
            Value::List(items) => visitor.visit_seq(Items::new(items, self.found)),
            Value::Map(entries) => visitor.visit_map(Entries::new(entries, self.found, |_| true)),
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
        match self.node.scalar() {
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
        match self.node.scalar() {
            Some(scalar) if name == SHORT => visitor.visit_borrowed_str(&scalar.text),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::List(items) => visitor.visit_seq(Items::new(items, self.found)),
            _ => Err(Fault::Expected("a list".to_owned())),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Map(entries) => visitor.visit_map(Entries::new(entries, self.found, |_| true)),
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
            let written = self.node.scalar().map_or("", Scalar::written);
            return visitor.visit_seq(Parts { place: &self.node.place, written, value: Placed::Node(self), given: 0 });
        }
        keyed(self, None, fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if !TAGGED.contains(&name) {
            return match self.node.scalar() {
                Some(_) => visitor.visit_enum(Variant { tag: self, content: None }),
                None => Err(Fault::Expected(list(variants, "or"))),
            };
        }
        match (&self.node.value, self.node.get(KIND)) {
            (Value::Map(_), Some(kind)) => visitor.visit_enum(Variant { tag: De { node: kind, ..self }, content: Some(self) }),
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
    of: De<'de>,
    read: Option<&'static str>,
    fields: &'static [&'static str],
    visitor: V,
) -> Result<V::Value, Fault> {
    let De { node, found } = of;
    let noun = noun(&visitor);
    let Value::Map(entries) = &node.value else {
        return Err(Fault::Expected(format!("{noun} (a mapping)")));
    };
    let is_known = |key: &Key| fields.contains(&key.name.as_str());
    let unknown: Vec<&Key> =
        entries.iter().map(|(key, _)| key).filter(|key| !is_known(key) && Some(key.name.as_str()) != read).collect();
    for key in &unknown {
        found.tell_key(key, || ConfigError::unknown_key(&key.name, &key.place, &noun, fields));
    }
    match visitor.visit_map(Entries::new(entries, found, is_known)) {
        Ok(value) if unknown.is_empty() => Ok(value),
        Ok(_) => Err(Fault::Told),
        // It is there, and misspelt.
        Err(Fault::Missing(missing)) if unknown.iter().any(|key| meant(&key.name, fields) == Some(missing)) => Err(Fault::Told),
        Err(fault) => Err(fault.within(&noun, node)),
    }
}

fn meant(key: &str, fields: &'static [&'static str]) -> Option<&'static str> {
    nearest(key, fields.iter().copied())
}

/// The items of a list. Those that something is known to be wrong with come last, since they end it.
struct Items<'de> {
    left: std::vec::IntoIter<&'de Node>,
    found: &'de Found,
}

impl<'de> Items<'de> {
    fn new(items: &'de [Node], found: &'de Found) -> Self {
        let mut left: Vec<&Node> = items.iter().collect();
        left.sort_by_key(|node| found.rank(node));
        Self { left: left.into_iter(), found }
    }
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        self.left.next().map(|node| descend(seed, De { node, found: self.found })).transpose()
    }
}

/// The entries of a mapping, in the same order.
struct Entries<'de> {
    left: std::vec::IntoIter<&'de (Key, Node)>,
    found: &'de Found,
    value: Option<&'de Node>,
}

impl<'de> Entries<'de> {
    fn new(entries: &'de [(Key, Node)], found: &'de Found, is_wanted: impl Fn(&Key) -> bool) -> Self {
        let mut left: Vec<&(Key, Node)> = entries.iter().filter(|(key, _)| is_wanted(key)).collect();
        left.sort_by_key(|(_, node)| found.rank(node));
        Self { left: left.into_iter(), found, value: None }
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let Some((key, value)) = self.left.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(KeyOf(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        match self.value.take() {
            Some(node) => descend(seed, De { node, found: self.found }),
            None => Err(Fault::custom("a value was asked for before its key")),
        }
    }
}

/// A key, with its place for whoever asks.
#[derive(Clone, Copy)]
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
        visitor.visit_seq(Parts { place, written: name, value: Placed::Key(self), given: 0 })
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
    Node(De<'de>),
    Key(KeyOf<'de>),
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
                Placed::Node(of) => descend(seed, of),
                Placed::Key(key) => seed.deserialize(key),
            },
            _ => return Ok(None),
        }
        .map(Some)
    }
}

/// A variant: the node that names it and, where it has any, the mapping with its content.
struct Variant<'de> {
    tag: De<'de>,
    content: Option<De<'de>>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Fault;
    type Variant = Content<'de>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Content<'de>), Fault> {
        Ok((descend(seed, self.tag)?, Content(self.content)))
    }
}

/// The content of a variant: its mapping without `kind`.
struct Content<'de>(Option<De<'de>>);

impl<'de> VariantAccess<'de> for Content<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        match self.0 {
            Some(of) => seed.deserialize(WithoutKind(of)),
            None => Err(Fault::Expected("a mapping".to_owned())),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Fault> {
        Err(Fault::custom("a list cannot be a variant"))
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Some(of) => keyed(of, Some(KIND), fields, visitor),
            None => Err(Fault::Expected("a mapping".to_owned())),
        }
    }
}

struct WithoutKind<'de>(De<'de>);

impl<'de> Deserializer<'de> for WithoutKind<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.0.deserialize_any(visitor)
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
