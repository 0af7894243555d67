//! The CPU's matrix products on the shapes that a Hessian-vector product is made of.
//!
//! `HESPER_BENCH_SMALL=1` runs one small shape, to see that the bench works.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hesper::backend::cpu::matmul::{View, ViewMut, add_product, assign_product};
use hesper::numeric::Real;
use hesper::rng::{self, Distribution};

/// Name and reason, rows, columns and inner extent (m, n, k) of the result.
const SHAPES: [(&str, [usize; 3]); 6] = [
    ("square: the figure that others quote", [512, 512, 512]),
    ("first layer, one segment", [256, 512, 784]),
    ("hidden layer, eight columns at once", [2048, 512, 512]),
    ("outputs: only ten columns", [256, 10, 512]),
    ("back from the outputs: inner extent ten", [256, 512, 10]),
    ("weights of the outputs: ten rows", [10, 512, 256]),
];

const SMALL: [(&str, [usize; 3]); 1] = [("small", [64, 10, 33])];

/// Which operands are stored transposed: those of the forward, the backward and the parameters' pass.
const PASSES: [(&str, bool, bool); 3] = [("forward", false, true), ("backward", false, false), ("parameters", true, false)];

fn random<T: Real>(count: usize, probe: u32) -> Vec<T> {
    let mut values = vec![T::ZERO; count];
    rng::fill(Distribution::Gaussian, 0, probe, &mut values);
    values
}

fn view<T>(values: &[T], rows: usize, columns: usize, transposed: bool) -> View<'_, T> {
    if transposed { View::new(values, columns, rows).transposed() } else { View::new(values, rows, columns) }
}

fn products<T: Real>(criterion: &mut Criterion) {
    let small = std::env::var_os("HESPER_BENCH_SMALL").is_some();
    let mut group = criterion.benchmark_group(format!("matmul {}", T::PRECISION));
    for (name, [m, n, k]) in if small { &SMALL[..] } else { &SHAPES[..] } {
        let (m, n, k) = (*m, *n, *k);
        let (a, b, mut c) = (random::<T>(m * k, 0), random::<T>(k * n, 1), random::<T>(m * n, 2));
        group.throughput(Throughput::Elements(2 * (m * n * k) as u64));
        for (pass, lhs, rhs) in PASSES {
            group.bench_function(BenchmarkId::new(pass, name), |bencher| {
                bencher.iter(|| assign_product(ViewMut::new(&mut c, m, n), view(&a, m, k, lhs), view(&b, k, n, rhs)));
            });
        }
        group.bench_function(BenchmarkId::new("accumulated", name), |bencher| {
            bencher.iter(|| add_product(ViewMut::new(&mut c, m, n), View::new(&a, m, k), View::new(&b, k, n)));
        });
    }
    group.finish();
}

criterion_group!(benches, products::<f32>, products::<f64>);
criterion_main!(benches);
