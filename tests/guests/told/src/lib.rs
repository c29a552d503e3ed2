//! A destination that writes down what it is told of its life, and does as its settings say. It takes records, and files too.

use std::{
    fs::{self, File},
    io::Write as _,
};

use wharf_sdk::{
    Batch, BulkDestination, Context, Descriptor, Destination, Failure, Found, Lifecycle, Lines, Order, Parameters, Receipt,
    Secret, Settings, Upload, Uploaded, export_mixed,
};

/// What an operator sets.
#[derive(Debug, Parameters)]
pub struct Config {
    /// A secret.
    #[parameter(default = "none")]
    pub token: Secret,
    /// What is no secret.
    #[parameter(default = "a")]
    pub topic: String,
}

/// Writes down records.
#[derive(Debug)]
pub struct Told;

/// One more line of the journal.
fn note(line: &str) -> Result<(), Failure> {
    let journal = File::options().create(true).append(true).open("/out/journal");
    journal.and_then(|mut journal| writeln!(journal, "{line}")).map_err(|error| Failure::from_io("write the journal", &error))
}

impl Destination for Told {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Writes down what it is told.").author("tests").order(Order::Batch).request(
            "directory",
            "/out",
            "the journal is there",
        )
    }

    fn open(_: Config, _: Context) -> Result<Self, Failure> {
        note("open")?;
        Ok(Self)
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        note(&format!("write {}", batch.count()))?;
        Ok(Receipt::all(batch))
    }
}

/// Writes down files.
#[derive(Debug)]
pub struct Files;

impl BulkDestination for Files {
    type Config = Config;
    type Handle = ();

    fn describe() -> Descriptor {
        Told::describe()
    }

    fn open(_: Config, _: Context) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn transform(&mut self, batch: &Batch) -> Result<Lines, Failure> {
        Ok(Lines::each(batch, |record, line| {
            line.push(record.after().unwrap_or_default());
            Ok(())
        }))
    }

    fn upload(&mut self, upload: &Upload) -> Result<Uploaded<()>, Failure> {
        note(&format!("upload {}", upload.records()))?;
        Ok(Uploaded::settled(upload, Receipt::all(upload)))
    }

    fn reconcile(&mut self, _: &Upload) -> Result<Found<()>, Failure> {
        Ok(Found::Absent)
    }
}

impl Lifecycle<Config> for Told {
    fn created(event: &str, config: Config, _: Context) -> Result<(), Failure> {
        told("created", event, &config, "")
    }

    fn updated(event: &str, before: Settings, after: Config, _: Context) -> Result<(), Failure> {
        let before: Vec<String> = before.iter().map(|(name, value)| format!("{name}={value}")).collect();
        told("updated", event, &after, &format!(" before {}", before.join(",")))
    }

    fn deleted(event: &str, config: Config, _: Context) -> Result<(), Failure> {
        told("deleted", event, &config, "")
    }
}

/// Notes that it was told, and does as the file `/out/then` says: fail so often in such a way, trap, run for ever, say too much, take too much.
fn told(what: &str, event: &str, config: &Config, more: &str) -> Result<(), Failure> {
    note(&format!("{what} {event} topic={} token={}{more}", config.topic, config.token.expose()))?;
    let script = fs::read_to_string("/out/then").unwrap_or_default();
    let Some((act, rest)) = script.split_once(';') else { return Ok(()) };
    fs::write("/out/then", rest).map_err(|error| Failure::from_io("write the script", &error))?;
    match act.trim() {
        "transient" => return Err(Failure::transient("the script says so")),
        "fatal" => return Err(Failure::fatal("the script says so")),
        "trap" => std::process::abort(),
        "loop" => loop {
            std::hint::black_box(());
        },
        "flood" => loop {
            println!("{}", "a lot ".repeat(10_000));
        },
        "memory" => {
            let mut held = Vec::new();
            loop {
                held.push(vec![1_u8; 1 << 20]);
                std::hint::black_box(&held);
            }
        }
        "wait" => loop {
            std::thread::sleep(std::time::Duration::from_secs(60));
        },
        _ => {}
    }
    Ok(())
}

export_mixed!(Told, Files, lifecycle);
