// The layers, under the names of tf.layers.

export { PowerDense, type PowerDenseArgs, powerDense } from './power_dense.js';
export type { SparseArgs } from './sparse_base.js';
export {
  conv1d,
  conv2d,
  SparseConv1D,
  type SparseConv1DLayerArgs,
  SparseConv2D,
  type SparseConv2DLayerArgs,
} from './sparse_conv2d.js';
export { dense, SparseDense, type SparseDenseLayerArgs } from './sparse_dense.js';
