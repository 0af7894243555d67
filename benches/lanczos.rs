//! Lanczos runs of 50 steps: what orthogonalization adds to the products.
//!
//! Throughput counts steps times columns.

mod common;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hesper::backend::cpu::Cpu;
use hesper::backend::gpu::Gpu;
use hesper::curvature::{Curvature, CurvatureOperator, Objective};
use hesper::krylov::{Lanczos, LanczosOptions, Reorthogonalization, Tridiagonal, VectorSpace};
use hesper::rng::Distribution;

const STEPS: usize = 50;

fn run<A: CurvatureOperator>(operator: &A, columns: usize, reorthogonalization: Reorthogonalization) -> hesper::Result<Vec<Tridiagonal>> {
    let mut start = operator.space().block(columns)?;
    operator.space().fill(&mut start, Distribution::Rademacher, 0, 0)?;
    let options = LanczosOptions { capacity: STEPS, reorthogonalization, ..LanczosOptions::default() };
    let mut lanczos = Lanczos::new(operator, start, columns, options)?;
    while lanczos.step()? {}
    lanczos.coefficients()
}

fn runs<A: CurvatureOperator>(criterion: &mut Criterion, name: &str, make: impl Fn(&Objective) -> hesper::Result<A>) {
    let mut group = criterion.benchmark_group(format!("lanczos {name}"));
    group.sample_size(10);
    for shape in common::shapes() {
        let objective = common::objective(shape).expect("the table's shapes are valid");
        let operator = make(&objective).expect("the random network is finite");
        for columns in [1, 8] {
            group.throughput(Throughput::Elements((STEPS * columns) as u64));
            for reorthogonalization in [Reorthogonalization::Full, Reorthogonalization::None] {
                let id = BenchmarkId::new(format!("{}, {reorthogonalization:?}", shape.name), columns);
                group.bench_function(id, |bencher| bencher.iter(|| run(&operator, columns, reorthogonalization)));
            }
        }
    }
    group.finish();
}

fn cpu(criterion: &mut Criterion) {
    runs(criterion, "cpu f32", |objective| Cpu::<f32>::new(objective, Curvature::Hessian));
}

fn gpu(criterion: &mut Criterion) {
    if let Some(device) = common::device() {
        runs(criterion, "gpu", |objective| Gpu::new(objective, Curvature::Hessian, &device));
    }
}

criterion_group!(benches, cpu, gpu);
criterion_main!(benches);
