//! A bulk destination for the stand-in of a service that imports files (`tests/vendors/imports.rs`).
//!
//! What it knows of an import is its number, in the handle: every call is in an instance of its own.
#![cfg(target_os = "wasi")]

use std::{io::Read as _, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use wharf_sdk::{
    Batch, BulkDestination, Context, Descriptor, Failure, Found, Job, Lines, Order, Parameters, Receipt, Redelivery, Rows,
    Upload, UploadStatus, Uploaded, Waiting, export_bulk,
};

#[allow(dead_code, reason = "what the connector `http` has more of")]
#[path = "../../../../connectors/http/src/transport.rs"]
mod transport;
#[path = "../../../../connectors/http/src/wasi.rs"]
mod wasi;

use transport::{Answer, End, Request, Sort, Transport as _};

/// Bytes of an answer at the most.
const MOST: usize = 1 << 20;

/// What an operator sets.
#[derive(Debug, Parameters)]
pub struct Config {
    /// Host and port of the service.
    pub authority: String,
    /// Whether the service can be asked for an import by its key.
    #[parameter(default = true)]
    pub asks: bool,
}

/// Imports files.
#[derive(Debug)]
pub struct Imports(Config);

/// What finds an import again.
#[derive(Debug, Serialize, Deserialize)]
pub struct Import {
    id: u64,
    rows: Rows,
}

/// An import as the service has it.
#[derive(Debug, Deserialize)]
struct Stands {
    id: u64,
    state: String,
}

/// What became of a line.
#[derive(Debug, Deserialize)]
struct Said {
    line: u64,
    kind: String,
}

impl BulkDestination for Imports {
    type Config = Config;
    type Handle = Import;

    fn describe() -> Descriptor {
        Descriptor::new("Imports files into the stand-in of a service.")
            .author("tests")
            .order(Order::None)
            .redelivery(Redelivery::Repeats)
            .reconciles()
            .bound_records(200)
            .request("http", "http://{authority}", "files are imported there")
    }

    fn open(config: Config, _: Context) -> Result<Self, Failure> {
        Ok(Self(config))
    }

    fn transform(&mut self, batch: &Batch) -> Result<Lines, Failure> {
        Ok(Lines::each(batch, |record, line| {
            line.push(record.after().ok_or_else(|| Failure::rejected("a record without a value"))?);
            Ok(())
        }))
    }

    fn upload(&mut self, upload: &Upload) -> Result<Uploaded<Import>, Failure> {
        let mut body = Vec::new();
        upload.reader().read_to_end(&mut body).map_err(|error| Failure::from_io("read the staged file", &error))?;
        let headers = vec![("idempotency-key".to_owned(), upload.intent().to_owned())];
        let answer = self.ask("POST", "/imports", headers, body)?;
        match answer.status {
            // It took effect, whatever came of the answer.
            202 => read::<Stands>(&answer).map(|stands| working(upload, stands.id)).map_err(Failure::uncertain),
            _ => Err(refused(&answer)),
        }
    }

    fn poll(&mut self, job: &Job<Import>) -> Result<UploadStatus<Import>, Failure> {
        let answer = self.ask("GET", &format!("/imports/{}", job.handle().id), Vec::new(), Vec::new())?;
        let stands: Stands = match answer.status {
            200 => read(&answer).map_err(Failure::transient)?,
            404 => return Err(Failure::rejected("the service knows no such import")),
            _ => return Err(refused(&answer)),
        };
        Ok(match stands.state.as_str() {
            "queued" | "processing" => Waiting::new().again_in(Duration::from_millis(100)).into(),
            "done" => UploadStatus::AskStats(None),
            "failed" | "cancelled" => UploadStatus::Failed(Failure::transient(format!("the import was {}", stands.state))),
            other => return Err(Failure::transient(format!("the import is {other}"))),
        })
    }

    fn stats(&mut self, job: &Job<Import>) -> Result<Receipt, Failure> {
        let answer = self.ask("GET", &format!("/imports/{}/lines", job.handle().id), Vec::new(), Vec::new())?;
        if answer.status != 200 {
            return Err(refused(&answer));
        }
        let said: Vec<Said> = read(&answer).map_err(Failure::transient)?;
        let mut receipt = Receipt::builder(job);
        receipt.delivered(0..job.records());
        for Said { line, kind } in said {
            let Some(record) = job.handle().rows.at_line(line) else { continue };
            match kind.as_str() {
                "warned" => receipt.warned(record, "the service kept it, and did not like it"),
                "again" => receipt.failed(record, Failure::transient("the service was busy with it")),
                _ => receipt.failed(record, Failure::rejected("the service does not take it").code(kind)),
            };
        }
        Ok(receipt.finish())
    }

    fn reconcile(&mut self, upload: &Upload) -> Result<Found<Import>, Failure> {
        if !self.0.asks {
            return Ok(Found::CannotTell);
        }
        let answer = self.ask("GET", &format!("/imports?key={}", upload.intent()), Vec::new(), Vec::new())?;
        match answer.status {
            200 => Ok(Found::Present(working(upload, read::<Stands>(&answer).map_err(Failure::transient)?.id))),
            404 => Ok(Found::Absent),
            _ => Err(refused(&answer)),
        }
    }

    fn release(&mut self, job: &Job<Import>) {
        // Best effort.
        let _released = self.ask("DELETE", &format!("/imports/{}", job.handle().id), Vec::new(), Vec::new());
    }
}

fn working(upload: &Upload, id: u64) -> Uploaded<Import> {
    Uploaded::working(upload, Import { id, rows: Rows::by_line(upload, 1) })
}

impl Imports {
    fn ask(&self, method: &str, path: &str, headers: Vec<(String, String)>, body: Vec<u8>) -> Result<Answer, Failure> {
        let request = Request {
            method: method.into(),
            scheme: "http".into(),
            authority: self.0.authority.clone(),
            path: path.into(),
            headers,
            body,
            timeout: Duration::from_secs(10),
        };
        let mut wasi = wasi::Wasi;
        let came = wasi.send(request, MOST).and_then(|mut flight| wasi.wait(&mut [&mut flight]).1);
        came.map_err(|trouble| match trouble.sort {
            Sort::Unreached => Failure::transient(trouble.message),
            Sort::Denied => Failure::fatal(trouble.message),
            Sort::TooLarge => Failure::rejected(trouble.message),
            Sort::Broken => Failure::uncertain(trouble.message),
        })
    }
}

/// What an answer says that has another status than it should.
fn refused(answer: &Answer) -> Failure {
    let message = format!("HTTP {}", answer.status);
    let failure = match answer.status {
        401 | 403 => Failure::unauthorized(message),
        429 => {
            Failure::throttled(message, answer.retry_after.as_ref().and_then(|after| after.parse().ok()).map(Duration::from_secs))
        }
        400..500 => Failure::rejected(message),
        _ => Failure::transient(message),
    };
    failure.code(answer.status)
}

/// What stands in an answer, or why that cannot be read.
fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, String> {
    match &answer.end {
        End::Whole => serde_json::from_slice(&answer.body).map_err(|error| format!("the answer cannot be read: {error}")),
        end => Err(format!("the answer broke off: {end:?}")),
    }
}

export_bulk!(Imports);
