// The door to losses in few kernels: for a compiled model, and for loops of one's own.

export { fuseLoss } from './methods/fuse_loss.js';
export { binaryCrossentropy, categoricalCrossentropy, sparseCategoricalCrossentropy } from './ops/cross_entropy.js';
