//! `dValues = (dYᵀ·X) at B` alone, for a layer whose dX nobody wants: the first of a network.
//!
//! What limits it: loads, one for each multiply-add. A row of dY, or of X, stays in registers, and each entry loads one of the other. Two panels go through
//! together, in two sums: in one chain of eight multiply-adds waited for each other (51 % of peak instead of 64 %).
//!
//! Row by row dY stays, and gradients come in the order that they have: to bring them there from the order of columns costs 2 to 5 cycles an entry, of 15 with
//! 64 samples. Column by column X stays: better where the few rows of dY fit a first-level cache and those of X do not, or where X fits none. See
//! [`Sddmm::new`]. Blocks of units beyond the second-level cache, as the products with dX have them: 7 to 15 % less time for more than 2048 units and 16 384
//! features, no better elsewhere, and three loops more.

use super::backward::{BLOCK, Backward, Scratch, add_lines, room_for, sddmm_of, stale};
use super::backward_rows::is_far_by_columns;
use super::{PANEL, panels, touch, touching_pays};
use crate::lanes::{Entries, F32x4, Row, Walk};
use crate::pattern::{Index, Indices, Runs};
use std::hint::black_box;
use std::ops::Range;

/// Rows of two panels that fill a first-level cache of 48 kB, or nearly.
const NEAREST: usize = 448;
/// Rows of two panels that a second-level cache of 1 MB holds beside all else.
const NEAR: usize = 1 << 12;

/// The products as independent chunks, each of which writes results of its own: some rows or columns over all panels in their order. Either way gives the same
/// bits, where indices are as wide.
pub struct Sddmm<'a> {
    of: &'a Backward<'a>,
    by_rows: bool,
    chunks: usize,
    /// Whether lines of dY are touched before the entries read them. Those of X are not: of 16 384 or 20 000 features it took up to twice the time.
    pub touches: bool,
}

impl<'a> Sddmm<'a> {
    /// The faster way. On an Intel Xeon 1024×784 (units × features) with 64 samples at a density of 0.1 takes 20 % less time by rows, 300×300 7, 1024×3072 6;
    /// by columns 300×784 takes 10 % less, 512×4096 10, 1024×8192 at 0.02 20, 256×8192 40.
    pub fn new(of: &'a Backward) -> Self {
        let (rows, cols) = (of.pattern.rows(), of.pattern.cols());
        let near = cols <= rows || (rows > NEAREST && cols <= NEAR.min(4 * rows));
        Self::along(of, near || is_far_by_columns(of.pattern) || of.batch < 2 * PANEL)
    }

    pub fn along(of: &'a Backward, by_rows: bool) -> Self {
        let chunks = ((of.pattern.nnz() + BLOCK / 2) / BLOCK).max(1);
        let touches = !by_rows && touching_pays(of.dy.len(), of.pattern.rows(), of.pattern.nnz() / chunks);
        Self { of, by_rows, chunks, touches }
    }

    pub fn chunks(&self) -> usize {
        self.chunks
    }

    /// Overwrites its part of `d_values [nnz]`, before decay. Where lines of dY are touched, the first adds them to `bias` as well, unless it is empty: see
    /// [`add_lines`]. Cost over all chunks: |B|·batch multiply-adds. Memory: 16 bytes per entry of a chunk.
    pub fn chunk(&self, i: usize, d_values: &mut [f32], bias: &mut [F32x4], scratch: &mut Scratch) {
        let Backward { pattern, values, x, dy, batch, .. } = *self.of;
        assert!(d_values.len() == pattern.nnz());
        let (runs, staying, read) = if self.by_rows { (&pattern.by_row, dy, x) } else { (&pattern.by_column, x, dy) };
        let lines = runs.piece(i, self.chunks);
        let entries = runs.offsets[lines.start] as usize..runs.offsets[lines.end] as usize;
        let partial = room_for(entries.len(), &mut scratch.partial);
        if batch == 0 {
            partial.fill([0.0; 4]);
        }
        let whole = Whole { runs, lines, staying, read, values, positions: &pattern.row_position };
        whole.sum(batch, partial, |lines| match self.touches {
            true if i == 0 && !bias.is_empty() => add_lines(lines, bias),
            true => touch(lines),
            false => (),
        });
        if self.by_rows {
            sum_lanes(partial, &mut d_values[entries]);
        } else {
            sum_lanes_at(partial, &pattern.row_position[entries], d_values);
        }
    }
}

/// Entries of whole lines, one after the other: rows of a pattern, where those of dY stay and those of X are `read`, or columns, where it is the other way.
struct Whole<'a> {
    runs: &'a Runs,
    lines: Range<usize>,
    /// Panels `[P][lines of all runs]`.
    staying: &'a [Row],
    /// Panels `[P][what indices name]`.
    read: &'a [Row],
    /// As many as there are entries, for a [`Walk`]; nobody looks at them, nor at the positions.
    values: &'a [f32],
    positions: &'a [u32],
}

impl Whole<'_> {
    /// Overwrites `partial`, four lanes to be added up for each entry of the lines: the sums over `batch` samples. Calls `before` with the lines that are read
    /// next.
    fn sum(&self, batch: usize, partial: &mut [[f32; 4]], mut before: impl FnMut(&[Row])) {
        let narrow = matches!(self.runs.indices(), Indices::U16(_));
        let (mut panel, bound) = (0, self.read.len() / panels(batch).max(1));
        while panel * PANEL < batch {
            let samples = batch - panel * PANEL;
            let next = panel + if narrow && samples >= 2 * PANEL { 2 } else { 1 };
            before(&self.read[panel * bound..next * bound]);
            match (narrow, samples) {
                (true, 32..) if panel == 0 => self.pair::<true>(0, partial),
                (true, 32..) => self.pair::<false>(panel, partial),
                (true, ..9) => self.single::<2, u16>(panel, partial),
                (true, _) => self.single::<4, u16>(panel, partial),
                (false, _) => self.single::<4, u32>(panel, partial),
            }
            panel = next;
        }
    }

    /// The `FIRST` panels start the sums.
    ///
    /// Not inlined, like all that hold loops: in one large function V8 keeps the loops' own numbers on the stack.
    #[inline(never)]
    fn pair<const FIRST: bool>(&self, panel: usize, partial: &mut [[f32; 4]]) {
        let staying = [panel, panel + 1].map(|panel| self.staying(panel));
        let (mut entries, ends) = self.walk::<2, u16>([panel, panel + 1], partial);
        let mut pair = [F32x4::splat(0.0); 2];
        for i in 0..self.lines.len() {
            let staying = staying.map(|rows| rows[i].lanes());
            entries.until(ends[i] as usize, |read, _, partial, _| {
                pair = sddmm_32(read, staying);
                let sum = pair[0] + pair[1];
                (if FIRST { sum } else { F32x4::load(partial) + sum }).store(partial);
            });
        }
        // See `sddmm_32`.
        black_box(pair);
    }

    /// V vectors of a panel.
    #[inline(never)]
    fn single<const V: usize, I: Index>(&self, panel: usize, partial: &mut [[f32; 4]]) {
        let (staying, stale) = (self.staying(panel), stale(panel));
        let (mut entries, ends) = self.walk::<1, I>([panel], partial);
        for i in 0..self.lines.len() {
            let staying = staying[i].lanes();
            entries.until(ends[i] as usize, |[read], _, partial, _| {
                sddmm_of::<V>(read.lanes(), staying, F32x4::load(partial).without(stale)).store(partial)
            });
        }
    }

    #[inline(always)]
    fn staying(&self, panel: usize) -> &[Row] {
        &self.staying[panel * self.runs.splits.len()..][self.lines.clone()]
    }

    /// The entries, and where each line ends.
    #[inline(always)]
    fn walk<'b, const P: usize, I: Index>(&'b self, panels: [usize; P], partial: &'b mut [[f32; 4]]) -> (Walk<'b, P, I>, &'b [u32]) {
        let bounded = self.runs.bounded();
        let read = panels.map(|panel| &self.read[panel * bounded.bound()..][..bounded.bound()]);
        let first = self.runs.offsets[self.lines.start] as usize;
        let ends = &self.runs.offsets[1..][self.lines.clone()];
        let count = partial.len();
        let mut walk =
            Walk::new(read, bounded, Entries { values: &self.values[..count], sums: partial, positions: &self.positions[..count] });
        walk.seek(first..first + count);
        (walk, ends)
    }
}

/// One entry over two full panels: the sum of their even vectors and that of their odd ones.
///
/// V8 can join two operations on neighbouring vectors into one of 256 bits (`--experimental-wasm-revectorize`), 1.7 times as fast here. It looks for them from
/// two stores side by side: callers store the last two sums, in a place that nobody reads.
#[inline(always)]
fn sddmm_32(read: [&Row; 2], staying: [[F32x4; 4]; 2]) -> [F32x4; 2] {
    let read = read.map(Row::lanes);
    [0, 1].map(|i| {
        let first = read[0][i + 2].mul_add(staying[0][i + 2], read[0][i] * staying[0][i]);
        read[1][i + 2].mul_add(staying[1][i + 2], read[1][i].mul_add(staying[1][i], first))
    })
}

/// The partial sums of each entry, four lanes, added up: entries are in row order.
#[inline(never)]
pub(super) fn sum_lanes(partial: &[[f32; 4]], d_values: &mut [f32]) {
    let (fours, rest) = partial.as_chunks::<4>();
    let (sums, sum) = d_values.as_chunks_mut::<4>();
    for (four, sums) in fours.iter().zip(sums) {
        folded(four).store(sums);
    }
    rest.iter().zip(sum).for_each(|(lanes, sum)| *sum = F32x4::load(lanes).sum());
}

/// The same to where the entry is in row order.
#[inline(never)]
fn sum_lanes_at(partial: &[[f32; 4]], positions: &[u32], d_values: &mut [f32]) {
    let (fours, rest) = partial.as_chunks::<4>();
    let (positions4, positions1) = positions.as_chunks::<4>();
    for (four, positions) in fours.iter().zip(positions4) {
        for (sum, &position) in folded(four).to_array().iter().zip(positions) {
            d_values[position as usize] = *sum;
        }
    }
    for (lanes, &position) in rest.iter().zip(positions1) {
        d_values[position as usize] = F32x4::load(lanes).sum();
    }
}

/// Of four entries the lanes added up, (0 + 1) + (2 + 3).
#[inline(always)]
fn folded(four: &[[f32; 4]; 4]) -> F32x4 {
    let lanes = F32x4::transpose(four.each_ref().map(F32x4::load));
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3])
}
