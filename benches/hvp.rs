//! Hessian-vector products of the backends.
//!
//! Throughput is nominal: 12·N·Σ in·out operations a product, whatever a backend executes. Each iteration ends with the readback of
//! one number, so that a device has done its work.

mod common;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hesper::backend::cpu::Cpu;
use hesper::backend::gpu::Gpu;
use hesper::curvature::{Curvature, CurvatureOperator, Objective};
use hesper::krylov::{Slot, VectorSpace};
use hesper::numeric::Real;
use hesper::rng::Distribution;

fn products<A: CurvatureOperator>(criterion: &mut Criterion, name: &str, make: impl Fn(&Objective) -> hesper::Result<A>) {
    let mut group = criterion.benchmark_group(format!("hvp {name}"));
    group.sample_size(20);
    for shape in common::shapes() {
        let objective = common::objective(shape).expect("the table's shapes are valid");
        let operator = make(&objective).expect("the random network is finite");
        let space = operator.space();
        for columns in [1, 8] {
            let mut x = space.block(columns).expect("room for a block");
            let mut y = space.block(columns).expect("room for a block");
            let mut s = space.scalars(1, columns).expect("room for scalars");
            space.fill(&mut x, Distribution::Rademacher, 0, 0).expect("a fill");
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number far below 2⁶⁴")]
            group.throughput(Throughput::Elements(objective.nominal_flop() as u64 * columns as u64));
            group.bench_function(BenchmarkId::new(shape.name, columns), |bencher| {
                bencher.iter(|| {
                    operator.apply(&x, &mut y)?;
                    space.dot(&x, &y, &mut s, Slot(0))?;
                    space.read(&s)
                });
            });
        }
    }
    group.finish();
}

fn cpu<T: Real>(criterion: &mut Criterion) {
    products(criterion, &format!("cpu {}", T::PRECISION), |objective| Cpu::<T>::new(objective, Curvature::Hessian));
}

fn gpu(criterion: &mut Criterion) {
    if let Some(device) = common::device() {
        products(criterion, "gpu", |objective| Gpu::new(objective, Curvature::Hessian, &device));
    }
}

criterion_group!(benches, cpu::<f32>, cpu::<f64>, gpu);
criterion_main!(benches);
