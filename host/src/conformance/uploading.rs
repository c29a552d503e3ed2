//! An upload, as the host would make it: a file of lines, and what comes of it. Each call is made in an instance of its own, with nothing but the handle.

use std::{io::Write as _, time::Duration};

use super::{
    case::{About, Stop, failed, skipped},
    life::{Broken, Handed, Life, action},
    rig::Rig,
};
use crate::{
    connector::{BulkSession, BulkTrouble, OpenError, Opening, UploadContext},
    record::{Batch, Fate, Found, Handle, Run, UploadRequest, UploadStatus, Uploaded},
    sandbox::Staged,
};

/// Records in an upload.
pub(super) const RECORDS: u32 = 40;

/// How often an upload is polled before it is given up.
pub(super) const POLLS: u32 = 100;

/// The longest wait between two polls that is waited for.
const LONGEST: Duration = Duration::from_secs(5);

/// A file that was made of records, to be uploaded.
pub(super) struct File {
    pub batch: Batch,
    pub request: UploadRequest,
    pub staged: Staged,
}

/// A file of records that were never sent before.
pub(super) async fn file(rig: &Rig, count: u32) -> Result<File, Stop> {
    let batch = rig.records(count);
    let handed = rig.hand_over(About::Bulk, &batch).await?;
    file_of(rig, batch, &handed)
}

/// The file of lines that were made of records.
pub(super) fn file_of(rig: &Rig, batch: Batch, handed: &Handed) -> Result<File, Stop> {
    let records = batch.count();
    if !handed.is_all_well() {
        return Err(failed(format!("made a line of each of {records} records"), "a line of each", handed.to_string()));
    }
    let mut text = Vec::new();
    for line in handed.transformed.iter().flat_map(|transformed| transformed.lines().iter()) {
        text.extend_from_slice(line.unwrap_or_default());
        text.push(b'\n');
    }
    let staged = || -> std::io::Result<Staged> {
        let mut file = tempfile::tempfile()?;
        file.write_all(&text)?;
        Ok(Staged::new(file, text.len() as u64))
    };
    let staged = staged().map_err(|error| failed("staged a file", "it to be there", error.to_string()))?;
    let intent = format!("conform-{}", batch.id()).into();
    let request =
        UploadRequest { intent, action: action(rig.connector()?, "bulk"), records, bytes: text.len() as u64, attempt: 1 };
    Ok(File { batch, request, staged })
}

/// A session in a new instance.
pub(super) async fn session(rig: &Rig) -> Result<Box<BulkSession>, Stop> {
    match rig.open_with(About::Bulk, &uploading(rig)?).await? {
        Life::Bulk(session, _) => Ok(session),
        Life::Write(..) | Life::Process(_) => Err(skipped("it is no bulk destination")),
    }
}

pub(super) fn uploading(rig: &Rig) -> Result<Opening, Stop> {
    let created_at = "2026-01-01T00:00:00.000Z";
    let context =
        UploadContext { created_at: created_at.into(), first_attempt_at: Some(created_at.into()), part: 0, version: None };
    Ok(rig.opening()?.for_upload(&context))
}

pub(super) fn told(did: &str, due: &str, trouble: BulkTrouble) -> Stop {
    failed(did, due, Broken::from(trouble).to_string())
}

/// Uploads a file in a new instance, where the session may fail to open too.
pub(super) async fn attempt(rig: &Rig, file: &File) -> Result<Result<Uploaded, Broken>, Stop> {
    match Life::open(rig.connector()?, About::Bulk, &uploading(rig)?).await {
        Ok(Life::Bulk(mut session, _)) => Ok(session.upload(&file.request, file.staged.clone()).await.map_err(Broken::from)),
        Ok(Life::Write(..) | Life::Process(_)) => Err(skipped("it is no bulk destination")),
        Err(OpenError::Failed(failure)) => Ok(Err(Broken::Failed(failure.into()))),
        Err(error) => Ok(Err(Broken::Ended(error.to_string()))),
    }
}

pub(super) async fn upload(rig: &Rig, file: &File) -> Result<Uploaded, Stop> {
    let answer = session(rig).await?.upload(&file.request, file.staged.clone()).await;
    answer.map_err(|trouble| told("uploaded a file of records", "the account of an upload", trouble))
}

/// Asks until the far side is at its end. Gives what became of the records that were worked on, and the handle that was good last.
pub(super) async fn settle(rig: &Rig, file: &File, uploaded: &Uploaded) -> Result<(Vec<Run>, Option<Handle>, bool), Stop> {
    let did = "polled the upload to its end, each time in a new instance";
    let Some(mut handle) = uploaded.handle.clone().filter(|_| uploaded.working.spans() > 0) else {
        return Ok((Vec::new(), uploaded.handle.clone(), false));
    };
    for _ in 0..POLLS {
        let status = session(rig).await?.poll(&handle, &uploaded.working, file.request.records, file.staged.clone()).await;
        match status.map_err(|trouble| told(did, "a status", trouble))? {
            UploadStatus::Settled(runs) => return Ok((runs, Some(handle), false)),
            UploadStatus::AskStats(another) => {
                let handle = another.unwrap_or(handle);
                return Ok((stats(rig, file, uploaded, &handle).await?, Some(handle), true));
            }
            UploadStatus::Failed(failure) => return Err(failed(did, "the records delivered", failure.to_string())),
            UploadStatus::Working { again_in, handle: another, .. } => {
                handle = another.unwrap_or(handle);
                rig.wait(again_in).await;
            }
        }
    }
    Err(failed(did, "an end", format!("it was not at its end after {POLLS} polls")))
}

pub(super) async fn stats(rig: &Rig, file: &File, uploaded: &Uploaded, handle: &Handle) -> Result<Vec<Run>, Stop> {
    let answer = session(rig).await?.stats(handle, &uploaded.working, file.request.records, file.staged.clone()).await;
    answer.map_err(|trouble| told("asked `stats` in a new instance", "the outcome of each record that was worked on", trouble))
}

/// What is wrong with outcomes of which all should be well.
pub(super) fn not_delivered(runs: &[Run]) -> Vec<String> {
    let wrong = runs.iter().filter_map(|run| match &run.fate {
        Fate::Delivered | Fate::Warned(_) => None,
        Fate::Failed(failure) => Some(format!("records {}: {failure}", run.records)),
        Fate::Untried => Some(format!("records {} were not attempted", run.records)),
        Fate::Unknown => Some(format!("nothing was said of the records {}", run.records)),
    });
    wrong.collect()
}

pub(super) async fn reconcile(rig: &Rig, file: &File, did: &str) -> Result<Found, Stop> {
    let found = session(rig).await?.reconcile(&file.request, file.staged.clone()).await;
    found.map_err(|trouble| told(did, "an answer", trouble))
}

impl Rig {
    /// Waits for as long as a far side that is working asks for, within a bound.
    pub(super) async fn wait(&self, again_in: Option<Duration>) {
        self.clock().sleep(again_in.unwrap_or(Duration::from_millis(100)).min(LONGEST)).await;
    }
}
