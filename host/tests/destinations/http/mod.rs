//! HTTP through the host: what is granted, where it really goes, what it may cost, and what is never seen.

mod costs;
mod passes;
mod reach;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    server::Names,
    trial::{Trial, destination},
};

/// A `guest-caller` with these HTTP grants.
fn caller(grants: Value) -> Value {
    caller_with(grants, json!({}), json!({}))
}

fn caller_with(grants: Value, limits: Value, settings: Value) -> Value {
    let mut caller = destination("caller", "guest-caller", settings);
    caller["grants"] = json!({"http": grants});
    caller["limits"] = json!({"http": limits});
    caller
}

/// What each request came to.
async fn called(trial: &Trial, caller: &Value, requests: &[impl AsRef<str>]) -> Vec<String> {
    trial.append(requests.iter().map(|request| request.as_ref().as_bytes()));
    let ran = trial.run(std::slice::from_ref(caller)).await;
    assert_eq!(ran.error, "");
    let letters = trial.dead_letters().await;
    let of = |request: &str| letters.iter().find(|letter| letter.record.after() == Some(request.as_bytes()));
    requests
        .iter()
        .map(|request| of(request.as_ref()).map_or_else(|| "no answer".into(), |letter| letter.reason.message.to_string()))
        .collect()
}

fn trial() -> Trial {
    Trial::new([""; 0])
}

fn trial_with(names: &Arc<Names>) -> Trial {
    let mut trial = trial();
    trial.resolver = names.clone();
    trial
}

const DENIED: &str = "ErrorCode::HttpRequestDenied";
