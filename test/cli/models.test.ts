// inspect, prune and convert, in processes of their own, on models saved here.

import { mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import '../../ts/files/files.node.js';
import { conv1d, conv2d, dense, powerDense, type SparseConv2D } from '../../ts/layers/index.js';
import { adam } from '../../ts/optimizers/index.js';
import { runCommand } from '../support/command.js';
import { expectClose, given, tf, tfl } from '../support/tf.js';

let home: string;
const run = (...args: string[]) => runCommand(home, args);
const url = (name: string) => pathToFileURL(join(home, name)).href;
const load = (name: string) => tfl.loadLayersModel(url(name));
const predict = (model: tfl.LayersModel) => Array.from((model.predict(tf.ones([1, 12])) as tf.Tensor).dataSync());
const kinds = (model: tfl.LayersModel) => model.layers.map((layer) => layer.getClassName());

function model(args: object = {}): tfl.Sequential {
  return tfl.sequential({
    layers: [
      dense({ name: 'hidden', inputShape: [12], units: 10, activation: 'relu', density: 0.5, seed: 1, biasInitializer: 'ones', ...args }),
      dense({ name: 'output', units: 4, density: 1, seed: 2, biasInitializer: 'ones' }),
    ],
  });
}

/** Convolutions, sparse and dense. */
function convModel(args: object = {}): tfl.Sequential {
  return tfl.sequential({
    layers: [
      tfl.layers.reshape({ targetShape: [3, 4, 1], inputShape: [12] }),
      conv2d({ name: 'image', filters: 5, kernelSize: 2, padding: 'same', density: 0.5, seed: 1, biasInitializer: 'ones', ...args }),
      tfl.layers.conv2d({ name: 'stock', filters: 4, kernelSize: [2, 1], kernelInitializer: tfl.initializers.heNormal({ seed: 1 }) }),
      tfl.layers.reshape({ targetShape: [8, 4] }),
      conv1d({ name: 'line', filters: 3, kernelSize: 3, density: 0.25, seed: 2, useBias: false, ...args }),
      tfl.layers.flatten(),
    ],
  });
}

beforeAll(async () => {
  await tf.setBackend('cpu');
  home = await mkdtemp(join(tmpdir(), 'models-'));
  await model().save(url('sparse'));
  await model({ backwardDensity: 0.8, alpha: 2 }).save(url('kast'));
  await model().save(url('run/model'));
  await convModel().save(url('conv'));
  await convModel({ backwardDensity: 0.8, alpha: 2 }).save(url('conv-kast'));
  const stock = [tfl.layers.dense({ name: 'stock', inputShape: [12], units: 3, kernelInitializer: given([0, ...Array(35).fill(2)]) })];
  await tfl.sequential({ layers: stock }).save(url('dense'));
  await tfl
    .sequential({ layers: [tfl.layers.dense({ name: 'flat', inputShape: [2], units: 2, kernelInitializer: 'ones' })] })
    .save(url('full'));
});

describe('inspect', () => {
  test.each(['sparse', 'sparse/model.json', 'run'])('%s: layers and histograms', async (path) => {
    const { status, out, err } = await run('inspect', path);
    expect(err).toBe('');
    expect(status).toBe(0);
    expect(out).toMatch(/^hidden \(SparseDense\) +\[null,10\] +70 +50\.0 % +60 /m);
    expect(out).toMatch(/^Total +114 +62\.5 % +100 /m);
    expect(out).toMatch(/^hidden +-0\.\d+ .*[▁-█].* 0\.\d+ +0\.\d+ +0 +0$/m);
    // No colours: this is no terminal.
    expect(out).not.toContain('\u001b');
  });

  test('--json: the same as numbers', async () => {
    const { out } = await run('inspect', 'kast', '--json');
    const { model: path, layers, total } = JSON.parse(out);
    expect(path).toBe('kast');
    expect(total).toMatchObject({ nnz: 100, params: 96 + 10 + 44 });
    const [{ name, nnz, weights }] = layers;
    expect([name, nnz]).toEqual(['hidden', 60]);
    const loaded = await load('kast');
    const [values] = loaded.layers[0].getWeights();
    // Weights, not the stored φ: the largest of all is in the forward set.
    const largest = Math.max(...values.dataSync().map((phi) => phi * phi));
    expect(Math.max(-weights.min, weights.max)).toBeCloseTo(largest, 6);
    expect(weights.histogram.reduce((a: number, b: number) => a + b)).toBe(60);
  });

  test('a dense model, and weights that are all the same', async () => {
    const { layers } = JSON.parse((await run('inspect', 'full', '--json')).out);
    expect(layers[0]).toMatchObject({
      type: 'Dense',
      density: 1,
      nnz: 4,
      weights: { min: 1, max: 1, deviation: 0, zeros: 0, notFinite: 0 },
    });
    expect(JSON.parse((await run('inspect', 'dense', '--json')).out).layers[0].weights.zeros).toBe(1);
  });
});

describe('convolutions', () => {
  test('inspect', async () => {
    const { status, out, err } = await run('inspect', 'conv');
    expect(err).toBe('');
    expect(status).toBe(0);
    expect(out).toMatch(/^image \(SparseConv2D\) +\[null,3,4,5\] +15 +50\.0 % +10 .* 120$/m);
    expect(out).toMatch(/^stock \(Conv2D\) +\[null,2,4,4\] +44 +100\.0 % +40 .* 320$/m);
    expect(out).toMatch(/^line \(SparseConv1D\) +\[null,6,3\] +9 +25\.0 % +9 .* 54$/m);
    expect(out).toMatch(/^stock +-0\.\d+ .*[▁-█]/m);
  });

  test('prune: Top-KAST keeps its forward set', async () => {
    const { status, err } = await run('prune', 'conv-kast', 'conv-kept', '--density', '0.25', '--output-factor', '1');
    expect(err).toBe('');
    expect(status).toBe(0);
    const kept = await load('conv-kept');
    expect(kinds(kept)).toEqual(kinds(await load('conv-kast')));
    expect([1, 4].map((i) => (kept.layers[i] as SparseConv2D).pattern.nnz)).toEqual([5, 9]);
  });

  test('convert to dense, and back', async () => {
    expect((await run('convert', 'conv-kast', 'conv-dense', '--to', 'dense')).status).toBe(0);
    const plain = await load('conv-dense');
    expect(kinds(plain).filter((kind) => kind.startsWith('Conv'))).toEqual(['Conv2D', 'Conv2D', 'Conv1D']);
    expectClose(predict(plain), predict(await load('conv-kast')), 2e-6);
    await run('convert', 'conv-dense', 'conv-back', '--to', 'sparse');
    const back = await load('conv-back');
    expect(kinds(back)).toEqual(kinds(await load('conv')));
    expectClose(predict(back), predict(await load('conv-kast')), 2e-6);
  });

  test('convert to safetensors: kernels by hand from what the file holds', async () => {
    await run('convert', 'conv-kast', 'conv.safetensors', '--to', 'safetensors');
    await run('convert', 'conv-kast', 'conv-plain', '--to', 'dense');
    const plain = await load('conv-plain');
    const file = await readFile(join(home, 'conv.safetensors'));
    const start = 8 + Number(file.readBigUInt64LE(0));
    const header = JSON.parse(file.toString('utf8', 8, start));
    const { shapes, kernels, convolutions } = header.__metadata__;
    expect(JSON.parse(kernels)).toEqual({ image: [2, 2, 1, 5], line: [3, 4, 3] });
    expect(convolutions).toContain('reshape');
    for (const name of ['image', 'line']) {
      const [rows, cols] = JSON.parse(shapes)[name];
      const at = (part: string, i: number) => start + header[`${name}.${part}`].data_offsets[0] + 4 * i;
      const kernel = new Array<number>(rows * cols).fill(0);
      for (let row = 0; row < rows; row++) {
        for (let i = file.readInt32LE(at('row_offsets', row)); i < file.readInt32LE(at('row_offsets', row + 1)); i++) {
          kernel[row * cols + file.readInt32LE(at('col_indices', i))] = file.readFloatLE(at('values', i));
        }
      }
      expectClose(kernel, plain.getLayer(name).getWeights()[0].dataSync(), 1e-6);
    }
    expect(header['image.bias'].shape).toEqual([5]);
    expect(header['stock.kernel'].shape).toEqual([2, 1, 5, 4]);
  });
});

describe('prune', () => {
  test('a sparse model', async () => {
    const { status, out } = await run('prune', 'sparse', 'pruned', '--density', '0.1', '--json');
    expect(status).toBe(0);
    const result = JSON.parse(out);
    expect(result.out).toBe('pruned');
    // ⌊0.1·120⌋, and twice the share of 40.
    expect(result.layers.map(({ nnz }: { nnz: number }) => nnz)).toEqual([12, 8]);
    const pruned = await load('pruned');
    const before = (await load('sparse')).layers[0].getWeights()[0].dataSync();
    const largest = Array.from(before, Math.abs).sort((a, b) => b - a);
    expectClose(
      Array.from(pruned.layers[0].getWeights()[0].dataSync(), Math.abs).sort((a, b) => b - a),
      largest.slice(0, 12),
    );
  });

  test('the optimizer that was saved with it follows', async () => {
    const compiled = model();
    compiled.compile({ optimizer: adam(0.01), loss: 'meanSquaredError' });
    await compiled.trainOnBatch(tf.ones([2, 12]), tf.ones([2, 4]));
    await compiled.save(url('trained'), { includeOptimizer: true });
    await run('prune', 'trained', 'trained-pruned', '--density', '0.1');
    const pruned = await load('trained-pruned');
    expect(pruned.optimizer.getClassName()).toBe('SparseAdam');
    const slots = await pruned.optimizer.getWeights();
    expect(slots.filter(({ name }) => name.startsWith('hidden/values')).map(({ tensor }) => tensor.size)).toEqual([12, 12, 12]);
  });

  test.each([
    ['global', []],
    ['lamp', []],
    ['layer', ['--output-factor', '1']],
  ])('of Top-KAST the forward set: scope %s', async (scope, more) => {
    const { status, err } = await run('prune', 'kast', `kast-${scope}`, '--density', '0.2', '--scope', scope, ...more);
    expect(err).toBe('');
    expect(status).toBe(0);
    const { layers, total } = JSON.parse((await run('inspect', `kast-${scope}`, '--json')).out);
    expect(total.nnz).toBe(32);
    expect(layers.every(({ params, nnz }: { params: number; nnz: number }) => params === nnz + 10 || params === nnz + 4)).toBe(true);
  });

  test('at its own density a Top-KAST model predicts as before', async () => {
    await run('prune', 'kast', 'kast-kept', '--density', '0.5', '--output-factor', '2');
    expectClose(predict(await load('kast-kept')), predict(await load('kast')), 2e-6);
  });

  test('a dense model becomes sparse', async () => {
    const { out } = await run('prune', 'dense', 'dense-pruned', '--density', '0.25', '--output-factor', '1');
    expect(out).toMatch(/stock \(SparseDense\) +\[null,3\] +12 +25\.0 %/);
    expect(out).toContain('Model: dense-pruned');
    expect(kinds(await load('dense-pruned'))).toEqual(['SparseDense']);
  });
});

describe('convert', () => {
  test('to dense and back', async () => {
    expect((await run('convert', 'kast', 'kast-dense', '--to', 'dense')).status).toBe(0);
    const plain = await load('kast-dense');
    expect(kinds(plain)).toEqual(['Dense', 'Dense']);
    expectClose(predict(plain), predict(await load('kast')), 2e-6);
    const { out } = await run('convert', 'kast-dense', 'kast-back', '--to', 'sparse', '--json');
    const { layers } = JSON.parse(out);
    // The output layer has no zero and stays dense.
    expect(layers.map(({ type, nnz }: { type: string; nnz: number }) => [type, nnz])).toEqual([
      ['SparseDense', 60],
      ['Dense', 40],
    ]);
    expectClose(predict(await load('kast-back')), predict(await load('kast')), 2e-6);
  });

  test('to safetensors: the product by hand from what the file holds', async () => {
    const { out } = await run('convert', 'kast', 'kast.safetensors', '--to', 'safetensors', '--json');
    expect(JSON.parse(out).tensors['hidden.row_offsets']).toEqual([11]);
    const file = await readFile(join(home, 'kast.safetensors'));
    expect(file.length).toBe(JSON.parse(out).bytes);
    const start = 8 + Number(file.readBigUInt64LE(0));
    const header = JSON.parse(file.toString('utf8', 8, start));
    const array = (name: string): number[] => {
      const { dtype, shape, data_offsets } = header[name];
      const [begin, end] = data_offsets.map((at: number) => start + at);
      const numbers = [];
      for (let at = begin; at < end; at += 4) numbers.push(dtype === 'F32' ? file.readFloatLE(at) : file.readInt32LE(at));
      expect(shape).toEqual([numbers.length]);
      return numbers;
    };
    const shapes = JSON.parse(header.__metadata__.shapes);
    let x: number[] = Array(12).fill(1);
    for (const name of ['hidden', 'output']) {
      const [values, cols, offsets, bias] = ['values', 'col_indices', 'row_offsets', 'bias'].map((part) => array(`${name}.${part}`));
      expect(shapes[name]).toEqual([bias.length, x.length]);
      const y = bias.map((sum, row) => {
        let total = sum;
        for (let i = offsets[row]; i < offsets[row + 1]; i++) total += values[i] * x[cols[i]];
        return name === 'hidden' ? Math.max(0, total) : total;
      });
      x = y;
    }
    expectClose(x, predict(await load('kast')), 2e-6);
    expect(Object.keys(header)).toHaveLength(9);
  });

  test('to safetensors: layers of tfjs as they are', async () => {
    const { out } = await run('convert', 'dense', 'dense.safetensors', '--to', 'safetensors');
    expect(out).toContain('stock.kernel [12,3]');
    expect(out).toContain('stock.bias [3]');
  });

  /** Shapes by name. */
  const tensorsOf = async (name: string) => {
    const { out } = await run('convert', name, `${name}.safetensors`, '--to', 'safetensors', '--json');
    return JSON.parse(out).tensors as Record<string, number[]>;
  };
  const bidirectional = (name: string, inner: string, inputShape?: number[]) =>
    tfl.layers.bidirectional({
      name,
      ...(inputShape ? { inputShape } : {}),
      mergeMode: 'concat',
      layer: tfl.layers.lstm({ name: inner, units: 2, returnSequences: true, recurrentInitializer: 'glorotNormal' }) as tfl.RNN,
    });

  test('to safetensors: both directions of a wrapper', async () => {
    await tfl.sequential({ layers: [bidirectional('both', 'lstm', [5, 3])] }).save(url('both'));
    const parts = ['forward_lstm', 'backward_lstm'].flatMap((way) => [
      [`both.${way}/kernel`, [3, 8]],
      [`both.${way}/recurrent_kernel`, [2, 8]],
      [`both.${way}/bias`, [8]],
    ]);
    expect(await tensorsOf('both')).toEqual(Object.fromEntries(parts));
  });

  test('to safetensors: names that meet are refused', async () => {
    const layers = [bidirectional('a', 'b.forward_c', [5, 3]), bidirectional('a.forward_b', 'c')];
    await tfl.sequential({ layers }).save(url('meeting'));
    const { status, err } = await run('convert', 'meeting', 'meeting.safetensors', '--to', 'safetensors');
    expect(err).toMatch(/convert model: expected weights that differ in their names, received "a\.forward_b\.forward_c\/kernel"/);
    expect(status).toBe(2);
    await expect(readFile(join(home, 'meeting.safetensors'))).rejects.toThrow('ENOENT');
  });

  test('to safetensors: of Powerpropagation the weights that compute', async () => {
    const kernelInitializer = given([0.5, -2]);
    await tfl
      .sequential({ layers: [powerDense({ name: 'power', inputShape: [2], units: 1, alpha: 2, kernelInitializer })] })
      .save(url('power'));
    await tensorsOf('power');
    const file = await readFile(join(home, 'power.safetensors'));
    // φ would be 0.71 and -1.41; the bias is behind.
    expectClose([file.readFloatLE(file.length - 12), file.readFloatLE(file.length - 8)], [0.5, -2], 1e-6);
  });

  test('to safetensors: sparse layers in wrappers are refused', async () => {
    const wrapped = tfl.layers.timeDistributed({ name: 'each', inputShape: [5, 3], layer: dense({ units: 4, density: 0.5, seed: 1 }) });
    await tfl.sequential({ layers: [wrapped] }).save(url('wrapped'));
    const { status, err } = await run('convert', 'wrapped', 'wrapped.safetensors', '--to', 'safetensors');
    expect(err).toMatch(/convert model: expected sparse layers outside of wrappers, received "each, a TimeDistributed"/);
    expect(status).toBe(2);
  });
});

describe('what the user can mend ends with status 2, one line, and nothing written', () => {
  test.each<[string, string[], RegExp]>([
    ['no such model', ['inspect', 'nowhere'], /^tfjs-sparse: nowhere: cannot be read \(ENOENT\)$/],
    ['a folder without a model', ['inspect', 'empty'], /empty: expected a folder with a model\.json, or that of a run/],
    ['a file that is no model', ['inspect', 'note.txt'], /note\.txt: expected a folder or a model\.json/],
    ['no JSON', ['inspect', 'torn'], /torn\/model\.json: expected JSON, received /],
    ['weights cut short', ['prune', 'cut', 'out', '--density', '0.1'], /cut\/model\.json: expected \d+ bytes of weights, received 10/],
    ['no weights', ['convert', 'bare', 'out', '--to', 'dense'], /bare\/weights\.bin: cannot be read \(ENOENT\)/],
    ['a weight missing', ['inspect', 'lacking'], /lacking\/model\.json: cannot be loaded as a layers model: .*not set/],
    ['an unknown layer', ['inspect', 'foreign'], /foreign\/model\.json: cannot be loaded as a layers model: Unknown layer: Nonsense/],
    ['a pattern that cannot be', ['inspect', 'twisted'], /twisted\/model\.json: cannot be loaded as a layers model: .*pattern/],
    ['a graph model', ['inspect', 'graph'], /graph\/model\.json: cannot be loaded as a layers model/],
    ['no density', ['prune', 'sparse', 'out'], /required option '--density <share>' not specified/],
    ['a density above 1', ['prune', 'sparse', 'out', '--density', '2'], /Expected a density in \(0, 1\]/],
    [
      'more than there is',
      ['prune', 'sparse', 'out', '--density', '0.9'],
      /prune density for hidden: expected at most what it has, 60 of 120 weights/,
    ],
    [
      'a factor without its scope',
      ['prune', 'sparse', 'out', '--density', '0.1', '--scope', 'lamp', '--output-factor', '1'],
      /--output-factor: expected --scope layer, received "lamp"/,
    ],
    ['an unknown scope', ['prune', 'sparse', 'out', '--density', '0.1', '--scope', 'all'], /Allowed choices are layer, global, lamp/],
    [
      'a place that is taken',
      ['prune', 'sparse', 'empty/../sparse', '--density', '0.1'],
      /expected a new or empty folder, received one with/,
    ],
    ['the place where it runs', ['convert', 'sparse', '.', '--to', 'dense'], /\.: expected a folder other than the current one/],
    [
      'a way that leads through a file',
      ['prune', 'sparse', 'note.txt/out', '--density', '0.1'],
      /note\.txt\/out: cannot be used as a folder/,
    ],
    [
      'a file that is there',
      ['convert', 'sparse', 'note.txt', '--to', 'safetensors'],
      /note\.txt: expected a new file, received one that exists/,
    ],
    ['a place that cannot be', ['convert', 'sparse', 'no/where/x', '--to', 'safetensors'], /no\/where is not a folder/],
    ['no form', ['convert', 'sparse', 'out'], /required option '--to <form>' not specified/],
    ['another form', ['convert', 'sparse', 'out', '--to', 'onnx'], /Allowed choices are dense, sparse, safetensors/],
    ['dense already', ['convert', 'dense', 'out', '--to', 'dense'], /toDense model: expected one with sparse layers or layers\.powerDense/],
    ['no zeros to drop', ['convert', 'full', 'out', '--to', 'sparse'], /layers in which some weights are exactly 0/],
    ['nothing said', ['inspect'], /missing required argument 'model'/],
  ])('%s', async (_, args, message) => {
    await mkdir(join(home, 'empty'), { recursive: true });
    await writeFile(join(home, 'note.txt'), 'mine');
    await spoiltModels();
    const before = (await readdir(home)).sort();
    const { status, out, err } = await run(...args);
    expect(err.trim()).toMatch(message);
    expect(err.trim().split('\n')).toHaveLength(1);
    expect([status, out]).toEqual([2, '']);
    expect((await readdir(home)).sort()).toEqual(before);
    expect(await readFile(join(home, 'note.txt'), 'utf8')).toBe('mine');
  });
});

/** Copies of the sparse model, each with one thing wrong. */
async function spoiltModels(): Promise<void> {
  const json = JSON.parse(await readFile(join(home, 'sparse', 'model.json'), 'utf8'));
  const weights = await readFile(join(home, 'sparse', 'weights.bin'));
  const write = async (name: string, text: string, bytes: Uint8Array | undefined = weights) => {
    await mkdir(join(home, name), { recursive: true });
    await writeFile(join(home, name, 'model.json'), text);
    if (bytes) await writeFile(join(home, name, 'weights.bin'), bytes);
  };
  const text = JSON.stringify(json);
  await write('torn', text.slice(0, 500));
  await write('cut', text, weights.subarray(0, 10));
  await mkdir(join(home, 'bare'), { recursive: true });
  await writeFile(join(home, 'bare', 'model.json'), text);
  await write('foreign', text.replace('"SparseDense"', '"Nonsense"'));
  await write('graph', JSON.stringify({ format: 'graph-model', modelTopology: { node: [] }, weightsManifest: [] }));
  const specs: { name: string; shape: number[] }[] = json.weightsManifest[0].weights;
  const last = specs.at(-1) as { shape: number[] };
  const lacking = structuredClone(json);
  lacking.weightsManifest[0].weights.pop();
  await write('lacking', JSON.stringify(lacking), weights.subarray(0, weights.length - 4 * last.shape.reduce((a, b) => a * b, 1)));
  // The row offsets of a layer: the first one is no longer 0.
  const at = specs
    .slice(
      0,
      specs.findIndex(({ name }) => name.endsWith('rowOffsets')),
    )
    .reduce((sum, { shape }) => sum + 4 * shape.reduce((a, b) => a * b, 1), 0);
  const twisted = Buffer.from(weights);
  twisted.writeInt32LE(3, at);
  await write('twisted', text, twisted);
}

test.each(['inspect', 'prune', 'convert', 'report', 'train', 'bench'])('%s --help', async (command) => {
  const { status, out } = await run(command, '--help');
  expect(status).toBe(0);
  expect(out).toContain(`Usage: tfjs-sparse ${command}`);
});
