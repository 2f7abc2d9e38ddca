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

#[inline(always)]
fn pack_with(rows: &[f32], other: &[f32], out: &mut [Row], batch: usize, features: usize, map: impl Fn(F32x4, F32x4) -> F32x4) {
    assert_eq!(rows.len(), batch * features);
    assert_eq!(other.len(), batch * features);
    assert_eq!(out.len(), panels(batch) * features);
    if features == 0 {
        return;
    }
    let load = |sample: usize, feature: usize, width: usize| {
        if sample >= batch {
            return F32x4::splat(0.0);
        }
        let at = sample * features + feature;
        map(load_part(&rows[at..][..width]), load_part(&other[at..][..width]))
    };
    for (p, panel) in out.chunks_exact_mut(features).enumerate() {
        for first in (0..features).step_by(BLOCK) {
            let block = &mut panel[first..features.min(first + BLOCK)];
            for (i, four) in block.chunks_mut(4).enumerate() {
                let feature = first + 4 * i;
                for group in 0..4 {
                    let sample = p * PANEL + 4 * group;
                    let columns = F32x4::transpose([0, 1, 2, 3].map(|s| load(sample + s, feature, four.len())));
                    for (row, lanes) in four.iter_mut().zip(columns) {
                        lanes.store(&mut row.0.as_chunks_mut::<4>().0[group]);
                    }
                }
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
        for first in (0..features).step_by(BLOCK) {
            let block = &panel[first..features.min(first + BLOCK)];
            for (group, four) in samples.chunks_mut(4 * features).enumerate() {
                for (i, rows4) in block.chunks(4).enumerate() {
                    let zero = F32x4::splat(0.0);
                    let columns = F32x4::transpose(
                        [0, 1, 2, 3].map(|f| rows4.get(f).map_or(zero, |row| F32x4::load(&row.0.as_chunks::<4>().0[group]))),
                    );
                    for (sample, lanes) in four.chunks_exact_mut(features).zip(columns) {
                        store_part(lanes, &mut sample[first + 4 * i..][..rows4.len()]);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn load_part(s: &[f32]) -> F32x4 {
    match s.first_chunk::<4>() {
        Some(four) => F32x4::load(four),
        None => {
            let mut four = [0.0; 4];
            four[..s.len()].copy_from_slice(s);
            F32x4::load(&four)
        }
    }
}

#[inline(always)]
fn store_part(lanes: F32x4, s: &mut [f32]) {
    match s.first_chunk_mut::<4>() {
        Some(four) => lanes.store(four),
        None => s.copy_from_slice(&lanes.to_array()[..s.len()]),
    }
}
