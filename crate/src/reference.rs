//! The specification: dense, naive, never made faster. Compiled for tests only (`tests/` includes it by path).
//!
//! Matrices are row-major `Vec`s; `mask` says which entries of `W [out, in]` are stored: 0 not, 1 in the forward set A, 2 in B∖A.

use tfjs_sparse_kernels::kernels::window::{Axis, Window};

/// `Y = act(X·Wᵀ + b)` with the entries of A.
pub fn forward(mask: &[u8], w: &[f32], bias: &[f32], x: &[f32], batch: usize, cols: usize, relu: bool) -> Vec<f32> {
    let rows = bias.len();
    let mut y = vec![0.0; batch * rows];
    for b in 0..batch {
        for r in 0..rows {
            let mut sum = bias[r];
            for c in 0..cols {
                if mask[r * cols + c] == 1 {
                    sum += w[r * cols + c] * x[b * cols + c];
                }
            }
            y[b * rows + r] = if relu && sum < 0.0 { 0.0 } else { sum };
        }
    }
    y
}

/// dX over A, and the dense dYᵀ·X.
pub fn backward(mask: &[u8], w: &[f32], x: &[f32], dy: &[f32], batch: usize, rows: usize, cols: usize) -> [Vec<f32>; 2] {
    let mut dx = vec![0.0; batch * cols];
    let mut dw = vec![0.0; rows * cols];
    for b in 0..batch {
        for r in 0..rows {
            for c in 0..cols {
                if mask[r * cols + c] == 1 {
                    dx[b * cols + c] += w[r * cols + c] * dy[b * rows + r];
                }
                dw[r * cols + c] += dy[b * rows + r] * x[b * cols + c];
            }
        }
    }
    [dx, dw]
}

/// The indices of the k largest magnitudes, by a full sort: equal magnitudes, the lower index first. Ascending.
pub fn top_k(values: &[f32], k: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    order.sort_by(|&a, &b| values[b as usize].abs().total_cmp(&values[a as usize].abs()).then(a.cmp(&b)));
    order.truncate(k);
    order.sort();
    order
}

/// `op(A)·op(B) + b`, its terms in order.
pub fn dense([m, n, k]: [usize; 3], [transpose_a, transpose_b]: [bool; 2], a: &[f32], b: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let mut c = vec![0.0; m * n];
    for i in 0..m {
        for j in 0..n {
            for p in 0..k {
                let left = if transpose_a { a[p * m + i] } else { a[i * k + p] };
                let right = if transpose_b { b[j * k + p] } else { b[p * n + j] };
                c[i * n + j] += left * right;
            }
            c[i * n + j] += bias.map_or(0.0, |bias| bias[j]);
        }
    }
    c
}

/// `Y = act(X ∗ W + b)`: `x [batch, height, width, channels]`, W and its mask in tfjs's order `[kernel rows, kernel columns, channels, filters]`.
pub fn convolution(window: &Window, mask: &[u8], w: &[f32], bias: &[f32], x: &[f32], batch: usize, relu: bool) -> Vec<f32> {
    let mut y: Vec<f32> = bias.iter().copied().cycle().take(batch * window.output()).collect();
    for_each_tap(window, batch, |x_at, w_at, y_at| {
        if mask[w_at] == 1 {
            y[y_at] += x[x_at] * w[w_at];
        }
    });
    y.into_iter().map(|y| if relu && y < 0.0 { 0.0 } else { y }).collect()
}

/// dX over A, and the dense dW.
pub fn convolution_gradients(window: &Window, mask: &[u8], w: &[f32], x: &[f32], dy: &[f32], batch: usize) -> [Vec<f32>; 2] {
    let mut dx = vec![0.0; batch * window.input()];
    let mut dw = vec![0.0; window.weights()];
    for_each_tap(window, batch, |x_at, w_at, y_at| {
        if mask[w_at] == 1 {
            dx[x_at] += w[w_at] * dy[y_at];
        }
        dw[w_at] += x[x_at] * dy[y_at];
    });
    [dx, dw]
}

/// Calls `visit(input, weight, output)` for every product of a convolution.
pub fn for_each_tap(window: &Window, batch: usize, mut visit: impl FnMut(usize, usize, usize)) {
    let Window { rows, cols, channels, filters } = *window;
    let input = |axis: Axis, output: usize, tap: usize| {
        let padded = output * axis.stride + tap * axis.dilation;
        padded.checked_sub(axis.before).filter(|&i| i < axis.input)
    };
    for b in 0..batch {
        for oy in 0..rows.output {
            for ox in 0..cols.output {
                for ky in 0..rows.kernel {
                    for kx in 0..cols.kernel {
                        let (Some(iy), Some(ix)) = (input(rows, oy, ky), input(cols, ox, kx)) else { continue };
                        for c in 0..channels {
                            for o in 0..filters {
                                let x = ((b * rows.input + iy) * cols.input + ix) * channels + c;
                                let w = ((ky * cols.kernel + kx) * channels + c) * filters + o;
                                let y = ((b * rows.output + oy) * cols.output + ox) * filters + o;
                                visit(x, w, y);
                            }
                        }
                    }
                }
            }
        }
    }
}
