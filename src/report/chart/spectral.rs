//! The figures of a spectrum, from its document.

use super::{Axis, Chart, Hue, Layer, Shape};
use crate::report::Document;

/// The density of eigenvalues on a logarithmic scale, with one standard error to either side and the eigenvalues known by themselves.
pub fn density(document: &Document) -> Option<Chart> {
    let grid = document.values("density.grid")?;
    let x = Axis::linear("eigenvalue", [*grid.first()?, *grid.last()?]);
    density_over(document, "density", "Density of eigenvalues", x)
}

/// The same over the bulk alone.
pub fn bulk(document: &Document) -> Option<Chart> {
    density_over(document, "bulk", "Density of the bulk", bulk_axis(document)?)
}

fn density_over(document: &Document, id: &str, title: &str, x: Axis) -> Option<Chart> {
    let (grid, density) = (document.values("density.grid")?, document.values("density.density")?);
    let least = least_density(document)?;
    let largest = density.iter().copied().fold(0.0, f64::max);
    let seen = |value: f64| value >= x.low && value <= x.high;
    let mut layers = Vec::new();
    if let Some(error) = document.values("density.std_error") {
        let band = grid.iter().zip(&density).zip(&error).map(|((x, y), e)| [*x, (y - e).max(0.0), y + e]);
        let band = Shape::Band(band.filter(|point| seen(point[0])).collect());
        layers.push(Layer::new("one standard error", Hue::First, band).from("density.grid", ["density.std_error".to_owned()]));
    }
    let curve = pairs(&grid, &density).into_iter().filter(|point| seen(point[0])).collect();
    layers.push(Layer::new("density", Hue::First, Shape::Line(curve)).from("density.grid", ["density.density".to_owned()]));
    let atoms: Vec<f64> = document.values("density.atoms").unwrap_or_default().into_iter().filter(|&atom| seen(atom)).collect();
    if !atoms.is_empty() {
        layers.push(Layer::new("known eigenvalues", Hue::Second, Shape::Marks(atoms)).from("density.atoms", []));
    }
    Some(Chart { id: id.into(), title: title.into(), x, y: Axis::log("share per unit of eigenvalue", [least, largest]), layers })
}

/// The share of eigenvalues that may lie outside the bulk at either end.
const OUTSIDE: f64 = 0.002;

/// Where all but a few of the eigenvalues lie.
fn bulk_axis(document: &Document) -> Option<Axis> {
    let grid = document.values("density.grid")?;
    let (lower, upper) = (document.values("density.cdf_lower")?, document.values("density.cdf_upper")?);
    let first = upper.iter().position(|&share| share > OUTSIDE).unwrap_or(0);
    // The lower bound stays away from 1 by the sampling error, wherever the last eigenvalue is.
    let most = 1.0 - OUTSIDE - document.value("density.cdf_sampling").unwrap_or(0.0);
    let last = lower.iter().position(|&share| share > most).unwrap_or(grid.len() - 1);
    Some(Axis::linear("eigenvalue", [*grid.get(first)?, *grid.get(last)?, 0.0]))
}

/// A tenth of the height of a single eigenvalue.
fn least_density(document: &Document) -> Option<f64> {
    let (parameters, sigma) = (document.value("model.parameters")?, document.value("density.sigma")?);
    Some(0.1 / (parameters * sigma * (2.0 * std::f64::consts::PI).sqrt()))
}

/// The bounds of the share of eigenvalues up to x, over the bulk.
pub fn distribution(document: &Document) -> Option<Chart> {
    let grid = document.values("density.grid")?;
    let (lower, upper) = (document.values("density.cdf_lower")?, document.values("density.cdf_upper")?);
    let x = bulk_axis(document)?;
    let seen = |value: f64| value >= x.low && value <= x.high;
    let band = grid.iter().zip(&lower).zip(&upper).map(|((x, low), high)| [*x, *low, *high]).filter(|point| seen(point[0])).collect();
    let curve = |name: &str, values: &[f64], path: &str| {
        let points = pairs(&grid, values).into_iter().filter(|point| seen(point[0])).collect();
        Layer::new(name, Hue::First, Shape::Line(points)).from("density.grid", [path.to_owned()])
    };
    let layers = vec![
        Layer::new("between the bounds", Hue::First, Shape::Band(band)),
        curve("bounds", &lower, "density.cdf_lower"),
        curve("", &upper, "density.cdf_upper"),
        Layer::new("zero", Hue::Quiet, Shape::Upright(0.0)),
    ];
    Some(Chart {
        id: "distribution".into(),
        title: "Cumulative distribution of the bulk".into(),
        x,
        y: Axis::from_to("share of eigenvalues at most x", 0.0, 1.0),
        layers,
    })
}

/// The extreme Ritz values over the steps of a run.
pub fn convergence(document: &Document) -> Option<Chart> {
    let ranks = ranks(document, "values")?;
    let values = || ranks.iter().flat_map(|rank| rank.values.iter().copied());
    Some(Chart {
        id: "convergence".into(),
        title: "Extreme values over the Lanczos steps".into(),
        x: steps_axis(document)?,
        y: Axis::linear("Ritz value", values()),
        layers: ranks.iter().map(|rank| rank.layer()).collect(),
    })
}

/// Their residuals, on a logarithmic scale.
pub fn residuals(document: &Document) -> Option<Chart> {
    let ranks = ranks(document, "residuals")?;
    let values = || ranks.iter().flat_map(|rank| rank.values.iter().copied());
    Some(Chart {
        id: "residuals".into(),
        title: "Residuals over the Lanczos steps".into(),
        x: steps_axis(document)?,
        y: Axis::log("residual", values()),
        layers: ranks.iter().map(|rank| rank.layer()).collect(),
    })
}

struct Rank {
    name: String,
    hue: Hue,
    is_upper: bool,
    steps: Vec<f64>,
    values: Vec<f64>,
    path: String,
}

impl Rank {
    fn layer(&self) -> Layer {
        let points = pairs(&self.steps, &self.values);
        let shape = if self.is_upper { Shape::Line(points) } else { Shape::Dashed(points) };
        Layer::new(&self.name, self.hue, shape).from("convergence.steps", [self.path.clone()])
    }
}

fn ranks(document: &Document, what: &str) -> Option<Vec<Rank>> {
    let steps = document.values("convergence.steps")?;
    let mut ranks = Vec::new();
    for (end, is_upper) in [("largest", true), ("smallest", false)] {
        let known = document.len(&format!("convergence.{end}"));
        for (rank, (ordinal, hue)) in ORDINALS.into_iter().zip(Hue::SERIES).enumerate().take(known) {
            let path = format!("convergence.{end}.{rank}.{what}");
            let name = if rank == 0 { end.to_owned() } else { format!("{end}, {ordinal}") };
            let values = document.values(&path)?;
            ranks.push(Rank { name, hue, is_upper, steps: steps.clone(), values, path });
        }
    }
    Some(ranks)
}

const ORDINALS: [&str; 5] = ["1st", "2nd", "3rd", "4th", "5th"];

fn steps_axis(document: &Document) -> Option<Axis> {
    let steps = document.values("convergence.steps")?;
    Some(Axis::from_to("Lanczos steps", 0.0, *steps.last()?))
}

/// The trace as each probe sees it, with the mean and its interval.
pub fn probes(document: &Document) -> Option<Chart> {
    let samples = document.values("trace.samples")?;
    let numbers: Vec<f64> = (0_u32..).zip(&samples).map(|(number, _)| f64::from(number)).collect();
    let mean = document.value("trace.mean")?;
    let end = numbers.last()? + 0.5;
    let mut layers = Vec::new();
    let mut shown = samples.clone();
    if let Some([low, high]) = document.values("trace.ci95").as_deref() {
        layers.push(Layer::new("95 % interval of the mean", Hue::First, Shape::Band(vec![[-0.5, *low, *high], [end, *low, *high]])));
        shown.extend([*low, *high]);
    }
    layers.push(Layer::new("mean", Hue::First, Shape::Level(mean)));
    layers.push(Layer::new("one probe", Hue::First, Shape::Points(pairs(&numbers, &samples))).from("", ["trace.samples".to_owned()]));
    Some(Chart {
        id: "probes".into(),
        title: "Spread over the probes".into(),
        x: Axis::from_to("probe", -0.5, end),
        y: Axis::linear("trace", shown),
        layers,
    })
}

fn pairs(x: &[f64], y: &[f64]) -> Vec<[f64; 2]> {
    x.iter().zip(y).map(|(x, y)| [*x, *y]).collect()
}
