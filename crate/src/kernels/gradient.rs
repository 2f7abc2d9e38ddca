//! What growth needs to know of the dense gradient dYᵀ·X outside a pattern; the gradient itself never exists.
//!
//! A dense product whose tiles are looked at and forgotten: 4 units × 8 features over the whole batch in 8 registers. Memory is
//! O(k + batch·out), never out·in.

use crate::lanes::F32x4;
use crate::pattern::CsrPattern;

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

/// The `k` positions outside `pattern` where |dYᵀ·X| is largest (fewer if fewer exist), by row, then column. Equal magnitudes: the lower
/// row, then the lower column wins. `x [batch, in]`, `dy [batch, out]` row-major, in·out < 2^32. O(k) memory beside a copy of dY.
///
/// Gradients below `floor` are left out. That lets one selection run over several layers: what the layers so far have filled it with raises the floor.
pub fn top_k(pattern: &CsrPattern, x: &[f32], dy: &[f32], batch: usize, k: usize, floor: f32) -> Result<Vec<Candidate>, NotANumber> {
    assert!(u32::try_from(pattern.rows() * pattern.cols()).is_ok());
    if k == 0 {
        return Ok(Vec::new());
    }
    let operands = Operands::new(x, dy, batch, pattern.rows(), pattern.cols());
    let guess = guess(&operands, pattern, k).max(floor);
    let mut best = list(&operands, pattern, k, guess)?;
    if best.len() < k && guess > floor {
        best = list(&operands, pattern, k, floor)?;
    }
    if best.len() > k {
        keep(&mut best, k);
    }
    // By place, for which the key is turned around.
    best.iter_mut().for_each(|key| *key = u64::from(index(*key)) << 32 | u64::from(bits(*key)));
    best.sort_unstable();
    let cols = pattern.cols() as u32;
    let place = |key: u64| ((key >> 32) as u32 / cols, (key >> 32) as u32 % cols);
    Ok(best
        .into_iter()
        .map(|key| (place(key), f32::from_bits(key as u32)))
        .map(|((row, col), gradient)| Candidate { row, col, gradient })
        .collect())
}

/// A candidate as one number that ranks: the complement of its magnitude, its flat index, its sign. The best are the lowest.
fn key(index: u32, gradient: f32) -> u64 {
    let bits = gradient.to_bits();
    u64::from(!bits & MAGNITUDE) << 33 | u64::from(index) << 1 | u64::from(bits >> 31)
}

const MAGNITUDE: u32 = 0x7fff_ffff;

fn magnitude(key: u64) -> f32 {
    f32::from_bits(!((key >> 33) as u32) & MAGNITUDE)
}

fn index(key: u64) -> u32 {
    (key >> 1) as u32
}

/// The bits of the gradient.
fn bits(key: u64) -> u32 {
    magnitude(key).to_bits() | ((key & 1) as u32) << 31
}

/// A threshold a little below that of the k-th largest, from a few strips of columns; 0 where that would not pay.
fn guess(operands: &Operands, pattern: &CsrPattern, k: usize) -> f32 {
    // Of the work one part in 64, and of the memory no more than this many gradients.
    const SAMPLE: usize = 1 << 17;
    let free = operands.rows * operands.cols - pattern.nnz();
    let strips = operands.cols.div_ceil(FEATURES);
    let sampled = (strips / 64).min(SAMPLE.div_ceil(FEATURES * operands.rows.max(1)));
    if sampled == 0 || k >= free / 4 {
        return 0.0;
    }
    let every = strips / sampled;
    let mut seen: Vec<u64> = Vec::new();
    operands.stream((every / 2..strips).step_by(every).take(sampled), |row0, col0, tile| {
        // Weights that have just been grown have the steepest gradients, so stored entries must not count.
        operands.for_each(row0, col0, tile, |row, col, gradient| {
            if !pattern.contains(row, col) {
                seen.push(key(0, gradient));
            }
        });
    });
    // Strips differ: half as many again as the share of k.
    let expected = (k as f64 / free as f64 * seen.len() as f64 * 1.5) as usize + 8;
    if expected >= seen.len() {
        return 0.0;
    }
    let threshold = magnitude(*seen.select_nth_unstable(expected).1);
    // NaN has to be found by the full pass.
    if threshold.is_nan() { 0.0 } else { threshold }
}

/// Keys of candidates that reach `threshold`, the k best among them.
fn list(operands: &Operands, pattern: &CsrPattern, k: usize, mut threshold: f32) -> Result<Vec<u64>, NotANumber> {
    // Room for as many again before a selection cuts back to k and raises the threshold.
    let room = 2 * k.max(512);
    let mut best: Vec<u64> = Vec::new();
    let mut nan = None;
    let mut stored = Stored::new(pattern);
    operands.stream(0..operands.cols.div_ceil(FEATURES), |row0, col0, tile| {
        for (row, halves) in (row0..operands.rows).zip(tile) {
            for (col0, lanes) in (col0..).step_by(4).zip(halves) {
                // Few reach the threshold: visit their bits alone.
                let mut reached = lanes.abs().not_below(F32x4::splat(threshold));
                while reached != 0 {
                    let lane = reached.trailing_zeros() as usize;
                    reached &= reached - 1;
                    let (col, gradient) = (col0 + lane, lanes.to_array()[lane]);
                    if col >= operands.cols || stored.has(row, col) {
                        continue;
                    }
                    if gradient.is_nan() {
                        nan.get_or_insert(NotANumber { row, col });
                        continue;
                    }
                    best.push(key((row * operands.cols + col) as u32, gradient));
                    if best.len() == room {
                        threshold = keep(&mut best, k);
                    }
                }
            }
        }
    });
    nan.map_or(Ok(best), Err)
}

/// Says whether a position is stored, for columns that rise in each row, as strips come: how far each row has been passed in A and in B∖A.
struct Stored<'a> {
    pattern: &'a CsrPattern,
    next: Vec<[u32; 2]>,
}

impl<'a> Stored<'a> {
    fn new(pattern: &'a CsrPattern) -> Self {
        let next = (0..pattern.rows()).map(|row| pattern.by_row.line(row)).map(|(a, rest, _)| [a as u32, rest as u32]).collect();
        Self { pattern, next }
    }

    #[inline(always)]
    fn has(&mut self, row: usize, col: usize) -> bool {
        let (_, split, end) = self.pattern.by_row.line(row);
        let indices = self.pattern.by_row.indices();
        self.next[row].iter_mut().zip([split, end]).any(|(next, end)| {
            while (*next as usize) < end && indices.get(*next as usize) < col {
                *next += 1;
            }
            (*next as usize) < end && indices.get(*next as usize) == col
        })
    }
}

/// Sum, maximum, L2 norm and count above `threshold` (≥ 0) of |dYᵀ·X| outside `pattern`. A NaN makes sum and norm NaN.
pub fn reduce(pattern: &CsrPattern, x: &[f32], dy: &[f32], batch: usize, threshold: f32) -> Reduction {
    let operands = Operands::new(x, dy, batch, pattern.rows(), pattern.cols());
    let mut squares = 0.0f64;
    let mut total = Reduction::default();
    let mut stored = Stored::new(pattern);
    operands.stream(0..operands.cols.div_ceil(FEATURES), |row0, col0, tile| {
        operands.for_each(row0, col0, tile, |row, col, gradient| {
            if stored.has(row, col) {
                return;
            }
            let g = f64::from(gradient.abs());
            total.sum += g;
            squares += g * g;
            total.max = total.max.max(g);
            total.count += f64::from(g > f64::from(threshold));
        });
    });
    total.norm = squares.sqrt();
    total
}

/// Cuts `best` back to its k largest and returns the smallest magnitude that stays.
fn keep(best: &mut Vec<u64>, k: usize) -> f32 {
    let threshold = magnitude(*best.select_nth_unstable(k - 1).1);
    best.truncate(k);
    threshold
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
        assert_eq!(x.len(), batch * cols);
        assert_eq!(dy.len(), batch * rows);
        let mut units = vec![[0.0f32; UNITS]; rows.div_ceil(UNITS) * batch];
        for (b, sample) in dy.chunks_exact(rows.max(1)).enumerate() {
            for (i, four) in sample.chunks(UNITS).enumerate() {
                units[i * batch + b][..four.len()].copy_from_slice(four);
            }
        }
        Self { x, units, batch, rows, cols }
    }

    /// Calls `visit(row, col, tile)` for the tiles of dYᵀ·X in some strips of columns, in their order. Tiles overhang the edges with zeros.
    fn stream(&self, strips: impl Iterator<Item = usize>, mut visit: impl FnMut(usize, usize, &Tile)) {
        let mut strip = vec![[0.0f32; FEATURES]; self.batch];
        for col in strips.map(|s| s * FEATURES) {
            let width = FEATURES.min(self.cols - col);
            for (b, eight) in strip.iter_mut().enumerate() {
                *eight = [0.0; FEATURES];
                eight[..width].copy_from_slice(&self.x[b * self.cols + col..][..width]);
            }
            for (i, units) in self.units.chunks_exact(self.batch.max(1)).enumerate() {
                visit(i * UNITS, col, &product(units, &strip));
            }
        }
    }

    /// The positions of a tile that lie inside the matrix, rows first.
    #[inline(always)]
    fn for_each(&self, row0: usize, col0: usize, tile: &Tile, mut f: impl FnMut(usize, usize, f32)) {
        for (row, halves) in (row0..self.rows).zip(tile) {
            let gradients = halves.map(F32x4::to_array);
            for (col, &gradient) in (col0..self.cols).zip(gradients.as_flattened()) {
                f(row, col, gradient);
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
