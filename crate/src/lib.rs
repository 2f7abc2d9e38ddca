//! The numbers of tfjs-sparse: sparse products, exact top-k, gradient reductions and fused optimizers.
//!
//! A sparse layer's weight `W [out, in]` is a [`CsrPattern`](pattern::CsrPattern) (where the entries are) and a plain slice of
//! values in the pattern's order. Everything here takes slices and returns into slices; JavaScript exists only in `bindings`.
//! Read [`kernels`] first: it has the products, the layout of activations and the costs.

#![deny(unsafe_code)]

/// In the binaries nobody reads what a failed assertion says, nor where it stands: the trap alone takes 1.4 % off them.
#[cfg(target_arch = "wasm32")]
macro_rules! assert {
    ($holds:expr $(, $said:literal)?) => {
        if !$holds {
            core::arch::wasm32::unreachable()
        }
    };
}

pub mod kernels;
// Safety of the two rooms below is argued at each `unsafe` block; no other file may have one.
#[allow(unsafe_code)]
pub mod lanes;
pub mod pattern;

#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code)]
mod bindings;
