//! The program `wharf`. Everything it does stands in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    wharf::cli::main()
}
