//! The report of `hesper eigs`.

use maud::html;

use super::Provenance;
use super::eigenvalues::{mass, table};
use super::facts::{explained, fact};
use super::headline::Headline;
use super::page::{Page, page, section};
use super::quantity::{count, magnitude, with_bar};
use super::run::{run_facts, subject};
use crate::report::Document;

/// The page of extreme eigenpairs.
pub fn eigs(document: &Document, provenance: &Provenance) -> String {
    let mut headlines = Vec::new();
    for (end, label, words) in [
        ("largest", "Largest eigenvalue", "The sharpest direction: nowhere does the loss curve upwards more."),
        ("smallest", "Smallest eigenvalue", "The direction in which the loss curves downwards most, if it does."),
    ] {
        let path = format!("eigenvalues.{end}.0");
        if document.at(&path).is_some() {
            let measured = format!("{path}.measured_residual");
            let sure = match document.value(&measured) {
                Some(_) => html! { "The residual measured by one more product is " (magnitude(document, &measured)) "." },
                None => html! { "The value is off by about " (magnitude(document, &format!("{path}.value_error"))) "." },
            };
            headlines.push(
                Headline {
                    label,
                    value: with_bar(document, &format!("{path}.value"), &format!("{path}.residual"), 0.0),
                    words: html! { (words) },
                    sure,
                }
                .render(),
            );
        }
    }
    let passed_over = match document.value("miss_probability") {
        Some(0.0) => html! { "none" },
        Some(_) => html! { "probability " (magnitude(document, "miss_probability")) },
        None => html! { "not confirmed" },
    };
    let facts = [
        explained("passed over", passed_over, "that an eigenvalue beyond the last ones is missing"),
        explained("orthogonality", magnitude(document, "orthogonality"), "the largest element of YᵀY − I: no eigenvalue is listed twice"),
        fact("Lanczos steps", html! { (count(document, "steps")) ", " (count(document, "restarts")) " restarts" }),
        fact("tolerance", magnitude(document, "options.tol")),
    ];
    let mut sections = vec![section("Eigenvalues", table(document))];
    sections.extend(mass(document).map(|mass| section("Where the eigenvectors lie", mass)));
    sections.push(section("The run", run_facts(document, facts)));
    page(document, Page { title: "Extreme eigenvalues", subject: subject(document), headlines, sections }, provenance)
}
