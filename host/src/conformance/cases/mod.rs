//! The cases, by what they are about.

mod breaking;
mod descriptor;
mod failing_uploads;
mod failure;
mod files;
mod following;
mod living;
mod manners;
mod odd_records;
mod order;
mod processors;
mod records;
mod redelivery;
mod sessions;
mod settings;
mod tokens;
mod uploads;

use super::case::Case;

/// All cases, in the order in which they are tried.
pub(super) const ALL: &[&[Case]] = &[
    descriptor::CASES,
    settings::CASES,
    sessions::CASES,
    living::CASES,
    records::DESTINATION,
    order::CASES,
    redelivery::CASES,
    failure::CASES,
    tokens::DESTINATION,
    records::BULK,
    processors::LINES,
    uploads::CASES,
    files::CASES,
    failing_uploads::CASES,
    tokens::BULK,
    following::CASES,
    records::PROCESSOR,
    processors::CASES,
    manners::CASES,
];

/// A line of a table of cases.
macro_rules! case {
    ($id:literal, $clause:literal $level:ident, $about:ident, $title:literal, $mend:literal, $run:expr) => {
        case!(@ $id, $clause $level, $about, $title, $mend, |rig| Box::pin($run(rig)))
    };
    // One that several kinds of component have: it is told which.
    ($id:literal, $clause:literal $level:ident, of $about:ident, $title:literal, $mend:literal, $run:expr) => {
        case!(@ $id, $clause $level, $about, $title, $mend, |rig| Box::pin($run(rig, $crate::conformance::case::About::$about)))
    };
    (@ $id:literal, $clause:literal $level:ident, $about:ident, $title:literal, $mend:literal, $run:expr) => {
        $crate::conformance::case::Case {
            id: $id,
            clause: $clause,
            level: $crate::conformance::case::Level::$level,
            about: $crate::conformance::case::About::$about,
            title: $title,
            mend: $mend,
            run: $run,
        }
    };
}
use case;
