//! Where the plan of a host comes from, so that it can be made again.

use std::path::{Path, PathBuf};

use crate::{
    config::{self, Place, Process},
    connector::Loader,
    operate::Refused,
    plan::{self, Plan, PlanError, Providers},
};

/// A pipeline file, and how it is read.
#[derive(Clone)]
pub struct Origin {
    /// The file.
    pub path: PathBuf,
    /// The data directory that is used in place of the file's.
    pub data_dir: Option<PathBuf>,
    /// What the file said of the process when it began: this cannot change while it runs.
    pub process: Process,
    /// What loads its components.
    pub loader: Loader,
    /// The name of this run.
    pub run: String,
}

impl Origin {
    /// Makes a plan of the file as it is now, beside one that runs.
    ///
    /// What holds for the whole life of a host is refused where it changed: its data directory is `data_dir`.
    pub(super) async fn plan(&self, before: &Providers, data_dir: &Path) -> Result<Plan, Refused> {
        let told = |errors: Vec<PlanError>| {
            let one = |error: &PlanError| {
                let place = at(error.place());
                let hint = error.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
                format!("{}{place}{hint}", error.what())
            };
            let errors: Vec<String> = errors.iter().map(one).collect();
            Refused {
                what: format!("the pipeline file is refused, and everything goes on as it was: {}", errors.join("\n")),
                hint: None,
            }
        };
        let mut file = config::load(&self.path, &config::OwnEnvironment).map_err(|mistakes| told(mistakes.into()))?;
        if self.data_dir.is_some() {
            file.data_dir.clone_from(&self.data_dir);
        }
        let lasts = |key: &str, noun: &str| Refused {
            what: format!(
                "{noun} changed, which holds for the whole life of a host; everything goes on as it was{}",
                at(file.place_of(key))
            ),
            hint: Some("stop the host and start it again, or take the change back".into()),
        };
        if file.process != self.process {
            return Err(lasts("process", "the block `process`"));
        }
        if file.data_dir() != data_dir {
            return Err(lasts("data-dir", "`data-dir`"));
        }
        plan::again(file, &self.loader, &self.run, Some(before)).await.map_err(told)
    }
}

/// Where something stands in the file, as a line behind what is wrong with it.
pub(super) fn at(place: Option<&Place>) -> String {
    place.map(|place| format!("\n  at {place}")).unwrap_or_default()
}
