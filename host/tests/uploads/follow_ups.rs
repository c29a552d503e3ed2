//! Follow-ups of a real component: what `add` refuses and why, which calls may add, and what comes of it in the spool.

use wharf::{
    config::{OnUnknown, Size},
    connector::BulkTrouble,
    pipeline::Policy,
    record::{On, Span},
    sandbox::Event,
    store::spool::{Claim, ClaimOrder, Spool},
};

use super::{
    cage::{Cage, batch, request, spans, staged},
    engine::run,
};

#[tokio::test]
async fn what_cannot_be_taken_is_refused_in_words() {
    for (script, words) in [
        ("follow=tel/succeeded/0-1", "there is no action \"tel\" in the descriptor; did you mean \"tell\"?"),
        ("follow=nothing-like-it/succeeded/0-1", "there is no action \"nothing-like-it\" in the descriptor"),
        ("follow=tell/success/0-1", "`on` is \"success\"; it is `succeeded`, `failed` or `discarded`"),
        ("follow=tell/succeeded/0-4", "the span 0..4 of causes lies outside of the 3 records in hand"),
        ("follow=tell/succeeded/0-4294967295", "the span 0..4294967295 of causes lies outside of the 3 records in hand"),
        ("follow=tell/succeeded/1-1", "the span 1..1 of causes holds nothing"),
        ("follow=tell/succeeded/2-3,0-1", "cause 0 comes twice, or behind a later one: causes are named once, in order"),
        ("follow=tell/succeeded/0-2,1-3", "cause 1 comes twice, or behind a later one"),
        ("follow=tell/succeeded/0-3/keys", "the keys has 2 values for 3 records: one value for each cause is due"),
        ("follow=tell/succeeded/0-3/absent", "the payload for cause 0 is absent"),
        ("follow=tell/succeeded/0-2 follow=tell/succeeded/1-3", "cause 1 has a follow-up of that action on `succeeded` already"),
        (
            "follow=tell/succeeded/0-3 follow=tidy/succeeded/0-2",
            "the call adds 5 follow-ups, and 4 are the most (limits.follow-ups)",
        ),
        (
            "follow=tell/succeeded/0-1/600 follow=tidy/succeeded/0-1/600",
            "the call adds 1200 bytes of follow-ups, and 1024 are the most (limits.follow-up-bytes)",
        ),
    ] {
        for call in ["transform", "upload", "poll", "stats", "reconcile"] {
            let cage = Cage::new(&[(call, script)]).await.limits(|limits| {
                (limits.follow_ups, limits.follow_up_bytes) = (4, Size::from_kib(1));
            });
            let trouble = match call {
                "transform" => cage.transform(3).await.map(drop),
                "upload" => cage.upload().await.map(drop),
                "poll" => cage.poll(b"intent-1 3", &[(0, 2)]).await.map(drop),
                "stats" => cage.stats(b"intent-1 3", &[(0, 2)]).await.map(drop),
                _ => cage.reconcile().await.map(drop),
            };
            let trouble = trouble.unwrap_err();
            assert!(matches!(&trouble, BulkTrouble::Failed(failure) if failure.message.contains(words)), "{call}: {trouble}");
        }
    }
}

#[tokio::test]
async fn what_a_call_adds_is_kept_only_if_it_returns_well_and_only_where_records_are_in_hand() {
    let add = "follow=tell/discarded/0-1,2-3";
    let cage = Cage::new(&[("upload", &format!("{add};{add} fail=transient;{add} 0-9")), ("release", add)]).await;
    let mut session = cage.open().await;
    session.upload(&request(), staged()).await.unwrap();
    let added = session.take_follow_ups();
    assert_eq!((added.len(), added[0].action, &*added[0].name, added[0].on), (1, 1, "tell", On::Discarded));
    assert_eq!(added[0].causes, [Span::new(0, 1), Span::new(2, 3)]);
    let born = added[0].born_of("pipe", &batch(4).slice(1..4), 0);
    assert_eq!(born.iter().map(|(at, batch)| (*at, batch.sequences()[0])).collect::<Vec<_>>(), [(0, 1), (2, 3)]);
    assert!(session.upload(&request(), staged()).await.is_err() && session.take_follow_ups().is_empty());
    assert_eq!(cage.usage.count(Event::Refused), 0);
    session.release(b"intent-1 3").await.unwrap();
    assert!(session.take_follow_ups().is_empty());
    assert_eq!(cage.usage.count(Event::Refused), 1);
    session.poll(b"intent-1 3", &spans(&[(0, 3)]), 3, staged()).await.unwrap();
    assert!(session.take_follow_ups().is_empty());
}

/// What was born for an action: sequences and payloads.
async fn born(spool: &impl Spool, action: u32) -> Vec<(u64, String)> {
    let claim = Claim { action, now: u64::MAX, records: u32::MAX, bytes: u64::MAX, order: ClaimOrder::Any };
    let parts = spool.claim(claim).await.unwrap();
    let texts = parts.iter().flat_map(|part| {
        let texts = part.records.after().iter().map(|text| String::from_utf8(text.unwrap().to_vec()).unwrap());
        part.records.sequences().iter().copied().zip(texts)
    });
    texts.collect()
}

#[tokio::test]
async fn what_a_file_adds_follows_its_records_once_through_retries_and_uploads_that_are_sent_again() {
    // Records 0 to 3 are lines 0 to 3 of the first file; the fourth fails, and is the only line of the second.
    let add = "follow=tell/succeeded/0-1";
    let all = format!("{add} follow=tell/discarded/0-1");
    let first = "follow=tell/succeeded/0-4 follow=tell/discarded/0-4 follow=tidy/failed/3-4";
    let (uploads, found) = (format!("trap;{first} lost;{all}"), format!("absent;present {first} ~0-4"));
    let cage = Cage::new(&[
        ("transform", "follow=tidy/discarded/0-4"),
        ("upload", &uploads),
        ("reconcile", &found),
        ("poll", "again=1000;0-1 1-2=rejected 2-3=warned 3-4=transient;delivered"),
    ])
    .await;
    let policy = wharf::bulk::BulkPolicy { retry: Policy::RECORD, on_unknown: OnUnknown::Hold, ..Default::default() };
    let came = run(&cage, policy, None).await;
    let told = |sequence, on: &str, line| (sequence, format!("tell: {on} {line}"));
    let born_of = born(&came.spool, 1).await;
    assert_eq!(born_of, [told(0, "succeeded", 0), told(1, "discarded", 1), told(2, "succeeded", 2), told(3, "succeeded", 0)]);
    let tidied = born(&came.spool, 2).await;
    assert_eq!(tidied, [(1, "tidy: discarded 1".to_owned()), (3, "tidy: failed 3".to_owned())]);
    assert_eq!(came.spool.born().records, 6);
}
