// What sparse layers have in common: their weights, where these are, and how both are made, changed and saved. What they compute is theirs.

import * as tf from '@tensorflow/tfjs-core';
import { type constraints, type initializers, type LayerVariable, layers, type regularizers, type Shape } from '@tensorflow/tfjs-layers';
import { checkCount, checkNumber, OptionError, PatternError, ShapeError } from '../errors.js';
import { fastBatches } from '../ops/gather_rows.js';
import { alphas, phiOf, powerprop } from '../ops/powerprop.js';
import type { Probe } from '../ops/probe.js';
import { type Decay, type FusedActivation, NO_DECAY } from '../ops/sparse_dense.js';
import { assign } from '../ops/variable.js';
import { SeededVector } from '../ops/whole_layer.js';
import { type CsrPattern, countFor } from '../pattern/csr.js';
import { fansOf, type KernelShape, patternShape, unitsOf } from '../pattern/kernel_shape.js';
import { randomPattern } from '../pattern/random.js';
import { freshValues, type Initializer, ready, seeded, spreadOf, valuesFor, wholeLayer } from './initial_values.js';
import { HashedVector, type ParameterVector, type Sets, StoredVector } from './parameter_vector.js';
import { StoredPattern } from './stored_pattern.js';
import { StoredVariable } from './stored_variable.js';

/** How sparse a layer is. */
export interface SparseArgs {
  /** Share of the positions of its kernel where a weight is that the forward pass uses, in (0, 1]. */
  density: number;
  /**
   * Share that is trained, at least `density`. Makes this a Top-KAST layer, to be trained with `topKast()`. Gradients and moments stay sparse; for the
   * parameters see `theta`. Default: none, and `density` is trained.
   */
  backwardDensity?: number | undefined;
  /**
   * How a Top-KAST layer keeps the weights that are not trained at the moment. 'stored', as published: the whole vector, 4 bytes for
   * each position of the kernel, once, outside tfjs.
   * 'seeded': initial values come from a hash of the seed, and only weights that were trained once are kept: the same steps, bit for bit, as with
   * 'stored' from the same initial values, in O(nnz + ever trained) memory. Needs an initializer with a spread of its own (glorot, he, leCun,
   * varianceScaling, random and truncated normal, uniform). Default: 'stored'.
   */
  theta?: 'stored' | 'seeded' | undefined;
  /** With `theta: 'seeded'`: of more weights that left the trained set than this, the smallest become 0. Default: no limit. */
  maxFrozen?: number | undefined;
  /** Powerpropagation's exponent, at least 1: the stored φ stands for the weight φ·|φ|^(alpha − 1). Default: 1, ordinary training. */
  alpha?: number | undefined;
  /** Of the pattern and the initial values, a whole number. Default: drawn. */
  seed?: number | undefined;
  /** Written when a model is saved: what methods have changed since the layer was made, so that arrays of the right length wait for the weights. */
  state?: { nnz?: number; frozen?: number; explored?: boolean; method?: string };
}

/** The fields of a twin in tfjs that we read. One is held to parse our common options and to serialise them again, and never built. */
export interface TwinOptions {
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

/** What every op of a sparse layer takes beside its input. */
export interface Operands {
  values: tf.Tensor1D;
  bias: tf.Tensor1D | undefined;
  pattern: CsrPattern;
  activation: FusedActivation;
  decay: Decay;
  probe: Probe | undefined;
}

/**
 * Weights: `values [nnz]`, `bias [units]`, and, not trainable, the pattern `rowOffsets [rows + 1]`, `colIndices [nnz]`, for Top-KAST also
 * `rowSplits [rows]` and the whole `theta [rows·cols]` (or `frozenIndices`, `frozenValues` and `cursor`, where that is seeded).
 */
export abstract class SparseBase extends layers.Layer {
  readonly density: number;
  readonly backwardDensity: number | undefined;
  readonly alpha: number;
  readonly seed: number;
  /** Set by a training method: what joins the gradient of the weights. */
  decay: Decay = NO_DECAY;
  #tape: WeakRef<object> | undefined;
  #warned = false;
  /** Set by a training method that asks about the dense gradient. */
  probe: Probe | undefined;
  /** The training method in charge of the pattern. */
  owner: { readonly name: string } | undefined;
  /** Name and options of the method that trained this layer last, as JSON; saved with it, for `resume`. */
  method: string | undefined;

  readonly #args: SparseArgs;
  readonly #options: TwinOptions;
  #kernelShape: KernelShape | undefined;
  #pattern: StoredPattern | undefined;
  #vector: ParameterVector | undefined;
  #explored: Uint32Array | undefined;
  #values: LayerVariable | undefined;
  #bias: LayerVariable | undefined;
  #stored: StoredVariable[] = [];

  /** `kind` is what users call, for errors; `twin` makes the layer of tfjs, under a name that no other has. */
  constructor(kind: string, args: SparseArgs & ConstructorParameters<typeof layers.Layer>[0], twin: (name: string) => unknown) {
    super(args);
    this.#args = args;
    this.density = checkNumber(`${kind} density`, args.density, 0, 1, true);
    // A loaded config has null where there was nothing.
    this.backwardDensity =
      args.backwardDensity == null ? undefined : checkNumber(`${kind} backwardDensity`, args.backwardDensity, this.density, 1);
    this.alpha = checkNumber(`${kind} alpha`, args.alpha ?? 1, 1, Infinity);
    if (args.theta != null && args.theta !== 'stored' && args.theta !== 'seeded') {
      throw new OptionError(`${kind} theta`, "'stored' or 'seeded'", args.theta);
    }
    if (args.theta === 'seeded' && this.backwardDensity === undefined) {
      throw new OptionError(
        `${kind} theta`,
        "a backwardDensity beside 'seeded', which is a way to keep Top-KAST's vector",
        args.backwardDensity,
      );
    }
    if (args.maxFrozen != null) {
      if (args.theta !== 'seeded') throw new OptionError(`${kind} maxFrozen`, "theta 'seeded' beside it", args.theta);
      checkCount(`${kind} maxFrozen`, args.maxFrozen, 0);
    }
    this.seed = checkCount(`${kind} seed`, args.seed ?? Math.floor(Math.random() * 2 ** 31), 0);
    this.method = args.state?.method == null ? undefined : fromHex(kind, args.state.method);
    this.#options = twin(`${this.name}_options`) as TwinOptions;
    const constraint = this.#options.kernelConstraint?.getClassName();
    if (constraint && constraint !== 'NonNeg') {
      throw new OptionError(`${kind} kernelConstraint`, "'nonNeg' (others need whole columns of a dense kernel)", constraint);
    }
    this.activityRegularizer = this.#options.activityRegularizer;
  }

  /** The shape of tfjs's kernel for inputs of a shape. Throws where that leaves it open. */
  protected abstract kernelShapeFor(inputShape: Shape): number[];
  /** What the rows and the columns of the pattern are, for errors. */
  protected abstract readonly axes: readonly [rows: string, cols: string];
  /** What inputs must be once the layer is built. */
  protected abstract inputSpecFor(kernelShape: KernelShape): layers.Layer['inputSpec'];
  /** The linear output, or with 'relu' the rectified one. `x` is float32. */
  protected abstract product(x: tf.Tensor, operands: Operands): tf.Tensor;

  /** The shape of the kernel of its twin in tfjs. Known once the layer is built. */
  get kernelShape(): KernelShape {
    if (!this.#kernelShape) throw new Error(`${this.name} is not built yet`);
    return this.#kernelShape;
  }

  override build(inputShape: Shape | Shape[]): void {
    this.#kernelShape = this.kernelShapeFor(oneShape(inputShape));
    const units = unitsOf(this.#kernelShape);
    const { rows, cols } = patternShape(this.#kernelShape);
    const { nnz } = this.#counts();
    if (this.backwardDensity !== undefined) this.#vector = this.#makeVector();
    const changed = () => this.#stored.forEach((variable) => void variable.changed());
    this.#pattern = new StoredPattern(rows, cols, this.#vector !== undefined, this, changed);
    const { kernelRegularizer, kernelConstraint, useBias, biasInitializer, biasRegularizer, biasConstraint } = this.#options;
    const initial = ready(() => this.#initialise());
    this.#values = this.addWeight('values', [nnz], 'float32', initial, kernelRegularizer, true, kernelConstraint ?? undefined);
    const trained = this.#values;
    Object.defineProperty(trained, 'shape', { get: () => (trained.read() as tf.Tensor).shape });
    if (this.alpha !== 1) alphas.set(trained.read() as tf.Tensor, this.alpha);
    if (useBias) {
      this.#bias = this.addWeight('bias', [units], 'float32', seeded(biasInitializer, this.seed), biasRegularizer, true, biasConstraint);
    }
    this.#stored = [...this.#pattern.variables, ...(this.#vector?.variables ?? [])];
    this.nonTrainableWeights = this.#stored;
    if (this.#args.state?.explored) this.explored();
    this.inputSpec = this.inputSpecFor(this.#kernelShape);
    fastBatches();
    this.built = true;
  }

  /** |A| and |B| at the start. */
  #counts(): { forwardNnz: number; nnz: number } {
    const { rows, cols } = patternShape(this.kernelShape);
    const size = rows * cols;
    const forwardNnz = countFor(size, this.density);
    const wanted = this.backwardDensity === undefined ? forwardNnz : Math.max(forwardNnz, countFor(size, this.backwardDensity));
    const nnz = this.backwardDensity === undefined ? (this.#args.state?.nnz ?? wanted) : wanted;
    if (checkCount(`${this.name} state.nnz`, nnz, 0) > size) throw new OptionError(`${this.name} state.nnz`, `at most ${size}`, nnz);
    return { forwardNnz, nnz };
  }

  /** Draws pattern and values. tfjs skips this for a model that is being loaded. */
  #initialise(): Float32Array {
    const { pattern, values } = this.#first();
    this.#take(pattern);
    return values;
  }

  #first(): Sets {
    const { forwardNnz, nnz } = this.#counts();
    if (this.#vector) return this.#vector.first(forwardNnz, nnz);
    const { rows, cols } = patternShape(this.kernelShape);
    const pattern = randomPattern(rows, cols, nnz, this.seed);
    return { pattern, values: phiOf(valuesFor(seeded(this.#options.kernelInitializer, this.seed), pattern, this.kernelShape), this.alpha) };
  }

  #makeVector(): ParameterVector {
    const { rows, cols } = patternShape(this.kernelShape);
    const { kernelInitializer } = this.#options;
    if (this.#args.theta === 'seeded') {
      if (rows * cols >= 2 ** 32)
        throw new OptionError(`${this.name} ${this.axes.join('·')}`, "less than 2^32 with theta 'seeded'", rows * cols);
      const { fanIn, fanOut } = fansOf(this.kernelShape);
      const spread = spreadOf(kernelInitializer, fanIn, fanOut);
      if (!spread) {
        throw new OptionError(
          `${this.name} kernelInitializer`,
          "one of known spread, for theta 'seeded'",
          kernelInitializer.getClassName(),
        );
      }
      const { maxFrozen, state } = this.#args;
      return new HashedVector(
        new SeededVector(rows, cols, this.seed, spread, this.alpha, Math.min(maxFrozen ?? Infinity, 2 ** 32 - 1)),
        state?.frozen ?? 0,
      );
    }
    if (rows * cols > MAX_STORED) {
      throw new OptionError(
        `${this.name} backwardDensity`,
        `at most ${MAX_STORED} weights in a layer that keeps its whole vector`,
        rows * cols,
      );
    }
    const initial = () => phiOf(wholeLayer(seeded(kernelInitializer, this.seed), this.kernelShape), this.alpha);
    return new StoredVector(rows, cols, initial, this);
  }

  /** Where the weights are. */
  get pattern(): CsrPattern {
    const pattern = this.#pattern?.current;
    if (!pattern) throw new Error(`${this.name} has no pattern yet: build the layer, or load its weights`);
    return pattern;
  }

  #take(pattern: CsrPattern): void {
    if (this.#pattern) this.#pattern.current = pattern;
  }

  /** The trained numbers `[nnz]`, in the pattern's order: weights, or φ where `alpha` is not 1. */
  get values(): tf.Variable {
    if (!this.#values) throw new Error(`${this.name} is not built yet`);
    return this.#values.read() as tf.Variable;
  }

  /** One number for each unit or filter, if the layer has them. */
  get bias(): tf.Variable | undefined {
    return this.#bias?.read() as tf.Variable | undefined;
  }

  /** The whole parameter vector θ of a Top-KAST layer by flat index, as it stands; a copy. */
  theta(): Float32Array {
    return this.#parameters.whole(this.pattern, this.values.dataSync() as Float32Array);
  }

  get #parameters(): ParameterVector {
    if (!this.#vector) throw new Error(`${this.name} keeps no whole vector: give it a backwardDensity`);
    return this.#vector;
  }

  /**
   * Top-KAST's sets as the weights stand, with `forwardNnz` (default: as many as now) of them in A. Throws when a weight is NaN. For training methods: with
   * theta 'seeded' the vector has then moved on to these sets, and {@link edit} has to follow.
   */
  largest(forwardNnz = this.pattern.forwardNnz): Sets {
    const { nnz } = this.pattern;
    if (checkCount(`${this.name} forwardNnz`, forwardNnz, 0) > nnz)
      throw new OptionError(`${this.name} forwardNnz`, `at most ${nnz}`, forwardNnz);
    return this.#parameters.next(this.pattern, this.values.dataSync() as Float32Array, forwardNnz);
  }

  /** Values, φ where `alpha` is not 1, for entries of `pattern` at the flat indices `positions`, drawn as the initializer would. Same `key`, same values. */
  fresh(pattern: CsrPattern, positions: Uint32Array, key: number): Float32Array {
    return phiOf(freshValues(this.#options.kernelInitializer, pattern, positions, key, this.kernelShape), this.alpha);
  }

  /**
   * One bit for each position, set where a weight has been since this was first asked for; for methods, to be written to. Saved with the model from
   * then on.
   */
  explored(): Uint32Array {
    if (!this.#explored) {
      const { rows, cols } = patternShape(this.kernelShape);
      const bits = new Uint32Array(Math.ceil((rows * cols) / 32));
      this.#explored = bits;
      // While it is built, tfjs itself puts the layer's name before.
      const variable = new StoredVariable(this.built ? `${this.name}/explored` : 'explored', {
        shape: [bits.length],
        dtype: 'int32',
        get: () => new Int32Array(bits),
        version: () => this.pattern,
        set: (numbers) => bits.set(numbers),
      });
      this.#stored.push(variable);
      const pattern = this.#pattern?.current;
      if (pattern) for (const flat of pattern.flat()) bits[flat >>> 5] |= 1 << (flat & 31);
    }
    return this.#explored;
  }

  /** Takes a new pattern and the values of its entries. For training methods; they carry the optimizer's slots. */
  edit(pattern: CsrPattern, values: Float32Array): void {
    const { rows, cols } = patternShape(this.kernelShape);
    const expected = [rows, cols, pattern.nnz];
    const received = [pattern.rows, pattern.cols, values.length];
    if (!tf.util.arraysEqual(expected, received)) {
      throw new ShapeError(`${this.name} edit [${this.axes.join(', ')}, nnz]`, expected, received);
    }
    if (this.backwardDensity === undefined && pattern.forwardNnz !== pattern.nnz) {
      throw new PatternError(`${this.name} edit: expected every entry in the forward set, since the layer has no backwardDensity`);
    }
    this.#take(pattern);
    tf.tidy(() => assign(this.values, tf.tensor1d(values)));
  }

  /** As in tfjs; but what makes no pattern is refused before any of it is written. A whole model's `setWeights` and `loadWeights` write one by one. */
  override setWeights(weights: tf.Tensor[]): void {
    if (weights.length === this.weights.length) this.#pattern?.check((variable) => weights[this.weights.indexOf(variable)]);
    super.setWeights(weights);
  }

  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: Parameters<layers.Layer['call']>[1]): tf.Tensor {
    return tf.tidy(() => {
      this.invokeCallHook(inputs, kwargs);
      if (kwargs?.['training'] && this.orphaned) this.#warnOnce();
      const x = Array.isArray(inputs) ? inputs[0] : inputs;
      const { activation } = this.#options;
      const name = activation.getClassName();
      const fused = name === 'linear' || name === 'relu';
      // A cast that changes nothing would still copy.
      const y = this.product(x.dtype === 'float32' ? x : tf.cast(x, 'float32'), {
        values: powerprop(this.values as unknown as tf.Tensor1D, this.alpha),
        bias: this.bias as tf.Tensor1D | undefined,
        pattern: this.pattern,
        activation: fused ? name : 'linear',
        decay: this.#decayOnce(),
        probe: this.probe,
      });
      return fused ? y : activation.apply(y);
    });
  }

  /** Whether it is a Top-KAST layer that trains and no method explores. */
  get orphaned(): boolean {
    return this.backwardDensity !== undefined && this.trainable && !this.owner;
  }

  /** Nothing else tells that a callback has gone astray, as in `callbacks: [resume(model)]`, of which tfjs makes nothing. */
  #warnOnce(): void {
    if (this.#warned) return;
    this.#warned = true;
    console.warn(`${this.name} has a backwardDensity, but no method trains it. callbacks: [topKast()]`);
  }

  /** What of a step's calls brings the penalty: the first, of a layer that is used twice or wrapped. Each gradient of tfjs has a tape of its own. */
  #decayOnce(): Decay {
    const tape = tf.engine().state.activeTape;
    if (tape && tape === this.#tape?.deref()) return NO_DECAY;
    this.#tape = tape && new WeakRef(tape);
    return this.decay;
  }

  override getConfig(): tf.serialization.ConfigDict {
    const { density, backwardDensity = null, alpha, seed } = this;
    const { theta = null, maxFrozen = null } = this.#args;
    const frozen = this.#vector instanceof HashedVector && this.#pattern?.current ? this.#vector.frozen : 0;
    const state = this.built
      ? { nnz: this.values.size, frozen, explored: this.#explored !== undefined, ...(this.method ? { method: toHex(this.method) } : {}) }
      : null;
    return { ...this.#options.getConfig(), ...super.getConfig(), density, backwardDensity, theta, maxFrozen, alpha, seed, state };
  }

  protected override disposeWeights(): number {
    this.#pattern?.free();
    this.#vector?.free();
    return super.disposeWeights();
  }
}

/** tfjs rewrites the strings of a saved config between camel and snake case; hexadecimal has neither. */
function toHex(text: string): string {
  return Array.from(new TextEncoder().encode(text), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function fromHex(kind: string, hex: string): string {
  if (!/^([0-9a-f]{2})*$/.test(hex)) throw new OptionError(`${kind} state.method`, 'hexadecimal digits', hex);
  return new TextDecoder().decode(Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16)));
}

/** One block of wasm memory is less than 2 GB. */
const MAX_STORED = 2 ** 29 - 1024;

export function oneShape(shape: Shape | Shape[]): Shape {
  return (Array.isArray(shape[0]) ? shape[0] : shape) as Shape;
}
