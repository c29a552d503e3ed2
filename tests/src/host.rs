//! A host that runs while a test operates it.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{Ran, Scratch};

/// How long anything may take to come to be, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// `wharf run` in a folder, its log in a file there. Killed where a test leaves it.
#[derive(Debug)]
pub struct Host<'a> {
    scratch: &'a Scratch,
    child: Child,
}

impl<'a> Host<'a> {
    /// Starts it with a pipeline file, and waits until it answers.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start(scratch: &'a Scratch, pipeline: &str) -> Result<Self> {
        let (out, log) = (File::create(scratch.path("stdout"))?, File::create(scratch.path("log"))?);
        let mut wharf = scratch.wharf(&["run", pipeline, "--output", "json", "--listen", "127.0.0.1:0"])?;
        let child = wharf.stdout(Stdio::from(out)).stderr(Stdio::from(log)).spawn()?;
        let mut host = Self { scratch, child };
        host.until(|host| Ok(host.scratch.path(".wharf/control").exists()))?;
        Ok(host)
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.scratch.path("log")
    }

    /// Sends it a signal, such as `HUP`.
    ///
    /// # Errors
    /// Where that cannot be done.
    pub fn signal(&self, signal: &str) -> Result<()> {
        let sent = Command::new("kill").args([format!("-{signal}"), self.child.id().to_string()]).status()?;
        ensure!(sent.success(), "kill -{signal}: {sent}");
        Ok(())
    }

    /// The most memory that it had so far, in bytes.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn peak_memory(&self) -> Result<u64> {
        peak_memory(self.child.id())
    }

    /// Runs a command beside it, which must succeed, and gives the document that it prints.
    ///
    /// # Errors
    /// Where it fails.
    pub fn ask(&self, arguments: &[&str]) -> Result<Value> {
        let ran = self.scratch.run(&[arguments, &["--output", "json"]].concat())?;
        ensure!(ran.code == Some(0), "{arguments:?}: {}\n{}", ran.stderr, self.log());
        ran.json()
    }

    /// Its metrics, in the text format of Prometheus.
    ///
    /// # Errors
    /// Where it does not tell them.
    pub fn metrics(&self) -> Result<String> {
        let log = self.log();
        let address = log.lines().find_map(|line| line.split_once("metrics and health at http://"));
        let (_, address) = address.with_context(|| format!("nobody listens: {log}"))?;
        Ok(crate::web::ask(address.trim().parse()?, "GET", "/metrics")?.body)
    }

    /// How a pipeline stands.
    ///
    /// # Errors
    /// Where the host does not say.
    pub fn status(&self, pipeline: &str) -> Result<Value> {
        let status = self.ask(&["status"])?;
        let pipelines = status["pipelines"].as_array().context("pipelines")?;
        pipelines.iter().find(|one| one["id"] == pipeline).cloned().with_context(|| format!("no pipeline {pipeline}: {status}"))
    }

    /// Waits until something is so.
    ///
    /// # Errors
    /// Where it does not come to be, or the host ends first.
    pub fn until(&mut self, mut so: impl FnMut(&Self) -> Result<bool>) -> Result<()> {
        let began = Instant::now();
        while !so(self)? {
            if let Some(status) = self.child.try_wait()? {
                bail!("the host ended with {status}:\n{}", self.log());
            }
            ensure!(began.elapsed() < PATIENCE, "it never came to be:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Waits until a destination has so many records delivered.
    ///
    /// # Errors
    /// Where it never has.
    pub fn delivered(&mut self, pipeline: &str, destination: usize, records: u64) -> Result<()> {
        self.until(|host| Ok(host.status(pipeline)?["destinations"][destination]["delivered"] == records))
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn ended(mut self) -> Result<Ran> {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(began.elapsed() < PATIENCE, "it never ended:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        };
        let stdout = fs::read_to_string(self.scratch.path("stdout"))?;
        Ok(Ran { code: status.code(), stdout, stderr: self.log() })
    }
}

impl Drop for Host<'_> {
    fn drop(&mut self) {
        // It may have ended.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The most memory that a process had so far, in bytes.
///
/// # Errors
/// Where it has ended.
pub fn peak_memory(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("it has ended")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes << 10)
}
