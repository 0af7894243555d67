//! The parts that several tables share.

use std::io::{self, Write};

use crate::estimate::{Bounded, Density, Estimate, Floor};
use crate::job::{BlockRecord, Eigenvalue, Eigenvalues, Header, Preconditioner, Stats, ViewRecord};
use crate::model::{Decay, Reduction};
use crate::numeric::Precision;
use crate::report::histogram;
use crate::report::number::{count, magnitude, plain, rounded, seconds, with_bar};

/// Width of the labels of a table's lines.
pub(super) const LABEL: usize = 18;

/// What was examined, under which loss, by what.
pub(super) fn header(out: &mut dyn Write, header: &Header) -> io::Result<()> {
    let Header { model, data, loss, backend, operator, view, .. } = header;
    line(out, "model", &format!("{}, {} parameters", model.summary, count(model.parameters)))?;
    line(out, "data", &format!("{}, {} samples", data.source, count(data.samples)))?;
    let decay = match (loss.weight_decay, loss.decay) {
        (0.0, _) => String::new(),
        (factor, Decay::All) => format!(", weight decay {factor}"),
        (factor, Decay::Weights) => format!(", weight decay {factor} of the weights"),
    };
    let sum = if loss.reduction == Reduction::Sum { " (sum)" } else { "" };
    line(out, "loss", &format!("{}{sum} = {}, gradient norm {}{decay}", loss.kind, plain(loss.value), plain(loss.gradient_norm)))?;
    let mut device = vec![format!("{} {}", backend.kind, backend.precision)];
    device.extend(backend.adapter.clone());
    device.extend(backend.driver.clone());
    if backend.kind != "gpu" {
        device.push(format!("{} {}", backend.threads, if backend.threads == 1 { "thread" } else { "threads" }));
    }
    line(out, "backend", &device.join(", "))?;
    line(out, "operator", operator)?;
    if let Some(ViewRecord { tensors, parameters, preconditioner }) = view {
        line(out, "of", &format!("{} parameters: {}", count(*parameters), tensors.join(", ")))?;
        if let Some(Preconditioner { source, beta2, step, eps, .. }) = preconditioner {
            let corrected = step.map_or_else(|| "not bias-corrected".to_owned(), |step| format!("step {step}"));
            line(out, "preconditioner", &format!("adam, {source}, beta2 {beta2}, eps {eps:e}, {corrected}"))?;
        }
    }
    writeln!(out)
}

/// One labelled line.
pub(super) fn line(out: &mut dyn Write, label: &str, text: &str) -> io::Result<()> {
    writeln!(out, "{label:<LABEL$}{text}")
}

/// Both ends of the spectrum side by side.
///
/// A bar is the residual, or the rounding of `precision` at the largest magnitude where that is more: digits beyond it would be noise.
pub(super) fn eigenvalues(out: &mut dyn Write, eigenvalues: &Eigenvalues, precision: Precision) -> io::Result<()> {
    const WIDTH: usize = 31;
    let Eigenvalues { largest, smallest } = eigenvalues;
    if largest.is_empty() && smallest.is_empty() {
        return Ok(());
    }
    let scale = largest.iter().chain(smallest).fold(0.0, |scale: f64, eigenvalue| scale.max(eigenvalue.value.abs()));
    let rounding = precision.epsilon() * scale;
    let titles = [("largest", largest), ("smallest", smallest)].map(|(title, values)| if values.is_empty() { "" } else { title });
    writeln!(out, "{}", format!("{:<LABEL$}{:<WIDTH$}{}", "eigenvalues", titles[0], titles[1]).trim_end())?;
    for rank in 0..largest.len().max(smallest.len()) {
        let cell = |values: &[Eigenvalue]| values.get(rank).map_or_else(String::new, |value| eigenvalue(value, rounding));
        writeln!(out, "{}", format!("{:>6}{:<12}{:<WIDTH$}{}", rank + 1, "", cell(largest), cell(smallest)).trim_end())?;
    }
    if eigenvalues.unconverged() > 0 {
        writeln!(out, "{:<LABEL$}* not converged", "")?;
    }
    Ok(())
}

/// A line for each diagonal block.
pub(super) fn blocks(out: &mut dyn Write, blocks: &[BlockRecord], precision: Precision) -> io::Result<()> {
    if blocks.is_empty() {
        return Ok(());
    }
    writeln!(out, "{:<LABEL$}{:>10}  {:<20}{:<20}trace", "block", "parameters", "largest", "smallest")?;
    for BlockRecord { name, parameters, eigenvalues, trace, .. } in blocks {
        let ends = || eigenvalues.largest.iter().chain(&eigenvalues.smallest);
        let rounding = precision.epsilon() * ends().fold(0.0, |scale: f64, value| scale.max(value.value.abs()));
        let first = |values: &[Eigenvalue]| values.first().map_or_else(|| "-".to_owned(), |value| eigenvalue(value, rounding));
        let trace = trace.as_ref().map_or_else(String::new, |trace| match trace.std_error {
            Some(error) => with_bar(trace.mean, error),
            None => plain(trace.mean),
        });
        let cells = [first(&eigenvalues.largest), first(&eigenvalues.smallest)].map(|cell| format!("{cell:<20}")).concat();
        writeln!(out, "{}", format!("{:<LABEL$}{:>10}  {cells}{trace}", shortened(name, LABEL - 1), count(*parameters)).trim_end())?;
    }
    if blocks.iter().any(|block| block.eigenvalues.unconverged() > 0) {
        writeln!(out, "{:<LABEL$}* not converged", "")?;
    }
    writeln!(out)
}

/// The end of a name that is longer than `width`: what tells it from others.
pub(super) fn shortened(name: &str, width: usize) -> String {
    let count = name.chars().count();
    name.chars().skip(count.saturating_sub(width)).collect()
}

/// The value to its bar's digits; a star where it is not converged.
fn eigenvalue(eigenvalue: &Eigenvalue, rounding: f64) -> String {
    let Eigenvalue { value, residual, converged, .. } = eigenvalue;
    format!("{}{}", with_bar(*value, residual.max(rounding)), if *converged { "" } else { " *" })
}

/// Mean ± standard error and the confidence interval.
pub(super) fn estimate(estimate: &Estimate) -> String {
    match (estimate.std_error, estimate.ci95) {
        (Some(error), Some([low, high])) => {
            format!("{} (95%: {} to {})", with_bar(estimate.mean, error), rounded(low, error), rounded(high, error))
        }
        _ => format!("{} (one probe: no error bar)", plain(estimate.mean)),
    }
}

/// Mean ± standard error and the bounds.
pub(super) fn bounded(bounded: &Bounded) -> String {
    match bounded.std_error {
        Some(error) => {
            // Bounds wider than the spread need no more digits than they have.
            let bar = error.max(0.1 * (bounded.upper - bounded.lower));
            format!("{} (between {} and {})", with_bar(bounded.mean, error), rounded(bounded.lower, bar), rounded(bounded.upper, bar))
        }
        None => plain(bounded.mean),
    }
}

/// ‖H‖_F from the estimate of its square, with the error that follows to first order.
pub(super) fn frobenius_norm(squared: &Estimate) -> String {
    let norm = squared.mean.max(0.0).sqrt();
    match squared.std_error {
        Some(error) if norm > 0.0 => with_bar(norm, error / (2.0 * norm)),
        _ => plain(norm),
    }
}

/// A share in per cent with its bounds.
pub(super) fn share(mean: f64, lower: f64, upper: f64) -> String {
    format!("{:.1}% (between {:.1}% and {:.1}%)", 100.0 * mean, 100.0 * lower, 100.0 * upper)
}

/// The density as a chart.
pub(super) fn density(out: &mut dyn Write, density: &Density, dim: usize) -> io::Result<()> {
    let lines = histogram(&density.grid, &density.density, dim);
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "eigenvalues in each 64th of the range (log scale), smoothed with sigma {}", magnitude(density.sigma))?;
    for line in lines {
        writeln!(out, "{line}")?;
    }
    writeln!(out)
}

/// What rounding leaves uncertain.
pub(super) fn floor(out: &mut dyn Write, floor: &Floor) -> io::Result<()> {
    let Floor { product, dot, orthogonality, relative, .. } = floor;
    let product = product.map_or_else(|| "not measured".into(), magnitude);
    let orthogonality = orthogonality.map_or_else(String::new, |defect| format!(", orthogonality {}", magnitude(defect)));
    line(out, "rounding", &format!("{} (products {product}, dots {}{orthogonality})", magnitude(*relative), magnitude(*dot)))
}

/// What it took.
pub(super) fn stats(out: &mut dyn Write, stats: &Stats) -> io::Result<()> {
    let hvps = usize::try_from(stats.hvps).unwrap_or(usize::MAX);
    let readbacks = if stats.readbacks == 0 { String::new() } else { format!(", {} readbacks", stats.readbacks) };
    line(out, "took", &format!("{} products in {}{readbacks}", count(hvps), seconds(stats.seconds.total)))
}

/// What the reader should know.
pub(super) fn warnings(out: &mut dyn Write, warnings: &[String]) -> io::Result<()> {
    warnings.iter().try_for_each(|warning| line(out, "warning", warning))
}
