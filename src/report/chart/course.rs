//! The figures of a training run: one number against the step, with its bars and the straight parts of its course.

use super::{Axis, Chart, Hue, Layer, Shape};
use crate::report::Document;

/// More points than these are drawn as a line alone.
const MOST_DOTS: usize = 60;

/// Points of a straight part, which a logarithmic axis bends.
const BENDS: u8 = 24;

/// What lies to either side of a number.
enum Bar {
    /// As much as the number at this place.
    Width(&'static str),
    /// The numbers at these places.
    Bounds(&'static str, &'static str),
    /// Nothing: it is exact but for rounding.
    None,
}

/// How the number `name` of the document's trends went over the checkpoints: `largest`, `smallest`, `trace`, `negative_share`, `loss` or
/// `gradient_norm`.
pub fn course(document: &Document, name: &str) -> Option<Chart> {
    let (title, label, place, bar) = match name {
        "largest" => ("Largest eigenvalue", "largest eigenvalue", "largest.0.value", Bar::Width("largest.0.residual")),
        "smallest" => ("Smallest eigenvalue", "smallest eigenvalue", "smallest.0.value", Bar::Width("smallest.0.residual")),
        "trace" => ("Trace", "trace", "trace.mean", Bar::Width("trace.std_error")),
        "negative_share" => {
            ("Negative share", "share of eigenvalues", "negative_share.mean", Bar::Bounds("negative_share.lower", "negative_share.upper"))
        }
        "loss" => ("Loss", "loss", "loss", Bar::None),
        _ => ("Gradient norm", "gradient norm", "gradient_norm", Bar::None),
    };
    let list = points(document);
    let path = |place: &str| format!("{list}.*.{place}");
    let values = document.values(&path(place))?;
    let (x_path, x) = steps(document, list)?;
    let x_label = if x_path.is_empty() { "checkpoint" } else { "step" };
    let known = values.iter().filter(|value| value.is_finite()).count();
    if known == 0 {
        return None;
    }
    let (bounds, bar_name) = match bar {
        Bar::Width(width) => {
            let widths = document.values(&path(width))?;
            let [low, high] = [-1.0, 1.0].map(|sign| values.iter().zip(&widths).map(|(value, width)| value + sign * width).collect());
            (Some((low, high, vec![path(width)])), if name == "trace" { "one standard error" } else { "residual" })
        }
        Bar::Bounds(lower, upper) => {
            (Some((document.values(&path(lower))?, document.values(&path(upper))?, vec![path(lower), path(upper)])), "bounds")
        }
        Bar::None => (None, ""),
    };
    let mut shown = values.clone();
    let mut layers = Vec::new();
    if let Some((low, high, paths)) = bounds {
        let band: Vec<[f64; 3]> = x.iter().zip(&low).zip(&high).map(|((x, low), high)| [*x, *low, *high]).collect();
        shown.extend(low.iter().chain(&high));
        layers.push(Layer::new(bar_name, Hue::First, Shape::Band(band)).from(x_path.clone(), paths));
    }
    let edge = document.value("stability_threshold").filter(|_| name == "largest");
    // One that is far away would leave nothing to see of the course.
    let highest = shown.iter().copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
    if let Some(edge) = edge.filter(|&edge| edge <= 4.0 * highest) {
        shown.push(edge);
        layers.push(Layer::new("edge of stability", Hue::Third, Shape::Level(edge)));
    }
    let y = if matches!(bar, Bar::None) { Axis::fitting(label, &shown) } else { Axis::linear(label, shown) };
    layers.extend(parts(document, name));
    let dots: Vec<[f64; 2]> = x.iter().zip(&values).map(|(x, value)| [*x, *value]).collect();
    if known <= MOST_DOTS {
        layers.push(Layer::new("", Hue::First, Shape::Points(dots.clone())));
    }
    layers.push(Layer::new(label, Hue::First, Shape::Line(dots)).from(x_path, [path(place)]));
    Some(Chart { id: format!("course-{name}"), title: title.into(), x: Axis::from_to(x_label, *x.first()?, *x.last()?), y, layers })
}

/// The largest eigenvalue, with the edge of stability where it is known.
pub fn sharpness(document: &Document) -> Option<Chart> {
    course(document, "largest")
}

/// The loss of every step of training.
pub fn history(document: &Document) -> Option<Chart> {
    let (steps, loss) = (document.values("history.*.step")?, document.values("history.*.loss")?);
    let points = steps.iter().zip(&loss).map(|(step, loss)| [*step, *loss]).collect();
    let line = Layer::new("loss of the step's samples", Hue::First, Shape::Line(points)).from("history.*.step", ["history.*.loss".into()]);
    Some(Chart {
        id: "history".into(),
        title: "Loss while training".into(),
        x: Axis::from_to("step", *steps.first()?, *steps.last()?),
        y: Axis::fitting("loss", &loss),
        layers: vec![line],
    })
}

/// Where the document has its checkpoints.
fn points(document: &Document) -> &'static str {
    if document.at("checkpoints").is_some() { "checkpoints" } else { "track" }
}

/// The steps and their place in the document; numbers from 0 where some checkpoint has none.
fn steps(document: &Document, list: &str) -> Option<(String, Vec<f64>)> {
    let path = format!("{list}.*.step");
    let steps = document.values(&path)?;
    let numbers = || (0_u32..).zip(&steps).map(|(number, _)| f64::from(number)).collect();
    Some(if steps.iter().all(|step| step.is_finite()) { (path, steps) } else { (String::new(), numbers()) })
}

/// The straight parts of a course, and where one gives way to the next.
fn parts(document: &Document, name: &str) -> Vec<Layer> {
    let count = document.len(&format!("trends.{name}"));
    let part = |at: usize| ["from", "to", "first", "last"].map(|end| document.value(&format!("trends.{name}.{at}.{end}")));
    let mut line = Vec::new();
    let mut layers = Vec::new();
    for at in 0..count {
        let [Some(from), Some(to), Some(first), Some(last)] = part(at) else { continue };
        line.extend(
            (0..=BENDS).map(|step| f64::from(step) / f64::from(BENDS)).map(|t| [from + t * (to - from), first + t * (last - first)]),
        );
        line.push([f64::NAN; 2]);
        if at > 0 {
            layers.push(Layer::new(if at == 1 { "change of course" } else { "" }, Hue::Quiet, Shape::Upright(from)));
        }
    }
    if count > 1 {
        layers.push(Layer::new("straight parts", Hue::Second, Shape::Dashed(line)));
    }
    layers
}
