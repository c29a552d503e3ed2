//! What becomes of a record at a `guest-fickle`: the same on every delivery, so that a test can tell beforehand. Component and test share
//! this source.

/// From which attempt on a hopeless record is rejected. A far side that is down is tried without an end, and so is a record that is alone.
#[allow(dead_code, reason = "the component asks, and the test does not")]
pub const HOPELESS: u32 = 6;

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is delivered.
    Fine,
    /// It fails for now on so many attempts.
    Later(u32),
    /// It is rejected.
    Rejected,
    /// It fails for now, and is rejected where it is tried that often all the same.
    Hopeless,
    /// It is delivered, and on the first attempt nothing is said of it.
    Untold,
}

impl Fate {
    /// Of the record with this key. Another destination has another seed.
    pub fn of(seed: u64, sequence: u64, ordinal: u32) -> Self {
        let drawn = mixed(seed ^ mixed(sequence ^ (u64::from(ordinal) << 48)));
        match drawn % 200 {
            0..=1 => Self::Rejected,
            2 => Self::Hopeless,
            3..=4 => Self::Untold,
            5..=12 => Self::Later(1),
            13..=14 => Self::Later(2),
            _ => Self::Fine,
        }
    }

    /// Whether it is a dead letter in the end.
    #[allow(dead_code, reason = "the test asks, and the component does not")]
    pub fn is_dead(self) -> bool {
        matches!(self, Self::Rejected | Self::Hopeless)
    }
}

/// A number in which each bit hangs on each of another's.
pub fn mixed(number: u64) -> u64 {
    // The finalizer of splitmix64.
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
