// One training step beside native rivals, interleaved: PyTorch's dense layers and SparseLab's sparse ones, in a Python process of their own.
// Optional: `python3 -m venv native && native/bin/pip install -r bench/native/requirements.txt`, then TFJS_SPARSE_PYTHON=native/bin/python.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-wasm';
import { data, sparseStep, WIDTHS } from '../ours.mjs';
import { check, interleaved, markdown, record } from '../support.mjs';

const SETUP =
  'python3 -m venv /path/to/env && /path/to/env/bin/pip install -r bench/native/requirements.txt, then set TFJS_SPARSE_PYTHON=/path/to/env/bin/python';

/** The Python process: `about`, `ask(wish)` for one line, `end()`; or `{ missing }`. */
async function startNative() {
  const python = process.env.TFJS_SPARSE_PYTHON || 'python3';
  const child = spawn(python, [fileURLToPath(new URL('rivals.py', import.meta.url))], { stdio: ['pipe', 'pipe', 'inherit'] });
  const failed = new Promise((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${python} ended with status ${code}`)));
  });
  failed.catch(() => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => JSON.parse((await Promise.race([lines.next(), failed])).value ?? (await failed));
  const about = await answer().catch((error) => ({ missing: `${python} cannot be used: ${error.message}` }));
  const ask = (wish) => {
    child.stdin.write(`${JSON.stringify(wish)}\n`);
    return answer();
  };
  return { about, ask, end: () => child.stdin.end() };
}

/** A model in the Python process as a rival for `interleaved`. */
async function nativeStep({ ask }, wish) {
  const make = JSON.stringify(wish);
  const { nnz } = await ask({ make, ...wish });
  const rival = Object.assign(async () => (await ask({ turn: make, ms: 0 })).loss, {
    nnz,
    turn: async (ms) => (await ask({ turn: make, ms })).times,
  });
  return rival;
}

export async function run({ short }) {
  const native = await startNative();
  const { about } = native;
  if (about.missing) {
    console.log(`skipped: ${about.missing}. To measure native rivals: ${SETUP}`);
    return;
  }
  if (!about.sparselab) console.log(`SparseLab is left out, it is not installed: ${SETUP}\n`);
  tf.enableProdMode();
  const densities = short ? [0.1] : [0.1, 0.05, 0.01];
  const results = [];
  const rows = [];
  try {
    for (const batch of short ? [64] : [64, 128]) {
      const { x, y } = data(batch);
      const ours = {};
      const rivals = { PyTorch: await nativeStep(native, { rival: 'torch', widths: WIDTHS, batch, density: 1 }) };
      for (const density of densities) {
        ours[density] = `ours at ${density}`;
        rivals[ours[density]] = await sparseStep({ density, x, y });
        if (about.sparselab)
          rivals[`SparseLab at ${density}`] = await nativeStep(native, { rival: 'sparselab', widths: WIDTHS, batch, density });
      }
      const first = {};
      for (const [name, step] of Object.entries(rivals)) first[name] = await step();
      await interleaved(rivals, { warmup: 0, rounds: 5, turn: short ? 40 : 200 });
      const times = await interleaved(rivals, short ? { warmup: 0, rounds: 3, turn: 40 } : { warmup: 2, rounds: 20, turn: 150 });
      for (const [name, step] of Object.entries(rivals)) {
        const last = await step();
        check(Number.isFinite(last) && last < first[name], `${name}: loss went from ${first[name]} to ${last}`);
      }
      const add = (name, density) => {
        const { median, min } = times[name];
        const same = times[ours[density]];
        const row = { rival: name.split(' ')[0], batch, density: name === 'PyTorch' ? 1 : density, nnz: rivals[name].nnz, median, min };
        results.push({ ...row, ours: same, ratio: median / same.median });
        const cell = (t) => `${t.median.toFixed(2)} (${t.min.toFixed(2)})`;
        const against = `${(median / same.median).toFixed(2)}× (${(min / same.min).toFixed(2)}×)`;
        rows.push([row.rival, batch, row.density, cell(times[name]), cell(same), against]);
      };
      add('PyTorch', densities[0]);
      if (about.sparselab) for (const density of densities) add(`SparseLab at ${density}`, density);
      for (const density of densities) rivals[ours[density]].free();
    }
  } finally {
    native.end();
  }
  const who = `PyTorch ${about.torch} (dense, ${about.instructions})${about.sparselab ? `, SparseLab ${about.sparselab}` : ''}, Python ${about.python}`;
  const text = `One training step of an MLP ${WIDTHS.join('-')} with SGD, loss read back, one thread each: ${who}. Ours on the wasm backend, at the same density; beside dense PyTorch at ${densities[0]}. Milliseconds, median (minimum).\n\n${markdown(['', 'batch', 'density', 'rival', 'ours', 'rival / ours'], rows)}`;
  console.log(text);
  if (!short) record('native', { about, widths: WIDTHS, results }, text);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await run({ short: process.argv.includes('--short') });
