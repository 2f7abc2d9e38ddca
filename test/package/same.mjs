// What test/package/page/train.js has to give: what it gives on Node, with the same binary.

import assert from 'node:assert/strict';
import { node } from '../../scripts/nodes.mjs';
import { fill, run } from './project.mjs';

const script = "import { train } from './train.js'; console.log(JSON.stringify(await train()));";
/** The last line: tfjs may greet first. */
export const parsed = (printed) => JSON.parse(printed.trim().split('\n').at(-1));

/** In the folder, with `program`. */
export async function trained(folder, program, variant) {
  const env = variant ? { TFJS_SPARSE_VARIANT: variant } : {};
  return parsed(await run(folder, ['--input-type=module', '--eval', script], { program, env }));
}

let found;
/** By variant; on a Node that can run both. */
export async function expected(folder) {
  if (!found) {
    fill(folder);
    const program = node(24);
    found = {
      simd128: await trained(folder, program, 'simd128'),
      'relaxed-simd': await trained(folder, program, 'relaxed-simd'),
    };
  }
  return found;
}

/**
 * Compares a result, says how close it is. Losses may differ in their last digits: engines round exp and log, and relaxed SIMD leaves it to the
 * machine whether a product is rounded before it is added. The pattern and the accuracy may not.
 */
export function same(result, expected) {
  const wanted = expected[result.variant];
  assert.ok(wanted, `variant ${result.variant}`);
  assert.equal(result.pattern, wanted.pattern);
  assert.equal(result.accuracy, wanted.accuracy);
  assert.equal(result.losses.length, wanted.losses.length);
  const difference = Math.max(...result.losses.map((loss, i) => Math.abs(loss - wanted.losses[i])));
  assert.ok(difference < 1e-5, `losses ${result.losses}, expected ${wanted.losses}`);
  return `${result.variant}, ${difference === 0 ? 'bit for bit' : `losses within ${difference.toExponential(0)}`}`;
}
