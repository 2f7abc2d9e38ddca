//! SGD, momentum and Adam over the stored values, in the form of tfjs. Bound by memory: each reads and writes its arrays once.
//!
//! Slots of one variable may be of different age: an edit of the pattern gives fresh ones. Adam therefore counts steps per slot; with one common
//! counter the first step of a slot born late would be up to (1 − β₁)/√(1 − β₂) = 3.16 times too long.

use crate::lanes::F32x4;

/// `w −= lr·g`. Overwrites `values`.
pub fn sgd(values: &mut [f32], gradients: &[f32], learning_rate: f32) {
    assert_eq!(values.len(), gradients.len());
    let minus_rate = F32x4::splat(-learning_rate);
    map([values], gradients, |[w], g| [g.mul_add(minus_rate, w)]);
}

/// `m = µ·m + g`, then `w −= lr·m`; with Nesterov `w −= lr·(g + µ·m)`. Overwrites `values` and `m`.
pub fn momentum(values: &mut [f32], gradients: &[f32], m: &mut [f32], learning_rate: f32, mu: f32, nesterov: bool) {
    assert_eq!(values.len(), gradients.len());
    assert_eq!(values.len(), m.len());
    let (minus_rate, mu) = (F32x4::splat(-learning_rate), F32x4::splat(mu));
    map([values, m], gradients, |[w, m], g| {
        let m = m.mul_add(mu, g);
        let along = if nesterov { m.mul_add(mu, g) } else { m };
        [along.mul_add(minus_rate, w), m]
    });
}

/// Adam's constants; ε stands outside the root, as in tfjs.
#[derive(Clone, Copy, PartialEq)]
pub struct Adam {
    pub learning_rate: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
}

/// The factors 1/(1 − βᵗ) for t = 1, 2, … as far as any slot has come, kept between steps.
#[derive(Default)]
pub struct BiasCorrections {
    betas: (f32, f32),
    factors: Vec<[f32; 2]>,
}

impl BiasCorrections {
    /// Fills the table up to `steps` and to the end of a page, or to where both factors have become 1 for good.
    fn reach(&mut self, adam: &Adam, steps: u32) {
        const PAGE: usize = 1024;
        if self.betas != (adam.beta1, adam.beta2) {
            *self = Self { betas: (adam.beta1, adam.beta2), factors: Vec::new() };
        }
        let wanted = if self.factors.len() < steps as usize { (steps as usize).next_multiple_of(PAGE) } else { 0 };
        while self.factors.len() < wanted && self.factors.last() != Some(&[1.0; 2]) {
            let t = self.factors.len() as i32 + 1;
            let factor = |beta: f32| (1.0 / (1.0 - f64::from(beta).powi(t))) as f32;
            self.factors.push([factor(adam.beta1), factor(adam.beta2)]);
        }
    }

    #[inline(always)]
    fn at(&self, steps: u32) -> [f32; 2] {
        self.factors[(steps as usize).min(self.factors.len()) - 1]
    }
}

/// `m = β₁·m + (1 − β₁)·g`, `v = β₂·v + (1 − β₂)·g²`, `w −= lr·m̂/(√v̂ + ε)` with m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ) and t the slot's own
/// step, counted here. Overwrites `values`, `m`, `v` and `steps`.
pub fn adam(
    values: &mut [f32],
    gradients: &[f32],
    m: &mut [f32],
    v: &mut [f32],
    steps: &mut [u32],
    adam: &Adam,
    corrections: &mut BiasCorrections,
) {
    let n = values.len();
    assert!([gradients.len(), m.len(), v.len(), steps.len()] == [n; 4]);
    let mut oldest = 0;
    for step in steps.iter_mut() {
        *step = step.saturating_add(1);
        oldest = oldest.max(*step);
    }
    if n == 0 {
        return;
    }
    corrections.reach(adam, oldest);
    let (beta1, beta2) = (F32x4::splat(adam.beta1), F32x4::splat(adam.beta2));
    let (rest1, rest2) = (F32x4::splat(1.0 - adam.beta1), F32x4::splat(1.0 - adam.beta2));
    let (minus_rate, epsilon) = (F32x4::splat(-adam.learning_rate), F32x4::splat(adam.epsilon));

    let mut steps = steps.chunks(F32x4::WIDTH);
    let mut age = [0u32; 4];
    let mut factors = [F32x4::splat(1.0); 2];
    map([values, m, v], gradients, |[w, m, v], g| {
        let part = steps.next().unwrap_or(&[1]);
        let mut now = [part[0]; 4];
        now[..part.len()].copy_from_slice(part);
        // Neighbours are mostly of one age: the factors of the four before serve again.
        if now != age {
            age = now;
            let each = age.map(|t| corrections.at(t));
            factors = [0, 1].map(|i| F32x4::load(&each.map(|f| f[i])));
        }
        let m = m.mul_add(beta1, g * rest1);
        let v = v.mul_add(beta2, g * g * rest2);
        let length = (v * factors[1]).sqrt() + epsilon;
        [(m * factors[0] / length).mul_add(minus_rate, w), m, v]
    });
}

/// `f` over four slots at a time, the last ones padded, so that a slot's result does not depend on where it sits.
#[inline(always)]
fn map<const N: usize>(arrays: [&mut [f32]; N], gradients: &[f32], mut f: impl FnMut([F32x4; N], F32x4) -> [F32x4; N]) {
    let mut arrays = arrays.map(|a| a.as_chunks_mut::<4>());
    let (gradients, last) = gradients.as_chunks::<4>();
    for (i, g) in gradients.iter().enumerate() {
        let now = std::array::from_fn(|a| F32x4::load(&arrays[a].0[i]));
        for (array, lanes) in arrays.iter_mut().zip(f(now, F32x4::load(g))) {
            lanes.store(&mut array.0[i]);
        }
    }
    if last.is_empty() {
        return;
    }
    let pad = |part: &[f32]| {
        let mut four = [0.0; 4];
        four[..part.len()].copy_from_slice(part);
        F32x4::load(&four)
    };
    let now = std::array::from_fn(|a| pad(arrays[a].1));
    for (array, lanes) in arrays.iter_mut().zip(f(now, pad(last))) {
        let length = array.1.len();
        array.1.copy_from_slice(&lanes.to_array()[..length]);
    }
}
