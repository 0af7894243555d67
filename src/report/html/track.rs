//! The report of `hesper track`, and what that of `hesper train` shows of the spectrum.

use maud::{Markup, html};

use super::Provenance;
use super::facts::{Fact, explained, fact, facts};
use super::figure::figure;
use super::headline::{Headline, interval};
use super::page::{Page, page, pair, section};
use super::quantity::{count, magnitude, plain, rounded, seconds, share, shown, with_bar};
use super::run::{machine_facts, network, operator};
use crate::report::{Document, chart};

/// The courses that trends are told of.
const COURSES: [(&str, &str); 6] = [
    ("largest", "largest eigenvalue"),
    ("smallest", "smallest eigenvalue"),
    ("trace", "trace"),
    ("negative_share", "negative share"),
    ("loss", "loss"),
    ("gradient_norm", "gradient norm"),
];

/// The page of a training run's checkpoints.
pub fn track(document: &Document, provenance: &Provenance) -> String {
    let list = "checkpoints";
    let mut sections = courses(document, "2/η, where gradient descent with this learning rate is at the edge of stability");
    sections.push(section("All checkpoints", table(document, list)));
    let mut more = vec![fact("checkpoints", html! { (document.len(list)) })];
    if document.at("learning_rate").is_some() {
        let value = html! { (plain(document, "learning_rate")) ", 2/η = " (plain(document, "stability_threshold")) };
        more.push(fact("learning rate η", value));
    }
    let backend = format!("{list}.{}.backend", document.len(list).saturating_sub(1));
    sections.push(section("The run", facts(run_facts(document, &backend, "options.sampling").into_iter().chain(more))));
    let title = format!("Spectrum of the {} over training", operator(document));
    let subject = html! { (subject(document)) " · " (document.len(list)) " checkpoints" };
    page(document, Page { title: &title, subject, headlines: headlines(document, list), sections }, provenance)
}

/// The network and the data in a line; each checkpoint has a loss of its own.
pub(super) fn subject(document: &Document) -> Markup {
    html! {
        (network(document)) ", " (count(document, "model.parameters")) " parameters · " (document.text("data.source").unwrap_or("data")) ", "
        (count(document, "data.samples")) " samples · " (document.text("loss").unwrap_or("loss"))
    }
}

/// The last checkpoint's numbers, in words beside the first one's.
pub(super) fn headlines(document: &Document, list: &str) -> Vec<Markup> {
    let Some(last) = document.len(list).checked_sub(1) else { return Vec::new() };
    let part = |at: usize, name: &str| format!("{list}.{at}.{name}");
    let value = |at: usize, [value, bar]: [&str; 2]| with_bar(document, &part(at, value), &part(at, bar), 0.0);
    let since = |names: [&str; 2]| html! { @if last > 0 { "It was " (value(0, names)) " at the first checkpoint." } };
    let extreme = ["largest.0.value", "largest.0.residual"];
    let mut headlines = Vec::new();
    if document.at(&part(last, extreme[0])).is_some() {
        let sure = html! { "An eigenvalue lies within the bar." };
        headlines.push(
            Headline { label: "Largest eigenvalue λmax, at last", value: value(last, extreme), words: since(extreme), sure }.render(),
        );
    }
    headlines.extend(edge(document, list));
    let extreme = ["smallest.0.value", "smallest.0.residual"];
    if document.at(&part(last, extreme[0])).is_some() {
        let sure = html! { "An eigenvalue lies within the bar." };
        headlines
            .push(Headline { label: "Smallest eigenvalue, at last", value: value(last, extreme), words: since(extreme), sure }.render());
    }
    let names = ["trace.mean", "trace.std_error"];
    let bar = document.value(&part(last, names[1])).unwrap_or(0.0);
    let sure = html! {
        @if document.at(&part(last, "trace.ci95")).is_some() {
            "95 % interval " (rounded(document, &part(last, "trace.ci95.0"), bar)) " to " (rounded(document, &part(last, "trace.ci95.1"), bar)) "."
        } @else { "One probe tells no spread." }
    };
    headlines.push(Headline { label: "Trace, at last", value: value(last, names), words: since(names), sure }.render());
    let negative = |at: usize, end: &str| share(document, &part(at, &format!("negative_share.{end}")));
    let headline = Headline {
        label: "Negative share, at last",
        value: negative(last, "mean"),
        words: html! { @if last > 0 { "It was " (negative(0, "mean")) " at the first checkpoint." } },
        sure: html! { "Between " (negative(last, "lower")) " and " (negative(last, "upper")) "." },
    };
    headlines.push(headline.with(interval(document, &part(last, "negative_share"))));
    let headline = Headline {
        label: "Loss, at last",
        value: plain(document, &part(last, "loss")),
        words: html! { @if last > 0 { "It was " (plain(document, &part(0, "loss"))) " at the first checkpoint." } },
        sure: html! { "The gradient has norm " (magnitude(document, &part(last, "gradient_norm"))) "." },
    };
    headlines.push(headline.render());
    headlines
}

/// Whether the largest eigenvalue came to the edge of stability, and what it did there.
fn edge(document: &Document, list: &str) -> Option<Markup> {
    document.at("edge")?;
    let ratio = |name: &str| shown(document, &format!("edge.{name}"), |share| format!("{share:.3}"));
    let place = |at: usize| {
        let step = format!("{list}.{at}.step");
        if document.at(&step).is_some() {
            html! { "step " (count(document, &step)) }
        } else {
            html! { "checkpoint " (at + 1) }
        }
    };
    let words = match document.count("edge.reached") {
        Some(at) => html! {
            "λmax came to the edge at " (place(at)) ", and has been between " (ratio("lowest")) " and " (ratio("highest")) " times as large since, "
            (ratio("mean")) " in the mean; " (share(document, "edge.within_tenth")) " of the looks since are within a tenth of it."
        },
        None => html! { "λmax has not come to the edge: the learning rate is small enough for the curvature met so far." },
    };
    let sure =
        html! { "The edge is at λmax = " (plain(document, "stability_threshold")) ": beyond it plain full-batch descent is unstable." };
    Some(Headline { label: "λmax / edge of stability, at last", value: ratio("last"), words, sure }.render())
}

/// The figures of all courses, and where they change; `edge` says what that line is.
pub(super) fn courses(document: &Document, edge: &str) -> Vec<Markup> {
    let words = |name: &str| match name {
        "largest" => {
            html! { @if document.at("stability_threshold").is_some() { "The level line is " (edge) "." } @else { "The sharpest direction." } }
        }
        "smallest" => html! { "The direction in which the loss curves downwards most, if it does." },
        "trace" => html! { "The sum of all eigenvalues." },
        "negative_share" => html! { "Bounds proved for each probe, at 95 % for the choice of the probes." },
        "loss" => html! { "Over all samples." },
        _ => html! { "Of the loss over all samples." },
    };
    let drawn = |name: &str| chart::course(document, name).map(|chart| figure(&chart, &words(name)));
    let figures = html! {
        @if let Some(largest) = drawn("largest") { (largest) }
        (pair(COURSES[1..].iter().filter_map(|(name, _)| drawn(name))))
    };
    vec![section("Over training", figures), section("What changed", changes(document))]
}

/// Each course in words: its straight parts, which differ by more than bars and scatter.
fn changes(document: &Document) -> Markup {
    let line = |(name, spoken): &(&str, &str)| {
        let parts = document.len(&format!("trends.{name}"));
        (parts > 0).then(|| fact(spoken, html! { @for at in 0..parts { (part(document, &format!("trends.{name}.{at}"), at)) } }))
    };
    let lines: Vec<Fact> = COURSES.iter().filter_map(line).collect();
    html! {
        @if lines.is_empty() { p { "One checkpoint has no course yet." } }
        (facts(lines))
        p.small {
            "A course is cut where another straight line pays for itself by the Bayesian information criterion, with the error bars and its own \
             scatter as noise. It rises or falls where the slope is more than three standard errors from zero. The ends are those of the fitted lines."
        }
    }
}

fn part(document: &Document, path: &str, at: usize) -> Markup {
    let end = |name: &str| format!("{path}.{name}");
    let number = |name: &str| document.value(&end(name)).unwrap_or(0.0);
    let bar = number("std_error") * (number("to") - number("from"));
    let place = |name: &str| shown(document, &end(name), |step| step.to_string());
    let is_significant = document.at(&end("significant")).and_then(serde_json::Value::as_bool) == Some(true);
    let level = |name: &str| rounded(document, &end(name), bar);
    html! {
        @if at > 0 { ", then " }
        @if is_significant {
            @if number("slope") > 0.0 { "rises" } @else { "falls" } " from " (level("first")) " to " (level("last"))
        } @else { "stays about " (level("last")) }
        span.bounds { " (" (place("from")) " to " (place("to")) ")" }
    }
}

/// A line a checkpoint.
pub(super) fn table(document: &Document, list: &str) -> Markup {
    let part = |at: usize, name: &str| format!("{list}.{at}.{name}");
    let heads = ["loss", "gradient norm", "largest", "smallest", "trace", "negative share", "products", "time"];
    let bar = |at: usize, value: &str, bar: &str| {
        html! { @if document.at(&part(at, value)).is_some() { (with_bar(document, &part(at, value), &part(at, bar), 0.0)) } }
    };
    let is_inaccurate = |at: usize| document.at(&part(at, "accuracy_reached")).and_then(serde_json::Value::as_bool) == Some(false);
    html! {
        div.scroll {
            table.numbers {
                thead { tr { th scope="col" { "step" } @for head in heads { th scope="col" { (head) } } } }
                tbody {
                    @for at in 0..document.len(list) {
                        tr {
                            th scope="row" title=[document.text(&part(at, "checkpoint"))] { (count(document, &part(at, "step"))) }
                            td { (plain(document, &part(at, "loss"))) }
                            td { (magnitude(document, &part(at, "gradient_norm"))) }
                            td { (bar(at, "largest.0.value", "largest.0.residual")) @if is_inaccurate(at) { span.star title="not converged" { " *" } } }
                            td { (bar(at, "smallest.0.value", "smallest.0.residual")) }
                            td { (bar(at, "trace.mean", "trace.std_error")) }
                            td { (share(document, &part(at, "negative_share.mean"))) }
                            td { (count(document, &part(at, "hvps"))) }
                            td { (seconds(document, &part(at, "seconds"))) }
                        }
                    }
                }
            }
        }
        p.small { "A star marks a checkpoint whose eigenvalues did not reach the tolerance." }
    }
}

/// The facts of a run over many checkpoints: `backend` and `sampling` are where the document has those.
pub(super) fn run_facts(document: &Document, backend: &str, sampling: &str) -> Vec<Fact> {
    let text = |path: &str| html! { (document.text(path).unwrap_or("—")) };
    let sampled = |name: &str| format!("{sampling}.{name}");
    let mut list = vec![
        fact("operator", text("operator")),
        fact("network", html! { (network(document)) }),
        fact("data", html! { (text("data.source")) ", " (count(document, "data.samples")) " samples" }),
        fact("loss", html! { (text("loss")) ", weight decay " (plain(document, "weight_decay")) }),
    ];
    list.extend(machine_facts(document, backend));
    list.push(fact("seed", count(document, &sampled("seed"))));
    let probes = html! { (count(document, &sampled("probes"))) " of " (count(document, &sampled("steps"))) " Lanczos steps" };
    list.push(explained("probes", probes, "at each checkpoint, for trace and negative share"));
    list
}
