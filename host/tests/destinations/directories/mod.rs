//! Files: every way out of a granted directory and beyond its quota, tried by the interface's own calls.

mod given;
mod paths;
mod quota;
mod races;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::SystemTime,
};

use serde_json::{Value, json};

use crate::trial::{Trial, destination};

fn trial() -> Trial {
    Trial::new::<&str>([])
}

/// A destination with these grants that does what its records say.
fn files(grants: Value) -> Value {
    let mut files = destination("files", "guest-files", json!({}));
    files["grants"] = grants;
    files
}

/// The folder `data`, to be changed.
fn data(quota: Option<&str>) -> Value {
    let mut data = json!({"host": "data", "guest": "/data", "access": "read-write"});
    if let Some(quota) = quota {
        data["quota"] = quota.into();
    }
    files(json!({"directories": [data]}))
}

/// Has these done, one after the other in one instance, and gives what came of each.
async fn answers(trial: &Trial, files: &Value, verbs: &[&str]) -> Vec<String> {
    let before = fs::read_to_string(trial.folder.path("records.txt")).unwrap().lines().count();
    let records: Vec<String> = verbs.iter().enumerate().map(|(index, verb)| format!("{} {verb}", before + index)).collect();
    trial.append(&records);
    let ran = trial.run(std::slice::from_ref(files)).await;
    assert_eq!(ran.error, "", "{}", trial.log());
    let letters = trial.dead_letters().await;
    let letters: BTreeMap<&[u8], &str> =
        letters.iter().filter_map(|letter| Some((letter.record.after()?, &*letter.reason.message))).collect();
    records.iter().map(|record| letters[record.as_bytes()].to_owned()).collect()
}

/// Has these done, and compares what came of each with what should.
async fn expect(trial: &Trial, files: &Value, verbs: &[(&str, &str)]) {
    let told: Vec<&str> = verbs.iter().map(|(verb, _)| *verb).collect();
    let answers = answers(trial, files, &told).await;
    let came: Vec<_> = told.iter().zip(&answers).map(|(verb, answer)| format!("{verb} -> {answer}")).collect();
    let should: Vec<_> = verbs.iter().map(|(verb, answer)| format!("{verb} -> {answer}")).collect();
    assert_eq!(came, should);
}

/// Everything below a folder: kind, bytes and time of change, by path.
fn everything(folder: &Path) -> BTreeMap<String, (String, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        let kind = metadata.file_type();
        let content = match () {
            () if kind.is_file() => fs::read_to_string(&path).unwrap(),
            () if kind.is_symlink() => fs::read_link(&path).unwrap().display().to_string(),
            () => format!("{kind:?}"),
        };
        if kind.is_dir() {
            found.extend(everything(&path));
        }
        found.insert(path.display().to_string(), (content, metadata.modified().unwrap()));
    }
    found
}

/// The bytes of all files below a folder, each file once.
fn bytes(folder: &Path) -> u64 {
    let mut seen = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                folders.push(path);
            } else {
                seen.insert(metadata.ino(), metadata.len());
            }
        }
    }
    seen.values().sum()
}

/// Does something over and over until it is told to stop.
struct Meanwhile {
    over: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Meanwhile {
    fn start(mut work: impl FnMut() + Send + 'static) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let over = over.clone();
            move || {
                while !over.load(Relaxed) {
                    work();
                }
            }
        });
        Self { over, thread }
    }

    fn stop(self) {
        self.over.store(true, Relaxed);
        self.thread.join().unwrap();
    }
}
