//! A table of facts: what, the value, and where it helps what it means.

use maud::{Markup, html};

/// One line.
pub(super) struct Fact {
    what: Markup,
    value: Markup,
    meaning: Option<&'static str>,
}

/// A fact that explains itself.
pub(super) fn fact(what: &str, value: Markup) -> Fact {
    Fact { what: html! { (what) }, value, meaning: None }
}

/// A fact with what it means.
pub(super) fn explained(what: &str, value: Markup, meaning: &'static str) -> Fact {
    Fact { meaning: Some(meaning), ..fact(what, value) }
}

/// The table.
pub(super) fn facts(facts: impl IntoIterator<Item = Fact>) -> Markup {
    html! {
        dl.facts {
            @for Fact { what, value, meaning } in facts {
                div {
                    dt { (what) }
                    dd { (value) @if let Some(meaning) = meaning { span.meaning { (meaning) } } }
                }
            }
        }
    }
}
