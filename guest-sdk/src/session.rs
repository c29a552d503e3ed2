//! Between the bindings and a connector: the same on every target, so that native tests take the way a component takes.

use std::cell::RefCell;

use crate::{
    Batch, Context, Descriptor, Destination, Failure, Parameters, Problem, Processor, Settings,
    bindings::wharf::connector::types, descriptor::Package, log, processed::Parts,
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

/// The settings, read for `open`.
fn read<C: Parameters>(settings: types::Settings) -> Result<C, Failure> {
    C::read(&Settings::from_iter(settings)).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(Problem::to_string).collect();
        Failure::fatal(format!("settings that cannot be used: {}", problems.join("; ")))
    })
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
