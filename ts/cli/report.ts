// `tfjs-sparse report`: runs of `train` as one HTML page.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, join, resolve } from 'node:path';
import { FileError } from '../errors.js';
import { writeFileWhole } from '../files/atomic.js';
import { useInstalledBackend } from './backend.js';
import { GENERATOR, page } from './report/page.js';
import { type RunReport, readRun } from './report/run.js';

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };

export async function report(folders: string[], { out, json }: { out?: string; json: boolean }): Promise<void> {
  const file = out ?? (folders.length === 1 ? join(folders[0], 'report.html') : 'report.html');
  await checkOurs(file);
  await useInstalledBackend();
  const names = namesOf(folders);
  const runs: RunReport[] = [];
  for (const [i, folder] of folders.entries()) runs.push(await readRun(names[i], folder));
  await writeReport(file, runs);
  console.log(json ? JSON.stringify({ out: file, runs }, null, 2) : `Report: ${file}`);
}

/** Writes the page, replacing an older one but nothing else. */
export async function writeReport(file: string, runs: readonly RunReport[]): Promise<void> {
  await checkOurs(file);
  await writeFileWhole(file, page(runs, version));
}

/** Refuses a file that is there and no report. */
async function checkOurs(file: string): Promise<void> {
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return '';
    throw new FileError(`${file}: cannot be written (${cause.code})`, { cause });
  });
  if (text.length > 0 && !text.includes(GENERATOR)) {
    throw new FileError(`${file}: expected a new file or an older report, received another file; name a new one with --out`);
  }
}

/** The folders' last parts where these differ, else the folders as given. */
function namesOf(folders: readonly string[]): string[] {
  const short = folders.map((folder) => basename(resolve(folder)));
  return new Set(short).size === short.length ? short : [...folders];
}
