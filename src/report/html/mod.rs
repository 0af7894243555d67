//! Reports as pages: each one file that holds all it needs, and loads nothing.
//!
//! The pieces are in files of their own, so that a new report is a list of them: the [`page`](mod@page) around everything,
//! [`figure`]s from charts, [`headline`]s, tables of [`facts`], and the [`quantity`](mod@quantity) that every number is.

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

pub use bench::bench;
pub use eigs::eigs;
pub use landscape::landscape;
pub use run::summary;
pub use spectrum::{density, spectrum};
pub use trace::trace;

/// What a page says of how it came about.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// The command line that makes the same report again, quoted for a shell.
    pub command: String,
}
