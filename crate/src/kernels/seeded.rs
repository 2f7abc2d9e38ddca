//! Top-KAST without its whole vector: a weight that was never in the backward set B still has its initial value, which a hash gives back.
//!
//! Kept are B, the weights that have left it (*frozen*), and a few candidates. All others only stand in a line, by falling |θ₀|: the next to enter B
//! is always the next of that line, so a cursor into it says who has been taken. O(nnz + ever visited) memory; a pass over the layer, O(1) a weight,
//! refills the candidates when they run out. The result equals the method on the whole vector, bit for bit.

use super::edit::{Members, in_flat_order};
use super::kth;
use super::random::Source;
use super::top_k;
use crate::pattern::{self, CsrPattern};
use std::fmt;

/// Why the sets cannot be found.
#[derive(Debug, PartialEq, Eq)]
pub enum SeededError {
    /// A weight is NaN, which has no magnitude to rank.
    NotANumber { index: u32 },
    /// A weight is in two places, or out of order, or not of this layer: a saved state that was changed.
    Inconsistent { index: u32 },
}

impl fmt::Display for SeededError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotANumber { index } => write!(f, "expected numbers, received NaN at index {index}"),
            Self::Inconsistent { index } => write!(f, "expected each weight once, in order and inside the layer, received index {index}"),
        }
    }
}

impl std::error::Error for SeededError {}

/// A place in the line: larger magnitudes stand before smaller ones, of equal ones the lower index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// The bits of |θ₀|, which order as the numbers do.
    pub magnitude: u32,
    pub index: u32,
}

impl Rank {
    fn of(index: u32, value: f32) -> Self {
        Self { magnitude: value.abs().to_bits(), index }
    }

    fn is_before(self, other: Self) -> bool {
        self.magnitude > other.magnitude || (self.magnitude == other.magnitude && self.index < other.index)
    }
}

type Weight = (u32, f32);

/// What a layer `[rows, cols]` holds besides the values of B.
#[derive(Debug)]
pub struct Seeded {
    source: Source,
    rows: usize,
    cols: usize,
    /// Weights that left B, by flat index.
    frozen: Vec<Weight>,
    max_frozen: usize,
    /// The last of the line that was taken into B.
    cursor: Option<Rank>,
    /// The next of the line, by flat index.
    candidates: Vec<Weight>,
    /// Nobody stands behind the candidates.
    exhausted: bool,
}

impl Seeded {
    /// A layer at its start. Beyond `max_frozen`, the smallest weights that left B are given up and become 0.
    pub fn new(source: Source, rows: usize, cols: usize, max_frozen: usize) -> Self {
        pattern::places(rows, cols); // panics where indices would not fit into 32 bits
        Self { source, rows, cols, frozen: Vec::new(), max_frozen, cursor: None, candidates: Vec::new(), exhausted: false }
    }

    /// Goes on where another left off, with its frozen weights and its cursor.
    pub fn restore(&mut self, frozen: Vec<Weight>, cursor: Option<Rank>) -> Result<(), SeededError> {
        self.check(&merge([(Home::Frozen, &frozen), (Home::B, &[]), (Home::Line, &[])]))?;
        (self.frozen, self.cursor) = (frozen, cursor);
        (self.candidates, self.exhausted) = (Vec::new(), false);
        Ok(())
    }

    fn check(&self, weights: &[Homed]) -> Result<(), SeededError> {
        let size = self.rows * self.cols;
        let beyond = weights.last().filter(|w| w.index as usize >= size);
        let disorder = || weights.windows(2).find(|w| w[0].index >= w[1].index).map(|w| &w[1]);
        beyond.or_else(disorder).map_or(Ok(()), |w| Err(SeededError::Inconsistent { index: w.index }))
    }

    pub fn frozen(&self) -> &[Weight] {
        &self.frozen
    }

    pub fn cursor(&self) -> Option<Rank> {
        self.cursor
    }

    /// Top-KAST's sets of the layer as it is: the `nnz` largest |θ| as B, the `forward_nnz` largest of these as A, and their values. `pattern` and
    /// `values` are the B of before, none at the start. Equal magnitudes: the lower index wins.
    pub fn largest(
        &mut self,
        before: Option<(&CsrPattern, &[f32])>,
        forward_nnz: usize,
        nnz: usize,
    ) -> Result<(CsrPattern, Vec<f32>), SeededError> {
        assert!(forward_nnz <= nnz && nnz <= self.rows * self.cols);
        let old: Vec<Weight> = before.map_or_else(Vec::new, |(pattern, values)| in_flat_order(pattern, values));
        if self.candidates.is_empty() && !self.exhausted {
            self.refill(nnz);
        }
        let (all, chosen) = loop {
            let all = merge([(Home::B, &old), (Home::Frozen, &self.frozen), (Home::Line, &self.candidates)]);
            self.check(&all)?;
            // More B than the layer has weights to give can only come from a changed file.
            if all.len() < nnz {
                return Err(SeededError::Inconsistent { index: self.cursor.map_or(0, |last| last.index) });
            }
            let values: Vec<f32> = all.iter().map(|w| w.value).collect();
            let mut chosen = vec![0u32; nnz];
            top_k::top_k(&values, &mut chosen).map_err(|nan| SeededError::NotANumber { index: all[nan.index].index })?;
            // If one candidate stays behind, so do all who stand behind it.
            let taken = chosen.iter().filter(|&&i| all[i as usize].home == Home::Line).count();
            if self.exhausted || taken < self.candidates.len() {
                break (all, chosen);
            }
            self.refill(nnz);
        };

        let mut next = Vec::with_capacity(nnz);
        self.frozen.clear();
        self.candidates.clear();
        let mut chosen = chosen.into_iter().peekable();
        for (i, &Homed { index, value, home }) in all.iter().enumerate() {
            if chosen.next_if_eq(&(i as u32)).is_some() {
                next.push((index, value));
                let rank = Rank::of(index, value);
                if home == Home::Line && self.cursor.is_none_or(|last| last.is_before(rank)) {
                    self.cursor = Some(rank);
                }
            } else if home == Home::Line {
                self.candidates.push((index, value));
            } else {
                self.frozen.push((index, value));
            }
        }
        if self.frozen.len() > self.max_frozen {
            let values: Vec<f32> = self.frozen.iter().map(|w| w.1).collect();
            let kept = largest(&values, self.max_frozen);
            self.frozen = kept.iter().map(|&i| self.frozen[i as usize]).collect();
        }

        let (flat, values): (Vec<u32>, Vec<f32>) = next.into_iter().unzip();
        let members = largest(&values, forward_nnz);
        Ok(Members { flat: &flat, members: &members }.pattern(self.rows, self.cols, Some(&values)))
    }

    /// The whole vector, for those who want to look at it. A taken weight that is nowhere was given up: it is 0.
    pub fn whole(&self, pattern: &CsrPattern, values: &[f32], theta: &mut [f32]) {
        assert!(theta.len() == self.rows * self.cols);
        for (i, theta) in theta.iter_mut().enumerate() {
            let value = self.source.value(i as u32);
            *theta = if self.cursor.is_some_and(|last| !last.is_before(Rank::of(i as u32, value))) { 0.0 } else { value };
        }
        for &(i, value) in self.frozen.iter().chain(&in_flat_order(pattern, values)) {
            theta[i as usize] = value;
        }
    }

    /// Adds the next of the line to the candidates: an eighth of `nnz`, at least 512, or whoever is left. At the start one more than the `nnz` that will be
    /// taken, so that one stays behind.
    fn refill(&mut self, nnz: usize) {
        let count = if self.cursor.is_none() && self.candidates.is_empty() { nnz + 1 } else { (nnz / 8).max(512) };
        let last = self.candidates.iter().map(|&(i, v)| Rank::of(i, v)).reduce(|a, b| if a.is_before(b) { b } else { a }).or(self.cursor);
        // A rank as one number: the first in the line is the lowest.
        let key = |rank: Rank| u64::from(!rank.magnitude) << 32 | u64::from(rank.index);
        let magnitude = |key: u64| f32::from_bits(!((key >> 32) as u32));
        let mut found: Vec<u64> = Vec::new();
        let mut threshold = 0.0f32;
        for index in 0..(self.rows * self.cols) as u32 {
            let value = self.source.value(index);
            let rank = Rank::of(index, value);
            if value.abs() < threshold || last.is_some_and(|last| !last.is_before(rank)) {
                continue;
            }
            found.push(key(rank));
            // Room for as many again before a selection cuts back and raises the threshold.
            if found.len() == 2 * count {
                threshold = magnitude(cut(&mut found, count));
            }
        }
        self.exhausted = found.len() < count;
        if found.len() > count {
            cut(&mut found, count);
        }
        let mut indices: Vec<u32> = found.iter().map(|&key| key as u32).chain(self.candidates.iter().map(|w| w.0)).collect();
        kth::sort(&mut indices);
        self.candidates = indices.into_iter().map(|index| (index, self.source.value(index))).collect();
    }
}

/// Cuts different keys back to the k lowest, in their order; all up to the number returned, whose upper half is that of the last.
#[inline(never)] // as `merge`
fn cut(keys: &mut Vec<u64>, k: usize) -> u64 {
    let last = kth::k_lowest(keys, k);
    keys.retain(|&key| key <= last);
    last
}

/// The positions of the k largest of weights that were ranked before, and so hold no NaN.
#[inline(never)] // as `merge`
fn largest(weights: &[f32], k: usize) -> Vec<u32> {
    let mut positions = vec![0u32; k];
    let Ok(()) = top_k::top_k(weights, &mut positions) else { unreachable!("no NaN") };
    positions
}

/// Where a weight is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    B,
    Frozen,
    Line,
}

#[derive(Clone, Copy, Debug)]
struct Homed {
    index: u32,
    value: f32,
    home: Home,
}

/// Ascending lists as one.
#[inline(never)] // once for both places
fn merge(lists: [(Home, &[Weight]); 3]) -> Vec<Homed> {
    let mut all = Vec::with_capacity(lists.iter().map(|(_, list)| list.len()).sum());
    let mut lists = lists.map(|(home, list)| (home, list.iter().peekable()));
    loop {
        let heads = lists.iter_mut().enumerate().filter_map(|(l, (_, list))| list.peek().map(|w| (w.0, l)));
        let Some((_, l)) = heads.min() else { return all };
        let (home, list) = &mut lists[l];
        all.extend(list.next().map(|&(index, value)| Homed { index, value, home: *home }));
    }
}
