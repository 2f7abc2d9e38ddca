// What is in the tarball, and what the checkers of packages say about it.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { ROOT, run } from './project.mjs';

const NEEDED = [
  'CHANGELOG.md',
  'LICENSE',
  'README.md',
  'dist/cli/report/THIRD_PARTY.txt',
  'dist/cli/report/charts.js',
  'dist/index.d.ts',
  'dist/index.js',
  'dist/inline.js',
  'dist/losses.js',
  'dist/wasm/binaries.js',
  'dist/wasm/load.web.js',
  'dist/worker.js',
  'wasm/kernels.js',
  'wasm/relaxed-simd.wasm',
  'wasm/simd128.wasm',
];

export async function test({ check, packed }) {
  const { files, tarball } = packed;
  await check('the tarball has what is needed, and nothing of the sources', () => {
    assert.deepEqual(
      NEEDED.filter((path) => !files.includes(path)),
      [],
    );
    assert.deepEqual(
      files.filter((path) => /^(ts|test|crate|bench|scripts|docs)\//.test(path)),
      [],
    );
  });
  await check('publint', async () => {
    const { messages, pkg } = await publint({ pkgDir: join(packed.folder, 'node_modules/tfjs-sparse'), strict: true, pack: false });
    assert.deepEqual(
      messages.map((message) => formatMessage(message, pkg)),
      [],
    );
  });
  await check('are the types wrong', async () => {
    const attw = join(ROOT, 'node_modules/@arethetypeswrong/cli/dist/index.js');
    const binaries = ['./simd128.wasm', './relaxed-simd.wasm'];
    const printed = await run(packed.folder, [attw, tarball, '--format', 'json', '--exclude-entrypoints', ...binaries]).catch(
      ({ stdout }) => stdout,
    );
    const { problems, analysis } = JSON.parse(printed);
    // ES modules only: not for resolution as it was before `exports`, and a program in CommonJS is told to import.
    const ignored = ['node10', 'node16-cjs'];
    const matter = Object.values(problems ?? {}).flat();
    assert.deepEqual(
      matter.filter(({ resolutionKind, resolutionOption }) => !ignored.includes(resolutionKind ?? resolutionOption)),
      [],
    );
    assert.deepEqual(Object.keys(analysis.entrypoints).sort(), ['.', './inline', './losses', './package.json', './worker']);
  });
}
