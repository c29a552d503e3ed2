//! Between the bindings and a connector: the same on every target, so that native tests take the way a component takes.

use std::cell::RefCell;

use crate::{
    Batch, BulkDestination, Context, Descriptor, Destination, Failure, Found, Job, Lifecycle, Parameters, Probe, Problem,
    Processor, Settings, Upload,
    bindings::wharf::connector::types,
    bulk::{self, StatusParts},
    descriptor::Package,
    log,
    processed::Parts,
};

/// The descriptor as it crosses the boundary, of a connector with these parameters.
pub fn describe<C: Parameters>(describe: impl FnOnce() -> Descriptor, package: &Package) -> String {
    log::enter();
    describe().json(package, C::declare())
}

/// All that is wrong with the settings: what they cannot be read as, or else what the connector has to say.
pub fn check<C: Parameters>(check: impl FnOnce(&C) -> Vec<Problem>, settings: types::Settings) -> Vec<Problem> {
    log::enter();
    match C::read(&Settings::from_iter(settings)) {
        Ok(config) => check(&config),
        Err(problems) => problems,
    }
}

/// The settings, read for `open` or a probe.
fn read<C: Parameters>(settings: types::Settings) -> Result<C, Failure> {
    C::read(&Settings::from_iter(settings)).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(Problem::to_string).collect();
        Failure::fatal(format!("settings that cannot be used: {}", problems.join("; ")))
    })
}

/// Whether the far side is there.
pub fn reachable<P: Probe<C>, C: Parameters>(settings: types::Settings) -> Result<(), types::Failure> {
    log::enter();
    Ok(P::reachable(read(settings)?, Context::new())?)
}

/// A pipeline has it from now on.
pub fn created<L: Lifecycle<C>, C: Parameters>(event: &str, settings: types::Settings) -> Result<(), types::Failure> {
    log::enter();
    Ok(L::created(event, read(settings)?, Context::new())?)
}

/// Its settings changed.
pub fn updated<L: Lifecycle<C>, C: Parameters>(
    event: &str,
    before: types::Settings,
    after: types::Settings,
) -> Result<(), types::Failure> {
    log::enter();
    Ok(L::updated(event, Settings::from_iter(before), read(after)?, Context::new())?)
}

/// The pipeline has it no more.
pub fn deleted<L: Lifecycle<C>, C: Parameters>(event: &str, settings: types::Settings) -> Result<(), types::Failure> {
    log::enter();
    Ok(L::deleted(event, read(settings)?, Context::new())?)
}

/// A destination from `open` to `close`. The contract lends it to each call; one call runs at a time.
#[derive(Debug)]
pub struct Session<D>(RefCell<Option<D>>);

impl<D: Destination> Session<D> {
    /// Reads the settings and opens the destination with them.
    pub fn open(settings: types::Settings) -> Result<Self, types::Failure> {
        log::enter();
        let destination = D::open(read(settings)?, Context::new())?;
        Ok(Self(RefCell::new(Some(destination))))
    }

    /// Hands over a batch.
    pub fn write(&self, batch: types::Batch) -> Result<types::Receipt, types::Failure> {
        log::enter();
        match self.0.borrow_mut().as_mut() {
            Some(destination) => Ok(destination.write(&Batch::new(batch))?.into()),
            None => Err(Failure::fatal("a write into a session that was closed").into()),
        }
    }

    /// Tells of batches that are settled.
    pub fn ack(&self, batches: &[String]) {
        log::enter();
        if let Some(destination) = self.0.borrow_mut().as_mut() {
            destination.ack(batches);
        }
    }

    /// Closes the destination; a second time there is nothing to do.
    pub fn close(&self) -> Result<(), types::Failure> {
        log::enter();
        match self.0.borrow_mut().take() {
            Some(destination) => Ok(destination.close()?),
            None => Ok(()),
        }
    }
}

/// A processor from `open` to `close`.
#[derive(Debug)]
pub struct ProcessorSession<P>(RefCell<Option<P>>);

impl<P: Processor> ProcessorSession<P> {
    /// Reads the settings and opens the processor with them.
    pub fn open(settings: types::Settings) -> Result<Self, types::Failure> {
        log::enter();
        let processor = P::open(read(settings)?, Context::new())?;
        Ok(Self(RefCell::new(Some(processor))))
    }

    /// Hands over a batch.
    pub fn process(&self, batch: types::Batch) -> Result<Parts, types::Failure> {
        log::enter();
        match self.0.borrow_mut().as_mut() {
            Some(processor) => Ok(processor.process(&Batch::new(batch))?.0),
            None => Err(Failure::fatal("a batch for a session that was closed").into()),
        }
    }

    /// Closes the processor; a second time there is nothing to do.
    pub fn close(&self) -> Result<(), types::Failure> {
        log::enter();
        match self.0.borrow_mut().take() {
            Some(processor) => Ok(processor.close()?),
            None => Ok(()),
        }
    }
}

/// What is asked of an upload, as it crosses the boundary.
#[derive(Clone, Debug)]
#[doc(hidden)]
pub struct Request {
    pub intent: String,
    pub action: u32,
    pub records: u32,
    pub bytes: u64,
    pub attempt: u32,
}

impl From<Request> for Upload {
    fn from(request: Request) -> Self {
        let Request { intent, action, records, bytes, attempt } = request;
        Self { intent, action, records, bytes, attempt }
    }
}

/// What is known of an upload whose answer never came, as it crosses the boundary.
#[derive(Clone, Debug)]
#[doc(hidden)]
pub enum FoundParts {
    Absent,
    Present(bulk::Parts),
    CannotTell,
}

/// A bulk destination from `open` to `close`.
#[derive(Debug)]
pub struct BulkSession<B>(RefCell<Option<B>>);

impl<B: BulkDestination> BulkSession<B> {
    /// Reads the settings and opens the destination with them.
    pub fn open(settings: types::Settings) -> Result<Self, types::Failure> {
        log::enter();
        let bulk = B::open(read(settings)?, Context::new())?;
        Ok(Self(RefCell::new(Some(bulk))))
    }

    /// Has lines made of a batch.
    pub fn transform(&self, batch: types::Batch) -> Result<(types::Column, Vec<types::Verdict>), types::Failure> {
        self.on(|bulk| {
            let crate::Lines { lines, verdicts } = bulk.transform(&Batch::new(batch))?;
            Ok((lines, verdicts))
        })
    }

    /// Hands over a staged file.
    pub fn upload(&self, request: Request) -> Result<bulk::Parts, types::Failure> {
        self.on(|bulk| bulk.upload(&request.into())?.parts())
    }

    /// Asks how far it is.
    pub fn poll(&self, handle: &[u8]) -> Result<StatusParts, types::Failure> {
        self.on(|bulk| {
            let job = Job::found(handle)?;
            bulk.poll(&job)?.parts(&job)
        })
    }

    /// Asks what became of each record.
    pub fn stats(&self, handle: &[u8]) -> Result<types::Receipt, types::Failure> {
        self.on(|bulk| Ok(bulk.stats(&Job::found(handle)?)?.into()))
    }

    /// Asks whether an upload took effect.
    pub fn reconcile(&self, request: Request) -> Result<FoundParts, types::Failure> {
        self.on(|bulk| {
            Ok(match bulk.reconcile(&request.into())? {
                Found::Absent => FoundParts::Absent,
                Found::Present(uploaded) => FoundParts::Present(uploaded.parts()?),
                Found::CannotTell => FoundParts::CannotTell,
            })
        })
    }

    /// Tells that nobody will ask for it again.
    pub fn release(&self, handle: &[u8]) {
        // Best effort: of a handle that is none there is nothing to tidy up.
        let _released = self.on(|bulk| Job::found(handle).map(|job| bulk.release(&job)));
    }

    /// Closes the destination; a second time there is nothing to do.
    pub fn close(&self) -> Result<(), types::Failure> {
        log::enter();
        match self.0.borrow_mut().take() {
            Some(bulk) => Ok(bulk.close()?),
            None => Ok(()),
        }
    }

    fn on<T>(&self, call: impl FnOnce(&mut B) -> Result<T, Failure>) -> Result<T, types::Failure> {
        log::enter();
        match self.0.borrow_mut().as_mut() {
            Some(bulk) => Ok(call(bulk)?),
            None => Err(Failure::fatal("a call of a session that was closed").into()),
        }
    }
}
