//! Hessian-vector products of the backends on shapes chosen for what limits them.
//!
//! `HESPER_BENCH_SMALL=1` runs one small shape, to see that the bench works. Throughput is nominal: 12·N·Σ in·out operations a
//! product, whatever a backend executes.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hesper::backend::cpu::Cpu;
use hesper::curvature::{Curvature, CurvatureOperator, Inputs, Objective, Storage};
use hesper::krylov::VectorSpace;
use hesper::model::{Activation, Layer, Loss, Network, Targets};
use hesper::numeric::Real;
use hesper::rng::{self, Distribution};

/// A network and the number of samples.
struct Shape {
    /// What limits it.
    name: &'static str,
    widths: &'static [usize],
    activation: Activation,
    samples: usize,
}

const SHAPES: [Shape; 3] = [
    Shape { name: "a: kinks, bound by the products", widths: &[784, 512, 512, 10], activation: Activation::Relu, samples: 2048 },
    Shape { name: "b: curved, larger than a cache", widths: &[784, 1024, 1024, 1024, 10], activation: Activation::Gelu, samples: 2048 },
    Shape { name: "c: tiny, bound by overheads", widths: &[64, 64, 64, 10], activation: Activation::Tanh, samples: 1797 },
];

const SMALL: [Shape; 1] = [Shape { name: "small", widths: &[8, 16, 4], activation: Activation::Tanh, samples: 40 }];

fn normal(count: usize, probe: u32) -> Vec<f64> {
    let mut values = vec![0.0; count];
    rng::fill(Distribution::Gaussian, 0, probe, &mut values);
    values
}

fn objective(shape: &Shape) -> hesper::Result<Objective> {
    let last = shape.widths.len() - 2;
    let layers = shape.widths.windows(2).enumerate().map(|(l, widths)| {
        let scale = (2.0 / widths[0] as f64).sqrt();
        Layer {
            inputs: widths[0],
            outputs: widths[1],
            weight: normal(widths[0] * widths[1], 0).iter().map(|w| scale * w).collect(),
            bias: Some(vec![0.0; widths[1]]),
            activation: if l == last { Activation::Identity } else { shape.activation },
        }
    });
    let network = Network::new(layers.collect())?;
    let classes = (0..shape.samples).map(|sample| u32::from(sample % network.outputs() == 0)).collect();
    let inputs = Inputs::new(Storage::F64(normal(shape.samples * shape.widths[0], 1)), shape.widths[0], 1.0)?;
    Objective::new(network, Loss::CrossEntropy, 0.0, inputs, Targets::Classes(classes))
}

fn products<A: CurvatureOperator>(criterion: &mut Criterion, name: &str, make: impl Fn(&Objective) -> hesper::Result<A>) {
    let small = std::env::var_os("HESPER_BENCH_SMALL").is_some();
    let mut group = criterion.benchmark_group(format!("hvp {name}"));
    group.sample_size(20);
    for shape in if small { &SMALL[..] } else { &SHAPES[..] } {
        let objective = objective(shape).expect("the table's shapes are valid");
        let operator = make(&objective).expect("the random network is finite");
        for columns in [1, 8] {
            let mut x = operator.space().block(columns).expect("room for a block");
            let mut y = operator.space().block(columns).expect("room for a block");
            operator.space().fill(&mut x, Distribution::Rademacher, 0, 0).expect("a fill");
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number far below 2⁶⁴")]
            group.throughput(Throughput::Elements(objective.nominal_flop() as u64 * columns as u64));
            let id = BenchmarkId::new(shape.name, columns);
            group.bench_function(id, |bencher| bencher.iter(|| operator.apply(&x, &mut y)));
        }
    }
    group.finish();
}

fn cpu<T: Real>(criterion: &mut Criterion) {
    products(criterion, &format!("cpu {}", T::PRECISION), |objective| Cpu::<T>::new(objective, Curvature::Hessian));
}

criterion_group!(benches, cpu::<f32>, cpu::<f64>);
criterion_main!(benches);
