//! What all harnesses share: settings, context, grants, and what a connector left with the host.

use std::{cell::RefCell, rc::Rc};

use tracing::{Dispatch, dispatcher};

use super::{Host, Json, NotOpened, rules};
use crate::{
    Problem, Settings, bindings::wharf::connector::types, descriptor::Package, log::HostLog, parameters::Parameter, sys,
};

#[derive(Debug)]
pub(super) struct Bench {
    pub(super) settings: Vec<(String, String)>,
    pub(super) host: Rc<RefCell<Host>>,
    log: Dispatch,
}

impl Bench {
    #[track_caller]
    pub(super) fn new(declared: &[Parameter]) -> Self {
        let unsound = rules::unsound(declared);
        assert!(unsound.is_empty(), "the declared parameters are unsound: {}", NotOpened::Problems(unsound));
        Self { settings: Vec::new(), host: Rc::default(), log: Dispatch::new(HostLog::new()) }
    }

    pub(super) fn descriptor(&self, describe: impl FnOnce(&Package) -> String) -> Json {
        let package = Package { name: "under-test", version: "0.0.0", description: "", authors: "" };
        let text = self.call(|| describe(&package));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("the descriptor is no JSON: {error}"))
    }

    pub(super) fn check(&self, declared: &[Parameter], check: impl FnOnce(types::Settings) -> Vec<Problem>) -> Vec<Problem> {
        let (settings, problems) = self.settle(declared);
        match problems.is_empty() {
            true => self.call(|| check(pairs(&settings))),
            false => problems,
        }
    }

    pub(super) fn try_open<S>(
        &self,
        declared: &[Parameter],
        problems: Vec<Problem>,
        open: impl FnOnce(types::Settings) -> Result<S, types::Failure>,
    ) -> Result<S, NotOpened> {
        if !problems.is_empty() {
            return Err(NotOpened::Problems(problems));
        }
        let (settings, _) = self.settle(declared);
        self.call(|| open(pairs(&settings))).map_err(|failure| NotOpened::Failure(failure.into()))
    }

    pub(super) fn call<T>(&self, call: impl FnOnce() -> T) -> T {
        dispatcher::with_default(&self.log, || sys::with_host(&self.host, call))
    }

    fn settle(&self, declared: &[Parameter]) -> (Settings, Vec<Problem>) {
        rules::settle(declared, &Settings::from_iter(self.settings.clone()))
    }
}

fn pairs(settings: &Settings) -> Vec<(String, String)> {
    settings.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// What is set and asked of every harness.
macro_rules! shared {
    ($harness:ident) => {
        impl<T> $harness<T> {
            /// With a setting, as an operator writes it; lists as `name.0`, maps as `name.key`.
            #[must_use]
            pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
                self.bench.settings.push((name.into(), value.into()));
                self
            }

            /// With an answer of the [`Context`]($crate::Context), such as `pipeline` or `instance`.
            #[must_use]
            pub fn context(self, name: impl Into<String>, value: impl Into<String>) -> Self {
                self.bench.host.borrow_mut().context.insert(name.into(), value.into());
                self
            }

            /// With state granted, and this in it.
            #[must_use]
            pub fn state_of<K: Into<String>, V: Into<Vec<u8>>>(self, entries: impl IntoIterator<Item = (K, V)>) -> Self {
                let entries = entries.into_iter().map(|(key, value)| (key.into(), value.into()));
                self.bench.host.borrow_mut().state.get_or_insert_default().extend(entries);
                self
            }

            /// With state granted, and nothing in it.
            #[must_use]
            pub fn grant_state(self) -> Self {
                self.bench.host.borrow_mut().state.get_or_insert_default();
                self
            }

            /// With a token of that provider. Given several times, the next follows where the connector says that one was refused.
            #[must_use]
            pub fn token(self, provider: impl Into<String>, token: impl Into<String>) -> Self {
                self.bench.host.borrow_mut().tokens.entry(provider.into()).or_default().push_back(token.into());
                self
            }

            /// With a host that keeps only lines at least as grave; otherwise it keeps all.
            #[must_use]
            pub fn log_from(self, level: $crate::tracing::Level) -> Self {
                self.bench.host.borrow_mut().threshold = level.into();
                self
            }

            /// What was logged, in order.
            pub fn logged(&self) -> Vec<$crate::testing::Line> {
                self.bench.host.borrow().log.clone()
            }

            /// What was counted under that name.
            pub fn count(&self, name: &str) -> u64 {
                self.bench.host.borrow().counts.get(name).copied().unwrap_or_default()
            }

            /// What the gauge of that name stands at.
            pub fn gauge(&self, name: &str) -> Option<f64> {
                self.bench.host.borrow().gauges.get(name).copied()
            }

            /// What was observed under that name.
            pub fn observations(&self, name: &str) -> Vec<f64> {
                self.bench.host.borrow().observations.get(name).cloned().unwrap_or_default()
            }

            /// What is kept; nothing where state is not granted.
            pub fn state(&self) -> std::collections::BTreeMap<String, Vec<u8>> {
                self.bench.host.borrow().state.clone().unwrap_or_default()
            }
        }
    };
}

pub(super) use shared;
