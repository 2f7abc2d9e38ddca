//! Back-propagation through a depthwise convolution: each channel has filters of its own. tfjs's kernel is `[rows, cols, channels, multiplier]`, and filter
//! `c·multiplier + m` sees channel `c` alone. Nothing is reused, so memory is the limit, and the channels of a pixel are the vectors.
//!
//! With a multiplier above 1 the images are stretched to one channel per filter, one image at a time: the rest need not know.

use super::window::{Axis, Window};

/// `dw [kernel, filters]` for `x [batch, input]` and `dy [batch, output]`. Overwrites `dw`, or adds to it.
/// Cost: batch · output · kernel multiply-adds.
pub fn filter_gradient(window: &Window, batch: usize, x: &[f32], dy: &[f32], add: bool, dw: &mut [f32]) {
    let (n, multiplier) = check(window, batch, x, dy, dw);
    if !add {
        dw.fill(0.0);
    }
    let mut stretched = Vec::new();
    for image in 0..batch {
        let (mut x, dy) = (&x[image * window.input()..][..window.input()], &dy[image * window.output()..][..window.output()]);
        if multiplier > 1 {
            stretched.clear();
            stretched.extend(x.iter().flat_map(|&x| std::iter::repeat_n(x, multiplier)));
            x = &stretched;
        }
        meetings(window, |tap, input, output| add_product(&mut dw[tap * n..][..n], &x[input * n..][..n], &dy[output * n..][..n]));
    }
}

/// `dx [batch, input]` for `dy [batch, output]` and `w [kernel, filters]`. Overwrites `dx`. Cost as [`filter_gradient`].
pub fn input_gradient(window: &Window, batch: usize, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    let (n, multiplier) = check(window, batch, dx, dy, w);
    dx.fill(0.0);
    let mut stretched = vec![0.0; if multiplier > 1 { window.input() * multiplier } else { 0 }];
    for image in 0..batch {
        let (dx, dy) = (&mut dx[image * window.input()..][..window.input()], &dy[image * window.output()..][..window.output()]);
        stretched.fill(0.0);
        let to = if multiplier > 1 { &mut stretched[..] } else { &mut *dx };
        meetings(window, |tap, input, output| add_product(&mut to[input * n..][..n], &dy[output * n..][..n], &w[tap * n..][..n]));
        for (dx, parts) in dx.iter_mut().zip(stretched.chunks_exact(multiplier.max(1))) {
            *dx = parts.iter().sum();
        }
    }
}

/// Filters, and how many each channel has.
fn check(window: &Window, batch: usize, x: &[f32], y: &[f32], w: &[f32]) -> (usize, usize) {
    let Window { rows, cols, channels, filters } = *window;
    assert!(filters.is_multiple_of(channels.max(1)));
    assert!(x.len() == batch * window.input() && y.len() == batch * window.output() && w.len() == rows.kernel * cols.kernel * filters);
    (filters, filters / channels.max(1))
}

fn add_product(sums: &mut [f32], a: &[f32], b: &[f32]) {
    sums.iter_mut().zip(a).zip(b).for_each(|((sum, a), b)| *sum += a * b);
}

/// Calls with a tap of the kernel, a pixel of the image and a pixel of the output, for all that meet.
fn meetings(window: &Window, mut each: impl FnMut(usize, usize, usize)) {
    let Window { rows, cols, .. } = *window;
    for out_row in 0..rows.output {
        for row_tap in 0..rows.kernel {
            let Some(row) = input(rows, out_row, row_tap) else { continue };
            for out_col in 0..cols.output {
                for col_tap in 0..cols.kernel {
                    let Some(col) = input(cols, out_col, col_tap) else { continue };
                    each(row_tap * cols.kernel + col_tap, row * cols.input + col, out_row * cols.output + out_col);
                }
            }
        }
    }
}

/// What an output sees at a tap, if it is no padding.
fn input(axis: Axis, output: usize, tap: usize) -> Option<usize> {
    (output * axis.stride + tap * axis.dilation).checked_sub(axis.before).filter(|&i| i < axis.input)
}
