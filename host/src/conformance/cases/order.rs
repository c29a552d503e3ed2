//! What stays in order, and what stands at the far side.

use super::case;
use crate::{
    conformance::{
        case::{About, Case, Tried, failed, skipped, unless},
        life::Handed,
        read,
        rig::{Rig, all_well},
        trouble::Trouble,
    },
    connector::descriptor::Order,
    record::{Batch, Fate},
};

/// The cases.
pub(in super::super) const CASES: &[Case] = &[
    case!(
        "W-DEST-013",
        62 Must,
        Destination,
        "nothing overtakes what is to be retried, as far as the descriptor says",
        "stop at the first record that is to be retried, and call what follows `untried`; or declare less (`guarantees.order`)",
        overtaken
    ),
    case!(
        "W-DEST-014",
        50 Must,
        Destination,
        "what was delivered is there before the session is closed",
        "write at once, holding nothing back: `close` may never come; answer `untried` for what has to wait",
        at_once
    ),
];

impl Rig {
    /// Passes where the far side has the records of a batch and `others` more, in order where the descriptor says so.
    pub(in super::super) async fn holds(&self, did: &str, batch: &Batch, others: usize) -> Tried {
        let ordered = self.connector()?.descriptor.guarantees.order != Order::None;
        let due: Vec<Vec<u8>> = batch.after().iter().map(|value| value.unwrap_or_default().to_vec()).collect();
        let found = self.delivered().await?;
        let count = format!("{} records", due.len() + others);
        if found.len() != due.len() + others {
            return Err(failed(did, count, format!("{} records at the far side", found.len())));
        }
        let shown = |record: &[u8]| -> String { String::from_utf8_lossy(record).chars().take(80).collect() };
        if ordered && others == 0 {
            return match due.iter().zip(&found).position(|(due, found)| !read::same(due, found)) {
                None => Ok(did.to_owned()),
                Some(at) => Err(failed(
                    did,
                    format!("as record {at}: {}", shown(&due[at])),
                    format!("{} (of {count})", shown(&found[at])),
                )),
            };
        }
        let mut left: Vec<&Vec<u8>> = found.iter().collect();
        for record in &due {
            match left.iter().position(|found| read::same(record, found)) {
                Some(at) => {
                    left.swap_remove(at);
                }
                None => return Err(failed(did, format!("the record {}", shown(record)), "it is not at the far side")),
            }
        }
        Ok(did.to_owned())
    }
}

/// Whether the record is to be sent again.
fn is_retried(fate: &Fate) -> bool {
    match fate {
        Fate::Delivered | Fate::Warned(_) => false,
        Fate::Failed(failure) => failure.kind != crate::record::FailureKind::Rejected,
        Fate::Untried | Fate::Unknown => true,
    }
}

/// The first record that was delivered although one before it, of which it must stay behind, is to be sent again.
fn overtakes(order: Order, batch: &Batch, handed: &Handed) -> Option<(u32, u32)> {
    let key = |record: u32| batch.key().and_then(|keys| keys.get(record as usize));
    let fates = handed.runs.iter().flat_map(|run| (run.records.start..run.records.end).map(move |record| (record, &run.fate)));
    let mut behind: Vec<u32> = Vec::new();
    for (record, fate) in fates {
        if is_retried(fate) {
            behind.push(record);
        } else if matches!(fate, Fate::Delivered | Fate::Warned(_))
            && let Some(first) =
                behind.iter().find(|first| order == Order::Batch || key(**first).is_some() && key(**first) == key(record))
        {
            return Some((record, *first));
        }
    }
    None
}

async fn overtaken(rig: &Rig) -> Tried {
    let order = rig.connector()?.descriptor.guarantees.order;
    if order == Order::None {
        return Err(skipped("the descriptor says that nothing stays in order"));
    }
    rig.reset().await?;
    // Cut at several places, so that one of them lies in the middle of a batch.
    for after in [0, 200, 2_000, 8_000] {
        if !rig.made(Trouble::Cut(after)).await? {
            break;
        }
        let batch = rig.records(200);
        if let Ok(mut life) = rig.open(About::Destination).await {
            let handed = life.hand_over(&batch, 1).await;
            rig.heard(&batch, &handed);
        }
        rig.heal(Trouble::Cut(after)).await?;
    }
    let heard = rig.heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let partly: Vec<&(Batch, Handed)> = heard
        .troubled
        .iter()
        .filter(|(batch, handed)| batch.count() > 1 && handed.runs.iter().any(|run| is_retried(&run.fate)))
        .collect();
    if partly.is_empty() {
        return Err(skipped("nothing that was tried made it want a record of several sent again"));
    }
    let mut wrong: Vec<String> = partly
        .iter()
        .filter_map(|(batch, handed)| overtakes(order, batch, handed))
        .map(|(record, first)| format!("record {record} was delivered, and record {first} is to be sent again"))
        .collect();
    wrong.sort();
    wrong.dedup();
    unless(&wrong, &format!("looked at {} batches of which records are to be sent again", partly.len()), "none overtaken")
}

async fn at_once(rig: &Rig) -> Tried {
    rig.readable()?;
    rig.reset().await?;
    let did = "handed over 31 records, and read them back while the session was open";
    let batch = rig.records(31);
    let mut life = rig.open(About::Destination).await?;
    let handed = life.hand_over(&batch, 1).await;
    rig.heard(&batch, &handed);
    all_well(did, &handed)?;
    let held = rig.holds(did, &batch, 0).await;
    let _closed = life.close().await;
    held
}
