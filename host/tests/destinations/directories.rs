//! Files: every way out of a granted directory and beyond its quota, tried by the interface's own calls.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, symlink},
        net::UnixListener,
    },
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::SystemTime,
};

use serde_json::{Value, json};

use crate::trial::{Trial, destination, honest};

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
        letters.iter().filter_map(|letter| Some((&**letter.record.as_ref()?, &*letter.reason.message))).collect();
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

#[tokio::test]
async fn no_path_leads_out_of_a_directory() {
    let trial = trial();
    trial.folder.write("outside/secret", "secret").unwrap();
    trial.folder.write("outside/folder/file", "secret").unwrap();
    trial.folder.write("data/own", "own").unwrap();
    trial.folder.write("data/below/file", "file").unwrap();
    let at = |name: &str| trial.folder.path("data").join(name);
    for (target, name) in [
        ("own", "inner"),
        ("../outside/secret", "relative"),
        ("../outside", "folder"),
        ("..", "parent"),
        ("../outside/new", "dangling"),
        ("loop-b", "loop-a"),
        ("loop-a", "loop-b"),
        ("below/../../outside/secret", "round"),
    ] {
        symlink(target, at(name)).unwrap();
    }
    symlink(trial.folder.path("outside/secret"), at("absolute")).unwrap();
    let outside = everything(&trial.folder.path("outside"));
    let host = format!("read /data:{}", trial.folder.path("outside/secret").display());
    let not = "not-permitted";
    let cases = [
        // What is inside is reached by whatever way there is.
        ("read /data:own", "ok own"),
        ("read /data:./own", "ok own"),
        ("read /data:below//file", "ok file"),
        ("read /data:below/../own", "ok own"),
        ("read /data:inner", "ok own"),
        ("stat /data:.", "ok Directory"),
        ("lstat /data:absolute", "ok SymbolicLink"),
        ("readlink /data:relative", "ok ../outside/secret"),
        // The interface's own spellings of outside.
        ("read /data:../outside/secret", not),
        ("read /data:below/../../outside/secret", not),
        ("read /data:/etc/passwd", not),
        ("read /data://etc/passwd", not),
        (host.as_str(), not),
        ("read /data:..", not),
        ("read /data:../", not),
        ("read /data:./..", not),
        ("count /data:..", not),
        ("stat /data:../outside/secret", not),
        ("lstat /data:..", not),
        // Links that the host made.
        ("read /data:absolute", not),
        ("read /data:relative", not),
        ("read /data:relative/", not),
        ("read /data:round", not),
        ("read /data:folder/secret", not),
        ("read /data:folder/", not),
        ("read /data:parent/outside/secret", not),
        ("count /data:folder", "not-directory"),
        ("count /data:folder/folder/", not),
        ("stat /data:absolute", not),
        ("stat /data:folder/secret", not),
        ("readlink /data:folder/secret", not),
        ("read /data:loop-a", "loop"),
        ("read /data:loop-a/x", "loop"),
        ("open h /data:dangling cwf", not),
        ("open h /data:dangling/ cwf", not),
        ("open h /data:relative cwtf", not),
        ("open h /data:relative w", "loop"),
        ("open h /data:folder d", "not-directory"),
        ("open h /data:folder/ rd", not),
        ("times /data:relative 1 0", not),
        ("times /data:folder/secret 1 0", not),
        // What is done to names.
        ("open h /data:../outside/new cw", not),
        ("mkdir /data:../outside/new", not),
        ("mkdir /data:folder/new", not),
        ("mkdir /data:folder/new/", not),
        ("mkdir /data:dangling", "exist"),
        ("mkdir /data:dangling/", "exist"),
        ("rmdir /data:folder/folder", not),
        ("rmdir /data:folder/", "not-directory"),
        ("rmdir /data:below/..", not),
        ("unlink /data:folder/secret", not),
        ("unlink /data:../outside/secret", not),
        ("unlink /data:folder/", "not-directory"),
        ("rename /data:own /data:../outside/own", not),
        ("rename /data:own /data:folder/own", not),
        ("rename /data:folder/secret /data:stolen", not),
        ("rename /data:folder/ /data:moved", "not-directory"),
        ("rename /data:own /data:folder/", "not-directory"),
        ("rename /data:below /data:..", not),
        ("rename /data:. /data:moved", "invalid"),
        ("link /data:../outside/secret /data:stolen", not),
        ("link /data:folder/secret /data:stolen", not),
        ("link /data:own /data:folder/own", not),
        ("link /data:relative/ /data:stolen", "not-directory"),
        // Links that the component makes.
        ("symlink /etc /data:made", not),
        ("symlink ../outside/secret /data:made", not),
        ("symlink below/../../outside /data:made", not),
        ("symlink below/.. /data:made", not),
        ("symlink folder/secret /data:made", not),
        ("symlink x /data:../outside/made", not),
        ("symlink x /data:folder/made", not),
        ("symlink below/file /data:made", "ok"),
        ("read /data:made", "ok file"),
        ("symlink ./nowhere /data:below/made", "ok"),
        ("rename /data:relative /data:below/relative", not),
        ("link /data:relative /data:below/relative", not),
        ("rename /data:relative /data:renamed", "ok"),
        ("rename /data:made /data:below/up", "ok"),
        // What is no name.
        ("read /data:", "no-entry"),
        ("mkdir /data:", "no-entry"),
        ("unlink /data:", "no-entry"),
        ("symlink  /data:empty", "no-entry"),
        ("mkdir /data:.", "exist"),
        ("mkdir /data:%00", "invalid"),
        ("read /data:own%00", "invalid"),
        ("mkdir /data:a%00/../b", "invalid"),
        ("read /data:%x", "name-too-long"),
        ("mkdir /data:%x", "name-too-long"),
        ("symlink %x /data:long", "name-too-long"),
        ("rename /data:own /data:%x", "name-too-long"),
        ("read /data:own/", "not-directory"),
        ("read /data:own/x", "not-directory"),
        ("unlink /data:own/", "not-directory"),
        ("mkdir /data:C:", "ok"),
        ("mkdir /data:\\\\?\\x", "ok"),
    ];
    expect(&trial, &data(None), &cases).await;
    assert_eq!(everything(&trial.folder.path("outside")), outside);
    assert_eq!(fs::read_to_string(at("own")).unwrap(), "own");
    let log = trial.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("refused: ")).collect();
    assert!(lines.len() == 50 && log.contains("further refusals of files are counted alone"), "{log}");
    assert!(lines[0].contains("destination=\"files\"") && lines[0].contains("path=../outside/secret"), "{}", lines[0]);
    assert!(lines[0].contains("open-at refused: the path leads out of the directory"), "{}", lines[0]);
    assert!(lines.iter().all(|line| line.len() < 1000));
}

#[tokio::test]
async fn what_is_to_be_read_is_not_changed_by_any_call() {
    let trial = trial();
    trial.folder.write("data/own", "own").unwrap();
    trial.folder.write("shown/file", "file").unwrap();
    trial.folder.write("shown/folder/file", "file").unwrap();
    symlink("file", trial.folder.path("shown/link")).unwrap();
    let before = everything(&trial.folder.path("shown"));
    let mut both = data(None);
    both["grants"]["directories"].as_array_mut().unwrap().push(json!({"host": "shown", "guest": "/shown"}));
    let not = "not-permitted";
    let cases = [
        ("read /shown:file", "ok file"),
        ("count /shown:.", "ok 3"),
        ("open h /shown:file r", "ok"),
        ("open w /shown:file w", not),
        ("open w /shown:file rt", not),
        ("open w /shown:link tf", not),
        ("open w /shown:new c", not),
        ("write h 0 1", not),
        ("stream h 0 1", not),
        ("append h 1", not),
        ("size h 0", not),
        ("times-open h 1 0", not),
        ("times /shown:file 1 0", not),
        ("mkdir /shown:new", not),
        ("rmdir /shown:folder", not),
        ("unlink /shown:file", not),
        ("symlink x /shown:new", not),
        ("rename /shown:file /shown:other", not),
        ("link /shown:file /shown:other", not),
        // From the one into the other, where it could be written to.
        ("link /shown:file /data:file", not),
        ("rename /shown:file /data:file", not),
        ("rename /shown:folder /data:folder", not),
        ("link /data:own /shown:own", not),
        ("rename /data:own /shown:own", not),
        ("open h /data:../shown/file w", not),
    ];
    expect(&trial, &both, &cases).await;
    assert_eq!(everything(&trial.folder.path("shown")), before);
    assert_eq!(everything(&trial.folder.path("data")).len(), 1);
}

#[tokio::test]
async fn directories_that_may_both_be_written_are_file_systems_of_their_own() {
    let trial = trial();
    trial.folder.write("data/own", "own").unwrap();
    fs::create_dir(trial.folder.path("other")).unwrap();
    let mut both = data(Some("1MiB"));
    let other = json!({"host": "other", "guest": "/other", "access": "read-write"});
    both["grants"]["directories"].as_array_mut().unwrap().push(other);
    let cases = [("link /data:own /other:own", "cross-device"), ("rename /data:own /other:own", "cross-device")];
    expect(&trial, &both, &cases).await;
    assert_eq!(bytes(&trial.folder.path("other")), 0);
}

#[tokio::test]
async fn devices_fifos_and_sockets_are_not_opened() {
    let trial = trial();
    fs::create_dir(trial.folder.path("data")).unwrap();
    let at = |name: &str| trial.folder.path("data").join(name);
    assert!(Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
    let _listening = UnixListener::bind(at("socket")).unwrap();
    symlink("fifo", at("link")).unwrap();
    // Only a superuser may make one; everybody may the other kinds.
    let device = Command::new("mknod").arg(at("device")).args(["c", "1", "5"]).output().unwrap().status.success();
    let mut kinds = vec![("fifo", "Fifo"), ("socket", "Socket")];
    kinds.extend(device.then_some(("device", "CharacterDevice")));
    let mut cases = Vec::new();
    for (name, _) in &kinds {
        for letters in ["r", "w", "rw", "cw", "tw", "rf", "ct"] {
            cases.push((format!("open h /data:{name} {letters}"), "not-permitted".to_owned()));
        }
        cases.push((format!("open h /data:{name} rd"), "not-permitted".into()));
        cases.push((format!("times /data:{name} 1 0"), "not-permitted".into()));
    }
    cases.push(("open h /data:link rf".into(), "not-permitted".into()));
    cases.push(("times /data:link 1 0".into(), "not-permitted".into()));
    cases.push(("count /data:.".into(), format!("ok {}", kinds.len() + 1)));
    cases.push(("unlink /data:fifo".into(), "ok".into()));
    let cases: Vec<(&str, &str)> = cases.iter().map(|(verb, answer)| (verb.as_str(), answer.as_str())).collect();
    expect(&trial, &data(None), &cases).await;
    assert!(trial.log().contains("open-at refused: it is neither a file nor a directory"), "{}", trial.log());
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

#[tokio::test]
async fn a_quota_is_not_passed_by_any_call() {
    let trial = trial();
    fs::create_dir(trial.folder.path("data")).unwrap();
    let full = "insufficient-space";
    // 256 blocks: the names of `a`, `b` and so on count one each.
    let cases = [
        ("open a /data:a cw", "ok"),
        ("open again /data:a rw", "ok"),
        ("write a 0 524288", "ok"),
        // The same bytes by another descriptor count once, and what lies between counts.
        ("write again 0 524288", "ok"),
        ("stream again 520192 4096", "ok"),
        ("write a 10000000000 1", full),
        ("write a 18446744073709551615 1", full),
        ("stream a 10000000000 1", full),
        ("size a 10000000000", full),
        ("size a 18446744073709551615", full),
        ("length a", "ok 524288"),
        ("append again 524288", full),
        ("append a 4096", full),
        ("length a", "ok 1044480"),
        ("size a 524288", "ok"),
        // Another name gives nothing back when it goes, nor does the last one while the file is open.
        ("link /data:a /data:b", "ok"),
        ("unlink /data:a", "ok"),
        ("open c /data:c cw", "ok"),
        ("write c 0 520192", full),
        ("write c 0 516096", "ok"),
        ("unlink /data:b", "ok"),
        ("open d /data:d cw", "ok"),
        ("append d 4096", full),
        ("close a", "ok"),
        ("append d 4096", full),
        ("close again", "ok"),
        ("append d 4096", "ok"),
        // What is moved over another gives that back.
        ("size d 524288", "ok"),
        ("close c", "ok"),
        ("size d 1048576", full),
        ("rename /data:d /data:c", "ok"),
        ("size d 1044480", "ok"),
        ("close d", "ok"),
        // Two names of one file stay.
        ("link /data:c /data:e", full),
        ("open c /data:c rwt", "ok"),
        ("link /data:c /data:e", "ok"),
        ("rename /data:c /data:e", "ok"),
        ("read /data:c", "ok"),
        ("size c 1040384", "ok"),
        ("size c 1040385", full),
        ("mkdir /data:folder", full),
        ("symlink x /data:link", full),
        ("open f /data:f c", full),
        ("open c /data:c t", "ok"),
        ("mkdir /data:folder", "ok"),
        ("many /data:folder 1000", "253: insufficient-space"),
    ];
    expect(&trial, &data(Some("1MiB")), &cases).await;
    let mut names = everything(&trial.folder.path("data"));
    assert_eq!(names.len(), 256);
    names.retain(|path, _| path.ends_with("/f") || path.ends_with("/link"));
    assert!(names.is_empty(), "{names:?}");
    let log = trial.log();
    assert_eq!(log.matches("refused: the quota is used up").count(), 1, "{log}");
}

#[tokio::test]
async fn what_stood_there_counts_and_what_others_take_away_is_free_again() {
    let trial = trial();
    trial.folder.write("data/old", vec![0; 900 << 10]).unwrap();
    let cases = [
        ("open a /data:a cw", "ok"),
        ("append a 110000", "ok"),
        ("append a 10000", "insufficient-space"),
        ("unlink /data:old", "ok"),
        ("append a 900000", "ok"),
    ];
    expect(&trial, &data(Some("1MiB")), &cases).await;
    // Another program takes what is written here, once it is told.
    let removing = Meanwhile::start({
        let data = trial.folder.path("data");
        move || {
            if data.join("go").exists() {
                let _removed_before = fs::remove_file(data.join("a"));
            }
        }
    });
    let cases = [
        ("open b /data:b cw", "ok"),
        ("append b 100000", "insufficient-space"),
        ("rename /data:b /data:go", "ok"),
        ("gone /data:a", "ok"),
        // What was measured is trusted for half a second.
        ("wait 1000", "ok"),
        ("append b 900000", "ok"),
    ];
    expect(&trial, &data(Some("1MiB")), &cases).await;
    removing.stop();
}

#[tokio::test]
async fn writes_that_are_left_under_way_count_as_well() {
    let trial = trial();
    fs::create_dir(trial.folder.path("data")).unwrap();
    let cases = [
        ("open a /data:a cw", "ok"),
        // Each is of another block; the last of 256 are beyond.
        ("leave a 900000 60000", "ok"),
        ("size a 0", "ok"),
        ("forget", "ok"),
        ("open b /data:b cw", "ok"),
    ];
    expect(&trial, &data(Some("1MiB")), &cases).await;
    let many = answers(&trial, &data(Some("1MiB")), &["open c /data:c cw", "leave-many c 1000"]).await;
    assert!(many[1].starts_with("ok ") && many[1] != "ok 0 failed", "{many:?}");
    assert!(bytes(&trial.folder.path("data")) <= 1 << 20);
}

#[tokio::test]
async fn deep_directories_and_large_ones_are_no_trouble() {
    let trial = trial();
    fs::create_dir_all(trial.folder.path("data/large")).unwrap();
    for name in 0..5000 {
        fs::write(trial.folder.path(format!("data/large/{name:0200}")), "").unwrap();
    }
    let chain = vec!["d"; 60].join("/");
    let rename = format!("rename /data:large /data:{chain}/large");
    let cases = [
        ("count /data:large", "ok 5000"),
        ("deep /data:. 1000", "64: name-too-long"),
        ("mkdir /data:e", "ok"),
        (rename.as_str(), "not-permitted"),
        ("rename /data:e /data:f", "ok"),
        ("rename /data:d/d/d /data:e", "ok"),
        ("rename /data:e /data:d/d/d", "not-permitted"),
    ];
    expect(&trial, &data(None), &cases).await;
    fs::remove_dir_all(trial.folder.path("data")).unwrap();
}

#[tokio::test]
async fn times_beyond_all_bounds_are_refused_or_set() {
    let trial = trial();
    trial.folder.write("data/file", "own").unwrap();
    let most = u64::MAX;
    let times = [(most, 1_000_000_000), (most, 0), (most, u32::MAX), (1 << 62, 999_999_999), (i64::MAX as u64, 1), (0, u32::MAX)];
    let mut verbs = vec!["open h /data:file rw".to_owned()];
    for (seconds, nanoseconds) in times {
        verbs.push(format!("times /data:file {seconds} {nanoseconds}"));
        verbs.push(format!("times-open h {seconds} {nanoseconds}"));
        verbs.push("stat /data:file".into());
    }
    let verbs: Vec<&str> = verbs.iter().map(String::as_str).collect();
    let answers = answers(&trial, &data(None), &verbs).await;
    for (verb, answer) in verbs.iter().zip(&answers).skip(1) {
        match verb.split(' ').next() {
            Some("stat") => assert_eq!(answer, "ok RegularFile"),
            _ => assert!(["ok", "overflow", "invalid"].contains(&answer.as_str()), "{verb}: {answer}"),
        }
    }
    assert!(answers.iter().any(|answer| answer == "overflow"));
}

#[tokio::test]
async fn names_that_are_no_text_are_told_as_that() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let trial = trial();
    fs::create_dir(trial.folder.path("data")).unwrap();
    fs::write(trial.folder.path("data").join(OsStr::from_bytes(b"\xff\xfe")), "").unwrap();
    expect(&trial, &data(None), &[("count /data:.", "illegal-byte-sequence")]).await;
}

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
