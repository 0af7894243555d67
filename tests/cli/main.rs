//! The program as its users meet it: every command, every mistake, and the fixtures of the acceptance list, through the binary.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]
#![expect(clippy::print_stdout, reason = "a test tells what it skipped or counted")]

mod bad_input;
mod commands;
mod describe;
mod ecosystem;
mod fixtures;
#[cfg(target_os = "linux")]
mod interrupt;
mod program;
mod report;
#[cfg(unix)]
mod resume;
#[cfg(unix)]
mod training;
mod views;
