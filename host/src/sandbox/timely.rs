//! Calls of WASI that are held against the deadline.
//!
//! **Threat.** What a call computes is cut into slices of fuel, and after each the deadline is looked at. Fuel counts the component's own
//! instructions: a slice has room for a thousand calls of the host and more, and each can have it make, copy or search as many bytes as
//! may be handed over in one. A loop of these goes on for seconds, or for minutes, after its time was over. **Answer.** What takes or
//! gives lists and texts, and what works in proportion to a number that it is given, looks at the deadline first. So does what waits:
//! where it is ready at once, nothing else would. What is over its time by then ends; it is late by one call.
//!
//! | calls | where |
//! | --- | --- |
//! | random bytes, polls, streams | here |
//! | names and values of headers, and the parts of a request | [`super::http`] |
//! | paths and bytes of files | [`super::files`] |
//! | names that are looked up | [`super::sockets`] |
//! | the contract's own | `connector` |
//!
//! Left to wasmtime-wasi is what costs no more than some system calls, whatever it is given: clocks, single random numbers, making and
//! dropping handles, numbers of a request, options of sockets. A slice full of them came to 2 ms for clocks and random numbers, to 10 ms
//! for handles and to 20 ms for sockets, in a build for debugging.
//!
//! A host could count fuel for what it does instead. It would have to guess what that costs, and so would whoever sets a limit: a random
//! byte takes many times as long as a copied one. And to set a store's fuel begins its slice anew, so that the clock would be looked
//! at later and not earlier.

use thiserror::Error;
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::{
    p2::{
        DynInputStream, DynOutputStream, DynPollable, StreamError, StreamResult,
        bindings::{
            io::{
                poll,
                streams::{self, HostInputStream, HostOutputStream},
            },
            random::{insecure, random},
        },
    },
    random::{WasiRandomCtx, WasiRandomView},
};

use super::Host;

/// Random bytes that are made between two looks at the deadline.
const PIECE: u64 = 64 << 10;

/// A component asked for more random bytes in one call than it may.
#[derive(Debug, Error)]
#[error("more random bytes than may be asked for in one call")]
pub(super) struct TooRandom;

/// Puts these in place of wasmtime-wasi's own, which have to be linked already.
pub fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    poll::add_to_linker::<Host, HasSelf<Host>>(linker, |host| host)?;
    streams::add_to_linker::<Host, HasSelf<Host>>(linker, |host| host)?;
    random::add_to_linker::<Host, HasSelf<Host>>(linker, |host| host)?;
    insecure::add_to_linker::<Host, HasSelf<Host>>(linker, |host| host)?;
    linker.allow_shadowing(false);
    Ok(())
}

impl Host {
    fn random_bytes(
        &mut self,
        len: u64,
        some: impl Fn(&mut WasiRandomCtx, u64) -> wasmtime::Result<Vec<u8>>,
    ) -> wasmtime::Result<Vec<u8>> {
        if len > self.random_limit.bytes() {
            return Err(TooRandom.into());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(len)?);
        let mut left = len;
        while left > 0 {
            self.in_time()?;
            let piece = left.min(PIECE);
            bytes.extend_from_slice(&some(self.random(), piece)?);
            left -= piece;
        }
        Ok(bytes)
    }

    fn stream_in_time(&self) -> StreamResult<()> {
        self.in_time().map_err(StreamError::Trap)
    }
}

impl random::Host for Host {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(len, random::Host::get_random_bytes)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        random::Host::get_random_u64(self.random())
    }
}

impl insecure::Host for Host {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(len, insecure::Host::get_insecure_random_bytes)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        insecure::Host::get_insecure_random_u64(self.random())
    }
}

impl poll::Host for Host {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        self.in_time()?;
        poll::Host::poll(&mut self.table, pollables).await
    }
}

impl poll::HostPollable for Host {
    async fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.in_time()?;
        self.table.block(pollable).await
    }

    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        self.in_time()?;
        self.table.ready(pollable).await
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        poll::HostPollable::drop(&mut self.table, pollable)
    }
}

impl streams::Host for Host {
    fn convert_stream_error(&mut self, error: StreamError) -> wasmtime::Result<streams::StreamError> {
        self.table.convert_stream_error(error)
    }
}

impl HostInputStream for Host {
    fn read(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>> {
        self.stream_in_time()?;
        self.table.read(stream, len)
    }

    async fn blocking_read(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>> {
        self.stream_in_time()?;
        self.table.blocking_read(stream, len).await
    }

    fn skip(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        self.stream_in_time()?;
        self.table.skip(stream, len)
    }

    async fn blocking_skip(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        self.stream_in_time()?;
        self.table.blocking_skip(stream, len).await
    }

    fn subscribe(&mut self, stream: Resource<DynInputStream>) -> wasmtime::Result<Resource<DynPollable>> {
        HostInputStream::subscribe(&mut self.table, stream)
    }

    async fn drop(&mut self, stream: Resource<DynInputStream>) -> wasmtime::Result<()> {
        HostInputStream::drop(&mut self.table, stream).await
    }
}

impl HostOutputStream for Host {
    fn check_write(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<u64> {
        self.stream_in_time()?;
        self.table.check_write(stream)
    }

    fn write(&mut self, stream: Resource<DynOutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        self.stream_in_time()?;
        self.table.write(stream, bytes)
    }

    async fn blocking_write_and_flush(&mut self, stream: Resource<DynOutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        self.stream_in_time()?;
        self.table.blocking_write_and_flush(stream, bytes).await
    }

    fn write_zeroes(&mut self, stream: Resource<DynOutputStream>, len: u64) -> StreamResult<()> {
        self.stream_in_time()?;
        self.table.write_zeroes(stream, len)
    }

    async fn blocking_write_zeroes_and_flush(&mut self, stream: Resource<DynOutputStream>, len: u64) -> StreamResult<()> {
        self.stream_in_time()?;
        self.table.blocking_write_zeroes_and_flush(stream, len).await
    }

    fn flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        self.stream_in_time()?;
        self.table.flush(stream)
    }

    async fn blocking_flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        self.stream_in_time()?;
        self.table.blocking_flush(stream).await
    }

    fn splice(&mut self, to: Resource<DynOutputStream>, from: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        self.stream_in_time()?;
        self.table.splice(to, from, len)
    }

    async fn blocking_splice(
        &mut self,
        to: Resource<DynOutputStream>,
        from: Resource<DynInputStream>,
        len: u64,
    ) -> StreamResult<u64> {
        self.stream_in_time()?;
        self.table.blocking_splice(to, from, len).await
    }

    fn subscribe(&mut self, stream: Resource<DynOutputStream>) -> wasmtime::Result<Resource<DynPollable>> {
        HostOutputStream::subscribe(&mut self.table, stream)
    }

    async fn drop(&mut self, stream: Resource<DynOutputStream>) -> wasmtime::Result<()> {
        HostOutputStream::drop(&mut self.table, stream).await
    }
}
