//! dX, dValues and dBias in one pass over the entries (SpMMᵀ and SDDMM fused).
//!
//! What limits it: multiply-adds. In column order a row of X and a row of dX stay in registers; each entry loads one row of dY and uses it
//! twice, 8 multiply-adds for 4 loads (86 to 96 % of peak with relaxed-simd). Two separate passes would load 8.
//!
//! Without dX, in the first layer of a network, there is a load for each multiply-add again. Two panels then go through together, and their
//! sums side by side: in one chain of eight they had waited for each other (51 % of peak instead of 64 %).
//!
//! Tried for densities near 1, and slower: dense tiles of 4 rows × 2 columns over all panels, of which the stored sums are taken (25 % of peak: panels lie a
//! power of two apart, so their rows meet in few sets of the cache).

use super::{PANEL, panels};
use crate::lanes::{F32x4, Gather, Row};
use crate::pattern::{CsrPattern, Index, Indices};
use std::ops::Range;

/// Entries whose partial sums are held at once: 16 bytes each, half of a 1 MB second-level cache.
const BLOCK: usize = 1 << 15;

/// What is added to dValues beside the loss: `decay · value`, with one factor for the forward set A and one for B∖A.
/// Top-KAST's penalty λ/2·θ² on A and λ/(2D)·θ² on B∖A has the factors λ and λ/D.
#[derive(Clone, Copy, Default)]
pub struct Decay {
    pub forward: f32,
    pub rest: f32,
}

/// Working memory, kept between calls; grows to the largest block of columns.
#[derive(Default)]
pub struct Scratch {
    values: Vec<f32>,
    partial: Vec<[f32; 4]>,
}

/// `dX = dY·W` over A, and `dValues = (dYᵀ·X) at B + decay·values`, as independent chunks, each of which writes results of its own: a block
/// of columns over all panels in their order.
pub struct Backward<'a> {
    pattern: &'a CsrPattern,
    values: &'a [f32],
    x: &'a [Row],
    dy: &'a [Row],
    batch: usize,
    decay: Decay,
    chunks: usize,
}

impl<'a> Backward<'a> {
    /// `values [nnz]` in the pattern's order, `x` panels `[P][in]` and `dy` panels `[P][out]` of `batch` samples, 0 beyond them.
    pub fn new(pattern: &'a CsrPattern, values: &'a [f32], x: &'a [Row], dy: &'a [Row], batch: usize, decay: Decay) -> Self {
        assert_eq!(values.len(), pattern.nnz());
        assert_eq!(x.len(), panels(batch) * pattern.cols());
        assert_eq!(dy.len(), panels(batch) * pattern.rows());
        Self { pattern, values, x, dy, batch, decay, chunks: pattern.nnz().div_ceil(BLOCK).max(1) }
    }

    pub fn chunks(&self) -> usize {
        self.chunks
    }

    /// Overwrites its part of `dx`, panels `[P][in]`, and of `d_values [nnz]`, before decay. Without `dx` (the first layer of a network) it computes `d_values`
    /// alone. Cost over all chunks: (|A| + |B|)·batch multiply-adds; |B|·batch without `dx`. Memory: 20 bytes per entry of one chunk.
    pub fn chunk(&self, i: usize, dx: Option<&mut [Row]>, d_values: &mut [f32], scratch: &mut Scratch) {
        assert_eq!(d_values.len(), self.pattern.nnz());
        assert!(dx.as_ref().is_none_or(|dx| dx.len() == self.x.len()));
        match self.pattern.by_column.indices() {
            Indices::U16(_) => self.chunk_of::<u16>(i, dx, d_values, scratch),
            Indices::U32(_) => self.chunk_of::<u32>(i, dx, d_values, scratch),
        }
    }

    fn chunk_of<I: Index>(&self, i: usize, dx: Option<&mut [Row]>, d_values: &mut [f32], scratch: &mut Scratch) {
        let by_column = &self.pattern.by_column;
        let columns = by_column.piece(i, self.chunks);
        let entries = by_column.offsets[columns.start] as usize..by_column.offsets[columns.end] as usize;
        let positions = &self.pattern.row_position[entries.clone()];
        // Overwritten by the first panel: what an earlier chunk left there does not matter.
        scratch.partial.resize(entries.len().max(scratch.partial.len()), [0.0; 4]);
        let partial = &mut scratch.partial[..entries.len()];
        if self.batch <= PANEL / 2 {
            partial.fill([0.0; 4]);
        }
        if let Some(dx) = dx {
            scratch.values.clear();
            scratch.values.extend(positions.iter().map(|&p| self.values[p as usize]));
            Block { of: self, columns, first_entry: entries.start, values: &scratch.values }.both_products::<I>(dx, partial);
        } else {
            Block { of: self, columns, first_entry: entries.start, values: &[] }.sddmm::<I>(partial);
        }
        sum_lanes(partial, positions, d_values);
    }

    /// Adds `decay · value` to `d_values`, after all chunks.
    fn decay(&self, d_values: &mut [f32]) {
        if self.decay.forward == 0.0 && self.decay.rest == 0.0 {
            return;
        }
        for row in 0..self.pattern.rows() {
            let (start, split, stop) = self.pattern.by_row.line(row);
            for (run, decay) in [(start..split, self.decay.forward), (split..stop, self.decay.rest)] {
                for (d_value, value) in d_values[run.clone()].iter_mut().zip(&self.values[run]) {
                    *d_value += decay * value;
                }
            }
        }
    }
}

/// A block of columns; its values in column order.
struct Block<'a> {
    of: &'a Backward<'a>,
    columns: Range<usize>,
    first_entry: usize,
    values: &'a [f32],
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

    fn both_products<I: Index>(&self, dx: &mut [Row], partial: &mut [[f32; 4]]) {
        let (batch, cols) = (self.of.batch, self.of.pattern.cols());
        for (panel, dx) in dx.chunks_exact_mut(cols).enumerate() {
            match batch - panel * PANEL {
                ..5 => self.both_columns::<false, 1, I>(panel, dx, partial),
                5..9 => self.both_columns::<false, 2, I>(panel, dx, partial),
                _ if panel > 0 => self.both_columns::<false, 4, I>(panel, dx, partial),
                _ => self.both_columns::<true, 4, I>(panel, dx, partial),
            }
        }
    }

    // Not inlined, like the others that hold the loops: in one large function V8 keeps the loops' own numbers on the stack.
    #[inline(never)]
    fn both_columns<const FIRST: bool, const V: usize, I: Index>(&self, panel: usize, dx: &mut [Row], partial: &mut [[f32; 4]]) {
        let (x, dy) = (self.x(panel), self.gather::<1, I>([self.dy(panel)]));
        for column in self.columns.clone() {
            let (start, split, stop) = self.of.pattern.by_column.line(column);
            let (a, rest) = (self.here(start..split), self.here(split..stop));
            let x = x[column].lanes();
            dx[column].set(both::<FIRST, V>(dy.rows(start..split), &self.values[a.clone()], x, &mut partial[a]));
            sddmm_16::<FIRST, V>(dy.rows(split..stop), x, &mut partial[rest]);
        }
    }

    fn sddmm<I: Index>(&self, partial: &mut [[f32; 4]]) {
        let panels = panels(self.of.batch);
        let full = self.of.batch / PANEL;
        for pair in 0..full / 2 {
            if pair == 0 {
                self.pair::<true, I>(0, partial);
            } else {
                self.pair::<false, I>(2 * pair, partial);
            }
        }
        for panel in full / 2 * 2..panels {
            match self.of.batch - panel * PANEL {
                ..5 => self.single_columns::<false, 1, I>(panel, partial),
                5..9 => self.single_columns::<false, 2, I>(panel, partial),
                _ if panel > 0 => self.single_columns::<false, 4, I>(panel, partial),
                _ => self.single_columns::<true, 4, I>(panel, partial),
            }
        }
    }

    #[inline(never)]
    fn single_columns<const FIRST: bool, const V: usize, I: Index>(&self, panel: usize, partial: &mut [[f32; 4]]) {
        let (x, dy) = (self.x(panel), self.gather::<1, I>([self.dy(panel)]));
        for column in self.columns.clone() {
            let (start, _, stop) = self.of.pattern.by_column.line(column);
            sddmm_16::<FIRST, V>(dy.rows(start..stop), x[column].lanes(), &mut partial[self.here(start..stop)]);
        }
    }

    #[inline(never)]
    fn pair<const FIRST: bool, I: Index>(&self, panel: usize, partial: &mut [[f32; 4]]) {
        let x = [self.x(panel), self.x(panel + 1)];
        let dy = self.gather::<2, I>([self.dy(panel), self.dy(panel + 1)]);
        for column in self.columns.clone() {
            let (start, _, stop) = self.of.pattern.by_column.line(column);
            sddmm_32::<FIRST>(dy.rows(start..stop), x.map(|x| x[column].lanes()), &mut partial[self.here(start..stop)]);
        }
    }

    /// Entries counted from the first of this block.
    #[inline(always)]
    fn here(&self, run: Range<usize>) -> Range<usize> {
        run.start - self.first_entry..run.end - self.first_entry
    }

    #[inline(always)]
    fn gather<const P: usize, I: Index>(&self, dy: [&'a [Row]; P]) -> Gather<'a, P, I> {
        Gather::new(dy, self.of.pattern.by_column.bounded())
    }
}

/// The partial sums of each entry, four lanes, added up, (0 + 1) + (2 + 3), to where the entry is in row order.
#[inline(never)]
fn sum_lanes(partial: &[[f32; 4]], positions: &[u32], d_values: &mut [f32]) {
    let (fours, rest) = partial.as_chunks::<4>();
    let (positions4, positions1) = positions.as_chunks::<4>();
    for (four, positions) in fours.iter().zip(positions4) {
        let lanes = F32x4::transpose([0, 1, 2, 3].map(|i| F32x4::load(&four[i])));
        let sums = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])).to_array();
        for (sum, &position) in sums.iter().zip(positions) {
            d_values[position as usize] = *sum;
        }
    }
    for (lanes, &position) in rest.iter().zip(positions1) {
        d_values[position as usize] = F32x4::load(lanes).sum();
    }
}

/// One column, V vectors of one panel: returns its row of dX, and adds to the partial sums of dValues, lane by lane; the `FIRST` panel starts them.
#[inline(always)]
fn both<'a, const FIRST: bool, const V: usize>(
    dy: impl Iterator<Item = [&'a Row; 1]>,
    values: &[f32],
    x: [F32x4; 4],
    partial: &mut [[f32; 4]],
) -> [F32x4; 4] {
    let mut dx = [F32x4::splat(0.0); 4];
    for (([dy], &value), partial) in dy.zip(values).zip(partial) {
        let weight = F32x4::splat(value);
        let mut product = if FIRST { F32x4::splat(0.0) } else { F32x4::load(partial) };
        let dy = dy.lanes();
        for v in 0..V {
            dx[v] = dy[v].mul_add(weight, dx[v]);
            product = dy[v].mul_add(x[v], product);
        }
        product.store(partial);
    }
    dx
}

/// As [`both`] without dX.
#[inline(always)]
fn sddmm_16<'a, const FIRST: bool, const V: usize>(dy: impl Iterator<Item = [&'a Row; 1]>, x: [F32x4; 4], partial: &mut [[f32; 4]]) {
    for ([dy], partial) in dy.zip(partial) {
        let mut product = if FIRST { F32x4::splat(0.0) } else { F32x4::load(partial) };
        let dy = dy.lanes();
        for v in 0..V {
            product = dy[v].mul_add(x[v], product);
        }
        product.store(partial);
    }
}

/// As [`sddmm_16`] over two full panels.
#[inline(always)]
fn sddmm_32<'a, const FIRST: bool>(dy: impl Iterator<Item = [&'a Row; 2]>, x: [[F32x4; 4]; 2], partial: &mut [[f32; 4]]) {
    for (dy, partial) in dy.zip(partial) {
        let mut products = [if FIRST { F32x4::splat(0.0) } else { F32x4::load(partial) }, F32x4::splat(0.0)];
        for p in 0..2 {
            let dy = dy[p].lanes();
            for v in 0..4 {
                products[p] = dy[v].mul_add(x[p][v], products[p]);
            }
        }
        (products[0] + products[1]).store(partial);
    }
}

/// All chunks, one after the other. See [`Backward::chunk`].
pub fn backward(products: &Backward<'_>, mut dx: Option<&mut [Row]>, d_values: &mut [f32], scratch: &mut Scratch) {
    if products.pattern.cols() > 0 {
        (0..products.chunks()).for_each(|i| products.chunk(i, dx.as_deref_mut(), d_values, scratch));
        products.decay(d_values);
    }
}

/// dY through relu, given its output `y`: 0 wherever that was not positive. Panels; overwrites `out`.
pub fn through_relu(dy: &[Row], y: &[Row], out: &mut [Row]) {
    assert_eq!(dy.len(), y.len());
    for ((dy, y), out) in dy.iter().zip(y).zip(out) {
        let (dy, y) = (dy.lanes(), y.lanes());
        out.set(std::array::from_fn(|v| dy[v].where_positive(y[v])));
    }
}

/// `dBias[o] = Σ over the batch of dY[·, o]`: `dy` panels `[P][out]`. Overwrites `d_bias [out]`.
pub fn bias(dy: &[Row], d_bias: &mut [f32], panels: usize) {
    let rows = d_bias.len();
    assert_eq!(dy.len(), panels * rows);
    for (row, out) in d_bias.iter_mut().enumerate() {
        let mut sum = F32x4::splat(0.0);
        for p in 0..panels {
            for lanes in dy[p * rows + row].lanes() {
                sum = sum + lanes;
            }
        }
        *out = sum.sum();
    }
}
