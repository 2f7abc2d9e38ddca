// `tfjs-sparse report`: runs of `train` as one HTML page.

import { createRequire } from 'node:module';
import { basename, join, resolve } from 'node:path';
import { writeFileWhole } from '../files/atomic.js';
import { useInstalledBackend } from './backend.js';
import { page } from './report/page.js';
import { type RunReport, readRun } from './report/run.js';

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };

export async function report(folders: string[], { out, json }: { out?: string; json: boolean }): Promise<void> {
  await useInstalledBackend();
  const names = namesOf(folders);
  const runs: RunReport[] = [];
  for (const [i, folder] of folders.entries()) runs.push(await readRun(names[i], folder));
  const file = out ?? (folders.length === 1 ? join(folders[0], 'report.html') : 'report.html');
  await writeReport(file, runs);
  console.log(json ? JSON.stringify({ out: file, runs }, null, 2) : `Report: ${file}`);
}

/** Writes the page, replacing an older one. */
export async function writeReport(file: string, runs: readonly RunReport[]): Promise<void> {
  await writeFileWhole(file, page(runs, version));
}

/** The folders' last parts where these differ, else the folders as given. */
function namesOf(folders: readonly string[]): string[] {
  const short = folders.map((folder) => basename(resolve(folder)));
  return new Set(short).size === short.length ? short : [...folders];
}
