//! A bulk destination that has a life, and actions that follow from others.
//!
//! Its folder is made when a pipeline gains it and removed when the pipeline loses it; nothing can be put anywhere before. A file of the action `keep` is put there by its
//! intent. For each of its records that is delivered an entry follows for the action `index`, whose files lie beside it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use wharf_sdk::{
    Action, Batch, BulkDestination, Context, Descriptor, Failure, Found, Lifecycle, Lines, Order, Parameters, Receipt,
    Redelivery, Settings, Upload, Uploaded, export_bulk,
    follow_ups::{FollowUps, On},
};

/// Where files are put, by action.
const FOLDERS: [&str; 2] = ["kept", "index"];

/// What an operator sets.
#[derive(Debug, Parameters)]
pub struct Config {
    /// The granted directory that its folders are made in.
    #[parameter(default = "/out")]
    pub directory: String,
}

/// Puts files.
#[derive(Debug)]
pub struct Archive(Config);

impl BulkDestination for Archive {
    type Config = Config;
    type Handle = ();

    fn describe() -> Descriptor {
        Descriptor::new("Keeps what it gets in a folder, with an index.")
            .author("tests")
            .order(Order::Batch)
            .redelivery(Redelivery::Idempotent)
            .reconciles()
            .action(Action::bulk("keep").summary("What is kept."))
            .action(Action::bulk("index").summary("What it is found by."))
            .default_action("keep")
            .request("directory", "{directory}", "its folders are there")
    }

    fn open(config: Config, _: Context) -> Result<Self, Failure> {
        Ok(Self(config))
    }

    fn transform(&mut self, batch: &Batch) -> Result<Lines, Failure> {
        let mut entries = FollowUps::new("index", On::Succeeded);
        let lines = Lines::each(batch, |record, line| {
            let value = record.after().ok_or_else(|| Failure::rejected("a record without a value cannot be kept"))?;
            line.push(value);
            // What follows from an entry is nothing.
            if batch.action() == 0 {
                entries.add(record.index(), record.key(), format!("{} bytes", value.len()).as_bytes());
            }
            Ok(())
        });
        entries.send()?;
        Ok(lines)
    }

    fn upload(&mut self, upload: &Upload) -> Result<Uploaded<()>, Failure> {
        let to = self.path(upload);
        let written = File::create(&to).and_then(|mut file| io::copy(&mut upload.reader(), &mut file));
        written.map_err(|error| refused(&to, &error))?;
        Ok(Uploaded::settled(upload, Receipt::all(upload)))
    }

    fn reconcile(&mut self, upload: &Upload) -> Result<Found<()>, Failure> {
        Ok(match self.path(upload).exists() {
            true => Found::Present(Uploaded::settled(upload, Receipt::all(upload))),
            false => Found::Absent,
        })
    }
}

impl Archive {
    fn path(&self, upload: &Upload) -> PathBuf {
        Path::new(&self.0.directory).join(FOLDERS[upload.action() as usize]).join(format!("{}.ndjson", upload.intent()))
    }
}

/// A folder that is there already, or gone already, is as it should be, however often an event comes.
impl Lifecycle<Config> for Archive {
    fn created(_: &str, config: Config, _: Context) -> Result<(), Failure> {
        for folder in FOLDERS {
            let path = Path::new(&config.directory).join(folder);
            fs::create_dir_all(&path).map_err(|error| refused(&path, &error))?;
        }
        Ok(())
    }

    fn updated(event: &str, before: Settings, after: Config, context: Context) -> Result<(), Failure> {
        if before.get("directory") == Some(&after.directory) { Ok(()) } else { Self::created(event, after, context) }
    }

    fn deleted(_: &str, config: Config, _: Context) -> Result<(), Failure> {
        for folder in FOLDERS {
            let path = Path::new(&config.directory).join(folder);
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(&path, &error)),
                _ => {}
            }
        }
        Ok(())
    }
}

fn refused(path: &Path, error: &io::Error) -> Failure {
    Failure::from_io(format!("write {}", path.display()), error)
}

export_bulk!(Archive, lifecycle);
