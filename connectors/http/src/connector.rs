//! What the host sees: requests as a destination.

use wharf_json::Source;
use wharf_sdk::{Batch, Context, Descriptor, Destination, Failure, Order, Problem, Receipt, Redelivery};

use super::{
    groups::{Grouping, Keys},
    sending::{Pieces, Sending},
    settings::{Config, Settings},
    transport::Transport,
};

/// Sends records as HTTP requests, through a transport.
#[derive(Debug)]
pub struct Http<T> {
    transport: T,
    settings: Settings,
    /// Pipeline and destination.
    owner: String,
    ordered: bool,
}

impl<T> Http<T> {
    /// The settings made ready.
    pub(crate) fn ready(config: &Config) -> Result<Settings, Failure> {
        Settings::new(config).map_err(|problems| {
            let problems: Vec<String> = problems.iter().map(Problem::to_string).collect();
            Failure::fatal(format!("settings that cannot be used: {}", problems.join("; ")))
        })
    }
}

impl<T: Transport + Default + 'static> Destination for Http<T> {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Sends records as HTTP requests: webhooks, collectors, bulk endpoints.")
            .order(Order::Key)
            .redelivery(Redelivery::Repeats)
            .prefer_records(1000)
            .request("http", "{url}", "records are sent there")
    }

    fn check(config: &Config) -> Vec<Problem> {
        Settings::new(config).err().unwrap_or_default()
    }

    fn open(config: Config, context: Context) -> Result<Self, Failure> {
        let mut settings = Self::ready(&config)?;
        if let Some(limit) = context.write_limit() {
            settings.fit(limit);
        }
        let owner = format!("{}\0{}", context.pipeline(), context.destination());
        Ok(Self { transport: T::default(), settings, owner, ordered: context.ordered() })
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        let Self { transport, settings, owner, ordered } = self;
        let keys = Keys::of(batch, *ordered);
        let mut receipt = Receipt::builder(batch);
        let mut grouping = Grouping::new(&keys, (settings.records, settings.bytes), settings.items.is_some());
        let mut pieces = Pieces::default();
        let mut rejected = 0;
        for record in batch {
            let from = pieces.data.len();
            let mut source = Source::new(batch, record);
            let made = settings.bodies.put(&mut source, &mut pieces.data).and_then(|()| settings.targets.of(&mut source));
            match made {
                Ok(target) => grouping.add(record.index(), target, pieces.data.len() - from),
                Err(failure) => {
                    pieces.data.truncate(from);
                    rejected += 1;
                    receipt.failed(record, failure);
                }
            }
            pieces.places.push(from..pieces.data.len());
        }
        let (groups, targets) = grouping.finish();
        let sending = Sending { settings, owner, batch, pieces: &pieces, targets: &targets, transport };
        sending.run(&keys, groups, receipt, rejected)
    }
}
