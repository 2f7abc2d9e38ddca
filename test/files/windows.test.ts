// A new folder on Windows, whose rename refuses every folder that is there. Played here: other systems' rename takes an empty one.

import { mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test, vi } from 'vitest';
import { writeNewFolder } from '../../ts/files/atomic.js';

vi.mock('node:fs/promises', async (original) => {
  const fs = await original<typeof import('node:fs/promises')>();
  const rename = async (from: string, to: string) => {
    if (await fs.stat(to).catch(() => undefined)) throw Object.assign(new Error('EPERM: not permitted, rename'), { code: 'EPERM' });
    await fs.rename(from, to);
  };
  return { ...fs, rename };
});

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'windows-'));
  await mkdir(join(folder, 'out'));
});

test('takes the place of an empty one', async () => {
  await writeNewFolder(join(folder, 'out'), { 'a.txt': 'a' });
  expect(await readFile(join(folder, 'out', 'a.txt'), 'utf8')).toBe('a');
  expect(await readdir(folder)).toEqual(['out']);
});

test('leaves one that holds something', async () => {
  await writeFile(join(folder, 'out', 'mine.txt'), '');
  await expect(writeNewFolder(join(folder, 'out'), { 'a.txt': 'a' })).rejects.toThrow(/something is there, and stays/);
  expect(await readdir(join(folder, 'out'))).toEqual(['mine.txt']);
  expect(await readdir(folder)).toEqual(['out']);
});
