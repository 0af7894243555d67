//! The report of `hesper bench`.

use maud::html;

use super::Provenance;
use super::page::{Page, page, section};
use super::quantity::{count, magnitude, seconds, share};
use crate::report::Document;

/// The page of a benchmark.
pub fn bench(document: &Document, provenance: &Provenance) -> String {
    let rows = document.len("results");
    let part = |row: usize, name: &str| format!("results.{row}.{name}");
    let text = |row: usize, name: &str| document.text(&part(row, name)).unwrap_or("—").to_owned();
    let body = html! {
        div.scroll {
            table.numbers {
                thead {
                    tr {
                        @for head in ["network", "backend", "samples", "columns", "median of one product", "fastest", "slowest", "Gflop/s", "of the peak"] {
                            th scope="col" { (head) }
                        }
                    }
                }
                tbody {
                    @for row in 0..rows {
                        tr {
                            th scope="row" { (text(row, "shape")) " " (text(row, "activation")) }
                            td { (text(row, "backend")) " " (text(row, "precision")) }
                            td { (count(document, &part(row, "samples"))) }
                            td { (count(document, &part(row, "columns"))) }
                            td { (seconds(document, &part(row, "median_seconds_per_hvp"))) }
                            td { (seconds(document, &part(row, "min"))) }
                            td { (seconds(document, &part(row, "max"))) }
                            td { (magnitude(document, &part(row, "executed_gflops"))) }
                            td { (share(document, &part(row, "share_of_peak"))) }
                        }
                    }
                }
            }
        }
        p.small { "Gflop/s are those that the matrix products of this program really do." }
    };
    let subject = html! { (document.text("results.0.adapter").unwrap_or("this machine")) };
    let sections = vec![section("Products", body)];
    page(document, Page { title: "Throughput of products", subject, headlines: Vec::new(), sections }, provenance)
}
