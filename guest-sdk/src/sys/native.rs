//! What a test set up, in the place of a host. Where no test did, there is nothing: no metadata, no state, and no log.

use std::{cell::RefCell, rc::Rc};

use crate::testing::Host;

thread_local! {
    static HOST: RefCell<Option<Rc<RefCell<Host>>>> = const { RefCell::new(None) };
}

/// Lets `call` see that host, on this thread.
pub(crate) fn with_host<T>(host: &Rc<RefCell<Host>>, call: impl FnOnce() -> T) -> T {
    /// Puts back what was there, even where the call panics.
    struct Before(Option<Rc<RefCell<Host>>>);

    impl Drop for Before {
        fn drop(&mut self) {
            HOST.set(self.0.take());
        }
    }

    let _before = Before(HOST.replace(Some(host.clone())));
    call()
}

fn ask<T>(question: impl FnOnce(&mut Host) -> T) -> Option<T> {
    HOST.with_borrow(|host| host.as_ref().map(|host| question(&mut host.borrow_mut())))
}

pub(crate) mod records {
    use super::ask;
    use crate::{bindings::wharf::connector::types::Column, testing::Columns};

    fn batch<T: Default>(question: impl FnOnce(&Columns) -> T) -> T {
        ask(|host| host.batch.as_ref().map(question)).flatten().unwrap_or_default()
    }

    pub(crate) fn partition() -> String {
        batch(|batch| batch.partition.clone())
    }

    pub(crate) fn sequences() -> Vec<u64> {
        batch(|batch| batch.sequences.clone())
    }

    pub(crate) fn ordinals() -> Vec<u32> {
        batch(|batch| batch.ordinals.clone())
    }

    pub(crate) fn operations() -> Vec<u8> {
        batch(|batch| batch.operations.clone())
    }

    pub(crate) fn names() -> Vec<String> {
        batch(|batch| batch.named.iter().map(|(name, _)| name.clone()).collect())
    }

    pub(crate) fn get(name: &str) -> Option<Column> {
        batch(|batch| batch.named.iter().find(|(other, _)| other == name).map(|(_, column)| column.clone()))
    }

    pub(crate) fn content_type(name: &str) -> Option<String> {
        batch(|batch| batch.content_type(name))
    }
}

pub(crate) mod context {
    use super::ask;

    pub(crate) fn get(name: &str) -> Option<String> {
        ask(|host| host.context.get(name).cloned()).flatten()
    }
}

pub(crate) mod progress {
    use super::ask;
    use crate::Span;

    pub(crate) fn delivered(records: Span) {
        ask(|host| host.progress.push(records));
    }
}

pub(crate) mod follow_ups {
    use super::ask;
    use crate::{Column, Span, bindings::wharf::connector::types, testing::FollowUp};

    pub(crate) fn add(
        action: &str,
        on: &str,
        causes: &[Span],
        keys: &types::Column,
        payloads: &types::Column,
    ) -> Result<(), String> {
        let (keys, payloads) = (Column::new(keys.clone()), Column::new(payloads.clone()));
        let causes = causes.iter().flat_map(|span| span.start..span.end);
        let values = keys.iter().zip(payloads.iter());
        let follow_ups = causes.zip(values).map(|(cause, (key, payload))| FollowUp {
            action: action.into(),
            on: on.into(),
            cause,
            key: key.map(<[u8]>::to_vec),
            payload: payload.map(<[u8]>::to_vec).unwrap_or_default(),
        });
        ask(|host| host.follow_ups.extend(follow_ups));
        Ok(())
    }
}

pub(crate) mod staged {
    use super::ask;

    pub(crate) fn read(offset: u64, length: u32) -> Result<Vec<u8>, String> {
        let file = ask(|host| host.staged.clone()).flatten().ok_or("no upload is in hand")?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(file.len());
        let end = start.saturating_add(length as usize).min(file.len());
        Ok(file[start..end].to_vec())
    }
}

pub(crate) mod log {
    use super::ask;
    pub(crate) use crate::bindings::wharf::connector::log::Level;
    use crate::testing::Line;

    pub(crate) fn write(level: Level, message: &str, fields: &[(String, String)]) {
        ask(|host| host.log.push(Line { level: level.into(), message: message.into(), fields: fields.to_vec() }));
    }

    pub(crate) fn threshold() -> Level {
        ask(|host| host.threshold).unwrap_or(Level::Error)
    }
}

pub(crate) mod metrics {
    use super::ask;

    pub(crate) fn count(name: &str, by: u64) {
        ask(|host| *host.counts.entry(name.into()).or_default() += by);
    }

    pub(crate) fn gauge(name: &str, value: f64) {
        ask(|host| host.gauges.insert(name.into(), value));
    }

    pub(crate) fn observe(name: &str, value: f64) {
        ask(|host| host.observations.entry(name.into()).or_default().push(value));
    }
}

pub(crate) mod state {
    use std::collections::BTreeMap;

    use super::ask;
    use crate::bindings::wharf::connector::state::Refusal;

    fn granted<T>(question: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> T) -> Result<T, Refusal> {
        ask(|host| host.state.as_mut().map(question)).flatten().ok_or(Refusal::NotGranted)
    }

    pub(crate) fn get(key: &str) -> Result<Option<Vec<u8>>, Refusal> {
        granted(|state| state.get(key).cloned())
    }

    pub(crate) fn put(key: &str, value: &[u8]) -> Result<(), Refusal> {
        granted(|state| state.insert(key.into(), value.into())).map(drop)
    }

    pub(crate) fn swap(key: &str, expected: Option<&[u8]>, value: Option<&[u8]>) -> Result<bool, Refusal> {
        granted(|state| {
            let as_expected = state.get(key).map(Vec::as_slice) == expected;
            match value {
                Some(value) if as_expected => drop(state.insert(key.into(), value.into())),
                None if as_expected => drop(state.remove(key)),
                _ => {}
            }
            as_expected
        })
    }

    pub(crate) fn keys(prefix: &str, after: &str, limit: u32) -> Result<Vec<String>, Refusal> {
        granted(|state| {
            let wanted = |key: &&String| key.starts_with(prefix) && key.as_str() > after;
            state.keys().filter(wanted).take(limit as usize).cloned().collect()
        })
    }
}

pub(crate) mod tokens {
    use super::ask;
    use crate::bindings::wharf::connector::tokens::Refusal;

    pub(crate) fn get(provider: &str) -> Result<String, Refusal> {
        let token = ask(|host| host.tokens.get(provider).and_then(|tokens| tokens.front().cloned())).flatten();
        token.ok_or(Refusal::NotGranted)
    }

    pub(crate) fn refused(provider: &str, token: &str) {
        ask(|host| {
            if let Some(tokens) = host.tokens.get_mut(provider)
                && tokens.len() > 1
                && tokens.front().is_some_and(|first| first == token)
            {
                tokens.pop_front();
            }
        });
    }
}
