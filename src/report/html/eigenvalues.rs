//! Both ends of the spectrum as a table, and where the eigenvectors lie.

use maud::{Markup, html};

use super::quantity::{share, with_bar};
use crate::report::Document;

const ENDS: [&str; 2] = ["largest", "smallest"];

/// Each with its bar; a star where it is not converged.
pub(super) fn table(document: &Document) -> Markup {
    let rows = ENDS.map(|end| document.len(&format!("eigenvalues.{end}")));
    let ranks = rows[0].max(rows[1]);
    let least = rounding(document);
    let cell = |end: &str, rank: usize| {
        let path = format!("eigenvalues.{end}.{rank}");
        html! {
            @if document.at(&path).is_some() {
                (with_bar(document, &format!("{path}.value"), &format!("{path}.residual"), least))
                @if document.at(&format!("{path}.converged")).and_then(serde_json::Value::as_bool) == Some(false) { span.star title="not converged" { " *" } }
            }
        }
    };
    html! {
        div.scroll {
            table.numbers {
                thead { tr { th scope="col" { "rank" } @for end in ENDS { th scope="col" { (end) } } } }
                tbody {
                    @for rank in 0..ranks {
                        tr { th scope="row" { (rank + 1) } @for end in ENDS { td { (cell(end, rank)) } } }
                    }
                }
            }
        }
        p.small { "Within its bar of each value lies an eigenvalue. A star marks a value whose bar is larger than the tolerance." }
    }
}

/// What rounding leaves of an eigenvalue in the run's precision.
fn rounding(document: &Document) -> f64 {
    let epsilon = if document.text("backend.precision") == Some("f64") { f64::EPSILON } else { f64::from(f32::EPSILON) };
    let first = |end: &str| document.value(&format!("eigenvalues.{end}.0.value")).map_or(0.0, f64::abs);
    epsilon * first("largest").max(first("smallest"))
}

/// The share of each vector's sum of squares in each tensor, shaded; none where no vector is known.
pub(super) fn mass(document: &Document) -> Option<Markup> {
    let tensors = document.texts("tensors");
    let mut rows = Vec::new();
    for end in ENDS {
        for rank in 0..document.len(&format!("eigenvalues.{end}")) {
            let path = format!("eigenvalues.{end}.{rank}");
            if document.len(&format!("{path}.mass")) == tensors.len() {
                rows.push((end, rank, path));
            }
        }
    }
    if rows.is_empty() || tensors.is_empty() {
        return None;
    }
    let cell = |path: String| {
        let strength = document.value(&path).unwrap_or(0.0);
        html! {
            td.shaded style=(format!("--share:{strength:.3}")) { (share(document, &path)) }
        }
    };
    Some(html! {
        div.scroll {
            table.mass {
                thead { tr { th scope="col" { "eigenvector" } @for tensor in &tensors { th scope="col" { (tensor.replace("layer ", "")) } } } }
                tbody {
                    @for (end, rank, path) in &rows {
                        tr {
                            th scope="row" { (end) " " (rank + 1) }
                            @for column in 0..tensors.len() { (cell(format!("{path}.mass.{column}"))) }
                        }
                    }
                }
            }
        }
        p.small { "The share of the vector's sum of squares in each tensor, layers counted from 0." }
    })
}
