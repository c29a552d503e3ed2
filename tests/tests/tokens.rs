//! Refresh tokens across runs of the whole program.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::{Value, json};
use wharf_tests::{Ran, Scratch, component, host::Host, issuer::Issuer};

/// Runs a keeper that asks for a token of a provider with a refresh token, under the key in a file.
fn run(scratch: &Scratch, issuer: &Issuer, key: Option<&str>) -> Ran {
    let keeper = component("guest-keeper").unwrap().display().to_string();
    let records = fs::read_to_string(scratch.path("records.txt")).unwrap_or_default();
    scratch.write("records.txt", format!("{records}token crm\n")).unwrap();
    let url = issuer.url();
    let file = format!(
        "version: 1
tokens:
  - {{ id: crm, kind: refresh-token, token-url: '{url}', client-id: us, client-secret: '${{SECRET}}', refresh-token: {} }}
pipelines:
  - id: p
    source: {{ kind: file, path: records.txt, format: lines }}
    dead-letters: {{ window: 0 }}
    destinations:
      - {{ id: d, component: {keeper}, grants: {{ tokens: [crm] }} }}
",
        Issuer::FIRST
    );
    scratch.write("pipeline.yaml", file).unwrap();
    let mut wharf = scratch.wharf(&["run", "pipeline.yaml"]).unwrap();
    wharf.env_remove("WHARF_KEY_FILE").env("SECRET", "client-secret");
    if let Some(key) = key {
        let path = scratch.write(key, format!("{}=\n", key.repeat(43))).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        wharf.env("WHARF_KEY_FILE", path);
    }
    wharf.output().unwrap().into()
}

#[test]
fn a_new_refresh_token_is_used_by_the_next_run_and_stands_nowhere_in_the_open() {
    let (scratch, issuer) = (Scratch::new().unwrap(), Issuer::start().unwrap());
    for _ in 0..3 {
        let ran = run(&scratch, &issuer, Some("A"));
        // The keeper rejects every record, with what it got.
        assert_eq!(ran.code, Some(3), "{}", ran.stderr);
        for secret in ["client-secret", "refresh-token-"] {
            assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{}", ran.stderr);
        }
    }
    let used: Vec<String> = issuer.asked().into_iter().map(|asked| asked.form["refresh_token"].clone()).collect();
    assert_eq!(used, [Issuer::FIRST, "refresh-token-1", "refresh-token-2"]);
    for file in fs::read_dir(scratch.path(".wharf")).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        for secret in ["client-secret", "refresh-token-"] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
        }
    }
}

#[test]
fn another_key_is_refused_and_changes_nothing() {
    let (scratch, issuer) = (Scratch::new().unwrap(), Issuer::start().unwrap());
    assert_eq!(run(&scratch, &issuer, Some("A")).code, Some(3));
    let refused = run(&scratch, &issuer, Some("E"));
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""));
    let expected = "error: the refresh token of crm in the store is sealed with another key than the one in WHARF_KEY_FILE\n\
                    hint: name the file with the earlier key; if it is lost, give consent anew, set the new refresh token, and remove the \
                    old one: DELETE FROM refresh_tokens WHERE provider = 'crm'\n";
    assert!(refused.stderr.ends_with(expected), "{}", refused.stderr);
    assert_eq!(issuer.asked().len(), 1);
    assert_eq!(run(&scratch, &issuer, Some("A")).code, Some(3), "the earlier key still opens it");
}

#[test]
fn a_refresh_token_without_a_key_file_is_refused_with_the_line_that_makes_one() {
    let (scratch, issuer) = (Scratch::new().unwrap(), Issuer::start().unwrap());
    let refused = run(&scratch, &issuer, None);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr.starts_with(
            "error: token provider crm: a refresh token needs WHARF_KEY_FILE, and it is not set\n  at pipeline.yaml:3:5\n"
        ),
        "{}",
        refused.stderr
    );
    assert!(
        refused.stderr.contains("(umask 077; openssl rand -base64 32 > FILE), and set WHARF_KEY_FILE to FILE"),
        "{}",
        refused.stderr
    );
    assert_eq!(issuer.asked().len(), 0);
    assert!(!scratch.path(".wharf").exists());
}

#[test]
fn a_reload_swaps_the_pipelines_of_a_provider_that_changed_and_no_others() {
    let (scratch, issuer) = (Scratch::new().unwrap(), Issuer::start().unwrap());
    let keeper = component("guest-keeper").unwrap();
    scratch.write("secret", "client-secret").unwrap();
    let pipeline = |id: &str, grants: Value| {
        json!({
            "id": id,
            "source": {"kind": "file", "path": format!("{id}.txt"), "format": "lines", "follow": true},
            "batch": {"delay": "10ms"},
            "dead-letters": {"window": 0},
            "destinations": [{"id": "d", "component": keeper, "grants": grants}],
        })
    };
    let write = |client: &str| {
        let secret = json!({"file": "secret"});
        let provider = json!({"id": "crm", "kind": "client-credentials", "token-url": issuer.url(), "client-id": client, "client-secret": secret});
        let pipelines = json!([pipeline("with", json!({"tokens": ["crm"]})), pipeline("without", json!({}))]);
        scratch.write("pipeline.yaml", json!({"version": 1, "tokens": [provider], "pipelines": pipelines}).to_string()).unwrap();
    };
    for id in ["with", "without"] {
        scratch.write(&format!("{id}.txt"), "token crm\n").unwrap();
    }
    write("us");
    let mut host = Host::start(&scratch, "pipeline.yaml").unwrap();
    // The keeper rejects every record, with what it got.
    let given_up = |host: &Host, records: u64| {
        let done = |id| Ok::<_, anyhow::Error>(host.status(id)?["destinations"][0]["dead_lettered"] == records);
        Ok(done("with")? && done("without")?)
    };
    host.until(|host| given_up(host, 1)).unwrap();
    assert_eq!(host.ask(&["reload"]).unwrap()["unchanged"], json!(["with", "without"]));
    write("others");
    let reloaded = host.ask(&["reload"]).unwrap();
    assert_eq!((&reloaded["changed"], &reloaded["unchanged"]), (&json!(["with"]), &json!(["without"])), "{}", host.log());
    for id in ["with", "without"] {
        scratch.write(&format!("{id}.txt"), "token crm\ntoken crm\n").unwrap();
    }
    host.until(|_| Ok(issuer.asked().len() == 2)).unwrap();
    let asked: Vec<String> = issuer.asked().into_iter().map(|asked| asked.authorization).collect();
    assert!(asked.iter().all(|asked| asked.starts_with("Basic ")) && asked[0] != asked[1], "{asked:?}");
    host.signal("TERM").unwrap();
    assert_eq!(host.ended().unwrap().code, Some(0));
}
