//! `[batch, features]` ↔ panels of 16 samples. A copy: bound by memory, about a tenth of a product at density 0.05.
//!
//! Both directions move blocks of 16 samples × 16 features, a cache line each way: with a power-of-two number of features, walking
//! down one column of the row-major side would hit a single set of the first-level cache.

use super::{PANEL, panels};
use crate::lanes::{F32x4, Normal, Row};
use std::array::from_fn;
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

/// The samples of a panel.
fn samples(batch: usize, panel: usize) -> Range<usize> {
    panel * PANEL..batch.min((panel + 1) * PANEL)
}

/// Chunk `i` of [`pack`].
pub fn pack_chunk(i: usize, rows: &[f32], out: &mut [Row], batch: usize, features: usize) {
    assert!(rows.len() == batch * features);
    assert!(out.len() == panels(batch) * features);
    let (panel, part) = part(i, features);
    let samples = samples(batch, panel);
    // Of features that do not fill a block, the last ones: what is read and what is written.
    let mut ragged: Option<(Samples, [Row; BLOCK])> = None;
    for (b, block) in out[panel * features..][part.clone()].chunks_mut(BLOCK).enumerate() {
        let at = |s: usize| (samples.start + s) * features + part.start + b * BLOCK;
        if block.len() < BLOCK {
            let (padded, _) = ragged.insert(([[0.0; BLOCK]; PANEL], [Row::ZERO; BLOCK]));
            for s in 0..samples.len() {
                padded[s][..block.len()].copy_from_slice(&rows[at(s)..][..block.len()]);
            }
        }
        let (padded, packed) = match &mut ragged {
            Some((padded, packed)) => (Some(&*padded), packed),
            None => (None, (&mut *block).try_into().expect("a whole block")),
        };
        let sample = |s: usize| match padded {
            Some(padded) => &padded[s],
            None if s < samples.len() => whole(rows, at(s)),
            None => &[0.0; BLOCK],
        };
        transpose_in(sample, packed);
        if let Some((_, packed)) = &ragged {
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
    let samples = samples(batch, panel);
    for (b, block) in from[panel * features..][part.clone()].chunks(BLOCK).enumerate() {
        let at = |s: usize| (samples.start + s) * features + part.start + b * BLOCK;
        if let Ok(block) = <&[Row; BLOCK]>::try_from(block) {
            transpose_out(block, |s, quarters| {
                if s < samples.len() {
                    store(quarters, rows[at(s)..].first_chunk_mut().expect("a whole block lies inside"));
                }
            });
        } else {
            let mut padded = [Row::ZERO; BLOCK];
            padded[..block.len()].copy_from_slice(block);
            transpose_out(&padded, |s, quarters| {
                if s < samples.len() {
                    let mut sample = [0.0; BLOCK];
                    store(quarters, &mut sample);
                    rows[at(s)..][..block.len()].copy_from_slice(&sample[..block.len()]);
                }
            });
        }
    }
}

#[inline(always)]
fn store(quarters: [F32x4; 4], to: &mut [f32; BLOCK]) {
    to.as_chunks_mut().0.iter_mut().zip(quarters).for_each(|(to, quarter)| quarter.store(to));
}

/// Sixteen 4×4 transpositions: the features of each sample become the samples of each feature. Denormal numbers become 0, see [`flush`](super::flush): a tenth of the
/// time.
#[inline(always)]
fn transpose_in<'a>(sample: impl Fn(usize) -> &'a [f32; BLOCK], block: &mut [Row; BLOCK]) {
    let normal = Normal::default();
    for group in 0..4 {
        let samples = [0, 1, 2, 3].map(|s| sample(4 * group + s));
        for q in 0..4 {
            let lanes = |s: usize| F32x4::load(quarter(samples[s], q)).flushed(normal);
            let features = F32x4::transpose([lanes(0), lanes(1), lanes(2), lanes(3)]);
            for f in 0..4 {
                features[f].store(quarter_mut(&mut block[4 * q + f].0, group));
            }
        }
    }
}

/// The reverse of [`transpose_in`]: hands out the features of one sample after the other, a whole line of the row-major side at a time.
#[inline(always)]
fn transpose_out(block: &[Row; BLOCK], mut put: impl FnMut(usize, [F32x4; 4])) {
    for group in 0..4 {
        let quarters: [[F32x4; 4]; 4] = from_fn(|q| F32x4::transpose(from_fn(|f| F32x4::load(quarter(&block[4 * q + f].0, group)))));
        (0..4).for_each(|s| put(4 * group + s, quarters.map(|samples| samples[s])));
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
