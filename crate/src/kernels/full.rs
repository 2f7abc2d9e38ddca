//! The products of a layer that has all of its weights, as dense ones ([`dense`](super::dense)): its values are W row by row. Backward also those of a large
//! layer that has most of them, some rows at a time: zeros in the place of the others, and the stored entries picked out of dW.
//!
//! A sparse product of such a layer pays forward a load for each multiply-add, and backward the way between row order and column order, in which neighbours lie
//! a row apart and, where that is a power of two, meet in few sets of every cache: 41 % of peak, 83 % here (1024×1024, batch 128, Node 24). With 64 samples at
//! a density of 0.9 it is 41 and 60 %, without dX 42 and 62.
//!
//! Tried: zeros forward as well, put in while W is packed: 66 % of peak at a density of 0.9, sparse 74. The way between the two orders in blocks of 8 to 128
//! rows: 63 % at a density of 1, nothing at 0.8. The way from row to column order along the rows, its turns found once: 52 % at 0.9 with 64 samples.

use super::backward::Backward;
use super::dense::{self, Matrix, Operand, Rows, Target, multiply};
use super::forward::{Activation, Forward};
use super::{PANEL, edit, pack};
use crate::lanes::Row;
use crate::pattern::CsrPattern;
use std::ops::Range;

/// Working memory, kept between calls: what the dense product has, and activations row by row.
#[derive(Default)]
pub struct Scratch {
    dense: dense::Scratch,
    rows: Vec<f32>,
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
    let Scratch { dense, rows, .. } = scratch;
    rows.clear();
    match bias {
        Some(bias) => (0..batch).for_each(|_| rows.extend_from_slice(bias)),
        None => rows.resize(batch * units, 0.0),
    }
    let (x, w) = (Panels { panels: x, lines: features, first: 0 }, Matrix { values, cols: features });
    let (x, w) = (Operand { matrix: &x, lines_adjacent: true }, Operand { matrix: &w, lines_adjacent: false });
    let relu = activation == Activation::Relu;
    multiply([batch, units, features], x, w, Target { values: rows, start: &|sample| sample * units, add: true, bias: None, relu }, dense);
    pack::pack(rows, y, batch, units);
}

/// As the chunks of [`Backward`], dX to the bit if dY is finite; an entry of dW adds its terms sample by sample, not lane by lane.
pub(super) fn backward(products: &Backward, dx: Option<&mut [Row]>, d_values: &mut [f32], scratch: &mut Scratch) {
    let Backward { pattern, values, batch, .. } = *products;
    let (units, features) = (pattern.rows(), pattern.cols());
    let Scratch { dense, rows, filled } = scratch;
    if serves(pattern, batch) {
        if dx.is_some() {
            add_dx(products, 0..units, values, rows, dense);
        }
        set_dw(products, 0..units, d_values, dense);
    } else {
        for first in (0..units).step_by(UNITS) {
            let here = first..units.min(first + UNITS);
            filled.resize(here.len() * features, 0.0);
            if dx.is_some() {
                filled.fill(0.0);
                edit::scatter(pattern, here.clone(), false, values, filled);
                add_dx(products, here.clone(), filled, rows, dense);
            }
            set_dw(products, here.clone(), filled, dense);
            edit::gather(pattern, here, filled, d_values);
        }
    }
    if let Some(dx) = dx {
        pack::pack(rows, dx, batch, features);
    }
}

/// What some units, of which `w [units.len(), features]` are the rows of W, add to dX `[batch, features]`; the first ones start it.
fn add_dx(products: &Backward, units: Range<usize>, w: &[f32], dx: &mut Vec<f32>, scratch: &mut dense::Scratch) {
    let Backward { pattern, dy, batch, .. } = *products;
    let features = pattern.cols();
    dx.resize(batch * features, 0.0);
    let (dy, w) = (Panels { panels: dy, lines: pattern.rows(), first: units.start }, Matrix { values: w, cols: features });
    let (dy, w) = (Operand { matrix: &dy, lines_adjacent: true }, Operand { matrix: &w, lines_adjacent: true });
    let dx = Target { values: dx, start: &|sample| sample * features, add: units.start > 0, bias: None, relu: false };
    multiply([batch, features, units.len()], dy, w, dx, scratch);
}

/// Overwrites the rows of some units, `dw [units.len(), features]`.
fn set_dw(products: &Backward, units: Range<usize>, dw: &mut [f32], scratch: &mut dense::Scratch) {
    let Backward { pattern, x, dy, batch, .. } = *products;
    let features = pattern.cols();
    let (dy, x) = (Panels { panels: dy, lines: pattern.rows(), first: units.start }, Panels { panels: x, lines: features, first: 0 });
    let (dy, x) = (Operand { matrix: &dy, lines_adjacent: false }, Operand { matrix: &x, lines_adjacent: false });
    let dw = Target { values: dw, start: &|unit| unit * features, add: false, bias: None, relu: false };
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
        let mut next = samples.start;
        while next < samples.end {
            let (panel, lane) = (next / PANEL, next % PANEL);
            let count = (PANEL - lane).min(samples.end - next);
            room[next - samples.start..][..count].copy_from_slice(&self.panels[panel * self.lines + self.first + line].0[lane..][..count]);
            next += count;
        }
        room
    }
}
