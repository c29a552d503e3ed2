//! What is known to be wrong with a tree while it is read again and again, until nothing new comes up.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
};

use super::{
    error::{ConfigError, Place},
    node::{Key, Node, Value},
};

/// What is known of a node that something is wrong with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is something wrong within it, and may be more.
    Fails,
    /// All that is wrong with it is told.
    Done,
}

/// What was found wrong with a tree so far, and where there is no more to be found. Nodes are told apart by where they lie in memory, which no tree changes
/// while it is read.
#[derive(Debug, Default)]
pub(super) struct Found {
    wrong: RefCell<Vec<ConfigError>>,
    states: RefCell<HashMap<*const Node, State>>,
    keys: RefCell<HashSet<*const Key>>,
    changes: Cell<usize>,
}

impl Found {
    /// Nothing yet, but for what stands at the places that are `told`.
    pub(super) fn new(tree: &Node, told: &HashSet<Place>) -> Self {
        let found = Self::default();
        if !told.is_empty() {
            found.leave_out(tree, told);
        }
        found
    }

    fn leave_out(&self, node: &Node, told: &HashSet<Place>) {
        match &node.value {
            Value::Scalar(_) if told.contains(&node.place) => {
                self.states.borrow_mut().insert(node, State::Done);
            }
            Value::Scalar(_) => {}
            Value::List(items) => items.iter().for_each(|item| self.leave_out(item, told)),
            Value::Map(entries) => entries.iter().for_each(|(_, value)| self.leave_out(value, told)),
        }
    }

    /// A number that grows with all that becomes known: where it stays, there is no more to be found.
    pub(super) fn changes(&self) -> usize {
        self.changes.get()
    }

    /// How many mistakes.
    pub(super) fn many(&self) -> usize {
        self.wrong.borrow().len()
    }

    /// All mistakes.
    pub(super) fn all(self) -> Vec<ConfigError> {
        self.wrong.into_inner()
    }

    /// Whether all that is wrong with a node is told.
    pub(super) fn is_done(&self, node: &Node) -> bool {
        self.states.borrow().get(&std::ptr::from_ref(node)) == Some(&State::Done)
    }

    /// When a node is read among its neighbours: what fails ends them, and so comes last.
    pub(super) fn rank(&self, node: &Node) -> u8 {
        match self.states.borrow().get(&std::ptr::from_ref(node)) {
            None => 0,
            Some(State::Fails) => 1,
            Some(State::Done) => 2,
        }
    }

    /// Notes what is wrong with a node.
    pub(super) fn tell(&self, node: &Node, error: ConfigError) {
        self.wrong.borrow_mut().push(error);
        self.set(node, State::Done);
    }

    /// Notes what is wrong with a key, the first time.
    pub(super) fn tell_key(&self, key: &Key, error: impl FnOnce() -> ConfigError) {
        if self.keys.borrow_mut().insert(key) {
            self.wrong.borrow_mut().push(error());
            self.changes.set(self.changes() + 1);
        }
    }

    /// Notes that a node fails for what is told of something within it: it is done once reading it brings up nothing new any more.
    pub(super) fn fails(&self, node: &Node, before: usize) {
        let state = if self.changes() == before { State::Done } else { State::Fails };
        self.set(node, state);
    }

    fn set(&self, node: &Node, state: State) {
        let mut states = self.states.borrow_mut();
        let known = states.get(&std::ptr::from_ref(node)).copied();
        // A node and the value in it that asks for its place are one.
        if known != Some(State::Done) && known != Some(state) {
            states.insert(node, state);
            self.changes.set(self.changes() + 1);
        }
    }
}
