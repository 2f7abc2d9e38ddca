//! SGD, momentum and Adam over the stored values, in the form of tfjs. Each reads and writes its arrays once; new values go to an array of their own, since
//! the old ones may still be needed.
//!
//! Slots of one variable may be of different age: an edit of the pattern gives fresh ones. Adam therefore counts steps per slot; with one common
//! counter the first step of a slot born late would be up to (1 − β₁)/√(1 − β₂) = 3.16 times too long.
//!
//! Where a gradient stays 0, moments decay until they are denormal, and then for good, since β₁·m rounds back to m. Such numbers made Adam 2.3 to 3 times as
//! slow, on Intel's processors 10 to 18 times; they are set to 0.
//!
//! What limits them: SGD and momentum memory, Adam the one root and one division per four slots, 2 of its 2.5 cycles a value. Values copied first and moved
//! in place cost 0.3 cycles more, of a million 0.7. Where the ages of a block differ, fetching the corrections costs 1.2. It was 1.7 with a choice at each
//! lookup between the table and what comes after its end: ages beyond it are cut before, in a copy that costs 0.2. No better: two passes, corrections first;
//! lookups unchecked; blocks of 256, 768 or 1024. A walk over the arrays by `chunks_mut`, whose every piece may be short, takes ten cycles.

use crate::lanes::{F32x4, Normal};
use std::slice;

/// `next = w − lr·g`. Overwrites `next`.
pub fn sgd(values: &[f32], gradients: &[f32], next: &mut [f32], learning_rate: f32) {
    assert!([gradients.len(), next.len()] == [values.len(); 2]);
    let minus_rate = F32x4::splat(-learning_rate);
    map([values, gradients], [next], |_, [w, g], _| [g.mul_add(minus_rate, w)]);
}

/// `m = µ·m + g`, then `next = w − lr·m`; with Nesterov `next = w − lr·(g + µ·m)`. Overwrites `next` and `m`.
pub fn momentum(values: &[f32], gradients: &[f32], next: &mut [f32], m: &mut [f32], learning_rate: f32, mu: f32, nesterov: bool) {
    assert!([gradients.len(), next.len(), m.len()] == [values.len(); 3]);
    let (minus_rate, mu) = (F32x4::splat(-learning_rate), F32x4::splat(mu));
    let normal = Normal::default();
    let moved = |m: F32x4, g| m.mul_add(mu, g).flushed(normal);
    // Two loops: of a choice in each turn older V8 makes a branch.
    if nesterov {
        map([values, gradients], [next, m], |_, [w, g], [_, m]| {
            let m = moved(m, g);
            [m.mul_add(mu, g).mul_add(minus_rate, w), m]
        });
    } else {
        map([values, gradients], [next, m], |_, [w, g], [_, m]| {
            let m = moved(m, g);
            [m.mul_add(minus_rate, w), m]
        });
    }
}

/// Adam's constants; ε stands outside the root, as in tfjs.
#[derive(Clone, Copy, PartialEq)]
pub struct Adam {
    pub learning_rate: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
}

/// The factors 1/(1 − βᵗ) for t = 0 (never asked for), 1, 2, … as far as any slot has come, kept between steps.
#[derive(Default)]
pub struct BiasCorrections {
    betas: (f32, f32),
    factors: Vec<[f32; 2]>,
}

impl BiasCorrections {
    /// The factors after 0, 1, 2, … steps, those after `oldest` among them. From the last pair on, both are 1 for good.
    fn reach(&mut self, adam: &Adam, oldest: u32) -> &[[f32; 2]] {
        const PAGE: usize = 1024;
        if self.betas != (adam.beta1, adam.beta2) || self.factors.is_empty() {
            *self = Self { betas: (adam.beta1, adam.beta2), factors: vec![[f32::INFINITY; 2]] };
        }
        while self.factors.len() <= oldest as usize && self.factors.last() != Some(&[1.0; 2]) {
            for _ in 0..PAGE {
                let t = self.factors.len() as i32;
                let factor = |beta: f32| (1.0 / (1.0 - f64::from(beta).powi(t))) as f32;
                self.factors.push([factor(adam.beta1), factor(adam.beta2)]);
            }
        }
        &self.factors
    }
}

/// Slots that are counted, then moved: few enough to be in the first cache still, and mostly of one age.
const BLOCK: usize = 512;

/// `m = β₁·m + (1 − β₁)·g`, `v = β₂·v + (1 − β₂)·g²`, `next = w − lr·m̂/(√v̂ + ε)` with m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ) and t the slot's
/// own step, counted here. Overwrites `next`, `m`, `v` and `steps`.
#[allow(clippy::too_many_arguments)] // what belongs to a slot, an array each
pub fn adam(
    values: &[f32],
    gradients: &[f32],
    next: &mut [f32],
    m: &mut [f32],
    v: &mut [f32],
    steps: &mut [u32],
    adam: &Adam,
    corrections: &mut BiasCorrections,
) {
    assert!([gradients.len(), next.len(), m.len(), v.len(), steps.len()] == [values.len(); 5]);
    let given = values.chunks(BLOCK).zip(gradients.chunks(BLOCK));
    let blocks = given.zip(next.chunks_mut(BLOCK)).zip(m.chunks_mut(BLOCK)).zip(v.chunks_mut(BLOCK));
    // Here, since clearing it for each block would cost 0.4 cycles a value.
    let mut ages = [[0; 4]; BLOCK / 4];
    for (((((values, gradients), next), m), v), steps) in blocks.zip(steps.chunks_mut(BLOCK)) {
        let (youngest, oldest) = count(steps);
        let factors = corrections.reach(adam, oldest);
        let last = factors.len() as u32 - 1;
        if youngest == oldest {
            let factors = factors[last.min(oldest) as usize].map(F32x4::splat);
            step([values, gradients], [next, m, v], adam, |_| factors);
        } else {
            let ages = match steps.as_chunks() {
                (fours, []) if oldest <= last => fours,
                _ => {
                    ages.as_flattened_mut().iter_mut().zip(steps).for_each(|(age, step)| *age = (*step).min(last));
                    &ages
                }
            };
            step([values, gradients], [next, m, v], adam, |i| F32x4::pairs(ages[i].map(|age| &factors[age as usize])));
        }
    }
}

/// Adam, given the corrections of the i-th four slots.
#[inline(always)]
fn step(given: [&[f32]; 2], arrays: [&mut [f32]; 3], adam: &Adam, corrections: impl Fn(usize) -> [F32x4; 2]) {
    let (beta1, beta2) = (F32x4::splat(adam.beta1), F32x4::splat(adam.beta2));
    let (rest1, rest2) = (F32x4::splat(1.0 - adam.beta1), F32x4::splat(1.0 - adam.beta2));
    let (minus_rate, epsilon) = (F32x4::splat(-adam.learning_rate), F32x4::splat(adam.epsilon));
    let normal = Normal::default();
    let nothing = F32x4::splat(2.0 * f32::MIN_POSITIVE / (1.0 - adam.beta2));
    map(given, arrays, |i, [w, g], [_, m, v]| {
        let factors = corrections(i);
        let m = m.mul_add(beta1, g * rest1).flushed(normal);
        // A little more than it is, so that a denormal g² never stands alone, and 0 where no more than that little has gathered. Never negative.
        let v = (g * rest2).mul_add(g, v.mul_add(beta2, normal.least)).zero_below(nothing);
        let length = (v * factors[1]).sqrt() + epsilon;
        [(m * factors[0] / length).mul_add(minus_rate, w), m, v]
    });
}

/// Counts one step for each slot; the lowest and the highest count.
fn count(steps: &mut [u32]) -> (u32, u32) {
    let (mut youngest, mut oldest) = (u32::MAX, 0);
    for step in steps {
        *step = step.saturating_add(1);
        (youngest, oldest) = (youngest.min(*step), oldest.max(*step));
    }
    (youngest, oldest)
}

/// `f(i, …)` over the i-th four slots, the last ones padded, so that a slot's result does not depend on where it sits. It overwrites the second arrays.
/// One call of `f` in the text: with two it would not be inlined.
#[inline(always)]
fn map<const N: usize>(given: [&[f32]; 2], arrays: [&mut [f32]; N], f: impl Fn(usize, [F32x4; 2], [F32x4; N]) -> [F32x4; N]) {
    let given = given.map(|a| a.as_chunks());
    let given_rest = given.map(|(_, rest)| [padded(rest)]);
    let mut arrays = arrays.map(|a| a.as_chunks_mut());
    let mut rest = arrays.each_ref().map(|(_, rest)| padded(rest));
    let whole = arrays.each_mut().map(|(whole, _)| &mut **whole);
    let fours = given[0].0.len();
    let ragged = usize::from(!given[0].1.is_empty());
    let parts = [
        (0, fours, given.map(|(whole, _)| whole), whole),
        (fours, ragged, given_rest.each_ref().map(|rest| &rest[..]), rest.each_mut().map(slice::from_mut)),
    ];
    for (first, count, given, now) in parts {
        let (given, mut now) = (given.map(|fours| &fours[..count]), now.map(|fours| &mut fours[..count]));
        for i in 0..count {
            let next = f(first + i, given.map(|fours| F32x4::load(&fours[i])), now.each_ref().map(|fours| F32x4::load(&fours[i])));
            for (fours, lanes) in now.iter_mut().zip(next) {
                lanes.store(&mut fours[i]);
            }
        }
    }
    for ((_, part), padded) in arrays.iter_mut().zip(rest) {
        part.copy_from_slice(&padded[..part.len()]);
    }
}

#[inline(never)]
fn padded(part: &[f32]) -> [f32; 4] {
    let mut four = [0.0; 4];
    four[..part.len()].copy_from_slice(part);
    four
}
