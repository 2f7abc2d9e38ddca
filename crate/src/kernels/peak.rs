//! The best this machine and engine can do: multiply-adds on registers alone. Benches divide by it, so that machines compare.

use crate::lanes::F32x4;

/// Twelve independent chains hide the latency of a multiply-add, and leave three registers of the fifteen that V8 gives.
const CHAINS: usize = 12;

/// Floating-point operations of [`peak`] per iteration.
pub const FLOPS: usize = 2 * CHAINS * F32x4::WIDTH;

/// Runs `iterations` rounds and returns something that depends on all of them.
pub fn peak(iterations: u32, x: f32, y: f32) -> f32 {
    let (x, y) = (F32x4::splat(x), F32x4::splat(y));
    let mut sums = [F32x4::splat(0.0); CHAINS];
    for _ in 0..iterations {
        for sum in &mut sums {
            // Of `x·y` the compiler would keep the product, and without fusion only add.
            *sum = sum.mul_add(x, y);
        }
    }
    sums.into_iter().fold(F32x4::splat(0.0), |a, b| a + b).sum()
}
