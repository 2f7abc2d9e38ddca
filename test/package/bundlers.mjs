// The files of docs/guides/bundlers.md, built with each tool and opened in each browser.

import assert from 'node:assert/strict';
import { copyFileSync, cpSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createServer } from 'vite';
import webpack from 'webpack';
import { fill, run, shown } from './project.mjs';
import { same } from './same.mjs';
import { serve } from './server.mjs';

const VITE = ['vite'];
const ESBUILD = ['esbuild'];
const ROLLUP = ['rollup', '@rollup/plugin-node-resolve', '@rollup/plugin-commonjs'];
export const HELP =
  "The files are in node_modules/tfjs-sparse/wasm: serve them and say where with init({ wasmUrl }), or import 'tfjs-sparse/inline', which needs none.";

/** Minifying takes webpack most of its time. */
export const QUICK = { optimization: { minimize: false } };

/** `import.meta` of a config that is imported again would be that of its first import. */
let count = 0;

/** How each tool is run in a folder; what it makes is then in dist/. */
export const build = {
  vite: (folder) => run(folder, ['node_modules/vite/bin/vite.js', 'build', '--logLevel', 'warn']),
  async webpack(folder, options = {}) {
    const before = process.cwd();
    process.chdir(folder); // as webpack's own command
    try {
      const { default: config } = await import(`${pathToFileURL(join(folder, 'webpack.config.js'))}?${count++}`);
      const stats = await new Promise((resolve, reject) =>
        webpack({ ...config, performance: false, ...options }, (error, stats) => (error ? reject(error) : resolve(stats))),
      );
      const { errors, warnings } = stats.toJson({ all: false, errors: true, warnings: true });
      assert.deepEqual(
        [...errors, ...warnings].map(({ message }) => message),
        [],
      );
    } finally {
      process.chdir(before);
    }
    copyFileSync(join(folder, 'index.html'), join(folder, 'dist/index.html'));
  },
  async esbuild(folder) {
    await run(folder, ['build.mjs']);
    copyFileSync(join(folder, 'index.html'), join(folder, 'dist/index.html'));
  },
  async rollup(folder) {
    await run(folder, ['node_modules/rollup/dist/bin/rollup', '-c', 'rollup.config.mjs', '--silent']);
    copyFileSync(join(folder, 'index.html'), join(folder, 'dist/index.html'));
  },
};

/** Vite's own server for development. @param {string} root */
export async function viteDev(root) {
  const server = await createServer({ root, logLevel: 'error', server: { host: '127.0.0.1', port: 0, watch: null } });
  await server.listen();
  return { url: `http://127.0.0.1:${server.httpServer.address().port}/`, close: () => server.close() };
}

/** Opens a page in each browser; it has to do as Node does, and to complain of nothing. */
export async function trains({ check, browsers, expected }, name, server) {
  try {
    for (const browser of browsers) {
      await check(`${name}, ${browser.name}`, async () => {
        const { output, errors } = await browser.visit(server.url);
        assert.deepEqual(errors, []);
        return same(JSON.parse(output), await expected());
      });
    }
  } finally {
    await server.close();
  }
}

export const TRAIN = readFileSync(new URL('./page/train.js', import.meta.url), 'utf8');

export async function test(context) {
  const { check, packed, browsers } = context;
  const { folder } = packed;
  await context.expected();
  const page = shown('The page');

  /** Builds, opens. `changed` may spoil what was built. */
  async function built(name, tool, files, tools, changed = () => {}, options = {}) {
    let done = false;
    await check(`${name}: build`, async () => {
      fill(folder, { ...page, ...files }, tools);
      await build[tool](folder, options);
      changed();
      done = true;
    });
    if (done) await trains(context, name, await serve(join(folder, 'dist')));
  }
  async function dev(name, files) {
    fill(folder, { ...page, ...files }, VITE);
    await trains(context, name, await viteDev(folder));
  }
  const noBinaries = () => rmSync(join(folder, 'dist/wasm'), { recursive: true });

  await built('Vite', 'vite', {}, VITE);
  await dev('Vite dev', {});
  await built('webpack', 'webpack', shown('webpack'), []);
  await built('esbuild', 'esbuild', shown('esbuild'), ESBUILD);
  await built('esbuild without init', 'esbuild', { ...shown('esbuild'), ...pick(page, 'main.js') }, ESBUILD);
  const inline = { ...shown('No file to serve'), 'train.js': TRAIN.replaceAll("'tfjs-sparse'", "'tfjs-sparse/inline'") };
  await built('esbuild, inline', 'esbuild', { ...shown('esbuild'), ...inline }, ESBUILD, noBinaries);
  await built('Rollup', 'rollup', { ...shown('esbuild'), ...shown('Rollup') }, ROLLUP);
  await built('Rollup, inline', 'rollup', { ...shown('Rollup'), ...inline }, ROLLUP, noBinaries);
  fill(folder, { ...page, ...shown('No bundler') });
  await trains(context, 'import map', await serve(folder));
  await built('Vite, worker', 'vite', shown('Worker'), VITE);
  await dev('Vite dev, worker', shown('Worker'));
  await built('webpack, worker', 'webpack', { ...shown('webpack'), ...shown('Worker') }, [], undefined, QUICK);
  const byEsbuild = { ...shown('Worker'), ...shown('Worker by esbuild') };
  await built('esbuild, worker', 'esbuild', byEsbuild, ESBUILD);
  await check('import map, worker: build', async () => {
    fill(folder, { ...byEsbuild, ...shown('No bundler') }, ESBUILD);
    await run(folder, ['build.mjs']);
    cpSync(join(folder, 'dist/trainer.worker.js'), join(folder, 'trainer.worker.js'));
    cpSync(join(folder, 'dist/wasm'), join(folder, 'wasm'), { recursive: true });
  });
  await trains(context, 'import map, worker', await serve(folder));
  const inlineWorker = {
    'train.js': inline['train.js'],
    'trainer.worker.js': shown('Worker')['trainer.worker.js'].replaceAll("'tfjs-sparse'", "'tfjs-sparse/inline'"),
  };
  await built('esbuild, worker, inline', 'esbuild', { ...byEsbuild, ...inlineWorker }, ESBUILD, noBinaries);

  fill(folder, { ...page, ...shown('esbuild'), ...pick(page, 'main.js') }, ESBUILD);
  await build.esbuild(folder);
  noBinaries();
  const server = await serve(join(folder, 'dist'));
  for (const browser of browsers) {
    await check(`esbuild, binaries not copied, ${browser.name}`, async () => {
      const { errors } = await browser.visit(server.url);
      const thrown = errors.filter((error) => !error.startsWith('console:'));
      assert.deepEqual(thrown, [
        `FileError: ${server.url}wasm/relaxed-simd.wasm: expected the wasm binary, received HTTP status 404. ${HELP}`,
      ]);
    });
  }
  await server.close();
}

const pick = (files, name) => ({ [name]: files[name] });
