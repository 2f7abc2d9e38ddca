// Layers larger than the caches, as shares of the multiply-add peak of the same process: on panels, and with everything that a pass does once per call.

import { randomPattern } from '../dist/index.js';
import { releasePattern } from '../dist/wasm/kernels.js';
import { checkAnswers, sharesOnPanels } from './products.mjs';
import { markdown, peakGflops, record } from './support.mjs';

/** Units, features, density. The first fits: what the others are to be compared with. */
const LAYERS = [
  [1024, 1024, 0.01],
  [1024, 1024, 0.05],
  [1024, 1024, 0.1],
  [4096, 4096, 0.01],
  [4096, 4096, 0.05],
  [4096, 4096, 0.1],
  [8192, 8192, 0.05],
  [16_384, 16_384, 0.01],
  [1024, 65_536, 0.01],
  [1024, 65_536, 0.05],
  [65_536, 1024, 0.01],
];
const BATCH = 128;
/** Batches of which the backward pass is looked at as well: those that go row by row. */
const FEW = [8, 32];

export function run({ short }) {
  const peak = peakGflops();
  const results = [];
  for (const [units, features, density] of short ? [[4096, 4096, 0.01]] : LAYERS) {
    const pattern = randomPattern(units, features, Math.round(units * features * density), 1);
    checkAnswers(pattern, BATCH);
    const few = FEW.map((batch) => sharesOnPanels(pattern, batch, short ? 20 : 300).backward);
    results.push({ units, features, density, ...sharesOnPanels(pattern, BATCH, short ? 60 : 3000), few });
    releasePattern(pattern);
  }
  const percent = (share) => `${(100 * share).toFixed(0)} %`;
  const rows = results.map((r) => [`${r.units}×${r.features}`, r.density, ...[r.forward, r.backward, r.products, ...r.few].map(percent)]);
  const head = [
    'units × features',
    'density',
    'forward',
    'backward',
    'of that the products alone',
    ...FEW.map((batch) => `backward, ${batch} samples`),
  ];
  const text = `Layers of growing size, batch ${BATCH}: shares of the multiply-add peak of the same process (${peak.toFixed(1)} GFLOP/s), from panels to panels, with everything that a pass does once per call; measured with the core to ourselves.\n\n${markdown(head, rows)}`;
  console.log(text);
  if (!short) record('large', { peakGflops: peak, batch: BATCH, results }, text);
}
