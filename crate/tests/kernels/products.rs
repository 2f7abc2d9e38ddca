//! Each product equals the naive reference exactly.

use crate::support::{BATCHES, DENSITIES, Layer, Random, SHAPES, layer, reference};
use tfjs_sparse_kernels::kernels::backward::{self, Backward, Decay};
use tfjs_sparse_kernels::kernels::forward::{Activation, Forward, Tile};
use tfjs_sparse_kernels::kernels::layer::{self, Scratch};
use tfjs_sparse_kernels::kernels::sddmm::Sddmm;
use tfjs_sparse_kernels::kernels::{backward_rows, full, pack, panels};
use tfjs_sparse_kernels::lanes::{F32x4, Row};
use tfjs_sparse_kernels::pattern::CsrPattern;

fn each_case(mut run: impl FnMut(&mut Random, usize, usize, usize, Layer)) {
    let mut random = Random(0x5eed);
    for (rows, cols) in SHAPES {
        for density in DENSITIES {
            for batch in BATCHES {
                for backward_set in [false, true] {
                    let layer = layer(&mut random, rows, cols, density, backward_set);
                    run(&mut random, batch, rows, cols, layer);
                }
            }
        }
    }
}

fn forward(product: &Forward, y: &mut [Row]) {
    layer::forward(product, y, &mut Scratch::default());
}

fn packed(rows: &[f32], batch: usize, features: usize) -> Vec<Row> {
    let mut out = vec![Row([f32::NAN; 16]); panels(batch) * features];
    pack::pack(rows, &mut out, batch, features);
    out
}

fn unpacked(panels: &[Row], batch: usize, features: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; batch * features];
    pack::unpack(panels, &mut out, batch, features);
    out
}

/// Rows hold zeros beyond the batch.
fn assert_padded(panels: &[Row], batch: usize, features: usize) {
    for (i, row) in panels.iter().enumerate() {
        assert!(row.0[(batch - i / features * 16).min(16)..].iter().all(|&v| v == 0.0), "batch {batch}, row {i} of {features}");
    }
}

#[test]
fn packing_is_undone_by_unpacking_and_pads_with_zeros() {
    let mut random = Random(1);
    for batch in BATCHES {
        for features in [0, 1, 3, 4, 15, 16, 17, 70] {
            let rows = random.whole_numbers(batch * features);
            let packed = packed(&rows, batch, features);
            assert_eq!(unpacked(&packed, batch, features), rows, "batch {batch}, {features} features");
            assert_padded(&packed, batch, features);
        }
    }
}

#[test]
fn forward_equals_the_reference() {
    each_case(|random, batch, rows, cols, layer| {
        let x = random.whole_numbers(batch * cols);
        let bias = random.whole_numbers(rows);
        for (activation, relu) in [(Activation::Linear, false), (Activation::Relu, true)] {
            let expected = reference::forward(&layer.mask, &layer.dense, &bias, &x, batch, cols, relu);
            for tile in Tile::ALL {
                let mut y = vec![Row([f32::NAN; 16]); panels(batch) * rows];
                let x = packed(&x, batch, cols);
                forward(&Forward::new(&layer.pattern, &layer.values, Some(&bias), &x, batch, activation, tile), &mut y);
                assert_eq!(unpacked(&y, batch, rows), expected, "{rows}×{cols}, batch {batch}, {tile:?}");
                assert_padded(&y, batch, rows);
            }
        }
    });
}

/// More columns than one block, more entries than one piece of rows, and more than lie close together in row order.
#[test]
fn forward_in_blocks_and_pieces_equals_the_reference() {
    let mut random = Random(11);
    for (rows, cols, density) in [(5, 9000, 5), (40, 4097, 90), (72, 4097, 90), (3, 70_000, 1), (2, 70_000, 5)] {
        let layer = layer(&mut random, rows, cols, density, true);
        for batch in [3, 29, 36] {
            let (x, bias) = (random.whole_numbers(batch * cols), random.whole_numbers(rows));
            let expected = reference::forward(&layer.mask, &layer.dense, &bias, &x, batch, cols, true);
            let x = packed(&x, batch, cols);
            for tile in Tile::ALL {
                let mut y = vec![Row([f32::NAN; 16]); panels(batch) * rows];
                let product = Forward::new(&layer.pattern, &layer.values, Some(&bias), &x, batch, Activation::Relu, tile);
                forward(&product, &mut y);
                assert_eq!(unpacked(&y, batch, rows), expected);
                assert_padded(&y, batch, rows);
            }
        }
    }
}

/// A row, and a column, with more entries than a piece has: the piece before it is empty.
#[test]
fn a_piece_without_lines_is_no_harm() {
    let (lines, long, batch) = (10_000, 60_000u32, 32);
    // Line 0 has 60 000 entries, each other 14.
    let ends = (0..lines).map(|line| long + 14 * line);
    let offsets: Vec<u32> = std::iter::once(0).chain(ends).collect();
    let indices: Vec<u32> = (0..long).chain((1..lines).flat_map(|line| line..line + 14)).collect();
    let wide = CsrPattern::new(1 << 16, offsets.clone(), offsets[1..].to_vec(), indices.clone()).unwrap();
    assert!(wide.nnz() > 3 << 16);
    let (x, values) = (vec![Row([1.0; 16]); 2 << 16], vec![2.0; wide.nnz()]);
    for tile in Tile::ALL {
        let mut y = vec![Row([f32::NAN; 16]); 2 * lines as usize];
        forward(&Forward::new(&wide, &values, None, &x, batch, Activation::Linear, tile), &mut y);
        assert!(y.iter().enumerate().all(|(i, row)| row.0 == [if i % lines as usize == 0 { 120_000.0 } else { 28.0 }; 16]));
    }

    // The same, transposed: entry (line, index) at (index, line), those of each index by ascending line.
    let mut columns = vec![Vec::new(); 1 << 16];
    for line in 0..lines as usize {
        for &index in &indices[offsets[line] as usize..offsets[line + 1] as usize] {
            columns[index as usize].push(line as u32);
        }
    }
    let ends = columns.iter().scan(0, |end, column| {
        *end += column.len() as u32;
        Some(*end)
    });
    let offsets: Vec<u32> = std::iter::once(0).chain(ends).collect();
    let tall = CsrPattern::new(lines as usize, offsets.clone(), offsets[1..].to_vec(), columns.concat()).unwrap();
    let (x, dy) = (vec![Row([1.0; 16]); 2 * lines as usize], vec![Row([1.0; 16]); 2 << 16]);
    let mut dx = vec![Row([f32::NAN; 16]); x.len()];
    for dx_out in [Some(&mut dx[..]), None] {
        let mut d_values = vec![f32::NAN; tall.nnz()];
        let products = Backward::new(&tall, &values, &x, &dy, batch, Decay::default());
        layer::backward(&products, dx_out, &mut d_values, &mut [], &mut Scratch::default());
        assert!(d_values.iter().all(|&sum| sum == 32.0));
    }
    assert!(dx.iter().enumerate().all(|(i, row)| row.0 == [if i % lines as usize == 0 { 120_000.0 } else { 28.0 }; 16]));
}

#[test]
fn backward_equals_the_reference() {
    let mut scratch = Scratch::default();
    each_case(|random, batch, rows, cols, layer| {
        let x = random.whole_numbers(batch * cols);
        let dy = random.whole_numbers(batch * rows);
        let [dx, dw] = reference::backward(&layer.mask, &layer.dense, &x, &dy, batch, rows, cols);
        let decay = Decay { forward: 2.0, rest: 8.0 };
        let with_decay = |&i: &usize| dw[i] + layer.dense[i] * if layer.mask[i] == 1 { 2.0 } else { 8.0 };
        let expected: Vec<f32> = layer.flat.iter().map(with_decay).collect();
        let (xp, dyp, panels) = (packed(&x, batch, cols), packed(&dy, batch, rows), panels(batch));
        let mut dx_panels = vec![Row([f32::NAN; 16]); panels * cols];
        for dx_out in [Some(&mut dx_panels[..]), None] {
            let mut d_values = vec![f32::NAN; layer.values.len()];
            let products = Backward::new(&layer.pattern, &layer.values, &xp, &dyp, batch, decay);
            layer::backward(&products, dx_out, &mut d_values, &mut [], &mut scratch);
            assert_eq!(d_values, expected, "{rows}×{cols}, batch {batch}");
        }
        assert_eq!(unpacked(&dx_panels, batch, cols), dx, "{rows}×{cols}, batch {batch}");

        let mut d_bias = vec![3.0; rows];
        backward::bias(&dyp, &mut d_bias);
        assert_eq!(d_bias, bias_gradient(&dy, rows).map(|sum| 3.0 + sum).collect::<Vec<_>>());
    });
}

fn bias_gradient(dy: &[f32], rows: usize) -> impl Iterator<Item = f32> {
    (0..rows).map(move |r| dy.iter().skip(r).step_by(rows).sum())
}

/// More entries than one chunk holds, more rows than one block, and most weights of a large layer.
#[test]
fn backward_in_chunks_and_blocks_equals_the_reference() {
    let mut random = Random(7);
    for (rows, cols, density, backward_set) in [
        (300, 300, 90, true),
        (9000, 5, 5, true),
        (4100, 17, 60, true),
        (4100, 40, 60, false),
        (70_000, 3, 1, true),
        (20, 20_000, 90, true),
        (1000, 900, 99, true),
        (800, 900, 99, false),
    ] {
        let layer = layer(&mut random, rows, cols, density, backward_set);
        for batch in [5, 36] {
            assert_eq!(full::serves_backward(&layer.pattern, batch), rows * cols > 700_000 && batch == 36);
            let (x, dy) = (random.whole_numbers(batch * cols), random.whole_numbers(batch * rows));
            let [dx, dw] = reference::backward(&layer.mask, &layer.dense, &x, &dy, batch, rows, cols);
            let mut dx_panels = vec![Row([f32::NAN; 16]); panels(batch) * cols];
            let (xp, dyp) = (packed(&x, batch, cols), packed(&dy, batch, rows));
            let products = Backward::new(&layer.pattern, &layer.values, &xp, &dyp, batch, Decay::default());
            for dx_out in [Some(&mut dx_panels[..]), None] {
                let (mut d_values, mut bias) = (vec![f32::NAN; layer.values.len()], vec![F32x4::splat(0.0); rows]);
                layer::backward(&products, dx_out, &mut d_values, &mut bias, &mut Scratch::default());
                assert!(bias.iter().map(|lanes| lanes.sum()).eq(bias_gradient(&dy, rows)));
                assert_eq!(d_values, layer.flat.iter().map(|&i| dw[i]).collect::<Vec<_>>());
            }
            assert_eq!(unpacked(&dx_panels, batch, cols), dx);
        }
    }
}

/// Whatever order serves a layer and a batch. Without dX but where indices of one order are 32 bits wide: there two panels do not go through together.
#[test]
fn row_by_row_has_the_bits_of_column_by_column() {
    let mut random = Random(17);
    for (rows, cols, density, backward_set) in [(300, 300, 90, true), (70, 90, 30, false), (70, 90, 30, true), (7, 70_000, 2, true)] {
        let layer = layer(&mut random, rows, cols, density, backward_set);
        for batch in [1, 4, 8, 16, 21, 40] {
            let tenths = |numbers: Vec<f32>| -> Vec<f32> { numbers.iter().map(|number| number * 0.1).collect() };
            let (x, dy) = (tenths(random.whole_numbers(batch * cols)), tenths(random.whole_numbers(batch * rows)));
            let (x, dy) = (packed(&x, batch, cols), packed(&dy, batch, rows));
            let products = Backward::new(&layer.pattern, &layer.values, &x, &dy, batch, Decay::default());
            let mut scratch = backward::Scratch::default();
            let mut results = [0, 1].map(|_| (vec![Row([f32::NAN; 16]); panels(batch) * cols], vec![f32::NAN; layer.values.len()]));
            let [by_columns, by_rows] = &mut results;
            for i in 0..products.chunks() {
                products.chunk(i, &mut by_columns.0, &mut by_columns.1, &mut [], &mut scratch);
            }
            backward_rows::backward(&products, &mut by_rows.0, &mut by_rows.1, &mut scratch);
            assert_eq!(by_columns.1, by_rows.1, "{rows}×{cols}, batch {batch}");
            assert!(by_columns.0 == by_rows.0, "{rows}×{cols}, batch {batch}");

            let [without_dx, by_columns] = [true, false].map(|by_rows| {
                let products = Sddmm::along(&products, by_rows);
                let mut d_values = vec![f32::NAN; layer.values.len()];
                (0..products.chunks()).for_each(|i| products.chunk(i, &mut d_values, &mut [], &mut scratch));
                d_values
            });
            if cols < 65_536 || batch < 32 {
                assert_eq!(without_dx, by_columns, "{rows}×{cols}, batch {batch}, without dX");
            }
            if batch < 32 {
                assert_eq!(without_dx, by_rows.1, "{rows}×{cols}, batch {batch}, without dX");
            }
        }
    }
}

/// More terms and samples than a block of the dense product has. Of whole numbers dW is exact in any order; of others it is near.
#[test]
fn a_layer_with_all_weights_has_the_bits_of_its_chunks() {
    let mut random = Random(13);
    for (rows, cols, batch, whole) in [(70, 1100, 17, true), (70, 1100, 17, false), (1030, 64, 260, true)] {
        let mut numbers = |n: usize| -> Vec<f32> {
            let scale = if whole { 1.0 } else { 0.1 };
            random.whole_numbers(n).iter().map(|number| number * scale).collect()
        };
        let Layer { pattern, .. } = layer(&mut Random(1), rows, cols, 100, false);
        let (values, bias) = (numbers(rows * cols), numbers(rows));
        let (x, dy) = (packed(&numbers(batch * cols), batch, cols), packed(&numbers(batch * rows), batch, rows));
        assert!(full::serves(&pattern, batch));
        let product = Forward::new(&pattern, &values, Some(&bias), &x, batch, Activation::Relu, Tile::S32x1);
        let [mut y, mut y_of_chunks] = [(); 2].map(|()| vec![Row([f32::NAN; 16]); panels(batch) * rows]);
        forward(&product, &mut y);
        (0..product.chunks()).for_each(|i| product.chunk(i, &mut y_of_chunks));
        assert!(y == y_of_chunks, "y of {rows}×{cols}");

        let products = Backward::new(&pattern, &values, &x, &dy, batch, Decay::default());
        let [mut dx, mut dx_of_chunks] = [(); 2].map(|()| vec![Row([f32::NAN; 16]); panels(batch) * cols]);
        let [mut dw, mut dw_of_chunks] = [(); 2].map(|()| vec![f32::NAN; values.len()]);
        layer::backward(&products, Some(&mut dx), &mut dw, &mut [], &mut Scratch::default());
        (0..products.chunks())
            .for_each(|i| products.chunk(i, &mut dx_of_chunks, &mut dw_of_chunks, &mut [], &mut backward::Scratch::default()));
        assert!(dx == dx_of_chunks, "dx of {rows}×{cols}");
        let near = |(a, b): (&f32, &f32)| (a - b).abs() <= if whole { 0.0 } else { 1e-4 };
        assert!(dw.iter().zip(&dw_of_chunks).all(near), "dW of {rows}×{cols}");
    }
}

#[test]
fn relu_masks_dy_where_its_output_was_not_positive_and_adds_it_to_the_bias() {
    let (batch, features) = (17, 5);
    let mut random = Random(3);
    let (dy, y) = (random.whole_numbers(batch * features), random.whole_numbers(batch * features));
    let (mut out, mut bias) = (vec![Row::ZERO; panels(batch) * features], [F32x4::splat(0.0); 5]);
    backward::through_relu(&packed(&dy, batch, features), &packed(&y, batch, features), &mut out, &mut bias);
    let expected: Vec<f32> = dy.iter().zip(&y).map(|(&dy, &y)| if y > 0.0 { dy } else { 0.0 }).collect();
    assert_eq!(unpacked(&out, batch, features), expected);
    assert!(bias.iter().map(|lanes| lanes.sum()).eq(bias_gradient(&expected, features)));
}

#[test]
fn what_goes_through_relu_is_not_denormal() {
    let tiny = f32::MIN_POSITIVE;
    let dy = Row(std::array::from_fn(|s| [tiny, -tiny, tiny / 2.0, -tiny / 2.0][s % 4]));
    let mut out = [Row::ZERO];
    backward::through_relu(&[dy], &[Row([1.0; 16])], &mut out, &mut [F32x4::splat(0.0)]);
    assert_eq!(out[0].0[..4], [tiny, -tiny, 0.0, 0.0]);
}

#[test]
fn relu_keeps_a_nan() {
    let pattern = CsrPattern::new(1, vec![0, 1], vec![1], vec![0]).unwrap();
    let mut y = [Row::ZERO];
    let x = [Row([f32::NAN; 16])];
    forward(&Forward::new(&pattern, &[1.0], None, &x, 16, Activation::Relu, Tile::S16x1), &mut y);
    assert!(y[0].0.iter().all(|v| v.is_nan()));
}

/// Beyond 65 536 on either side indices are 32 bits wide.
#[test]
fn wide_layers_use_wide_indices() {
    let last = 70_000u32;
    let mut scratch = Scratch::default();
    let wide = CsrPattern::new(last as usize + 1, vec![0, 2, 3], vec![1, 3], vec![5, last, last]).unwrap();
    let mut x = vec![Row::ZERO; last as usize + 1];
    (x[5], x[last as usize]) = (Row([2.0; 16]), Row([3.0; 16]));
    let mut y = [Row::ZERO; 2];
    let values = [10.0, 100.0, 1000.0];
    forward(&Forward::new(&wide, &values, None, &x, 16, Activation::Linear, Tile::S32x1), &mut y);
    assert_eq!([y[0].0[0], y[1].0[15]], [20.0, 3000.0], "the second entry of row 0 is in B∖A");
    assert!(wide.contains(0, last as usize) && wide.contains(0, 5) && !wide.contains(1, 5));

    let offsets: Vec<u32> = (0..=last).map(|r| u32::from(r == last)).chain([2]).collect();
    let tall = CsrPattern::new(2, offsets.clone(), offsets[1..].to_vec(), vec![1, 0]);
    let tall = tall.unwrap();
    let mut dy = vec![Row::ZERO; tall.rows()];
    dy[last as usize] = Row([2.0; 16]);
    let (x, mut dx, mut d_values) = ([Row([1.0; 16]), Row([4.0; 16])], [Row::ZERO; 2], [0.0; 2]);
    let products = Backward::new(&tall, &[7.0, 9.0], &x, &dy, 16, Decay::default());
    layer::backward(&products, Some(&mut dx), &mut d_values, &mut [], &mut scratch);
    assert_eq!((dx[0].0[0], d_values), (18.0, [0.0, 32.0]));
}
