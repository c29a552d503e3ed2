//! Metrics and health of what runs, over HTTP, for whoever watches it: `/metrics`, `/health/live`, `/health/ready`.
//!
//! **Threat.** Whoever reaches the address wears the host out with connections, endless requests or one look after the other, or steers it; a
//! component gives its figures names that break what reads them, or so many that nobody can store them. **Answer.** It only tells: there is
//! nothing to be changed by a request, whose body is not read. There are so many connections at once and no more, each for one request and a
//! bounded time, heads are small, and what costs a look into the store is kept for a moment. A component's own figures stand under
//! the names of the host, with theirs as a label; there are as many of them as `limits.metrics` lets there be.

mod collect;
mod exposition;
mod health;
mod server;

pub use exposition::{Kind, Metric};
pub use server::{ListenError, Monitor, Watched};
