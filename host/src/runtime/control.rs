//! What a person does with a running host: pause, resume.

use std::sync::Arc;

use super::{life::Life, lives::Lives};
use crate::{config::nearest, operate::Refused, pipeline::Pause};

/// Steers the pipelines of a host; clones steer the same ones.
#[derive(Clone)]
pub struct Control(pub(super) Arc<Lives>);

impl Control {
    /// Pauses a pipeline, or one destination of it, until a person resumes it: nothing more is handed over, and what is in flight is kept. Of a
    /// whole pipeline nothing more is read either. A call that is under way comes back first. False where it was paused by hand already.
    pub fn pause(&self, pipeline: &str, destination: Option<&str>) -> Result<bool, Refused> {
        let life = self.life(pipeline)?;
        running(&life)?;
        let since = self.0.means.clock.elapsed();
        let pause = Pause { why: "paused by hand".into(), since, again: None, by_hand: true };
        let Some(destination) = destination else { return Ok(life.pause(&pause)) };
        let gate = gate(&life, destination)?;
        let new = gate.state().pause.is_none_or(|pause| !pause.by_hand);
        gate.shut(pause);
        Ok(new)
    }

    /// Lets a pipeline or one destination of it go on: one that was paused by hand, one that paused itself, or a pipeline that waits to be started
    /// again. False where there was nothing to be done. Destinations that paused by themselves stay so where the whole pipeline is resumed.
    pub fn resume(&self, pipeline: &str, destination: Option<&str>) -> Result<bool, Refused> {
        let life = self.life(pipeline)?;
        running(&life)?;
        match destination {
            Some(destination) => Ok(gate(&life, destination)?.resume()),
            None => Ok(life.resume()),
        }
    }

    fn life(&self, pipeline: &str) -> Result<Arc<Life>, Refused> {
        self.0.find(pipeline).ok_or_else(|| {
            let lives = self.0.all();
            let what = format!("this host has no pipeline {pipeline}");
            Refused { what, hint: Some(hint(pipeline, lives.iter().map(|life| &*life.planned.id))) }
        })
    }
}

fn running(life: &Life) -> Result<(), Refused> {
    if !life.is_over() {
        return Ok(());
    }
    let what = format!("pipeline {} has ended", life.planned.id);
    let hint = match life.has_failed() {
        true => "it ended in an error, which `wharf status` shows: mend that, and `wharf reload` starts it again",
        false => "its source is at its end, or it was stopped",
    };
    Err(Refused { what, hint: Some(hint.into()) })
}

fn gate<'a>(life: &'a Life, destination: &str) -> Result<&'a crate::pipeline::Gate, Refused> {
    life.gate(destination).ok_or_else(|| {
        let what = format!("pipeline {} has no destination {destination}", life.planned.id);
        let all = life.planned.destinations.iter().map(|destination| &*destination.id);
        Refused { what, hint: Some(hint(destination, all)) }
    })
}

fn hint<'a>(given: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(given, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`wharf status` shows which there are".to_owned(),
    }
}
