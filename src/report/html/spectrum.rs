//! The reports of `hesper spectrum` and of `hesper density`.

use maud::{Markup, html};

use super::Provenance;
use super::eigenvalues::{mass, table};
use super::facts::{explained, fact, facts};
use super::figure::figure;
use super::headline::{Headline, interval};
use super::layers::blocks;
use super::page::{Page, page, pair, section};
use super::quantity::{bounded, count, estimate, magnitude, plain, rounded, share, with_bar};
use super::run::{operator, run_facts, subject};
use crate::report::{Document, chart};

/// The page of a spectrum.
pub fn spectrum(document: &Document, provenance: &Provenance) -> String {
    let mut sections = vec![section("Spectrum", spectral_figures(document))];
    sections.push(section("Extreme eigenvalues", html! { (table(document)) }));
    sections.extend(mass(document).map(|mass| section("Where the eigenvectors lie", mass)));
    sections.extend(blocks(document).map(|blocks| section("Layer by layer", blocks)));
    sections.push(section("More numbers", more_numbers(document)));
    sections.push(section("How it was found", evidence(document)));
    sections.push(section("The run", sampling_facts(document)));
    let title = format!("Spectrum of the {}", operator(document));
    page(document, Page { title: &title, subject: subject(document), headlines: headlines(document), sections }, provenance)
}

/// The page of a density alone.
pub fn density(document: &Document, provenance: &Provenance) -> String {
    let sections = vec![section("Density", spectral_figures(document)), section("The run", sampling_facts(document))];
    page(document, Page { title: "Spectral density", subject: subject(document), headlines: Vec::new(), sections }, provenance)
}

fn headlines(document: &Document) -> Vec<Markup> {
    let largest = "eigenvalues.largest.0";
    let is_converged = document.at(&format!("{largest}.converged")).and_then(serde_json::Value::as_bool) == Some(true);
    let mut list = Vec::new();
    if document.at(largest).is_some() {
        let sure = if is_converged {
            html! { "Converged: an eigenvalue lies within the bar, and λmax is no smaller than that." }
        } else {
            html! { "Not converged: λmax may be larger. More steps help." }
        };
        list.push(
            Headline {
                label: "Largest eigenvalue λmax",
                value: with_bar(document, &format!("{largest}.value"), &format!("{largest}.residual"), 0.0),
                words: html! { "The sharpest direction: nowhere does the loss curve upwards more." },
                sure,
            }
            .render(),
        );
    }
    list.push(stable_step(document));
    list.push(
        Headline {
            label: "Negative share",
            value: share(document, "negative_share.mean"),
            words: saddle(document),
            sure: html! {
                "Between " (share(document, "negative_share.lower")) " and " (share(document, "negative_share.upper"))
                ": bounds proved for each probe, at 95 % for the choice of the probes. More steps narrow them."
            },
        }
        .with(interval(document, "negative_share")),
    );
    list.extend(outliers(document));
    list.push(
        Headline {
            label: "Trace",
            value: with_bar(document, "trace.mean", "trace.std_error", 0.0),
            words: html! { "The sum of all eigenvalues. Their mean is " (magnitude(document, "functionals.moments.0.mean")) "." },
            sure: trace_sureness(document),
        }
        .render(),
    );
    list.push(
        Headline {
            label: "Loss",
            value: plain(document, "loss.value"),
            words: html! {
                "The gradient has norm " (plain(document, "loss.gradient_norm"))
                @if document.at("diagnostics.gradient_curvature").is_some() {
                    ". Along it the curvature is " (plain(document, "diagnostics.gradient_curvature.value"))
                }
                "."
            },
            sure: html! { "Exact, but for the rounding of " (document.text("backend.precision").unwrap_or("the precision")) "." },
        }
        .render(),
    );
    list
}

fn stable_step(document: &Document) -> Markup {
    let path = "max_stable_learning_rate";
    let label = "Largest stable step 2/λmax";
    if document.at(path).is_none() {
        let words = html! { "No positive eigenvalue was found: no step of gradient descent is too large for the curvature at this point." };
        return Headline { label, value: html! { "any" }, words, sure: html! {} }.render();
    }
    let [value, lower, upper] = ["value", "lower", "upper"].map(|end| format!("{path}.{end}"));
    let width = document.value(&upper).or(document.value(&value)).unwrap_or(0.0) - document.value(&lower).unwrap_or(0.0);
    let bar = width.max(f64::from(f32::EPSILON) * document.value(&value).unwrap_or(0.0));
    Headline {
        label,
        value: rounded(document, &value, bar),
        words: html! { "Plain gradient descent with a larger step moves away along the sharpest direction." },
        sure: html! {
            @if document.at(&upper).is_some() { "Between " (rounded(document, &lower, bar)) " and " (rounded(document, &upper, bar)) "." }
            @else { "At least " (rounded(document, &lower, bar)) ", without an upper bound: λmax may be zero." }
        },
    }
    .render()
}

fn saddle(document: &Document) -> Markup {
    let path = "diagnostics.saddle_index.certified_negative";
    match document.count(path) {
        Some(0) | None => html! { "Of all directions, so many curve downwards. Not one of them is certain: this may be a minimum." },
        Some(1) => html! { (count(document, path)) " direction surely curves downwards: the point is a saddle, not a minimum." },
        Some(_) => {
            html! { "At least " (count(document, path)) " directions surely curve downwards: the point is a saddle, not a minimum." }
        }
    }
}

/// A ratio of neighbours from which a gap in the spectrum is worth the name.
const CLEAR: f64 = 1.5;

fn outliers(document: &Document) -> Option<Markup> {
    let path = "diagnostics.outliers";
    let ratio = document.value(&format!("{path}.ratio"))?;
    let part = |name: &str| format!("{path}.{name}");
    let is_clear = ratio >= CLEAR;
    let classes = document.text("loss.kind") == Some("cross-entropy");
    let outputs = format!("model.layers.{}.out", document.len("model.layers").saturating_sub(1));
    Some(
        Headline {
            label: "Outliers and bulk",
            value: html! { (count(document, &part("count"))) span.bar { @if document.count(&part("count")) == Some(1) { " outlier" } @else { " outliers" } } },
            words: html! {
                "Above the widest gap, from " (magnitude(document, &part("smallest_outlier"))) " up; the bulk ends at "
                (magnitude(document, &part("bulk_edge"))) ". "
                @if classes { "A classifier of " (count(document, &outputs)) " classes tends to have one less than that." }
            },
            sure: html! {
                "The gap is a ratio of " (magnitude(document, &part("ratio")))
                @if is_clear { ", residuals taken off still " (magnitude(document, &part("gap"))) " wide." }
                @else { ": no clear split, take the number with care." }
            },
        }
        .render(),
    )
}

fn trace_sureness(document: &Document) -> Markup {
    let bar = document.value("trace.std_error").unwrap_or(0.0);
    html! {
        @if document.at("trace.ci95").is_some() {
            "95 % interval " (rounded(document, "trace.ci95.0", bar)) " to " (rounded(document, "trace.ci95.1", bar))
            ", from " (count(document, "options.probes")) " probes."
        } @else { "One probe tells no spread." }
    }
}

fn spectral_figures(document: &Document) -> Markup {
    let density = html! {
        "Smoothed with a Gaussian of standard deviation " (magnitude(document, "density.sigma"))
        ": closer eigenvalues are not told apart. Marks at the top are eigenvalues known by themselves."
    };
    let bulk = html! { "The same where all but a few in a thousand of the eigenvalues lie." };
    let distribution = html! {
        "The share of eigenvalues at most x lies between the curves: not smoothed, and certain up to the choice of the probes (95 %)."
    };
    let lower = [
        chart::bulk(document).map(|chart| figure(&chart, &bulk)),
        chart::distribution(document).map(|chart| figure(&chart, &distribution)),
    ];
    html! {
        @if let Some(chart) = chart::density(document) { (figure(&chart, &density)) }
        (pair(lower.into_iter().flatten()))
    }
}

fn evidence(document: &Document) -> Markup {
    let is_search = document.text("convergence.run") == Some("search");
    let convergence = html! {
        @if is_search { "The run that looks for outliers" } @else { "The first probe's run" }
        ", had it ended earlier. Flat ends are settled values."
    };
    let residuals = html! { "How far the same values may be from an eigenvalue, before rounding." };
    let probes = html! { "Each dot is one random probe's trace; their spread gives the bar." };
    let charts = [
        chart::convergence(document).map(|chart| figure(&chart, &convergence)),
        chart::residuals(document).map(|chart| figure(&chart, &residuals)),
    ];
    html! {
        (pair(charts.into_iter().flatten()))
        @if let Some(chart) = chart::probes(document) { (figure(&chart, &probes)) }
    }
}

fn more_numbers(document: &Document) -> Markup {
    let mut list = vec![
        explained("trace", estimate(document, "trace"), "the sum of all eigenvalues"),
        explained("squared Frobenius norm", estimate(document, "frobenius_squared"), "the sum of their squares"),
        explained("sum of magnitudes", bounded(document, "functionals.nuclear_norm"), "the nuclear norm"),
        explained(
            "stable rank",
            bounded(document, "functionals.stable_rank"),
            "how many eigenvalues as large as the largest would make up the Frobenius norm",
        ),
        explained(
            "participation ratio",
            bounded(document, "functionals.participation_ratio"),
            "among how many eigenvalues the squares are spread",
        ),
    ];
    if document.at("functionals.condition_positive_at_least").is_some() {
        let value = html! { "at least " (magnitude(document, "functionals.condition_positive_at_least")) };
        list.push(explained("condition", value, "of the positive part"));
    }
    let diagnostic = |name: &str| format!("diagnostics.{name}");
    if document.at("diagnostics.relative_sharpness").is_some() {
        let [value, residual] = ["value", "residual"].map(|part| diagnostic(&format!("relative_sharpness.{part}")));
        let meaning = "the largest eigenvalue with each parameter's size as its unit, which rescaled layers do not change";
        list.push(explained("relative sharpness", with_bar(document, &value, &residual, 0.0), meaning));
    }
    if document.at("diagnostics.gradient_curvature").is_some() {
        let value = html! {
            (plain(document, &diagnostic("gradient_curvature.value"))) ", distance from an eigenvector "
            (magnitude(document, &diagnostic("gradient_curvature.residual")))
        };
        list.push(explained("curvature along the gradient", value, "what a step of gradient descent meets"));
    }
    if document.at("diagnostics.tail").is_some() {
        let value = html! {
            (with_bar(document, &diagnostic("tail.exponent.mean"), &diagnostic("tail.exponent.std_error"), 0.0)) " above "
            (magnitude(document, &diagnostic("tail.from"))) ", Kolmogorov-Smirnov distance " (magnitude(document, &diagnostic("tail.ks_distance")))
        };
        list.push(explained("exponent of the bulk's tail", value, "a power law, where that distance is small"));
    }
    for at in 0..document.len("diagnostics.counts") {
        let part = |name: &str| format!("diagnostics.counts.{at}.{name}");
        let value = html! { (count(document, &part("at_least"))) " to " (count(document, &part("at_most"))) " eigenvalues" };
        let what = format!("above {}", document.value(&part("above")).unwrap_or(0.0));
        list.push(fact(&what, value));
    }
    if document.at("damped").is_some() {
        list.push(explained("log determinant", bounded(document, "damped.log_det"), "of A + γI"));
        list.push(explained("effective dimension", bounded(document, "damped.effective_dimension"), "Σ λ/(λ + γ)"));
        list.push(fact("damping γ", plain(document, "damped.damping")));
    }
    facts(list)
}

fn sampling_facts(document: &Document) -> Markup {
    run_facts(
        document,
        [
            fact("probes", html! { (count(document, "options.probes")) " of " (count(document, "options.steps")) " Lanczos steps" }),
            fact(
                "found first",
                html! { "up to " (count(document, "options.deflate")) " eigenpairs, " (document.len("density.atoms")) " found" },
            ),
        ],
    )
}
