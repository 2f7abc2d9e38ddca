//! Every kernel equals the naive reference, natively. `test/wasm/` asks the same of the shipped binaries.

mod conv_dense;
mod convolution;
mod dense;
mod edit;
mod optimizer;
mod pattern;
mod products;
mod random;
mod seeded;
mod selection;
mod support;
