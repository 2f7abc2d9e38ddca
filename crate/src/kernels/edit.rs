//! How a pattern changes: which weights of a whole layer are largest, and where each entry of the new pattern was in the old.
//!
//! O(nnz) but for the selection. Here and not in TypeScript because Top-KAST does it at every step.

use super::top_k::{self, NotANumber};
use crate::pattern::{CsrPattern, Indices};

/// Top-KAST's sets: the `nnz` largest |θ| of a whole layer `theta [rows·cols]` are B, the `forward_nnz` largest of these are A. Equal magnitudes: the
/// lower index wins. O(rows·cols) time, O(nnz) memory.
pub fn largest(theta: &[f32], rows: usize, cols: usize, forward_nnz: usize, nnz: usize) -> Result<CsrPattern, NotANumber> {
    assert_eq!(theta.len(), rows * cols);
    assert!(forward_nnz <= nnz);
    let mut flat = vec![0u32; nnz];
    top_k::top_k(theta, &mut flat)?;
    let values: Vec<f32> = flat.iter().map(|&i| theta[i as usize]).collect();
    let mut members = vec![0u32; forward_nnz];
    top_k::top_k(&values, &mut members)?;

    // Both lists ascend, so each row is a stretch of `flat`. In it the members of A go to the front. Which entry is a member no predictor could
    // learn: each is written to both runs, and moves the end of one.
    let mut row_offsets = vec![0; rows + 1];
    let mut row_splits = vec![0; rows];
    let mut col_indices = vec![0u32; nnz + 1];
    let mut rest = vec![0u32; cols + 1];
    let (mut next, mut member, mut end) = (0, 0, 0);
    for row in 0..rows {
        let first = row * cols;
        let mut others = 0;
        while next < nnz && (flat[next] as usize) < first + cols {
            let column = (flat[next] as usize - first) as u32;
            let inside = members.get(member).is_some_and(|&m| m as usize == next);
            (col_indices[end], rest[others]) = (column, column);
            end += usize::from(inside);
            member += usize::from(inside);
            others += usize::from(!inside);
            next += 1;
        }
        row_splits[row] = end as u32;
        col_indices[end..end + others].copy_from_slice(&rest[..others]);
        end += others;
        row_offsets[row + 1] = end as u32;
    }
    col_indices.truncate(nnz);
    Ok(CsrPattern::new(cols, row_offsets, row_splits, col_indices).expect("columns ascend in each run"))
}

/// For each entry of `next` its position in `previous`, or −1 where it is new. Overwrites `source [nnz of next]`. Says whether anything moved.
pub fn sources(previous: &CsrPattern, next: &CsrPattern, source: &mut [i32]) -> bool {
    assert_eq!((previous.rows(), previous.cols()), (next.rows(), next.cols()));
    assert_eq!(source.len(), next.nnz());
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
    assert_eq!(source.len(), to.len());
    for (to, &source) in to.iter_mut().zip(source) {
        *to = usize::try_from(source).map_or(0, |s| from[s]);
    }
}

/// `values[i] = θ` at the place of entry `i`. `theta [rows·cols]`, `values [nnz]`. Overwrites `values`.
pub fn gather(pattern: &CsrPattern, theta: &[f32], values: &mut [f32]) {
    check(pattern, theta, values);
    each(pattern, |i, flat| values[i] = theta[flat]);
}

/// The reverse of [`gather`]: overwrites the pattern's places of `theta`.
pub fn scatter(pattern: &CsrPattern, values: &[f32], theta: &mut [f32]) {
    check(pattern, theta, values);
    each(pattern, |i, flat| theta[flat] = values[i]);
}

fn check(pattern: &CsrPattern, theta: &[f32], values: &[f32]) {
    assert_eq!(theta.len(), pattern.rows() * pattern.cols());
    assert_eq!(values.len(), pattern.nnz());
}

/// Calls `visit(position, flat index)` for each entry.
#[inline(always)]
fn each(pattern: &CsrPattern, mut visit: impl FnMut(usize, usize)) {
    for row in 0..pattern.rows() {
        let (start, _, end) = pattern.by_row.line(row);
        pattern.by_row.indices().for_each(start..end, |i, column| visit(i, row * pattern.cols() + column));
    }
}

impl Indices {
    /// Calls `visit(position, index)` for a stretch.
    #[inline(always)]
    fn for_each(&self, range: std::ops::Range<usize>, mut visit: impl FnMut(usize, usize)) {
        match self {
            Self::U16(all) => range.clone().zip(&all[range]).for_each(|(i, &index)| visit(i, index as usize)),
            Self::U32(all) => range.clone().zip(&all[range]).for_each(|(i, &index)| visit(i, index as usize)),
        }
    }
}
