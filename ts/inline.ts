// The door for hosts that copy no files: the binary comes as JavaScript. Nothing to await.

export * from './api.js';
export { init, ready } from './wasm/load.inline.js';
