//! What a component reaches: what is granted, and nothing else.

use std::{fs, os::unix::fs::symlink};

use serde_json::{Value, json};

use crate::trial::{Trial, destination};

/// Tries each thing in one run; gives what it answered, in order: a remark where it worked, a rejection where it did not.
async fn tried<'a>(trial: &Trial, intruder: &Value, attempts: &[&'a str]) -> Vec<(&'a str, String)> {
    fs::remove_file(trial.folder.path("records.txt")).unwrap();
    trial.append(attempts);
    let mut answers = Vec::new();
    let ran = trial.run(std::slice::from_ref(intruder)).await;
    assert_eq!(ran.error, "");
    let letters = trial.dead_letters().await;
    for attempt in attempts {
        let refused = letters.iter().find(|letter| letter.record.after() == Some(attempt.as_bytes()));
        answers.push((*attempt, refused.map_or_else(|| "worked".to_owned(), |letter| letter.reason.message.to_string())));
    }
    answers
}

fn intruder(directories: Value) -> Value {
    let mut intruder = destination("intruder", "guest-intruder", json!({}));
    intruder["grants"] = json!({"directories": directories});
    intruder
}

#[tokio::test]
async fn a_granted_directory_cannot_be_left() {
    let trial = Trial::new([""]);
    trial.folder.write("secret", "secret").unwrap();
    trial.folder.write("granted/own", "own").unwrap();
    trial.folder.write("granted/below/file", "file").unwrap();
    let secret = trial.folder.path("secret");
    symlink(&secret, trial.folder.path("granted/absolute-link")).unwrap();
    symlink("../secret", trial.folder.path("granted/relative-link")).unwrap();
    symlink("..", trial.folder.path("granted/parent-link")).unwrap();
    symlink("own", trial.folder.path("granted/inner-link")).unwrap();
    let host = format!("read {}", secret.display());
    let attempts = [
        "read /granted/own",
        "read /granted/below/../own",
        "read /granted/inner-link",
        "read /granted/../secret",
        "read /granted/below/../../secret",
        "read /secret",
        "read ../secret",
        host.as_str(),
        "read /etc/passwd",
        "read /granted/absolute-link",
        "read /granted/relative-link",
        "read /granted/parent-link/secret",
        "read /granted/own/",
        "write /granted/relative-link",
        "write /granted/../written",
        "rename /granted/own /granted/../own",
        "rename /granted/relative-link/ /granted/moved",
        "link /granted/../secret /granted/hard-link",
        "symlink /etc /granted/made-link",
        "symlink ../secret /granted/made-relative",
        "read /granted/made-relative",
        "remove /granted/../secret",
        "list /granted/..",
        "list /",
    ];
    let granted = json!([{"host": "granted", "guest": "/granted", "access": "read-write"}]);
    let answers = tried(&trial, &intruder(granted), &attempts).await;
    let worked: Vec<_> = answers.iter().filter(|(_, answer)| answer == "worked").map(|(attempt, _)| *attempt).collect();
    assert_eq!(worked, ["read /granted/own", "read /granted/below/../own", "read /granted/inner-link",]);
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    assert!(!trial.folder.path("written").exists());
}

#[tokio::test]
async fn what_is_granted_to_be_read_cannot_be_changed() {
    let trial = Trial::new([""]);
    trial.folder.write("granted/own", "own").unwrap();
    let attempts = [
        "read /granted/own",
        "list /granted",
        "write /granted/own",
        "write /granted/new",
        "append /granted/own",
        "truncate /granted/own",
        "make /granted/folder",
        "remove /granted/own",
        "rename /granted/own /granted/other",
        "link /granted/own /granted/other",
        "symlink own /granted/other",
    ];
    let answers = tried(&trial, &intruder(json!([{"host": "granted", "guest": "/granted"}])), &attempts).await;
    let worked: Vec<_> = answers.iter().filter(|(_, answer)| answer == "worked").map(|(attempt, _)| *attempt).collect();
    assert_eq!(worked, ["read /granted/own", "list /granted"]);
    assert_eq!(fs::read_to_string(trial.folder.path("granted/own")).unwrap(), "own");
    assert_eq!(fs::read_dir(trial.folder.path("granted")).unwrap().count(), 1);
}

#[tokio::test]
async fn without_grants_there_is_nothing_to_reach() {
    let attempts = [
        "preopens",
        "environment",
        "stdin",
        "read /etc/passwd",
        "list /",
        "list .",
        "write /tmp/x",
        "tcp 127.0.0.1:80",
        "listen 127.0.0.1:0",
        "udp 127.0.0.1:0",
        "look-up localhost:80",
        "http localhost",
        "state x",
        "token x",
    ];
    let trial = Trial::new([""]);
    let answers = tried(&trial, &destination("intruder", "guest-intruder", json!({})), &attempts).await;
    let refused: Vec<_> = answers.iter().filter(|(_, answer)| answer != "worked").map(|(_, answer)| answer.as_str()).collect();
    let (missing, denied) = ("No such file or directory (os error 44)", "Permission denied (os error 2)");
    let others = [denied, denied, denied, denied, "ErrorCode::HttpRequestDenied", "NotGranted", "NotGranted"];
    assert_eq!(refused, [&[missing; 4][..], &others].concat());
    let log = trial.log();
    for worked in [
        "remark: 0 directories",
        "remark: 0 variables, 0 arguments",
        "remark: 0 bytes",
        "capability=\"http\" what=GET https://localhost",
    ] {
        assert!(log.contains(worked), "{worked}: {log}");
    }
}

#[tokio::test]
async fn two_grants_of_one_tree_and_a_grant_of_nothing_are_refused_before_anything_runs() {
    let cases = [
        (json!([{"host": "a", "guest": "/a"}, {"host": "a/b", "guest": "/b"}]), "are granted and are one tree"),
        (json!([{"host": "link", "guest": "/a"}, {"host": "a", "guest": "/b"}]), "are granted and are one tree"),
        (json!([{"host": "nowhere", "guest": "/a"}]), "cannot open the directory"),
        (json!([{"host": "file", "guest": "/a"}]), "is granted as /a and is not a directory"),
    ];
    for (directories, expected) in cases {
        let trial = Trial::new([""]);
        trial.folder.write("a/b/file", "").unwrap();
        trial.folder.write("file", "").unwrap();
        symlink("a", trial.folder.path("link")).unwrap();
        let refused = trial.start(&[intruder(directories)]).await.err().unwrap();
        assert!(refused.contains(expected), "{refused}");
    }
}
