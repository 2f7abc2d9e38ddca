// Patterns and values of a whole layer: Top-KAST's sets, edits by parts, and initial values by hash.

export {
  draw,
  freePositions,
  gather,
  largest,
  lowest,
  lowestOfEachSign,
  replace,
  type SeededState,
  SeededVector,
  type Spread,
  scatter,
  topK as largestMagnitudes,
} from '../wasm/kernels.js';
