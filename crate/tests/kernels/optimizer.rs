//! The optimizers and Powerprop against formulas written once more, in f64, and against golden values.

use crate::support::Random;
use tfjs_sparse_kernels::kernels::optimizer::{Adam, BiasCorrections, adam, momentum, sgd};
use tfjs_sparse_kernels::kernels::power;

fn close(got: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert!((f64::from(*got) - expected).abs() <= tolerance * expected.abs().max(1.0), "{got} is not {expected}");
    }
}

#[test]
fn sgd_is_exact_on_whole_numbers() {
    let mut random = Random(5);
    for n in [0, 1, 3, 4, 5, 31] {
        let (w, g) = (random.whole_numbers(n), random.whole_numbers(n));
        let expected: Vec<f32> = w.iter().zip(&g).map(|(w, g)| w - 2.0 * g).collect();
        let mut next = vec![f32::NAN; n];
        sgd(&w, &g, &mut next, 2.0);
        assert_eq!(next, expected);
    }
}

#[test]
fn momentum_is_exact_on_whole_numbers() {
    let mut random = Random(6);
    for nesterov in [false, true] {
        for n in [0, 1, 3, 4, 5, 31] {
            let (mut w, mut m) = (random.whole_numbers(n), random.whole_numbers(n));
            let (mut w0, mut m0) = (w.clone(), m.clone());
            for _ in 0..3 {
                let g = random.whole_numbers(n);
                for i in 0..n {
                    m0[i] = 2.0 * m0[i] + g[i];
                    w0[i] -= 4.0 * if nesterov { g[i] + 2.0 * m0[i] } else { m0[i] };
                }
                momentum(&w.clone(), &g, &mut w, &mut m, 4.0, 2.0, nesterov);
            }
            assert_eq!((w, m), (w0, m0));
        }
    }
}

#[test]
fn adam_counts_the_steps_of_each_slot() {
    let mut random = Random(8);
    for n in [0usize, 1, 3, 4, 7, 30, 32] {
        let constants = Adam { learning_rate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-7 };
        let mut w = random.whole_numbers(n);
        let (mut m, mut v) = (vec![0.0; n], vec![0.0; n]);
        let mut steps: Vec<u32> = (0..n).map(|i| [0, 0, 0, 0, 0, 3, 1000, 0][i % 8]).collect();
        let (mut w0, mut m0, mut v0): (Vec<f64>, _, _) = (w.iter().map(|&w| w.into()).collect(), vec![0.0; n], vec![0.0; n]);
        let mut corrections = BiasCorrections::default();
        for round in 1..=20 {
            let g = random.whole_numbers(n);
            for i in 0..n {
                let g = f64::from(g[i]);
                let t = round + [0, 0, 0, 0, 0, 3, 1000, 0][i % 8];
                m0[i] = 0.9 * m0[i] + 0.1 * g;
                v0[i] = 0.999 * v0[i] + 0.001 * g * g;
                let (m_hat, v_hat) = (m0[i] / (1.0 - 0.9f64.powi(t)), v0[i] / (1.0 - 0.999f64.powi(t)));
                w0[i] -= 0.01 * m_hat / (v_hat.sqrt() + 1e-7);
            }
            adam(&w.clone(), &g, &mut w, &mut m, &mut v, &mut steps, &constants, &mut corrections);
        }
        close(&w, &w0, 2e-6);
        assert!((0..n).all(|i| steps[i] == 20 + [0, 0, 0, 0, 0, 3, 1000, 0][i % 8]));
    }
}

/// A fresh slot moves by the learning rate in its first step, however old its neighbours are.
#[test]
fn adam_starts_a_late_slot_with_a_step_of_the_learning_rate() {
    let constants = Adam { learning_rate: 1.0, beta1: 0.9, beta2: 0.999, epsilon: 0.0 };
    let (mut w, mut m, mut v) = ([f32::NAN; 2], [0.0; 2], [0.0; 2]);
    let mut steps = [u32::MAX, 0];
    adam(&[0.0; 2], &[5.0, 5.0], &mut w, &mut m, &mut v, &mut steps, &constants, &mut BiasCorrections::default());
    close(&w, &[-(0.1 / 0.001f64.sqrt()), -1.0], 1e-5);
    assert_eq!(steps, [u32::MAX, 1]);
}

#[test]
fn a_slot_does_not_depend_on_where_it_sits() {
    let constants = Adam { learning_rate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
    let run = |n: usize| {
        let (mut w, mut m, mut v, mut steps) = (vec![f32::NAN; n], vec![0.1; n], vec![0.2; n], vec![7; n]);
        let mut corrections = BiasCorrections::default();
        adam(&vec![0.3; n], &vec![0.7; n], &mut w, &mut m, &mut v, &mut steps, &constants, &mut corrections);
        w
    };
    assert_eq!(run(5)[4].to_bits(), run(4)[0].to_bits());
}

/// A block of one age takes the corrections once, a mixed one looks each up.
#[test]
fn a_slot_does_not_depend_on_the_age_of_its_neighbours() {
    let constants = Adam { learning_rate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
    let n = 2051;
    let run = |age: &dyn Fn(usize) -> u32| {
        let start: Vec<f32> = (1..=n).map(|i| 1.0 / i as f32).collect();
        let (mut w, mut m, mut v, mut steps) = (start.clone(), start.clone(), start.clone(), (0..n).map(age).collect::<Vec<_>>());
        adam(&start, &start, &mut w, &mut m, &mut v, &mut steps, &constants, &mut BiasCorrections::default());
        w
    };
    let (young, old, mixed) = (run(&|_| 3), run(&|_| 40_000), run(&|i| if i % 3 == 0 { 3 } else { 40_000 }));
    assert!((0..n).all(|i| mixed[i].to_bits() == if i % 3 == 0 { young[i] } else { old[i] }.to_bits()));
}

#[test]
fn moments_do_not_become_denormal() {
    let constants = Adam { learning_rate: 0.1, beta1: 0.9, beta2: 0.9, epsilon: 1e-8 };
    let (mut w, mut m, mut v, mut steps) = ([0.0; 5], [1e-3, -1e-3, 1.0, 0.0, f32::NAN], [1e-6; 5], [0; 5]);
    let mut along = [1e-3; 5];
    for _ in 0..2000 {
        adam(&w.clone(), &[0.0; 5], &mut w, &mut m, &mut v, &mut steps, &constants, &mut BiasCorrections::default());
        momentum(&w.clone(), &[0.0; 5], &mut w, &mut along, 0.1, 0.9, false);
    }
    assert_eq!((&m[..4], v, along), (&[0.0; 4][..], [0.0; 5], [0.0; 5]));
    assert!(m[4].is_nan());
}

#[test]
fn power_has_the_golden_values() {
    let (phi, d_theta) = ([0.5, -0.2, 1.5, 0.0], [0.3, 0.3, -0.3, 0.3]);
    let golden = [
        (2.0, [0.25, -0.04, 2.25, 0.0], [0.3, 0.12, -0.9, 0.0]),
        (3.0, [0.125, -0.008, 3.375, 0.0], [0.225, 0.036, -2.025, 0.0]),
        (1.375, [0.3855527064, -0.1093745411, 1.7463266482, 0.0], [0.3180809827, 0.2255849911, -0.4802398283, 0.0]),
    ];
    for (alpha, theta, d_phi) in golden {
        let mut out = [f32::NAN; 4];
        power::power(&phi, &mut out, alpha);
        close(&out, &theta, 1e-6);
        power::gradient(&phi, &d_theta, &mut out, alpha);
        close(&out, &d_phi, 1e-6);
    }
}
