//! The binary: parse, run, exit. Everything it does is in the library, under [`hesper::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    hesper::cli::main()
}
