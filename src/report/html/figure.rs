//! A chart as a part of a page: one drawing that stretches, text of the page around it, and for a script where the numbers are.

use maud::{Markup, html};
use serde_json::json;

use crate::report::chart::{Axis, Chart, Frame, Layer, Scale};

/// Units of the drawing, both ways; what they are on a screen is decided there.
const EXTENT: f64 = 1000.0;

/// The chart with `words` that say what there is to see.
pub(super) fn figure(chart: &Chart, words: &Markup) -> Markup {
    let Chart { id, title, x, y, layers } = chart;
    let frame = Frame { x, y, width: EXTENT, height: EXTENT };
    html! {
        figure.chart id=(id) data-x=(axis(x)) data-y=(axis(y)) data-layers=(sources(layers)) {
            figcaption { h3 { (title) } p { (words) } }
            ul.legend {
                @for layer in layers.iter().filter(|layer| !layer.name.is_empty()) {
                    li { span class=(format!("key {} {}", layer.kind(), layer.hue.class())) {} (layer.name) }
                }
            }
            p.y-label { (y.label) @if y.scale == Scale::Log { " (log scale)" } }
            div.plot role="img" aria-label=(format!("{title}: {} against {}", y.label, x.label)) {
                svg viewBox=(format!("0 0 {EXTENT} {EXTENT}")) preserveAspectRatio="none" aria-hidden="true" {
                    g.grid {
                        path.across d=(y.ticks().iter().map(|tick| format!("M-{EXTENT} {:.1}h{}", EXTENT * (1.0 - tick.at), 3.0 * EXTENT)).collect::<String>()) {}
                        path.up d=(x.ticks().iter().map(|tick| format!("M{:.1} 0v{EXTENT}", EXTENT * tick.at)).collect::<String>()) {}
                    }
                    @for layer in layers {
                        path class=(format!("{} {}", layer.kind(), layer.hue.class())) fill-opacity=(layer.opacity) d=(layer.path(frame)) {}
                    }
                }
                div.y-ticks aria-hidden="true" {
                    @for tick in y.ticks() { span style=(format!("bottom:{:.2}%", 100.0 * tick.at)) { (tick.text) } }
                }
                div.x-ticks aria-hidden="true" {
                    @for tick in x.ticks() { span style=(format!("left:{:.2}%", 100.0 * tick.at)) { (tick.text) } }
                }
            }
            p.x-label { (x.label) }
        }
    }
}

fn axis(axis: &Axis) -> String {
    json!({ "label": axis.label, "log": axis.scale == Scale::Log, "low": axis.low, "high": axis.high }).to_string()
}

/// The layers that can be pointed at.
fn sources(layers: &[Layer]) -> String {
    let source = |layer: &Layer| {
        let source = layer.source.as_ref()?;
        Some(json!({ "name": layer.name, "kind": layer.kind(), "hue": layer.hue.class(), "x": source.x, "y": source.y }))
    };
    layers.iter().filter_map(source).collect::<serde_json::Value>().to_string()
}
