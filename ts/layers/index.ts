// The layers, under the names of tf.layers.

export { PowerDense, type PowerDenseArgs, powerDense } from './power_dense.js';
export { dense, SparseDense, type SparseDenseLayerArgs } from './sparse_dense.js';
