//! Reports as pages: each one file that holds all it needs, and loads nothing.
//!
//! The pieces are in files of their own, so that a new report is a list of them: the `page` around everything, a
//! `figure` for a chart, a `headline`, a table of `facts`, and the `quantity` that every number is.

mod bench;
mod eigenvalues;
mod eigs;
mod facts;
mod figure;
mod headline;
mod landscape;
mod layers;
mod page;
mod quantity;
mod run;
mod spectrum;
mod trace;
mod track;
mod train;

pub use bench::bench;
pub use eigs::eigs;
pub use landscape::landscape;
pub use run::summary;
pub use spectrum::{density, spectrum};
pub use trace::trace;
pub use track::track;
pub use train::train;

/// What a page says of how it came about.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// The command line that makes the same report again, quoted for a shell.
    pub command: String,
}
