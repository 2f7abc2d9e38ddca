//! A sparse convolution and its gradients, on panels `[row][column][channel]` of 16 lanes.
//!
//! At every place of the window this is the product of a dense layer whose inputs begin somewhere else: an entry's index counts from the window's
//! corner, `((i·dilation·width) + j·dilation)·channels + c`, so that one list in 16 bits serves all places, whatever kernel, stride and dilation. Forward
//! the lines are filters, and the window of an output looks at X. Backward they are channels, and the window of an input looks at dY; with a stride
//! inputs fall into classes by their place modulo the stride, each of which meets its own part of the kernel, and every entry lies in one of them.
//!
//! **Edges** are parts of a window, not padding: entries are ordered by line, then tap, with a pointer for each, and a place at the edge takes for each row
//! of the kernel the stretch of taps that lie inside. Padding instead costs the backward pass of a 5×5 'valid' layer half of its speed.
//!
//! **Lanes** are images, or strips of them where there are few: `ts/wasm/strips.ts`, which also sees to it that a panel passes through in rows, so that x, dx
//! and y go on while they are in the caches.
//!
//! Entries of B∖A take part in dX with a weight of 0: they cost as much as those of A there, and there is one list.
//!
//! What limits it: forward, loads, as in [`super::forward`]; two neighbouring places go together where the engine has the registers for it. Backward,
//! multiply-adds, as in [`super::backward`]; lists are k² times as long, so that it comes closer. Activations larger than the caches wait for memory: the
//! lines that the next place adds are touched before they are needed.

use super::backward::{Decay, both};
use super::forward::{Activation, Tile, add};
use super::touch;
use super::window::{Axis, Window};
use crate::lanes::{F32x4, Placed, Row, Segments};
use crate::pattern::CsrPattern;
use std::ops::Range;

/// Entries whose indices, weights and partial sums, 22 bytes each, go through together at all places of a row of the image: with dY's rows they stay in a
/// second-level cache of 1 MB. Fewer are no faster. Nor are strips of a row, so that less of dY is in use.
const BLOCK: usize = 1 << 14;

/// The entries of a pattern as windows meet them. Depends on kernel, strides, dilations and the widths of image and output, not on their heights.
pub struct Convolution {
    forward: Lists,
    backward: Lists,
}

/// One direction: what each class of places sees.
struct Lists {
    rows: Vec<Class>,
    cols: Vec<Class>,
    /// Lines × taps of each class, row classes × column classes, and how many entries are in the classes before.
    segments: Vec<(Segments, usize)>,
    entries: usize,
    reach: Reach,
    /// Pixels of a row of the source, and features of each.
    width: usize,
    features: usize,
}

/// From where indices count: the farthest that 16 bits allow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Window,
    KernelRow,
    Tap,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

/// Places along one dimension that see the same taps, of which there are some.
struct Class {
    /// Their place modulo the stride.
    phase: usize,
    taps: Vec<usize>,
    /// How far each lies from the window's corner.
    offsets: Vec<usize>,
    /// How far the corner lies before the place itself.
    back: usize,
}

/// Outputs see all taps. Inputs see, by their place modulo the stride, the taps that bring an output there; in the order of outputs, so that indices ascend.
#[inline(never)]
fn classes(axis: &Axis, direction: Direction) -> Vec<Class> {
    if direction == Direction::Forward {
        let (taps, offsets) = (0..axis.kernel).map(|tap| (tap, tap * axis.dilation)).unzip();
        return vec![Class { phase: 0, taps, offsets, back: 0 }];
    }
    let mut found: Vec<Class> = Vec::new();
    for tap in (0..axis.kernel).rev() {
        let (phase, outputs) = (tap * axis.dilation % axis.stride, tap * axis.dilation / axis.stride);
        let class = match found.iter().position(|class| class.phase == phase) {
            Some(class) => &mut found[class],
            None => {
                found.push(Class { phase, taps: Vec::new(), offsets: Vec::new(), back: outputs });
                found.last_mut().expect("just put there")
            }
        };
        class.taps.push(tap);
        class.offsets.push(class.back - outputs);
    }
    found
}

/// Where one window stands, and its taps that lie inside.
struct Place {
    class: usize,
    corner: isize,
    taps: Range<usize>,
}

#[inline(never)]
fn places(axis: &Axis, classes: &[Class], direction: Direction, of: Range<usize>) -> Vec<Place> {
    let length = if direction == Direction::Forward { axis.input } else { axis.output };
    let place = |i: usize| {
        let (phase, corner) = if direction == Direction::Forward {
            (0, (i * axis.stride) as isize - axis.before as isize)
        } else {
            ((i + axis.before) % axis.stride, ((i + axis.before) / axis.stride) as isize)
        };
        let Some(class) = classes.iter().position(|class| class.phase == phase) else { return Place { class: 0, corner, taps: 0..0 } };
        let corner = corner - classes[class].back as isize;
        let below = |end: isize| classes[class].offsets.partition_point(|&offset| corner + (offset as isize) < end);
        Place { class, corner, taps: below(0)..below(length as isize) }
    };
    of.map(place).collect()
}

/// Some neighbouring taps of a window, as entries lie together, and where their indices count from.
struct Part {
    corner: isize,
    taps: Range<usize>,
}

impl Lists {
    /// `entries(line, tap, found)` adds the features of a line's entries at a tap of the kernel to an empty list, in ascending order.
    #[inline(never)]
    fn new(
        window: &Window,
        direction: Direction,
        [lines, features, width]: [usize; 3],
        entries: &mut dyn FnMut(usize, usize, &mut Vec<usize>),
    ) -> Self {
        let (rows, cols) = (classes(&window.rows, direction), classes(&window.cols, direction));
        let farthest = |classes: &[Class]| classes.iter().filter_map(|class| class.offsets.last()).max().copied().unwrap_or(0);
        let (down, right) = (farthest(&rows), farthest(&cols));
        let fits = |pixels: usize| pixels * features <= 1 << 16;
        assert!(fits(1));
        let reach = match () {
            () if fits(down * width + right + 1) => Reach::Window,
            () if fits(right + 1) => Reach::KernelRow,
            () => Reach::Tap,
        };
        let mut lists = Self { rows, cols, segments: Vec::new(), entries: 0, reach, width, features };
        let mut found = Vec::new();
        for class in 0..lists.rows.len() * lists.cols.len() {
            let (row, col) = (&lists.rows[class / lists.cols.len()], &lists.cols[class % lists.cols.len()]);
            let mut taps = Vec::new();
            let mut limits = Vec::new();
            for (i, down) in row.taps.iter().zip(&row.offsets) {
                for (j, right) in col.taps.iter().zip(&col.offsets) {
                    taps.push(i * window.cols.kernel + j);
                    let first = match reach {
                        Reach::Window => (down * width + right) * features,
                        Reach::KernelRow => right * features,
                        Reach::Tap => 0,
                    };
                    limits.push(first..first + features);
                }
            }
            let (mut starts, mut indices) = (Vec::with_capacity(lines * taps.len() + 1), Vec::new());
            starts.push(0);
            for line in 0..lines {
                for (tap, limits) in taps.iter().zip(&limits) {
                    entries(line, *tap, &mut found);
                    indices.extend(found.drain(..).map(|feature| (limits.start + feature) as u16));
                    starts.push(indices.len() as u32);
                }
            }
            indices.shrink_to_fit();
            let entries = indices.len();
            lists.segments.push((Segments::new(starts, indices, limits), lists.entries));
            lists.entries += entries;
        }
        lists
    }

    fn segments(&self, row: &Place, col: &Place) -> &(Segments, usize) {
        &self.segments[row.class * self.cols.len() + col.class]
    }

    /// The parts of the window at a place.
    #[inline(never)]
    fn parts(&self, row: &Place, col: &Place, parts: &mut Vec<Part>) {
        parts.clear();
        if row.taps.is_empty() || col.taps.is_empty() {
            return;
        }
        let (down, right) = (&self.rows[row.class].offsets, &self.cols[col.class].offsets);
        let corner =
            |i: usize, j: usize| ((row.corner + i as isize) * self.width as isize + col.corner + j as isize) * self.features as isize;
        let width = right.len();
        if self.reach == Reach::Window && col.taps == (0..width) {
            parts.push(Part { corner: corner(0, 0), taps: row.taps.start * width..row.taps.end * width });
            return;
        }
        for i in row.taps.clone() {
            if self.reach == Reach::Tap {
                let tap = |j: usize| Part { corner: corner(down[i], right[j]), taps: i * width + j..i * width + j + 1 };
                parts.extend(col.taps.clone().map(tap));
            } else {
                let down = if self.reach == Reach::Window { 0 } else { down[i] };
                parts.push(Part { corner: corner(down, 0), taps: i * width + col.taps.start..i * width + col.taps.end });
            }
        }
    }

    /// Touches the lines that the window at `next` sees first: those of its last column, in the last row.
    fn touch(&self, x: &[Row], row: &Place, next: Option<&Place>) {
        let Some(next) = next else { return };
        let (Some(i), Some(j)) = (row.taps.clone().last(), next.taps.clone().last()) else { return };
        let (down, right) = (self.rows[row.class].offsets[i], self.cols[next.class].offsets[j]);
        let pixel = (row.corner + down as isize) as usize * self.width + (next.corner + right as isize) as usize;
        touch(&x[pixel * self.features..][..self.features]);
    }
}

/// The window at P neighbouring places, `apart` lines from each other.
#[inline(always)]
fn placed<'a, const P: usize>(segments: &'a Segments, x: &'a [Row], parts: &[Part], apart: usize) -> impl Iterator<Item = Placed<'a, P>> {
    parts.iter().map(move |part| segments.at(x, std::array::from_fn(|p| part.corner + (p * apart) as isize), part.taps.clone()))
}

impl Convolution {
    /// The rows of `pattern` are `(tap, channel)`, taps of the kernel row by row, its columns filters. Up to 65 536 of either.
    /// O(nnz + taps·(channels + filters)) time; 4 bytes an entry and 4 for each tap and channel or filter.
    pub fn new(pattern: &CsrPattern, window: &Window) -> Self {
        let Window { rows, cols, channels, filters } = *window;
        assert!(pattern.rows() == rows.kernel * cols.kernel * channels && pattern.cols() == filters);
        // Entries of one filter ascend by tap, then channel: what has been handed out needs no search.
        let (mut filter, mut next) = (usize::MAX, 0);
        let forward = Lists::new(window, Direction::Forward, [filters, channels, cols.input], &mut |line, tap, found| {
            let (start, split, _) = pattern.by_column.line(line);
            if line != filter {
                (filter, next) = (line, start);
            }
            while next < split && pattern.by_column.indices().get(next) < (tap + 1) * channels {
                found.push(pattern.by_column.indices().get(next) - tap * channels);
                next += 1;
            }
        });
        let backward = Lists::new(window, Direction::Backward, [channels, filters, cols.output], &mut |line, tap, found| {
            let (start, _, end) = pattern.by_row.line(tap * channels + line);
            pattern.by_row.indices().for_each(start..end, |_, filter| found.push(filter));
        });
        Self { forward, backward }
    }

    /// |A| and |B|.
    pub fn entries(&self) -> [usize; 2] {
        [self.forward.entries, self.backward.entries]
    }

    /// The weights of A in the order in which forward lists meet them: overwrites `out [|A|]`, from `values [nnz]`.
    pub fn forward_order(pattern: &CsrPattern, values: &[f32], out: &mut [f32]) {
        assert!(values.len() == pattern.nnz() && out.len() == pattern.nnz_of_a());
        let mut next = 0;
        for filter in 0..pattern.cols() {
            let (start, split, _) = pattern.by_column.line(filter);
            for (to, &position) in out[next..].iter_mut().zip(&pattern.row_position[start..split]) {
                *to = values[position as usize];
            }
            next += split - start;
        }
    }

    /// `Y = act(X ∗ W + bias)`, some rows of a panel: of all of `x [height][width][channels]`, with `values` of [`Convolution::forward_order`]. Overwrites
    /// `y [rows][outWidth][filters]`. All but the heights of `window` are those of [`Convolution::new`].
    /// Cost: 16·|A|·rows·outWidth multiply-adds.
    pub fn forward(&self, window: &Window, rows: Range<usize>, x: &[Row], y: &mut [Row], tile: Tile, weights: &Weights) {
        let lists = &self.forward;
        assert!(x.len() == window.input() && y.len() == rows.len() * window.cols.output * window.filters);
        assert!(weights.values.len() == lists.entries && weights.bias.is_none_or(|bias| bias.len() == window.filters));
        let across = places(&window.cols, &lists.cols, Direction::Forward, 0..window.cols.output);
        let apart = window.cols.stride * window.channels;
        let (mut parts, mut one, mut two) = (Vec::new(), Vec::new(), Vec::new());
        let mut rest = y;
        for row in places(&window.rows, &lists.rows, Direction::Forward, rows) {
            let mut at = 0;
            while let Some(col) = across.get(at) {
                let pair = tile != Tile::S16x1 && across.get(at + 1).is_some_and(|next| next.taps == col.taps);
                let step = if pair { 2 } else { 1 };
                let y;
                (y, rest) = std::mem::take(&mut rest).split_at_mut(step * window.filters);
                (at + step..at + 2 * step).for_each(|next| lists.touch(x, &row, across.get(next)));
                lists.parts(&row, col, &mut parts);
                let (segments, _) = lists.segments(&row, col);
                if pair {
                    two.clear();
                    two.extend(placed(segments, x, &parts, apart));
                    let (y0, y1) = y.split_at_mut(window.filters);
                    weights.outputs(&two, [y0, y1]);
                } else {
                    one.clear();
                    one.extend(placed(segments, x, &parts, apart));
                    weights.outputs(&one, [y]);
                }
                at += step;
            }
        }
    }

    /// The weights in the order of the backward lists, those of B∖A as 0. Overwrites `out [nnz]`.
    pub fn backward_order(&self, pattern: &CsrPattern, window: &Window, values: &[f32], out: &mut [f32]) {
        assert!(values.len() == pattern.nnz() && out.len() == pattern.nnz());
        let mut next = 0;
        self.for_each_run(pattern, window, |start, split, end| {
            let to = &mut out[next..][..end - start];
            to[..split - start].copy_from_slice(&values[start..split]);
            to[split - start..].fill(0.0);
            next += end - start;
        });
    }

    /// dX of some rows of a panel, if wanted, and what they add to the gradient of the weights: `x` and `dx [rows][width][channels]`, all of
    /// `dy [outHeight][outWidth][filters]`, already through the activation, `values` of [`Convolution::backward_order`]. Overwrites `dx`, adds to
    /// `partial [nnz]`. Cost over all rows: 32·|B|·outHeight·outWidth multiply-adds, half of it without dX.
    #[allow(clippy::too_many_arguments)]
    pub fn backward(
        &self,
        window: &Window,
        rows: Range<usize>,
        x: &[Row],
        dy: &[Row],
        values: &[f32],
        mut dx: Option<&mut [Row]>,
        partial: &mut [[f32; 4]],
    ) {
        let lists = &self.backward;
        let across = places(&window.cols, &lists.cols, Direction::Backward, 0..window.cols.input);
        let (mut parts, mut all) = (Vec::new(), Vec::new());
        let channels = window.channels;
        let block = channels.div_ceil(values.len().div_ceil(BLOCK).max(1)).max(1);
        let length = across.len() * channels;
        assert!(x.len() == rows.len() * length && dx.as_ref().is_none_or(|dx| dx.len() == x.len()) && dy.len() == window.output());
        assert!(values.len() == lists.entries && partial.len() == lists.entries);
        for (r, row) in places(&window.rows, &lists.rows, Direction::Backward, rows).iter().enumerate() {
            for first in (0..channels).step_by(block) {
                for (i, col) in across.iter().enumerate() {
                    if first == 0 {
                        lists.touch(dy, row, across.get(i + 1));
                    }
                    lists.parts(row, col, &mut parts);
                    let (segments, before) = lists.segments(row, col);
                    all.clear();
                    all.extend(placed(segments, dy, &parts, 0));
                    let pixel = r * length + i * channels;
                    let own = pixel + first..pixel + channels.min(first + block);
                    let (values, partial, x) = (&values[*before..], &mut partial[*before..], &x[own.clone()]);
                    match dx.as_deref_mut() {
                        Some(dx) => input::<true>(&all, values, partial, first, x, &mut dx[own]),
                        None => input::<false>(&all, values, partial, first, x, &mut []),
                    }
                }
            }
        }
    }

    /// The gradient of the weights, from what [`Convolution::backward`] has added to `partial`, and the decay. Overwrites `d_values [nnz]`.
    pub fn weight_gradient(
        &self,
        pattern: &CsrPattern,
        window: &Window,
        partial: &[[f32; 4]],
        values: &[f32],
        d_values: &mut [f32],
        decay: Decay,
    ) {
        let nnz = pattern.nnz();
        assert!(partial.len() == nnz && values.len() == nnz && d_values.len() == nnz);
        let mut next = 0;
        self.for_each_run(pattern, window, |start, _, end| {
            for (d_value, partial) in d_values[start..end].iter_mut().zip(&partial[next..]) {
                *d_value = F32x4::load(partial).sum();
            }
            next += end - start;
        });
        decay.add(pattern, values, d_values);
    }

    /// The stretches of the pattern, `(start, split, end)`, in the order of the backward lists.
    fn for_each_run(&self, pattern: &CsrPattern, window: &Window, mut visit: impl FnMut(usize, usize, usize)) {
        for row in &self.backward.rows {
            for col in &self.backward.cols {
                for channel in 0..window.channels {
                    for i in &row.taps {
                        for j in &col.taps {
                            let (start, split, end) = pattern.by_row.line((i * window.cols.kernel + j) * window.channels + channel);
                            visit(start, split, end);
                        }
                    }
                }
            }
        }
    }
}

/// What the forward pass multiplies with, and what it does to the sums.
pub struct Weights<'a> {
    /// Of [`Convolution::forward_order`].
    pub values: &'a [f32],
    /// `[filters]`
    pub bias: Option<&'a [f32]>,
    pub activation: Activation,
}

impl Weights<'_> {
    /// All filters at P neighbouring places. Not inlined, as in `forward`.
    #[inline(never)]
    fn outputs<const P: usize>(&self, parts: &[Placed<'_, P>], y: [&mut [Row]; P]) {
        let floor = self.activation.floor();
        for filter in 0..y[0].len() {
            let mut sums = [[F32x4::splat(self.bias.map_or(0.0, |bias| bias[filter])); 4]; P];
            for part in parts {
                let (run, rows) = part.rows(filter);
                // Not a `for`, which asks of each entry whether its row is there.
                rows.zip(&self.values[run]).for_each(|(x, &value)| {
                    let weight = F32x4::splat(value);
                    for p in 0..P {
                        add(&mut sums[p], x[p], weight);
                    }
                });
            }
            for p in 0..P {
                y[p][filter].set(sums[p].map(|sum| sum.zero_below(floor)));
            }
        }
    }
}

/// dX of one pixel, if wanted, some channels from `first` on, and what it adds to dValues.
#[inline(never)]
fn input<const DX: bool>(parts: &[Placed<'_, 1>], values: &[f32], partial: &mut [[f32; 4]], first: usize, x: &[Row], dx: &mut [Row]) {
    let zero = Row::ZERO.lanes();
    // Most pixels have one: without a loop around the loop V8 keeps more in registers.
    if let [part] = parts {
        for (i, x) in x.iter().enumerate() {
            let sums = line(part, first + i, values, partial, x.lanes(), zero);
            if DX {
                dx[i].set(sums);
            }
        }
    } else {
        for (i, x) in x.iter().enumerate() {
            let sums = parts.iter().fold(zero, |sums, part| line(part, first + i, values, partial, x.lanes(), sums));
            if DX {
                dx[i].set(sums);
            }
        }
    }
}

#[inline(always)]
fn line(part: &Placed<'_, 1>, channel: usize, values: &[f32], partial: &mut [[f32; 4]], x: [F32x4; 4], sums: [F32x4; 4]) -> [F32x4; 4] {
    let (run, dy) = part.rows(channel);
    both(dy, &values[run.clone()], x, &mut partial[run], sums)
}
