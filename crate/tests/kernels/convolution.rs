//! Sparse convolutions equal the naive reference exactly. `test/wasm/convolution.test.ts` goes through more cases, in the shipped binaries.

use crate::support::{DENSITIES, Layer, Random, layer, reference};
use tfjs_sparse_kernels::kernels::backward::Decay;
use tfjs_sparse_kernels::kernels::convolution::{Convolution, Room};
use tfjs_sparse_kernels::kernels::forward::{Activation, Tile};
use tfjs_sparse_kernels::kernels::window::Window;
use tfjs_sparse_kernels::lanes::Row;

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

/// What a call works in, filled with what must not matter.
struct Memory {
    panels: [Vec<Row>; 3],
    partial: Vec<[f32; 4]>,
    values: Vec<f32>,
}

impl Memory {
    fn new(window: &Window, nnz: usize) -> Self {
        let panels = [window.input(), window.output(), window.input()].map(|rows| vec![Row([f32::NAN; 16]); rows]);
        Self { panels, partial: vec![[f32::NAN; 4]; nnz], values: vec![f32::NAN; nnz] }
    }

    fn room(&mut self) -> Room<'_> {
        let [x, y, dx] = &mut self.panels;
        Room { x, y, dx, partial: &mut self.partial, values: &mut self.values }
    }
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
    let mut memory = Memory::new(window, values.len());
    for (tile, (activation, relu)) in Tile::ALL.into_iter().zip([(Activation::Linear, false), (Activation::Relu, true)]) {
        let mut y = vec![f32::NAN; batch * window.output()];
        for first in (0..batch).step_by(16) {
            let images = 16.min(batch - first);
            let x = &x[first * window.input()..][..images * window.input()];
            let y = &mut y[first * window.output()..][..images * window.output()];
            convolution.forward(&pattern, window, images, x, &values, Some(&bias), y, activation, tile, memory.room());
        }
        assert_eq!(y, reference::convolution(window, &mask, &dense, &bias, &x, batch, relu), "forward {name}");
    }
    let [expected_dx, dw] = reference::convolution_gradients(window, &mask, &dense, &x, &dy, batch);
    let decay = Decay { forward: 2.0, rest: 3.0 };
    let expected: Vec<f32> = flat.iter().map(|&i| dw[i] + if mask[i] == 1 { 2.0 } else { 3.0 } * dense[i]).collect();
    for want_dx in [true, false] {
        let mut dx = vec![f32::NAN; x.len()];
        let (mut d_values, mut d_bias) = (vec![f32::NAN; values.len()], vec![f32::NAN; bias.len()]);
        for first in (0..batch).step_by(16) {
            let images = 16.min(batch - first);
            let part = |all: usize| first * all..(first + images) * all;
            let (x, dy, dx) = (&x[part(window.input())], &dy[part(window.output())], &mut dx[part(window.input())]);
            let ends = [first == 0, first + images == batch];
            let dx = want_dx.then_some(dx);
            convolution.backward(&pattern, window, images, x, &values, dy, dx, &mut d_values, &mut d_bias, ends, decay, memory.room());
        }
        assert_eq!(d_values, expected, "dValues {name}");
        let d_bias_of = |o: usize| dy.iter().skip(o).step_by(window.filters).sum::<f32>();
        assert_eq!(d_bias, (0..window.filters).map(d_bias_of).collect::<Vec<_>>(), "dBias {name}");
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
        let mut memory = Memory::new(&window, sparse.values.len());
        let mut y = vec![f32::NAN; window.output()];
        convolution.forward(&sparse.pattern, &window, 1, &x, &sparse.values, None, &mut y, Activation::Linear, Tile::S32x1, memory.room());
        assert_eq!(y, reference::convolution(&window, &sparse.mask, &sparse.dense, &[0.0], &x, 1, false), "{window:?}");
        let [_, dw] = reference::convolution_gradients(&window, &sparse.mask, &sparse.dense, &x, &dy, 1);
        let (mut d_values, mut d_bias) = (vec![f32::NAN; sparse.values.len()], [0.0]);
        let (values, decay) = (&sparse.values, Decay::default());
        convolution.backward(
            &sparse.pattern,
            &window,
            1,
            &x,
            values,
            &dy,
            None,
            &mut d_values,
            &mut d_bias,
            [true; 2],
            decay,
            memory.room(),
        );
        assert_eq!(d_values, sparse.flat.iter().map(|&i| dw[i]).collect::<Vec<_>>(), "{window:?}");
    }
}
