//! How the window of a convolution lies over an image: sizes, strides, gaps, and what hangs over the edges.

/// One dimension of a convolution: output `i` sees the inputs `i·stride + tap·dilation − before` for each tap of the kernel. Where there is none, at the
/// edges, the tap counts nothing: padding is never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    pub input: usize,
    pub output: usize,
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    /// By how much the first window begins before the first input.
    pub before: usize,
}

impl Axis {
    /// The input that an output sees at a tap, if there is one.
    pub fn seen(&self, output: usize, tap: usize) -> Option<usize> {
        (output * self.stride + tap * self.dilation).checked_sub(self.before).filter(|&i| i < self.input)
    }
}

/// A convolution of one image `[rows.input, cols.input, channels]` to `[rows.output, cols.output, filters]`, with tfjs's kernel `[rows.kernel, cols.kernel,
/// channels, filters]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub rows: Axis,
    pub cols: Axis,
    pub channels: usize,
    pub filters: usize,
}

impl Window {
    /// From the fourteen numbers of `ts/pattern/window.ts`, in its order.
    pub fn new(numbers: [usize; 14]) -> Self {
        let [height, width, channels, out_height, out_width, filters, kh, kw, sh, sw, dh, dw, top, left] = numbers;
        assert!(sh > 0 && sw > 0 && dh > 0 && dw > 0);
        Self {
            rows: Axis { input: height, output: out_height, kernel: kh, stride: sh, dilation: dh, before: top },
            cols: Axis { input: width, output: out_width, kernel: kw, stride: sw, dilation: dw, before: left },
            channels,
            filters,
        }
    }

    /// Numbers in an image.
    pub fn input(&self) -> usize {
        self.rows.input * self.cols.input * self.channels
    }

    /// Numbers in what becomes of it.
    pub fn output(&self) -> usize {
        self.rows.output * self.cols.output * self.filters
    }

    /// Weights of a dense kernel.
    pub fn weights(&self) -> usize {
        self.rows.kernel * self.cols.kernel * self.channels * self.filters
    }
}
