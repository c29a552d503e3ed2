//! A far side that a test scripts: it answers each request by a function, in an order that a seed chooses.

use std::{
    cell::RefCell,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use wharf_http::{
    connector::Http,
    transport::{Answer, Request, Sort, Transport, Trouble},
};
use wharf_sdk::testing::Harness;

type Reply = Box<dyn FnMut(&Request) -> Result<Answer, Trouble>>;

#[derive(Default)]
struct State {
    reply: Option<Reply>,
    seen: Vec<Request>,
    under_way: usize,
    peak: usize,
    seed: u64,
    now: Duration,
    takes: Duration,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// The far side of the destination of this thread.
#[derive(Debug, Default)]
pub struct Far;

/// The destination over it.
pub type Destination = Http<Far>;

/// The destination with a URL, and a far side that replies so.
pub fn over(url: &str, reply: impl FnMut(&Request) -> Result<Answer, Trouble> + 'static) -> Harness<Destination> {
    STATE.with_borrow_mut(|state| *state = State { reply: Some(Box::new(reply)), seed: 7, ..State::default() });
    Harness::new().setting("url", url).context("pipeline", "p").context("destination", "d").context("ordered", "true")
}

/// In which order what is under way is answered.
pub fn seed(seed: u64) {
    STATE.with_borrow_mut(|state| state.seed = seed);
}

/// How long each answer takes.
pub fn takes(time: Duration) {
    STATE.with_borrow_mut(|state| state.takes = time);
}

/// What was sent, in order.
pub fn seen() -> Vec<Request> {
    STATE.with_borrow(|state| state.seen.clone())
}

/// The bodies of what was sent, in order.
pub fn bodies() -> Vec<String> {
    seen().iter().map(|request| String::from_utf8_lossy(&request.body).into_owned()).collect()
}

/// The most that was under way at once.
pub fn peak() -> usize {
    STATE.with_borrow(|state| state.peak)
}

/// An answer of that status and body.
pub fn answer(status: u16, body: &str) -> Result<Answer, Trouble> {
    Ok(Answer { status, body: body.into(), ..Answer::default() })
}

/// No answer.
pub fn trouble(sort: Sort) -> Result<Answer, Trouble> {
    Err(Trouble { sort, message: "the wire was cut".into() })
}

impl Transport for Far {
    type Flight = Option<Result<Answer, Trouble>>;

    fn send(&mut self, request: Request, _: usize) -> Result<Self::Flight, Trouble> {
        let mut reply = STATE.with_borrow_mut(|state| {
            state.under_way += 1;
            state.peak = state.peak.max(state.under_way);
            state.seen.push(request.clone());
            state.reply.take().unwrap()
        });
        let came = reply(&request);
        STATE.with_borrow_mut(|state| state.reply = Some(reply));
        Ok(Some(came))
    }

    fn wait(&mut self, flights: &mut [&mut Self::Flight]) -> (usize, Result<Answer, Trouble>) {
        let at = STATE.with_borrow_mut(|state| {
            state.under_way -= 1;
            state.now += state.takes;
            state.seed = state.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state.seed >> 33) as usize % flights.len()
        });
        (at, flights[at].take().unwrap())
    }

    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000) + STATE.with_borrow(|state| state.now)
    }
}
