//! What a provider's tokens promise, against a real one on this machine.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};

use futures::{FutureExt, future::join_all};
use tokio::sync::Notify;
use wharf_tests::issuer::Issuer;

use super::*;
use crate::{
    clock::VirtualClock,
    store::{SealedToken, SqliteStore, StoreError},
};

/// A provider by the id `crm`, of client credentials or with the refresh token.
fn options(issuer: &Issuer, refresh: Option<(&str, u8)>) -> ProviderOptions {
    ProviderOptions {
        id: "crm".into(),
        url: issuer.url().parse().unwrap(),
        client_id: "us".into(),
        client_secret: Some(Secret::new("client-secret")),
        auth: ClientAuth::Basic,
        fields: vec![],
        refresh: refresh.map(|(token, key)| (Secret::new(token), Arc::new(Key::new(&[key; 32])))),
        roots: None,
    }
}

fn broker(issuer: &Issuer, time: &VirtualClock) -> Broker {
    Broker::new([options(issuer, None)], &time.clock())
}

/// One with a refresh token, which is kept in a store.
async fn refreshing(issuer: &Issuer, token: &str, store: impl TokenStore + 'static) -> Result<Broker, VaultError> {
    let broker = Broker::new([options(issuer, Some((token, 1)))], &VirtualClock::new().clock());
    broker.open(Arc::new(store)).await.map(|()| broker)
}

async fn token(broker: &Broker) -> String {
    broker.token("crm").await.unwrap().expose().to_owned()
}

fn unavailable(result: Result<Secret, TokenError>) -> String {
    match result {
        Err(TokenError::Unavailable(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn server_error() -> (u16, String) {
    (500, String::new())
}

#[tokio::test]
async fn however_many_ask_one_token_is_fetched() {
    let issuer = Issuer::start().unwrap();
    issuer.delay(Duration::from_millis(50));
    let broker = broker(&issuer, &VirtualClock::new());
    let tokens = join_all((0..50).map(|_| token(&broker))).await;
    assert_eq!(tokens, ["access-token-1"; 50]);
    assert_eq!(issuer.asked().len(), 1);
}

#[tokio::test]
async fn a_token_is_renewed_a_minute_before_its_end() {
    let issuer = Issuer::start().unwrap();
    let time = VirtualClock::new();
    let broker = broker(&issuer, &time);
    assert_eq!(token(&broker).await, "access-token-1");
    time.advance(Duration::from_millis(3_539_999));
    assert_eq!(token(&broker).await, "access-token-1");
    time.advance(Duration::from_millis(1));
    assert_eq!(token(&broker).await, "access-token-2");
    assert_eq!(issuer.asked().len(), 2);
}

#[tokio::test]
async fn a_token_of_less_than_two_minutes_is_renewed_after_half_of_them() {
    let issuer = Issuer::start().unwrap();
    issuer.expires_in(30);
    let time = VirtualClock::new();
    let broker = broker(&issuer, &time);
    assert_eq!(token(&broker).await, "access-token-1");
    time.advance(Duration::from_millis(14_999));
    assert_eq!(token(&broker).await, "access-token-1");
    time.advance(Duration::from_millis(1));
    assert_eq!(token(&broker).await, "access-token-2");
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_however_many_say_so() {
    let issuer = Issuer::start().unwrap();
    issuer.delay(Duration::from_millis(50));
    let broker = broker(&issuer, &VirtualClock::new());
    assert_eq!(token(&broker).await, "access-token-1");
    let again = |_| async {
        broker.refused("crm", "access-token-1");
        token(&broker).await
    };
    assert_eq!(join_all((0..50).map(again)).await, ["access-token-2"; 50]);
    // Late, of a token that is not in use any more; and of none that ever was.
    broker.refused("crm", "access-token-1");
    broker.refused("crm", "no token");
    broker.refused("nobody", "access-token-2");
    assert_eq!(token(&broker).await, "access-token-2");
    assert_eq!(issuer.asked().len(), 2);
}

#[tokio::test]
async fn whoever_refuses_tokens_for_ever_has_three_a_minute_fetched_and_takes_none_from_the_others() {
    let issuer = Issuer::start().unwrap();
    let time = VirtualClock::new();
    let broker = broker(&issuer, &time);
    for _ in 0..100 {
        let refused = token(&broker).await;
        broker.refused("crm", &refused);
    }
    assert_eq!(issuer.asked().len(), 4);
    assert_eq!(token(&broker).await, "access-token-4");
    time.advance(Duration::from_secs(60));
    broker.refused("crm", "access-token-4");
    assert_eq!(token(&broker).await, "access-token-5");
}

#[tokio::test]
async fn a_provider_that_fails_three_times_is_left_alone_for_a_while() {
    let issuer = Issuer::start().unwrap();
    issuer.answer((0..4).map(|_| server_error()));
    let time = VirtualClock::new();
    let broker = broker(&issuer, &time);
    for _ in 0..20 {
        assert_eq!(unavailable(broker.token("crm").await), "the provider answered 500 Internal Server Error");
    }
    assert_eq!(issuer.asked().len(), 3);
    time.advance(Duration::from_secs(5));
    for _ in 0..20 {
        unavailable(broker.token("crm").await);
    }
    assert_eq!(issuer.asked().len(), 4, "one tries, and fails");
    time.advance(Duration::from_secs(10));
    assert_eq!(token(&broker).await, "access-token-1");
}

#[tokio::test]
async fn a_refresh_token_that_is_not_good_any_more_is_told_as_revoked() {
    let issuer = Issuer::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("wharf.db")).unwrap();
    let broker = refreshing(&issuer, "an old one", store).await.unwrap();
    for _ in 0..20 {
        let Err(TokenError::Revoked(why)) = broker.token("crm").await else { panic!("it is good") };
        assert_eq!(why, "the provider answered invalid_grant (this refresh token is not good)");
    }
    assert_eq!(issuer.asked().len(), 1);
}

#[tokio::test]
async fn the_client_says_who_it_is_as_the_provider_wants_it() {
    let issuer = Issuer::start().unwrap();
    let client = |auth, secret: Option<&str>| ProviderOptions {
        client_id: "a b".into(),
        client_secret: secret.map(Secret::new),
        auth,
        fields: vec![("scope".into(), Secret::new("read write")), ("audience".into(), Secret::new("https://x/?a&b"))],
        ..options(&issuer, None)
    };
    let clients =
        [client(ClientAuth::Basic, Some("ü:&")), client(ClientAuth::Body, Some("ü:&")), client(ClientAuth::Basic, None)];
    for client in clients {
        token(&Broker::new([client], &Clock::system())).await;
    }
    let [basic, body, public]: [_; 3] = issuer.asked().try_into().unwrap();
    // "a+b:%C3%BC%3A%26"
    assert_eq!(basic.authorization, "Basic YStiOiVDMyVCQyUzQSUyNg==");
    assert_eq!((body.authorization.as_str(), public.authorization.as_str()), ("", ""));
    let usual = [("audience", "https://x/?a&b"), ("grant_type", "client_credentials"), ("scope", "read write")];
    let form = |more: &[(&str, &str)]| usual.iter().chain(more).map(|(name, value)| ((*name).into(), (*value).into())).collect();
    assert_eq!(basic.form, form(&[]));
    assert_eq!(body.form, form(&[("client_id", "a b"), ("client_secret", "ü:&")]));
    assert_eq!(public.form, form(&[("client_id", "a b")]));
}

#[tokio::test]
async fn what_a_provider_answers_is_bounded_and_a_redirect_is_not_followed() {
    let (issuer, elsewhere) = (Issuer::start().unwrap(), Issuer::start().unwrap());
    let redirect = format!("HTTP/1.1 307 Elsewhere\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", elsewhere.url());
    let long = format!(r#"{{"access_token": "a", "scope": "{}"}}"#, "x".repeat(70_000));
    let head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: x\r\n".repeat(1000));
    issuer.answer([(0, redirect), (200, long), (0, head), (0, headers), (0, String::new())]);
    let time = VirtualClock::new();
    let broker = broker(&issuer, &time);
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(unavailable(broker.token("crm").await));
        time.advance(Duration::from_secs(300));
    }
    assert!(answers[0].contains("307 Temporary Redirect, and redirects are not followed"), "{answers:?}");
    assert!(answers[1..].iter().all(|answer| answer.starts_with("the provider's answer cannot be read: ")), "{answers:?}");
    assert!(answers[1].ends_with("length limit exceeded"), "{answers:?}");
    assert_eq!(elsewhere.asked().len(), 0);
    assert_eq!(token(&broker).await, "access-token-1");
}

#[tokio::test]
async fn whoever_gives_up_waiting_takes_no_refresh_token_along() {
    let issuer = Issuer::start().unwrap();
    issuer.delay(Duration::from_millis(100));
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("wharf.db")).unwrap();
    let broker = refreshing(&issuer, Issuer::FIRST, store.clone()).await.unwrap();
    let mut asking = broker.token("crm");
    assert!(asking.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(asking);
    broker.settled().await;
    let again = refreshing(&issuer, Issuer::FIRST, store).await.unwrap();
    assert_eq!(token(&again).await, "access-token-2", "the token that came with the first answer is good, and known");
    assert_eq!(issuer.asked()[1].form["refresh_token"], "refresh-token-1");
}

/// A store that fails when it is told to, and holds back until it is told to go on.
#[derive(Default)]
struct Held {
    kept: Mutex<Option<SealedToken>>,
    fails: AtomicBool,
    asked: Notify,
    go_on: Notify,
}

#[async_trait]
impl TokenStore for Arc<Held> {
    async fn refresh_token(&self, _: &str) -> Result<Option<SealedToken>, StoreError> {
        Ok(self.kept.lock().unwrap().clone())
    }

    async fn keep_refresh_token(&self, _: &str, token: SealedToken) -> Result<(), StoreError> {
        self.asked.notify_one();
        self.go_on.notified().await;
        if self.fails.load(Ordering::SeqCst) {
            return Err(StoreError::Engine { doing: "write to", path: "store".into(), cause: "disk full".into(), passes: true });
        }
        *self.kept.lock().unwrap() = Some(token);
        Ok(())
    }
}

#[tokio::test]
async fn a_new_refresh_token_is_kept_before_anything_is_done_with_what_came_with_it() {
    let issuer = Issuer::start().unwrap();
    let store = Arc::new(Held::default());
    let broker = refreshing(&issuer, Issuer::FIRST, store.clone()).await.unwrap();
    let mut asking = broker.token("crm");
    assert!((&mut asking).now_or_never().is_none());
    store.asked.notified().await;
    // The answer is there, and the token is not on disk: the host could be killed now, and nobody has the access token.
    assert!((&mut asking).now_or_never().is_none());
    assert!(broker.token("crm").now_or_never().is_none());
    assert_eq!(issuer.asked().len(), 1);
    store.go_on.notify_one();
    assert_eq!(asking.await.unwrap().expose(), "access-token-1");
    // Killed here: whoever comes next has the new one.
    let again = refreshing(&issuer, Issuer::FIRST, store.clone()).await.unwrap();
    store.go_on.notify_one();
    assert_eq!(token(&again).await, "access-token-2");
}

#[tokio::test]
async fn a_refresh_token_that_cannot_be_kept_is_not_used_and_not_forgotten() {
    let issuer = Issuer::start().unwrap();
    let store = Arc::new(Held::default());
    store.fails.store(true, Ordering::SeqCst);
    let broker = refreshing(&issuer, Issuer::FIRST, store.clone()).await.unwrap();
    for _ in 0..2 {
        store.go_on.notify_one();
        let why = unavailable(broker.token("crm").await);
        assert_eq!(why, "the host cannot keep the provider's new refresh token");
    }
    assert_eq!(issuer.asked().len(), 1, "nobody is asked again before it is kept");
    store.fails.store(false, Ordering::SeqCst);
    store.go_on.notify_one();
    assert_eq!(token(&broker).await, "access-token-1");
    assert_eq!(issuer.asked().len(), 1);
}

#[tokio::test]
async fn a_refresh_token_that_was_given_anew_survives_a_restart_unless_another_is_configured() {
    let issuer = Issuer::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("wharf.db")).unwrap();
    for number in 1..4 {
        let broker = refreshing(&issuer, Issuer::FIRST, store.clone()).await.unwrap();
        assert_eq!(token(&broker).await, format!("access-token-{number}"));
    }
    let used: Vec<String> = issuer.asked().into_iter().map(|asked| asked.form["refresh_token"].clone()).collect();
    assert_eq!(used, [Issuer::FIRST, "refresh-token-1", "refresh-token-2"]);

    // Consent was given anew.
    let broker = refreshing(&issuer, "another", store.clone()).await.unwrap();
    assert!(matches!(broker.token("crm").await, Err(TokenError::Revoked(_))));
    assert_eq!(issuer.asked()[3].form["refresh_token"], "another");
    // Nothing came of it, so that going back finds what was kept.
    let broker = refreshing(&issuer, Issuer::FIRST, store).await.unwrap();
    assert_eq!(token(&broker).await, "access-token-4");
}

#[tokio::test]
async fn a_refresh_token_that_stays_the_same_is_not_written() {
    let issuer = Issuer::start().unwrap();
    issuer.rotates(false);
    let store = Arc::new(Held::default());
    let broker = refreshing(&issuer, Issuer::FIRST, store.clone()).await.unwrap();
    assert_eq!(token(&broker).await, "access-token-1");
    assert!(store.kept.lock().unwrap().is_none());
}

#[tokio::test]
async fn without_a_store_no_refresh_token_is_used() {
    let issuer = Issuer::start().unwrap();
    let broker = Broker::new([options(&issuer, Some((Issuer::FIRST, 1)))], &Clock::system());
    assert_eq!(unavailable(broker.token("crm").await), "this host has no store");
    assert_eq!(issuer.asked().len(), 0);
    assert_eq!(unavailable(broker.token("erp").await), "there is no such provider");
}

#[tokio::test]
async fn a_kept_refresh_token_cannot_be_read_without_the_key_and_opens_in_its_own_place_alone() {
    let issuer = Issuer::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wharf.db");
    let store = SqliteStore::open(&path).unwrap();
    token(&refreshing(&issuer, Issuer::FIRST, store.clone()).await.unwrap()).await;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for secret in ["refresh-token", "access-token", "client-secret"] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
        }
    }
    let kept = store.refresh_token("crm").await.unwrap().unwrap();

    // Another key: told, and left as it is.
    let other = Broker::new([options(&issuer, Some((Issuer::FIRST, 2)))], &Clock::system());
    let refused = other.open(Arc::new(store.clone())).await.unwrap_err();
    assert!(matches!(refused, VaultError::OtherKey { .. }), "{refused}");
    assert_eq!(unavailable(other.token("crm").await), "this host has no store");
    assert_eq!(store.refresh_token("crm").await.unwrap().unwrap(), kept);

    // Every byte counts; so does whose it is, even where somebody makes it look right.
    let damaged = |sealed: Vec<u8>| SealedToken { sealed, ..kept.clone() };
    let mut wrong =
        vec![damaged(vec![]), damaged(kept.sealed[..20].into()), damaged(kept.sealed[..kept.sealed.len() - 1].into())];
    wrong.extend((0..kept.sealed.len()).map(|at| {
        let mut sealed = kept.sealed.clone();
        sealed[at] ^= 1;
        damaged(sealed)
    }));
    let elsewhere = |change: &dyn Fn(&mut ProviderOptions)| {
        let mut options = options(&issuer, Some((Issuer::FIRST, 1)));
        change(&mut options);
        options
    };
    for wrong in wrong {
        let held = Arc::new(Held::default());
        *held.kept.lock().unwrap() = Some(wrong);
        let refused = refreshing(&issuer, Issuer::FIRST, held).await.err().unwrap();
        assert!(matches!(refused, VaultError::Damaged { .. }), "{refused}");
    }
    let others = [
        elsewhere(&|options| options.id = "erp".into()),
        elsewhere(&|options| options.client_id = "them".into()),
        elsewhere(&|options| options.url = "https://elsewhere.example/token".parse().unwrap()),
    ];
    for other in others {
        let Some((configured, key)) = &other.refresh else { panic!("it has one") };
        let vault = Vault::new(key.clone(), &other.id, other.url.as_str(), &other.client_id, configured, Clock::system());
        // As it is, it counts as one of another configuration.
        let held = Arc::new(Held::default());
        *held.kept.lock().unwrap() = Some(kept.clone());
        assert_eq!(vault.open(Arc::new(held.clone())).await.unwrap(), None);
        // With the mark of this one it does not open.
        held.go_on.notify_one();
        vault.keep(&Secret::new("own")).await.unwrap();
        let own = held.kept.lock().unwrap().clone().unwrap();
        *held.kept.lock().unwrap() = Some(SealedToken { sealed: kept.sealed.clone(), ..own });
        assert!(matches!(vault.open(Arc::new(held)).await, Err(VaultError::Damaged { .. })));
    }
}

#[tokio::test]
async fn the_same_token_is_sealed_differently_each_time() {
    let vault = Vault::new(Arc::new(Key::new(&[1; 32])), "crm", "u", "c", &Secret::new("first"), Clock::system());
    let store = Arc::new(Held::default());
    vault.open(Arc::new(store.clone())).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        store.go_on.notify_one();
        vault.keep(&Secret::new("token")).await.unwrap();
        seen.push(store.kept.lock().unwrap().clone().unwrap().sealed);
        assert_eq!(vault.open(Arc::new(store.clone())).await.unwrap(), Some(Secret::new("token")));
    }
    assert_ne!(seen[0][..24], seen[1][..24]);
    assert_ne!(seen[0][24..], seen[1][24..]);
}

#[tokio::test]
async fn nothing_that_is_shown_has_a_secret_in_it() {
    let issuer = Issuer::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("wharf.db")).unwrap();
    let given = options(&issuer, Some((Issuer::FIRST, 1)));
    assert!(!format!("{given:?}").contains("refresh-token-0"), "{given:?}");
    let broker = refreshing(&issuer, Issuer::FIRST, store).await.unwrap();
    token(&broker).await;
    let shown = format!("{broker:?}");
    for secret in ["refresh-token-", "access-token-", "client-secret"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn a_key_file_is_read_where_nobody_else_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let key = |text: &str, mode| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let read = Key::read(&path)
            .map(drop)
            .map_err(|error| format!("{error}\n{}", error.hint()).replace(&path.display().to_string(), "KEY"));
        std::fs::remove_file(&path).unwrap();
        read
    };
    let right = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n";
    for mode in [0o600, 0o400, 0o640] {
        assert_eq!(key(right, mode), Ok(()));
    }
    for mode in [0o644, 0o604, 0o660, 0o602] {
        let refused = format!(
            "the key file KEY has the mode {mode:04o}: others than its owner and group can read it, or change it\nchmod 600 KEY"
        );
        assert_eq!(key(right, mode), Err(refused));
    }
    let no_key = "the key file KEY does not hold 32 bytes as base64\nmake one: (umask 077; openssl rand -base64 32 > FILE)";
    for text in ["", "AQEB", "not base64", &right.repeat(2), &"A".repeat(10_000)] {
        assert_eq!(key(text, 0o600), Err(no_key.into()), "{text}");
    }
    assert!(Key::read(&path).unwrap_err().hint().contains("openssl rand -base64 32"));
    assert!(Key::read(folder.path()).unwrap_err().to_string().ends_with("is a directory"));
}

/// A provider behind TLS, with a certificate of a root of its own, for `localhost`.
async fn behind_tls() -> (Url, RootCertStore) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = root.self_signed(&root_key).unwrap();
    let signed = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &Issuer::new(root, root_key)).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.der().clone()], key.serialize_der().try_into().unwrap())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            // The request is as short as the client's; what of it is read does not matter.
            let _read = stream.read(&mut [0; 4096]).await;
            let body = r#"{"access_token": "by TLS"}"#;
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let _written = stream.write_all(answer.as_bytes()).await;
        }
    });
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    (format!("https://localhost:{port}/token").parse().unwrap(), roots)
}

#[tokio::test]
async fn a_provider_is_believed_that_has_a_certificate_of_a_trusted_root_for_its_name() {
    let issuer = Issuer::start().unwrap();
    let (url, roots) = behind_tls().await;
    let roots = Some(Arc::new(roots));
    let ask = async |url: &Url, roots: &Option<Arc<RootCertStore>>| {
        let options = ProviderOptions { url: url.clone(), roots: roots.clone(), ..options(&issuer, None) };
        Broker::new([options], &Clock::system()).token("crm").await
    };
    assert_eq!(ask(&url, &roots).await.unwrap().expose(), "by TLS");
    let (_, others) = behind_tls().await;
    let refused = unavailable(ask(&url, &Some(Arc::new(others))).await);
    assert!(refused.starts_with("no TLS with localhost: invalid peer certificate: "), "{refused}");
    let mut address = url.clone();
    address.set_host(Some("127.0.0.1")).unwrap();
    let refused = unavailable(ask(&address, &roots).await);
    assert!(refused.contains("not valid for name"), "{refused}");
}
