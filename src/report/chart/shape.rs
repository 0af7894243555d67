//! What a chart is made of, as paths.

use std::fmt::Write as _;

use super::scale::Axis;

/// Where a chart's axes are drawn: a rectangle from (0, 0), y pointing down.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Left to right.
    pub x: &'a Axis,
    /// Bottom to top.
    pub y: &'a Axis,
    /// Along x.
    pub width: f64,
    /// Along y.
    pub height: f64,
}

impl Frame<'_> {
    /// Far outside there is nothing to see: a stop keeps the numbers short.
    fn across(&self, x: f64) -> f64 {
        self.width * self.x.share(x).clamp(-1.0, 2.0)
    }

    fn down(&self, y: f64) -> f64 {
        self.height * (1.0 - self.y.share(y).clamp(-1.0, 2.0))
    }
}

/// The colours by what they stand for; told apart by everyone who sees colours in one of the usual ways (Okabe and Ito 2008).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hue {
    /// The main thing.
    First,
    /// What it is compared with.
    Second,
    /// One more.
    Third,
    /// One more.
    Fourth,
    /// One more.
    Fifth,
    /// Background information.
    Quiet,
}

impl Hue {
    /// The hues of several things of one kind.
    pub const SERIES: [Self; 5] = [Self::First, Self::Second, Self::Third, Self::Fourth, Self::Fifth];

    /// The class in a page.
    pub const fn class(self) -> &'static str {
        match self {
            Self::First => "hue-1",
            Self::Second => "hue-2",
            Self::Third => "hue-3",
            Self::Fourth => "hue-4",
            Self::Fifth => "hue-5",
            Self::Quiet => "hue-quiet",
        }
    }

    /// The colour on white.
    pub const fn colour(self) -> &'static str {
        match self {
            Self::First => "#0072b2",
            Self::Second => "#d55e00",
            Self::Third => "#009e73",
            Self::Fourth => "#a6558a",
            Self::Fifth => "#8a6d00",
            Self::Quiet => "#6b7280",
        }
    }
}

/// A geometric element, in the axes' numbers.
#[derive(Clone, Debug)]
pub enum Shape {
    /// A line through points; not finite ones interrupt it.
    Line(Vec<[f64; 2]>),
    /// The same, dashed.
    Dashed(Vec<[f64; 2]>),
    /// Between two curves: x, low, high.
    Band(Vec<[f64; 3]>),
    /// Dots.
    Points(Vec<[f64; 2]>),
    /// Marks at the upper edge, one for each x.
    Marks(Vec<f64>),
    /// A line all the way up.
    Upright(f64),
    /// A line all the way across.
    Level(f64),
    /// Filled polygons: closed rings of points.
    Area(Vec<Vec<[f64; 2]>>),
}

/// Where in the document a layer's numbers are, for those who point at it.
#[derive(Clone, Debug)]
pub struct Source {
    /// The list of x.
    pub x: String,
    /// The lists of y; none for marks.
    pub y: Vec<String>,
}

/// One element of a chart.
#[derive(Clone, Debug)]
pub struct Layer {
    /// In the legend; empty where it needs no entry.
    pub name: String,
    /// Its colour.
    pub hue: Hue,
    /// How strongly it is filled, from 0 to 1.
    pub opacity: f64,
    /// What.
    pub shape: Shape,
    /// Where its numbers are.
    pub source: Option<Source>,
}

impl Layer {
    /// A layer that nobody can point at.
    pub fn new(name: impl Into<String>, hue: Hue, shape: Shape) -> Self {
        let opacity = if matches!(shape, Shape::Band(_) | Shape::Area(_)) { 0.22 } else { 1.0 };
        Self { name: name.into(), hue, opacity, shape, source: None }
    }

    /// The same with the places of its numbers.
    #[must_use]
    pub fn from(self, x: impl Into<String>, y: impl IntoIterator<Item = String>) -> Self {
        Self { source: Some(Source { x: x.into(), y: y.into_iter().collect() }), ..self }
    }

    /// Filled as strongly as `opacity` says.
    #[must_use]
    pub fn filled(self, opacity: f64) -> Self {
        Self { opacity, ..self }
    }

    /// `line`, `band`, `points` or `marks`: how it is stroked and filled.
    pub const fn kind(&self) -> &'static str {
        match self.shape {
            Shape::Line(_) => "line",
            Shape::Dashed(_) | Shape::Upright(_) | Shape::Level(_) => "dashed",
            Shape::Band(_) | Shape::Area(_) => "band",
            Shape::Points(_) => "points",
            Shape::Marks(_) => "marks",
        }
    }

    /// The path's data in the frame's units.
    pub fn path(&self, frame: Frame<'_>) -> String {
        let at = |point: &[f64; 2]| [frame.across(point[0]), frame.down(point[1])];
        match &self.shape {
            Shape::Line(points) | Shape::Dashed(points) => line(points.iter().map(at)),
            Shape::Band(points) => {
                let known: Vec<_> = points.iter().filter(|point| point.iter().all(|value| value.is_finite())).collect();
                let upper = known.iter().map(|point| at(&[point[0], point[2]]));
                closed(upper.chain(known.iter().rev().map(|point| at(&[point[0], point[1]]))))
            }
            // A line of no length: its round cap is a dot of the stroke's width, whatever the plot is stretched to.
            Shape::Points(points) => {
                points.iter().filter(|point| point.iter().all(|value| value.is_finite())).map(at).fold(String::new(), |mut path, [x, y]| {
                    let _ = write!(path, "M{} {}h0", short(x), short(y));
                    path
                })
            }
            Shape::Marks(values) => values.iter().fold(String::new(), |mut path, &value| {
                let _ = write!(path, "M{} 0v{}", short(frame.across(value)), short(MARK * frame.height));
                path
            }),
            Shape::Upright(value) => format!("M{} 0V{}", short(frame.across(*value)), frame.height),
            Shape::Level(value) => format!("M0 {}H{}", short(frame.down(*value)), frame.width),
            Shape::Area(rings) => rings.iter().map(|ring| closed(ring.iter().map(at))).collect(),
        }
    }
}

/// Height of a mark as a share of the frame's.
const MARK: f64 = 0.045;

/// Points in a row at the same height are left out but for the first and the last.
fn line(points: impl Iterator<Item = [f64; 2]>) -> String {
    let (mut path, mut is_open) = (String::new(), false);
    let (mut height, mut held): (String, Option<String>) = (String::new(), None);
    for [x, y] in points {
        if !(x.is_finite() && y.is_finite()) {
            path.extend(held.take());
            is_open = false;
            continue;
        }
        let (point, here) = (format!("{}{} {}", if is_open { 'L' } else { 'M' }, short(x), short(y)), short(y));
        if is_open && here == height {
            held = Some(point);
        } else {
            path.extend(held.take());
            path.push_str(&point);
        }
        (is_open, height) = (true, here);
    }
    path.extend(held);
    path
}

fn closed(points: impl Iterator<Item = [f64; 2]>) -> String {
    let path = line(points);
    if path.is_empty() { path } else { format!("{path}Z") }
}

/// Hundredths of a unit.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_in_the_frame_and_gaps_stay() {
        let (x, y) = (Axis::from_to("", 0.0, 10.0), Axis::from_to("", 0.0, 1.0));
        let frame = Frame { x: &x, y: &y, width: 100.0, height: 50.0 };
        let path = |shape| Layer::new("", Hue::First, shape).path(frame);
        assert_eq!(path(Shape::Line(vec![[0.0, 0.0], [5.0, 0.5], [f64::NAN, 0.0], [10.0, 1.0]])), "M0 50L50 25M100 0");
        assert_eq!(path(Shape::Line(vec![[0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [3.0, 0.0]])), "M0 0L20 0L30 50");
        assert_eq!(path(Shape::Band(vec![[0.0, 0.0, 1.0], [10.0, 0.2, 0.8]])), "M0 0L100 10L100 40L0 50Z");
        assert_eq!(path(Shape::Points(vec![[5.0, 0.5]])), "M50 25h0");
        assert_eq!(path(Shape::Level(0.5)), "M0 25H100");
    }
}
