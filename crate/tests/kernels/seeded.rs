//! Top-KAST without its whole vector against Top-KAST with it, on the same hash.

use crate::support::Random;
use tfjs_sparse_kernels::kernels::random::{Source, Spread};
use tfjs_sparse_kernels::kernels::seeded::{Seeded, SeededError};
use tfjs_sparse_kernels::kernels::{edit, top_k};

const NORMAL: Source = Source { key: 77, spread: Spread::Normal { mean: 0.0, deviation: 1.0 }, alpha: 1.0 };
/// Few different numbers, so that ties decide.
const COARSE: Source = Source { key: 5, spread: Spread::Uniform { low: -1e-45, high: 1e-44 }, alpha: 1.0 };

/// Moves the values as a training step might: some grow, some shrink, some change sign.
fn train(random: &mut Random, values: &mut [f32]) {
    for v in values {
        *v = match random.below(6) {
            0 => *v * 0.3,
            1 => -*v,
            2 => *v + 0.4,
            3 => 0.0,
            _ => *v,
        };
    }
}

#[test]
fn every_refresh_equals_the_one_on_the_whole_vector() {
    let mut random = Random(41);
    for source in [NORMAL, COARSE] {
        for (rows, cols, forward, nnz) in [(1, 1, 1, 1), (3, 5, 2, 4), (20, 30, 60, 120), (40, 50, 100, 2000), (60, 70, 30, 900)] {
            let mut theta: Vec<f32> = (0..rows * cols).map(|i| source.value(i as u32)).collect();
            let mut seeded = Seeded::new(source, rows, cols, usize::MAX);
            let (mut pattern, mut values) = seeded.largest(None, forward, nnz).expect("numbers");
            for step in 0..60 {
                let expected = edit::largest(&theta, rows, cols, forward, nnz).expect("numbers");
                let mut source_of = vec![0; nnz];
                assert!(!edit::sources(&expected, &pattern, &mut source_of), "{rows}×{cols}, refresh {step}: the same sets");
                let mut gathered = vec![0.0; nnz];
                edit::gather(&expected, 0..expected.rows(), &theta, &mut gathered);
                assert_eq!(values, gathered, "refresh {step}");
                let mut whole = vec![0.0; rows * cols];
                seeded.whole(&pattern, &values, &mut whole);
                assert_eq!(whole, theta, "refresh {step}");

                train(&mut random, &mut values);
                edit::scatter(&pattern, 0..pattern.rows(), true, &values, &mut theta);
                if step % 7 == 3 {
                    // Saved and loaded in between.
                    let (frozen, cursor) = (seeded.frozen().to_vec(), seeded.cursor());
                    seeded = Seeded::new(source, rows, cols, usize::MAX);
                    seeded.restore(frozen, cursor).expect("its own state");
                }
                (pattern, values) = seeded.largest(Some((&pattern, &values)), forward, nnz).expect("numbers");
            }
        }
    }
}

#[test]
fn a_cap_gives_up_the_smallest_frozen_weights_for_good() {
    let (rows, cols, nnz) = (30, 40, 100);
    let mut seeded = Seeded::new(NORMAL, rows, cols, 20);
    let (mut pattern, mut values) = seeded.largest(None, 50, nnz).expect("numbers");
    let mut random = Random(42);
    for _ in 0..30 {
        train(&mut random, &mut values);
        (pattern, values) = seeded.largest(Some((&pattern, &values)), 50, nnz).expect("numbers");
        assert!(seeded.frozen().len() <= 20);
        let mut whole = vec![0.0; rows * cols];
        seeded.whole(&pattern, &values, &mut whole);
        // B is still the largest of what is there.
        let mut b = vec![0; nnz];
        top_k::top_k(&whole, &mut b).expect("numbers");
        let smallest = values.iter().fold(f32::INFINITY, |m, v| m.min(v.abs()));
        assert!(b.iter().all(|&i| whole[i as usize].abs() >= smallest));
    }
    let given_up = (0..(rows * cols) as u32).filter(|&i| {
        let mut whole = vec![0.0; rows * cols];
        seeded.whole(&pattern, &values, &mut whole);
        whole[i as usize] == 0.0
    });
    assert!(given_up.count() > 0);
}

#[test]
fn a_changed_state_is_refused() {
    let inconsistent = |index| Err(SeededError::Inconsistent { index });
    let mut seeded = Seeded::new(NORMAL, 4, 5, 100);
    assert_eq!(seeded.restore(vec![(3, 1.0), (3, 2.0)], None), inconsistent(3));
    assert_eq!(seeded.restore(vec![(3, 1.0), (20, 2.0)], None), inconsistent(20));
    let (pattern, values) = seeded.largest(None, 3, 5).expect("numbers");
    let stored = values.iter().map(|_| 0.0).collect::<Vec<f32>>();
    // Without its cursor, B would be taken a second time.
    let mut other = Seeded::new(NORMAL, 4, 5, 100);
    assert!(matches!(other.largest(Some((&pattern, &stored)), 3, 5), Err(SeededError::Inconsistent { .. })));
    let nan = vec![f32::NAN; 5];
    assert!(matches!(seeded.largest(Some((&pattern, &nan)), 3, 5), Err(SeededError::NotANumber { .. })));
}
