//! The products of a layer that has all of its weights, as dense ones ([`dense`](super::dense)): its values are W row by row. Backward also those of a large
//! layer that has most of them, some rows at a time: zeros in the place of the others, and the stored entries picked out of dW.
//!
//! A sparse product of such a layer pays forward a load for each multiply-add, and backward the way between row order and column order, in which neighbours lie
//! a row apart and, where that is a power of two, meet in few sets of every cache: 41 % of peak, 87 % here (1024×1024, batch 128, Node 24). With 64 samples at
//! a density of 0.9 it is 41 and 60 %, without dX 42 and 62.
//!
//! Tried: zeros forward as well, put in while W is packed: 66 % of peak at a density of 0.9, sparse 74. The way between the two orders in blocks of 8 to 128
//! rows: 63 % at a density of 1, nothing at 0.8. The way from row to column order along the rows, its turns found once: 52 % at 0.9 with 64 samples.
//! Products to and from rows of samples, copied to panels after: 83 % instead of 87.

use super::backward::Backward;
use super::dense::{self, Matrix, Operand, Rows, Target, multiply};
use super::forward::{Activation, Forward};
use super::{PANEL, edit};
use crate::lanes::Row;
use crate::pattern::CsrPattern;
use std::array::from_fn;
use std::ops::Range;

/// Working memory, kept between calls.
#[derive(Default)]
pub struct Scratch {
    dense: dense::Scratch,
    /// Some rows of W, and then of dW, with what is not stored: 1 KB for each feature.
    filled: Vec<f32>,
}

/// Units whose rows are filled up at once. 512 are as fast, fewer are not.
const UNITS: usize = 256;

/// Units and features, and weights, from which on packing and half-empty tiles pay: 10×1024 takes 2.5 times as long as with sparse products, 120×400 as long.
const LEAST: (usize, usize) = (64, 1 << 16);

/// Weights beyond which they and what belongs to them fill more than a second-level cache of 1 MB.
const LARGE: usize = 1 << 19;

/// Whether these products are the ones to take: not for few samples either, of which sparse ones load only what is there.
pub fn serves(pattern: &CsrPattern, batch: usize) -> bool {
    filled(pattern, batch) == 1.0
}

/// Whether the backward pass takes them even if some weights are missing. Filling up and picking out costs what 17 samples' products do, and to change a large
/// layer's order and back as much as 60: equal at a density of 0.65 for 64 samples, at 0.77 for 128.
pub fn serves_backward(pattern: &CsrPattern, batch: usize) -> bool {
    let (filled, samples) = (filled(pattern, batch), batch as f64);
    filled == 1.0 || pattern.nnz_of_a() >= LARGE && filled >= f64::max(0.625, (samples + 17.0) / (samples + 60.0))
}

/// The share of its places that A has, of a layer and a batch large enough for dense products; else 0.
fn filled(pattern: &CsrPattern, batch: usize) -> f64 {
    let (units, features) = (pattern.rows(), pattern.cols());
    if batch <= PANEL / 2 || units.min(features) < LEAST.0 || pattern.nnz() < LEAST.1 {
        return 0.0;
    }
    pattern.nnz_of_a() as f64 / (units as f64 * features as f64)
}

/// As the chunks of [`Forward`], to the bit: each output starts at its bias and adds its terms in the same order.
pub(super) fn forward(product: &Forward, y: &mut [Row], scratch: &mut Scratch) {
    let Forward { pattern, values, bias, x, batch, activation, .. } = *product;
    let (units, features) = (pattern.rows(), pattern.cols());
    for (panel, y) in y.chunks_exact_mut(units).enumerate() {
        for (unit, y) in y.iter_mut().enumerate() {
            let bias = bias.map_or(0.0, |bias| bias[unit]);
            *y = Row(from_fn(|sample| if panel * PANEL + sample < batch { bias } else { 0.0 }));
        }
    }
    let w = Operand { matrix: &Matrix { values, cols: features }, lines_adjacent: false };
    onto_panels(w, Panels { panels: x, lines: features, first: 0 }, [units, batch, features], y, &mut scratch.dense);
    if activation == Activation::Relu {
        y.iter_mut().for_each(|y| y.set(y.lanes().map(|lanes| lanes.zero_below(activation.floor()))));
    }
}

/// As the chunks of [`Backward`], dX to the bit if dY is finite; an entry of dW adds its terms sample by sample, not lane by lane.
pub(super) fn backward(products: &Backward, mut dx: Option<&mut [Row]>, d_values: &mut [f32], scratch: &mut Scratch) {
    let Backward { pattern, values, batch, .. } = *products;
    let (units, features) = (pattern.rows(), pattern.cols());
    let Scratch { dense, filled } = scratch;
    if let Some(dx) = &mut dx {
        dx.fill(Row::ZERO);
    }
    if serves(pattern, batch) {
        if let Some(dx) = dx {
            add_dx(products, 0..units, values, dx, dense);
        }
        set_dw(products, 0..units, d_values, dense);
        return;
    }
    for first in (0..units).step_by(UNITS) {
        let here = first..units.min(first + UNITS);
        filled.resize(here.len() * features, 0.0);
        if let Some(dx) = &mut dx {
            filled.fill(0.0);
            edit::scatter(pattern, here.clone(), false, values, filled);
            add_dx(products, here.clone(), filled, dx, dense);
        }
        set_dw(products, here.clone(), filled, dense);
        edit::gather(pattern, here, filled, d_values);
    }
}

/// What some units, of which `w [units.len(), features]` are the rows of W, add to dX.
fn add_dx(products: &Backward, units: Range<usize>, w: &[f32], dx: &mut [Row], scratch: &mut dense::Scratch) {
    let Backward { pattern, dy, batch, .. } = *products;
    let features = pattern.cols();
    let w = Operand { matrix: &Matrix { values: w, cols: features }, lines_adjacent: true };
    onto_panels(w, Panels { panels: dy, lines: pattern.rows(), first: units.start }, [features, batch, units.len()], dx, scratch);
}

/// Adds op(W)·`from` to panels of `lines` features, op(W) `[lines, terms]`.
fn onto_panels(w: Operand, from: Panels, [lines, batch, terms]: [usize; 3], to: &mut [Row], scratch: &mut dense::Scratch) {
    let from = Operand { matrix: &from, lines_adjacent: true };
    let to = Target { values: Row::flat(to), start: &|line| line * PANEL, apart: PANEL * lines, add: true, bias: None, relu: false };
    multiply([lines, batch, terms], w, from, to, scratch);
}

/// Overwrites the rows of some units, `dw [units.len(), features]`.
fn set_dw(products: &Backward, units: Range<usize>, dw: &mut [f32], scratch: &mut dense::Scratch) {
    let Backward { pattern, x, dy, batch, .. } = *products;
    let features = pattern.cols();
    let (dy, x) = (Panels { panels: dy, lines: pattern.rows(), first: units.start }, Panels { panels: x, lines: features, first: 0 });
    let (dy, x) = (Operand { matrix: &dy, lines_adjacent: false }, Operand { matrix: &x, lines_adjacent: false });
    let dw = Target { values: dw, start: &|unit| unit * features, apart: PANEL, add: false, bias: None, relu: false };
    multiply([units.len(), features, batch], dy, x, dw, scratch);
}

/// Panels as a matrix `[lines, samples]`.
struct Panels<'a> {
    panels: &'a [Row],
    lines: usize,
    /// The line that counts as the first.
    first: usize,
}

impl Rows for Panels<'_> {
    fn row<'a>(&'a self, line: usize, samples: Range<usize>, room: &'a mut [f32]) -> &'a [f32] {
        let room = &mut room[..samples.len()];
        for (to, panel) in room.chunks_mut(PANEL).zip(samples.start / PANEL..) {
            let from = &self.panels[panel * self.lines + self.first + line].0;
            match to.first_chunk_mut() {
                Some(whole) => *whole = *from,
                None => to.copy_from_slice(&from[..to.len()]),
            }
        }
        room
    }
}
