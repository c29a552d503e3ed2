//! When something that runs on a schedule is due.
//!
//! A record is due with the first moment of the schedule that comes after it. That follows from the record alone, so that nothing has to be
//! kept of it: a process that begins anew, or was away when a moment came, finds what is due by itself.

use chrono::{DateTime, Utc};

use crate::config::{Schedule, Zone};

/// A schedule by some clock on a wall.
#[derive(Clone, Debug)]
pub struct Timetable {
    /// When.
    pub schedule: Schedule,
    /// Whose clock cron goes by.
    pub zone: Zone,
}

impl Timetable {
    /// The first moment after another one, both in milliseconds since 1970; `None` where none comes any more. Where a clock is put forward over a
    /// moment, that comes when the clock is; where it is put back, it comes once.
    pub fn after(&self, millis: u64) -> Option<u64> {
        match &self.schedule {
            Schedule::Realtime => Some(millis),
            Schedule::Every(every) => {
                let every = every.millis().max(1);
                (millis / every).checked_add(1)?.checked_mul(every)
            }
            Schedule::Cron(cron) => {
                let from = DateTime::<Utc>::from_timestamp_millis(i64::try_from(millis).ok()?)?.with_timezone(&self.zone.0);
                let next = cron.find_next_occurrence(&from, false).ok()?;
                u64::try_from(next.timestamp_millis()).ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(schedule: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let timetable = Timetable { schedule: schedule.parse().unwrap(), zone: Zone(zone.parse().unwrap()) };
        let mut at = DateTime::parse_from_rfc3339(from).unwrap().timestamp_millis() as u64;
        let mut next = || {
            at = timetable.after(at).unwrap();
            crate::clock::rfc3339_of(at)
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn every_so_often_is_the_same_moments_whenever_the_process_began() {
        let hours = ["2026-01-01T01:00:00.000Z", "2026-01-01T02:00:00.000Z"];
        assert_eq!(moments("@every 1h", "UTC", "2026-01-01T00:00:00Z", 2), hours);
        assert_eq!(moments("@every 1h", "UTC", "2026-01-01T00:59:59.999Z", 2), hours);
    }

    #[test]
    fn cron_goes_by_the_clock_of_its_zone_also_where_that_is_put_forward_and_back() {
        // On 29 March the clock in Berlin goes from 02:00 to 03:00, and on 25 October from 03:00 back to 02:00.
        let spring = ["2026-03-28T01:30:00.000Z", "2026-03-29T01:00:00.000Z", "2026-03-30T00:30:00.000Z"];
        assert_eq!(moments("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3), spring);
        let autumn = ["2026-10-24T00:30:00.000Z", "2026-10-25T00:30:00.000Z", "2026-10-26T01:30:00.000Z"];
        assert_eq!(moments("30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", 3), autumn);
        assert_eq!(moments("0 8 * * MON", "UTC", "2026-11-22T00:00:00Z", 1), ["2026-11-23T08:00:00.000Z"]);
    }
}
