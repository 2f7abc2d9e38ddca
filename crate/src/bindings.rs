//! The only file that knows JavaScript: it turns addresses into slices, calls a kernel, and computes nothing.
//!
//! Hot calls take addresses in this module's memory, not `&[f32]`: wasm-bindgen would copy slices in on each call, and `&mut` slices in and out.
//! The caller (`ts/wasm`) owns those addresses: they came from [`allocate`], hold the number of elements that the call implies, and no two
//! of a call overlap. That is what the `SAFETY` comments below mean by "the caller".

use crate::kernels::backward::{self, Backward, Decay};
use crate::kernels::conv_dense;
use crate::kernels::convolution::{self, Weights};
use crate::kernels::dense::{self, Product};
use crate::kernels::forward::{Activation, Forward, Tile};
use crate::kernels::gradient::{self, Candidate};
use crate::kernels::optimizer::{self, Adam, BiasCorrections};
use crate::kernels::random::{self, Source, Spread};
use crate::kernels::seeded::{self, Rank};
use crate::kernels::top_k::{NotANumber, Selection};
use crate::kernels::window::Window;
use crate::kernels::{self, depthwise, edit, layer, pack, panels, peak, pool, power};
use crate::lanes::{F32x4, Row};
use crate::pattern::{CsrPattern, Indices};
use std::alloc::{GlobalAlloc, Layout};
use std::cell::RefCell;
use std::slice::{from_raw_parts, from_raw_parts_mut};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use wasm_bindgen::prelude::*;

/// Not the standard library's where size counts: that is 2.4 kB more of the compressed binary, needs as much memory, and is no faster.
#[cfg(target_arch = "wasm32")]
static HEAP: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();
#[cfg(not(target_arch = "wasm32"))]
static HEAP: std::alloc::System = std::alloc::System;

/// The heap, counting the bytes it has out.
struct Counting;

static LIVE_BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: both calls go to the heap unchanged. What grows is allocated anew, copied and freed: the heap's own way would be 1.1 kB of the binary.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the heap's.
        let at = unsafe { HEAP.alloc(layout) };
        if !at.is_null() {
            LIVE_BYTES.fetch_add(layout.size(), Relaxed);
        }
        at
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's contract is the heap's.
        unsafe { HEAP.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that are allocated in this module's memory now.
#[wasm_bindgen(js_name = liveBytes)]
pub fn live_bytes() -> usize {
    LIVE_BYTES.load(Relaxed)
}

const fn layout(bytes: usize) -> Layout {
    match Layout::from_size_align(bytes, 64) {
        Ok(layout) => layout,
        Err(_) => panic!("an allocation must fit the address space"),
    }
}

/// The address of `bytes` (> 0) bytes, on a cache line of their own; 0 when memory is exhausted. What is in them is anyone's guess unless `zeroed`.
#[wasm_bindgen]
pub fn allocate(bytes: usize, zeroed: bool) -> usize {
    // SAFETY: the caller asks for more than 0 bytes.
    unsafe { (if zeroed { std::alloc::alloc_zeroed(layout(bytes)) } else { std::alloc::alloc(layout(bytes)) }) as usize }
}

/// Gives back what [`allocate`] returned for as many bytes.
#[wasm_bindgen]
pub fn release(at: usize, bytes: usize) {
    // SAFETY: the caller returns each allocation once, with its size.
    unsafe { std::alloc::dealloc(at as *mut u8, layout(bytes)) }
}

/// `length` elements at an address that the caller owns.
///
/// # Safety
/// The caller guarantees that they are there, initialised, and not written while the slice lives.
unsafe fn slice<'a, T>(at: usize, length: usize) -> &'a [T] {
    // SAFETY: passed on. Addresses are aligned for T: `allocate` aligns to 64 bytes, and parts begin at whole numbers of T. An empty slice needs none.
    if length == 0 { &[] } else { unsafe { from_raw_parts(at as *const T, length) } }
}

/// # Safety
/// As [`slice`], and nobody else reads them while the slice lives.
unsafe fn slice_mut<'a, T>(at: usize, length: usize) -> &'a mut [T] {
    // SAFETY: as above.
    if length == 0 { &mut [] } else { unsafe { from_raw_parts_mut(at as *mut T, length) } }
}

/// Working memory, kept between calls and grown to the largest.
#[derive(Default)]
struct Scratch {
    dy: Vec<Row>,
    layer: layer::Scratch,
    dense: dense::Scratch,
    corrections: BiasCorrections,
}

thread_local! {
    static SCRATCH: RefCell<Option<Scratch>> = const { RefCell::new(None) };
}

/// Takes the scratch away while it is used: a trap, which does not unwind, then loses it and leaves nothing borrowed.
fn with_scratch(run: impl FnOnce(&mut Scratch)) {
    let mut scratch = SCRATCH.take().unwrap_or_default();
    run(&mut scratch);
    SCRATCH.set(Some(scratch));
}

/// See [`CsrPattern`].
#[wasm_bindgen]
pub struct Pattern(CsrPattern);

#[wasm_bindgen]
impl Pattern {
    #[wasm_bindgen(constructor)]
    pub fn new(cols: usize, row_offsets: Vec<u32>, row_splits: Vec<u32>, col_indices: Vec<u32>) -> Result<Pattern, JsError> {
        Ok(Self(CsrPattern::new(cols, row_offsets, row_splits, col_indices)?))
    }

    /// Top-KAST's pattern of a whole layer at `theta [rows·cols]`. See [`edit::largest`].
    pub fn largest(theta: usize, rows: usize, cols: usize, forward_nnz: usize, nnz: usize) -> Result<Pattern, JsError> {
        // SAFETY: the caller owns this address.
        let theta = unsafe { slice(theta, rows * cols) };
        Ok(Self(edit::largest(theta, rows, cols, forward_nnz, nnz).map_err(not_a_number)?))
    }

    /// This pattern without the entries at `dropped` and with those at the flat indices `grown`. See [`edit::replace`].
    pub fn replace(&self, dropped: &[u32], grown: &[u32], regrow: bool) -> Result<Pattern, JsError> {
        Ok(Self(edit::replace(&self.0, dropped, grown, regrow)?))
    }

    /// See [`random::free_positions`].
    #[wasm_bindgen(js_name = freePositions)]
    pub fn free_positions(&self, k: usize, key: u32) -> Vec<u32> {
        random::free_positions(&self.0, k, key)
    }

    #[wasm_bindgen(js_name = rowOffsets)]
    pub fn row_offsets(&self) -> Vec<u32> {
        self.0.by_row.offsets.clone()
    }

    #[wasm_bindgen(js_name = rowSplits)]
    pub fn row_splits(&self) -> Vec<u32> {
        self.0.by_row.splits.clone()
    }

    /// The column indices of a pattern of up to 65 536 columns; nothing for a wider one.
    #[wasm_bindgen(js_name = colIndices16)]
    pub fn col_indices_16(&self) -> Option<Vec<u16>> {
        match self.0.by_row.indices() {
            Indices::U16(all) => Some(all.clone()),
            Indices::U32(_) => None,
        }
    }

    /// The column indices of a pattern of more than 65 536 columns.
    #[wasm_bindgen(js_name = colIndices32)]
    pub fn col_indices_32(&self) -> Option<Vec<u32>> {
        match self.0.by_row.indices() {
            Indices::U16(_) => None,
            Indices::U32(all) => Some(all.clone()),
        }
    }
}

fn not_a_number(NotANumber { index }: NotANumber) -> JsError {
    JsError::new(&format!("expected numbers, received NaN at index {index}"))
}

/// The positions of the `k` lowest of `n` scores. See [`edit::lowest`].
#[wasm_bindgen]
pub fn lowest(scores: usize, n: usize, k: usize) -> Result<Vec<u32>, JsError> {
    // SAFETY: the caller owns this address.
    edit::lowest(unsafe { slice(scores, n) }, k).map_err(not_a_number)
}

/// See [`edit::lowest_of_each_sign`].
#[wasm_bindgen(js_name = lowestOfEachSign)]
pub fn lowest_of_each_sign(weights: usize, n: usize, fraction: f64) -> Result<Vec<u32>, JsError> {
    // SAFETY: the caller owns this address.
    edit::lowest_of_each_sign(unsafe { slice(weights, n) }, fraction).map_err(not_a_number)
}

fn source(key: u32, spread: u32, first: f32, second: f32, alpha: f32) -> Source {
    let spread = match spread {
        0 => Spread::Uniform { low: first, high: second },
        1 => Spread::Normal { mean: first, deviation: second },
        _ => Spread::TruncatedNormal { mean: first, deviation: second },
    };
    Source { key, spread, alpha }
}

/// Overwrites the flat indices at `values [n]` with their initial values. `spread` is 0 for uniform in [first, second), 1 for normal and 2 for
/// truncated normal with mean `first` and deviation `second`. See [`Source::value`].
#[wasm_bindgen]
pub fn draw(values: usize, n: usize, key: u32, spread: u32, first: f32, second: f32, alpha: f32) {
    let source = source(key, spread, first, second, alpha);
    // SAFETY: the caller owns this address. Indices and values are both words.
    unsafe { slice_mut::<u32>(values, n) }.iter_mut().for_each(|word| *word = source.value(*word).to_bits());
}

/// See [`seeded::Seeded`].
#[wasm_bindgen]
pub struct Seeded {
    inner: seeded::Seeded,
    /// Values of the sets found last.
    values: Vec<f32>,
}

#[wasm_bindgen]
impl Seeded {
    /// The arguments after `cols` as for [`draw()`].
    #[wasm_bindgen(constructor)]
    #[allow(clippy::too_many_arguments)] // as `forward`
    pub fn new(rows: usize, cols: usize, key: u32, spread: u32, first: f32, second: f32, alpha: f32, max_frozen: usize) -> Seeded {
        let source = source(key, spread, first, second, alpha);
        Self { inner: seeded::Seeded::new(source, rows, cols, max_frozen), values: Vec::new() }
    }

    /// `cursor` is empty or (bits of the magnitude, index).
    pub fn restore(&mut self, indices: &[u32], values: &[f32], cursor: &[u32]) -> Result<(), JsError> {
        assert!(indices.len() == values.len() && matches!(cursor.len(), 0 | 2));
        let frozen = indices.iter().copied().zip(values.iter().copied()).collect();
        let cursor = match *cursor {
            [magnitude, index] => Some(Rank { magnitude, index }),
            _ => None,
        };
        Ok(self.inner.restore(frozen, cursor)?)
    }

    /// The sets of a layer at its start. See [`seeded::Seeded::largest`].
    pub fn first(&mut self, forward_nnz: usize, nnz: usize) -> Result<Pattern, JsError> {
        let (pattern, values) = self.inner.largest(None, forward_nnz, nnz)?;
        self.values = values;
        Ok(Pattern(pattern))
    }

    /// The sets after B was trained, which has its `values` at that address.
    pub fn next(&mut self, b: &Pattern, values: usize, forward_nnz: usize) -> Result<Pattern, JsError> {
        let nnz = b.0.nnz();
        // SAFETY: the caller owns this address.
        let (pattern, values) = self.inner.largest(Some((&b.0, unsafe { slice(values, nnz) })), forward_nnz, nnz)?;
        self.values = values;
        Ok(Pattern(pattern))
    }

    /// The values of the sets found last, in the order of their pattern; once.
    #[wasm_bindgen(js_name = takeValues)]
    pub fn take_values(&mut self) -> Vec<f32> {
        std::mem::take(&mut self.values)
    }

    /// The whole vector to `theta [rows·cols]`, for those who want to look at it. See [`seeded::Seeded::whole`].
    pub fn whole(&self, b: &Pattern, values: usize, theta: usize) {
        // SAFETY: the caller owns these addresses.
        unsafe { self.inner.whole(&b.0, slice(values, b.0.nnz()), slice_mut(theta, b.0.rows() * b.0.cols())) }
    }

    #[wasm_bindgen(js_name = frozenIndices)]
    pub fn frozen_indices(&self) -> Vec<u32> {
        self.inner.frozen().iter().map(|w| w.0).collect()
    }

    #[wasm_bindgen(js_name = frozenValues)]
    pub fn frozen_values(&self) -> Vec<f32> {
        self.inner.frozen().iter().map(|w| w.1).collect()
    }

    pub fn cursor(&self) -> Vec<u32> {
        self.inner.cursor().map_or_else(Vec::new, |rank| vec![rank.magnitude, rank.index])
    }
}

/// Writes where each entry of `next` was in `previous` to `source [nnz of next]`; says whether anything moved. See [`edit::sources`].
#[wasm_bindgen]
pub fn sources(previous: &Pattern, next: &Pattern, source: usize) -> bool {
    // SAFETY: the caller owns this address.
    edit::sources(&previous.0, &next.0, unsafe { slice_mut(source, next.0.nnz()) })
}

/// See [`edit::carry`].
#[wasm_bindgen]
pub fn carry(from: usize, from_length: usize, source: usize, to: usize, length: usize) {
    // SAFETY: the caller owns these addresses.
    unsafe { edit::carry(slice(from, from_length), slice(source, length), slice_mut(to, length)) }
}

/// See [`edit::gather`].
#[wasm_bindgen]
pub fn gather(pattern: &Pattern, theta: usize, values: usize) {
    let pattern = &pattern.0;
    // SAFETY: the caller owns these addresses.
    unsafe { edit::gather(pattern, 0..pattern.rows(), slice(theta, pattern.rows() * pattern.cols()), slice_mut(values, pattern.nnz())) }
}

/// See [`edit::scatter`].
#[wasm_bindgen]
pub fn scatter(pattern: &Pattern, values: usize, theta: usize) {
    let pattern = &pattern.0;
    // SAFETY: the caller owns these addresses.
    unsafe {
        edit::scatter(pattern, 0..pattern.rows(), true, slice(values, pattern.nnz()), slice_mut(theta, pattern.rows() * pattern.cols()))
    }
}

/// See [`kernels::flush`].
#[wasm_bindgen]
pub fn flush(numbers: usize, n: usize) {
    // SAFETY: the caller owns this address.
    kernels::flush(unsafe { slice_mut(numbers, n) })
}

/// See [`pack::pack`].
#[wasm_bindgen]
pub fn pack(rows: usize, to: usize, batch: usize, features: usize) {
    // SAFETY: the caller owns these addresses.
    unsafe { pack::pack(slice(rows, batch * features), slice_mut(to, panels(batch) * features), batch, features) }
}

/// See [`pack::unpack`].
#[wasm_bindgen]
pub fn unpack(from: usize, rows: usize, batch: usize, features: usize) {
    // SAFETY: the caller owns these addresses.
    unsafe { pack::unpack(slice(from, panels(batch) * features), slice_mut(rows, batch * features), batch, features) }
}

/// `x` and `y` are panels, `bias` is 0 for none, `tile` a place in [`Tile::ALL`]. See [`Forward`].
#[wasm_bindgen]
#[allow(clippy::too_many_arguments)] // a crossing of the boundary costs more than its arguments
pub fn forward(pattern: &Pattern, batch: usize, x: usize, values: usize, bias: usize, y: usize, relu: bool, tile: usize) {
    let pattern = &pattern.0;
    let (rows, cols, panels) = (pattern.rows(), pattern.cols(), panels(batch));
    // SAFETY: the caller owns these addresses.
    let (x, values, bias, y) = unsafe {
        let bias = (bias != 0).then(|| slice(bias, rows));
        (slice(x, panels * cols), slice(values, pattern.nnz()), bias, slice_mut(y, panels * rows))
    };
    let activation = if relu { Activation::Relu } else { Activation::Linear };
    let product = Forward::new(pattern, values, bias, x, batch, activation, Tile::ALL[tile]);
    with_scratch(|scratch| layer::forward(&product, y, &mut scratch.layer));
}

/// All gradients of [`forward()`] in one call, on panels. `y` is its output where it ended in relu, else 0; `dx` is 0 where not wanted.
/// See [`Backward`].
#[wasm_bindgen]
#[allow(clippy::too_many_arguments)] // as `forward`
pub fn backward(
    pattern: &Pattern,
    batch: usize,
    x: usize,
    values: usize,
    y: usize,
    dy: usize,
    dx: usize,
    d_values: usize,
    d_bias: usize,
    decay_forward: f32,
    decay_rest: f32,
) {
    let pattern = &pattern.0;
    let (rows, cols, panels) = (pattern.rows(), pattern.cols(), panels(batch));
    // SAFETY: the caller owns these addresses.
    let (x, values, dy, d_values, d_bias) = unsafe {
        let gradients = (slice_mut(d_values, pattern.nnz()), slice_mut(d_bias, rows));
        (slice(x, panels * cols), slice(values, pattern.nnz()), slice::<Row>(dy, panels * rows), gradients.0, gradients.1)
    };
    // SAFETY: as above.
    let dx = (dx != 0).then(|| unsafe { slice_mut(dx, panels * cols) });
    with_scratch(|scratch| {
        let mut sums = vec![F32x4::splat(0.0); rows];
        let (mut dy, mut bias) = (dy, &mut sums[..]);
        if y != 0 {
            if scratch.dy.len() < dy.len() {
                // Not grown: there would be both for a moment, and room to spare for ever.
                scratch.dy = Vec::new();
                scratch.dy = vec![Row::ZERO; dy.len()];
            }
            let through = &mut scratch.dy[..dy.len()];
            // SAFETY: the caller owns this address.
            backward::through_relu(dy, unsafe { slice(y, panels * rows) }, through, bias);
            (dy, bias) = (through, &mut []);
        }
        let decay = Decay { forward: decay_forward, rest: decay_rest };
        layer::backward(&Backward::new(pattern, values, x, dy, batch, decay), dx, d_values, bias, &mut scratch.layer);
        d_bias.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum.sum());
    });
}

fn window(numbers: &[u32]) -> Window {
    Window::new(std::array::from_fn(|i| numbers[i] as usize))
}

/// See [`convolution::Convolution`].
#[wasm_bindgen]
pub struct Convolution(convolution::Convolution);

#[wasm_bindgen]
impl Convolution {
    /// `numbers` as for [`Window::new`]; those given to the others may differ in the heights.
    #[wasm_bindgen(constructor)]
    pub fn new(pattern: &Pattern, numbers: &[u32]) -> Convolution {
        Self(convolution::Convolution::new(&pattern.0, &window(numbers)))
    }

    /// See [`convolution::Convolution::forward_order`].
    #[wasm_bindgen(js_name = forwardOrder)]
    pub fn forward_order(pattern: &Pattern, values: usize, out: usize) {
        let [of_a, nnz] = [pattern.0.nnz_of_a(), pattern.0.nnz()];
        // SAFETY: the caller owns these addresses.
        let (values, out) = unsafe { (slice(values, nnz), slice_mut(out, of_a)) };
        convolution::Convolution::forward_order(&pattern.0, values, out);
    }

    /// `count` rows from `first` on; `values` are in the lists' order, `bias` is 0 for none, `tile` a place in [`Tile::ALL`]. See
    /// [`convolution::Convolution::forward`].
    #[allow(clippy::too_many_arguments)] // as `forward`
    pub fn forward(
        &self,
        numbers: &[u32],
        first: usize,
        count: usize,
        x: usize,
        values: usize,
        bias: usize,
        y: usize,
        relu: bool,
        tile: usize,
    ) {
        let window = window(numbers);
        // SAFETY: the caller owns these addresses.
        let (x, values, bias, y) = unsafe {
            let bias = (bias != 0).then(|| slice(bias, window.filters));
            (slice(x, window.input()), slice(values, self.0.entries()[0]), bias, slice_mut(y, count * window.cols.output * window.filters))
        };
        let weights = Weights { values, bias, activation: if relu { Activation::Relu } else { Activation::Linear } };
        self.0.forward(&window, first..first + count, x, y, Tile::ALL[tile], &weights);
    }

    /// See [`convolution::Convolution::backward_order`].
    #[wasm_bindgen(js_name = backwardOrder)]
    pub fn backward_order(&self, pattern: &Pattern, numbers: &[u32], values: usize, out: usize) {
        let nnz = pattern.0.nnz();
        // SAFETY: the caller owns these addresses.
        let (values, out) = unsafe { (slice(values, nnz), slice_mut(out, nnz)) };
        self.0.backward_order(&pattern.0, &window(numbers), values, out);
    }

    /// `count` rows from `first` on; `values` are in the lists' order, `dx` is 0 where not wanted. See
    /// [`convolution::Convolution::backward`].
    #[allow(clippy::too_many_arguments)] // as `forward`
    pub fn backward(&self, numbers: &[u32], first: usize, count: usize, x: usize, dy: usize, values: usize, dx: usize, partial: usize) {
        let (window, [_, nnz]) = (window(numbers), self.0.entries());
        let size = count * window.cols.input * window.channels;
        // SAFETY: the caller owns these addresses.
        let (x, dy, values) = unsafe { (slice(x, size), slice(dy, window.output()), slice(values, nnz)) };
        // SAFETY: as above.
        let (dx, partial) = unsafe { ((dx != 0).then(|| slice_mut(dx, size)), slice_mut(partial, nnz)) };
        self.0.backward(&window, first..first + count, x, dy, values, dx, partial);
    }

    /// See [`convolution::Convolution::weight_gradient`].
    #[wasm_bindgen(js_name = weightGradient)]
    #[allow(clippy::too_many_arguments)] // as `forward`
    pub fn weight_gradient(
        &self,
        pattern: &Pattern,
        numbers: &[u32],
        partial: usize,
        values: usize,
        d_values: usize,
        decay_forward: f32,
        decay_rest: f32,
    ) {
        let nnz = pattern.0.nnz();
        // SAFETY: the caller owns these addresses.
        let (partial, values, d_values) = unsafe { (slice(partial, nnz), slice(values, nnz), slice_mut(d_values, nnz)) };
        let decay = Decay { forward: decay_forward, rest: decay_rest };
        self.0.weight_gradient(&pattern.0, &window(numbers), partial, values, d_values, decay);
    }
}

/// Adds to `d_bias`; `dy` is `lines·out` rows of panels. See [`backward::bias`].
#[wasm_bindgen(js_name = addBias)]
pub fn add_bias(dy: usize, d_bias: usize, lines: usize, out: usize) {
    // SAFETY: the caller owns these addresses.
    unsafe { backward::bias(slice(dy, lines * out), slice_mut(d_bias, out)) }
}

/// See [`backward::where_positive`].
#[wasm_bindgen(js_name = wherePositive)]
pub fn where_positive(dy: usize, y: usize, length: usize) {
    // SAFETY: the caller owns these addresses.
    unsafe { backward::where_positive(slice_mut(dy, length), slice(y, length)) }
}

/// `c [m, n] = act(op(a)·op(b) + bias)` with `k` terms; `bias` 0 for none. See [`dense::dense`].
#[wasm_bindgen]
#[allow(clippy::too_many_arguments)] // as `forward`
pub fn dense(m: usize, n: usize, k: usize, transpose_a: bool, transpose_b: bool, a: usize, b: usize, bias: usize, relu: bool, c: usize) {
    // SAFETY: the caller owns these addresses.
    let (a, b, bias, c) = unsafe {
        let bias = (bias != 0).then(|| slice(bias, n));
        (slice(a, m * k), slice(b, k * n), bias, slice_mut(c, m * n))
    };
    with_scratch(|scratch| dense::dense(Product { m, n, k, transpose_a, transpose_b }, a, b, bias, relu, c, &mut scratch.dense));
}

/// `bias` 0 for none. See [`conv_dense::forward`].
#[wasm_bindgen(js_name = convForward)]
#[allow(clippy::too_many_arguments)] // as `forward`
pub fn conv_forward(numbers: &[u32], batch: usize, x: usize, w: usize, bias: usize, relu: bool, y: usize) {
    let window = window(numbers);
    // SAFETY: the caller owns these addresses.
    let (x, w, bias, y) = unsafe {
        let bias = (bias != 0).then(|| slice(bias, window.filters));
        (slice(x, batch * window.input()), slice(w, window.weights()), bias, slice_mut(y, batch * window.output()))
    };
    with_scratch(|scratch| conv_dense::forward(&window, batch, x, w, bias, relu, y, &mut scratch.dense));
}

/// See [`conv_dense::input_gradient`].
#[wasm_bindgen(js_name = convInputGradient)]
pub fn conv_input_gradient(numbers: &[u32], batch: usize, dy: usize, w: usize, dx: usize) {
    let window = window(numbers);
    // SAFETY: the caller owns these addresses.
    let (dy, w, dx) = unsafe { (slice(dy, batch * window.output()), slice(w, window.weights()), slice_mut(dx, batch * window.input())) };
    with_scratch(|scratch| conv_dense::input_gradient(&window, batch, dy, w, dx, &mut scratch.dense));
}

/// Adds to `dw` or overwrites it. See [`conv_dense::filter_gradient`].
#[wasm_bindgen(js_name = convFilterGradient)]
pub fn conv_filter_gradient(numbers: &[u32], batch: usize, x: usize, dy: usize, add: bool, dw: usize) {
    let window = window(numbers);
    // SAFETY: the caller owns these addresses.
    let (x, dy, dw) = unsafe { (slice(x, batch * window.input()), slice(dy, batch * window.output()), slice_mut(dw, window.weights())) };
    with_scratch(|scratch| conv_dense::filter_gradient(&window, batch, x, dy, add, dw, &mut scratch.dense));
}

/// See [`depthwise::input_gradient`].
#[wasm_bindgen(js_name = depthwiseInputGradient)]
pub fn depthwise_input_gradient(numbers: &[u32], batch: usize, dy: usize, w: usize, dx: usize) {
    let window = window(numbers);
    let weights = window.rows.kernel * window.cols.kernel * window.filters;
    // SAFETY: the caller owns these addresses.
    let (dy, w, dx) = unsafe { (slice(dy, batch * window.output()), slice(w, weights), slice_mut(dx, batch * window.input())) };
    depthwise::input_gradient(&window, batch, dy, w, dx);
}

/// Adds to `dw` or overwrites it. See [`depthwise::filter_gradient`].
#[wasm_bindgen(js_name = depthwiseFilterGradient)]
pub fn depthwise_filter_gradient(numbers: &[u32], batch: usize, x: usize, dy: usize, add: bool, dw: usize) {
    let window = window(numbers);
    let weights = window.rows.kernel * window.cols.kernel * window.filters;
    // SAFETY: the caller owns these addresses.
    let (x, dy, dw) = unsafe { (slice(x, batch * window.input()), slice(dy, batch * window.output()), slice_mut(dw, weights)) };
    depthwise::filter_gradient(&window, batch, x, dy, add, dw);
}

/// See [`pool::max_gradient`].
#[wasm_bindgen(js_name = maxPoolGradient)]
pub fn max_pool_gradient(numbers: &[u32], batch: usize, x: usize, dy: usize, dx: usize) {
    let window = window(numbers);
    // SAFETY: the caller owns these addresses.
    let (x, dy, dx) =
        unsafe { (slice(x, batch * window.input()), slice(dy, batch * window.output()), slice_mut(dx, batch * window.input())) };
    pool::max_gradient(&window, batch, x, dy, dx);
}

thread_local! {
    static SELECTION: RefCell<Option<Selection>> = const { RefCell::new(None) };
}

/// Begins to look for the `k` largest magnitudes among `n` values. See [`Selection::new`].
#[wasm_bindgen(js_name = topK)]
pub fn top_k(sample: usize, length: usize, n: usize, k: usize) {
    // SAFETY: the caller owns this address.
    let sample = unsafe { slice(sample, length) };
    SELECTION.set(Some(Selection::new(sample.to_vec(), n, k)));
}

/// Looks at the next values; returns where to go on, or −1 once `out [k]` has the indices. See [`Selection::look`].
#[wasm_bindgen(js_name = topKOf)]
pub fn top_k_of(values: usize, length: usize, out: usize, k: usize) -> Result<i32, JsError> {
    let mut selection = SELECTION.take().expect("topK comes first");
    // SAFETY: the caller owns these addresses.
    let (values, out) = unsafe { (slice(values, length), slice_mut(out, k)) };
    let next = selection.look(values, out).map_err(not_a_number)?;
    Ok(next.map_or(-1, |next| {
        SELECTION.set(Some(selection));
        next as i32
    }))
}

/// Writes the best candidates for growth to `rows`, `cols` and `gradients` (each `[k]`) and returns how many there are.
/// See [`gradient::top_k`].
#[wasm_bindgen(js_name = gradientTopK)]
#[allow(clippy::too_many_arguments)] // as `forward`
pub fn gradient_top_k(
    pattern: &Pattern,
    batch: usize,
    x: usize,
    dy: usize,
    k: usize,
    floor: f32,
    rows: usize,
    cols: usize,
    gradients: usize,
) -> Result<usize, JsError> {
    let pattern = &pattern.0;
    // SAFETY: the caller owns these addresses.
    let (x, dy) = unsafe { (slice(x, batch * pattern.cols()), slice(dy, batch * pattern.rows())) };
    let best = gradient::top_k(pattern, x, dy, batch, k, floor)
        .map_err(|nan| JsError::new(&format!("expected numbers, received a NaN gradient at row {}, column {}", nan.row, nan.col)))?;
    // SAFETY: the caller owns these addresses, and `best` has at most k elements.
    let (rows, cols, gradients) = unsafe { (slice_mut(rows, best.len()), slice_mut(cols, best.len()), slice_mut(gradients, best.len())) };
    for (i, Candidate { row, col, gradient }) in best.iter().enumerate() {
        (rows[i], cols[i], gradients[i]) = (*row, *col, *gradient);
    }
    Ok(best.len())
}

/// Writes sum, maximum, norm and count to `out [4]` of f64. See [`gradient::reduce`].
#[wasm_bindgen(js_name = gradientReduce)]
pub fn gradient_reduce(pattern: &Pattern, batch: usize, x: usize, dy: usize, threshold: f32, out: usize) {
    let pattern = &pattern.0;
    // SAFETY: the caller owns these addresses.
    let (x, dy, out) = unsafe { (slice(x, batch * pattern.cols()), slice(dy, batch * pattern.rows()), slice_mut::<f64>(out, 4)) };
    let r = gradient::reduce(pattern, x, dy, batch, threshold);
    out.copy_from_slice(&[r.sum, r.max, r.norm, r.count]);
}

/// What the two before stream, unlooked at. For benches. See [`gradient::product_alone`].
#[wasm_bindgen(js_name = gradientProduct)]
pub fn gradient_product(rows: usize, cols: usize, batch: usize, x: usize, dy: usize) -> f32 {
    // SAFETY: the caller owns these addresses.
    unsafe { gradient::product_alone(slice(x, batch * cols), slice(dy, batch * rows), batch, rows, cols) }
}

/// See [`optimizer::sgd`].
#[wasm_bindgen]
pub fn sgd(values: usize, gradients: usize, next: usize, n: usize, learning_rate: f32) {
    // SAFETY: the caller owns these addresses.
    unsafe { optimizer::sgd(slice(values, n), slice(gradients, n), slice_mut(next, n), learning_rate) }
}

/// See [`optimizer::momentum`].
#[wasm_bindgen]
#[allow(clippy::too_many_arguments)] // as `forward`
pub fn momentum(values: usize, gradients: usize, next: usize, m: usize, n: usize, learning_rate: f32, mu: f32, nesterov: bool) {
    // SAFETY: the caller owns these addresses.
    unsafe { optimizer::momentum(slice(values, n), slice(gradients, n), slice_mut(next, n), slice_mut(m, n), learning_rate, mu, nesterov) }
}

/// See [`optimizer::adam`].
#[wasm_bindgen]
#[allow(clippy::too_many_arguments)] // as `forward`
pub fn adam(
    values: usize,
    gradients: usize,
    next: usize,
    m: usize,
    v: usize,
    steps: usize,
    n: usize,
    learning_rate: f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
) {
    let constants = Adam { learning_rate, beta1, beta2, epsilon };
    with_scratch(|scratch| {
        // SAFETY: the caller owns these addresses.
        let (values, gradients, next) = unsafe { (slice(values, n), slice(gradients, n), slice_mut(next, n)) };
        // SAFETY: as above.
        let (m, v, steps) = unsafe { (slice_mut(m, n), slice_mut(v, n), slice_mut(steps, n)) };
        optimizer::adam(values, gradients, next, m, v, steps, &constants, &mut scratch.corrections);
    });
}

/// See [`power::power`].
#[wasm_bindgen]
pub fn power(phi: usize, theta: usize, n: usize, alpha: f32) {
    // SAFETY: the caller owns these addresses.
    unsafe { power::power(slice(phi, n), slice_mut(theta, n), alpha) }
}

/// See [`power::gradient`].
#[wasm_bindgen(js_name = powerGradient)]
pub fn power_gradient(phi: usize, d_theta: usize, d_phi: usize, n: usize, alpha: f32) {
    // SAFETY: the caller owns these addresses.
    unsafe { power::gradient(slice(phi, n), slice(d_theta, n), slice_mut(d_phi, n), alpha) }
}

/// See [`peak::peak`]; returns the number of floating-point operations done, or NaN should the sum vanish.
#[wasm_bindgen]
pub fn peak(iterations: u32, x: f32, y: f32) -> f64 {
    let sum = peak::peak(iterations, x, y);
    if sum == 0.0 { f64::NAN } else { f64::from(iterations) * peak::FLOPS as f64 }
}

/// See [`power::theta_gradient`].
#[wasm_bindgen(js_name = thetaGradient)]
pub fn theta_gradient(phi: usize, d_phi: usize, d_theta: usize, n: usize, alpha: f32) {
    // SAFETY: the caller owns these addresses.
    unsafe { power::theta_gradient(slice(phi, n), slice(d_phi, n), slice_mut(d_theta, n), alpha) }
}
