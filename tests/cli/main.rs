//! The program as its users meet it: every command, every mistake, and the fixtures of the acceptance list, through the binary.

mod bad_input;
mod commands;
mod fixtures;
mod program;
