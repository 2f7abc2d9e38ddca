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
    /// Forgets the table if it was made for other constants.
    fn serve(&mut self, adam: &Adam) {
        if self.betas != (adam.beta1, adam.beta2) {
            *self = Self { betas: (adam.beta1, adam.beta2), factors: Vec::new() };
        }
    }

    /// The factors after `steps` ≥ 1 steps; beyond the last one, both have become 1 for good.
    #[inline(always)]
    fn at(&mut self, steps: u32) -> [f32; 2] {
        let t = steps as usize;
        if t > self.factors.len() && self.factors.last() != Some(&[1.0; 2]) {
            self.reach(t);
        }
        self.factors[t.min(self.factors.len()) - 1]
    }

    /// Fills the table up to `steps` and to the end of a page.
    #[cold]
    fn reach(&mut self, steps: usize) {
        const PAGE: usize = 1024;
        while self.factors.len() < steps.next_multiple_of(PAGE) && self.factors.last() != Some(&[1.0; 2]) {
            let t = self.factors.len() as i32 + 1;
            let factor = |beta: f32| (1.0 / (1.0 - f64::from(beta).powi(t))) as f32;
            self.factors.push([factor(self.betas.0), factor(self.betas.1)]);
        }
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
    assert!([gradients.len(), m.len(), v.len(), steps.len()] == [values.len(); 4]);
    corrections.serve(adam);
    let (beta1, beta2) = (F32x4::splat(adam.beta1), F32x4::splat(adam.beta2));
    let (rest1, rest2) = (F32x4::splat(1.0 - adam.beta1), F32x4::splat(1.0 - adam.beta2));
    let (minus_rate, epsilon) = (F32x4::splat(-adam.learning_rate), F32x4::splat(adam.epsilon));

    let mut steps = steps.chunks_mut(4);
    let mut age = [0u32; 4];
    let mut factors = [F32x4::splat(1.0); 2];
    map([values, m, v], gradients, |[w, m, v], g| {
        let now = next_step(steps.next().unwrap_or_default());
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

/// Counts one step for each of up to four slots; the counts, padded.
#[inline(always)]
fn next_step(steps: &mut [u32]) -> [u32; 4] {
    match <&mut [u32; 4]>::try_from(&mut *steps) {
        Ok(four) => {
            *four = four.map(|step| step.saturating_add(1));
            *four
        }
        Err(_) => {
            let mut padded = [1; 4];
            for (padded, step) in padded.iter_mut().zip(steps) {
                *step = step.saturating_add(1);
                *padded = *step;
            }
            padded
        }
    }
}

/// `f` over four slots at a time, the last ones padded, so that a slot's result does not depend on where it sits.
/// One call of `f` in the text: with two it would not be inlined.
#[inline(always)]
fn map<const N: usize>(arrays: [&mut [f32]; N], gradients: &[f32], mut f: impl FnMut([F32x4; N], F32x4) -> [F32x4; N]) {
    let mut fours = arrays.map(|a| a.chunks_mut(4));
    for g in gradients.chunks(4) {
        let mut now = fours.each_mut().map(|four| four.next().unwrap_or_default());
        let next = f(now.each_ref().map(|four| load_part(four)), load_part(g));
        for (four, lanes) in now.iter_mut().zip(next) {
            match <&mut [f32; 4]>::try_from(&mut **four) {
                Ok(whole) => lanes.store(whole),
                Err(_) => four.copy_from_slice(&lanes.to_array()[..four.len()]),
            }
        }
    }
}

#[inline(always)]
fn load_part(part: &[f32]) -> F32x4 {
    match part.first_chunk() {
        Some(four) => F32x4::load(four),
        None => {
            let mut four = [0.0; 4];
            four[..part.len()].copy_from_slice(part);
            F32x4::load(&four)
        }
    }
}
