// The one door: what is listed here is public, everything else may change.

import '#files';

export { ready } from '#load';
export { FileError, NotReadyError, OptionError, PatternError, ShapeError } from './errors.js';
export * as layers from './layers/index.js';
export { type TopKast, type TopKastArgs, topKast } from './methods/top_kast.js';
export { powerprop } from './ops/powerprop.js';
export { type Decay, type FusedActivation, type SparseDenseArgs, sparseDense } from './ops/sparse_dense.js';
export { gradientReduce, gradientTopK, topK } from './ops/top_k.js';
export * as optimizers from './optimizers/index.js';
export { type CsrArrays, CsrPattern } from './pattern/csr.js';
export { erk, type LayerShape, uniform } from './pattern/distribution.js';
export { Random, randomPattern } from './pattern/random.js';
export { memory } from './wasm/memory.js';
