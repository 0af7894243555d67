//! `hesper hvp`: exact products with the user's own vectors.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use super::args::{DeviceArgs, ProblemArgs, ReportArgs};
use super::exit::Outcome;
use super::output::OutputFile;
use super::problem::Problem;
use super::report::Reporter;
use super::vectors::write_npy;
use crate::backend::{self, OperatorJob};
use crate::curvature::{BackendInfo, Curvature, CurvatureOperator};
use crate::data::load_array;
use crate::error::{self, Error};
use crate::krylov::VectorSpace as _;
use crate::report::{HvpReport, ProductSection, Subject};

/// Exact products of the Hessian with given vectors
///
/// Parameters are in the order of torch's parameters_to_vector: layer by layer, weight row by row, then bias. The result has the
/// shape of the input and the precision of the backend.
#[derive(Args, Debug)]
pub(super) struct HvpArgs {
    /// Vectors: .npy, [n] or [k, n]
    #[arg(long, value_name = "FILE")]
    vector: PathBuf,
    /// Where the products go: .npy
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    problem: ProblemArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    report: ReportArgs,
}

/// Most vectors that are multiplied at once: wider products are hardly faster and take memory.
const MOST_COLUMNS: usize = 16;

pub(super) fn run(args: &HvpArgs) -> Result<Outcome> {
    let reporter = Reporter::new("hesper.hvp/1", &args.report, None)?;
    let out = OutputFile::new(&args.out)?;
    let options = args.device.options()?;
    let problem = Problem::load(&args.problem)?;
    let (shape, vectors) = load_vectors(&args.vector, problem.objective.dim())?;
    let job = Products { vectors: &vectors, name: &args.vector };
    let Answer { products, sections, backend } = backend::run(&problem.objective, Curvature::Hessian, &options, job)?;
    out.write(|file| write_npy(file, &shape, &products, backend.precision))?;
    let subject = Subject::new(&problem.objective, &problem.source, backend, Curvature::Hessian);
    let result = HvpReport { subject, products: sections };
    reporter.finish(&result, |table| result.write_table(table))?;
    Ok(Outcome::Done)
}

/// The shape of the file's array, and its numbers.
fn load_vectors(path: &Path, dim: usize) -> Result<(Vec<u64>, Vec<f64>)> {
    let array = load_array(path)?;
    let name = path.display();
    let shape = array.shape.iter().map(|&extent| u64::try_from(extent)).collect::<Result<Vec<_>, _>>().context("shape")?;
    if !matches!(array.shape[..], [n] | [_, n] if n == dim) {
        bail!("{name}: has shape {:?}, but the network has {dim} parameters: give [{dim}] or [k, {dim}]", array.shape);
    }
    let values = array.values.into_f64();
    if values.is_empty() {
        bail!("{name}: has shape {:?}: at least one vector is needed", array.shape);
    }
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        bail!("{name}: element {} of vector {} is {}: every element must be finite", at % dim, at / dim, values[at]);
    }
    Ok((shape, values))
}

struct Products<'a> {
    vectors: &'a [f64],
    name: &'a Path,
}

struct Answer {
    products: Vec<f64>,
    sections: Vec<ProductSection>,
    backend: BackendInfo,
}

impl OperatorJob for Products<'_> {
    type Output = Answer;

    fn run<A: CurvatureOperator>(self, operator: &A) -> error::Result<Answer> {
        let space = operator.space();
        let dim = space.dim();
        let mut products = Vec::with_capacity(self.vectors.len());
        for chunk in self.vectors.chunks(MOST_COLUMNS * dim) {
            let columns = chunk.len() / dim;
            let (mut x, mut y) = (space.block(columns)?, space.block(columns)?);
            space.upload(chunk, &mut x)?;
            operator.apply(&x, &mut y)?;
            products.extend(space.download(&y)?);
        }
        if let Some(at) = products.iter().position(|value| !value.is_finite()) {
            return Err(Error::NonFinite(format!(
                "{}: the product with vector {} is not finite at element {}: its numbers are too large for {}",
                self.name.display(),
                at / dim,
                at % dim,
                space.precision()
            )));
        }
        let pairs = self.vectors.chunks(dim).zip(products.chunks(dim));
        let sections = pairs.map(|(vector, product)| ProductSection::new(vector, product)).collect();
        Ok(Answer { products, sections, backend: operator.info() })
    }
}
