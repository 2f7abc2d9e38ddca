// The command as a user runs it, in a process of its own, on a small data set.

import { mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { TrainOptions } from '../../ts/cli/options.js';
import { newRunFolder } from '../../ts/cli/run_folder.js';
import { runCommand } from '../support/command.js';
import { dataFolder } from '../support/idx.js';

let data: string;
let home: string;

beforeAll(async () => {
  data = await dataFolder();
  home = await mkdtemp(join(tmpdir(), 'run-'));
});

const run = (args: string[], interruptAfter?: string) => runCommand(home, args, interruptAfter);
const train = (...args: string[]) => {
  const density = args.includes('--densities') ? [] : ['--density', '0.3'];
  return run(['train', '--data', data, '--layers', '20,10', ...density, '--batch', '20', ...args]);
};
const weightsOf = (folder: string) => readFile(join(home, folder, 'model', 'weights.bin'));
const historyOf = async (folder: string) => JSON.parse(await readFile(join(home, folder, 'history.json'), 'utf8'));

describe('train', () => {
  test('learns, says what it did, and leaves model and history', async () => {
    const { status, out } = await train('--backward-density', '0.5', '--epochs', '6', '--learning-rate', '0.01', '--out', 'first');
    expect(status).toBe(0);
    expect(out).toMatch(/hidden1 .*%/);
    expect(out).toMatch(/Test accuracy/);
    const history = await historyOf('first');
    expect(history).toHaveLength(6);
    expect(history.at(-1).testAccuracy).toBeGreaterThan(0.9);
    expect(Object.keys(history[0].layers)).toEqual(['hidden1', 'hidden2', 'output']);
    expect(history[0].density).toBeCloseTo(0.3, 2);
    expect(out.trimEnd()).toMatch(/\nReport: first\/report\.html$/);
    expect((await readdir(join(home, 'first', 'model'))).sort()).toEqual(['model.json', 'run.json', 'weights.bin']);
  });

  test('a run that goes on equals one that was never stopped, bit for bit', async () => {
    await train('--epochs', '4', '--seed', '5', '--out', 'whole');
    await train('--epochs', '2', '--seed', '5', '--out', 'parts');
    const { status, out } = await run(['train', '--resume', 'parts', '--epochs', '4']);
    expect(status).toBe(0);
    expect(out).toMatch(/after 4 epochs/);
    const again = await run(['train', '--resume', 'parts']);
    expect(again.out).toMatch(/^Nothing to train: the run has 4 of 4 epochs\. Go on with, say: --resume parts --epochs 8\n/);
    expect((await weightsOf('parts')).equals(await weightsOf('whole'))).toBe(true);
  });

  test.each([
    ['top-kast', []],
    ['ggr', ['--every', '30', '--alpha', '2', '--drop-fraction', '0.4', '--optimizer', 'momentum']],
  ])('Ctrl-C in the middle of an epoch saves, says how to go on, and nothing is lost: %s', async (method, more) => {
    const [calm, hasty] = [`calm-${method}`, `hasty-${method}`];
    // Batches of one: an epoch lasts long enough to be interrupted.
    const slow = ['--data', data, '--layers', '20', '--batch', '1', '--epochs', '3', '--seed', '6', '--method', method, ...more];
    await run(['train', ...slow, '--out', calm]);
    const { status, out } = await run(['train', ...slow, '--out', hasty], 'Epoch 2/3');
    expect(status).toBe(130);
    expect(out).toContain(`Go on with: npx tfjs-sparse train --resume ${hasty}`);
    const state = JSON.parse(await readFile(join(home, hasty, 'model', 'run.json'), 'utf8'));
    expect([state.epoch, state.batch > 0]).toEqual([1, true]);
    expect((await run(['train', '--resume', hasty])).status).toBe(0);
    expect((await weightsOf(hasty)).equals(await weightsOf(calm))).toBe(true);
    // What moved in the two parts of the epoch as well; only the time differs.
    const withoutTime = async (folder: string) => (await historyOf(folder)).map((record: object) => ({ ...record, msPerStep: 0 }));
    expect(await withoutTime(hasty)).toEqual(await withoutTime(calm));
    expect((await historyOf(calm))[1].dropped).toBeGreaterThan(0);
  });

  test.each([
    ['--dense', '--epochs', '1'],
    ['--method', 'static', '--epochs', '1', '--optimizer', 'momentum'],
    ['--method', 'set', '--epochs', '1', '--drop-fraction', '0.2'],
    ['--method', 'rigl', '--epochs', '2', '--every', '5', '--alpha', '2'],
    ['--method', 'gse', '--epochs', '1', '--every', '5'],
    ['--method', 'snfs', '--epochs', '1', '--every', '5'],
    ['--dense', '--alpha', '2', '--epochs', '1'],
    ['--distribution', 'uniform', '--epochs', '1', '--optimizer', 'sgd', '--backend', 'cpu'],
    ['--densities', '0.5,0.2,1', '--epochs', '1', '--every', '7'],
  ])('%s %s', async (...args) => {
    const { status, err } = await train(...args);
    expect(status, err).toBe(0);
  });
});

describe('the folder of a run', () => {
  let place: string;
  beforeEach(async () => {
    place = await mkdtemp(join(tmpdir(), 'places-'));
  });
  const small = (...args: string[]) => runCommand(place, ['train', '--data', data, '--layers', '10', '--epochs', '1', ...args]);

  test('runs at once have each its own', async () => {
    // One that is there is somebody's, also while it is empty.
    await mkdir(join(place, 'runs', 'set-2'), { recursive: true });
    const ended = await Promise.all([1, 2, 3].map(() => small('--method', 'set')));
    const folders = ended.map(({ out }) => out.match(/Model and history: (.*)/)?.[1]);
    expect(folders.sort()).toEqual(['set-1', 'set-3', 'set-4'].map((name) => join('runs', name)));
    for (const folder of folders) expect(await readdir(join(place, folder as string, 'model'))).toContain('run.json');
    expect(await readdir(join(place, 'runs', 'set-2'))).toEqual([]);
  });

  test('of two runs with the same --out only one gets it, also before the first has saved anything', async () => {
    const options = { out: join(place, 'same') } as TrainOptions;
    const { release } = await newRunFolder(options);
    await expect(newRunFolder(options)).rejects.toThrow(/same: expected a new or empty folder, received one /);
    await release();
    expect(await readdir(place)).toEqual([]);
    const ended = await Promise.allSettled([1, 2, 3].map(() => newRunFolder(options)));
    expect(ended.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  test.each([
    ['of its own', [], []],
    ['with the way to it', ['--out', 'far/away/run'], []],
    ['but not one that was there', ['--out', 'given'], ['given']],
  ])('goes with a run that fails before it has saved anything: %s', async (_, out, left) => {
    if (left.length > 0) await mkdir(join(place, 'given'));
    const { status, err } = await small('--optimizer', 'sgd', '--learning-rate', '1e30', '--every', '1', ...out);
    expect(err).toContain('diverged?');
    expect(status).toBe(2);
    expect(await readdir(place)).toEqual(left);
    for (const name of left) expect(await readdir(join(place, name))).toEqual([]);
  });
});

describe('what the user can mend ends with status 2 and one line', () => {
  test.each<[string, string[], RegExp]>([
    ['density 0', ['--density', '0'], /--density <share>' argument '0' is invalid. Expected a density in \(0, 1\]/],
    ['density above 1', ['--density', '1.5'], /Expected a density in \(0, 1\]/],
    [
      'backward density below density',
      ['--density', '0.6', '--backward-density', '0.5'],
      /--backward-density: expected at least --density, 0.6, received 0.5/,
    ],
    [
      'an option of another method',
      ['--method', 'rigl', '--regularization', '1'],
      /--regularization: expected --method top-kast, received "rigl"/,
    ],
    [
      'a period for what never moves',
      ['--method', 'static', '--every', '2'],
      /--every: expected --method top-kast or set or .* received "static"/,
    ],
    ['both densities', ['--densities', '0.5,0.5,1', '--density', '0.5'], /--densities: expected no --density beside them/],
    ['densities of other length', ['--densities', '0.5,0.5'], /--densities: expected 3 numbers, one for each layer/],
    ['an unknown option', ['--denisty', '0.5'], /unknown option '--denisty'/],
    ['an unknown method', ['--method', 'magic'], /Allowed choices are top-kast, static/],
    ['an alpha below 1', ['--alpha', '0.5'], /--alpha <exponent>' argument '0.5' is invalid. Expected a number of at least 1/],
    ['half a batch', ['--batch', '0.5'], /Expected a whole number of at least 1/],
    ['layers that are no numbers', ['--layers', '20,x'], /Expected a whole number of at least 1/],
    ['no data', ['--data', '/nowhere'], /\/nowhere: cannot be read \(ENOENT\)/],
    ['a folder that cannot be written', ['--out', '/proc/run'], /\/proc\/run: cannot be/],
    ['a folder that holds something', ['--out', 'full'], /full: expected a new or empty folder, received one with 1 entries/],
    ['a run that is not there', ['--resume', 'nothing'], /the run keeps its options/],
  ])('%s', async (_, args, message) => {
    await mkdir(join(home, 'full'), { recursive: true });
    await writeFile(join(home, 'full', 'mine.txt'), 'keep me');
    const before = (await readdir(home)).sort();
    const { status, err, out } = await train(...args);
    expect(err).toMatch(message);
    expect(
      err
        .trim()
        .split('\n')
        .filter((line) => !line.startsWith('(Did you mean')),
    ).toHaveLength(1);
    expect(out).toBe('');
    expect(status).toBe(2);
    expect((await readdir(home)).sort()).toEqual(before);
  });

  test('a broken saved run', async () => {
    await mkdir(join(home, 'broken', 'model'), { recursive: true });
    await writeFile(join(home, 'broken', 'model', 'run.json'), '{"epoch": 1}');
    const { status, err } = await run(['train', '--resume', 'broken']);
    expect(err).toMatch(/broken\/model\/run.json: expected the state of a run/);
    expect(status).toBe(2);
  });

  test('a run goes on with images and classes of its own kind only, and is left as it is', async () => {
    await train('--epochs', '1', '--out', 'small');
    const before = await weightsOf('small');
    const larger = await dataFolder(undefined, false, 10);
    const { status, err } = await run(['train', '--resume', 'small', '--data', larger, '--epochs', '2']);
    expect(err).toContain('small: expected images of 64 pixels in 4 classes, received 100 in 4');
    expect(status).toBe(2);
    expect((await weightsOf('small')).equals(before)).toBe(true);
  });

  test('a saved option that cannot be', async () => {
    await train('--epochs', '1', '--out', 'spoilt');
    const file = join(home, 'spoilt', 'model', 'run.json');
    const state = JSON.parse(await readFile(file, 'utf8'));
    state.options.backend = '../elsewhere';
    await writeFile(file, JSON.stringify(state));
    const { status, err } = await run(['train', '--resume', 'spoilt', '--epochs', '2']);
    expect(err).toContain('saved option backend: expected wasm or cpu, received "../elsewhere"');
    expect(status).toBe(2);
  });

  test('a run whose weights are cut short', async () => {
    await train('--epochs', '1', '--out', 'cut');
    const file = join(home, 'cut', 'model', 'weights.bin');
    await writeFile(file, (await readFile(file)).subarray(0, 100));
    const { status, err } = await run(['train', '--resume', 'cut', '--epochs', '2']);
    expect(err).toMatch(/expected \d+ bytes of weights, received 100/);
    expect(status).toBe(2);
  });
});

test('--help and --version', async () => {
  expect((await run(['train', '--help'])).out).toContain('--backward-density');
  expect((await run(['--version'])).out).toMatch(/^\d+\.\d+\.\d+/);
});
