//! All pipelines of a host.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use super::{Report, life::Life, means::Means};
use crate::{
    clock::Clock,
    operate::{
        Refused,
        spools::{self, Decision, Open, Spools},
    },
    plan::Providers,
    store::{DeadLetter, Settled, Store, StoreError},
};

/// All pipelines of a host, in the order of the file.
pub(super) struct Lives {
    pub means: Arc<Means>,
    pub data_dir: PathBuf,
    inner: Mutex<Inner>,
    /// Held while the list changes, and by whoever finds that all have ended.
    pub changing: tokio::sync::Mutex<()>,
}

struct Inner {
    list: Vec<Arc<Life>>,
    /// Who hands out access tokens.
    tokens: Providers,
    /// How long they may finish what is in flight.
    timeout: Duration,
    /// Whether they were asked to stop, or have all ended.
    ending: bool,
}

impl Lives {
    pub fn new(means: Arc<Means>, data_dir: PathBuf, list: Vec<Arc<Life>>, tokens: Providers, timeout: Duration) -> Self {
        let inner = Inner { list, tokens, timeout, ending: false };
        Self { means, data_dir, inner: Mutex::new(inner), changing: tokio::sync::Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Life>> {
        self.inner().list.clone()
    }

    /// The one by this name.
    pub fn find(&self, pipeline: &str) -> Option<Arc<Life>> {
        self.inner().list.iter().find(|life| *life.planned.id == *pipeline).cloned()
    }

    /// Who hands out access tokens to them.
    pub fn tokens(&self) -> Providers {
        self.inner().tokens.clone()
    }

    /// Whether they were asked to stop, or have all ended.
    pub fn is_ending(&self) -> bool {
        self.inner().ending
    }

    pub fn set_timeout(&self, timeout: Duration) {
        self.inner().timeout = timeout;
    }

    /// Puts others in their place. Where they were asked to stop meanwhile, so are these.
    pub fn replace(&self, list: Vec<Arc<Life>>, tokens: Providers) {
        let mut inner = self.inner();
        (inner.list, inner.tokens) = (list, tokens);
        if inner.ending {
            inner.stop();
        }
    }

    /// Asks all to stop, the last one first.
    pub fn stop(&self) {
        let mut inner = self.inner();
        inner.ending = true;
        inner.stop();
    }

    /// Waits until all have ended. Gives what came of them.
    pub async fn ended(&self) -> Vec<Report> {
        loop {
            for life in self.all() {
                life.ended().await;
            }
            // A reload that is under way may bring others.
            let _changing = self.changing.lock().await;
            let all = self.all();
            if all.iter().all(|life| life.is_over()) {
                self.inner().ending = true;
                return all.iter().filter_map(|life| life.report()).collect();
            }
        }
    }
}

impl Inner {
    fn stop(&self) {
        self.list.iter().rev().for_each(|life| life.stop(self.timeout));
    }
}

/// The spools of running pipelines, and of those that this host does not run.
#[async_trait]
impl Spools for Lives {
    async fn open(&self) -> Result<Vec<Open>, Refused> {
        let mut open: Vec<Open> = Vec::new();
        for life in self.all() {
            open.extend(life.spools().all().map(|uploading| uploading.opened()));
        }
        let known: Vec<_> = open.iter().map(|open| (open.pipeline.clone(), open.destination.clone())).collect();
        open.extend(spools::open(&self.means.spools, &known).await?);
        open.sort_by(|one, other| (&one.pipeline, &one.destination).cmp(&(&other.pipeline, &other.destination)));
        Ok(open)
    }

    async fn give_up(&self, pipeline: &str, letters: Vec<DeadLetter>) -> Result<(), StoreError> {
        let settled = Arc::new(Settled::new(None, letters));
        match self.find(pipeline) {
            Some(life) => life.kept().settle(pipeline, settled).await,
            None => self.means.store.settle(pipeline, settled).await,
        }
    }

    async fn decide(&self, open: &Open, upload: i64, decision: Decision) -> Result<bool, Refused> {
        let Some(life) = self.find(&open.pipeline) else { return Ok(false) };
        let uploading = life.spools().all().find(|uploading| uploading.opened().destination == open.destination);
        match uploading {
            Some(uploading) => uploading.decide(upload, decision).await,
            None => Ok(false),
        }
    }

    fn folder(&self) -> &Path {
        &self.means.spools
    }

    fn clock(&self) -> &Clock {
        &self.means.clock
    }
}
