//! What growth needs to know of the dense gradient dYᵀ·X outside a pattern; the gradient itself never exists.
//!
//! A dense product whose tiles are looked at and forgotten: 4 units × 8 features over the whole batch in 8 registers. Memory is
//! O(k + batch·out), never out·in.
//!
//! What limits it: the product, at 84 to 90 % of the multiply-add peak. Looking at it costs 3 % for a small k, 15 % for the sums, and 11 %
//! where one position in 34 is chosen: most tiles then have some, how many cannot be foreseen, and what was found has still to be put in order. No better:
//! visiting a tile at once (5 and 19 %), or writing all its lanes and keeping those that belong, as `top_k` does (10 and 25 %: the longer text, or the
//! call, takes registers from the product). Four samples a turn in the product: 60 % of the peak, as V8 mixes the turns until the registers run out.

use super::top_k::{self, k_lowest, kth_magnitude};
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

const UNITS: usize = 4;
const FEATURES: usize = 8;
type Tile = [[F32x4; 2]; UNITS];
const LANES: usize = UNITS * FEATURES;

/// The `k` positions outside `pattern` where |dYᵀ·X| is largest (fewer if fewer exist), by row, then column. Equal magnitudes: the lower
/// row, then the lower column wins. `x [batch, in]`, `dy [batch, out]` row-major, in·out < 2^32. O(k) memory beside a copy of dY.
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
    let best = by_row(&best, pattern.rows());
    if best.len() <= k {
        return Ok(best);
    }
    let gradients: Vec<f32> = best.iter().map(|c| c.gradient).collect();
    let mut chosen = vec![0; k];
    let Ok(()) = top_k::top_k(&gradients, &mut chosen) else { unreachable!("none that is NaN was listed") };
    Ok(chosen.into_iter().map(|i| best[i as usize]).collect())
}

/// A threshold a little below that of the k-th largest, from tiles here and there; 0 where that would not pay.
fn guess(operands: &Operands, pattern: &CsrPattern, k: usize) -> f32 {
    // Of the work one part in 128, and of the memory no more than this many gradients.
    const SAMPLE: usize = 1 << 17;
    const STRIPS: usize = 4;
    let free = operands.rows * operands.cols - pattern.nnz();
    if k >= free / 4 {
        return 0.0;
    }
    let every = 32.max((operands.rows * operands.cols).div_ceil(STRIPS * SAMPLE));
    let mut seen: Vec<[u32; 4]> = Vec::new();
    let mut stored = Stored::new(pattern);
    operands.stream((0..operands.strips()).step_by(STRIPS), every, |row0, col0, tile| {
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

/// Candidates that reach `threshold`, the k best among them, in the order of the strips; each row's in the order of its columns.
fn list(operands: &Operands, pattern: &CsrPattern, k: usize, threshold: f32) -> Result<Vec<Candidate>, NotANumber> {
    // Room for as many again before a selection cuts back to k and raises the threshold.
    let room = 2 * k.max(2048);
    let mut best: Vec<Candidate> = Vec::with_capacity(k + k / 2);
    let mut stored = Stored::new(pattern);
    let tiles = operands.rows.div_ceil(UNITS) + 1;
    // Of a strip's tiles: which have something, and a bit for each position that they have.
    let mut bits = vec![(0, 0u32); tiles];
    // Takes in the tiles of a strip that have some; the threshold for the next strip.
    let mut visit = |col0: usize, hits: &[(usize, [f32; LANES])], mut threshold: f32| {
        let mut some = 0;
        for (hit, (row0, tile)) in hits.iter().enumerate() {
            let (halves, _) = tile.as_chunks();
            let bits_of = |half: usize| F32x4::load(&halves[half]).abs().not_below(F32x4::splat(threshold)) << (4 * half);
            let reached = (0..8).fold(0, |all, half| all | bits_of(half)) & !u32::from_le_bytes(stored.of(*row0, col0));
            bits[some] = (hit, reached);
            some += usize::from(reached != 0);
        }
        // A turn for each position, whatever tile it is in: how many a tile has would be guessed wrong.
        let mut at = 0;
        while at < some {
            let (hit, left) = &mut bits[at];
            let (row0, tile) = &hits[*hit];
            let lane = left.trailing_zeros() as usize % LANES;
            best.push(Candidate { row: (row0 + lane / FEATURES) as u32, col: (col0 + lane % FEATURES) as u32, gradient: tile[lane] });
            if best.len() == room {
                threshold = keep(&mut best, k, operands.cols);
            }
            *left &= *left - 1;
            at += usize::from(*left == 0);
        }
        threshold
    };
    // Each tile is noted, those with something that reaches the threshold to stay until the strip is done: a branch here would be guessed wrong,
    // which shows only at the end of the product's chains.
    let mut hits = vec![(0, [0.0; LANES]); tiles];
    let (mut end, mut threshold) = (0, threshold);
    operands.stream(0..operands.strips(), 1, |row0, col0, tile| {
        if row0 == 0 && end > 0 {
            threshold = visit(col0 - FEATURES, &hits[..end], threshold);
            end = 0;
        }
        let hit = &mut hits[end];
        hit.0 = row0;
        hit.1.as_chunks_mut().0.iter_mut().zip(tile.as_flattened()).for_each(|(four, lanes)| lanes.store(four));
        end += usize::from(reaches(tile, threshold));
    });
    visit(operands.strips().saturating_sub(1) * FEATURES, &hits[..end], threshold);
    // As bits a NaN is above all magnitudes, so none is dropped while there is room.
    match best.iter().find(|c| c.gradient.is_nan()) {
        Some(c) => Err(NotANumber { row: c.row as usize, col: c.col as usize }),
        None => Ok(best),
    }
}

/// Whether any of a tile reaches `threshold`, or is NaN, which as bits is above all magnitudes.
#[inline(always)]
fn reaches(tile: &Tile, threshold: f32) -> bool {
    let below = I32x4::splat(threshold.to_bits() as i32 - 1);
    I32x4::any(tile.map(|halves| {
        let [low, high] = halves.map(F32x4::magnitudes);
        low.max(high).above(below)
    }))
}

/// Cuts `best` back to its k largest, in their order, and returns the smallest magnitude that stays.
fn keep(best: &mut Vec<Candidate>, k: usize, cols: usize) -> f32 {
    // The best rank lowest.
    let rank = |c: &Candidate| u64::from(!c.gradient.abs().to_bits()) << 32 | u64::from(c.row * cols as u32 + c.col);
    let last = k_lowest(&best.iter().map(rank).collect::<Vec<_>>(), k);
    best.retain(|c| rank(c) <= last);
    f32::from_bits(!(last >> 32) as u32)
}

/// The same by row, the order in each row kept: a counting sort.
fn by_row(candidates: &[Candidate], rows: usize) -> Vec<Candidate> {
    let mut starts = vec![0; rows + 1];
    candidates.iter().for_each(|c| starts[c.row as usize + 1] += 1);
    for row in 0..rows {
        starts[row + 1] += starts[row];
    }
    let mut sorted = candidates.to_vec();
    for c in candidates {
        let at = &mut starts[c.row as usize];
        sorted[*at] = *c;
        *at += 1;
    }
    sorted
}

/// Says which positions of a tile are stored, or overhang the matrix: a byte for each row of a strip, a bit for each of its columns.
struct Stored<'a> {
    pattern: &'a CsrPattern,
    col0: usize,
    strip: Vec<[u8; UNITS]>,
}

impl<'a> Stored<'a> {
    fn new(pattern: &'a CsrPattern) -> Self {
        Self { pattern, col0: usize::MAX, strip: vec![[0; UNITS]; pattern.rows().div_ceil(UNITS)] }
    }

    #[inline(always)]
    fn of(&mut self, row0: usize, col0: usize) -> [u8; UNITS] {
        if self.col0 != col0 {
            self.turn_to(col0);
        }
        self.strip[row0 / UNITS]
    }

    /// Down the columns: along the rows, most of them would have no entry or one here, and the branch on that be guessed wrong.
    fn turn_to(&mut self, col0: usize) {
        self.col0 = col0;
        let (rows, cols) = (self.pattern.rows(), self.pattern.cols());
        let overhang = if cols - col0 < FEATURES { u8::MAX << (cols - col0) } else { 0 };
        let strip = self.strip.as_flattened_mut();
        strip[..rows].fill(overhang);
        strip[rows..].fill(u8::MAX);
        for col in col0..cols.min(col0 + FEATURES) {
            let (start, _, end) = self.pattern.by_column.line(col);
            let bit = 1 << (col - col0);
            self.pattern.by_column.indices().for_each(start..end, |_, row| strip[row] |= bit);
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

/// X and dY `[batch, …]`, dY also packed by four units.
struct Operands<'a> {
    x: &'a [f32],
    units: Vec<[f32; UNITS]>,
    batch: usize,
    rows: usize,
    cols: usize,
}

impl<'a> Operands<'a> {
    fn new(x: &'a [f32], dy: &[f32], batch: usize, rows: usize, cols: usize) -> Self {
        assert!(x.len() == batch * cols);
        assert!(dy.len() == batch * rows);
        pattern::places(rows, cols); // panics where candidates would not fit into 32 bits
        let mut units = vec![[0.0f32; UNITS]; rows.div_ceil(UNITS) * batch];
        for (b, sample) in dy.chunks_exact(rows.max(1)).enumerate() {
            for (i, four) in sample.chunks(UNITS).enumerate() {
                units[i * batch + b][..four.len()].copy_from_slice(four);
            }
        }
        Self { x, units, batch, rows, cols }
    }

    /// Strips of columns that the matrix is made of.
    fn strips(&self) -> usize {
        self.cols.div_ceil(FEATURES)
    }

    /// Calls `visit(row, col, tile)` for the tiles of dYᵀ·X in some strips of columns, in their order; of each strip for one tile in `every`.
    /// Tiles overhang the edges with zeros.
    #[inline(always)]
    fn stream(&self, strips: impl Iterator<Item = usize>, every: usize, mut visit: impl FnMut(usize, usize, &Tile)) {
        let mut packed = vec![[0.0f32; FEATURES]; self.batch];
        for strip in strips {
            let col = strip * FEATURES;
            let width = FEATURES.min(self.cols - col);
            for (b, eight) in packed.iter_mut().enumerate() {
                let x = &self.x[b * self.cols + col..][..width];
                match x.first_chunk() {
                    Some(x) => *eight = *x,
                    None => eight[..width].copy_from_slice(x),
                }
            }
            packed.iter_mut().for_each(|eight| eight[width..].fill(0.0));
            for i in (strip % every..self.rows.div_ceil(UNITS)).step_by(every) {
                visit(i * UNITS, col, &product(&self.units[i * self.batch..][..self.batch], &packed));
            }
        }
    }
}

#[inline(always)]
fn product(units: &[[f32; UNITS]], strip: &[[f32; FEATURES]]) -> Tile {
    let mut tile = [[F32x4::splat(0.0); 2]; UNITS];
    for (dy, x) in units.iter().zip(strip) {
        let (x, _) = x.as_chunks::<4>();
        let x = [F32x4::load(&x[0]), F32x4::load(&x[1])];
        for u in 0..UNITS {
            let dy = F32x4::splat(dy[u]);
            tile[u] = [x[0].mul_add(dy, tile[u][0]), x[1].mul_add(dy, tile[u][1])];
        }
    }
    tile
}
