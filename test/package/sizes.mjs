// How much a page has to load. Gzipped, as servers send it.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { fill } from './project.mjs';

/** Of these, convolutions are 19 kB. */
const BINARY = 80_000;
const SCRIPT = 40_000;

const gzipped = (bytes) => gzipSync(bytes, { level: 9 }).length;

export async function test({ check, packed }) {
  const { folder } = packed;
  fill(folder);
  for (const name of ['simd128.wasm', 'relaxed-simd.wasm']) {
    await check(name, () => {
      const bytes = readFileSync(join(folder, 'node_modules/tfjs-sparse/wasm', name));
      const size = gzipped(bytes);
      assert.ok(size <= BINARY, `${size} bytes, at most ${BINARY}`);
      return `${bytes.length} bytes, ${size} gzipped (limit ${BINARY})`;
    });
  }
  const bundled = async (contents) => {
    const { outputFiles } = await build({
      stdin: { contents, resolveDir: folder },
      bundle: true,
      minify: true,
      format: 'esm',
      write: false,
      external: ['@tensorflow/*'],
    });
    return outputFiles[0].contents;
  };
  const limits = { 'tfjs-sparse': SCRIPT, 'tfjs-sparse/worker': SCRIPT, 'tfjs-sparse/losses': 5000, 'tfjs-sparse/inline': Infinity };
  for (const [entry, limit] of Object.entries(limits)) {
    await check(`${entry}, all of it`, async () => {
      const bytes = await bundled(`export * from '${entry}'`);
      const size = gzipped(bytes);
      assert.ok(size <= limit, `${size} bytes, at most ${limit}`);
      return `${bytes.length} bytes, ${size} gzipped${limit === Infinity ? ', both binaries in it' : ` (limit ${limit})`}`;
    });
  }
  await check('who imports one thing gets no method besides', async () => {
    const all = await bundled("export * from 'tfjs-sparse'");
    const sizes = {};
    for (const name of ['ready', 'erk', 'topKast']) {
      const bytes = await bundled(`export { ${name} } from 'tfjs-sparse'`);
      // Names of methods stand in their errors, whatever a minifier does.
      const methods = ['topKast', 'rigl', 'ggr', 'gse', 'snfs', 'gmp', 'dpf', 'gap'].filter((method) =>
        new RegExp(`["'\`]${method}\\b`).test(Buffer.from(bytes).toString()),
      );
      assert.deepEqual(methods, name === 'topKast' ? ['topKast'] : []);
      sizes[name] = gzipped(bytes);
    }
    // The layers come along, so that saved models load.
    assert.ok(sizes.ready < 0.6 * gzipped(all), `${sizes.ready} bytes of ${gzipped(all)}`);
    return `gzipped ${JSON.stringify(sizes)}, all of it ${gzipped(all)}`;
  });
  await check('connect, for the page, brings neither layers nor the binary', async () => {
    const bytes = await bundled("export { connect } from 'tfjs-sparse/worker'");
    assert.ok(!Buffer.from(bytes).toString().includes('.wasm'));
    return `${gzipped(bytes)} gzipped`;
  });
}
