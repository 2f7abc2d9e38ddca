//! The dense product equals the naive reference exactly.

use crate::support::{Random, reference};
use tfjs_sparse_kernels::kernels::dense::{Product, Scratch, dense};

/// On, just under and just over the lines of a tile.
const EDGES: [usize; 10] = [0, 1, 3, 4, 5, 6, 7, 8, 9, 13];

/// As `EDGES`, of the blocks: lines of A, columns of B, terms.
const BLOCKS: [[usize; 3]; 10] =
    [[255, 9, 5], [256, 9, 5], [257, 9, 5], [515, 3, 513], [5, 63, 7], [5, 64, 7], [5, 65, 7], [7, 9, 511], [7, 9, 512], [9, 130, 1027]];

fn check(random: &mut Random, scratch: &mut Scratch, [m, n, k]: [usize; 3]) {
    for transposed @ [transpose_a, transpose_b] in [[false, false], [false, true], [true, false], [true, true]] {
        let (a, b, bias) = (random.whole_numbers(m * k), random.whole_numbers(k * n), random.whole_numbers(n));
        for bias in [None, Some(&bias[..])] {
            let expected = reference::dense([m, n, k], transposed, &a, &b, bias);
            for relu in [false, true] {
                let mut c = vec![f32::NAN; m * n];
                dense(Product { m, n, k, transpose_a, transpose_b }, &a, &b, bias, relu, &mut c, scratch);
                let expected: Vec<f32> = expected.iter().map(|&v| if relu { v.max(0.0) } else { v }).collect();
                assert_eq!(c, expected, "{m}×{n}×{k}, transposed {transposed:?}, bias {}, relu {relu}", bias.is_some());
            }
        }
    }
}

#[test]
fn equals_the_reference_at_the_edges_of_tiles() {
    let (mut random, mut scratch) = (Random(0x5eed), Scratch::default());
    for m in EDGES {
        for n in EDGES {
            for k in EDGES {
                check(&mut random, &mut scratch, [m, n, k]);
            }
        }
    }
}

#[test]
fn equals_the_reference_at_the_edges_of_blocks() {
    let (mut random, mut scratch) = (Random(0x5eed), Scratch::default());
    for shape in BLOCKS {
        check(&mut random, &mut scratch, shape);
    }
}

#[test]
fn a_sum_does_not_depend_on_the_block_that_it_falls_into() {
    // With fractions the order of adding shows: a row alone, or a column, gives the bits that it has among others.
    let (mut random, mut scratch) = (Random(7), Scratch::default());
    let [m, n, k] = [261, 70, 700];
    let mut fractions = |n: usize| (0..n).map(|_| random.below(1 << 20) as f32 / 3e5).collect::<Vec<_>>();
    let (a, b) = (fractions(m * k), fractions(k * n));
    let mut product = |m: usize, n: usize, a: &[f32], b: &[f32]| {
        let mut c = vec![0.0; m * n];
        dense(Product { m, n, k, transpose_a: false, transpose_b: true }, a, b, None, false, &mut c, &mut scratch);
        c
    };
    let whole = product(m, n, &a, &b);
    for i in [0, 3, 255, 256, 260] {
        assert_eq!(product(1, n, &a[i * k..][..k], &b), whole[i * n..][..n]);
    }
    for j in [0, 7, 8, 64, 69] {
        assert_eq!(product(m, 1, &a, &b[j * k..][..k]), whole.chunks(n).map(|row| row[j]).collect::<Vec<_>>());
    }
}
