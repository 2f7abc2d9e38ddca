//! The products of a layer that has all of its weights, as dense ones ([`dense`](super::dense)): its values are W row by row.
//!
//! A sparse product of such a layer pays forward a load for each multiply-add, and backward the way between row order and column order, in which neighbours lie
//! a row apart and, where that is a power of two, meet in few sets of every cache: 41 % of peak, 83 % here (1024×1024, batch 128, Node 24).
//!
//! Tried for layers that have most of their weights: zeros put in their place while W is packed, and the stored entries taken from dW a megabyte at a time, are
//! slower than sparse products up to a density of 0.9 and little faster beyond. The way between the two orders in blocks of 8 to 128 rows: 63 % at a density of 1, nothing at 0.8.

use super::backward::Backward;
use super::dense::{self, Matrix, Operand, Rows, Target, multiply};
use super::forward::{Activation, Forward};
use super::{PANEL, pack};
use crate::lanes::Row;
use crate::pattern::CsrPattern;
use std::ops::Range;

/// Working memory, kept between calls: what the dense product has, and activations row by row.
#[derive(Default)]
pub struct Scratch {
    dense: dense::Scratch,
    rows: Vec<f32>,
}

impl Scratch {
    pub(super) fn rows(&mut self) -> &mut Vec<f32> {
        &mut self.rows
    }
}

/// Units and features, and weights, from which on packing and half-empty tiles pay: 10×1024 takes 2.5 times as long as with sparse products, 120×400 as long.
const LEAST: (usize, usize) = (64, 1 << 16);

/// Whether these products are the ones to take: not for few samples either, of which sparse ones load only what is there.
pub fn serves(pattern: &CsrPattern, batch: usize) -> bool {
    let (units, features) = (pattern.rows(), pattern.cols());
    let large = units.min(features) >= LEAST.0 && pattern.nnz() >= LEAST.1;
    large && batch > PANEL / 2 && pattern.nnz_of_a() == units * features
}

/// As the chunks of [`Forward`], to the bit: each output starts at its bias and adds its terms in the same order.
pub(super) fn forward(product: &Forward, y: &mut [Row], scratch: &mut Scratch) {
    let Forward { pattern, values, bias, x, batch, activation, .. } = *product;
    let (units, features) = (pattern.rows(), pattern.cols());
    let Scratch { dense, rows } = scratch;
    rows.clear();
    match bias {
        Some(bias) => (0..batch).for_each(|_| rows.extend_from_slice(bias)),
        None => rows.resize(batch * units, 0.0),
    }
    let (x, w) = (Panels { panels: x, lines: features }, Matrix { values, cols: features });
    let (x, w) = (Operand { matrix: &x, lines_adjacent: true }, Operand { matrix: &w, lines_adjacent: false });
    let relu = activation == Activation::Relu;
    multiply([batch, units, features], x, w, Target { values: rows, start: &|sample| sample * units, add: true, bias: None, relu }, dense);
    pack::pack(rows, y, batch, units);
}

/// As the chunks of [`Backward`], dX to the bit; an entry of dW adds its terms sample by sample, not lane by lane.
pub(super) fn backward(products: &Backward, dx: Option<&mut [Row]>, d_values: &mut [f32], scratch: &mut Scratch) {
    let Backward { pattern, values, x, dy, batch, .. } = *products;
    let (units, features) = (pattern.rows(), pattern.cols());
    let Scratch { dense, rows } = scratch;
    let (x, dy, w) = (Panels { panels: x, lines: features }, Panels { panels: dy, lines: units }, Matrix { values, cols: features });
    let start = &|i: usize| i * features;
    if let Some(dx) = dx {
        rows.resize(batch * features, 0.0);
        let (dy, w) = (Operand { matrix: &dy, lines_adjacent: true }, Operand { matrix: &w, lines_adjacent: true });
        multiply([batch, features, units], dy, w, Target { values: rows, start, add: false, bias: None, relu: false }, dense);
        pack::pack(rows, dx, batch, features);
    }
    let (dy, x) = (Operand { matrix: &dy, lines_adjacent: false }, Operand { matrix: &x, lines_adjacent: false });
    multiply([units, features, batch], dy, x, Target { values: d_values, start, add: false, bias: None, relu: false }, dense);
}

/// Panels as a matrix `[lines, samples]`.
struct Panels<'a> {
    panels: &'a [Row],
    lines: usize,
}

impl Rows for Panels<'_> {
    fn row<'a>(&'a self, line: usize, samples: Range<usize>, room: &'a mut [f32]) -> &'a [f32] {
        let room = &mut room[..samples.len()];
        let mut next = samples.start;
        while next < samples.end {
            let (panel, lane) = (next / PANEL, next % PANEL);
            let count = (PANEL - lane).min(samples.end - next);
            room[next - samples.start..][..count].copy_from_slice(&self.panels[panel * self.lines + line].0[lane..][..count]);
            next += count;
        }
        room
    }
}
