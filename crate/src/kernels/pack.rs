//! `[batch, features]` ↔ panels of 16 samples. A copy: bound by memory, about a tenth of a product at density 0.05.
//!
//! Both directions move blocks of 16 samples × 16 features, a cache line each way: with a power-of-two number of features, walking
//! down one column of the row-major side would hit a single set of the first-level cache.

use super::{PANEL, panels};
use crate::lanes::{F32x4, Row};
use std::ops::Range;

const BLOCK: usize = 16;

/// Features of one panel that make a chunk: whole cache lines on both sides.
const CHUNK: usize = 128;

/// One block, row-major: 16 samples of 16 features.
type Samples = [[f32; BLOCK]; PANEL];

/// Independent chunks of [`pack_chunk`] and [`unpack_chunk`].
pub fn chunks(batch: usize, features: usize) -> usize {
    panels(batch) * features.div_ceil(CHUNK)
}

/// The panel of a chunk, and its features.
fn part(i: usize, features: usize) -> (usize, Range<usize>) {
    let per_panel = features.div_ceil(CHUNK);
    let first = i % per_panel * CHUNK;
    (i / per_panel, first..features.min(first + CHUNK))
}

/// `panels[p][f][s] = rows[16·p + s][f]`, 0 beyond the batch. Overwrites `out [panels(batch)·features]`.
pub fn pack(rows: &[f32], out: &mut [Row], batch: usize, features: usize) {
    (0..chunks(batch, features)).for_each(|i| pack_chunk(i, rows, out, batch, features));
}

/// Chunk `i` of [`pack`].
pub fn pack_chunk(i: usize, rows: &[f32], out: &mut [Row], batch: usize, features: usize) {
    assert!(rows.len() == batch * features);
    assert!(out.len() == panels(batch) * features);
    let (panel, part) = part(i, features);
    let (first, last) = (panel * PANEL, batch.min((panel + 1) * PANEL));
    for (b, block) in out[panel * features..][part.clone()].chunks_mut(BLOCK).enumerate() {
        let at = |sample: usize| sample * features + part.start + b * BLOCK;
        if last - first == PANEL
            && let Ok(block) = <&mut [Row; BLOCK]>::try_from(&mut *block)
        {
            transpose_in(|s| whole(rows, at(first + s)), block);
        } else {
            // At the edges a copy filled up with zeros goes through the same code.
            let mut samples: Samples = [[0.0; BLOCK]; PANEL];
            for sample in first..last {
                samples[sample - first][..block.len()].copy_from_slice(&rows[at(sample)..][..block.len()]);
            }
            let mut packed = [Row::ZERO; BLOCK];
            transpose_in(|s| &samples[s], &mut packed);
            block.copy_from_slice(&packed[..block.len()]);
        }
    }
}

/// `rows[16·p + s][f] = panels[p][f][s]`, leaving out the padding. Overwrites `rows [batch, features]`.
pub fn unpack(from: &[Row], rows: &mut [f32], batch: usize, features: usize) {
    (0..chunks(batch, features)).for_each(|i| unpack_chunk(i, from, rows, batch, features));
}

/// Chunk `i` of [`unpack`].
pub fn unpack_chunk(i: usize, from: &[Row], rows: &mut [f32], batch: usize, features: usize) {
    assert!(rows.len() == batch * features);
    assert!(from.len() == panels(batch) * features);
    let (panel, part) = part(i, features);
    let samples = &mut rows[panel * PANEL * features..batch.min((panel + 1) * PANEL) * features];
    for (b, block) in from[panel * features..][part.clone()].chunks(BLOCK).enumerate() {
        let first = part.start + b * BLOCK;
        if samples.len() == PANEL * features
            && let Ok(block) = <&[Row; BLOCK]>::try_from(block)
        {
            transpose_out(block, |s, q, lanes| lanes.store(quarter_mut(&mut samples[s * features + first..], q)));
        } else {
            let mut rows16 = [Row::ZERO; BLOCK];
            rows16[..block.len()].copy_from_slice(block);
            let mut unpacked: Samples = [[0.0; BLOCK]; PANEL];
            transpose_out(&rows16, |s, q, lanes| lanes.store(quarter_mut(&mut unpacked[s], q)));
            for (sample, from) in samples.chunks_exact_mut(features).zip(&unpacked) {
                sample[first..][..block.len()].copy_from_slice(&from[..block.len()]);
            }
        }
    }
}

/// Sixteen 4×4 transpositions: the features of each sample become the samples of each feature.
#[inline(always)]
fn transpose_in<'a>(sample: impl Fn(usize) -> &'a [f32; BLOCK], block: &mut [Row; BLOCK]) {
    for group in 0..4 {
        let samples = [0, 1, 2, 3].map(|s| sample(4 * group + s));
        for q in 0..4 {
            let lanes = |s: usize| F32x4::load(quarter(samples[s], q));
            let features = F32x4::transpose([lanes(0), lanes(1), lanes(2), lanes(3)]);
            for f in 0..4 {
                features[f].store(quarter_mut(&mut block[4 * q + f].0, group));
            }
        }
    }
}

/// The reverse of [`transpose_in`]: hands out quarter `q` of the features of sample `s`, four samples at a time, so that a line of the
/// row-major side is written whole before the next.
#[inline(always)]
fn transpose_out(block: &[Row; BLOCK], mut put: impl FnMut(usize, usize, F32x4)) {
    for group in 0..4 {
        for q in 0..4 {
            let lanes = |f: usize| F32x4::load(quarter(&block[4 * q + f].0, group));
            let samples = F32x4::transpose([lanes(0), lanes(1), lanes(2), lanes(3)]);
            for (s, lanes) in samples.into_iter().enumerate() {
                put(4 * group + s, q, lanes);
            }
        }
    }
}

#[inline(always)]
fn whole(rows: &[f32], at: usize) -> &[f32; BLOCK] {
    rows[at..].first_chunk().expect("a whole block lies inside")
}

#[inline(always)]
fn quarter(s: &[f32; BLOCK], q: usize) -> &[f32; 4] {
    &s.as_chunks::<4>().0[q]
}

#[inline(always)]
fn quarter_mut(s: &mut [f32], q: usize) -> &mut [f32; 4] {
    &mut s.as_chunks_mut::<4>().0[q]
}
