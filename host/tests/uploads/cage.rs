//! A bulk destination in its cage: every call in an instance of its own, a journal of what it was handed.

use std::{fs, io, io::Write as _, path::PathBuf, sync::Arc};

use tempfile::TempDir;
use wharf::{
    clock::Clock,
    config::{Access, Directory, Interval, Limits, Size, Times},
    connector::{BulkSession, BulkTrouble, Connector, Loader, Opening, UploadContext},
    record::{Batch, BatchBuilder, Found, Run, Span, SpanSet, Transformed, UploadRequest, UploadStatus, Uploaded},
    sandbox::{Directories, Engine, Grants, Scope, Staged, Usage, cache::Cache},
};
use wharf_tests::component;

pub struct Cage {
    pub connector: Connector,
    journal: TempDir,
    settings: Vec<(String, String)>,
    limits: Limits,
    pub usage: Arc<Usage>,
}

/// Three lines.
pub const TEXT: &str = "a\nb\nc\n";

impl Cage {
    pub async fn new(settings: &[(&str, &str)]) -> Self {
        // Without any subscriber a place that logs is switched off for good, also for a test that has one of its own later.
        let _first = tracing_subscriber::fmt().with_writer(io::sink).try_init();
        let cache = Cache::open(&wharf_tests::cache().unwrap()).unwrap();
        let loader = Loader::new(Engine::new(Some(cache)).unwrap(), Clock::system()).unwrap();
        let connector = loader.load(&component("guest-uploads").unwrap()).await.unwrap();
        assert!(connector.outline.offers("bulk") && !connector.outline.offers("destination"));
        let ms = Interval::from_millis(2000);
        let time = Times { transform: ms, upload: ms, poll: ms, stats: ms, reconcile: ms, release: ms, ..Times::default() };
        let limits =
            Limits { memory: Size::from_mib(16), fuel_per_call: 400_000_000, fuel_per_record: 1000, time, ..Limits::default() };
        let settings = settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Self { connector, journal: tempfile::tempdir().unwrap(), settings, limits, usage: Arc::default() }
    }

    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    pub fn opening(&self) -> Opening {
        let host = self.journal.path().to_owned();
        let directory = Directory { host, guest: "/journal".into(), access: Access::ReadWrite, quota: None };
        let directories = Directories::find([&directory]).map_err(|(_, error)| error).unwrap();
        Opening {
            settings: self.settings.clone(),
            limits: Arc::new(self.limits),
            grants: Grants { directories, ..Grants::default() },
            scope: Scope::new([("pipeline", "pipe"), ("destination", "leads")]),
            usage: self.usage.clone(),
            lifecycle: None,
        }
    }

    pub async fn open(&self) -> BulkSession {
        let context =
            UploadContext { created_at: "2026-01-01T00:00:00.000Z".into(), first_attempt_at: None, part: 2, version: None };
        self.connector.open_bulk(&self.opening().for_upload(&context)).await.unwrap()
    }

    pub async fn transform(&self, count: u32) -> Result<Transformed, BulkTrouble> {
        self.open().await.transform(&batch(count), 1, 1).await
    }

    pub async fn upload(&self) -> Result<Uploaded, BulkTrouble> {
        self.open().await.upload(&request(), staged()).await
    }

    pub async fn poll(&self, handle: &[u8], working: &[(u32, u32)]) -> Result<UploadStatus, BulkTrouble> {
        self.open().await.poll(handle, &spans(working), 3, staged()).await
    }

    pub async fn stats(&self, handle: &[u8], working: &[(u32, u32)]) -> Result<Vec<Run>, BulkTrouble> {
        self.open().await.stats(handle, &spans(working), 3, staged()).await
    }

    pub async fn reconcile(&self) -> Result<Found, BulkTrouble> {
        self.open().await.reconcile(&request(), staged()).await
    }

    /// The calls that it was asked, in order.
    pub fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        calls.lines().filter(|line| !line.starts_with("open")).map(str::to_owned).collect()
    }

    /// How often the upload of that intent took effect.
    pub fn applied(&self, intent: &str) -> usize {
        fs::read(self.path("uploads").join(intent)).map_or(0, |marks| marks.len())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.journal.path().join(name)
    }
}

pub fn request() -> UploadRequest {
    UploadRequest { intent: "intent-1".into(), action: 1, records: 3, bytes: TEXT.len() as u64, attempt: 1 }
}

pub fn staged() -> Staged {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(TEXT.as_bytes()).unwrap();
    Staged::new(file, TEXT.len() as u64)
}

pub fn batch(count: u32) -> Batch {
    let mut builder = BatchBuilder::with_capacity(4, 16, false, None);
    for record in 0..count {
        builder.push(record.into(), None, format!("value {record}").as_bytes()).unwrap();
    }
    builder.finish("pipe", "p".into())
}

pub fn spans(spans: &[(u32, u32)]) -> SpanSet {
    spans.iter().map(|(start, end)| Span::new(*start, *end)).collect()
}
