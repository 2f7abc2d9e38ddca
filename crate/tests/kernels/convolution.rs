//! Sparse convolutions of panels equal the naive reference exactly, row by row and all at once. `test/wasm/convolution.test.ts` goes through more cases, in
//! the shipped binaries, and through strips.

use crate::support::{DENSITIES, Layer, Random, layer, reference};
use std::ops::Range;
use tfjs_sparse_kernels::kernels::backward::Decay;
use tfjs_sparse_kernels::kernels::convolution::{Convolution, Weights};
use tfjs_sparse_kernels::kernels::forward::{Activation, Tile};
use tfjs_sparse_kernels::kernels::pack::{pack, unpack};
use tfjs_sparse_kernels::kernels::window::Window;
use tfjs_sparse_kernels::lanes::Row;
use tfjs_sparse_kernels::pattern::CsrPattern;

/// As `windowOver` of `ts/pattern/window.ts`.
fn window(
    [height, width]: [usize; 2],
    [channels, filters]: [usize; 2],
    kernel: usize,
    stride: usize,
    dilation: usize,
    same: bool,
) -> Window {
    let reach = (kernel - 1) * dilation + 1;
    let output = |input: usize| if same { input.div_ceil(stride) } else { (input + stride - reach.min(input + stride)) / stride };
    let before = |input: usize| if same { (((output(input) - 1) * stride + reach).max(input) - input) / 2 } else { 0 };
    let (out_height, out_width) = (output(height), output(width));
    let [top, left] = [before(height), before(width)];
    let sizes = [height, width, channels, out_height, out_width, filters];
    let [a, b, c, d, e, f] = sizes;
    Window::new([a, b, c, d, e, f, kernel, kernel, stride, stride, dilation, dilation, top, left])
}

fn each_window(mut run: impl FnMut(usize, Window)) {
    let mut case = 0;
    for kernel in [1, 2, 3, 5, 7] {
        for stride in 1..4 {
            for dilation in 1..3 {
                for same in [true, false] {
                    for size in [[7, 9], [5, 6], [1, 17]] {
                        let features = [[1, 3], [3, 5], [5, 18]][case % 3];
                        run(case, window(size, features, kernel, stride, dilation, same));
                        case += 1;
                    }
                }
            }
        }
    }
}

/// Rows, some at a time.
fn some(rows: usize, step: usize) -> impl Iterator<Item = Range<usize>> {
    (0..rows).step_by(step).map(move |first| first..rows.min(first + step))
}

fn packed(images: &[f32], batch: usize, size: usize) -> Vec<Row> {
    let mut panel = vec![Row([f32::NAN; 16]); size];
    pack(images, &mut panel, batch, size);
    panel
}

/// `Y` of up to 16 images, `step` rows at a time.
fn forward(
    convolution: &Convolution,
    pattern: &CsrPattern,
    window: &Window,
    x: &[f32],
    (values, bias, activation): (&[f32], Option<&[f32]>, Activation),
    (tile, step): (Tile, usize),
) -> Vec<f32> {
    let images = x.len() / window.input();
    let mut ordered = vec![f32::NAN; convolution.entries()[0]];
    Convolution::forward_order(pattern, values, &mut ordered);
    let weights = Weights { values: &ordered, bias, activation };
    let (within, mut out) = (packed(x, images, window.input()), vec![Row([f32::NAN; 16]); window.output()]);
    let row = window.cols.output * window.filters;
    for rows in some(window.rows.output, step) {
        convolution.forward(window, rows.clone(), &within, &mut out[rows.start * row..rows.end * row], tile, &weights);
    }
    let mut y = vec![f32::NAN; images * window.output()];
    unpack(&out, &mut y, images, window.output());
    y
}

/// dX, if wanted, and dValues of a batch, `step` rows at a time.
fn backward(
    convolution: &Convolution,
    pattern: &CsrPattern,
    window: &Window,
    [x, dy]: [&[f32]; 2],
    (values, decay): (&[f32], Decay),
    (want_dx, step): (bool, usize),
) -> [Vec<f32>; 2] {
    let mut ordered = vec![f32::NAN; values.len()];
    convolution.backward_order(pattern, window, values, &mut ordered);
    let (mut dx, mut partial) = (vec![f32::NAN; x.len()], vec![[0.0; 4]; values.len()]);
    let row = window.cols.input * window.channels;
    let batch = x.len() / window.input();
    for first in (0..batch).step_by(16) {
        let images = 16.min(batch - first);
        let of = |size: usize| first * size..(first + images) * size;
        let (x, dy, dx) = (&x[of(window.input())], &dy[of(window.output())], &mut dx[of(window.input())]);
        let (x, dy) = (packed(x, images, window.input()), packed(dy, images, window.output()));
        let mut panel = vec![Row([f32::NAN; 16]); window.input()];
        for rows in some(window.rows.input, step) {
            let part = rows.start * row..rows.end * row;
            let dx = want_dx.then_some(&mut panel[part.clone()]);
            convolution.backward(window, rows, &x[part], &dy, &ordered, dx, &mut partial);
        }
        unpack(&panel, dx, images, window.input());
    }
    let mut d_values = vec![f32::NAN; values.len()];
    convolution.weight_gradient(pattern, window, &partial, values, &mut d_values, decay);
    [dx, d_values]
}

fn random_layer(random: &mut Random, case: usize, window: &Window) -> Layer {
    layer(random, window.weights() / window.filters, window.filters, DENSITIES[case / 3 % 4], case % 2 == 1)
}

/// Forward, and all gradients, of a batch in groups of 16.
fn check(random: &mut Random, case: usize, window: &Window, batch: usize) {
    let Layer { mask, pattern, dense, values, flat } = random_layer(random, case, window);
    let (x, dy) = (random.whole_numbers(batch * window.input()), random.whole_numbers(batch * window.output()));
    let bias = random.whole_numbers(window.filters);
    let name = format!("{window:?}, batch {batch}, case {case}");
    let convolution = Convolution::new(&pattern, window);
    for (tile, (activation, relu)) in Tile::ALL.into_iter().zip([(Activation::Linear, false), (Activation::Relu, true)]) {
        let weights = (&values[..], Some(&bias[..]), activation);
        let y: Vec<f32> =
            x.chunks(16 * window.input()).flat_map(|x| forward(&convolution, &pattern, window, x, weights, (tile, 1 + case % 4))).collect();
        assert_eq!(y, reference::convolution(window, &mask, &dense, &bias, &x, batch, relu), "forward {name}");
    }
    let [expected_dx, dw] = reference::convolution_gradients(window, &mask, &dense, &x, &dy, batch);
    let decay = Decay { forward: 2.0, rest: 3.0 };
    let expected: Vec<f32> = flat.iter().map(|&i| dw[i] + if mask[i] == 1 { 2.0 } else { 3.0 } * dense[i]).collect();
    for want_dx in [true, false] {
        let [dx, d_values] = backward(&convolution, &pattern, window, [&x, &dy], (&values, decay), (want_dx, 1 + case % 3));
        assert_eq!(d_values, expected, "dValues {name}");
        if want_dx {
            assert_eq!(dx, expected_dx, "dX {name}");
        }
    }
}

#[test]
fn equals_the_reference() {
    let mut random = Random(0xc0);
    each_window(|case, window| check(&mut random, case, &window, [1, 16, 3, 17, 9, 2][case % 6]));
}

#[test]
fn equals_the_reference_in_blocks_of_channels() {
    // All of 22 176 entries, of 7 channels: two blocks, the second one smaller. With B∖A and without.
    let window = window([3, 4], [7, 352], 3, 1, 1, true);
    assert_eq!(window.weights(), 22_176);
    let mut random = Random(0xb1);
    for case in [9, 10] {
        check(&mut random, case, &window, 17);
    }
}

#[test]
fn indices_that_16_bits_cannot_hold_count_from_nearer() {
    let mut random = Random(7);
    // The window reaches 65 536 lines of X, one more; a row of the kernel does; a tap.
    for (width, channels) in [(32_767, 2), (32_768, 2), (3, 30_000), (2, 65_536)] {
        let window = window([2, width], [channels, 1], 2, 1, 1, false);
        let (rows, sparse) = (window.weights(), layer(&mut random, window.weights(), 1, 1, false));
        assert_eq!(rows, 4 * channels);
        let (x, dy) = (random.whole_numbers(window.input()), random.whole_numbers(window.output()));
        let convolution = Convolution::new(&sparse.pattern, &window);
        let weights = (&sparse.values[..], None, Activation::Linear);
        let y = forward(&convolution, &sparse.pattern, &window, &x, weights, (Tile::S32x1, 1));
        assert_eq!(y, reference::convolution(&window, &sparse.mask, &sparse.dense, &[0.0], &x, 1, false), "{window:?}");
        let [expected_dx, dw] = reference::convolution_gradients(&window, &sparse.mask, &sparse.dense, &x, &dy, 1);
        let weights = (&sparse.values[..], Decay::default());
        let expected: Vec<f32> = sparse.flat.iter().map(|&i| dw[i]).collect();
        for want_dx in [true, false] {
            let [dx, d_values] = backward(&convolution, &sparse.pattern, &window, [&x, &dy], weights, (want_dx, 1));
            assert_eq!(d_values, expected, "{window:?}");
            assert!(!want_dx || dx == expected_dx, "{window:?}");
        }
    }
}
