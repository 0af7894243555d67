//! Matrix products of burn's wgpu backend, one JSON line a shape: what hesper's products are held against on the same adapter.
//!
//! `cargo run --release -- [RUNS] [cpu]`: `cpu` takes a software adapter, such as lavapipe. A product is timed from its order to the end of
//! its work on the device; the first ones, in which burn looks for its fastest kernel, are left out.

use std::time::Instant;

use burn::tensor::{Device, DeviceKind, Distribution, Tensor};

/// Rows, terms and columns: large and square, smaller, and with the few columns of a classifier.
const SHAPES: [[usize; 3]; 3] = [[1024, 1024, 1024], [512, 512, 512], [784, 1024, 12]];

const WARMUP: usize = 5;

fn main() {
    let runs: usize = std::env::args().nth(1).and_then(|runs| runs.parse().ok()).unwrap_or(10);
    let software = std::env::args().nth(2).is_some_and(|kind| kind == "cpu");
    let device = Device::wgpu(if software { DeviceKind::Cpu } else { DeviceKind::DefaultDevice });
    for [m, k, n] in SHAPES {
        let random = |shape| Tensor::<2>::random(shape, Distribution::Uniform(-1.0, 1.0), &device);
        let (a, b) = (random([m, k]), random([k, n]));
        let mut seconds = Vec::with_capacity(runs);
        for run in 0..WARMUP + runs {
            device.sync().expect("burn's device works");
            let begin = Instant::now();
            let product = a.clone().matmul(b.clone());
            device.sync().expect("burn's device works");
            if run >= WARMUP {
                seconds.push(begin.elapsed().as_secs_f64());
            }
            drop(product);
        }
        seconds.sort_by(f64::total_cmp);
        let gflops = |seconds: f64| 2.0 * (m * k * n) as f64 / seconds / 1e9;
        let (median, best) = (gflops(seconds[runs / 2]), gflops(seconds[0]));
        println!(r#"{{"tool": "burn 0.22.1", "m": {m}, "k": {k}, "n": {n}, "median_gflops": {median:.2}, "best_gflops": {best:.2}}}"#);
    }
}
