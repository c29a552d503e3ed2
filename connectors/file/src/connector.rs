//! What the host sees: the store as a destination.

use wharf_sdk::{Batch, Context, Descriptor, Destination, Failure, Order, Problem, Receipt, Redelivery, tracing};

use super::{
    batch::{Column, Records},
    disk::Directory,
    journal::Owner,
    settings::{Config, Settings},
    store::Store,
    trouble::{Remedy, Trouble},
};

/// Writes records into files of a granted directory, each record once.
pub struct Files {
    store: Store<Directory>,
    directory: String,
    sequences: Vec<u64>,
    ordinals: Vec<u32>,
}

impl Destination for Files {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Writes records into files of a granted directory, each record once.")
            .order(Order::Batch)
            .redelivery(Redelivery::Idempotent)
            .prefer_records(1000)
            .prefer_parallel(1)
            .request("directory", "{directory}", "files, and the journal beside them, are written there: grant it read-write")
    }

    fn check(config: &Config) -> Vec<Problem> {
        Settings::new(config).err().unwrap_or_default()
    }

    fn open(config: Config, context: Context) -> Result<Self, Failure> {
        let settings = Settings::new(&config).map_err(|problems| {
            let problems: Vec<String> = problems.iter().map(Problem::to_string).collect();
            Failure::fatal(format!("settings that cannot be used: {}", problems.join("; ")))
        })?;
        let directory = settings.directory.clone();
        if context.instances() > 1 {
            return Err(Failure::fatal(format!(
                "opening the journal in `{directory}`: one instance at a time can keep it, and there are {}; hint: set the destination's instances to 1",
                context.instances()
            )));
        }
        let name = settings.name.text().to_owned();
        let owner = Owner { pipeline: context.pipeline(), destination: context.destination(), name, sync: settings.sync };
        let store = Store::open(settings, owner, Directory::new(&directory)).map_err(|trouble| failure(&directory, &trouble))?;
        let mut files = Self { store, directory, sequences: Vec::new(), ordinals: Vec::new() };
        files.tell();
        Ok(files)
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        self.sequences.clear();
        self.ordinals.clear();
        for record in batch {
            self.sequences.push(record.sequence());
            self.ordinals.push(record.ordinal());
        }
        // A column that no name asks for is not fetched.
        let name = &self.store.settings().name;
        let keys = if name.has_key() { batch.key() } else { None };
        let metadata: Vec<_> = name.metadata().iter().map(|name| batch.meta(name).map(|column| column as &dyn Column)).collect();
        let records = Records {
            partition: batch.partition(),
            sequences: &self.sequences,
            ordinals: &self.ordinals,
            values: batch.after(),
            keys: keys.map(|keys| keys as &dyn Column),
            metadata: &metadata,
        };
        let written = self.store.write(&records);
        self.tell();
        let refusals = written.map_err(|trouble| failure(&self.directory, &trouble))?;
        Ok(Receipt::all_but(batch, refusals.into_iter().map(|refusal| (refusal.record, Failure::rejected(refusal.reason)))))
    }
}

impl Files {
    fn tell(&mut self) {
        for note in self.store.take_notes() {
            tracing::warn!(directory = self.directory, "{note}");
        }
    }
}

impl Column for wharf_sdk::Column {
    fn get(&self, record: usize) -> Option<&[u8]> {
        self.get(record)
    }
}

fn failure(directory: &str, trouble: &Trouble) -> Failure {
    let message = format!("in `{directory}`: {trouble}");
    let failure = match trouble.remedy() {
        Remedy::Again => Failure::transient(message),
        Remedy::Operator => Failure::fatal(message),
    };
    match trouble.code() {
        Some(code) => failure.code(code),
        None => failure,
    }
}
