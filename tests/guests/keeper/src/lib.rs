//! A destination that uses the state and the tokens it is granted as its records say, and rejects each record with the answer that it got.
//!
//! | record | what it does |
//! | --- | --- |
//! | `get KEY`, `put KEY VALUE`, `swap KEY EXPECTED VALUE` | as the contract has it; `-` stands for no entry |
//! | `fill KEY BYTES` | puts a value of that many bytes |
//! | `keys PREFIX AFTER LIMIT` | as the contract has it; `-` stands for empty text |
//! | `count KEY` | adds one to a number by swapping until it succeeds |
//! | `spin KEY` | swaps for ever, and never succeeds |
//! | `long LETTERS` | puts under a key of that many letters |
//! | `token PROVIDER` | asks for a token |
//! | `refused PROVIDER` | asks for a token and says that it was refused |
//! | `trap` | ends |

use wharf_sdk::{Batch, Context, Descriptor, Destination, Failure, Receipt, export_destination, state, tokens};

/// Does what each record says.
#[derive(Debug)]
pub struct Keeper;

impl Destination for Keeper {
    type Config = ();

    fn describe() -> Descriptor {
        Descriptor::new("Keeps what it is told to keep.").order(wharf_sdk::Order::Batch)
    }

    fn open((): (), _: Context) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        let mut receipt = Receipt::builder(batch);
        for record in batch {
            let told = String::from_utf8_lossy(record.after().unwrap_or_default()).into_owned();
            let words: Vec<&str> = told.split(' ').collect();
            let answer = asked(&words).unwrap_or_else(|refused| format!("{refused:?}"));
            receipt.failed(record, Failure::rejected(answer));
        }
        Ok(receipt.finish())
    }
}

fn asked(words: &[&str]) -> Result<String, state::Refused> {
    let some = |word: &str| (word != "-").then(|| word.as_bytes().to_vec());
    let text = |word: &str| if word == "-" { String::new() } else { word.to_owned() };
    let number = |word: &str| word.parse().unwrap_or(0);
    match *words {
        ["get", key] => state::get(key).map(|value| match value {
            Some(value) if value.len() > 100 => format!("{} bytes", value.len()),
            Some(value) => format!("[{}]", String::from_utf8_lossy(&value)),
            None => "none".into(),
        }),
        ["put", key, value] => state::put(key, value.as_bytes()).map(|()| "kept".into()),
        ["fill", key, bytes] => state::put(key, &vec![b'x'; number(bytes)]).map(|()| "kept".into()),
        ["long", letters] => state::put(&"k".repeat(number(letters)), b"").map(|()| "kept".into()),
        ["swap", key, expected, value] => {
            let swapped = state::swap(key, some(expected).as_deref(), some(value).as_deref())?;
            Ok(if swapped { "swapped" } else { "something else was there" }.into())
        }
        ["keys", prefix, after, limit] => {
            let limit = limit.parse().unwrap_or(u32::MAX);
            let keys = state::keys(&text(prefix), &text(after), limit)?;
            Ok(format!("{} keys: {}", keys.len(), keys.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(",")))
        }
        ["count", key] => loop {
            let before = state::get(key)?;
            let n: u64 = before.as_deref().map_or(0, |text| String::from_utf8_lossy(text).parse().unwrap_or(0));
            if state::swap(key, before.as_deref(), Some((n + 1).to_string().as_bytes()))? {
                return Ok("counted".into());
            }
        },
        ["spin", key] => loop {
            state::swap(key, Some(b"nothing that stands there"), Some(b""))?;
        },
        ["token", provider] => {
            Ok(tokens::get(provider).map_or_else(|refused| format!("{refused:?}"), |token| token.expose().to_owned()))
        }
        ["refused", provider] => {
            if let Ok(token) = tokens::get(provider) {
                tokens::refused(provider, &token);
            }
            Ok("told".into())
        }
        #[allow(clippy::panic, reason = "told to trap")]
        ["trap"] => panic!("told to trap"),
        _ => Ok("told what it cannot do".into()),
    }
}

export_destination!(Keeper);
