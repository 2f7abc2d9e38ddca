// What our optimizers share: slots in wasm memory that follow their weights, and saving them with the model.

import * as tf from '@tensorflow/tfjs-core';
import { checkNumber, OptionError, ShapeError } from '../errors.js';
import { alphas, thetaGradient, throughJacobian } from '../ops/powerprop.js';
import { assign, sameVariable, variableOf } from '../ops/variable.js';
import { carried } from '../pattern/carried.js';
import { carry } from '../wasm/kernels.js';
import { WasmArray } from '../wasm/memory.js';

/** The state of one variable: arrays `[size]` by name, such as Adam's m, v and steps. */
export type Slots = Record<string, WasmArray>;

/**
 * What the moments of a layer with an `alpha` (Powerpropagation) are kept of. 'phi': of the gradients of φ, as any optimizer would. Adam divides each
 * gradient by its own size, which undoes most of what Powerpropagation is for. 'theta': of the gradients of the weights θ; the step is then taken through the
 * Jacobian α·|φ|^(α−1), so that large weights move faster, as with SGD.
 */
export type Moments = 'phi' | 'theta';

type Gradients = Record<string, tf.Tensor> | NamedTensor[];

/** tfjs has this type and does not export it. */
interface NamedTensor {
  name: string;
  tensor: tf.Tensor;
}

/** The saved slots of one variable, waiting for the first step to say which it is. */
interface Saved {
  name: string;
  arrays: Map<string, Float32Array | Int32Array>;
}

/**
 * Updates every variable of a model, sparse or not, by one kernel call each. State lives in wasm memory, 4 bytes per number, freed by
 * `dispose()`. Subclasses name their slots and do the update.
 */
export abstract class SlotOptimizer extends tf.Optimizer {
  /** Slots by the name of their variable, in the order of the variables. */
  readonly #slots = new Map<string, Slots>();
  #saved: Saved[] = [];
  /** What the last two calls of `getWeights` gave out: two saves may be under way at once. */
  #exported: [tf.Tensor[], tf.Tensor[]] = [[], []];

  #learningRate: number;

  constructor(
    learningRate: number,
    readonly moments: Moments = 'phi',
  ) {
    super();
    this.#learningRate = learningRate;
    if (moments !== 'phi' && moments !== 'theta') throw new OptionError('optimizers moments', "'phi' or 'theta'", moments);
  }

  /** From the next step on it is what it is set to, a number of at least 0. */
  get learningRate(): number {
    return this.#learningRate;
  }

  set learningRate(rate: number) {
    this.#learningRate = checkNumber('learningRate', rate, 0, Infinity);
  }

  /** The names of the arrays a variable needs; those in `counters` hold whole numbers. */
  protected abstract readonly slotNames: readonly string[];
  protected readonly counters: readonly string[] = [];
  /** The next value, as a tensor; slots move on in place. */
  protected abstract update(value: tf.Tensor, gradient: tf.Tensor, slots: Slots): tf.Tensor;

  override applyGradients(gradients: Gradients): void {
    const named = Array.isArray(gradients) ? gradients : Object.entries(gradients).map(([name, tensor]) => ({ name, tensor }));
    const names = named.map(({ name }) => name);
    named.forEach(({ name, tensor }) => {
      const variable = tf.engine().registeredVariables[name];
      const slots = this.#slotsOf(name, variable.size, names);
      if (tensor == null) return;
      if (!tf.util.arraysEqual(tensor.shape, variable.shape)) throw new ShapeError(`gradient of ${name}`, variable.shape, tensor.shape);
      const alpha = this.moments === 'theta' ? alphas.get(variable) : undefined;
      tf.tidy(() =>
        assign(variable, alpha === undefined ? this.update(variable, tensor, slots) : this.#onTheta(variable, tensor, slots, alpha)),
      );
    });
    this.incrementIterations();
  }

  /** The step that the weight θ would take, taken by its φ. */
  #onTheta(phi: tf.Tensor, gradient: tf.Tensor, slots: Slots, alpha: number): tf.Tensor {
    return throughJacobian(phi, this.update(phi, thetaGradient(phi, gradient, alpha), slots), alpha);
  }

  /** `names` are those of the variables of this step. */
  #slotsOf(name: string, size: number, names: readonly string[]): Slots {
    let slots = this.#slots.get(name);
    if (!slots) {
      const saved = this.#savedFor(name, names);
      if (saved) this.#checkSaved(name, size, saved);
      slots = Object.fromEntries(this.slotNames.map((slot) => [slot, new WasmArray(size)]));
      if (saved) {
        this.#restore(slots, saved);
        delete this.#saved[this.#saved.indexOf(saved)];
      }
      this.#slots.set(name, slots);
    }
    // The kernels take lengths on trust. A name may have been given to another variable since.
    for (const [slot, array] of Object.entries(slots)) {
      if (array.length !== size) throw new ShapeError(`optimizer state ${name}/${slot}`, [size], [array.length]);
    }
    return slots;
  }

  /**
   * What was loaded and waits for this variable. By its name, since other layers may have been frozen than in the run that saved; a model that was made
   * anew has other names, and variables made by hand have numbers only: these go by their place, as in tfjs, unless what is there is another's of this step.
   */
  #savedFor(name: string, names: readonly string[] = []): Saved | undefined {
    const alike = this.#saved.filter((saved) => saved && sameVariable(saved.name, name));
    const found = alike.length === 1 ? alike[0] : alike.find((saved) => saved.name === name);
    if (found) return found;
    const there = this.#saved[names.indexOf(name)];
    return alike.includes(there) || (there && !names.some((other) => sameVariable(there.name, other))) ? there : undefined;
  }

  /** Before any of it is taken: what does not fit must stay, to be refused at the next step as well. */
  #checkSaved(name: string, size: number, { arrays }: Saved): void {
    for (const slot of this.slotNames) {
      const received = arrays.get(slot)?.length ?? 0;
      if (received !== size) throw new ShapeError(`saved optimizer state ${name}/${slot}`, [size], [received]);
    }
  }

  #restore(slots: Slots, { arrays }: Saved): void {
    for (const [slot, array] of Object.entries(slots)) {
      const to = this.counters.includes(slot) ? array.words : array.floats;
      to.set(arrays.get(slot) as Float32Array);
    }
  }

  /**
   * Moves a variable's slots through an edit of its pattern: `source[i]` is the old place of the weight that is now at `i`, or −1 for a grown one,
   * whose slots start at 0, steps included.
   */
  carrySlots(name: string, source: Int32Array): void {
    const slots = this.#slots.get(name);
    if (!slots) {
      this.#carrySaved(name, source);
      return;
    }
    for (const [slot, old] of Object.entries(slots)) {
      const moved = new WasmArray(source.length);
      carry(old, source, moved);
      old.free();
      slots[slot] = moved;
    }
  }

  /** The same for what was loaded and waits for the first step. There the name is that of the process that saved. */
  #carrySaved(name: string, source: Int32Array): void {
    const saved = this.#savedFor(name);
    for (const [slot, old] of saved?.arrays ?? []) saved?.arrays.set(slot, carried(old, source));
  }

  /** As tfjs's own: the step count, then slot by slot over the variables. The tensors belong to the optimizer; do not dispose of them. */
  override async getWeights(): Promise<NamedTensor[]> {
    const iterations = await this.saveIterations();
    const { registeredVariables } = tf.engine();
    // What was restored and has not been claimed by a step yet is part of the state as well; what belonged to a model that is gone is not.
    const held = [
      ...[...this.#slots]
        .filter(([name]) => registeredVariables[name])
        .map(([name, arrays]) => ({ name, numbers: (slot: string) => this.#numbers(slot, arrays[slot]) })),
      ...this.#saved.filter(Boolean).map(({ name, arrays }) => ({ name, numbers: (slot: string) => arrays.get(slot) as Float32Array })),
    ];
    const slots = this.slotNames.flatMap((slot) =>
      held.map(({ name, numbers }) => ({
        name: `${name}/${slot}`,
        tensor: tf.tensor1d(numbers(slot), this.counters.includes(slot) ? 'int32' : 'float32'),
      })),
    );
    const all = [iterations, ...slots];
    const [last, beforeLast] = this.#exported;
    tf.dispose(beforeLast);
    this.#exported = [all.map(({ tensor }) => tf.keep(tensor)), last];
    return all;
  }

  #numbers(slot: string, array: WasmArray): Float32Array | Int32Array {
    return this.counters.includes(slot) ? new Int32Array(array.words) : array.floats.slice();
  }

  override async setWeights(weights: NamedTensor[]): Promise<void> {
    const slots = await this.extractIterations(weights);
    const variables = this.slotNames.length === 0 ? 0 : slots.length / this.slotNames.length;
    if (!Number.isInteger(variables)) {
      throw new ShapeError('saved optimizer state, arrays', [`a multiple of ${this.slotNames.length}`], [slots.length]);
    }
    this.#free();
    this.#saved = slots.slice(0, variables).map(({ name }) => ({ name: variableOf(name), arrays: new Map() }));
    slots.forEach(({ tensor }, i) => {
      const values = tensor.dataSync().slice() as Float32Array | Int32Array;
      this.#saved[i % variables].arrays.set(this.slotNames[Math.floor(i / variables)], values);
    });
  }

  #free(): void {
    for (const slots of this.#slots.values()) for (const array of Object.values(slots)) array.free();
    this.#slots.clear();
  }

  override dispose(): void {
    this.#free();
    tf.dispose(this.#exported);
    this.#exported = [[], []];
  }
}
