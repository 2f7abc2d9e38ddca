// Places for results: what is there already is never replaced, and what cannot be written is said before the work.

import { mkdtemp, readdir, realpath, rmdir, stat } from 'node:fs/promises';
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

/** Refuses as well the folder that the command runs in: a saved model takes its place, and the shell would stand in one that is gone. */
export async function checkNewModel(folder: string): Promise<void> {
  const [place, here] = await Promise.all([folder, '.'].map((path) => realpath(path).catch(() => resolve(path))));
  if (place === here) throw new FileError(`${folder}: expected a folder other than the current one`);
  await checkNewFolder(folder);
}

/** Refuses a file that is there, and one in a folder that is not. */
export async function checkNewFile(file: string): Promise<void> {
  const there = (path: string) => stat(path).catch(() => undefined);
  if (await there(file)) throw new FileError(`${file}: expected a new file, received one that exists`);
  const parent = dirname(resolve(file));
  if (!(await there(parent))?.isDirectory()) throw new FileError(`${file}: cannot be written, ${parent} is not a folder`);
}

/** Training takes minutes: better to learn now that its result cannot be kept. Leaves nothing, and nothing in the way of others who try the same. */
export async function checkWritable(folder: string): Promise<void> {
  let at = resolve(folder);
  try {
    // What is there of the way to it.
    while (at !== dirname(at) && (await isAbsent(at))) at = dirname(at);
    await rmdir(await mkdtemp(join(at, '.probe-')));
  } catch (cause) {
    throw new FileError(`${folder}: cannot be written (${(cause as NodeJS.ErrnoException).code})`, { cause });
  }
}

async function isAbsent(path: string): Promise<boolean> {
  return stat(path).then(
    () => false,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return true;
      throw error;
    },
  );
}
