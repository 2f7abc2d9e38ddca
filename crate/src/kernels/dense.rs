//! `C = op(A)·op(B)`, dense, each operand as it is or transposed: the product under `fastDense`, with which tfjs's own layers train. Operands are
//! read by rows, which need not lie anywhere: those of a convolution ([`conv_dense`](super::conv_dense)) are gathered as they are packed.
//!
//! The terms are cut into blocks, the lines of A into those that fit the second-level cache. Per block A is packed by four or six lines, B
//! by eight lines at a time and used at once, while a tile of sums stays in registers. Packing takes transposition away, and strides of a
//! power of two, which would hit a single set of the cache.
//!
//! What limits it: the latency of a multiply-add. Two units and four cycles want eight sums under way; the eight of a 4×8 tile leave no slack
//! and reach 87 % of peak, the twelve of 6×8 94 % (dW of 1024×1024, batch 128; Node 24). Without fusion 6×8 needs one register too many
//! and spills: 46 % (Node 20), where 4×8 reaches 79 %. Packing B is the rest: with 64 rows of A it leaves 88 %, with 128 90.
//!
//! Tried, and no gain: 5×8; blocks of 256 terms (2 to 5 % slower: C goes through memory more often) and of 1024; 32 or 128 columns of B at once;
//! packing B strip by strip (a row's line is then fetched twice). Bias and relu in the tile, held in two more registers: 5 % slower on Node 20.
//! Terms walked by index, as `zip` does, spill at 6×8: 40 %.

use super::PANEL;
use crate::lanes::F32x4;
use std::array::from_fn;
use std::ops::Range;

/// `C [m, n] = op(A)·op(B)` with `k` terms, all row-major: `a [m, k]`, or `[k, m]` if transposed; `b [k, n]`, or `[n, k]` if transposed.
#[derive(Clone, Copy)]
pub struct Product {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub transpose_a: bool,
    pub transpose_b: bool,
}

/// Lines of A and of B in a tile.
const LEFT: usize = if cfg!(target_feature = "relaxed-simd") { 6 } else { 4 };
const RIGHT: usize = 8;
/// As many lines of A, or fewer, that are left over take a smaller tile: of 64, 128 or 256 four or two, for which a whole one would be 3 % more work.
const FEW: usize = 4;
/// Terms in a block: a strip of B and a tile's lines of A together stay in the first-level cache.
const TERMS: usize = 512;
/// Lines of A in a block: half a megabyte, half of the second-level cache.
const LINES: usize = 256;
/// Lines of B that are packed at once: of each row they take whole cache lines.
const STRIPS: usize = 64;

type Tile = [[F32x4; 2]; LEFT];

/// Numbers of the rows that are gathered at once.
const ROWS: usize = RIGHT * TERMS;

/// Packed operands, and rows that lie nowhere: 660 KB at most.
#[derive(Default)]
pub struct Scratch {
    left: Vec<f32>,
    right: Vec<f32>,
    rows: Vec<f32>,
    /// Where the lines of a block go.
    starts: Vec<usize>,
}

/// Overwrites `c`. Each output adds its terms in their order, starting at 0, whatever block they fall into; then `bias [n]`, then relu.
/// Cost: m·n·k multiply-adds; packing reads A once and B ⌈m / 256⌉ times.
pub fn dense(product: Product, a: &[f32], b: &[f32], bias: Option<&[f32]>, relu: bool, c: &mut [f32], scratch: &mut Scratch) {
    let Product { m, n, k, transpose_a, transpose_b } = product;
    assert!(a.len() == m * k);
    assert!(b.len() == k * n);
    assert!(c.len() == m * n);
    let a = Operand { matrix: &Matrix { values: a, cols: if transpose_a { m } else { k } }, lines_adjacent: transpose_a };
    let b = Operand { matrix: &Matrix { values: b, cols: if transpose_b { k } else { n } }, lines_adjacent: !transpose_b };
    multiply([m, n, k], a, b, Target { values: c, start: &|row| row * n, apart: PANEL, add: false, bias, relu }, scratch);
}

/// Where the rows of C go, and what becomes of them. Those that have `bias` or relu are rows of one matrix: `start(i) = i·n`.
pub struct Target<'a> {
    pub values: &'a mut [f32],
    /// Of a row of C.
    pub start: &'a dyn Fn(usize) -> usize,
    /// From there, of each row, how far sixteen columns lie from the next sixteen: 16 in a matrix.
    pub apart: usize,
    /// To what is there already, instead of overwriting it.
    pub add: bool,
    pub bias: Option<&'a [f32]>,
    pub relu: bool,
}

/// As [`dense()`], of any operands: `m` lines of A, `n` of B, `k` terms.
pub fn multiply([m, n, k]: [usize; 3], a: Operand, b: Operand, c: Target, scratch: &mut Scratch) {
    assert!(c.bias.is_none_or(|bias| bias.len() == n));
    let Scratch { left, right, rows, starts } = scratch;
    for lines in blocks(m, LINES) {
        starts.clear();
        starts.extend(lines.clone().map(c.start));
        for terms in blocks(k, TERMS) {
            let left = a.pack(lines.clone(), terms.clone(), left, rows);
            for strips in blocks(n, STRIPS) {
                let right = b.pack(strips.clone(), terms.clone(), right, rows);
                for (strip, col) in (0..).zip(strips.step_by(RIGHT)) {
                    let right = &right[strip * spacing(&terms)..][..terms.len()];
                    let at = col / PANEL * c.apart + col % PANEL;
                    let cols = at..at + RIGHT.min(n - col);
                    for (tile, starts) in starts.chunks(LEFT).enumerate() {
                        let left = &left[tile * spacing(&terms)..][..terms.len()];
                        let mut out = Out { c: c.values, starts, cols: cols.clone() };
                        let start = if terms.start == 0 && !c.add { [[F32x4::splat(0.0); 2]; LEFT] } else { out.read() };
                        let few = FEW < LEFT && starts.len() <= FEW;
                        out.write(if few { sums::<FEW>(left, right, start) } else { sums::<LEFT>(left, right, start) });
                    }
                }
            }
        }
        if c.bias.is_none() && !c.relu {
            continue;
        }
        // A pass of its own, since the loop above has no register to spare.
        for row in c.values[lines.start * n..lines.end * n].chunks_exact_mut(n.max(1)) {
            if let Some(bias) = c.bias {
                row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
            }
            if c.relu {
                row.iter_mut().for_each(|y| *y = if *y < 0.0 { 0.0 } else { *y });
            }
        }
    }
}

/// `0..length` in pieces of equal size, at most `most` and whole tiles; one empty piece of nothing, since no terms make zeros.
fn blocks(length: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let pieces = length.div_ceil(most).max(1);
    let size = length.div_ceil(pieces).next_multiple_of(2 * RIGHT);
    (0..pieces).map(move |i| (i * size).min(length)..((i + 1) * size).min(length))
}

/// A matrix by its rows.
pub trait Rows {
    /// The columns `cols` of row `i`: where they lie, or written to `room [cols.len()]`.
    fn row<'a>(&'a self, i: usize, cols: Range<usize>, room: &'a mut [f32]) -> &'a [f32];
}

/// One that lies in memory, row by row.
pub struct Matrix<'a> {
    pub values: &'a [f32],
    pub cols: usize,
}

impl Rows for Matrix<'_> {
    fn row<'a>(&'a self, i: usize, cols: Range<usize>, _: &'a mut [f32]) -> &'a [f32] {
        &self.values[i * self.cols..][cols]
    }
}

/// From the terms of one tile's lines to those of the next. Not the 512 that there may be: packing writes to all tiles in turn, and with a distance of
/// whole pages they would share a single set of the first-level cache.
fn spacing(terms: &Range<usize>) -> usize {
    terms.len() + 8
}

/// Lines of terms: rows of op(A), or columns of op(B).
#[derive(Clone, Copy)]
pub struct Operand<'a> {
    pub matrix: &'a dyn Rows,
    /// A row of the matrix is a term of all lines, else it is a line.
    pub lines_adjacent: bool,
}

impl Operand<'_> {
    /// By `W` lines, those with all `terms` in order; zeros beyond the last line.
    fn pack<'p, const W: usize>(
        &self,
        lines: Range<usize>,
        terms: Range<usize>,
        packed: &'p mut Vec<f32>,
        rows: &mut Vec<f32>,
    ) -> &'p [[f32; W]] {
        let packed = room(packed, lines.len().div_ceil(W) * spacing(&terms));
        rows.resize(ROWS, 0.0);
        if self.lines_adjacent {
            for (t, term) in terms.clone().enumerate() {
                let row = self.matrix.row(term, lines.clone(), &mut rows[..lines.len()]);
                let (whole, rest) = row.as_chunks::<W>();
                let mut to = packed.iter_mut().skip(t).step_by(spacing(&terms));
                for (from, to) in whole.iter().zip(&mut to) {
                    *to = *from;
                }
                if let Some(to) = to.next() {
                    *to = from_fn(|i| rest.get(i).copied().unwrap_or(0.0));
                }
            }
        } else {
            for (group, first) in packed.chunks_exact_mut(spacing(&terms)).zip(lines.clone().step_by(W)) {
                let mut rooms = rows.chunks_exact_mut(TERMS);
                let line = |i: usize| match rooms.next() {
                    Some(room) if first + i < lines.end => self.matrix.row(first + i, terms.clone(), room),
                    _ => &[],
                };
                interleave(from_fn(line), &mut group[..terms.len()]);
            }
        }
        packed
    }
}

/// `length` terms of `W` lines, on a cache line of their own: a vector that straddles two costs two loads.
fn room<const W: usize>(packed: &mut Vec<f32>, length: usize) -> &mut [[f32; W]] {
    let whole = W * length + 15;
    if packed.len() < whole {
        packed.resize(whole, 0.0);
    }
    let skip = packed.as_ptr().align_offset(64);
    packed[skip..][..W * length].as_chunks_mut().0
}

/// `packed[t][i] = lines[i][t]`, zeros for an empty line.
#[inline(always)]
fn interleave<const W: usize>(lines: [&[f32]; W], packed: &mut [[f32; W]]) {
    let mut done = 0;
    if lines.iter().all(|line| line.len() == packed.len()) {
        let quads = lines.map(|line| line.as_chunks::<4>().0);
        let (whole, _) = packed.as_chunks_mut::<4>();
        for (q, four) in whole.iter_mut().enumerate() {
            // Of six lines the middle two twice.
            for first in (0..W - 3).step_by(if W == 6 { 2 } else { 4 }) {
                let terms = F32x4::transpose(from_fn(|i| F32x4::load(&quads[first + i][q])));
                for (to, term) in four.iter_mut().zip(terms) {
                    term.store(to[first..].first_chunk_mut().expect("four lines from there"));
                }
            }
        }
        done = 4 * whole.len();
    }
    for (t, to) in packed.iter_mut().enumerate().skip(done) {
        *to = lines.map(|line| line.get(t).copied().unwrap_or(0.0));
    }
}

#[inline(always)]
fn sums<const LINES: usize>(left: &[[f32; LEFT]], right: &[[f32; RIGHT]], mut tile: Tile) -> Tile {
    // Not `zip`, which walks by index: see above.
    let mut right = right.iter();
    for a in left {
        let Some(b) = right.next() else { break };
        let (b, _) = b.as_chunks::<4>();
        let b = [F32x4::load(&b[0]), F32x4::load(&b[1])];
        for i in 0..LINES {
            let a = F32x4::splat(a[i]);
            tile[i] = [b[0].mul_add(a, tile[i][0]), b[1].mul_add(a, tile[i][1])];
        }
    }
    tile
}

/// The first eight, filled up with zeros.
#[inline(always)]
fn eight(from: &[f32]) -> [F32x4; 2] {
    let mut padded = [0.0; RIGHT];
    let eight = from.first_chunk().unwrap_or_else(|| {
        padded[..from.len()].copy_from_slice(from);
        &padded
    });
    let (halves, _) = eight.as_chunks::<4>();
    [F32x4::load(&halves[0]), F32x4::load(&halves[1])]
}

/// The part of C that a tile stands for; at the edges smaller than it.
struct Out<'c> {
    c: &'c mut [f32],
    /// Where the rows begin.
    starts: &'c [usize],
    cols: Range<usize>,
}

impl Out<'_> {
    #[inline(always)]
    fn read(&self) -> Tile {
        let mut tile = [[F32x4::splat(0.0); 2]; LEFT];
        for (start, lanes) in self.starts.iter().zip(&mut tile) {
            *lanes = eight(&self.c[*start..][self.cols.clone()]);
        }
        tile
    }

    #[inline(always)]
    fn write(&mut self, tile: Tile) {
        for (start, lanes) in self.starts.iter().zip(tile) {
            let to = &mut self.c[*start..][self.cols.clone()];
            let eight = lanes.map(F32x4::to_array);
            match <&mut [f32; RIGHT]>::try_from(&mut *to) {
                Ok(whole) => whole.copy_from_slice(eight.as_flattened()),
                Err(_) => to.copy_from_slice(&eight.as_flattened()[..to.len()]),
            }
        }
    }
}
