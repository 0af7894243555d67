//! The CPU's matrix products on the shapes that a Hessian-vector product is made of, beside those of other libraries.
//!
//! `HESPER_BENCH_SMALL=1` runs one small shape, to see that the bench works.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use hesper::backend::cpu::matmul::{View, ViewMut, add_product, assign_product};
use hesper::numeric::Real;
use hesper::rng::{self, Distribution};

/// Name and reason, rows, columns and inner extent (m, n, k) of the result.
const SHAPES: [(&str, [usize; 3]); 8] = [
    ("square: the figure that others quote", [512, 512, 512]),
    ("first layer, one segment", [256, 512, 784]),
    ("hidden layer, eight columns at once", [2048, 512, 512]),
    ("wide hidden layer, one segment", [256, 1024, 1024]),
    ("weights of a hidden layer, one task", [128, 512, 256]),
    ("outputs: only ten columns", [256, 10, 512]),
    ("back from the outputs: inner extent ten", [256, 512, 10]),
    ("weights of the outputs: ten rows", [10, 512, 256]),
];

const SMALL: [(&str, [usize; 3]); 1] = [("small", [64, 10, 33])];

fn shapes() -> &'static [(&'static str, [usize; 3])] {
    if std::env::var_os("HESPER_BENCH_SMALL").is_some() { &SMALL } else { &SHAPES }
}

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
    let mut group = criterion.benchmark_group(format!("matmul {}", T::PRECISION));
    for &(name, [m, n, k]) in shapes() {
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

fn matrix(values: &[f32], rows: usize, columns: usize, transposed: bool) -> MatRef<'_, f32> {
    if transposed {
        MatRef::from_row_major_slice(values, columns, rows).transpose()
    } else {
        MatRef::from_row_major_slice(values, rows, columns)
    }
}

/// faer and matrixmultiply on the same operands, on one thread and in single precision.
fn libraries(criterion: &mut Criterion) {
    for &(name, [m, n, k]) in shapes() {
        let (a, b, mut c) = (random::<f32>(m * k, 0), random::<f32>(k * n, 1), random::<f32>(m * n, 2));
        for (pass, lhs, rhs) in PASSES {
            let mut group = criterion.benchmark_group(format!("libraries {pass}"));
            group.throughput(Throughput::Elements(2 * (m * n * k) as u64));
            group.bench_function(BenchmarkId::new("hesper", name), |bencher| {
                bencher.iter(|| assign_product(ViewMut::new(&mut c, m, n), view(&a, m, k, lhs), view(&b, k, n, rhs)));
            });
            group.bench_function(BenchmarkId::new("faer", name), |bencher| {
                let (a, b) = (matrix(&a, m, k, lhs), matrix(&b, k, n, rhs));
                bencher.iter(|| matmul(MatMut::from_row_major_slice_mut(&mut c, m, n), Accum::Replace, a, b, 1.0, Par::Seq));
            });
            group.bench_function(BenchmarkId::new("matrixmultiply", name), |bencher| {
                let strides = |rows: usize, columns: usize, transposed| if transposed { (1, rows) } else { (columns, 1) };
                let ((a_row, a_column), (b_row, b_column)) = (strides(m, k, lhs), strides(k, n, rhs));
                let [a_row, a_column, b_row, b_column, c_row] = [a_row, a_column, b_row, b_column, n].map(usize::cast_signed);
                // SAFETY: a, b and c have m·k, k·n and m·n elements, and these are the strides of that many rows and columns.
                bencher.iter(|| unsafe {
                    let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
                    matrixmultiply::sgemm(m, k, n, 1.0, a, a_row, a_column, b, b_row, b_column, 0.0, c, c_row, 1);
                });
            });
            group.finish();
        }
    }
}

criterion_group!(benches, products::<f32>, products::<f64>, libraries);
criterion_main!(benches);
