//! `Y = act(X·Wᵀ + b)` over the forward set A (SpMM).
//!
//! What limits it: loads. Each weight meets 32 samples held in 8 registers: 8 multiply-adds for 8 loads of X, one weight, one index.

use crate::lanes::{F32x4, Row};
use crate::pattern::{CsrPattern, Indices};

/// What a layer applies to its sums. The other activations of tfjs run outside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    Linear,
    Relu,
}

/// `Y = act(X·Wᵀ + b)`: `values [nnz]` in the pattern's order, `bias [out]` if any, `x` panels `[P][in]`, `y` panels `[P][out]`. Overwrites
/// `y`. Entries of B∖A have no part. Each output starts at its bias and adds its terms in the order of the pattern.
/// Cost: |A|·16·P multiply-adds.
pub fn forward(
    pattern: &CsrPattern,
    values: &[f32],
    bias: Option<&[f32]>,
    x: &[Row],
    y: &mut [Row],
    panels: usize,
    activation: Activation,
) {
    assert_eq!(values.len(), pattern.nnz());
    assert!(bias.is_none_or(|b| b.len() == pattern.rows()));
    assert_eq!(x.len(), panels * pattern.cols());
    assert_eq!(y.len(), panels * pattern.rows());
    match &pattern.by_row.indices {
        Indices::U16(indices) => all_panels(pattern, indices, values, bias, x, y, activation),
        Indices::U32(indices) => all_panels(pattern, indices, values, bias, x, y, activation),
    }
}

fn all_panels<I: Copy + Into<u32>>(
    pattern: &CsrPattern,
    indices: &[I],
    values: &[f32],
    bias: Option<&[f32]>,
    x: &[Row],
    y: &mut [Row],
    activation: Activation,
) {
    let (rows, cols) = (pattern.rows(), pattern.cols());
    if rows == 0 {
        return;
    }
    let start = |row: usize| F32x4::splat(bias.map_or(0.0, |b| b[row]));
    let finish = |sums: [F32x4; 4]| match activation {
        Activation::Linear => sums,
        Activation::Relu => sums.map(F32x4::relu),
    };
    for (pair, y) in y.chunks_mut(2 * rows).enumerate() {
        let x = &x[2 * pair * cols..];
        if y.len() == rows {
            let x = &x[..cols];
            for (row, out) in y.iter_mut().enumerate() {
                let (first, end, _) = pattern.by_row.line(row);
                out.set(finish(spmm_16x1(&indices[first..end], &values[first..end], x, start(row))));
            }
            return;
        }
        let (x0, x1) = (&x[..cols], &x[cols..2 * cols]);
        let (y0, y1) = y.split_at_mut(rows);
        for (row, (out0, out1)) in y0.iter_mut().zip(y1).enumerate() {
            let (first, end, _) = pattern.by_row.line(row);
            let (sums0, sums1) = spmm_32x1(&indices[first..end], &values[first..end], x0, x1, start(row));
            out0.set(finish(sums0));
            out1.set(finish(sums1));
        }
    }
}

/// 16 samples × 1 output row in registers.
#[inline(always)]
fn spmm_16x1<I: Copy + Into<u32>>(indices: &[I], values: &[f32], x: &[Row], start: F32x4) -> [F32x4; 4] {
    let mut sums = [start; 4];
    for (&index, &value) in indices.iter().zip(values) {
        let weight = F32x4::splat(value);
        let x = x[index.into() as usize].lanes();
        for v in 0..4 {
            sums[v] = x[v].mul_add(weight, sums[v]);
        }
    }
    sums
}

/// 32 samples, of two panels, × 1 output row.
#[inline(always)]
fn spmm_32x1<I: Copy + Into<u32>>(indices: &[I], values: &[f32], x0: &[Row], x1: &[Row], start: F32x4) -> ([F32x4; 4], [F32x4; 4]) {
    let (mut sums0, mut sums1) = ([start; 4], [start; 4]);
    for (&index, &value) in indices.iter().zip(values) {
        let weight = F32x4::splat(value);
        let at = index.into() as usize;
        let (x0, x1) = (x0[at].lanes(), x1[at].lanes());
        for v in 0..4 {
            sums0[v] = x0[v].mul_add(weight, sums0[v]);
        }
        for v in 0..4 {
            sums1[v] = x1[v].mul_add(weight, sums1[v]);
        }
    }
    (sums0, sums1)
}
