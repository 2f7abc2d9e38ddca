// Takes an optimizer's slots through an edit, so that momentum and Adam's moments stay with their weights.

import * as tf from '@tensorflow/tfjs-core';
import { OptionError } from '../errors.js';

/** Where a variable's slots go. Our optimizers have this; tfjs's are reached through their saved weights. */
interface CarriesSlots {
  carrySlots(name: string, source: Int32Array): void;
}

/**
 * Carries the slots of the variable `name` through an edit. Survivors keep theirs bit for bit, new weights start fresh (0; Adagrad's accumulator at
 * its initial value). Works for our optimizers and for `tf.train.*` except Adamax, which does not show its slots. Those count the steps of
 * Adam in common, not by weight.
 */
export async function carrySlots(optimizer: tf.Optimizer, name: string, source: Int32Array): Promise<void> {
  const ours = optimizer as Partial<CarriesSlots>;
  if (ours.carrySlots) {
    ours.carrySlots(name, source);
    return;
  }
  let slots: { name: string; tensor: tf.Tensor }[];
  try {
    slots = await optimizer.getWeights();
  } catch (cause) {
    throw new OptionError(
      'optimizer of a model with moving patterns',
      'one whose slots can be read (sgd, momentum, adam, …)',
      optimizer.getClassName(),
      {
        cause,
      },
    );
  }
  const [iterations, ...rest] = slots;
  iterations.tensor.dispose(); // made for this call; the others are the live variables
  const fresh = (optimizer as { initialAccumulatorValue?: number }).initialAccumulatorValue ?? 0;
  for (const slot of slotsOf(rest, name, optimizer)) {
    const old = slot.tensor.dataSync();
    const moved = new Float32Array(source.length).fill(fresh);
    for (let i = 0; i < source.length; i++) if (source[i] >= 0) moved[i] = old[source[i]];
    tf.tidy(() => (slot.tensor as tf.Variable).assign(tf.tensor1d(moved)));
  }
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
