//! What was run: the subject, the machine, what it took, what the reader should know, and the command.

use maud::{Markup, html};

use super::Provenance;
use super::facts::{Fact, explained, fact, facts};
use super::quantity::{count, magnitude, plain, seconds};
use crate::report::{Document, number};

/// The network and the data in a line.
pub(super) fn subject(document: &Document) -> Markup {
    html! {
        (network(document)) ", " (count(document, "model.parameters")) " parameters · "
        (document.text("data.source").unwrap_or("data")) ", " (count(document, "data.samples")) " samples · "
        (document.text("loss.kind").unwrap_or("loss")) " " (plain(document, "loss.value"))
    }
}

/// The operator and the network, for the title of an image.
pub fn summary(document: &Document) -> String {
    let parameters = document.count("model.parameters").map_or_else(String::new, number::count);
    format!("{} of {}, {parameters} parameters", operator(document), network(document))
}

/// The operator's name in a sentence.
pub(super) fn operator(document: &Document) -> &str {
    match document.text("operator").unwrap_or("operator") {
        "hessian" => "Hessian",
        "ggn" => "Gauss-Newton matrix",
        "residual" => "residual of the Hessian",
        "fisher-mc" => "sampled Fisher matrix",
        "empirical-fisher" => "empirical Fisher matrix",
        "gradient-covariance" => "gradient covariance",
        other => other,
    }
}

/// `64-64-10 tanh`.
pub(super) fn network(document: &Document) -> String {
    let layers = document.len("model.layers");
    let width =
        |at: usize, end: &str| document.count(&format!("model.layers.{at}.{end}")).map_or_else(String::new, |width| width.to_string());
    let mut widths = vec![width(0, "in")];
    widths.extend((0..layers).map(|at| width(at, "out")));
    let hidden = 0..layers.saturating_sub(1);
    let mut activations: Vec<_> = hidden.filter_map(|at| document.text(&format!("model.layers.{at}.activation"))).collect();
    activations.dedup();
    format!("{} {}", widths.join("-"), activations.join(", ")).trim_end().to_owned()
}

/// Sentences that the reader must not miss.
pub(super) fn warnings(document: &Document) -> Markup {
    let warnings = document.texts("warnings");
    html! {
        @if !warnings.is_empty() {
            div.warnings role="note" {
                h2 { @if warnings.len() == 1 { "Note" } @else { "Notes" } }
                ul { @for warning in warnings { li { (warning) } } }
            }
        }
    }
}

/// The facts of the run that every report has.
pub(super) fn run_facts(document: &Document, more: impl IntoIterator<Item = Fact>) -> Markup {
    let text = |path: &str| html! { (document.text(path).unwrap_or("—")) };
    let mut list = vec![
        fact("operator", text("operator")),
        fact("network", html! { (network(document)) }),
        fact("data", html! { (text("data.source")) ", " (count(document, "data.samples")) " samples" }),
        fact(
            "loss",
            html! {
                (text("loss.kind")) " " (plain(document, "loss.value")) ", gradient norm " (plain(document, "loss.gradient_norm"))
                ", weight decay " (plain(document, "loss.weight_decay"))
            },
        ),
    ];
    list.extend(machine_facts(document, "backend"));
    if document.at("options.seed").is_some() {
        list.push(fact("seed", count(document, "options.seed")));
    }
    list.extend(more);
    list.push(fact("products", html! { (count(document, "stats.hvps")) ", " (count(document, "stats.readbacks")) " readbacks" }));
    list.push(fact(
        "time",
        html! {
            (seconds(document, "stats.seconds.total")) ", of which setup " (seconds(document, "stats.seconds.setup"))
            @if document.at("stats.seconds.hvp").is_some() {
                ", products " (seconds(document, "stats.seconds.hvp"))
                ", orthogonalization " (seconds(document, "stats.seconds.orthogonalization"))
            }
        },
    ));
    if document.at("floor").is_some() {
        list.push(explained(
            "rounding floor",
            html! {
                (magnitude(document, "floor.relative"))
                " (products " (magnitude(document, "floor.product")) ", dots " (magnitude(document, "floor.dot"))
                ", orthogonality " (magnitude(document, "floor.orthogonality")) ")"
            },
            "relative to the largest magnitude; measured in this run, and every bar is widened by it",
        ));
    }
    facts(list)
}

/// What computed, from its record at `backend`, and by which program.
pub(super) fn machine_facts(document: &Document, backend: &str) -> Vec<Fact> {
    let part = |name: &str| format!("{backend}.{name}");
    let text = |path: &str| html! { (document.text(path).unwrap_or("—")) };
    let threads = count(document, &part("threads"));
    let mut list = vec![fact("backend", html! { (text(&part("kind"))) " " (text(&part("precision"))) ", " (threads) " threads" })];
    for (name, path) in [("device", "adapter"), ("driver", "driver"), ("kernels", "variants")] {
        list.extend(document.text(&part(path)).map(|value| fact(name, html! { (value) })));
    }
    list.push(fact("version", html! { "hesper " (text("version")) ", " code { (text("schema")) } }));
    list
}

/// The command line, and what a script adds to it.
pub(super) fn repeat(provenance: &Provenance) -> Markup {
    html! {
        p { "The same inputs, seed, adapter and build give the same numbers." }
        pre.command { code id="command" { (provenance.command) } }
        p.actions {
            button type="button" data-copy="command" hidden { "Copy the command" }
            button type="button" data-save="report" hidden { "Save the numbers as JSON" }
        }
    }
}
