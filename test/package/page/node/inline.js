// The same by the inline entrance, which must not need the files.

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

const binaries = new URL('../node_modules/tfjs-sparse/wasm/', import.meta.url);
const away = (path) => new URL(path.replace('.wasm', '.away'), binaries);
const names = ['simd128.wasm', 'relaxed-simd.wasm'];
const text = readFileSync(new URL('../train.js', import.meta.url), 'utf8');
const copy = new URL('../train.inline.js', import.meta.url);
writeFileSync(copy, text.replaceAll("'tfjs-sparse'", "'tfjs-sparse/inline'"));
for (const name of names) renameSync(new URL(name, binaries), away(name));
try {
  const { train } = await import(copy.href);
  console.log(JSON.stringify(await train()));
} finally {
  for (const name of names) renameSync(away(name), new URL(name, binaries));
  rmSync(copy);
}
