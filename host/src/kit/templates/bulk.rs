//! {{summary}}

use std::{
    fs::{self, File},
    io,
    path::PathBuf,
};

use wharf_sdk::{
    Batch, BulkDestination, Context, Descriptor, Failure, Found, Lines, Parameters, Receipt,
    Redelivery, Upload, Uploaded, export_bulk,
};

/// What an operator sets.
#[derive(Debug, Parameters)]
pub struct Config {
    /// The granted directory, as the component sees it.
    #[parameter(default = "/out")]
    directory: String,
}

/// Puts each staged file into a directory.
#[derive(Debug)]
pub struct {{Type}} {
    directory: PathBuf,
}

impl BulkDestination for {{Type}} {
    type Config = Config;
    /// What finds the far side's job again, days later and in another instance. A directory has none: all is settled at once.
    type Handle = ();

    fn describe() -> Descriptor {
        Descriptor::new("{{summary}}")
            // The same upload is the same file, however often it comes, and whether it is there can be seen.
            .redelivery(Redelivery::Idempotent)
            .reconciles()
            .request(
                "directory",
                "{directory}",
                "uploads are written there: grant it read-write",
            )
    }

    fn open(config: Config, _: Context) -> Result<Self, Failure> {
        Ok(Self {
            directory: config.directory.into(),
        })
    }

    /// The line of each record. The host collects them into a file until it is worth an upload.
    fn transform(&mut self, batch: &Batch) -> Result<Lines, Failure> {
        Ok(Lines::each(batch, |record, line| {
            let value = record
                .after()
                .ok_or_else(|| Failure::rejected("the record has no value"))?;
            if value.contains(&b'\n') {
                return Err(Failure::rejected(
                    "the value has a line break, and a record is a line of the file",
                ));
            }
            line.push(value);
            Ok(())
        }))
    }

    fn upload(&mut self, upload: &Upload) -> Result<Uploaded<()>, Failure> {
        let (part, whole) = (self.part(upload), self.whole(upload));
        let written = File::create(&part).and_then(|mut file| {
            io::copy(&mut upload.reader(), &mut file)?;
            file.sync_all()
        });
        written
            .and_then(|()| fs::rename(&part, &whole))
            .map_err(|error| Failure::from_io(format_args!("write {}", whole.display()), &error))?;
        // Where the far side takes its time: `Uploaded::working(upload, handle)`, and `poll` tells how far it is.
        Ok(Uploaded::settled(upload, Receipt::all(upload)))
    }

    /// Asked where an upload's answer never came.
    fn reconcile(&mut self, upload: &Upload) -> Result<Found<()>, Failure> {
        let whole = self.whole(upload);
        match fs::exists(&whole) {
            Ok(true) => Ok(Found::Present(Uploaded::settled(
                upload,
                Receipt::all(upload),
            ))),
            Ok(false) => Ok(Found::Absent),
            Err(error) => Err(Failure::from_io(
                format_args!("look for {}", whole.display()),
                &error,
            )),
        }
    }
}

impl {{Type}} {
    /// Where an upload is once it is whole. The intent names it: the same on every attempt.
    fn whole(&self, upload: &Upload) -> PathBuf {
        self.directory.join(format!("{}.txt", upload.intent()))
    }

    /// Where it is until then.
    fn part(&self, upload: &Upload) -> PathBuf {
        self.directory.join(format!("{}.part", upload.intent()))
    }
}

export_bulk!({{Type}});

#[cfg(test)]
mod tests {
    use std::{env, process};

    use wharf_sdk::{
        FailureKind,
        testing::{BulkHarness, TestFound, batch},
    };

    use super::*;

    /// A stand-in for the host.
    type Host = BulkHarness<{{Type}}>;
    const NAME: &str = env!("CARGO_PKG_NAME");

    /// One whose destination writes to a folder of the test's own.
    fn harness(test: &str) -> (Host, PathBuf) {
        let folder = env::temp_dir().join(format!("{NAME}-{test}-{}", process::id()));
        // A process before this one may have had the same id.
        fs::remove_dir_all(&folder).ok();
        fs::create_dir_all(&folder).unwrap();
        (
            Host::new().setting("directory", folder.to_str().unwrap()),
            folder,
        )
    }

    #[test]
    fn a_staged_file_is_delivered_once_however_often_it_comes() {
        let (harness, folder) = harness("delivered");
        let lines = harness.transform(&batch(["one", "two\nlines", "three"]));
        lines.assert_failed(1, FailureKind::Rejected);
        let file = lines.file("upload-1");
        assert!(matches!(harness.reconcile(&file), TestFound::Absent));
        harness.deliver(&file).assert_all_delivered();
        harness
            .deliver(&file.clone().attempt(2))
            .assert_all_delivered();
        assert!(matches!(harness.reconcile(&file), TestFound::Present(_)));
        assert_eq!(
            fs::read_to_string(folder.join("upload-1.txt")).unwrap(),
            "one\nthree\n"
        );
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_that_is_not_there_fails_the_upload() {
        let harness = Host::new().setting("directory", "/nowhere/at/all");
        let file = harness.transform(&batch(["one"])).file("upload-1");
        assert!(harness.try_upload(&file).is_err());
    }
}
