//! Every product kernel against the formula in double precision, whole and in windows, on sizes that are no multiple of any tile.

use wgpu::Buffer;

use super::super::adapter::Software;
use super::super::device::Device;
use super::super::kernel::{Curve, Kernel};
use super::super::tile::Tile;
use super::super::uniforms::{NONE, Product, Weights};
use crate::error::Result;
use crate::model::Activation;

/// Rows, terms, samples / 4 and directions.
const SHAPES: [[usize; 4]; 5] = [[67, 37, 23, 2], [10, 131, 9, 3], [1, 1, 1, 1], [130, 20, 70, 1], [72, 36, 11, 3]];

/// Single precision over sums of some hundred terms of magnitude 1.
const TOLERANCE: f64 = 2e-5;

/// Numbers between -1 and 1, the same every time.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        f32::from_bits(0x3f80_0000 | (state >> 9)).mul_add(2.0, -3.0)
    };
    (0..count).map(|_| next()).collect()
}

/// A device, or none and a line that says so.
fn device() -> Option<Device> {
    match Device::open(None, Software::Allowed) {
        Ok(device) => Some(device),
        Err(error) if std::env::var_os("HESPER_REQUIRE_GPU").is_some_and(|value| value == "1") => panic!("{error}"),
        Err(_) => None,
    }
}

fn assert_close(what: &str, actual: &[f32], expected: &[f64]) {
    assert_eq!(actual.len(), expected.len());
    for (at, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
        let error = (f64::from(actual) - expected).abs();
        assert!(error <= TOLERANCE * expected.abs().max(1.0), "{what}: [{at}] is {actual}, expected {expected}");
    }
}

/// A window has all rows where it has several directions, so that what belongs to a direction is read by one window after the other.
#[test]
fn windows_keep_a_direction_together() {
    let Some(device) = device() else { return };
    // Before anything has run, a window has 1e8 operations.
    for (rows, directions, cost, windows) in [(512, 8, 1e6, 48), (64, 8, 5e5, 3), (64, 3, 1.0, 1), (20, 5, 1e9, 10)] {
        let found = device.windows(0..rows, directions, cost);
        assert_eq!(found.len(), windows, "{found:?}");
        let mut next = (0, 0);
        for window in found {
            assert_eq!((window.directions.start, window.rows.start), next);
            assert!(window.directions.len() == 1 || window.rows == (0..rows), "{window:?}");
            next = if window.rows.end == rows { (window.directions.end, 0) } else { (window.directions.start, window.rows.end) };
        }
        assert_eq!(next, (directions, 0));
    }
}

/// The operands of one product: a weight of `rows` x `depth` at 4 in a vector, its bias after it, activations, and arrays at θ.
struct Operands {
    rows: usize,
    depth: usize,
    samples: usize,
    directions: usize,
    transposed: bool,
    parameters: Vec<f32>,
    vector: Vec<f32>,
    incoming: Vec<f32>,
    tangent: Vec<f32>,
    first: Vec<f32>,
    bend: Vec<f32>,
    curved: Vec<f32>,
}

const OFFSET: usize = 4;

impl Operands {
    fn new([rows, depth, samples4, directions]: [usize; 4], transposed: bool) -> Self {
        let (samples, stride) = (4 * samples4, OFFSET + rows * depth + rows);
        Self {
            rows,
            depth,
            samples,
            directions,
            transposed,
            parameters: numbers(stride, 1),
            vector: numbers(directions * stride, 2),
            incoming: numbers(depth * samples, 3),
            tangent: numbers(directions * depth * samples, 4),
            first: numbers(rows * samples, 5),
            bend: numbers(rows * samples, 6),
            curved: numbers(directions * rows * samples, 7),
        }
    }

    fn strides(&self) -> [usize; 2] {
        if self.transposed { [1, self.rows] } else { [self.depth, 1] }
    }

    fn params(&self) -> Product {
        let word = super::super::space::word;
        let [row_stride, depth_stride] = self.strides().map(word);
        Product {
            rows: word(self.rows),
            samples4: word(self.samples / 4),
            stride4: word(self.samples / 4),
            depth: word(self.depth),
            tangent_depth: word(self.depth),
            row_stride,
            depth_stride,
            weight_offset: word(OFFSET),
            vector_offset: word(OFFSET),
            vector_stride: word(self.parameters.len()),
            bias_offset: if self.transposed { NONE } else { word(OFFSET + self.rows * self.depth) },
            tangent_stride4: word(self.depth * self.samples / 4),
            result_stride4: word(self.rows * self.samples / 4),
            finish: 1,
            ..Product::default()
        }
    }

    /// W·x of `direction`, with `weights` and `incoming` of that direction.
    fn product(&self, weights: &[f32], incoming: &[f32]) -> Vec<f64> {
        let [row_stride, depth_stride] = self.strides();
        let mut sums = vec![0.0; self.rows * self.samples];
        for (row, sums) in sums.chunks_exact_mut(self.samples).enumerate() {
            for (k, incoming) in incoming.chunks_exact(self.samples).enumerate() {
                let weight = f64::from(weights[OFFSET + row * row_stride + k * depth_stride]);
                sums.iter_mut().zip(incoming).for_each(|(sum, &x)| *sum += weight * f64::from(x));
            }
        }
        sums
    }

    /// W·Rz + V·z of all directions, without bias.
    fn both_products(&self) -> Vec<f64> {
        let vectors = self.vector.chunks_exact(self.parameters.len());
        let tangents = self.tangent.chunks_exact(self.depth * self.samples);
        let sums = vectors.zip(tangents).flat_map(|(vector, tangent)| {
            let (w, v) = (self.product(&self.parameters, tangent), self.product(vector, &self.incoming));
            w.into_iter().zip(v).map(|(w, v)| w + v).collect::<Vec<_>>()
        });
        sums.collect()
    }

    /// The bias of element `at` of an array [b, rows, samples], from vectors of parameters.
    fn bias(&self, vectors: &[f32], at: usize) -> f64 {
        let (direction, row) = (at / (self.rows * self.samples), at / self.samples % self.rows);
        f64::from(vectors[direction * self.parameters.len() + OFFSET + self.rows * self.depth + row])
    }

    fn first(&self, at: usize) -> f64 {
        f64::from(self.first[at % self.first.len()])
    }

    fn bend(&self, at: usize) -> f64 {
        f64::from(self.bend[at % self.bend.len()])
    }
}

/// `params` in pieces: windows of 36 rows and 5 vec4 of samples, each from 16 terms at a time and a last piece without terms.
fn pieces(params: Product) -> Vec<Product> {
    let steps = |count: u32, step: u32| (0..count).step_by(step as usize).map(move |first| (first, (count - first).min(step)));
    let mut pieces = Vec::new();
    for (row, rows) in steps(params.rows, 36) {
        for (sample, samples4) in steps(params.samples4, 5) {
            let window = Product {
                rows,
                samples4,
                bias_offset: if params.bias_offset == NONE { NONE } else { params.bias_offset + row },
                point_offset4: row * params.stride4 + sample,
                result_offset4: row * params.stride4 + sample,
                ..params
            };
            for (k, depth) in steps(params.depth, 16) {
                let weight = row * params.row_stride + k * params.depth_stride;
                pieces.push(Product {
                    depth,
                    tangent_depth: if params.tangent_depth == 0 { 0 } else { depth },
                    weight_offset: params.weight_offset + weight,
                    vector_offset: params.vector_offset + weight,
                    incoming_offset4: k * params.stride4 + sample,
                    tangent_offset4: k * params.stride4 + sample,
                    accumulate: u32::from(k > 0),
                    finish: 0,
                    ..window
                });
            }
            pieces.push(Product { depth: 0, tangent_depth: 0, accumulate: 1, finish: 1, ..window });
        }
    }
    pieces
}

/// What `kernel` leaves in `outputs`, each a binding and what it holds before.
fn run(
    device: &Device,
    kernel: Kernel,
    (tile, whole): (Tile, bool),
    operands: &Operands,
    outputs: &[(u32, &[f32])],
) -> Result<Vec<Vec<f32>>> {
    let params = operands.params();
    let tangent = matches!(kernel, Kernel::ForwardOver(_) | Kernel::BackwardOver(_));
    let (params, directions) = if tangent { (params, operands.directions) } else { (Product { tangent_depth: 0, ..params }, 1) };
    let upload = |values: &[f32]| device.buffer_of("operand", values);
    let mut inputs = vec![(1, upload(&operands.parameters)?), (2, upload(&operands.incoming)?)];
    if tangent {
        inputs.extend([(3, upload(&operands.vector)?), (4, upload(&operands.tangent)?)]);
    }
    if !matches!(kernel, Kernel::Forward(..)) {
        inputs.push((5, upload(&operands.first)?));
    }
    if matches!(kernel, Kernel::ForwardOver(Curve::Curved)) {
        inputs.push((6, upload(&operands.bend)?));
    }
    let written = outputs.iter().map(|(binding, before)| Ok((*binding, upload(before)?))).collect::<Result<Vec<_>>>()?;
    let bindings: Vec<(u32, &Buffer)> = inputs.iter().chain(&written).map(|(binding, buffer)| (*binding, &**buffer)).collect();
    for piece in if whole { vec![params] } else { pieces(params) } {
        assert_eq!(tile.fitting(&piece) == tile, tile.fitting(&params) == tile, "a piece has another order of sums than the whole");
        super::pass_with(device, kernel, tile.fitting(&piece), piece, directions, &bindings)?;
    }
    written.iter().zip(outputs).map(|((_, buffer), (_, before))| device.read(buffer, before.len())).collect()
}

/// Every tile that the device can run, on every shape, whole and in pieces.
fn variants(device: &Device, tiles: &'static [Tile]) -> impl Iterator<Item = (Tile, [usize; 4], bool)> {
    let subgroups = device.has_subgroups();
    let tiles = tiles.iter().filter(move |tile| subgroups || !tile.needs_subgroups());
    tiles.flat_map(|&tile| SHAPES.into_iter().flat_map(move |shape| [(tile, shape, true), (tile, shape, false)]))
}

/// A tile is tested with its product as it is and its two products transposed; what follows a tile, with one tile of each kind.
fn is_tested_in_full(tile: Tile) -> bool {
    [Tile::SOFTWARE_PASS, Tile::SHARED_64X64, Tile::SOFTWARE_SUBGROUP_TALL].contains(&tile)
}

fn expected(numbers: usize, at: impl Fn(usize) -> f64) -> Vec<f64> {
    (0..numbers).map(at).collect()
}

#[test]
fn passes_at_the_point_agree_with_the_formula() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    for (tile, shape, whole) in variants(&device, &Tile::PASSES) {
        let what = |name| format!("{name} {shape:?} with {tile}, whole {whole}");
        let operands = Operands::new(shape, false);
        let (sums, junk) = (operands.product(&operands.parameters, &operands.incoming), vec![7.5; operands.first.len()]);
        let a = |at: usize| sums[at] + operands.bias(&operands.parameters, at);
        let forward = Kernel::Forward(Activation::Identity, Curve::Curved);
        let found = run(&device, forward, (tile, whole), &operands, &[(5, &junk), (6, &junk), (7, &junk)])?;
        assert_close(&what("value"), &found[0], &expected(junk.len(), a));
        assert!(found[1].iter().all(|&x| x == 1.0) && found[2].iter().all(|&x| x == 0.0), "derivatives");
        if !is_tested_in_full(tile) {
            continue;
        }
        let forward = Kernel::Forward(Activation::Relu, Curve::Linear);
        let found = run(&device, forward, (tile, whole), &operands, &[(5, &junk), (6, &junk)])?;
        assert_close(&what("relu"), &found[0], &expected(junk.len(), |at| a(at).max(0.0)));

        let operands = Operands::new(shape, true);
        let sums = operands.product(&operands.parameters, &operands.incoming);
        let delta = expected(junk.len(), |at| sums[at] * operands.first(at));
        let found = run(&device, Kernel::Backward(Curve::Curved), (tile, whole), &operands, &[(7, &junk), (6, &operands.bend)])?;
        assert_close(&what("delta"), &found[0], &delta);
        assert_close(&what("bend"), &found[1], &expected(junk.len(), |at| sums[at] * operands.bend(at)));
        let found = run(&device, Kernel::Backward(Curve::Linear), (tile, whole), &operands, &[(7, &junk)])?;
        assert_close(&what("delta, linear"), &found[0], &delta);
    }
    Ok(())
}

#[test]
fn tangent_passes_agree_with_the_formula() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    for (tile, shape, whole) in variants(&device, &Tile::PASSES) {
        let what = |name| format!("{name} {shape:?} with {tile}, whole {whole}");
        let operands = Operands::new(shape, true);
        let (sums, junk) = (operands.both_products(), vec![7.5; operands.curved.len()]);
        let product = |at: usize| sums[at] * operands.first(at);
        let found = run(&device, Kernel::BackwardOver(Curve::Curved), (tile, whole), &operands, &[(6, &operands.curved)])?;
        assert_close(&what("R delta"), &found[0], &expected(junk.len(), |at| product(at) + f64::from(operands.curved[at])));
        if !is_tested_in_full(tile) {
            continue;
        }
        let found = run(&device, Kernel::BackwardOver(Curve::Linear), (tile, whole), &operands, &[(6, &junk)])?;
        assert_close(&what("R delta, linear"), &found[0], &expected(junk.len(), product));

        let operands = Operands::new(shape, false);
        let sums = operands.both_products();
        let ra = |at: usize| sums[at] + operands.bias(&operands.vector, at);
        let tangent = expected(junk.len(), |at| ra(at) * operands.first(at));
        let found = run(&device, Kernel::ForwardOver(Curve::Curved), (tile, whole), &operands, &[(7, &junk), (8, &junk)])?;
        assert_close(&what("tangent"), &found[0], &tangent);
        assert_close(&what("curved"), &found[1], &expected(junk.len(), |at| ra(at) * operands.bend(at)));
        let found = run(&device, Kernel::ForwardOver(Curve::Linear), (tile, whole), &operands, &[(7, &junk)])?;
        assert_close(&what("tangent, linear"), &found[0], &tangent);
    }
    Ok(())
}

/// Windows of 9 rows, 33 columns and 7 vec4 of samples.
fn weight_pieces(params: Weights) -> Vec<Weights> {
    let steps = |count: u32, step: u32| (0..count).step_by(step as usize).map(move |first| (first, (count - first).min(step)));
    let mut pieces = Vec::new();
    for (row, rows) in steps(params.rows, 9) {
        for (column, columns) in steps(params.columns, 33) {
            for (sample, samples4) in steps(params.samples4, 7) {
                pieces.push(Weights {
                    rows,
                    columns,
                    samples4,
                    vector_offset: params.vector_offset + row * params.row_stride + column,
                    result_offset: params.result_offset + row * params.row_stride + column,
                    delta_offset4: row * params.stride4 + sample,
                    tangent_delta_offset4: row * params.stride4 + sample,
                    input_offset4: column * params.stride4 + sample,
                    tangent_input_offset4: column * params.stride4 + sample,
                    accumulate: u32::from(sample > 0),
                    ..params
                });
            }
        }
    }
    pieces
}

#[test]
fn weight_products_agree_with_the_formula() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let word = super::super::space::word;
    let decay = 0.5_f32;
    for [rows, columns, samples4, directions] in SHAPES {
        let (samples, stride) = (4 * samples4, OFFSET + rows * columns + rows);
        let [delta, input] = [numbers(rows * samples, 1), numbers(columns * samples, 2)];
        let [tangent_delta, tangent_input] = [numbers(directions * rows * samples, 3), numbers(directions * columns * samples, 4)];
        let vector = numbers(directions * stride, 5);
        let outer = |left: &[f32], right: &[f32], row: usize, column: usize| -> f64 {
            let (left, right) = (&left[row * samples..][..samples], &right[column * samples..][..samples]);
            left.iter().zip(right).map(|(&l, &r)| f64::from(l) * f64::from(r)).sum()
        };
        let params = Weights {
            rows: word(rows),
            columns: word(columns),
            samples4: word(samples4),
            stride4: word(samples4),
            row_stride: word(columns),
            vector_offset: word(OFFSET),
            result_offset: word(OFFSET),
            block_stride: word(stride),
            tangent_delta_stride4: word(rows * samples4),
            tangent_input_stride4: word(columns * samples4),
            decay,
            bias_decay: decay,
            ..Weights::default()
        };
        let bias = word(OFFSET + rows * columns);
        let bias = Weights { columns: 1, row_stride: 1, vector_offset: bias, result_offset: bias, ..params };
        let buffers = [&tangent_delta, &input, &delta, &tangent_input, &vector].map(|values| device.buffer_of("operand", values));
        let [b1, b2, b3, b4, b5] = buffers;
        let inputs = [(1, b1?), (2, b2?), (3, b3?), (4, b4?), (5, b5?)];
        for (kernel, second, of_bias, used) in [
            (Kernel::Weights, 1, Kernel::BiasSums, &[1, 2, 3, 4, 5][..]),
            (Kernel::Weights, 0, Kernel::BiasSums, &[1, 2, 3, 4, 5]),
            (Kernel::Gradient, 0, Kernel::BiasGradient, &[2, 3, 5]),
        ] {
            let directions = if kernel == Kernel::Gradient { 1 } else { directions };
            let sum = |direction: usize, row: usize, column: Option<usize>| -> f64 {
                let left = if kernel == Kernel::Gradient { &delta[..] } else { &tangent_delta[direction * rows * samples..] };
                let Some(column) = column else { return left[row * samples..][..samples].iter().map(|&x| f64::from(x)).sum() };
                let second = if second == 1 { outer(&delta, &tangent_input[direction * columns * samples..], row, column) } else { 0.0 };
                outer(left, &input, row, column) + second
            };
            let expected = expected(directions * stride, |at| {
                let (direction, inside) = (at / stride, at % stride);
                let Some(inside) = inside.checked_sub(OFFSET) else { return 7.5 };
                let (row, column) =
                    if inside < rows * columns { (inside / columns, Some(inside % columns)) } else { (inside - rows * columns, None) };
                sum(direction, row, column) + f64::from(decay) * f64::from(vector[at])
            });
            for (tile, whole) in Tile::WEIGHTS
                .into_iter()
                .filter(|tile| device.has_subgroups() || !tile.needs_subgroups())
                .flat_map(|tile| [(tile, true), (tile, false)])
            {
                let result = device.buffer_of("result", &vec![7.5; directions * stride])?;
                let bound = |used: &[u32]| -> Vec<(u32, &Buffer)> {
                    let inputs = inputs.iter().filter(|(binding, _)| used.contains(binding));
                    inputs.map(|(binding, buffer)| (*binding, &**buffer)).chain([(6, &*result)]).collect()
                };
                let in_passing = tile.sums_biases() && kernel != Kernel::Gradient;
                for piece in if whole { vec![params] } else { weight_pieces(params) } {
                    let at = piece.result_offset - params.result_offset;
                    let (row, column) = (at / params.columns, at % params.columns);
                    let to_bias = (params.rows * params.columns + row) - row * params.columns;
                    let bias_offset = if in_passing && column == 0 { to_bias } else { 0 };
                    super::weights_with(&device, kernel, tile, Weights { bias_offset, second, ..piece }, directions, &bound(used))?;
                }
                let of_bias_used = if of_bias == Kernel::BiasSums { [1, 5] } else { [3, 5] };
                for piece in if in_passing {
                    vec![]
                } else if whole {
                    vec![bias]
                } else {
                    weight_pieces(bias)
                } {
                    super::bias(&device, of_bias, piece, directions, &bound(&of_bias_used))?;
                }
                let found = device.read(&result, directions * stride)?;
                assert_close(&format!("{kernel:?} {rows} x {columns} over {samples} with {tile}, whole {whole}"), &found, &expected);
            }
        }
    }
    Ok(())
}
