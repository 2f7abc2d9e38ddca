//! Four `f32` lanes, rows of sixteen, and the walks over rows whose bounds a pattern has proved. The only file in the crate that names an instruction set.
//!
//! Chosen at compile time: a wasm module cannot ask the CPU what it can do, so there are two binaries and JavaScript picks one.
//! The portable twin serves `cargo test` on any machine. [`F32x4::mul_add`] rounds once with relaxed-simd and twice without:
//! results of the two binaries differ in the last bits, each alone is reproducible.

use crate::pattern::{Bounded, Index};
#[cfg(target_arch = "wasm32")]
use core::arch::wasm32 as w;
use core::marker::PhantomData;
use core::ops::{Add, Div, Mul, Range, Sub};

/// Sixteen samples of one feature: one cache line, four vectors. The unit that every product works on.
///
/// The alignment matters: a row that straddles two cache lines costs two loads per vector.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub struct Row(pub [f32; 16]);

impl Row {
    pub const ZERO: Row = Row([0.0; 16]);

    /// The numbers of some, one row after the other.
    #[inline(always)]
    pub fn flat(rows: &mut [Row]) -> &mut [f32] {
        // SAFETY: a row is as large as its sixteen numbers, so there is nothing between two of them.
        unsafe { std::slice::from_raw_parts_mut(rows.as_mut_ptr().cast(), 16 * rows.len()) }
    }

    /// As [`Row::flat`], to be read.
    #[inline(always)]
    pub fn numbers(rows: &[Row]) -> &[f32] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(rows.as_ptr().cast(), 16 * rows.len()) }
    }

    #[inline(always)]
    pub fn lanes(&self) -> [F32x4; 4] {
        let (q, _) = self.0.as_chunks::<4>();
        [F32x4::load(&q[0]), F32x4::load(&q[1]), F32x4::load(&q[2]), F32x4::load(&q[3])]
    }

    #[inline(always)]
    pub fn set(&mut self, lanes: [F32x4; 4]) {
        let (q, _) = self.0.as_chunks_mut::<4>();
        for v in 0..4 {
            lanes[v].store(&mut q[v]);
        }
    }
}

/// The rows of P panels that a pattern names. One check for all of it; a check for each entry costs a third of the forward pass on Node 20.
pub(crate) struct Gather<'a, const P: usize, I> {
    x: [&'a [Row]; P],
    indices: &'a [I],
}

impl<'a, const P: usize, I: Index> Gather<'a, P, I> {
    #[inline(always)]
    pub fn new(x: [&'a [Row]; P], all: Bounded<'a, I>) -> Self {
        x.iter().for_each(|x| assert!(all.bound() <= x.len()));
        Self { x, indices: all.indices() }
    }

    /// Those of one run of entries, in its order.
    #[inline(always)]
    pub fn rows(&self, run: Range<usize>) -> impl Iterator<Item = [&'a Row; P]> {
        let x = self.x;
        self.indices[run].iter().map(move |&index| {
            let index = index.into() as usize;
            // SAFETY: having a `Bounded` proves that its indices are below its bound, and that is at most the length of each `x`.
            x.map(|x| unsafe { x.get_unchecked(index) })
        })
    }
}

/// What some entries have beside their indices, in the same order.
pub(crate) struct Entries<'a> {
    pub values: &'a [f32],
    /// Each in four lanes, from one panel to the next.
    pub sums: &'a mut [[f32; 4]],
    /// Of values and gradients in row order.
    pub positions: &'a [u32],
}

/// As [`Gather`], with what else each entry has, for lines that follow one another. Where a line begins it knows from having read the one
/// before: a processor that has guessed wrong where that one ends goes on at once. With the beginning to be loaded first, and then an index, and then a row, it
/// stood still for twenty cycles, as long as five entries take.
pub(crate) struct Walk<'a, const P: usize, I> {
    x: [&'a [Row]; P],
    indices: &'a [I],
    /// How many entries there are beyond the run that [`Walk::seek`] went to, and where that ends.
    left: usize,
    end: usize,
    lent: PhantomData<&'a mut [[f32; 4]]>,
    /// What belongs to the next entry.
    next: (*const I, *const f32, *mut [f32; 4], *const u32),
}

impl<'a, const P: usize, I: Index> Walk<'a, P, I> {
    /// Before the first of the `entries`, whatever their indices among all of them.
    #[inline(always)]
    pub fn new(x: [&'a [Row]; P], all: Bounded<'a, I>, Entries { values, sums, positions }: Entries<'a>) -> Self {
        x.iter().for_each(|x| assert!(all.bound() <= x.len()));
        assert!(values.len() == sums.len() && positions.len() == sums.len());
        let indices = all.indices();
        let next = (indices.as_ptr(), values.as_ptr(), sums.as_mut_ptr(), positions.as_ptr());
        Self { x, indices, left: sums.len(), end: 0, lent: PhantomData, next }
    }

    /// Goes on with a run of indices.
    #[inline(always)]
    pub fn seek(&mut self, run: Range<usize>) {
        let indices = &self.indices[run.clone()];
        assert!(indices.len() <= self.left);
        self.left -= indices.len();
        self.end = run.end;
        self.next.0 = indices.as_ptr();
    }

    /// Calls `visit` for the entries from here to `end`, which lies in the run, with row, value, sum and position.
    #[inline(always)]
    pub fn until(&mut self, end: usize, mut visit: impl FnMut([&'a Row; P], f32, &mut [f32; 4], u32)) {
        assert!(end <= self.end);
        // SAFETY: `seek` has found that so many indices are there, and of all else as many entries after those that it went to before. An index is below the
        // bound, as in `Gather`. The sum is lent to this walk, and by it for one call.
        unsafe {
            let end = self.indices.as_ptr().add(end);
            while self.next.0 < end {
                let (index, value, sum, position) = self.next;
                visit(self.x.map(|x| x.get_unchecked((*index).into() as usize)), *value, &mut *sum, *position);
                self.next = (index.add(1), value.add(1), sum.add(1), position.add(1));
            }
        }
    }
}

/// As [`Walk`], with a weight for each entry and nothing to add to.
pub(crate) struct WeightedRows<'a, const P: usize, I> {
    x: [&'a [Row]; P],
    indices: &'a [I],
    weights: &'a [f32],
    /// What belongs to the next entry.
    next: (*const I, *const f32),
}

impl<'a, const P: usize, I: Index> WeightedRows<'a, P, I> {
    #[inline(always)]
    pub fn new(x: [&'a [Row]; P], entries: Bounded<'a, I>, weights: &'a [f32]) -> Self {
        x.iter().for_each(|x| assert!(entries.bound() <= x.len()));
        let indices = entries.indices();
        assert!(indices.len() == weights.len());
        Self { x, indices, weights, next: (indices.as_ptr(), weights.as_ptr()) }
    }

    /// Goes to an entry.
    #[inline(always)]
    pub fn seek(&mut self, entry: usize) {
        assert!(entry <= self.indices.len());
        // SAFETY: there are as many weights.
        self.next = unsafe { (self.indices.as_ptr().add(entry), self.weights.as_ptr().add(entry)) };
    }

    /// Calls `visit` for the entries from here to `end`, with row, and the weight in all lanes.
    #[inline(always)]
    pub fn until(&mut self, end: usize, mut visit: impl FnMut([&'a Row; P], F32x4)) {
        assert!(end <= self.indices.len());
        let (mut index, mut weight) = self.next;
        // SAFETY: as below.
        unsafe {
            let end = self.indices.as_ptr().add(end);
            while index < end {
                visit(self.rows(index), F32x4::splat(*weight));
                (index, weight) = (index.add(1), weight.add(1));
            }
        }
        self.next = (index, weight);
    }

    /// The same, with weights loaded four at once and spread from there: such a product waits for loads, and has time for the rest. There have to be
    /// [`FOURS`] entries from the last one on.
    #[inline(always)]
    pub fn by_fours(&mut self, end: usize, mut visit: impl FnMut([&'a Row; P], F32x4)) {
        let end = self.indices[..end + FOURS - 1].as_ptr_range().end.wrapping_sub(FOURS - 1);
        let (mut index, mut weight) = self.next;
        // SAFETY: both have gone as far from the beginning of arrays of one length, and the first has not reached `end`, after which there are three more.
        unsafe {
            while index < end {
                let four = F32x4::load(&*weight.cast());
                visit(self.rows(index), four.spread::<0>());
                (index, weight) = (index.add(1), weight.add(1));
                if index >= end {
                    break;
                }
                visit(self.rows(index), four.spread::<1>());
                (index, weight) = (index.add(1), weight.add(1));
                if index >= end {
                    break;
                }
                visit(self.rows(index), four.spread::<2>());
                (index, weight) = (index.add(1), weight.add(1));
                if index >= end {
                    break;
                }
                visit(self.rows(index), four.spread::<3>());
                (index, weight) = (index.add(1), weight.add(1));
            }
        }
        self.next = (index, weight);
    }

    /// Those that an entry names, which has to be there.
    #[inline(always)]
    unsafe fn rows(&self, index: *const I) -> [&'a Row; P] {
        // SAFETY: the caller's; the index is below the bound, as in `Gather`.
        unsafe {
            let index = (*index).into() as usize;
            self.x.map(|x| x.get_unchecked(index))
        }
    }
}

/// Weights that [`WeightedRows::by_fours`] loads at once.
pub(crate) const FOURS: usize = 4;

/// Indices of rows in segments, one for each line and tap, counted from wherever a window stands. Those of a tap lie within its limits, so that one check
/// for each place of the window serves all lines.
#[derive(Debug)]
pub(crate) struct Segments {
    /// `[lines·taps + 1]`
    starts: Vec<u32>,
    indices: Vec<u16>,
    limits: Vec<Range<usize>>,
    /// Taps with the same number here have ascending limits.
    stretches: Vec<usize>,
}

impl Segments {
    /// `starts [lines·taps + 1]`, and for each tap the `limits` of its indices. Panics where these do not hold.
    pub fn new(starts: Vec<u32>, indices: Vec<u16>, limits: Vec<Range<usize>>) -> Self {
        assert!(starts.first() == Some(&0) && starts.is_sorted() && starts.last() == Some(&(indices.len() as u32)));
        assert!(!limits.is_empty() && (starts.len() - 1).is_multiple_of(limits.len()));
        for (segment, ends) in starts.windows(2).enumerate() {
            let limits = &limits[segment % limits.len()];
            assert!(indices[ends[0] as usize..ends[1] as usize].iter().all(|&index| limits.contains(&index.into())));
        }
        assert!(limits.iter().all(|limits| limits.end <= 1 << 16));
        let mut stretches = vec![0; limits.len()];
        for tap in 1..limits.len() {
            let ascends = limits[tap - 1].start <= limits[tap].start && limits[tap - 1].end <= limits[tap].end;
            stretches[tap] = stretches[tap - 1] + usize::from(!ascends);
        }
        Self { starts, indices, limits, stretches }
    }

    pub fn taps(&self) -> usize {
        self.limits.len()
    }

    /// Where the segments of one line begin, and the last one ends.
    #[inline(always)]
    pub fn line(&self, line: usize) -> &[u32] {
        &self.starts[line * self.taps()..][..=self.taps()]
    }

    /// The window at P places of `x`, of which it sees some neighbouring `taps`, at least one. Panics unless all of these lie in `x`.
    #[inline(always)]
    pub fn at<'a, const P: usize>(&'a self, x: &'a [Row], corners: [isize; P], taps: Range<usize>) -> Placed<'a, P> {
        let (first, last) = (taps.start, taps.end - 1);
        assert!(self.stretches[first] == self.stretches[last]);
        for corner in corners {
            // Limits are small numbers, see `new`; what would wrap around is far outside.
            let from_corner = |by: usize| corner.saturating_add_unsigned(by);
            assert!(from_corner(self.limits[first].start) >= 0 && from_corner(self.limits[last].end) <= x.len() as isize);
        }
        Placed { of: self, corners: corners.map(|corner| x.as_ptr().wrapping_offset(corner)), taps, x: PhantomData }
    }
}

/// Made by [`Segments::at`] alone: whatever index the `taps` have, a row lies so far from each of `corners`. These themselves may lie outside.
pub(crate) struct Placed<'a, const P: usize> {
    of: &'a Segments,
    corners: [*const Row; P],
    taps: Range<usize>,
    x: PhantomData<&'a [Row]>,
}

impl<'a, const P: usize> Placed<'a, P> {
    /// The entries of one line, and their rows in this order.
    #[inline(always)]
    pub fn rows(&self, line: usize) -> (Range<usize>, impl Iterator<Item = [&'a Row; P]>) {
        let starts = self.of.line(line);
        let run = starts[self.taps.start] as usize..starts[self.taps.end] as usize;
        let corners = self.corners;
        let rows = self.of.indices[run.clone()].iter().map(move |&index| {
            // SAFETY: the index lies within the limits of its tap, and for these `Segments::at` has found that the rows are there; `x` keeps them.
            corners.map(|corner| unsafe { &*corner.wrapping_add(index.into()) })
        });
        (run, rows)
    }
}

#[cfg(target_arch = "wasm32")]
#[derive(Clone, Copy)]
pub struct F32x4(w::v128);

#[cfg(target_arch = "wasm32")]
impl F32x4 {
    #[inline(always)]
    pub fn load(s: &[f32; 4]) -> Self {
        // SAFETY: `s` is 16 readable bytes, and v128_load asks for no alignment.
        Self(unsafe { w::v128_load(s.as_ptr().cast()) })
    }

    #[inline(always)]
    pub fn store(self, s: &mut [f32; 4]) {
        // SAFETY: `s` is 16 writable bytes, and v128_store asks for no alignment.
        unsafe { w::v128_store(s.as_mut_ptr().cast(), self.0) }
    }

    /// Four pairs from anywhere: their first numbers, and their second ones.
    #[inline(always)]
    pub fn pairs([a, b, c, d]: [&[f32; 2]; 4]) -> [Self; 2] {
        // SAFETY: each pair is 8 readable bytes, and these loads ask for no alignment.
        let two =
            |a: &[f32; 2], b: &[f32; 2]| unsafe { w::v128_load64_lane::<1>(w::v128_load64_zero(a.as_ptr().cast()), b.as_ptr().cast()) };
        let (ab, cd) = (two(a, b), two(c, d));
        [Self(w::i32x4_shuffle::<0, 2, 4, 6>(ab, cd)), Self(w::i32x4_shuffle::<1, 3, 5, 7>(ab, cd))]
    }

    #[inline(always)]
    pub fn splat(v: f32) -> Self {
        Self(w::f32x4_splat(v))
    }

    /// Lane `I` in all lanes.
    #[inline(always)]
    pub fn spread<const I: usize>(self) -> Self {
        Self(w::i32x4_shuffle::<I, I, I, I>(self.0, self.0))
    }

    /// `self · b + c`
    #[inline(always)]
    pub fn mul_add(self, b: Self, c: Self) -> Self {
        #[cfg(target_feature = "relaxed-simd")]
        return Self(w::f32x4_relaxed_madd(self.0, b.0, c.0));
        #[cfg(not(target_feature = "relaxed-simd"))]
        Self(w::f32x4_add(w::f32x4_mul(self.0, b.0), c.0))
    }

    #[inline(always)]
    pub fn sqrt(self) -> Self {
        Self(w::f32x4_sqrt(self.0))
    }

    #[inline(always)]
    pub fn abs(self) -> Self {
        Self(w::f32x4_abs(self.0))
    }

    /// The bits of the absolute values, which order as these do.
    #[inline(always)]
    pub fn magnitudes(self) -> I32x4 {
        I32x4(w::v128_and(self.0, w::i32x4_splat(i32::MAX)))
    }

    /// 0 where `self` is below `floor`. A NaN is not.
    #[inline(always)]
    pub fn zero_below(self, floor: Self) -> Self {
        // Neither `f32x4.max`, several instructions on x64, nor `f32x4.pmax`, of which the compiler makes `relaxed_max`: that may drop a NaN.
        Self(w::v128_andnot(self.0, w::f32x4_lt(self.0, floor.0)))
    }

    /// 0 where `self` is denormal.
    #[inline(always)]
    pub fn flushed(self, normal: Normal) -> Self {
        Self(w::v128_andnot(self.0, w::f32x4_lt(w::v128_and(self.0, normal.magnitude.0), normal.least.0)))
    }

    /// `self` where `y` is above 0 or NaN, else 0: the derivative of relu, given its output.
    #[inline(always)]
    pub fn where_positive(self, y: Self) -> Self {
        Self(w::v128_andnot(self.0, w::f32x4_le(y.0, w::f32x4_splat(0.0))))
    }

    /// A bit for each lane that is at or above `b`, or is NaN.
    #[inline(always)]
    pub fn not_below(self, b: Self) -> u32 {
        w::u32x4_bitmask(w::f32x4_lt(self.0, b.0)) as u32 ^ 0b1111
    }

    /// A mask of the lanes that are above those of `b`.
    #[inline(always)]
    pub fn above(self, b: Self) -> I32x4 {
        I32x4(w::f32x4_gt(self.0, b.0))
    }

    /// A mask of the lanes that are not below those of `b`; no NaN is.
    #[inline(always)]
    pub fn reaches(self, b: Self) -> I32x4 {
        I32x4(w::f32x4_ge(self.0, b.0))
    }

    /// `b` where it is above `self`, which thus takes no NaN.
    #[inline(always)]
    pub fn or_larger(self, b: Self) -> Self {
        // Not `f32x4.pmax`: see `zero_below`.
        Self(w::v128_bitselect(b.0, self.0, w::f32x4_gt(b.0, self.0)))
    }

    /// 0 in the lanes of a mask.
    #[inline(always)]
    pub fn without(self, mask: I32x4) -> Self {
        Self(w::v128_andnot(self.0, mask.0))
    }

    #[inline(always)]
    pub fn widen(self) -> [F64x2; 2] {
        [F64x2(w::f64x2_promote_low_f32x4(self.0)), F64x2(w::f64x2_promote_low_f32x4(w::i64x2_shuffle::<1, 1>(self.0, self.0)))]
    }

    /// The sum of the lanes, always in this order: (0 + 1) + (2 + 3).
    #[inline(always)]
    pub fn sum(self) -> f32 {
        let pairs = self + Self(w::i32x4_shuffle::<1, 0, 3, 2>(self.0, self.0));
        w::f32x4_extract_lane::<0>((pairs + Self(w::i32x4_shuffle::<2, 3, 0, 1>(pairs.0, pairs.0))).0)
    }

    /// The 4×4 matrix whose rows are `r`, transposed.
    #[inline(always)]
    pub fn transpose(r: [Self; 4]) -> [Self; 4] {
        let low01 = w::i32x4_shuffle::<0, 4, 1, 5>(r[0].0, r[1].0);
        let high01 = w::i32x4_shuffle::<2, 6, 3, 7>(r[0].0, r[1].0);
        let low23 = w::i32x4_shuffle::<0, 4, 1, 5>(r[2].0, r[3].0);
        let high23 = w::i32x4_shuffle::<2, 6, 3, 7>(r[2].0, r[3].0);
        [
            Self(w::i64x2_shuffle::<0, 2>(low01, low23)),
            Self(w::i64x2_shuffle::<1, 3>(low01, low23)),
            Self(w::i64x2_shuffle::<0, 2>(high01, high23)),
            Self(w::i64x2_shuffle::<1, 3>(high01, high23)),
        ]
    }
}

#[cfg(not(target_arch = "wasm32"))]
#[derive(Clone, Copy)]
pub struct F32x4([f32; 4]);

#[cfg(not(target_arch = "wasm32"))]
impl F32x4 {
    pub fn load(s: &[f32; 4]) -> Self {
        Self(*s)
    }

    pub fn store(self, s: &mut [f32; 4]) {
        *s = self.0;
    }

    pub fn pairs(pairs: [&[f32; 2]; 4]) -> [Self; 2] {
        [0, 1].map(|i| Self(pairs.map(|pair| pair[i])))
    }

    pub fn splat(v: f32) -> Self {
        Self([v; 4])
    }

    pub fn spread<const I: usize>(self) -> Self {
        Self([self.0[I]; 4])
    }

    pub fn mul_add(self, b: Self, c: Self) -> Self {
        self * b + c
    }

    pub fn sqrt(self) -> Self {
        Self(self.0.map(f32::sqrt))
    }

    pub fn abs(self) -> Self {
        Self(self.0.map(f32::abs))
    }

    pub fn magnitudes(self) -> I32x4 {
        I32x4(self.0.map(|v| v.abs().to_bits() as i32))
    }

    pub fn zero_below(self, floor: Self) -> Self {
        self.zip(floor, |a, floor| if a < floor { 0.0 } else { a })
    }

    pub fn flushed(self, normal: Normal) -> Self {
        self.zip(normal.least, |a, least| if a.abs() < least { 0.0 } else { a })
    }

    pub fn where_positive(self, y: Self) -> Self {
        self.zip(y, |a, y| if y <= 0.0 { 0.0 } else { a })
    }

    pub fn not_below(self, b: Self) -> u32 {
        (0..4).map(|i| u32::from(self.0[i].is_nan() || self.0[i] >= b.0[i]) << i).sum()
    }

    pub fn above(self, b: Self) -> I32x4 {
        I32x4([0, 1, 2, 3].map(|i| -i32::from(self.0[i] > b.0[i])))
    }

    pub fn reaches(self, b: Self) -> I32x4 {
        I32x4([0, 1, 2, 3].map(|i| -i32::from(self.0[i] >= b.0[i])))
    }

    pub fn or_larger(self, b: Self) -> Self {
        self.zip(b, |a, b| if a < b { b } else { a })
    }

    pub fn without(self, mask: I32x4) -> Self {
        Self([0, 1, 2, 3].map(|i| if mask.0[i] != 0 { 0.0 } else { self.0[i] }))
    }

    pub fn widen(self) -> [F64x2; 2] {
        let [a, b, c, d] = self.0.map(f64::from);
        [F64x2([a, b]), F64x2([c, d])]
    }

    pub fn sum(self) -> f32 {
        let [a, b, c, d] = self.0;
        (a + b) + (c + d)
    }

    pub fn transpose(r: [Self; 4]) -> [Self; 4] {
        [0, 1, 2, 3].map(|i| Self([r[0].0[i], r[1].0[i], r[2].0[i], r[3].0[i]]))
    }

    fn zip(self, b: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self([0, 1, 2, 3].map(|i| f(self.0[i], b.0[i])))
    }
}

impl F32x4 {
    pub const WIDTH: usize = 4;

    #[inline(always)]
    pub fn to_array(self) -> [f32; 4] {
        let mut s = [0.0; 4];
        self.store(&mut s);
        s
    }
}

/// What tells denormal numbers from others, for loops: V8 makes a constant anew at each use, of up to four instructions, and keeps a variable.
#[derive(Clone, Copy)]
pub struct Normal {
    /// The least number that is not denormal.
    pub least: F32x4,
    #[cfg(target_arch = "wasm32")]
    magnitude: I32x4,
}

impl Default for Normal {
    #[inline(always)]
    fn default() -> Self {
        std::hint::black_box(Self {
            least: F32x4::splat(f32::MIN_POSITIVE),
            #[cfg(target_arch = "wasm32")]
            magnitude: I32x4::splat(i32::MAX),
        })
    }
}

/// Lane by lane, on either side of the instruction set.
macro_rules! lanewise {
    ($($lanes:ident $trait:ident $method:ident $wasm:ident $operator:tt)*) => {$(
        impl $trait for $lanes {
            type Output = Self;

            #[inline(always)]
            fn $method(self, b: Self) -> Self {
                #[cfg(target_arch = "wasm32")]
                return Self(w::$wasm(self.0, b.0));
                #[cfg(not(target_arch = "wasm32"))]
                self.zip(b, |a, b| a $operator b)
            }
        }
    )*};
}

lanewise! {
    F32x4 Add add f32x4_add +
    F32x4 Mul mul f32x4_mul *
    F32x4 Div div f32x4_div /
    F64x2 Add add f64x2_add +
    F64x2 Mul mul f64x2_mul *
    I32x4 Add add i32x4_add +
    I32x4 Sub sub i32x4_sub -
}

/// Four `i32` lanes: numbers, or the masks 0 and −1.
#[derive(Clone, Copy)]
pub struct I32x4(#[cfg(target_arch = "wasm32")] w::v128, #[cfg(not(target_arch = "wasm32"))] [i32; 4]);

#[cfg(target_arch = "wasm32")]
impl I32x4 {
    #[inline(always)]
    pub fn splat(v: i32) -> Self {
        Self(w::i32x4_splat(v))
    }

    /// A mask of the lanes whose bits are set, of the lower four.
    #[inline(always)]
    pub fn mask(bits: u32) -> Self {
        let each = w::i32x4(1, 2, 4, 8);
        Self(w::i32x4_eq(w::v128_and(w::u32x4_splat(bits), each), each))
    }

    #[inline(always)]
    pub fn ascending(first: i32) -> Self {
        Self(w::i32x4_add(w::i32x4_splat(first), w::i32x4(0, 1, 2, 3)))
    }

    #[inline(always)]
    pub fn to_array(self) -> [i32; 4] {
        let mut s = [0; 4];
        // SAFETY: `s` is 16 writable bytes, and v128_store asks for no alignment.
        unsafe { w::v128_store(s.as_mut_ptr().cast(), self.0) };
        s
    }

    /// A mask of the lanes that are above those of `b`.
    #[inline(always)]
    pub fn above(self, b: Self) -> Self {
        Self(w::i32x4_gt(self.0, b.0))
    }

    #[inline(always)]
    pub fn max(self, b: Self) -> Self {
        Self(w::i32x4_max(self.0, b.0))
    }

    /// A bit for each lane of four masks.
    #[inline(always)]
    pub fn bits([a, b, c, d]: [Self; 4]) -> u16 {
        I16x8::bits([I16x8(I16x8::halves(a.0, b.0)), I16x8(I16x8::halves(c.0, d.0))])
    }

    #[inline(always)]
    pub fn and_not(self, b: Self) -> Self {
        Self(w::v128_andnot(self.0, b.0))
    }

    /// Eight bytes as numbers, from the lowest on, each after `start`, to `out`.
    #[inline(always)]
    pub fn store_bytes(bytes: u64, start: Self, out: &mut [u32; 8]) {
        let shorts = w::u16x8_extend_low_u8x16(w::u64x2(bytes, 0));
        let [low, high] = [w::u32x4_extend_low_u16x8(shorts), w::u32x4_extend_high_u16x8(shorts)].map(|v| w::i32x4_add(v, start.0));
        // SAFETY: `out` is 32 writable bytes, and v128_store asks for no alignment.
        unsafe {
            w::v128_store(out.as_mut_ptr().cast(), low);
            w::v128_store(out.as_mut_ptr().add(4).cast(), high);
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl I32x4 {
    pub fn splat(v: i32) -> Self {
        Self([v; 4])
    }

    pub fn mask(bits: u32) -> Self {
        Self([0, 1, 2, 3].map(|i| -((bits >> i & 1) as i32)))
    }

    pub fn ascending(first: i32) -> Self {
        Self([0, 1, 2, 3].map(|i| first.wrapping_add(i)))
    }

    pub fn to_array(self) -> [i32; 4] {
        self.0
    }

    pub fn above(self, b: Self) -> Self {
        self.zip(b, |a, b| -i32::from(a > b))
    }

    pub fn max(self, b: Self) -> Self {
        self.zip(b, i32::max)
    }

    pub fn and_not(self, b: Self) -> Self {
        self.zip(b, |a, b| a & !b)
    }

    pub fn bits(masks: [Self; 4]) -> u16 {
        (0..16).filter(|i| masks[i / 4].0[i % 4] != 0).map(|i| 1 << i).sum()
    }

    pub fn store_bytes(bytes: u64, start: Self, out: &mut [u32; 8]) {
        for (i, (to, byte)) in out.iter_mut().zip(bytes.to_le_bytes()).enumerate() {
            *to = start.0[i % 4] as u32 + u32::from(byte);
        }
    }

    fn zip(self, b: Self, f: impl Fn(i32, i32) -> i32) -> Self {
        Self([0, 1, 2, 3].map(|i| f(self.0[i], b.0[i])))
    }
}

/// Eight `i16` lanes: numbers, or the masks 0 and −1.
#[derive(Clone, Copy)]
pub struct I16x8(#[cfg(target_arch = "wasm32")] w::v128, #[cfg(not(target_arch = "wasm32"))] [i16; 8]);

#[cfg(target_arch = "wasm32")]
impl I16x8 {
    #[inline(always)]
    pub fn splat(v: i16) -> Self {
        Self(w::i16x8_splat(v))
    }

    /// The upper halves of eight magnitudes.
    #[inline(always)]
    pub fn upper([a, b]: [F32x4; 2]) -> Self {
        Self(w::v128_and(Self::halves(a.0, b.0), w::i16x8_splat(i16::MAX)))
    }

    #[inline(always)]
    fn halves(a: w::v128, b: w::v128) -> w::v128 {
        w::i16x8_shuffle::<1, 3, 5, 7, 9, 11, 13, 15>(a, b)
    }

    /// A mask of the lanes that are above those of `b`.
    #[inline(always)]
    pub fn above(self, b: Self) -> Self {
        Self(w::i16x8_gt(self.0, b.0))
    }

    #[inline(always)]
    pub fn max(self, b: Self) -> Self {
        Self(w::i16x8_max(self.0, b.0))
    }

    /// A bit for each lane of two masks.
    #[inline(always)]
    pub fn bits([a, b]: [Self; 2]) -> u16 {
        // Not narrowed, which LLVM would turn into clamps.
        w::i8x16_bitmask(w::i8x16_shuffle::<1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31>(a.0, b.0))
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl I16x8 {
    pub fn splat(v: i16) -> Self {
        Self([v; 8])
    }

    pub fn upper(eight: [F32x4; 2]) -> Self {
        Self(std::array::from_fn(|i| (eight[i / 4].0[i % 4].abs().to_bits() >> 16) as i16))
    }

    pub fn above(self, b: Self) -> Self {
        self.zip(b, |a, b| -i16::from(a > b))
    }

    pub fn max(self, b: Self) -> Self {
        self.zip(b, std::cmp::max)
    }

    pub fn bits(masks: [Self; 2]) -> u16 {
        (0..16).filter(|i| masks[i / 8].0[i % 8] != 0).map(|i| 1 << i).sum()
    }

    fn zip(self, b: Self, f: impl Fn(i16, i16) -> i16) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], b.0[i])))
    }
}

/// Two `f64` lanes, for sums.
#[derive(Clone, Copy)]
pub struct F64x2(#[cfg(target_arch = "wasm32")] w::v128, #[cfg(not(target_arch = "wasm32"))] [f64; 2]);

impl F64x2 {
    #[cfg(target_arch = "wasm32")]
    pub const ZERO: Self = Self(w::f64x2(0.0, 0.0));
    #[cfg(not(target_arch = "wasm32"))]
    pub const ZERO: Self = Self([0.0; 2]);

    pub fn to_array(self) -> [f64; 2] {
        #[cfg(target_arch = "wasm32")]
        return [w::f64x2_extract_lane::<0>(self.0), w::f64x2_extract_lane::<1>(self.0)];
        #[cfg(not(target_arch = "wasm32"))]
        self.0
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn zip(self, b: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self([0, 1].map(|i| f(self.0[i], b.0[i])))
    }
}
