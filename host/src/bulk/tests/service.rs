//! A far side with state, that answers late, wrongly, or not at all, and the component that speaks to it. It outlives every engine.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;

use super::super::{AnyFar, BulkFar, CallTrouble, FileBounds, Told};
use crate::{
    connector::{BulkTrouble, UploadContext},
    record::{
        Batch, ColumnParts, Failure, FailureKind, Fate, FollowUpBounds, FollowUpIntake, Found, GivenFollowUps, Handle, On,
        Outcome, Receipt, Run, Span, SpanSet, Transformed, UploadBreach, UploadRequest, UploadStatus, Uploaded, Verdict,
    },
    sandbox::{Call, Ended, Staged, instance::Reason},
    store::spool::{Spool, UploadState},
};

/// What a service does, and what was done to it.
pub struct Service {
    pub random: fastrand::Rng,
    /// Whether it always knows if an upload took effect.
    pub tells: bool,
    /// How often of a hundred calls something goes wrong that need not.
    pub faults: u32,
    pub spool: Option<Arc<dyn Spool>>,
    jobs: BTreeMap<String, Job>,
    files: BTreeMap<String, Vec<u8>>,
    /// Records in the order in which they were applied.
    pub applied: Vec<u64>,
    released: BTreeSet<String>,
    pub calls: BTreeMap<&'static str, u32>,
}

struct Job {
    /// What it knows of each record.
    fates: Vec<Fate>,
    /// Those that nobody has been told of so far.
    working: SpanSet,
    polls: u32,
    fails: bool,
    asks_stats: bool,
}

#[derive(Clone)]
pub struct Fake(pub Arc<Mutex<Service>>);

pub fn failure(kind: FailureKind) -> Failure {
    let retry_after = (kind == FailureKind::Throttled).then_some(Duration::from_secs(7));
    Failure { kind, message: "told to".into(), code: None, retry_after }
}

fn said(kind: FailureKind) -> CallTrouble {
    BulkTrouble::Failed(failure(kind).into()).into()
}

fn ended(call: Call) -> CallTrouble {
    BulkTrouble::Ended(instance_ended(call)).into()
}

pub fn instance_ended(call: Call) -> Ended {
    Ended { call, reason: Reason::Trap { what: "told to trap".into() }, stderr: None }
}

impl Service {
    pub fn new(seed: u64, tells: bool, faults: u32) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            tells,
            faults,
            spool: None,
            jobs: BTreeMap::new(),
            files: BTreeMap::new(),
            applied: Vec::new(),
            released: BTreeSet::new(),
            calls: BTreeMap::new(),
        }
    }

    fn goes_wrong(&mut self) -> bool {
        self.random.u32(0..100) < self.faults
    }

    /// What may be wrong with any call; nothing took effect.
    fn trouble(&mut self, call: Call) -> Option<CallTrouble> {
        *self.calls.entry(call.name()).or_default() += 1;
        self.goes_wrong().then(|| match self.random.u32(0..12) {
            0..4 => said(FailureKind::Transient),
            4 | 5 => said(FailureKind::Throttled),
            6 => said(FailureKind::Unauthorized),
            7 => CallTrouble::NotOpened(failure(FailureKind::Transient).into()),
            8 => said(FailureKind::Fatal),
            9 => said(FailureKind::Uncertain),
            _ => ended(call),
        })
    }

    /// The file takes effect.
    fn apply(&mut self, intent: &str, text: &[u8]) {
        let sequences: Vec<u64> = text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| std::str::from_utf8(line).unwrap().parse().unwrap())
            .collect();
        let fails = self.random.u32(0..20) == 0;
        let mut fates = Vec::new();
        for sequence in sequences {
            let fate = match self.random.u32(0..20) {
                _ if fails => Fate::Failed(failure(FailureKind::Transient).into()),
                0 | 1 => Fate::Failed(failure(FailureKind::Transient).into()),
                2 => Fate::Failed(failure(FailureKind::Rejected).into()),
                3 => Fate::Untried,
                4 => Fate::Unknown,
                5 => Fate::Warned("remark".into()),
                _ => Fate::Delivered,
            };
            if matches!(fate, Fate::Delivered | Fate::Warned(_)) {
                self.applied.push(sequence);
            }
            fates.push(fate);
        }
        let working = [Span::new(0, fates.len() as u32)].into_iter().collect();
        let (polls, asks_stats) = (self.random.u32(0..4), self.random.bool());
        assert!(
            self.jobs.insert(intent.into(), Job { fates, working, polls, fails, asks_stats }).is_none(),
            "{intent} took effect twice"
        );
    }

    /// What the host has to be told of an upload that it has not heard of.
    fn uploaded(&mut self, intent: &str) -> Uploaded {
        let now = self.random.u32(0..4);
        let job = self.jobs.get_mut(intent).unwrap();
        let count = job.fates.len() as u32;
        let settled = match now {
            _ if job.fails => 0,
            0 => count,
            1 => count / 2,
            _ => 0,
        };
        let (told, working) = (Span::new(0, settled), Span::new(settled, count));
        job.working = [working].into_iter().collect();
        let receipt = receipt(&job.fates, &[told].into_iter().collect());
        let spans = if working.is_empty() { Vec::new() } else { vec![working] };
        Uploaded::verify(count, receipt, spans, Some(intent.as_bytes().to_vec())).unwrap()
    }
}

/// An answer about so many records, with what follows each of them: whatever becomes of it, it is told of once by action 1, and that it failed for
/// now by action 2.
fn followed<R>(answer: R, count: u32, call: Call) -> Told<R> {
    let mut intake = FollowUpIntake::new(count, FollowUpBounds { records: u32::MAX, bytes: u64::MAX });
    for (on, action) in [(On::Succeeded, 1), (On::Discarded, 1), (On::Failed, 2)] {
        let column = |text: &str| ColumnParts {
            offsets: (0..=count).map(|at| at * text.len() as u32).collect(),
            data: text.repeat(count as usize).into_bytes(),
            validity: None,
        };
        let (keys, payloads) = (column("k"), column(&format!("{} {}", on.name(), call.name())));
        let given = GivenFollowUps { on: on.name().into(), causes: vec![Span::new(0, count)], keys, payloads };
        intake.add((action, format!("action-{action}").into()), given).unwrap();
    }
    Told { answer, follow_ups: intake.taken() }
}

/// What can be said of some records, in the contract's words.
fn receipt(fates: &[Fate], of: &SpanSet) -> Receipt {
    let mut receipt = Receipt::default();
    for record in of.iter().flat_map(|span| span.start..span.end) {
        let span = Span::new(record, record + 1);
        let outcome = match &fates[record as usize] {
            Fate::Delivered => {
                receipt.delivered.push(span);
                continue;
            }
            Fate::Unknown => continue,
            Fate::Warned(remark) => Outcome::Warned(remark.to_string()),
            Fate::Untried => Outcome::Untried,
            Fate::Failed(failure) => Outcome::Failed((**failure).clone()),
        };
        receipt.verdicts.push(Verdict { records: span, outcome });
    }
    receipt
}

impl Fake {
    pub fn service(&self) -> MutexGuard<'_, Service> {
        self.0.lock().unwrap()
    }

    fn runs(&self, handle: &Handle, working: &SpanSet, records: u32) -> Vec<Run> {
        let mut service = self.service();
        let job = service.jobs.get_mut(std::str::from_utf8(handle).unwrap()).unwrap();
        let told = receipt(&job.fates, working).verify_of(working, records).unwrap();
        job.working = SpanSet::default();
        told
    }

    /// What is asked about a job that is known, and is not released.
    fn known(&self, handle: &Handle, working: &SpanSet) {
        let service = self.service();
        let intent = std::str::from_utf8(handle).unwrap();
        assert!(!service.released.contains(intent), "{intent} is asked for after its release");
        let expected = &service.jobs[intent].working;
        // An answer that was on its way when the host ended is asked for again.
        assert!(expected == working || expected.spans() == 0, "{intent}: {working:?}, and {expected:?} are worked on");
    }
}

async fn text(file: &Staged) -> Vec<u8> {
    let mut text = Vec::new();
    loop {
        let piece = file.read(text.len() as u64, 16).await.unwrap();
        if piece.is_empty() {
            return text;
        }
        text.extend(piece);
    }
}

impl AnyFar for Fake {
    fn title(&self) -> Arc<str> {
        "fake 1.0.0".into()
    }

    fn digest(&self) -> Arc<str> {
        "digest".into()
    }

    fn bounds(&self) -> FileBounds {
        FileBounds { records: 9, bytes: 30, line: 12 }
    }

    fn keeps_order(&self) -> bool {
        false
    }
}

#[async_trait]
impl BulkFar for Fake {
    async fn transform(&self, batch: &Batch, _: Option<&str>, _: u32, _: u32) -> Result<Told<Transformed>, CallTrouble> {
        if let Some(trouble) = self.service().trouble(Call::Transform) {
            // What ends an instance for no reason of a record's would cost the record.
            return Err(if matches!(trouble, CallTrouble::Call(BulkTrouble::Ended(_))) {
                said(FailureKind::Transient)
            } else {
                trouble
            });
        }
        let mut lines = ColumnParts { offsets: vec![0], ..ColumnParts::default() };
        let mut verdicts = Vec::new();
        for (at, sequence) in (0..).zip(batch.sequences()) {
            match super::kind(*sequence) {
                super::Kind::Poison => return Err(ended(Call::Transform)),
                super::Kind::Rejected => {
                    let outcome = Outcome::Failed(failure(FailureKind::Rejected));
                    verdicts.push(Verdict { records: Span::new(at, at + 1), outcome });
                    continue;
                }
                super::Kind::Broken => lines.data.extend_from_slice(b"a\nb"),
                super::Kind::Large => lines.data.extend_from_slice(&[b'1'; 20]),
                super::Kind::Plain => lines.data.extend_from_slice(sequence.to_string().as_bytes()),
            }
            lines.offsets.push(lines.data.len() as u32);
        }
        Ok(followed(Transformed::verify(batch.count(), lines, verdicts).unwrap(), batch.count(), Call::Transform))
    }

    async fn upload(
        &self,
        request: &UploadRequest,
        context: &UploadContext,
        file: Staged,
    ) -> Result<Told<Uploaded>, CallTrouble> {
        let text = text(&file).await;
        let spool = self.service().spool.clone().unwrap();
        let stored = spool.uploads().await.unwrap();
        let stored = stored.iter().find(|upload| upload.intent == request.intent).expect("the intent is on disk");
        assert_eq!((stored.state, stored.attempt, stored.records), (UploadState::Sending, request.attempt, request.records));
        assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), request.records as usize);
        assert!(text.len() as u64 <= self.bounds().bytes && request.records <= self.bounds().records);
        assert!(context.first_attempt_at.is_some());
        let mut service = self.service();
        let known = service.files.entry(request.intent.to_string()).or_insert_with(|| text.clone());
        assert!(*known == text, "the same intent is the same file");
        if let Some(trouble) = service.trouble(Call::Upload) {
            return Err(trouble);
        }
        let sent_again = service.jobs.contains_key(&*request.intent);
        if sent_again {
            assert!(!service.tells, "{} was sent again although it took effect", request.intent);
        } else {
            service.apply(&request.intent, &text);
        }
        if service.goes_wrong() {
            return Err(match service.random.u32(0..3) {
                0 => said(FailureKind::Uncertain),
                1 => BulkTrouble::Breach(UploadBreach::Handle(1 << 20)).into(),
                _ => ended(Call::Upload),
            });
        }
        let uploaded = service.uploaded(&request.intent);
        // Not each adds some: what an earlier one added holds.
        Ok(if service.random.bool() { followed(uploaded, request.records, Call::Upload) } else { uploaded.into() })
    }

    async fn poll(
        &self,
        handle: &Handle,
        _: &UploadContext,
        working: &SpanSet,
        records: u32,
        _: Staged,
    ) -> Result<Told<UploadStatus>, CallTrouble> {
        self.known(handle, working);
        {
            let mut service = self.service();
            if let Some(trouble) = service.trouble(Call::Poll) {
                return Err(trouble);
            }
            if service.faults > 0 && service.random.u32(0..60) == 0 {
                return Err(said(FailureKind::Rejected));
            }
            let again = service.random.bool().then(|| Duration::from_secs(60));
            let job = service.jobs.get_mut(std::str::from_utf8(handle).unwrap()).unwrap();
            if job.polls > 0 {
                job.polls -= 1;
                return Ok(UploadStatus::working(Some(0.5), again, None).unwrap().into());
            }
            if job.fails {
                return Ok(UploadStatus::Failed(failure(FailureKind::Transient).into()).into());
            }
            if job.asks_stats {
                return Ok(UploadStatus::AskStats(None).into());
            }
        }
        Ok(followed(UploadStatus::Settled(self.runs(handle, working, records)), records, Call::Poll))
    }

    async fn stats(
        &self,
        handle: &Handle,
        _: &UploadContext,
        working: &SpanSet,
        records: u32,
        _: Staged,
    ) -> Result<Told<Vec<Run>>, CallTrouble> {
        self.known(handle, working);
        if let Some(trouble) = self.service().trouble(Call::Stats) {
            return Err(trouble);
        }
        Ok(self.runs(handle, working, records).into())
    }

    async fn reconcile(&self, request: &UploadRequest, _: &UploadContext, file: Staged) -> Result<Told<Found>, CallTrouble> {
        let text = text(&file).await;
        let mut service = self.service();
        if let Some(trouble) = service.trouble(Call::Reconcile) {
            return Err(trouble);
        }
        assert!(service.files.get(&*request.intent).is_none_or(|known| *known == text));
        if !service.tells && service.random.u32(0..3) == 0 {
            return Ok(Found::CannotTell.into());
        }
        Ok(match service.jobs.contains_key(&*request.intent) {
            true => Found::Present(service.uploaded(&request.intent)),
            false => Found::Absent,
        }
        .into())
    }

    async fn release(&self, handle: &Handle, _: &UploadContext) -> Result<(), CallTrouble> {
        let mut service = self.service();
        *service.calls.entry("release").or_default() += 1;
        let intent = std::str::from_utf8(handle).unwrap().to_owned();
        service.released.insert(intent);
        Ok(())
    }
}
