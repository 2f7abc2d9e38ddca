// What a model is said to be made of, against counts by hand and against tfjs's own summary.

import { describe, expect, test } from 'vitest';
import { conv2d, dense, powerDense } from '../../ts/layers/index.js';
import { topKast } from '../../ts/methods/top_kast.js';
import { sgd } from '../../ts/optimizers/index.js';
import { layerBytes } from '../../ts/topology/bytes.js';
import { summary } from '../../ts/topology/summary.js';
import { memory } from '../../ts/wasm/memory.js';
import { onEachBackend, tf, tfl } from '../support/tf.js';

const quiet = () => {};

onEachBackend('summary', () => {
  test('counts sparse, dense and other layers', () => {
    const model = tfl.sequential({
      layers: [
        dense({ name: 'first', inputShape: [20], units: 10, density: 0.3, seed: 1 }),
        tfl.layers.dropout({ name: 'drop', rate: 0.5 }),
        dense({ name: 'kast', units: 8, density: 0.25, backwardDensity: 0.5, useBias: false, seed: 1 }),
        powerDense({ name: 'power', units: 6, alpha: 2 }),
        tfl.layers.batchNormalization({ name: 'norm' }),
        tfl.layers.dense({ name: 'last', units: 3, useBias: false }),
      ],
    });
    const { layers, total } = summary(model, quiet);
    // The pattern of `first`: 11 offsets, 10 splits and 60 columns of 16 bits here; in wasm two orders of 16 bits and the way between, with offsets and
    // splits of 10 rows and 20 columns.
    const firstPattern = 4 * 11 + 4 * 10 + 2 * 60 + 60 * 8 + 4 * (2 * 10 + 1 + 2 * 20 + 1);
    // B has 40 of 80, and the whole vector is kept.
    const kastPattern = 4 * 9 + 4 * 8 + 2 * 40 + 40 * 8 + 4 * (2 * 8 + 1 + 2 * 10 + 1);
    const of = (name: string, type: string, units: number, rest: object) => ({ name, type, outputShape: [null, units], ...rest });
    const none = { density: undefined, nnz: undefined, multiplyAdds: undefined };
    expect(layers).toEqual([
      of('first', 'SparseDense', 10, { params: 70, density: 0.3, nnz: 60, bytes: 4 * 70 + firstPattern, multiplyAdds: 60 }),
      of('drop', 'Dropout', 10, { params: 0, bytes: 0, ...none }),
      of('kast', 'SparseDense', 8, { params: 40, density: 0.25, nnz: 20, bytes: 4 * 40 + kastPattern + 4 * 80, multiplyAdds: 20 }),
      of('power', 'PowerDense', 6, { params: 54, density: 1, nnz: 48, bytes: 4 * 54, multiplyAdds: 48 }),
      of('norm', 'BatchNormalization', 6, { params: 24, bytes: 4 * 24, ...none }),
      of('last', 'Dense', 3, { params: 18, density: 1, nnz: 18, bytes: 4 * 18, multiplyAdds: 18 }),
    ]);
    const sum = (pick: (layer: (typeof layers)[number]) => number | undefined) =>
      layers.reduce((all, layer) => all + (pick(layer) ?? 0), 0);
    expect(total).toEqual({
      params: sum((l) => l.params),
      density: (60 + 20 + 48 + 18) / (200 + 80 + 48 + 18),
      nnz: 146,
      bytes: sum((l) => l.bytes),
      multiplyAdds: 146,
    });
    model.dispose();
  });

  test('prints what it returns, a line at a time', () => {
    const model = tfl.sequential({
      name: 'net',
      layers: [
        dense({ name: 'hidden', inputShape: [100], units: 50, density: 0.2, seed: 1 }),
        tfl.layers.activation({ name: 'act', activation: 'relu' }),
        tfl.layers.dense({ name: 'output', units: 10 }),
      ],
    });
    const lines: string[] = [];
    summary(model, (line) => lines.push(line));
    expect(lines[0]).toMatch(/^Layer \(type\) +Output shape +Param # +Density +nnz +Bytes +Multiply-adds$/);
    expect(lines[1]).toMatch(/^=+$/);
    expect(lines[2]).toMatch(/^hidden \(SparseDense\) +\[null,50\] +1,050 +20\.0 % +1,000 +[\d,]+ +1,000$/);
    expect(lines[3]).toMatch(/^act \(Activation\) +\[null,50\] +0 +0$/);
    expect(lines[4]).toMatch(/^output \(Dense\) +\[null,10\] +510 +100\.0 % +500 +2,040 +500$/);
    expect(lines[6]).toMatch(/^Total +1,560 +27\.3 % +1,500 /);
    expect(lines).toHaveLength(7);
    // Right-most column: all rows end where the head does, or earlier where it is empty.
    expect(lines[2]).toHaveLength(lines[0].length);
    model.dispose();
  });

  test('has as many parameters as tfjs says, of a dense model', () => {
    const model = tfl.sequential({
      layers: [
        tfl.layers.conv2d({ inputShape: [8, 8, 2], filters: 3, kernelSize: 3 }),
        tfl.layers.batchNormalization(),
        tfl.layers.flatten(),
        tfl.layers.dense({ units: 5 }),
      ],
    });
    let tfjs = '';
    model.summary(undefined, undefined, (line) => {
      tfjs += `${line}\n`;
    });
    const { total, layers } = summary(model, quiet);
    expect(tfjs).toContain(`Total params: ${total.params}`);
    expect(layers[0].outputShape).toEqual([null, 6, 6, 3]);
    expect(total.nnz).toBe(9 * 2 * 3 + 108 * 5);
    model.dispose();
  });

  test('a dense layer on sequences multiplies once for each place, which may be open', () => {
    const closed = tfl.sequential({ layers: [dense({ inputShape: [7, 5], units: 4, density: 0.5, seed: 1 })] });
    const open = tfl.sequential({ layers: [dense({ inputShape: [null as unknown as number, 5], units: 4, density: 0.5, seed: 1 })] });
    expect(summary(closed, quiet).layers[0].multiplyAdds).toBe(70);
    expect(summary(open, quiet).layers[0].multiplyAdds).toBeUndefined();
    closed.dispose();
    open.dispose();
  });

  test('a wrapper has the numbers of its layer, once for each step', () => {
    const layer = dense({ name: 'core', units: 4, density: 0.5, seed: 1 });
    const model = tfl.sequential({ layers: [tfl.layers.timeDistributed({ name: 'each', layer, inputShape: [7, 5] })] });
    const { layers, total } = summary(model, quiet);
    const row = { name: 'each', type: 'TimeDistributed of SparseDense', outputShape: [null, 7, 4], params: 14, density: 0.5, nnz: 10 };
    expect(layers).toEqual([{ ...row, bytes: layerBytes(layer), multiplyAdds: 70 }]);
    expect(total.density).toBe(0.5);
    model.dispose();
  });

  test('a model within the model is opened, a layer used twice is one row', () => {
    const shared = dense({ name: 'shared', units: 4, density: 0.5, seed: 1 });
    const inner = tfl.sequential({ name: 'inner', layers: [tfl.layers.dense({ name: 'core', inputShape: [4], units: 4 })] });
    const [a, b] = [tfl.input({ shape: [4], name: 'a' }), tfl.input({ shape: [4], name: 'b' })];
    const joined = tfl.layers.add({ name: 'sum' }).apply([shared.apply(a), shared.apply(b)] as tfl.SymbolicTensor[]) as tfl.SymbolicTensor;
    const model = tfl.model({ inputs: [a, b], outputs: inner.apply(joined) as tfl.SymbolicTensor });
    const { layers, total } = summary(model, quiet);
    const names = layers.filter(({ type }) => type !== 'InputLayer').map(({ name }) => name);
    expect(names).toEqual(['shared', 'sum', 'inner/core']);
    expect(total.nnz).toBe(8 + 16);
    model.dispose();
    // Once for each use.
    shared.dispose();
  });
});

describe('layerBytes', () => {
  // What the crate's allocator counts is the truth about its part.
  test.each([
    ['a sparse layer', 'dense', { density: 0.1 }],
    ['Top-KAST', 'dense', { density: 0.1, backwardDensity: 0.2 }],
    ['a convolution', 'conv2d', { density: 0.1 }],
    ['a convolution with strides under Top-KAST', 'conv2d', { density: 0.1, backwardDensity: 0.2, strides: 2 }],
  ] as const)('%s: what it adds to our own memory and to JavaScript', async (_, kind, args) => {
    await tf.setBackend('cpu');
    const common = { useBias: false, seed: 1, ...args };
    const make = () => {
      const layer =
        kind === 'dense'
          ? dense({ inputShape: [500], units: 300, ...common })
          : conv2d({ inputShape: [6, 5, 64], filters: 96, kernelSize: 3, ...common });
      const model = tfl.sequential({ layers: [layer] });
      model.compile({ optimizer: sgd(0.1), loss: 'meanSquaredError' });
      return { layer, model };
    };
    const used = async ({ model }: ReturnType<typeof make>) => {
      const sizes = [model.inputs[0].shape, model.outputs[0].shape].map(([, ...rest]) => [16, ...(rest as number[])]);
      const [x, y] = [tf.randomNormal(sizes[0], 0, 1, 'float32', 1), tf.ones(sizes[1])];
      // Without a refresh: after one the values are tfjs's until the next step.
      const kast = 'backwardDensity' in args;
      await model.fit(x, y, { epochs: 2, verbose: 0, callbacks: kast ? [topKast({ track: false, every: 100 })] : [] });
      tf.dispose([x, y]);
    };
    // Once before, for working memory.
    const warm = make();
    await used(warm);
    warm.model.dispose();
    const before = memory().liveBytes;
    const { layer, model } = make();
    await used({ layer, model });
    const { rowOffsets, rowSplits, colIndices } = layer.pattern;
    const inJs = rowOffsets.byteLength + rowSplits.byteLength + colIndices.byteLength;
    const measured = memory().liveBytes - before + inJs;
    expect(Math.abs(layerBytes(layer) - measured) / measured).toBeLessThan(0.02);
    model.dispose();
  });
});
