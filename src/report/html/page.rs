//! The shell of every page: style and script inside, the report's own document for the script, and a policy that forbids to load.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Provenance;
use super::run::{repeat, warnings};
use crate::report::Document;

const STYLE: &str = include_str!("../../../assets/report/report.css");
const SCRIPT: &str = include_str!("../../../assets/report/report.js");

/// What is refused: every load from anywhere, should a browser be asked for one.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

/// The parts of a page.
pub(super) struct Page<'a> {
    /// Of the browser's window and the heading.
    pub(super) title: &'a str,
    /// What was examined, in a line.
    pub(super) subject: Markup,
    /// The numbers that matter most.
    pub(super) headlines: Vec<Markup>,
    /// All else, in order.
    pub(super) sections: Vec<Markup>,
}

/// A section with a heading.
pub(super) fn section(title: &str, body: Markup) -> Markup {
    html! { section { h2 { (title) } (body) } }
}

/// Two figures beside each other where there is room.
pub(super) fn pair(figures: impl IntoIterator<Item = Markup>) -> Markup {
    html! { div.pair { @for figure in figures { (figure) } } }
}

/// The whole file.
pub(super) fn page(document: &Document, page: Page<'_>, provenance: &Provenance) -> String {
    let Page { title, subject, headlines, sections } = page;
    let data = document.in_script();
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content=(concat!("hesper ", env!("CARGO_PKG_VERSION")));
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    p.brand { "hesper" }
                    h1 { (title) }
                    p.subject { (subject) }
                }
                main {
                    (warnings(document))
                    @if !headlines.is_empty() {
                        div.headlines { @for headline in headlines { (headline) } }
                    }
                    @for section in sections { (section) }
                    (section("Repeat it", repeat(provenance)))
                }
                script type="application/json" id="report" { (PreEscaped(data)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    markup.into_string()
}
