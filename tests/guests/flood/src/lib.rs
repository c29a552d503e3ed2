//! A destination that writes lines and figures without end, of the kind and number that each record tells.

use std::io::{Write as _, stderr, stdout};

use wharf_sdk::{Batch, Context, Descriptor, Destination, Failure, Receipt, export_destination, metrics, tracing};

/// Writes what a record names, as often as it says.
#[derive(Debug)]
pub struct Flood;

impl Destination for Flood {
    type Config = ();

    fn describe() -> Descriptor {
        Descriptor::new("Writes lines and figures without end.").order(wharf_sdk::Order::Batch)
    }

    fn open((): (), _: Context) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        for record in batch {
            let told = String::from_utf8_lossy(record.after().unwrap_or_default()).into_owned();
            let (what, amount) = told.split_once(' ').unwrap_or((&told, "1"));
            write(what, amount.parse().unwrap_or(1)).map_err(|error| Failure::fatal(error.to_string()))?;
        }
        Ok(Receipt::all(batch))
    }
}

fn write(what: &str, amount: usize) -> std::io::Result<()> {
    match what {
        // So many MiB, and no line ends.
        "stdout" | "stderr" => {
            let piece = vec![b'o'; 1 << 20];
            for _ in 0..amount {
                match what {
                    "stdout" => stdout().write_all(&piece)?,
                    _ => stderr().write_all(&piece)?,
                }
            }
        }
        "lines" => {
            let mut lines = stdout().lock();
            for line in 0..amount {
                writeln!(lines, "line {line}")?;
            }
        }
        "log" => (0..amount).for_each(|line| tracing::warn!("line {line}")),
        // One line of so many MiB.
        "log-line" => tracing::warn!("{}", "l".repeat(amount << 20)),
        "nonsense" => {
            stdout().write_all(b"\x1b[2J\x1b]0;title\x07 ERROR wharf: forged \xff\xfe\x00\rover\xe2\x80\xae\xe2\x80\xa8\n")?;
            tracing::warn!("two\nlines");
        }
        "names" => (0..amount).for_each(|name| metrics::count(&format!("name.{name}"), 1)),
        "figures" => {
            metrics::count("rows", 2);
            metrics::count("rows", 3);
            metrics::gauge("depth", 1.0);
            metrics::gauge("depth", -2.5);
            [4.0, 1.0, 2.5].into_iter().for_each(|value| metrics::observe("took_ms", value));
        }
        "bad-figures" => {
            metrics::count("", 1);
            metrics::count("with space", 1);
            metrics::count("\x1b[2J", 1);
            metrics::count(&"n".repeat(amount << 20), 1);
            metrics::gauge("depth", f64::NAN);
            metrics::observe("took_ms", f64::INFINITY);
            metrics::observe("rows", 1.0);
        }
        _ => {}
    }
    Ok(())
}

export_destination!(Flood);
