//! The figures of a landscape, from its document.

use contour::ContourBuilder;

use super::{Axis, Chart, Hue, Layer, Shape};
use crate::report::Document;

/// Loss and quadratic model along direction number `slice`, counted from 0.
pub fn slice(document: &Document, slice: usize) -> Option<Chart> {
    let path = |part: &str| format!("slices.{slice}.{part}");
    let list = |part: &str| document.values(&path(part));
    let (t, loss, quadratic) = (list("t")?, list("loss")?, list("quadratic")?);
    let [low, high] = *list("holds")?.first_chunk()?;
    let y = Axis::linear("loss", loss.iter().copied());
    let points = |values: &[f64]| t.iter().zip(values).map(|(t, value)| [*t, *value]).collect::<Vec<_>>();
    let layers = vec![
        Layer::new("model holds to 10 %", Hue::Quiet, Shape::Band(vec![[low, y.low, y.high], [high, y.low, y.high]])).filled(0.12),
        Layer::new("quadratic model", Hue::Second, Shape::Dashed(points(&quadratic))).from(path("t"), [path("quadratic")]),
        Layer::new("loss", Hue::First, Shape::Line(points(&loss))).from(path("t"), [path("loss")]),
    ];
    Some(Chart {
        id: format!("slice-{slice}"),
        title: format!("Along {}", spoken(document.text(&path("name"))?)),
        x: Axis::from_to("distance", *t.first()?, *t.last()?),
        y,
        layers,
    })
}

/// Along the first direction.
pub fn slice_of_largest(document: &Document) -> Option<Chart> {
    slice(document, 0)
}

/// `eigenvector largest 1`, or `a random direction`.
fn spoken(name: &str) -> String {
    if name == "random" { "a random direction".into() } else { format!("eigenvector {name}") }
}

/// Levels of the plane's contours.
const LEVELS: u8 = 10;

/// Contours of the loss over the plane, those of the quadratic model dashed.
pub fn plane(document: &Document) -> Option<Chart> {
    let (a, b) = (document.values("plane.a")?, document.values("plane.b")?);
    let rows = |part: &str| (0..b.len()).map(|row| document.values(&format!("plane.{part}.{row}"))).collect::<Option<Vec<_>>>();
    let (loss, quadratic) = (rows("loss")?.concat(), rows("quadratic")?.concat());
    let levels = levels(&loss)?;
    let step = |values: &[f64]| Some((values.last()? - values.first()?) / f64::from(u32::try_from(values.len()).ok()? - 1));
    let (step_a, step_b) = (step(&a)?, step(&b)?);
    let builder = || {
        // The numbers are at the middles of the builder's cells.
        let contours = ContourBuilder::new(a.len(), b.len(), true).x_step(step_a).y_step(step_b);
        contours.x_origin(a[0] - 0.5 * step_a).y_origin(b[0] - 0.5 * step_b)
    };
    let ring = |line: &geo_types::LineString| line.coords().map(|point| [point.x, point.y]).collect::<Vec<_>>();
    // What overflowed is higher than everything that has not.
    let highest = loss.iter().copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
    let finite: Vec<f64> = loss.iter().map(|&value| if value.is_finite() { value } else { 2.0 * highest }).collect();
    let mut layers = Vec::new();
    for (at, contour) in builder().contours(&finite, &levels).ok()?.iter().enumerate() {
        let rings = contour.geometry().iter().flat_map(|part| std::iter::once(part.exterior()).chain(part.interiors())).map(ring).collect();
        let name = if at == 0 { "loss, stronger where higher" } else { "" };
        layers.push(Layer::new(name, Hue::First, Shape::Area(rings)).filled(0.11));
    }
    for (at, line) in builder().lines(&quadratic, &levels).ok()?.iter().enumerate() {
        let name = if at == 0 { "quadratic model at the same levels" } else { "" };
        let parts: Vec<Vec<[f64; 2]>> = line.geometry().iter().map(ring).collect();
        let points = parts.into_iter().flat_map(|part| part.into_iter().chain([[f64::NAN; 2]])).collect();
        layers.push(Layer::new(name, Hue::Second, Shape::Dashed(points)));
    }
    layers.push(Layer::new("the point", Hue::Quiet, Shape::Points(vec![[0.0, 0.0]])));
    let direction = |at: usize| {
        let number = document.count(&format!("plane.directions.{at}"))?;
        Some(format!("along {}", document.text(&format!("slices.{}.name", number.checked_sub(1)?))?))
    };
    Some(Chart {
        id: "plane".into(),
        title: "A plane of two directions".into(),
        x: Axis::from_to(direction(0)?, *a.first()?, *a.last()?),
        y: Axis::from_to(direction(1)?, *b.first()?, *b.last()?),
        layers,
    })
}

/// Between the lowest and the highest value, closer together where it is low: minima are what one looks for.
fn levels(values: &[f64]) -> Option<Vec<f64>> {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = (finite().reduce(f64::min)?, finite().reduce(f64::max)?);
    (high > low).then(|| (2..LEVELS).map(|level| low + (high - low) * (f64::from(level) / f64::from(LEVELS)).powi(2)).collect())
}
