// Each entrance in a module graph of its own, so that each starts from nothing.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

const wasmFolder = fileURLToPath(new URL('../../wasm/', import.meta.url));
const simd = readFileSync(join(wasmFolder, 'simd128.wasm'));

beforeEach(() => vi.resetModules());
afterEach(() => {
  vi.unstubAllGlobals();
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

const kernels = () => import('../../ts/wasm/kernels.js');
const works = async () => {
  const { topK } = await kernels();
  expect([...topK(Float32Array.of(1, -3, 2), 2)]).toEqual([1, 2]);
};

/** A server that answers every request with what `answer` says of its URL. */
function serve(answer: (url: string) => Response | Promise<Response>): string[] {
  const asked: string[] = [];
  vi.stubGlobal('fetch', async (url: string | URL) => {
    asked.push(String(url));
    return answer(String(url));
  });
  return asked;
}

const wasm = (url: string, type = 'application/wasm') =>
  new Response(readFileSync(join(wasmFolder, url.split('/').at(-1) as string)), { headers: { 'Content-Type': type } });

test('in browsers everything says what to await until the binary has come, which is fetched once', async () => {
  const asked = serve((url) => wasm(url));
  const { init, ready } = await import('../../ts/wasm/load.web.js');
  const { topK } = await kernels();
  expect(() => topK(Float32Array.of(1), 1)).toThrow('await ready()');
  await Promise.all([ready(), ready(), init()]);
  await ready();
  expect(asked).toHaveLength(1);
  await works();
});

test.each(['text/plain', 'application/octet-stream', ''])('a server that calls wasm "%s" is good enough', async (type) => {
  serve((url) => wasm(url, type));
  await (await import('../../ts/wasm/load.web.js')).ready();
  await works();
});

test('what is not there, or is a page, or is broken is said with the way out; afterwards it may be tried again', async () => {
  let answer = (_: string): Response => new Response('', { status: 404 });
  serve((url) => answer(url));
  const { ready } = await import('../../ts/wasm/load.web.js');
  await expect(ready()).rejects.toThrow(/\.wasm: expected the wasm binary, received HTTP status 404\. .*init\(\{ wasmUrl \}\).*inline/);
  answer = () => new Response('<!doctype html>', { headers: { 'Content-Type': 'text/html; charset=utf-8' } });
  await expect(ready()).rejects.toThrow('received text/html.');
  for (const type of ['application/wasm', 'text/plain']) {
    answer = () => new Response(simd.subarray(0, 1000), { headers: { 'Content-Type': type } });
    await expect(ready()).rejects.toThrow('cannot be compiled');
  }
  answer = () => {
    throw new TypeError('Failed to fetch');
  };
  await expect(ready()).rejects.toMatchObject({
    name: 'FileError',
    message: expect.stringContaining('cannot be fetched (Failed to fetch'),
  });
  answer = (url) => wasm(url);
  await ready();
  await works();
});

test('a Content-Security-Policy without wasm is named', async () => {
  serve((url) => wasm(url));
  vi.spyOn(WebAssembly, 'compileStreaming').mockRejectedValue(
    new WebAssembly.CompileError('WebAssembly.compileStreaming() violates the following Content Security policy directive'),
  );
  const { ready } = await import('../../ts/wasm/load.web.js');
  await expect(ready()).rejects.toMatchObject({ name: 'FileError', message: expect.stringContaining("'wasm-unsafe-eval'") });
});

test.each([
  ['a folder', '/static/', '/static/simd128.wasm'],
  ['a file', 'https://cdn.example/simd128.wasm', 'https://cdn.example/simd128.wasm'],
])('wasmUrl may be %s', async (_, wasmUrl, expected) => {
  const asked = serve((url) => wasm(url));
  await (await import('../../ts/wasm/load.web.js')).init({ wasmUrl, variant: 'simd128' });
  expect(asked).toEqual([expected]);
  await works();
  expect((await import('../../ts/wasm/memory.js')).memory().variant).toBe('simd128');
});

test.each<[string, () => object]>([
  ['bytes', () => simd],
  ['an ArrayBuffer', () => simd.buffer.slice(simd.byteOffset, simd.byteOffset + simd.length)],
  ['a compiled module', () => new WebAssembly.Module(simd)],
  ['a Response', () => wasm('simd128.wasm')],
  ['the promise of one', () => Promise.resolve(wasm('simd128.wasm'))],
])('module may be %s', async (_, make) => {
  const { init } = await import('../../ts/wasm/load.web.js');
  await init({ module: make() as WebAssembly.Module });
  await works();
});

test.each<[string, () => Uint8Array<ArrayBuffer>, string]>([
  ['no binary of ours', () => Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0), 'another wasm binary'],
  [
    'that of another version',
    () => new Uint8Array(simd).fill(48, simd.lastIndexOf('tfjs-sparse') + 11, simd.length - 8),
    'that of another one',
  ],
])('%s is refused before anything is called, and the right one may follow', async (_, make, received) => {
  const { init } = await import('../../ts/wasm/load.web.js');
  const message = `init module: expected the binary of this version of tfjs-sparse, received ${received}.`;
  await expect(init({ module: make() })).rejects.toMatchObject({ name: 'FileError', message: expect.stringContaining(message) });
  await init({ module: simd });
  await works();
  // The binary itself says which it is.
  expect((await import('../../ts/wasm/memory.js')).memory().variant).toBe('simd128');
});

test('options that are none are refused, and change nothing', async () => {
  const { init, ready } = await import('../../ts/wasm/load.web.js');
  serve((url) => wasm(url));
  await expect(init({ wasmURL: '/' } as object)).rejects.toThrow('init: expected wasmUrl, module, variant, received "wasmURL"');
  await expect(init({ wasmUrl: '/', module: simd })).rejects.toThrow('init: expected wasmUrl or module');
  await expect(init({ wasmUrl: 3 as unknown as string })).rejects.toThrow('init wasmUrl: expected a string or URL, received 3');
  await expect(init({ variant: 'avx' as 'simd128' })).rejects.toThrow('init variant: expected simd128 or relaxed-simd, received "avx"');
  await expect(init({ module: 'x' as unknown as Uint8Array<ArrayBuffer> })).rejects.toThrow('init module: expected a WebAssembly.Module');
  await expect(init({ module: Uint8Array.of(1, 2, 3) })).rejects.toThrow('init module: expected the wasm binary, received 3 bytes');
  await ready();
  await works();
});

test('on Node the first use loads it, and init may say from where before that', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'init-'));
  writeFileSync(join(folder, 'simd128.wasm'), simd);
  const { init } = await import('../../ts/wasm/load.node.js');
  await expect(init({ wasmUrl: join(folder, 'none.wasm') })).rejects.toThrow(/none\.wasm: cannot be read \(ENOENT\)/);
  await init({ wasmUrl: pathToFileURL(`${folder}/`), variant: 'simd128' });
  await works();
  rmSync(folder, { recursive: true });
  vi.resetModules();
  await import('../../ts/wasm/load.node.js');
  await works();
  vi.resetModules();
  vi.stubEnv('TFJS_SPARSE_VARIANT', 'avx');
  const { ready } = await import('../../ts/wasm/load.node.js');
  await expect(ready()).rejects.toThrow('TFJS_SPARSE_VARIANT: expected simd128 or relaxed-simd, received "avx"');
});

test('the inline entry needs no file and no awaiting', async () => {
  serve(() => {
    throw new Error('asked the network');
  });
  const { ready } = await import('../../ts/wasm/load.inline.js');
  await works();
  await ready();
  vi.resetModules();
  await (await import('../../ts/wasm/load.inline.js')).init({ variant: 'simd128' });
  await works();
});
