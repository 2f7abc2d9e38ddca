// How a budget of weights is shared among layers.

import { checkCount, checkNumber } from '../errors.js';

/** `[in, out]` of a layer; more dimensions for kernels of other kinds. Order does not matter. */
export type LayerShape = readonly number[];

/** The same density in every layer. */
export function uniform(shapes: readonly LayerShape[], density: number): number[] {
  checkNumber('uniform density', density, 0, 1, true);
  return shapes.map(() => density);
}

/**
 * Erdős–Rényi-Kernel (RigL, arXiv 1911.11134, §3): a layer's density is proportional to (Σ dims / Π dims)^powerScale, so that small layers
 * stay denser. Layers that would exceed 1 become dense and the rest is shared again. The budget floors each layer's zeros, as jaxpruner does.
 *
 * LeNet-300-100 at density 0.1: `erk([[784, 300], [300, 100], [100, 10]], 0.1)` = [0.0796, 0.2302, 1], 26 620 weights.
 */
export function erk(shapes: readonly LayerShape[], density: number, powerScale = 1): number[] {
  checkNumber('erk density', density, 0, 1, true);
  checkNumber('erk powerScale', powerScale, 0, Infinity);
  const layers = shapes.map((shape, i) => {
    for (const dim of shape) checkCount(`erk shape of layer ${i}`, dim, 1);
    const size = shape.reduce((a, b) => a * b, 1);
    const raw = (shape.reduce((a, b) => a + b, 0) / size) ** powerScale;
    const zeros = Math.floor(round12((1 - density) * size));
    return { size, raw, zeros, dense: false };
  });
  for (;;) {
    let budget = 0;
    let share = 0;
    for (const { size, raw, zeros, dense } of layers) {
      budget += dense ? -zeros : size - zeros;
      if (!dense) share += raw * size;
    }
    const free = layers.filter((layer) => !layer.dense);
    const scale = budget / share;
    const most = Math.max(...free.map((layer) => layer.raw));
    if (free.length === 0 || most * scale <= 1) return layers.map(({ raw, dense }) => (dense ? 1 : raw * scale));
    for (const layer of free) layer.dense = layer.raw === most;
  }
}

/** Takes away the dust of decimal fractions, so that 0.9·n floors as it would on paper. */
function round12(value: number): number {
  return Number(value.toPrecision(12));
}
