//! Whatever a connector answers, the receipt keeps the contract.

use crate::{
    Batch, Failure, FailureKind, Receipt, ReceiptBuilder,
    bindings::wharf::connector::types,
    testing::{Answer, Fate, batch},
};

const COUNT: u32 = 6;

fn six() -> Batch {
    Batch::new(batch(["a", "b", "c", "d", "e", "f"]).lay_out().0)
}

fn answer(receipt: Receipt) -> Answer {
    Answer::new(COUNT, Ok(receipt.into()), &[], Vec::new()).unwrap()
}

fn built(answers: impl FnOnce(&mut ReceiptBuilder)) -> Answer {
    let mut receipt = Receipt::builder(&six());
    answers(&mut receipt);
    answer(receipt.finish())
}

fn no() -> Failure {
    Failure::rejected("no")
}

#[test]
fn all_is_one_span() {
    let receipt = types::Receipt::from(Receipt::all(&six()));
    assert_eq!((receipt.delivered.len(), receipt.verdicts.len()), (1, 0));
}

#[test]
fn all_but_takes_failures_in_any_order() {
    let answer = answer(Receipt::all_but(&six(), [(4, no()), (1, Failure::transient("later"))]));
    answer.assert_delivered(0).assert_failed(1, FailureKind::Transient).assert_delivered(2..4);
    answer.assert_failed(4, FailureKind::Rejected).assert_delivered(5);
}

#[test]
fn until_leaves_the_rest_untried_unless_the_destination_itself_is_done_for() {
    answer(Receipt::until(&six(), 2, no())).assert_delivered(0..2).assert_failed(2, FailureKind::Rejected).assert_untried(3..6);
    answer(Receipt::until(&six(), 0, no())).assert_failed(0, FailureKind::Rejected).assert_untried(1..6);
    answer(Receipt::until(&six(), 5, no())).assert_delivered(0..5).assert_failed(5, FailureKind::Rejected);
    answer(Receipt::until(&six(), 2, Failure::fatal("gone"))).assert_delivered(0..2).assert_failed(2..6, FailureKind::Fatal);
}

#[test]
fn neighbours_with_one_answer_share_a_span() {
    let mut receipt = Receipt::builder(&six());
    for record in 0..COUNT {
        match record {
            2 | 3 => receipt.failed(record, no()),
            record => receipt.delivered(record),
        }
    }
    let receipt = types::Receipt::from(receipt.finish());
    assert_eq!((receipt.delivered.len(), receipt.verdicts.len()), (2, 1));
}

#[test]
fn one_that_was_not_answered_for_is_unknown() {
    built(|receipt| {
        receipt.delivered(0..2);
        receipt.warned(4, "late");
    })
    .assert_delivered(0..2)
    .assert_unknown(2..4)
    .assert_delivered(4)
    .assert_unknown(5);
}

#[test]
fn of_two_answers_the_worse_holds_and_of_two_failures_the_first() {
    let answer = built(|receipt| {
        receipt.failed(0, no());
        receipt.delivered(0..3);
        receipt.warned(1, "remark");
        receipt.failed(2, Failure::transient("first"));
        receipt.failed(2, Failure::transient("second"));
    });
    let expected = [Fate::Failed(no()), Fate::Warned("remark".into()), Fate::Failed(Failure::transient("first"))];
    assert_eq!(answer.fates()[..3], expected);
}

#[test]
fn the_last_word_covers_what_nobody_tried_and_steps_back_where_others_were_answered() {
    let last = built(|receipt| {
        receipt.delivered(0..2);
        receipt.failed(2, Failure::unauthorized("401"));
        receipt.untried(4..6);
    });
    last.assert_failed(2..6, FailureKind::Unauthorized);
    let overtaken = built(|receipt| {
        receipt.failed(1, Failure::fatal("gone"));
        receipt.delivered(3..6);
    });
    overtaken.assert_failed(1, FailureKind::Transient).assert_unknown(2).assert_delivered(3..6);
}

#[test]
#[should_panic(expected = "records 5..7 of a batch of 6")]
fn a_record_that_is_not_in_the_batch_cannot_be_answered_for() {
    built(|receipt| receipt.delivered(5..7));
}

/// All sequences of three answers over four spans: enough to meet every overlap.
#[test]
fn no_sequence_of_answers_breaks_the_contract() {
    let spans = [0..2, 1..4, 3..6, 5..6];
    let say = |receipt: &mut ReceiptBuilder, code: usize| {
        let records = spans[code % 4].clone();
        match code / 4 {
            0 => receipt.delivered(records),
            1 => receipt.warned(records, "w"),
            2 => receipt.untried(records),
            3 => receipt.failed(records, no()),
            _ => receipt.failed(records, Failure::fatal("f")),
        }
    };
    for sequence in 0..20 * 20 * 20 {
        let answer =
            built(|receipt| [sequence % 20, sequence / 20 % 20, sequence / 400].into_iter().for_each(|code| say(receipt, code)));
        for (record, fate) in answer.fates().iter().enumerate() {
            let said = [sequence % 20, sequence / 20 % 20, sequence / 400];
            let about = |code: &&usize| spans[**code % 4].contains(&(record as u32));
            let delivered = said.iter().filter(about).all(|code| code / 4 == 0) && said.iter().any(|code| about(&code));
            assert_eq!(*fate == Fate::Delivered, delivered, "{said:?} {record}");
        }
    }
}
