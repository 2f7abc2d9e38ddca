// LeNet-5 by the commands, in processes of their own, a few steps on a small data set.

import { cp, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { runCommand } from '../support/command.js';
import { dataFolder } from '../support/idx.js';
import { expectClose, tf, tfl } from '../support/tf.js';
import '../../ts/index.js';

let data: string;
let home: string;
const run = (...args: string[]) => runCommand(home, args);
const train = (...args: string[]) => run('train', '--data', data, '--model', 'lenet5', '--batch', '40', '--epochs', '1', ...args);
const weightsOf = (folder: string) => readFile(join(home, folder, 'model', 'weights.bin'));
const historyOf = async (folder: string) => JSON.parse(await readFile(join(home, folder, 'history.json'), 'utf8'));

beforeAll(async () => {
  await tf.setBackend('cpu');
  data = await dataFolder(undefined, false, 28);
  home = await mkdtemp(join(tmpdir(), 'lenet5-'));
  await train('--epochs', '2', '--learning-rate', '0.003', '--density', '0.2', '--out', 'first');
});

describe('train --model lenet5', () => {
  test('learns, says what it did, and names its folder after itself', async () => {
    const { status, out } = await train('--method', 'rigl', '--every', '5');
    expect(status).toBe(0);
    for (const layer of ['conv1', 'conv2', 'hidden1', 'hidden2', 'output']) expect(out).toMatch(new RegExp(`^${layer} .*%`, 'm'));
    expect(out).toContain('Model and history: runs/lenet5-rigl-1');
    const history = await historyOf('first');
    expect(history.at(-1).testAccuracy).toBeGreaterThan(0.9);
    expect(history[0].density).toBeCloseTo(0.2, 2);
    // Its convolutions have 4 % of the weights.
    expect([history[0].layers.conv1, history[0].layers.conv2]).toEqual([1, 1]);
  });

  test('a run that goes on equals one that was never stopped, bit for bit', async () => {
    await train('--seed', '5', '--out', 'parts');
    await train('--seed', '5', '--epochs', '2', '--out', 'whole');
    expect((await run('train', '--resume', 'parts', '--epochs', '2')).status).toBe(0);
    expect((await weightsOf('parts')).equals(await weightsOf('whole'))).toBe(true);
  });

  test.each([
    ['--method', 'static', '--optimizer', 'momentum', '--alpha', '2'],
    ['--method', 'set', '--every', '3', '--distribution', 'uniform', '--backend', 'cpu'],
    ['--method', 'ggr', '--distribution', 'erk', '--every', '5'],
    ['--method', 'gse', '--every', '5'],
    ['--densities', '1,0.3,0.1,0.1,1', '--every', '7'],
  ])('%s %s', async (...args) => {
    const { status, err } = await train(...args);
    expect(status, err).toBe(0);
  });

  test('the dense twin, and the report that compares them', async () => {
    const { status, err } = await train('--dense', '--out', 'twin');
    expect(status, err).toBe(0);
    const { layers } = await tfl.loadLayersModel(pathToFileURL(join(home, 'twin', 'model', 'model.json')).href);
    const kinds = layers.map((layer) => layer.getClassName());
    expect(kinds).toEqual(['Conv2D', 'MaxPooling2D', 'Conv2D', 'MaxPooling2D', 'Flatten', 'Dense', 'Dense', 'Dense']);
    expect((await run('report', 'first', 'twin', '--out', 'both.html')).status).toBe(0);
    const html = await readFile(join(home, 'both.html'), 'utf8');
    expect(html).toContain('as fast as twin');
    expect(html).toContain('<dt>model</dt><dd>lenet5</dd>');
    // Its widths are given, and there is but one channel.
    expect(html).not.toContain('<dt>layers</dt>');
    expect(html).not.toContain('Connections per input');
  });

  test.each<[string, string[], RegExp]>([
    ['widths', ['--layers', '20'], /--layers: expected --model mlp, .*received "lenet5"/],
    ['Powerpropagation without a sparse layer', ['--dense', '--alpha', '2'], /--alpha: expected 1 with --dense --model lenet5.*received 2/],
    ['densities of the wrong length', ['--densities', '0.5,0.5,0.5'], /--densities: expected 5 numbers, one for each layer/],
    ['a model that is not there', ['--model', 'vgg'], /Allowed choices are mlp, lenet5/],
  ])('refuses %s', async (_, args, message) => {
    const { status, err, out } = await train(...args);
    expect(err).toMatch(message);
    expect([status, out]).toEqual([2, '']);
  });

  test('refuses images of another size', async () => {
    const { status, err } = await train('--data', await dataFolder());
    expect(err.trim()).toMatch(/^tfjs-sparse: .*: --model lenet5 takes images of 28×28, received 8×8$/);
    expect(status).toBe(2);
  });

  test('a saved run names its model; one that does not is a perceptron', async () => {
    await cp(join(home, 'first'), join(home, 'spoilt'), { recursive: true });
    const file = join(home, 'spoilt', 'model', 'run.json');
    const state = JSON.parse(await readFile(file, 'utf8'));
    expect(state.options.model).toBe('lenet5');
    state.options.model = 'resnet';
    await writeFile(file, JSON.stringify(state));
    const { err } = await run('train', '--resume', 'spoilt', '--epochs', '3');
    expect(err).toContain('saved option model: expected mlp or lenet5, received "resnet"');
  });
});

describe('what was trained', () => {
  /** Of a model for some images. */
  const predict = async (folder: string) => {
    const model = await tfl.loadLayersModel(pathToFileURL(join(home, folder, 'model.json')).href);
    return Array.from((model.predict(tf.randomUniform([3, 28, 28, 1], 0, 1, 'float32', 7)) as tf.Tensor).dataSync());
  };

  test('is inspected', async () => {
    const { layers } = JSON.parse((await run('inspect', 'first', '--json')).out);
    const weighted = layers.filter(({ weights }: { weights?: object }) => weights !== undefined);
    expect(weighted.map(({ type }: { type: string }) => type)).toEqual([...Array(2).fill('SparseConv2D'), ...Array(3).fill('SparseDense')]);
  });

  test('becomes dense, and sparse again, and predicts the same', async () => {
    expect((await run('convert', 'first', 'plain', '--to', 'dense')).status).toBe(0);
    expectClose(await predict('plain'), await predict('first/model'), 1e-5);
    expect((await run('convert', 'plain', 'again', '--to', 'sparse')).status).toBe(0);
    expectClose(await predict('again'), await predict('first/model'), 1e-5);
    expect((await run('convert', 'first', 'first.safetensors', '--to', 'safetensors')).out).toContain('conv2.values [');
  });

  test('is pruned, convolutions as well', async () => {
    const { status, out } = await run('prune', 'first', 'pruned', '--density', '0.05', '--scope', 'global', '--json');
    expect(status).toBe(0);
    const { total } = JSON.parse(out);
    expect(total.nnz / (150 + 2400 + 48_000 + 10_080 + 84 * 4)).toBeCloseTo(0.05, 4);
  });
});
