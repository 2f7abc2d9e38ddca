//! The k entries of largest magnitude, exactly, without sorting: a radix select on the bits of |v|.
//!
//! Positive floats order as their bits do. A histogram of the upper 11 bits finds the bin of the k-th largest magnitude; one pass lists what is in
//! it or above; two more histograms, of 10 bits each, find the k-th in that list. What limits it: two passes over all values.

/// A value was NaN, which has no magnitude to rank.
#[derive(Debug, PartialEq, Eq)]
pub struct NotANumber {
    pub index: usize,
}

const MAGNITUDE: u32 = 0x7fff_ffff;
const INFINITY: u32 = 0x7f80_0000;

/// The bits of |v|.
#[inline(always)]
fn magnitude(v: f32) -> u32 {
    v.to_bits() & MAGNITUDE
}

/// Indices of the `out.len()` values of largest magnitude, ascending. Equal magnitudes: the lower index wins.
/// Overwrites `out`, whose length must not exceed `values.len()`. O(n) time; memory for k and one bin of the first histogram.
pub fn top_k(values: &[f32], out: &mut [u32]) -> Result<(), NotANumber> {
    let k = out.len();
    assert!(k <= values.len());
    let counts = first_digits(values);
    if counts[(INFINITY >> 20) as usize..].iter().any(|&c| c > 0)
        && let Some(index) = values.iter().position(|v| v.is_nan())
    {
        return Err(NotANumber { index });
    }
    if k == 0 {
        return Ok(());
    }
    let (first, mut wanted) = crossing(&counts, k);
    let inside = counts[first as usize] as usize;
    let likely = indices_where(values, k - wanted + inside, |bits| bits >> 20 >= first);

    // All the rest happens among these few. Those above the bin of the k-th are in; those inside are told apart by the lower bits.
    let bits_of = |&i: &u32| magnitude(values[i as usize]);
    let mut settled = first;
    for shift in [10, 0] {
        let mut counts = [0u32; 1024];
        for bits in likely.iter().map(bits_of).filter(|bits| bits >> (shift + 10) == settled) {
            counts[(bits >> shift & 1023) as usize] += 1;
        }
        let (digit, left) = crossing(&counts, wanted);
        settled = settled << 10 | digit;
        wanted = left;
    }
    let (threshold, mut ties) = (settled, wanted);
    let chosen = likely.into_iter().filter(|i| {
        let bits = bits_of(i);
        let tie = bits == threshold && ties > 0;
        ties -= usize::from(tie);
        bits > threshold || tie
    });
    for (slot, index) in out.iter_mut().zip(chosen) {
        *slot = index;
    }
    Ok(())
}

/// How many magnitudes have each value of the upper 11 bits.
fn first_digits(values: &[f32]) -> [u32; 2048] {
    // Four tables: consecutive values often share a bin, and a store would wait for the one before it.
    let mut tables = [[0u32; 2048]; 4];
    let (fours, rest) = values.as_chunks::<4>();
    for four in fours {
        for (table, &v) in tables.iter_mut().zip(four) {
            table[(magnitude(v) >> 20) as usize] += 1;
        }
    }
    for &v in rest {
        tables[0][(magnitude(v) >> 20) as usize] += 1;
    }
    let [mut counts, others @ ..] = tables;
    for table in &others {
        for (count, other) in counts.iter_mut().zip(table) {
            *count += other;
        }
    }
    counts
}

/// The indices, ascending, of the `count` values whose magnitude passes. Without a branch per value, which no predictor could learn.
fn indices_where(values: &[f32], count: usize, passes: impl Fn(u32) -> bool) -> Vec<u32> {
    const CHUNK: usize = 64;
    let mut found = Vec::with_capacity(count);
    for (c, chunk) in values.chunks(CHUNK).enumerate() {
        let mut here = [0u32; CHUNK];
        let mut n = 0;
        for (i, &v) in chunk.iter().enumerate() {
            here[n % CHUNK] = (c * CHUNK + i) as u32;
            n += usize::from(passes(magnitude(v)));
        }
        found.extend_from_slice(&here[..n]);
    }
    found
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
