//! `[batch, features]` ↔ panels of 16 samples. A copy: bound by memory, about a tenth of a product at density 0.05.
//!
//! Both directions move blocks of 16 samples × 16 features, a cache line each way: with a power-of-two number of features, walking
//! down one column of the row-major side would hit a single set of the first-level cache.

use super::{PANEL, panels};
use crate::lanes::{F32x4, Row};
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

/// The lanes of a chunk's samples.
fn samples(batch: usize, features: usize, panel: usize, part: &Range<usize>) -> Vec<Lane> {
    let lane = |sample: usize| Lane { skip: 0, start: sample * features + part.start, length: part.len() };
    (panel * PANEL..batch.min((panel + 1) * PANEL)).map(lane).collect()
}

/// Chunk `i` of [`pack`].
pub fn pack_chunk(i: usize, rows: &[f32], out: &mut [Row], batch: usize, features: usize) {
    assert!(rows.len() == batch * features);
    assert!(out.len() == panels(batch) * features);
    let (panel, part) = part(i, features);
    pack_lanes(rows, &samples(batch, features, panel, &part), &mut out[panel * features..][part]);
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
    unpack_lanes(&from[panel * features..][part.clone()], &samples(batch, features, panel, &part), rows, false);
}

/// What one lane of a panel holds: its numbers from `skip` on, `length` of them, lie from `start` on in a row-major array; the others are 0.
#[derive(Clone, Copy)]
pub struct Lane {
    pub skip: usize,
    pub start: usize,
    pub length: usize,
}

/// Between the last of the lanes to begin and the first to end, whole blocks need no care.
fn everywhere(lanes: &[Lane]) -> Range<usize> {
    let first = lanes.iter().map(|lane| lane.skip).max().unwrap_or(0);
    first..lanes.iter().map(|lane| lane.skip + lane.length).min().unwrap_or(usize::MAX)
}

/// Of a block that begins at `at`: the part that a lane has, and where it begins in the array.
fn overlap(lane: &Lane, at: usize, block: usize) -> (Range<usize>, usize) {
    let first = lane.skip.clamp(at, at + block);
    let last = (lane.skip + lane.length).clamp(first, at + block);
    (first - at..last - at, lane.start + first.saturating_sub(lane.skip).min(lane.length))
}

/// One panel of up to 16 lanes that lie anywhere in `values`. Overwrites `out`.
pub fn pack_lanes(values: &[f32], lanes: &[Lane], out: &mut [Row]) {
    assert!(lanes.len() <= PANEL);
    let whole_blocks = everywhere(lanes);
    for (b, block) in out.chunks_mut(BLOCK).enumerate() {
        let at = b * BLOCK;
        if whole_blocks.start <= at
            && at + BLOCK <= whole_blocks.end
            && let Ok(block) = <&mut [Row; BLOCK]>::try_from(&mut *block)
        {
            transpose_in(|s| lanes.get(s).map_or(&[0.0; BLOCK], |lane| whole(values, lane.start + at - lane.skip)), block);
        } else {
            let mut samples: Samples = [[0.0; BLOCK]; PANEL];
            for (lane, sample) in lanes.iter().zip(&mut samples) {
                let (part, from) = overlap(lane, at, block.len());
                let length = part.len();
                sample[part].copy_from_slice(&values[from..from + length]);
            }
            let mut packed = [Row::ZERO; BLOCK];
            transpose_in(|s| &samples[s], &mut packed);
            block.copy_from_slice(&packed[..block.len()]);
        }
    }
}

/// The reverse of [`pack_lanes`]. Lanes may share numbers, if theirs are to be added to what is there; else they overwrite it.
pub fn unpack_lanes(from: &[Row], lanes: &[Lane], values: &mut [f32], add: bool) {
    assert!(lanes.len() <= PANEL);
    let whole_blocks = everywhere(lanes);
    let put = |to: &mut [f32; 4], lanes: F32x4| (if add { F32x4::load(to) + lanes } else { lanes }).store(to);
    for (b, block) in from.chunks(BLOCK).enumerate() {
        let at = b * BLOCK;
        if whole_blocks.start <= at
            && at + BLOCK <= whole_blocks.end
            && let Ok(block) = <&[Row; BLOCK]>::try_from(block)
        {
            transpose_out(block, |s, quarters| {
                if let Some(lane) = lanes.get(s) {
                    let to: &mut [f32; BLOCK] = values[lane.start + at - lane.skip..].first_chunk_mut().expect("a whole block lies inside");
                    for (to, quarter) in to.as_chunks_mut().0.iter_mut().zip(quarters) {
                        put(to, quarter);
                    }
                }
            });
        } else {
            let mut rows16 = [Row::ZERO; BLOCK];
            rows16[..block.len()].copy_from_slice(block);
            let mut unpacked: Samples = [[0.0; BLOCK]; PANEL];
            transpose_out(&rows16, |s, quarters| {
                for (to, quarter) in unpacked[s].as_chunks_mut().0.iter_mut().zip(quarters) {
                    quarter.store(to);
                }
            });
            for (lane, sample) in lanes.iter().zip(&unpacked) {
                let (part, to) = overlap(lane, at, block.len());
                for (to, &from) in values[to..].iter_mut().zip(&sample[part]) {
                    *to = if add { *to + from } else { from };
                }
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
