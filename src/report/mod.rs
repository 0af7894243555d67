//! Results for people and programs: tables for a terminal, JSON, CSV.
//!
//! What a table says is what the JSON says, rounded to the digits that its error bar justifies; nothing is computed here that a
//! result does not hold.

mod bench;
pub mod csv;
mod histogram;
mod hvp;
pub mod json;
pub mod number;
mod subject;

pub use bench::{BenchReport, BenchResult};
pub use histogram::lines as histogram;
pub use hvp::{HvpReport, ProductSection};
pub use subject::{DataSection, LayerSection, LossSection, ModelSection, Subject};
