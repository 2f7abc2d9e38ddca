//! Dense convolutions of tfjs's images `[batch, height, width, channels]`, forward and back, as dense products: with these its own layers train.
//!
//! | | A | B | terms |
//! |---|---|---|---|
//! | [`forward`] | windows of x `[pixels of y, kernel·channels]` | w | kernel·channels |
//! | [`filter_gradient`] | the same, transposed | dy `[pixels of y, filters]` | pixels of y |
//! | [`input_gradient`] | windows of dy `[pixels of x, kernel·filters]` | w, channels and filters exchanged | kernel·filters |
//!
//! A row of windows is gathered when a block of the product packs it: the k² copies of each number are never in memory at once, and take a few percent of
//! the product's time from 64 channels on. Padding is zeros in these rows.
//!
//! With a stride s, the windows of dy that meet a pixel of x hold only some taps of the kernel, the same for each s-th pixel: s² products, each of its
//! own pixels and taps.

use super::PANEL;
use super::dense::{Matrix, Operand, Rows, Scratch, Target, multiply};
use super::window::{Axis, Window};
use std::ops::Range;

/// `y [batch, output] = act(x ∗ w + bias)` for `x [batch, input]`, `w [kernel, channels, filters]`, `bias [filters]`. Overwrites `y`.
/// Cost: batch · output · kernel · channels multiply-adds, those on padding among them.
#[allow(clippy::too_many_arguments)] // what a convolution is, what it reads, how it ends, and where it writes
pub fn forward(
    window: &Window,
    batch: usize,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    relu: bool,
    y: &mut [f32],
    scratch: &mut Scratch,
) {
    let (patches, n) = (Patches::forward(window, x), window.filters);
    let (pixels, terms) = (batch * window.rows.output * window.cols.output, patches.columns());
    assert!(x.len() == batch * window.input() && w.len() == terms * n && y.len() == pixels * n);
    let w = Matrix { values: w, cols: n };
    let (a, b) = (Operand { matrix: &patches, lines_adjacent: false }, Operand { matrix: &w, lines_adjacent: true });
    multiply([pixels, n, terms], a, b, Target { values: y, start: &|pixel| pixel * n, apart: PANEL, add: false, bias, relu }, scratch);
}

/// `dw [kernel, channels, filters]`, the gradient of the filters for `x [batch, input]` and `dy [batch, output]`. Overwrites `dw`, or adds to it.
/// Cost as [`forward`].
pub fn filter_gradient(window: &Window, batch: usize, x: &[f32], dy: &[f32], add: bool, dw: &mut [f32], scratch: &mut Scratch) {
    let (patches, n) = (Patches::forward(window, x), window.filters);
    let (pixels, lines) = (batch * window.rows.output * window.cols.output, patches.columns());
    assert!(x.len() == batch * window.input() && dw.len() == lines * n && dy.len() == pixels * n);
    let dy = Matrix { values: dy, cols: n };
    let (a, b) = (Operand { matrix: &patches, lines_adjacent: true }, Operand { matrix: &dy, lines_adjacent: true });
    multiply([lines, n, pixels], a, b, Target { values: dw, start: &|line| line * n, apart: PANEL, add, bias: None, relu: false }, scratch);
}

/// `dx [batch, input]`, the gradient of the images for `dy [batch, output]` and `w [kernel, channels, filters]`. Overwrites `dx`.
/// Cost as [`forward`], of the taps that meet a pixel.
pub fn input_gradient(window: &Window, batch: usize, dy: &[f32], w: &[f32], dx: &mut [f32], scratch: &mut Scratch) {
    let Window { rows, cols, channels, filters } = *window;
    assert!(dx.len() == batch * window.input() && w.len() == window.weights() && dy.len() == batch * window.output());
    for first_row in 0..rows.stride.min(rows.input) {
        for first_col in 0..cols.stride.min(cols.input) {
            let (top, left) = (phase(rows, first_row), phase(cols, first_col));
            let patches = Patches { images: dy, rows: top.taps, cols: left.taps, channels: filters };
            let w = Exchanged { w, window, rows: top, cols: left };
            let start = |pixel: usize| {
                let [image, row, col] = patches.place(pixel);
                ((image * rows.input + top.first + row * rows.stride) * cols.input + left.first + col * cols.stride) * channels
            };
            let (a, b) = (Operand { matrix: &patches, lines_adjacent: false }, Operand { matrix: &w, lines_adjacent: false });
            let target = Target { values: dx, start: &start, apart: PANEL, add: false, bias: None, relu: false };
            multiply([batch * top.taps.lines * left.taps.lines, channels, patches.columns()], a, b, target, scratch);
        }
    }
}

/// One dimension of windows: window `i` holds the inputs `i·stride + tap·step − before` for each tap, zeros where there is none.
#[derive(Clone, Copy)]
struct Taps {
    lines: usize,
    taps: usize,
    stride: usize,
    step: usize,
    before: isize,
    input: usize,
}

impl Taps {
    fn forward(axis: Axis) -> Self {
        let Axis { input, output, kernel, stride, dilation, before } = axis;
        Self { lines: output, taps: kernel, stride, step: dilation, before: before as isize, input }
    }

    fn input(&self, line: usize, tap: usize) -> isize {
        (line * self.stride + tap * self.step) as isize - self.before
    }
}

/// Of one dimension each `stride`-th input from `first` on, and the windows of outputs that meet these.
#[derive(Clone, Copy)]
struct Phase {
    first: usize,
    taps: Taps,
    /// The kernel's tap that is the first of a window; each next one is `every` before it.
    last: usize,
    every: usize,
}

/// Input `i` meets output `o` by the tap `k` for which `o·stride + k·dilation − before = i`, if there is such an `o`.
#[inline(never)]
fn phase(axis: Axis, first: usize) -> Phase {
    let Axis { input, output, kernel, stride, dilation, before } = axis;
    let outwards = |tap: usize| (first + before) as isize - (tap * dilation) as isize;
    let (mut taps, mut last) = (0, 0);
    for tap in 0..kernel {
        if outwards(tap) % stride as isize == 0 {
            (taps, last) = (taps + 1, tap);
        }
    }
    let every = (1..stride).find(|every| every * dilation % stride == 0).unwrap_or(stride);
    let step = every * dilation / stride;
    let before = -outwards(last) / stride as isize;
    Phase { first, taps: Taps { lines: (input - first).div_ceil(stride), taps, stride: 1, step, before, input: output }, last, every }
}

/// Numbers that are copied one by one: to copy more, or to write zeros, the engine leaves the module.
const SHORT: usize = 32;

/// A row for each window over the images: what it holds, by taps of rows, taps of columns, channels.
struct Patches<'a> {
    images: &'a [f32],
    rows: Taps,
    cols: Taps,
    channels: usize,
}

impl<'a> Patches<'a> {
    /// Of x.
    fn forward(window: &Window, x: &'a [f32]) -> Self {
        Self { images: x, rows: Taps::forward(window.rows), cols: Taps::forward(window.cols), channels: window.channels }
    }

    fn columns(&self) -> usize {
        self.rows.taps * self.cols.taps * self.channels
    }

    /// Image, row and column of a window.
    fn place(&self, i: usize) -> [usize; 3] {
        let (row, col) = (i / self.cols.lines, i % self.cols.lines);
        [row / self.rows.lines, row % self.rows.lines, col]
    }
}

impl Rows for Patches<'_> {
    fn row<'a>(&'a self, i: usize, columns: Range<usize>, room: &'a mut [f32]) -> &'a [f32] {
        let [image, row, col] = self.place(i);
        let width = self.cols.input * self.channels;
        // Taps side by side are one piece of an image's row.
        let (taps, steps) = if self.cols.step == 1 { (self.cols.taps, 1) } else { (1, self.cols.taps) };
        let piece = taps * self.channels;
        let mut done = 0;
        while done < columns.len() {
            let at = columns.start + done;
            let (tap, skip) = (at / piece, at % piece);
            let to = &mut room[done..columns.len().min(done + piece - skip)];
            done += to.len();
            let inside = match usize::try_from(self.rows.input(row, tap / steps)) {
                Ok(row) if row < self.rows.input => &self.images[(image * self.rows.input + row) * width..][..width],
                _ => &[],
            };
            let first = self.cols.input(col, tap % steps) * self.channels as isize + skip as isize;
            let within = |at: isize| at.clamp(0, inside.len() as isize) as usize;
            if to.len() == columns.len() && first >= 0 && first as usize + to.len() <= inside.len() {
                return &inside[first as usize..][..to.len()];
            }
            if to.len() < SHORT {
                for (at, to) in (first..).zip(to) {
                    *to = usize::try_from(at).ok().and_then(|at| inside.get(at)).copied().unwrap_or(0.0);
                }
                continue;
            }
            let inside = &inside[within(first)..within(first + to.len() as isize)];
            let (zeros, rest) = to.split_at_mut(usize::try_from(-first).unwrap_or(0).min(to.len()));
            let (found, beyond) = rest.split_at_mut(inside.len());
            zeros.fill(0.0);
            found.copy_from_slice(inside);
            beyond.fill(0.0);
        }
        &room[..columns.len()]
    }
}

/// The kernel for [`input_gradient`]: a row for each channel, by the taps of a phase and by filters.
struct Exchanged<'a> {
    w: &'a [f32],
    window: &'a Window,
    rows: Phase,
    cols: Phase,
}

impl Rows for Exchanged<'_> {
    fn row<'a>(&'a self, channel: usize, columns: Range<usize>, room: &'a mut [f32]) -> &'a [f32] {
        let Window { cols, channels, filters, .. } = *self.window;
        let mut done = 0;
        while done < columns.len() {
            let at = columns.start + done;
            let (tap, skip) = (at / filters, at % filters);
            let row = self.rows.last - tap / self.cols.taps.taps * self.rows.every;
            let col = self.cols.last - tap % self.cols.taps.taps * self.cols.every;
            let to = &mut room[done..columns.len().min(done + filters - skip)];
            done += to.len();
            to.copy_from_slice(&self.w[((row * cols.kernel + col) * channels + channel) * filters + skip..][..to.len()]);
        }
        &room[..columns.len()]
    }
}
