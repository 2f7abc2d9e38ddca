// What is refused, in which words; and that nothing has changed then.

import { describe, expect, test } from 'vitest';
import { OptionError, ShapeError } from '../../ts/errors.js';
import { dense, type SparseDense } from '../../ts/layers/index.js';
import { dpf } from '../../ts/methods/dpf.js';
import { gap } from '../../ts/methods/gap.js';
import { ggr } from '../../ts/methods/ggr.js';
import { gmp } from '../../ts/methods/gmp.js';
import { gse } from '../../ts/methods/gse.js';
import { prune } from '../../ts/methods/prune.js';
import { rigl } from '../../ts/methods/rigl.js';
import { set } from '../../ts/methods/set.js';
import { snfs } from '../../ts/methods/snfs.js';
import { sparsify } from '../../ts/methods/sparsify.js';
import { staticPattern } from '../../ts/methods/static.js';
import { topKast } from '../../ts/methods/top_kast.js';
import { momentum, sgd } from '../../ts/optimizers/index.js';
import { eachLayer, type Rule } from '../../ts/topology/choose.js';
import { dropGrow } from '../../ts/topology/drop_grow.js';
import { constant } from '../../ts/topology/schedule.js';
import type { Training } from '../../ts/topology/training.js';
import { digits, forced, slotsOf, whole } from '../support/forced.js';
import { onEachBackend, tf, tfl } from '../support/tf.js';

const NOW = { every: 1, endStep: 10, anneal: constant, dropFraction: 0.5 };
const STARTS = [
  { w: [0.5, -0.1, 0, 0.3, 0, -0.7], mask: '110101', args: { name: 'left' } },
  { rows: 2, w: [0.2, 0, 0, -0.4, 0, 0.05, 0, 0.6, 0, 0], mask: '1001010100', args: { name: 'right' } },
];
const GRADIENTS = STARTS.map(({ w }) => w.map((_, i) => 1 + i));

/** Everything that an edit may change. */
const state = async (layers: SparseDense[], optimizer: tf.Optimizer) => {
  const all: unknown[] = [];
  for (const layer of layers) all.push([digits(layer), whole(layer), await slotsOf(optimizer, layer)]);
  return all;
};

/** Two layers, a step of momentum, an edit that is to be refused; and nothing is to have changed. */
async function refused(
  method: Training,
  message: string | RegExp,
  { gradients = GRADIENTS, spoil = () => {} }: { gradients?: number[][]; spoil?: (layers: SparseDense[]) => void } = {},
) {
  const { model, layers, step } = forced(STARTS);
  const optimizer = momentum(0.01, 0.9);
  method.attach(model, optimizer);
  step(optimizer, gradients);
  spoil(layers);
  const before = await state(layers, optimizer);
  const error = await method.step().then(
    () => undefined,
    (caught: unknown) => caught,
  );
  const after = await state(layers, optimizer);
  method.detach();
  model.dispose();
  optimizer.dispose();
  expect(error instanceof OptionError || error instanceof ShapeError, String(error)).toBe(true);
  expect((error as Error).message).toMatch(message);
  expect(after).toEqual(before);
}

const rule = (...grown: number[][]): Rule => ({ name: 'mine', grow: () => grown.map((positions) => Uint32Array.from(positions)) });

test('an option that a method does not have is refused by name, and nothing is left set', async () => {
  await tf.setBackend('cpu');
  const calls: [Training, string][] = [
    [rigl({ endStep: 9, frequency: 10 } as object), 'rigl options: expected some of dropFraction, '],
    [set({ endStep: 9, randomShare: 0.5 } as object), 'set options: expected some of dropFraction, '],
    [dropGrow({ name: 'mine', grow: () => [] }, { endStep: 9, evry: 2 } as object), 'mine options: expected some of '],
    [gmp({ density: 0.1, endStep: 9, power: 3 } as never), 'gmp options: expected some of density, scope, anneal, '],
  ];
  for (const [method, message] of calls) {
    const { model } = forced(STARTS);
    const optimizer = sgd(0.1);
    expect(() => method.attach(model, optimizer)).toThrow(message);
    set({ endStep: 9 }).attach(model, optimizer).detach();
    model.dispose();
    optimizer.dispose();
  }
});

test('options that are missing, of another type, or of another function', async () => {
  await tf.setBackend('cpu');
  expect(() => (gmp as unknown as () => Training)()).toThrow('gmp density: expected a number in (0, 1], received undefined');
  expect(() => (gap as unknown as () => Training)()).toThrow('gap every: expected a whole number >= 1, received undefined');
  expect(() => (dpf as unknown as () => Training)()).toThrow('dpf density');
  expect(() => rigl({ regrow: 'no' as never })).toThrow('rigl regrow: expected true or false, received "no"');
  expect(() => rigl({ track: 'no' as never })).toThrow('method track: expected true or false, received "no"');
  const { model } = forced(STARTS);
  await expect((prune as (model: unknown) => Promise<void>)(model)).rejects.toThrow('prune density');
  await expect(prune(model, { density: 0.1, scop: 'global' } as never)).rejects.toThrow('prune options: expected some of density, scope, ');
  await expect(sparsify(model, { excpt: ['left'] } as never)).rejects.toThrow('sparsify options: expected some of density, ');
  model.dispose();
});

test('a step that is not awaited', async () => {
  await tf.setBackend('cpu');
  const { model, layers, step } = forced(STARTS);
  const optimizer = sgd(0.01);
  const method = rigl(NOW).attach(model, optimizer);
  step(optimizer, GRADIENTS);
  const first = method.step();
  await expect(method.step()).rejects.toThrow('rigl step: expected one at a time, awaited, received');
  await first;
  step(optimizer, GRADIENTS);
  await method.step();
  expect(layers.every((layer) => layer.owner === method)).toBe(true);
  method.detach();
  model.dispose();
  optimizer.dispose();
});

test('a model that is compiled anew under a method', async () => {
  await tf.setBackend('cpu');
  const { model } = forced(STARTS);
  const [first, second] = [sgd(0.1), sgd(0.1)];
  model.compile({ optimizer: first, loss: 'meanSquaredError' });
  const method = set(NOW).attach(model);
  await method.step();
  model.compile({ optimizer: second, loss: 'meanSquaredError' });
  await expect(method.step()).rejects.toThrow('set step: expected detach() and attach() after compile(), received "another optimizer"');
  method.detach();
  await method.attach(model).step();
  method.detach();
  model.dispose();
  first.dispose();
  second.dispose();
});

onEachBackend('a rule of one’s own', () => {
  // Both layers have 4 weights and drop 2: left 1 and 3, right 5 and 0. Free: left 2, 4; right 1, 2, 4, 6, 8, 9.
  test('that fits is followed', async () => {
    const { model, layers, step } = forced(STARTS);
    const optimizer = momentum(0.01, 0.9);
    const method = dropGrow(rule([2], [1, 8, 9]), NOW).attach(model, optimizer);
    step(optimizer, GRADIENTS);
    await method.step();
    expect(layers.map(digits)).toEqual(['101001', '0101000111']);
    method.detach();
    model.dispose();
    optimizer.dispose();
  });

  test.each<[string, number[][], string | RegExp]>([
    [
      'more grown than dropped',
      [
        [2, 4],
        [1, 2, 4],
      ],
      'mine growth over 2 layers: expected 4 weights, as many as were dropped, received 5',
    ],
    ['more than a layer has free', [[0, 1, 2], [1]], 'mine growth in left: expected at most the 2 positions that are free, received 3'],
    [
      'a position that has a weight',
      [
        [2, 4],
        [1, 3],
      ],
      /^mine growth in right: expected free positions in ascending order, received ".*received 3, which has a weight"$/,
    ],
    [
      'positions that do not ascend',
      [
        [2, 4],
        [2, 1],
      ],
      /^mine growth in right: expected free positions in ascending order, received ".*received 1"$/,
    ],
    [
      'a position twice',
      [
        [2, 4],
        [2, 2],
      ],
      /^mine growth in right: expected free positions in ascending order, received ".*received 2"$/,
    ],
    [
      'a position outside',
      [
        [2, 4],
        [1, 10],
      ],
      /^mine growth in right: expected free positions in ascending order, received ".*received 10"$/,
    ],
    ['no list for the second layer', [[2, 4]], 'mine grow: expected an array for each of 2 layers, received [Uint32Array]'],
  ])('%s', async (_, grown, message) => {
    await refused(dropGrow(rule(...grown), NOW), message);
  });

  test('positions of weights that happen to be dropped are not free either, unless the method regrows', async () => {
    await refused(
      dropGrow(rule([2, 3], [1, 2]), NOW),
      /^mine growth in left: expected free positions in ascending order, received ".*3.*"$/,
    );
  });

  test('scores that are not numbers', async () => {
    const spoiled: Rule = {
      ...rule([2, 4], [1, 2]),
      dropScore: ({ weights, index }) => weights.map((w) => (index === 1 ? Number.NaN : w)),
    };
    for (const regrow of [true, false]) {
      await refused(dropGrow(spoiled, { ...NOW, regrow }), /^mine scores of right: expected numbers \(has the training diverged\?\)/);
    }
  });

  test.each([3, 7])('%d scores for 4 weights', async (length) => {
    const spoiled: Rule = { ...rule([2, 4], [1, 2]), dropScore: () => Float32Array.from({ length }, (_, i) => -i) };
    await refused(dropGrow(spoiled, NOW), `mine dropScore of left: expected [4], received [${length}]`);
  });

  test.each([-1, 1.5, Number.NaN])('%d as a count to drop', async (count) => {
    const spoiled: Rule = { name: 'mine', dropCount: () => count, grow: eachLayer((layer, k) => layer.randomFree(k)) };
    await refused(dropGrow(spoiled, NOW), new RegExp(`^mine .*left: expected .*received ${count}$`));
  });

  test('gradients that were not asked for', async () => {
    const { model, layers, step } = forced(STARTS);
    const optimizer = sgd(0);
    const grow: Rule['grow'] = (views, counts) => views.map((view, i) => view.steepest(counts[i]).positions);
    const method = dropGrow({ name: 'mine', grow }, NOW).attach(model, optimizer);
    step(optimizer, GRADIENTS);
    await expect(method.step()).rejects.toThrow('left: no gradient was seen at step 1');
    expect(layers.map(digits)).toEqual(STARTS.map(({ mask }) => mask));
    method.detach();
    model.dispose();
    optimizer.dispose();
  });
});

onEachBackend('weights that have become NaN', () => {
  const spoil = ([, right]: SparseDense[]) => {
    const values = right.values.dataSync().slice() as Float32Array;
    values[2] = Number.NaN;
    right.edit(right.pattern, values);
  };
  const grow = { every: 1, endStep: 10, anneal: constant };
  test.each<[string, () => Training, RegExp]>([
    ['rigl', () => rigl(grow), /^rigl scores of right: expected numbers .*NaN at index 2/],
    ['set', () => set(grow), /^set (scores|weights) of right: expected numbers .*NaN/],
    ['set by magnitude', () => set({ ...grow, dropRule: 'magnitude' }), /^set scores of right: expected numbers .*NaN at index 2/],
    ['ggr', () => ggr(grow), /^ggr scores of right: expected numbers .*NaN at index 2/],
    ['gse', () => gse(grow), /^gse scores of right: expected numbers .*NaN at index 2/],
    ['snfs', () => snfs(grow), /^snfs scores of right: expected numbers .*NaN at index 2/],
    ['gmp', () => gmp({ density: 0.1, every: 1, endStep: 1 }), /^gmp .*right.*: expected numbers .*NaN at index 2/],
    [
      'gmp over all layers',
      () => gmp({ density: 0.1, every: 1, endStep: 1, scope: 'global' }),
      /^gmp .*right.*: expected numbers .*NaN at index 2/,
    ],
  ])('%s', async (_, make, message) => {
    await refused(make(), message, { spoil });
  });

  test.each<[string, () => Training]>([
    ['rigl', () => rigl(grow)],
    ['rigl', () => rigl({ ...grow, regrow: false })],
    ['ggr', () => ggr(grow)],
    ['ggr', () => ggr({ ...grow, normalize: 'l2' })],
    ['gse', () => gse(grow)],
    ['gse', () => gse({ ...grow, candidates: 100 })],
    ['gse', () => gse({ ...grow, candidates: 100, sampling: 'grabo' })],
    ['snfs', () => snfs(grow)],
  ])('%s, by gradients that already are', async (_, make) => {
    const gradients = GRADIENTS.map((g, i) => (i === 1 ? g.map(() => Number.NaN) : g));
    await refused(make(), /right: expected (finite )?numbers .*NaN/, { gradients });
  });

  test('gap', async () => {
    // Its first edit opens the first partition, its second closes it.
    const { model, layers, step } = forced(STARTS);
    const optimizer = momentum(0.01, 0.9);
    const method = gap({ every: 1, endStep: 10 }).attach(model, optimizer);
    step(optimizer, GRADIENTS);
    await method.step();
    expect(digits(layers[0])).toBe('111111');
    step(optimizer, GRADIENTS);
    layers[0].edit(layers[0].pattern, Float32Array.of(1, 2, Number.NaN, 4, 5, 6));
    const before = await state(layers, optimizer);
    await expect(method.step()).rejects.toThrow(/^gap .*left.*: expected numbers .*NaN at index 2/);
    expect(await state(layers, optimizer)).toEqual(before);
    method.detach();
    model.dispose();
    optimizer.dispose();
  });

  test('dpf', async () => {
    const args = { density: 0.5, backwardDensity: 1, useBias: false, seed: 1 };
    const layers = [dense({ ...args, units: 4, inputShape: [3], name: 'sane' }), dense({ ...args, units: 2, name: 'mad' })];
    const model = tfl.sequential({ layers });
    const optimizer = sgd(0);
    const method = dpf({ density: 0.3, every: 1, endStep: 1 }).attach(model, optimizer);
    layers[1].edit(
      layers[1].pattern,
      Float32Array.from({ length: 8 }, (_, i) => (i === 5 ? Number.NaN : i)),
    );
    const before = layers.map((layer) => [digits(layer), whole(layer)]);
    optimizer.applyGradients([]);
    const error = await method.step().catch((caught: Error) => caught);
    const after = layers.map((layer) => [digits(layer), whole(layer)]);
    method.detach();
    model.dispose();
    optimizer.dispose();
    expect(after).toEqual(before);
    expect((error as Error).message).toMatch(/^dpf .*mad.*: expected numbers .*NaN/);
  });

  test('prune', async () => {
    const { model, layers } = forced(STARTS);
    spoil(layers);
    const before = layers.map((layer) => [digits(layer), whole(layer)]);
    const error = await prune(model, { density: 0.2 }).catch((caught: Error) => caught);
    const after = layers.map((layer) => [digits(layer), whole(layer)]);
    model.dispose();
    expect(after).toEqual(before);
    expect((error as Error).message).toMatch(/^prune .*right.*: expected numbers .*NaN at index 2/);
  });
});

// --- options, and what layers they fit ------------------------------------------------------------

const END = { endStep: 100 };

describe('options', () => {
  test.each<[string, () => unknown, string]>([
    ['rigl', () => rigl({ ...END, every: 0 }), 'rigl every: expected a whole number >= 1, received 0'],
    ['set', () => set({ ...END, every: 0 }), 'set every: expected a whole number >= 1, received 0'],
    ['ggr', () => ggr({ ...END, every: 0 }), 'ggr every: expected a whole number >= 1, received 0'],
    ['gse', () => gse({ ...END, every: 0 }), 'gse every: expected a whole number >= 1, received 0'],
    ['snfs', () => snfs({ ...END, every: 0 }), 'snfs every: expected a whole number >= 1, received 0'],
    ['gmp', () => gmp({ ...END, density: 0.1, every: 0 }), 'gmp every: expected a whole number >= 1, received 0'],
    ['dpf', () => dpf({ ...END, density: 0.1, every: 0 }), 'dpf every: expected a whole number >= 1, received 0'],
    ['gap', () => gap({ ...END, every: 0 }), 'gap every: expected a whole number >= 1, received 0'],
    ['rigl', () => rigl({ accumulate: 0 }), 'rigl accumulate: expected a whole number >= 1, received 0'],
    ['rigl', () => rigl({ dropFraction: 1.5 }), 'rigl dropFraction: expected a number in [0, 1], received 1.5'],
    ['rigl', () => rigl({ dropFraction: Number.NaN }), 'rigl dropFraction: expected a number in [0, 1], received NaN'],
    ['rigl', () => rigl({ randomShare: -1 }), 'rigl randomShare: expected a number in [0, 1], received -1'],
    ['rigl', () => rigl({ seed: 0.5 }), 'rigl seed: expected a whole number >= 0, received 0.5'],
    ['rigl', () => rigl({ growInit: 'ones' as never }), `rigl growInit: expected 'zeros' or 'initializer', received "ones"`],
    ['rigl', () => rigl({ beginStep: 5, endStep: 4 }), 'rigl endStep: expected a whole number >= 5, received 4'],
    ['set', () => set({ dropRule: 'sign' as never }), `set dropRule: expected 'sign-split' or 'magnitude', received "sign"`],
    ['ggr', () => ggr({ minNnz: -1 }), 'ggr minNnz: expected a whole number >= 0, received -1'],
    ['ggr', () => ggr({ normalize: 'l1' as never }), `ggr normalize: expected 'none' or 'l2', received "l1"`],
    ['ggr', () => ggr({ randomShare: 2 }), 'ggr randomShare: expected a number in [0, 1], received 2'],
    ['gse', () => gse({ candidates: 0 }), 'gse candidates: expected a number > 0, received 0'],
    ['gse', () => gse({ sampling: 'all' as never }), `gse sampling: expected 'uniform', 'grabo' or 'graest', received "all"`],
    ['snfs', () => snfs({ randomShare: 2 }), 'snfs randomShare: expected a number in [0, 1], received 2'],
    ['gmp', () => gmp({ density: 0 }), 'gmp density: expected a number in (0, 1], received 0'],
    ['gmp', () => gmp({ density: 0.1, scope: 'all' as never }), `gmp scope: expected 'layer', 'global' or 'lamp', received "all"`],
    ['dpf', () => dpf({ density: 1.1 }), 'dpf density: expected a number in (0, 1], received 1.1'],
    ['gap', () => gap({ every: 1, partitions: 0 }), 'gap partitions: expected a whole number >= 1, received 0'],
    ['gap', () => gap({ every: 1, seed: -1 }), 'gap seed: expected a whole number >= 0, received -1'],
  ])('%s: %o', (_, make, message) => {
    expect(make).toThrow(OptionError);
    expect(make).toThrow(message);
  });
});

describe('attach', () => {
  const layer = (name: string, args: object = {}) => dense({ units: 5, density: 0.4, inputShape: [5], seed: 1, name, ...args });
  const network = (...layers: (SparseDense | tfl.layers.Layer)[]) => tfl.sequential({ layers });

  /** Refused with these words, without a trace in the layers. */
  function refuses(method: Training, layers: SparseDense[], message: string | RegExp, model = network(...layers)) {
    const before = layers.map((one) => [digits(one), one.owner, one.method, one.probe, { ...one.decay }]);
    expect(() => method.attach(model, sgd(0.1))).toThrow(OptionError);
    expect(() => method.attach(model, sgd(0.1))).toThrow(message);
    expect(layers.map((one) => [digits(one), one.owner, one.method, one.probe, { ...one.decay }])).toEqual(before);
  }

  test.each<[string, () => Training]>([
    ['rigl', () => rigl(END)],
    ['set', () => set(END)],
    ['gmp', () => gmp({ ...END, density: 0.1 })],
    ['dpf', () => dpf({ ...END, density: 0.1 })],
    ['gap', () => gap({ ...END, every: 1 })],
    ['static', () => staticPattern()],
    ['topKast', () => topKast()],
  ])('%s on a model without sparse layers', (name, make) => {
    const model = network(tfl.layers.dense({ units: 2, inputShape: [3], name: `stock_of_${name}` }));
    refuses(make(), [], `${name} attach: expected a model with sparse layers, received ["stock_of_${name}"]`, model);
  });

  test('two methods on one layer', () => {
    const [a, b] = [layer('mine'), layer('other')];
    const model = network(a, b);
    const first = rigl({ ...END, layers: ['mine'] }).attach(model, sgd(0.1));
    refuses(set(END), [a, b], 'set attach: expected layers that no other method trains, received "mine, which rigl trains"', model);
    // Side by side they may.
    const second = set({ ...END, layers: ['other'] }).attach(model, sgd(0.1));
    first.detach();
    second.detach();
    set(END).attach(model, sgd(0.1)).detach();
  });

  test('a method twice', () => {
    const [a, b] = [layer('first'), layer('second')];
    const method = rigl(END).attach(network(a), sgd(0.1));
    refuses(method, [b], 'rigl attach: expected a method that trains no model yet: make one for each, received "a second model"');
    expect(a.owner).toBe(method);
    method.detach();
    expect(a.owner).toBeUndefined();
  });

  test('a layer that does not exist', () => {
    refuses(
      rigl({ ...END, layers: ['one', 'three'] }),
      [layer('one'), layer('two')],
      'rigl layers: expected names of sparse layers (one, two), received "three"',
    );
  });

  test('no layer at all', () => {
    refuses(rigl({ ...END, layers: [] }), [layer('one')], /^rigl (attach|layers): expected /);
  });

  test.each<[string, () => Training, string]>([
    ['rigl', () => rigl(END), 'layers without a backwardDensity (that is Top-KAST, for topKast())'],
    ['gmp', () => gmp({ ...END, density: 0.1 }), 'layers without a backwardDensity'],
    ['gap', () => gap({ ...END, every: 1 }), 'layers without a backwardDensity'],
  ])('%s on a Top-KAST layer', (name, make, expected) => {
    refuses(make(), [layer('kast', { backwardDensity: 0.6 })], `${name} attach: expected ${expected}, received "kast"`);
  });

  test('dpf on a layer whose every weight is not trained', () => {
    const expected = 'dpf attach: expected layers with a backwardDensity of 1, whose every weight is trained';
    refuses(dpf({ ...END, density: 0.1 }), [layer('plain')], `${expected}, received "plain"`);
    refuses(dpf({ ...END, density: 0.1 }), [layer('kast', { backwardDensity: 0.6 })], `${expected}, received "kast"`);
    refuses(
      dpf({ ...END, density: 0.1, layers: ['kast2'] }),
      [layer('whole', { backwardDensity: 1 }), layer('kast2', { backwardDensity: 0.6 })],
      `${expected}, received "kast2"`,
    );
  });

  test('a density above that of a layer', () => {
    refuses(
      gmp({ ...END, density: 0.5 }),
      [layer('one', { density: 0.6 }), layer('two')],
      'gmp density for two: expected at most its own, 0.4: pruning takes weights away, received 0.5',
    );
    refuses(
      dpf({ ...END, density: 0.5 }),
      [layer('three', { backwardDensity: 1, density: 0.6 }), layer('four', { backwardDensity: 1 })],
      'dpf density for four: expected at most its own, 0.4, received 0.5',
    );
  });

  test('more partitions than layers', () => {
    refuses(
      gap({ ...END, every: 1, partitions: 3 }),
      [layer('one'), layer('two')],
      'gap partitions: expected at most one for each of 2 layers, received 3',
    );
  });

  test('zeros grown under Powerpropagation', () => {
    refuses(
      rigl({ ...END, growInit: 'zeros' }),
      [layer('plain'), layer('powered', { alpha: 2 })],
      'rigl growInit of powered: expected \'initializer\', since at alpha 2 a weight of 0 has no gradient, received "zeros"',
    );
  });

  test.each<[string, () => Training]>([
    ['rigl', () => rigl()],
    ['set', () => set()],
    ['ggr', () => ggr()],
    ['gse', () => gse()],
    ['snfs', () => snfs()],
    ['gmp', () => gmp({ density: 0.1 })],
    ['gap', () => gap({ every: 1 })],
  ])('%s without an end in a loop of one’s own', (name, make) => {
    refuses(
      make(),
      [layer('one')],
      `${name} endStep: expected the last step of edits (only model.fit over a known number of batches has a default), received undefined`,
    );
  });

  test('dpf without an end in a loop of one’s own', () => {
    refuses(dpf({ density: 0.1 }), [layer('one', { backwardDensity: 1 })], /^dpf endStep: expected the last step of edits/);
  });

  test('no optimizer, no attach, no step after detach', async () => {
    const model = network(layer('one'));
    expect(() => rigl(END).attach(model)).toThrow('rigl attach: expected a compiled model, or an optimizer, received undefined');
    const method = rigl(END).attach(model, sgd(0.1));
    method.detach();
    await expect(method.step()).rejects.toThrow('rigl: attach(model) before step()');
    expect(() => rigl(END).schedule).toThrow('rigl: attach(model) before asking for the schedule');
  });
});

describe('model.fit', () => {
  const data = () => ({ x: tf.ones([8, 6]), y: tf.ones([8, 4]) });

  test('a Top-KAST layer that nobody trains', async () => {
    await tf.setBackend('cpu');
    const [kast, plain] = [
      dense({ units: 5, density: 0.2, backwardDensity: 0.4, inputShape: [6], seed: 1, name: 'kast_alone' }),
      dense({ units: 4, density: 0.5, seed: 1, name: 'beside' }),
    ];
    const model = tfl.sequential({ layers: [kast, plain] });
    model.compile({ optimizer: sgd(0.1), loss: 'meanSquaredError' });
    const { x, y } = data();
    const before = [kast.theta(), Array.from(plain.values.dataSync())];
    await expect(model.fit(x, y, { epochs: 1, verbose: 0, callbacks: [rigl({ every: 1 })] })).rejects.toThrow(
      'model.fit callbacks: expected a topKast() for kast_alone, which has a backwardDensity, received "no method that trains it"',
    );
    expect([kast.theta(), Array.from(plain.values.dataSync())]).toEqual(before);
    expect([kast.owner, plain.owner]).toEqual([undefined, undefined]);
    // With one for each it goes.
    await model.fit(x, y, { epochs: 1, verbose: 0, callbacks: [rigl({ every: 1 }), topKast()] });
  });

  test('an unknown number of batches has no default end', async () => {
    await tf.setBackend('cpu');
    const layer = dense({ units: 4, density: 0.5, inputShape: [6], seed: 1, name: 'streamed' });
    const model = tfl.sequential({ layers: [layer] });
    model.compile({ optimizer: sgd(0.1), loss: 'meanSquaredError' });
    const before = [digits(layer), whole(layer)];
    let given = 0;
    const dataset = {
      size: null,
      iterator: async () => ({
        next: async () =>
          given++ < 3 ? { done: false, value: { xs: tf.ones([2, 6]), ys: tf.ones([2, 4]) } } : { done: true, value: null },
      }),
    };
    const train = (method: Training) => model.fitDataset(dataset as never, { epochs: 1, verbose: 0, callbacks: [method] });
    await expect(train(rigl())).rejects.toThrow('rigl endStep: expected the last step of edits');
    expect([digits(layer), whole(layer)]).toEqual(before);
    expect(layer.owner).toBeUndefined();
    await train(rigl({ endStep: 2, every: 1 }));
  });

  test('initial values of 0 under Powerpropagation stop an edit before its first layer changes', async () => {
    await tf.setBackend('cpu');
    const [first, second] = [
      dense({ units: 5, density: 0.4, inputShape: [6], seed: 1, alpha: 2 }),
      dense({ units: 4, density: 0.5, seed: 1, alpha: 2, kernelInitializer: 'zeros', name: 'all_zero' }),
    ];
    const model = tfl.sequential({ layers: [first, second] });
    const optimizer = sgd(0.1);
    const method = set({ every: 1, endStep: 5 }).attach(model, optimizer);
    const before = [first, second].map((one) => [digits(one), whole(one)]);
    optimizer.applyGradients([]);
    await expect(method.step()).rejects.toThrow(
      'kernelInitializer of all_zero: expected one that draws other weights than 0, at alpha 2, received 0',
    );
    expect([first, second].map((one) => [digits(one), whole(one)])).toEqual(before);
    method.detach();
  });

  test('an optimizer that hides its slots', async () => {
    await tf.setBackend('cpu');
    const { model, layers, step } = forced(STARTS.map((start) => ({ ...start, args: {} })));
    const optimizer = tf.train.adamax(0);
    const method = rigl({ ...END, every: 1 }).attach(model, optimizer);
    step(optimizer, GRADIENTS);
    await expect(method.step()).rejects.toThrow(/one whose slots can be read .* received "Adamax"/);
    expect(layers.map(digits)).toEqual(STARTS.map(({ mask }) => mask));
    method.detach();
  });
});

// --- pruning --------------------------------------------------------------------------------------

onEachBackend('pruning', () => {
  test.each([
    // 0.7 of 6 is 4, which left has; of the last layer all are to stay.
    [{ density: 0.7 }, 'prune density for right: expected at most what it has, 4 of 10 weights, received "1 (10)"'],
    [{ density: 0.9 }, 'prune density for left: expected at most what it has, 4 of 6 weights, received "0.9 (5)"'],
    [{ density: 0.3 }, 'prune density for right: expected at most what it has, 4 of 10 weights, received "0.6 (6)"'],
    [{ density: 0.9, scope: 'global' as const }, 'prune density: expected at most what the model has, 8 weights, received 0.9'],
    [{ density: 0.9, scope: 'lamp' as const }, 'prune density: expected at most what the model has, 8 weights, received 0.9'],
    [{ density: 0 }, 'prune density: expected a number in (0, 1], received 0'],
    [{ density: 2 }, 'prune density: expected a number in (0, 1], received 2'],
    [{ density: 0.1, outputFactor: 0 }, 'prune outputFactor: expected a number > 0, received 0'],
    [{ density: 0.1, scope: 'all' as never }, `prune scope: expected 'layer', 'global' or 'lamp', received "all"`],
  ])('%o is refused', async (args, message) => {
    const { model, layers } = forced(STARTS);
    const before = layers.map((layer) => [digits(layer), whole(layer)]);
    const error = await prune(model, args).catch((caught: Error) => caught);
    const after = layers.map((layer) => [digits(layer), whole(layer)]);
    model.dispose();
    expect(error).toBeInstanceOf(OptionError);
    expect((error as Error).message).toBe(message);
    expect(after).toEqual(before);
  });

  test('models without the layers for it', async () => {
    const stock = tfl.sequential({ layers: [tfl.layers.dense({ units: 2, inputShape: [3], name: 'stock' })] });
    await expect(prune(stock, { density: 0.5 })).rejects.toThrow(
      'prune model: expected one with sparse layers (for dense ones: sparsify), received ["stock"]',
    );
    stock.dispose();
    const kast = tfl.sequential({ layers: [dense({ units: 2, inputShape: [3], density: 0.5, backwardDensity: 1, name: 'kast' })] });
    await expect(prune(kast, { density: 0.2 })).rejects.toThrow('prune model: expected layers without a backwardDensity, received "kast"');
    await expect(sparsify(kast, { density: 0.2 })).rejects.toThrow(
      'sparsify model: expected one with dense layers or convolutions, received ["kast"]',
    );
    kast.dispose();
  });
});
