// The one door: what is listed here is public, everything else may change.

import '#files';

export { ready } from '#load';
export { FileError, NotReadyError, OptionError, PatternError, ShapeError } from './errors.js';
export * as layers from './layers/index.js';
export { type Dpf, type DpfArgs, dpf } from './methods/dpf.js';
export { type Gap, type GapArgs, gap } from './methods/gap.js';
export { type GgrArgs, ggr } from './methods/ggr.js';
export { type Gmp, type GmpArgs, gmp } from './methods/gmp.js';
export { type GseArgs, gse } from './methods/gse.js';
export { type PruneArgs, prune } from './methods/prune.js';
export { resume } from './methods/resume.js';
export { type GradientGrowthArgs, rigl } from './methods/rigl.js';
export { type SetArgs, set } from './methods/set.js';
export { snfs } from './methods/snfs.js';
export { sparsify } from './methods/sparsify.js';
export { staticPattern } from './methods/static.js';
export { type TopKast, type TopKastArgs, topKast } from './methods/top_kast.js';
export { fastDense } from './ops/fast_dense.js';
export { powerprop } from './ops/powerprop.js';
export type { Candidates, Samples } from './ops/probe.js';
export { type Decay, type FusedActivation, type SparseDenseArgs, sparseDense } from './ops/sparse_dense.js';
export { gradientReduce, gradientTopK, topK } from './ops/top_k.js';
export * as optimizers from './optimizers/index.js';
export { type CsrArrays, CsrPattern } from './pattern/csr.js';
export { custom, er, erk, firstDense, type LayerShape, lastAtLeast, setEpsilon, uniform } from './pattern/distribution.js';
export { Random, randomPattern } from './pattern/random.js';
export { eachLayer, type Rule } from './topology/choose.js';
export { type DropGrow, type DropGrowArgs, dropGrow } from './topology/drop_grow.js';
export { best, type LayerView } from './topology/layer_view.js';
export { type Anneal, constant, cosine, cubic, exponential, linear, type Schedule, type ScheduleArgs } from './topology/schedule.js';
export { bestOfAll, lamp, type Scope } from './topology/select.js';
export type { SparseLayer } from './topology/sparse_layer.js';
export { type LayerSummary, type Summary, summary } from './topology/summary.js';
export type { Report, Training, TrainingArgs } from './topology/training.js';
export { memory } from './wasm/memory.js';
export { setTile, type Tile, tiles } from './wasm/tiles.js';
