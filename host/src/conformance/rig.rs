//! What cases are tried on: the component, what the suite file gives it, and a far side that can be taken away.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    absent::FarSide,
    capture::Capture,
    case::{Stop, Tried, failed, skipped},
    error::{ConformError, Mistake},
    given::Held,
    life::{Handed, Life},
    proxy::Proxy,
    tokens::Issuer,
};
use crate::{
    clock::Clock,
    config::{self, HostPort, Suite, SuiteText},
    connector::{Asked, Connector, Loader, OpenError, Opening, binary::Outline, settings::Given},
    record::{Batch, BatchBuilder, FailureKind},
    sandbox::{Grants, Tokens, Usage},
    store::SqliteState,
};

/// What cases are tried on.
pub struct Rig {
    /// What the component said of itself, each time.
    pub(super) documents: Vec<String>,
    /// The first of them, where it is JSON.
    pub(super) document: Option<Value>,
    /// What it imports and exports.
    pub(super) outline: Outline,
    /// The component, or why there is none to be opened.
    pub(super) connector: Result<Connector, String>,
    /// What it is opened with, or why it takes no settings.
    pub(super) opening: Result<Opening, String>,
    pub(super) suite: Suite,
    /// What the suite sets.
    pub(super) given: BTreeMap<String, Given>,
    pub(super) heard: Mutex<Heard>,
    clock: Clock,
    /// What the suite names under `far`.
    pub(super) far: Vec<FarSide>,
    /// In front of the built-in server, and of each far side.
    pub(super) proxies: Vec<Proxy>,
    pub(super) capture: Capture,
    pub(super) issuer: Arc<Issuer>,
    pub(super) variables: Vec<(String, String)>,
    pub(super) folder: PathBuf,
    serial: AtomicU64,
    /// Whether it was told that it is there.
    pub(super) created: AtomicBool,
    /// Whether what was delivered could be read back by a command.
    pub(super) read_back: AtomicBool,
    pub(super) scratch: TempDir,
}

/// What the component said while it was exercised.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Its messages, each with when it said them.
    pub messages: Vec<(String, String)>,
    /// What it was given and what became of it, where that was not all delivered.
    pub troubled: Vec<(Batch, Handed)>,
}

impl Rig {
    /// Loads a component, reads its suite file, and starts what stands in front of its far sides.
    pub(super) async fn start(component: &Path, suite: Option<&Path>, loader: &Loader) -> Result<Self, ConformError> {
        let scratch = TempDir::with_prefix("wharf-conform-").map_err(|cause| ConformError::host("make a folder", &cause))?;
        let folder = scratch.path().to_owned();
        let capture = Capture::start().await.map_err(|cause| ConformError::host("listen on this machine", &cause))?;
        let text = suite.map(SuiteText::load).transpose()?;
        let folder = text.as_ref().map_or(folder, |text| text.folder().to_owned());
        let named = text.as_ref().map(|text| text.far(&config::environment)).unwrap_or_default();
        let mut variables = vec![("SCRATCH".to_owned(), scratch.path().display().to_string())];
        let mut proxies = Vec::new();
        let ours: HostPort =
            capture.address.to_string().parse().map_err(|_| ConformError::Host("its own address is none".into()))?;
        let listen = |cause| ConformError::host("listen on this machine", &cause);
        let before = Proxy::start(&ours).await.map_err(listen)?;
        variables.push(("CAPTURE".to_owned(), format!("http://{}", before.address)));
        variables.push(("CAPTURE_ADDRESS".to_owned(), before.address.clone()));
        proxies.push(before);
        let mut far = Vec::new();
        for (name, to) in named {
            // Whoever names one that is wrong is told so, and not that there is none of that name.
            let (to, place) = to.map_or((ours.clone(), None), |(to, place)| (to, Some(place)));
            let proxy = Proxy::start(&to).await.map_err(listen)?;
            let (host, port) = proxy.address.rsplit_once(':').unwrap_or((&proxy.address, ""));
            variables.push((format!("{name}_HOST"), host.to_owned()));
            variables.push((format!("{name}_PORT"), port.to_owned()));
            variables.push((name.clone(), proxy.address.clone()));
            // For commands, which are to reach it whatever the proxy does.
            variables.push((format!("{name}_DIRECT"), to.to_string()));
            proxies.push(proxy);
            far.extend(place.map(|place| FarSide { name, to, place }));
        }
        let env = |name: &str| {
            let own = variables.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
            own.or_else(|| config::environment(name))
        };
        let mut held = Held::read(text, &env);
        for grant in &held.suite.grants.directories {
            if grant.host.starts_with(scratch.path()) {
                std::fs::create_dir_all(&grant.host).map_err(|cause| ConformError::host("make a folder", &cause))?;
            }
        }
        let Asked { documents, outline, connector } = loader.ask_often(component, 3).await?;
        let given = held.given();
        let opening = match &connector {
            Ok(connector) => {
                held.hold(connector);
                held.opened(connector, component, &outline, loader, &variables).await
            }
            Err(error) => Err(error.to_string()),
        };
        let suite = held.sound().map_err(ConformError::Mistakes)?;
        let issuer = Arc::<Issuer>::default();
        let opening = opening.map(|mut opening| {
            if let Some(state) = &mut opening.grants.state {
                state.keep_in(&SqliteState::new(scratch.path().join("state")), "conform", "component");
            }
            opening.grants.directories.scratch_in(scratch.path());
            let providers = suite.grants.tokens.iter().map(ToString::to_string);
            opening.grants.tokens = Tokens::granted(providers, issuer.clone());
            opening
        });
        let document = documents.first().and_then(|document| serde_json::from_str(document).ok());
        let connector = connector.map_err(|error| error.to_string());
        let (heard, serial) = (Mutex::default(), AtomicU64::default());
        Ok(Self {
            documents,
            document,
            outline,
            connector,
            opening,
            suite,
            given,
            heard,
            clock: loader.clock().clone(),
            far,
            proxies,
            capture,
            issuer,
            variables,
            folder,
            serial,
            created: AtomicBool::new(false),
            read_back: AtomicBool::new(false),
            scratch,
        })
    }

    /// What waits are measured by.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The component, where its descriptor can be read.
    pub(super) fn connector(&self) -> Result<&Connector, Stop> {
        self.connector.as_ref().map_err(|why| skipped(format!("the descriptor cannot be read: {why}")))
    }

    /// What it is opened with, counting by itself what it uses.
    pub(super) fn opening(&self) -> Result<Opening, Stop> {
        self.connector()?;
        let opening = self.opening.as_ref().map_err(|why| skipped(format!("its settings are refused: {why}")))?;
        Ok(Opening { usage: Arc::new(Usage::default()), ..opening.clone() })
    }

    /// The same with no grants.
    pub(super) fn bare(&self) -> Result<Opening, Stop> {
        let opening = self.opening()?;
        let redactor = opening.grants.redactor.clone();
        Ok(Opening { grants: Grants { redactor, ..Grants::default() }, ..opening })
    }

    /// Opens a session; fails where it does not open.
    pub(super) async fn open(&self, about: super::About) -> Result<Life, Stop> {
        self.open_with(about, &self.opening()?).await
    }

    /// The same, with another opening.
    pub(super) async fn open_with(&self, about: super::About, opening: &Opening) -> Result<Life, Stop> {
        if !self.created.load(Relaxed) {
            self.be_created().await;
        }
        let opened = Life::open(self.connector()?, about, opening).await;
        opened.map_err(|error| {
            match &error {
                OpenError::Failed(failure) => self.hear("open", &failure.message),
                // Whoever took it away, it was no component: it stands outside of what one reaches.
                OpenError::Directory(cause) => {
                    return Stop::Suite(Mistake::new(cause.to_string()).with_hint(cause.hint()).into());
                }
                OpenError::Unreachable(_) | OpenError::Loading(_) => {}
            }
            let did = "opened a session with the suite's settings and grants";
            failed(did, "a session", error.to_string()).mended(unopened(&error))
        })
    }

    /// Opens a session, hands over one batch, and closes the session.
    pub(super) async fn hand_over(&self, about: super::About, batch: &Batch) -> Result<Handed, Stop> {
        let mut life = self.open(about).await?;
        let handed = life.hand_over(batch, 1).await;
        self.heard(batch, &handed);
        if !handed.ended() {
            let _closed = life.close().await;
        }
        Ok(handed)
    }

    /// Keeps what was said.
    pub(super) fn heard(&self, batch: &Batch, handed: &Handed) {
        if handed.is_all_well() {
            return;
        }
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.messages.extend(handed.messages().map(|message| ("handed over".to_owned(), message)));
        heard.troubled.push((batch.clone(), handed.clone()));
    }

    /// Keeps what was said.
    pub(super) fn hear(&self, when: &str, message: &dyn std::fmt::Display) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.messages.push((when.to_owned(), message.to_string()));
    }

    /// Records that were never sent before, in a partition of their own.
    pub(super) fn records(&self, count: u32) -> Batch {
        let texts: Vec<String> = (0..count).map(|_| self.payload()).collect();
        let json = texts.first().is_some_and(|text| serde_json::from_str::<Value>(text).is_ok());
        let mut builder = BatchBuilder::with_capacity(texts.len(), 1 << 10, true, json.then(|| "application/json".into()));
        for (sequence, text) in (1..).zip(&texts) {
            let key = format!("key-{}", sequence % 7);
            // Records of a few bytes fill no column.
            let _full = builder.push(sequence, Some(key.as_bytes()), text.as_bytes());
        }
        self.finish(builder)
    }

    /// The payload of another record.
    pub(super) fn payload(&self) -> String {
        let number = self.serial.fetch_add(1, Relaxed).to_string();
        match &self.suite.record {
            Some(record) => record.replace("{n}", &number),
            None => format!(r#"{{"n":{number},"text":"record {number}"}}"#),
        }
    }

    /// A batch in a partition of its own.
    pub(super) fn finish(&self, builder: BatchBuilder) -> Batch {
        let partition = format!("part-{}", self.serial.fetch_add(1, Relaxed));
        builder.finish("conform", partition.into())
    }
}

/// What to do where no session opens, where that is another thing than what the case is about.
fn unopened(error: &OpenError) -> Option<&'static str> {
    match error {
        OpenError::Failed(failure) | OpenError::Unreachable(failure) => match failure.kind {
            FailureKind::Transient | FailureKind::Uncertain | FailureKind::Throttled => Some(
                "see whether the far side is reached with the suite's settings and grants, and why `open` says that it is not",
            ),
            FailureKind::Unauthorized => Some("see whether the suite's credentials are good, and whether `open` uses them"),
            _ => None,
        },
        OpenError::Loading(_) => Some("let `open` end in a session, or in a failure in words: what traps loses its instance"),
        OpenError::Directory(_) => None,
    }
}

/// Fails unless every record was delivered.
pub(super) fn all_well(did: &str, handed: &Handed) -> Tried {
    if handed.is_all_well() {
        return Ok(did.to_owned());
    }
    Err(failed(did, "every record taken", handed.to_string()).mended(handed.mend()))
}
