//! Where components are called: on threads of their own.
//!
//! **Threat.** An executor has a thread for each processor and goes from one task to another only where a task waits. A component lets
//! others run after a slice of fuel, and fuel counts its instructions and not the host's: one that calls the host over and over, or
//! fills its memory at one stroke, keeps a thread for as long as that takes, and as many of them as there are threads keep everybody
//! waiting, timers and sockets included. **Answer.** Whoever calls components does so on a thread that nothing else runs on. The
//! operating system shares the processors out between all threads, whatever they do, and the executor's own stay free.

use tokio::{runtime::Handle, task::JoinHandle};
use tracing::dispatcher;

/// Runs what calls components to its end, on a thread of its own. It waits by the executor of the caller, and logs where the caller does.
///
/// It cannot be aborted: what is to end it early has to reach it by a channel.
pub fn spawn<F>(calls: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let (executor, log) = (Handle::current(), dispatcher::get_default(Clone::clone));
    tokio::task::spawn_blocking(move || dispatcher::with_default(&log, || executor.block_on(calls)))
}
