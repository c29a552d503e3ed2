//! Access tokens that the far side refuses, though they were good when they were handed out.

use super::case;
use crate::{
    conformance::{
        capture::Answering,
        case::{About, Case, Stop, Tried, failed, skipped},
        life::{Broken, Life},
        rig::{Rig, all_well},
        uploading::{File, RECORDS, file, told, uploading},
    },
    connector::{BulkSession, BulkTrouble, Opening},
    record::{FailureKind, SpanSet},
};

/// The case of write destinations.
pub(in super::super) const DESTINATION: &[Case] = &[case!(
    "W-FAIL-009",
    88 Must,
    Destination,
    "a token that the far side refuses is given up for another",
    "tell the host that it was refused (`tokens.refused`), and ask for another (`tokens.get`) at the latest in the next call",
    written
)];

/// The case of bulk destinations.
pub(in super::super) const BULK: &[Case] = &[case!(
    "W-BULK-034",
    115 Must,
    Bulk,
    "a token that the far side refuses in a poll or an upload is given up for another",
    "tell the host that it was refused (`tokens.refused`), and ask for another (`tokens.get`) at the latest in the next call",
    uploaded
)];

/// What is due where a token is refused.
const DUE: &str = "it to succeed with another token, or a failure that is `unauthorized`, and then that";

/// Skips where there are no tokens, or none that could be refused.
fn granted(rig: &Rig) -> Result<(), Stop> {
    if !rig.connector()?.descriptor.requests.iter().any(|request| request.capability == "token") {
        return Err(skipped("the descriptor requests no token"));
    }
    if rig.suite.grants.tokens.is_empty() {
        return Err(skipped("the suite grants no tokens (`grants.tokens`): any name does"));
    }
    if !rig.captures() {
        return Err(skipped("no far side but the built-in server knows the tokens that are handed out here (`read.capture`)"));
    }
    Ok(())
}

/// As the host does it: where the credentials are refused, once more in a new instance, with the tokens that it was given forgotten.
async fn written(rig: &Rig) -> Tried {
    granted(rig)?;
    rig.reset().await?;
    let opening = rig.opening()?;
    let mut life = rig.open_with(About::Destination, &opening).await?;
    let did = "wrote a record, had the far side refuse the token that was given out, and wrote again";
    all_well("opened a session and wrote a record", &life.hand_over(&rig.records(1), 1).await)?;
    rig.capture.answer(Answering::WithoutToken(rig.issuer.current()));
    let tried = renewed(rig, &opening, life, did).await;
    rig.capture.answer(Answering::Well);
    tried
}

async fn renewed(rig: &Rig, opening: &Opening, mut life: Life, did: &str) -> Tried {
    let batch = rig.records(50);
    let handed = life.hand_over(&batch, 1).await;
    rig.heard(&batch, &handed);
    if handed.is_all_well() {
        return Ok(did.into());
    }
    if let Some(broken) = handed.broken() {
        return Err(failed(did, DUE, broken));
    }
    if let Some(failure) = handed.failures().find(|failure| failure.kind != FailureKind::Unauthorized) {
        return Err(failed(did, DUE, failure.to_string()));
    }
    drop(life);
    opening.grants.tokens.refused();
    let mut life = rig.open_with(About::Destination, opening).await?;
    let handed = life.hand_over(&batch, 2).await;
    rig.heard(&batch, &handed);
    all_well(&format!("{did}, and once more in a new instance"), &handed)
}

/// A call about an upload.
#[derive(Clone, Copy)]
enum Asked<'a> {
    Poll(&'a [u8], &'a SpanSet),
    Upload,
}

impl Asked<'_> {
    async fn of(self, session: &mut BulkSession, file: &File) -> Result<(), BulkTrouble> {
        match self {
            Self::Poll(handle, working) => session.poll(handle, working, RECORDS, file.staged.clone()).await.map(drop),
            Self::Upload => session.upload(&file.request, file.staged.clone()).await.map(drop),
        }
    }
}

async fn session(rig: &Rig, opening: &Opening) -> Result<Box<BulkSession>, Stop> {
    match rig.open_with(About::Bulk, opening).await? {
        Life::Bulk(session, _) => Ok(session),
        Life::Write(..) | Life::Process(_) => Err(skipped("it is no bulk destination")),
    }
}

async fn uploaded(rig: &Rig) -> Tried {
    granted(rig)?;
    rig.reset().await?;
    let (first, second) = (file(rig, RECORDS).await?, file(rig, RECORDS).await?);
    let opening = uploading(rig)?;
    let mut open = session(rig, &opening).await?;
    let did = "uploaded a file";
    let uploaded = open.upload(&first.request, first.staged.clone()).await;
    let uploaded = uploaded.map_err(|trouble| told(did, "the account of an upload", trouble))?;
    let mut tried = Vec::new();
    if uploaded.working.spans() > 0 {
        let asked = Asked::Poll(uploaded.handle.as_deref().unwrap_or_default(), &uploaded.working);
        let did = format!("{did}, had the far side refuse the token that was given out, and polled");
        open = refused(rig, &opening, open, (&first, asked), &did).await?;
        tried.push("polled");
    }
    let did = format!("{did}, had the far side refuse the token that was given out, and uploaded another");
    refused(rig, &opening, open, (&second, Asked::Upload), &did).await?;
    tried.push("uploaded another");
    Ok(format!("uploaded a file, had the far side refuse the token that was given out, and {}", tried.join(", and again, and ")))
}

/// Makes a call whose token is refused. Gives a session that goes on.
async fn refused(
    rig: &Rig,
    opening: &Opening,
    open: Box<BulkSession>,
    call: (&File, Asked<'_>),
    did: &str,
) -> Result<Box<BulkSession>, Stop> {
    rig.capture.answer(Answering::WithoutToken(rig.issuer.current()));
    let came = anew(rig, opening, open, call, did).await;
    rig.capture.answer(Answering::Well);
    came
}

async fn anew(
    rig: &Rig,
    opening: &Opening,
    mut open: Box<BulkSession>,
    (file, asked): (&File, Asked<'_>),
    did: &str,
) -> Result<Box<BulkSession>, Stop> {
    match asked.of(&mut open, file).await {
        Ok(()) => return Ok(open),
        Err(BulkTrouble::Failed(failure)) if failure.kind == FailureKind::Unauthorized => {}
        Err(trouble) => return Err(failed(did, DUE, Broken::from(trouble).to_string())),
    }
    drop(open);
    opening.grants.tokens.refused();
    let mut open = session(rig, opening).await?;
    let again = asked.of(&mut open, file).await;
    let did = format!("{did}, and once more in a new instance");
    again.map_err(|trouble| failed(did, "it to succeed with another token", Broken::from(trouble).to_string()))?;
    Ok(open)
}
