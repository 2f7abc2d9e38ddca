// Places for results: what is there already is never replaced, and what cannot be written is said before the work.

import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { FileError } from '../errors.js';

/** Refuses a folder that holds anything, and one that cannot be written. */
export async function checkNewFolder(folder: string): Promise<void> {
  const held = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new FileError(`${folder}: cannot be used as a folder (${error.code})`, { cause: error });
  });
  if (held.length > 0) throw new FileError(`${folder}: expected a new or empty folder, received one with ${held.length} entries`);
  await checkWritable(folder);
}

/** Refuses a file that is there, and one in a folder that is not. */
export async function checkNewFile(file: string): Promise<void> {
  const there = (path: string) => stat(path).catch(() => undefined);
  if (await there(file)) throw new FileError(`${file}: expected a new file, received one that exists`);
  const parent = dirname(resolve(file));
  if (!(await there(parent))?.isDirectory()) throw new FileError(`${file}: cannot be written, ${parent} is not a folder`);
}

/** Training takes minutes: better to learn now that its result cannot be kept. */
async function checkWritable(folder: string): Promise<void> {
  const parent = dirname(resolve(folder));
  try {
    const madeParent = await mkdir(parent, { recursive: true });
    // Not recursive: on a file system that takes no folders, such as /proc, Node would try for ever.
    const made = await mkdir(folder).then(
      () => folder,
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
        return undefined;
      },
    );
    await rm(await mkdtemp(join(folder, '.probe-')), { recursive: true });
    const created = madeParent ?? made;
    if (created) await rm(created, { recursive: true });
  } catch (cause) {
    throw new FileError(`${folder}: cannot be written (${(cause as NodeJS.ErrnoException).code})`, { cause });
  }
}
