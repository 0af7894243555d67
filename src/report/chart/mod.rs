//! Figures: what is drawn, apart from how it is written.
//!
//! A key design decision: the same paths are written twice: as an SVG image of fixed size with its own text, and as a part of a page,
//! where the plot is stretched to whatever room there is and the text around it is the page's own. So text has the same size on a
//! telephone and on paper, and no script is needed to see a figure.

mod course;
mod image;
mod landscape;
mod scale;
mod shape;
mod spectral;

pub use course::{course, history, sharpness};
pub use image::svg;
pub use landscape::{plane, slice, slice_of_largest};
pub use scale::{Axis, Scale, Tick};
pub use shape::{Frame, Hue, Layer, Shape, Source};
pub use spectral::{bulk, convergence, density, distribution, probes, residuals};

/// A figure with two axes.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Its name in a page.
    pub id: String,
    /// What it shows.
    pub title: String,
    /// Left to right.
    pub x: Axis,
    /// Bottom to top.
    pub y: Axis,
    /// From back to front.
    pub layers: Vec<Layer>,
}
