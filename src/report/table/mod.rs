//! Tables for a terminal: at most 80 columns where the names allow, no colour, one function a command.

mod adapters;
mod bench;
mod calibrate;
mod describe;
mod eigs;
mod exact;
mod hierarchy;
mod hvp;
mod landscape;
mod parts;
mod plan;
mod spectrum;
mod trace;
mod track;
mod train;
mod validate;

pub use adapters::{AdaptersReport, adapters};
pub use bench::bench;
pub use calibrate::calibrate;
pub use describe::describe;
pub use eigs::eigs;
pub use exact::exact;
pub use hierarchy::hierarchy;
pub use hvp::hvp;
pub use landscape::landscape;
pub use plan::plan;
pub use spectrum::{density, spectrum};
pub use trace::trace;
pub use track::{track_head, track_point, track_trends};
pub use train::train;
pub use validate::validate;
