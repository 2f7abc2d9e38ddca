//! Back-propagation through a depthwise convolution: each channel has filters of its own. tfjs's kernel is `[rows, cols, channels, multiplier]`, and filter
//! `c·multiplier + m` sees channel `c` alone. Nothing is reused, so memory is the limit, and the channels of a pixel are the vectors.
//!
//! With a multiplier above 1 the images are stretched to one channel per filter, one image at a time: the rest need not know.

use super::window::Window;
use crate::lanes::F32x4;

/// `dw [kernel, filters]` for `x [batch, input]` and `dy [batch, output]`. Overwrites `dw`, or adds to it.
/// Cost: batch · output · kernel multiply-adds.
pub fn filter_gradient(window: &Window, batch: usize, x: &[f32], dy: &[f32], add: bool, dw: &mut [f32]) {
    let (n, multiplier) = check(window, batch, x, dy, dw);
    if !add {
        dw.fill(0.0);
    }
    let mut stretched = stretched(window, multiplier);
    for image in 0..batch {
        let (mut x, dy) = (&x[image * window.input()..][..window.input()], &dy[image * window.output()..][..window.output()]);
        if multiplier > 1 {
            for (to, x) in stretched.chunks_exact_mut(multiplier).zip(x) {
                to.fill(*x);
            }
            x = &stretched;
        }
        meetings(window, &mut |tap, input, output| add_product(&mut dw[tap * n..][..n], &x[input * n..][..n], &dy[output * n..][..n]));
    }
}

/// `dx [batch, input]` for `dy [batch, output]` and `w [kernel, filters]`. Overwrites `dx`. Cost as [`filter_gradient`].
pub fn input_gradient(window: &Window, batch: usize, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    let (n, multiplier) = check(window, batch, dx, dy, w);
    dx.fill(0.0);
    let mut stretched = stretched(window, multiplier);
    for image in 0..batch {
        let (dx, dy) = (&mut dx[image * window.input()..][..window.input()], &dy[image * window.output()..][..window.output()]);
        stretched.fill(0.0);
        let to = if multiplier > 1 { &mut stretched[..] } else { &mut *dx };
        meetings(window, &mut |tap, input, output| add_product(&mut to[input * n..][..n], &dy[output * n..][..n], &w[tap * n..][..n]));
        for (dx, parts) in dx.iter_mut().zip(stretched.chunks_exact(multiplier)) {
            *dx = parts.iter().fold(0.0, |sum, part| sum + part);
        }
    }
}

/// Room for one image with a channel for each filter, where that is another one.
fn stretched(window: &Window, multiplier: usize) -> Vec<f32> {
    vec![0.0; if multiplier > 1 { window.input() * multiplier } else { 0 }]
}

/// Filters, and how many each channel has.
fn check(window: &Window, batch: usize, x: &[f32], y: &[f32], w: &[f32]) -> (usize, usize) {
    let Window { rows, cols, channels, filters } = *window;
    assert!(filters.is_multiple_of(channels.max(1)));
    assert!(x.len() == batch * window.input() && y.len() == batch * window.output() && w.len() == rows.kernel * cols.kernel * filters);
    // One where there are none, which are no length of a chunk.
    (filters, (filters / channels.max(1)).max(1))
}

/// `sums += a·b`, one by one.
#[inline(never)]
fn add_product(sums: &mut [f32], a: &[f32], b: &[f32]) {
    let (rows, rest) = sums.as_chunks_mut::<16>();
    let (a, a_rest) = a.as_chunks::<16>();
    let (b, b_rest) = b.as_chunks::<16>();
    for ((sums, a), b) in rows.iter_mut().zip(a).zip(b) {
        let (sums, a, b) = (sums.as_chunks_mut::<4>().0, a.as_chunks::<4>().0, b.as_chunks::<4>().0);
        for i in 0..4 {
            F32x4::load(&a[i]).mul_add(F32x4::load(&b[i]), F32x4::load(&sums[i])).store(&mut sums[i]);
        }
    }
    rest.iter_mut().zip(a_rest).zip(b_rest).for_each(|((sum, a), b)| *sum += a * b);
}

/// Calls with a tap of the kernel, a pixel of the image and a pixel of the output, for all that meet.
#[inline(never)]
fn meetings(window: &Window, each: &mut dyn FnMut(usize, usize, usize)) {
    let Window { rows, cols, .. } = *window;
    for out_row in 0..rows.output {
        for row_tap in 0..rows.kernel {
            let Some(row) = rows.seen(out_row, row_tap) else { continue };
            for out_col in 0..cols.output {
                for col_tap in 0..cols.kernel {
                    let Some(col) = cols.seen(out_col, col_tap) else { continue };
                    each(row_tap * cols.kernel + col_tap, row * cols.input + col, out_row * cols.output + out_col);
                }
            }
        }
    }
}
