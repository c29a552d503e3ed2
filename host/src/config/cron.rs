//! The five fields of cron, and what is wrong with one of them in words of the house: what the library says of a text is for who wrote the library.

use chrono::{DateTime, Utc};
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

/// Why a text is no schedule of cron, and what to write.
pub(super) struct NotCron {
    pub(super) why: String,
    pub(super) hint: String,
}

/// A field: its name, what may stand there, and an example in the place of which all others are right.
struct Field {
    name: &'static str,
    bounds: &'static str,
    example: &'static str,
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", bounds: "0 to 59", example: "`*/15 * * * *` is every 15 minutes" },
    Field { name: "hour", bounds: "0 to 23", example: "`0 3 * * *` is every day at 3:00" },
    Field {
        name: "day of the month",
        bounds: "1 to 31, or `L` for the last",
        example: "`0 3 1 * *` is the first of each month at 3:00",
    },
    Field {
        name: "month",
        bounds: "1 to 12, or `JAN` to `DEC`",
        example: "`0 3 1 1,7 *` is the first of January and July at 3:00",
    },
    Field {
        name: "day of the week",
        bounds: "0 to 7, of which 0 and 7 are Sunday, or `SUN` to `SAT`",
        example: "`0 3 * * MON-FRI` is every working day at 3:00",
    },
];

/// Short names that other programs have for some schedules, and what they stand for there.
const NICKNAMES: [(&str, &str); 7] = [
    ("minutely", "* * * * *"),
    ("hourly", "0 * * * *"),
    ("daily", "0 0 * * *"),
    ("midnight", "0 0 * * *"),
    ("weekly", "0 0 * * 0"),
    ("monthly", "0 0 1 * *"),
    ("yearly", "0 0 1 1 *"),
];

/// The fields that stand there under a short name; `None` where that is none.
pub(super) fn nickname(text: &str) -> Option<&'static str> {
    let name = text.strip_prefix('@').unwrap_or(text);
    NICKNAMES.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, fields)| fields)
}

/// The moments that five fields name.
pub(super) fn cron(text: &str) -> Result<Cron, NotCron> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let seconds = if fields.len() == 6 { "; it has none for seconds" } else { "" };
        let why = format!("it has {}, and cron has five fields{seconds}", counted(fields.len()));
        return Err(NotCron {
            why,
            hint: "write minute, hour, day of the month, month, day of the week: `0 3 * * *` is every day at 3:00".into(),
        });
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let Ok(cron) = parser.parse(text) else {
        // Which one it is, is found with all others right.
        let alone =
            |at: usize| (0..FIELDS.len()).map(|other| if other == at { fields[at] } else { "*" }).collect::<Vec<_>>().join(" ");
        let wrong = (0..).zip(&FIELDS).find(|(at, _)| parser.parse(&alone(*at)).is_err());
        return Err(match wrong {
            Some((at, Field { name, bounds, example })) => NotCron {
                why: format!("`{}` is no {name}", fields[at]),
                hint: format!("write `*`, or numbers from {bounds}, as in `2`, `1,15`, `1-5` or `*/2`: {example}"),
            },
            None => NotCron {
                why: "its fields do not go together".into(),
                hint: "say less of one of them: `0 3 * * *` is every day at 3:00".into(),
            },
        });
    };
    // The 30th of February never comes.
    match cron.find_next_occurrence(&DateTime::<Utc>::UNIX_EPOCH, false) {
        Ok(_) => Ok(cron),
        Err(_) => Err(NotCron {
            why: format!("its moment never comes: there is no day `{}` in the month `{}`", fields[2], fields[3]),
            hint: "name a day that the month has: `0 3 28 2 *` is the 28th of February, `0 3 L 2 *` its last day".into(),
        }),
    }
}

fn counted(fields: usize) -> String {
    match fields {
        1 => "one field".into(),
        many => format!("{many} fields"),
    }
}
