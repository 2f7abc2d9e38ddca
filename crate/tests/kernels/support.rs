//! Random layers of small whole numbers: every sum is exact in f32, so any order of adding gives the same bits.

#[path = "../../src/reference.rs"]
pub mod reference;

use tfjs_sparse_kernels::pattern::CsrPattern;

/// xorshift: seeded, so that a failure comes back.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    pub fn whole_numbers(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.below(11) as f32 - 5.0).collect()
    }
}

/// A random `[rows, cols]` layer: what is stored where (see `reference`), its pattern, and its weights dense and in the pattern's order.
pub struct Layer {
    pub mask: Vec<u8>,
    pub pattern: CsrPattern,
    pub dense: Vec<f32>,
    pub values: Vec<f32>,
    /// The flat index of each entry, in the pattern's order.
    pub flat: Vec<usize>,
}

/// `density` in percent; about a third of the entries falls to B∖A if `backward_set`.
pub fn layer(random: &mut Random, rows: usize, cols: usize, density: u64, backward_set: bool) -> Layer {
    let mask: Vec<u8> =
        (0..rows * cols).map(|_| u8::from(random.below(100) < density) * (1 + u8::from(backward_set && random.below(3) == 0))).collect();
    let dense = random.whole_numbers(rows * cols);
    let (mut offsets, mut splits, mut flat) = (vec![0u32], vec![], vec![]);
    for r in 0..rows {
        for set in [1, 2] {
            flat.extend((r * cols..(r + 1) * cols).filter(|&i| mask[i] == set));
            if set == 1 {
                splits.push(flat.len() as u32);
            }
        }
        offsets.push(flat.len() as u32);
    }
    let columns = flat.iter().map(|i| (i % cols.max(1)) as u32).collect();
    let values = flat.iter().map(|&i| dense[i]).collect();
    let pattern = CsrPattern::new(cols, offsets, splits, columns).expect("built in order");
    Layer { mask, pattern, dense, values, flat }
}

/// None; on, just under and just over the 4-lane vector and the 16-wide panel; two, three and four panels, and a second pair that is not full.
pub const BATCHES: [usize; 14] = [0, 1, 3, 4, 5, 8, 12, 15, 16, 17, 41, 48, 64, 70];
pub const SHAPES: [(usize, usize); 8] = [(0, 3), (3, 0), (1, 1), (1, 8), (8, 1), (5, 3), (17, 33), (64, 48)];
pub const DENSITIES: [u64; 4] = [0, 3, 50, 100];
