// Sparse training as the papers write it: whole matrices, masks, plain loops, 64-bit numbers. Knows nothing of the package.

/** A weight at `position` takes the input number `from` to the output number `to`. */
export type Wire = readonly [to: number, from: number, position: number];

export interface SimLayer {
  outputs: number;
  /** Units or filters. */
  units: number;
  /** All that could be: of a convolution one for each tap of each output that lies within the image. */
  wires: readonly Wire[];
  alpha: number;
  /** φ at every position; what the mask leaves out is kept at 0 (DPF, Top-KAST: kept as it is). */
  w: Float64Array;
  /** Where the forward pass has weights. */
  mask: Uint8Array;
  /** Where weights are trained, if not just there. */
  trained?: Uint8Array;
  m: Float64Array;
  v: Float64Array;
  steps: Int32Array;
}

export type Kind = 'sgd' | 'momentum' | 'adam';
export const RATE = 0.01;

/** Every unit sees every input. */
export function fullyWired(rows: number, cols: number): Pick<SimLayer, 'outputs' | 'units' | 'wires'> {
  const wires = Array.from({ length: rows * cols }, (_, i) => [Math.floor(i / cols), i % cols, i] as const);
  return { outputs: rows, units: rows, wires };
}

/** What a convolution is by its definition, in one dimension. */
export interface SimAxis {
  input: number;
  kernel: number;
  stride: number;
  dilation: number;
  /** Zeros put before the first input. */
  before: number;
  output: number;
}

/** Positions are those of a kernel [height, width, channels, filters], inputs and outputs those of images [height, width, channels]. */
export function convolutionWired(
  rows: SimAxis,
  cols: SimAxis,
  channels: number,
  filters: number,
): Pick<SimLayer, 'outputs' | 'units' | 'wires'> {
  const seen = ({ input, kernel, stride, dilation, before, output }: SimAxis) => {
    const all: (readonly [to: number, from: number, tap: number])[] = [];
    for (let to = 0; to < output; to++) {
      for (let tap = 0; tap < kernel; tap++) {
        const from = to * stride + tap * dilation - before;
        if (from >= 0 && from < input) all.push([to, from, tap]);
      }
    }
    return all;
  };
  const wires: Wire[] = [];
  for (const [toRow, fromRow, tapRow] of seen(rows)) {
    for (const [toCol, fromCol, tapCol] of seen(cols)) {
      for (let c = 0; c < channels; c++) {
        for (let o = 0; o < filters; o++) {
          const to = (toRow * cols.output + toCol) * filters + o;
          const from = (fromRow * cols.input + fromCol) * channels + c;
          wires.push([to, from, ((tapRow * cols.kernel + tapCol) * channels + c) * filters + o]);
        }
      }
    }
  }
  return { outputs: rows.output * cols.output * filters, units: filters, wires };
}

export function simLayer(
  wired: Pick<SimLayer, 'outputs' | 'units' | 'wires'>,
  alpha: number,
  w: ArrayLike<number>,
  mask: Uint8Array,
  trained?: Uint8Array,
): SimLayer {
  const size = w.length;
  return {
    ...wired,
    alpha,
    w: Float64Array.from(w),
    mask,
    ...(trained ? { trained } : {}),
    m: new Float64Array(size),
    v: new Float64Array(size),
    steps: new Int32Array(size),
  };
}

export const theta = ({ w, alpha }: SimLayer, i: number): number => Math.sign(w[i]) * Math.abs(w[i]) ** alpha;

/** tanh in every layer but the last; loss ½·Σ(y − target)². Returns the whole gradients ∂L/∂θ, of every position. */
export function gradients(layers: SimLayer[], x: number[][], target: number[][]): Float64Array[] {
  const result = layers.map(({ w }) => new Float64Array(w.length));
  const weights = layers.map((layer) => layer.w.map((_, i) => (layer.mask[i] ? theta(layer, i) : 0)));
  x.forEach((sample, n) => {
    const activations = [sample];
    layers.forEach(({ outputs, wires }, l) => {
      const sums = new Array<number>(outputs).fill(0);
      for (const [to, from, i] of wires) sums[to] += weights[l][i] * activations[l][from];
      activations.push(l === layers.length - 1 ? sums : sums.map(Math.tanh));
    });
    let delta = activations[layers.length].map((y, i) => y - target[n][i]);
    for (let l = layers.length - 1; l >= 0; l--) {
      const input = activations[l];
      const back = new Array<number>(input.length).fill(0);
      for (const [to, from, i] of layers[l].wires) {
        result[l][i] += delta[to] * input[from];
        back[from] += delta[to] * weights[l][i];
      }
      delta = back.map((d, i) => d * (1 - input[i] ** 2));
    }
  });
  return result;
}

/** One step of an optimizer at every trained position. */
export function update(layer: SimLayer, gradient: Float64Array, kind: Kind): void {
  const moves = layer.trained ?? layer.mask;
  for (let i = 0; i < layer.w.length; i++) {
    if (!moves[i]) continue;
    const g = gradient[i] * (layer.alpha === 1 ? 1 : layer.alpha * Math.abs(layer.w[i]) ** (layer.alpha - 1));
    if (kind === 'sgd') layer.w[i] -= RATE * g;
    if (kind === 'momentum') {
      layer.m[i] = 0.9 * layer.m[i] + g;
      layer.w[i] -= RATE * layer.m[i];
    }
    if (kind === 'adam') {
      const t = ++layer.steps[i];
      layer.m[i] = 0.9 * layer.m[i] + 0.1 * g;
      layer.v[i] = 0.999 * layer.v[i] + 0.001 * g * g;
      layer.w[i] -= (RATE * (layer.m[i] / (1 - 0.9 ** t))) / (Math.sqrt(layer.v[i] / (1 - 0.999 ** t)) + 1e-7);
    }
  }
}

/** Indices where `wanted` holds, the highest score first; of equal ones the lower index. */
export function ranked(score: ArrayLike<number>, wanted: (i: number) => boolean): number[] {
  const all: number[] = [];
  for (let i = 0; i < score.length; i++) if (wanted(i)) all.push(i);
  return all.sort((a, b) => score[b] - score[a] || a - b);
}

export function magnitudes(layer: SimLayer): Float64Array {
  return Float64Array.from(layer.w, (_, i) => Math.abs(theta(layer, i)));
}

export function active(layer: SimLayer): number {
  return layer.mask.reduce((a, b) => a + b, 0);
}

/** Takes a weight out, with everything an optimizer knew of it. */
export function drop(layer: SimLayer, i: number): void {
  layer.mask[i] = 0;
  layer.w[i] = layer.m[i] = layer.v[i] = layer.steps[i] = 0;
}

/** The positions of the smallest weights, of equal ones the higher. */
export function smallest(layer: SimLayer, k: number): number[] {
  return ranked(magnitudes(layer), (i) => layer.mask[i] === 1).slice(active(layer) - k);
}
