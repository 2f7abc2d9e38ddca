//! The k-th largest of some numbers by bins, and a sort by digits: one copy of each for all kernels, whatever they rank. The standard library's
//! selection and sort would be another 5 kB of the binary at each use.
//!
//! What limits it: a load, a shift and an addition in memory for each number. Four tables of counts, since a store would wait for the one before it.

/// Magnitudes, by their bits, from `first` to `last`.
#[derive(Clone, Copy)]
pub(super) struct Bracket {
    pub first: u32,
    pub last: u32,
}

impl Bracket {
    pub const ALL: Self = Self { first: 0, last: i32::MAX as u32 };
    pub const WORDS: Self = Self { first: 0, last: u32::MAX };
}

/// The k-th largest (k ≥ 1) of some magnitudes, by their bits.
pub(super) fn kth_magnitude(magnitudes: &[u32], k: usize) -> u32 {
    kth(magnitudes, k, Bracket::ALL).magnitude
}

/// Which of keys that are all different are the k lowest (k ≥ 1): just those up to the number returned, whose upper half is that of the last.
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

/// Sorts, eleven bits at a time from the lowest on.
pub(super) fn sort(numbers: &mut Vec<u32>) {
    let mut sorted = vec![0; numbers.len()];
    for shift in [0, 11, 22] {
        by_digit(numbers, shift, &mut sorted);
        std::mem::swap(numbers, &mut sorted);
    }
}

/// Into the order of one digit; numbers that share it stay in theirs. Not inlined: three times would be 1 kB more.
#[inline(never)]
fn by_digit(numbers: &[u32], shift: u32, sorted: &mut [u32]) {
    let digit = |number: u32| (number >> shift) as usize % BINS;
    let mut starts = [0u32; BINS + 1];
    numbers.iter().for_each(|&number| starts[digit(number) + 1] += 1);
    for i in 0..BINS {
        starts[i + 1] += starts[i];
    }
    for &number in numbers {
        let at = &mut starts[digit(number)];
        sorted[*at as usize] = number;
        *at += 1;
    }
}

/// The k-th largest of some magnitudes, how many of just that value are among the k, and how many there are.
pub(super) struct Kth {
    pub magnitude: u32,
    pub ties: usize,
    equal: usize,
}

/// The k-th largest (k ≥ 1) of magnitudes that lie in a bracket. Bins over the bracket say in which of them it is; that is the next bracket.
pub(super) fn kth(magnitudes: &[u32], k: usize, Bracket { first, last }: Bracket) -> Kth {
    if let &[magnitude] = magnitudes {
        return Kth { magnitude, ties: 1, equal: 1 };
    }
    let shift = (u32::BITS - (last - first).leading_zeros()).saturating_sub(BINS.ilog2());
    let bin = |bits: u32| (bits - first) >> shift;
    let counts = histogram(magnitudes, bin);
    let (crossed, ties) = crossing(&counts, k);
    let equal = counts[crossed as usize] as usize;
    let lowest = first + (crossed << shift);
    if shift == 0 {
        return Kth { magnitude: lowest, ties, equal };
    }
    let next = Bracket { first: lowest, last: last.min(lowest + ((1 << shift) - 1)) };
    if equal == magnitudes.len() {
        return kth(magnitudes, ties, next);
    }
    let (mut inside, mut end) = (vec![0; equal + 1], 0);
    for &bits in magnitudes {
        // A branch would be guessed wrong too often.
        inside[end] = bits;
        end += usize::from(bin(bits) == crossed);
    }
    kth(&inside[..end], ties, next)
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
pub(super) fn crossing(counts: &[u32], k: usize) -> (u32, usize) {
    let mut wanted = k;
    for (bin, &count) in counts.iter().enumerate().rev() {
        if wanted <= count as usize {
            return (bin as u32, wanted);
        }
        wanted -= count as usize;
    }
    unreachable!("k is at most the number of values")
}
