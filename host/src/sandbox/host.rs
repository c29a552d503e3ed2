//! What the host keeps for one instance: the data of its store.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use thiserror::Error;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::{
    HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView,
    filesystem::{WasiFilesystemCtx, WasiFilesystemCtxView},
};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::{
    directories::DirectoryError,
    files::{Files, Layer},
    grants::Grants,
    http::Hooks,
    limiter::Limiter,
    log::Log,
    output::{Captured, Stream},
    redaction::Redactor,
    sockets::{Dialer, Open},
    staged::Staged,
    state::State,
    tokens::Tokens,
    usage::Usage,
};
use crate::{
    clock::{Clock, Deadline},
    config::{Limits, Size},
    record::{Batch, FollowUpBounds, FollowUpIntake, FollowUps, SpanSet},
};

/// Bytes that the host itself needs for a header's name and value, beside what these have.
const HEADER: usize = size_of::<http::HeaderName>() + size_of::<http::HeaderValue>();

/// Follow-ups that were not taken whose reasons are kept.
const REFUSALS: usize = 8;

/// Whom an instance works for: what the log, errors and `context` say of it. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    values: Arc<BTreeMap<String, String>>,
    redactor: Redactor,
    /// Whether `context` answers nothing.
    silent: bool,
}

impl Scope {
    /// The names that `context` answers for, and `connector` (name and version), which it does not.
    pub fn new<K: Into<String>, V: Into<String>>(values: impl IntoIterator<Item = (K, V)>) -> Self {
        let values = values.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { values: Arc::new(values), redactor: Redactor::default(), silent: false }
    }

    /// The same, with secrets that are to be seen nowhere.
    pub fn hiding(self, redactor: Redactor) -> Self {
        Self { redactor, ..self }
    }

    /// The same for an instance of a connector that is asked before any session: the log says for whom, and `context` answers nothing.
    pub(crate) fn before(&self, connector: String) -> Self {
        let parts = [("pipeline", self.pipeline()), ("destination", self.destination()), ("processor", self.processor())];
        let whose = parts.into_iter().chain([("connector", Some(&*connector))]);
        Self { silent: true, ..Self::new(whose.filter_map(|(name, value)| Some((name, value?)))) }
    }

    /// The same with other answers to some names.
    #[must_use]
    pub fn with<const N: usize>(&self, values: [(&str, String); N]) -> Self {
        let mut all = BTreeMap::clone(&self.values);
        all.extend(values.map(|(name, value)| (name.to_owned(), value)));
        Self { values: Arc::new(all), ..self.clone() }
    }

    /// The same with another version of the far side's interface, or none.
    #[must_use]
    pub fn for_version(&self, version: Option<&str>) -> Self {
        let mut all = BTreeMap::clone(&self.values);
        match version {
            Some(version) => all.insert("api-version".to_owned(), version.to_owned()),
            None => all.remove("api-version"),
        };
        Self { values: Arc::new(all), ..self.clone() }
    }

    /// Takes secrets out of what a connector says.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// The pipeline's id, where it is for one.
    pub fn pipeline(&self) -> Option<&str> {
        self.get("pipeline")
    }

    /// The destination's id, where it is for one.
    pub fn destination(&self) -> Option<&str> {
        self.get("destination")
    }

    /// The processor's id, where it is for one; with a destination's it is one of those before that destination.
    pub fn processor(&self) -> Option<&str> {
        self.get("processor")
    }

    /// The connector's name and version, once they are known.
    pub fn connector(&self) -> &str {
        self.get("connector").unwrap_or_default()
    }

    /// What `context` answers to a name.
    pub fn answer(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|_| !self.silent && name != "connector")
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }
}

/// The batch that a call is about, and what the component reported of it so far.
#[derive(Debug)]
pub struct InHand {
    /// The records.
    pub batch: Batch,
    /// Those reported delivered for good; `None` where the call delivers nothing.
    pub progress: Option<SpanSet>,
}

/// The data of an instance's store.
pub struct Host {
    pub(super) wasi: WasiCtx,
    filesystem: WasiFilesystemCtx,
    files: Files,
    pub(super) table: ResourceTable,
    pub(super) http: WasiHttpCtx,
    pub(super) hooks: Hooks,
    pub(super) limiter: Limiter,
    pub(super) stdout: Captured,
    pub(super) stderr: Captured,
    /// When the call under way has to be over.
    pub(super) deadline: Deadline,
    /// Its place among the instances that there may be; free again when the store is dropped.
    pub(super) seat: Option<OwnedSemaphorePermit>,
    pub(super) dialer: Dialer,
    /// What it is counted to hold, in bytes of memory; `None` where it is no instance yet.
    held: Option<u64>,
    /// What its sockets are children of; `None` before the first.
    pub(super) open_sockets: Option<Resource<Open>>,
    /// Whom this instance works for.
    pub scope: Scope,
    /// Set while a call is about records, and only then.
    pub in_hand: Option<InHand>,
    /// The file of the upload that a call is about, and only then.
    pub staged: Option<Staged>,
    /// The actions that follow-ups can be for, by index.
    pub actions: Arc<[Arc<str>]>,
    /// Takes follow-ups, while a call is about records whose outcome they may follow.
    pub follow_ups: Option<FollowUpIntake>,
    /// How many of them a call may add.
    follow_up_bounds: FollowUpBounds,
    /// Why follow-ups were not taken, as the component was told, since that was last asked for: the first few.
    follow_ups_refused: Vec<String>,
    /// What its destination used and tried so far.
    pub usage: Arc<Usage>,
    /// The longest message of the log, in bytes.
    pub line_limit: usize,
    /// Its durable state, where one is granted.
    pub state: Option<State>,
    /// The access tokens that it may ask for.
    pub tokens: Tokens,
    /// The most bytes that the host hands over in one answer.
    pub answer_limit: Size,
    /// The most random bytes that it makes in one call.
    pub(super) random_limit: Size,
    /// Its share of the log.
    pub log: Log,
    /// The most names of figures.
    pub metrics_limit: u32,
}

impl Host {
    /// Everything that one instance reaches: clocks, randomness, captured output, and what is granted.
    pub fn new(scope: Scope, limits: &Limits, grants: &Grants, usage: Arc<Usage>, clock: &Clock) -> Result<Self, DirectoryError> {
        // What bounds its own waits by that is not ended in the middle of one.
        let write_limit = limits.time.write.millis().to_string();
        let scope = scope.with([("write-limit-ms", write_limit)]).hiding(grants.redactor.clone());
        let line_limit = limits.output.bytes() as usize;
        let log = Log::new(scope.clone(), usage.clone(), clock.clone(), limits.log_lines);
        let stdout = Captured::new(Stream::Output, log.clone(), line_limit);
        let stderr = Captured::new(Stream::Error, log.clone(), line_limit);
        let dialer = Dialer::new(grants.sockets.clone(), limits.tcp, clock.clone(), log.clone());
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(stdout.clone())
            .stderr(stderr.clone())
            .wall_clock(WallClock(clock.clone()))
            .allow_blocking_current_thread(false);
        dialer.add_to(&mut wasi);
        let (roots, scratch) = grants.directories.open()?;
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles as usize);
        // What is counted there is names, values and what the host keeps for each.
        let mut http = WasiHttpCtx::new();
        let headers = limits.http.header_bytes.bytes() as usize;
        http.set_field_size_limit(headers + limits.http.headers as usize * HEADER);
        Ok(Self {
            wasi: wasi.build(),
            filesystem: WasiFilesystemCtx::default(),
            files: Files::new(roots, scratch, log.clone()),
            table,
            http,
            hooks: Hooks::new(grants.http.clone(), log.clone(), limits.http),
            limiter: Limiter::new(limits),
            stdout,
            stderr,
            deadline: Deadline::after(Duration::ZERO),
            seat: None,
            held: None,
            dialer,
            open_sockets: None,
            scope,
            in_hand: None,
            staged: None,
            actions: Arc::default(),
            follow_ups: None,
            follow_up_bounds: FollowUpBounds { records: limits.follow_ups, bytes: limits.follow_up_bytes.bytes() },
            follow_ups_refused: Vec::new(),
            usage,
            line_limit,
            state: grants.state.clone(),
            tokens: grants.tokens.clone(),
            answer_limit: limits.host_call_bytes,
            random_limit: limits.random_bytes,
            log,
            metrics_limit: limits.metrics,
        })
    }
}

impl Host {
    /// The call that begins is about so many records, whose outcome follow-ups may follow.
    pub fn begin_follow_ups(&mut self, records: u32) {
        self.follow_ups = Some(FollowUpIntake::new(records, self.follow_up_bounds));
    }

    /// What was added while a call was under way.
    pub fn take_follow_ups(&mut self) -> Vec<FollowUps> {
        self.follow_ups.take().map(FollowUpIntake::taken).unwrap_or_default()
    }

    /// Notes why follow-ups were not taken.
    pub fn refuse_follow_ups(&mut self, why: &str) {
        if self.follow_ups_refused.len() < REFUSALS {
            self.follow_ups_refused.push(self.scope.redactor().text(why).into_owned());
        }
    }

    /// Why follow-ups were not taken since this was last asked.
    pub fn take_refused_follow_ups(&mut self) -> Vec<String> {
        std::mem::take(&mut self.follow_ups_refused)
    }

    /// Its files, for a linker.
    pub fn files(&mut self) -> Layer<'_> {
        let wasi = WasiFilesystemCtxView { ctx: &mut self.filesystem, table: &mut self.table };
        Layer { wasi, files: &mut self.files, deadline: self.deadline }
    }
}

impl Host {
    /// It is an instance from here on, until it is dropped.
    pub(super) fn begin(&mut self) {
        self.held = Some(0);
        self.usage.began();
    }

    /// Notes what it holds by way of memory.
    pub(super) fn hold(&mut self) {
        self.usage.memory(self.limiter.memory_peak());
        if let Some(held) = &mut self.held {
            let now = self.limiter.memory();
            self.usage.holds(now, *held);
            *held = now;
        }
    }
}

/// What of its lines was dropped, and not told yet, is told at the end.
impl Drop for Host {
    fn drop(&mut self) {
        if let Some(held) = self.held {
            self.usage.let_go(held);
        }
        self.log.finish();
    }
}

/// A call that asked the host for something when its time was over.
#[derive(Debug, Error)]
#[error("its time is over")]
pub(super) struct Overdue;

impl Host {
    /// Whether the call under way may go on. Fuel counts the component's own instructions: one that has the host do the work would
    /// go on for long before it has used up a slice, so that whatever hands over lists or texts asks this first.
    pub fn in_time(&self) -> wasmtime::Result<()> {
        in_time(self.deadline)
    }
}

/// The same, where there is no more of the host than this.
pub(super) fn in_time(deadline: Deadline) -> wasmtime::Result<()> {
    if deadline.passed() { Err(Overdue.into()) } else { Ok(()) }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

/// The time of day that components see is the host's own.
struct WallClock(Clock);

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        self.0.now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
    }
}
