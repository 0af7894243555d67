//! The report of `hesper trace`.

use maud::html;

use super::Provenance;
use super::facts::fact;
use super::figure::figure;
use super::headline::Headline;
use super::page::{Page, page, section};
use super::quantity::{count, magnitude, rounded, with_bar};
use super::run::{run_facts, subject};
use crate::report::{Document, chart};

/// The page of a trace.
pub fn trace(document: &Document, provenance: &Provenance) -> String {
    let bar = document.value("trace.std_error").unwrap_or(0.0);
    let headline = Headline {
        label: "Trace",
        value: with_bar(document, "trace.mean", "trace.std_error", 0.0),
        words: html! { "The sum of all eigenvalues." },
        sure: html! {
            @if document.at("trace.ci95").is_some() {
                "95 % interval " (rounded(document, "trace.ci95.0", bar)) " to " (rounded(document, "trace.ci95.1", bar)) "."
            } @else { "One probe tells no spread." }
        },
    };
    let words = html! { "Each dot is one sample; their spread gives the bar." };
    let mut sections = Vec::new();
    sections.extend(chart::probes(document).map(|chart| section("Samples", figure(&chart, &words))));
    let facts = [
        fact("method", html! { (document.text("options.method").unwrap_or("—")) }),
        fact("samples", html! { (document.len("trace.samples")) ", the interval looked at " (count(document, "accuracy.looks")) " times" }),
        fact(
            "relative half-width",
            html! { (magnitude(document, "accuracy.relative")) " at confidence " (magnitude(document, "accuracy.confidence")) },
        ),
    ];
    sections.push(section("The run", run_facts(document, facts)));
    page(document, Page { title: "Trace", subject: subject(document), headlines: vec![headline.render()], sections }, provenance)
}
