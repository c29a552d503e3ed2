//! Connections of one instance, kept for its next request to the same place.
//!
//! A connection is of one instance, one grant and one origin, and is never lent to another: its address was checked by that grant for
//! that origin. It is closed where a response was not read to its end, where nobody asked for it for a while, and with its instance.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use hyper::client::conn::http1::SendRequest;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};
use wasmtime_wasi::runtime::AbortOnDropJoinHandle;

use super::body::RequestBody;
use crate::config::Origin;

/// How long a connection is kept unused: less than what servers usually wait.
const KEPT: Duration = Duration::from_secs(30);

/// How long one that was just given back may take to be ready again.
const READY: Duration = Duration::from_millis(100);

/// An open connection. Dropped, it is closed.
pub(super) struct Connection {
    pub sender: SendRequest<RequestBody>,
    // Dropped before the permit: what drives it is stopped first.
    _driver: AbortOnDropJoinHandle<()>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    pub fn new(sender: SendRequest<RequestBody>, driver: AbortOnDropJoinHandle<()>, permit: OwnedSemaphorePermit) -> Self {
        Self { sender, _driver: driver, _permit: permit }
    }
}

/// To whom a connection leads: the place of the grant among all, and the origin.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key(pub usize, pub Origin);

/// Connections that nobody uses, and room for more.
pub(super) struct Pool {
    room: Arc<Semaphore>,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    kept: Vec<(Key, Connection, Instant)>,
    /// Requests that wait for room; while there are any, nothing is kept.
    waiting: usize,
}

impl Pool {
    /// Room for so many connections, those in use and those kept together.
    pub fn new(connections: u32) -> Arc<Self> {
        Arc::new(Self { room: Arc::new(Semaphore::new(connections as usize)), idle: Mutex::default() })
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that was kept for this, and can be written to.
    pub async fn take(&self, key: &Key) -> Option<Connection> {
        loop {
            let mut connection = {
                let mut idle = self.idle();
                idle.kept.retain(|(_, connection, since)| since.elapsed() < KEPT && !connection.sender.is_closed());
                let found = idle.kept.iter().rposition(|(other, ..)| other == key)?;
                idle.kept.swap_remove(found).1
            };
            if timeout(READY, connection.sender.ready()).await.is_ok_and(|ready| ready.is_ok()) {
                return Some(connection);
            }
        }
    }

    /// Room for one more connection; waits for it, and closes one that is only kept.
    pub async fn room(&self) -> Option<OwnedSemaphorePermit> {
        struct Waiting<'a>(&'a Pool);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.idle().waiting -= 1;
            }
        }

        let _waiting = {
            let mut idle = self.idle();
            if let Ok(permit) = self.room.clone().try_acquire_owned() {
                return Some(permit);
            }
            let oldest = idle.kept.iter().enumerate().min_by_key(|(_, (.., since))| *since).map(|(index, _)| index);
            oldest.map(|index| idle.kept.swap_remove(index));
            idle.waiting += 1;
            Waiting(self)
        };
        self.room.clone().acquire_owned().await.ok()
    }
}

/// A connection while a request uses it, and the request's own place among those at once. Dropped, the connection is closed.
pub(super) struct Lease {
    pub connection: Connection,
    pub key: Key,
    pub pool: Weak<Pool>,
    /// Held for as long as the response is read.
    pub _request: OwnedSemaphorePermit,
}

impl Lease {
    /// The response was read to its end: the connection may serve another request.
    pub fn give_back(self) {
        let Some(pool) = self.pool.upgrade() else {
            return;
        };
        let mut idle = pool.idle();
        if idle.waiting == 0 && !self.connection.sender.is_closed() {
            idle.kept.push((self.key, self.connection, Instant::now()));
        }
    }
}
