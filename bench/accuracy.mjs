// The main job over three seeds, sparse and dense twin, each in a process of its own: `npx tfjs-sparse train`.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { check, markdown, median, record } from './support.mjs';

const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));

export async function run({ short }) {
  const seeds = short ? [1] : [1, 2, 3];
  const rows = [];
  const results = [];
  for (const kind of short ? ['sparse'] : ['sparse', 'dense']) {
    for (const seed of seeds) {
      const out = join(mkdtempSync(join(tmpdir(), 'accuracy-')), 'run');
      const args = [
        'train',
        '--seed',
        String(seed),
        '--out',
        out,
        ...(kind === 'dense' ? ['--dense'] : []),
        ...(short ? ['--epochs', '1'] : []),
      ];
      const begin = performance.now();
      execFileSync(process.execPath, [main, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
      const seconds = (performance.now() - begin) / 1000;
      const history = JSON.parse(readFileSync(join(out, 'history.json'), 'utf8'));
      const accuracy = history.at(-1).testAccuracy;
      results.push({ kind, seed, accuracy, seconds, msPerStep: median(history.map((e) => e.msPerStep)) });
      rows.push([kind, seed, `${(100 * accuracy).toFixed(2)} %`, seconds.toFixed(0), results.at(-1).msPerStep.toFixed(2)]);
      check(accuracy > (short ? 0.9 : 0.97), `${kind}, seed ${seed}: accuracy ${accuracy}`);
    }
  }
  const mean = (kind) => {
    const all = results.filter((r) => r.kind === kind).map((r) => r.accuracy);
    return (100 * all.reduce((a, b) => a + b, 0)) / all.length;
  };
  const verdict = short ? '' : `\n\nMean: sparse ${mean('sparse').toFixed(2)} %, dense ${mean('dense').toFixed(2)} %.`;
  const text = `LeNet-300-100 on MNIST, defaults of \`npx tfjs-sparse train\` (Top-KAST, 10 % forward, 20 % backward, ERK, Adam) and of \`--dense\`.\n\n${markdown(['', 'seed', 'test accuracy', 'seconds', 'ms per step'], rows)}${verdict}`;
  console.log(text);
  if (!short) record('accuracy', { results }, text);
}
