// tfjs fixes a variable's shape for life. Patterns change the number of their weights, and the variable must stay the one that optimizers know.

import * as tf from '@tensorflow/tfjs-core';
import { home } from './home.js';

/** `variable.assign(value)`, also for a value of another shape, and without moving one that is at home. */
export function assign(variable: tf.Variable, value: tf.Tensor): void {
  const atHome = home.find(value.dataId) !== undefined;
  if (!atHome && tf.util.arraysEqual(variable.shape, value.shape)) {
    variable.assign(value);
    return;
  }
  // As tfjs's own `assign`; its books need the old size before and the new one after.
  const engine = tf.engine();
  engine.disposeTensor(variable);
  const { shape, size, strides, dataId } = value;
  Object.assign(variable, { shape, size, strides, dataId });
  if (atHome) {
    engine.trackTensor(variable, home);
    home.incRef(dataId);
  } else {
    // tfjs's own call; its type asks for a backend where null means that of the data.
    engine.incRef(variable, null as unknown as tf.KernelBackend);
  }
}

/** The variable that a saved slot belongs to: tfjs and we name slots VARIABLE/SLOT. */
export function variableOf(slot: string): string {
  return slot.slice(0, slot.lastIndexOf('/'));
}

/**
 * Whether names mean the same variable. tfjs puts numbers at the end of names already taken, and makes names of numbers for variables without one; both
 * differ from one process to another.
 */
export function sameVariable(a: string, b: string): boolean {
  const plain = (name: string) => name.replace(/_\d+$/, '');
  return plain(a) === plain(b) && /\D/.test(a);
}
