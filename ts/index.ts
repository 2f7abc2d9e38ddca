// The door: the binary is a file, read on Node, fetched in browsers.

export { init, ready } from '#load';
export * from './api.js';
