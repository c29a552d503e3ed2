//! A destination with actions of both kinds: what it gets stands in files that are named for the action.
//!
//! | action | delivery | what becomes of a record |
//! | --- | --- | --- |
//! | `note` | written at once | a line in `note` |
//! | `digest` | written on a schedule, `@every 1h` where nobody says | a line in `digest` |
//! | `letter` | a file | the file, as `letter-INTENT` |
//! | `parcel` | a file, on the schedule `@every 1h` | the file, as `parcel-INTENT` |
//!
//! A letter that says `thanks` has, once it is delivered, a follow-up for `note` and one for `parcel`, which say the same with their own kind.
//!
//! Whatever says `tell` has one for `parcel` once it is delivered or given up, and one for `letter` once it failed for now: they say what became of which kind.
//! What files are made of is `refused` and fails the first time (`later`) as it is where records are written, if it says `tell` too.
//!
//! A value that says `refused` is rejected by `note` and `digest`, one that says `later` fails there the first time. Where
//! a note says `stumbles` the second call with it fails as a whole, and nobody can tell whether it took effect; where one says `traps`, the second call ends its instance.
//! Each call of `write` adds a line to `calls`.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

use wharf_sdk::{
    Action, Batch, BulkDestination, Context, Descriptor, Destination, Failure, Found, Lines, Order, Parameters, Receipt, Upload,
    Uploaded, export_mixed,
    follow_ups::{FollowUps, On},
};

const NAMES: [&str; 4] = ["note", "digest", "letter", "parcel"];

/// What an operator sets.
#[derive(Debug, Parameters)]
pub struct Config {
    /// Where files are put.
    #[parameter(default = "/out")]
    pub directory: String,
}

/// Writes lines.
#[derive(Debug)]
pub struct Writes(Config);

/// Puts files.
#[derive(Debug)]
pub struct Uploads(Config);

fn described() -> Descriptor {
    Descriptor::new("Puts what it gets into files that are named for the action.")
        .author("tests")
        .order(Order::Batch)
        .action(Action::write("note").summary("A line at once."))
        .action(Action::write("digest").summary("A line by the hour.").schedule("@every 1h"))
        .action(Action::bulk("letter").summary("A file."))
        .action(Action::bulk("parcel").summary("A file by the hour.").schedule("@every 1h").retries(3))
        .default_action("note")
        .request("directory", "{directory}", "files are put there")
}

fn add(directory: &str, name: &str, line: &[u8]) -> Result<(), Failure> {
    let path = Path::new(directory).join(name);
    let mut file = OpenOptions::new().append(true).create(true).open(&path).map_err(|error| refused(&path, &error))?;
    file.write_all(&[line, b"\n"].concat()).map_err(|error| refused(&path, &error))
}

fn refused(path: &Path, error: &io::Error) -> Failure {
    Failure::from_io(format!("write {}", path.display()), error)
}

/// What is to follow records that say `tell`.
fn tell(batch: &Batch) -> Result<(), Failure> {
    for (on, name, word) in
        [(On::Succeeded, "parcel", "succeeded"), (On::Failed, "letter", "failed"), (On::Discarded, "parcel", "discarded")]
    {
        let mut told = FollowUps::new(name, on);
        for record in batch.records() {
            let text = String::from_utf8_lossy(record.after().unwrap_or_default()).into_owned();
            let kind = NAMES[batch.action() as usize];
            let number = || text.split("\"number\":").nth(1)?.split([',', '}']).next();
            if let Some(number) = number().filter(|_| text.contains("tell")) {
                let line = format!("{{\"kind\":\"{name}\",\"number\":{number},\"says\":\"{word} {kind}\"}}");
                told.add(record.index(), Some(number.as_bytes()), line.as_bytes());
            }
        }
        told.send()?;
    }
    Ok(())
}

impl Destination for Writes {
    type Config = Config;

    fn describe() -> Descriptor {
        described()
    }

    fn open(config: Config, _: Context) -> Result<Self, Failure> {
        Ok(Self(config))
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        let (name, directory) = (NAMES[batch.action() as usize], &self.0.directory);
        tell(batch)?;
        add(directory, "calls", format!("{name} {}", batch.count()).as_bytes())?;
        if name == "note" && batch.attempt() == 2 {
            let says = |word: &str| {
                batch.records().any(|record| String::from_utf8_lossy(record.after().unwrap_or_default()).contains(word))
            };
            if says("stumbles") {
                return Err(Failure::uncertain("it says so"));
            }
            assert!(!says("traps"), "it says so");
        }
        let mut receipt = Receipt::builder(batch);
        for record in batch.records() {
            let value = record.after().unwrap_or_default();
            let says = |word: &str| String::from_utf8_lossy(value).contains(word);
            if says("refused") {
                receipt.failed(record.index(), Failure::rejected("it says so"));
            } else if says("later") && batch.attempt() == 1 {
                receipt.failed(record.index(), Failure::transient("it says so"));
                // Nothing overtakes it.
                (record.index() + 1..batch.count()).for_each(|after| {
                    receipt.untried(after);
                });
                break;
            } else {
                add(directory, name, value)?;
                receipt.delivered(record.index());
            }
        }
        Ok(receipt.finish())
    }
}

impl BulkDestination for Uploads {
    type Config = Config;
    type Handle = ();

    fn describe() -> Descriptor {
        described()
    }

    fn open(config: Config, _: Context) -> Result<Self, Failure> {
        Ok(Self(config))
    }

    fn transform(&mut self, batch: &Batch) -> Result<Lines, Failure> {
        for name in ["note", "parcel"] {
            let mut thanks = FollowUps::new(name, On::Succeeded);
            for record in batch.records() {
                let text = String::from_utf8_lossy(record.after().unwrap_or_default()).into_owned();
                if batch.action() == 2 && text.contains("thanks") {
                    thanks.add(record.index(), None, text.replace("letter", name).as_bytes());
                }
            }
            thanks.send()?;
        }
        tell(batch)?;
        Ok(Lines::each(batch, |record, line| {
            let value = record.after().unwrap_or_default();
            let text = String::from_utf8_lossy(value);
            let says = |word: &str| text.contains("tell") && text.contains(word);
            match () {
                () if says("refused") => return Err(Failure::rejected("it says so")),
                () if says("later") && batch.attempt() == 1 => return Err(Failure::transient("it says so")),
                () => line.push(value),
            }
            Ok(())
        }))
    }

    fn upload(&mut self, upload: &Upload) -> Result<Uploaded<()>, Failure> {
        let name = NAMES[upload.action() as usize];
        let path = Path::new(&self.0.directory).join(format!("{name}-{}", upload.intent()));
        let written = File::create(&path).and_then(|mut file| io::copy(&mut upload.reader(), &mut file));
        written.map_err(|error| refused(&path, &error))?;
        Ok(Uploaded::settled(upload, Receipt::all(upload)))
    }

    fn reconcile(&mut self, _: &Upload) -> Result<Found<()>, Failure> {
        // A file that is sent again takes its own place.
        Ok(Found::Absent)
    }
}

export_mixed!(Writes, Uploads);
