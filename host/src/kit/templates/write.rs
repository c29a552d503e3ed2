//! {{summary}}

use std::{fs::OpenOptions, io::Write, path::PathBuf};

use wharf_sdk::{
    Batch, Context, Descriptor, Destination, Failure, Order, Parameters, Receipt, Record,
    Redelivery, export_destination,
};

/// What an operator sets.
#[derive(Debug, Parameters)]
pub struct Config {
    /// The granted directory, as the component sees it.
    #[parameter(default = "/out")]
    directory: String,
    /// The file in it that records are appended to.
    #[parameter(default = "records.txt", pattern = "[A-Za-z0-9._-]+")]
    file: String,
}

/// Appends each record to a file, as a line.
#[derive(Debug)]
pub struct {{Type}} {
    path: PathBuf,
}

impl Destination for {{Type}} {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("{{summary}}")
            // Records are written in the order in which they come, and one that comes again is there twice.
            .order(Order::Batch)
            .redelivery(Redelivery::Repeats)
            // What an operator has to grant; `{directory}` stands for that setting's value.
            .request(
                "directory",
                "{directory}",
                "records are appended to a file there: grant it read-write",
            )
    }

    fn open(config: Config, _: Context) -> Result<Self, Failure> {
        Ok(Self {
            path: PathBuf::from(config.directory).join(config.file),
        })
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        let mut lines = Vec::new();
        let mut receipt = Receipt::builder(batch);
        for record in batch {
            match line(&record) {
                Ok(line) => {
                    lines.extend_from_slice(line);
                    lines.push(b'\n');
                    receipt.delivered(record);
                }
                // This record alone can never succeed. The others go on.
                Err(failure) => receipt.failed(record, failure),
            }
        }
        // One error for the whole batch: all of it is sent again. Delivered means that it is on disk.
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.path);
        file.and_then(|mut file| file.write_all(&lines).and_then(|()| file.sync_data()))
            .map_err(|error| {
                Failure::from_io(format_args!("append to {}", self.path.display()), &error)
            })?;
        Ok(receipt.finish())
    }
}

/// What of a record is written.
fn line<'a>(record: &Record<'a>) -> Result<&'a [u8], Failure> {
    let value = record
        .after()
        .ok_or_else(|| Failure::rejected("the record has no value"))?;
    if value.contains(&b'\n') {
        return Err(Failure::rejected(
            "the value has a line break, and a record is a line of the file",
        ));
    }
    Ok(value)
}

export_destination!({{Type}});

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use wharf_sdk::{
        FailureKind,
        testing::{Harness, batch},
    };

    use super::*;

    /// A stand-in for the host.
    type Host = Harness<{{Type}}>;
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
    fn records_become_lines_in_their_order() {
        let (harness, folder) = harness("lines");
        let session = harness.open();
        session.write(&batch(["one", "two"])).assert_all_delivered();
        session.write(&batch(["three"])).assert_all_delivered();
        session.close().unwrap();
        assert_eq!(
            fs::read_to_string(folder.join("records.txt")).unwrap(),
            "one\ntwo\nthree\n"
        );
    }

    #[test]
    fn a_record_that_is_no_line_is_rejected_alone() {
        let (harness, folder) = harness("rejected");
        let answer = harness.open().write(&batch(["one", "two\nlines", "three"]));
        answer
            .assert_delivered(0)
            .assert_failed(1, FailureKind::Rejected)
            .assert_delivered(2);
        assert_eq!(
            fs::read_to_string(folder.join("records.txt")).unwrap(),
            "one\nthree\n"
        );
    }

    #[test]
    fn a_directory_that_is_not_there_fails_the_batch() {
        let harness = Host::new().setting("directory", "/nowhere/at/all");
        let answer = harness.open().write(&batch(["one"]));
        assert!(answer.failure().is_some());
    }

    #[test]
    fn a_setting_that_breaks_its_rule_is_named() {
        let problems = Host::new().setting("file", "../elsewhere").check();
        assert_eq!(problems[0].parameter, "file");
    }
}
