//! How files are made for a destination that takes them, and what becomes of uploads.

use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{
    at::At,
    bounded::{Quantity, within},
    fault::Refusal,
    interval::Interval,
    schedule::{Schedule, Zone},
    size::Size,
};

/// How files are made for a destination that takes them, and what becomes of uploads.
#[derive(Clone, Debug, Default)]
pub struct Bulk {
    /// When files are made; `None` where the connector says.
    pub schedule: Option<Schedule>,
    /// Whose clock cron goes by.
    pub time_zone: Option<Zone>,
    /// Files are made as soon as so many records wait.
    pub max_records: Option<u32>,
    /// The same for their bytes.
    pub max_bytes: Option<Size>,
    /// The same for how long the first of them waits.
    pub max_delay: Option<Interval>,
    /// How the uploads are dealt with.
    pub uploads: UploadKeys,
}

/// How uploads are dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadKeys {
    /// The most uploads that are under way at once.
    pub max_uploads: u32,
    /// When one is too old.
    pub upload_max_age: Interval,
    /// What becomes of one that is too old or not known any more.
    pub on_lost: OnLost,
    /// What becomes of one of which the far side does not say whether it took effect.
    pub on_undecidable: OnUndecidable,
    /// The bounds of the time between two polls.
    pub poll: Poll,
    /// How many follow-ups there may be in a row.
    pub follow_up_depth: u32,
    /// The spool.
    pub spool: SpoolKeys,
}

impl Default for UploadKeys {
    fn default() -> Self {
        Self {
            max_uploads: max_uploads(),
            upload_max_age: upload_max_age(),
            on_lost: OnLost::default(),
            on_undecidable: OnUndecidable::default(),
            poll: Poll::default(),
            follow_up_depth: follow_up_depth(),
            spool: SpoolKeys::default(),
        }
    }
}

/// The block as written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "the bulk block")]
#[schemars(rename = "Bulk")]
struct Written {
    /// When files are made of what waits: `realtime`, `@every 1h`, or five fields of cron. Default: what the connector says, else `@every 1h`.
    schedule: Option<Schedule>,
    /// Whose clock a cron schedule goes by.
    #[schemars(with = "Option<Zone>", extend("default" = "UTC"))]
    time_zone: Option<At<Zone>>,
    /// Files are made before that as soon as so many records wait.
    #[serde(default, deserialize_with = "records")]
    #[schemars(range(min = 1))]
    max_records: Option<u32>,
    /// Files are made before that as soon as what waits has so many bytes.
    #[serde(default, deserialize_with = "bytes")]
    max_bytes: Option<Size>,
    /// Files are made before that as soon as a record has waited so long.
    #[serde(default, deserialize_with = "delay")]
    max_delay: Option<Interval>,
    /// The most uploads that are under way at once; those that wait for a person do not count. With `ordered: true` it is one.
    #[serde(default = "max_uploads", deserialize_with = "uploads")]
    #[schemars(range(min = 1, max = 64))]
    max_uploads: u32,
    /// How long after it was first sent an upload is too old to be asked for.
    #[serde(default = "upload_max_age", deserialize_with = "age")]
    upload_max_age: Interval,
    /// What becomes of an upload that is too old, or that the far side no longer knows.
    #[serde(default)]
    on_lost: OnLost,
    /// What becomes of an upload of which the far side does not say whether it took effect.
    #[serde(default)]
    on_undecidable: OnUndecidable,
    /// The bounds of the time between two questions how far an upload is.
    #[serde(default)]
    #[schemars(with = "Poll")]
    poll: Option<At<Poll>>,
    /// How many follow-ups there may be in a row, each the cause of the next; those beyond it do not come to be, and are counted.
    #[serde(default = "follow_up_depth", deserialize_with = "depth")]
    #[schemars(range(min = 1, max = 100))]
    follow_up_depth: u32,
    /// The queue in front of the destination.
    #[serde(default)]
    spool: SpoolKeys,
}

impl Written {
    fn read(self) -> Result<Bulk, Refusal> {
        let Self { schedule, time_zone, max_records, max_bytes, max_delay, poll, .. } = self;
        let time_zone = zoned(schedule.as_ref(), time_zone)?;
        if let Some(At { value: Poll { min_delay, max_delay }, place }) =
            poll.as_ref().filter(|poll| poll.min_delay > poll.max_delay)
        {
            return Err(Refusal::new(format!("`poll` has a `min-delay` of {min_delay} and a `max-delay` of {max_delay}"))
                .with_hint("make `max-delay` at least as long as `min-delay`; what is left out has its default")
                .with_place(place));
        }
        let poll = poll.map(|poll| poll.value).unwrap_or_default();
        let Self { max_uploads, upload_max_age, on_lost, on_undecidable, follow_up_depth, spool, .. } = self;
        let uploads = UploadKeys { max_uploads, upload_max_age, on_lost, on_undecidable, poll, follow_up_depth, spool };
        Ok(Bulk { schedule, time_zone, max_records, max_bytes, max_delay, uploads })
    }
}

/// A time zone goes with a schedule that names a time of day.
pub(super) fn zoned(schedule: Option<&Schedule>, zone: Option<At<Zone>>) -> Result<Option<Zone>, Refusal> {
    match zone {
        Some(zone) if matches!(schedule, Some(Schedule::Realtime | Schedule::Every(_))) => {
            Err(Refusal::new("`time-zone` goes with a schedule of cron")
                .with_hint("leave it out: the schedule names no time of day")
                .with_place(&zone.place))
        }
        zone => Ok(zone.map(|zone| zone.value)),
    }
}

impl<'de> Deserialize<'de> for Bulk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Written::deserialize(deserializer)?.read().map_err(de::Error::custom)
    }
}

impl JsonSchema for Bulk {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Written::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Written::json_schema(generator)
    }
}

/// What becomes of an upload that is too old, or that the far side no longer knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", expecting = "`hold`, `resend` or `dead-letter`")]
pub enum OnLost {
    /// It waits for a person.
    #[default]
    Hold,
    /// Its records are sent again, in another file.
    Resend,
    /// Its records are dead letters.
    DeadLetter,
}

/// What becomes of an upload of which the far side does not say whether it took effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", expecting = "`hold` or `resend`")]
pub enum OnUndecidable {
    /// It waits for a person.
    #[default]
    Hold,
    /// It is sent again, with the same intent.
    Resend,
}

/// The bounds of the time between two questions how far an upload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "the poll block")]
pub struct Poll {
    /// The shortest, whatever the connector says.
    #[serde(deserialize_with = "between")]
    pub min_delay: Interval,
    /// The longest, whatever the connector says.
    #[serde(deserialize_with = "between")]
    pub max_delay: Interval,
}

impl Default for Poll {
    fn default() -> Self {
        Self { min_delay: Interval::from_secs(1), max_delay: Interval::from_secs(3600) }
    }
}

/// The queue in front of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "the spool block")]
pub struct SpoolKeys {
    /// The most bytes of records, compressed, that it keeps. Beyond that it takes no more, and the source waits.
    #[serde(deserialize_with = "spool_bytes")]
    pub max_bytes: Size,
    /// How long after it was taken a record that waits, failed or was not answered for is given up. Default: it is not.
    #[serde(deserialize_with = "record_age")]
    #[schemars(with = "Interval")]
    pub max_age: Option<Interval>,
    /// How long it is kept what became of records and uploads that reached their end.
    #[serde(deserialize_with = "history")]
    pub history: Interval,
}

impl Default for SpoolKeys {
    fn default() -> Self {
        Self { max_bytes: Size::from_mib(1024), max_age: None, history: Interval::from_secs(7 * 86_400) }
    }
}

const fn max_uploads() -> u32 {
    4
}

const fn follow_up_depth() -> u32 {
    8
}

const fn upload_max_age() -> Interval {
    Interval::from_secs(86_400)
}

fn some<'de, D: Deserializer<'de>, T: Quantity>(deserializer: D, bounds: RangeInclusive<T>) -> Result<Option<T>, D::Error> {
    within(deserializer, bounds).map(Some)
}

pub(super) fn records<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    some(deserializer, 1..=u32::MAX)
}

pub(super) fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Size>, D::Error> {
    some(deserializer, Size::from_bytes(1)..=Size::from_bytes(u64::MAX))
}

pub(super) fn delay<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Interval>, D::Error> {
    some(deserializer, Interval::from_secs(1)..=Interval::from_secs(366 * 86_400))
}

fn uploads<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, 1..=64)
}

fn depth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, 1..=100)
}

fn age<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Interval, D::Error> {
    within(deserializer, Interval::from_secs(1)..=Interval::from_secs(366 * 86_400))
}

fn between<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Interval, D::Error> {
    within(deserializer, Interval::from_millis(100)..=Interval::from_secs(86_400))
}

fn record_age<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Interval>, D::Error> {
    some(deserializer, Interval::from_secs(1)..=Interval::from_secs(366 * 86_400))
}

fn spool_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
    within(deserializer, Size::from_kib(64)..=Size::from_mib(1 << 20))
}

fn history<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Interval, D::Error> {
    within(deserializer, Interval::from_secs(60)..=Interval::from_secs(366 * 86_400))
}
