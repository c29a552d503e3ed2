//! Every way beyond a quota.

use std::fs;

use super::{Meanwhile, answers, bytes, data, everything, expect, trial};

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
