//! The products of a layer, each the way that is fastest for it: entry by entry ([`Forward`], [`Backward`]), in the order of columns or of rows ([`backward_rows`]), or as dense ones ([`full`]).

use super::backward::{self, Backward};
use super::forward::Forward;
use super::sddmm::Sddmm;
use super::{backward_rows, full};
use crate::lanes::{F32x4, Row};

/// Working memory, kept between calls; grows to what the largest layer needs.
#[derive(Default)]
pub struct Scratch {
    backward: backward::Scratch,
    full: full::Scratch,
}

/// All chunks of [`Forward`], one after the other, or the dense product of a layer that has all weights.
pub fn forward(product: &Forward<'_>, y: &mut [Row], scratch: &mut Scratch) {
    if full::serves(product.pattern, product.batch) {
        full::forward(product, y, &mut scratch.full);
    } else if product.pattern.rows() > 0 {
        let product = product.block_by_block(&mut scratch.backward.values);
        (0..product.chunks()).for_each(|i| product.chunk(i, y));
    }
}

/// All chunks of [`Backward`], one after the other, or the same row by row, or the dense products of a layer that has all or most of its weights; and the decay.
/// Adds dY to `bias [out]`, lane by lane, unless it is empty.
pub fn backward(products: &Backward<'_>, dx: Option<&mut [Row]>, d_values: &mut [f32], mut bias: &mut [F32x4], scratch: &mut Scratch) {
    let pattern = products.pattern;
    if full::serves_backward(pattern, products.batch) {
        full::backward(products, dx, d_values, &mut scratch.full);
    } else if let Some(dx) = dx {
        if backward_rows::serves(pattern, products.batch) {
            backward_rows::backward(products, dx, d_values, &mut scratch.backward);
        } else if pattern.cols() > 0 {
            (0..products.chunks()).for_each(|i| products.chunk(i, dx, d_values, bias, &mut scratch.backward));
            if products.touches {
                bias = &mut [];
            }
        }
    } else {
        let products = Sddmm::new(products);
        (0..products.chunks()).for_each(|i| products.chunk(i, d_values, bias, &mut scratch.backward));
        if products.touches {
            bias = &mut [];
        }
    }
    if !bias.is_empty() {
        backward::add_lines(products.dy, bias);
    }
    products.decay.add(pattern, products.values, d_values);
}
