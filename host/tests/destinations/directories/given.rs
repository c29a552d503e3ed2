//! What may be granted at all, and to whom.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use serde_json::json;

use super::{Meanwhile, data, everything, expect, files, trial};
use crate::trial::{destination, honest};

#[tokio::test]
async fn a_scratch_directory_is_private_and_gone_with_its_instance() {
    let trial = trial();
    let scratch = files(json!({"scratch": "1MiB"}));
    let parent = trial.folder.path(".wharf/scratch");
    // What a process that was killed left there, with a link to outside.
    trial.folder.write("outside/file", "secret").unwrap();
    trial.folder.write(".wharf/lock", "").unwrap();
    trial.folder.write(".wharf/scratch/left/deep/file", "x").unwrap();
    symlink(trial.folder.path("outside"), parent.join("left/out")).unwrap();
    let cases = [
        ("count /scratch:.", "ok 0"),
        ("open a /scratch:a crw", "ok"),
        ("size a 1048576", "insufficient-space"),
        ("write a 0 524288", "ok"),
        ("deep /scratch:. 64", "ok"),
        ("symlink a /scratch:link", "ok"),
    ];
    expect(&trial, &scratch, &cases).await;
    assert!(!parent.exists());
    assert_eq!(everything(&trial.folder.path("outside")).len(), 1);
    // Another instance has another one.
    expect(&trial, &scratch, &[("count /scratch:.", "ok 0")]).await;

    // Seen while it runs, and gone after a trap and a time-out.
    for fault in ["panic", "wait"] {
        let mut bad = destination("bad", "guest-faults", json!({"fault": fault, "at": "write"}));
        bad["grants"] = json!({"scratch": "1MiB"});
        bad["limits"] = json!({"time": {"write": "300ms"}});
        trial.append(["x"]);
        let seen = Arc::new(AtomicBool::new(false));
        let watching = Meanwhile::start({
            let (parent, seen) = (parent.clone(), seen.clone());
            move || {
                for entry in fs::read_dir(&parent).into_iter().flatten().flatten() {
                    if let Ok(found) = entry.metadata() {
                        assert_eq!(found.permissions().mode() & 0o777, 0o700);
                        seen.store(true, Relaxed);
                    }
                }
            }
        });
        let ran = trial.run(&[bad, honest()]).await;
        watching.stop();
        assert!(ran.error.contains("destination bad"), "{}", ran.error);
        assert!(seen.load(Relaxed) || fault == "panic", "{fault}");
        assert!(!parent.exists(), "{fault}");
    }
}

#[tokio::test]
async fn what_is_the_kernels_or_the_hosts_own_is_granted_to_nobody() {
    let trial = trial();
    for folder in ["data/a/b", "other", "components"] {
        fs::create_dir_all(trial.folder.path(folder)).unwrap();
    }
    fs::create_dir_all(trial.folder.path(".wharf/inner")).unwrap();
    symlink("data/a", trial.folder.path("link")).unwrap();
    symlink(".wharf", trial.folder.path("store")).unwrap();
    symlink("/proc", trial.folder.path("kernel")).unwrap();
    let cache = wharf_tests::cache().unwrap();
    let component = trial.folder.path("components/files.wasm");
    fs::copy(wharf_tests::component("guest-files").unwrap(), &component).unwrap();
    let grant = |host: &str, access: &str| json!({"host": host, "guest": "/x", "access": access});
    let cases = [
        (grant("/proc", "read-only"), "is granted as /x and holds what is no file (/proc)"),
        (grant("/proc/self/fd", "read-only"), "holds what is no file (/proc)"),
        (grant("kernel", "read-only"), "holds what is no file (/proc)"),
        (grant("/sys/", "read-only"), "holds what is no file (/sys)"),
        (grant("/dev/", "read-write"), "holds what is no file (/dev)"),
        (grant("/", "read-only"), "holds what is no file (/"),
        (grant(".wharf", "read-only"), "is or holds the data directory"),
        (grant("store/inner/", "read-only"), "is or holds the data directory"),
        (grant(".", "read-only"), "is or holds the data directory"),
        (grant(cache.to_str().unwrap(), "read-only"), "is or holds the folder of compiled components"),
        (grant("components", "read-write"), "is or holds a component"),
    ];
    for (grant, expected) in cases {
        let mut files = files(json!({"directories": [grant]}));
        files["component"] = json!(component);
        let refused = trial.start(&[files]).await.err().unwrap_or_default();
        assert!(refused.contains(expected), "{grant}: {refused}");
    }
    let mut scratch = data(None);
    scratch["grants"] = json!({"scratch": "1MiB", "directories": [{"host": "data", "guest": "/scratch"}]});
    assert_eq!(trial.start(&[scratch]).await.err().unwrap(), "destination files: two directories are granted as /scratch");
}

#[tokio::test]
async fn what_one_destination_may_change_is_not_another_ones_to_read() {
    let (ro, rw) = ("read-only", "read-write");
    let why = "one of the two may change what the other may only read";
    let counts = "a quota counts what one destination writes";
    let cases = [
        ("data", ro, "data/a", ro, None),
        ("data", rw, "data/", rw, None),
        ("data", rw, "other", ro, None),
        ("data", ro, "data", rw, Some(why)),
        ("data/a/b", rw, "data", ro, Some(why)),
        ("data/a", rw, "link/", ro, Some(why)),
        ("link/b", ro, "data/a", rw, Some(why)),
        ("data", "quota", "data/a", rw, Some(counts)),
    ];
    for (one, access, other, others, expected) in cases {
        let trial = trial();
        fs::create_dir_all(trial.folder.path("data/a/b")).unwrap();
        fs::create_dir_all(trial.folder.path("other")).unwrap();
        symlink("data/a", trial.folder.path("link")).unwrap();
        let granted = |id: &str, host: &str, access: &str| {
            let mut granted = files(json!({"directories": [{"host": host, "guest": "/x", "access": access}]}));
            granted["id"] = id.into();
            if access == "quota" {
                granted["grants"]["directories"][0]["access"] = rw.into();
                granted["grants"]["directories"][0]["quota"] = "1GiB".into();
            }
            granted
        };
        let started = trial.start(&[granted("one", one, access), granted("two", other, others)]).await;
        match (started, expected) {
            (Ok(_), None) => {}
            (Err(refused), Some(expected)) => {
                assert!(refused.starts_with("destination two: ") && refused.ends_with(expected), "{refused}");
            }
            (started, expected) => panic!("{one} {access}, {other} {others}: {:?}, {expected:?}", started.err()),
        }
    }
}
