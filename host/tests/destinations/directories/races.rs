//! Every way out by changing what a path means while it is resolved.

use std::{fs, os::unix::fs::symlink, process::Command};

use super::{Meanwhile, answers, data, everything, trial};

#[tokio::test]
async fn a_link_that_is_swapped_for_a_directory_leads_nowhere() {
    let trial = trial();
    trial.folder.write("outside/file", "secret").unwrap();
    trial.folder.write("data/real/file", "own").unwrap();
    symlink("../outside", trial.folder.path("data/evil")).unwrap();
    let outside = everything(&trial.folder.path("outside"));
    let folder = trial.folder.path("data");
    let swapping = Meanwhile::start(move || {
        for name in ["real", "evil"] {
            fs::rename(folder.join(name), folder.join("now")).unwrap();
            fs::rename(folder.join("now"), folder.join(name)).unwrap();
        }
    });
    let came = answers(&trial, &data(None), &["race /data:now 1500"]).await;
    swapping.stop();
    assert_eq!(came, ["ok true and true"], "it met both");
    assert_eq!(everything(&trial.folder.path("outside")), outside);
}

#[tokio::test]
async fn a_fifo_that_is_swapped_for_a_file_keeps_no_thread() {
    let trial = trial();
    trial.folder.write("data/now/plain", "own").unwrap();
    let at = |name: &str| trial.folder.path("data/now").join(name);
    assert!(Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
    // A thread that waited for the other end would keep this test's runtime, and the test, for ever.
    let folder = trial.folder.path("data/now");
    let swapping = Meanwhile::start(move || {
        for name in ["plain", "fifo"] {
            // The component moves it as well.
            let _there = fs::rename(folder.join(name), folder.join("file"));
            let _back = fs::rename(folder.join("file"), folder.join(name));
        }
    });
    let came = answers(&trial, &data(None), &["race /data:now 1000"]).await;
    swapping.stop();
    assert!(came[0].starts_with("ok true"), "{came:?}");
}
