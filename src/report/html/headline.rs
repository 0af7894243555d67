//! A number that matters, with its bar, in words, and how sure it is.

use maud::{Markup, html};

use crate::report::Document;

/// One headline.
pub(super) struct Headline {
    /// What it is.
    pub(super) label: &'static str,
    /// The number with its bar.
    pub(super) value: Markup,
    /// What it means for this run.
    pub(super) words: Markup,
    /// How sure it is.
    pub(super) sure: Markup,
}

impl Headline {
    pub(super) fn render(self) -> Markup {
        self.with(html! {})
    }

    /// With a drawing under the number.
    pub(super) fn with(self, drawing: Markup) -> Markup {
        let Self { label, value, words, sure } = self;
        html! {
            article.headline {
                h2 { (label) }
                p.value { (value) }
                (drawing)
                p { (words) }
                p.sure { (sure) }
            }
        }
    }
}

/// Where an estimate and its bounds lie between 0 and 1.
pub(super) fn interval(document: &Document, path: &str) -> Markup {
    let [lower, mean, upper] = ["lower", "mean", "upper"].map(|end| document.value(&format!("{path}.{end}")));
    match (lower, mean, upper) {
        (Some(lower), Some(mean), Some(upper)) => html! {
            div.interval aria-hidden="true" {
                span.range style=(format!("left:{:.2}%;width:{:.2}%", 100.0 * lower, 100.0 * (upper - lower))) {}
                span.mean style=(format!("left:{:.2}%", 100.0 * mean)) {}
            }
        },
        _ => html! {},
    }
}
