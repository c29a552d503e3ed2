//! Every way out of a granted directory by what a path says.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
    process::Command,
};

use serde_json::json;

use super::{answers, bytes, data, everything, expect, trial};

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
