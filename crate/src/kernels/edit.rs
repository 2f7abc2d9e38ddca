//! How a pattern changes: which weights of a whole layer are largest, and where each entry of the new pattern was in the old.
//!
//! O(nnz) but for the selection. Here and not in TypeScript because Top-KAST does it at every step.

use super::kth;
use super::top_k::{self, NotANumber};
use crate::pattern::CsrPattern;
use std::ops::Range;

/// Top-KAST's sets: the `nnz` largest |θ| of a whole layer `theta [rows·cols]` are B, the `forward_nnz` largest of these are A. Equal magnitudes: the
/// lower index wins. O(rows·cols) time, O(nnz) memory.
pub fn largest(theta: &[f32], rows: usize, cols: usize, forward_nnz: usize, nnz: usize) -> Result<CsrPattern, NotANumber> {
    assert!(theta.len() == rows * cols);
    assert!(forward_nnz <= nnz);
    let mut flat = vec![0u32; nnz];
    top_k::top_k(theta, &mut flat)?;
    let values: Vec<f32> = flat.iter().map(|&i| theta[i as usize]).collect();
    let mut members = vec![0u32; forward_nnz];
    top_k::top_k(&values, &mut members)?;

    Ok(Members { flat: &flat, members: &members }.pattern(rows, cols, None).0)
}

/// Entries by flat index, ascending, and which of them, by position, are in A.
pub(crate) struct Members<'a> {
    pub flat: &'a [u32],
    pub members: &'a [u32],
}

impl Members<'_> {
    /// Their pattern, and `values` (given in the order of `flat`) in its order.
    pub fn pattern(&self, rows: usize, cols: usize, values: Option<&[f32]>) -> (CsrPattern, Vec<f32>) {
        let nnz = self.flat.len();
        // Both lists ascend, so each row is a stretch of `flat`. In it the members of A go to the front. Which entry is a member no predictor could
        // learn: each is written to both runs, and moves the end of one.
        let mut row_offsets = vec![0; rows + 1];
        let mut row_splits = vec![0; rows];
        let mut order = vec![0u32; nnz + 1];
        let mut rest = vec![0u32; cols + 1];
        let (mut next, mut member, mut end) = (0, 0, 0);
        for row in 0..rows {
            let first = row * cols;
            let mut others = 0;
            while next < nnz && (self.flat[next] as usize) < first + cols {
                let inside = self.members.get(member).is_some_and(|&m| m as usize == next);
                (order[end], rest[others]) = (next as u32, next as u32);
                end += usize::from(inside);
                member += usize::from(inside);
                others += usize::from(!inside);
                next += 1;
            }
            row_splits[row] = end as u32;
            order[end..end + others].copy_from_slice(&rest[..others]);
            end += others;
            row_offsets[row + 1] = end as u32;
        }
        order.truncate(nnz);
        let values = values.map_or_else(Vec::new, |values| order.iter().map(|&i| values[i as usize]).collect());
        let mut row = 0;
        let mut col_indices = order;
        for (i, column) in col_indices.iter_mut().enumerate() {
            while row_offsets[row + 1] as usize <= i {
                row += 1;
            }
            *column = self.flat[*column as usize] - (row * cols) as u32;
        }
        let Ok(pattern) = CsrPattern::new(cols, row_offsets, row_splits, col_indices) else { unreachable!("columns ascend in each run") };
        (pattern, values)
    }
}

/// The entries of a pattern with their values, by flat index.
pub(crate) fn in_flat_order(pattern: &CsrPattern, values: &[f32]) -> Vec<(u32, f32)> {
    assert!(values.len() == pattern.nnz());
    let mut entries = Vec::with_capacity(values.len());
    for row in 0..pattern.rows() {
        let (start, split, end) = pattern.by_row.line(row);
        let at = |i: usize| (row * pattern.cols() + pattern.by_row.indices().get(i)) as u32;
        let (mut a, mut rest) = (start, split);
        while a < split || rest < end {
            let i = if rest == end || (a < split && at(a) < at(rest)) { &mut a } else { &mut rest };
            entries.push((at(*i), values[*i]));
            *i += 1;
        }
    }
    entries
}

/// The positions of the `k` lowest scores, ascending. Of equal scores the higher position is among them. O(n). Refuses NaN.
pub fn lowest(scores: &[f32], k: usize) -> Result<Vec<u32>, NotANumber> {
    assert!(k <= scores.len());
    if let Some(index) = scores.iter().position(|s| s.is_nan()) {
        return Err(NotANumber { index });
    }
    if k == 0 {
        return Ok(Vec::new());
    }
    // Bits that order as the scores do, then the position, falling. Adding 0 makes one of the two zeros.
    let key = |score: f32| {
        let bits = (score + 0.0).to_bits();
        if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
    };
    let mut keys: Vec<u64> = scores.iter().enumerate().map(|(i, &s)| u64::from(key(s)) << 32 | u64::from(!(i as u32))).collect();
    let last = kth::k_lowest(&keys, k);
    keys.retain(|&key| key <= last);
    Ok(keys.into_iter().map(|key| !(key as u32)).collect())
}

/// The positions of the ⌈fraction·count⌉ smallest weights of each sign, ascending: SET's drop. An exact 0 counts as positive. Refuses NaN.
pub fn lowest_of_each_sign(weights: &[f32], fraction: f64) -> Result<Vec<u32>, NotANumber> {
    if let Some(index) = weights.iter().position(|w| w.is_nan()) {
        return Err(NotANumber { index });
    }
    // The bits of a magnitude order as it does; of equal ones the higher position comes first.
    let key = |(i, w): (usize, &f32)| u64::from(w.abs().to_bits()) << 32 | u64::from(!(i as u32));
    let mut signs = [Vec::new(), Vec::new()];
    for (i, w) in weights.iter().enumerate() {
        signs[usize::from(*w < 0.0)].push(key((i, w)));
    }
    let last = signs.map(|keys| {
        let k = ((fraction * keys.len() as f64).ceil() as usize).min(keys.len());
        if k == 0 { 0 } else { kth::k_lowest(&keys, k) }
    });
    let is_low = |&(i, w): &(usize, &f32)| key((i, w)) <= last[usize::from(*w < 0.0)];
    Ok(weights.iter().enumerate().filter(is_low).map(|(i, _)| i as u32).collect())
}

/// Why a pattern cannot be edited as asked.
#[derive(Debug, PartialEq, Eq)]
pub enum EditError {
    /// An index of `grown` is not below rows·cols, or not above the one before it.
    Order { index: u32 },
    /// A grown position is stored, and was not dropped or may not be grown again at once.
    Taken { index: u32 },
    /// A position to drop is not one of the pattern, or not above the one before it.
    Dropped { position: u32 },
}

impl std::fmt::Display for EditError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Order { index } => write!(f, "expected ascending positions inside the layer, each once, received {index}"),
            Self::Taken { index } => write!(f, "expected free positions, received {index}, which has a weight"),
            Self::Dropped { position } => write!(f, "expected ascending positions of entries to drop, received {position}"),
        }
    }
}

impl std::error::Error for EditError {}

/// The pattern without the entries at positions `dropped` (ascending) and with those at the flat indices `grown` (ascending), which may be places just
/// dropped if `regrow`. Everything in A. O(nnz).
pub fn replace(pattern: &CsrPattern, dropped: &[u32], grown: &[u32], regrow: bool) -> Result<CsrPattern, EditError> {
    let (rows, cols) = (pattern.rows(), pattern.cols());
    let (places, mut last) = (pattern.places(), None);
    for &index in grown {
        if index as usize >= places || last.is_some_and(|last| index <= last) {
            return Err(EditError::Order { index });
        }
        last = Some(index);
    }
    let mut grown = grown.iter().copied().peekable();
    let mut dropped = dropped.iter().copied().peekable();
    let mut col_indices = Vec::with_capacity(pattern.nnz() + grown.len());
    let mut row_offsets = Vec::with_capacity(rows + 1);
    row_offsets.push(0);
    for row in 0..rows {
        let first = row * cols;
        let (start, split, end) = pattern.by_row.line(row);
        assert!(split == end, "only patterns without B∖A are edited by parts");
        for i in start..end {
            let flat = (first + pattern.by_row.indices().get(i)) as u32;
            while let Some(index) = grown.next_if(|&g| g < flat) {
                col_indices.push(index - first as u32);
            }
            let gone = dropped.next_if_eq(&(i as u32)).is_some();
            if grown.peek() == Some(&flat) && !(gone && regrow) {
                return Err(EditError::Taken { index: flat });
            }
            if gone {
                continue;
            }
            col_indices.push(flat - first as u32);
        }
        while let Some(index) = grown.next_if(|&g| (g as usize) < first + cols) {
            col_indices.push(index - first as u32);
        }
        row_offsets.push(col_indices.len() as u32);
    }
    // What is left was never met.
    if let Some(position) = dropped.next() {
        return Err(EditError::Dropped { position });
    }
    let row_splits = row_offsets[1..].to_vec();
    let Ok(pattern) = CsrPattern::new(cols, row_offsets, row_splits, col_indices) else { unreachable!("columns ascend in each run") };
    Ok(pattern)
}

/// For each entry of `next` its position in `previous`, or −1 where it is new. Overwrites `source [nnz of next]`. Says whether anything moved.
pub fn sources(previous: &CsrPattern, next: &CsrPattern, source: &mut [i32]) -> bool {
    assert!((previous.rows(), previous.cols()) == (next.rows(), next.cols()));
    assert!(source.len() == next.nnz());
    // Where each column of the row at hand was, plus one; 0 for nowhere. Only what a row set is cleared after it.
    let mut was = vec![0i32; next.cols()];
    for row in 0..next.rows() {
        let (start, _, end) = previous.by_row.line(row);
        previous.by_row.indices().for_each(start..end, |i, column| was[column] = i as i32 + 1);
        let (from, _, to) = next.by_row.line(row);
        next.by_row.indices().for_each(from..to, |i, column| source[i] = was[column] - 1);
        previous.by_row.indices().for_each(start..end, |_, column| was[column] = 0);
    }
    previous.nnz() != next.nnz() || previous.by_row.splits != next.by_row.splits || source.iter().enumerate().any(|(i, &s)| s != i as i32)
}

/// `to[i] = from[source[i]]`, 0 where `source` is −1: an optimizer's slots follow their weights. Bits, whatever they mean.
pub fn carry(from: &[u32], source: &[i32], to: &mut [u32]) {
    assert!(source.len() == to.len());
    for (to, &source) in to.iter_mut().zip(source) {
        *to = usize::try_from(source).map_or(0, |s| from[s]);
    }
}

/// `values[i] = θ` at the place of entry `i`, of some rows: `theta [rows.len()·cols]`, `values [nnz]`, of which it overwrites those of these rows.
pub fn gather(pattern: &CsrPattern, rows: Range<usize>, theta: &[f32], values: &mut [f32]) {
    check(pattern, &rows, theta, values);
    each(pattern, rows, true, |i, flat| values[i] = theta[flat]);
}

/// The reverse of [`gather`]: overwrites the pattern's places of `theta`, or, without `rest`, those of A.
pub fn scatter(pattern: &CsrPattern, rows: Range<usize>, rest: bool, values: &[f32], theta: &mut [f32]) {
    check(pattern, &rows, theta, values);
    each(pattern, rows, rest, |i, flat| theta[flat] = values[i]);
}

fn check(pattern: &CsrPattern, rows: &Range<usize>, theta: &[f32], values: &[f32]) {
    assert!(theta.len() == rows.len() * pattern.cols());
    assert!(values.len() == pattern.nnz());
}

/// Calls `visit(position, flat index)` for each entry of A, and of B∖A with `rest`.
#[inline(always)]
fn each(pattern: &CsrPattern, rows: Range<usize>, rest: bool, mut visit: impl FnMut(usize, usize)) {
    for (line, row) in rows.enumerate() {
        let (start, split, end) = pattern.by_row.line(row);
        let run = start..if rest { end } else { split };
        pattern.by_row.indices().for_each(run, |i, column| visit(i, line * pattern.cols() + column));
    }
}
