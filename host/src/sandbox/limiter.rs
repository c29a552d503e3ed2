//! Memory, tables and core instances of one store.

use wasmtime::ResourceLimiter;

use crate::config::Limits;

/// What a component was denied last, kept because it usually answers with a trap that says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Memory, in bytes, over all of the component's memories.
    Memory {
        /// What it would have come to.
        wanted: u64,
    },
    /// Entries of all tables together.
    TableElements {
        /// What it would have come to.
        wanted: u64,
    },
}

/// Counts what one store holds, over all of its memories and tables together.
#[derive(Debug)]
pub struct Limiter {
    memory: u64,
    memory_limit: u64,
    memory_peak: u64,
    elements: u64,
    elements_limit: u64,
    instances: usize,
    tables: usize,
    memories: usize,
    denied: Option<Denied>,
}

impl Limiter {
    /// Limits as configured.
    pub fn new(limits: &Limits) -> Self {
        Self {
            memory: 0,
            memory_limit: limits.memory.bytes(),
            memory_peak: 0,
            elements: 0,
            elements_limit: limits.table_elements.into(),
            instances: limits.instances as usize,
            tables: limits.tables as usize,
            memories: limits.memories as usize,
            denied: None,
        }
    }

    /// The memory that is held, in bytes.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// The most memory that was held, in bytes.
    pub fn memory_peak(&self) -> u64 {
        self.memory_peak
    }

    /// How much more memory may be taken, in bytes.
    pub fn memory_left(&self) -> u64 {
        self.memory_limit.saturating_sub(self.memory)
    }

    /// What was denied last, and forgets it.
    pub fn take_denied(&mut self) -> Option<Denied> {
        self.denied.take()
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = self.memory - current as u64 + desired as u64;
        if wanted > self.memory_limit {
            self.denied = Some(Denied::Memory { wanted });
            return Ok(false);
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.memory = wanted;
        self.memory_peak = self.memory_peak.max(wanted);
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = self.elements - current as u64 + desired as u64;
        if wanted > self.elements_limit {
            self.denied = Some(Denied::TableElements { wanted });
            return Ok(false);
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.elements = wanted;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memories(&self) -> usize {
        self.memories
    }
}
