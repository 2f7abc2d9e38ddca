//! Back-propagation through max pooling: each window's dy goes to its first maximum. Nobody remembers where that was, so it is found again.

use super::window::Window;
use crate::lanes::{F32x4, I32x4};

/// `dx [batch, input]` for `x [batch, input]` and `dy [batch, output]`, which has the channels of x. Overwrites `dx`. Cost: batch · output · kernel
/// comparisons, twice, and no branch: which of the inputs is largest cannot be foreseen.
pub fn max_gradient(window: &Window, batch: usize, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    let Window { rows, cols, channels: n, filters } = *window;
    assert!(n == filters && x.len() == batch * window.input() && dx.len() == x.len() && dy.len() == batch * window.output());
    dx.fill(0.0);
    let mut pixels = Vec::with_capacity(rows.kernel * cols.kernel);
    let mut windows = dy.chunks_exact(n.max(1));
    for image in 0..batch {
        for row in 0..rows.output {
            for col in 0..cols.output {
                pixels.clear();
                for y in (0..rows.kernel).filter_map(|tap| rows.seen(row, tap)) {
                    let line = (image * rows.input + y) * cols.input;
                    pixels.extend((0..cols.kernel).filter_map(|tap| cols.seen(col, tap)).map(|x| (line + x) * n));
                }
                if let Some(dy) = windows.next() {
                    hand_back(&pixels, n, x, dy, dx);
                }
            }
        }
    }
}

/// One window, by four channels. Lanes beyond the last channel hold what comes after it, and are not written.
#[inline(always)]
fn hand_back(pixels: &[usize], channels: usize, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    for channel in (0..channels).step_by(4) {
        let x = |pixel: usize| four(&x[pixel + channel..]);
        let best = pixels.iter().fold(F32x4::splat(f32::NEG_INFINITY), |best, &pixel| best.or_larger(x(pixel)));
        let mut left = four(&dy[channel..]);
        for &pixel in pixels {
            let largest = x(pixel).reaches(best);
            let given = left.without(I32x4::splat(-1).and_not(largest));
            let to = &mut dx[pixel + channel..pixel + channels];
            match to.first_chunk_mut() {
                Some(to) => (F32x4::load(to) + given).store(to),
                None => to.iter_mut().zip(given.to_array()).for_each(|(to, given)| *to += given),
            }
            left = left.without(largest);
        }
    }
}

/// The first four, filled up with zeros.
#[inline(always)]
fn four(from: &[f32]) -> F32x4 {
    match from.first_chunk() {
        Some(four) => F32x4::load(four),
        None => F32x4::load(&padded(from)),
    }
}

#[inline(never)]
fn padded(from: &[f32]) -> [f32; 4] {
    std::array::from_fn(|i| from.get(i).copied().unwrap_or(0.0))
}
