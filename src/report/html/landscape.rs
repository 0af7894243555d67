//! The report of `hesper landscape`.

use maud::html;

use super::Provenance;
use super::facts::fact;
use super::figure::figure;
use super::page::{Page, page, pair, section};
use super::quantity::{count, magnitude, plain, shown};
use super::run::{run_facts, subject};
use crate::report::{Document, chart, number};

/// The page of slices of the loss.
pub fn landscape(document: &Document, provenance: &Provenance) -> String {
    let slices = document.len("slices");
    let signed = |path: &str| {
        shown(document, path, |value| if value < 0.0 { format!("-{}", number::magnitude(-value)) } else { number::magnitude(value) })
    };
    let words = |slice: usize| {
        let path = |part: &str| format!("slices.{slice}.{part}");
        html! {
            "Curvature " (plain(document, &path("curvature"))) ", slope " (plain(document, &path("slope")))
            ". The model is within a tenth from " (signed(&path("holds.0"))) " to " (signed(&path("holds.1"))) "."
        }
    };
    let curves = (0..slices).filter_map(|slice| Some(figure(&chart::slice(document, slice)?, &words(slice))));
    let mut sections = vec![section("Along single directions", pair(curves))];
    if let Some(chart) = chart::plane(document) {
        let words = html! { "Where the dashed curves follow the shading, the Hessian describes the loss." };
        sections.push(section("Across two directions", figure(&chart, &words)));
    }
    let facts = [
        fact(
            "losses",
            html! {
                (count(document, "evaluations")) " evaluated, in "
                @if document.at("loss_error").is_some() { "single precision, within " (magnitude(document, "loss_error")) " of double" }
                @else { "double precision" }
            },
        ),
        fact("points of a curve", count(document, "options.points")),
        fact(
            "range",
            html! {
                @if document.at("options.range").is_some() { (magnitude(document, "options.range")) }
                @else { "where the quadratic model doubles the loss" }
            },
        ),
    ];
    sections.push(section("The run", run_facts(document, facts)));
    page(document, Page { title: "Loss landscape", subject: subject(document), headlines: Vec::new(), sections }, provenance)
}
