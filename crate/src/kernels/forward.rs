//! `Y = act(X·Wᵀ + b)` over the forward set A (SpMM).
//!
//! What limits it: loads. One vector of X is loaded for each multiply-add, besides the index and the weight; two loads a cycle then end at 70 %
//! of the multiply-add peak. Which tile comes close depends on the engine, so there are several and [`Tile`] says which to take:
//!
//! - A fused multiply-add takes four cycles and there are two units, so eight sums must be under way: 32 samples of one output row (66 to 69 % of
//!   peak with relaxed-simd on Node 24; 16 samples 51 to 61 %).
//! - Without fusion only the addition is in the chain and four sums do. Eight spill on older engines (Node 20: 35 to 47 %, against 58 to 61 %).
//!
//! A last panel with 8 samples or fewer, or 4 or fewer, loads and computes only those; several rows then go side by side, so that there are as many
//! sums under way. Two rows of 16 samples side by side were tried as well: 2 % for the relaxed tile, nothing without.

use super::{PANEL, panels};
use crate::lanes::{F32x4, Row, gather};
use crate::pattern::{Bounded, CsrPattern, Index, Indices};
use std::ops::Range;

/// What a layer applies to its sums. The other activations of tfjs run outside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    Linear,
    Relu,
}

impl Activation {
    #[inline(always)]
    fn of<const V: usize>(self, sums: [F32x4; V]) -> [F32x4; V] {
        match self {
            Self::Linear => sums,
            Self::Relu => sums.map(F32x4::relu),
        }
    }
}

/// Samples × output rows in registers. All give the same bits: each output adds its terms in the order of the pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tile {
    S16x1,
    S32x1,
}

impl Tile {
    pub const ALL: [Tile; 2] = [Tile::S16x1, Tile::S32x1];
}

/// Entries of a piece of rows: the least work worth a chunk of its own.
const PIECE: usize = 1 << 16;
/// More pieces would read X again too often where it does not fit the second-level cache.
const MAX_PIECES: usize = 8;

/// Features of X that two panels keep in half of a 1 MB second-level cache: wider layers go block by block, sums waiting in Y.
const BLOCK: usize = 4096;
/// Fewer entries per row and block would not pay for the sums' way to Y and back.
const MIN_RUN: usize = 8;

/// The product as independent chunks, each of which writes outputs of its own: a group of one or two panels × a piece of rows.
pub struct Forward<'a> {
    pattern: &'a CsrPattern,
    values: &'a [f32],
    bias: Option<&'a [f32]>,
    x: &'a [Row],
    batch: usize,
    activation: Activation,
    tile: Tile,
    pieces: usize,
    blocks: usize,
}

impl<'a> Forward<'a> {
    /// `values [nnz]` in the pattern's order, `bias [out]` if any, `x` panels `[P][in]` of `batch` samples, 0 beyond them.
    pub fn new(
        pattern: &'a CsrPattern,
        values: &'a [f32],
        bias: Option<&'a [f32]>,
        x: &'a [Row],
        batch: usize,
        activation: Activation,
        tile: Tile,
    ) -> Self {
        assert_eq!(values.len(), pattern.nnz());
        assert!(bias.is_none_or(|b| b.len() == pattern.rows()));
        assert_eq!(x.len(), panels(batch) * pattern.cols());
        let pieces = pattern.nnz().div_ceil(PIECE).clamp(1, MAX_PIECES);
        let blocks = pattern.cols().div_ceil(BLOCK).max(1);
        let blocks = if pattern.nnz() < MIN_RUN * blocks * pattern.rows() { 1 } else { blocks };
        Self { pattern, values, bias, x, batch, activation, tile, pieces, blocks }
    }

    /// Panels that go through together.
    fn together(&self) -> usize {
        if self.tile == Tile::S32x1 { 2 } else { 1 }
    }

    pub fn chunks(&self) -> usize {
        panels(self.batch).div_ceil(self.together()) * self.pieces
    }

    /// Overwrites its part of `y`, panels `[P][out]`, 0 beyond the batch. Entries of B∖A have no part.
    /// Cost over all chunks: |A|·batch multiply-adds, the batch rounded up to a multiple of 4.
    pub fn chunk(&self, i: usize, y: &mut [Row]) {
        assert_eq!(y.len(), panels(self.batch) * self.pattern.rows());
        match self.pattern.by_row.indices() {
            Indices::U16(_) => self.chunk_of::<u16>(i, y),
            Indices::U32(_) => self.chunk_of::<u32>(i, y),
        }
    }

    fn chunk_of<I: Index>(&self, i: usize, y: &mut [Row]) {
        let (rows, cols) = (self.pattern.rows(), self.pattern.cols());
        let lines = self.pattern.by_row.piece(i % self.pieces, self.pieces);
        let first = i / self.pieces * self.together();
        let last = panels(self.batch).min(first + self.together());
        let of = |panel: usize| &self.x[panel * cols..][..cols];
        for block in 0..self.blocks {
            let part = Part::<I>::new(self, block);
            if last - first == 2 && self.batch >= last * PANEL {
                let (y0, y1) = y[first * rows..last * rows].split_at_mut(rows);
                part.pair(lines.clone(), [of(first), of(first + 1)], y0, y1);
                continue;
            }
            for panel in first..last {
                let (x, y) = (of(panel), &mut y[panel * rows..][..rows]);
                let samples = (self.batch - panel * PANEL).min(PANEL);
                match samples {
                    ..5 => part.few::<1, 4>(lines.clone(), x, y, samples),
                    5..9 => part.few::<2, 2>(lines.clone(), x, y, samples),
                    _ => part.single(lines.clone(), x, y, samples),
                }
            }
        }
    }
}

/// One block of columns.
struct Part<'a, I> {
    of: &'a Forward<'a>,
    columns: Range<usize>,
    width: std::marker::PhantomData<I>,
}

impl<'a, I: Index> Part<'a, I> {
    fn new(of: &'a Forward<'a>, block: usize) -> Self {
        let columns = if of.blocks == 1 { 0..of.pattern.cols() } else { block * BLOCK..((block + 1) * BLOCK).min(of.pattern.cols()) };
        Self { of, columns, width: std::marker::PhantomData }
    }

    // Not inlined: in one large function V8 keeps the loops' own numbers on the stack.
    #[inline(never)]
    fn pair(&self, lines: Range<usize>, x: [&[Row]; 2], y0: &mut [Row], y1: &mut [Row]) {
        for row in lines {
            let start = self.start::<4>(row, &y0[row], PANEL);
            let mut sums = [start, self.start::<4>(row, &y1[row], PANEL)];
            let (run, values) = self.run(row);
            for (x, &value) in gather(x, run).zip(values) {
                add(&mut sums[0], x[0], value);
                add(&mut sums[1], x[1], value);
            }
            y0[row].set(self.end(sums[0]));
            y1[row].set(self.end(sums[1]));
        }
    }

    #[inline(never)]
    fn single(&self, lines: Range<usize>, x: &[Row], y: &mut [Row], samples: usize) {
        for row in lines {
            let mut sums = self.start::<4>(row, &y[row], samples);
            let (run, values) = self.run(row);
            for ([x], &value) in gather([x], run).zip(values) {
                add(&mut sums, x, value);
            }
            y[row].set(self.end(sums));
        }
    }

    /// V vectors of samples. R rows go side by side as far as the shortest reaches; fewer at the end of the lines.
    #[inline(never)]
    fn few<const V: usize, const R: usize>(&self, lines: Range<usize>, x: &[Row], y: &mut [Row], samples: usize) {
        for first in lines.clone().step_by(R) {
            let count = (lines.end - first).min(R);
            let mut runs = [self.run(first); R];
            let mut sums = [[F32x4::splat(0.0); V]; R];
            for r in 0..count {
                runs[r] = self.run(first + r);
                sums[r] = self.start(first + r, &y[first + r], samples);
            }
            let shared = if count == R { runs.iter().map(|(_, values)| values.len()).min().unwrap_or(0) } else { 0 };
            let fronts = runs.map(|(run, values)| (run.split_at(shared).0, &values[..shared]));
            side_by_side(x, fronts, &mut sums);
            for r in 0..count {
                let (run, values) = (runs[r].0.split_at(shared).1, &runs[r].1[shared..]);
                for ([x], &value) in gather([x], run).zip(values) {
                    add(&mut sums[r], x, value);
                }
                let sums = self.end(sums[r]);
                y[first + r].set(std::array::from_fn(|v| if v < V { sums[v] } else { F32x4::splat(0.0) }));
            }
        }
    }

    /// The entries of A in one row of this block, and their values.
    #[inline(always)]
    fn run(&self, row: usize) -> (Bounded<'a, I>, &'a [f32]) {
        let runs = &self.of.pattern.by_row;
        let (mut first, mut end, _) = runs.line(row);
        if self.of.blocks > 1 {
            (first, end) = runs.within::<I>(first..end, &self.columns);
        }
        (runs.bounded(first..end), &self.of.values[first..end])
    }

    /// The bias, for those who are there, or what the blocks before have summed.
    #[inline(always)]
    fn start<const V: usize>(&self, row: usize, y: &Row, samples: usize) -> [F32x4; V] {
        if self.columns.start > 0 {
            let y = y.lanes();
            return std::array::from_fn(|v| y[v]);
        }
        let bias = F32x4::splat(self.of.bias.map_or(0.0, |b| b[row]));
        std::array::from_fn(|v| if 4 * v + 4 <= samples { bias } else { bias.first(samples.saturating_sub(4 * v)) })
    }

    #[inline(always)]
    fn end<const V: usize>(&self, sums: [F32x4; V]) -> [F32x4; V] {
        if self.columns.end == self.of.pattern.cols() { self.of.activation.of(sums) } else { sums }
    }
}

/// `sums += x·value`
#[inline(always)]
fn add<const V: usize>(sums: &mut [F32x4; V], x: &Row, value: f32) {
    let (weight, x) = (F32x4::splat(value), x.lanes());
    for v in 0..V {
        sums[v] = x[v].mul_add(weight, sums[v]);
    }
}

/// Two or four runs of equal length, entry by entry.
#[inline(always)]
fn side_by_side<const V: usize, const R: usize, I: Index>(x: &[Row], runs: [(Bounded<'_, I>, &[f32]); R], sums: &mut [[F32x4; V]; R]) {
    let row = |r: usize| gather([x], runs[r].0).zip(runs[r].1);
    if R == 2 {
        row(0).zip(row(1)).for_each(|(([x0], &w0), ([x1], &w1))| {
            add(&mut sums[0], x0, w0);
            add(&mut sums[1], x1, w1);
        });
    } else {
        const { assert!(R == 2 || R == 4) };
        row(0).zip(row(1)).zip(row(2).zip(row(3))).for_each(|((([x0], &w0), ([x1], &w1)), (([x2], &w2), ([x3], &w3)))| {
            add(&mut sums[0], x0, w0);
            add(&mut sums[1], x1, w1);
            add(&mut sums[2], x2, w2);
            add(&mut sums[3], x3, w3);
        });
    }
}

/// All chunks, one after the other.
pub fn forward(product: &Forward<'_>, y: &mut [Row]) {
    if product.pattern.rows() > 0 {
        (0..product.chunks()).for_each(|i| product.chunk(i, y));
    }
}
