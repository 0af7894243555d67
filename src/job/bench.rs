//! How fast products are.

use std::time::Instant;

use serde::Serialize;

use super::context::JobContext;
use super::memory::{self, vector_bytes};
use super::progress::Stage;
use super::record::{LayerRecord, ModelRecord};
use crate::backend::{OperatorJob, SpotCheck};
use crate::curvature::{Curvature, CurvatureOperator, KernelTime, LayerReach, Peaks, PlainProduct, Reach, Workload};
use crate::error::{Error, Result};
use crate::krylov::{Slot, VectorSpace as _};
use crate::numeric::Precision;
use crate::rng::Distribution;

/// How to time.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BenchOptions {
    /// Vectors multiplied at once.
    pub columns: usize,
    /// Products before the clock starts.
    pub warmup: usize,
    /// Timed products.
    pub runs: usize,
    /// What the device reaches at best, measured by the caller.
    pub peaks: Peaks,
    /// The seed of the vectors.
    pub seed: u64,
}

impl Default for BenchOptions {
    fn default() -> Self {
        Self { columns: 8, warmup: 2, runs: 10, peaks: Peaks::default(), seed: 0 }
    }
}

/// One row of `hesper.bench/1`. Times are seconds for one product with one vector.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchRecord {
    /// Which backend.
    pub backend: String,
    /// Its device.
    pub adapter: Option<String>,
    /// The widths, such as `784-512-512-10`.
    pub shape: String,
    /// The hidden layers' activations.
    pub activation: String,
    /// N.
    pub samples: usize,
    /// b.
    pub columns: usize,
    /// Precision of vectors and products.
    pub precision: Precision,
    /// n.
    pub parameters: usize,
    /// 1 / median.
    pub hvps_per_second: f64,
    /// The median over the runs.
    pub median_seconds_per_hvp: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
    /// Timed runs.
    pub runs: usize,
    /// 12·N·Σ in·out flop in the median time: the convention by which tools compare.
    pub nominal_gflops: f64,
    /// What is computed once the point's own activations are kept, in the median time: 2·N·(2 in·out of the first layer + 6 Σ in·out of the
    /// others) flop for the Hessian of all parameters, fewer for other operators and for some of the parameters.
    pub executed_gflops: f64,
    /// What the device reaches at best.
    pub peak_gflops: Option<f64>,
    /// executed_gflops / peak_gflops.
    pub share_of_peak: Option<f64>,
    /// The fastest plain matrix product that the device reaches.
    pub plain_product: Option<PlainProduct>,
    /// executed_gflops of its gflops.
    pub share_of_plain_product: Option<f64>,
    /// Bytes of each kernel's operands, each once, in the median time, in GB/s: the least that has to be moved where nothing of it stays in
    /// a cache from one kernel to the next.
    pub streamed_gigabytes: f64,
    /// What the device's memory moves at best.
    pub peak_gigabytes: Option<f64>,
    /// streamed_gigabytes / peak_gigabytes.
    pub share_of_bandwidth: Option<f64>,
    /// Bytes of the operator and of both blocks.
    pub peak_bytes: u64,
    /// The kernels of one more product, the slowest first, by the device's own clock; empty where it has none.
    pub kernels: Vec<KernelTime>,
    /// What this case differs in from the others of its sweep; null outside of one.
    pub swept: Option<Swept>,
}

/// What a sweep varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Swept {
    /// N.
    Samples,
    /// The hidden layers' widths.
    Width,
    /// The number of hidden layers.
    Depth,
    /// b.
    Columns,
}

/// `hesper.bench/1`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchReport {
    /// The schema's name and version.
    pub schema: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// One entry for each case.
    pub results: Vec<BenchRecord>,
    /// What was not done as asked.
    pub warnings: Vec<String>,
}

impl BenchReport {
    /// A report of `results`.
    pub fn new(results: Vec<BenchRecord>, warnings: Vec<String>) -> Self {
        Self { schema: "hesper.bench/1", version: env!("CARGO_PKG_VERSION"), results, warnings }
    }
}

/// Times products with `columns` vectors at once, each run from its order to a number of its result on the host.
///
/// # Errors
/// [`Error::Input`] for no columns or runs; [`Error::NonFinite`] where a product is; device failures.
pub fn bench<A: CurvatureOperator>(operator: &A, context: &JobContext<'_>, options: &BenchOptions) -> Result<BenchRecord> {
    let &BenchOptions { columns, warmup, runs, ref peaks, seed } = options;
    if columns == 0 || runs == 0 {
        return Err(Error::Input("bench: --columns and --runs must be at least 1".into()));
    }
    let space = operator.space();
    let (mut x, mut y, mut scalars) = (space.block(columns)?, space.block(columns)?, space.scalars(1, columns)?);
    space.fill(&mut x, Distribution::Rademacher, seed, 0)?;
    let mut seconds = Vec::with_capacity(runs);
    for run in 0..warmup + runs {
        let begin = Instant::now();
        operator.apply(&x, &mut y)?;
        space.dot(&x, &y, &mut scalars, Slot(0))?;
        let values = space.read(&scalars)?;
        let elapsed = begin.elapsed().as_secs_f64();
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(Error::NonFinite(format!("bench: a product gave {value}")));
        }
        if run >= warmup {
            seconds.push(elapsed / as_f64(columns));
        }
        context.progress.update(Stage::Timing, run as u64 + 1, (warmup + runs) as u64);
    }
    seconds.sort_by(f64::total_cmp);
    let median = 0.5 * (seconds[(runs - 1) / 2] + seconds[runs / 2]);
    let subject = &context.subject;
    let rate = |amount: f64| amount / median.max(f64::MIN_POSITIVE) / 1e9;
    let [nominal_gflops, executed_gflops] = work(&subject.model, &subject.reach, subject.curvature, subject.data.samples).map(rate);
    let streamed_gigabytes =
        rate(as_f64(operator.space().precision().bytes()) * streamed(&subject.model, &subject.reach, subject.data.samples, columns));
    let mut kernels = operator.kernel_times(|| operator.apply(&x, &mut y))?.unwrap_or_default();
    kernels.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let info = operator.info();
    Ok(BenchRecord {
        backend: info.kind,
        adapter: info.adapter,
        shape: subject.model.shape.clone(),
        activation: subject.model.activation.clone(),
        samples: subject.data.samples,
        columns,
        precision: info.precision,
        parameters: subject.model.parameters,
        hvps_per_second: 1.0 / median.max(f64::MIN_POSITIVE),
        median_seconds_per_hvp: median,
        min: seconds[0],
        max: seconds[runs - 1],
        runs,
        nominal_gflops,
        executed_gflops,
        peak_gflops: peaks.gflops,
        share_of_peak: peaks.gflops.map(|peak| executed_gflops / peak),
        plain_product: peaks.product.clone(),
        share_of_plain_product: peaks.product.as_ref().map(|product| executed_gflops / product.gflops),
        streamed_gigabytes,
        peak_gigabytes: peaks.gigabytes,
        share_of_bandwidth: peaks.gigabytes.map(|peak| streamed_gigabytes / peak),
        peak_bytes: (operator.bytes() + columns * operator.column_bytes()) as u64 + 2 * columns as u64 * vector_bytes(operator),
        kernels,
        swept: None,
    })
}

#[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
fn as_f64(count: usize) -> f64 {
    count as f64
}

/// Nominal and executed flop of one product along the parameters that `reach` has: forward, backward and for the weights, each twice with the
/// network's own curvature, and without it twice on the way forward only.
fn work(model: &ModelRecord, reach: &Reach, curvature: Curvature, samples: usize) -> [f64; 2] {
    let mixed = curvature.has_network_curvature();
    let dense = || model.layers.iter().zip(reach.layers()).filter(|(layer, _)| layer.kind == "dense");
    let size = |layer: &LayerRecord| as_f64(layer.r#in) * as_f64(layer.out);
    let executed = |(layer, own): (&LayerRecord, &LayerReach)| {
        let below = reach.moves(layer.sources[0]);
        let (forward, back, sums) =
            ([own.weight, below], [below, below && own.weight && mixed], [own.weight, own.weight && below && mixed]);
        size(layer) * as_f64([forward, back, sums].as_flattened().iter().filter(|there| **there).count())
    };
    let all: f64 = dense().map(|(layer, _)| size(layer)).sum();
    [12.0 * as_f64(samples) * all, 2.0 * as_f64(samples) * dense().map(executed).sum::<f64>()]
}

/// Numbers that the kernels read and write for one column of a product with `columns` columns, each operand of each kernel once, and what
/// belongs to θ once for all columns.
fn streamed(model: &ModelRecord, reach: &Reach, samples: usize, columns: usize) -> f64 {
    let shared = as_f64(columns).recip();
    let layer = |(layer, own): (&LayerRecord, &LayerReach)| {
        let (inputs, outputs) = (as_f64(layer.r#in) * as_f64(samples), as_f64(layer.out) * as_f64(samples));
        let weight = as_f64(layer.r#in) * as_f64(layer.out);
        if layer.kind != "dense" {
            // z, δ and φ' at θ; Rz read and written, Rδ on both sides.
            return 3.0 * shared * outputs + 4.0 * outputs;
        }
        let there = |there: bool, numbers: f64| if there { numbers } else { 0.0 };
        let below = reach.moves(layer.sources[0]);
        // V and z, W and Rz, φ' and g ⊙ φ'' for Rz' and Rs.
        let forward =
            there(own.weight, weight + shared * inputs) + there(below, shared * weight + inputs) + 2.0 * shared * outputs + 2.0 * outputs;
        // Rδ and z, δ and Rz for HV.
        let sums = there(own.weight, outputs + shared * inputs + weight) + there(own.weight && below, shared * outputs + inputs);
        // W and Rδ, V and δ, φ' and Rs for Rδ of the layer below.
        let back = shared * weight + outputs + there(own.weight, weight + shared * outputs) + (shared + 2.0) * inputs;
        forward + sums + there(below, back)
    };
    model.layers.iter().zip(reach.layers()).filter(|(_, own)| own.moves).map(layer).sum()
}

/// How many of `columns` columns the device and the memory budget hold at once, and a line that says so where these are fewer.
pub fn bench_columns<A: CurvatureOperator>(operator: &A, budget: Option<u64>, columns: usize) -> (usize, Option<String>) {
    let fitting = memory::columns(operator, budget, memory::PRODUCT_VECTORS, columns);
    let fewer = fitting < columns;
    (fitting, fewer.then(|| format!("{columns} columns asked for, {fitting} timed: more do not fit the device or the --memory-budget")))
}

/// What [`bench`](fn@bench) keeps in memory at `columns` columns.
pub fn bench_workload(columns: usize) -> Workload {
    memory::products_workload(Some(columns), columns)
}

/// [`bench`](fn@bench) for [`backend::run`](crate::backend::run).
pub struct BenchJob<'a> {
    /// The surroundings.
    pub context: &'a JobContext<'a>,
    /// How.
    pub options: &'a BenchOptions,
}

impl OperatorJob for BenchJob<'_> {
    type Output = BenchRecord;

    fn workload(&self, _dim: usize) -> Workload {
        bench_workload(self.options.columns)
    }

    fn run<A: CurvatureOperator>(self, operator: &A, _spot_check: &SpotCheck<'_>) -> Result<BenchRecord> {
        bench(operator, self.context, self.options)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::context;
    use super::*;
    use std::ops::Range;

    use crate::krylov::LinearOperator as _;
    use crate::krylov::test_support::MatrixOperator;
    use crate::model::Layout;

    #[test]
    fn work_is_that_of_the_model() {
        let layer = |at, r#in, out, activation: &str| LayerRecord {
            r#in,
            out,
            activation: activation.into(),
            bias: true,
            kind: "dense",
            sources: vec![at],
        };
        let model = ModelRecord {
            layers: vec![layer(0, 4, 3, "tanh"), layer(1, 3, 5, "relu"), layer(2, 5, 2, "identity")],
            ..ModelRecord::default()
        };
        let layout = Layout::new([[12, 3], [15, 5], [10, 2]]);
        let of = |curvature, chosen: Range<usize>| {
            work(&model, &Reach::new(&layout, model.layers.iter().map(|layer| &*layer.sources), &[chosen]), curvature, 10)
        };
        let nominal = 12.0 * 10.0 * 37.0;
        assert_eq!(of(Curvature::Hessian, 0..47), [nominal, 20.0 * (2.0 * 12.0 + 6.0 * 25.0)]);
        assert_eq!(of(Curvature::Ggn, 0..47), [nominal, 20.0 * (2.0 * 12.0 + 4.0 * 25.0)]);
        // V z and Rδ zᵀ of the last layer alone; of the middle layer these, and W Rz and Wᵀ Rδ of the last.
        assert_eq!(of(Curvature::Hessian, 35..45), [nominal, 20.0 * 2.0 * 10.0]);
        assert_eq!(of(Curvature::Hessian, 15..30), [nominal, 20.0 * (2.0 * 15.0 + 2.0 * 10.0)]);
        // Of a bias there is no product in its own layer.
        assert_eq!(of(Curvature::Hessian, 30..35), [nominal, 20.0 * 2.0 * 10.0]);
    }

    #[test]
    fn each_run_is_one_readback() {
        let operator = MatrixOperator::diagonal(vec![1.0; 6]);
        let product = PlainProduct { size: 1024, kernel: "any".into(), gflops: 4.0 };
        let peaks = Peaks { gflops: Some(2.0), gigabytes: None, product: Some(product) };
        let options = BenchOptions { columns: 3, warmup: 1, runs: 4, peaks, ..Default::default() };
        let record = bench(&operator, &context(), &options).unwrap();
        assert_eq!((operator.products(), operator.space().readbacks()), (15, 5));
        assert!(record.min <= record.median_seconds_per_hvp && record.median_seconds_per_hvp <= record.max);
        assert_eq!(record.share_of_peak, Some(record.executed_gflops / 2.0));
        assert_eq!(record.share_of_plain_product, Some(record.executed_gflops / 4.0));
        assert_eq!(record.peak_bytes, 1000 + 2 * 3 * 6 * 8);
        assert!(bench(&operator, &context(), &BenchOptions { runs: 0, ..options }).is_err());
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_said() {
        let operator = MatrixOperator::diagonal(vec![1.0; 6]);
        assert_eq!(bench_columns(&operator, None, 5), (5, None));
        let (fitting, warning) = bench_columns(&operator, Some(1000 + 2 * 3 * 6 * 8), 5);
        assert_eq!((fitting, warning.unwrap().contains("5 columns asked for, 2 timed")), (2, true));
    }

    /// A layer of 2 x 3 with one sample reads W (nothing to multiply it with), V, x, φ', φ'' and Rδ, and writes Rz, Rs and HV.
    #[test]
    fn operands_are_counted_once() {
        let layer = |at, r#in, out| LayerRecord { r#in, out, activation: "tanh".into(), bias: false, kind: "dense", sources: vec![at] };
        let of = |layers: Vec<LayerRecord>, columns| {
            let reach = Reach::whole(&Layout::new(layers.iter().map(|layer| [layer.r#in * layer.out, 0])));
            streamed(&ModelRecord { layers, ..ModelRecord::default() }, &reach, 1, columns)
        };
        let first = (6 + 2 + 6 + 6) + (6 + 3 + 2);
        assert_eq!(of(vec![layer(0, 2, 3)], 1), f64::from(first));
        let second = (2 * 12 + 2 * 3 + 2 * 4 + 2 * 4) + (12 + 2 * 4 + 2 * 3) + (2 * 12 + 2 * 4 + 3 * 3);
        assert_eq!(of(vec![layer(0, 2, 3), layer(1, 3, 4)], 1), f64::from(first + second));
    }
}
