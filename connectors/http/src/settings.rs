//! What an operator gives, checked and made ready.

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use wharf_json::{Makes, Template};
use wharf_sdk::{Parameters, Problem, Size, tracing};

use super::{
    body::{Bodies, Body},
    idempotency,
    items::Items,
    status::{Statuses, Table},
    target::Targets,
};

/// The settings as they are written.
#[derive(Clone, Debug, Parameters)]
pub struct Config {
    /// Where requests go. Behind the host there may be places such as {{/user/id}}, {{key}} and {{meta:NAME}}.
    pub url: String,
    /// GET, POST, PUT, PATCH or DELETE, or a place that gives one.
    #[parameter(default = "POST")]
    pub method: String,
    /// Methods by operation, before `method`: `create`, `update`, `delete`, `snapshot`.
    pub methods: BTreeMap<String, String>,
    /// Headers, with places. Credentials are not given here: the host adds them.
    pub headers: BTreeMap<String, String>,
    /// `record` sends a request for each record; the others put several into one.
    #[parameter(default = "record")]
    pub body: Body,
    /// What stands for a record in the body, as JSON with places; the record's own value where it is left out.
    pub template: Option<String>,
    /// What stands for a record with `body: json-lines`, several lines of it.
    pub lines: Vec<String>,
    /// The media type of the body, where it is not what its form says.
    pub content_type: Option<String>,
    /// The most records of a request.
    #[parameter(default = 500, min = 1, max = 100000)]
    pub records: u32,
    /// The most bytes of a request's body before it is compressed; a record that has more goes alone.
    #[parameter(default = "4MiB", min = "1KiB", max = "64MiB")]
    pub bytes: Size,
    /// How bodies are compressed.
    #[parameter(default = "none")]
    pub compression: Compression,
    /// The most requests under way at once.
    #[parameter(default = 16, min = 1, max = 64)]
    pub concurrency: u32,
    /// How long the head of an answer, and each piece after, may take.
    #[parameter(default = "20s", min = "100ms", max = "10m")]
    pub timeout: Duration,
    /// How long requests of one batch are begun; what is left waits for the next call. Less where that and `timeout` do not fit into the
    /// destination's `limits.time.write`.
    #[parameter(default = "30s", min = "1s", max = "10m")]
    pub patience: Duration,
    /// What the idempotency header says of a request.
    #[parameter(default = "position")]
    pub idempotency: idempotency::Key,
    /// The idempotency header.
    #[parameter(default = "Idempotency-Key", pattern = "[A-Za-z0-9-]{1,64}")]
    pub idempotency_header: String,
    /// How it is asked whether the far side is there, before a run and by `wharf check --probe`.
    #[parameter(default = "head")]
    pub probe: Asking,
    /// Which status means what.
    pub status: StatusConfig,
    /// Where an answer says what became of each record.
    pub answer: AnswerConfig,
}

/// Which status means what, as `200-299, 409`. The first that has it counts; others are rejected, and redirections are not followed.
#[derive(Clone, Debug, Parameters)]
pub struct StatusConfig {
    /// Delivered.
    #[parameter(default = "200-299")]
    pub success: String,
    /// Wait as long as `Retry-After` says, and send again.
    #[parameter(default = "429")]
    pub throttled: String,
    /// The credentials were refused.
    #[parameter(default = "401,403,407")]
    pub unauthorized: String,
    /// Send again later.
    #[parameter(default = "408,425,500-599")]
    pub retry: String,
    /// One record of several is to blame: they are sent in halves, down to that one.
    #[parameter(default = "400,409,413,422")]
    pub blame: String,
}

/// Where an answer says what became of each record.
#[derive(Clone, Debug, Parameters)]
pub struct AnswerConfig {
    /// JSON pointer to an array in the answer: an element for each record in order, or with `index` for those that it is about.
    pub items: Option<String>,
    /// JSON pointer in an element to which record it is about, counted from 0; records without one are delivered.
    pub index: Option<String>,
    /// JSON pointer in an element to a status; `*` is any one member, as in `/*/status`.
    pub status: Option<String>,
    /// JSON pointer in an element to what went wrong.
    pub error: Option<String>,
}

/// How it is asked whether the far side is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Parameters)]
pub enum Asking {
    /// With HEAD, at the part of `url` that is the same for all records. Any answer will do but 401, 407, 502, 503 and 504.
    Head,
    /// Not at all: it is taken to be there.
    None,
}

/// How bodies are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Parameters)]
pub enum Compression {
    /// They are not.
    None,
    /// With gzip (RFC 1952).
    Gzip,
}

/// The settings made ready.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where requests go.
    pub targets: Targets,
    /// What their bodies are made of.
    pub bodies: Bodies,
    /// The most records of a request.
    pub records: usize,
    /// The most bytes of a request.
    pub bytes: usize,
    /// The most requests at once.
    pub concurrency: usize,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long requests of one batch are begun.
    pub patience: Duration,
    /// What the idempotency header says, and what it is called.
    pub idempotency: (idempotency::Key, String),
    /// Which status means what.
    pub table: Table,
    /// Where an answer says what became of each record.
    pub items: Option<Items>,
}

impl Settings {
    /// What is made of the settings.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn new(config: &Config) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let targets = Targets::new(config, &mut problems);
        let json = |name: &str, text: &str, problems: &mut Vec<Problem>| {
            let makes = match &config.content_type {
                Some(media) if config.body == Body::Record && !media.contains("json") => Makes::Text,
                _ => Makes::Json,
            };
            Template::parse(text, makes).unwrap_or_else(|error| {
                problems.push(Problem::new(name, error));
                Template::default()
            })
        };
        let template = config.template.as_deref().map(|text| json("template", text, &mut problems));
        let lines: Vec<Template> =
            config.lines.iter().enumerate().map(|(at, text)| json(&format!("lines.{at}"), text, &mut problems)).collect();
        if !lines.is_empty() && config.body != Body::JsonLines {
            problems.push(Problem::new("lines", "is for `body: json-lines` alone; elsewhere it is `template`"));
        }
        if template.is_some() && !lines.is_empty() {
            problems.push(Problem::new("lines", "and `template` are both given: one of them says what stands for a record"));
        }
        if template.is_some() && config.body == Body::Form {
            problems.push(Problem::new("template", "is not for `body: form`, whose fields are the members of the record"));
        }
        if config.idempotency == idempotency::Key::Key && config.body.is_joined() {
            problems.push(Problem::new("idempotency", "is `key`, which is for requests of one record: `body: record` or `form`"));
        }
        let mut statuses = |name: &str, text: &str| {
            Statuses::from_str(text).unwrap_or_else(|error| {
                problems.push(Problem::new(format!("status.{name}"), format!("is wrong: {error}")));
                Statuses::default()
            })
        };
        let StatusConfig { success, throttled, unauthorized, retry, blame } = &config.status;
        let table = Table {
            success: statuses("success", success),
            throttled: statuses("throttled", throttled),
            unauthorized: statuses("unauthorized", unauthorized),
            retry: statuses("retry", retry),
            blame: statuses("blame", blame),
        };
        let items = Items::new(&config.answer, &mut problems);
        let lines = match template {
            Some(template) => vec![template],
            None => lines,
        };
        if !problems.is_empty() {
            return Err(problems);
        }
        let bodies = Bodies {
            body: config.body,
            lines,
            media: config.content_type.clone(),
            gzip: config.compression == Compression::Gzip,
        };
        Ok(Self {
            targets,
            bodies,
            records: if config.body.is_joined() { config.records as usize } else { 1 },
            bytes: usize::try_from(config.bytes.as_bytes()).unwrap_or(usize::MAX),
            concurrency: config.concurrency as usize,
            timeout: config.timeout,
            patience: config.patience,
            idempotency: (config.idempotency, config.idempotency_header.clone()),
            table,
            items,
        })
    }
    /// Shortens what does not fit into the longest that a call of `write` may take, so that what became of each record is known before the host ends
    /// the instance that waits for answers.
    pub fn fit(&mut self, limit: Duration) {
        // The rest is for what is computed besides.
        let room = limit - limit / 10;
        let timeout = self.timeout.min(room / 4 * 3);
        let patience = self.patience.min(room - timeout);
        if (timeout, patience) != (self.timeout, self.patience) {
            tracing::warn!(
                "`timeout` of {:?} and `patience` of {:?} do not fit into the {limit:?} that a call of `write` may take (`limits.time.write`): they are {timeout:?} and {patience:?}",
                self.timeout,
                self.patience
            );
            (self.timeout, self.patience) = (timeout, patience);
        }
    }
}
