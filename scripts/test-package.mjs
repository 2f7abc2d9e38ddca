// Packs the package, installs it in an empty folder as a user would, and uses it there: import, train, save, load, the command line.

import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'package-'));
const npm = (args, cwd) => execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

const [{ filename, files, size }] = JSON.parse(npm(['pack', '--json', '--pack-destination', folder], root));
const paths = new Set(files.map(({ path }) => path));
for (const needed of [
  'dist/index.js',
  'dist/index.d.ts',
  'dist/wasm/load.web.js',
  'dist/cli/report/charts.js',
  'dist/cli/report/THIRD_PARTY.txt',
  'wasm/simd128.wasm',
  'wasm/relaxed-simd.wasm',
  'wasm/kernels.js',
  'README.md',
  'LICENSE',
]) {
  if (!paths.has(needed)) throw new Error(`the tarball lacks ${needed}`);
}
console.log(`${filename}: ${files.length} files, ${size} bytes`);

const tf = (name) => `@tensorflow/tfjs-${name}@4.22.0`;
writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
npm(['install', '--silent', '--no-audit', '--no-fund', join(folder, filename), tf('core'), tf('layers'), tf('backend-wasm')], folder);

writeFileSync(
  join(folder, 'use.js'),
  `
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-wasm';
import { layers, optimizers, topKast } from 'tfjs-sparse';

await tf.setBackend('wasm');
const model = tfl.sequential({ layers: [
  layers.dense({ inputShape: [20], units: 32, activation: 'relu', density: 0.2, backwardDensity: 0.4, seed: 1 }),
  layers.dense({ units: 3, activation: 'softmax', density: 0.5, seed: 2 }),
] });
model.compile({ optimizer: optimizers.adam(0.01), loss: 'categoricalCrossentropy' });
const x = tf.randomNormal([256, 20], 0, 1, 'float32', 1);
const y = tf.cast(tf.oneHot(tf.argMax(tf.slice(x, [0, 0], [256, 3]), 1), 3), 'float32');
const { history } = await model.fit(x, y, { epochs: 8, verbose: 0, callbacks: [topKast()] });
if (!(history.loss[7] < 0.7 * history.loss[0])) throw new Error('it does not learn: ' + history.loss);
await model.save('file://./saved', { includeOptimizer: true });
const loaded = await tfl.loadLayersModel('file://./saved');
const difference = tf.max(tf.abs(tf.sub(model.predict(x), loaded.predict(x)))).dataSync()[0];
if (difference !== 0) throw new Error('the loaded model differs by ' + difference);
console.log('imported, trained, saved and loaded; loss', history.loss[0].toFixed(3), '→', history.loss[7].toFixed(3));
`,
);
const run = (file, ...args) =>
  execFileSync(process.execPath, [file, ...args], { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
process.stdout.write(run('use.js'));
const [, shown] = readFileSync(join(root, 'README.md'), 'utf8').match(/```js\n(.*?)```/s);
if (shown !== readFileSync(join(root, 'examples/first-model.mjs'), 'utf8'))
  throw new Error('README.md shows other code than examples/first-model.mjs');
for (const example of ['first-model.mjs', 'own-loop.mjs', 'own-method.mjs']) {
  copyFileSync(join(root, 'examples', example), join(folder, example));
  console.log(`examples/${example}: ${run(example).trim().split('\n').join(' | ')}`);
}
console.log(`command line: ${run('node_modules/tfjs-sparse/dist/cli/main.js', '--version').trim()}`);
const { machine, crossings } = JSON.parse(
  run('node_modules/tfjs-sparse/dist/cli/main.js', 'bench', '--rounds', '1', '--batch', '16', '--json'),
);
console.log(`bench: ${machine.binary}, ${machine.backend}, ${crossings.length} dense rivals`);
const inspected = JSON.parse(run('node_modules/tfjs-sparse/dist/cli/main.js', 'inspect', 'saved', '--json'));
console.log(`inspect: ${inspected.layers.length} layers, ${inspected.total.nnz} weights`);
writeData(join(folder, 'data'));
run('node_modules/tfjs-sparse/dist/cli/main.js', 'train', '--data', 'data', '--layers', '8', '--epochs', '1', '--out', 'run');
const figures = readFileSync(join(folder, 'run', 'report.html'), 'utf8').match(/<svg/g)?.length ?? 0;
if (figures < 6) throw new Error(`the report of a run: expected at least 6 charts, received ${figures}`);
console.log(`train and report: ${figures} charts, without the packages that draw them`);
const without = (() => {
  try {
    run('node_modules/tfjs-sparse/dist/cli/main.js', 'train');
  } catch (error) {
    return error.status;
  }
})();
if (without !== 2) throw new Error(`train without data: expected exit status 2, received ${without}`);
rmSync(folder, { recursive: true });

/** A data set of noise in IDX files, 4×4 pixels, 2 classes. */
function writeData(at) {
  mkdirSync(at);
  const idx = (dims, each) => {
    const head = Buffer.alloc(4 + 4 * dims.length);
    head.writeUInt16BE(0x0800 | dims.length, 2);
    for (const [i, dim] of dims.entries()) head.writeUInt32BE(dim, 4 + 4 * i);
    const size = dims.reduce((a, b) => a * b);
    return Buffer.concat([head, Buffer.from(Array.from({ length: size }, (_, i) => each(i)))]);
  };
  for (const [prefix, count] of [
    ['train', 64],
    ['t10k', 16],
  ]) {
    writeFileSync(
      join(at, `${prefix}-images-idx3-ubyte`),
      idx([count, 4, 4], (i) => (i * 97) % 256),
    );
    writeFileSync(
      join(at, `${prefix}-labels-idx1-ubyte`),
      idx([count], (i) => i % 2),
    );
  }
}
