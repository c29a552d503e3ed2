//! What a connector says of itself.

use std::time::Duration;

use crate::{
    Size, duration,
    json::{Json, Object},
    parameters::{Kind, Parameter, Rules},
};

/// In which order a destination delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Nothing after a record that is to be retried is delivered.
    Batch,
    /// Nothing of the same key after a record that is to be retried is delivered.
    Key,
    /// As it comes.
    None,
}

/// What becomes of a record that is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redelivery {
    /// It takes effect once, by its key, and gets the answer that it got before.
    Idempotent,
    /// It takes effect again.
    Repeats,
}

/// Something that a destination does with records; a pipeline routes them to it by name.
#[derive(Clone, Debug)]
pub struct Action {
    name: String,
    delivery: &'static str,
    summary: Option<String>,
    schedule: Option<String>,
    retries: Option<u32>,
}

impl Action {
    /// Records are written as they come, through [`Destination::write`](crate::Destination::write).
    pub fn write(name: impl Into<String>) -> Self {
        Self { name: name.into(), delivery: "write", summary: None, schedule: None, retries: None }
    }

    /// Records are staged and uploaded, through [`BulkDestination`](crate::BulkDestination).
    pub fn bulk(name: impl Into<String>) -> Self {
        Self { delivery: "bulk", ..Self::write(name) }
    }

    /// One line for a person.
    #[must_use]
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.summary = Some(summary.into());
        self
    }

    /// When it runs, where the pipeline does not say.
    #[must_use]
    pub fn schedule(mut self, schedule: impl Into<String>) -> Self {
        self.schedule = Some(schedule.into());
        self
    }

    /// How often a failed delivery is tried again, where the pipeline does not say.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    fn json(self) -> Json {
        let mut action = Object::default();
        action.put("name", self.name);
        action.put_some("summary", self.summary);
        action.put("delivery", self.delivery);
        action.put_some("schedule", self.schedule);
        action.put_some("retries", self.retries);
        action.into()
    }
}

/// What a connector says of itself: what it is for, what it promises, what it would like. The rest is filled in: its parameters
/// are those of the configuration, and its name and version those of the crate.
///
/// ```
/// use std::time::Duration;
/// use wharf_sdk::{Descriptor, Order, Redelivery, Size};
///
/// let descriptor = Descriptor::new("Writes records as objects into a bucket.")
///     .order(Order::Key)
///     .redelivery(Redelivery::Idempotent)
///     .prefer_records(5_000)
///     .prefer_delay(Duration::from_secs(2))
///     .bound_record_bytes(Size::mib(5))
///     .request("http", "https://{bucket}.example.com:443", "objects are sent there");
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Descriptor {
    about: Object,
    actions: Vec<Action>,
    default_action: Option<String>,
    versions: Vec<Json>,
    default_version: Option<String>,
    guarantees: Object,
    preferences: Object,
    bounds: Object,
    requests: Vec<Json>,
}

impl Descriptor {
    /// With one line for a person.
    pub fn new(summary: impl Into<String>) -> Self {
        let mut descriptor = Self::default();
        descriptor.about.put("summary", summary.into());
        descriptor
    }

    /// A name other than that of the crate.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.about.put("name", name.into());
        self
    }

    /// A version other than that of the crate, by semantic versioning.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.about.put("version", version.into());
        self
    }

    /// What a person should know before using it, in Markdown.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.about.put("description", description.into());
        self
    }

    /// Who wrote it, where that is not the authors of the crate (`authors` in `Cargo.toml`).
    pub fn author(mut self, author: impl Into<String>) -> Self {
        self.about.put("author", author.into());
        self
    }

    /// One more action. [`Batch::action`](crate::Batch::action) counts them in the order given here.
    pub fn action(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }

    /// The action of a pipeline that names none.
    pub fn default_action(mut self, name: impl Into<String>) -> Self {
        self.default_action = Some(name.into());
        self
    }

    /// One more version of the far side's interface that a pipeline can choose; [`Context::api_version`](crate::Context::api_version) tells which.
    pub fn api_version(mut self, name: impl Into<String>) -> Self {
        self.versions.push(version(name.into(), None));
        self
    }

    /// Likewise, and one that is on its way out since that date, `2026-11-21`.
    pub fn deprecated_api_version(mut self, name: impl Into<String>, date: impl Into<String>) -> Self {
        self.versions.push(version(name.into(), Some(date.into())));
        self
    }

    /// The version of a pipeline that names none.
    pub fn default_api_version(mut self, name: impl Into<String>) -> Self {
        self.default_version = Some(name.into());
        self
    }

    /// The order that it keeps. Not said, it keeps none.
    pub fn order(mut self, order: Order) -> Self {
        let order = match order {
            Order::Batch => "batch",
            Order::Key => "key",
            Order::None => "none",
        };
        self.guarantees.put("order", order);
        self
    }

    /// What becomes of a record that is sent again. Not said, it takes effect again.
    pub fn redelivery(mut self, redelivery: Redelivery) -> Self {
        let redelivery = match redelivery {
            Redelivery::Idempotent => "idempotent",
            Redelivery::Repeats => "repeats",
        };
        self.guarantees.put("redelivery", redelivery);
        self
    }

    /// Of uploads: it can tell whether one took effect whose answer never came.
    pub fn reconciles(mut self) -> Self {
        self.guarantees.put("reconciles", true);
        self
    }

    /// So many records in a batch would suit it; of uploads, in a file.
    pub fn prefer_records(mut self, records: u32) -> Self {
        self.preferences.put("records", records);
        self
    }

    /// So many bytes in a batch would suit it.
    pub fn prefer_bytes(mut self, bytes: Size) -> Self {
        self.preferences.put("bytes", bytes.to_string());
        self
    }

    /// A batch may wait so long to be filled.
    pub fn prefer_delay(mut self, delay: Duration) -> Self {
        self.preferences.put("delay", duration::show(delay));
        self
    }

    /// So many instances at once would suit it.
    pub fn prefer_parallel(mut self, instances: u32) -> Self {
        self.preferences.put("parallel", instances);
        self
    }

    /// It takes no more records in a batch.
    pub fn bound_records(mut self, records: u32) -> Self {
        self.bounds.put("records", records);
        self
    }

    /// It takes no more bytes in a batch.
    pub fn bound_bytes(mut self, bytes: Size) -> Self {
        self.bounds.put("bytes", bytes.to_string());
        self
    }

    /// It takes no record of more bytes.
    pub fn bound_record_bytes(mut self, bytes: Size) -> Self {
        self.bounds.put("record-bytes", bytes.to_string());
        self
    }

    /// Something that an operator has to grant: a capability, what of it (`{parameter}` stands for that setting's value), and why.
    pub fn request(mut self, capability: impl Into<String>, pattern: impl Into<String>, reason: impl Into<String>) -> Self {
        let mut request = Object::default();
        request.put("capability", capability.into());
        request.put("pattern", pattern.into());
        request.put("reason", reason.into());
        self.requests.push(request.into());
        self
    }

    /// The JSON document, with what `package` says where the connector said nothing.
    pub(crate) fn json(mut self, package: &Package, parameters: Vec<Parameter>) -> String {
        for (key, value) in [
            ("name", package.name.strip_prefix("wharf-").unwrap_or(package.name)),
            ("version", package.version),
            ("summary", package.description),
            ("author", package.authors),
        ] {
            if !value.is_empty() && self.about.get(key).is_none_or(|said| *said == Json::from("")) {
                self.about.put(key, value);
            }
        }
        let mut document = Object::default();
        document.put("format", 1);
        document.put("about", self.about);
        document.put_all("parameters", parameters.into_iter().map(parameter).collect());
        document.put_all("actions", self.actions.into_iter().map(Action::json).collect());
        document.put_some("default-action", self.default_action);
        document.put_all("versions", self.versions);
        document.put_some("default-version", self.default_version);
        document.put_object("guarantees", self.guarantees);
        document.put_object("preferences", self.preferences);
        document.put_object("bounds", self.bounds);
        document.put_all("requests", self.requests);
        Json::from(document).into_text()
    }
}

/// What Cargo knows of the connector's crate.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct Package {
    pub name: &'static str,
    pub version: &'static str,
    pub description: &'static str,
    pub authors: &'static str,
}

fn version(name: String, deprecated: Option<String>) -> Json {
    let mut version = Object::default();
    version.put("name", name);
    version.put_some("deprecated", deprecated);
    version.into()
}

fn parameter(declared: Parameter) -> Json {
    let Parameter { name, summary, kind, default, required, secret, rules } = declared;
    let mut parameter = Object::default();
    parameter.put("name", name);
    if !summary.is_empty() {
        parameter.put("summary", summary);
    }
    parameter.put("type", kind.name());
    parameter.put_some("default", default);
    for (key, yes) in [("required", required), ("secret", secret)] {
        if yes {
            parameter.put(key, true);
        }
    }
    parameter.put_object("rules", rules_of(kind, rules));
    parameter.into()
}

fn rules_of(kind: Kind, rules: Rules) -> Object {
    let Rules { min, max, one_of, none_of, pattern, min_length, max_length } = rules;
    // Numbers are numbers; durations and sizes are written as an operator writes them.
    let bound = |bound: String| match kind {
        Kind::Int | Kind::Float => Json::number_or_text(&bound),
        _ => Json::from(bound),
    };
    let mut object = Object::default();
    object.put_some("min", min.map(bound));
    object.put_some("max", max.map(bound));
    object.put_all("one-of", one_of.into_iter().map(Json::from).collect());
    object.put_all("none-of", none_of.into_iter().map(Json::from).collect());
    object.put_some("pattern", pattern);
    object.put_some("min-length", min_length);
    object.put_some("max-length", max_length);
    object
}
