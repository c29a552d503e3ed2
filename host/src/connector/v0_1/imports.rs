//! What a component may ask and tell while a call is under way.

use wasmtime::error::format_err;

use super::bindings::wharf::connector::{
    context, follow_ups, log, metrics, progress, records, staged, state, tokens,
    types::{self, ColumnResult as Column, Span},
};
use crate::{
    config::nearest,
    record::{self, ColumnParts, FollowUpFault, GivenFollowUps},
    sandbox::{Event, Figure, Host, InHand, State, StateRefusal, TokenError, output::printable},
};

/// Fields of one line of the log that are kept.
const FIELDS: usize = 32;

impl types::Host for Host {}

impl records::Host for Host {
    fn partition(&mut self) -> wasmtime::Result<String> {
        self.in_time()?;
        Ok(self.batch().map(|batch| batch.partition().to_string()).unwrap_or_default())
    }

    fn sequences(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.in_time()?;
        Ok(self.batch().map(|batch| batch.sequences().to_vec()).unwrap_or_default())
    }

    fn ordinals(&mut self) -> wasmtime::Result<Vec<u32>> {
        self.in_time()?;
        Ok(self.batch().map(|batch| batch.ordinals().to_vec()).unwrap_or_default())
    }

    fn operations(&mut self) -> wasmtime::Result<Vec<u8>> {
        self.in_time()?;
        Ok(self.batch().map(|batch| batch.operations().to_vec()).unwrap_or_default())
    }

    fn names(&mut self) -> wasmtime::Result<Vec<String>> {
        self.in_time()?;
        let Some(batch) = self.batch() else {
            return Ok(Vec::new());
        };
        let plain = [("key", batch.key()), ("before", batch.before())];
        let plain = plain.into_iter().filter(|(_, column)| column.is_some()).map(|(name, _)| name.to_owned());
        Ok(plain.chain(batch.metadata().iter().map(|(name, _)| format!("meta/{name}"))).collect())
    }

    fn get(&mut self, name: String) -> wasmtime::Result<Option<Column>> {
        self.in_time()?;
        Ok(self.batch().and_then(|batch| column(batch, &name)).map(|column| Column {
            offsets: column.offsets().into_owned(),
            data: column.data().to_vec(),
            validity: column.validity().map(std::borrow::Cow::into_owned),
        }))
    }

    fn content_type(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.in_time()?;
        Ok(self.batch().and_then(|batch| batch.content_types().get(&name)).map(str::to_owned))
    }
}

/// A column by the contract's name for it.
fn column<'a>(batch: &'a record::Batch, name: &str) -> Option<&'a record::Column> {
    match name {
        "key" => batch.key(),
        "before" => batch.before(),
        _ => batch.meta(name.strip_prefix("meta/")?),
    }
}

impl context::Host for Host {
    fn get(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.in_time()?;
        Ok(self.scope.answer(&name).map(str::to_owned))
    }
}

impl progress::Host for Host {
    fn delivered(&mut self, span: Span) -> wasmtime::Result<()> {
        self.in_time()?;
        let Some(InHand { batch, progress: Some(progress) }) = &mut self.in_hand else {
            return Err(format_err!("progress was reported outside of write"));
        };
        let (span, count) = (record::Span::new(span.start, span.end), batch.count());
        if span.is_empty() || span.end > count {
            return Err(format_err!("progress reported the span {span} of a batch of {count} records"));
        }
        progress.insert(span);
        Ok(())
    }
}

impl follow_ups::Host for Host {
    fn add(
        &mut self,
        action: String,
        on: String,
        causes: Vec<Span>,
        keys: Column,
        payloads: Column,
    ) -> wasmtime::Result<Result<(), String>> {
        self.in_time()?;
        let added = add(self, action, on, causes, keys, payloads);
        if let Err(why) = &added {
            self.refuse_follow_ups(why);
        }
        Ok(added)
    }
}

fn add(host: &mut Host, action: String, on: String, causes: Vec<Span>, keys: Column, payloads: Column) -> Result<(), String> {
    let Some(intake) = &mut host.follow_ups else {
        Host::refused(host, "follow-ups", &action);
        return Err("not granted: follow-ups are taken in `write` and in calls about files, where records wait for some action of the destination".into());
    };
    let known = (0..).zip(&*host.actions).find(|(_, name)| ***name == *action);
    let Some((index, name)) = known else {
        let name = cut(&action, 200).to_owned();
        let near = nearest(&name, host.actions.iter().map(|action| &**action)).map(str::to_owned);
        return Err(FollowUpFault::Action { name, near }.to_string());
    };
    let causes = causes.into_iter().map(|span| record::Span::new(span.start, span.end)).collect();
    let column = |column: Column| ColumnParts { offsets: column.offsets, data: column.data, validity: column.validity };
    let given = GivenFollowUps { on, causes, keys: column(keys), payloads: column(payloads) };
    intake.add((index, name.clone()), given).map_err(|fault| fault.to_string())
}

impl staged::Host for Host {
    async fn read(&mut self, offset: u64, length: u32) -> wasmtime::Result<Result<Vec<u8>, String>> {
        self.in_time()?;
        let Some(file) = &self.staged else {
            return Ok(Err("no upload is in hand".into()));
        };
        let most = u32::try_from(self.answer_limit.bytes()).unwrap_or(u32::MAX);
        Ok(file.read(offset, length.min(most)).await.map_err(|error| error.to_string()))
    }
}

impl log::Host for Host {
    fn write(&mut self, level: log::Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        self.in_time()?;
        let enabled = match level {
            log::Level::Trace => tracing::enabled!(target: "wharf::connector", tracing::Level::TRACE),
            log::Level::Debug => tracing::enabled!(target: "wharf::connector", tracing::Level::DEBUG),
            log::Level::Info => tracing::enabled!(target: "wharf::connector", tracing::Level::INFO),
            log::Level::Warn => tracing::enabled!(target: "wharf::connector", tracing::Level::WARN),
            log::Level::Error => tracing::enabled!(target: "wharf::connector", tracing::Level::ERROR),
        };
        if !enabled || !self.log.admits() {
            return Ok(());
        }
        // Before anything is cut: half a secret is not found.
        let redactor = self.scope.redactor();
        let mut line = cut(&redactor.text(&message), self.line_limit).to_owned();
        for (name, value) in fields.iter().take(FIELDS) {
            let (name, value) = (redactor.text(name), redactor.text(value));
            if line.len() + name.len() >= self.line_limit {
                break;
            }
            let room = self.line_limit - line.len() - name.len();
            line.push_str(&format!(" {name}={}", cut(&value, room)));
        }
        let line = printable(&line, false);
        let (pipeline, destination, processor) = (self.scope.pipeline(), self.scope.destination(), self.scope.processor());
        match level {
            log::Level::Trace => tracing::trace!(target: "wharf::connector", pipeline, destination, processor, "{line}"),
            log::Level::Debug => tracing::debug!(target: "wharf::connector", pipeline, destination, processor, "{line}"),
            log::Level::Info => tracing::info!(target: "wharf::connector", pipeline, destination, processor, "{line}"),
            log::Level::Warn => tracing::warn!(target: "wharf::connector", pipeline, destination, processor, "{line}"),
            log::Level::Error => tracing::error!(target: "wharf::connector", pipeline, destination, processor, "{line}"),
        }
        Ok(())
    }

    fn threshold(&mut self) -> wasmtime::Result<log::Level> {
        self.in_time()?;
        use tracing::level_filters::LevelFilter;
        Ok(match LevelFilter::current() {
            LevelFilter::TRACE => log::Level::Trace,
            LevelFilter::DEBUG => log::Level::Debug,
            LevelFilter::INFO => log::Level::Info,
            LevelFilter::WARN => log::Level::Warn,
            // "off" has no word of its own in the contract.
            _ => log::Level::Error,
        })
    }
}

/// The beginning of a text that fits into so many bytes.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// A connector's own figures: kept for the end of the run, and seen with the log's level at `debug`.
impl metrics::Host for Host {
    fn count(&mut self, name: String, by: u64) -> wasmtime::Result<()> {
        self.in_time()?;
        self.figure(&name, Figure::Count(by), format_args!("+{by}"));
        Ok(())
    }

    fn gauge(&mut self, name: String, value: f64) -> wasmtime::Result<()> {
        self.in_time()?;
        self.figure(&name, Figure::Gauge(value), format_args!("{value}"));
        Ok(())
    }

    fn observe(&mut self, name: String, value: f64) -> wasmtime::Result<()> {
        self.in_time()?;
        self.figure(&name, Figure::observed(value), format_args!("{value}"));
        Ok(())
    }
}

impl state::Host for Host {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, state::Refusal>> {
        self.in_time()?;
        Ok(match self.state_granted(&key) {
            Ok(state) => state.get(key).await.map_err(Into::into),
            Err(refusal) => Err(refusal),
        })
    }

    async fn put(&mut self, key: String, value: Vec<u8>) -> wasmtime::Result<Result<(), state::Refusal>> {
        self.in_time()?;
        Ok(match self.state_granted(&key) {
            Ok(state) => state.put(key, value).await.map_err(Into::into),
            Err(refusal) => Err(refusal),
        })
    }

    async fn swap(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
    ) -> wasmtime::Result<Result<bool, state::Refusal>> {
        self.in_time()?;
        Ok(match self.state_granted(&key) {
            Ok(state) => state.swap(key, expected, value).await.map_err(Into::into),
            Err(refusal) => Err(refusal),
        })
    }

    async fn keys(&mut self, prefix: String, after: String, limit: u32) -> wasmtime::Result<Result<Vec<String>, state::Refusal>> {
        self.in_time()?;
        let most = self.answer_limit;
        Ok(match self.state_granted(&prefix) {
            Ok(state) => state.keys(prefix, after, limit, most).await.map_err(Into::into),
            Err(refusal) => Err(refusal),
        })
    }
}

impl From<StateRefusal> for state::Refusal {
    fn from(refusal: StateRefusal) -> Self {
        match refusal {
            StateRefusal::OverQuota => Self::OverQuota,
            StateRefusal::Unavailable(why) => Self::Unavailable(why),
        }
    }
}

impl tokens::Host for Host {
    async fn get(&mut self, provider: String) -> wasmtime::Result<Result<String, tokens::Refusal>> {
        self.in_time()?;
        let Some(source) = self.tokens.of(&provider) else {
            Host::refused(self, "tokens", &provider);
            return Ok(Err(tokens::Refusal::NotGranted));
        };
        Ok(source
            .token(&provider)
            .await
            .map(|token| {
                // It is the component's now, and no reader's of its log.
                self.scope.redactor().learn(token.expose());
                self.tokens.lend(&provider, &token);
                token.expose().to_owned()
            })
            .map_err(|error| match error {
                TokenError::Revoked(why) => tokens::Refusal::Revoked(why),
                TokenError::Unavailable(why) => tokens::Refusal::Unavailable(why),
            }))
    }

    fn refused(&mut self, provider: String, token: String) -> wasmtime::Result<()> {
        self.in_time()?;
        match self.tokens.of(&provider) {
            Some(source) => source.refused(&provider, &token),
            None => Host::refused(self, "tokens", &provider),
        }
        Ok(())
    }
}

impl Host {
    fn batch(&self) -> Option<&record::Batch> {
        self.in_hand.as_ref().map(|in_hand| &in_hand.batch)
    }

    /// Notes that something was tried that is not granted.
    fn refused(&self, capability: &str, what: &str) {
        let what = self.scope.redactor().text(what);
        let what = printable(cut(&what, 200), false);
        self.log.refused(Event::Refused, capability, what, "not granted");
    }

    /// The state, where one is granted; that it was asked for is noted where it is not.
    fn state_granted(&self, key: &str) -> Result<&State, state::Refusal> {
        self.state.as_ref().ok_or_else(|| {
            self.refused("state", key);
            state::Refusal::NotGranted
        })
    }

    fn figure(&self, name: &str, figure: Figure, value: std::fmt::Arguments<'_>) {
        let name = &self.scope.redactor().text(name);
        if !self.usage.figures().take(name, figure, self.metrics_limit) {
            self.usage.note(Event::MetricDropped);
        } else if tracing::enabled!(target: "wharf::metrics", tracing::Level::DEBUG) && self.log.admits() {
            let (pipeline, destination, processor) = (self.scope.pipeline(), self.scope.destination(), self.scope.processor());
            tracing::debug!(target: "wharf::metrics", pipeline, destination, processor, "{name} {value}");
        }
    }
}
