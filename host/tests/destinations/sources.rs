//! A pipeline whose checkpoints are of another source than it reads.

use std::fs;

use serde_json::{Value, json};

use super::trial::{Trial, honest};

fn file(path: &str) -> Value {
    json!({"kind": "file", "path": path, "format": "lines"})
}

/// How many records a run from this source reads, or why it is refused.
async fn reads(trial: &Trial, source: &Value) -> Result<u64, String> {
    let running = trial.start_from(source, &[honest()]).await?;
    let ran = trial.end(running).await;
    assert_eq!(ran.error, "");
    Ok(ran.account()[0])
}

#[tokio::test]
async fn another_source_under_the_same_id_is_refused_and_the_same_one_by_another_name_is_not() {
    let trial = Trial::new(["a", "b", "c"]);
    let write = |name: &str, text: &str| drop(trial.folder.write(name, text).unwrap());
    assert_eq!(reads(&trial, &file("records.txt")).await, Ok(3));
    assert_eq!(reads(&trial, &file("records.txt")).await, Ok(0));

    write("other.txt", "d\n");
    let root = trial.folder.path("").display().to_string();
    let root = root.trim_end_matches('/');
    let refused = format!(
        "pipeline trial read file {root}/records.txt when it last ran, and now reads file {root}/other.txt, of which its checkpoints tell nothing"
    );
    assert_eq!(reads(&trial, &file("other.txt")).await, Err(refused));
    let generator = reads(&trial, &json!({"kind": "generator", "count": 1})).await.unwrap_err();
    assert!(generator.ends_with(" and now reads generator, of which its checkpoints tell nothing"), "{generator}");

    // More files are no other source, and neither is one that was moved.
    assert_eq!(reads(&trial, &file("*.txt")).await, Ok(1));
    write("third.txt", "e\n");
    assert_eq!(reads(&trial, &file("*.txt")).await, Ok(1));
    assert_eq!(reads(&trial, &file("third.txt")).await, Ok(0));
    fs::create_dir(trial.folder.path("moved")).unwrap();
    fs::rename(trial.folder.path("records.txt"), trial.folder.path("moved/a.txt")).unwrap();
    assert_eq!(reads(&trial, &file("moved/*")).await, Ok(0));
    // Nor is a pattern that would have meant files which are gone.
    fs::remove_file(trial.folder.path("moved/a.txt")).unwrap();
    write("moved/b.txt", "f\n");
    assert_eq!(reads(&trial, &file("moved/[ab].txt")).await, Ok(1));
    assert!(trial.log().is_empty() || !trial.log().contains("begins anew"), "{}", trial.log());
}

#[tokio::test]
async fn a_pipeline_that_was_renamed_is_told() {
    let trial = Trial::new(["a"]);
    assert_eq!(reads(&trial, &file("records.txt")).await, Ok(1));
    let renamed = trial.pipeline("renamed", &file("records.txt"), &[honest()]);
    let ran = trial.end(trial.start_all(&[renamed]).await.unwrap()).await;
    assert_eq!(ran.account()[0], 1);
    let told = "pipeline renamed begins anew, and trial of this data directory, which is not in this file, read the same file ";
    assert!(trial.log().contains(told), "{}", trial.log());
    // Where both stand in the file, they are two.
    let other = Trial::new(["a"]);
    let both = ["trial", "other"].map(|id| other.pipeline(id, &file("records.txt"), &[honest()]));
    other.end_all(other.start_all(&both[..1]).await.unwrap()).await;
    other.end_all(other.start_all(&both).await.unwrap()).await;
    assert!(!other.log().contains("begins anew"), "{}", other.log());
}
