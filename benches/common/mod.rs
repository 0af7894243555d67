//! What the benches share: shapes chosen for what limits them, and random networks of those shapes.

use std::rc::Rc;

use hesper::backend::gpu::{Device, Software};
use hesper::curvature::{Inputs, Objective, Storage};
use hesper::model::{Activation, Dense, Loss, Network, Targets};
use hesper::rng::{self, Distribution};

/// A network and the number of samples.
pub(crate) struct Shape {
    /// What limits it.
    pub(crate) name: &'static str,
    pub(crate) widths: &'static [usize],
    pub(crate) activation: Activation,
    pub(crate) samples: usize,
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

pub(crate) fn objective(shape: &Shape) -> hesper::Result<Objective> {
    let last = shape.widths.len() - 2;
    let layers = shape.widths.windows(2).enumerate().map(|(l, widths)| {
        let scale = (2.0 / widths[0] as f64).sqrt();
        let dense = Dense {
            inputs: widths[0],
            outputs: widths[1],
            weight: normal(widths[0] * widths[1], 0).iter().map(|w| scale * w).collect(),
            bias: Some(vec![0.0; widths[1]]),
        };
        (dense, if l == last { Activation::Identity } else { shape.activation })
    });
    let network = Network::chain(shape.widths[0], layers)?;
    let classes = (0..shape.samples).map(|sample| u32::from(sample % network.outputs() == 0)).collect();
    let inputs = Inputs::new(Storage::F64(normal(shape.samples * shape.widths[0], 1)), shape.widths[0], 1.0)?;
    Objective::new(network, Loss::CrossEntropy, 0.0, inputs, Targets::Classes(classes))
}

/// The table, or with `HESPER_BENCH_SMALL=1` one small shape, to see that a bench works.
pub(crate) fn shapes() -> &'static [Shape] {
    if is_small() { &SMALL } else { &SHAPES }
}

/// Whether only the small mode runs.
pub(crate) fn is_small() -> bool {
    std::env::var_os("HESPER_BENCH_SMALL").is_some()
}

/// A GPU to bench: hardware; a software driver only in the small mode, since it says nothing about GPUs.
pub(crate) fn device() -> Option<Rc<Device>> {
    let software = if is_small() { Software::Allowed } else { Software::Refused };
    Device::open(None, software).ok().map(Rc::new)
}
