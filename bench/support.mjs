// What the benches share: the machine's name, interleaved timing, tables, and records on disk.

import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { memory } from '../dist/index.js';
import { peak } from '../dist/wasm/kernels.js';

export { interleaved, median } from './timing.mjs';

/** Where and on what this ran. */
export function machine() {
  const commit = () => {
    try {
      return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    } catch {
      return 'unknown';
    }
  };
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: commit(),
    cpu: cpus()[0].model.trim(),
    cores: cpus().length,
    memoryGB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    v8: process.versions.v8,
    binary: memory().variant,
  };
}

/** Multiply-add peak of this process in GFLOP/s: the best of a few rounds on registers alone. */
export function peakGflops() {
  let best = 0;
  for (let i = 0; i < 12; i++) {
    const begin = performance.now();
    const flops = peak(1_000_000);
    best = Math.max(best, flops / (performance.now() - begin) / 1e6);
  }
  if (!Number.isFinite(best)) throw new Error('the peak loop gave no result');
  return best;
}

/**
 * The share of the multiply-add peak that `run` reaches with `flops` operations. Each run stands between two of the peak loop and counts only where
 * these agree within a tenth, so that a machine that changes its speed does not change the share. The upper quartile of at least 9.
 * @param {() => unknown} run @param {number} flops @param {number} ms
 */
export function shareOfPeak(run, flops, ms = 250) {
  return flops / costAtPeak(run, ms);
}

/**
 * The floating-point operations that the peak loop does while `run` runs: its time in the machine's own measure. The lower quartile.
 * @param {() => unknown} run @param {number} ms
 */
export function costAtPeak(run, ms = 250) {
  const speed = () => {
    const begin = performance.now();
    return peak(20_000) / (performance.now() - begin);
  };
  for (let i = 0; i < 20; i++) run();
  const costs = [];
  for (let spent = 0, tries = 0; (spent < ms || costs.length < 9) && tries < 3000; tries++) {
    const before = speed();
    const begin = performance.now();
    run();
    const time = performance.now() - begin;
    const after = speed();
    spent += time;
    if (Math.max(before, after) < 1.1 * Math.min(before, after)) costs.push(time * Math.min(before, after));
  }
  return costs.sort((a, b) => a - b)[costs.length >> 2];
}

/** @param {string[]} head @param {(string | number)[][]} rows */
export function markdown(head, rows) {
  const line = (/** @type {unknown[]} */ cells) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, i) => (i ? '--:' : '---'))), ...rows.map(line)].join('\n');
}

/**
 * Writes `record/NAME.node24.json` and `.md`.
 * @param {string} name @param {object} results @param {string} text
 */
export function record(name, results, text) {
  const stem = new URL(`record/${name}.node${process.versions.node.split('.')[0]}`, import.meta.url);
  const about = machine();
  mkdirSync(new URL('record/', import.meta.url), { recursive: true });
  writeFileSync(`${fileURLToPath(stem)}.json`, `${JSON.stringify({ machine: about, ...results }, null, 2)}\n`);
  const where = `${about.date}, ${about.commit}: ${about.cpu}, ${about.cores} cores, Node ${about.node}, ${about.binary}; one thread`;
  writeFileSync(`${fileURLToPath(stem)}.md`, `# ${name}\n\n${where}\n\n${text}\n`);
}

/** @param {boolean} condition @param {string} what */
export function check(condition, what) {
  if (!condition) throw new Error(`wrong answer: ${what}`);
}
