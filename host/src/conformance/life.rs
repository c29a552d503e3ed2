//! A session of a component, whatever it is of.

use std::{fmt, sync::Arc};

use super::case::About;
use crate::{
    connector::{
        Answer, BulkSession, BulkTrouble, Connector, OpenError, Opening, ProcessTrouble, ProcessorSession, Session, Trouble,
        descriptor::{self, Descriptor},
    },
    record::{Batch, Derived, Failure, Fate, Passed, Run, Selection, Span, Transformed},
};

/// A session in an instance of its own; of a destination with the index of the action that records are handed over for.
pub(super) enum Life {
    Write(Box<Session>, u32),
    Bulk(Box<BulkSession>, u32),
    Process(Box<ProcessorSession>),
}

/// What became of records that were handed over: by a write, by making lines of them, by processing them.
#[derive(Clone, Debug)]
pub(super) struct Handed {
    /// Fates of all of them, in order; what came out, what has a line, or what was dropped on purpose counts as delivered.
    pub runs: Vec<Run>,
    /// Why the call did not come out as it should.
    pub trouble: Option<Broken>,
    /// What came out of a processor.
    pub derived: Option<Derived>,
    /// The lines that were made.
    pub transformed: Option<Transformed>,
}

/// Why a call did not come out as it should.
#[derive(Clone, Debug)]
pub(super) enum Broken {
    /// It failed as a whole.
    Failed(Arc<Failure>),
    /// Its answer breaks the contract.
    Breach(String),
    /// The instance is gone.
    Ended(String),
}

impl Life {
    /// Opens a session of what a case is about; of every connector, what it exports first.
    pub async fn open(connector: &Connector, about: About, opening: &Opening) -> Result<Self, OpenError> {
        let offers = |interface: &str| connector.outline.offers(interface);
        match about {
            About::Processor => Ok(Self::Process(Box::new(connector.open_processor(opening).await?))),
            About::Bulk => Ok(Self::Bulk(Box::new(connector.open_bulk(opening).await?), action(connector, "bulk"))),
            About::Destination => {
                let mut session = connector.open(opening).await?;
                // As where some action of it has a queue; without one nothing is promised of follow-ups.
                if connector.outline.wants("follow-ups") {
                    session = session.taking_follow_ups();
                }
                Ok(Self::Write(Box::new(session), action(connector, "write")))
            }
            About::Connector | About::Probe | About::Lifecycle | About::FollowUps => {
                let first = [("destination", About::Destination), ("bulk", About::Bulk)];
                let first = first.into_iter().find(|(interface, _)| offers(interface));
                Box::pin(Self::open(connector, first.map_or(About::Processor, |(_, about)| about), opening)).await
            }
        }
    }

    /// Hands over a batch: writes it, makes lines of it, or processes it.
    pub async fn hand_over(&mut self, batch: &Batch, attempt: u32) -> Handed {
        let all = |fate| vec![Run { records: Span::new(0, batch.count()), fate }];
        match self {
            Self::Write(session, action) => {
                let Answer { runs, trouble } = session.write_to(*action, batch, attempt).await;
                let trouble = trouble.map(|trouble| match trouble {
                    Trouble::Failed(failure) => Broken::Failed(failure),
                    Trouble::Breach(breach) => Broken::Breach(breach.to_string()),
                    Trouble::Ended(ended) => Broken::Ended(ended.to_string()),
                });
                Handed { runs, trouble, derived: None, transformed: None }
            }
            Self::Bulk(session, action) => match session.transform(batch, *action, attempt).await {
                Ok(transformed) => {
                    let lined = transformed.lined().iter().map(|span| Run { records: *span, fate: Fate::Delivered });
                    let failed = transformed.failed().iter();
                    let failed = failed.map(|(span, failure)| Run { records: *span, fate: Fate::Failed(failure.clone()) });
                    let mut runs: Vec<Run> = lined.chain(failed).collect();
                    runs.sort_unstable_by_key(|run| run.records);
                    Handed { runs, trouble: None, derived: None, transformed: Some(transformed) }
                }
                Err(trouble) => {
                    let trouble = Broken::from(trouble);
                    Handed { runs: all(trouble.fate()), trouble: Some(trouble), derived: None, transformed: None }
                }
            },
            Self::Process(session) => match session.process(batch, &Selection::of(batch.count(), |_| true), attempt).await {
                Ok(derived) => {
                    let runs = derived.passages().iter().map(|passage| Run {
                        records: passage.records,
                        fate: match &passage.passed {
                            Passed::On | Passed::Filtered => Fate::Delivered,
                            Passed::Failed(failure) => Fate::Failed(failure.clone()),
                        },
                    });
                    Handed { runs: runs.collect(), trouble: None, derived: Some(derived), transformed: None }
                }
                Err(trouble) => {
                    let trouble = match trouble {
                        ProcessTrouble::Failed(failure) => Broken::Failed(failure),
                        ProcessTrouble::Breach(breach) => Broken::Breach(breach.to_string()),
                        ProcessTrouble::Ended(ended) => Broken::Ended(ended.to_string()),
                    };
                    Handed { runs: all(trouble.fate()), trouble: Some(trouble), derived: None, transformed: None }
                }
            },
        }
    }

    /// Brings the session to an end.
    ///
    /// # Errors
    /// Why it did not close.
    pub async fn close(self) -> Result<(), String> {
        let closed = match self {
            Self::Write(session, _) => session.close().await,
            Self::Bulk(session, _) => session.close().await,
            Self::Process(session) => session.close().await,
        };
        match closed {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => Err(failure.to_string()),
            Err(ended) => Err(ended.to_string()),
        }
    }
}

/// The action of a delivery that records are handed over for: the default one where it is of that, else the first.
pub(super) fn action(connector: &Connector, delivery: &str) -> u32 {
    let Descriptor { actions, default_action, .. } = &*connector.descriptor;
    let usual = if connector.outline.offers("bulk") { "bulk" } else { "write" };
    let of = |action: &&descriptor::Action| action.delivery.as_deref().unwrap_or(usual) == delivery;
    let default = actions.iter().filter(of).find(|action| Some(&action.name) == default_action.as_ref());
    let taken = default.or_else(|| actions.iter().find(of)).map(|action| &action.name);
    (0..).zip(actions).find(|(_, action)| Some(&action.name) == taken).map_or(0, |(index, _)| index)
}

impl From<BulkTrouble> for Broken {
    fn from(trouble: BulkTrouble) -> Self {
        match trouble {
            BulkTrouble::Failed(failure) => Self::Failed(failure),
            BulkTrouble::Breach(breach) => Self::Breach(breach.to_string()),
            BulkTrouble::Ended(ended) => Self::Ended(ended.to_string()),
        }
    }
}

impl Broken {
    fn fate(&self) -> Fate {
        match self {
            Self::Failed(failure) => Fate::Failed(failure.clone()),
            Self::Breach(_) | Self::Ended(_) => Fate::Unknown,
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => write!(f, "the call failed: {failure}"),
            Self::Breach(breach) => write!(f, "the answer breaks the contract: {breach}"),
            Self::Ended(ended) => write!(f, "the instance ended: {ended}"),
        }
    }
}

impl Handed {
    /// Whether every record was taken.
    pub fn is_all_well(&self) -> bool {
        let well = |run: &Run| matches!(run.fate, Fate::Delivered | Fate::Warned(_));
        self.trouble.is_none() && self.runs.iter().all(well)
    }

    /// Whether the instance is gone.
    pub fn ended(&self) -> bool {
        matches!(self.trouble, Some(Broken::Ended(_)))
    }

    /// What broke the contract, or ended the instance: what no component may do whatever it is given.
    pub fn broken(&self) -> Option<String> {
        match &self.trouble {
            Some(broken @ (Broken::Breach(_) | Broken::Ended(_))) => Some(broken.to_string()),
            Some(Broken::Failed(_)) => None,
            None => {
                let unknown = self.runs.iter().find(|run| run.fate == Fate::Unknown)?;
                Some(format!("nothing was said of the records {}", unknown.records))
            }
        }
    }

    /// The failures of records, each once.
    pub fn failures(&self) -> impl Iterator<Item = &Arc<Failure>> {
        self.runs.iter().filter_map(|run| match &run.fate {
            Fate::Failed(failure) => Some(failure),
            _ => None,
        })
    }

    /// Everything that the component said in words; not what the host says of it.
    pub fn messages(&self) -> impl Iterator<Item = String> {
        let runs = if matches!(self.trouble, Some(Broken::Breach(_) | Broken::Ended(_))) { &[] } else { &self.runs[..] };
        let words = runs.iter().filter_map(|run| match &run.fate {
            Fate::Failed(failure) => Some(failure.message.clone()),
            Fate::Warned(remark) => Some(remark.to_string()),
            Fate::Delivered | Fate::Untried | Fate::Unknown => None,
        });
        let mut words: Vec<String> = words.collect();
        words.dedup();
        words.into_iter()
    }

    /// What to do where records were forgotten, whatever was looked for.
    pub fn mend(&self) -> Option<&'static str> {
        let forgotten = self.trouble.is_none() && self.runs.iter().any(|run| run.fate == Fate::Unknown);
        forgotten.then_some(
            "name every record in the answer: as delivered, or with a verdict; one that stands nowhere counts as unknown",
        )
    }

    /// How many records were taken.
    pub fn taken(&self) -> u32 {
        self.runs.iter().filter(|run| matches!(run.fate, Fate::Delivered | Fate::Warned(_))).map(|run| run.records.len()).sum()
    }
}

impl fmt::Display for Handed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(trouble) = &self.trouble {
            return trouble.fmt(f);
        }
        let mut shown = 0;
        for run in &self.runs {
            let told = match &run.fate {
                Fate::Delivered => continue,
                Fate::Warned(remark) => format!("warned: {remark}"),
                Fate::Failed(failure) => failure.to_string(),
                Fate::Untried => "not attempted".into(),
                Fate::Unknown => "nothing was said of them".into(),
            };
            shown += 1;
            if shown > 3 {
                return f.write_str("; and more");
            }
            write!(f, "{}records {}: {told}", if shown > 1 { "; " } else { "" }, run.records)?;
        }
        if shown == 0 { f.write_str("every record was taken") } else { Ok(()) }
    }
}
