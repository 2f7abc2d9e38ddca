//! The k entries of largest magnitude, exactly, without sorting.
//!
//! Positive floats order as their bits do. A sample gives a bracket in which the k-th magnitude almost surely lies; one pass notes, a bit each, what
//! is above it, and lists what is inside; bins over the bracket find the k-th of that list; what of the list reaches it gets its bit as well, and the
//! bits become indices. Should the bracket miss, a wider one is tried, in the end that of all: slower, never wrong.
//!
//! What limits it, at a million values on an Intel Xeon of 2.5 GHz, half of them wanted, 0.90 ms: copying them into this memory, 0.17, part by part, so
//! that they are still in a cache when looked at (all at once: 0.29); the sample, 0.1, most of it waiting for the third-level cache; the pass, 0.8 to 1.1
//! cycles a value, of which the vector instructions are 0.5; and the indices, up to 0.7 cycles. The pass compares upper halves, eight at a time, for
//! which brackets are whole cells of 2^16 neighbouring magnitudes. Where much is found, no branch depends on a value: it would be guessed wrong too
//! often. What is inside costs ten cycles or more a value. Usually that is 1 to 3 in a hundred. Where the sample finds a crowd there, of equal magnitudes
//! or of some within a hundredth, the pass compares all the bits and tells the lowest in the bracket from the others: 0.9 to 1.4 ms, instead of 6.4.
//!
//! Tried: counting first and looking at the values again for the indices (1.45 times as long, copy not counted); bitmasks of four lanes each (1.5
//! times), or of sixteen narrowed ones (twice: LLVM turns the narrowing into clamps); the bits of a byte as eight 16-bit numbers (the same); what is inside
//! bit by bit (1 or 2 % longer); brackets of four deviations, which hardly miss, instead of three, of which one in 400 does (2 to 8 %);
//! half the sample (a tenth less for few of a million, a tenth more for half of 100 000).

use super::kth::{Bracket, crossing, kth};
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
    let sample = values.chunks(STRIDE).flat_map(|part| &part[..RUN.min(part.len())]).copied().collect();
    let mut selection = Selection::new(sample, values.len(), out.len());
    while selection.look(values, out)?.is_some() {}
    Ok(())
}

/// So many neighbours of every [`STRIDE`] values are the sample.
const RUN: usize = 4;
/// No power of two, which would meet a few columns of a matrix again and again.
const STRIDE: usize = 31 * RUN;

/// [`top_k`] of values that come part by part.
pub struct Selection {
    sample: Vec<f32>,
    n: usize,
    k: usize,
    deviations: f64,
    survey: Survey,
}

impl Selection {
    /// Of `n` values the `k` (≤ n) largest. `sample` is some of them, anything for what is right, 4 of every 124 for what is fast.
    pub fn new(sample: Vec<f32>, n: usize, k: usize) -> Self {
        assert!(k <= n);
        let deviations = 3.0;
        let survey = Survey::new(bracket(&sample, n, k, deviations), n);
        Self { sample, n, k, deviations, survey }
    }

    /// The next values, at least one unless n is 0; up to the last ones, their number is a multiple of 16. Returns where to go on, the first one again
    /// if the bracket missed; nothing once `out [k]` is filled.
    pub fn look(&mut self, values: &[f32], out: &mut [u32]) -> Result<Option<usize>, NotANumber> {
        self.survey.look(values)?;
        if self.survey.seen < self.n {
            return Ok(Some(self.survey.seen));
        }
        if self.survey.choose(self.k, out) {
            return Ok(None);
        }
        self.deviations *= 4.0;
        self.survey = Survey::new(bracket(&self.sample, self.n, self.k, self.deviations), self.n);
        Ok(Some(0))
    }
}

fn magnitude(value: f32) -> u32 {
    value.to_bits() & MAGNITUDE
}

const CELLS: usize = 1 << 15;

/// The upper half of a magnitude's bits.
fn cell(magnitude: u32) -> u16 {
    (magnitude >> 16) as u16
}

/// What one pass over all values tells.
struct Survey {
    bracket: Bracket,
    /// Whether the bracket is other than whole cells, and its lowest magnitude told from the others: so many may have it that it is enough to know which.
    crowded: bool,
    /// So many values have been looked at.
    seen: usize,
    /// Which magnitudes are above the bracket, a bit each, in whole words of 64; and how many these are.
    over: Vec<u16>,
    above: usize,
    /// Those in it, and their indices, which ascend; behind as many, anything.
    within: Vec<u32>,
    places: Vec<u32>,
    /// Where it is crowded, which have its lowest magnitude, a bit each; and how many these are.
    level: Vec<u16>,
    levels: usize,
    offsets: Offsets,
}

/// Sixteens that are looked at together: as many as a word has bits.
const BLOCK: usize = u64::BITS as usize;

impl Survey {
    fn new((bracket, crowded): (Bracket, bool), n: usize) -> Self {
        let over = vec![0; 4 * (n / 64 + 1)];
        let level = if crowded { over.clone() } else { Vec::new() };
        let (within, places) = (Vec::new(), Vec::new());
        Self { bracket, crowded, seen: 0, over, above: 0, within, places, level, levels: 0, offsets: Offsets::new() }
    }

    /// The next values.
    fn look(&mut self, values: &[f32]) -> Result<(), NotANumber> {
        let (sixteens, rest) = values.as_chunks::<16>();
        // Zeros behind all others: of equal magnitudes the last, which k ≤ n never reaches.
        let mut end = [0.0; 16];
        end[..rest.len()].copy_from_slice(rest);
        let start = self.seen;
        let mut infinite = false;
        let end = (!rest.is_empty()).then_some([end]);
        for block in sixteens.chunks(BLOCK).chain(end.as_ref().map(<[_; 1]>::as_slice)) {
            infinite |= self.block(block);
            self.seen += 16 * block.len();
        }
        self.seen = start + values.len();
        match values.iter().position(|v| infinite && v.is_nan()) {
            Some(index) => Err(NotANumber { index: start + index }),
            None => Ok(()),
        }
    }

    /// Up to [`BLOCK`] sixteens; returns whether something is infinite, or NaN. Not inlined: 0.3 kB less.
    #[inline(never)]
    fn block(&mut self, block: &[[f32; 16]]) -> bool {
        let (mut inside, mut hits) = ([0u16; BLOCK], 0u64);
        let infinite =
            if self.crowded { self.by_bits(block, &mut inside, &mut hits) } else { self.by_cells(block, &mut inside, &mut hits) };
        let old = self.within.len();
        let mut end = old;
        self.places.resize(self.places.len().max(old + 16 * BLOCK), 0);
        // The indices of all bits of a byte are written at once, and anything after them.
        while hits != 0 {
            let hit = hits.trailing_zeros() as usize;
            let to = self.places[end..].first_chunk_mut().expect("room was made");
            end += self.offsets.expand(inside[hit], I32x4::splat((self.seen + 16 * hit) as i32), to);
            hits &= hits - 1;
        }
        let values = block.as_flattened();
        self.within.extend(self.places[old..end].iter().map(|&place| magnitude(values[place as usize - self.seen])));
        infinite
    }

    /// Marks what is above the bracket, and what is `inside`, with a bit of `hits` for sixteens that have such; returns whether something is infinite, or
    /// NaN.
    #[inline(always)]
    fn by_cells(&mut self, block: &[[f32; 16]], inside: &mut [u16; BLOCK], hits: &mut u64) -> bool {
        let [first, last] = [self.bracket.first, self.bracket.last].map(|bits| I16x8::splat(cell(bits) as i16));
        let (mut above, mut highest) = (0, I16x8::splat(0));
        for (i, ((sixteen, over), inside)) in block.iter().zip(&mut self.over[self.seen / 16..]).zip(inside).enumerate() {
            let (q, _) = sixteen.as_chunks::<4>();
            let cells = [I16x8::upper([F32x4::load(&q[0]), F32x4::load(&q[1])]), I16x8::upper([F32x4::load(&q[2]), F32x4::load(&q[3])])];
            highest = highest.max(cells[0].max(cells[1]));
            *over = I16x8::bits(cells.map(|cells| cells.above(last)));
            *inside = !(*over | I16x8::bits(cells.map(|cells| first.above(cells))));
            *hits |= u64::from(*inside != 0) << i;
            above += over.count_ones();
        }
        self.above += above as usize;
        let infinite = highest.above(I16x8::splat(cell(INFINITY - 1) as i16));
        I16x8::bits([infinite; 2]) != 0
    }

    /// As [`Survey::by_cells`], where it is crowded.
    #[inline(never)]
    fn by_bits(&mut self, block: &[[f32; 16]], inside: &mut [u16; BLOCK], hits: &mut u64) -> bool {
        let [first, last] = [self.bracket.first, self.bracket.last].map(|bits| I32x4::splat(bits as i32));
        let mut highest = I32x4::splat(0);
        let marks = self.over[self.seen / 16..].iter_mut().zip(&mut self.level[self.seen / 16..]).zip(inside);
        for (i, (sixteen, ((over, level), inside))) in block.iter().zip(marks).enumerate() {
            let (q, _) = sixteen.as_chunks::<4>();
            let m = [0, 1, 2, 3].map(|i| F32x4::load(&q[i]).magnitudes());
            highest = highest.max(m[0].max(m[1])).max(m[2].max(m[3]));
            let beyond = I32x4::bits(m.map(|m| m.above(first)));
            *over = I32x4::bits(m.map(|m| m.above(last)));
            *level = !(beyond | I32x4::bits(m.map(|m| first.above(m))));
            *inside = beyond & !*over;
            *hits |= u64::from(*inside != 0) << i;
            self.above += over.count_ones() as usize;
            self.levels += level.count_ones() as usize;
        }
        let infinite = highest.above(I32x4::splat(INFINITY as i32 - 1));
        I32x4::bits([infinite; 4]) != 0
    }

    /// Fills `out` with the indices of the k largest; or returns false, since the k-th is not in the bracket.
    fn choose(&mut self, k: usize, out: &mut [u32]) -> bool {
        if k == 0 {
            return true;
        }
        if self.above >= k || k > self.above + self.within.len() + self.levels {
            return false;
        }
        let wanted = k - self.above;
        let (threshold, mut ties, mut level) = if wanted <= self.within.len() {
            let kth = kth(&self.within, wanted, self.bracket);
            (kth.magnitude, kth.ties, 0)
        } else {
            (self.bracket.first, 0, wanted - self.within.len())
        };
        for (&bits, &place) in self.within.iter().zip(&self.places) {
            let tie = bits == threshold && ties > 0;
            ties -= usize::from(tie);
            self.over[place as usize / 16] |= u16::from(bits > threshold || tie) << (place % 16);
        }
        for (over, &bits) in self.over.iter_mut().zip(&self.level) {
            if level == 0 {
                break;
            }
            let mut bits = bits;
            while bits.count_ones() as usize > level {
                bits ^= 1 << bits.ilog2();
            }
            *over |= bits;
            level -= bits.count_ones() as usize;
        }
        list(&self.over, &self.offsets, out);
        true
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
fn list(chosen: &[u16], offsets: &Offsets, out: &mut [u32]) {
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

/// Where the k-th magnitude of n probably lies: so many standard deviations to either side. Whole cells, unless these are crowded: then as tight as it
/// can be, and `true`.
fn bracket(sample: &[f32], n: usize, k: usize, deviations: f64) -> (Bracket, bool) {
    let mut counts = [0u32; CELLS];
    sample.iter().for_each(|&v| counts[usize::from(cell(magnitude(v))) % CELLS] += 1);
    let (n, share) = (sample.len() as f64, k as f64 / n.max(1) as f64);
    // Of few the deviation is no measure.
    let margin = deviations * ((n * share * (1.0 - share)).sqrt() + 5.0);
    let (low, high) = (n * share + margin, n * share - margin);
    let first = if low >= n { 0 } else { nth_cell(&counts, low as usize) };
    let last = if high < 1.0 { cell(MAGNITUDE) } else { nth_cell(&counts, high as usize) };
    let cells = Bracket { first: u32::from(first) << 16, last: u32::from(last) << 16 | 0xffff };
    let sum = |cells: &[u32]| cells.iter().sum::<u32>() as usize;
    let (above, inside) = (sum(&counts[usize::from(last) + 1..]), sum(&counts[usize::from(first)..=usize::from(last)]));
    if inside as f64 <= n / 8.0 + 4.0 * margin {
        return (cells, false);
    }
    let within: Vec<u32> = sample.iter().map(|&v| magnitude(v)).filter(|bits| (cells.first..=cells.last).contains(bits)).collect();
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
