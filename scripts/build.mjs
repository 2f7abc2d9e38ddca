// `npm run build`: ts/ → dist/, and what stands in dist/ without a source there.

import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const variants = ['simd128', 'relaxed-simd'];

// A file whose source is gone would be packed for ever.
rmSync(join(root, 'dist'), { recursive: true, force: true });
execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, 'tsconfig.build.json')], {
  stdio: 'inherit',
});
const entries = variants.map((variant) => `  '${variant}': '${readFileSync(join(root, `wasm/${variant}.wasm`), 'base64')}',`);
writeFileSync(join(root, 'dist/wasm/binaries.js'), `export const binaries = {\n${entries.join('\n')}\n};\n`);
