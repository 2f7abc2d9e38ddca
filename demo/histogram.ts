// Weights by value.

export const RANGE = 0.6;
export const BINS = 40;

/** Share of the weights in each of BINS bins of equal width between -RANGE and RANGE; what lies beyond is in the outermost. */
export function histogram(weights: Float32Array): number[] {
  const bins = new Array<number>(BINS).fill(0);
  for (const weight of weights) {
    const bin = Math.floor(((weight + RANGE) / (2 * RANGE)) * BINS);
    bins[Math.min(BINS - 1, Math.max(0, bin))] += 1 / weights.length;
  }
  return bins;
}
