//! A network, its data and its loss as found.

use std::io::{self, Write};

use super::parts::{line, warnings};
use crate::job::DescribeReport;
use crate::report::number::count;

/// Writes the table of `hesper describe`: each layer with what it reads, then its tensors with their places in the vector of parameters.
///
/// # Errors
/// Whatever the writer meets.
pub fn describe(out: &mut dyn Write, report: &DescribeReport) -> io::Result<()> {
    line(out, "model", &format!("{}, {} parameters", report.model.summary, count(report.model.parameters)))?;
    if let Some(data) = &report.data {
        let record = &data.record;
        line(
            out,
            "data",
            &format!("{}, {} samples of {} inputs, targets: {}", record.source, count(record.samples), data.inputs, data.targets),
        )?;
    }
    if let Some(loss) = &report.loss {
        let decay = if loss.weight_decay == 0.0 { String::new() } else { format!(", weight decay {}", loss.weight_decay) };
        line(out, "loss", &format!("{}{decay}", loss.kind))?;
    }
    writeln!(out)?;
    let value = |source: usize| source.checked_sub(1).map_or_else(|| "input".into(), |layer| layer.to_string());
    writeln!(
        out,
        "{:>5}  {:<11} {:>13}  {:<11} {:<9} {:<20} {:>12}",
        "layer", "kind", "in-out", "activation", "reads", "tensors", "parameters"
    )?;
    for (index, layer) in report.layers() {
        let shape = format!("{}-{}", layer.r#in, layer.out);
        let reads = layer.sources.iter().map(|&source| value(source)).collect::<Vec<_>>().join(" + ");
        let mut tensors = report.tensors_of(index).map(|tensor| {
            let last = (tensor.offset + tensor.count).saturating_sub(1);
            (tensor.name.as_str(), format!("{}..={last}", tensor.offset))
        });
        let (name, range) = tensors.next().unwrap_or_default();
        let text = format!("{index:>5}  {:<11} {shape:>13}  {:<11} {reads:<9} {name:<20} {range:>12}", layer.kind, layer.activation);
        writeln!(out, "{}", text.trim_end())?;
        for (name, range) in tensors {
            writeln!(out, "{:>54} {name:<20} {range:>12}", "")?;
        }
    }
    writeln!(out)?;
    warnings(out, &report.warnings)
}
