//! hesper: Hessian spectra of dense networks.
//!
//! How curved is the loss at a trained network? This library computes products with the loss Hessian exactly (forward over
//! backward, Pearlmutter 1994) on a GPU or on the CPU, and from them, by Krylov methods and random probes, the extreme
//! eigenvalues, the trace, the density of the spectrum and the share of negative curvature, each with an error bar.
//!
//! The modules in the order in which they may use one another, lowest first:
//! [`error`], [`numeric`], [`rng`] · [`krylov`], [`estimate`], [`model`] · [`curvature`] · [`backend`] · [`job`], [`report`],
//! [`data`] · [`cli`].

pub mod backend;
pub mod cli;
pub mod curvature;
pub mod data;
pub mod error;
pub mod estimate;
pub mod job;
pub mod krylov;
pub mod model;
pub mod numeric;
pub mod report;
pub mod rng;

pub use error::{Error, Result};
