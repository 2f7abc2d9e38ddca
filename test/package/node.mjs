// On Node: each version trains, saves, loads, here, with the inline entrance and in a worker; the examples; the command line.

import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { node, VERSIONS, WIDE } from '../../scripts/nodes.mjs';
import { fill, ROOT, run } from './project.mjs';
import { parsed, same } from './same.mjs';

const EXAMPLES = ['first-model.mjs', 'own-loop.mjs', 'own-method.mjs', 'cnn.mjs'];
const CLI = 'node_modules/tfjs-sparse/dist/cli/main.js';

export async function test({ check, packed, expected }) {
  const { folder } = packed;
  const reference = await expected();
  fill(folder);
  for (const version of VERSIONS) {
    let program;
    await check(`Node ${version} is here`, () => {
      program = node(version);
    });
    if (!program) continue;
    for (const [name, file] of [
      ['train, save, load', 'node/use.js'],
      ['inline', 'node/inline.js'],
      ['a worker', 'node/worker.js'],
    ]) {
      await check(`Node ${version}, ${name}`, async () => same(parsed(await run(folder, [file], { program })), reference));
    }
  }
  await check('Node 24, simd128 where it is asked for', async () => {
    const result = parsed(await run(folder, ['node/use.js'], { program: node(24), env: { TFJS_SPARSE_VARIANT: 'simd128' } }));
    assert.equal(result.variant, 'simd128');
    return same(result, reference);
  });
  await check(`Node 24, ${WIDE}`, async () =>
    same(parsed(await run(folder, ['--no-liftoff', WIDE, 'node/use.js'], { program: node(24) })), reference),
  );
  await check('README.md shows examples/first-model.mjs', () => {
    const [, shown] = readFileSync(join(ROOT, 'README.md'), 'utf8').match(/```js\n(.*?)```/s);
    assert.equal(shown, readFileSync(join(ROOT, 'examples/first-model.mjs'), 'utf8'));
  });
  mkdirSync(join(folder, 'examples'));
  for (const example of EXAMPLES) {
    cpSync(join(ROOT, 'examples', example), join(folder, 'examples', example));
    await check(`examples/${example}`, async () => (await run(folder, [`examples/${example}`])).trim().split('\n').join(' | '));
  }
  await check('command line: --version', async () => (await run(folder, [CLI, '--version'])).trim());
  await check('command line: bench', async () => {
    const { machine, crossings } = JSON.parse(await run(folder, [CLI, 'bench', '--rounds', '1', '--batch', '16', '--json']));
    return `${machine.binary}, ${machine.backend}, ${crossings.length} dense rivals`;
  });
  await check('command line: inspect', async () => {
    await run(folder, ['node/save.js', join(folder, 'saved')]);
    const { layers, total } = JSON.parse(await run(folder, [CLI, 'inspect', 'saved', '--json']));
    return `${layers.length} layers, ${total.nnz} weights`;
  });
  await check('command line: train and report, without the packages that draw', async () => {
    writeData(join(folder, 'data'));
    await run(folder, [CLI, 'train', '--data', 'data', '--layers', '8', '--epochs', '1', '--out', 'run']);
    const charts = readFileSync(join(folder, 'run/report.html'), 'utf8').match(/<svg/g)?.length ?? 0;
    assert.ok(charts >= 6, `${charts} charts`);
    return `${charts} charts`;
  });
  await check('command line: train without data ends with status 2', async () => {
    const status = await run(folder, [CLI, 'train']).then(
      () => 0,
      ({ code }) => code,
    );
    assert.equal(status, 2);
  });
}

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
    const images = idx([count, 4, 4], (i) => (i * 97) % 256);
    const labels = idx([count], (i) => i % 2);
    writeFileSync(join(at, `${prefix}-images-idx3-ubyte`), images);
    writeFileSync(join(at, `${prefix}-labels-idx1-ubyte`), labels);
  }
}
