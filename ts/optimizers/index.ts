// The optimizers, under the names of tf.train.

export { adam, SparseAdam } from './adam.js';
export { momentum, SparseMomentum } from './momentum.js';
export type { Moments } from './optimizer.js';
export { SparseSgd, sgd } from './sgd.js';
