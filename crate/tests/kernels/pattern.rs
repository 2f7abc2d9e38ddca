//! What is a pattern, and what is refused.

use proptest::prelude::*;
use tfjs_sparse_kernels::pattern::{CsrPattern, PatternError};

fn pattern(cols: usize, offsets: &[u32], splits: &[u32], columns: &[u32]) -> Result<CsrPattern, PatternError> {
    CsrPattern::new(cols, offsets.to_vec(), splits.to_vec(), columns.to_vec())
}

#[test]
fn each_broken_rule_is_named() {
    let cases = [
        (pattern(3, &[], &[], &[]), PatternError::FirstOffset),
        (pattern(3, &[1, 1], &[1], &[0]), PatternError::FirstOffset),
        (pattern(3, &[0, 2], &[1], &[0]), PatternError::LastOffset { expected: 1, received: 2 }),
        (pattern(3, &[0, 1], &[], &[0]), PatternError::Splits { expected: 1, received: 0 }),
        (pattern(3, &[0, 2, 1], &[0, 2], &[0]), PatternError::Offsets { row: 0 }),
        (pattern(3, &[0, 1, 2], &[2, 2], &[0, 1]), PatternError::Offsets { row: 0 }),
        (pattern(3, &[0, 1], &[1], &[3]), PatternError::Column { row: 0, cols: 3, received: 3 }),
        (pattern(3, &[0, 2], &[2], &[1, 0]), PatternError::Order { row: 0 }),
        (pattern(3, &[0, 2], &[2], &[1, 1]), PatternError::Order { row: 0 }),
        (pattern(3, &[0, 3], &[2], &[0, 2, 2]), PatternError::Order { row: 0 }),
    ];
    for (got, expected) in cases {
        assert_eq!(got.expect_err("broken"), expected);
    }
}

#[test]
fn errors_name_both_numbers() {
    let error = pattern(3, &[0, 1], &[1], &[7]).unwrap_err();
    assert_eq!(error.to_string(), "row 0: expected column indices below 3, received 7");
}

proptest! {
    /// Whatever comes in, the answer is a pattern or an error, and a pattern holds just the entries it was given.
    #[test]
    fn arbitrary_arrays_never_break_it(
        cols in 0usize..6,
        offsets in prop::collection::vec(0u32..8, 0..5),
        splits in prop::collection::vec(0u32..8, 0..5),
        columns in prop::collection::vec(0u32..6, 0..8),
    ) {
        if let Ok(pattern) = pattern(cols, &offsets, &splits, &columns) {
            prop_assert_eq!(pattern.nnz(), columns.len());
            for row in 0..pattern.rows() {
                let stored = &columns[offsets[row] as usize..offsets[row + 1] as usize];
                for col in 0..cols {
                    prop_assert_eq!(pattern.contains(row, col), stored.contains(&(col as u32)));
                }
            }
        }
    }
}
