//! A chart as an SVG image of fixed size, on white, with its own title and text.

use std::fmt::Write as _;

use super::{Chart, Frame, Layer, Shape};

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 76.0;
const BOTTOM: f64 = 56.0;
const INK: &str = "#1f2937";
const FAINT: &str = "#e5e7eb";
const SOFT: &str = "#4b5563";

/// The image as text, `subtitle` beside the chart's title. Its fonts are the reader's; what it needs of a font is Latin and Greek letters.
pub fn svg(chart: &Chart, subtitle: &str) -> String {
    let (width, height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         font-family=\"Inter, system-ui, 'DejaVu Sans', sans-serif\" font-size=\"13\" fill=\"{INK}\">\n<title>{title}</title>\n<rect \
         width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n<text x=\"{LEFT}\" y=\"30\" font-size=\"17\">{title}<tspan dx=\"14\" font-size=\"13\" fill=\"{SOFT}\">{}</tspan></text>\n",
        escaped(subtitle),
        title = escaped(&chart.title)
    );
    legend(&mut out, chart);
    for tick in chart.x.ticks() {
        let x = LEFT + width * tick.at;
        let _ = writeln!(out, "<path d=\"M{x:.1} {TOP}v{height}\" stroke=\"{FAINT}\"/>");
        text(&mut out, [x, HEIGHT - BOTTOM + 20.0], "middle", &tick.text);
    }
    for tick in chart.y.ticks() {
        let y = TOP + height * (1.0 - tick.at);
        let _ = writeln!(out, "<path d=\"M{LEFT} {y:.1}h{width}\" stroke=\"{FAINT}\"/>");
        text(&mut out, [LEFT - 8.0, y + 4.5], "end", &tick.text);
    }
    let frame = Frame { x: &chart.x, y: &chart.y, width, height };
    let _ = writeln!(out, "<svg x=\"{LEFT}\" y=\"{TOP}\" width=\"{width}\" height=\"{height}\" overflow=\"hidden\">");
    for layer in &chart.layers {
        let _ = writeln!(out, "<path d=\"{}\" {}/>", layer.path(frame), paint(layer));
    }
    let _ = writeln!(out, "</svg>\n<path d=\"M{LEFT} {TOP}v{height}h{width}\" fill=\"none\" stroke=\"{SOFT}\"/>\n<g fill=\"{SOFT}\">");
    text(&mut out, [LEFT + width / 2.0, HEIGHT - 14.0], "middle", &chart.x.label);
    let middle = TOP + height / 2.0;
    let label = escaped(&chart.y.label);
    let _ = writeln!(out, "<text transform=\"translate(20 {middle}) rotate(-90)\" text-anchor=\"middle\">{label}</text>\n</g>\n</svg>");
    out
}

fn paint(layer: &Layer) -> String {
    let (colour, opacity) = (layer.hue.colour(), layer.opacity);
    match layer.kind() {
        "band" => format!("fill=\"{colour}\" fill-opacity=\"{opacity}\" fill-rule=\"evenodd\""),
        "points" => format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"6\" stroke-linecap=\"round\""),
        "dashed" => format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" stroke-dasharray=\"5 4\""),
        "marks" => format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\""),
        _ => format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\" stroke-linejoin=\"round\""),
    }
}

/// Named layers in a row below the title.
fn legend(out: &mut String, chart: &Chart) {
    let mut x = LEFT;
    for layer in chart.layers.iter().filter(|layer| !layer.name.is_empty()) {
        let swatch = match layer.shape {
            Shape::Band(_) | Shape::Area(_) => format!("M{x} 49h18v10h-18Z"),
            Shape::Points(_) => format!("M{} 54h0", x + 9.0),
            Shape::Marks(_) => format!("M{} 47v14", x + 9.0),
            _ => format!("M{x} 54h18"),
        };
        let _ = writeln!(out, "<path d=\"{swatch}\" {}/>", paint(layer));
        text(out, [x + 24.0, 58.5], "start", &layer.name);
        // The width of text is the reader's matter; this is about it for a sans-serif.
        x += 24.0 + 6.9 * f64::from(u16::try_from(layer.name.chars().count()).unwrap_or(0)) + 20.0;
    }
}

fn text(out: &mut String, [x, y]: [f64; 2], anchor: &str, text: &str) {
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escaped(text));
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
