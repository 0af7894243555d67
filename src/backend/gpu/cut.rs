//! A layer's products cut into what one dispatch makes: the pieces of its weight, and windows of them that take no longer than a
//! dispatch may.

use super::device::{Device, Window};
use super::product::product_cost;
use super::shards::{Piece, Shards};
use super::space::word;
use super::tile::Tile;
use super::tiles::ShapeClass;
use super::uniforms::{NONE, Product, Weights};

/// A layer's sizes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extents {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

/// What a pass back through a layer sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Terms {
    /// Wᵀ δ.
    Point,
    /// Wᵀ Rδ.
    Tangent,
    /// Wᵀ Rδ + Vᵀ δ.
    Both,
}

/// One dispatch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step<P> {
    /// The shard of every operand that is a vector of all parameters.
    pub(super) shard: usize,
    /// The whole product's, so that no window, whose size depends on the device's speed, has another order of sums.
    pub(super) tile: Tile,
    pub(super) params: P,
    pub(super) directions: usize,
}

/// Cuts products in `directions` directions over 4·`samples4` samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut<'a> {
    pub(super) device: &'a Device,
    pub(super) shards: &'a Shards,
    pub(super) samples4: usize,
    pub(super) directions: usize,
    /// Whether what it cuts is made once, where products are made many times.
    pub(super) once: bool,
}

impl Cut<'_> {
    fn windows(&self, rows: std::ops::Range<usize>, depth: usize) -> Vec<Window> {
        self.device.windows(rows, self.directions, product_cost(1, depth, 4 * self.samples4))
    }

    fn tile(&self, class: ShapeClass) -> Tile {
        let mut tiles = self.device.tiles();
        if self.once { tiles.once(class) } else { tiles.of(class) }
    }

    /// What passes of all kinds have in common; arrays [b, rows, samples] of `depth` and `rows` rows.
    fn pass(&self, piece: &Piece, window: &Window, weight: usize, [depth, rows]: [usize; 2]) -> Product {
        let (samples4, stride, direction) = (self.samples4, self.shards.stride(piece.shard), window.directions.start);
        Product {
            rows: word(window.rows.len()),
            samples4: word(samples4),
            stride4: word(samples4),
            weight_offset: word(piece.weight + weight),
            vector_offset: word(piece.weight + weight + direction * stride),
            vector_stride: word(stride),
            bias_offset: NONE,
            tangent_offset4: word(direction * depth * samples4),
            tangent_stride4: word(depth * samples4),
            point_offset4: word(window.rows.start * samples4),
            result_offset4: word((direction * rows + window.rows.start) * samples4),
            result_stride4: word(rows * samples4),
            finish: 1,
            ..Product::default()
        }
    }

    /// W z + b (and V z + v) of layer `index`, sums of `depth` terms and, over tangents, of `tangent_depth`: the layer's inputs, or 0 where
    /// one of them vanishes.
    pub(super) fn forward(&self, index: usize, layer: Extents, [depth, tangent_depth]: [usize; 2]) -> Vec<Step<Product>> {
        let mut steps = Vec::new();
        let whole = Product { rows: word(layer.outputs), depth: word(layer.inputs), depth_stride: 1, ..Product::default() };
        let tile = self.tile(ShapeClass::of_pass(&whole));
        for piece in self.shards.layer(index) {
            for window in self.windows(piece.rows.clone(), depth + tangent_depth) {
                let row = window.rows.start - piece.rows.start;
                let bias = piece.bias.map(|bias| word(bias + row + window.directions.start * self.shards.stride(piece.shard)));
                let params = Product {
                    depth: word(depth),
                    tangent_depth: word(tangent_depth),
                    row_stride: word(layer.inputs),
                    depth_stride: 1,
                    bias_offset: bias.unwrap_or(NONE),
                    ..self.pass(piece, &window, row * layer.inputs, [layer.inputs, layer.outputs])
                };
                steps.push(Step { shard: piece.shard, tile: tile.fitting(&params), params, directions: window.directions.len() });
            }
        }
        steps
    }

    /// `terms` of layer `index`: the pieces are pieces of the sum.
    pub(super) fn backward(&self, index: usize, layer: Extents, terms: Terms) -> Vec<Step<Product>> {
        let mut steps = Vec::new();
        let pieces = self.shards.layer(index);
        let whole = Product { rows: word(layer.inputs), depth: word(layer.outputs), ..Product::default() };
        let tile = self.tile(ShapeClass::of_pass(&whole));
        let length = layer.outputs.div_ceil(pieces.len()) * if terms == Terms::Both { 2 } else { 1 };
        for window in self.windows(0..layer.inputs, length) {
            for (turn, piece) in pieces.iter().enumerate() {
                let params = self.pass(piece, &window, window.rows.start, [layer.outputs, layer.inputs]);
                let depth = word(piece.rows.len());
                let first = word(piece.rows.start * self.samples4);
                let params = Product {
                    depth: if terms == Terms::Tangent { 0 } else { depth },
                    tangent_depth: if terms == Terms::Point { 0 } else { depth },
                    row_stride: 1,
                    depth_stride: word(layer.inputs),
                    incoming_offset4: first,
                    tangent_offset4: params.tangent_offset4 + first,
                    accumulate: u32::from(turn > 0),
                    finish: u32::from(turn + 1 == pieces.len()),
                    ..params
                };
                steps.push(Step { shard: piece.shard, tile: tile.fitting(&params), params, directions: window.directions.len() });
            }
        }
        steps
    }

    /// δ zᵀ of layer `index`, with `terms` such products (two for a Hessian, one elsewhere), which decay by `decay`; and in passing the sums of
    /// its biases, where these are given a decay and the tile makes them.
    pub(super) fn weights(
        &self,
        index: usize,
        layer: Extents,
        terms: usize,
        (decay, bias_decay): (f32, Option<f32>),
        accumulate: bool,
    ) -> Vec<Step<Weights>> {
        let mut steps = Vec::new();
        let whole = Weights { rows: word(layer.outputs), columns: word(layer.inputs), ..Weights::default() };
        let tile = self.tile(ShapeClass::of_weights(&whole));
        for piece in self.shards.layer(index) {
            for window in self.windows(piece.rows.clone(), terms * layer.inputs) {
                let row = window.rows.start - piece.rows.start;
                let weight = piece.weight + row * layer.inputs;
                let biases = bias_decay.zip(piece.bias).filter(|_| tile.sums_biases());
                let params = Weights {
                    columns: word(layer.inputs),
                    row_stride: word(layer.inputs),
                    bias_offset: biases.map_or(0, |(_, bias)| word(bias + row - weight)),
                    bias_decay: biases.map_or(0.0, |(decay, _)| decay),
                    second: u32::from(terms == 2),
                    ..self.sums(piece, &window, weight, layer, decay, accumulate)
                };
                steps.push(Step { shard: piece.shard, tile, params, directions: window.directions.len() });
            }
        }
        steps
    }

    /// The same of the layer's biases alone, in all directions, each with its shard; none where there are none.
    pub(super) fn biases(&self, index: usize, layer: Extents, decay: f32, accumulate: bool) -> Vec<(usize, Weights)> {
        let bias = |piece: &Piece, window: &Window| {
            let at = piece.bias? + window.rows.start - piece.rows.start;
            Some(Weights { columns: 1, row_stride: 1, ..self.sums(piece, window, at, layer, decay, accumulate) })
        };
        self.by_rows(index, bias)
    }

    /// The same of a normalization's gain: x̂ and R x̂, arrays of one row more than the layer has, take the place of z.
    pub(super) fn gains(&self, index: usize, layer: Extents, decay: f32, accumulate: bool) -> Vec<(usize, Weights)> {
        let standard = Extents { inputs: layer.outputs + 1, ..layer };
        let gain = |piece: &Piece, window: &Window| {
            let row = window.rows.start * self.samples4;
            let sums = self.sums(piece, window, piece.weight + window.rows.start - piece.rows.start, standard, decay, accumulate);
            Some(Weights { columns: 1, row_stride: 1, input_offset4: word(row), tangent_input_offset4: word(row), ..sums })
        };
        self.by_rows(index, gain)
    }

    /// What `params` makes of the rows of layer `index`, as many at once as a grid has.
    fn by_rows(&self, index: usize, params: impl Fn(&Piece, &Window) -> Option<Weights>) -> Vec<(usize, Weights)> {
        let height = self.device.max_workgroups();
        let mut steps = Vec::new();
        for piece in self.shards.layer(index) {
            for first in piece.rows.clone().step_by(height) {
                let window = Window { rows: first..piece.rows.end.min(first + height), directions: 0..self.directions };
                steps.extend(params(piece, &window).map(|params| (piece.shard, params)));
            }
        }
        steps
    }

    fn sums(&self, piece: &Piece, window: &Window, at: usize, layer: Extents, decay: f32, accumulate: bool) -> Weights {
        let (samples4, stride, direction) = (self.samples4, self.shards.stride(piece.shard), window.directions.start);
        let at = word(at + direction * stride);
        Weights {
            rows: word(window.rows.len()),
            samples4: word(samples4),
            stride4: word(samples4),
            vector_offset: at,
            result_offset: at,
            block_stride: word(stride),
            delta_offset4: word(window.rows.start * samples4),
            tangent_delta_offset4: word((direction * layer.outputs + window.rows.start) * samples4),
            tangent_delta_stride4: word(layer.outputs * samples4),
            tangent_input_offset4: word(direction * layer.inputs * samples4),
            tangent_input_stride4: word(layer.inputs * samples4),
            decay,
            accumulate: u32::from(accumulate),
            ..Weights::default()
        }
    }
}
