//! dX, dValues and dBias in one pass over the entries (SpMMᵀ and SDDMM fused).
//!
//! What limits it: multiply-adds. In column order a row of X and a row of dX stay in registers; each entry loads one row of dY and uses it
//! twice, 8 multiply-adds for 4 loads (86 to 96 % of peak with relaxed-simd). Two separate passes would load 8.
//!
//! Without dX, in the first layer of a network, there is nothing to fuse: see [`sddmm`](super::sddmm).
//!
//! Values come from row order, and gradients go there: positions nobody can foresee. The last panel therefore adds up the lanes of each gradient and stores it
//! where it belongs, beside the products of the next entries. As a pass of its own that took 5 cycles an entry on an Intel Xeon, of 26 with 64 samples: 1024×1024
//! at 0.1 11 % less time, with 16 samples 20, with 128 6; 16 384×16 384 at 0.01 10. Values loaded beside the products of the first panel: no better than four at
//! a time before. In [`sddmm`](super::sddmm), which waits for loads already, no gain.
//!
//! A large layer whose dY does not fit the caches waits for memory, unless its lines are touched in order first: 40 → 51 % at 4096×1024, density 0.05. What
//! then remains is to load the values, in 16 384×16 384 5 ns per entry. Where a chunk has all columns they are touched in order as well, and dY is read but once.
//! Tried without gain: pieces of rows touched where a chunk has some columns; gradients touched before they are stored; values copied to where a chunk has them
//! side by side, and gradients back; dY of the next panel, or the indices of a chunk, touched meanwhile; twice the entries in a block. Blocks of 512 rows, whose
//! dY stays in the first-level cache: 4096×4096 on the Xeon 6 and 11 % less time at 0.05 and 0.1, 1.7 times as long in 16 384×16 384 at 0.01; not measured on an
//! EPYC, nor since the last panel stores gradients.
//!
//! For few samples, and some of a large layer, the order of rows is faster: see [`backward_rows`](super::backward_rows).
//!
//! A layer that has all weights, or a large one that has most, takes dense products: see [`full`](super::full).

use super::{flush, panels, touch, touch_numbers, touching_pays};
use crate::lanes::{Entries, F32x4, I32x4, Normal, Row, Walk};
use crate::pattern::{CsrPattern, Index, Indices, Lines, MIDDLE};
use std::array::from_fn;

/// Entries, about, whose partial sums are held at once: 16 bytes each, half of a 1 MB second-level cache. Half as many where units go block by block, unless
/// these are wider than [`MIDDLE`], so that too few would fall to each line.
pub(super) const BLOCK: usize = 1 << 15;

/// What is added to dValues beside the loss: `decay · value`, with one factor for the forward set A and one for B∖A.
/// Top-KAST's penalty λ/2·θ² on A and λ/(2D)·θ² on B∖A has the factors λ and λ/D.
#[derive(Clone, Copy, Default)]
pub struct Decay {
    pub forward: f32,
    pub rest: f32,
}

impl Decay {
    /// Adds `decay · value` to `d_values`, both `[nnz]`.
    pub(super) fn add(self, pattern: &CsrPattern, values: &[f32], d_values: &mut [f32]) {
        if self.forward == 0.0 && self.rest == 0.0 {
            return;
        }
        for row in 0..pattern.rows() {
            let (start, split, stop) = pattern.by_row.line(row);
            for (run, decay) in [(start..split, self.forward), (split..stop, self.rest)] {
                for (d_value, value) in d_values[run.clone()].iter_mut().zip(&values[run]) {
                    *d_value += decay * value;
                }
            }
        }
        flush(d_values);
    }
}

/// Working memory, kept between calls; grows to the largest block of entries.
#[derive(Default)]
pub struct Scratch {
    positions: Vec<u32>,
    /// In the order of columns, or for the forward product of its blocks.
    pub(super) values: Vec<f32>,
    pub(super) partial: Vec<[f32; 4]>,
}

/// Room for the partial sums of so many entries. What an earlier block left there does not matter: the first panel starts them.
pub(super) fn room_for(entries: usize, partial: &mut Vec<[f32; 4]>) -> &mut [[f32; 4]] {
    partial.resize(entries.max(partial.len()), [0.0; 4]);
    &mut partial[..entries]
}

/// `dX = dY·W` over A, and `dValues = (dYᵀ·X) at B + decay·values`, as independent chunks, each of which writes results of its own: a block
/// of columns over all panels in their order.
pub struct Backward<'a> {
    pub(super) pattern: &'a CsrPattern,
    pub(super) values: &'a [f32],
    pub(super) x: &'a [Row],
    pub(super) dy: &'a [Row],
    pub(super) batch: usize,
    pub(super) decay: Decay,
    chunks: usize,
    /// Whether lines of dY are touched before the entries read them.
    pub(super) touches: bool,
}

impl<'a> Backward<'a> {
    /// `values [nnz]` in the pattern's order, `x` panels `[P][in]` and `dy` panels `[P][out]` of `batch` samples, 0 beyond them.
    pub fn new(pattern: &'a CsrPattern, values: &'a [f32], x: &'a [Row], dy: &'a [Row], batch: usize, decay: Decay) -> Self {
        assert!(values.len() == pattern.nnz());
        assert!(x.len() == panels(batch) * pattern.cols());
        assert!(dy.len() == panels(batch) * pattern.rows());
        let by_column = pattern.by_column.far();
        let blocks = by_column.count();
        let entries = if blocks > 1 && by_column.block(0).len() <= MIDDLE.width { BLOCK / 2 } else { BLOCK };
        let most = entries * blocks;
        // Rounded to the nearest: of one half too large dY is read once, of two half empty ones twice.
        let chunks = ((pattern.nnz() + most / 2) / most).max(1);
        Self { pattern, values, x, dy, batch, decay, chunks, touches: touching_pays(dy.len(), pattern.rows(), pattern.nnz() / chunks) }
    }

    pub fn chunks(&self) -> usize {
        self.chunks
    }

    /// Overwrites its part of `dx`, panels `[P][in]`, and of `d_values [nnz]`, before decay. Where lines of dY are touched, the first chunk adds them to `bias`
    /// as well, unless it is empty: see [`add_lines`]. Cost over all chunks: (|A| + |B|)·batch multiply-adds. Memory: 20 bytes per entry of a chunk's block; 4
    /// more where units go block by block.
    pub fn chunk(&self, i: usize, dx: &mut [Row], d_values: &mut [f32], bias: &mut [F32x4], scratch: &mut Scratch) {
        assert!(d_values.len() == self.pattern.nnz());
        assert!(dx.len() == self.x.len());
        let bias = if i == 0 { bias } else { &mut [] };
        let by_column = &self.pattern.by_column;
        let (blocks, columns) = (by_column.far(), by_column.piece(i, self.chunks));
        let Scratch { positions: room, values, partial, .. } = scratch;
        for block in 0..blocks.count() {
            let lines = blocks.lines(columns.clone(), block);
            let all = &self.pattern.row_position;
            let positions = if blocks.count() == 1 {
                // Whole columns follow one another.
                &all[by_column.offsets[columns.start] as usize..by_column.offsets[columns.end] as usize]
            } else {
                room.clear();
                for i in 0..columns.len() {
                    room.extend_from_slice(&all[lines.a.at(i)]);
                    // To copy nothing takes as long as to copy sixteen.
                    if !lines.rest.at(i).is_empty() {
                        room.extend_from_slice(&all[lines.rest.at(i)]);
                    }
                }
                &*room
            };
            if self.chunks == 1 && blocks.count() > 1 {
                // Of all columns they lie side by side.
                let (rows, offsets) = (blocks.block(block), &self.pattern.by_row.offsets);
                touch_numbers(&self.values[offsets[rows.start] as usize..offsets[rows.end] as usize]);
            }
            gather(self.values, positions, values);
            let of = Block { of: self, block, first_column: columns.start, lines, values, positions };
            let sums = room_for(positions.len(), partial);
            for (panel, dx) in dx.chunks_exact_mut(self.pattern.cols()).enumerate() {
                of.touch_dy(panel, bias);
                let last = panel + 1 == panels(self.batch);
                of.both_products(panel, last, dx, sums, d_values);
            }
        }
    }
}

/// A block of some columns. Entries are counted from its first, column by column, and in each A before B∖A.
struct Block<'a> {
    of: &'a Backward<'a>,
    block: usize,
    first_column: usize,
    lines: Lines<'a>,
    /// Those of the entries.
    values: &'a [f32],
    /// In row order.
    positions: &'a [u32],
}

impl<'a> Block<'a> {
    fn x(&self, panel: usize) -> &'a [Row] {
        let cols = self.of.pattern.cols();
        &self.of.x[panel * cols..][..cols]
    }

    fn dy(&self, panel: usize) -> &'a [Row] {
        let rows = self.of.pattern.rows();
        &self.of.dy[panel * rows..][..rows]
    }

    /// Before the entries read them. Adds them to `bias` on the way, unless it is empty.
    fn touch_dy(&self, panel: usize, bias: &mut [F32x4]) {
        if self.of.touches {
            let rows = self.of.pattern.by_column.far().block(self.block);
            let dy = &self.dy(panel)[rows.clone()];
            if bias.is_empty() { touch(dy) } else { add_lines(dy, &mut bias[rows]) }
        }
    }

    /// A panel of X, dY and `dx`, and `sums` over the samples, of which the `last` makes `d_values`.
    fn both_products(&self, panel: usize, last: bool, dx: &mut [Row], sums: &mut [[f32; 4]], d_values: &mut [f32]) {
        let by_column = &self.of.pattern.by_column;
        let narrow = matches!(by_column.indices(), Indices::U16(_));
        let connected = narrow && by_column.far().connected();
        let columns = match (panel, last) {
            (0, false) if connected => Self::columns::<true, false, false, u16>,
            (1.., false) if connected => Self::columns::<false, false, false, u16>,
            (1.., true) if connected => Self::columns::<false, true, false, u16>,
            (_, false) if narrow => Self::columns::<false, false, true, u16>,
            (_, true) if narrow => Self::columns::<false, true, true, u16>,
            (_, false) => Self::columns::<false, false, true, u32>,
            (_, true) => Self::columns::<false, true, true, u32>,
        };
        columns(self, panel, dx, sums, d_values);
    }

    /// The `LAST` panel leaves each gradient where it belongs: beside the products of the next entries most of that takes no time. `GAPS`: columns are in
    /// several blocks, or have B∖A. Without, there is less to do between two of them, and the `FIRST` panel has a loop of its own: see [`Walk`].
    ///
    /// Not inlined, like the others that hold the loops: in one large function V8 keeps the loops' own numbers on the stack.
    #[inline(never)]
    fn columns<const FIRST: bool, const LAST: bool, const GAPS: bool, I: Index>(
        &self,
        panel: usize,
        dx: &mut [Row],
        sums: &mut [[f32; 4]],
        d_values: &mut [f32],
    ) {
        let columns = self.first_column..self.first_column + self.lines.a.len();
        let (a, rest) = (self.lines.a.first(columns.len()), self.lines.rest.first(columns.len()));
        let (x, dx, stale) = (&self.x(panel)[columns.clone()], &mut dx[columns.clone()], stale(panel));
        let entries = Entries { values: self.values, sums, positions: self.positions };
        let mut entries = Walk::new([self.dy(panel)], self.of.pattern.by_column.bounded::<I>(), entries);
        let start = |sum: &[f32; 4]| match FIRST {
            true => F32x4::splat(0.0),
            false if GAPS => F32x4::load(sum).without(stale),
            false => F32x4::load(sum),
        };
        let mut leave = |now: F32x4, sum: &mut [f32; 4], position: u32| {
            if LAST {
                d_values[position as usize] = now.sum();
            } else {
                now.store(sum);
            }
        };
        if !GAPS && !columns.is_empty() {
            entries.seek(a.at(0).start..a.at(columns.len() - 1).end);
        }
        for i in 0..columns.len() {
            let (run, x) = (a.at(i), x[i].lanes());
            let mut to = if GAPS && self.block > 0 { dx[i].lanes() } else { Row::ZERO.lanes() };
            if GAPS {
                entries.seek(run.clone());
            }
            entries.until(run.end, |[dy], value, sum, position| leave(both_of(dy, value, x, start(sum), &mut to), sum, position));
            dx[i].set(to);
            if GAPS {
                let run = rest.at(i);
                entries.seek(run.clone());
                entries.until(run.end, |[dy], _, sum, position| leave(sddmm_of::<4>(dy.lanes(), x, start(sum)), sum, position));
            }
        }
    }
}

/// Numbers in the order of `positions`. Four at a time: 1 to 2 % of a backward pass.
#[inline(never)]
fn gather(numbers: &[f32], positions: &[u32], out: &mut Vec<f32>) {
    out.resize(positions.len(), 0.0);
    let ((fours, rest), (out4, out1)) = (positions.as_chunks(), out.as_chunks_mut::<4>());
    out4.iter_mut().zip(fours).for_each(|(out, four)| *out = four.map(|position| numbers[position as usize]));
    out1.iter_mut().zip(rest).for_each(|(out, &position)| *out = numbers[position as usize]);
}

/// One line of a convolution, one panel: returns its row of dX, added to what is there, and adds to the partial sums of dValues, lane by lane.
#[inline(always)]
pub(super) fn both<'a>(
    dy: impl Iterator<Item = [&'a Row; 1]>,
    values: &[f32],
    x: [F32x4; 4],
    partial: &mut [[f32; 4]],
    mut dx: [F32x4; 4],
) -> [F32x4; 4] {
    for (([dy], &value), partial) in dy.zip(values).zip(partial) {
        both_of(dy, value, x, F32x4::load(partial), &mut dx).store(partial);
    }
    dx
}

/// One entry of a line: adds to its row of dX, and to the sum that becomes its gradient.
#[inline(always)]
fn both_of(dy: &Row, value: f32, x: [F32x4; 4], mut sum: F32x4, dx: &mut [F32x4; 4]) -> F32x4 {
    let (dy, weight) = (dy.lanes(), F32x4::splat(value));
    for v in 0..4 {
        dx[v] = dy[v].mul_add(weight, dx[v]);
        sum = dy[v].mul_add(x[v], sum);
    }
    sum
}

/// The lanes of partial sums that a panel does not go on from: all for the first, which starts them. A mask: kernels of its own would be 0.6 kB, and to write
/// zeros beforehand takes 1.4 cycles an entry.
pub(super) fn stale(panel: usize) -> I32x4 {
    I32x4::splat(if panel == 0 { -1 } else { 0 })
}

/// The sum of one entry, and V vectors of a panel more.
#[inline(always)]
pub(super) fn sddmm_of<const V: usize>(dy: [F32x4; 4], x: [F32x4; 4], sum: F32x4) -> F32x4 {
    (0..V).fold(sum, |sum, v| dy[v].mul_add(x[v], sum))
}

/// dY through relu, given its output `y`: 0 wherever that was not positive, and for denormal numbers. Panels; overwrites `out`, and adds it to `bias` as
/// [`add_lines`] does.
pub fn through_relu(dy: &[Row], y: &[Row], out: &mut [Row], bias: &mut [F32x4]) {
    assert!(dy.len() == y.len());
    let normal = Normal::default();
    let through = dy.iter().zip(y).zip(out).map(|((dy, y), out)| {
        let (dy, y) = (dy.lanes(), y.lanes());
        let through = from_fn(|v| dy[v].flushed(normal).where_positive(y[v]));
        out.set(through);
        through
    });
    add(through, bias);
}

/// The same on flat numbers, in place.
pub fn where_positive(dy: &mut [f32], y: &[f32]) {
    assert!(dy.len() == y.len());
    let (fours, rest) = dy.as_chunks_mut::<4>();
    let (y4, y1) = y.as_chunks::<4>();
    fours.iter_mut().zip(y4).for_each(|(dy, y)| F32x4::load(dy).where_positive(F32x4::load(y)).store(dy));
    rest.iter_mut().zip(y1).for_each(|(dy, &y)| *dy = if y <= 0.0 { 0.0 } else { *dy });
}

/// `dBias[o] += Σ dY[·, o]` over panels, or the pixels of one, and lanes: `dy [..][out]`, `d_bias [out]`.
pub fn bias(dy: &[Row], d_bias: &mut [f32]) {
    let mut sums = vec![F32x4::splat(0.0); d_bias.len()];
    add_lines(dy, &mut sums);
    d_bias.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum.sum());
}

/// The same before the lanes are added up: `bias [out]`.
#[inline(never)]
pub fn add_lines(dy: &[Row], bias: &mut [F32x4]) {
    add(dy.iter().map(Row::lanes), bias);
}

#[inline(always)]
fn add(mut lines: impl ExactSizeIterator<Item = [F32x4; 4]>, bias: &mut [F32x4]) {
    assert!(lines.len().is_multiple_of(bias.len()));
    while lines.len() > 0 {
        for (sum, [a, b, c, d]) in bias.iter_mut().zip(&mut lines) {
            *sum = *sum + ((a + b) + (c + d));
        }
    }
}
