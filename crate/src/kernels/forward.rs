//! `Y = act(X·Wᵀ + b)` over the forward set A (SpMM).
//!
//! What limits it: loads. A weight meets 16 samples held in 4 registers, or 32 in 8: one vector of X is loaded for each multiply-add.
//! Which tile wins depends on the instructions. A fused multiply-add takes four cycles and there are two units, so eight sums must be under
//! way: 32 samples. Without fusion only the addition is in the chain, four sums do, and eight spill on older engines (Node 20: 35 % of peak,
//! against 58 % with four).

use crate::lanes::{F32x4, Row, gather};
use crate::pattern::{Bounded, CsrPattern, Index, Indices};

/// What a layer applies to its sums. The other activations of tfjs run outside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    Linear,
    Relu,
}

impl Activation {
    #[inline(always)]
    fn of(self, sums: [F32x4; 4]) -> [F32x4; 4] {
        match self {
            Self::Linear => sums,
            Self::Relu => sums.map(F32x4::relu),
        }
    }
}

/// Whether panels go through in pairs.
const PAIRS: bool = cfg!(target_feature = "relaxed-simd");

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
    let layer = Layer { pattern, values, bias, activation };
    match pattern.by_row.indices() {
        Indices::U16(_) => layer.all_panels::<u16>(x, y),
        Indices::U32(_) => layer.all_panels::<u32>(x, y),
    }
}

struct Layer<'a> {
    pattern: &'a CsrPattern,
    values: &'a [f32],
    bias: Option<&'a [f32]>,
    activation: Activation,
}

impl Layer<'_> {
    fn all_panels<I: Index>(&self, x: &[Row], y: &mut [Row]) {
        let (rows, cols) = (self.pattern.rows(), self.pattern.cols());
        if rows == 0 {
            return;
        }
        let together = if PAIRS { 2 } else { 1 };
        for (group, y) in y.chunks_mut(together * rows).enumerate() {
            let x = &x[group * together * cols..][..y.len() / rows * cols];
            if y.len() == rows {
                self.panel::<I>(x, y);
            } else {
                self.pair::<I>(x, y);
            }
        }
    }

    fn panel<I: Index>(&self, x: &[Row], y: &mut [Row]) {
        for (row, out) in y.iter_mut().enumerate() {
            let (run, values, start) = self.row::<I>(row);
            out.set(self.activation.of(spmm_16x1(run, values, x, start)));
        }
    }

    fn pair<I: Index>(&self, x: &[Row], y: &mut [Row]) {
        let (x0, x1) = x.split_at(x.len() / 2);
        let (y0, y1) = y.split_at_mut(y.len() / 2);
        for (row, (out0, out1)) in y0.iter_mut().zip(y1).enumerate() {
            let (run, values, start) = self.row::<I>(row);
            let (sums0, sums1) = spmm_32x1(run.indices(), values, x0, x1, start);
            out0.set(self.activation.of(sums0));
            out1.set(self.activation.of(sums1));
        }
    }

    /// The entries of A in one row, their values, and the bias in every lane.
    #[inline(always)]
    fn row<I: Index>(&self, row: usize) -> (Bounded<'_, I>, &[f32], F32x4) {
        let (first, split, _) = self.pattern.by_row.line(row);
        let bias = self.bias.map_or(0.0, |b| b[row]);
        (self.pattern.by_row.bounded(first..split), &self.values[first..split], F32x4::splat(bias))
    }
}

/// 16 samples × 1 output row in registers.
#[inline(always)]
fn spmm_16x1<I: Index>(run: Bounded<'_, I>, values: &[f32], x: &[Row], start: F32x4) -> [F32x4; 4] {
    let mut sums = [start; 4];
    for (x, &value) in gather(x, run).zip(values) {
        let weight = F32x4::splat(value);
        let x = x.lanes();
        for v in 0..4 {
            sums[v] = x[v].mul_add(weight, sums[v]);
        }
    }
    sums
}

/// 32 samples, of two panels, × 1 output row.
#[inline(always)]
fn spmm_32x1<I: Index>(indices: &[I], values: &[f32], x0: &[Row], x1: &[Row], start: F32x4) -> ([F32x4; 4], [F32x4; 4]) {
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
