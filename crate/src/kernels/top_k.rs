//! The k entries of largest magnitude, exactly, without sorting.
//!
//! A sample guesses a threshold a little too low; one pass lists what reaches it; the rest happens in that list. Positive floats order as their
//! bits do, so the k-th of the list is found by histograms of the upper 11, the next 10 and the last 10 bits. Should the guess have been too
//! high, the list is everything: slower, never wrong. What limits it: that one pass over all values, four at a time.

use crate::lanes::F32x4;

/// A value was NaN, which has no magnitude to rank.
#[derive(Debug, PartialEq, Eq)]
pub struct NotANumber {
    pub index: usize,
}

const MAGNITUDE: u32 = 0x7fff_ffff;
const INFINITY: u32 = 0x7f80_0000;

/// Indices of the `out.len()` values of largest magnitude, ascending. Equal magnitudes: the lower index wins.
/// Overwrites `out`, whose length must not exceed `values.len()`. O(n) time; 8 bytes for each value in the list, most often little more than k.
pub fn top_k(values: &[f32], out: &mut [u32]) -> Result<(), NotANumber> {
    let k = out.len();
    assert!(k <= values.len());
    let mut likely = Likely::default();
    likely.fill(values, guess(values, k));
    if likely.indices.len() < k {
        likely.fill(values, 0.0);
    }
    // A NaN reaches every threshold.
    if let Some(at) = likely.magnitudes.iter().position(|&bits| bits > INFINITY) {
        return Err(NotANumber { index: likely.indices[at] as usize });
    }
    if k == 0 {
        return Ok(());
    }
    let (threshold, mut ties) = kth(&likely.magnitudes, k);
    let mut end = 0;
    for (&index, &bits) in likely.indices.iter().zip(&likely.magnitudes) {
        if end == k {
            break;
        }
        // Written in any case; only what belongs there moves the end. See `Likely::fill`.
        let tie = (bits == threshold) & (ties > 0);
        out[end] = index;
        end += usize::from((bits > threshold) | tie);
        ties -= usize::from(tie);
    }
    Ok(())
}

/// Values that may be among the k: their indices, ascending, and the bits of their magnitudes.
#[derive(Default)]
struct Likely {
    indices: Vec<u32>,
    magnitudes: Vec<u32>,
}

impl Likely {
    /// Lists every value that is NaN or whose magnitude reaches `threshold`.
    fn fill(&mut self, values: &[f32], threshold: f32) {
        let splat = F32x4::splat(threshold);
        let reached = |sixteen: &[f32; 16]| {
            let (q, _) = sixteen.as_chunks::<4>();
            let mask = |i: usize| F32x4::load(&q[i]).abs().not_below(splat) << (4 * i);
            mask(0) | mask(1) | mask(2) | mask(3)
        };
        let (sixteens, rest) = values.as_chunks::<16>();
        let count: u32 = sixteens.iter().map(|chunk| reached(chunk).count_ones()).sum();

        // Every index is written, and those that stay move the end: a branch per value would be guessed wrong too often. One slot is spare.
        self.indices.clear();
        self.indices.resize(count as usize + 1, 0);
        let mut end = 0;
        for (c, chunk) in sixteens.iter().enumerate() {
            let mask = reached(chunk);
            if mask != 0 {
                for i in 0..16 {
                    self.indices[end] = (16 * c + i) as u32;
                    end += (mask >> i & 1) as usize;
                }
            }
        }
        self.indices.truncate(end);
        let tail = rest.iter().enumerate().filter(|(_, v)| v.is_nan() || v.abs() >= threshold);
        self.indices.extend(tail.map(|(i, _)| (16 * sixteens.len() + i) as u32));
        self.magnitudes.clear();
        self.magnitudes.extend(self.indices.iter().map(|&i| values[i as usize].to_bits() & MAGNITUDE));
    }
}

/// A magnitude that probably a few more than k values reach, from one in 64 of them; infinity for k = 0, so that NaN is still found.
fn guess(values: &[f32], k: usize) -> f32 {
    const RUN: usize = 16;
    const STRIDE: usize = 64 * RUN;
    if k == 0 {
        return f32::INFINITY;
    }
    let sample: Vec<u32> = values.chunks(STRIDE).flat_map(|part| &part[..RUN.min(part.len())]).map(|v| v.to_bits() & MAGNITUDE).collect();
    // Neighbours may be alike, so a run of 16 counts as few independent ones: eight standard deviations of independent ones, and some.
    let (n, share) = (sample.len() as f64, k as f64 / values.len() as f64);
    let rank = n * share + 8.0 * (n * share * (1.0 - share)).sqrt() + 16.0;
    if rank >= n { 0.0 } else { f32::from_bits(kth(&sample, rank as usize).0.min(INFINITY)) }
}

/// The k-th largest (k ≥ 1) of magnitudes given by their bits, and how many of just that value are among the k.
fn kth(magnitudes: &[u32], k: usize) -> (u32, usize) {
    let (mut settled, mut wanted) = crossing(&first_digits(magnitudes), k);
    for shift in [10, 0] {
        let mut counts = [0u32; 1024];
        for bits in magnitudes.iter().filter(|&&bits| bits >> (shift + 10) == settled) {
            counts[(bits >> shift & 1023) as usize] += 1;
        }
        let (digit, left) = crossing(&counts, wanted);
        settled = settled << 10 | digit;
        wanted = left;
    }
    (settled, wanted)
}

/// How many magnitudes have each value of the upper 11 bits.
fn first_digits(magnitudes: &[u32]) -> [u32; 2048] {
    // Four tables: neighbours often share a bin, and a store would wait for the one before it.
    let mut tables = [[0u32; 2048]; 4];
    let (fours, rest) = magnitudes.as_chunks::<4>();
    for four in fours {
        for (table, bits) in tables.iter_mut().zip(four) {
            table[(bits >> 20) as usize % 2048] += 1;
        }
    }
    let [mut counts, others @ ..] = tables;
    for bits in rest {
        counts[(bits >> 20) as usize % 2048] += 1;
    }
    for table in &others {
        for (count, other) in counts.iter_mut().zip(table) {
            *count += other;
        }
    }
    counts
}

/// From the top bin down: the bin in which the k-th falls, and how many of the k it must give.
fn crossing(counts: &[u32], k: usize) -> (u32, usize) {
    let mut wanted = k;
    for (bin, &count) in counts.iter().enumerate().rev() {
        if wanted <= count as usize {
            return (bin as u32, wanted);
        }
        wanted -= count as usize;
    }
    unreachable!("k is at most the number of values")
}
