// A saved model names the classes of its layers and optimizer: they have to be known to tfjs, however little of the package a page imports, and
// however much of it a bundler throws away.

import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { build, QUICK, TRAIN } from './bundlers.mjs';
import { fill, run, shown } from './project.mjs';
import { parsed } from './same.mjs';
import { serve } from './server.mjs';

const MAIN = `import * as tf from '@tensorflow/tfjs-core';
import { loadLayersModel } from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-cpu';
import { ready } from 'tfjs-sparse';
import { makeData } from './data.js';

await ready();
await tf.setBackend('cpu');
const model = await loadLayersModel('./model/model.json');
const said = [...model.predict(makeData().x).dataSync()];
document.querySelector('output').textContent = JSON.stringify({ said, optimizer: model.optimizer.getClassName() });
`;

export async function test({ check, packed, browsers }) {
  const { folder } = packed;
  const data = `import * as tf from '@tensorflow/tfjs-core';\n${TRAIN.match(/^export function makeData.*?^}\n/ms)[0]}`;
  const files = { ...shown('The page'), ...shown('webpack'), ...pick(shown('esbuild'), 'build.mjs'), 'main.js': MAIN, 'data.js': data };
  for (const tool of ['vite', 'webpack', 'esbuild']) {
    await check(`${tool}: a page that imports ready alone loads a sparse model and its optimizer, ${browsers[0].name}`, async () => {
      fill(folder, files, ['vite', 'esbuild']);
      const said = parsed(await run(folder, ['node/save.js', join(folder, 'model')]));
      await build[tool](folder, tool === 'webpack' ? QUICK : {});
      cpSync(join(folder, 'model'), join(folder, 'dist/model'), { recursive: true });
      const server = await serve(join(folder, 'dist'));
      try {
        const { output, errors } = await browsers[0].visit(server.url);
        assert.deepEqual(errors, []);
        const { said: there, optimizer } = JSON.parse(output);
        const difference = Math.max(...there.map((value, i) => Math.abs(value - said[i])));
        assert.ok(there.length === said.length && difference < 1e-5, `differs by ${difference}`);
        return `outputs within ${difference.toExponential(0)}, ${optimizer}`;
      } finally {
        await server.close();
      }
    });
  }
}

const pick = (files, name) => ({ [name]: files[name] });
