//! Which records go into one request, and which requests may be under way at once.
//!
//! Records of one key arrive in the order in which they came: a request waits for those before it that hold a record of a key of
//! its own, and what comes after a record that is to be sent again is not sent before it. Where nobody asked for order, none waits.

use std::collections::{HashMap, HashSet, VecDeque};

use wharf_sdk::Batch;

use super::target::Target;

/// Requests beyond the first that cannot go which are looked at for one that can.
const AHEAD: usize = 256;

/// Records that go into one request, by their place in the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Where they go, as an index into what was found.
    pub target: usize,
    /// The records, in order.
    pub records: Vec<u32>,
}

/// Which key each record has: equal ones share a number.
#[derive(Clone, Debug)]
pub struct Keys(Option<Vec<u32>>);

impl Keys {
    /// The keys of a batch; none where nobody asked for order. Records without a key are held to share one.
    pub fn of(batch: &Batch, ordered: bool) -> Self {
        Self(ordered.then(|| {
            let mut known: HashMap<Option<&[u8]>, u32> = HashMap::new();
            let keys = batch.records().map(|record| {
                let next = known.len() as u32;
                *known.entry(record.key()).or_insert(next)
            });
            keys.collect()
        }))
    }

    fn of_record(&self, record: u32) -> Option<u32> {
        self.0.as_ref()?.get(record as usize).copied()
    }
}

/// Puts records into groups.
#[derive(Debug)]
pub struct Grouping<'k> {
    keys: &'k Keys,
    most: (usize, usize),
    apart: bool,
    targets: Vec<Target>,
    known: HashMap<Target, usize>,
    groups: Vec<Group>,
    /// The group that takes more, by target, and what it holds in bytes.
    open: HashMap<usize, (usize, usize)>,
    /// The last group that holds a record of a key.
    last: HashMap<u32, usize>,
}

impl<'k> Grouping<'k> {
    /// With at most so many records and bytes a group. `apart` keeps records of one key out of one group: where the far side answers for each
    /// alone, it may take the later and not the earlier.
    pub fn new(keys: &'k Keys, (records, bytes): (usize, usize), apart: bool) -> Self {
        let most = (records.max(1), bytes);
        Self {
            keys,
            most,
            apart,
            targets: Vec::new(),
            known: HashMap::new(),
            groups: Vec::new(),
            open: HashMap::new(),
            last: HashMap::new(),
        }
    }

    /// One more record, in order, of so many bytes.
    pub fn add(&mut self, record: u32, target: Target, bytes: usize) {
        let target = match self.known.get(&target) {
            Some(at) => *at,
            None => {
                self.targets.push(target.clone());
                self.known.insert(target, self.targets.len() - 1);
                self.targets.len() - 1
            }
        };
        let key = self.keys.of_record(record);
        let after = key.and_then(|key| self.last.get(&key)).copied();
        // In a request before that one it would arrive before what it comes after.
        let joins = self.open.get(&target).copied().filter(|(group, held)| {
            after.is_none_or(|after| after < *group || (after == *group && !self.apart))
                && self.groups[*group].records.len() < self.most.0
                && held.saturating_add(bytes) <= self.most.1
        });
        let (group, held) = joins.unwrap_or_else(|| {
            self.groups.push(Group { target, records: Vec::new() });
            (self.groups.len() - 1, 0)
        });
        self.groups[group].records.push(record);
        self.open.insert(target, (group, held + bytes));
        if let Some(key) = key {
            self.last.insert(key, group);
        }
    }

    /// The groups in order, and where they go.
    pub fn finish(self) -> (VecDeque<Group>, Vec<Target>) {
        (self.groups.into(), self.targets)
    }
}

/// Groups that wait for their turn.
#[derive(Debug)]
pub struct Waiting<'k> {
    keys: &'k Keys,
    groups: VecDeque<Group>,
    /// Keys of records that are under way, with how many groups hold them: one each, since none waits for itself.
    busy: HashSet<u32>,
    /// Keys of records that are to be sent again.
    held: HashSet<u32>,
}

impl<'k> Waiting<'k> {
    /// None of them under way.
    pub fn new(keys: &'k Keys, groups: VecDeque<Group>) -> Self {
        Self { keys, groups, busy: HashSet::new(), held: HashSet::new() }
    }

    /// The next group that may go, which then counts as under way. Its records that come after one that is to be sent again are left out:
    /// they come back beside it.
    pub fn begin(&mut self) -> Option<(Group, Vec<u32>)> {
        let mut before: HashSet<u32> = HashSet::new();
        let mut found = None;
        for (at, group) in self.groups.iter().enumerate().take(AHEAD) {
            let mut keys = group.records.iter().filter_map(|record| self.keys.of_record(*record));
            if keys.all(|key| !self.busy.contains(&key) && !before.contains(&key)) {
                found = Some(at);
                break;
            }
            before.extend(group.records.iter().filter_map(|record| self.keys.of_record(*record)));
        }
        let mut group = self.groups.remove(found?)?;
        let mut held = Vec::new();
        group.records.retain(|record| {
            let is_held = self.keys.of_record(*record).is_some_and(|key| self.held.contains(&key));
            if is_held {
                held.push(*record);
            }
            !is_held
        });
        self.busy.extend(group.records.iter().filter_map(|record| self.keys.of_record(*record)));
        Some((group, held))
    }

    /// A group is no longer under way.
    pub fn over(&mut self, group: &Group) {
        for key in group.records.iter().filter_map(|record| self.keys.of_record(*record)) {
            self.busy.remove(&key);
        }
    }

    /// A record is to be sent again: nothing of its key goes before.
    pub fn hold(&mut self, record: u32) {
        self.held.extend(self.keys.of_record(record));
    }

    /// A group that is over goes again at once, in two halves, before all others.
    pub fn halve(&mut self, group: Group) {
        let Group { target, mut records } = group;
        let second = records.split_off(records.len().div_ceil(2));
        for records in [second, records] {
            if !records.is_empty() {
                self.groups.push_front(Group { target, records });
            }
        }
    }

    /// All that never went.
    pub fn left(self) -> impl Iterator<Item = u32> {
        self.groups.into_iter().flat_map(|group| group.records)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target(path: &str) -> Target {
        Target { method: "POST".into(), path: path.into(), headers: Vec::new() }
    }

    /// Records as (key, target).
    fn grouped(keys: &Keys, targets: &[usize], most: usize, apart: bool) -> Vec<Vec<u32>> {
        let mut grouping = Grouping::new(keys, (most, usize::MAX), apart);
        for (record, to) in targets.iter().enumerate() {
            grouping.add(record as u32, target(&to.to_string()), 1);
        }
        grouping.finish().0.into_iter().map(|group| group.records).collect()
    }

    #[test]
    fn records_of_one_target_share_a_request_unless_one_of_their_key_went_elsewhere_between() {
        let ordered = Keys(Some(vec![0, 1, 0, 0]));
        assert_eq!(grouped(&ordered, &[0, 0, 0, 0], 3, false), [vec![0, 1, 2], vec![3]]);
        assert_eq!(grouped(&ordered, &[0, 0, 1, 0], 9, false), [vec![0, 1], vec![2], vec![3]]);
        assert_eq!(grouped(&ordered, &[0, 0, 0, 0], 9, true), [vec![0, 1], vec![2], vec![3]]);
        assert_eq!(grouped(&Keys(None), &[0, 0, 1, 0], 9, false), [vec![0, 1, 3], vec![2]]);
    }

    #[test]
    fn a_request_waits_for_those_before_it_with_a_key_of_its_own() {
        let keys = Keys(Some(vec![0, 0, 1]));
        let groups = [0, 1, 2].map(|record| Group { target: 0, records: vec![record] });
        let mut waiting = Waiting::new(&keys, groups.clone().into());
        assert_eq!(waiting.begin().unwrap().0, groups[0]);
        assert_eq!(waiting.begin().unwrap().0, groups[2]);
        assert!(waiting.begin().is_none());
        waiting.over(&groups[0]);
        waiting.hold(0);
        assert_eq!(waiting.begin().unwrap(), (Group { target: 0, records: vec![] }, vec![1]));
    }

    proptest! {
        #[test]
        fn of_one_key_nothing_overtakes_whatever_is_halved_or_held(
            records in prop::collection::vec((0u32..4, 0usize..3, 0u8..8), 1..40), most in 1usize..6, at_once in 1usize..5, ordered: bool, apart: bool,
        ) {
            let keys = Keys(ordered.then(|| records.iter().map(|(key, ..)| *key).collect()));
            let mut grouping = Grouping::new(&keys, (most, usize::MAX), apart);
            for (record, (_, to, _)) in records.iter().enumerate() {
                grouping.add(record as u32, target(&to.to_string()), 1);
            }
            let (groups, _) = grouping.finish();
            let mut waiting = Waiting::new(&keys, groups);
            let (mut flights, mut arrived, mut held) = (VecDeque::new(), Vec::new(), Vec::new());
            loop {
                while flights.len() < at_once {
                    let Some((group, left)) = waiting.begin() else { break };
                    held.extend(left);
                    if !group.records.is_empty() { flights.push_back(group); }
                }
                let Some(group) = flights.pop_front() else { break };
                waiting.over(&group);
                let fate = |record: &u32| records[*record as usize].2;
                if group.records.len() > 1 && group.records.iter().any(|record| fate(record) == 7) {
                    waiting.halve(group);
                    continue;
                }
                // Where the far side does not answer for each alone, all of a request share what becomes of it.
                let all = !apart && group.records.iter().any(|record| fate(record) == 6);
                for record in group.records {
                    if all || fate(&record) == 6 { waiting.hold(record); held.push(record); } else { arrived.push(record); }
                }
            }
            prop_assert_eq!(waiting.left().count(), 0);
            let mut all: Vec<u32> = arrived.iter().chain(&held).copied().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..records.len() as u32).collect::<Vec<_>>());
            if ordered {
                for key in 0..4 {
                    let of_key: Vec<u32> = arrived.iter().copied().filter(|record| records[*record as usize].0 == key).collect();
                    prop_assert!(of_key.is_sorted(), "{:?}", of_key);
                    let first_held = held.iter().copied().filter(|record| records[*record as usize].0 == key).min();
                    prop_assert!(first_held.is_none_or(|held| of_key.iter().all(|record| *record < held)));
                }
            }
        }
    }
}
