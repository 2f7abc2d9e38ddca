//! The k entries of largest magnitude, exactly, without sorting: a radix select on the bits of |v|.
//!
//! Positive floats order as their bits do. Three passes over 11 + 10 + 10 bits find the k-th largest magnitude, each looking only at what shares
//! the bits settled so far; a last pass collects. What limits it: the first histogram, about 2 values per nanosecond.

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
/// Overwrites `out`, whose length must not exceed `values.len()`. O(n), 8 KB.
pub fn top_k(values: &[f32], out: &mut [u32]) -> Result<(), NotANumber> {
    assert!(out.len() <= values.len());
    let (threshold, mut ties) = threshold(values, out.len())?;
    let mut out = out.iter_mut();
    for (i, &v) in values.iter().enumerate() {
        let bits = magnitude(v);
        if bits < threshold {
            continue;
        }
        if bits == threshold {
            if ties == 0 {
                continue;
            }
            ties -= 1;
        }
        match out.next() {
            Some(slot) => *slot = i as u32,
            None => break,
        }
    }
    Ok(())
}

/// The bits of the k-th largest magnitude, and how many values of just that magnitude are among the k.
fn threshold(values: &[f32], k: usize) -> Result<(u32, usize), NotANumber> {
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
    if counts[(INFINITY >> 20) as usize..].iter().any(|&c| c > 0)
        && let Some(index) = values.iter().position(|v| v.is_nan())
    {
        return Err(NotANumber { index });
    }
    if k == 0 {
        return Ok((MAGNITUDE, 0));
    }

    let (high, mut wanted) = crossing(&counts, k);
    let mut settled = high;
    for shift in [10, 0] {
        let mut counts = [0u32; 1024];
        for &v in values {
            let bits = magnitude(v);
            if bits >> (shift + 10) == settled {
                counts[(bits >> shift & 1023) as usize] += 1;
            }
        }
        let (digit, left) = crossing(&counts, wanted);
        settled = settled << 10 | digit;
        wanted = left;
    }
    Ok((settled, wanted))
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
