// Builds the crate twice, simd128 and simd128+relaxed-simd, into wasm/: two binaries, one glue, and the hash of the sources.
// `--check` builds nothing and fails when wasm/ was built from other sources.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const out = join(root, 'wasm');
const variants = { simd128: '+simd128', 'relaxed-simd': '+simd128,+relaxed-simd' };

function sourceHash() {
  const files = readdirSync(join(root, 'crate/src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.rs') && file !== 'reference.rs')
    .map((file) => join('crate/src', file).replaceAll('\\', '/'));
  const hash = createHash('sha256');
  for (const file of [...files, 'Cargo.toml', 'Cargo.lock', 'crate/Cargo.toml'].sort()) {
    hash.update(`${file}\0`).update(readFileSync(join(root, file)));
  }
  return hash.digest('hex');
}

if (process.argv.includes('--check')) {
  const { sources } = JSON.parse(readFileSync(join(out, 'sources.json'), 'utf8'));
  if (sources !== sourceHash()) {
    console.error('wasm/ was built from other sources than crate/ has now: run `npm run build:wasm`');
    process.exit(1);
  }
  console.log('wasm/ matches crate/');
  process.exit(0);
}

/** rustup's toolchain where it has the target, else Debian's in /usr/bin (see toolchain.sh). */
function toolchainPath() {
  const sysroot = execFileSync('rustc', ['--print', 'sysroot'], { encoding: 'utf8', cwd: root }).trim();
  const here = existsSync(join(sysroot, 'lib/rustlib/wasm32-unknown-unknown/lib')) && !process.env.TFJS_SPARSE_DEBIAN_RUST;
  return here ? process.env.PATH : `/usr/bin:${process.env.PATH}`;
}

const PATH = toolchainPath();
mkdirSync(out, { recursive: true });
const glue = new Set();
for (const [name, features] of Object.entries(variants)) {
  const built = join(root, 'target/wasm', name);
  rmSync(built, { recursive: true, force: true });
  execFileSync(
    'wasm-pack',
    [
      '--quiet',
      'build',
      'crate',
      '--release',
      '--target',
      'web',
      '--mode',
      'no-install',
      '--no-pack',
      '--out-dir',
      built,
      '--out-name',
      'kernels',
    ],
    {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, PATH, RUSTFLAGS: `-C target-feature=${features}`, CARGO_TARGET_DIR: join(root, 'target') },
    },
  );
  execFileSync(
    process.execPath,
    [
      join(root, 'node_modules/binaryen/bin/wasm-opt'),
      '-O3',
      // What the crate keeps out of line stays there: V8 does badly with loops in one large function.
      '--one-caller-inline-max-function-size=40',
      ...[
        'simd',
        'relaxed-simd',
        'bulk-memory',
        'nontrapping-float-to-int',
        'sign-ext',
        'mutable-globals',
        'reference-types',
        'multivalue',
      ].map((f) => `--enable-${f}`),
      '--strip-debug',
      '--strip-producers',
      join(built, 'kernels_bg.wasm'),
      '-o',
      join(out, `${name}.wasm`),
    ],
    { stdio: 'inherit' },
  );
  glue.add(readFileSync(join(built, 'kernels.js'), 'utf8'));
  copyFileSync(join(built, 'kernels.d.ts'), join(out, 'kernels.d.ts'));
  console.log(`${name}: ${statSync(join(out, `${name}.wasm`)).size} bytes`);
}
if (glue.size !== 1) throw new Error('the two binaries need different glue; ts/wasm loads them with one');
writeFileSync(join(out, 'kernels.js'), [...glue][0]);
writeFileSync(join(out, 'sources.json'), `${JSON.stringify({ sources: sourceHash() }, null, 2)}\n`);
