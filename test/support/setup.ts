// Tests import single files; the wasm is loaded by the entrance, which they pass by.
import '../../ts/wasm/load.node.js';
