//! Numbers by hash: uniform, different, the same for the same key, and what they stand for.

use crate::support::{Random, layer};
use tfjs_sparse_kernels::kernels::random::{Source, Spread, bits, free_positions, subset};

#[test]
fn subsets_are_different_ascending_and_of_the_size_asked() {
    for n in [0, 1, 2, 7, 100, 5000] {
        for k in [0, 1, n / 3, n / 2, n - n / 3, n] {
            let k = k.min(n);
            let drawn = subset(n, k, 5);
            assert_eq!(drawn.len(), k);
            assert!(drawn.is_sorted_by(|a, b| a < b) && drawn.iter().all(|&i| (i as usize) < n));
            assert_eq!(drawn, subset(n, k, 5), "the same key");
        }
    }
    assert_ne!(subset(5000, 100, 5), subset(5000, 100, 6), "another key");
}

#[test]
fn every_number_is_drawn_as_often() {
    for k in [3, 8] {
        let mut counts = [0u32; 10];
        for key in 0..20_000 {
            subset(10, k, key).iter().for_each(|&i| counts[i as usize] += 1);
        }
        // 20 000·k/10 expected, deviation below 71.
        let expected = 2000.0 * k as f64;
        assert!(counts.iter().all(|&c| (f64::from(c) - expected).abs() < 350.0), "{counts:?}");
    }
}

#[test]
fn free_positions_are_free() {
    let mut random = Random(31);
    for (rows, cols) in [(0, 3), (3, 0), (1, 1), (5, 3), (17, 33)] {
        for density in [0, 3, 50, 97, 100] {
            let l = layer(&mut random, rows, cols, density, false);
            let free: Vec<u32> = (0..(rows * cols) as u32).filter(|&i| l.mask[i as usize] == 0).collect();
            for k in [0, 1, free.len() / 2, free.len(), free.len() + 9] {
                let got = free_positions(&l.pattern, k, 9);
                assert_eq!(got.len(), k.min(free.len()));
                assert!(got.is_sorted_by(|a, b| a < b) && got.iter().all(|i| free.binary_search(i).is_ok()));
            }
            assert_eq!(free_positions(&l.pattern, free.len(), 9), free, "all of them");
        }
    }
}

#[test]
fn hashes_of_neighbours_differ_in_half_of_their_bits() {
    let mean = |f: &dyn Fn(u32) -> u32| f64::from((0..4096).map(f).sum::<u32>()) / 4096.0;
    assert!((mean(&|i| (bits(1, i) ^ bits(1, i + 1)).count_ones()) - 32.0).abs() < 0.5);
    assert!((mean(&|i| (bits(i, 7) ^ bits(i + 1, 7)).count_ones()) - 32.0).abs() < 0.5);
}

#[test]
fn initial_values_are_spread_as_named() {
    let moments = |spread| {
        let source = Source { key: 3, spread, alpha: 1.0 };
        let values: Vec<f64> = (0..200_000).map(|i| f64::from(source.value(i))).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
        let largest = values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        (mean, deviation, largest)
    };
    let (mean, deviation, largest) = moments(Spread::Uniform { low: -2.0, high: 2.0 });
    assert!(mean.abs() < 0.02 && (deviation - 2.0 / 3f64.sqrt()).abs() < 0.01 && largest <= 2.0);
    let (mean, deviation, largest) = moments(Spread::Normal { mean: 1.0, deviation: 0.5 });
    assert!((mean - 1.0).abs() < 0.01 && (deviation - 0.5).abs() < 0.005 && largest > 2.5 && largest < 4.0);
    // Of a normal distribution cut at ±2, the deviation is 0.8796 of the whole one's.
    let (mean, deviation, largest) = moments(Spread::TruncatedNormal { mean: 0.0, deviation: 1.0 });
    assert!(mean.abs() < 0.01 && (deviation - 0.8796).abs() < 0.005 && largest <= 2.0);
}

#[test]
fn with_an_alpha_the_phi_stands_for_the_same_weight() {
    let spread = Spread::Normal { mean: 0.0, deviation: 0.1 };
    let (plain, phi) = (Source { key: 3, spread, alpha: 1.0 }, Source { key: 3, spread, alpha: 2.0 });
    for i in 0..1000 {
        let (w, phi) = (plain.value(i), phi.value(i));
        assert!((phi * phi.abs() - w).abs() <= 1e-6 * w.abs());
    }
}
