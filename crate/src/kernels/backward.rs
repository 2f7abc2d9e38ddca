//! dX, dValues and dBias in one pass over the entries (SpMMᵀ and SDDMM fused).
//!
//! What limits it: multiply-adds. In column order a row of X and a row of dX stay in registers; each entry loads one row of dY and uses it
//! twice, 8 multiply-adds for 4 loads. Two separate passes would load 8.

use super::PANEL;
use crate::lanes::{F32x4, Row};
use crate::pattern::{CsrPattern, Indices, Runs};
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

/// `dX = dY·W` over A, and `dValues = (dYᵀ·X) at B + decay·values`: `x` and `dx` panels `[P][in]`, `dy` panels `[P][out]`, `values` and `d_values`
/// `[nnz]` in the pattern's order. Overwrites `dx` and `d_values`. Without `dx` (the first layer of a network) it computes `d_values` alone.
/// Cost: (|A| + |B|)·16·P multiply-adds; |B|·16·P without `dx`. Memory: 20 bytes per entry of one block of columns.
#[allow(clippy::too_many_arguments)] // one pass over the entries has these operands
pub fn backward(
    pattern: &CsrPattern,
    values: &[f32],
    x: &[Row],
    dy: &[Row],
    dx: Option<&mut [Row]>,
    d_values: &mut [f32],
    panels: usize,
    decay: Decay,
    scratch: &mut Scratch,
) {
    assert_eq!(values.len(), pattern.nnz());
    assert_eq!(d_values.len(), pattern.nnz());
    assert_eq!(x.len(), panels * pattern.cols());
    assert_eq!(dy.len(), panels * pattern.rows());
    assert!(dx.as_ref().is_none_or(|dx| dx.len() == x.len()));
    match pattern.by_column.indices() {
        Indices::U16(indices) => blocks(pattern, indices, values, x, dy, dx, d_values, panels, decay, scratch),
        Indices::U32(indices) => blocks(pattern, indices, values, x, dy, dx, d_values, panels, decay, scratch),
    }
}

#[allow(clippy::too_many_arguments)]
fn blocks<I: Copy + Into<u32>>(
    pattern: &CsrPattern,
    indices: &[I],
    values: &[f32],
    x: &[Row],
    dy: &[Row],
    mut dx: Option<&mut [Row]>,
    d_values: &mut [f32],
    panels: usize,
    decay: Decay,
    scratch: &mut Scratch,
) {
    let columns = &pattern.by_column;
    let (rows, cols) = (pattern.rows(), pattern.cols());
    let mut first = 0;
    while first < cols {
        let end = block_end(columns, first);
        let entries = columns.offsets[first] as usize..columns.offsets[end] as usize;
        let positions = &pattern.row_position[entries.clone()];
        scratch.values.clear();
        scratch.values.extend(positions.iter().map(|&p| values[p as usize]));
        // Overwritten by the first panel: what an earlier block left there does not matter.
        scratch.partial.resize(entries.len().max(scratch.partial.len()), [0.0; 4]);
        let here = |run: Range<usize>| run.start - entries.start..run.end - entries.start;

        let mut p = 0;
        while p < panels {
            let (x0, dy0) = (&x[p * cols..][..cols], &dy[p * rows..][..rows]);
            if let Some(dx) = &mut dx {
                let dx = &mut dx[p * cols..][..cols];
                for column in first..end {
                    let (start, split, stop) = columns.line(column);
                    let x = x0[column].lanes();
                    let partial = &mut scratch.partial[here(start..stop)];
                    let (of_a, of_rest) = partial.split_at_mut(split - start);
                    let (a, rest) = (&indices[start..split], &indices[split..stop]);
                    let weights = &scratch.values[here(start..split)];
                    if p == 0 {
                        dx[column].set(both::<true, _>(a, weights, x, dy0, of_a));
                        sddmm_16::<true, _>(rest, x, dy0, of_rest);
                    } else {
                        dx[column].set(both::<false, _>(a, weights, x, dy0, of_a));
                        sddmm_16::<false, _>(rest, x, dy0, of_rest);
                    }
                }
                p += 1;
                continue;
            }
            let pair = p + 1 < panels;
            for column in first..end {
                let (start, _, stop) = columns.line(column);
                let (indices, partial) = (&indices[start..stop], &mut scratch.partial[here(start..stop)]);
                let x0 = x0[column].lanes();
                if pair {
                    let x1 = x[(p + 1) * cols + column].lanes();
                    let dy1 = &dy[(p + 1) * rows..][..rows];
                    if p == 0 {
                        sddmm_32::<true, _>(indices, [x0, x1], dy0, dy1, partial);
                    } else {
                        sddmm_32::<false, _>(indices, [x0, x1], dy0, dy1, partial);
                    }
                } else if p == 0 {
                    sddmm_16::<true, _>(indices, x0, dy0, partial);
                } else {
                    sddmm_16::<false, _>(indices, x0, dy0, partial);
                }
            }
            p += if pair { 2 } else { 1 };
        }
        if panels == 0 {
            scratch.partial[..entries.len()].fill([0.0; 4]);
        }

        sum_lanes(&mut scratch.partial[..entries.len()]);
        for column in first..end {
            let (start, split, stop) = columns.line(column);
            for (run, decay) in [(start..split, decay.forward), (split..stop, decay.rest)] {
                for i in here(run) {
                    d_values[positions[i] as usize] = scratch.partial[i / 4][i % 4] + decay * scratch.values[i];
                }
            }
        }
        first = end;
    }
}

/// Turns the partial sums of each entry, four lanes, into its sum, (0 + 1) + (2 + 3), packed to the front: entry `i` is then at
/// `partial[i / 4][i % 4]`.
fn sum_lanes(partial: &mut [[f32; 4]]) {
    let load = |partial: &[[f32; 4]], i: usize| partial.get(i).map_or(F32x4::splat(0.0), F32x4::load);
    for q in 0..partial.len().div_ceil(4) {
        let lanes = F32x4::transpose([0, 1, 2, 3].map(|i| load(partial, 4 * q + i)));
        ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])).store(&mut partial[q]);
    }
}

/// The end of the block of columns that begins at `first`: at least one column, and as many as stay within [`BLOCK`] entries.
fn block_end(columns: &Runs, first: usize) -> usize {
    let limit = columns.offsets[first] as usize + BLOCK;
    let rest = &columns.offsets[first + 1..];
    first + rest.partition_point(|&o| o as usize <= limit).max(1)
}

/// One column, one panel: returns its row of dX, and adds to the partial sums of dValues, lane by lane; the `FIRST` panel starts them.
#[inline(always)]
fn both<const FIRST: bool, I: Copy + Into<u32>>(
    indices: &[I],
    values: &[f32],
    x: [F32x4; 4],
    dy: &[Row],
    partial: &mut [[f32; 4]],
) -> [F32x4; 4] {
    let mut dx = [F32x4::splat(0.0); 4];
    for ((&index, &value), partial) in indices.iter().zip(values).zip(partial) {
        let weight = F32x4::splat(value);
        let mut product = if FIRST { F32x4::splat(0.0) } else { F32x4::load(partial) };
        let dy = dy[index.into() as usize].lanes();
        for v in 0..4 {
            dx[v] = dy[v].mul_add(weight, dx[v]);
            product = dy[v].mul_add(x[v], product);
        }
        product.store(partial);
    }
    dx
}

/// As [`both`] without dX.
#[inline(always)]
fn sddmm_16<const FIRST: bool, I: Copy + Into<u32>>(indices: &[I], x: [F32x4; 4], dy: &[Row], partial: &mut [[f32; 4]]) {
    for (&index, partial) in indices.iter().zip(partial) {
        let mut product = if FIRST { F32x4::splat(0.0) } else { F32x4::load(partial) };
        let dy = dy[index.into() as usize].lanes();
        for v in 0..4 {
            product = dy[v].mul_add(x[v], product);
        }
        product.store(partial);
    }
}

/// As [`sddmm_16`] over two panels, one after the other in each sum: the same bits, half the traffic of partial sums.
#[inline(always)]
fn sddmm_32<const FIRST: bool, I: Copy + Into<u32>>(indices: &[I], x: [[F32x4; 4]; 2], dy0: &[Row], dy1: &[Row], partial: &mut [[f32; 4]]) {
    for (&index, partial) in indices.iter().zip(partial) {
        let mut product = if FIRST { F32x4::splat(0.0) } else { F32x4::load(partial) };
        let at = index.into() as usize;
        let (dy0, dy1) = (dy0[at].lanes(), dy1[at].lanes());
        for v in 0..4 {
            product = dy0[v].mul_add(x[0][v], product);
        }
        for v in 0..4 {
            product = dy1[v].mul_add(x[1][v], product);
        }
        product.store(partial);
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
    const { assert!(PANEL == 16) }
}
