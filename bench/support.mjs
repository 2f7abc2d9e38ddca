// What the benches share: the machine's name, interleaved timing, tables, and records on disk.

import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { memory } from '../dist/index.js';

export { check, costAtPeak, crossing, interleaved, median, peakGflops, shareOfPeak } from '../dist/cli/measure.js';

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

/** @param {string[]} head @param {(string | number)[][]} rows */
export function markdown(head, rows) {
  const line = (/** @type {unknown[]} */ cells) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, i) => (i ? '--:' : '---'))), ...rows.map(line)].join('\n');
}

/**
 * Writes `record/NAME.node24.json` and `.md`; into a folder of `record` where `TFJS_SPARSE_RECORD` names one, for another machine than the others'.
 * @param {string} name @param {object} results @param {string} text
 */
export function record(name, results, text) {
  const folder = join(import.meta.dirname, 'record', process.env.TFJS_SPARSE_RECORD ?? '');
  const stem = join(folder, `${name}.node${process.versions.node.split('.')[0]}`);
  const about = machine();
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${stem}.json`, `${JSON.stringify({ machine: about, ...results }, null, 2)}\n`);
  const where = `${about.date}, ${about.commit}: ${about.cpu}, ${about.cores} cores, Node ${about.node}, ${about.binary}; one thread`;
  writeFileSync(`${stem}.md`, `# ${name}\n\n${where}\n\n${text}\n`);
}
