//! The specification: dense, naive, never made faster. Compiled for tests only (`tests/` includes it by path).
//!
//! Matrices are row-major `Vec`s; `mask` says which entries of `W [out, in]` are stored: 0 not, 1 in the forward set A, 2 in B∖A.

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
