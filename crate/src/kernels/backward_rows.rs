//! The products of [`backward`](super::backward) row by row, for few samples and for large layers: values and gradients then stay in the order that they have.
//!
//! What limits it: memory operations. A row of dY stays in registers; each entry loads a line of X and one of dX and stores that again, 8 multiply-adds for 8
//! loads and 4 stores: 8 cycles an entry and panel. By columns it is 4.4, and once 2 or 3 for the change of order, 10 to 20 in a layer of more than 262 144
//! weights. And by columns an entry waits four cycles for the sum of the one before, however few vectors there are. So 8 samples take 6.5 cycles on an Intel Xeon
//! instead of 8.4, 4 of them 5.5. 16 samples of a large layer take as long either way; 32 by columns 20 to 35 % less.
//!
//! All of it is one chunk: all rows add to dX.

use super::backward::{BLOCK, Backward, Scratch, room_for, sddmm_of, stale};
use super::sddmm::sum_lanes;
use super::{PANEL, panels};
use crate::lanes::{F32x4, I32x4, Row};
use crate::pattern::{CsrPattern, Index, Indices};
use std::ops::Range;

/// Weights beyond which a change of order goes beyond the second-level cache.
const LARGE: usize = 1 << 18;

/// Features of which X and dX of a panel are, at 2 MB, still near.
const NEAR: usize = 1 << 14;

/// Whether this is the faster way.
pub fn serves(pattern: &CsrPattern, batch: usize) -> bool {
    batch <= if is_far_by_columns(pattern) { PANEL } else { PANEL / 2 }
}

/// Whether values and gradients go far in the order of columns, and X does not in that of rows.
pub(super) fn is_far_by_columns(pattern: &CsrPattern) -> bool {
    pattern.nnz() > LARGE && pattern.cols() <= NEAR
}

/// As all chunks of [`Backward`]: dX to the bit, and with it dValues.
pub fn backward(products: &Backward, dx: &mut [Row], d_values: &mut [f32], scratch: &mut Scratch) {
    let Backward { pattern, batch, .. } = *products;
    if batch == 0 {
        d_values.fill(0.0); // no panel starts the sums
        return;
    }
    let by_row = &pattern.by_row;
    dx.fill(Row::ZERO);
    let pieces = pattern.nnz().div_ceil(BLOCK).max(1);
    for piece in 0..pieces {
        let rows = by_row.piece(piece, pieces);
        let entries = by_row.offsets[rows.start] as usize..by_row.offsets[rows.end] as usize;
        let partial = room_for(entries.len(), &mut scratch.partial);
        for panel in 0..panels(batch) {
            let dx = &mut dx[panel * pattern.cols()..][..pattern.cols()];
            let part = Part { of: products, panel, rows: rows.clone() };
            match (by_row.indices(), batch - panel * PANEL) {
                (Indices::U16(_), ..5) => part.both::<1, u16>(dx, partial),
                (Indices::U16(_), ..9) => part.both::<2, u16>(dx, partial),
                (Indices::U16(_), _) => part.both::<4, u16>(dx, partial),
                (Indices::U32(_), _) => part.both::<4, u32>(dx, partial),
            }
        }
        sum_lanes(partial, &mut d_values[entries]);
    }
}

/// Some rows, of one panel.
struct Part<'a> {
    of: &'a Backward<'a>,
    panel: usize,
    rows: Range<usize>,
}

impl Part<'_> {
    /// X and dY of the panel, and the indices of all entries.
    fn operands<I: Index>(&self) -> (&[Row], &[Row], &[I]) {
        let Backward { pattern, x, dy, .. } = *self.of;
        let (cols, rows) = (pattern.cols(), pattern.rows());
        (&x[self.panel * cols..][..cols], &dy[self.panel * rows..][..rows], pattern.by_row.bounded().indices())
    }

    /// V vectors of samples: adds to dX of the panel, and to the partial sums of dValues, lane by lane.
    #[inline(never)]
    fn both<const V: usize, I: Index>(self, dx: &mut [Row], mut partial: &mut [[f32; 4]]) {
        let (x, dy, indices) = self.operands::<I>();
        let stale = stale(self.panel);
        for row in self.rows.clone() {
            let (start, split, end) = self.of.pattern.by_row.line(row);
            let (of_a, of_rest);
            (of_a, partial) = partial.split_at_mut(split - start);
            (of_rest, partial) = partial.split_at_mut(end - split);
            let dy = dy[row].lanes();
            for ((&index, &value), partial) in indices[start..split].iter().zip(&self.of.values[start..split]).zip(of_a) {
                let (x, weight) = (x[index.into() as usize].lanes(), F32x4::splat(value));
                let (dx, _) = dx[index.into() as usize].0.as_chunks_mut();
                for v in 0..V {
                    dy[v].mul_add(weight, F32x4::load(&dx[v])).store(&mut dx[v]);
                }
                sddmm_of::<V>(dy, x, F32x4::load(partial).without(stale)).store(partial);
            }
            sddmm_row::<V, I>(x, dy, &indices[split..end], of_rest, stale);
        }
    }
}

#[inline(always)]
fn sddmm_row<const V: usize, I: Index>(x: &[Row], dy: [F32x4; 4], indices: &[I], partial: &mut [[f32; 4]], stale: I32x4) {
    for (&index, partial) in indices.iter().zip(partial) {
        sddmm_of::<V>(dy, x[index.into() as usize].lanes(), F32x4::load(partial).without(stale)).store(partial);
    }
}
