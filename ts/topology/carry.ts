// Takes an optimizer's slots through an edit, so that momentum and Adam's moments stay with their weights.

import * as tf from '@tensorflow/tfjs-core';
import { OptionError } from '../errors.js';
import { assign } from '../ops/variable.js';

/** Moves the slots of a variable: `source[i]` is the old place of what is now at `i`, −1 for a new weight. */
export type Carry = (variable: string, source: Int32Array) => void;

/**
 * How an optimizer's slots are carried. Survivors keep theirs bit for bit, new weights start fresh (0; Adagrad's accumulator at its initial value).
 * Works for our optimizers and for `tf.train.*` except Adamax, which does not show its slots. Those count the steps of Adam in common, not by weight.
 */
export async function carrierOf(optimizer: tf.Optimizer): Promise<Carry> {
  const ours = optimizer as Partial<{ carrySlots: Carry }>;
  if (ours.carrySlots) return (variable, source) => ours.carrySlots?.(variable, source);
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
  return (variable, source) => {
    for (const slot of slotsOf(rest, variable, optimizer)) {
      const old = slot.tensor.dataSync();
      const moved = new Float32Array(source.length).fill(fresh);
      for (let i = 0; i < source.length; i++) if (source[i] >= 0) moved[i] = old[source[i]];
      tf.tidy(() => assign(slot.tensor as tf.Variable, tf.tensor1d(moved)));
    }
  };
}

/** tfjs names slots after their variable. A loaded model's variables may have got a number at the end, which saved slots do not have. */
function slotsOf<T extends { name: string }>(slots: T[], name: string, optimizer: tf.Optimizer): T[] {
  const named = (variable: string) => slots.filter((slot) => slot.name.slice(0, slot.name.lastIndexOf('/')) === variable);
  const found = [name, name.replace(/_\d+$/, '')].map(named).find((matches) => matches.length > 0) ?? [];
  if (found.length === 0 && slots.length > 0) {
    throw new OptionError(
      `slots of ${optimizer.getClassName()}`,
      `some for ${name}`,
      slots.map((slot) => slot.name),
    );
  }
  return found;
}
