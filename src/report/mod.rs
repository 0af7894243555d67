//! Results for people and programs: tables for a terminal, JSON, CSV.
//!
//! What a table says is what the JSON says, rounded to the digits that its error bar justifies; nothing is computed here that a
//! job has not computed.

pub mod csv;
mod histogram;
pub mod json;
pub mod number;
pub mod table;

pub use histogram::lines as histogram;
