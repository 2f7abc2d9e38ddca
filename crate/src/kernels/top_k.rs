//! The k entries of largest magnitude, exactly, without sorting.
//!
//! Positive floats order as their bits do. A sample gives a bracket in which the k-th magnitude almost surely lies; one pass counts what is above
//! it and lists what is inside; bins over the bracket find the k-th of that list; a second pass writes the indices of all that reach it. Should the
//! bracket miss, the list is everything on one side of it: slower, never wrong. The same where half the values are the very k-th.
//!
//! What limits it: the two passes, 0.5 cycles a value each where little is found, up to 1 where much is. In that, no branch depends on a value. A
//! branch per sixteen values was wrong often enough to cost 1.1 cycles in the middle (k = n/2); a list of all that may be chosen, instead of a
//! second look at the values, 2 to 6 in its histograms. LLVM turns `narrow` of masks, the way to one bitmask of sixteen lanes, into clamps and
//! shuffles: twice the time of the whole pass.

use crate::lanes::{F32x4, I32x4};

/// A value was NaN, which has no magnitude to rank.
#[derive(Debug, PartialEq, Eq)]
pub struct NotANumber {
    pub index: usize,
}

const MAGNITUDE: u32 = 0x7fff_ffff;
const INFINITY: u32 = 0x7f80_0000;

/// Indices of the `out.len()` values of largest magnitude, ascending. Equal magnitudes: the lower index wins.
/// Overwrites `out`, whose length must not exceed `values.len()`. O(n) time; 4 bytes for each value in the bracket, a few in a hundred.
pub fn top_k(values: &[f32], out: &mut [u32]) -> Result<(), NotANumber> {
    let k = out.len();
    assert!(k <= values.len());
    let bracket = bracket(values, k);
    let mut seen = survey(values, bracket);
    if seen.highest > INFINITY {
        return Err(NotANumber { index: values.iter().position(|v| v.is_nan()).expect("one was seen") });
    }
    if k == 0 {
        return Ok(());
    }
    if k <= seen.above {
        seen = survey(values, Bracket { first: bracket.last + 1, last: MAGNITUDE });
    } else if k > seen.above + seen.within.len() {
        seen = survey(values, Bracket { first: 0, last: bracket.first - 1 });
    }
    let Kth { magnitude: threshold, ties, equal } = kth(&seen.within, k - seen.above, seen.bracket);
    // Where not all that equal the threshold belong, only the first ones do: from somewhere on, one has to be above it.
    let mut all_equal = values.iter().enumerate().filter(|(_, v)| magnitude(**v) == threshold);
    let cut = if ties == equal { values.len() } else { all_equal.nth(ties).expect("there are more of them").0 };
    let (until, from) = values.split_at(cut);
    let end = list(until, 0, threshold, out);
    list(from, cut, threshold + 1, &mut out[end..]);
    Ok(())
}

fn magnitude(value: f32) -> u32 {
    value.to_bits() & MAGNITUDE
}

/// Magnitudes, by their bits, from `first` to `last`.
#[derive(Clone, Copy)]
struct Bracket {
    first: u32,
    last: u32,
}

impl Bracket {
    const ALL: Self = Self { first: 0, last: MAGNITUDE };
    const WORDS: Self = Self { first: 0, last: u32::MAX };
    const NONE: Self = Self { first: MAGNITUDE + 1, last: MAGNITUDE };

    fn holds(self, bits: u32) -> bool {
        self.first <= bits && bits <= self.last
    }
}

/// What one pass over all values tells.
struct Survey {
    bracket: Bracket,
    /// How many magnitudes are above the bracket.
    above: usize,
    /// Those in it, in their order.
    within: Vec<u32>,
    highest: u32,
}

/// Sixteens that are looked at together.
const BLOCK: usize = 64;

fn survey(values: &[f32], bracket: Bracket) -> Survey {
    let (below, last) = (below(bracket.first), I32x4::splat(bracket.last as i32));
    let (mut within, mut end) = (Vec::new(), 0);
    let (mut above, mut highest) = (I32x4::splat(0), I32x4::splat(0));
    let (sixteens, rest) = values.as_chunks::<16>();
    let inside = |bits: [I32x4; 4]| bits.map(|bits| bits.above(below).and_not(bits.above(last)));
    for block in sixteens.chunks(BLOCK) {
        // A branch on what is inside would be guessed wrong too often. So each sixteen is noted, those with something inside to stay; and of
        // these each lane is written, those inside to stay.
        let (mut hits, mut some) = ([0u8; BLOCK], 0);
        for (i, sixteen) in block.iter().enumerate() {
            let bits = magnitudes(sixteen);
            let over = bits.map(|bits| bits.above(last));
            // A lane of a mask is −1.
            above = above - ((over[0] + over[1]) + (over[2] + over[3]));
            highest = highest.max(bits[0].max(bits[1]).max(bits[2].max(bits[3])));
            hits[some % BLOCK] = i as u8;
            some += usize::from(I32x4::any(inside(bits)));
        }
        within.resize(end + 16 * (some + 1), 0);
        for &hit in &hits[..some] {
            let bits = magnitudes(&block[hit as usize]);
            end += I32x4::pack(bits, inside(bits), within[end..].first_chunk_mut().expect("room was made"));
        }
    }
    within.truncate(end);
    let rest = rest.iter().map(|&v| magnitude(v));
    within.extend(rest.clone().filter(|&bits| bracket.holds(bits)));
    Survey {
        bracket,
        above: above.to_array().iter().sum::<i32>() as usize + rest.clone().filter(|&bits| bits > bracket.last).count(),
        within,
        highest: rest.chain(highest.to_array().map(|bits| bits as u32)).max().unwrap_or(0),
    }
}

/// What a magnitude has to be above to be at least `first`.
fn below(first: u32) -> I32x4 {
    I32x4::splat((first as i32).wrapping_sub(1))
}

/// Writes the indices, counted from `start`, of the values whose magnitude is at least `first` to the start of `out`; all, or as many as there
/// is room for. Returns how many.
fn list(values: &[f32], start: usize, first: u32, out: &mut [u32]) -> usize {
    let below = below(first);
    // Where most sixteens have one, looking first would be guessed wrong too often.
    let dense = out.len() > values.len() / 16;
    let mut end = 0;
    let (sixteens, rest) = values.as_chunks::<16>();
    let mut at = start as u32;
    for sixteen in sixteens {
        let reached = magnitudes(sixteen).map(|bits| bits.above(below));
        if dense || I32x4::any(reached) {
            match out[end..].first_chunk_mut() {
                Some(out) => end += I32x4::pack([0, 4, 8, 12].map(|i| I32x4::ascending(at as i32 + i)), reached, out),
                None => end += list_each(sixteen, at, first, &mut out[end..]),
            }
        }
        at += 16;
    }
    end + list_each(rest, at, first, &mut out[end..])
}

/// [`list`], one by one.
fn list_each(values: &[f32], start: u32, first: u32, out: &mut [u32]) -> usize {
    let reached = (start..).zip(values).filter(|(_, v)| magnitude(**v) >= first);
    out.iter_mut().zip(reached).map(|(out, (index, _))| *out = index).count()
}

#[inline(always)]
fn magnitudes(sixteen: &[f32; 16]) -> [I32x4; 4] {
    let (q, _) = sixteen.as_chunks::<4>();
    [0, 1, 2, 3].map(|i| F32x4::load(&q[i]).magnitudes())
}

/// Where the k-th magnitude probably lies, from one in 31 of them.
fn bracket(values: &[f32], k: usize) -> Bracket {
    const RUN: usize = 4;
    // No power of two, which would meet a few columns of a matrix again and again.
    const STRIDE: usize = 31 * RUN;
    if k == 0 {
        return Bracket::NONE;
    }
    let mut sample = Vec::with_capacity(RUN * values.len().div_ceil(STRIDE));
    for part in values.chunks(STRIDE) {
        sample.extend(part[..RUN.min(part.len())].iter().map(|&v| magnitude(v)));
    }
    // Five standard deviations, and some; two and a half should the four of a run be alike.
    let (n, share) = (sample.len() as f64, k as f64 / values.len() as f64);
    let margin = 5.0 * (n * share * (1.0 - share)).sqrt() + 16.0;
    let (low, high) = (n * share + margin, n * share - margin);
    let at = |rank: f64| kth(&sample, rank as usize, Bracket::ALL).magnitude;
    Bracket { first: if low >= n { 0 } else { at(low) }, last: if high < 1.0 { MAGNITUDE } else { at(high) } }
}

/// The k-th largest (k ≥ 1) of some magnitudes, by their bits.
pub(super) fn kth_magnitude(magnitudes: &[u32], k: usize) -> u32 {
    kth(magnitudes, k, Bracket::ALL).magnitude
}

/// Which of keys that are all different are the k lowest (k ≥ 1): just those up to the number returned, whose upper half is that of the last.
/// Not the standard library's selection, of which each use would be another 5 kB.
pub(super) fn k_lowest(keys: &[u64], k: usize) -> u64 {
    // Turned over, the lowest are the largest.
    let words: Vec<u32> = keys.iter().map(|key| !(key >> 32) as u32).collect();
    let Kth { magnitude: upper, ties, equal } = kth(&words, k, Bracket::WORDS);
    let lower = if ties == equal {
        0
    } else {
        let words: Vec<u32> = keys.iter().filter(|&key| !(key >> 32) as u32 == upper).map(|&key| !key as u32).collect();
        kth(&words, ties, Bracket::WORDS).magnitude
    };
    !(u64::from(upper) << 32 | u64::from(lower))
}

/// Sorts, eleven bits at a time from the lowest on. As for [`k_lowest`].
pub(super) fn sort(numbers: &mut Vec<u32>) {
    let mut sorted = vec![0; numbers.len()];
    for shift in [0, 11, 22] {
        let digit = |number: u32| (number >> shift) as usize % BINS;
        let mut starts = [0u32; BINS + 1];
        numbers.iter().for_each(|&number| starts[digit(number) + 1] += 1);
        for i in 0..BINS {
            starts[i + 1] += starts[i];
        }
        for &number in &*numbers {
            let at = &mut starts[digit(number)];
            sorted[*at as usize] = number;
            *at += 1;
        }
        std::mem::swap(numbers, &mut sorted);
    }
}

/// The k-th largest of some magnitudes, how many of just that value are among the k, and how many there are.
struct Kth {
    magnitude: u32,
    ties: usize,
    equal: usize,
}

/// The k-th largest (k ≥ 1) of magnitudes that lie in a bracket. Bins over the bracket say in which of them it is; that is the next bracket.
fn kth(magnitudes: &[u32], k: usize, Bracket { first, last }: Bracket) -> Kth {
    let shift = (u32::BITS - (last - first).leading_zeros()).saturating_sub(BINS.ilog2());
    let bin = |bits: u32| (bits - first) >> shift;
    let counts = histogram(magnitudes, bin);
    let (crossed, ties) = crossing(&counts, k);
    let equal = counts[crossed as usize] as usize;
    let lowest = first + (crossed << shift);
    if shift == 0 {
        return Kth { magnitude: lowest, ties, equal };
    }
    let (mut inside, mut end) = (vec![0; equal + 1], 0);
    for &bits in magnitudes {
        // As in `survey`.
        inside[end] = bits;
        end += usize::from(bin(bits) == crossed);
    }
    kth(&inside[..end], ties, Bracket { first: lowest, last: last.min(lowest + ((1 << shift) - 1)) })
}

const BINS: usize = 2048;

/// How many magnitudes there are in each bin.
#[inline(always)]
fn histogram(magnitudes: &[u32], bin: impl Fn(u32) -> u32) -> [u32; BINS] {
    // Four tables: neighbours often share a bin, and a store would wait for the one before it.
    let mut tables = [[0u32; BINS]; 4];
    let (fours, rest) = magnitudes.as_chunks::<4>();
    for four in fours {
        for (table, &bits) in tables.iter_mut().zip(four) {
            table[bin(bits) as usize % BINS] += 1;
        }
    }
    let [mut counts, others @ ..] = tables;
    for &bits in rest {
        counts[bin(bits) as usize % BINS] += 1;
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
