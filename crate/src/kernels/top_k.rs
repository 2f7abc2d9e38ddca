//! The k entries of largest magnitude, exactly, without sorting.
//!
//! Positive floats order as their bits do. A sample gives a bracket in which the k-th magnitude almost surely lies; one pass notes, a bit each, what
//! is above it, and lists what is inside; bins over the bracket find the k-th of that list; what of the list reaches it gets its bit as well, and the
//! bits become indices. Should the bracket miss, a wider one is tried, in the end that of all: slower, never wrong.
//!
//! What limits it, at a million values on an Intel Xeon of 2.5 GHz: the copy into this memory, 0.29 ms; the pass, 0.8 to 1.1 cycles a value, of which
//! the vector instructions are 0.5; and the indices, up to 0.7 cycles. Both would be as long with all in the second-level cache. The pass compares
//! upper halves, eight at a time, for which brackets are whole cells of 2^16 neighbouring magnitudes. Where much is found, no branch depends on a
//! value: it would be guessed wrong too often. What is inside costs ten cycles or more a value. Usually that is 1 to 3 in a hundred. Where the sample
//! finds a crowd there, of equal magnitudes or of some within a hundredth, a pass compares all the bits and tells the lowest in the bracket from the
//! others: 1.0 to 1.7 ms in all, instead of 6.4.
//!
//! Tried: counting first and looking at the values again for the indices (1.45 times as long, copy not counted); bitmasks of four lanes each (1.5
//! times), or of sixteen narrowed ones (twice: LLVM turns the narrowing into clamps); the bits of a byte as eight 16-bit numbers (the same); what is inside
//! bit by bit (1 or 2 % longer); brackets of four deviations, which hardly miss, instead of three, of which one in 400 does (2 to 8 %).

use crate::lanes::{F32x4, I16x8, I32x4};

/// A value was NaN, which has no magnitude to rank.
#[derive(Debug, PartialEq, Eq)]
pub struct NotANumber {
    pub index: usize,
}

const MAGNITUDE: u32 = 0x7fff_ffff;
const INFINITY: u32 = 0x7f80_0000;

/// Indices of the `out.len()` values of largest magnitude, ascending. Equal magnitudes: the lower index wins.
/// Overwrites `out`, whose length must not exceed `values.len()`. O(n) time; an eighth of a byte for each value,
/// and 8 bytes for each in the bracket, a few in a hundred.
pub fn top_k(values: &[f32], out: &mut [u32]) -> Result<(), NotANumber> {
    let k = out.len();
    assert!(k <= values.len());
    let mut deviations = 3.0;
    let seen = loop {
        let (bracket, crowded) = bracket(values, k, deviations);
        let seen = if crowded { Survey::to_the_bit(values, bracket) } else { Survey::of(values, bracket) };
        if seen.infinite
            && let Some(index) = values.iter().position(|v| v.is_nan())
        {
            return Err(NotANumber { index });
        }
        if k == 0 {
            return Ok(());
        }
        if seen.above < k && k <= seen.above + seen.within.len() + seen.levels {
            break seen;
        }
        deviations *= 4.0;
    };
    let wanted = k - seen.above;
    let (threshold, mut ties, mut level) = if wanted <= seen.within.len() {
        let kth = kth(&seen.within, wanted, seen.bracket);
        (kth.magnitude, kth.ties, 0)
    } else {
        (seen.bracket.first, 0, wanted - seen.within.len())
    };
    let mut chosen = seen.over;
    for (&bits, &place) in seen.within.iter().zip(&seen.places) {
        let tie = bits == threshold && ties > 0;
        ties -= usize::from(tie);
        chosen[place as usize / 16] |= u16::from(bits > threshold || tie) << (place % 16);
    }
    for (chosen, &bits) in chosen.iter_mut().zip(&seen.level) {
        if level == 0 {
            break;
        }
        let mut bits = bits;
        while bits.count_ones() as usize > level {
            bits ^= 1 << bits.ilog2();
        }
        *chosen |= bits;
        level -= bits.count_ones() as usize;
    }
    list(&chosen, out);
    Ok(())
}

fn magnitude(value: f32) -> u32 {
    value.to_bits() & MAGNITUDE
}

const CELLS: usize = 1 << 15;

/// The upper half of a magnitude's bits.
fn cell(magnitude: u32) -> u16 {
    (magnitude >> 16) as u16
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

    fn cells(first: u16, last: u16) -> Self {
        Self { first: u32::from(first) << 16, last: u32::from(last) << 16 | 0xffff }
    }
}

/// What one pass over all values tells.
struct Survey {
    bracket: Bracket,
    /// Which magnitudes are above the bracket, a bit each, in whole words of 64; and how many these are.
    over: Vec<u16>,
    above: usize,
    /// Those in it, and their indices, which ascend; behind as many, anything.
    within: Vec<u32>,
    places: Vec<u32>,
    /// Which have the bracket's lowest magnitude, a bit each, where that is told from the others in it; and how many these are.
    level: Vec<u16>,
    levels: usize,
    /// Whether something is infinite, or NaN.
    infinite: bool,
}

/// Sixteens, and the rest with zeros behind it: of equal magnitudes the last, which k ≤ n never reaches.
fn padded(values: &[f32]) -> (&[[f32; 16]], [f32; 16]) {
    let (sixteens, rest) = values.as_chunks();
    let mut end = [0.0; 16];
    end[..rest.len()].copy_from_slice(rest);
    (sixteens, end)
}

/// Sixteens that are looked at together: as many as a word has bits.
const BLOCK: usize = u64::BITS as usize;

impl Survey {
    /// `bracket` is whole cells. Not inlined: 0.3 kB less.
    #[inline(never)]
    fn of(values: &[f32], bracket: Bracket) -> Self {
        let (sixteens, end) = padded(values);
        let over = vec![0; 4 * (sixteens.len() / 4 + 1)];
        let mut survey =
            Self { bracket, over, above: 0, within: Vec::new(), places: Vec::new(), level: Vec::new(), levels: 0, infinite: false };
        let offsets = Offsets::new();
        for (i, block) in sixteens.chunks(BLOCK).enumerate() {
            survey.look(BLOCK * i, block, &offsets);
        }
        survey.look(sixteens.len(), &[end], &offsets);
        survey
    }

    /// As [`Survey::of`] for a bracket of any bounds, of which the lowest is told from the others: so many may have it that it is enough to know which.
    #[inline(never)]
    fn to_the_bit(values: &[f32], bracket: Bracket) -> Self {
        let (sixteens, end) = padded(values);
        let mut over = vec![0; 4 * (sixteens.len() / 4 + 1)];
        let (mut level, mut inside) = (over.clone(), over.clone());
        let (mut above, mut levels, mut hits) = (0, 0, 0);
        let [first, last] = [bracket.first, bracket.last].map(|bits| I32x4::splat(bits as i32));
        let mut highest = I32x4::splat(0);
        for (i, sixteen) in sixteens.iter().chain([&end]).enumerate() {
            let (q, _) = sixteen.as_chunks::<4>();
            let m = [0, 1, 2, 3].map(|i| F32x4::load(&q[i]).magnitudes());
            highest = highest.max(m[0].max(m[1])).max(m[2].max(m[3]));
            over[i] = I32x4::bits(m.map(|m| m.above(last)));
            level[i] = !I32x4::bits(m.map(|m| m.above(first))) & !I32x4::bits(m.map(|m| first.above(m)));
            inside[i] = I32x4::bits(m.map(|m| m.above(first))) & !over[i];
            above += over[i].count_ones() as usize;
            levels += level[i].count_ones() as usize;
            hits += inside[i].count_ones() as usize;
        }
        let infinite = highest.above(I32x4::splat(INFINITY as i32)).to_array().iter().any(|&mask| mask != 0);
        let mut places = vec![0; hits];
        list(&inside, &mut places);
        let within = places.iter().map(|&place| magnitude(values[place as usize])).collect();
        Self { bracket, over, above, within, places, level, levels, infinite }
    }

    /// Sixteens from the `start`-th on.
    fn look(&mut self, start: usize, block: &[[f32; 16]], offsets: &Offsets) {
        let [first, last] = [self.bracket.first, self.bracket.last].map(|bits| I16x8::splat(cell(bits) as i16));
        let (mut above, mut highest) = (0, I16x8::splat(0));
        let (mut inside, mut hits) = ([0u16; BLOCK], 0u64);
        for (i, ((sixteen, over), inside)) in block.iter().zip(&mut self.over[start..]).zip(&mut inside).enumerate() {
            let (q, _) = sixteen.as_chunks::<4>();
            let cells = [I16x8::upper([F32x4::load(&q[0]), F32x4::load(&q[1])]), I16x8::upper([F32x4::load(&q[2]), F32x4::load(&q[3])])];
            highest = highest.max(cells[0].max(cells[1]));
            *over = I16x8::bits(cells.map(|cells| cells.above(last)));
            *inside = !(*over | I16x8::bits(cells.map(|cells| first.above(cells))));
            hits |= u64::from(*inside != 0) << i;
            above += over.count_ones();
        }
        self.above += above as usize;
        let infinite = highest.above(I16x8::splat(cell(INFINITY - 1) as i16));
        self.infinite |= I16x8::bits([infinite; 2]) != 0;
        let old = self.within.len();
        let mut end = old;
        self.places.resize(self.places.len().max(old + 16 * BLOCK), 0);
        // The indices of all bits of a byte are written at once, and anything after them.
        while hits != 0 {
            let hit = hits.trailing_zeros() as usize;
            let to = self.places[end..].first_chunk_mut().expect("room was made");
            end += offsets.expand(inside[hit], I32x4::splat((16 * (start + hit)) as i32), to);
            hits &= hits - 1;
        }
        let values = block.as_flattened();
        self.within.extend(self.places[old..end].iter().map(|&place| magnitude(values[place as usize - 16 * start])));
    }
}

/// Where the bits of each byte are, a byte for each.
struct Offsets([u64; 256]);

impl Offsets {
    fn new() -> Self {
        let mut all = [0; 256];
        for byte in 1..256usize {
            all[byte] = all[byte & (byte - 1)] << 8 | u64::from(byte.trailing_zeros());
        }
        Self(all)
    }

    /// Writes the places of bits, counted from `start`, to the front of `out`, and anything after them; returns how many they are.
    #[inline(always)]
    fn expand(&self, bits: u16, mut start: I32x4, out: &mut [u32; 16]) -> usize {
        let mut end = 0;
        for byte in bits.to_le_bytes() {
            I32x4::store_bytes(self.0[usize::from(byte)], start, out[end..].first_chunk_mut().expect("a byte has eight bits"));
            start = start + I32x4::splat(8);
            end += byte.count_ones() as usize;
        }
        end
    }
}

/// Writes the indices that `chosen` has a bit for to `out`, which has room for just these.
#[inline(never)]
fn list(chosen: &[u16], out: &mut [u32]) {
    let offsets = Offsets::new();
    // Where most sixteens have one, none is looked at: it would be guessed wrong too often.
    let dense = out.len() > chosen.len();
    let (mut end, mut places) = (0, I32x4::splat(0));
    let (fours, _) = chosen.as_chunks::<4>();
    let mut fours = fours.iter().enumerate();
    while dense && out.len() - end >= 64 {
        let (_, four) = fours.next().expect("as many as there is room for");
        for &bits in four {
            end += offsets.expand(bits, places, out[end..].first_chunk_mut().expect("room for 64"));
            places = places + I32x4::splat(16);
        }
    }
    for (i, four) in fours {
        let mut bits = four.iter().rev().fold(0u64, |bits, &more| bits << 16 | u64::from(more));
        while bits != 0 {
            out[end] = 64 * i as u32 + bits.trailing_zeros();
            end += 1;
            bits &= bits - 1;
        }
    }
}

/// Where the k-th magnitude probably lies, from one in 31 of them: so many standard deviations to either side. Whole cells, unless these are crowded:
/// then as tight as it can be.
fn bracket(values: &[f32], k: usize, deviations: f64) -> (Bracket, bool) {
    const RUN: usize = 4;
    // No power of two, which would meet a few columns of a matrix again and again.
    const STRIDE: usize = 31 * RUN;
    let sample = || values.chunks(STRIDE).flat_map(|part| &part[..RUN.min(part.len())]).map(|&v| magnitude(v));
    let mut counts = [0u32; CELLS];
    let mut n = 0;
    sample().for_each(|magnitude| {
        counts[usize::from(cell(magnitude)) % CELLS] += 1;
        n += 1;
    });
    let (n, share) = (n as f64, k as f64 / values.len().max(1) as f64);
    // Of few the deviation is no measure.
    let margin = deviations * ((n * share * (1.0 - share)).sqrt() + 5.0);
    let (low, high) = (n * share + margin, n * share - margin);
    let first = if low >= n { 0 } else { nth_cell(&counts, low as usize) };
    let last = if high < 1.0 { cell(MAGNITUDE) } else { nth_cell(&counts, high as usize) };
    let cells = Bracket::cells(first, last);
    let share = |cells: &[u32]| cells.iter().sum::<u32>() as usize;
    let (above, inside) = (share(&counts[usize::from(last) + 1..]), share(&counts[usize::from(first)..=usize::from(last)]));
    if inside as f64 <= n / 8.0 + 4.0 * margin {
        return (cells, false);
    }
    let within: Vec<u32> = sample().filter(|bits| (cells.first..=cells.last).contains(bits)).collect();
    let nth = |n: f64| kth(&within, n as usize - above, cells).magnitude;
    let (first, last) = (if low >= n { 0 } else { nth(low) }, if high < 1.0 { MAGNITUDE } else { nth(high) });
    (Bracket { first, last }, true)
}

/// From the top down: the cell in which the n-th falls.
#[inline(never)]
fn nth_cell(counts: &[u32; CELLS], n: usize) -> u16 {
    const PART: usize = 128;
    let (parts, _) = counts.as_chunks::<PART>();
    let sums: [u32; CELLS / PART] = std::array::from_fn(|i| parts[i].iter().sum());
    let (part, n) = crossing(&sums, n);
    let (cell, _) = crossing(&parts[part as usize], n);
    (PART as u32 * part + cell) as u16
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
struct Kth {
    magnitude: u32,
    ties: usize,
    equal: usize,
}

/// The k-th largest (k ≥ 1) of magnitudes that lie in a bracket. Bins over the bracket say in which of them it is; that is the next bracket.
fn kth(magnitudes: &[u32], k: usize, Bracket { first, last }: Bracket) -> Kth {
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
