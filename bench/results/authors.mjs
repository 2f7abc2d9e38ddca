// Two things that SET's published script does otherwise than tfjs; without them its learning rate means something else.

import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';

/**
 * Half the squared error, summed over classes, of the sigmoid of a linear output. 'authors': their script takes the sigmoid's slope at the output a instead
 * of at what it came from, σ(a)·(1 − σ(a)), which is about 0.22 wherever a is: an output far off goes on learning. 'exact': a·(1 − a).
 * @param {'authors' | 'exact'} slope
 */
export function sigmoidError(slope) {
  const error = tf.customGrad((z, target, save) => {
    const a = tf.sigmoid(z);
    save([a, target]);
    const gradFunc = (dy, [a, target]) => {
      const s = slope === 'authors' ? tf.sigmoid(a) : a;
      const dz = tf.mul(tf.sub(a, target), tf.mul(s, tf.sub(1, s)));
      return [tf.mul(tf.expandDims(dy, 1), dz), tf.zerosLike(target)];
    };
    return { value: tf.mul(0.5, tf.sum(tf.square(tf.sub(a, target)), 1)), gradFunc };
  });
  return (target, z) => error(z, target);
}

/** Dropout as in their script: nothing is scaled up in training, all is scaled down afterwards. tfjs's, with a seed, drops the same units at every step. */
class Thinned extends tfl.layers.Layer {
  static className = 'Thinned';

  /** @param {{ rate: number, random: import('../../dist/index.js').Random }} args */
  constructor({ rate, random }) {
    super({});
    this.rate = rate;
    this.random = random;
  }

  computeOutputShape(shape) {
    return shape;
  }

  call(inputs, { training }) {
    const x = Array.isArray(inputs) ? inputs[0] : inputs;
    if (!training) return tf.mul(x, 1 - this.rate);
    return tf.tidy(() => {
      // tfjs copies it.
      if (this.mask?.length !== x.size) this.mask = new Float32Array(x.size);
      const { mask } = this;
      const limit = Math.round(this.rate * 2 ** 16);
      // Each draw serves two units.
      for (let i = 0; i < mask.length; i += 2) {
        const bits = this.random.bits();
        mask[i] = (bits & 0xffff) < limit ? 0 : 1;
        mask[i + 1] = bits >>> 16 < limit ? 0 : 1;
      }
      return tf.mul(x, tf.tensor(mask, x.shape));
    });
  }
}

/** @param {{ rate: number, random: import('../../dist/index.js').Random }} args */
export const thinned = (args) => new Thinned(args);
