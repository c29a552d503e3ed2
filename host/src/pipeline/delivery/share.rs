//! What of a portion is one lane's own.

use crate::record::{Batch, ColumnFull};

/// A lane's share of a batch: the records with its keys, or where order does not matter, all of every so many portions. `None` where nothing
/// of it is. The same records fall to the same lane on every delivery, as long as there are as many lanes; their cut is their own.
pub(super) fn share(
    pipeline: &str,
    batch: &Batch,
    portion: u64,
    (lane, lanes): (u32, u32),
    ordered: bool,
) -> Result<Option<Batch>, ColumnFull> {
    if lanes <= 1 {
        return Ok(Some(batch.clone()));
    }
    if !ordered {
        return Ok((portion % u64::from(lanes) == u64::from(lane)).then(|| batch.clone()));
    }
    let ordinal = |at: u32| batch.ordinals().get(at as usize).copied().unwrap_or_default();
    let own = (0..batch.count()).filter(|at| lane_of(batch.key().and_then(|key| key.get(*at as usize)), lanes) == lane);
    let own: Vec<(u32, u32)> = own.map(|at| (at, ordinal(at))).collect();
    match own.len() {
        0 => Ok(None),
        all if all == batch.count() as usize => Ok(Some(batch.clone())),
        _ => batch.picked(pipeline, &own).map(Some),
    }
}

/// Which lane a key falls to: the same in every version of this host.
fn lane_of(key: Option<&[u8]>, lanes: u32) -> u32 {
    let Some(key) = key else { return 0 };
    let mut bytes = [0; 8];
    blake3::Hasher::new().update(key).finalize_xof().fill(&mut bytes);
    (u64::from_le_bytes(bytes) % u64::from(lanes)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::BatchBuilder;

    fn batch(keys: &[Option<&str>]) -> Batch {
        let mut batch = BatchBuilder::with_capacity(keys.len(), 0, true, None);
        for (sequence, key) in keys.iter().enumerate() {
            batch.push(sequence as u64, key.map(str::as_bytes), b"r").unwrap();
        }
        batch.finish("p", "partition".into())
    }

    #[test]
    fn every_record_falls_to_one_lane_by_its_key_and_stays_in_order() {
        let keys: Vec<String> = (0..100).map(|key| format!("k{}", key % 17)).collect();
        let keys: Vec<Option<&str>> = keys.iter().map(|key| Some(key.as_str())).chain([None, None]).collect();
        let whole = batch(&keys);
        let shares: Vec<_> = (0..4).filter_map(|lane| share("p", &whole, 0, (lane, 4), true).unwrap()).collect();
        let mut all: Vec<u64> = shares.iter().flat_map(|share| share.sequences().to_vec()).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..102) && shares.len() > 2);
        for share in &shares {
            assert!(share.sequences().is_sorted() && share.id() != whole.id());
        }
        assert_eq!(["k1", "k2", "k5"].map(|key| lane_of(Some(key.as_bytes()), 4)), LANES);
    }

    /// Written down, since another lane for the same key would let records of before and after overtake each other.
    const LANES: [u32; 3] = [3, 0, 1];

    #[test]
    fn without_order_whole_portions_go_by_turns() {
        let whole = batch(&[Some("a"), Some("b")]);
        let ids = |portion| -> Vec<bool> {
            (0..3)
                .map(|lane| share("p", &whole, portion, (lane, 3), false).unwrap().is_some_and(|own| own.id() == whole.id()))
                .collect()
        };
        assert_eq!((ids(0), ids(4)), (vec![true, false, false], vec![false, true, false]));
    }
}
