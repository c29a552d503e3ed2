//! YAML to a tree, within bounds.
//!
//! A pipeline file may come from a stranger's repository, so it is read like any other input: one document, so many things, so
//! much text and so deep, whatever its aliases multiply to.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

use super::{
    error::{ConfigError, Place},
    node::{Key, Node, Scalar, Value, quoted},
};

/// How many things a file may hold, with every alias written out.
const MOST_NODES: usize = 100_000;
/// How much text, in bytes, with every alias written out.
pub(super) const MOST_TEXT: usize = 16 << 20;
/// How deep lists and mappings may stand in each other.
const DEEPEST: usize = 64;

/// The one document in `text`.
pub(super) fn read(text: &str, file: &Arc<str>) -> Result<Node, ConfigError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut tree = Tree { file, open: Vec::new(), anchors: HashMap::new(), root: None, nodes: 0, bytes: 0 };
    let mut documents = 0;
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| unreadable(&error, text, file))?;
        let place = place(file, &span.start);
        match event {
            Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
            Event::StreamEnd => break,
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    return Err(ConfigError::new("a second document begins here")
                        .with_hint("a pipeline file is one document: list all pipelines under one `pipelines`")
                        .with_place(place));
                }
            }
            Event::Alias(anchor) => tree.alias(anchor, place)?,
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(tag.is_some(), &place)?;
                let scalar = Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain, written: None };
                tree.close(Node { value: Value::Scalar(scalar), place }, anchor, 1)?;
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag.is_some(), &place)?;
                tree.open(Open { place, anchor, height: 1, inside: Inside::List(Vec::new()) })?;
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag.is_some(), &place)?;
                let inside = Inside::Map { entries: Vec::new(), lines: HashMap::new(), key: None };
                tree.open(Open { place, anchor, height: 1, inside })?;
            }
            Event::SequenceEnd | Event::MappingEnd => tree.end()?,
        }
    }
    match tree.root {
        Some(root) if !matches!(&root.value, Value::Scalar(scalar) if scalar.is_null()) => Ok(root),
        _ => Err(ConfigError::new(format!("{} is empty", quoted(file))).with_hint("begin it with `version: 1`")),
    }
}

struct Tree<'a> {
    file: &'a Arc<str>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    root: Option<Node>,
    nodes: usize,
    bytes: usize,
}

/// A list or mapping whose end has not come.
struct Open {
    place: Place,
    anchor: usize,
    /// How many levels stand in it, itself included.
    height: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, lines: HashMap<String, u32>, key: Option<Key> },
}

impl Tree<'_> {
    fn open(&mut self, open: Open) -> Result<(), ConfigError> {
        if let Some(Open { inside: Inside::Map { key: None, .. }, .. }) = self.open.last() {
            return Err(not_a_key(open.place));
        }
        if self.open.len() >= DEEPEST {
            return Err(too_deep(open.place));
        }
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self) -> Result<(), ConfigError> {
        let Some(Open { place, anchor, height, inside }) = self.open.pop() else {
            return Ok(());
        };
        let value = match inside {
            Inside::List(items) => Value::List(items),
            Inside::Map { entries, .. } => Value::Map(entries),
        };
        self.close(Node { value, place }, anchor, height)
    }

    fn alias(&mut self, anchor: usize, place: Place) -> Result<(), ConfigError> {
        if let Some(Open { inside: Inside::Map { key: None, .. }, .. }) = self.open.last() {
            return Err(not_a_key(place));
        }
        let Some((node, height)) = self.anchors.get(&anchor) else {
            return Err(ConfigError::new("an alias inside of what it stands for").with_place(place));
        };
        let (node, height) = (node.clone(), *height);
        if self.open.len() + height > DEEPEST {
            return Err(too_deep(place));
        }
        self.charge(&node, &place)?;
        self.put(node, height)
    }

    /// Takes a node that is complete.
    fn close(&mut self, node: Node, anchor: usize, height: usize) -> Result<(), ConfigError> {
        // What stands inside was counted when it was closed itself.
        self.count(&node, &node.place.clone())?;
        if anchor != 0 {
            self.charge(&node, &node.place.clone())?;
            self.anchors.insert(anchor, (node.clone(), height));
        }
        self.put(node, height)
    }

    fn put(&mut self, mut node: Node, height: usize) -> Result<(), ConfigError> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.height = open.height.max(height + 1);
        match &mut open.inside {
            Inside::List(items) => items.push(node),
            Inside::Map { entries, lines, key } => match key.take() {
                None => *key = Some(self::key(node, lines)?),
                Some(key) => {
                    // What is missing has no place of its own.
                    if matches!(&node.value, Value::Scalar(scalar) if scalar.plain && scalar.text.is_empty()) {
                        node.place = key.place.clone();
                    }
                    entries.push((key, node));
                }
            },
        }
        Ok(())
    }

    /// Counts a node and all that stands in it.
    fn charge(&mut self, node: &Node, place: &Place) -> Result<(), ConfigError> {
        self.count(node, place)?;
        match &node.value {
            Value::Scalar(_) => Ok(()),
            Value::List(items) => items.iter().try_for_each(|item| self.charge(item, place)),
            Value::Map(entries) => entries.iter().try_for_each(|(key, value)| {
                self.bytes += key.name.len();
                self.charge(value, place)
            }),
        }
    }

    fn count(&mut self, node: &Node, place: &Place) -> Result<(), ConfigError> {
        self.nodes += 1;
        if let Value::Scalar(scalar) = &node.value {
            self.bytes += scalar.text.len();
        }
        if self.nodes > MOST_NODES || self.bytes > MOST_TEXT {
            return Err(ConfigError::new(format!("{} holds too much", self.file))
                .with_hint(format!("a pipeline file holds at most {MOST_NODES} values, and an alias counts as all it stands for"))
                .with_place(place.clone()));
        }
        Ok(())
    }
}

fn key(node: Node, lines: &mut HashMap<String, u32>) -> Result<Key, ConfigError> {
    let Value::Scalar(Scalar { text: name, .. }) = node.value else {
        return Err(not_a_key(node.place));
    };
    if name == "<<" {
        return Err(ConfigError::new("merging with `<<` is not supported")
            .with_hint("write the keys out, or give the whole block a name with `&` and use it again with `*`")
            .with_place(node.place));
    }
    match lines.entry(name) {
        Entry::Occupied(first) => {
            Err(ConfigError::new(format!("the key {} stands here again, first on line {}", quoted(first.key()), first.get()))
                .with_hint("keep one of the two")
                .with_place(node.place))
        }
        Entry::Vacant(entry) => {
            let name = entry.key().clone();
            entry.insert(node.place.line);
            Ok(Key { name, place: node.place })
        }
    }
}

fn place(file: &Arc<str>, marker: &Marker) -> Place {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place { file: file.clone(), line: number(marker.line()), column: number(marker.col() + 1) }
}

fn unreadable(error: &ScanError, text: &str, file: &Arc<str>) -> ConfigError {
    let place = place(file, error.marker());
    if let Some((line, column)) = tab(text, place.line, error.info().contains("tab")) {
        return ConfigError::new("a tab is used for indentation").with_hint("indent with spaces").with_place(Place {
            line,
            column,
            ..place
        });
    }
    ConfigError::new(format!("not valid YAML: {}", error.info())).with_hint(remedy(error.info())).with_place(place)
}

/// What to do about what the parser stumbled over.
fn remedy(stumbled: &str) -> &'static str {
    const REMEDIES: [(&str, &str); 4] = [
        (
            "anchor",
            "give a block its name with `&NAME` before `*NAME` stands for it; text that begins with `*` or `&` needs quotes",
        ),
        ("quoted scalar", "close the quote that begins here, and double a quote of the same kind that is meant as text"),
        (
            "flow sequence",
            "close the list that begins before this with `]`, put `,` between its items, and quote text with `,` or brackets in it",
        ),
        (
            "flow mapping",
            "close the mapping that begins before this with `}`, put `,` between its keys, and quote text with `,` or braces in it",
        ),
    ];
    let known = REMEDIES.iter().find(|(about, _)| stumbled.contains(about)).map(|(_, remedy)| remedy);
    known
        .copied()
        .unwrap_or("indent the keys of a block alike, put a space behind each `:`, and quote text with `: ` or ` #` in it")
}

/// Line and column of the tab in an indentation over which the parser stumbled at `line`: on that line, on the one before, or,
/// where the parser says itself that it was a tab, behind the beginning of what it was reading.
fn tab(text: &str, line: u32, said: bool) -> Option<(u32, u32)> {
    let in_indent = |written: &str| {
        let indent = written.chars().take_while(|c| matches!(c, ' ' | '\t'));
        (1..).zip(indent).find(|(_, c)| *c == '\t').map(|(column, _)| column)
    };
    let last = if said { u32::MAX } else { line };
    (1..)
        .zip(text.lines())
        .skip_while(|(number, _)| number + 1 < line)
        .take_while(|(number, _)| *number <= last)
        .find_map(|(number, written)| Some((number, in_indent(written)?)))
}

fn refuse_tag(tagged: bool, place: &Place) -> Result<(), ConfigError> {
    if tagged {
        return Err(ConfigError::new("a tag (`!…`) is not supported")
            .with_hint("leave it out; a value is read as what its key asks for")
            .with_place(place.clone()));
    }
    Ok(())
}

fn not_a_key(place: Place) -> ConfigError {
    ConfigError::new("a key must be plain text").with_place(place)
}

fn too_deep(place: Place) -> ConfigError {
    ConfigError::new(format!("lists and mappings stand more than {DEEPEST} deep in each other")).with_place(place)
}
