// Files and folders that are written under a temporary name, then renamed: none is ever there in part.

import { mkdir, mkdtemp, realpath, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { threadId } from 'node:worker_threads';
import { FileError } from '../errors.js';

type Content = string | Uint8Array;
type Move = (from: string, to: string) => Promise<void>;

/** Writes `files` (name → content) as the folder `path`, replacing one that is there. */
export async function writeFolder(path: string, files: Record<string, Content>): Promise<void> {
  await writeThenMove(path, resolve(path), files, replaceFolder);
}

/** Writes `files` as the folder `path`, which must not be there or be empty: what comes into it meanwhile stays, and is a FileError. */
export async function writeNewFolder(path: string, files: Record<string, Content>): Promise<void> {
  // A rename does not follow a link to an empty folder.
  const target = await realpath(path).catch(() => resolve(path));
  await writeThenMove(path, target, files, moveToNew);
}

async function writeThenMove(path: string, target: string, files: Record<string, Content>, move: Move): Promise<void> {
  const parent = dirname(target);
  let temporary: string | undefined;
  try {
    await mkdir(parent, { recursive: true });
    temporary = await mkdtemp(join(parent, `.${basename(target)}-`));
    // mkdtemp's own folder is closed to others; one within it has the mode that folders have here.
    const whole = join(temporary, 'whole');
    await mkdir(whole);
    for (const [name, content] of Object.entries(files)) {
      await mkdir(dirname(join(whole, name)), { recursive: true });
      await writeFile(join(whole, name), content);
    }
    await move(whole, target);
  } catch (cause) {
    throw notWritten(path, cause);
  } finally {
    if (temporary) await rm(temporary, { recursive: true, force: true });
  }
}

/** Writes `files` (name → content) into the folder `path`, made where there is none, one after the other. What else is in it stays. */
export async function writeInto(path: string, files: Record<string, Content>): Promise<void> {
  await mkdir(path, { recursive: true }).catch((cause) => {
    throw notWritten(path, cause);
  });
  for (const [name, content] of Object.entries(files)) await writeFileWhole(join(path, name), content);
}

/** Writes of this thread so far: each has a temporary name of its own. */
let writes = 0;

/** Writes one file, replacing one that is there. */
export async function writeFileWhole(path: string, content: Content): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}-${process.pid}-${threadId}-${++writes}`);
  try {
    await writeFile(temporary, content);
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw notWritten(path, cause);
  }
}

/** Writes one file that must not be there; one that is there stays, and is a FileError. */
export async function writeNewFile(path: string, content: Content): Promise<void> {
  try {
    // Takes the name: a rename would replace what has it.
    await writeFile(path, '', { flag: 'wx' });
  } catch (cause) {
    throw notWritten(path, cause);
  }
  try {
    await writeFileWhole(path, content);
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}

function notWritten(path: string, cause: unknown): FileError {
  if (cause instanceof FileError) return cause;
  const { code } = cause as NodeJS.ErrnoException;
  const taken = code === 'EEXIST' || code === 'ENOTEMPTY' ? `; something is there, and stays` : '';
  return new FileError(`${path}: cannot be written (${code ?? cause})${taken}`, { cause });
}

/** Fails with ENOTEMPTY or EEXIST, by the system, where the folder `to` holds anything. */
async function moveToNew(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    // Windows renames onto no folder, not even an empty one.
    if (!['EPERM', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    await rmdir(to).catch((cause: NodeJS.ErrnoException) => {
      throw cause.code === 'ENOENT' ? error : cause;
    });
    await rename(from, to);
  }
}

/** A rename cannot replace a folder that has something in it: the old one steps aside first, and back should the new one fail. */
async function replaceFolder(from: string, to: string): Promise<void> {
  // Beside the temporary folder, which is removed whatever happens.
  const aside = `${dirname(from)}.old`;
  const hadOld = await rename(to, aside).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
  try {
    await rename(from, to);
  } catch (error) {
    if (hadOld) await rename(aside, to);
    throw error;
  }
  if (hadOld) await rm(aside, { recursive: true, force: true });
}
