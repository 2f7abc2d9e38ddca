// A small server of files, which can be as bad as those that users have.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';

const TYPES = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
  '.json': 'application/json',
};

/**
 * Serves a folder. `headers` come with each answer; `answer(path)` may return another one, `{ status, type, body }`, than the file.
 * @param {string} folder
 */
export async function serve(folder, { headers = {}, answer = () => undefined } = {}) {
  const asked = [];
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, 'http://host').pathname));
    asked.push(path);
    let { status = 200, type, body } = path === '/favicon.ico' ? { status: 204, body: '' } : (answer(path) ?? {});
    if (body === undefined) {
      try {
        body = readFileSync(join(folder, path.endsWith('/') ? `${path}index.html` : path));
      } catch {
        [status, type, body] = [404, 'text/html', '<!doctype html><title>Not found</title>'];
      }
    }
    type ??= TYPES[extname(path) || '.html'] ?? 'application/octet-stream';
    response.writeHead(status, { ...headers, 'Content-Type': type, 'Cache-Control': 'no-store' }).end(body);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () =>
    new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${server.address().port}/`, asked, close };
}
