//! `Y = act(X·Wᵀ + b)` over the forward set A (SpMM).
//!
//! What limits it: loads. One vector of X is loaded for each multiply-add, besides the index and the weight, two in a cycle (figures are of an AMD EPYC where
//! nothing else is said). Weights come four at once, to be
//! spread from a register: 66 → 69 % of the multiply-add peak at densities of 0.05 and 0.1, 61 → 63 at 0.01 (see [`WeightedRows`]). Which tile comes close
//! depends on the engine, so there are several and [`Tile`] says which to take:
//!
//! - A fused multiply-add takes four cycles and there are two units, so eight sums must be under way: 32 samples of one output row (68 to 71 % of
//!   peak with relaxed-simd on Node 24; 16 samples 51 to 61 %).
//! - The same, 384 features at a time, of which two panels fill a first-level cache of 48 kB. Sums then go to memory and back between blocks. Where loads are
//!   what a core has enough of, three in a cycle (Intel), and the second-level cache is what it waits for, that is worth a lot: 68 → 78 % of peak at 0.1, 62 → 85
//!   at 0.5, at 2048×2048 and 0.2 58 → 79. Where they are two in a cycle (AMD) it is 2 points less up to 35 entries a row and block, 2 to 5 more from 52 on.
//! - Without fusion only the addition is in the chain and four sums do. Eight spill on older engines (Node 20: 35 to 47 %, against 62 to 64 %).
//!
//! Then, where lines are short, what lies between two of them. How long a line is a processor guesses wrong, so nothing there may wait for a load, or be decided
//! anew for each line: see [`Walk`](crate::lanes::Walk). An entry takes 5.6 cycles for its 32 samples, what is between two lines 7; that makes 63 % at a
//! density of 0.01, ten entries a line. From the first-level cache an entry takes half a cycle less.
//!
//! A layer that has all weights takes a dense product: see [`full`](super::full). One whose X does not fit the caches waits for memory, unless its lines are touched in
//! order first, and its entries lie block by block: 18 → 43 % at 16 384×16 384, density 0.01.
//!
//! A last panel with 8 samples or fewer, or 4 or fewer, loads and computes only those; several rows then go side by side, so that there are as many
//! sums under way. One with more goes like a full one, beside another as well, and afterwards zeros go where no sample is: 28 samples, density 0.1, 7.4 → 5.8
//! cycles an entry; 9 at 0.01 4.6 → 3.6. Two rows of 16 samples side by side were tried as well: 2 % for the relaxed tile, nothing without.

use super::{PANEL, panels, touch, touching_pays};
use crate::lanes::{F32x4, FOURS, Gather, I32x4, Row, WeightedRows};
use crate::pattern::{Blocked, CsrPattern, Index, Indices, Runs, Spans};
use std::ops::Range;

/// What a layer applies to its sums. The other activations of tfjs run outside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    Linear,
    Relu,
}

impl Activation {
    /// Sums below it become 0, with relu denormal ones too: no branch for each row.
    #[inline(always)]
    pub(super) fn floor(self) -> F32x4 {
        F32x4::splat(if self == Self::Relu { f32::MIN_POSITIVE } else { f32::NEG_INFINITY })
    }
}

/// Samples × output rows in registers, and how many features at a time if not as many as the second-level cache holds. All give the same bits: each output
/// adds its terms in the order of the pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tile {
    S16x1,
    S32x1,
    S32x1x384,
}

impl Tile {
    pub const ALL: [Tile; 3] = [Tile::S16x1, Tile::S32x1, Tile::S32x1x384];
}

/// Samples up to which a panel has loops of its own. With more it goes like a full one: zeros go where no sample is once it is done.
const FEW: usize = PANEL / 2;

/// Entries of a piece of rows: the least work worth a chunk of its own.
const PIECE: usize = 1 << 16;
/// Enough for threads, one day.
const MAX_PIECES: usize = 8;

/// The product as independent chunks, each of which writes outputs of its own: a group of one or two panels × a piece of rows.
#[derive(Clone, Copy)]
pub struct Forward<'a> {
    pub(super) pattern: &'a CsrPattern,
    pub(super) values: &'a [f32],
    pub(super) bias: Option<&'a [f32]>,
    pub(super) x: &'a [Row],
    pub(super) batch: usize,
    pub(super) activation: Activation,
    /// Panels that go through together.
    together: usize,
    entries: Blocked<'a>,
    pieces: usize,
    touches: bool,
    /// Those of A in the order of the blocks, if that is the order of `values`.
    block_by_block: Option<&'a Runs>,
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
        assert!(values.len() == pattern.nnz());
        assert!(bias.is_none_or(|b| b.len() == pattern.rows()));
        assert!(x.len() == panels(batch) * pattern.cols());
        let together = if tile == Tile::S16x1 { 1 } else { 2 };
        let entries = if tile == Tile::S32x1x384 { pattern.by_row.near() } else { pattern.by_row.far() };
        // Each piece would go through all blocks of X anew.
        let pieces = if entries.count() > 1 { 1 } else { pattern.nnz().div_ceil(PIECE).clamp(1, MAX_PIECES) };
        let touches = touching_pays(x.len(), pattern.cols(), pattern.nnz());
        Self { pattern, values, bias, x, batch, activation, together, entries, pieces, touches, block_by_block: None }
    }

    /// The same over entries in the order of the blocks, with a copy of their values, where the pattern has them.
    pub(super) fn block_by_block<'b>(&self, values: &'b mut Vec<f32>) -> Forward<'b>
    where
        'a: 'b,
    {
        let (by_row, rows) = (&self.pattern.by_row, self.pattern.rows());
        let Some(entries) = self.entries.block_by_block() else { return *self };
        values.resize(entries.indices().len(), 0.0);
        for row in 0..rows {
            let (mut next, _, _) = by_row.line(row);
            for block in 0..self.entries.count() {
                let (start, end, _) = entries.line(block * rows + row);
                values[start..end].copy_from_slice(&self.values[next..][..end - start]);
                next += end - start;
            }
        }
        Forward { values, block_by_block: Some(entries), ..*self }
    }

    pub fn chunks(&self) -> usize {
        panels(self.batch).div_ceil(self.together) * self.pieces
    }

    /// Overwrites its part of `y`, panels `[P][out]`, 0 beyond the batch. Entries of B∖A have no part.
    /// Cost over all chunks: |A|·batch multiply-adds, the last panel's samples rounded up to 4, 8 or 16.
    pub fn chunk(&self, i: usize, y: &mut [Row]) {
        assert!(y.len() == panels(self.batch) * self.pattern.rows());
        match self.pattern.by_row.indices() {
            Indices::U16(_) => self.chunk_of::<u16>(i, y),
            Indices::U32(_) => self.chunk_of::<u32>(i, y),
        }
    }

    fn lines(&self, i: usize) -> Range<usize> {
        self.pattern.by_row.piece(i % self.pieces, self.pieces)
    }

    fn chunk_of<I: Index>(&self, i: usize, y: &mut [Row]) {
        let (rows, cols) = (self.pattern.rows(), self.pattern.cols());
        let (lines, connected) = (self.lines(i), self.entries.connected());
        let first = i / self.pieces * self.together;
        let last = panels(self.batch).min(first + self.together);
        let of = |panel: usize| &self.x[panel * cols..][..cols];
        let samples = |panel: usize| self.batch - panel * PANEL;
        let pair = last - first == 2 && samples(first + 1) > FEW;
        for block in 0..self.entries.count() {
            let part = Part { of: self, block };
            // The pieces after the first find them there.
            if self.touches && lines.start == 0 {
                (first..last).for_each(|panel| touch(&of(panel)[self.entries.block(block)]));
            }
            if pair {
                let (y0, y1) = y[first * rows..last * rows].split_at_mut(rows);
                let (x, y) = ([of(first), of(first + 1)], [y0, y1]);
                if I::WIDE || self.entries.count() > 1 {
                    part.product::<2, true, true, I>(lines.clone(), x, y);
                } else if connected {
                    part.product::<2, false, false, I>(lines.clone(), x, y);
                } else {
                    part.product::<2, true, false, I>(lines.clone(), x, y);
                }
                continue;
            }
            for panel in first..last {
                let (x, y) = (of(panel), &mut y[panel * rows..][..rows]);
                match samples(panel) {
                    samples @ ..=4 if !I::WIDE => part.few::<1, 4, I>(lines.clone(), x, y, samples),
                    samples @ ..=FEW if !I::WIDE => part.few::<2, 2, I>(lines.clone(), x, y, samples),
                    _ if connected && !I::WIDE => part.product::<1, false, false, I>(lines.clone(), [x], [y]),
                    _ => part.product::<1, true, true, I>(lines.clone(), [x], [y]),
                }
            }
        }
        let samples = samples(last - 1);
        if samples < PANEL && (samples > FEW || I::WIDE) {
            zero(beyond(samples), &mut y[(last - 1) * rows..][lines]);
        }
    }
}

/// The lanes of a panel that belong to no sample.
#[inline(always)]
fn beyond(samples: usize) -> [I32x4; 4] {
    std::array::from_fn(|v| I32x4::ascending(4 * v as i32 + 1).above(I32x4::splat(samples as i32)))
}

fn zero(lanes: [I32x4; 4], rows: &mut [Row]) {
    for row in rows {
        let kept = row.lanes();
        row.set(std::array::from_fn(|v| kept[v].without(lanes[v])));
    }
}

/// One block of columns.
struct Part<'a> {
    of: &'a Forward<'a>,
    block: usize,
}

impl<'a> Part<'a> {
    /// P panels side by side. `GAPS`: a line's entries need not follow those of the line before. `PARTS`: of several
    /// blocks. Without either there is less to do between two lines, and none of it is waited for: 50 → 60 % of peak at a density of 0.01.
    ///
    /// Not inlined: in one large function V8 keeps the loops' own numbers on the stack.
    #[inline(never)]
    fn product<const P: usize, const GAPS: bool, const PARTS: bool, I: Index>(
        &self,
        lines: Range<usize>,
        x: [&'a [Row]; P],
        y: [&mut [Row]; P],
    ) {
        // Four copies of the loop are worth their bytes where they run most.
        let by_fours = !I::WIDE && (P == 2 || !PARTS);
        let lines = if by_fours {
            let last = self.last(&lines);
            for p in 0..P {
                self.product::<1, true, true, I>(last.clone(), [x[p]], [&mut *y[p]]);
            }
            lines.start..last.start
        } else {
            lines
        };
        let (count, floor) = (lines.len(), self.floor());
        let (runs, y) = (self.runs(&lines).first(count), y.map(|y| &mut y[lines.clone()][..count]));
        let bias = self.of.bias.map(|bias| &bias[lines.clone()][..count]);
        let mut entries = WeightedRows::<P, I>::new(x, self.entries().bounded(), self.of.values);
        if !GAPS && count > 0 {
            entries.seek(runs.at(0).start);
        }
        for i in 0..count {
            let run = runs.at(i);
            if GAPS {
                entries.seek(run.start);
            }
            let mut sums = if PARTS {
                std::array::from_fn(|p| self.start(lines.start + i, &y[p][i]))
            } else {
                [[F32x4::splat(bias.map_or(0.0, |bias| bias[i])); 4]; P]
            };
            let add = |x: [&Row; P], weight| {
                for p in 0..P {
                    add(&mut sums[p], x[p], weight);
                }
            };
            if by_fours {
                entries.by_fours(run.end, add);
            } else {
                entries.until(run.end, add);
            }
            // In the other order V8 swaps the sums of the panels first, by twelve instructions a line.
            for p in (0..P).rev() {
                y[p][i].set(sums[p].map(|sum| sum.zero_below(floor)));
            }
        }
    }

    /// Those of some lines that end too near the last entry to be walked by fours.
    fn last(&self, lines: &Range<usize>) -> Range<usize> {
        let (runs, entries) = (self.runs(lines), self.of.values.len());
        let near = |i: &usize| runs.at(*i).end + FOURS > entries + 1;
        lines.end - (0..lines.len()).rev().take_while(near).count()..lines.end
    }

    /// V vectors of samples. R rows go side by side as far as the shortest reaches; fewer at the end of the lines.
    #[inline(never)]
    fn few<const V: usize, const R: usize, I: Index>(&self, lines: Range<usize>, x: &'a [Row], y: &mut [Row], samples: usize) {
        let (x, values) = (self.gather::<1, I>([x]), self.of.values);
        let (all, floor, beyond) = (self.runs(&lines), self.floor(), beyond(samples));
        for first in lines.clone().step_by(R) {
            let count = (lines.end - first).min(R);
            let runs: [Range<usize>; R] = std::array::from_fn(|r| if r < count { all.at(first - lines.start + r) } else { 0..0 });
            let shared = runs.iter().map(|run| run.len()).min().unwrap_or(0);
            let mut sums = [[F32x4::splat(0.0); V]; R];
            for r in 0..count {
                sums[r] = self.start(first + r, &y[first + r]);
            }
            side_by_side(&x, values, runs.each_ref().map(|run| run.start..run.start + shared), &mut sums);
            for r in 0..count {
                let rest = runs[r].start + shared..runs[r].end;
                for ([x], &value) in x.rows(rest.clone()).zip(&values[rest]) {
                    add(&mut sums[r], x, F32x4::splat(value));
                }
                let sum = |v: usize| sums[r][v].zero_below(floor).without(beyond[v]);
                y[first + r].set(std::array::from_fn(|v| if v < V { sum(v) } else { F32x4::splat(0.0) }));
            }
        }
    }

    #[inline(always)]
    fn gather<const P: usize, I: Index>(&self, x: [&'a [Row]; P]) -> Gather<'a, P, I> {
        Gather::new(x, self.entries().bounded())
    }

    /// Those of `values`, in their order.
    fn entries(&self) -> &'a Runs {
        self.of.block_by_block.unwrap_or(&self.of.pattern.by_row)
    }

    /// The entries of A that each of some rows has in this block.
    #[inline(always)]
    fn runs(&self, lines: &Range<usize>) -> Spans<'a> {
        let pattern = self.of.pattern;
        match self.of.block_by_block {
            Some(entries) => {
                let first = self.block * pattern.rows();
                entries.far().lines(first + lines.start..first + lines.end, 0).a
            }
            None => self.of.entries.lines(lines.clone(), self.block).a,
        }
    }

    /// The bias, or what the blocks before have summed.
    #[inline(always)]
    fn start<const V: usize>(&self, row: usize, y: &Row) -> [F32x4; V] {
        if self.block > 0 {
            let y = y.lanes();
            return std::array::from_fn(|v| y[v]);
        }
        [F32x4::splat(self.of.bias.map_or(0.0, |b| b[row])); V]
    }

    /// See [`Activation::floor`]; none before the last block.
    #[inline(always)]
    fn floor(&self) -> F32x4 {
        let last = self.block + 1 == self.of.entries.count();
        if last { self.of.activation.floor() } else { Activation::Linear.floor() }
    }
}

/// `sums += x·weight`
#[inline(always)]
pub(super) fn add<const V: usize>(sums: &mut [F32x4; V], x: &Row, weight: F32x4) {
    let x = x.lanes();
    for v in 0..V {
        sums[v] = x[v].mul_add(weight, sums[v]);
    }
}

/// Two or four runs of equal length, entry by entry.
#[inline(always)]
fn side_by_side<const V: usize, const R: usize, I: Index>(
    x: &Gather<'_, 1, I>,
    values: &[f32],
    runs: [Range<usize>; R],
    sums: &mut [[F32x4; V]; R],
) {
    let row = |r: usize| x.rows(runs[r].clone()).zip(&values[runs[r].clone()]);
    if R == 2 {
        row(0).zip(row(1)).for_each(|(([x0], &w0), ([x1], &w1))| {
            add(&mut sums[0], x0, F32x4::splat(w0));
            add(&mut sums[1], x1, F32x4::splat(w1));
        });
    } else {
        const { std::assert!(R == 2 || R == 4) };
        row(0).zip(row(1)).zip(row(2).zip(row(3))).for_each(|((([x0], &w0), ([x1], &w1)), (([x2], &w2), ([x3], &w3)))| {
            add(&mut sums[0], x0, F32x4::splat(w0));
            add(&mut sums[1], x1, F32x4::splat(w1));
            add(&mut sums[2], x2, F32x4::splat(w2));
            add(&mut sums[3], x3, F32x4::splat(w3));
        });
    }
}
