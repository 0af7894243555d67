//! Numbers in a page: shown to the digits that their bars justify, and carrying the document's own number with its path.

use maud::{Markup, html};

use crate::report::number;
use crate::report::{Document, Number};

/// What stands for a number that is not there.
const UNKNOWN: &str = "—";

/// A number as `shown`, with what the document has for machines and for those who look closer.
fn data(number: &Number, shown: &str) -> Markup {
    html! { data value=(number.written) data-path=(number.path) title=(number.written) { (shown.replace('-', "\u{2212}")) } }
}

/// The number at `path` as `show` writes it.
pub(super) fn shown(document: &Document, path: &str, show: impl FnOnce(f64) -> String) -> Markup {
    match document.number(path) {
        Some(number) => data(&number, &show(number.value)),
        None => html! { (UNKNOWN) },
    }
}

/// To seven digits.
pub(super) fn plain(document: &Document, path: &str) -> Markup {
    shown(document, path, number::plain)
}

/// To two digits: a size of which the order matters.
pub(super) fn magnitude(document: &Document, path: &str) -> Markup {
    shown(document, path, number::magnitude)
}

/// To the digits of the bar at `bar`, without it.
pub(super) fn rounded(document: &Document, path: &str, bar: f64) -> Markup {
    shown(document, path, |value| number::rounded(value, bar))
}

/// With its bar; `least` stands for a bar that is smaller.
pub(super) fn with_bar(document: &Document, path: &str, bar: &str, least: f64) -> Markup {
    match document.number(bar) {
        Some(width) => html! {
            (rounded(document, path, width.value.max(least)))
            span.bar { " ± " (data(&width, &number::magnitude(width.value))) }
        },
        None => plain(document, path),
    }
}

/// Between two bounds, to the digits that they leave.
pub(super) fn between(document: &Document, lower: &str, upper: &str, digits_of: f64) -> Markup {
    html! { (rounded(document, lower, digits_of)) " to " (rounded(document, upper, digits_of)) }
}

/// A whole number with separated thousands.
pub(super) fn count(document: &Document, path: &str) -> Markup {
    match document.number(path) {
        Some(number) => data(&number, &document.count(path).map_or_else(|| number.written.clone(), number::count)),
        None => html! { (UNKNOWN) },
    }
}

/// A share in per cent.
pub(super) fn share(document: &Document, path: &str) -> Markup {
    shown(document, path, |value| format!("{:.1} %", 100.0 * value))
}

/// A time with its unit.
pub(super) fn seconds(document: &Document, path: &str) -> Markup {
    shown(document, path, number::seconds)
}

/// Mean, standard error and interval of an estimate.
pub(super) fn estimate(document: &Document, path: &str) -> Markup {
    let bar = document.value(&format!("{path}.std_error")).unwrap_or(0.0);
    html! {
        (with_bar(document, &format!("{path}.mean"), &format!("{path}.std_error"), 0.0))
        @if document.at(&format!("{path}.ci95")).is_some() {
            span.bounds { " 95 %: " (between(document, &format!("{path}.ci95.0"), &format!("{path}.ci95.1"), bar)) }
        }
    }
}

/// Mean, standard error and bounds of a number that has both.
pub(super) fn bounded(document: &Document, path: &str) -> Markup {
    let [lower, upper] = ["lower", "upper"].map(|end| format!("{path}.{end}"));
    let width = document.value(&upper).zip(document.value(&lower)).map(|(upper, lower)| 0.1 * (upper - lower));
    html! {
        (with_bar(document, &format!("{path}.mean"), &format!("{path}.std_error"), 0.0))
        @if let Some(width) = width { span.bounds { " from " (between(document, &lower, &upper, width)) } }
    }
}
