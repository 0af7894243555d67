//! Results for people and programs: tables for a terminal, pages, figures, JSON, CSV.
//!
//! What a table says is what the JSON says, rounded to the digits that its error bar justifies; nothing is computed here that a
//! job has not computed.

pub mod chart;
pub mod csv;
mod document;
mod histogram;
pub mod html;
pub mod json;
pub mod number;
mod png;
pub mod table;

pub use document::{Document, Number};
pub use histogram::lines as histogram;
pub use png::png;
