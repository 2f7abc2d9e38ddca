// The JavaScript of each guide is one program, run as it stands; blocks with a file name are files of it. And no link leads nowhere.

import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const guides = join(root, 'docs/guides');
// Within the repository, where 'tfjs-sparse' names what was built, as it does for those who have installed it.
const folder = mkdtempSync(join(root, 'docs/.guides-'));

afterAll(() => rmSync(folder, { recursive: true }));

/** Contents by file name. Blocks without one make up `main.js`. */
function programOf(markdown: string): Record<string, string> {
  const files: Record<string, string> = {};
  for (const [, name = 'main.js', code] of markdown.matchAll(/^```js(?: file=(\S+))?\n(.*?)^```$/gms))
    files[name] = (files[name] ?? '') + code;
  return files;
}

async function run(name: string, files: Record<string, string>, main = 'main.js'): Promise<string> {
  const own = join(folder, name);
  mkdirSync(own);
  for (const [file, code] of Object.entries(files)) writeFileSync(join(own, file), code);
  const { stdout } = await promisify(execFile)(process.execPath, [main], { cwd: own, timeout: 50_000 });
  return stdout;
}

const told: Record<string, RegExp> = {
  'first-model.md': /accuracy 0\.[89]/,
  'choosing.md': /^$/,
  'own-method.md': /accuracy 0\.[89]|accuracy 1/,
  'when-slower.md': /^$/,
  'from-keras.md': /density by epoch \[[^\]]*0\.09\d*\s*\](.|\n)*\[ 'Dense', 'Dense' \]/,
};

test.each(Object.entries(told))('%s', async (name, expected) => {
  const files = programOf(readFileSync(join(guides, name), 'utf8'));
  expect(await run(name, files)).toMatch(expected);
});

test('worker.md, with the lines for Node', async () => {
  const { 'main.js': node, ...files } = programOf(readFileSync(join(guides, 'worker.md'), 'utf8'));
  const web = files['page.js'].match(/^const worker = .*\n/m)?.[0] as string;
  files['page.js'] = node + files['page.js'].replace(web, '');
  expect(await run('worker.md', files, 'page.js')).toMatch(/\d+ weights(.|\n)*first sample(.|\n)*\d+ bytes/);
});

test('no guide is left out', () => {
  const withCode = readdirSync(guides).filter((name) => /^```js/m.test(readFileSync(join(guides, name), 'utf8')));
  // Those of bundlers are run with the packed tarball.
  expect(withCode.sort()).toEqual(
    [...Object.keys(told), 'worker.md', 'bundlers.md'].filter((name) => existsSync(join(guides, name))).sort(),
  );
});

const pages = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).map((file) => join('docs', file)),
];

test.each(pages.filter((file) => file.endsWith('.md')))('links of %s', (file) => {
  const text = readFileSync(join(root, file), 'utf8').replace(/^```.*?^```$/gms, '');
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link).filter((link) => !/^[a-z]+:/.test(link));
  for (const link of links) {
    const [path, anchor] = link.split('#');
    const target = path ? resolve(root, dirname(file), path) : join(root, file);
    expect(existsSync(target), `${file}: ${link}`).toBe(true);
    if (anchor) {
      const headings = [...readFileSync(target, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
        heading
          .toLowerCase()
          .replace(/[^\p{L}\p{N} _-]/gu, '')
          .replaceAll(' ', '-'),
      );
      expect(headings, `${file}: ${link}`).toContain(anchor);
    }
  }
});
