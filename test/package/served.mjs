// Servers as they are: strict about scripts, careless about types, without the file.

import assert from 'node:assert/strict';
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { build, HELP, TRAIN } from './bundlers.mjs';
import { fill, shown } from './project.mjs';
import { same } from './same.mjs';
import { serve } from './server.mjs';

const STRICT = { 'Content-Security-Policy': "script-src 'self'" };
const ALLOWING = { 'Content-Security-Policy': "script-src 'self' 'wasm-unsafe-eval'" };
const FORBIDDEN = "the page's Content-Security-Policy forbids WebAssembly; add 'wasm-unsafe-eval' to its script-src";

const html = '<!doctype html><title>The app</title>';
/** Another answer where the binary is asked for. */
const binary = (answer) => ({ answer: (path) => (path.endsWith('.wasm') ? answer : undefined) });

export async function test({ check, packed, browsers, expected }) {
  const { folder } = packed;
  const { 'index.html': index, 'main.js': main } = shown('The page');
  const { 'build.mjs': script } = shown('esbuild');
  const files = { 'index.html': index, 'main.js': main, 'build.mjs': script };
  const reference = await expected();
  const inline = (text) => text.replaceAll("'tfjs-sparse'", "'tfjs-sparse/inline'");

  /** Serves what was built, opens it in each browser. */
  async function open(name, options, judge) {
    const server = await serve(join(folder, 'dist'), options);
    try {
      for (const browser of browsers) {
        await check(`${name}, ${browser.name}`, async () => judge(await browser.visit(server.url), server.url));
      }
    } finally {
      await server.close();
    }
  }
  const trains = ({ output, errors }) => {
    assert.deepEqual(errors, []);
    return same(JSON.parse(output), reference);
  };
  /** Exactly one error is thrown, and its text begins so, after the URL of the binary. */
  const throws =
    (expected, whose = (url) => `${url}wasm/relaxed-simd.wasm: `) =>
    ({ output, errors }, url) => {
      const thrown = errors.filter((error) => !error.startsWith('console:'));
      assert.equal(output, '');
      assert.equal(thrown.length, 1, thrown.join('\n'));
      assert.ok(thrown[0].startsWith(`FileError: ${whose(url)}${expected}`), thrown[0]);
      return thrown[0].slice(0, 200);
    };

  fill(folder, files, ['esbuild']);
  await build.esbuild(folder);
  await open("script-src 'self' 'wasm-unsafe-eval'", { headers: ALLOWING }, trains);
  await open("script-src 'self'", { headers: STRICT }, throws(FORBIDDEN));
  await open('.wasm as application/octet-stream', binary({ type: 'application/octet-stream' }), trains);
  await open('.wasm as text/plain', binary({ type: 'text/plain' }), trains);
  await open(
    '404',
    binary({ status: 404, type: 'text/html', body: html }),
    throws(`expected the wasm binary, received HTTP status 404. ${HELP}`),
  );
  await open('a page instead', binary({ type: 'text/html', body: html }), throws(`expected the wasm binary, received text/html. ${HELP}`));
  await open('a page as application/wasm', binary({ type: 'application/wasm', body: html }), throws('cannot be compiled ('));
  await open('connect-src', { headers: { 'Content-Security-Policy': "connect-src 'none'" } }, throws('cannot be fetched ('));
  // tfjs's own wasm backend, under the same policy.
  const wasm = TRAIN.replace(
    "import '@tensorflow/tfjs-backend-cpu'",
    "import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm'",
  ).replace("await tf.setBackend('cpu')", "setWasmPaths('./tfjs/');\n  await tf.setBackend('wasm')");
  fill(folder, { ...files, 'train.js': wasm }, ['esbuild']);
  // Its glue asks for modules of Node, which its package.json takes away from browsers.
  await build.esbuild(folder);
  mkdirSync(join(folder, 'dist/tfjs'));
  for (const name of ['tfjs-backend-wasm.wasm', 'tfjs-backend-wasm-simd.wasm', 'tfjs-backend-wasm-threaded-simd.wasm']) {
    cpSync(join(folder, 'node_modules/@tensorflow/tfjs-backend-wasm/dist', name), join(folder, 'dist/tfjs', name));
  }
  await open("tfjs's wasm backend, script-src 'self' 'wasm-unsafe-eval'", { headers: ALLOWING }, trains);

  fill(folder, { ...files, 'main.js': main.replace('await ready();\n', '') }, ['esbuild']);
  await build.esbuild(folder);
  await open('without ready()', {}, ({ errors }) => {
    assert.match(errors.join(), /^NotReadyError: tfjs-sparse is still loading: `await ready\(\)`/);
  });

  fill(folder, { ...files, 'main.js': inline(main), 'train.js': inline(TRAIN) }, ['esbuild']);
  await build.esbuild(folder);
  await open("inline, script-src 'self' 'wasm-unsafe-eval'", { headers: ALLOWING }, trains);
  await open(
    "inline, script-src 'self'",
    { headers: STRICT },
    throws(FORBIDDEN, () => 'tfjs-sparse/inline: '),
  );
}
