//! `wharf:connector@0.1.0`: the contract as generated, translated to the host's own types and back.
//!
//! Nothing outside this folder sees a generated type.

mod bulk;
mod imports;
mod processor;
mod session;

pub use bulk::BulkSession;
pub use processor::ProcessorSession;
pub use session::Session;

use wasmtime::component::{InstancePre, Linker};

use crate::{
    connector::{LifeEvent, Loading, Standing, binary::Outline, settings::Problem},
    record::Failure,
    sandbox::{Call, Ended, Engine, Host, Instance, files, http, output::bounded, sockets, timely},
    store::Told,
};

/// What `write-destination` asks for and offers.
#[allow(missing_docs, reason = "generated; the contract's own comments stand in wit/")]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "wharf:connector/write-destination",
        imports: {
            // These wait for the disk or for a far side.
            "wharf:connector/staged@0.1.0": async | trappable,
            "wharf:connector/state@0.1.0": async | trappable,
            "wharf:connector/tokens@0.1.0.get": async | trappable,
            default: trappable,
        },
        exports: { default: async },
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// The one interface that every connector exports, whatever else it does.
#[allow(missing_docs, reason = "generated; the contract's own comments stand in wit/")]
mod described {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "package wharf:host; world described { export wharf:connector/connector@0.1.0; }",
        world: "wharf:host/described",
        exports: { default: async },
        ownership: Borrowing { duplicate_if_necessary: true },
        with: { "wharf:connector/types@0.1.0": super::bindings::wharf::connector::types },
    });
}

/// What a processor offers.
#[allow(missing_docs, reason = "generated; the contract's own comments stand in wit/")]
mod processing {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "package wharf:host; world processing { export wharf:connector/processor@0.1.0; }",
        world: "wharf:host/processing",
        exports: { default: async },
        ownership: Borrowing { duplicate_if_necessary: true },
        with: { "wharf:connector/types@0.1.0": super::bindings::wharf::connector::types },
    });
}

/// What a bulk destination offers.
#[allow(missing_docs, reason = "generated; the contract's own comments stand in wit/")]
mod uploading {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "package wharf:host; world uploading { export wharf:connector/bulk@0.1.0; }",
        world: "wharf:host/uploading",
        exports: { default: async },
        ownership: Borrowing { duplicate_if_necessary: true },
        with: { "wharf:connector/types@0.1.0": super::bindings::wharf::connector::types },
    });
}

/// What a connector offers that can be asked whether its far side is there.
#[allow(missing_docs, reason = "generated; the contract's own comments stand in wit/")]
mod probing {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "package wharf:host; world probing { export wharf:connector/probe@0.1.0; }",
        world: "wharf:host/probing",
        exports: { default: async },
        ownership: Borrowing { duplicate_if_necessary: true },
        with: { "wharf:connector/types@0.1.0": super::bindings::wharf::connector::types },
    });
}

/// What a connector offers that is told of its life.
#[allow(missing_docs, reason = "generated; the contract's own comments stand in wit/")]
mod living {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "package wharf:host; world living { export wharf:connector/lifecycle@0.1.0; }",
        world: "wharf:host/living",
        exports: { default: async },
        ownership: Borrowing { duplicate_if_necessary: true },
        with: { "wharf:connector/types@0.1.0": super::bindings::wharf::connector::types },
    });
}

/// What components of this version can import, linked once for an engine: the contract, all of WASI 0.2, and HTTP. What is not
/// granted answers so at run time.
pub fn linker(engine: &Engine) -> wasmtime::Result<Linker<Host>> {
    let mut linker = Linker::new(engine.wasmtime());
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    timely::add_to_linker(&mut linker)?;
    files::add_to_linker(&mut linker)?;
    sockets::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    http::add_to_linker(&mut linker)?;
    bindings::WriteDestination::add_to_linker::<Host, wasmtime::component::HasSelf<Host>>(&mut linker, |host| host)?;
    Ok(linker)
}

/// A compiled component of this version, ready to be started.
#[derive(Clone)]
pub struct Component {
    pre: InstancePre<Host>,
}

impl Component {
    /// Links a compiled component.
    pub fn link(linker: &Linker<Host>, component: &wasmtime::component::Component) -> wasmtime::Result<Self> {
        Ok(Self { pre: linker.instantiate_pre(component)? })
    }

    /// Starts an instance and asks who it is, so many times. One that says to be a destination, a bulk destination or a processor is held against the contract's types
    /// here, and not at its first record.
    pub async fn describe(&self, standing: Standing<'_>, outline: &Outline, times: u32) -> Result<Vec<String>, Loading> {
        let (mut instance, exports) = self.start(standing, Call::Describe).await?;
        if outline.offers("destination") {
            let store = instance.store().ok_or(Loading::Gone)?;
            bindings::WriteDestination::new(store, &exports).map_err(Loading::Exports)?;
        }
        if outline.offers("bulk") {
            let store = instance.store().ok_or(Loading::Gone)?;
            uploading::Uploading::new(store, &exports).map_err(Loading::Exports)?;
        }
        if outline.offers("processor") {
            let store = instance.store().ok_or(Loading::Gone)?;
            processing::Processing::new(store, &exports).map_err(Loading::Exports)?;
        }
        if outline.offers("probe") {
            let store = instance.store().ok_or(Loading::Gone)?;
            probing::Probing::new(store, &exports).map_err(Loading::Exports)?;
        }
        if outline.offers("lifecycle") {
            let store = instance.store().ok_or(Loading::Gone)?;
            living::Living::new(store, &exports).map_err(Loading::Exports)?;
        }
        let described = described::Described::new(instance.store().ok_or(Loading::Gone)?, &exports).map_err(Loading::Exports)?;
        let guest = described.wharf_connector_connector();
        let mut documents = Vec::new();
        for _ in 0..times {
            documents.push(instance.call(Call::Describe, 0, async |store| guest.call_describe(store).await).await?);
        }
        Ok(documents)
    }

    /// Starts an instance and asks what is wrong with some settings.
    pub async fn check(&self, standing: Standing<'_>, settings: &[(String, String)]) -> Result<Vec<Problem>, Loading> {
        const MOST: usize = 100;
        let redactor = standing.host.scope.redactor().clone();
        let (mut instance, exports) = self.start(standing, Call::Check).await?;
        let described = described::Described::new(instance.store().ok_or(Loading::Gone)?, &exports).map_err(Loading::Exports)?;
        let guest = described.wharf_connector_connector();
        let settings = borrowed(settings);
        let problems = instance.call(Call::Check, 0, async |store| guest.call_check(store, &settings).await).await?;
        let problems = problems.into_iter().take(MOST).map(|problem| Problem {
            // Searched for secrets before they are cut: half of one is not found.
            parameter: bounded(&redactor.text(&problem.parameter), 200),
            message: bounded(&redactor.text(&problem.message), session::MESSAGE),
            hint: None,
        });
        Ok(problems.collect())
    }

    /// Starts an instance with its grants and asks whether the far side is there. For a component that exports `probe`.
    pub async fn probe(&self, standing: Standing<'_>, settings: &[(String, String)]) -> Result<Result<(), Failure>, Loading> {
        let redactor = standing.host.scope.redactor().clone();
        let (mut instance, exports) = self.start(standing, Call::Probe).await?;
        let probing = probing::Probing::new(instance.store().ok_or(Loading::Gone)?, &exports).map_err(Loading::Exports)?;
        let guest = probing.wharf_connector_probe();
        let settings = borrowed(settings);
        let answer = instance.call(Call::Probe, 0, async |store| guest.call_reachable(store, &settings).await).await?;
        Ok(answer.map_err(|failure| session::failed(failure, &redactor)))
    }

    /// Starts an instance with its grants and tells it of its life. For a component that exports `lifecycle`.
    pub async fn tell(
        &self,
        standing: Standing<'_>,
        event: &LifeEvent,
        settings: &[(String, String)],
    ) -> Result<Result<(), Failure>, Loading> {
        let redactor = standing.host.scope.redactor().clone();
        let call = match event.what {
            Told::Created => Call::Created,
            Told::Updated => Call::Updated,
            Told::Deleted => Call::Deleted,
        };
        let (mut instance, exports) = self.start(standing, call).await?;
        let living = living::Living::new(instance.store().ok_or(Loading::Gone)?, &exports).map_err(Loading::Exports)?;
        let guest = living.wharf_connector_lifecycle();
        let (id, before, settings) = (event.id.as_str(), borrowed(&event.before), borrowed(settings));
        let told = async |store: &mut wasmtime::Store<Host>| match event.what {
            Told::Created => guest.call_created(store, id, &settings).await,
            Told::Updated => guest.call_updated(store, id, &before, &settings).await,
            Told::Deleted => guest.call_deleted(store, id, &settings).await,
        };
        let answer = instance.call(call, 0, told).await?;
        Ok(answer.map_err(|failure| session::failed(failure, &redactor)))
    }

    async fn start(&self, standing: Standing<'_>, call: Call) -> Result<(Instance, wasmtime::component::Instance), Ended> {
        Instance::start(standing.engine, &self.pre, standing.host, standing.limits, call).await
    }
}

fn borrowed(settings: &[(String, String)]) -> Vec<(&str, &str)> {
    settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
