//! The CPU's matrix products on the shapes that a Hessian-vector product is made of, beside those of other libraries.
//!
//! `HESPER_BENCH_SMALL=1` runs one small shape, to see that the bench works.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use hesper::backend::cpu::multiply::{Found, Term, multiply, multiply_transposed};
use hesper::backend::cpu::panels::Panels;
use hesper::numeric::Real;
use hesper::rng::{self, Distribution};

/// Name and reason, rows, columns and inner extent (m, n, k) of the result.
const SHAPES: [(&str, [usize; 3]); 9] = [
    ("square: the figure that others quote", [1024, 1024, 1024]),
    ("first layer, one segment", [256, 512, 784]),
    ("hidden layer, one segment", [256, 512, 512]),
    ("wide hidden layer, one segment", [256, 1024, 1024]),
    ("weights of a hidden layer, one task", [128, 512, 256]),
    ("weights of a wide hidden layer, one task", [128, 1024, 256]),
    ("outputs: only ten columns", [256, 10, 512]),
    ("back from the outputs: inner extent ten", [256, 512, 10]),
    ("weights of the outputs: ten rows", [10, 512, 256]),
];

const SMALL: [(&str, [usize; 3]); 1] = [("small", [64, 10, 33])];

fn shapes() -> &'static [(&'static str, [usize; 3])] {
    if std::env::var_os("HESPER_BENCH_SMALL").is_some() { &SMALL } else { &SHAPES }
}

/// Which operands a library for any product finds transposed: those of the forward, the backward and the weights' pass.
const PASSES: [(&str, bool, bool); 3] = [("forward", false, true), ("backward", false, false), ("weights", true, false)];

fn random<T: Real>(count: usize, probe: u32) -> Vec<T> {
    let mut values = vec![T::ZERO; count];
    rng::fill(Distribution::Gaussian, 0, probe, &mut values);
    values
}

/// `out` ← lhs · rhs in panels; the left operand is m × k, or k × m where it is transposed.
fn product<T: Real>(out: &mut Panels<T>, lhs: &Panels<T>, rhs: &Panels<T>, transposed: bool) {
    let terms = [Term { lhs: lhs.view(), rhs: rhs.view() }];
    if transposed { multiply_transposed(out, Found::Lost, &terms) } else { multiply(out, Found::Lost, &terms) }
}

fn products<T: Real>(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("matmul {}", T::PRECISION));
    for &(name, [m, n, k]) in shapes() {
        let (a, b) = (random::<T>(m * k, 0), random::<T>(k * n, 1));
        let (rhs, mut out) = (Panels::new(&b, n), Panels::new(&vec![T::ZERO; m * n], n));
        group.throughput(Throughput::Elements(2 * (m * n * k) as u64));
        for (pass, columns, transposed) in [("forward and backward", k, false), ("weights", m, true)] {
            let lhs = Panels::new(&a, columns);
            group.bench_function(BenchmarkId::new(pass, name), |bencher| bencher.iter(|| product(&mut out, &lhs, &rhs, transposed)));
        }
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

/// faer and matrixmultiply on the same operands, on one thread and in single precision; hesper's lie in panels, as they do in its products.
fn libraries(criterion: &mut Criterion) {
    for &(name, [m, n, k]) in shapes() {
        let (a, b, mut c) = (random::<f32>(m * k, 0), random::<f32>(k * n, 1), random::<f32>(m * n, 2));
        for (pass, lhs, rhs) in PASSES {
            let mut group = criterion.benchmark_group(format!("libraries {pass}"));
            group.throughput(Throughput::Elements(2 * (m * n * k) as u64));
            group.bench_function(BenchmarkId::new("hesper", name), |bencher| {
                let (a, b) = (Panels::new(&a, if lhs { m } else { k }), Panels::new(&b, n));
                let mut c = Panels::new(&c, n);
                bencher.iter(|| product(&mut c, &a, &b, lhs));
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
