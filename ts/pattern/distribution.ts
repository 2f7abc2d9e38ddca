// How a budget of weights is shared among layers.

import { checkCount, checkNumber, OptionError } from '../errors.js';

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
  return share('erk', shapes, density, powerScale);
}

/** Shares the budget in proportion to (Σ dims / Π dims)^powerScale. Each shape stands for `repeats` such planes. */
function share(name: string, shapes: readonly LayerShape[], density: number, powerScale: number, repeats?: number[]): number[] {
  checkShapes(name, shapes);
  const layers = shapes.map((shape, i) => {
    const plane = shape.reduce((a, b) => a * b, 1);
    const size = plane * (repeats?.[i] ?? 1);
    const raw = (shape.reduce((a, b) => a + b, 0) / plane) ** powerScale;
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

/**
 * Erdős–Rényi: as {@link erk}, counting only the last two dimensions of a shape, so that kernels of any size are treated like `1×1` ones.
 * The same as `erk` for dense layers.
 */
export function er(shapes: readonly LayerShape[], density: number): number[] {
  checkNumber('er density', density, 0, 1, true);
  checkShapes('er', shapes);
  const planes = shapes.map((shape) => shape.slice(-2));
  const repeats = shapes.map((shape) => shape.slice(0, -2).reduce((a, b) => a * b, 1));
  return share('er', planes, density, 1, repeats);
}

/**
 * SET's densities (Mocanu et al. 2018): ε·(in + out)/(in·out), at most 1. The authors take ε = 20 for CIFAR-10 and 13 for Fashion-MNIST, and
 * leave the output layer dense.
 */
export function setEpsilon(shapes: readonly LayerShape[], epsilon: number): number[] {
  checkNumber('setEpsilon epsilon', epsilon, 0, Infinity, true);
  checkShapes('setEpsilon', shapes);
  return shapes.map((shape) => Math.min(1, (epsilon * shape.reduce((a, b) => a + b, 0)) / shape.reduce((a, b) => a * b, 1)));
}

/** A density for some layers by name, `rest` for the others. Throws on a name that is not among `names`. */
export function custom(names: readonly string[], densities: Readonly<Record<string, number>>, rest: number): number[] {
  for (const name of Object.keys(densities)) {
    if (!names.includes(name)) throw new OptionError('custom densities', `layers among ${names.join(', ')}`, name);
  }
  return names.map((name) => checkNumber(`custom density of ${name}`, densities[name] ?? rest, 0, 1, true));
}

/** Makes the first layer dense, as RigL does beside a uniform share. The others are not changed to compensate. */
export function firstDense(densities: readonly number[]): number[] {
  return densities.map((density, i) => (i === 0 ? 1 : density));
}

/** Leaves the last layer at least `density` of its weights, 0.2 by custom ("Uniform+"). The others are not changed to compensate. */
export function lastAtLeast(densities: readonly number[], density = 0.2): number[] {
  checkNumber('lastAtLeast density', density, 0, 1, true);
  return densities.map((d, i) => (i === densities.length - 1 ? Math.max(d, density) : d));
}

function checkShapes(name: string, shapes: readonly LayerShape[]): void {
  for (const [i, shape] of shapes.entries()) {
    const what = `${name} shape of layer ${i}`;
    if (!Array.isArray(shape) || shape.length < 2) throw new OptionError(what, 'two sizes or more, such as [784, 300]', shape);
    for (const dim of shape) checkCount(what, dim, 1);
  }
}

/** Takes away the dust of decimal fractions, so that 0.9·n floors as it would on paper. */
export function round12(value: number): number {
  return Number(value.toPrecision(12));
}
