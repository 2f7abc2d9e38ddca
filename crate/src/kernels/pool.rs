//! Back-propagation through max pooling: each window's dy goes to its first maximum (and to a NaN). Nobody remembers where that was, so it is found again.

use super::window::Window;
use crate::lanes::{F32x4, I32x4};

/// `dx [batch, input]` for `x [batch, input]` and `dy [batch, output]`, which has the channels of x. Overwrites `dx`. Cost: batch · output · kernel
/// comparisons, twice, and no branch: which of the inputs is largest cannot be foreseen.
pub fn max_gradient(window: &Window, batch: usize, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    let Window { rows, cols, channels: n, filters } = *window;
    assert!(n == filters && x.len() == batch * window.input() && dx.len() == x.len() && dy.len() == batch * window.output());
    dx.fill(0.0);
    let mut pixels = Vec::with_capacity(rows.kernel * cols.kernel);
    for (i, dy) in dy.chunks_exact(n.max(1)).enumerate() {
        let (i, col) = (i / cols.output, i % cols.output);
        let (image, row) = (i / rows.output, i % rows.output);
        pixels.clear();
        for tap in 0..rows.kernel * cols.kernel {
            if let (Some(row), Some(col)) = (rows.seen(row, tap / cols.kernel), cols.seen(col, tap % cols.kernel)) {
                pixels.push(((image * rows.input + row) * cols.input + col) * n);
            }
        }
        for channel in (0..n).step_by(4) {
            let x = |pixel: usize| four(&x[pixel + channel..pixel + n]);
            let best = pixels.iter().fold(F32x4::splat(f32::NEG_INFINITY), |best, &pixel| best.or_larger(x(pixel)));
            let mut left = four(&dy[channel..]);
            for &pixel in &pixels {
                let others = best.above(x(pixel));
                let to = &mut dx[pixel + channel..pixel + n];
                let sum = (four(to) + left.without(others)).to_array();
                to.iter_mut().zip(sum).for_each(|(to, sum)| *to = sum);
                left = left.without(I32x4::splat(-1).and_not(others));
            }
        }
    }
}

/// The first four, filled up with zeros.
#[inline(always)]
fn four(from: &[f32]) -> F32x4 {
    match from.first_chunk() {
        Some(four) => F32x4::load(four),
        None => F32x4::load(&std::array::from_fn(|i| from.get(i).copied().unwrap_or(0.0))),
    }
}
