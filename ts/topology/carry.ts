// Takes an optimizer's slots through an edit, so that momentum and Adam's moments stay with their weights.

import * as tf from '@tensorflow/tfjs-core';
import { OptionError } from '../errors.js';
import { assign, sameVariable, variableOf } from '../ops/variable.js';
import { carried } from '../pattern/carried.js';

/** Moves slots: `source[i]` is the old place of what is now at `i`, −1 for a new weight. */
export type Move = (source: Int32Array) => void;

/** Finds the slots of a variable, which may fail, and returns what moves them, which does not. */
export type Carry = (variable: string) => Move;

/**
 * How an optimizer's slots are carried. Survivors keep theirs bit for bit, new weights start fresh (0; Adagrad's accumulator at its initial value).
 * Works for our optimizers and for `tf.train.*` except Adamax, which does not show its slots. Those count the steps of Adam in common, not by weight.
 */
export async function carrierOf(optimizer: tf.Optimizer): Promise<Carry> {
  const ours = optimizer as Partial<{ carrySlots(variable: string, source: Int32Array): void }>;
  if (ours.carrySlots) return (variable) => (source) => ours.carrySlots?.(variable, source);
  let slots: { name: string; tensor: tf.Tensor }[];
  try {
    slots = await optimizer.getWeights();
  } catch (cause) {
    throw new OptionError(
      'optimizer of a model with moving patterns',
      'one whose slots can be read (sgd, momentum, adam, …)',
      optimizer.getClassName(),
      { cause },
    );
  }
  const [iterations, ...rest] = slots;
  iterations.tensor.dispose(); // made for this call; the others are the live variables
  const fresh = (optimizer as { initialAccumulatorValue?: number }).initialAccumulatorValue ?? 0;
  return (variable) => {
    const found = slotsOf(rest, variable);
    return (source) => {
      for (const slot of found) {
        const moved = carried(slot.tensor.dataSync() as Float32Array, source, fresh);
        tf.tidy(() => assign(slot.tensor as tf.Variable, tf.tensor1d(moved)));
      }
    };
  };
}

/** The slots of a variable. One that was never updated, as in a frozen layer, has none. */
function slotsOf<T extends { name: string }>(slots: T[], variable: string): T[] {
  const exact = slots.filter((slot) => variableOf(slot.name) === variable);
  return exact.length > 0 ? exact : slots.filter((slot) => sameVariable(variableOf(slot.name), variable));
}
