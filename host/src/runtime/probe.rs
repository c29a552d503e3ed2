//! Whether the far sides of a plan are there, asked without running anything.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};

use super::StartError;
use crate::{
    connector::{Connector, Loading, Opening, ProbeError, Processor},
    plan::Plan,
    sandbox::thread,
    store::{DataDir, DataDirError, SqliteStore},
};

/// How many are asked at once.
const AT_ONCE: usize = 16;

/// What a destination, or a processor that can be asked, said of its far side.
#[derive(Debug)]
pub struct Probed {
    /// The pipeline's id.
    pub pipeline: Arc<str>,
    /// The destination's id; `None` for a processor of the pipeline.
    pub destination: Option<Arc<str>>,
    /// The processor's id, where it is one.
    pub processor: Option<Arc<str>>,
    /// What came of asking.
    pub reached: Reached,
}

/// What came of asking.
#[derive(Debug)]
pub enum Reached {
    /// The component cannot be asked.
    NoProbe,
    /// The far side is there, and it took so long to find out.
    There(Duration),
    /// The far side is not there, or the component could not tell.
    Not(ProbeError),
}

/// Asks every destination of a plan, and every processor that can be asked, within their grants, limits and time. Gives the answers in
/// the order of the file, and what an operator should know of how they were asked.
///
/// Nothing is written, but for what a token provider gives in the place of a refresh token: where there is such a provider, the data
/// directory is held meanwhile. Durable state is not there for a component that is asked so.
///
/// # Errors
/// Where the data directory is needed and cannot be used.
pub async fn probe(plan: &Plan) -> Result<(Vec<Probed>, Option<String>), StartError> {
    let (_held, remark) = tokens(plan).await?;
    let questions = plan.pipelines.iter().flat_map(|pipeline| {
        let of = |destination: Option<&Arc<str>>, processor: Option<&Arc<str>>, connector: &Connector, opening: &Opening| {
            let (pipeline, destination, processor) = (pipeline.id.clone(), destination.cloned(), processor.cloned());
            let whose = Probed { pipeline, destination, processor, reached: Reached::NoProbe };
            (whose, connector.clone(), opening.clone())
        };
        let processors = |destination: Option<&Arc<str>>, processors: &[Processor]| -> Vec<_> {
            // Most have no far side.
            let probed = processors.iter().filter(|processor| processor.connector.can_be_probed());
            probed.map(|processor| of(destination, Some(&processor.id), &processor.connector, &processor.opening)).collect()
        };
        let mut questions = processors(None, &pipeline.processors);
        for destination in &pipeline.destinations {
            questions.extend(processors(Some(&destination.id), &destination.processors));
            questions.push(of(Some(&destination.id), None, &destination.connector, &destination.opening));
        }
        questions
    });
    let answers = stream::iter(questions).map(|(whose, connector, opening)| ask(whose, connector, opening)).buffered(AT_ONCE);
    let answers = answers.collect().await;
    plan.tokens.broker.settled().await;
    Ok((answers, remark))
}

async fn ask(whose: Probed, connector: Connector, opening: Opening) -> Probed {
    let asked = thread::spawn(async move {
        let began = Instant::now();
        match connector.probe(&opening).await {
            None => Reached::NoProbe,
            Some(Ok(())) => Reached::There(began.elapsed()),
            Some(Err(error)) => Reached::Not(error),
        }
    });
    // What calls components does not panic; if it did, nothing would be known.
    Probed { reached: asked.await.unwrap_or(Reached::Not(ProbeError::Loading(Loading::Gone))), ..whose }
}

/// Sees that providers with a refresh token can be asked. What is given is held until all are done.
async fn tokens(plan: &Plan) -> Result<(Option<DataDir>, Option<String>), StartError> {
    if !plan.tokens.broker.keeps_tokens() {
        return Ok((None, None));
    }
    let path = plan.data_dir.clone();
    let opened = tokio::task::spawn_blocking(move || -> Result<_, StartError> {
        let data_dir = match DataDir::open(&path) {
            Err(DataDirError::InUse { path }) => return Ok(Err(path)),
            opened => opened?,
        };
        let store = SqliteStore::open(&data_dir.store())?;
        Ok(Ok((data_dir, store)))
    });
    let opened = opened
        .await
        .map_err(|error| DataDirError::Unusable { path: plan.data_dir.clone(), cause: std::io::Error::other(error) })?;
    match opened? {
        Ok((data_dir, store)) => {
            plan.tokens.broker.open(Arc::new(store)).await?;
            Ok((Some(data_dir), None))
        }
        // To use up a refresh token that another host has would take it from that one.
        Err(path) => {
            let path = path.display();
            let remark =
                format!("another wharf is using the data directory {path}: providers with a refresh token give no token here");
            Ok((None, Some(remark)))
        }
    }
}
