//! The products of a sparse layer, and what trains it. Read this first.
//!
//! `W [out, in]` is sparse, activations are dense. Per batch of B samples a layer needs three products, in the field's words:
//!
//! | product | formula | here | cost |
//! |---|---|---|---|
//! | SpMM | `Y = act(X·Wᵀ + b)` | [`forward`] | 2·nnz·B |
//! | SpMMᵀ | `dX = dY·W` | [`backward`], one pass | 2·nnz·B |
//! | SDDMM | `dW = dYᵀ·X` at the stored entries | with the former; alone [`sddmm`] | 2·nnz·B |
//!
//! A sparse convolution is the same three at every place of its window, on panels of images: [`convolution`].
//!
//! **Layout.** tfjs holds activations `[batch, features]`. A sparse product wants the batch innermost, so that one weight meets
//! contiguous samples: [`pack`] cuts the batch into *panels* of 16 samples, `[panel][feature]` of [`Row`](crate::lanes::Row)s, zero-padded at the
//! end. A row is one cache line. Sixteen is what registers allow: the backward pass keeps 4 vectors of X and 4 of dX at hand while 4 of dY
//! stream by, 15 being usable.
//!
//! **Chunks.** [`pack`], [`forward`], [`backward`] and [`sddmm`] are sets of independent chunks, cut so that each has about as many entries (or whole cache lines) and
//! writes results of its own. Today one thread runs them in turn; the bits do not depend on who does.
//!
//! **Order.** Every output adds its terms in the order of the pattern, and sums over the batch run over the panels in order,
//! whatever tile does it (those of a layer that has all or most of its weights sample by sample). Results depend on the binary (see `lanes`), not on the shape of the batch around a sample
//! (but for dX of a convolution where images are cut into strips: rows that two of them share are added up).
//!
//! The others: [`dense`] (the dense product, for `fastDense`), [`full`] (the products of a layer that has all or most of its weights), [`backward_rows`] (the backward pass for few samples, and for large layers), [`layer`] (which of them it takes), [`conv_dense`], [`depthwise`] and [`pool`] (dense convolutions and max pooling, for `trainingKernels`), [`window`] (their geometry), [`top_k`] (exact selection by magnitude), `kth` (what it and others rank with), [`edit`] (a pattern moves), [`gradient`] (what growth needs to know of the dense gradient, in O(k) memory),
//! [`random`] (numbers by hash), [`seeded`] (Top-KAST without its whole vector), [`optimizer`], [`power`] (Powerpropagation), [`peak`] (what this machine could do at best).

use crate::lanes::{F32x4, Normal, Row};

pub mod backward;
pub mod backward_rows;
pub mod conv_dense;
pub mod convolution;
pub mod dense;
pub mod depthwise;
pub mod edit;
pub mod forward;
pub mod full;
pub mod gradient;
mod kth;
pub mod layer;
pub mod optimizer;
pub mod pack;
pub mod peak;
pub mod pool;
pub mod power;
pub mod random;
pub mod sddmm;
pub mod seeded;
pub mod top_k;
pub mod window;

/// Samples in a panel.
pub const PANEL: usize = 16;

/// Panels that hold `batch` samples.
pub const fn panels(batch: usize) -> usize {
    batch.div_ceil(PANEL)
}

/// Lines that half of a second-level cache of 1 MB holds.
const CACHED: usize = 1 << 13;

/// Whether lines are to be [`touch`]ed before `entries` read them, of `all` that a whole product reads. Where these fit the cache it would cost up to 4 %,
/// and where most are not read a multiple.
fn touching_pays(all: usize, lines: usize, entries: usize) -> bool {
    all > CACHED && entries >= lines
}

/// Reads a number of each line, from the first to the last, which the hardware foresees and fetches ahead. In the order of the entries, which it cannot
/// foresee, a product would wait for most of them: twice the time where they come from memory.
fn touch(lines: &[Row]) {
    touch_numbers(Row::numbers(lines));
}

/// The same of lines that may begin anywhere.
#[inline(never)]
fn touch_numbers(numbers: &[f32]) {
    std::hint::black_box(numbers.iter().step_by(PANEL).fold(0, |seen, number| seen | number.to_bits()));
}

/// Sets denormal numbers to 0. On Intel's processors each vector with one costs a multiply-add some 150 cycles, a product 160 times its time, and wasm
/// cannot tell them to do without. So these are flushed where numbers come in, as activations are packed and weights copied, and where kernels hand on what the
/// next one multiplies; not in the loops of the products. What remains slow are products whose every term is denormal, of numbers that are not, and what a layer
/// without relu hands to another one directly.
#[inline(never)]
pub fn flush(numbers: &mut [f32]) {
    let normal = Normal::default();
    let (fours, rest) = numbers.as_chunks_mut();
    fours.iter_mut().for_each(|four| F32x4::load(four).flushed(normal).store(four));
    rest.iter_mut().filter(|number| number.abs() < f32::MIN_POSITIVE).for_each(|number| *number = 0.0);
}
