// The sparse twin of tf.layers.dense.

import * as tf from '@tensorflow/tfjs-core';
import { type constraints, type initializers, type LayerVariable, layers, type regularizers, type Shape } from '@tensorflow/tfjs-layers';
import { checkCount, checkNumber, OptionError, ShapeError } from '../errors.js';
import { powerprop } from '../ops/powerprop.js';
import { type Decay, releasePattern, sparseDense } from '../ops/sparse_dense.js';
import { gather, largest, scatter } from '../ops/whole_layer.js';
import { CsrPattern, countFor } from '../pattern/csr.js';
import { randomPattern } from '../pattern/random.js';
import { WasmArray } from '../wasm/memory.js';
import { type Initializer, ready, seeded, valuesFor, wholeLayer } from './initial_values.js';
import { StoredVariable } from './stored_variable.js';

/** Everything that `tf.layers.dense` takes, and how sparse the layer is. */
export type SparseDenseLayerArgs = Parameters<typeof layers.dense>[0] & {
  /** Share of the `in·units` weights that the forward pass uses, in (0, 1]. */
  density: number;
  /**
   * Share that is trained, at least `density`. Makes this a Top-KAST layer, to be trained with `topKast()`: it keeps the whole parameter vector,
   * 4·in·units bytes, once, outside tfjs; gradients and moments stay sparse. Default: none, and `density` is trained.
   */
  backwardDensity?: number;
  /** Powerpropagation's exponent, at least 1: the stored φ stands for the weight φ·|φ|^(alpha − 1). Default: 1, ordinary training. */
  alpha?: number;
  /** Of the pattern and the initial values, a whole number. Default: drawn. */
  seed?: number;
};

/** The fields of tfjs's own Dense that we read. One is held to parse our common options and to serialise them again, and never built. */
interface DenseOptions {
  units: number;
  useBias: boolean;
  activation: { apply(x: tf.Tensor): tf.Tensor; getClassName(): string };
  kernelInitializer: Initializer;
  biasInitializer: Initializer & ReturnType<typeof initializers.zeros>;
  kernelRegularizer: ReturnType<typeof regularizers.l2>;
  biasRegularizer: ReturnType<typeof regularizers.l2>;
  activityRegularizer: ReturnType<typeof regularizers.l2>;
  kernelConstraint: ReturnType<typeof constraints.nonNeg> | null;
  biasConstraint: ReturnType<typeof constraints.nonNeg>;
  getConfig(): tf.serialization.ConfigDict;
}

const NO_DECAY: Decay = { forward: 0, rest: 0 };

/**
 * A dense layer of which only some weights exist. `y = activation(x·Wᵀ + bias)` with W `[units, in]`: tfjs's kernel `[in, units]` transposed, since
 * a row then holds the connections of one unit. Time and memory go with the weights that exist.
 *
 * Weights: `values [nnz]`, `bias [units]`, and, not trainable, the pattern `rowOffsets [units + 1]`, `colIndices [nnz]`, for Top-KAST also
 * `rowSplits [units]` and the whole `theta [units·in]`.
 */
export class SparseDense extends layers.Layer {
  static readonly className = 'SparseDense';

  readonly units: number;
  readonly density: number;
  readonly backwardDensity: number | undefined;
  readonly alpha: number;
  readonly seed: number;
  /** Set by a training method: what joins the gradient of the weights. */
  decay: Decay = NO_DECAY;

  readonly #options: DenseOptions;
  #cols = 0;
  #pattern: CsrPattern | undefined;
  #theta: WasmArray | undefined;
  #values: LayerVariable | undefined;
  #bias: LayerVariable | undefined;
  #stored: StoredVariable[] = [];
  /** Parts of a pattern that have been written one by one, as when a model is loaded, until all are there. */
  #written: { rowOffsets?: Uint32Array; rowSplits?: Uint32Array; colIndices?: Uint32Array } = {};

  constructor(args: SparseDenseLayerArgs) {
    const { inputDim, batchSize } = args;
    super(
      inputDim != null && !args.inputShape && !args.batchInputShape ? { ...args, batchInputShape: [batchSize ?? null, inputDim] } : args,
    );
    this.units = checkCount('layers.dense units', args.units, 1);
    this.density = checkNumber('layers.dense density', args.density, 0, 1, true);
    // A loaded config has null where there was nothing.
    this.backwardDensity =
      args.backwardDensity == null ? undefined : checkNumber('layers.dense backwardDensity', args.backwardDensity, this.density, 1);
    this.alpha = checkNumber('layers.dense alpha', args.alpha ?? 1, 1, Infinity);
    this.seed = checkCount('layers.dense seed', args.seed ?? Math.floor(Math.random() * 2 ** 31), 0);
    this.#options = layers.dense({ ...args, name: `${this.name}_options` }) as unknown as DenseOptions;
    const constraint = this.#options.kernelConstraint?.getClassName();
    if (constraint && constraint !== 'NonNeg') {
      throw new OptionError('layers.dense kernelConstraint', "'nonNeg' (others need whole columns of a dense kernel)", constraint);
    }
    this.activityRegularizer = this.#options.activityRegularizer;
    this.supportsMasking = true;
    this.inputSpec = [{ minNDim: 2 }];
  }

  override build(inputShape: Shape | Shape[]): void {
    const shape = oneShape(inputShape);
    const cols = shape[shape.length - 1];
    if (cols == null) throw new ShapeError(`${this.name} input`, ['…', 'features'], shape);
    this.#cols = cols;
    const size = this.units * cols;
    const { nnz } = this.#counts();
    if (this.backwardDensity !== undefined && size > MAX_STORED) {
      throw new OptionError(`${this.name} backwardDensity`, `at most ${MAX_STORED} weights in a layer that keeps its whole vector`, size);
    }
    const { kernelRegularizer, kernelConstraint, useBias, biasInitializer, biasRegularizer, biasConstraint } = this.#options;
    const initial = ready(() => this.#initialise());
    this.#values = this.addWeight('values', [nnz], 'float32', initial, kernelRegularizer, true, kernelConstraint ?? undefined);
    if (useBias) {
      this.#bias = this.addWeight(
        'bias',
        [this.units],
        'float32',
        seeded(biasInitializer, this.seed),
        biasRegularizer,
        true,
        biasConstraint,
      );
    }
    this.#stored = [
      this.#part('rowOffsets', this.units + 1, (pattern) => pattern.rowOffsets),
      this.#part('colIndices', nnz, (pattern) => pattern.colIndices),
    ];
    if (this.backwardDensity !== undefined) {
      this.#stored.push(
        this.#part('rowSplits', this.units, (pattern) => pattern.rowSplits),
        new StoredVariable('theta', {
          shape: [size],
          dtype: 'float32',
          get: () => this.theta.floats.slice(),
          // Its entries of B are the values, which every step replaces.
          version: () => this.values.dataId,
          set: (theta) => this.#wholeVector().floats.set(theta),
        }),
      );
    }
    this.nonTrainableWeights = this.#stored;
    this.inputSpec = [{ minNDim: 2, axes: { [-1]: cols } }];
    this.built = true;
  }

  /** |A| and |B|. */
  #counts(): { forwardNnz: number; nnz: number } {
    const size = this.units * this.#cols;
    const forwardNnz = countFor(size, this.density);
    const nnz = this.backwardDensity === undefined ? forwardNnz : Math.max(forwardNnz, countFor(size, this.backwardDensity));
    return { forwardNnz, nnz };
  }

  /** Draws pattern and values. tfjs skips this for a model that is being loaded. */
  #initialise(): Float32Array {
    const { forwardNnz, nnz } = this.#counts();
    const initializer = seeded(this.#options.kernelInitializer, this.seed);
    if (this.backwardDensity === undefined) {
      this.#pattern = randomPattern(this.units, this.#cols, nnz, this.seed);
      return this.#phi(valuesFor(initializer, this.#pattern));
    }
    const theta = this.#wholeVector();
    theta.floats.set(this.#phi(wholeLayer(initializer, this.units, this.#cols)));
    this.#pattern = largest(theta, this.units, this.#cols, forwardNnz, nnz);
    return gather(this.#pattern, theta).slice();
  }

  /** The φ that stand for weights: the function of a layer at the start does not depend on alpha. */
  #phi(weights: Float32Array): Float32Array {
    return this.alpha === 1 ? weights : weights.map((w) => Math.sign(w) * Math.abs(w) ** (1 / this.alpha));
  }

  #wholeVector(): WasmArray {
    this.#theta ??= new WasmArray(this.units * this.#cols);
    return this.#theta;
  }

  #part(name: 'rowOffsets' | 'rowSplits' | 'colIndices', length: number, of: (pattern: CsrPattern) => ArrayLike<number>): StoredVariable {
    return new StoredVariable(name, {
      shape: [length],
      dtype: 'int32',
      get: () => new Int32Array(of(this.pattern)),
      version: () => this.pattern,
      set: (numbers) => {
        this.#written[name] = new Uint32Array(numbers);
        this.#assemble();
      },
    });
  }

  /** Makes the pattern once its last part has been written. Throws a PatternError when they do not fit. */
  #assemble(): void {
    const { rowOffsets, rowSplits, colIndices } = this.#written;
    if (!rowOffsets || !colIndices || (this.backwardDensity !== undefined && !rowSplits)) return;
    this.#written = {};
    const pattern = new CsrPattern({ cols: this.#cols, rowOffsets, colIndices, ...(rowSplits ? { rowSplits } : {}) });
    this.#replacePattern(pattern);
  }

  #replacePattern(pattern: CsrPattern): void {
    if (pattern === this.#pattern) return;
    if (this.#pattern) releasePattern(this.#pattern);
    this.#pattern = pattern;
    for (const variable of this.#stored) variable.changed();
  }

  /** Where the weights are. */
  get pattern(): CsrPattern {
    if (!this.#pattern) throw new Error(`${this.name} has no pattern yet: build the layer, or load its weights`);
    return this.#pattern;
  }

  /** The trained numbers `[nnz]`, in the pattern's order: weights, or φ where `alpha` is not 1. */
  get values(): tf.Variable {
    if (!this.#values) throw new Error(`${this.name} is not built yet`);
    return this.#values.read() as tf.Variable;
  }

  /** The whole parameter vector `[units·in]` of a Top-KAST layer. Entries of B are brought up to date by reading this. */
  get theta(): WasmArray {
    if (!this.#theta) throw new Error(`${this.name} keeps no whole vector: give it a backwardDensity`);
    scatter(this.pattern, this.values.dataSync() as Float32Array, this.#theta);
    return this.#theta;
  }

  /** Takes a new pattern of as many entries, and their values. For training methods; they carry the optimizer's slots. */
  edit(pattern: CsrPattern, values: Float32Array): void {
    const expected = [this.units, this.#cols, this.values.size];
    const received = [pattern.rows, pattern.cols, values.length];
    if (!tf.util.arraysEqual(expected, received) || pattern.nnz !== values.length) {
      throw new ShapeError(`${this.name} edit [units, in, nnz]`, expected, received);
    }
    this.#replacePattern(pattern);
    tf.tidy(() => this.values.assign(tf.tensor1d(values)));
  }

  override computeOutputShape(inputShape: Shape | Shape[]): Shape {
    return [...oneShape(inputShape).slice(0, -1), this.units];
  }

  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: Parameters<layers.Layer['call']>[1]): tf.Tensor {
    return tf.tidy(() => {
      this.invokeCallHook(inputs, kwargs);
      const x = Array.isArray(inputs) ? inputs[0] : inputs;
      const { activation } = this.#options;
      const name = activation.getClassName();
      const fused = name === 'linear' || name === 'relu';
      const y = sparseDense({
        x: tf.reshape(tf.cast(x, 'float32'), [-1, this.#cols]) as tf.Tensor2D,
        values: powerprop(this.values as unknown as tf.Tensor1D, this.alpha),
        bias: this.#bias?.read() as tf.Tensor1D | undefined,
        pattern: this.pattern,
        activation: fused ? name : 'linear',
        decay: this.decay,
      });
      const shaped = tf.reshape(y, [...x.shape.slice(0, -1), this.units]);
      return fused ? shaped : activation.apply(shaped);
    });
  }

  override getConfig(): tf.serialization.ConfigDict {
    const { density, backwardDensity = null, alpha, seed } = this;
    return { ...this.#options.getConfig(), ...super.getConfig(), density, backwardDensity, alpha, seed };
  }

  protected override disposeWeights(): number {
    if (this.#pattern) releasePattern(this.#pattern);
    this.#theta?.free();
    return super.disposeWeights();
  }
}

/** One block of wasm memory is less than 2 GB. */
const MAX_STORED = 2 ** 29 - 1024;

function oneShape(shape: Shape | Shape[]): Shape {
  return (Array.isArray(shape[0]) ? shape[0] : shape) as Shape;
}

tf.serialization.registerClass(SparseDense, 'tfjs-sparse');

/**
 * A sparse twin of `tf.layers.dense`.
 *
 * ```js
 * const model = tf.sequential({ layers: [
 *   layers.dense({ inputShape: [784], units: 300, activation: 'relu', density: 0.1 }),
 *   tf.layers.dense({ units: 10, activation: 'softmax' }),
 * ] });
 * ```
 */
export function dense(args: SparseDenseLayerArgs): SparseDense {
  return new SparseDense(args);
}
