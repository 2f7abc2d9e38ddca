// What a layer that keeps its whole parameter vector asks of it (Top-KAST): the pattern of the largest weights, and their values.

export { gather, largest, scatter } from '../wasm/kernels.js';
