//! Which records a processor is given: conditions on metadata or on a value of the record.

use std::{fmt, sync::Arc};

use super::{Batch, Operation, Pointer, Selection, json::Checker};

/// A condition that a record fulfils or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Each of these holds.
    All(Vec<Condition>),
    /// At least one of these holds.
    Any(Vec<Condition>),
    /// This one does not hold.
    Not(Box<Condition>),
    /// That was done to the entity.
    Operation(Operation),
    /// What the record has there passes a test.
    Of(Looked, Test),
}

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// Metadata of that name.
    Metadata(Arc<str>),
    /// A value of the entity after its change, where that is JSON. What is no JSON has no such value.
    Pointer(Pointer),
}

/// What a value has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// It is there, `null` included, or it is not.
    Exists(bool),
    /// It is one of these texts: of a string what it says, of any other value its JSON. `null` is none.
    OneOf(Vec<String>),
}

impl Test {
    fn passes(&self, value: Option<&[u8]>) -> bool {
        match self {
            Self::Exists(exists) => value.is_some() == *exists,
            Self::OneOf(texts) => value.is_some_and(|value| texts.iter().any(|text| text.as_bytes() == value)),
        }
    }
}

/// In words for a person, such as `/type is one of ["order", "visit"] and not (/user exists)`.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, conditions: &[Self], word: &str| {
            for (index, condition) in conditions.iter().enumerate() {
                if index > 0 {
                    write!(f, " {word} ")?;
                }
                match condition {
                    Self::All(_) | Self::Any(_) => write!(f, "({condition})")?,
                    Self::Not(_) | Self::Of(..) | Self::Operation(_) => condition.fmt(f)?,
                }
            }
            Ok(())
        };
        match self {
            Self::All(conditions) => joined(f, conditions, "and"),
            Self::Any(conditions) => joined(f, conditions, "or"),
            Self::Not(condition) => write!(f, "not ({condition})"),
            Self::Operation(operation) => write!(f, "operation is {:?}", operation.name()),
            Self::Of(looked, test) => write!(f, "{looked} {test}"),
        }
    }
}

impl fmt::Display for Looked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metadata(name) => write!(f, "metadata {name}"),
            Self::Pointer(pointer) => match pointer.to_string() {
                root if root.is_empty() => f.write_str("the record"),
                pointer => f.write_str(&pointer),
            },
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists(true) => f.write_str("exists"),
            Self::Exists(false) => f.write_str("does not exist"),
            Self::OneOf(texts) => match texts.as_slice() {
                [text] => write!(f, "is {text:?}"),
                texts => write!(f, "is one of {texts:?}"),
            },
        }
    }
}

/// Chooses records by a condition, on buffers that it keeps: nothing is allocated for a record.
///
/// ```
/// use wharf::record::{BatchBuilder, Chooser, Condition, Looked, Selection, Test};
///
/// let mut builder = BatchBuilder::with_capacity(2, 64, false, None);
/// builder.push(0, None, br#"{"type": "order"}"#).unwrap();
/// builder.push(1, None, br#"{"type": "visit"}"#).unwrap();
/// let batch = builder.finish("demo", "partition".into());
///
/// let orders = Condition::Of(Looked::Pointer("/type".parse().unwrap()), Test::OneOf(vec!["order".into()]));
/// assert_eq!(Chooser::new(&orders).choose(&batch), Selection::Some(vec![0]));
/// ```
#[derive(Debug)]
pub struct Chooser(Node);

#[derive(Debug)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Operation(Operation),
    Metadata(Arc<str>, Test),
    Pointer(Box<Checker>, Test),
}

impl Chooser {
    /// By that condition.
    pub fn new(condition: &Condition) -> Self {
        Self(Node::new(condition))
    }

    /// Whether a record of a batch fulfils it.
    pub fn takes(&mut self, batch: &Batch, record: u32) -> bool {
        self.0.holds(batch, record)
    }

    /// The records of a batch that fulfil it.
    pub fn choose(&mut self, batch: &Batch) -> Selection {
        Selection::of(batch.count(), |record| self.0.holds(batch, record))
    }
}

impl Node {
    fn new(condition: &Condition) -> Self {
        let each = |conditions: &[Condition]| conditions.iter().map(Self::new).collect();
        match condition {
            Condition::All(conditions) => Self::All(each(conditions)),
            Condition::Any(conditions) => Self::Any(each(conditions)),
            Condition::Not(condition) => Self::Not(Box::new(Self::new(condition))),
            Condition::Operation(operation) => Self::Operation(*operation),
            Condition::Of(Looked::Metadata(name), test) => Self::Metadata(name.clone(), test.clone()),
            Condition::Of(Looked::Pointer(pointer), test) => {
                let checker = match test {
                    Test::Exists(_) => Checker::as_json(pointer.clone()),
                    Test::OneOf(_) => Checker::new(Some(pointer.clone())),
                };
                Self::Pointer(Box::new(checker), test.clone())
            }
        }
    }

    fn holds(&mut self, batch: &Batch, record: u32) -> bool {
        match self {
            Self::All(nodes) => nodes.iter_mut().all(|node| node.holds(batch, record)),
            Self::Any(nodes) => nodes.iter_mut().any(|node| node.holds(batch, record)),
            Self::Not(node) => !node.holds(batch, record),
            Self::Operation(operation) => batch.operation(record) == *operation,
            Self::Metadata(name, test) => test.passes(batch.meta(name).and_then(|column| column.get(record as usize))),
            Self::Pointer(checker, test) => {
                let after = batch.after().get(record as usize);
                test.passes(after.and_then(|after| checker.find(after)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::BatchBuilder;

    fn batch() -> Batch {
        let mut builder = BatchBuilder::with_capacity(8, 64, false, None);
        let records = [
            r#"{"type":"a","n":1.50,"o":{"x":"\u0061"}}"#,
            r#"{"type":"b","n":"1.50","o":null}"#,
            "no json",
            r#"{"type":null,"n":true}"#,
            r#"{"type":"a"} x"#,
        ];
        for (sequence, record) in records.iter().enumerate() {
            builder.push(sequence as u64, None, record.as_bytes()).unwrap();
        }
        let metadata = [Some(&b"users"[..]), Some(b""), None, Some(b"orders"), None];
        builder.finish("p", "part".into()).with_metadata("collection", metadata.into_iter().collect())
    }

    fn chosen(condition: Condition) -> Vec<u32> {
        match Chooser::new(&condition).choose(&batch()) {
            Selection::All => (0..5).collect(),
            Selection::Some(records) => records,
        }
    }

    fn of(looked: &str, test: Test) -> Condition {
        match looked.strip_prefix("meta:") {
            Some(name) => Condition::Of(Looked::Metadata(name.into()), test),
            None => Condition::Of(Looked::Pointer(looked.parse().unwrap()), test),
        }
    }

    fn is(texts: &[&str]) -> Test {
        Test::OneOf(texts.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn records_are_chosen_by_what_they_have() {
        let none: Vec<u32> = Vec::new();
        assert_eq!(chosen(of("/type", is(&["a"]))), [0]);
        assert_eq!(chosen(of("/type", is(&["b", "a", "null"]))), [0, 1]);
        assert_eq!(chosen(of("/n", is(&["1.50", "true"]))), [0, 1, 3]);
        assert_eq!(chosen(of("/n", is(&["1.5"]))), none);
        assert_eq!(chosen(of("/o/x", is(&["a"]))), [0]);
        assert_eq!(chosen(of("/o", is(&[r#"{"x":"\u0061"}"#]))), [0]);
        assert_eq!(chosen(of("/type", Test::Exists(true))), [0, 1, 3]);
        assert_eq!(chosen(of("/type", Test::Exists(false))), [2, 4]);
        assert_eq!(chosen(of("/o", Test::Exists(true))), [0, 1]);
        assert_eq!(chosen(of("meta:collection", is(&["users", ""]))), [0, 1]);
        assert_eq!(chosen(of("meta:collection", Test::Exists(false))), [2, 4]);
        assert_eq!(chosen(of("meta:none", Test::Exists(true))), none);
        assert_eq!(chosen(of("meta:none", Test::Exists(false))), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn conditions_are_told_in_words() {
        let some = Condition::Any(vec![of("/type", is(&["a", "b"])), of("meta:collection", Test::Exists(false))]);
        let told = Condition::All(vec![some, Condition::Not(Box::new(of("", is(&["x"]))))]).to_string();
        assert_eq!(told, r#"(/type is one of ["a", "b"] or metadata collection does not exist) and not (the record is "x")"#);
    }

    #[test]
    fn conditions_are_joined() {
        let (a, users) = (of("/type", is(&["a"])), of("meta:collection", is(&["users", "orders"])));
        assert_eq!(chosen(Condition::All(vec![a.clone(), users.clone()])), [0]);
        assert_eq!(chosen(Condition::Any(vec![a.clone(), users.clone()])), [0, 3]);
        assert_eq!(chosen(Condition::Not(Box::new(Condition::Any(vec![a, users])))), [1, 2, 4]);
        assert_eq!(chosen(Condition::All(Vec::new())), [0, 1, 2, 3, 4]);
    }
}
