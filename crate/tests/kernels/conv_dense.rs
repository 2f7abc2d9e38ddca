//! Dense and depthwise convolutions and max pooling equal the naive reference exactly, forward and back.

use crate::support::{Random, reference};
use tfjs_sparse_kernels::kernels::conv_dense::{filter_gradient, forward, input_gradient};
use tfjs_sparse_kernels::kernels::dense::Scratch;
use tfjs_sparse_kernels::kernels::depthwise;
use tfjs_sparse_kernels::kernels::pool::max_gradient;
use tfjs_sparse_kernels::kernels::window::Window;

/// Of one dimension: input, output, kernel, stride, dilation, before.
type Line = [usize; 6];

/// With 'same' padding, or 'valid' if the window fits.
fn line(input: usize, kernel: usize, stride: usize, dilation: usize, same: bool) -> Option<Line> {
    let reach = (kernel - 1) * dilation + 1;
    if same {
        let output = input.div_ceil(stride);
        Some([input, output, kernel, stride, dilation, ((output - 1) * stride + reach).saturating_sub(input) / 2])
    } else {
        (input >= reach).then(|| [input, (input - reach) / stride + 1, kernel, stride, dilation, 0])
    }
}

fn numbers(rows: Line, cols: Line, channels: usize, filters: usize) -> [usize; 14] {
    let [height, out_height, kh, sh, dh, top] = rows;
    let [width, out_width, kw, sw, dw, left] = cols;
    [height, width, channels, out_height, out_width, filters, kh, kw, sh, sw, dh, dw, top, left]
}

fn check(random: &mut Random, scratch: &mut Scratch, numbers: [usize; 14], batch: usize) {
    let window = Window::new(numbers);
    let (x, w) = (random.whole_numbers(batch * window.input()), random.whole_numbers(window.weights()));
    let (dy, bias) = (random.whole_numbers(batch * window.output()), random.whole_numbers(window.filters));
    let [mut y, mut dx, mut dw] = [dy.len(), x.len(), w.len()].map(|n| vec![0.0; n]);
    reference::for_each_tap(&window, batch, |input, weight, output| {
        y[output] += w[weight] * x[input];
        dx[input] += w[weight] * dy[output];
        dw[weight] += dy[output] * x[input];
    });
    // What is not written shows.
    let [mut received_y, mut received_dx, mut received_dw] = [&y, &dx, &dw].map(|v| vec![f32::NAN; v.len()]);
    forward(&window, batch, &x, &w, None, false, &mut received_y, scratch);
    assert_eq!(received_y, y, "y of {window:?}, batch {batch}");
    forward(&window, batch, &x, &w, Some(&bias), true, &mut received_y, scratch);
    let act: Vec<f32> = y.iter().enumerate().map(|(i, v)| (v + bias[i % bias.len()]).max(0.0)).collect();
    assert_eq!(received_y, act, "act(y + bias) of {window:?}, batch {batch}");
    input_gradient(&window, batch, &dy, &w, &mut received_dx, scratch);
    assert_eq!(received_dx, dx, "dx of {window:?}, batch {batch}");
    filter_gradient(&window, batch, &x, &dy, false, &mut received_dw, scratch);
    assert_eq!(received_dw, dw, "dw of {window:?}, batch {batch}");
    filter_gradient(&window, batch, &x, &dy, true, &mut received_dw, scratch);
    assert_eq!(received_dw, dw.iter().map(|v| 2.0 * v).collect::<Vec<_>>(), "dw twice of {window:?}, batch {batch}");
}

/// The same with filters of their own for each channel.
fn check_depthwise(random: &mut Random, mut numbers: [usize; 14], multiplier: usize, batch: usize) {
    numbers[5] = numbers[2] * multiplier;
    let window = Window::new(numbers);
    let w = random.whole_numbers(window.weights() / window.channels);
    let (x, dy) = (random.whole_numbers(batch * window.input()), random.whole_numbers(batch * window.output()));
    let [mut dx, mut dw] = [x.len(), w.len()].map(|n| vec![0.0; n]);
    reference::for_each_tap(&window, batch, |input, weight, output| {
        let filter = weight % window.filters;
        if weight / window.filters % window.channels == filter / multiplier {
            let weight = weight / window.filters / window.channels * window.filters + filter;
            dx[input] += w[weight] * dy[output];
            dw[weight] += dy[output] * x[input];
        }
    });
    let [mut received_dx, mut received_dw] = [&dx, &dw].map(|v| vec![f32::NAN; v.len()]);
    depthwise::input_gradient(&window, batch, &dy, &w, &mut received_dx);
    assert_eq!(received_dx, dx, "dx of {window:?}, batch {batch}, depthwise");
    depthwise::filter_gradient(&window, batch, &x, &dy, false, &mut received_dw);
    assert_eq!(received_dw, dw, "dw of {window:?}, batch {batch}, depthwise");
    depthwise::filter_gradient(&window, batch, &x, &dy, true, &mut received_dw);
    assert_eq!(received_dw, dw.iter().map(|v| 2.0 * v).collect::<Vec<_>>(), "dw twice of {window:?}, batch {batch}, depthwise");
}

fn check_pool(random: &mut Random, mut numbers: [usize; 14], batch: usize) {
    numbers[5] = numbers[2];
    let window = Window::new(numbers);
    // Few values, so that there are equal ones in a window.
    let x: Vec<f32> = (0..batch * window.input()).map(|_| random.below(4) as f32).collect();
    let dy = random.whole_numbers(batch * window.output());
    let (mut largest, mut first) = (vec![f32::NEG_INFINITY; dy.len()], vec![None; dy.len()]);
    reference::for_each_tap(&window, batch, |input, _, output| {
        if input % window.channels == output % window.channels && x[input] > largest[output] {
            (largest[output], first[output]) = (x[input], Some(input));
        }
    });
    let mut dx = vec![0.0; x.len()];
    first.into_iter().zip(&dy).for_each(|(input, dy)| {
        if let Some(input) = input {
            dx[input] += dy
        }
    });
    let mut received = vec![f32::NAN; x.len()];
    max_gradient(&window, batch, &x, &dy, &mut received);
    assert_eq!(received, dx, "dx of {window:?}, batch {batch}, max pooling");
}

#[test]
fn equals_the_reference() {
    let (mut random, mut scratch) = (Random(0x5eed), Scratch::default());
    let mut checked = 0;
    for kernel in [1, 2, 3, 5, 7] {
        for stride in 1..=3 {
            for dilation in 1..=2 {
                for same in [false, true] {
                    for (height, width) in [(7, 9), (8, 8), (5, 6), (1, 2), (13, 1)] {
                        let rows = line(height, kernel, stride, dilation, same);
                        // Not square, so that a swap of the two shows.
                        let cols = line(width, kernel.max(2) - 1, stride % 3 + 1, 3 - dilation, same);
                        let (Some(rows), Some(cols)) = (rows, cols) else { continue };
                        let [channels, filters, batch] = [9, 17, 3].map(|most| 1 + random.below(most) as usize);
                        check(&mut random, &mut scratch, numbers(rows, cols, channels, filters), batch);
                        check_depthwise(&mut random, numbers(rows, cols, channels, 0), 1 + checked % 3, batch);
                        check_pool(&mut random, numbers(rows, cols, channels, 0), batch);
                        checked += 1;
                    }
                }
            }
        }
    }
    assert!(checked > 150, "{checked}");
}

#[test]
fn equals_the_reference_over_many_blocks() {
    let (mut random, mut scratch) = (Random(7), Scratch::default());
    for (kernel, stride, dilation) in [(3, 1, 1), (3, 2, 1), (3, 1, 2), (5, 3, 1), (1, 1, 1)] {
        let [rows, cols] = [11, 14].map(|input| line(input, kernel, stride, dilation, true).expect("'same' fits"));
        check(&mut random, &mut scratch, numbers(rows, cols, 67, 66), 4);
    }
}

#[test]
fn equals_the_reference_where_padding_is_wider_than_the_kernel_and_outputs_do_not_reach_the_end() {
    let (mut random, mut scratch) = (Random(9), Scratch::default());
    for before in 0..6 {
        for output in 1..5 {
            for stride in 1..=4 {
                for dilation in 1..=4 {
                    let rows = [4, output, 2, stride, dilation, before];
                    check(&mut random, &mut scratch, numbers(rows, [5, 3, 1, 2, 1, before / 2], 2, 3), 2);
                }
            }
        }
    }
}
