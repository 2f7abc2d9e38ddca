// Guards the speed of the products: fails where one falls by more than a fifth below what is on record for this CPU, engine and binary. Ratios within one
// process, not times; the layer fits the second-level cache. Judged are not the shares of the peak but those of the reference loop, which falls with the
// products when the core has another user: shares of the peak were then a third too low, for minutes. `--update` writes the record.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { kernelShares } from '../dist/cli/measure.js';
import { randomPattern } from '../dist/index.js';
import { windowOver } from '../dist/pattern/window.js';
import * as convolution from '../dist/wasm/convolution.js';
import * as kernels from '../dist/wasm/kernels.js';
import { setTile, TILES } from '../dist/wasm/tiles.js';
import { referenceLoop } from './reference.mjs';
import { machine, markdown, median, shareOfPeak } from './support.mjs';

const LEAST = 0.8;
/** A pause after each lets a disturbance pass. */
const ATTEMPTS = 12;
const file = new URL('record/shares.json', import.meta.url);

/** Shares of what `loop` reaches, by product; of the multiply-add peak where none is given. */
function measured(ms, loop) {
  const size = 512;
  const layer = { density: 0.1, batch: 64, size, ms, loop };
  const { forward, backward, firstLayer } = withBestTile(() => kernelShares(layer));
  const [m, n, k] = [64, size, size];
  const [a, b] = [new Float32Array(m * k).fill(0.5), new Float32Array(k * n).fill(0.5)];
  const product = { m, n, k, transposeA: false, transposeB: false };
  const dense = shareOfPeak(() => kernels.dense(product, 1, a, b, undefined, false), 2 * m * n * k, ms, loop);
  return { forward, backward, 'backward without dX': firstLayer, dense, ...convolutions(ms, loop) };
}

/** The best of the shares with each tile: what the first calls would find, without their noise. */
function withBestTile(measure) {
  const each = TILES.map((tile) => {
    setTile(tile);
    return measure();
  });
  setTile(undefined);
  return Object.fromEntries(Object.keys(each[0]).map((name) => [name, Math.max(...each.map((shares) => shares[name]))]));
}

/** A sparse convolution of 16 images, copies and packing included. */
function convolutions(ms, loop) {
  const [batch, size, features, density] = [16, 8, 64, 0.1];
  const args = { kernelSize: [3, 3], strides: [1, 1], padding: 'valid', dilationRate: [1, 1] };
  const window = windowOver(args, [size, size], features, features);
  const pattern = randomPattern(9 * features, features, Math.round(9 * features ** 2 * density), 1);
  const [x, dx] = [0, 0].map(() => new Float32Array(batch * size * size * features).fill(0.5));
  const y = new Float32Array(batch * window.outHeight * window.outWidth * features);
  const values = new Float32Array(pattern.nnz).fill(0.5);
  const work = 2 * pattern.nnz * window.outHeight * window.outWidth * batch;
  const forward = () => convolution.forward(pattern, window, batch, x, values, undefined, false, y);
  const backward = () => {
    const { dValues, dBias } = convolution.backward(pattern, window, batch, { x, values, y: undefined, dy: y }, dx, {
      forward: 0,
      rest: 0,
    });
    dValues.free();
    dBias.free();
  };
  const found = {
    'convolution forward': withBestTile(() => ({ share: shareOfPeak(forward, work, ms, loop) })).share,
    'convolution backward': shareOfPeak(backward, 2 * work, ms, loop),
  };
  kernels.releasePattern(pattern);
  return found;
}

export async function run({ short, update }) {
  const { cpu, node, binary } = machine();
  const key = `${cpu}, Node ${node.slice(1).split('.')[0]}, ${binary}`;
  const records = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
  const record = update ? undefined : records[key];
  const loop = referenceLoop();
  const ms = short ? 60 : 300;
  const found = {};
  // The best of the attempts; what goes on record is their middle.
  const chosen = (shares) => (update ? median(shares) : Math.max(...shares));
  const low = () => Object.keys(found).filter((name) => record && chosen(found[name]) < LEAST * record[name]);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    for (const [name, share] of Object.entries(measured(ms, loop))) found[name] = [...(found[name] ?? []), share];
    if (!update && low().length === 0) break;
    await setTimeout(1000);
  }
  const percent = (share) => (share === undefined ? '' : `${(100 * share).toFixed(0)} %`);
  const best = Object.fromEntries(Object.entries(found).map(([name, shares]) => [name, chosen(shares)]));
  const shares = { ...measured(ms), 'the reference loop': shareOfPeak(loop, loop(), ms) };
  const rows = Object.entries(shares).map(([name, share]) => [name, ...[share, best[name], record?.[name]].map(percent)]);
  console.log(
    `${key}, layer 512×512 at density 0.1, batch 64\n\n${markdown(['', 'of the multiply-add peak', 'of the reference loop', 'on record'], rows)}`,
  );
  if (update) {
    const rounded = Object.fromEntries(Object.entries(best).map(([name, share]) => [name, Number(share.toFixed(3))]));
    writeFileSync(file, `${JSON.stringify({ ...records, [key]: rounded }, null, 2)}\n`);
  } else if (!record) {
    console.log('nothing on record for this machine and engine: `npm run bench -- shares --update` puts it there');
  }
  if (low().length > 0) throw new Error(`slower than on record by more than a fifth: ${low().join(', ')}`);
}
