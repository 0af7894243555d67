//! The report of `hesper train`.

use maud::html;

use super::Provenance;
use super::facts::{fact, facts};
use super::figure::figure;
use super::page::{Page, page, section};
use super::quantity::{count, plain, seconds};
use super::track::{courses, headlines, run_facts, subject, table};
use crate::report::{Document, chart};

/// The page of a training run.
pub fn train(document: &Document, provenance: &Provenance) -> String {
    let list = "track";
    let words = html! { "Before each step, on the samples that it used." };
    let mut sections = Vec::new();
    sections.extend(chart::history(document).map(|chart| section("Training", figure(&chart, &words))));
    if document.len(list) > 0 {
        sections.extend(courses(document, "the edge of stability, 2/η for plain gradient descent and (2 + 2μ)/η with momentum μ"));
        sections.push(section("All looks at the spectrum", table(document, list)));
    }
    let option = |name: &str| format!("options.{name}");
    let more = [
        fact("steps", html! { (count(document, "steps")) ", " (count(document, "steps_per_epoch")) " an epoch" }),
        fact(
            "optimizer",
            html! {
                (document.text("options.optimizer").unwrap_or("—")) ", learning rate " (plain(document, &option("learning_rate")))
                ", momentum " (plain(document, &option("momentum")))
            },
        ),
        fact(
            "samples of a step",
            html! { @if document.at("options.batch_size").is_some() { (count(document, &option("batch_size"))) } @else { "all" } },
        ),
        fact("time", seconds(document, "seconds")),
    ];
    sections.push(section("The run", facts(run_facts(document, "backend", "options.track.sampling").into_iter().chain(more))));
    let subject = html! { (subject(document)) " · " (count(document, "steps")) " steps" };
    page(document, Page { title: "Training", subject, headlines: headlines(document, list), sections }, provenance)
}
