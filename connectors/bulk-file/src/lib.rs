//! A bulk destination that puts each staged file into a granted directory: settled at once, and once however often it is sent.
//!
//! A file is called after when it was made, its number within that firing of the schedule, and its intent. All of that is the same whenever it is
//! sent, so that one that is sent again takes its own place; a file has its name once all of it is on disk.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use wharf_sdk::{
    Batch, BulkDestination, Context, Descriptor, Failure, Found, Lines, Order, Parameters, Receipt, Redelivery, Upload, Uploaded,
    export_bulk,
};

/// What an operator sets.
#[derive(Debug, Parameters)]
pub struct Config {
    /// The granted directory that files are put into, as the connector sees it.
    #[parameter(default = "/out")]
    pub directory: String,
    /// What the names of files end in.
    #[parameter(default = "ndjson", pattern = "[A-Za-z0-9][A-Za-z0-9.-]{0,31}")]
    pub extension: String,
    /// Whether files are compressed.
    #[parameter(default = "none")]
    pub compression: Compression,
}

/// How files are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Parameters)]
pub enum Compression {
    /// They are not.
    None,
    /// With gzip, and `.gz` behind their names.
    Gzip,
}

/// Puts files into a directory.
#[derive(Debug)]
pub struct BulkFile {
    config: Config,
}

impl BulkDestination for BulkFile {
    type Config = Config;
    type Handle = ();

    fn describe() -> Descriptor {
        Descriptor::new("Puts each staged file into a granted directory, once.")
            .order(Order::Batch)
            .redelivery(Redelivery::Idempotent)
            .reconciles()
            .request("directory", "{directory}", "files are put there: grant it read-write")
    }

    fn open(config: Config, _: Context) -> Result<Self, Failure> {
        Ok(Self { config })
    }

    fn transform(&mut self, batch: &Batch) -> Result<Lines, Failure> {
        Ok(Lines::each(batch, |record, line| {
            line.push(record.after().ok_or_else(|| Failure::rejected("a record without a value has no line"))?);
            Ok(())
        }))
    }

    fn upload(&mut self, upload: &Upload) -> Result<Uploaded<()>, Failure> {
        let (to, part) = self.paths(upload)?;
        // What is there is there as a whole.
        if !is_there(&to)? {
            self.write(upload, &to, &part).map_err(|error| refused(&to, &error))?;
        }
        Ok(Uploaded::settled(upload, Receipt::all(upload)))
    }

    fn reconcile(&mut self, upload: &Upload) -> Result<Found<()>, Failure> {
        let (to, _) = self.paths(upload)?;
        Ok(match is_there(&to)? {
            true => Found::Present(Uploaded::settled(upload, Receipt::all(upload))),
            false => Found::Absent,
        })
    }
}

impl BulkFile {
    /// Where a file goes, and where it is until all of it is there.
    fn paths(&self, upload: &Upload) -> Result<(PathBuf, PathBuf), Failure> {
        let Config { directory, extension, compression } = &self.config;
        let intent = upload.intent();
        if intent.is_empty() || !intent.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(Failure::fatal(format!("the intent {intent:?} is no name for a file")));
        }
        let made: String = upload.created_at().unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).collect();
        let gz = if *compression == Compression::Gzip { ".gz" } else { "" };
        let folder = Path::new(directory);
        let to = folder.join(format!("{made}-{:04}-{intent}.{extension}{gz}", upload.part()));
        Ok((to, folder.join(format!(".{intent}.part"))))
    }

    fn write(&self, upload: &Upload, to: &Path, part: &Path) -> io::Result<()> {
        let mut file = File::create(part)?;
        match self.config.compression {
            Compression::None => io::copy(&mut upload.reader(), &mut file)?,
            Compression::Gzip => io::copy(&mut upload.reader().gzip(), &mut file)?,
        };
        file.sync_all()?;
        fs::rename(part, to)?;
        File::open(&self.config.directory)?.sync_all()
    }
}

fn is_there(path: &Path) -> Result<bool, Failure> {
    path.try_exists().map_err(|error| refused(path, &error))
}

fn refused(path: &Path, error: &io::Error) -> Failure {
    Failure::from_io(format!("write {}", path.display()), error)
}

export_bulk!(BulkFile);

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use wharf_sdk::{
        FailureKind, gzip,
        testing::{BulkHarness, TestFile, TestFound, batch, deletion, record},
    };

    use super::*;

    fn harness(folder: &Path) -> BulkHarness<BulkFile> {
        BulkHarness::new().setting("directory", folder.to_str().unwrap())
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    #[test]
    fn a_file_is_put_there_once_however_often_it_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let harness = harness(folder.path());
        let file = harness.transform(&batch(["a", "b"])).file("intent-1");
        assert!(matches!(harness.reconcile(&file), TestFound::Absent));
        for attempt in 1..3 {
            harness.upload(&file.clone().attempt(attempt)).assert_all_delivered();
        }
        assert!(matches!(harness.reconcile(&file), TestFound::Present(_)));
        let found = files(folder.path());
        assert_eq!(found.len(), 1);
        assert_eq!(fs::read_to_string(&found[0]).unwrap(), "a\nb\n");
        assert!(found[0].to_str().unwrap().ends_with("-0000-intent-1.ndjson"), "{found:?}");
    }

    #[test]
    fn a_record_without_a_value_and_one_with_a_line_break_cost_no_other_anything() {
        let folder = tempfile::tempdir().unwrap();
        let lines = harness(folder.path()).transform(&batch([record("a"), deletion("k"), record("b\nc"), record("d")]));
        assert_eq!(lines.texts(), ["a", "d"]);
        lines.assert_failed(1, FailureKind::Rejected).assert_failed(2, FailureKind::Rejected);
    }

    #[test]
    fn what_is_compressed_is_the_same_again() {
        let folder = tempfile::tempdir().unwrap();
        let harness = harness(folder.path()).setting("compression", "gzip").setting("extension", "txt");
        harness.upload(&TestFile::new("one", &["a", "b"])).assert_all_delivered();
        let (found, mut text) = (files(folder.path()), String::new());
        assert!(found[0].to_str().unwrap().ends_with("-one.txt.gz"), "{found:?}");
        gzip::decompress(File::open(&found[0]).unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "a\nb\n");
    }

    #[test]
    fn a_directory_that_is_not_granted_pauses_the_destination() {
        let harness = BulkHarness::<BulkFile>::new().setting("directory", "/nowhere/at/all");
        let failure = harness.try_upload(&TestFile::new("one", &["a"])).unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Fatal);
        assert!(failure.message().contains("/nowhere/at/all"), "{failure}");
    }
}
