// `npm run build`: dist/ from ts/, the binaries as base64 for the inline entry, and the report's charts bundled with the libraries that draw them, so
// that those who install this package need not install sixty more.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
/** The only file that imports them; nothing else of ours is in it. */
const CHARTS = join(root, 'dist/cli/report/charts.js');

// A file whose source is gone would be packed for ever.
rmSync(join(root, 'dist'), { recursive: true, force: true });
const { status, error } = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
});
if (error) throw error;
if (status !== 0) process.exit(status ?? 1);

const binaries = ['simd128', 'relaxed-simd'].map(
  (variant) => `  '${variant}': '${readFileSync(join(root, `wasm/${variant}.wasm`), 'base64')}',`,
);
writeFileSync(join(root, 'dist/wasm/binaries.js'), `export const binaries = {\n${binaries.join('\n')}\n};\n`);

const {
  metafile: { outputs },
} = await build({
  absWorkingDir: root,
  entryPoints: [CHARTS],
  outfile: CHARTS,
  allowOverwrite: true,
  bundle: true,
  minify: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  legalComments: 'none',
  metafile: true,
  plugins: [
    {
      // linkedom draws on a native canvas where there is one. We draw on none.
      name: 'no canvas',
      setup: ({ onResolve }) => {
        onResolve({ filter: /^canvas$/ }, () => ({ path: join(root, 'node_modules/linkedom/commonjs/canvas-shim.cjs') }));
      },
    },
  ],
});
// What was left out as unused has no bytes in it.
const [{ inputs }] = Object.values(outputs);
const used = Object.keys(inputs).filter((file) => inputs[file].bytesInOutput > 0);
writeFileSync(join(dirname(CHARTS), 'THIRD_PARTY.txt'), licences(used));

/** Name, version and licence text of each package that files (relative to the root) come from. */
function licences(/** @type {string[]} */ files) {
  const folders = files.flatMap((file) => file.match(/^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/)?.[0] ?? []);
  const texts = [...new Set(folders)].sort().map((folder) => {
    const at = join(root, folder);
    const { name, version, license, author } = JSON.parse(readFileSync(join(at, 'package.json'), 'utf8'));
    const file = readdirSync(at).find((entry) => /^licen[cs]e/i.test(entry));
    const by = typeof author === 'string' ? author : author?.name;
    const text = file && existsSync(join(at, file)) ? readFileSync(join(at, file), 'utf8').trim() : `${license}, by ${by}`;
    if (!file && !license) throw new Error(`${name} names no licence`);
    return `${name} ${version} (${license})\n\n${text}`;
  });
  return `charts.js contains parts of these packages.\n\n${texts.map((text) => `${'='.repeat(80)}\n${text}\n`).join('\n')}`;
}
