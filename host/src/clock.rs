//! The one place time comes from.
//!
//! Whatever waits, backs off, keeps a schedule or writes a date asks the [`Clock`] that it was handed. A test hands out a
//! [`VirtualClock`] and lets days pass in milliseconds, without touching tokio's own clock: sockets and channels go on as they
//! are. How long a call into a component may take is real time on purpose ([`Deadline`]): it bounds what a processor does.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::oneshot;

/// A future that ends when the time has come.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tells the time and waits for it.
pub trait Time: fmt::Debug + Send + Sync {
    /// The date and time of day, which may jump.
    fn now(&self) -> SystemTime;

    /// Time since the clock was made, which never goes back.
    fn elapsed(&self) -> Duration;

    /// Ends once `for_` has passed.
    fn sleep(&self, for_: Duration) -> Sleep;

    /// A length of time between nothing and `most`, drawn evenly, so that those who wait for one thing do not all come back at once.
    fn jitter(&self, most: Duration) -> Duration {
        most.mul_f64(fastrand::f64())
    }
}

/// A clock to hand around; clones share it.
#[derive(Clone, Debug)]
pub struct Clock(Arc<dyn Time>);

impl Clock {
    /// The machine's own clock.
    pub fn system() -> Self {
        Self(Arc::new(SystemTimeOfDay { started: Instant::now() }))
    }

    /// A clock of the caller's own making.
    pub fn new(time: impl Time + 'static) -> Self {
        Self(Arc::new(time))
    }

    /// The date and time of day, which may jump.
    pub fn now(&self) -> SystemTime {
        self.0.now()
    }

    /// Time since the clock was made, which never goes back.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// Waits until `for_` has passed.
    pub async fn sleep(&self, for_: Duration) {
        self.0.sleep(for_).await;
    }

    /// A length of time between nothing and `most`, drawn evenly; on a [`VirtualClock`] as that has it.
    pub fn jitter(&self, most: Duration) -> Duration {
        self.0.jitter(most)
    }

    /// The time of day in milliseconds since 1970.
    pub fn millis(&self) -> u64 {
        let since = self.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// The time of day as RFC 3339 in UTC, to the millisecond.
    pub fn rfc3339(&self) -> String {
        rfc3339(self.now())
    }

    /// The same of so long ago; `None` where that is before time began.
    pub fn rfc3339_before(&self, ago: Duration) -> Option<String> {
        let then = self.now().checked_sub(ago)?;
        (then >= SystemTime::UNIX_EPOCH).then(|| rfc3339(then))
    }
}

/// A moment in milliseconds since 1970 as RFC 3339 in UTC; the beginning of 1970 where it lies too far ahead for a date.
pub fn rfc3339_of(millis: u64) -> String {
    let moment = i64::try_from(millis).ok().and_then(chrono::DateTime::from_timestamp_millis).unwrap_or_default();
    moment.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

fn rfc3339(time: SystemTime) -> String {
    chrono::DateTime::<chrono::Utc>::from(time).to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

#[derive(Debug)]
struct SystemTimeOfDay {
    started: Instant,
}

impl Time for SystemTimeOfDay {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, for_: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(for_))
    }
}

/// A clock that stands still until a test moves it.
///
/// ```
/// use std::time::Duration;
/// use wharf::clock::VirtualClock;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let time = VirtualClock::new();
/// let clock = time.clock();
/// let waiting = tokio::spawn(async move { clock.sleep(Duration::from_secs(86_400)).await });
/// time.sleepers(1).await;
/// time.advance(Duration::from_secs(86_400));
/// waiting.await.unwrap();
/// # });
/// ```
#[derive(Clone, Debug, Default)]
pub struct VirtualClock(Arc<Mutex<Virtual>>);

#[derive(Debug, Default)]
struct Virtual {
    elapsed: Duration,
    draws: Option<fastrand::Rng>,
    asleep: BTreeMap<(Duration, u64), oneshot::Sender<()>>,
    count: u64,
}

impl VirtualClock {
    /// A clock at the beginning of 1970.
    pub fn new() -> Self {
        Self::default()
    }

    /// A clock that draws lengths of time, always the same ones for one seed. One without a seed gives the longest.
    pub fn seeded(seed: u64) -> Self {
        let clock = Self::default();
        clock.lock().draws = Some(fastrand::Rng::with_seed(seed));
        clock
    }

    /// The clock to hand to what is tested.
    pub fn clock(&self) -> Clock {
        Clock(Arc::new(self.clone()))
    }

    /// Lets time pass and wakes whom it wakes.
    pub fn advance(&self, by: Duration) {
        let mut inner = self.lock();
        inner.elapsed += by;
        let now = inner.elapsed;
        while let Some(entry) = inner.asleep.first_entry() {
            if entry.key().0 > now {
                break;
            }
            // Whoever slept may have gone away.
            let _gone = entry.remove().send(());
        }
    }

    /// Moves to the moment at which the next sleeper wakes; false where nobody sleeps.
    pub fn advance_to_next(&self) -> bool {
        let next = {
            let mut inner = self.lock();
            inner.asleep.retain(|_, waker| !waker.is_closed());
            inner.asleep.keys().next().map(|(at, _)| at.saturating_sub(inner.elapsed))
        };
        match next {
            Some(by) => {
                self.advance(by);
                true
            }
            None => false,
        }
    }

    /// Waits until at least `count` are asleep.
    pub async fn sleepers(&self, count: usize) {
        loop {
            {
                let mut inner = self.lock();
                inner.asleep.retain(|_, waker| !waker.is_closed());
                if inner.asleep.len() >= count {
                    return;
                }
            }
            tokio::task::yield_now().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Virtual> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Time for VirtualClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.lock().elapsed
    }

    fn elapsed(&self) -> Duration {
        self.lock().elapsed
    }

    fn jitter(&self, most: Duration) -> Duration {
        self.lock().draws.as_mut().map_or(most, |draws| most.mul_f64(draws.f64()))
    }

    fn sleep(&self, for_: Duration) -> Sleep {
        let mut inner = self.lock();
        if for_.is_zero() {
            return Box::pin(std::future::ready(()));
        }
        let (waker, woken) = oneshot::channel();
        let at = (inner.elapsed.saturating_add(for_), inner.count);
        inner.count += 1;
        inner.asleep.insert(at, waker);
        Box::pin(async move {
            // The clock itself went away: nothing will ever wake this again, so it ends.
            let _ended = woken.await;
        })
    }
}

/// The real moment at which a call into a component ends.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// This long from now.
    pub fn after(duration: Duration) -> Self {
        let now = Instant::now();
        Self(now.checked_add(duration).unwrap_or_else(|| now + Duration::from_secs(u32::MAX.into())))
    }

    /// Whether it has passed.
    pub fn passed(self) -> bool {
        Instant::now() >= self.0
    }

    /// For `tokio::time::timeout_at`.
    pub fn instant(self) -> tokio::time::Instant {
        self.0.into()
    }
}
