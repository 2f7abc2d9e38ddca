// The layers, under the names of tf.layers.

export { dense, SparseDense, type SparseDenseLayerArgs } from './sparse_dense.js';
