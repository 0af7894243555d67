//! The extreme eigenvalues of each layer's own block, as bars.

use maud::{Markup, html};

use super::quantity::{count, with_bar};
use crate::report::Document;

/// A line a block; none where the report has no blocks.
pub(super) fn blocks(document: &Document) -> Option<Markup> {
    let blocks = document.len("blocks");
    let path = |block: usize, end: &str, part: &str| format!("blocks.{block}.eigenvalues.{end}.0.{part}");
    let extreme = |block: usize, end: &str| document.value(&path(block, end, "value"));
    let scale = (0..blocks)
        .flat_map(|block| [extreme(block, "largest"), extreme(block, "smallest")])
        .flatten()
        .fold(0.0, |scale: f64, x| scale.max(x.abs()));
    if blocks == 0 || scale == 0.0 {
        return None;
    }
    let bar = |block: usize, end: &str, hue: &str| {
        let length = 100.0 * extreme(block, end).map_or(0.0, |value| value.abs() / scale);
        html! {
            div.measure {
                span.track { span class=(format!("fill {hue}")) style=(format!("width:{length:.2}%")) {} }
                span.number { (with_bar(document, &path(block, end, "value"), &path(block, end, "residual"), 0.0)) }
            }
        }
    };
    Some(html! {
        div.blocks {
            @for block in 0..blocks {
                div.block {
                    p.name {
                        (document.text(&format!("blocks.{block}.name")).unwrap_or("block"))
                        span.small { " " (count(document, &format!("blocks.{block}.parameters"))) " parameters" }
                    }
                    (bar(block, "largest", "hue-1"))
                    (bar(block, "smallest", "hue-2"))
                }
            }
        }
        p.small { "The largest (blue) and the smallest eigenvalue (orange) of the block of each layer's own parameters, with their bars." }
    })
}
