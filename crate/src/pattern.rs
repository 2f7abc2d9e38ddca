//! Where the entries of a sparse matrix are. Values live elsewhere: weights, gradients and moments share one pattern.

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

/// How many neighbouring indices a product takes together, so that what they stand for stays in a cache.
pub(crate) struct Block {
    pub width: usize,
    /// Entries per line and block below which a sum's way to memory and back costs more than the cache saves.
    least: usize,
    /// Entries of all lines up to which those of a block are read where they are. More come from memory, and had better lie side by side.
    in_place: usize,
}

/// Features or units of two panels that keep a quarter of a second-level cache of 1 MB. At 8192×8192, density 0.05, forward 48 → 53 % of peak against `FAR`;
/// backward at 4096×4096, 0.1, 57 → 67 % against one block, mostly because a block then has entries of more columns, whose values lie side by side.
pub(crate) const MIDDLE: Block = Block { width: 2048, least: 32, in_place: 0 };
/// Half of it. Of 16 384×16 384 at 0.01, backward, `MIDDLE` would make 39 → 35 %.
const FAR: Block = Block { width: 4096, least: 8, in_place: 0 };
/// Features of which two panels fill a first-level cache of 48 kB. Whether it pays is for the machine to say: see [`Tile`](crate::kernels::forward::Tile).
const NEAR: Block = Block { width: 384, least: 12, in_place: 1 << 18 };

/// Where the entries of a `[rows, cols]` matrix are, in CSR form, and the same entries in column order for the backward pass.
///
/// Each row is two runs of column indices, each sorted: first the *forward set* A, then the rest of the *backward set* B (Top-KAST,
/// arXiv 2106.03517). A row of an ordinary layer has everything in A and an empty second run.
///
/// Having one proves that every index is in bounds and unique in its row, so no kernel asks again. It proves nothing about a `values`
/// slice: compare lengths.
///
/// Memory: 8 bytes per entry (10 where features or units are more than 65 536, 12 where both are), and 8 per row and column. Made when a product first asks
/// for it: where products go in blocks up to 1 more per entry; of more than 262 144 entries, or beyond 2048 features, up to 3 (5), for each of the two widths
/// of blocks that forward products try.
///
/// ```text
///   W = ┌ a . b ┐   row_offsets  0 2 3      col_indices  0 2 | 1      values  a b | c
///       └ . c . ┘   row_splits   2 3
/// ```
#[derive(Debug)]
pub struct CsrPattern {
    pub(crate) by_row: Runs,
    pub(crate) by_column: Runs,
    /// For each entry in column order, its position in row order.
    pub(crate) row_position: Vec<u32>,
    nnz_of_a: usize,
}

/// Entries grouped by line (a row, or a column); each line is a run of A, then a run of B∖A.
#[derive(Debug)]
pub(crate) struct Runs {
    /// Lines + 1 positions: line `i` is `offsets[i]..offsets[i + 1]`.
    pub offsets: Vec<u32>,
    /// Where A ends in each line.
    pub splits: Vec<u32>,
    /// The other coordinate of each entry, a column or a row, below `bound`. Private: nothing may write to it.
    indices: Indices,
    bound: usize,
    /// Whether there is no B∖A.
    one_run: bool,
    far: Blocks,
    near: Blocks,
}

/// Blocks of neighbouring indices that a product takes one after the other.
#[derive(Debug)]
struct Blocks {
    count: usize,
    scattered: bool,
    /// See [`Blocked::lines`].
    borders: OnceLock<Vec<u32>>,
    /// See [`Blocked::block_by_block`].
    block_by_block: OnceLock<Box<Runs>>,
}

impl Blocks {
    /// The first of the `kinds` that pays for a product over so many `entries` of `lines` with indices below `bound`; one block where none does.
    fn new(kinds: &[Block], lines: usize, bound: usize, entries: usize) -> Self {
        let least = |kind: &Block| (kind.least * bound.div_ceil(kind.width)) as u64 * lines as u64;
        let kind = kinds.iter().find(|kind| least(kind) <= entries as u64);
        let count = kind.map_or(1, |kind| bound.div_ceil(kind.width)).max(1);
        let scattered = count > 1 && kind.is_some_and(|kind| entries > kind.in_place);
        Self { count, scattered, borders: OnceLock::new(), block_by_block: OnceLock::new() }
    }
}

/// Entries whose product goes block by block, or all at once where there is but one block.
#[derive(Clone, Copy)]
pub(crate) struct Blocked<'a> {
    runs: &'a Runs,
    blocks: &'a Blocks,
}

/// What some lines have in A and in B∖A, whole or in one block.
#[derive(Clone, Copy)]
pub(crate) struct Lines<'a> {
    pub a: Spans<'a>,
    pub rest: Spans<'a>,
}

/// Where the entries of each line begin and end.
#[derive(Clone, Copy)]
pub(crate) struct Spans<'a> {
    starts: &'a [u32],
    ends: &'a [u32],
}

impl Spans<'_> {
    pub fn len(self) -> usize {
        self.starts.len()
    }

    /// The first `count` of them, which the compiler then knows to be there.
    #[inline(always)]
    pub fn first(self, count: usize) -> Self {
        Spans { starts: &self.starts[..count], ends: &self.ends[..count] }
    }

    /// An iterator instead, zipped with others, keeps its state on V8's stack.
    #[inline(always)]
    pub fn at(self, line: usize) -> Range<usize> {
        self.starts[line] as usize..self.ends[line] as usize
    }
}

/// Indices of which each is below `bound`: made by [`Runs::bounded`] alone, so having one proves it.
#[derive(Clone, Copy)]
pub(crate) struct Bounded<'a, I> {
    indices: &'a [I],
    bound: usize,
}

impl<'a, I> Bounded<'a, I> {
    pub fn indices(self) -> &'a [I] {
        self.indices
    }

    pub fn bound(self) -> usize {
        self.bound
    }
}

/// Indices in the narrowest type that holds them: the forward pass streams them once per 32 samples.
#[derive(Debug)]
pub(crate) enum Indices {
    U16(Vec<u16>),
    U32(Vec<u32>),
}

/// Why arrays are not a pattern. Each variant names the place, and what was received where that is one number.
#[derive(Debug, PartialEq, Eq)]
pub enum PatternError {
    /// `row_offsets` is empty or does not begin with 0.
    FirstOffset,
    /// The last offset is not the number of column indices.
    LastOffset { expected: usize, received: u32 },
    /// There is not one split per row.
    Splits { expected: usize, received: usize },
    /// Offsets fall, or a split lies outside its row.
    Offsets { row: usize },
    /// A column index is not below `cols`.
    Column { row: usize, cols: usize, received: u32 },
    /// A run is not strictly ascending, or an index is in both runs.
    Order { row: usize },
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstOffset => write!(f, "row offsets: expected a first offset of 0"),
            Self::LastOffset { expected, received } => {
                write!(f, "last row offset: expected the number of column indices, {expected}, received {received}")
            }
            Self::Splits { expected, received } => {
                write!(f, "row splits: expected one for each of {expected} rows, received {received}")
            }
            Self::Offsets { row } => write!(f, "row {row}: expected start <= split <= end"),
            Self::Column { row, cols, received } => {
                write!(f, "row {row}: expected column indices below {cols}, received {received}")
            }
            Self::Order { row } => write!(f, "row {row}: expected ascending column indices, each once"),
        }
    }
}

impl std::error::Error for PatternError {}

impl CsrPattern {
    /// Checks everything once: `row_offsets[rows + 1]`, `row_splits[rows]` (where A ends in each row), `col_indices[nnz]`.
    /// O(nnz + rows + cols) time.
    pub fn new(cols: usize, row_offsets: Vec<u32>, row_splits: Vec<u32>, col_indices: Vec<u32>) -> Result<Self, PatternError> {
        let rows = row_offsets.len().checked_sub(1).ok_or(PatternError::FirstOffset)?;
        if row_offsets[0] != 0 {
            return Err(PatternError::FirstOffset);
        }
        if row_offsets[rows] as usize != col_indices.len() {
            return Err(PatternError::LastOffset { expected: col_indices.len(), received: row_offsets[rows] });
        }
        if row_splits.len() != rows {
            return Err(PatternError::Splits { expected: rows, received: row_splits.len() });
        }
        // The row in whose A a column was seen last, plus one: a set that needs no clearing.
        let mut in_a = vec![0; cols];
        for row in 0..rows {
            let (start, split, end) = (row_offsets[row], row_splits[row], row_offsets[row + 1]);
            if !(start <= split && split <= end && end as usize <= col_indices.len()) {
                return Err(PatternError::Offsets { row });
            }
            let (a, rest) = col_indices[start as usize..end as usize].split_at((split - start) as usize);
            for run in [a, rest] {
                if !run.is_sorted_by(|l, r| l < r) {
                    return Err(PatternError::Order { row });
                }
                // Of an ascending run the last is the largest.
                if let Some(&received) = run.last().filter(|&&c| c as usize >= cols) {
                    return Err(PatternError::Column { row, cols, received });
                }
            }
            a.iter().for_each(|&c| in_a[c as usize] = row + 1);
            if rest.iter().any(|&c| in_a[c as usize] == row + 1) {
                return Err(PatternError::Order { row });
            }
        }
        let (by_column, row_position) = column_order(cols, &row_offsets, &row_splits, &col_indices);
        let nnz_of_a = row_splits.iter().zip(&row_offsets).map(|(split, start)| (split - start) as usize).sum();
        // The forward pass is over A.
        let by_row = Runs::new(row_offsets, row_splits, col_indices, cols, [&[MIDDLE, FAR], &[NEAR]], nnz_of_a);
        Ok(Self { by_row, by_column, row_position, nnz_of_a })
    }

    /// Output units.
    pub fn rows(&self) -> usize {
        self.by_row.splits.len()
    }

    /// Input features.
    pub fn cols(&self) -> usize {
        self.by_column.splits.len()
    }

    /// Stored entries, |B|.
    pub fn nnz(&self) -> usize {
        self.row_position.len()
    }

    /// Entries of the forward set, |A|.
    pub fn nnz_of_a(&self) -> usize {
        self.nnz_of_a
    }

    /// Places, stored or not. Panics where their flat indices do not fit into 32 bits.
    pub(crate) fn places(&self) -> usize {
        places(self.rows(), self.cols())
    }

    /// The flat indices of a pattern without B∖A, ascending.
    pub(crate) fn flat(&self) -> impl Iterator<Item = usize> {
        (0..self.rows()).flat_map(move |row| {
            let (start, split, end) = self.by_row.line(row);
            assert!(split == end, "of two runs the flat indices would not ascend");
            (start..end).map(move |i| row * self.cols() + self.by_row.indices.get(i))
        })
    }

    /// Whether `(row, col)` is stored. O(log entries of the row).
    pub fn contains(&self, row: usize, col: usize) -> bool {
        // Beyond 16 bits it would wrap around to one that may be.
        assert!(col < self.cols());
        let (start, split, end) = self.by_row.line(row);
        match &self.by_row.indices {
            Indices::U16(all) => {
                let col = col as u16;
                all[start..split].binary_search(&col).is_ok() || all[split..end].binary_search(&col).is_ok()
            }
            Indices::U32(all) => {
                let col = col as u32;
                all[start..split].binary_search(&col).is_ok() || all[split..end].binary_search(&col).is_ok()
            }
        }
    }
}

/// Places of a `[rows, cols]` matrix. Panics where their flat indices do not fit into 32 bits, in which `rows * cols` itself would wrap around on wasm.
pub(crate) fn places(rows: usize, cols: usize) -> usize {
    let places = rows as u64 * cols as u64;
    assert!(places <= u64::from(u32::MAX));
    places as usize
}

impl Runs {
    /// Indices below `bound`, and the kinds of blocks to choose from, for a product over so many `entries`: far ones and near ones.
    fn new(offsets: Vec<u32>, splits: Vec<u32>, indices: Vec<u32>, bound: usize, kinds: [&[Block]; 2], entries: usize) -> Self {
        let [far, near] = kinds.map(|kinds| Blocks::new(kinds, splits.len(), bound, entries));
        Self { one_run: splits == offsets[1..], offsets, splits, indices: Indices::new(indices, bound), bound, far, near }
    }

    /// Blocks for the second-level cache; one where all indices fit it, or where so few entries would fall to a line of a block that it does not pay.
    #[inline(always)]
    pub fn far(&self) -> Blocked<'_> {
        Blocked { runs: self, blocks: &self.far }
    }

    /// Blocks for the first-level cache, or the far ones where these would be too many.
    #[inline(always)]
    pub fn near(&self) -> Blocked<'_> {
        if self.near.count > 1 { Blocked { runs: self, blocks: &self.near } } else { self.far() }
    }

    pub fn indices(&self) -> &Indices {
        &self.indices
    }

    /// The indices, with the proof that they are in bounds.
    #[inline(always)]
    pub fn bounded<I: Index>(&self) -> Bounded<'_, I> {
        Bounded { indices: I::of(&self.indices), bound: self.bound }
    }

    /// The lines of piece `i` of `pieces`, which have about as many entries each.
    pub fn piece(&self, i: usize, pieces: usize) -> Range<usize> {
        let entries = self.offsets[self.splits.len()] as usize;
        let border = |i: usize| match i {
            0 => 0,
            _ if i == pieces => self.splits.len(),
            _ => self.offsets[1..].partition_point(|&end| end as usize <= entries / pieces * i),
        };
        border(i)..border(i + 1)
    }

    /// `(start, split, end)` of one line.
    #[inline(always)]
    pub fn line(&self, i: usize) -> (usize, usize, usize) {
        (self.offsets[i] as usize, self.splits[i] as usize, self.offsets[i + 1] as usize)
    }
}

impl<'a> Blocked<'a> {
    pub fn count(self) -> usize {
        self.blocks.count
    }

    /// Whether what a product takes of each line follows what it took of the line before: there is one block, and no B∖A.
    pub fn connected(self) -> bool {
        self.blocks.count == 1 && self.runs.one_run
    }

    /// The indices of one block.
    pub fn block(self, block: usize) -> Range<usize> {
        let bound = self.runs.bound;
        let width = bound.div_ceil(self.blocks.count);
        let border = |block: usize| (block * width).min(bound);
        border(block)..border(block + 1)
    }

    /// Some lines, or what they have in one of the blocks. Where blocks begin is found once, in O(nnz), and kept: 8 bytes per line and block, at
    /// most one per entry.
    #[inline(never)]
    pub fn lines(self, lines: Range<usize>, block: usize) -> Lines<'a> {
        let Runs { offsets, splits, .. } = self.runs;
        let (all, blocks) = (splits.len(), self.blocks.count);
        let (mut a, mut a_end, mut rest, mut rest_end) = (&offsets[..], &splits[..], &splits[..], &offsets[1..]);
        if blocks > 1 {
            let borders = self.blocks.borders.get_or_init(|| self.find_borders());
            let begin = |block: usize| borders[2 * all * (block - 1)..][..2 * all].split_at(all);
            if block > 0 {
                (a, rest) = begin(block);
            }
            if block + 1 < blocks {
                (a_end, rest_end) = begin(block + 1);
            }
        }
        let spans = |starts: &'a [u32], ends: &'a [u32]| Spans { starts: &starts[lines.clone()], ends: &ends[lines.clone()] };
        Lines { a: spans(a, a_end), rest: spans(rest, rest_end) }
    }

    /// A in the order of the blocks: the lines of the first, then those of the second; line `i` of block `b` is line `b·lines + i` here. `None` where all
    /// entries fit a cache. Where they come from memory, a line's run in a block ends before the hardware has seen that it is one.
    pub fn block_by_block(self) -> Option<&'a Runs> {
        self.blocks.scattered.then(|| {
            &**self.blocks.block_by_block.get_or_init(|| {
                let Runs { offsets: begin, splits, indices: all, bound, .. } = self.runs;
                let (mut offsets, mut indices) = (vec![0], Vec::new());
                let mut next = begin.clone();
                for block in 0..self.blocks.count {
                    let border = self.block(block).end;
                    for (next, &end) in next.iter_mut().zip(splits) {
                        let start = *next;
                        *next = self.reach(start, end, border);
                        (start..*next).for_each(|i| indices.push(all.get(i as usize) as u32));
                        offsets.push(indices.len() as u32);
                    }
                }
                let splits = offsets[1..].to_vec();
                Box::new(Runs::new(offsets, splits, indices, *bound, [&[], &[]], 0))
            })
        })
    }

    /// For each block but the first: where it begins in A, for each line, and where in B∖A.
    #[cold]
    fn find_borders(self) -> Vec<u32> {
        let Runs { offsets, splits, .. } = self.runs;
        let lines = splits.len();
        let ends: Vec<u32> = splits.iter().chain(&offsets[1..]).copied().collect();
        let mut next: Vec<u32> = offsets[..lines].iter().chain(splits).copied().collect();
        let mut borders = Vec::with_capacity((self.blocks.count - 1) * ends.len());
        for block in 1..self.blocks.count {
            let border = self.block(block).start;
            for (next, &end) in next.iter_mut().zip(&ends) {
                *next = self.reach(*next, end, border);
            }
            borders.extend_from_slice(&next);
        }
        borders
    }

    /// Where a run that goes on at `next`, and ends at `end`, gets to the index `border`.
    #[inline(never)]
    fn reach(self, mut next: u32, end: u32, border: usize) -> u32 {
        while next < end && self.runs.indices.get(next as usize) < border {
            next += 1;
        }
        next
    }
}

impl Indices {
    fn new(indices: Vec<u32>, bound: usize) -> Self {
        if bound <= 1 << 16 { Self::U16(indices.into_iter().map(|i| i as u16).collect()) } else { Self::U32(indices) }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::U16(all) => all.len(),
            Self::U32(all) => all.len(),
        }
    }

    #[inline(always)]
    pub fn get(&self, i: usize) -> usize {
        match self {
            Self::U16(all) => all[i] as usize,
            Self::U32(all) => all[i] as usize,
        }
    }

    /// Calls `visit(position, index)` for a stretch.
    #[inline(always)]
    pub fn for_each(&self, range: Range<usize>, mut visit: impl FnMut(usize, usize)) {
        match self {
            Self::U16(all) => range.clone().zip(&all[range]).for_each(|(i, &index)| visit(i, index as usize)),
            Self::U32(all) => range.clone().zip(&all[range]).for_each(|(i, &index)| visit(i, index as usize)),
        }
    }
}

/// The two widths of [`Indices`], for kernels that are compiled for each.
pub(crate) trait Index: Copy + Into<u32> {
    /// Whether lines come from far away, a whole cache line each: kernels of their own for few samples, or with less to do between lines, gain nothing.
    const WIDE: bool;

    /// The indices, which the caller has found to be of this width.
    fn of(indices: &Indices) -> &[Self];
}

impl Index for u16 {
    const WIDE: bool = false;

    #[inline(always)]
    fn of(indices: &Indices) -> &[u16] {
        match indices {
            Indices::U16(all) => all,
            Indices::U32(_) => unreachable!("indices of the other width"),
        }
    }
}

impl Index for u32 {
    const WIDE: bool = true;

    #[inline(always)]
    fn of(indices: &Indices) -> &[u32] {
        match indices {
            Indices::U32(all) => all,
            Indices::U16(_) => unreachable!("indices of the other width"),
        }
    }
}

/// A counting sort by column, A before B∖A in each column, rows ascending in each run.
fn column_order(cols: usize, row_offsets: &[u32], row_splits: &[u32], col_indices: &[u32]) -> (Runs, Vec<u32>) {
    let rows = row_splits.len();
    // Two buckets a column: 2c for A, 2c + 1 for B∖A. After the running sum, bucket i starts at `starts[i]`.
    let mut starts = vec![0u32; 2 * cols + 1];
    let runs = |row: usize| [(row_offsets[row]..row_splits[row], 0usize), (row_splits[row]..row_offsets[row + 1], 1)];
    for row in 0..rows {
        for (run, second) in runs(row) {
            for i in run {
                starts[2 * col_indices[i as usize] as usize + second + 1] += 1;
            }
        }
    }
    for i in 0..2 * cols {
        starts[i + 1] += starts[i];
    }
    let offsets: Vec<u32> = (0..=cols).map(|c| starts[2 * c]).collect();
    let splits: Vec<u32> = (0..cols).map(|c| starts[2 * c + 1]).collect();
    let mut row_indices = vec![0u32; col_indices.len()];
    let mut row_position = vec![0u32; col_indices.len()];
    for row in 0..rows {
        for (run, second) in runs(row) {
            for i in run {
                let next = &mut starts[2 * col_indices[i as usize] as usize + second];
                row_indices[*next as usize] = row as u32;
                row_position[*next as usize] = i;
                *next += 1;
            }
        }
    }
    let entries = row_indices.len();
    (Runs::new(offsets, splits, row_indices, rows, [&[MIDDLE, FAR], &[]], entries), row_position)
}
