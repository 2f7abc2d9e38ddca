// Other versions of Node, as npm packages, installed outside the repository and kept from one run to the next.

import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const VERSIONS = [20, 22, 24, 26];
/** With it V8 joins operations on neighbouring vectors of 128 bits into one of 256: off by default; before Node 24 it finds nothing to join. */
export const WIDE = '--experimental-wasm-revectorize';
const INSTALLED = join(tmpdir(), 'tfjs-sparse-engines');

/** The path of that Node. @param {number} version */
export function node(version) {
  const folder = join(INSTALLED, String(version));
  const program = join(folder, 'node_modules/.bin/node');
  try {
    const found = execFileSync(program, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    if (found.startsWith(`v${version}.`)) return program;
  } catch {}
  execFileSync('npm', ['install', '--silent', '--no-save', '--no-audit', '--no-fund', '--prefix', folder, `node@${version}`], {
    stdio: 'ignore',
    timeout: 300_000,
  });
  return program;
}
