// The packed package, installed in an empty folder as a user would, for one test after another.

import { execFile, execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PAGE = fileURLToPath(new URL('./page', import.meta.url));
const TFJS = ['core', 'layers', 'backend-cpu', 'backend-wasm'];

const npm = (args, cwd) => execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], timeout: 300_000 });

/** Packs the package and installs it. */
export function pack() {
  const folder = mkdtempSync(join(tmpdir(), 'package-'));
  const remove = () => rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
  try {
    const [{ filename, files, size }] = JSON.parse(npm(['pack', '--json', '--pack-destination', folder], ROOT));
    const tarball = join(folder, filename);
    const project = join(folder, 'project');
    mkdirSync(project);
    writeFileSync(join(project, 'package.json'), '{ "type": "module" }');
    const { devDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    const tfjs = TFJS.map((name) => `@tensorflow/tfjs-${name}`).map((name) => `${name}@${devDependencies[name]}`);
    npm(['install', '--silent', '--no-audit', '--no-fund', tarball, ...tfjs], project);
    return { tarball, files: files.map(({ path }) => path), size, folder: project, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/**
 * Empties the folder but for what is installed, and fills it: with test/package/page, then with `files`, by path. The tools named come from the
 * repository's node_modules.
 * @param {string} folder @param {Record<string, string>} files @param {string[]} tools
 */
export function fill(folder, files = {}, tools = []) {
  for (const name of readdirSync(folder)) {
    if (!['node_modules', 'package.json', 'package-lock.json'].includes(name)) rmSync(join(folder, name), { recursive: true });
  }
  rmSync(join(folder, 'node_modules/.vite'), { recursive: true, force: true });
  cpSync(PAGE, folder, { recursive: true });
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  for (const tool of tools) {
    const link = join(folder, 'node_modules', tool);
    if (existsSync(link)) continue;
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', tool), link);
  }
}

/** Runs a file there; returns what it printed. `program` is a Node, by default this one. */
export async function run(folder, args, { program = process.execPath, env = {}, seconds = 120 } = {}) {
  const options = { cwd: folder, timeout: 1000 * seconds, env: { ...process.env, ...env } };
  const { stdout } = await promisify(execFile)(program, args, options);
  return stdout;
}

/** The files that a section of docs/guides/bundlers.md shows: blocks with a file name. @param {string} section */
export function shown(section) {
  const guide = readFileSync(join(ROOT, 'docs/guides/bundlers.md'), 'utf8');
  const found = guide.split(/^## /m).find((text) => text.startsWith(`${section}\n`));
  if (!found) throw new Error(`docs/guides/bundlers.md has no section ${section}`);
  return Object.fromEntries([...found.matchAll(/^```\w+ file=(\S+)\n(.*?)^```$/gms)].map(([, path, content]) => [path, content]));
}
