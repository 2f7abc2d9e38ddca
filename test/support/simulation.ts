// Sparse training as the papers write it: whole matrices, masks, plain loops, 64-bit numbers. Knows nothing of the package.

export interface SimLayer {
  rows: number;
  cols: number;
  alpha: number;
  /** φ at every position; what the mask leaves out is kept at 0 (DPF: kept as it is). */
  w: Float64Array;
  mask: Uint8Array;
  m: Float64Array;
  v: Float64Array;
  steps: Int32Array;
}

export type Kind = 'sgd' | 'momentum' | 'adam';
export const RATE = 0.01;

export function simLayer(rows: number, cols: number, alpha: number, w: ArrayLike<number>, mask: Uint8Array): SimLayer {
  const size = rows * cols;
  return {
    rows,
    cols,
    alpha,
    w: Float64Array.from(w),
    mask,
    m: new Float64Array(size),
    v: new Float64Array(size),
    steps: new Int32Array(size),
  };
}

export const theta = ({ w, alpha }: SimLayer, i: number): number => Math.sign(w[i]) * Math.abs(w[i]) ** alpha;

/** tanh in every layer but the last; loss ½·Σ(y − target)². Returns the whole gradients ∂L/∂θ, of every position. */
export function gradients(layers: SimLayer[], x: number[][], target: number[][]): Float64Array[] {
  const result = layers.map(({ rows, cols }) => new Float64Array(rows * cols));
  x.forEach((sample, n) => {
    const activations = [sample];
    layers.forEach((layer, l) => {
      const input = activations[l];
      const output = Array.from({ length: layer.rows }, (_, row) => {
        let sum = 0;
        for (let col = 0; col < layer.cols; col++) {
          const i = row * layer.cols + col;
          if (layer.mask[i]) sum += theta(layer, i) * input[col];
        }
        return l === layers.length - 1 ? sum : Math.tanh(sum);
      });
      activations.push(output);
    });
    let delta = activations[layers.length].map((y, i) => y - target[n][i]);
    for (let l = layers.length - 1; l >= 0; l--) {
      const layer = layers[l];
      const input = activations[l];
      const back = new Array<number>(layer.cols).fill(0);
      for (let row = 0; row < layer.rows; row++) {
        for (let col = 0; col < layer.cols; col++) {
          const i = row * layer.cols + col;
          result[l][i] += delta[row] * input[col];
          if (layer.mask[i]) back[col] += delta[row] * theta(layer, i);
        }
      }
      delta = back.map((d, col) => d * (1 - input[col] ** 2));
    }
  });
  return result;
}

/** One step of an optimizer at every position where `moves` holds. */
export function update(layer: SimLayer, gradient: Float64Array, kind: Kind, moves = layer.mask): void {
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
