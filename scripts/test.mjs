// `npm test`: types and build, the crate's tests where cargo is there, then everything else.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

function run(command, args, env = {}) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

const available = (command, ...args) => spawnSync(command, args, { stdio: 'ignore' }).status === 0;

if (available('cargo', 'nextest', '--version')) {
  run('cargo', ['nextest', 'run', '--no-fail-fast']);
} else if (process.env.CI === 'true') {
  console.error('CI: cargo with nextest is required for the tests of crate/');
  process.exit(1);
} else {
  console.log('cargo with nextest is not here: the tests of crate/ are left out (the shipped wasm is tested below)');
}

run(process.execPath, ['scripts/build.mjs']);
const vitest = [process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...process.argv.slice(2)]];
run(...vitest);
// The engine chose one binary above; where it could run the other too, that one's kernels are tested as well.
const { bestVariant } = await import('../dist/wasm/variant.js');
if (bestVariant() === 'relaxed-simd' && process.argv.length === 2) {
  run(vitest[0], [...vitest[1], 'test/wasm'], { TFJS_SPARSE_VARIANT: 'simd128' });
}
