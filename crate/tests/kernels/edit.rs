//! Edits of a pattern against plain definitions.

use crate::support::{Random, layer, reference};
use tfjs_sparse_kernels::kernels::edit;
use tfjs_sparse_kernels::pattern::CsrPattern;

/// The flat places of a pattern's entries, those of A first in each row.
fn places(pattern: &CsrPattern) -> Vec<usize> {
    // θ of its own flat indices, gathered.
    let theta: Vec<f32> = (0..pattern.rows() * pattern.cols()).map(|i| i as f32).collect();
    let mut values = vec![0.0; pattern.nnz()];
    edit::gather(pattern, 0..pattern.rows(), &theta, &mut values);
    values.into_iter().map(|v| v as usize).collect()
}

#[test]
fn the_largest_weights_are_b_and_the_largest_of_these_a() {
    let mut random = Random(21);
    for (rows, cols) in [(1, 1), (4, 2), (7, 13), (30, 20)] {
        for (forward, backward) in [(0.0, 0.0), (0.1, 0.3), (0.5, 0.5), (0.2, 1.0)] {
            let theta = random.whole_numbers(rows * cols); // many ties
            let count = |share: f64| (share * (rows * cols) as f64) as usize;
            let pattern = edit::largest(&theta, rows, cols, count(forward), count(backward)).expect("no NaN");
            let b = reference::top_k(&theta, count(backward));
            let a = reference::top_k(&theta, count(forward));
            // By row, members of A before the others, each run ascending.
            let mut expected: Vec<usize> = b.iter().map(|&i| i as usize).collect();
            expected.sort_by_key(|&i| (i / cols, a.binary_search(&(i as u32)).is_err(), i));
            assert_eq!(places(&pattern), expected, "{rows}×{cols}");
        }
    }
}

#[test]
fn a_nan_is_refused() {
    assert_eq!(edit::largest(&[1.0, f32::NAN], 1, 2, 1, 1).expect_err("NaN").index, 1);
}

#[test]
fn slots_follow_their_weights() {
    let mut random = Random(22);
    for (rows, cols) in [(1, 5), (6, 9), (20, 40)] {
        let (old, new) = (layer(&mut random, rows, cols, 40, true), layer(&mut random, rows, cols, 40, true));
        let mut source = vec![7; new.flat.len()];
        edit::sources(&old.pattern, &new.pattern, &mut source);
        for (i, &s) in source.iter().enumerate() {
            let expected = old.flat.iter().position(|&flat| flat == new.flat[i]).map_or(-1, |p| p as i32);
            assert_eq!(s, expected);
        }
        let slots: Vec<u32> = (1..=old.flat.len() as u32).collect();
        let mut moved = vec![99; source.len()];
        edit::carry(&slots, &source, &mut moved);
        assert!(moved.iter().zip(&source).all(|(&m, &s)| m == if s < 0 { 0 } else { slots[s as usize] }));
    }
}

#[test]
fn an_edit_that_moves_nothing_says_so() {
    let pattern = |splits: &[u32], columns: &[u32]| CsrPattern::new(4, vec![0, 3], splits.to_vec(), columns.to_vec()).unwrap();
    let mut source = [0; 3];
    let old = pattern(&[2], &[0, 3, 1]);
    assert!(!edit::sources(&old, &pattern(&[2], &[0, 3, 1]), &mut source));
    assert!(edit::sources(&old, &pattern(&[2], &[0, 2, 1]), &mut source), "another column");
    assert!(edit::sources(&old, &pattern(&[3], &[0, 1, 3]), &mut source), "the same columns, another A");
}

#[test]
fn gather_undoes_scatter_and_scatter_leaves_the_rest() {
    let mut random = Random(23);
    let l = layer(&mut random, 9, 11, 50, true);
    let mut theta = vec![-1.0; 99];
    let values: Vec<f32> = (0..l.flat.len()).map(|i| i as f32).collect();
    edit::scatter(&l.pattern, 0..l.pattern.rows(), true, &values, &mut theta);
    let mut back = vec![0.0; values.len()];
    edit::gather(&l.pattern, 0..l.pattern.rows(), &theta, &mut back);
    assert_eq!(back, values);
    assert!((0..99).all(|i| l.flat.contains(&i) || theta[i] == -1.0));
}

#[test]
fn the_lowest_scores_go_and_of_equal_ones_the_lower_position_stays() {
    let mut random = Random(24);
    for n in [0, 1, 2, 9, 200] {
        let scores: Vec<f32> = (0..n).map(|_| random.below(9) as f32 - 4.0).map(|s| if s == 0.0 { -0.0 } else { s }).collect();
        for k in 0..=n {
            let mut order: Vec<u32> = (0..n as u32).collect();
            order.sort_by(|&a, &b| scores[a as usize].partial_cmp(&scores[b as usize]).unwrap().then(b.cmp(&a)));
            let mut expected = order[..k].to_vec();
            expected.sort_unstable();
            assert_eq!(edit::lowest(&scores, k).expect("numbers"), expected);
        }
    }
    assert_eq!(edit::lowest(&[-0.0, 0.0, -0.0], 1).unwrap(), [2], "the two zeros are equal");
    assert_eq!(edit::lowest(&[f32::NEG_INFINITY, f32::NAN], 1).expect_err("NaN").index, 1);
}

#[test]
fn a_replaced_pattern_is_the_old_one_less_the_dropped_and_with_the_grown() {
    let mut random = Random(25);
    for (rows, cols) in [(0, 3), (3, 0), (1, 1), (5, 3), (17, 33)] {
        for density in [0, 20, 100] {
            let l = layer(&mut random, rows, cols, density, false);
            let dropped: Vec<u32> = (0..l.flat.len() as u32).filter(|_| random.below(3) == 0).collect();
            let kept = |i: usize| l.flat.binary_search(&i).is_ok_and(|at| !dropped.contains(&(at as u32)));
            // Among free positions and those just dropped.
            let grown: Vec<u32> = (0..rows * cols).filter(|&i| !kept(i) && random.below(4) == 0).map(|i| i as u32).collect();
            let next = edit::replace(&l.pattern, &dropped, &grown, true).expect("free positions");
            let expected: Vec<usize> = (0..rows * cols).filter(|&i| kept(i) || grown.contains(&(i as u32))).collect();
            assert_eq!(places(&next), expected);
        }
    }
}

#[test]
fn growth_where_it_cannot_be_is_refused() {
    let pattern = CsrPattern::new(3, vec![0, 2], vec![2], vec![0, 2]).unwrap();
    let refused = |dropped: &[u32], grown: &[u32]| edit::replace(&pattern, dropped, grown, true).expect_err("refused");
    assert_eq!(refused(&[], &[2]), edit::EditError::Taken { index: 2 });
    assert_eq!(refused(&[0], &[0, 2]), edit::EditError::Taken { index: 2 });
    assert_eq!(refused(&[], &[1, 1]), edit::EditError::Order { index: 1 });
    assert_eq!(refused(&[], &[3]), edit::EditError::Order { index: 3 });
    assert_eq!(refused(&[2], &[]), edit::EditError::Dropped { position: 2 });
    assert_eq!(refused(&[1, 0], &[]), edit::EditError::Dropped { position: 0 });
    assert!(edit::replace(&pattern, &[1], &[2], true).is_ok(), "just dropped");
    assert_eq!(edit::replace(&pattern, &[1], &[2], false).expect_err("may not return"), edit::EditError::Taken { index: 2 });
}

#[test]
fn each_sign_loses_its_share_of_the_smallest() {
    // Thresholds −0.2 and 0.3, both gone.
    let weights = [-0.9, -0.5, -0.2, -0.1, 0.05, 0.3, 0.6, 0.8];
    assert_eq!(edit::lowest_of_each_sign(&weights, 0.3).unwrap(), [2, 3, 4, 5]);
    assert_eq!(edit::lowest_of_each_sign(&weights, 0.0).unwrap(), [0u32; 0]);
    assert_eq!(edit::lowest_of_each_sign(&weights, 1.0).unwrap(), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(
        edit::lowest_of_each_sign(&[1.0, -0.0, 1.0, -3.0, -3.0], 0.5).unwrap(),
        [1, 2, 4],
        "zeros are positive; the lower position stays"
    );
    assert_eq!(edit::lowest_of_each_sign(&[1.0, f32::NAN], 0.5).expect_err("NaN").index, 1);
}
