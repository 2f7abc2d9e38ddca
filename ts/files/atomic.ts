// Files and folders that are there whole or not at all: written under a temporary name, then renamed.

import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { FileError } from '../errors.js';

/** Writes `files` (name → content) as the folder `path`, replacing one that is there. */
export async function writeFolder(path: string, files: Record<string, string | Uint8Array>): Promise<void> {
  const target = resolve(path);
  const parent = dirname(target);
  let temporary: string | undefined;
  try {
    await mkdir(parent, { recursive: true });
    temporary = await mkdtemp(join(parent, `.${basename(target)}-`));
    for (const [name, content] of Object.entries(files)) {
      await mkdir(dirname(join(temporary, name)), { recursive: true });
      await writeFile(join(temporary, name), content);
    }
    await replaceFolder(temporary, target);
  } catch (cause) {
    if (temporary) await rm(temporary, { recursive: true, force: true });
    throw notWritten(path, cause);
  }
}

/** Writes one file, replacing one that is there. */
export async function writeFileWhole(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}-${process.pid}`);
  try {
    await writeFile(temporary, content);
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw notWritten(path, cause);
  }
}

function notWritten(path: string, cause: unknown): FileError {
  return new FileError(`${path}: cannot be written (${(cause as NodeJS.ErrnoException).code ?? cause})`, { cause });
}

/** A rename cannot replace a folder that has something in it: the old one steps aside first, and back should the new one fail. */
async function replaceFolder(from: string, to: string): Promise<void> {
  const aside = `${from}.old`;
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
