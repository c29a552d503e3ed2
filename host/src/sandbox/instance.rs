//! One instance: started, called under limits, and thrown away whole after a failure.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use thiserror::Error;
use tracing::{Instrument as _, Span};
use wasmtime::{
    Store, Trap, WasmBacktrace,
    component::{InstancePre, ResourceTableError},
};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi_http::FieldMapError;

use super::{
    engine::{Engine, SLICE, STACK},
    host::{Host, InHand, Overdue},
    limiter::Denied,
    output::bounded,
    timely::TooRandom,
};
use crate::{
    clock::Deadline,
    config::{Limits, Size},
};

/// The calls that a host makes, each with a time limit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Who are you?
    Describe,
    /// Do these settings make sense?
    Check,
    /// Is the far side there?
    Probe,
    /// A pipeline has you from now on.
    Created,
    /// Your settings changed.
    Updated,
    /// The pipeline has you no more.
    Deleted,
    /// Make ready.
    Open,
    /// Take these records.
    Write,
    /// Change these records.
    Process,
    /// Make lines of these records.
    Transform,
    /// Take this file.
    Upload,
    /// How far is this upload?
    Poll,
    /// What became of the records of this upload?
    Stats,
    /// Did this upload take effect?
    Reconcile,
    /// Nobody will ask for this upload again.
    Release,
    /// These are settled.
    Ack,
    /// Come to an end.
    Close,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Describe,
        Self::Check,
        Self::Probe,
        Self::Created,
        Self::Updated,
        Self::Deleted,
        Self::Open,
        Self::Write,
        Self::Process,
        Self::Transform,
        Self::Upload,
        Self::Poll,
        Self::Stats,
        Self::Reconcile,
        Self::Release,
        Self::Ack,
        Self::Close,
    ];

    /// The contract's word for it, which is also the key of its time limit.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Describe => "describe",
            Self::Check => "check",
            Self::Probe => "probe",
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Open => "open",
            Self::Write => "write",
            Self::Process => "process",
            Self::Transform => "transform",
            Self::Upload => "upload",
            Self::Poll => "poll",
            Self::Stats => "stats",
            Self::Reconcile => "reconcile",
            Self::Release => "release",
            Self::Ack => "ack",
            Self::Close => "close",
        }
    }

    fn time(self, limits: &Limits) -> Duration {
        let times = &limits.time;
        match self {
            Self::Describe => times.describe,
            Self::Check => times.check,
            Self::Probe => times.probe,
            Self::Created => times.created,
            Self::Updated => times.updated,
            Self::Deleted => times.deleted,
            Self::Open => times.open,
            Self::Write => times.write,
            Self::Process => times.process,
            Self::Transform => times.transform,
            Self::Upload => times.upload,
            Self::Poll => times.poll,
            Self::Stats => times.stats,
            Self::Reconcile => times.reconcile,
            Self::Release => times.release,
            Self::Ack => times.ack,
            Self::Close => times.close,
        }
        .duration()
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What ended an instance.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Reason {
    /// It computed more than it may.
    #[error("computed more than {limit} units of fuel (limits.fuel-per-call{})", if *records > 0 { " and limits.fuel-per-record" } else { "" })]
    Fuel {
        /// What the call was given.
        limit: u64,
        /// For how many records.
        records: u32,
    },
    /// It took longer than it may.
    #[error("took longer than {limit:?} (limits.time.{call})")]
    Time {
        /// In which call.
        call: Call,
        /// How long it may take.
        limit: Duration,
    },
    /// It wanted more memory than it may have.
    #[error("wanted {wanted} bytes of memory and may have {limit} (limits.memory)")]
    Memory {
        /// What it would have come to, in bytes.
        wanted: u64,
        /// What it may have.
        limit: Size,
    },
    /// It wanted more table entries than it may have.
    #[error("wanted {wanted} table entries and may have {limit} (limits.table-elements)")]
    TableElements {
        /// What it would have come to.
        wanted: u64,
        /// What it may have.
        limit: u32,
    },
    /// It has more core instances, memories or tables than it may have.
    #[error("is made of more than {limit} {parts} (limits.{parts})")]
    Parts {
        /// Which, by the key of their limit.
        parts: &'static str,
        /// How many it may have.
        limit: u32,
    },
    /// It asked for more random bytes in one call than it may.
    #[error("asked for more than {limit} of random bytes in one call (limits.random-bytes)")]
    RandomBytes {
        /// For how many it may ask.
        limit: Size,
    },
    /// It handed over more than it may, in one call of the host or in an answer.
    #[error("handed over more than {limit} in one call (limits.host-call-bytes)")]
    HostCallBytes {
        /// How much it may hand over.
        limit: Size,
    },
    /// It set more headers on one request than it may.
    #[error("set more headers than {headers}, or more than {bytes} of them (limits.http.headers, limits.http.header-bytes)")]
    Headers {
        /// How many it may set.
        headers: u32,
        /// How much they may have.
        bytes: Size,
    },
    /// It held more handles than it may.
    #[error("held more than {limit} handles (limits.handles)")]
    Handles {
        /// How many it may hold.
        limit: u32,
    },
    /// There were as many instances in the process as there may be, all the time that the call may take.
    #[error("waited {waited:?} for one of {limit} instances in this process to end (process.instances)")]
    Crowded {
        /// How many there may be.
        limit: u32,
        /// How long it waited.
        waited: Duration,
    },
    /// It called itself too deeply.
    #[error("called itself too deeply: its stack has {} KiB", STACK >> 10)]
    Stack,
    /// It called `exit`, which ends a program and not a session.
    #[error("called exit({0}), which a connector must not")]
    Exit(i32),
    /// It trapped: a panic, an abort, a fault.
    #[error("{what}")]
    Trap {
        /// What happened, and in which of its functions.
        what: String,
    },
    /// The call was given up before it ended, so that nobody knows where it stands.
    #[error("the call was abandoned")]
    Abandoned,
}

impl Reason {
    /// Whether it met a limit, which an operator can raise.
    pub const fn is_limit(&self) -> bool {
        !matches!(self, Self::Stack | Self::Exit(_) | Self::Trap { .. } | Self::Abandoned)
    }
}

/// An instance ended, and why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct Ended {
    /// In which call.
    pub call: Call,
    /// Why.
    pub reason: Reason,
    /// What it wrote to its standard error last, if anything.
    pub stderr: Option<String>,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if matches!(self.reason, Reason::Crowded { .. }) { "got no instance" } else { "ended its instance" };
        write!(f, "{} {what}: {}", self.call, self.reason)?;
        if let Some(stderr) = &self.stderr {
            write!(f, "; it had written: {stderr}")?;
        }
        Ok(())
    }
}

/// A running component, with the store that is its alone.
pub struct Instance {
    /// `None` once it has ended, and while a call is under way: a call that is abandoned takes the store with it.
    store: Option<Store<Host>>,
    limits: Arc<Limits>,
    /// False in a benchmark alone.
    metered: bool,
    /// What the call that ended it was about.
    left: Option<InHand>,
}

/// How a call came out.
enum Came<R> {
    Back(wasmtime::Result<R>),
    Late,
}

impl Instance {
    /// Starts a component. Every limit is set before its first instruction, which runs here and not in the first call.
    ///
    /// Where there are as many instances as there may be, it waits for another's end, as long as the call itself may take.
    pub async fn start(
        engine: &Engine,
        component: &InstancePre<Host>,
        mut host: Host,
        limits: Arc<Limits>,
        call: Call,
    ) -> Result<(Self, wasmtime::component::Instance), Ended> {
        let waited = call.time(&limits);
        let seat = tokio::time::timeout(waited, engine.seats().clone().acquire_owned()).await;
        let Ok(Ok(seat)) = seat else {
            let reason = Reason::Crowded { limit: engine.process().instances, waited };
            return Err(Ended { call, reason, stderr: None });
        };
        host.seat = Some(seat);
        host.begin();
        let mut store = Store::new(engine.wasmtime(), host);
        let metered = engine.metered();
        if metered {
            store.limiter(|host| &mut host.limiter);
        }
        store.set_hostcall_fuel(usize::try_from(limits.host_call_bytes.bytes()).unwrap_or(usize::MAX));
        store.set_max_component_handles(limits.handles as usize);
        let mut instance = Self { store: Some(store), limits, metered, left: None };
        let started = instance.call(call, 0, async |store| component.instantiate_async(store).await).await?;
        Ok((instance, started))
    }

    /// What the host keeps for it, to set up what the next call is about; `None` once it has ended.
    pub fn host(&mut self) -> Option<&mut Host> {
        self.store.as_mut().map(Store::data_mut)
    }

    /// The store, to look up exports; `None` once it has ended.
    pub fn store(&mut self) -> Option<&mut Store<Host>> {
        self.store.as_mut()
    }

    /// Runs one call under the limits for so many records.
    ///
    /// Whatever goes wrong drops the store. So does dropping the future before it ends: the component stands in the middle of
    /// something then, and must not be entered again.
    pub async fn call<R>(
        &mut self,
        call: Call,
        records: u32,
        run: impl AsyncFnOnce(&mut Store<Host>) -> wasmtime::Result<R>,
    ) -> Result<R, Ended> {
        let Some(mut store) = self.store.take() else {
            return Err(Ended { call, reason: Reason::Abandoned, stderr: None });
        };
        let fuel = self.limits.fuel_per_call.saturating_add(self.limits.fuel_per_record.saturating_mul(records.into()));
        let deadline = Deadline::after(call.time(&self.limits));
        store.data_mut().deadline = deadline;
        let (span, began) = (span(store.data(), call, records), Instant::now());
        // What an earlier call was denied and got over is no reason of this one.
        store.data_mut().limiter.take_denied();
        let fuelled = match self.metered {
            true => store.fuel_async_yield_interval(Some(SLICE)).and_then(|()| store.set_fuel(fuel)),
            false => Ok(()),
        };
        let came = match fuelled {
            Err(error) => Came::Back(Err(error)),
            Ok(()) => match tokio::time::timeout_at(deadline.instant(), run(&mut store)).instrument(span.clone()).await {
                Ok(result) => Came::Back(result),
                Err(_) => Came::Late,
            },
        };
        // What it wrote last is of this call too.
        let _entered = span.enter();
        let used = if self.metered { fuel.saturating_sub(store.get_fuel().unwrap_or_default()) } else { 0 };
        store.data_mut().hold();
        let usage = &store.data().usage;
        usage.called(call, began.elapsed(), used);
        if records > 0 {
            usage.computed(used, records);
        }
        // Its file is in hand for this call alone.
        store.data_mut().staged = None;
        let error = match came {
            Came::Back(Ok(result)) => {
                self.store = Some(store);
                return Ok(result);
            }
            Came::Back(Err(error)) => Some(error),
            Came::Late => None,
        };
        let out_of_fuel = Reason::Fuel { limit: fuel, records };
        let reason = self.reason(call, out_of_fuel, store.data_mut().limiter.take_denied(), error);
        self.left = store.data_mut().in_hand.take();
        store.data().usage.ended();
        store.data().stdout.finish();
        Err(Ended { call, reason, stderr: store.data().stderr.finish() })
    }

    /// Takes back what the last call was about, together with what was reported of it, also where the call ended the instance.
    pub fn take_in_hand(&mut self) -> Option<InHand> {
        let left = self.left.take();
        left.or_else(|| self.host().and_then(|host| host.in_hand.take()))
    }

    /// The most memory that it held so far, in bytes.
    pub fn memory_peak(&self) -> u64 {
        self.store.as_ref().map_or(0, |store| store.data().limiter.memory_peak())
    }

    /// How much more memory it may take, in bytes; 0 once it has ended.
    pub fn memory_left(&self) -> u64 {
        self.store.as_ref().map_or(0, |store| store.data().limiter.memory_left())
    }

    /// Tells from what came back, and from what the host remembers, which limit was met; by type wherever there is one.
    fn reason(&self, call: Call, out_of_fuel: Reason, denied: Option<Denied>, error: Option<wasmtime::Error>) -> Reason {
        let limits = &self.limits;
        let time = Reason::Time { call, limit: call.time(limits) };
        let Some(error) = error else {
            return time;
        };
        if error.is::<Overdue>() {
            return time;
        }
        if let Some(exit) = error.downcast_ref::<I32Exit>() {
            return Reason::Exit(exit.0);
        }
        let trap = error.downcast_ref::<Trap>();
        match trap {
            Some(Trap::OutOfFuel) => return out_of_fuel,
            Some(Trap::StackOverflow) => return Reason::Stack,
            _ => {}
        }
        // A component that is denied memory usually traps with a word that says nothing of it.
        match denied {
            Some(Denied::Memory { wanted }) => return Reason::Memory { wanted, limit: limits.memory },
            Some(Denied::TableElements { wanted }) => {
                return Reason::TableElements { wanted, limit: limits.table_elements };
            }
            None => {}
        }
        if error.is::<TooRandom>() {
            return Reason::RandomBytes { limit: limits.random_bytes };
        }
        if error.downcast_ref::<FieldMapError>().is_some() {
            return Reason::Headers { headers: limits.http.headers, bytes: limits.http.header_bytes };
        }
        if matches!(error.downcast_ref::<ResourceTableError>(), Some(ResourceTableError::Full)) {
            return Reason::Handles { limit: limits.handles };
        }
        // These have no type of their own; tests hold the words.
        let root = error.root_cause().to_string();
        let known = [
            ("fuel allocated for hostcalls", Reason::HostCallBytes { limit: limits.host_call_bytes }),
            ("store handle limit exceeded", Reason::Handles { limit: limits.handles }),
            ("limit exceeded: instance count", Reason::Parts { parts: "instances", limit: limits.instances }),
            ("limit exceeded: memory count", Reason::Parts { parts: "memories", limit: limits.memories }),
            ("limit exceeded: table count", Reason::Parts { parts: "tables", limit: limits.tables }),
        ];
        if let Some((_, reason)) = known.into_iter().find(|(words, _)| root.contains(words)) {
            return reason;
        }
        let what = trap.map_or(root, |trap| trap.to_string());
        Reason::Trap { what: bounded(&format!("{what}{}", frames(&error)), 1 << 10) }
    }
}

/// What the log says of whatever happens in a call. Nothing is looked up where nobody reads it.
fn span(host: &Host, call: Call, records: u32) -> Span {
    let scope = &host.scope;
    tracing::info_span!(
        target: "wharf::call",
        "call",
        pipeline = scope.pipeline(),
        destination = scope.destination(),
        processor = scope.processor(),
        connector = Some(scope.connector()).filter(|connector| !connector.is_empty()),
        call = call.name(),
        batch = host.in_hand.as_ref().map(|in_hand| in_hand.batch.id()),
        records = Some(records).filter(|records| *records > 0),
    )
}

/// The component's functions that a trap passed through, innermost first, where they have names.
fn frames(error: &wasmtime::Error) -> String {
    const SHOWN: usize = 4;
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else {
        return String::new();
    };
    let mut named = trace.frames().iter().filter_map(|frame| frame.func_name());
    let mut shown = String::new();
    for name in named.by_ref().take(SHOWN) {
        shown.push_str(if shown.is_empty() { ", in " } else { " < " });
        shown.extend(name.chars().take(80));
    }
    shown
}
