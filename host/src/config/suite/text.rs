//! From the text of a suite file to a [`Suite`], with all that is wrong with it at once.

use std::{
    collections::{BTreeMap, HashSet},
    path::{self, Path, PathBuf},
};

use super::{Read, Suite};
use crate::{
    config::{
        de::from_node,
        error::{ConfigError, Place},
        grants::HostPort,
        interpolate::interpolate,
        load::{LARGEST, decode, distinct, resolve_grants, unread},
        node::{Key, Node, Value},
        yaml,
    },
    given_file,
};

/// Mappings whose keys can each be left out, so that each can be judged without the others.
const APART: [&str; 8] = ["settings", "grants", "limits", "limits.time", "far", "read", "faults", "manners"];

/// A suite file that was read and whose variables stand open: which far sides there are has to be known before their proxies are.
#[derive(Debug)]
pub struct SuiteText {
    tree: Node,
    folder: PathBuf,
}

/// What a suite file says, as far as it can be read.
#[derive(Debug)]
pub struct SuiteRead {
    /// What it says; what is wrong has its default.
    pub suite: Suite,
    /// All that is wrong, in the order in which it stands there.
    pub wrong: Vec<ConfigError>,
    /// The keys of the file that something is wrong with: what hangs together with them cannot be judged.
    pub spoilt: Vec<String>,
}

impl SuiteText {
    /// Reads the suite file at `path`.
    ///
    /// # Errors
    /// Where there is no such file, or it is not YAML within bounds.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let bytes = given_file::read(path, LARGEST).map_err(|error| unread(path, &error, "suite file"))?;
        let whole = path::absolute(path).map_err(|error| unread(path, &error, "suite file"))?;
        let folder = whole.parent().unwrap_or(&whole).to_owned();
        Ok(Self { tree: yaml::read(decode(&bytes, &name)?, &name.into())?, folder })
    }

    /// The folder that the file is in, from which its relative paths count.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a key of the file begins, or the file where it has none of that name.
    pub fn place(&self, name: &str) -> &Place {
        match &self.tree.value {
            Value::Map(entries) => entries.iter().find(|(key, _)| key.name == name).map(|(key, _)| &key.place),
            _ => None,
        }
        .unwrap_or(&self.tree.place)
    }

    /// The far sides that it names, each with its place, before anything else of it is read. One that is wrong has none: [`read`](Self::read) tells why.
    pub fn far(&self, env: &dyn Fn(&str) -> Option<String>) -> BTreeMap<String, Option<(HostPort, Place)>> {
        let Some(Node { value: Value::Map(entries), .. }) = self.tree.get("far") else { return BTreeMap::new() };
        let read = |(key, node): &(Key, Node)| {
            let mut node = node.clone();
            let mut wrong = Vec::new();
            let good = interpolate(&mut node, env, &mut wrong).is_ok() && wrong.is_empty() && no_name(&key.name).is_none();
            let to = from_node::<HostPort>(&node, &HashSet::new()).ok().filter(|_| good);
            (key.name.clone(), to.map(|to| (to, key.place.clone())))
        };
        entries.iter().map(read).collect()
    }

    /// The suite, with its variables replaced and its relative paths made absolute from the folder that it is in.
    pub fn read(mut self, env: &dyn Fn(&str) -> Option<String>) -> SuiteRead {
        let (mut wrong, mut spoilt) = (Vec::new(), Vec::new());
        // A file of another version is not to be judged by this one's keys.
        if let Value::Map(entries) = &self.tree.value
            && let Some(version) = entries.iter().find(|(key, _)| key.name == "version")
            && let Err(wrong) = from_node::<Suite>(
                &Node { value: Value::Map(vec![version.clone()]), place: version.0.place.clone() },
                &HashSet::new(),
            )
        {
            let spoilt = entries.iter().map(|(key, _)| key.name.clone()).collect();
            return SuiteRead { suite: Suite::default(), wrong, spoilt };
        }
        // What is too large is wrong where it becomes so, and nothing else ends it.
        let ended = interpolate(&mut self.tree, env, &mut wrong).err();
        wrong.extend(ended);
        let unset: HashSet<Place> = wrong.iter().filter_map(|error: &ConfigError| error.place().cloned()).collect();
        if let Value::Map(entries) = &mut self.tree.value {
            let place = self.tree.place.clone();
            entries.retain_mut(|(key, node)| {
                let before = (wrong.len(), holds(node, &unset));
                let whole = |node: Node| Node { value: Value::Map(vec![(key.clone(), node)]), place: place.clone() };
                let good = sift(&whole, node, &key.name, &unset, &mut wrong);
                if before != (wrong.len(), false) {
                    spoilt.push(key.name.clone());
                }
                good
            });
        }
        let mut suite: Suite = from_node(&self.tree, &unset).unwrap_or_else(|more| {
            wrong.extend(more);
            Suite::default()
        });
        resolve_grants(&mut suite.grants, &self.folder);
        if let Some(folder) = suite.read.as_mut().and_then(|read| read.directory.as_mut()) {
            folder.value = self.folder.join(&folder.value).display().to_string();
        }
        self.check(&suite, &spoilt, &mut wrong);
        wrong.sort_by(|one, other| one.place().cmp(&other.place()));
        // Each item of a list that should be something else is refused for the same.
        wrong.dedup();
        SuiteRead { suite, wrong, spoilt }
    }

    /// What no single key can tell.
    fn check(&self, suite: &Suite, spoilt: &[String], wrong: &mut Vec<ConfigError>) {
        let place = |name: &str| self.tree.get(name).unwrap_or(&self.tree).place.clone();
        // What is missing may be what could not be read.
        let whole = |name: &str| spoilt.iter().all(|key| key != name);
        if let Some(Read { directory, files, command, capture }) = suite.read.as_ref().filter(|_| whole("read")) {
            let ways = usize::from(directory.is_some()) + usize::from(command.is_some()) + usize::from(*capture);
            if ways != 1 {
                wrong.push(
                    ConfigError::new(format!("`read` names {ways} ways to read back"))
                        .with_hint("give one of `directory`, `command` and `capture: true`")
                        .with_place(place("read")),
                );
            }
            if files.is_some() && directory.is_none() {
                wrong.push(
                    ConfigError::new("`files` without a `directory`")
                        .with_hint("leave it out, or name the `directory` that they are in")
                        .with_place(place("read")),
                );
            }
        }
        if let Some(Node { value: Value::Map(entries), .. }) = self.tree.get("far") {
            for (key, _) in entries {
                if let Some(why) = no_name(&key.name) {
                    wrong.push(
                        ConfigError::new(format!("`{}` {why}", key.name))
                            .with_hint("name it like `DB`: `${DB}` is then its `host:port` in the other keys")
                            .with_place(key.place.clone()),
                    );
                }
            }
        }
        for skip in suite.skip.iter().filter(|skip| skip.reason.trim().is_empty()) {
            wrong.push(
                ConfigError::new(format!("{} is skipped for no reason", skip.case))
                    .with_hint("say why: the report shows it to whoever decides whether to trust the component")
                    .with_place(skip.reason.place.clone()),
            );
        }
        if suite.record.as_ref().is_some_and(|record| !record.contains("{n}")) {
            wrong.push(
                ConfigError::new("`record` has no `{n}`: all records would be one")
                    .with_hint("write it where the number of the record belongs")
                    .with_place(place("record")),
            );
        }
        distinct(&suite.grants, wrong);
    }
}

/// Takes out of a part of the file what is wrong with it, and adds why: each item of a list and each key of a mapping that goes without the others is judged by
/// itself. Whether the rest of the part is good. `whole` makes a file with this part alone; at the places that are `unset` something is known to be wrong.
fn sift(whole: &dyn Fn(Node) -> Node, part: &mut Node, path: &str, unset: &HashSet<Place>, wrong: &mut Vec<ConfigError>) -> bool {
    let (place, before) = (part.place.clone(), wrong.len());
    let with = |value: Value| whole(Node { value, place: place.clone() });
    match &mut part.value {
        Value::List(items) => {
            items.retain_mut(|item| sift(&|item| with(Value::List(vec![item])), item, path, unset, wrong));
        }
        Value::Map(entries) if APART.contains(&path) => entries.retain_mut(|(key, node)| {
            let whole = |node: Node| with(Value::Map(vec![(key.clone(), node)]));
            sift(&whole, node, &format!("{path}.{}", key.name), unset, wrong)
        }),
        Value::Map(_) | Value::Scalar(_) => {}
    }
    let read = from_node::<Suite>(&whole(part.clone()), unset);
    if let Err(mistakes) = read {
        // What its parts are refused for is told once, and not of what is left of it.
        if wrong.len() == before {
            wrong.extend(mistakes);
        }
        return false;
    }
    !holds(part, unset)
}

/// Whether one of these places is within a part of the file.
fn holds(part: &Node, places: &HashSet<Place>) -> bool {
    places.contains(&part.place) && matches!(part.value, Value::Scalar(_))
        || match &part.value {
            Value::List(items) => items.iter().any(|item| holds(item, places)),
            Value::Map(entries) => entries.iter().any(|(_, node)| holds(node, places)),
            Value::Scalar(_) => false,
        }
}

/// Why a far side cannot be called so: its name is one of a variable.
fn no_name(name: &str) -> Option<&'static str> {
    let mut letters = name.chars();
    let begins = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    if !begins || !letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
        return Some("is no name of a variable");
    }
    ["SCRATCH", "CAPTURE", "CAPTURE_ADDRESS"].contains(&name).then_some("is the name of what the run gives itself")
}
