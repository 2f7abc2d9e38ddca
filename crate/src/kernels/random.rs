//! Random numbers that can be asked for in any order: a hash of (key, counter). Nothing has to be stored, neither a generator's state nor the
//! initial weights that it stands for.

use super::kth::sort;
use crate::pattern::CsrPattern;

/// 64 random bits for a key and a counter: splitmix64 (Steele, Lea and Flood, OOPSLA 2014) at that place of its sequence.
pub fn bits(key: u32, counter: u32) -> u64 {
    let mut z = (u64::from(key) << 32 | u64::from(counter)).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Uniform in (0, 1).
#[inline(never)] // 0.2 kB less
fn unit(key: u32, counter: u32) -> f64 {
    ((bits(key, counter) >> 12) as f64 + 0.5) * (1.0 / (1u64 << 52) as f64)
}

/// `k ≤ n` different numbers below `n`, ascending, each subset equally likely. Memory: O(k) for k up to n/2, O(n) beyond.
pub fn subset(n: usize, k: usize, key: u32) -> Vec<u32> {
    assert!(k <= n && u32::try_from(n).is_ok()); // 32 bits times a fraction of 52 bits stay below n
    if k > n / 2 {
        let out = subset(n, n - k, key);
        let mut out = out.into_iter().peekable();
        return (0..n as u32).filter(|i| out.next_if_eq(i).is_none()).collect();
    }
    let mut counter = 0..u32::MAX;
    let mut draw = |below: usize| (unit(key, counter.next().expect("fewer draws than counters")) * below as f64) as u32;
    let mut drawn: Vec<u32> = Vec::new();
    while drawn.len() < k {
        // Enough that a second round is rare; throwing out repeats of a uniform draw leaves the rest uniform.
        let more = (k - drawn.len()) * 11 / 10 + 16;
        drawn.extend((0..more).map(|_| draw(n)));
        sort(&mut drawn);
        drawn.dedup();
    }
    // Too many: throw out a random few. A uniform subset of a uniform set is uniform.
    const OUT: u32 = u32::MAX;
    let mut left = drawn.len();
    while left > k {
        let at = draw(drawn.len()) as usize;
        left -= usize::from(drawn[at] != OUT);
        drawn[at] = OUT;
    }
    drawn.retain(|&i| i != OUT);
    drawn
}

/// `k` random positions outside `pattern` (all, if there are fewer), ascending flat indices; each subset equally likely.
pub fn free_positions(pattern: &CsrPattern, k: usize, key: u32) -> Vec<u32> {
    let free = pattern.places() - pattern.nnz();
    let mut places = subset(free, k.min(free), key);
    // The r-th free position lies beyond r others that are free and all entries before it: move along the entries.
    let mut entries = pattern.flat().enumerate();
    let mut next = entries.next();
    for place in &mut places {
        let rank = *place as usize;
        while let Some((i, entry)) = next {
            // Before `entry` there are `entry − i` free positions.
            if entry - i > rank {
                break;
            }
            next = entries.next();
        }
        *place = (rank + next.map_or(pattern.nnz(), |(i, _)| i)) as u32;
    }
    places
}

/// How initial weights are spread, by the names and meanings of tfjs's initializers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spread {
    Uniform {
        low: f32,
        high: f32,
    },
    Normal {
        mean: f32,
        deviation: f32,
    },
    /// Normal, within two standard deviations.
    TruncatedNormal {
        mean: f32,
        deviation: f32,
    },
}

/// Initial values of a layer by flat index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Source {
    pub key: u32,
    pub spread: Spread,
    /// Powerpropagation's exponent: the value is the φ that stands for the weight. 1 for none.
    pub alpha: f32,
}

impl Source {
    pub fn value(&self, index: u32) -> f32 {
        let u = unit(self.key, index);
        let weight = match self.spread {
            Spread::Uniform { low, high } => (f64::from(low) + u * (f64::from(high) - f64::from(low))) as f32,
            Spread::Normal { mean, deviation } => (f64::from(mean) + f64::from(deviation) * normal_quantile(u)) as f32,
            Spread::TruncatedNormal { mean, deviation } => {
                const BELOW: f64 = 0.022_750_131_948_179_2; // of a normal distribution, below −2
                let inside = BELOW + u * (1.0 - 2.0 * BELOW);
                (f64::from(mean) + f64::from(deviation) * normal_quantile(inside)) as f32
            }
        };
        if self.alpha == 1.0 { weight } else { weight.abs().powf(1.0 / self.alpha).copysign(weight) }
    }
}

/// The normal distribution's quantile, relative error 1.2e-9: P. J. Acklam's rational approximation (2003).
fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 6] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 5] = [7.784_695_709_041_462e-3, 3.224_671_290_700_398e-1, 2.445_134_137_142_996, 3.754_408_661_907_416, 1.0];
    const TAIL: f64 = 0.024_25;
    let polynomial = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    let tail = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        polynomial(&C, q) / polynomial(&D, q)
    };
    if p < TAIL {
        tail(p)
    } else if p > 1.0 - TAIL {
        -tail(1.0 - p)
    } else {
        let q = p - 0.5;
        let r = q * q;
        q * polynomial(&A, r) / polynomial(&B, r)
    }
}
