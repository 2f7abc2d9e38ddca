// Builds the crate twice, simd128 and simd128+relaxed-simd, into wasm/: two binaries, one glue, and the hash of the sources.
// `--check` builds nothing and fails when wasm/ was built from other sources.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
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

/**
 * What the standard library enters to panic, and never leaves; all but checks of bounds. Those stand beside the hot loops, and without the arguments of
 * their calls V8 made the dense product 7 % slower.
 */
const PANICS =
  /^(core::panicking::panic(_fmt|_const::\w+)?|core::option::expect_failed|core::result::unwrap_failed|(core::cell|std::thread::local)::panic_\w+|alloc::raw_vec::handle_error|alloc::alloc::handle_alloc_error|__rustc::(rust_begin_unwind|__rust_alloc_error_handler))(::h\w{16})?$/;

/** What fills a text up to a width, writes signs, and formats in other ways than `{}`: no message of the crate asks for it. And the panics' own. */
const UNUSED =
  /^(core::str::count::do_count_chars|<core::fmt::builders::DebugStruct>::finish|<.+ as core::fmt::(Write>::write_char|(Debug|LowerHex|UpperHex)>::fmt)|<std::panicking::panic_handler::.+>::(take_box|get|fmt))(::h\w{16})?$/;

/**
 * The module with `unreachable` in those places. Panics end in that trap anyway, once they have composed a message for a standard error that wasm does
 * not have; what composes it goes with them, 4 % of the binary.
 */
function withoutMessages(binaryen, binary) {
  const module = binaryen.readBinary(binary);
  let found = 0;
  for (let i = 0; i < module.getNumFunctions(); i++) {
    const each = module.getFunctionByIndex(i);
    const { name: full, results } = binaryen.getFunctionInfo(each);
    // Some names tell the crate's own hash: core[c5930c85a12de822]::…
    const name = full.replaceAll(/\[\w+\]/g, '');
    const panics = results === binaryen.none && PANICS.test(name);
    if (!panics && !UNUSED.test(name)) continue;
    binaryen.Function.setBody(each, module.unreachable());
    found += Number(panics);
  }
  if (found === 0) throw new Error('found no panics by their names: have these changed?');
  binaryen.setDebugInfo(true);
  return module.emitBinary();
}

/**
 * The glue without what nobody needs: numbers are made numbers again for calls that do that anyway, and `initSync` warns of a way to call it that is not
 * ours. 0.2 kB of the compressed main entry.
 */
function withoutExtras(/** @type {string} */ glue) {
  const renamed = new Map();
  const lines = glue.split('\n').flatMap((line) => {
    const [, local, given] = line.match(/^ +const (val\d+) = \+(\w+);$/) ?? [];
    if (local) renamed.set(local, given);
    return local ? [] : line.replaceAll(/\bval\d+\b/g, (name) => renamed.get(name));
  });
  const warning = / +if \(module !== undefined\) \{\n.*\n.*\n.*\n.*deprecated parameters for `initSync.*\n.*\n.*\n/;
  const all = lines.join('\n');
  if (renamed.size === 0 || !warning.test(all)) throw new Error('expected other glue: has wasm-bindgen changed?');
  return all.replace(warning, '    ({module} = module)\n');
}

/** A binary with a custom section that says of which sources and which variant it is: the loader refuses those of another version. */
function stamped(/** @type {Uint8Array} */ bytes, /** @type {string} */ variant) {
  const field = (/** @type {string} */ text) => [text.length, ...new TextEncoder().encode(text)];
  const content = [...field('tfjs-sparse'), ...new TextEncoder().encode(`${stamp} ${variant}`)];
  // One byte of length is enough for both.
  return Buffer.concat([bytes, Uint8Array.of(0, content.length, ...content)]);
}

const stamp = sourceHash().slice(0, 16);
const PATH = toolchainPath();
const { default: binaryen } = await import('binaryen');
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
  const silent = join(built, 'silent.wasm');
  writeFileSync(silent, withoutMessages(binaryen, readFileSync(join(built, 'kernels_bg.wasm'))));
  execFileSync(
    process.execPath,
    [
      join(root, 'node_modules/binaryen/bin/wasm-opt'),
      '-O3',
      '--converge',
      // The stack grows down to address 0, and data lie beyond: the lowest 1024 bytes are the last of a megabyte of stack. 0.4 % off the compressed size.
      '--low-memory-unused',
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
      '--strip-target-features',
      silent,
      '-o',
      join(out, `${name}.wasm`),
    ],
    { stdio: 'inherit' },
  );
  const optimized = join(out, `${name}.wasm`);
  const found = binaryen
    .readBinary(readFileSync(optimized))
    .emitText()
    .match(/f32x4\.relaxed_(max|min)/);
  if (found) throw new Error(`${name}.wasm: expected no ${found[0]}, which may drop a NaN: see lanes.rs, zero_below`);
  writeFileSync(optimized, stamped(readFileSync(optimized), name));
  glue.add(readFileSync(join(built, 'kernels.js'), 'utf8'));
  const types = readFileSync(join(built, 'kernels.d.ts'), 'utf8');
  writeFileSync(
    join(out, 'kernels.d.ts'),
    `${types}\n/** What the binaries of these sources are stamped with. */\nexport const STAMP: string;\n`,
  );
  console.log(`${name}: ${statSync(join(out, `${name}.wasm`)).size} bytes`);
}
if (glue.size !== 1) throw new Error('the two binaries need different glue; ts/wasm loads them with one');
writeFileSync(join(out, 'kernels.js'), `${withoutExtras([...glue][0])}\nexport const STAMP = '${stamp}';\n`);
writeFileSync(join(out, 'sources.json'), `${JSON.stringify({ sources: sourceHash() }, null, 2)}\n`);
