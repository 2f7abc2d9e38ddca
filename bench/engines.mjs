// The same short bench in every engine: Node 20, 22, 24 and 26 (npm packages, installed outside the repository) and Chromium, each in a process of
// its own; Nodes that can join vectors into wider ones also with that. Shares and ratios are of numbers of the same process, so that
// engines can be compared. --short: this Node, and Chromium where there is one.

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createServer } from 'vite';
import { start } from '../scripts/browsers.mjs';
import { node, VERSIONS, WIDE } from '../scripts/nodes.mjs';
import { markdown, record } from './support.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const LIMIT = 180_000;

/** Runs engine.mjs in another Node. @param {string[]} flags of V8 */
async function inNode(program, short, flags = []) {
  const script = `const { measure } = await import('./bench/engine.mjs'); console.log('\\n' + JSON.stringify({ engine: 'Node ' + process.version + ', V8 ' + process.versions.v8, ...(await measure({ short: ${short} })) }));`;
  const { stdout } = await promisify(execFile)(program, [...flags, '--input-type=module', '--eval', script], { cwd: ROOT, timeout: LIMIT });
  const found = JSON.parse(stdout.trim().split('\n').at(-1));
  return { ...found, engine: [found.engine, ...flags].join(' ') };
}

/** A page that imports engine.mjs and shows what it found, served by Vite; nothing where no browser is installed. */
async function inChromium(short) {
  const page = `<!doctype html><output></output><script type="module">
    const { measure } = await import('/bench/engine.mjs');
    const found = await measure({ short: ${short}, wasmPaths: '/node_modules/@tensorflow/tfjs-backend-wasm/dist/' });
    document.querySelector('output').textContent = JSON.stringify(found);
  </script>`;
  const serve = (server) => {
    server.middlewares.use((request, response, next) => {
      // Isolated pages have finer timers.
      response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
      response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
      if (request.url === '/') response.setHeader('Content-Type', 'text/html').end(page);
      else next();
    });
  };
  const tfjs = ['core', 'layers', 'backend-wasm'].map((name) => `@tensorflow/tfjs-${name}`);
  const folder = mkdtempSync(join(tmpdir(), 'engines-'));
  const server = await createServer({
    root: ROOT,
    configFile: false,
    logLevel: 'error',
    appType: 'custom',
    cacheDir: join(folder, 'vite'),
    server: { port: 0, host: '127.0.0.1', hmr: false, watch: null },
    optimizeDeps: { include: [...tfjs, '@jax-js/jax'], noDiscovery: true },
    plugins: [{ name: 'bench', configureServer: serve }],
  });
  let browser;
  try {
    await server.listen();
    browser = await start('Chromium');
    const { output, errors } = await browser.visit(`http://127.0.0.1:${server.httpServer.address().port}/`, { seconds: LIMIT / 1000 });
    if (!output) throw new Error(errors.join('\n'));
    return { engine: browser.version, ...JSON.parse(output) };
  } finally {
    await browser?.close();
    await server.close();
    rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
  }
}

export async function run({ short }) {
  const engines = Object.fromEntries([
    ...VERSIONS.map((version) => [`Node ${version}`, () => inNode(node(version), short)]),
    ...VERSIONS.filter((version) => version >= 24).map((version) => [
      `Node ${version} ${WIDE}`,
      () => inNode(node(version), short, [WIDE]),
    ]),
  ]);
  const chosen = { ...(short ? { 'this Node': () => inNode(process.execPath, short) } : engines), Chromium: () => inChromium(short) };
  const results = [];
  const rows = [];
  const percent = (share) => `${(100 * share).toFixed(0)} %`;
  for (const [name, measure] of Object.entries(chosen)) {
    try {
      const found = await measure();
      results.push(found);
      const { engine, binary, peakGflops, kernels, times } = found;
      const { jax } = times;
      const cells = ['0.1', '0.01'].flatMap((density) => {
        const { median, min } = times[density];
        return [`${median.toFixed(2)} (${min.toFixed(2)})`, `${(jax.median / median).toFixed(1)}×`];
      });
      const ours = [peakGflops.toFixed(0), percent(kernels.forward), percent(kernels.backward), ...cells];
      rows.push([engine, binary, ...ours, `${jax.median.toFixed(1)} (${jax.min.toFixed(1)})`]);
    } catch (error) {
      if (String(error).includes('wrong answer')) throw error;
      console.log(`${name} is left out: ${error.message.split('\n')[0]}\n`);
    }
  }
  const head = ['engine', 'binary', 'peak', 'forward', 'backward', 'ms at 0.1', 'gain', 'ms at 0.01', 'gain', 'jax-js, dense'];
  const text = `The step of an MLP 784-1024-1024-10, batch 64, SGD, wasm backend, in several engines: milliseconds, median (minimum), and the gain over dense jax-js in the same engine. Peak: multiply-add, GFLOP/s; forward and backward: the products of a layer 1024×1024 at density 0.1 as shares of it. ${WIDE} joins vectors of 128 bits into ones of 256, but not those of the peak loop: shares can then be above 100 %.\n\n${markdown(head, rows)}`;
  console.log(text);
  if (!short) record('engines', { results }, text);
}
