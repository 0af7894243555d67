//! The diagonal blocks of an operator, tensor by tensor or layer by layer: one job each, on the one operator of the whole job.
//!
//! Blocks are principal submatrices: what is found of one is what a job on its parameters alone would find, but the data are read,
//! prepared and linearized once.

use serde::{Deserialize, Serialize};

use super::context::{JobContext, Subject};
use super::eigs::{EigsJob, EigsOptions, EigsReport};
use super::record::{Eigenvalues, Header, Stats};
use super::spectrum::{SpectrumJob, SpectrumOptions, SpectrumReport};
use crate::backend::{Backend, OperatorJob};
use crate::curvature::{Curvature, Objective, View};
use crate::error::Result;
use crate::estimate::{Estimate, NegativeShare};
use crate::model::Tensor;

/// What makes a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grouping {
    /// Each tensor is one.
    Tensor,
    /// The tensors of each layer are one.
    Layer,
}

/// One of `blocks`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BlockRecord {
    /// The tensor's name, or what the names of the layer's tensors have in common.
    pub name: String,
    /// The first of its parameters among all, and the one after the last.
    pub range: [usize; 2],
    /// How many it has.
    pub parameters: usize,
    /// The norm of its part of the gradient.
    pub gradient_norm: f64,
    /// Both ends of its spectrum.
    pub eigenvalues: Eigenvalues,
    /// Its trace; null where only extreme eigenvalues are looked for, and so are the next two.
    pub trace: Option<Estimate>,
    /// The square of its Frobenius norm.
    pub frobenius_squared: Option<Estimate>,
    /// The share of its negative eigenvalues.
    pub negative_share: Option<NegativeShare>,
    /// Whether all eigenvalues asked for converged.
    pub accuracy_reached: bool,
    /// Products that it took.
    pub hvps: u64,
}

/// A block of an objective.
struct Block {
    name: String,
    range: [usize; 2],
    view: View,
}

/// The blocks of the chosen parameters, in their order.
fn blocks(objective: &Objective, grouping: Grouping) -> Result<Vec<Block>> {
    let (view, tensors) = (objective.view(), objective.network().tensors());
    let is_chosen = |tensor: &&Tensor| view.within(&tensor.range).is_ok();
    let chosen: Vec<&Tensor> = tensors.iter().filter(is_chosen).collect();
    let one = |a: &&Tensor, b: &&Tensor| grouping == Grouping::Layer && a.layer == b.layer;
    let block = |group: &[&Tensor]| {
        let (first, last) = (group[0], group[group.len() - 1]);
        let range = first.range.start..last.range.end;
        Ok(Block {
            name: if grouping == Grouping::Layer { first.module().to_owned() } else { first.name.clone() },
            range: [range.start, range.end],
            view: view.within(&range)?,
        })
    };
    chosen.chunk_by(one).map(block).collect()
}

impl Block {
    /// The surroundings of its job.
    fn context<'a>(&self, objective: &Objective, whole: &JobContext<'a>) -> JobContext<'a> {
        let subject = &whole.subject;
        let own = Subject::new(&objective.clone().in_view(self.view.clone()), subject.curvature, subject.data.source.as_str());
        JobContext { subject: own.preconditioned_as(subject), progress: whole.progress, started: whole.started }
    }

    fn record(self, header: &Header, eigenvalues: Eigenvalues, accuracy_reached: bool, stats: &Stats) -> BlockRecord {
        BlockRecord {
            name: self.name,
            range: self.range,
            parameters: self.view.dim(),
            gradient_norm: header.loss.gradient_norm,
            eigenvalues,
            trace: None,
            frobenius_squared: None,
            negative_share: None,
            accuracy_reached,
            hvps: stats.hvps,
        }
    }
}

/// What the first of `jobs` finds of the objective's parameters, and what the others find of its `blocks`, all on one operator.
fn run_each<J: OperatorJob>(
    (objective, curvature): (&Objective, Curvature),
    device: &Backend,
    blocks: &[Block],
    jobs: Vec<J>,
) -> Result<(J::Output, Vec<J::Output>)> {
    let views = [objective.view().clone()].into_iter().chain(blocks.iter().map(|block| block.view.clone()));
    let mut reports = device.run_each(objective, curvature, views.zip(jobs).collect())?;
    let of_blocks = reports.split_off(1);
    Ok((reports.swap_remove(0), of_blocks))
}

/// [`spectrum`](super::spectrum()) of the objective's parameters, and of each of their blocks.
///
/// # Errors
/// As the job itself.
pub fn spectrum_with_blocks(
    objective: &Objective,
    device: &Backend,
    context: &JobContext<'_>,
    options: &SpectrumOptions,
    grouping: Grouping,
) -> Result<SpectrumReport> {
    let blocks = blocks(objective, grouping)?;
    let contexts: Vec<_> = blocks.iter().map(|block| block.context(objective, context)).collect();
    let of_block = |block: &Block| {
        // That a block has fewer parameters than steps were asked for is no news.
        let mut options = options.clone();
        options.sampling.steps = options.sampling.steps.min(block.view.dim());
        options
    };
    let own: Vec<_> = blocks.iter().map(of_block).collect();
    let each = contexts.iter().zip(&own).map(|(context, options)| SpectrumJob { context, options });
    let jobs = [SpectrumJob { context, options }].into_iter().chain(each).collect();
    let (mut whole, parts) = run_each((objective, context.subject.curvature), device, &blocks, jobs)?;
    for (block, report) in blocks.into_iter().zip(parts) {
        whole.stats.add(&report.stats);
        let accurate = report.eigenvalues.unconverged() == 0;
        whole.blocks.push(BlockRecord {
            trace: Some(report.trace),
            frobenius_squared: Some(report.frobenius_squared),
            negative_share: Some(report.negative_share),
            ..block.record(&report.header, report.eigenvalues, accurate, &report.stats)
        });
    }
    Ok(whole)
}

/// [`eigs`](super::eigs()) of the objective's parameters, and of each of their blocks.
///
/// # Errors
/// As the job itself.
pub fn eigs_with_blocks(
    objective: &Objective,
    device: &Backend,
    context: &JobContext<'_>,
    (options, start): (&EigsOptions, &[f64]),
    grouping: Grouping,
) -> Result<EigsReport> {
    let blocks = blocks(objective, grouping)?;
    let contexts: Vec<_> = blocks.iter().map(|block| block.context(objective, context)).collect();
    let of_block = |block: &Block| {
        let most = |count: usize| count.min(block.view.dim());
        EigsOptions {
            top: most(options.top),
            bottom: most(options.bottom),
            largest_magnitude: options.largest_magnitude.map(most),
            vectors: false,
            ..options.clone()
        }
    };
    let own: Vec<_> = blocks.iter().map(of_block).collect();
    let each = contexts.iter().zip(&own).map(|(context, options)| EigsJob { context, options, start: &[] });
    let jobs = [EigsJob { context, options, start }].into_iter().chain(each).collect();
    let (mut whole, parts) = run_each((objective, context.subject.curvature), device, &blocks, jobs)?;
    for (block, report) in blocks.into_iter().zip(parts) {
        whole.stats.add(&report.stats);
        whole.accuracy_reached &= report.accuracy_reached;
        whole.blocks.push(block.record(&report.header, report.eigenvalues, report.accuracy_reached, &report.stats));
    }
    Ok(whole)
}
