// The command as a user runs it, in a process of its own, as short as it can be.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const bench = (...args: string[]) =>
  spawnSync(process.execPath, [main, 'bench', '--rounds', '1', '--batch', '16', ...args], { encoding: 'utf8' });

test('measures this machine and says where dense is as fast', { timeout: 60_000 }, () => {
  const { status, stdout, stderr } = bench();
  expect(status, stderr).toBe(0);
  expect(stderr).toMatch(/Measuring/);
  expect(stdout).toMatch(/Multiply-add peak \d+\.\d GFLOP\/s/);
  expect(stdout).toMatch(/sparse at 0\.05 +\d+\.\d\d +\d+\.\d×/);
  for (const rival of ['with fastDense\\(\\)', 'with all products on its SIMD kernel', 'as shipped']) {
    expect(stdout).toMatch(new RegExp(`Against dense, tfjs-wasm ${rival}: `));
  }
});

test('--json holds all of it, and nothing else is on stdout', { timeout: 60_000 }, () => {
  const { status, stdout, stderr } = bench('--json', '--backend', 'cpu');
  expect(status, stderr).toBe(0);
  const { machine, batch, peakGflops, kernels, steps, crossings } = JSON.parse(stdout);
  expect([machine.backend, machine.node, batch]).toEqual(['cpu', process.version, 16]);
  expect(peakGflops).toBeGreaterThan(0);
  expect(kernels).toHaveLength(3);
  for (const { forward, backward } of kernels) expect(Math.min(forward, backward)).toBeGreaterThan(0);
  expect(steps.at(-1).what).toBe('dense, tfjs-cpu as shipped');
  expect(steps[0].milliseconds.median).toBeLessThan(steps.at(-1).milliseconds.median);
  expect(crossings).toHaveLength(2);
});

test.each([
  ['--batch', '0', /Expected a whole number of at least 1/],
  ['--backend', 'gpu', /Allowed choices are wasm, cpu/],
])('%s %s ends with status 2 and one line', (option, value, message) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'bench', option, value], { encoding: 'utf8' });
  expect(stderr.trim()).toMatch(message);
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect([status, stdout]).toEqual([2, '']);
});
