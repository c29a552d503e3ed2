//! Follow-ups: what a destination adds for its other actions.

use std::{collections::BTreeMap, sync::Arc};

use super::case;
use crate::{
    config::Limits,
    conformance::{
        case::{About, Case, Stop, Tried, failed, skipped, unless},
        life::{Handed, Life},
        rig::Rig,
        uploading::{POLLS, RECORDS, file_of, told, uploading},
    },
    connector::{BulkSession, Opening},
    record::{Batch, FollowUps, On, UploadStatus},
};

/// The cases.
pub(in super::super) const CASES: &[Case] = &[
    case!(
        "W-FOLL-001",
        140 Must,
        FollowUps,
        "each follow-up is for an action that there is, of records in hand, once each, with a value for each",
        "name an action of the descriptor, and causes of this call, once and in order; give a key, or none, and a payload for each",
        taken
    ),
    case!(
        "W-FOLL-002",
        141 Must,
        FollowUps,
        "follow-ups are added in calls about records alone",
        "add in `write`, `transform`, `upload`, `poll`, `stats` and `reconcile`, and neither in `open` nor in `release`",
        in_their_calls
    ),
    case!(
        "W-FOLL-003",
        142 Must,
        FollowUps,
        "the follow-ups of ten thousand records are within what a call may add",
        "add few and small ones, or declare `bounds`",
        bounded
    ),
    case!(
        "W-FOLL-004",
        143 Should,
        FollowUps,
        "the same records have the same follow-ups again, in another instance too",
        "let a follow-up depend on its cause and the settings alone: of what is added for a cause the last holds",
        same
    ),
    case!(
        "W-FOLL-005",
        144 Should,
        FollowUps,
        "a call whose follow-ups are refused fails",
        "answer a failure where `add` answers an error: what was not taken will not follow",
        refused
    ),
];

/// What was added in some calls, and what was refused, each with the call.
#[derive(Default)]
struct Followed {
    added: Vec<FollowUps>,
    refused: Vec<(&'static str, String)>,
}

impl Followed {
    fn note(&mut self, call: &'static str, session: &mut BulkSession) {
        self.added.extend(session.take_follow_ups());
        self.refused.extend(session.take_refused_follow_ups().into_iter().map(|why| (call, why)));
    }

    fn note_of(&mut self, call: &'static str, life: &mut Life) {
        match life {
            Life::Bulk(session, _) => self.note(call, session),
            Life::Write(session, _) => {
                self.added.extend(session.take_follow_ups());
                self.refused.extend(session.take_refused_follow_ups().into_iter().map(|why| (call, why)));
            }
            Life::Process(_) => {}
        }
    }

    /// What was refused in these calls; skips where nothing was ever added.
    fn refused_in(&self, calls: &[&str]) -> Result<Vec<String>, Stop> {
        if self.added.is_empty() && self.refused.is_empty() {
            return Err(skipped("nothing that was tried made it add a follow-up; what a record is, the suite says (`record`)"));
        }
        let refused = self.refused.iter().filter(|(call, _)| calls.contains(call));
        Ok(refused.map(|(call, why)| format!("in `{call}`: {why}")).collect())
    }
}

/// Opens a session.
async fn session(rig: &Rig, opening: &Opening) -> Result<(Box<BulkSession>, u32), Stop> {
    match rig.open_with(About::Bulk, opening).await? {
        Life::Bulk(session, action) => Ok((session, action)),
        Life::Write(..) | Life::Process(_) => Err(skipped("it is no bulk destination")),
    }
}

/// Hands over records in a session of their own.
async fn hand_over(rig: &Rig, about: About, batch: &Batch, opening: &Opening, followed: &mut Followed) -> Result<Handed, Stop> {
    let mut life = rig.open_with(about, opening).await?;
    followed.note_of("open", &mut life);
    let handed = life.hand_over(batch, 1).await;
    rig.heard(batch, &handed);
    followed.note_of(if matches!(life, Life::Write(..)) { "write" } else { "transform" }, &mut life);
    Ok(handed)
}

/// All calls about records, and about an upload from its lines to its release.
async fn whole(rig: &Rig) -> Result<Followed, Stop> {
    let mut followed = Followed::default();
    if rig.outline.offers("destination") {
        hand_over(rig, About::Destination, &rig.records(RECORDS), &rig.opening()?, &mut followed).await?;
    }
    if rig.outline.offers("bulk") {
        upload(rig, &mut followed).await?;
    }
    Ok(followed)
}

async fn upload(rig: &Rig, followed: &mut Followed) -> Result<(), Stop> {
    let did = "made lines of 40 records, uploaded them, and asked until their end";
    let opening = uploading(rig)?;
    let batch = rig.records(RECORDS);
    let handed = hand_over(rig, About::Bulk, &batch, &opening, followed).await?;
    let file = file_of(rig, batch, &handed)?;
    let (mut session, _) = session(rig, &opening).await?;
    followed.note("open", &mut session);
    let uploaded = session.upload(&file.request, file.staged.clone()).await;
    followed.note("upload", &mut session);
    let uploaded = uploaded.map_err(|trouble| told(did, "the account of an upload", trouble))?;
    let mut handle = uploaded.handle.clone().unwrap_or_default();
    for _ in 0..if uploaded.working.spans() == 0 { 0 } else { POLLS } {
        let status = session.poll(&handle, &uploaded.working, RECORDS, file.staged.clone()).await;
        followed.note("poll", &mut session);
        match status.map_err(|trouble| told(did, "a status", trouble))? {
            UploadStatus::Working { again_in, handle: another, .. } => {
                handle = another.unwrap_or(handle);
                rig.wait(again_in).await;
            }
            UploadStatus::AskStats(another) => {
                handle = another.unwrap_or(handle);
                let stats = session.stats(&handle, &uploaded.working, RECORDS, file.staged.clone()).await;
                followed.note("stats", &mut session);
                stats.map_err(|trouble| told(did, "the outcome of each record", trouble))?;
                break;
            }
            UploadStatus::Settled(_) => break,
            UploadStatus::Failed(failure) => return Err(failed(did, "the records delivered", failure.to_string())),
        }
    }
    session.release(&handle).await.map_err(|ended| failed(did, "nothing to happen", ended.to_string()))?;
    followed.note("release", &mut session);
    Ok(())
}

async fn taken(rig: &Rig) -> Tried {
    rig.reset().await?;
    let wrong = whole(rig).await?.refused_in(&["write", "transform", "upload", "poll", "stats"])?;
    unless(
        &wrong,
        "handed over 40 records, uploaded them where it takes files, and asked until their end",
        "each follow-up taken",
    )
}

async fn in_their_calls(rig: &Rig) -> Tried {
    rig.reset().await?;
    let wrong = whole(rig).await?.refused_in(&["open", "release"])?;
    unless(&wrong, "opened sessions, and released an upload", "no follow-up added")
}

async fn bounded(rig: &Rig) -> Tried {
    const MANY: u32 = 10_000;
    rig.reset().await?;
    let mut followed = Followed::default();
    let at_once = rig.at_once(MANY)?;
    let batch = rig.records(at_once);
    hand_over(rig, About::FollowUps, &batch, &rig.opening()?, &mut followed).await?;
    let wrong = followed.refused_in(&["write", "transform"])?;
    unless(&wrong, &format!("handed over {at_once} records at once"), "each follow-up taken")
}

/// Key and payload of each follow-up by its action, outcome and cause; of several the last.
type Told = BTreeMap<(u32, On, u32), (Option<Vec<u8>>, Vec<u8>)>;

fn each(followed: &Followed) -> Told {
    let mut each = Told::new();
    for follow_ups in &followed.added {
        for (cause, key, payload) in follow_ups.each() {
            each.insert((follow_ups.action, follow_ups.on, cause), (key.map(<[u8]>::to_vec), payload.to_vec()));
        }
    }
    each
}

async fn same(rig: &Rig) -> Tried {
    rig.reset().await?;
    let did = "handed over 50 records twice, to two instances";
    let batch = rig.records(50);
    let mut told = Vec::new();
    for _ in 0..2 {
        let mut followed = Followed::default();
        hand_over(rig, About::FollowUps, &batch, &rig.opening()?, &mut followed).await?;
        told.push(each(&followed));
    }
    if told.iter().all(BTreeMap::is_empty) {
        return Err(skipped("nothing of what was handed over had a follow-up"));
    }
    if told[0] == told[1] {
        return Ok(did.into());
    }
    let shown = |told: &Told, other: &Told| {
        let differs = told.iter().find(|(which, values)| other.get(*which) != Some(*values));
        differs.map_or_else(
            || format!("{} follow-ups", told.len()),
            |((_, on, cause), (_, payload))| format!("of record {cause}, {}: '{}'", on.name(), payload.escape_ascii()),
        )
    };
    Err(failed(did, shown(&told[0], &told[1]), shown(&told[1], &told[0])))
}

async fn refused(rig: &Rig) -> Tried {
    rig.reset().await?;
    let did = "handed over 40 records where a call may add one follow-up";
    let opening = rig.opening()?;
    let limits = Arc::new(Limits { follow_ups: 1, ..*opening.limits });
    let mut followed = Followed::default();
    let handed = hand_over(rig, About::FollowUps, &rig.records(RECORDS), &Opening { limits, ..opening }, &mut followed).await?;
    if followed.refused.is_empty() {
        return Err(skipped("it added no more than one"));
    }
    match (handed.broken(), handed.is_all_well()) {
        (Some(broken), _) => Err(failed(did, "a failure", broken)),
        (None, true) => Err(failed(did, "a failure", format!("every record taken, though: {}", followed.refused[0].1))),
        (None, false) => Ok(did.into()),
    }
}
