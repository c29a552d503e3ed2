//! `wharf uploads` and `wharf spool`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    Output, SETTLED,
    dead_letters::columns,
    numbers::grouped,
    operate::{Desk, On, astray},
    refusal::Refusal,
    stdout,
    steer::Target,
};
use crate::{
    operate::{
        Answer, Request,
        spools::{Decision, RecordsDocument, SpoolAnswer, SpoolDocument, SpoolRequest, UploadDocument, Which},
    },
    sandbox::output::printable,
};

/// What to do with uploads.
#[derive(Debug, Subcommand)]
pub enum Uploads {
    /// Lists those that are not settled.
    List {
        /// Only those of a pipeline, or of one destination.
        #[arg(value_name = "PIPELINE[/DESTINATION]")]
        of: Option<Target>,
        #[command(flatten)]
        on: On,
    },
    /// Shows all that is known of one.
    Show {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        on: On,
    },
    /// Has the far side asked again how far one is, or whether it took effect.
    Ask {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        on: On,
    },
    /// Has the records of one sent again, in another file. If it took effect, they are delivered a second time.
    Resend {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        on: On,
    },
    /// Gives the records of one up: they are dead letters.
    Abandon {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        on: On,
    },
}

/// One upload.
#[derive(Debug, Args)]
pub struct One {
    /// The destination.
    #[arg(value_name = "PIPELINE/DESTINATION")]
    of: Target,
    /// Its number, as `list` shows it.
    id: i64,
}

/// What to do with spools.
#[derive(Debug, Subcommand)]
pub enum Spool {
    /// Shows how much is in them, and what became of it.
    Status {
        /// Only those of a pipeline, or of one destination.
        #[arg(value_name = "PIPELINE[/DESTINATION]")]
        of: Option<Target>,
        #[command(flatten)]
        on: On,
    },
    /// Lists records that have reached no end: neighbours of which all is the same in one line.
    Records {
        #[command(flatten)]
        some: Picked,
        /// From this batch on.
        #[arg(long, value_name = "BATCH", default_value_t = 0)]
        after: i64,
        /// At most so many lines.
        #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        #[command(flatten)]
        on: On,
    },
    /// Makes records that failed, or that the connector did not answer for, due at once.
    Retry {
        #[command(flatten)]
        some: Picked,
        #[command(flatten)]
        on: On,
    },
    /// Says that the spool of a destination is lost, and what waited in it with it: the next run goes on with another.
    Lost {
        /// The destination.
        #[arg(value_name = "PIPELINE/DESTINATION")]
        of: Target,
        #[command(flatten)]
        on: On,
    },
    /// Gives records up that wait, failed, or were not answered for: they are dead letters.
    Discard {
        #[command(flatten)]
        some: Picked,
        /// All of them.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        on: On,
    },
}

/// Some records of a spool.
#[derive(Debug, Args)]
pub struct Picked {
    /// The destination.
    #[arg(value_name = "PIPELINE/DESTINATION")]
    of: Target,
    /// Those in this state: waiting, executing, uploading, failed or unknown.
    #[arg(long)]
    state: Option<String>,
    /// Those of the batch with this number, as `records` shows it.
    #[arg(long, value_name = "NUMBER")]
    batch: Option<i64>,
    /// Those of this run of their source, as their metadata `run-id` says.
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Those of this action, as `records` shows it.
    #[arg(long, value_name = "NAME")]
    action: Option<String>,
}

impl Uploads {
    /// For whom to print.
    pub fn output(&self) -> Output {
        let (Self::List { on, .. }
        | Self::Show { on, .. }
        | Self::Ask { on, .. }
        | Self::Resend { on, .. }
        | Self::Abandon { on, .. }) = self;
        on.output
    }

    /// Does it.
    pub async fn run(self) -> Result<u8, Refusal> {
        let (one, on, decision, told) = match self {
            Self::List { of, on } => {
                let uploads = uploads(of, &on).await?;
                match on.output {
                    Output::Json => stdout::document(&json!({"uploads": uploads})),
                    Output::Text => stdout::text(&listed(&uploads)),
                }
                return Ok(SETTLED);
            }
            Self::Show { one, on } => {
                let (_, _) = one.of.clone().destination()?;
                let uploads = uploads(Some(one.of), &on).await?;
                let Some(upload) = uploads.into_iter().find(|upload| upload.id == one.id) else {
                    let hint = "`wharf uploads list` shows which there are";
                    return Err(Refusal::with_hint(
                        format!("there is no upload {} that is not settled", one.id),
                        Some(hint.into()),
                    ));
                };
                match on.output {
                    Output::Json => stdout::document(&json!(upload)),
                    Output::Text => stdout::text(&whole(&upload)),
                }
                return Ok(SETTLED);
            }
            Self::Ask { one, on } => (one, on, Decision::Ask, "the far side is asked again"),
            Self::Resend { one, on } => (one, on, Decision::Resend, "its records are sent again"),
            Self::Abandon { one, on } => (one, on, Decision::Abandon, "its records are dead letters"),
        };
        let ((pipeline, destination), upload) = (one.of.destination()?, one.id);
        let done = ask(SpoolRequest::Decide { pipeline, destination, upload, decision }, &on).await?;
        print_done(&done, &on, &format!("upload {upload}: {told}\n"))
    }
}

impl Spool {
    /// For whom to print.
    pub fn output(&self) -> Output {
        let (Self::Status { on, .. }
        | Self::Records { on, .. }
        | Self::Retry { on, .. }
        | Self::Lost { on, .. }
        | Self::Discard { on, .. }) = self;
        on.output
    }

    /// Does it.
    pub async fn run(self) -> Result<u8, Refusal> {
        match self {
            Self::Status { of, on } => {
                let (pipeline, destination) = of.map(Target::parts).unwrap_or_default();
                let SpoolAnswer::Status(spools) = ask(SpoolRequest::Status { pipeline, destination }, &on).await? else {
                    return Err(astray());
                };
                match on.output {
                    Output::Json => stdout::document(&json!({"spools": spools})),
                    Output::Text => stdout::text(&stood(&spools)),
                }
                Ok(SETTLED)
            }
            Self::Records { some, after, limit, on } => {
                let (pipeline, destination, which) = some.parts()?;
                let request = SpoolRequest::Records { pipeline, destination, which, after: (after, 0), most: limit };
                let SpoolAnswer::Records(records) = ask(request, &on).await? else { return Err(astray()) };
                match on.output {
                    Output::Json => stdout::document(&json!({"records": records})),
                    Output::Text => stdout::text(&lines(&records)),
                }
                Ok(SETTLED)
            }
            Self::Retry { some, on } => {
                let (pipeline, destination, which) = some.parts()?;
                let done = ask(SpoolRequest::Retry { pipeline, destination, which }, &on).await?;
                let SpoolAnswer::Done(records) = done else { return Err(astray()) };
                print_done(&done, &on, &format!("{} due now\n", counted(records)))
            }
            Self::Lost { of, on } => {
                let (pipeline, destination) = of.destination()?;
                let told = format!("{pipeline}/{destination}: the next run goes on with another spool\n");
                let done = ask(SpoolRequest::Lost { pipeline, destination }, &on).await?;
                print_done(&done, &on, &told)
            }
            Self::Discard { some, all, on } => {
                let picks = some.state.is_some() || some.batch.is_some() || some.run.is_some() || some.action.is_some();
                if all == picks {
                    let what = if all { "`--all` and some of them" } else { "which records are to be given up is not said" };
                    return Err(Refusal::with_hint(
                        what.into(),
                        Some("give --state, --batch, --run or --action, or else --all".into()),
                    ));
                }
                let (pipeline, destination, which) = some.parts()?;
                let done = ask(SpoolRequest::Discard { pipeline, destination, which }, &on).await?;
                let SpoolAnswer::Done(records) = done else { return Err(astray()) };
                print_done(&done, &on, &format!("{} given up\n", counted(records)))
            }
        }
    }
}

impl Picked {
    fn parts(self) -> Result<(String, String, Which), Refusal> {
        let Self { of, state, batch, run, action } = self;
        let (pipeline, destination) = of.destination()?;
        Ok((pipeline, destination, Which { state, batch, run, action }))
    }
}

async fn ask(request: SpoolRequest, on: &On) -> Result<SpoolAnswer, Refusal> {
    match Desk::open(&on.data_dir).await?.ask(Request::Spool(request)).await? {
        Answer::Spool(answer) => Ok(*answer),
        _ => Err(astray()),
    }
}

async fn uploads(of: Option<Target>, on: &On) -> Result<Vec<UploadDocument>, Refusal> {
    let (pipeline, destination) = of.map(Target::parts).unwrap_or_default();
    match ask(SpoolRequest::Uploads { pipeline, destination }, on).await? {
        SpoolAnswer::Uploads(uploads) => Ok(uploads),
        _ => Err(astray()),
    }
}

fn print_done(done: &SpoolAnswer, on: &On, told: &str) -> Result<u8, Refusal> {
    let SpoolAnswer::Done(done) = done else { return Err(astray()) };
    match on.output {
        Output::Json => stdout::document(&json!({"done": done})),
        Output::Text => stdout::text(told),
    }
    Ok(SETTLED)
}

fn counted(records: u64) -> String {
    format!("{} {}", grouped(records), if records == 1 { "record" } else { "records" })
}

/// On one line, and harmless to a terminal: a far side's words may be in it.
fn line(text: &str) -> String {
    printable(text, false).into_owned()
}

fn listed(uploads: &[UploadDocument]) -> String {
    let row = |upload: &UploadDocument| {
        let UploadDocument { pipeline, destination, id, state, records, open, created, reason, .. } = upload;
        let of = if open == records { counted(*records) } else { format!("{} of {}", grouped(*open), counted(*records)) };
        let reason = reason.as_deref().map(line).unwrap_or_default();
        [id.to_string(), format!("{pipeline}/{destination}"), state.clone(), of, created.clone(), reason]
    };
    let rows: Vec<_> = uploads.iter().map(row).collect();
    if rows.is_empty() { "no uploads\n".into() } else { columns(&rows) }
}

fn whole(upload: &UploadDocument) -> String {
    let optional = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), line);
    let rows = [
        ["upload".into(), upload.id.to_string()],
        ["destination".into(), format!("{}/{}", upload.pipeline, upload.destination)],
        ["action".into(), if upload.action.is_empty() { "-".into() } else { line(&upload.action) }],
        ["intent".into(), upload.intent.clone()],
        ["state".into(), upload.state.clone()],
        ["reason".into(), optional(&upload.reason)],
        ["records".into(), format!("{}, of them {} not settled", grouped(upload.records), grouped(upload.open))],
        ["file".into(), format!("{}, {} bytes", upload.file, grouped(upload.bytes))],
        ["sent".into(), format!("{} times, first {}", upload.attempt, optional(&upload.sent))],
        ["failures".into(), format!("{} in a row", upload.failures)],
        ["created".into(), upload.created.clone()],
        ["next".into(), upload.next.clone()],
        ["component".into(), format!("sha256:{}", upload.component)],
        ["handle".into(), upload.handle_bytes.map_or_else(|| "-".into(), |bytes| format!("{} bytes", grouped(bytes)))],
    ];
    columns(&rows)
}

fn stood(spools: &[SpoolDocument]) -> String {
    let mut text = String::new();
    for spool in spools {
        let SpoolDocument { pipeline, destination, records, batches, bytes, oldest, uploads, .. } = spool;
        text.push_str(&format!("{pipeline}/{destination}: {} batches, {} bytes", grouped(*batches), grouped(*bytes)));
        text.push_str(&oldest.as_ref().map(|oldest| format!(", the oldest of {oldest}")).unwrap_or_default());
        text.push_str(&format!("; {} uploads", grouped(*uploads)));
        if spool.follow_ups > 0 {
            text.push_str(&format!("; {} of the records are follow-ups", grouped(spool.follow_ups)));
        }
        if spool.promised > 0 {
            let (promised, bytes) = (grouped(spool.promised), grouped(spool.promised_bytes));
            text.push_str(&format!("; {promised} follow-ups wait for what becomes of their causes, {bytes} bytes"));
        }
        text.push('\n');
        let rows: Vec<_> = records.iter().map(|(state, records)| [format!("  {state}"), grouped(*records)]).collect();
        text.push_str(&columns(&rows));
    }
    if text.is_empty() {
        text.push_str("no spools\n");
    }
    text
}

fn lines(records: &[RecordsDocument]) -> String {
    let row = |records: &RecordsDocument| {
        let RecordsDocument { batch, start, end, state, attempts, due, upload, version, label, first, last, reason, .. } =
            records;
        let upload = upload.map(|upload| format!("upload {upload}"));
        let place = upload.or_else(|| due.clone()).unwrap_or_default();
        let sequences = if first == last { first.to_string() } else { format!("{first} to {last}") };
        let reason = reason.as_deref().map(line).unwrap_or_default();
        let (batch, attempts) = (format!("{batch}: {start} to {}", end - 1), format!("{attempts} failed"));
        let version = version.as_deref().map(|version| format!(" for {}", line(version))).unwrap_or_default();
        let action = if records.action.is_empty() { String::new() } else { format!("{}: ", line(&records.action)) };
        [batch, state.clone(), attempts, place, format!("{action}{} {sequences}{version}", line(label)), reason]
    };
    let rows: Vec<_> = records.iter().map(row).collect();
    if rows.is_empty() { "no records\n".into() } else { columns(&rows) }
}
