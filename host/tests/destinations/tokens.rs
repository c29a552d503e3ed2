//! Access tokens, as a component has them.

use serde_json::{Value, json};
use wharf_tests::issuer::Issuer;

use crate::trial::{Trial, destination};

fn provider(issuer: &Issuer) -> Value {
    json!({"id": "crm", "kind": "client-credentials", "token-url": issuer.url(), "client-id": "us", "client-secret": "client-secret"})
}

/// A keeper that is granted these providers.
fn keeper(id: &str, tokens: &[&str]) -> Value {
    let mut keeper = destination(id, "guest-keeper", json!({}));
    keeper["grants"] = json!({"tokens": tokens});
    keeper
}

#[tokio::test]
async fn one_token_is_shared_by_all_who_are_granted_it() {
    let issuer = Issuer::start().unwrap();
    let mut trial = Trial::new(["token crm", "refused crm", "token crm"]);
    trial.tokens = vec![provider(&issuer)];
    let ran = trial.run(&[keeper("one", &["crm"]), keeper("two", &["crm"])]).await;
    assert_eq!(ran.error, "");
    let answers: Vec<String> = trial.dead_letters().await.into_iter().map(|letter| letter.reason.message.to_string()).collect();
    assert_eq!(
        answers.iter().filter(|answer| *answer == "***").count(),
        4,
        "what it says of its tokens is not shown: {answers:?}"
    );
    assert_eq!(answers.iter().filter(|answer| *answer == "told").count(), 2, "{answers:?}");
    // Each of the two may have refused the token that the other had renewed.
    assert!((2..=3).contains(&issuer.asked().len()), "{:?}", issuer.asked());
    assert!(!trial.log().contains("client-secret"), "{}", trial.log());
}

#[tokio::test]
async fn a_provider_that_is_not_granted_is_refused_and_not_asked() {
    let issuer = Issuer::start().unwrap();
    let mut trial = Trial::new(["token crm", "refused crm", "token ", "token other"]);
    trial.tokens = vec![provider(&issuer)];
    let _ran = trial.run(&[keeper("one", &[])]).await;
    let answers: Vec<String> = trial.dead_letters().await.into_iter().map(|letter| letter.reason.message.to_string()).collect();
    assert_eq!(answers, ["NotGranted", "told", "NotGranted", "NotGranted"]);
    assert_eq!(issuer.asked().len(), 0);
    for what in ["crm", "other"] {
        let line = format!("refused: not granted pipeline=\"trial\" destination=\"one\" capability=\"tokens\" what={what}");
        assert!(trial.log().contains(&line), "{line}: {}", trial.log());
    }
}

#[tokio::test]
async fn a_provider_that_fails_is_an_answer_without_the_secrets_it_was_asked_with() {
    let issuer = Issuer::start().unwrap();
    issuer.answer([(401, r#"{"error": "invalid_client", "error_description": "not client-secret"}"#.to_owned())]);
    let mut trial = Trial::new(["token crm"]);
    trial.tokens = vec![provider(&issuer)];
    let _ran = trial.run(&[keeper("one", &["crm"])]).await;
    let answers: Vec<String> = trial.dead_letters().await.into_iter().map(|letter| letter.reason.message.to_string()).collect();
    assert_eq!(answers, [r#"Unavailable("the provider answered invalid_client (not ***)")"#]);
    assert!(trial.log().contains("a token was not renewed provider=\"crm\""), "{}", trial.log());
    assert!(!trial.log().contains("client-secret"), "{}", trial.log());
}

#[tokio::test]
async fn what_a_provider_lacks_is_told_before_anything_runs() {
    let trial = |provider: Value| {
        let mut trial = Trial::new(["token crm"]);
        trial.folder.write("empty", "\n").unwrap();
        trial.folder.write("two", "a\nb\n").unwrap();
        trial.tokens = vec![provider];
        trial
    };
    let issuer = Issuer::start().unwrap();
    let with = |name: &str, value: Value| {
        let mut provider = provider(&issuer);
        provider[name] = value;
        provider
    };
    let mut refresh = with("kind", json!("refresh-token"));
    refresh["refresh-token"] = json!("r");
    for (provider, expected) in [
        (with("client-secret", json!({"file": "missing"})), "missing: No such file or directory (os error 2)"),
        (with("client-secret", json!({"file": "empty"})), "empty holds no secret: it is empty"),
        (with("client-secret", json!({"file": "two"})), "two holds no secret: it has more than one line, or control characters"),
        (with("roots", json!("two")), "two holds no PEM certificates: there is no certificate in it"),
        (refresh, "token provider crm: a refresh token needs WHARF_KEY_FILE, and it is not set"),
    ] {
        let refused = trial(provider).start(&[keeper("one", &["crm"])]).await.err().unwrap();
        assert!(refused.ends_with(expected), "{refused}");
    }
    assert_eq!(issuer.asked().len(), 0);
}

#[tokio::test]
async fn no_directory_is_granted_that_holds_a_providers_secret() {
    let issuer = Issuer::start().unwrap();
    let mut trial = Trial::new(["token crm"]);
    trial.folder.write("secrets/crm", "client-secret\n").unwrap();
    let mut given = provider(&issuer);
    given["client-secret"] = json!({"file": "secrets/crm"});
    trial.tokens = vec![given];
    let mut keeper = keeper("one", &["crm"]);
    keeper["grants"]["directories"] = json!([{"host": "secrets", "guest": "/secrets"}]);
    let refused = trial.start(&[keeper]).await.err().unwrap();
    assert!(refused.contains("a token provider's secret"), "{refused}");
}

#[tokio::test]
async fn a_token_that_the_host_puts_on_requests_is_renewed_where_it_is_refused_and_never_held_by_the_component() {
    let (issuer, api) = (Issuer::start().unwrap(), Issuer::start().unwrap());
    api.answer([(401, String::new()), (200, "{}".to_owned())]);
    let url = api.url();
    let mut trial = Trial::new([url.as_str(), url.as_str()]);
    trial.tokens = vec![provider(&issuer)];
    let origin = url.trim_end_matches("/token");
    let mut caller = destination("caller", "guest-caller", json!({}));
    let token = json!({"authorization": {"token": "crm", "prefix": "Bearer "}});
    caller["grants"] = json!({"http": [{"to": origin, "headers": token}]});
    let ran = trial.run(&[caller.clone()]).await;
    assert_eq!(ran.error, "");
    let sent: Vec<String> = api.asked().into_iter().map(|asked| asked.authorization).collect();
    assert_eq!(sent, ["Bearer access-token-1", "Bearer access-token-2"]);
    assert_eq!(issuer.asked().len(), 2);

    // It is granted to the host's requests, and not to the component.
    caller["grants"]["http"][0]["headers"]["authorization"]["token"] = json!("cmr");
    let pipeline = json!({"id": "p", "source": {"kind": "stdin", "format": "lines"}, "destinations": [caller]});
    let file = json!({"version": 1, "tokens": trial.tokens, "pipelines": [pipeline]}).to_string();
    let refused = wharf::config::parse(&file, "p.yaml", &trial.folder.path(""), &|_| None).unwrap_err();
    assert!(refused.to_string().ends_with("there is no token provider `cmr`"), "{refused}");
    assert_eq!(refused.first().hint(), Some("did you mean `crm`?"));
}
