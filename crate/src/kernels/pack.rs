//! `[batch, features]` ↔ panels of 16 samples. A copy: bound by memory, about a tenth of a product at density 0.05.
//!
//! Both directions move blocks of 16 samples × 16 features, a cache line each way: with a power-of-two number of features, walking
//! down one column of the row-major side would hit a single set of the first-level cache.

use super::{PANEL, panels};
use crate::lanes::{F32x4, Row};

const BLOCK: usize = 16;

/// `panels[p][f][s] = rows[16·p + s][f]`, 0 beyond the batch. Overwrites `out [panels(batch)·features]`.
pub fn pack(rows: &[f32], out: &mut [Row], batch: usize, features: usize) {
    pack_with(rows, rows, out, batch, features, |v, _| v);
}

/// As [`pack`], for dY where the layer ended in relu: 0 wherever its output `y [batch, features]` was not positive.
pub fn pack_where_positive(rows: &[f32], y: &[f32], out: &mut [Row], batch: usize, features: usize) {
    pack_with(rows, y, out, batch, features, F32x4::where_positive);
}

/// One block, row-major: 16 samples of 16 features.
type Samples = [[f32; BLOCK]; PANEL];

#[inline(always)]
fn pack_with(rows: &[f32], other: &[f32], out: &mut [Row], batch: usize, features: usize, map: impl Fn(F32x4, F32x4) -> F32x4 + Copy) {
    assert_eq!(rows.len(), batch * features);
    assert_eq!(other.len(), batch * features);
    assert_eq!(out.len(), panels(batch) * features);
    if features == 0 {
        return;
    }
    for (p, panel) in out.chunks_exact_mut(features).enumerate() {
        let (first, last) = (p * PANEL, batch.min((p + 1) * PANEL));
        for (b, block) in panel.chunks_mut(BLOCK).enumerate() {
            let at = |sample: usize| sample * features + b * BLOCK;
            if last - first == PANEL
                && let Ok(block) = <&mut [Row; BLOCK]>::try_from(&mut *block)
            {
                transpose_in(|s| whole(rows, at(first + s)), |s| whole(other, at(first + s)), block, map);
            } else {
                // At the edges a copy filled up with zeros goes through the same code.
                let mut samples: [Samples; 2] = [[[0.0; BLOCK]; PANEL]; 2];
                for sample in first..last {
                    for (to, from) in samples.iter_mut().zip([rows, other]) {
                        to[sample - first][..block.len()].copy_from_slice(&from[at(sample)..][..block.len()]);
                    }
                }
                let mut packed = [Row::ZERO; BLOCK];
                transpose_in(|s| &samples[0][s], |s| &samples[1][s], &mut packed, map);
                block.copy_from_slice(&packed[..block.len()]);
            }
        }
    }
}

/// `rows[16·p + s][f] = panels[p][f][s]`, leaving out the padding. Overwrites `rows [batch, features]`.
pub fn unpack(panels_in: &[Row], rows: &mut [f32], batch: usize, features: usize) {
    assert_eq!(rows.len(), batch * features);
    assert_eq!(panels_in.len(), panels(batch) * features);
    if features == 0 {
        return;
    }
    for (panel, samples) in panels_in.chunks_exact(features).zip(rows.chunks_mut(PANEL * features)) {
        for (b, block) in panel.chunks(BLOCK).enumerate() {
            if samples.len() == PANEL * features
                && let Ok(block) = <&[Row; BLOCK]>::try_from(block)
            {
                transpose_out(block, |s, q, lanes| lanes.store(quarter_mut(&mut samples[s * features + b * BLOCK..], q)));
            } else {
                let mut rows16 = [Row::ZERO; BLOCK];
                rows16[..block.len()].copy_from_slice(block);
                let mut unpacked: Samples = [[0.0; BLOCK]; PANEL];
                transpose_out(&rows16, |s, q, lanes| lanes.store(quarter_mut(&mut unpacked[s], q)));
                for (sample, from) in samples.chunks_exact_mut(features).zip(&unpacked) {
                    sample[b * BLOCK..][..block.len()].copy_from_slice(&from[..block.len()]);
                }
            }
        }
    }
}

/// Sixteen 4×4 transpositions: the features of each sample become the samples of each feature.
#[inline(always)]
fn transpose_in<'a>(
    sample: impl Fn(usize) -> &'a [f32; BLOCK],
    other: impl Fn(usize) -> &'a [f32; BLOCK],
    block: &mut [Row; BLOCK],
    map: impl Fn(F32x4, F32x4) -> F32x4,
) {
    for group in 0..4 {
        let samples = [0, 1, 2, 3].map(|s| sample(4 * group + s));
        let others = [0, 1, 2, 3].map(|s| other(4 * group + s));
        for q in 0..4 {
            let lanes = |s: usize| map(F32x4::load(quarter(samples[s], q)), F32x4::load(quarter(others[s], q)));
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
