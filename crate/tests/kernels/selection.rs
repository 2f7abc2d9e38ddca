//! Top-k and the reductions of the dense gradient equal the naive reference exactly.

use crate::support::{BATCHES, DENSITIES, Random, SHAPES, layer, reference};
use proptest::prelude::*;
use tfjs_sparse_kernels::kernels::{gradient, top_k};

fn selected(values: &[f32], k: usize) -> Vec<u32> {
    let mut out = vec![u32::MAX; k];
    top_k::top_k(values, &mut out).expect("no NaN");
    out
}

#[test]
fn equal_magnitudes_go_to_the_lower_index() {
    assert_eq!(selected(&[1.0, -2.0, 2.0, -2.0, 0.0], 2), [1, 2]);
    assert_eq!(selected(&[-0.0, 0.0, 0.0], 2), [0, 1]);
    assert_eq!(selected(&[1.0, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE], 1), [1]);
    assert_eq!(selected(&[], 0), [0u32; 0]);
}

#[test]
fn a_nan_is_refused_by_its_index() {
    // The second is next to infinity.
    for nan in [f32::NAN, f32::from_bits(0xff80_0001)] {
        for (before, k) in [(2, 0), (2, 1), (2, 3), (15, 1), (16, 10), (5_000, 4_000)] {
            let values = [vec![f32::INFINITY; before], vec![nan]].concat();
            assert_eq!(top_k::top_k(&values, &mut vec![0; k]), Err(top_k::NotANumber { index: before }));
        }
    }
}

#[test]
fn no_value_is_lost_at_the_end_of_a_sixteen_a_word_or_a_block() {
    let mut random = Random(14);
    for n in [15, 16, 17, 63, 64, 65, 1023, 1024, 1025, 1088] {
        let values: Vec<f32> = (0..n).map(|_| random.below(1 << 20) as f32 - 5e5).collect();
        for values in [values, vec![f32::INFINITY; n], vec![0.0; n]] {
            for k in [0, 1, n / 2, n - 1, n] {
                assert_eq!(selected(&values, k), reference::top_k(&values, k));
            }
        }
    }
}

/// Long enough to be sampled; some of it arranged to mislead the sample, which looks at 4 values in 124.
#[test]
fn a_misled_guess_costs_time_and_not_the_answer() {
    let mut random = Random(13);
    let n = 20_000;
    let noise: Vec<f32> = (0..n).map(|_| random.below(1 << 24) as f32 / 1e3).collect();
    let high_where_sampled: Vec<f32> = (0..n).map(|i| if i % 124 < 4 { 1e9 + i as f32 } else { noise[i] }).collect();
    let low_where_sampled: Vec<f32> = (0..n).map(|i| if i % 124 < 4 { 0.0 } else { noise[i] }).collect();
    let rising: Vec<f32> = (0..n).map(|i| i as f32).collect();
    for values in [noise, high_where_sampled, low_where_sampled, rising, vec![1.0; n], vec![0.0; n]] {
        for k in [0, 1, 100, 300, 5_000, n - 1, n] {
            assert_eq!(selected(&values, k), reference::top_k(&values, k));
        }
    }
}

#[test]
fn parts_are_as_good_as_all_at_once() {
    let mut random = Random(16);
    let values: Vec<f32> = (0..5_000).map(|_| random.below(1 << 10) as f32 - 512.0).collect();
    // A sample of something else misleads again and again.
    for sample in [values[..200].to_vec(), vec![1e9; 200], vec![-0.5; 200], vec![]] {
        for (part, k) in [(16, 1_000), (1_024, 0), (1_040, 5_000), (4_992, 17), (5_000, 4_999)] {
            let mut out = vec![u32::MAX; k];
            let mut selection = top_k::Selection::new(sample.clone(), values.len(), k);
            let (mut next, mut looks) = (Some(0), 0);
            while let Some(start) = next {
                next = selection.look(&values[start..values.len().min(start + part)], &mut out).expect("no NaN");
                looks += 1;
            }
            assert_eq!(out, reference::top_k(&values, k));
            assert!(looks >= 5_000_usize.div_ceil(part));
        }
    }
}

/// Most magnitudes equal, or so near each other that their upper halves are.
#[test]
fn a_crowd_is_told_apart_to_the_last_bit() {
    let mut random = Random(15);
    let n = 20_007;
    let mut of = |each: fn(u32, usize) -> f32| -> Vec<f32> { (0..n).map(|i| each(random.below(1 << 20) as u32, i)).collect() };
    let signs = of(|r, _| if r % 2 == 0 { 0.1 } else { -0.1 });
    let near = of(|r, _| f32::from_bits(0x3f80_0000 + r % 30_000));
    let zeros_and_more = of(|r, _| if r % 5 < 3 { 0.0 } else { r as f32 });
    let few_others = of(|r, i| {
        if r % 1000 == 0 {
            r as f32
        } else if i == 12_345 {
            f32::INFINITY
        } else {
            -3.0
        }
    });
    // The sample sees 4 values in 124.
    let other_where_sampled = of(|r, i| if i % 124 < 4 { 7.0 } else { r as f32 / 1e5 });
    for values in [signs, near, zeros_and_more, few_others, other_where_sampled] {
        for k in [0, 1, 30, 4_000, 8_000, 10_000, n - 16, n] {
            assert_eq!(selected(&values, k), reference::top_k(&values, k));
        }
        for index in [3, 9_999, n - 1] {
            let with_nan: Vec<f32> = values.iter().enumerate().map(|(i, &v)| if i == index { -f32::NAN } else { v }).collect();
            for k in [0, 1, 10_000] {
                assert_eq!(top_k::top_k(&with_nan, &mut vec![0; k]), Err(top_k::NotANumber { index }));
            }
        }
    }
}

proptest! {
    #[test]
    fn top_k_equals_a_full_sort(values in prop::collection::vec(any::<i32>(), 0..300), keep in 0.0..=1.0f64, ties in any::<bool>()) {
        // Arbitrary bits, so that denormals, zeros of both signs and neighbours in the last place occur; or few distinct values.
        let values: Vec<f32> = values
            .iter()
            .map(|&i| if ties { (i % 4) as f32 } else { f32::from_bits(i as u32) })
            .map(|v| if v.is_nan() { 0.0 } else { v })
            .collect();
        let k = (values.len() as f64 * keep) as usize;
        prop_assert_eq!(selected(&values, k), reference::top_k(&values, k));
    }
}

#[test]
fn the_streamed_gradient_equals_the_dense_one() {
    let mut random = Random(0xfeed);
    for (rows, cols) in SHAPES {
        for density in DENSITIES {
            for batch in BATCHES {
                let layer = layer(&mut random, rows, cols, density, true);
                let (x, dy) = (random.whole_numbers(batch * cols), random.whole_numbers(batch * rows));
                let [_, dw] = reference::backward(&layer.mask, &layer.dense, &x, &dy, batch, rows, cols);
                let outside: Vec<usize> = (0..rows * cols).filter(|&i| layer.mask[i] == 0).collect();
                let values: Vec<f32> = outside.iter().map(|&i| dw[i]).collect();
                for k in [0, 1, 7, values.len(), values.len() + 1] {
                    let got = gradient::top_k(&layer.pattern, &x, &dy, batch, k, 0.0).expect("no NaN");
                    let expected = reference::top_k(&values, k.min(values.len()));
                    let flat: Vec<usize> = got.iter().map(|c| c.row as usize * cols + c.col as usize).collect();
                    assert_eq!(flat, expected.iter().map(|&i| outside[i as usize]).collect::<Vec<_>>());
                    assert!(got.iter().all(|c| c.gradient == dw[c.row as usize * cols + c.col as usize]));
                }
                let reduced = gradient::reduce(&layer.pattern, &x, &dy, batch, 20.0);
                let magnitudes = || values.iter().map(|v| f64::from(v.abs()));
                assert_eq!(reduced.sum, magnitudes().sum::<f64>());
                assert_eq!(reduced.max, magnitudes().fold(0.0, f64::max));
                assert_eq!(reduced.norm, magnitudes().map(|v| v * v).sum::<f64>().sqrt());
                assert_eq!(reduced.count, magnitudes().filter(|&v| v > 20.0).count() as f64);
            }
        }
    }
}

/// More candidates than the buffer holds, most of them equal: the threshold rises, and ties still go to the lower position.
#[test]
fn a_full_buffer_keeps_the_right_ones() {
    let (rows, cols) = (70, 90);
    let mut random = Random(9);
    let layer = layer(&mut random, rows, cols, 0, false);
    let x: Vec<f32> = (0..cols).map(|c| if c % 30 == 29 { 3.0 } else { 1.0 }).collect();
    let dy = vec![1.0; rows];
    let [_, dw] = reference::backward(&layer.mask, &layer.dense, &x, &dy, 1, rows, cols);
    let got = gradient::top_k(&layer.pattern, &x, &dy, 1, 300, 0.0).expect("no NaN");
    let flat: Vec<u32> = got.iter().map(|c| c.row * cols as u32 + c.col).collect();
    assert_eq!(flat, reference::top_k(&dw, 300));
}

#[test]
fn a_nan_gradient_is_refused_by_its_place() {
    let mut random = Random(11);
    let layer = layer(&mut random, 3, 4, 0, false);
    let dy = [1.0, 1.0, 1.0];
    let refused = gradient::top_k(&layer.pattern, &[1.0, f32::NAN, 2.0, 3.0], &dy, 1, 2, 0.0);
    assert_eq!(refused, Err(gradient::NotANumber { row: 0, col: 1 }));
}
