//! What growth needs to know of the dense gradient dYᵀ·X outside a pattern; the gradient itself never exists.
//!
//! A dense product whose tiles are looked at and forgotten: 8 units × 4 features over the whole batch in 8 registers. Memory is
//! O(k + batch·in), never out·in.
//!
//! What limits it: the product, at 86 to 90 % of the multiply-add peak. Looking at it costs 2 % for a small k, 15 % for the sums, and 7 % where one position
//! in 34 is chosen: most tiles then have some, how many cannot be foreseen, and half of it is listing in order what was found. No better: visiting
//! a tile at once, or writing all its lanes and keeping those that belong, as `top_k` does (10 and 25 %: the longer text, or the call, takes registers from
//! the product). Strips of eight features by four units: by row, candidates then go to lines far apart. Four samples a turn in the product: 60 % of the
//! peak, as V8 mixes the turns until the registers run out.

use super::kth::{k_lowest, kth_magnitude};
use super::top_k;
use crate::lanes::{F32x4, F64x2, I32x4};
use crate::pattern::{self, CsrPattern};

/// One position outside the pattern, with the gradient its weight would have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    pub row: u32,
    pub col: u32,
    pub gradient: f32,
}

/// Sums over |gradient| at every position outside the pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reduction {
    pub sum: f64,
    pub max: f64,
    /// √Σ g²
    pub norm: f64,
    /// Positions with |gradient| above the threshold.
    pub count: f64,
}

/// A gradient was NaN, which has no magnitude to rank.
#[derive(Debug, PartialEq, Eq)]
pub struct NotANumber {
    pub row: usize,
    pub col: usize,
}

const UNITS: usize = 8;
const FEATURES: usize = 4;
/// For each feature eight units.
type Tile = [[F32x4; 2]; FEATURES];
const LANES: usize = UNITS * FEATURES;

/// The `k` positions outside `pattern` where |dYᵀ·X| is largest (fewer if fewer exist), by row, then column. Equal magnitudes: the lower
/// row, then the lower column wins. `x [batch, in]`, `dy [batch, out]` row-major, in·out < 2^32. O(k) memory beside a copy of X.
///
/// Gradients below `floor` are left out. That lets one selection run over several layers: what the layers so far have filled it with raises the floor.
pub fn top_k(pattern: &CsrPattern, x: &[f32], dy: &[f32], batch: usize, k: usize, floor: f32) -> Result<Vec<Candidate>, NotANumber> {
    if k == 0 {
        return Ok(Vec::new());
    }
    let operands = Operands::new(x, dy, batch, pattern.rows(), pattern.cols());
    let floor = if floor > 0.0 { floor } else { 0.0 };
    let guess = guess(&operands, pattern, k).max(floor);
    let mut best = list(&operands, pattern, k, guess)?;
    if best.len() < k && guess > floor {
        best = list(&operands, pattern, k, floor)?;
    }
    if best.len() <= k {
        return Ok(best);
    }
    let gradients: Vec<f32> = best.iter().map(|c| c.gradient).collect();
    let mut chosen = vec![0; k];
    let Ok(()) = top_k::top_k(&gradients, &mut chosen) else { unreachable!("no NaN") };
    Ok(chosen.into_iter().map(|i| best[i as usize]).collect())
}

/// A threshold a little below that of the k-th largest, from tiles here and there; 0 where that would not pay.
fn guess(operands: &Operands, pattern: &CsrPattern, k: usize) -> f32 {
    // Of the work one part in 128, of each strip and at other columns each time: units differ, and of one strip in four the guess was too high in one
    // layer of ten, which then takes three times as long. And of the memory no more than this many gradients.
    const SAMPLE: usize = 1 << 17;
    let free = operands.rows * operands.cols - pattern.nnz();
    if k >= free / 4 {
        return 0.0;
    }
    let every = 128.max((operands.rows * operands.cols).div_ceil(SAMPLE));
    let mut seen: Vec<[u32; 4]> = Vec::new();
    let mut stored = Stored::new(pattern);
    operands.stream(0..operands.strips(), every, |row0, col0, tile| {
        // Weights that have just been grown have the steepest gradients, so stored entries must not count.
        for (halves, stored) in tile.iter().zip(stored.of(row0, col0)) {
            let free = [halves[0].without(I32x4::mask(stored.into())), halves[1].without(I32x4::mask(u32::from(stored) >> 4))];
            seen.extend(free.map(|lanes| lanes.abs().to_array().map(f32::to_bits)));
        }
    });
    let seen = seen.as_flattened();
    // Columns differ: a quarter more than the share of k.
    let expected = (k as f64 / (operands.rows * operands.cols) as f64 * seen.len() as f64 * 1.25) as usize + 8;
    if expected >= seen.len() {
        return 0.0;
    }
    let threshold = f32::from_bits(kth_magnitude(seen, expected + 1));
    // NaN has to be found by the full pass.
    if threshold.is_nan() { 0.0 } else { threshold }
}

/// Candidates that reach `threshold`, the k best among them, by row, then column.
fn list(operands: &Operands, pattern: &CsrPattern, k: usize, threshold: f32) -> Result<Vec<Candidate>, NotANumber> {
    // Room for as many again before a selection cuts back to k and raises the threshold.
    let room = 2 * k.max(2048);
    let mut best: Vec<Candidate> = Vec::with_capacity(k + k / 2);
    let mut stored = Stored::new(pattern);
    let tiles = operands.cols.div_ceil(FEATURES) + 1;
    // Of a strip the tiles with something that reaches the threshold, and a bit for each position that does. Every tile is noted, those with some to stay:
    // a branch here would be guessed wrong, which shows only at the end of the product's chains.
    let mut hits = vec![(0, [0.0; LANES]); tiles];
    let mut bits = vec![0u32; tiles + 2]; // read ahead
    // What is found in each row of a strip, so that all of them end up in order.
    let mut lines = vec![[(0u32, 0.0f32); UNITS]; operands.cols];
    // Takes in what a strip has; the threshold for the next one.
    let mut take = |row0: usize, hits: &[(usize, [f32; LANES])], bits: &[u32], threshold: f32| {
        // A turn for each position, whatever tile it is in: how many a tile has would be guessed wrong.
        let (mut at, mut left, mut next) = (0, bits[0], bits[1]);
        let mut ends = [0; UNITS];
        while at < hits.len() {
            let (col0, tile) = &hits[at];
            let lane = left.trailing_zeros() as usize % LANES;
            let end = &mut ends[lane % UNITS];
            lines[*end][lane % UNITS] = ((col0 + lane / UNITS) as u32, tile[lane]);
            *end += 1;
            left &= left - 1;
            let done = left == 0;
            at += usize::from(done);
            left = if done { next } else { left };
            next = bits[at + 1];
        }
        for (unit, end) in ends.into_iter().enumerate() {
            let row = (row0 + unit) as u32;
            best.extend(lines[..end].iter().map(|line| Candidate { row, col: line[unit].0, gradient: line[unit].1 }));
        }
        if best.len() < room { threshold } else { keep(&mut best, k, operands.cols) }
    };
    let (mut end, mut threshold) = (0, threshold);
    operands.stream(0..operands.strips(), 1, |row0, col0, tile| {
        if col0 == 0 && end > 0 {
            threshold = take(row0 - UNITS, &hits[..end], &bits, threshold);
            end = 0;
        }
        let hit = &mut hits[end];
        hit.0 = col0;
        hit.1.as_chunks_mut().0.iter_mut().zip(tile.as_flattened()).for_each(|(four, lanes)| lanes.store(four));
        let least = F32x4::splat(threshold);
        let reached = (0..8).fold(0, |all, half| all | tile.as_flattened()[half].abs().not_below(least) << (4 * half));
        bits[end] = reached & !u32::from_le_bytes(stored.of(row0, col0));
        end += usize::from(bits[end] != 0);
    });
    take(operands.strips().saturating_sub(1) * UNITS, &hits[..end], &bits, threshold);
    // As bits a NaN is above all magnitudes, so none is dropped while there is room.
    match best.iter().find(|c| c.gradient.is_nan()) {
        Some(c) => Err(NotANumber { row: c.row as usize, col: c.col as usize }),
        None => Ok(best),
    }
}

/// Cuts `best` back to its k largest, in their order, and returns the smallest magnitude that stays.
fn keep(best: &mut Vec<Candidate>, k: usize, cols: usize) -> f32 {
    // The best rank lowest.
    let rank = |c: &Candidate| u64::from(!c.gradient.abs().to_bits()) << 32 | u64::from(c.row * cols as u32 + c.col);
    let last = k_lowest(&best.iter().map(rank).collect::<Vec<_>>(), k);
    best.retain(|c| rank(c) <= last);
    f32::from_bits(!(last >> 32) as u32)
}

/// Says which positions of a tile are stored, or overhang the matrix: a byte for each column of a strip, a bit for each of its rows.
struct Stored<'a> {
    pattern: &'a CsrPattern,
    row0: usize,
    strip: Vec<[u8; FEATURES]>,
}

impl<'a> Stored<'a> {
    fn new(pattern: &'a CsrPattern) -> Self {
        Self { pattern, row0: usize::MAX, strip: vec![[0; FEATURES]; pattern.cols().div_ceil(FEATURES)] }
    }

    #[inline(always)]
    fn of(&mut self, row0: usize, col0: usize) -> [u8; FEATURES] {
        if self.row0 != row0 {
            self.turn_to(row0);
        }
        self.strip[col0 / FEATURES]
    }

    fn turn_to(&mut self, row0: usize) {
        self.row0 = row0;
        let (rows, cols) = (self.pattern.rows(), self.pattern.cols());
        let overhang = if rows - row0 < UNITS { u8::MAX << (rows - row0) } else { 0 };
        let strip = self.strip.as_flattened_mut();
        strip[..cols].fill(overhang);
        strip[cols..].fill(u8::MAX);
        for row in row0..rows.min(row0 + UNITS) {
            let (start, _, end) = self.pattern.by_row.line(row);
            let bit = 1 << (row - row0);
            self.pattern.by_row.indices().for_each(start..end, |_, col| strip[col] |= bit);
        }
    }
}

/// Sum, maximum, L2 norm and count above `threshold` (≥ 0) of |dYᵀ·X| outside `pattern`. A NaN makes sum and norm NaN.
pub fn reduce(pattern: &CsrPattern, x: &[f32], dy: &[f32], batch: usize, threshold: f32) -> Reduction {
    let operands = Operands::new(x, dy, batch, pattern.rows(), pattern.cols());
    let splat = F32x4::splat(threshold);
    let (mut sum, mut squares) = (F64x2::ZERO, F64x2::ZERO);
    let (mut max, mut count) = (F32x4::splat(0.0), I32x4::splat(0));
    let mut stored = Stored::new(pattern);
    operands.stream(0..operands.strips(), 1, |row0, col0, tile| {
        for (halves, stored) in tile.iter().zip(stored.of(row0, col0)) {
            for (lanes, stored) in halves.iter().zip([stored, stored >> 4]) {
                let magnitudes = lanes.abs().without(I32x4::mask(stored.into()));
                for g in magnitudes.widen() {
                    sum = sum + g;
                    squares = squares + g * g;
                }
                max = max.or_larger(magnitudes);
                // A lane of a mask is −1.
                count = count - magnitudes.above(splat);
            }
        }
    });
    let total = |lanes: F64x2| lanes.to_array().iter().sum::<f64>();
    Reduction {
        sum: total(sum),
        max: max.to_array().into_iter().fold(0.0, f32::max).into(),
        norm: total(squares).sqrt(),
        count: count.to_array().into_iter().map(f64::from).sum(),
    }
}

/// The product of [`top_k`] and [`reduce`] with nobody looking at it, summed so that it is not left out. For benches.
pub fn product_alone(x: &[f32], dy: &[f32], batch: usize, rows: usize, cols: usize) -> f32 {
    let operands = Operands::new(x, dy, batch, rows, cols);
    let mut sum = F32x4::splat(0.0);
    operands.stream(0..operands.strips(), 1, |_, _, tile| sum = tile.as_flattened().iter().fold(sum, |sum, &lanes| sum + lanes));
    sum.sum()
}

/// X and dY `[batch, …]`, X packed by four features.
struct Operands<'a> {
    features: Vec<[f32; FEATURES]>,
    dy: &'a [f32],
    batch: usize,
    rows: usize,
    cols: usize,
}

impl<'a> Operands<'a> {
    fn new(x: &[f32], dy: &'a [f32], batch: usize, rows: usize, cols: usize) -> Self {
        assert!(x.len() == batch * cols);
        assert!(dy.len() == batch * rows);
        pattern::places(rows, cols); // panics where candidates would not fit into 32 bits
        let mut features = vec![[0.0f32; FEATURES]; cols.div_ceil(FEATURES) * batch];
        for (b, sample) in x.chunks_exact(cols.max(1)).enumerate() {
            for (i, four) in sample.chunks(FEATURES).enumerate() {
                features[i * batch + b][..four.len()].copy_from_slice(four);
            }
        }
        Self { features, dy, batch, rows, cols }
    }

    /// Strips of rows that the matrix is made of.
    fn strips(&self) -> usize {
        self.rows.div_ceil(UNITS)
    }

    /// Calls `visit(row, col, tile)` for the tiles of dYᵀ·X in some strips of rows, in their order; of each strip for one tile in `every`.
    /// Tiles overhang the edges with zeros.
    #[inline(always)]
    fn stream(&self, strips: impl Iterator<Item = usize>, every: usize, mut visit: impl FnMut(usize, usize, &Tile)) {
        let mut packed = vec![[0.0f32; UNITS]; self.batch];
        for strip in strips {
            let row = strip * UNITS;
            let width = UNITS.min(self.rows - row);
            for (b, eight) in packed.iter_mut().enumerate() {
                let dy = &self.dy[b * self.rows + row..][..width];
                match dy.first_chunk() {
                    Some(dy) => *eight = *dy,
                    None => eight[..width].copy_from_slice(dy),
                }
            }
            packed.iter_mut().for_each(|eight| eight[width..].fill(0.0));
            for i in (strip % every..self.cols.div_ceil(FEATURES)).step_by(every) {
                visit(row, i * FEATURES, &product(&self.features[i * self.batch..][..self.batch], &packed));
            }
        }
    }
}

#[inline(always)]
fn product(features: &[[f32; FEATURES]], strip: &[[f32; UNITS]]) -> Tile {
    let mut tile = [[F32x4::splat(0.0); 2]; FEATURES];
    for (x, dy) in features.iter().zip(strip) {
        let (dy, _) = dy.as_chunks::<4>();
        let dy = [F32x4::load(&dy[0]), F32x4::load(&dy[1])];
        for f in 0..FEATURES {
            let x = F32x4::splat(x[f]);
            tile[f] = [dy[0].mul_add(x, tile[f][0]), dy[1].mul_add(x, tile[f][1])];
        }
    }
    tile
}
